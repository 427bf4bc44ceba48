"""The rows of the page that compares all families, gathered from the chapters that trained them.

A chapter shows its models' test on the known density as a `Contest` (belamy.spirals), which carries its
rows. They are kept in a file of the data, so that the comparing page runs alone, as every page does.
"""

import json
from pathlib import Path

from tools.book import Book, code_cells, code_of, read

FILE = Path("data") / "all-families.json"
MIME = "application/vnd.belamy.families+json"  # of belamy.spirals, which it would take seconds to import


def readers(book: Book) -> list[Path]:
    """The pages that load the file: they are executed when all others are."""
    return [path for path in book.notebooks if FILE.name in code_of(read(path))]


def gather(book: Book) -> list[dict]:
    """The rows that stand in the pages' stored outputs, in reading order, each with its page.

    Points are kept of each family's first training: one picture of each.
    """
    rows, pictured = [], set()
    own = readers(book)
    for path in (path for path in book.chapters if path not in own):
        for output in (output for cell in code_cells(read(path)) for output in cell.outputs):
            for row in output.get("data", {}).get(MIME, []):
                row = {"page": path.stem, **row}
                if row["family"] in pictured:
                    row.pop("drawn")
                pictured.add(row["family"])
                rows.append(row)
    return rows


def write(book: Book) -> None:
    """Bring the file up to date with the stored outputs; where nothing was shown, there is none."""
    if rows := gather(book):
        lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        (book.root / FILE).write_text(f"[\n{lines}\n]\n", encoding="utf-8")
