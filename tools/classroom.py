"""The classroom's versions of an exercise notebook, made by the tags of its cells and never by cutting text.

    python -m tools.classroom --chapter variational-autoencoders

writes _build/classroom/student/PAGE.ipynb and _build/classroom/instructor/PAGE.ipynb, which carry the library
and run by themselves. nbgrader makes the same student's version of either source, exercises/PAGE.ipynb or the
instructor's: exercises/nbgrader_config.py calls `student` of this module, which for that reason imports no
more than nbgrader's own environment has.
"""

import argparse
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell

from tools.book import ROOT, Book, BookError, read, write
from tools.exercises import complete, groups, has_tag, name_of

EXERCISES, BUILT = Path("exercises"), Path("_build") / "classroom"
IN_PLACE = ("statement", "starter", "check")  # cells whose marks for nbgrader stand in the source
ENDINGS = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp", "image/svg+xml": "svg"}
ANEW = "# What was drawn, once more: a cell may have used its names for something else."
Finish = Callable[[NotebookNode, Path], NotebookNode]
IMPORT = re.compile(r"^from belamy\.check import \w+ as check$", flags=re.MULTILINE)
FORGET = """\
import sys as _sys
for _name in [_name for _name in _sys.modules if f"{_name}.".startswith("belamy.check.")]:
    del _sys.modules[_name]
"""


def student(notebook: NotebookNode, page: str) -> NotebookNode:
    """The student's version: starters without solutions, expected pictures without their code, no outputs.

    Every code cell that is no answer is marked as nbgrader's locked kind, so that a changed set-up
    or a changed check is put back before anything is graded. A check of drawn numbers sets them anew.
    """
    notebook = complete(notebook, page)
    for cells in groups(notebook).values():
        if any(has_tag(cell, "numbers") for cell in cells):
            given = "\n".join(cell.source for cell in cells if has_tag(cell, "preamble"))
            for cell in cells:
                if has_tag(cell, "check"):
                    cell.source = f"{ANEW}\n{given}\n{cell.source}"
    cells = [cell for cell in notebook.cells if not has_tag(cell, "solution")]
    notebook.cells = [as_picture(cell) if has_tag(cell, "expected") else cell for cell in cells]
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            continue
        cell.outputs, cell.execution_count = [], None
        if not any(has_tag(cell, tag) for tag in IN_PLACE):
            lock = {"grade": False, "solution": False, "locked": True, "task": False, "schema_version": 3}
            cell.metadata["nbgrader"] = {**lock, "grade_id": f"{page}-{name_of(cell) or 'begin'}-{number}"}
    notebook.metadata = metadata(page)
    return notebook


def instructor(notebook: NotebookNode, page: str) -> NotebookNode:
    """The instructor's version: all of the source, with its outputs and the numbers of seed 0."""
    notebook = complete(notebook, page)
    notebook.metadata = metadata(f"{page}-solutions")
    return notebook


def as_picture(cell: NotebookNode) -> NotebookNode:
    """The outputs of an `expected` cell as Markdown: a picture that no run of the notebook wipes out."""
    if cell.cell_type == "markdown":
        return cell
    shown, attachments = ["*What a right answer gives:*"], {}
    alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "expected")
    for output in cell.outputs:
        data = output.get("data", {})
        kind = next((kind for kind in ENDINGS if kind in data), None)
        if kind:
            file = f"expected-{len(attachments)}.{ENDINGS[kind]}"
            attachments[file] = {kind: data[kind]}
            shown.append(f"![{alt}](attachment:{file})")
        elif text := output.get("text") or data.get("text/plain"):
            shown.append(f"```text\n{text.rstrip()}\n```")
    if len(shown) == 1:
        raise BookError(f"The expected picture of {name_of(cell)!r} is not there: run the notebook (`make outputs`)")
    marks = {key: cell.metadata[key] for key in ("exercise", "tags") if key in cell.metadata}
    return new_markdown_cell("\n\n".join(shown), id=cell.id, metadata=marks, attachments=attachments)


def metadata(name: str) -> dict:
    """The notebook's own: what Jupyter and Colab ask for, and no stamp of the run that made the outputs."""
    return {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
        "colab": {"name": f"{name}.ipynb", "provenance": [], "toc_visible": True},
    }


def imports_anew(locked: list[NotebookNode]) -> str:
    """Code that imports the notebook's checks once more, as one of its locked cells does.

    Put before a check, it undoes what a student's cell did to the name `check` or to its module.
    """
    found = IMPORT.search("\n".join(cell.source for cell in locked))
    return f"{FORGET}{found[0]}\n" if found else ""


def source_of(root: Path, page: str) -> Path:
    """The exercise notebook of a page; an error that lists them if there is none."""
    path = root / EXERCISES / f"{Path(page).name.removesuffix('.ipynb')}.ipynb"
    if not path.is_file():
        there = ", ".join(sorted(path.stem for path in (root / EXERCISES).glob("*.ipynb")))
        raise BookError(f"No exercises of {page!r}. There are those of: {there}")
    return path


def as_it_is(notebook: NotebookNode, path: Path) -> NotebookNode:
    return notebook


def write_versions(root: Path, page: str | None = None, finish: Finish = as_it_is) -> list[Path]:
    """Write both versions of one exercise notebook, or of all; return the files.

    Args:
        finish: what is done to each version before it is written, for instance to let it carry the
            library and to turn its text into plain Markdown.
    """
    paths = [source_of(root, page)] if page else sorted((root / EXERCISES).glob("*.ipynb"))
    written = []
    for path in paths:
        for make in (student, instructor):
            target = root / BUILT / make.__name__ / path.name
            write(finish(make(read(path), path.stem), path), target)
            written.append(target)
    return written


def portable(root: Path) -> Finish:
    """Lets versions carry the library and have plain Markdown, with the numbers of the site.

    The site is built when the first version is finished: until then a wrong name costs no minutes.
    """
    from tools import notebooks, website  # nbgrader's environment lacks what they need

    @cache
    def finish() -> Finish:
        out = website.build_for_numbers(book := Book(root))
        return notebooks.finisher(book, out, out / "html")

    return lambda notebook, path: finish()(notebook, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chapter", help="the page whose exercises are meant; without it, all")
    given = parser.parse_args()
    try:
        for path in write_versions(ROOT, given.chapter, portable(ROOT)):
            print(f"  {path.relative_to(ROOT)}")
    except BookError as error:
        parser.exit(1, f"{error}\n")


if __name__ == "__main__":
    main()
