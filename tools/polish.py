"""Mend the theme's known faults in the built pages.

Each function below mends one fault of sphinx-book-theme 1.1.4 and its companions, on a parsed
page. Leave one out, and tests/test_site.py finds its fault again.
"""

from pathlib import Path

from bs4 import BeautifulSoup

from tools.dress import dress
from tools.formulas import typeset, with_formulas

# Loaded as scripts though nothing here uses them: Thebe has no kernel to talk to (and names another
# server), and Font Awesome's 1.5 MB draw again what its fonts have drawn.
UNUSED_SCRIPTS = ("sphinx-thebe", "THEBE_JS_URL", "fontawesome")


def polish(html: Path) -> None:
    """Mend every page below `html` in place, dress it, and typeset its formulas.

    Raises:
        BookError: a formula that cannot be typeset.
    """
    pages = {
        path: BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        for path in sorted(html.rglob("*.html"))
    }
    mends = (
        drop_unused_scripts, name_by_content, name_branches, list_plainly, land_logo, mark_corners, join_modules,
        space_links, dress,
    )  # fmt: skip
    for page in pages.values():
        for mend in mends:
            mend(page)
    written = typeset(pages, html)
    for path, page in pages.items():
        path.write_text(with_formulas(str(page), written), encoding="utf-8")


def drop_unused_scripts(page: BeautifulSoup) -> None:
    """One of them is there twice and fails: THEBE_JS_URL 'has already been declared'.

    The fonts' preloading, which fails where a page is opened as a file, goes with them.
    """
    for link in page.select("link[rel=preload][as=font]"):
        link.decompose()
    for script in page.find_all("script"):
        text = f"{script.get('src', '')} {script.get('type', '')} {script.string or ''}"
        if any(word in text for word in UNUSED_SCRIPTS) or "x-thebe" in text:
            script.decompose()


def name_by_content(page: BeautifulSoup) -> None:
    """A label that differs from the visible words hides them from speech control."""
    for toggle in page.select('summary[aria-label="Toggle hidden content"]'):
        del toggle["aria-label"]
    for script in page.find_all("script"):
        if script.string and "search-button__button" in script.string:
            script.string.replace_with(script.string.replace(' aria-label="Search"', ""))


def name_branches(page: BeautifulSoup) -> None:
    """What opens the pages below one in the sidebar is an arrow without a name."""
    for summary in page.select("nav li.has-children > details > summary"):
        above = summary.find_parent("li").find("a").get_text(" ", strip=True)
        summary["aria-label"] = f"Pages below {above}"


def list_plainly(page: BeautifulSoup) -> None:
    """The bibliography's list claims items that it does not have."""
    for entry in page.select(".citation-list, .citation[role=doc-biblioentry]"):
        del entry["role"]


def land_logo(page: BeautifulSoup) -> None:
    """The logo lies outside every landmark."""
    for logo in page.select(".sidebar-primary-item > .navbar-brand"):
        logo.wrap(page.new_tag("nav", attrs={"aria-label": "Home"}))


def mark_corners(page: BeautifulSoup) -> None:
    """The empty corner of pandas' tables is no header."""
    for corner in page.select("table thead th"):
        if not corner.get_text(strip=True):
            corner.name = "td"


def join_modules(page: BeautifulSoup) -> None:
    """The index has a line for a module's name, and one below it for the word 'module', which is the link."""
    for link in page.select(".indextable ul a"):
        entry, below = link.find_parent("ul").find_parent("li"), link.find_parent("ul")
        if link.get_text() == "module" and entry is not None and len(below.find_all("li")) == 1:
            link.string = f"{str(entry.contents[0]).strip()} (module)"
            entry.contents[0].replace_with(link.extract())
            below.decompose()


def space_links(page: BeautifulSoup) -> None:
    """The line below the link 'Solution to Exercise 1' begins under the space before it."""
    for link in page.select(".solution > .admonition-title a"):
        first = link.find(string=True)
        if first is not None and first != first.lstrip():
            first.replace_with(first.lstrip())
            link.insert_before(" ")
