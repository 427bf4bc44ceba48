"""The site, built from the stored outputs and opened in a real browser."""

import functools
import http.server
import re
import threading
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from bs4 import BeautifulSoup
from conftest import ROOT
from playwright.sync_api import sync_playwright

from tools import chromium, ledger, website
from tools.book import Book, read

BOOK = Book(ROOT)
ENTRIES = [f"{entry}.html" for entry in BOOK.entries]
CHAPTERS = [path.relative_to(ROOT).with_suffix(".html").as_posix() for path in BOOK.chapters]
PAGES = [*ENTRIES, "search.html", "genindex.html", "py-modindex.html"]
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu"]
FLAGS += ["--disable-background-networking", "--no-first-run"]
AXE = {
    "resultTypes": ["violations"],
    "rules": {"label-content-name-mismatch": {"enabled": True}},
    "preload": False,  # it asks for style sheets that no page does
}


@pytest.fixture(scope="session")
def html():
    return website.build_stored(BOOK).parent


@pytest.fixture(scope="session")
def address(html):
    """The site's address on this machine while the tests run."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

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
        yield playwright.chromium.launch(executable_path=path, args=FLAGS)


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
        page.evaluate("window.MathJax?.startup?.promise")
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
    assert sorted(text.replace("’", "'") for text in shown) == sorted(row["claim"] for row in rows)
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


@pytest.mark.parametrize("name", CHAPTERS)
def test_chapters_say_their_time_and_what_they_ran_with(html, name):
    first, *_, last = soup_of(html, name).find("article").select(".belamy-stamp")
    assert "Measured time" in first.get_text()
    assert "torch" in last.get_text() and "seed" in last.get_text()


@pytest.mark.parametrize("name", ENTRIES)
def test_formulas_are_typeset(visit, html, name):
    page = visit(name)
    formulas = len(soup_of(html, name).select("article .math"))
    assert page.locator("article .math mjx-container").count() >= formulas
    assert page.locator("mjx-merror").count() == 0


def slider_pages(html):
    return [name for name in CHAPTERS if "belamy-sliders" in (html / name).read_text(encoding="utf-8")]


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
        for _ in range(400):
            page.keyboard.press("Tab")
            if first.evaluate("element => element === document.activeElement"):
                break
        else:
            pytest.fail(f"{name}: Tab never reaches the slider")
        before = first.input_value()
        page.keyboard.press("ArrowRight")
        assert first.input_value() != before


def test_the_blind_test_answers_guesses_and_keeps_count(visit, html):
    (name,) = (name for name in CHAPTERS if soup_of(html, name).select(".belamy-blind"))
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


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_pages_open_without_errors_and_axe_finds_no_violation(visit, name, scheme, width):
    results = Axe().run(visit(name, width, scheme), options=AXE)
    assert results.violations_count == 0, results.generate_report()


@pytest.mark.parametrize("name", ENTRIES)
def test_no_page_scrolls_sideways_on_a_phone(visit, name):
    page = visit(name, width=320)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_the_file_itself_opens_without_a_server(browser, html):
    """`make book` prints a file to open: formulas and sliders work there too."""
    page = browser.new_page()
    faults = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("requestfailed", lambda request: faults.append(request.url))
    page.goto((html / "index.html").as_uri())
    page.wait_for_selector("mjx-container")
    assert faults == []
    page.close()
