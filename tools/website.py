"""Build the site: executed chapters and text pages in, checked HTML with nothing external out.

`make book` gives a reader a site in any case. A chapter in which a band fails, or that does not come
to its end, says so at its top and at the place, and the command ends with a list and a status of 1.
"""

import argparse
import ast
import copy
import json
import os
import re
import shutil
import subprocess
import sys
import time
from functools import partial
from importlib.metadata import version
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from tools import exercises, notebooks
from tools.book import Book, BookError, code_cells, digest, read, refuse_stale, tree_digest
from tools.execute import STAMPED_VERSIONS, ChapterError, execute, run_or_exit, tell
from tools.ledger import fill as fill_ledger
from tools.moved import redirect
from tools.polish import polish
from tools.preface import fill as fill_preface
from tools.teaching import fill as fill_teaching

TEXT_FILES = ("*.md", "*.bib", "assets/*")
JUPYTER_BOOK = "from jupyter_book.cli.main import main; main()"


def build(book: Book, chapters: dict[Path, NotebookNode], out: Path, strict: bool = True) -> Path:
    """Build `out`/html from executed chapters; do nothing if all is as the last build left it.

    Args:
        strict: a warning is an error. Not so where a chapter differs from what the book says of it:
            a figure that the text speaks of may be missing.

    Returns:
        The page to open first.

    Raises:
        BookError: another Jupyter Book than 1.x, a warning, or a page that was not written.
    """
    require_jupyter_book_1()
    source, html, record = out / "source", out / "html", out / "built.json"
    originals = copy.deepcopy(chapters)  # a page is laid out for reading, a notebook for running
    assemble(book, chapters, source)
    inputs = digest("".join(tree_digest(book.root / part) for part in ("lib/belamy", "tools", "data")))
    state = {"source": tree_digest(source), "inputs": inputs, "html": tree_digest(html)}
    if record.exists() and json.loads(record.read_text(encoding="utf-8")) == state:
        print("Site: nothing has changed since it was built", flush=True)
        return html / "index.html"
    clock = time.perf_counter()
    print(f"Site: building {len(book.entries)} pages", flush=True)
    fresh = run_jupyter_book(source, out / "work", strict)
    polish(fresh)
    require_pages(book, fresh)
    redirect(fresh)
    notebooks.write_all(book, originals, out, fresh)
    shutil.rmtree(html, ignore_errors=True)
    shutil.move(fresh, html)
    record.write_text(json.dumps({**state, "html": tree_digest(html)}), encoding="utf-8")
    print(f"Site: built in {time.perf_counter() - clock:.0f} s", flush=True)
    return html / "index.html"


def require_jupyter_book_1() -> None:
    """Jupyter Book 2 is another program, which exits 0 here with nothing built."""
    found = version("jupyter-book")
    if not found.startswith("1."):
        raise BookError(f"Jupyter Book {found} is installed; the book needs 1.x: run `make setup`")


def require_pages(book: Book, html: Path) -> None:
    """Every entry of `_toc.yml` has become a page."""
    missing = [entry for entry in book.entries if not (html / f"{entry}.html").is_file()]
    if missing:
        raise BookError(f"Not built, though listed in _toc.yml: {', '.join(missing)}")


def assemble(book: Book, chapters: dict[Path, NotebookNode], source: Path) -> None:
    """Gather in `source` what Jupyter Book reads: a book whose notebooks need no execution."""
    shutil.rmtree(source, ignore_errors=True)
    files = [book.root / "_config.yml", book.root / "_toc.yml"]
    files += [path for pattern in TEXT_FILES for path in (book.root / "chapters").glob(pattern)]
    for path in files:
        target = source / path.relative_to(book.root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    proper = {path: notebook for path, notebook in chapters.items() if path in book.chapters}
    fill_ledger(book, proper, source)
    fill_preface(book, proper, source)
    fill_teaching(book, proper, source)
    for path, notebook in chapters.items():
        if path in book.exercises:
            exercises.dress(notebook, path.stem, book.root)
        target = source / path.relative_to(book.root)
        target.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(with_stamp(notebook), target)
    (source / "_static").mkdir(exist_ok=True)
    for path in (book.root / "chapters" / "assets").glob("*.[cj]s*"):  # every page loads them
        shutil.copyfile(path, source / "_static" / path.name)


def with_stamp(notebook: NotebookNode) -> NotebookNode:
    """The notebook with its measured time under the title and what it ran with at the end, and its
    first picture under its first paragraph."""
    lift_hero(notebook)
    stamp = notebook.metadata.get("belamy")
    if stamp is None:  # never executed, and shown with a notice instead
        return notebook
    versions = stamp["versions"]
    ran = [f"Python {versions['python']}"]
    ran += [f"{name} {versions[name]}" for name in STAMPED_VERSIONS]
    time_line = f"Measured time: {minutes(stamp['seconds'])}, profile `{stamp['profile']}`."
    end_line = f"Ran with {', '.join(ran)}{machine_of(stamp)}; profile `{stamp['profile']}`{seed_of(notebook)}."
    put_under_title(notebook, stamp_block(time_line))
    notebook.cells.append(nbformat.v4.new_markdown_cell(stamp_block(end_line), id="belamy-stamp"))
    return notebook


def lift_hero(notebook: NotebookNode) -> None:
    """Move the cell tagged `hero` under the first paragraph: the picture is the page's first, wherever
    the cell that makes it must stand."""
    heroes = [cell for cell in notebook.cells if "hero" in cell.metadata.get("tags", [])]
    if not heroes:
        return
    paragraph = re.match(r"(# .*\n+)((?:.+\n?)+)", notebook.cells[0].source)
    if len(heroes) > 1 or paragraph is None:
        raise BookError(
            f"One cell is the hero, and a paragraph under the title introduces it: {notebook.cells[0].source[:60]!r}"
        )
    first, rest = paragraph[0], notebook.cells[0].source[paragraph.end() :].strip("\n")
    notebook.cells.remove(heroes[0])
    notebook.cells[0].source = first.rstrip("\n")
    notebook.cells.insert(1, heroes[0])
    if rest:
        notebook.cells.insert(2, nbformat.v4.new_markdown_cell(rest, id="belamy-rest"))


def put_under_title(notebook: NotebookNode, block: str) -> None:
    first = notebook.cells[0]
    title, _, rest = first.source.partition("\n")
    if first.cell_type != "markdown" or not title.startswith("# "):
        raise BookError(f"A chapter's first cell must begin with its title, '# …': {title!r}")
    first.source = f"{title}\n\n{block}\n{rest}"


def machine_of(stamp: dict) -> str:
    """', on x86_64 with AVX512, 1 thread': the arithmetic that made the numbers."""
    machine = stamp.get("machine", {})
    if "instructions" not in machine:  # a chapter without torch
        return ""
    threads = f"{machine['threads']} thread{'s' * (machine['threads'] != 1)}"
    return f", on {machine['processor']} with {machine['instructions']}, {threads}"


def stamp_block(line: str) -> str:
    return f":::{{div}} belamy-stamp\n{line}\n:::\n"


def minutes(seconds: int) -> str:
    return f"{seconds} s" if seconds < 100 else f"{seconds // 60} min {seconds % 60:02d} s"


def seed_of(notebook: NotebookNode) -> str:
    """', seed 0' where the parameters cell sets a seed, else nothing."""
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", []):
            for node in ast.parse(cell.source).body:
                if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "seed":
                    return f", seed {ast.unparse(node.value)}"
    return ""


def run_jupyter_book(source: Path, work: Path, strict: bool) -> Path:
    """Build `source` from scratch, warnings being errors if `strict`; return the folder of HTML.

    From scratch, since a second, incremental build forgets the warnings of the first.
    """
    shutil.rmtree(work, ignore_errors=True)
    command = [sys.executable, "-c", JUPYTER_BOOK, "build", source, "--path-output", work]
    options = ["--all", "--nitpick", "--keep-going", "--quiet", *(["--warningiserror"] if strict else [])]
    environment = {**os.environ, "NO_COLOR": "1"}
    done = subprocess.run([*command, *options], env=environment, capture_output=True, text=True)
    if done.returncode:
        log = "\n".join(
            line
            for line in (done.stdout + done.stderr).splitlines()
            if any(word in line for word in ("WARNING", "ERROR", "Error"))
        )
        raise BookError(f"Jupyter Book failed:\n{log or done.stdout + done.stderr}")
    return work / "_build" / "html"


def build_executed(book: Book, only: str | None = None) -> Path:
    """Execute what the cache lacks, then build _build/html from the cache.

    Args:
        only: the one chapter to execute; all others show their stored outputs.

    Raises:
        BookError: the site is built, but some chapters differ from what the book says of them.
    """
    own = [find_chapter(book, only)] if only else book.notebooks
    errors = {error.path: error for error in execute(book, paths=own)}
    chapters, stale = stored(book, [path for path in book.notebooks if path not in own])
    told: list[str] = []
    for path in own:
        if path in errors:
            chapters[path] = with_error(read(path), errors[path], book.staleness(path))
            told.append(str(errors[path]))
            continue
        chapters[path] = book.executed(path)
        if failed := chapters[path].metadata["belamy"].get("failed"):
            chapters[path] = with_failed_bands(chapters[path], read(path), failed)
            told.append("\n".join([f"{path.name}: the book's own checks failed here", *tell(failed)]))
    chapters = {path: chapters[path] for path in book.notebooks}
    page = build(book, chapters, book.root / "_build", strict=not (told or stale))
    page = page.parent / page_of(book, own[0]) if only else page
    if told:
        raise BookError(
            "\n\n".join(told) + f"\n\nThe site is built all the same, and says so on these pages: {page}"
        )
    return page


def find_chapter(book: Book, name: str) -> Path:
    """The chapter called so, with or without its folder and suffix; a page of exercises with its folder."""
    wanted = name.removesuffix(".ipynb")
    for path in book.notebooks:
        names = {path.relative_to(book.root).with_suffix("").as_posix()}
        if wanted in names | ({path.stem} if path in book.chapters else set()):
            return path
    raise BookError(f"No chapter {name!r}. There are: {', '.join(path.stem for path in book.chapters)}")


def page_of(book: Book, path: Path) -> Path:
    return path.relative_to(book.root).with_suffix(".html")


def stored(book: Book, paths: list[Path]) -> tuple[dict[Path, NotebookNode], list[Path]]:
    """The chapters with the outputs that they hold, and which of these are stale: their pages say so."""
    chapters, stale = {path: read(path) for path in paths}, []
    for path, notebook in chapters.items():
        if changed := book.staleness(path):
            text = f"Since the outputs on this page were made, there changed: {', '.join(changed)}."
            put_under_title(notebook, warning("Outputs from before a change", text))
            notebook.metadata["incomplete"] = True
            stale.append(path)
    return chapters, stale


def with_failed_bands(notebook: NotebookNode, stored: NotebookNode, failed: list[dict]) -> NotebookNode:
    """The executed notebook with a notice at its top and at every band that failed.

    At the place stands what the cell showed when its outputs were stored with the book.
    """
    count = "A check" if len(failed) == 1 else f"{len(failed)} checks"
    title = "On this machine the numbers differ"
    text = f"{count} of this chapter did not hold when it was executed here: the text below was written where "
    text += f"{'it' if len(failed) == 1 else 'they'} did. Each place is marked."
    was = dict(zip((cell.id for cell in code_cells(notebook)), code_cells(stored), strict=True))
    here = {cell.execution_count: cell for cell in code_cells(notebook)}
    for number in dict.fromkeys(band["cell"] for band in failed):
        cell = here[number]
        lines = [f"- {in_code(band['told'])}" for band in failed if band["cell"] == number]
        shown = "\n".join(
            output.get("text") or output.get("data", {}).get("text/plain", "") for output in was[cell.id].outputs
        ).strip()
        if shown:
            lines += ["", "Stored with the book, the cell above shows:", "", "````text", shown, "````"]
        put_after(notebook, cell, warning("This check did not hold here", "\n".join(lines)))
    put_under_title(notebook, warning(title, text))
    return notebook


def with_error(stored: NotebookNode, error: ChapterError, changed: list[str]) -> NotebookNode:
    """The notebook as stored, with a notice at its top and where its execution ended here."""
    last = error.reason.strip().splitlines()[-1]
    where = f"in code cell {error.cell}" if error.cell else "before its first cell"
    text = f"Its execution ended {where}: {in_code(last)}. All outputs on this page are those stored with the book"
    if changed:
        text += f"; since they were made, there changed: {', '.join(changed)}"
    if error.cell:
        cell = code_cells(stored)[error.cell - 1]
        put_after(stored, cell, warning("The execution ended here", in_code(last)))
    put_under_title(stored, warning("This chapter did not run to its end on this machine", f"{text}."))
    stored.metadata["incomplete"] = True
    return stored


def warning(title: str, text: str) -> str:
    return f":::::{{admonition}} {title}\n:class: warning belamy-differs\n\n{text}\n:::::\n"


def in_code(text: str) -> str:
    """Text as Markdown code on one line, whatever is in it."""
    return f"`` {' '.join(text.split())} ``"


def put_after(notebook: NotebookNode, cell: NotebookNode, block: str) -> None:
    new = nbformat.v4.new_markdown_cell(block, id=f"differs-{len(notebook.cells)}")
    notebook.cells.insert(notebook.cells.index(cell) + 1, new)


def preview(book: Book) -> Path:
    return book.root / "_build" / "preview"


def build_stored(book: Book, only: str | None = None) -> Path:
    """Build _build/preview/html from the outputs stored in the chapters; refuse stale ones.

    Args:
        only: the one chapter that must not be stale; of the others the page says so.
    """
    if only is None:
        refuse_stale(book)
    elif book.staleness(own := find_chapter(book, only)):
        raise BookError(f"Stored outputs of {own.name} are stale: changed: {', '.join(book.staleness(own))}")
    chapters, stale = stored(book, book.notebooks)
    page = build(book, chapters, preview(book), strict=not stale)
    return page.parent / page_of(book, own) if only else page


def build_for_numbers(book: Book) -> Path:
    """Build _build/preview, whatever its outputs: notebooks take the book's numbers from a built site."""
    build(book, stored(book, book.notebooks)[0], preview(book), strict=False)
    return preview(book)


def build_notebooks(book: Book, only: str | None = None) -> Path:
    """Gather in _build/notebooks what the pages of the site, built from stored outputs, offer for download."""
    html, folder = build_stored(book, only).parents[1 if only else 0], book.root / "_build" / "notebooks"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in book.notebooks if only is None else [find_chapter(book, only)]:
        shutil.copy(html / "_sources" / path.relative_to(book.root), folder / notebooks.name_of(book, path))
    return folder


def lab(book: Book, only: str | None = None) -> Path:
    """Write _build/lab: the pages as Jupyter can show them, for the library of this environment.

    What a reader has changed there stays, under another name once the book's own has changed.
    """
    built = [out for out in (book.root / "_build", preview(book)) if (out / "html" / "index.html").exists()]
    out = built[0] if built else build_for_numbers(book)
    folder = book.root / "_build" / "lab"
    for path in book.notebooks if only is None else [find_chapter(book, only)]:
        notebooks.write_for_lab(book, path, out, folder)
    return folder / notebooks.name_of(book, find_chapter(book, only)) if only else folder


def show(make: str, only: str | None) -> None:
    makers = {"book": build_executed, "preview": build_stored, "notebooks": build_notebooks, "lab": lab}
    print(f"\nOpen {makers[make](Book(), only)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("make", choices=["book", "preview", "notebooks", "lab"])
    parser.add_argument("--chapter", help="this one alone; the others as they are stored")
    given = parser.parse_args()
    run_or_exit(partial(show, given.make, given.chapter))


if __name__ == "__main__":
    main()
