"""Addresses that the site once had lead to where the pages are now."""

from html import escape, unescape
from pathlib import Path

from tools.book import BookError

# Old page: new page, both without suffix. Only ever add to it: somebody keeps a bookmark.
MOVED = {
    "chapters/01-what-is-a-generative-model": "chapters/generative-model",
    "chapters/02-variational-autoencoders": "chapters/variational-autoencoders",
    "chapters/03-minimax-game": "chapters/minimax",
    "chapters/04-dcgan": "chapters/dcgan",
    "chapters/05-gan-variations": "chapters/infogan",
    "chapters/06-adversarial-vae": "chapters/ava-as-printed",
    "chapters/07-ava-experiment": "chapters/ava-experiment",
    "chapters/08-evaluation": "chapters/likelihood",
    "chapters/09-portrait-study": "chapters/portrait-study",
}
PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="0; url={address}">
<meta name="robots" content="noindex">
<link rel="icon" href="data:,">
<link rel="canonical" href="{address}">
<title>Moved: {title}</title>
</head>
<body>
<main>
<h1>This page has moved</h1>
<p>It is now <a href="{address}">{title}</a>.</p>
</main>
</body>
</html>
"""


def redirect(html: Path, moved: dict[str, str] = MOVED) -> None:
    """Write a page for each old address whose new page has been built.

    Raises:
        BookError: an old address is that of a page of today.
    """
    for old, new in moved.items():
        if not (html / f"{new}.html").is_file():
            continue
        page = html / f"{old}.html"
        if page.exists():
            raise BookError(f"{old} is a page of the book, and tools/moved.py says that it moved to {new}")
        page.parent.mkdir(parents=True, exist_ok=True)
        address = Path(new).relative_to(Path(old).parent).as_posix() + ".html"
        title = escape(title_of(html / f"{new}.html"))
        page.write_text(PAGE.format(address=escape(address), title=title), encoding="utf-8")


def title_of(page: Path) -> str:
    title = page.read_text(encoding="utf-8").partition("<title>")[2].partition("</title>")[0]
    return unescape(title).partition(" — ")[0].strip()
