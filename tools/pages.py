"""Measure the built pages as a reader sees them: python -m tools.pages [FOLDER OF HTML]

Prose is what is read as text: paragraphs, lists, headings. Captions, tables, outputs and what is folded
are none. The measures are those of a window of `WIDTH` pixels with all folds closed.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tools import chromium
from tools.book import ROOT, Book

if TYPE_CHECKING:
    from playwright.sync_api import Page

WIDTH, SCREEN = 1400, 1000
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
HEIGHT = 24_000  # pixels, at most
PROSE = 0.25  # of the height, at least
STRETCH = 1000  # pixels without a sentence, at most
MEASURE = r"""() => {
  const article = document.querySelector("article") || document.body;
  const seen = e => e.offsetParent !== null && e.getBoundingClientRect().height > 0;
  const span = e => { const r = e.getBoundingClientRect(); return [r.top + scrollY, r.bottom + scrollY]; };
  const all = selector => [...article.querySelectorAll(selector)].filter(seen);
  const apart = "figcaption, .cell_output, table, details:not([open])", text = "p, ul, ol, dl";
  const prose = all("p, ul, ol, dl, h1, h2, h3")
    .filter(e => !e.closest(apart) && !e.parentElement.closest(text))
    .map(span).sort((a, b) => a[0] - b[0]);
  let stretch = 0, at = 0, last = prose.length ? prose[0][1] : 0;
  for (const [top, bottom] of prose) {
    if (top - last > stretch) [stretch, at] = [top - last, last];
    last = Math.max(last, bottom);
  }
  const [top, bottom] = span(article), height = document.documentElement.scrollHeight;
  const sum = boxes => boxes.reduce((total, [a, b]) => total + b - a, 0);
  const limit = article.getBoundingClientRect().right + 2;
  const picture = all("img, canvas, svg.figure, .belamy-picture")[0];
  const numbers = [...article.querySelectorAll(".caption-number, .eqno")].map(e => e.textContent.trim());
  return {
    height, prose: sum(prose) / Math.max(1, bottom - top), code: sum(all(".cell_input").map(span)) / height,
    stretch, at,
    cut: all("pre").filter(e => e.scrollWidth > e.clientWidth + 1).length,
    tables: all("table").filter(e => e.getBoundingClientRect().right > limit).length,
    picture: picture ? span(picture)[0] : -1,
    numbers,
  };
}"""


@dataclass(frozen=True)
class Measures:
    """One page: pixels, shares of its height, counts."""

    name: str
    height: float
    prose: float
    code: float
    stretch: float
    at: float
    cut: int
    tables: int
    picture: float
    numbers: list[str]

    def faults(self) -> list[str]:
        """What a chapter's page must not be."""
        own = [number for number in self.numbers if not re.search(r"\b[\dA-Z]+\.\d+\b", number)]
        found = {
            f"{self.height:.0f} px high, {HEIGHT} at most": self.height > HEIGHT,
            f"prose {self.prose:.2f} of the height, {PROSE} at least": self.prose < PROSE,
            f"{self.stretch:.0f} px without a sentence at {self.at:.0f}, {STRETCH} at most": self.stretch > STRETCH,
            f"{self.cut} blocks of code are cut": self.cut > 0,
            f"{self.tables} tables are wider than the column": self.tables > 0,
            f"the first picture stands at {self.picture:.0f}, not on the first screen": not 0 <= self.picture < SCREEN,
            f"not numbered by chapter: {', '.join(own[:3])}": bool(own),
        }
        return [fault for fault, there in found.items() if there]

    def line(self) -> str:
        return (
            f"{self.name:26.26} {self.height:7.0f} {self.prose:6.2f} {self.code:5.2f} {self.stretch:8.0f} "
            f"{self.at:7.0f} {self.cut:4d} {self.tables:7d} {self.picture:8.0f}  {(self.numbers or [''])[0]}"
        )


HEAD = (
    f"{'page':26} {'height':>7} {'prose':>6} {'code':>5} {'stretch':>8} {'at':>7} {'cut':>4} {'tables':>7} "
    f"{'picture':>8}  first number"
)


def measure(page: "Page", name: str) -> Measures:
    """Measure the page that is open."""
    page.evaluate("document.fonts.ready.then(() => 0)")
    return Measures(name=name, **page.evaluate(MEASURE))


@contextmanager
def window(width: int = WIDTH) -> Iterator["Page"]:
    """A page of a browser that is closed in the end."""
    from playwright.sync_api import sync_playwright

    path = chromium.find()
    if path is None:
        sys.exit("no Chromium: apt-get install chromium, or CHROMIUM=its path")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser.new_page(viewport={"width": width, "height": SCREEN}, reduced_motion="reduce")
        browser.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = ROOT / "_build" / "html"
    parser.add_argument("html", type=Path, nargs="?", default=default, help="the built site, _build/html by default")
    html = parser.parse_args().html.resolve()
    chapters = {path.stem for path in Book().chapters}
    found = sorted(html.glob("chapters/*.html"))
    pages = [path for path in found if 'http-equiv="refresh"' not in path.read_text("utf-8")]
    if not pages:
        sys.exit(f"No pages below {html}: run `make book` or `make preview` first")
    faults = []
    print(HEAD)
    with window() as page:
        for path in pages:
            page.goto(path.as_uri())
            found = measure(page, path.stem)
            print(found.line(), flush=True)
            faults += [f"{path.stem}: {fault}" for fault in found.faults() if path.stem in chapters]
    print(f"\n{len(faults)} faults of chapters" + "".join(f"\n  {fault}" for fault in faults))


if __name__ == "__main__":
    main()
