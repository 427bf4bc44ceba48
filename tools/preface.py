"""The preface's map of the pages, with reading and computing times, and the index's place in the sidebar."""

import re
from pathlib import Path

import yaml
from nbformat import NotebookNode

from tools.book import Book, code_cells

MAP = "<!-- map of pages -->"
SENTENCES = "chapters/pages.yml"  # page: what it asks
INDEX = "genindex"  # Sphinx writes this page itself; for the sidebar it must be there before
WORDS_A_MINUTE = 180  # of a text that has to be thought about
SECONDS_A_LINE, SECONDS_A_FIGURE = 2, 15  # of open code; of looking


def fill(book: Book, chapters: dict[Path, NotebookNode], source: Path) -> None:
    """Write the map into the preface of `source`, and an empty page where the index will stand."""
    preface = source / f"{book.entries[0]}.md"
    written = preface.read_text(encoding="utf-8")
    if MAP in written:
        preface.write_text(written.replace(MAP, page_map(book, chapters)), encoding="utf-8")
    if INDEX in book.entries:
        (source / f"{INDEX}.md").write_text("# Index of terms\n", encoding="utf-8")


def page_map(book: Book, chapters: dict[Path, NotebookNode]) -> str:
    """A table for each part of `_toc.yml` that has notebooks."""
    sentences = yaml.safe_load((book.root / SENTENCES).read_text(encoding="utf-8"))
    parts = yaml.safe_load((book.root / "_toc.yml").read_text(encoding="utf-8"))["parts"]
    found = {path.stem: notebook for path, notebook in chapters.items()}
    text, reading, computing = [], 0.0, 0
    for part in parts:
        names = [Path(entry["file"]).name for entry in part["chapters"] if "file" in entry]
        names = [name for name in names if name in found]
        if not names:
            continue
        text += [f"**{part['caption']}**", "", "```{table}", ":widths: 74 12 14", ":width: 100%", ""]
        text += ["| page | read | compute |", "| --- | --- | --- |"]
        for name in names:
            seconds = found[name].metadata.get("belamy", {}).get("seconds", 0)
            minutes = reading_minutes(found[name])
            asks = sentences.get(name, "")
            text += [f"| {{doc}}`{name}`<br>{asks} | {told(minutes, 5)} | {told(seconds / 60, 1)} |"]
            reading, computing = reading + minutes, computing + seconds
        text += ["```", ""]
    total = f"In all {reading / 60:.0f} hours to read and {computing / 60:.0f} minutes to compute on one core."
    return "\n".join([*text, total])


def told(minutes: float, step: int) -> str:
    """'25 min', to the next multiple of `step`."""
    return f"{max(step, step * round(minutes / step))}\N{NO-BREAK SPACE}min" if minutes else "–"


def reading_minutes(notebook: NotebookNode) -> float:
    """How long a page takes to read: its words, its figures, and the code that is not folded."""
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    words = len(re.findall(r"\w+", re.sub(r"\{[\w:]+\}`[^`]*`|\$\$.*?\$\$|\$[^$]*\$", " x ", text, flags=re.DOTALL)))
    cells = code_cells(notebook)
    figures = sum("figure" in cell.metadata.get("mystnb", {}) for cell in cells)
    lines = sum(len(cell.source.splitlines()) for cell in cells if "hide-input" not in cell.metadata.get("tags", []))
    return words / WORDS_A_MINUTE + (SECONDS_A_FIGURE * figures + SECONDS_A_LINE * lines) / 60
