"""The site, built from the stored outputs and opened in a real browser.

Several processes may run these tests (`pytest -n 2`): the first builds, all open what it built.
BELAMY_CHAPTER=name leaves the page checks of that chapter alone.
"""

import copy
import functools
import http.server
import itertools
import os
import re
import threading
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from bs4 import BeautifulSoup
from conftest import ROOT
from playwright.sync_api import sync_playwright

from tools import chromium, ledger, moved, pages
from tools.book import Book, read

BOOK = Book(ROOT)
ONLY = os.environ.get("BELAMY_CHAPTER")  # `make test CHAPTER=name`
ENTRIES = [f"{entry}.html" for entry in BOOK.entries if ONLY in (None, "", Path(entry).name)]
CHAPTERS = [f"{path.relative_to(ROOT).with_suffix('').as_posix()}.html" for path in BOOK.chapters]
CHAPTERS = [name for name in CHAPTERS if name in ENTRIES]
EXERCISES = [name for name in ENTRIES if name.startswith("exercises/")]
PAGES = ENTRIES if ONLY else [*ENTRIES, "search.html", "genindex.html", "py-modindex.html"]
SETTINGS = list(itertools.product(("light", "dark"), (1280, 390)))  # scheme, width
KINDS = {  # every kind of element that a page may have
    "a slider": ".belamy-sliders", "a blind test": ".belamy-blind", "claims": "#T_claims",
    "the ledger": ".belamy-ledger", "an exercise": ".exercise", "a solution": ".solution",
    "a formula": "mjx-container[display]", "a table": ".belamy-scroll", "a picture": "figure img",
    "folded code": "details.hide", "open code": ".cell_input pre", "a print-out": ".cell_output pre",
    "references": ".citation", "signatures": "dt.sig", "a definition": "article dl:not(.field-list)",
}  # fmt: skip
AXE = {
    "resultTypes": ["violations"],
    "rules": {"label-content-name-mismatch": {"enabled": True}},
    "preload": False,  # it asks for style sheets that no page does
}


def test_a_page_of_the_book_is_tested():
    assert ENTRIES, f"BELAMY_CHAPTER={ONLY} is no page of _toc.yml"


@pytest.fixture(scope="session")
def address(html):
    """The site's address on this machine while the tests run."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            if self.path == "/favicon.ico":  # a browser asks for it where a picture stands alone
                self.send_response(204)
                self.end_headers()
            else:
                super().do_GET()

    handler = functools.partial(Handler, directory=html)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="session")
def browser():
    path = chromium.find()
    assert path, "no Chromium: apt-get install chromium, or CHROMIUM=its path"
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=path, args=pages.FLAGS)


class Visitor:
    """Opens pages, and notes every error told, every dead link and every other server asked."""

    def __init__(self, browser, address):
        self.browser, self.address, self.faults = browser, address, []

    def __call__(self, name, width=1280, scheme="light"):
        context = self.browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
        )
        page = context.new_page()
        note = self.faults.append
        page.on("pageerror", lambda error: note(f"error: {error}"))
        page.on("console", lambda m: m.type == "error" and note(f"console: {m.text}"))
        page.on("request", lambda r: self.is_foreign(r.url) and note(f"foreign: {r.url}"))
        page.on("response", lambda r: r.status >= 400 and note(f"{r.status}: {r.url}"))
        page.goto(urljoin(self.address, name), wait_until="load")
        page.evaluate("document.fonts.ready.then(() => 0)")
        return page

    def is_foreign(self, url):
        return not url.startswith((self.address, "data:", "blob:"))

    def leave(self):
        for context in self.browser.contexts:
            context.close()


@pytest.fixture
def visit(browser, address):
    """A visitor; the test fails if the pages that it opened told a fault."""
    visitor = Visitor(browser, address)
    yield visitor
    visitor.leave()
    assert visitor.faults == []


@functools.cache
def soup_of(html, name):
    return BeautifulSoup((html / name).read_text(encoding="utf-8"), "html.parser")


def test_every_claim_of_every_chapter_stands_in_the_ledger(html):
    page, preface = (soup_of(html, f"{entry}.html").article for entry in (ledger.PAGE, BOOK.entries[0]))
    shown = [row.find_all("td")[1].get_text() for row in page.select("tbody tr")]
    chapters = [path for path in BOOK.chapters if path.stem not in ledger.SILENT]
    rows = [row for path in chapters for row in ledger.take_claims(path, read(path))["claims"]]
    plain = str.maketrans({"’": "'", "\N{NO-BREAK SPACE}": " "})
    assert sorted(text.translate(plain) for text in shown) == sorted(row["claim"] for row in rows)
    assert f"{len(rows)} claims: " in preface.get_text()


def test_a_visitor_notes_faults(browser, address, html):
    bad = html / "bad.html"
    faults = "<script>nowhere()</script><img src='http://other.invalid/x'><img src='none'>"
    bad.write_text(faults, encoding="utf-8")
    visitor = Visitor(browser, address)
    try:
        visitor("bad.html")
    finally:
        visitor.leave()
        bad.unlink()
    assert {fault.partition(":")[0] for fault in visitor.faults} == {
        "error", "foreign", "404", "console",
    }  # fmt: skip


@functools.cache
def anchors(html, name):
    return {element["id"] for element in soup_of(html, name).find_all(id=True)}


@pytest.mark.parametrize("name", ENTRIES)
def test_internal_links_and_anchors_resolve(html, name):
    dead = []
    for link in soup_of(html, name).find_all("a", href=True):
        target, anchor = urldefrag(urljoin(f"http://site/{name}", link["href"]))
        if urlsplit(target).netloc != "site":
            continue
        file = html / unquote(urlsplit(target).path).lstrip("/")
        if not file.is_file():
            dead.append(link["href"])
        elif anchor and unquote(anchor) not in anchors(html, file.relative_to(html).as_posix()):
            dead.append(link["href"])
    assert dead == []


@pytest.mark.parametrize("name", ENTRIES)
def test_pictures_say_what_is_to_be_seen(html, name):
    article = soup_of(html, name).find("article")
    for image in article.find_all("img"):
        alt = image.get("alt", "")
        assert len(alt) > 20 and not alt.endswith((".png", ".svg", ".jpg", ".webp")), image["src"]
        figure = image.find_parent("figure")
        assert figure is not None and figure.find("figcaption").get_text(strip=True), image["src"]


@pytest.mark.parametrize("name", CHAPTERS + EXERCISES)
def test_chapters_say_their_time_and_what_they_ran_with(html, name):
    first, *_, last = soup_of(html, name).find("article").select(".belamy-stamp")
    assert "Measured time" in first.get_text()
    assert "torch" in last.get_text() and "seed" in last.get_text()


# --- numbers -------------------------------------------------------------------------------------


def chapter_number(html, name):
    return soup_of(html, name).select_one("article h1").get_text().partition(". ")[0]


def test_chapters_are_numbered_through_all_parts_and_the_appendix_is_lettered(html):
    sidebar = soup_of(html, BOOK.entries[0] + ".html" if not ONLY else ENTRIES[0]).select_one("nav.bd-links")
    parts = [caption.get_text(strip=True) for caption in sidebar.select("p.caption")]
    first, *roman, last = parts
    assert first == "Start here"
    assert [part.partition(". ")[0] for part in roman] == ["I", "II", "III", "IV", "V", "VI"][: len(roman)]
    assert last == "Appendix" and len(roman) >= 4
    *numbered, lettered = (
        [
            link.get_text(strip=True).partition(". ")[0]
            for link in part.select("li.toctree-l1 > a")
            if "genindex" not in link["href"]  # Sphinx's own page, at the end
        ]
        for part in sidebar.select("p.caption + ul")
    )
    chapters = [number for part in numbered for number in part]
    assert chapters == [str(n) for n in range(1, len(chapters) + 1)]
    assert lettered == [chr(ord("A") + n) for n in range(len(lettered))]


@pytest.mark.parametrize("name", CHAPTERS)
def test_figures_equations_and_exercises_are_numbered_by_chapter(html, name):
    article, chapter = soup_of(html, name).article, chapter_number(html, name)
    assert re.fullmatch(r"\d+|[A-Z]", chapter)
    for kind, selector in {
        "Fig. {}": "figcaption .caption-number",
        "Exercise {}": ".exercise > .admonition-title > .caption-number",
        "({})": ".eqno",
    }.items():
        shown = [" ".join(number.get_text().rstrip("#").split()) for number in article.select(selector)]
        assert shown == [kind.format(f"{chapter}.{k}") for k in range(1, len(shown) + 1)]
    assert article.select("figcaption .caption-number")


@pytest.mark.parametrize("name", EXERCISES)
def test_exercises_have_their_chapter_s_number_a_task_line_and_a_closed_solution(html, name):
    article = soup_of(html, name).article
    chapter = chapter_number(html, name).partition(".")[0]
    shown = article.select(".exercise > .admonition-title > .caption-number")
    numbers = [" ".join(number.get_text().split()) for number in shown]
    assert len(numbers) >= 8 and numbers == [f"Exercise {chapter}.{k}" for k in range(1, len(numbers) + 1)]
    for exercise in article.select("div.exercise"):
        assert "points" in exercise.select_one(".belamy-task").get_text() or "1 point " in exercise.get_text()
    solutions = article.select("div.solution")
    assert len(solutions) == len(numbers) and all("dropdown" in solution["class"] for solution in solutions)
    assert "{{" not in article.get_text()


@pytest.mark.parametrize("name", ENTRIES)
def test_a_reference_says_its_kind_once(html, name):
    text = " ".join(soup_of(html, name).article.get_text().split())
    assert re.findall(r"(?i:exercise|figure|fig\.) (?:Exercise|Fig\.) .{10}", text) == []


# --- formulas ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ENTRIES)
def test_formulas_are_typeset_with_mathml_and_without_a_script(html, name):
    text = (html / name).read_text(encoding="utf-8")
    page = soup_of(html, name)
    for math in page.select(".math"):
        assert math.select_one("mjx-container > mjx-assistive-mml annotation") is not None, math
    assert "mjx-merror" not in text and "\ue000" not in text
    assert not [script for script in page.find_all("script") if "mathjax" in str(script).lower()]
    for output in map(copy.copy, page.select(".cell_output .text_html")):
        for verbatim in output.select("script, style, annotation, code, pre"):
            verbatim.extract()
        assert not re.search(r"\$[^\s$][^$\n]*\$", output.get_text()), "a formula that nobody typeset"


def page_with(html, selector):
    return next((name for name in ENTRIES if soup_of(html, name).select(selector)), None) or pytest.skip(selector)


def test_formulas_show_in_the_site_s_own_fonts(visit, html):
    page = visit(page_with(html, "article mjx-container"))
    letter = page.locator("article mjx-container .mjx-i mjx-c").first
    assert letter.evaluate("e => e.getBoundingClientRect().width") > 3
    loaded = page.evaluate("[...document.fonts].filter(f => f.status === 'loaded').map(f => f.family)")
    assert any("MJXTEX" in family for family in loaded), loaded


def test_a_formula_is_copied_as_its_latex(visit, html):
    page = visit(page_with(html, "article p mjx-container"))
    copied, written = page.evaluate("""() => {
        const formula = document.querySelector("article p mjx-container");
        getSelection().selectAllChildren(formula.closest("p"));
        const event = new ClipboardEvent("copy", {clipboardData: new DataTransfer(), cancelable: true});
        document.dispatchEvent(event);
        return [event.clipboardData.getData("text/plain"), formula.querySelector("annotation").textContent];
    }""")
    assert f"${written}$" in copied


# --- the page as a reader sees it ----------------------------------------------------------------


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_s_page_breathes(visit, record_property, name):
    found = pages.measure(visit(name, width=pages.WIDTH), Path(name).stem)
    record_property("page", found.line())
    assert found.faults() == []


@pytest.mark.parametrize("name", CHAPTERS)
def test_folded_cells_in_a_row_are_one_bar(html, name):
    for bar in soup_of(html, name).select(".cell > details.above-input"):
        cell = bar.parent
        after = cell.find_next_sibling()
        if after is not None and after.find("details", class_="above-input", recursive=False):
            assert cell.find(class_="cell_output", recursive=False), cell
        count = len(bar.select(".cell_input"))
        assert (f"({count} cells)" in bar.summary.get_text()) == (count > 1)


def test_a_picture_opens_alone_where_a_phone_enlarges_it(visit, html):
    name = page_with(html, "a.belamy-enlarge")
    page = visit(name, width=390)
    picture = page.locator("a.belamy-enlarge").first
    address = picture.evaluate("a => a.href")
    picture.click()
    page.wait_for_url(address)


def test_in_the_dark_pictures_are_as_bright_as_in_the_light(visit, html):
    page = visit(page_with(html, "a.belamy-enlarge"), scheme="dark")
    picture = page.locator("article figure img").first
    assert picture.evaluate("e => getComputedStyle(e).filter") == "none"
    assert picture.evaluate("e => getComputedStyle(e.closest('a')).backgroundColor") == "rgb(255, 255, 255)"


def test_a_table_that_is_too_wide_scrolls_and_shows_it(visit, html):
    page = visit(page_with(html, ".belamy-scroll"), width=320)
    box = page.locator(".belamy-scroll").first
    box.evaluate("box => { box.firstElementChild.style.minWidth = '900px'; dispatchEvent(new Event('resize')); }")
    wide = box.locator("..")
    assert box.get_attribute("tabindex") == "0" and "goes-on" in wide.get_attribute("class")
    box.evaluate("box => box.scrollTo(1000, 0)")
    page.wait_for_function("box => !box.parentElement.classList.contains('goes-on')", arg=box.element_handle())
    narrow = "min-width: 0; width: 50px; display: block; overflow: hidden"
    box.evaluate(
        "(box, narrow) => { box.firstElementChild.style.cssText = narrow; dispatchEvent(new Event('resize')); }",
        narrow,
    )
    assert box.get_attribute("tabindex") is None


@pytest.mark.parametrize("width", [1400, 390])
def test_the_ledger_s_verdicts_are_on_the_screen(visit, width):
    name = f"{ledger.PAGE}.html"
    if name not in ENTRIES:
        pytest.skip("another page is tested")
    page = visit(name, width=width)
    for verdict in page.locator("td.belamy-verdict").all():
        box = verdict.bounding_box()
        assert 0 <= box["x"] and box["x"] + box["width"] <= width and box["width"] > 60


def test_a_long_formula_is_not_covered_by_its_number_on_a_phone(visit, html):
    page = visit(page_with(html, "div.math > .eqno"), width=390)
    overlaps = page.evaluate("""() => [...document.querySelectorAll("div.math > .eqno")].filter(number => {
        const a = number.getBoundingClientRect();
        const b = number.parentElement.querySelector("mjx-container").getBoundingClientRect();
        return a.width && a.left < b.right && b.left < a.right && a.top < b.bottom - 1 && b.top < a.bottom - 1;
    }).length""")
    assert overlaps == 0


def test_the_preface_s_formula_is_whole_on_a_phone(visit):
    if ONLY:
        pytest.skip("another page is tested")
    page = visit(ENTRIES[0], width=390)
    for formula in page.locator("article mjx-container[display]").all():
        assert formula.evaluate("e => e.scrollWidth <= e.clientWidth + 1")


# --- old addresses -------------------------------------------------------------------------------


@pytest.mark.skipif(bool(ONLY), reason="another page is tested")
@pytest.mark.parametrize(("old", "new"), moved.MOVED.items())
def test_an_old_address_leads_to_the_page(html, old, new):
    page = soup_of(html, f"{old}.html")
    target = urljoin(f"http://site/{old}.html", page.find("link", rel="canonical")["href"])
    assert target == f"http://site/{new}.html" and (html / f"{new}.html").is_file()
    assert page.find("meta", attrs={"http-equiv": "refresh"})["content"] == f"0; url={page.main.a['href']}"
    assert page.main.a.get_text() in soup_of(html, f"{new}.html").title.get_text()


@pytest.mark.skipif(bool(ONLY), reason="another page is tested")
def test_a_browser_follows_an_old_address(visit):
    old, new = next(iter(moved.MOVED.items()))
    page = visit(ENTRIES[0])
    page.evaluate("address => { location.href = address; }", f"/{old}.html")
    page.wait_for_url(f"**/{new}.html")
    assert page.locator("article h1").count() == 1


# --- sliders and the blind test ------------------------------------------------------------------


def slider_pages(html):
    return [name for name in CHAPTERS if "belamy-sliders" in (html / name).read_text(encoding="utf-8")]


@pytest.mark.skipif(bool(ONLY), reason="another page is tested")
def test_some_page_has_sliders(html):
    assert slider_pages(html)


def test_sliders_move_the_picture_by_keyboard(visit, html):
    for name in slider_pages(html):
        page = visit(name)
        sliders = page.locator(".belamy-sliders")
        for k in range(sliders.count()):
            picture = sliders.nth(k).locator(".belamy-picture")
            for control in sliders.nth(k).locator("input[type=range]").all():
                before = seen(picture)
                control.focus()
                home = "End" if control.input_value() == control.get_attribute("min") else "Home"
                page.keyboard.press(home)
                assert seen(picture) != before, f"{name}: slider {k} moves nothing"
                assert control.get_attribute("aria-valuetext")


def seen(picture):
    """What decides which picture shows."""
    return picture.evaluate("p => [getComputedStyle(p).backgroundPosition, p.src]")


def test_tab_reaches_the_first_slider(visit, html):
    for name in slider_pages(html):
        page = visit(name)
        first = page.locator(".belamy-sliders input[type=range]").first
        # From the text before it on: the whole page has hundreds of stops.
        page.locator(".belamy-sliders").first.evaluate("e => { e.tabIndex = -1; e.focus(); }")
        page.keyboard.press("Tab")
        assert first.evaluate("element => element === document.activeElement"), f"{name}: Tab misses the slider"
        before = first.input_value()
        page.keyboard.press("ArrowRight")
        assert first.input_value() != before


def test_a_slider_s_picture_keeps_its_proportions_on_a_phone(visit, html):
    for name in slider_pages(html):
        page = visit(name, width=320)
        for picture in page.locator(".belamy-picture:not([hidden])").all():
            width, height, inner = picture.evaluate(
                "p => [...p.style.aspectRatio.split('/').map(parseFloat), p.getBoundingClientRect()]"
                ".map(v => v.width ? v.width / v.height : v)"
            )
            assert width / height == pytest.approx(inner, rel=0.02)


def test_the_blind_test_answers_guesses_and_keeps_count(visit, html):
    name = page_with(html, ".belamy-blind")
    page = visit(name)
    blind = page.locator(".belamy-blind")
    told, buttons = blind.locator("[aria-live]"), blind.locator("button")
    answers = re.findall(r"\d+ (\w+)", blind.locator("details").text_content())
    kinds = buttons.all_text_contents()
    assert len(answers) == 18 and set(answers) == set(kinds)
    for number, answer in enumerate(answers):
        wrong = number % 3 == 0
        buttons.nth((kinds.index(answer) + wrong) % len(kinds)).click()
        assert told.text_content().startswith(f"No, {answer}." if wrong else f"Right, {answer}.")
    assert "12 of 18 right" in told.text_content()
    buttons.first.press("Enter")  # by keyboard, too; and it starts again
    assert "Picture 1 of 18" in told.text_content()


# --- accessibility -------------------------------------------------------------------------------


def assert_axe_is_silent(page, without=()):
    # A table's head that is a formula has its name in aria-label; axe asks for text that can be seen.
    left_out = [["th[aria-label]"], *([css] for css in without)]
    results = Axe().run(page, context={"exclude": left_out}, options=AXE)
    assert results.violations_count == 0, results.generate_report()


@pytest.mark.parametrize("number, name", list(enumerate(PAGES)), ids=PAGES)
def test_pages_open_without_errors_and_axe_finds_no_violation(visit, number, name):
    """Every page in one scheme and one width; the sample below in all. And none scrolls sideways.

    The words of code, three quarters of axe's time, have the same colours everywhere: the sample has them.
    """
    scheme, width = SETTINGS[number % len(SETTINGS)]
    page = visit(name, width, scheme)
    assert_axe_is_silent(page, without=[".highlight pre"])
    page.set_viewport_size({"width": 320, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320, "scrolls sideways on a phone"


@functools.cache
def sample(html):
    """A few short pages that hold every kind of element, and the kinds that no page has."""
    missing, pages = dict(KINDS), []
    held = {name: {kind for kind, css in KINDS.items() if soup_of(html, name).select(css)} for name in ENTRIES}
    size = {name: (html / name).stat().st_size ** 0.5 for name in ENTRIES}
    while gain := {name: len(held[name] & set(missing)) / size[name] for name in ENTRIES if held[name] & set(missing)}:
        best = max(gain, key=gain.get)
        pages.append(best)
        missing = {kind: css for kind, css in missing.items() if kind not in held[best]}
    return pages, set(missing)


@pytest.mark.skipif(bool(ONLY), reason="another page is tested")
def test_the_sample_holds_every_kind_of_element(html):
    chosen, missing = sample(html)
    assert missing == set()
    assert len(chosen) <= 8


@pytest.mark.parametrize("scheme, width", SETTINGS)
def test_axe_finds_no_violation_in_any_scheme_and_width_of_the_sample(visit, html, scheme, width):
    for name in sample(html)[0]:
        page = visit(name, width, scheme)
        page.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true; })")
        # What opens fades in: half faded, nothing has its contrast.
        page.wait_for_function("document.getAnimations().every(animation => animation.playState != 'running')")
        assert_axe_is_silent(page)
        page.context.close()


def test_the_file_itself_opens_without_a_server(browser, html):
    """`make book` prints a file to open: formulas and sliders work there too."""
    page = browser.new_page()
    faults = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("requestfailed", lambda request: faults.append(request.url))
    page.goto((html / "index.html").as_uri())
    # The index sends the reader on to the preface, after it has loaded.
    page.locator("mjx-container").first.wait_for(state="attached")
    assert faults == []
    page.close()
