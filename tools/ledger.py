"""The page of all claims, gathered from the executed chapters."""

import re
from collections import Counter
from pathlib import Path

from nbformat import NotebookNode

from tools.book import Book, BookError, code_cells
from tools.formulas import WRITTEN_INLINE

PAGE = "chapters/ledger"
OUR_OWN = "application/vnd.belamy."
MIME = f"{OUR_OWN}claims+json"  # of belamy.claims, which it would take seconds to import
SILENT = ("reading-the-code", "prerequisites")  # pages that put no source to the test
TABLES, COUNT = "<!-- claims -->", "<!-- count of verdicts -->"
SOURCES = ("Augmentation slides", "Portrait study", "AVA paper", "AVA slides", "Interactive arts")  # the book's own
Row = dict[str, str]


def fill(book: Book, chapters: dict[Path, NotebookNode], source: Path) -> None:
    """Write claims and their count into the pages of `source` that have a place for them.

    Raises:
        BookError: a chapter has no claims, or a page lacks its place for them.
    """
    if PAGE not in book.entries:
        return
    speaking = {path: notebook for path, notebook in chapters.items() if path.stem not in SILENT}
    found = {path: take_claims(path, notebook) for path, notebook in speaking.items()}
    parts = [part for part in found.values() if part]
    rows, verdicts = [row for part in parts for row in part["claims"]], parts[0]["verdicts"] if parts else []
    missing = [f"The claims of `{path.stem}` are missing: it did not run here." for path in found if not found[path]]
    for page, place, text in (
        (f"{PAGE}.md", TABLES, "\n\n".join([tables(rows, verdicts), *missing])),
        (f"{book.entries[0]}.md", COUNT, count(rows, verdicts)),
    ):
        written = (source / page).read_text(encoding="utf-8")
        if place not in written:
            raise BookError(f"{page} has no line {place!r}, where the claims belong")
        (source / page).write_text(written.replace(place, text), encoding="utf-8")


def take_claims(path: Path, notebook: NotebookNode) -> dict[str, list] | None:
    """The claims that a chapter displayed, and the verdicts that there are.

    Jupyter Book knows no output of our own kinds: the notebook keeps the tables that stand beside them.
    A chapter may show several, and one that did not run to its end none.
    """
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    found = [output.data.pop(MIME) for output in outputs if MIME in output.get("data", {})]
    for output in outputs:
        for kind in [kind for kind in output.get("data", {}) if kind.startswith(OUR_OWN)]:
            del output.data[kind]
    if found:
        return {"claims": [row for part in found for row in part["claims"]], "verdicts": found[0]["verdicts"]}
    if notebook.metadata.get("incomplete"):
        return None
    raise BookError(
        f"{path.name} shows no claims: display `Claims([...])` of belamy.claims under "
        "'What the sources say, what we found'"
    )


def tables(rows: list[Row], verdicts: list[str]) -> str:
    """One table for each source: first the book's own, then papers in the order in which the chapters meet them."""
    text, found = [], list(dict.fromkeys(document_of(row) for row in rows))
    for document in sorted(found, key=lambda name: SOURCES.index(name) if name in SOURCES else len(SOURCES)):
        own = [row for row in rows if document_of(row) == document]
        text += [f"## {document}", "", count(own, verdicts), ""]
        text += [":::{div} belamy-ledger", ""]
        text += ["| place | claim | measured | verdict | experiment |", "| --- | --- | --- | --- | --- |"]
        text += [line(row) for row in own] + ["", ":::", ""]
    return "\n".join(text)


def document_of(row: Row) -> str:
    return row["source"].partition(", ")[0]


def line(row: Row) -> str:
    place = row["source"].partition(", ")[2] or "whole"
    parts = [escape(part) for part in (place, row["claim"], row["measured"], row["verdict"])]
    return f"| {' | '.join(parts)} | {{numref}}`{row['at']}` |"


def escape(text: str) -> str:
    """Plain text as Markdown that shows it as it is, formulas aside: $…$ is one, as in a cell's output."""
    pieces = WRITTEN_INLINE.split(" ".join(text.split()))
    for k, piece in enumerate(pieces):  # every second is a formula, in which a bar would end the table's cell
        formula = "$" + piece.replace("|", r"\vert ") + "$"
        pieces[k] = formula if k % 2 else re.sub(r"([\\`*_{}\[\]<>#|$~])", r"\\\1", piece)
    return "".join(pieces)


def count(rows: list[Row], verdicts: list[str]) -> str:
    """How many claims there are, and what became of them."""
    found = Counter(row["verdict"].partition(":")[0] for row in rows)
    parts = ", ".join(f"{found[verdict]} {verdict}" for verdict in verdicts if found[verdict])
    return f"{len(rows)} claim{'s' * (len(rows) != 1)}: {parts}."
