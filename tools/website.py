"""Build the site: executed chapters and text pages in, checked HTML with nothing external out."""

import argparse
import ast
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from functools import partial
from importlib.metadata import version
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from tools.book import Book, BookError, digest, read, refuse_stale, tree_digest
from tools.execute import STAMPED_VERSIONS, execute, run_or_exit
from tools.ledger import fill as fill_ledger
from tools.polish import polish

TEXT_FILES = ("*.md", "*.bib", "assets/*")
JUPYTER_BOOK = "from jupyter_book.cli.main import main; main()"
MATHJAX_PARTS = ("tex-mml-chtml.js", "output/chtml/fonts/woff-v2")


def build(book: Book, chapters: dict[Path, NotebookNode], out: Path) -> Path:
    """Build `out`/html from executed chapters; do nothing if all is as the last build left it.

    Returns:
        The page to open.

    Raises:
        BookError: another Jupyter Book than 1.x, a warning, or a page that was not written.
    """
    require_jupyter_book_1()
    source, html, record = out / "source", out / "html", out / "built.json"
    assemble(book, chapters, source)
    inputs = digest("".join(tree_digest(book.root / part) for part in ("lib/belamy", "tools")))
    state = {"source": tree_digest(source), "inputs": inputs, "html": tree_digest(html)}
    if record.exists() and json.loads(record.read_text(encoding="utf-8")) == state:
        print("Site: nothing has changed since it was built", flush=True)
        return html / "index.html"
    clock = time.perf_counter()
    print(f"Site: building {len(book.entries)} pages", flush=True)
    fresh = run_jupyter_book(source, out / "work")
    polish(fresh)
    require_pages(book, fresh)
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
    fill_ledger(book, chapters, source)
    for path, notebook in chapters.items():
        nbformat.write(with_stamp(notebook), source / path.relative_to(book.root))
    (source / "_static").mkdir(exist_ok=True)
    for path in (book.root / "chapters" / "assets").glob("*.[cj]s*"):  # every page loads them
        shutil.copyfile(path, source / "_static" / path.name)
    copy_mathjax(source / "extra" / "mathjax")


def with_stamp(notebook: NotebookNode) -> NotebookNode:
    """The notebook with its measured time under the title and what it ran with at the end."""
    stamp = notebook.metadata["belamy"]
    versions = stamp["versions"]
    ran = [f"Python {versions['python']}"]
    ran += [f"{name} {versions[name]}" for name in STAMPED_VERSIONS]
    time_line = f"Measured time: {minutes(stamp['seconds'])}, profile `{stamp['profile']}`."
    end_line = f"Ran with {', '.join(ran)}; profile `{stamp['profile']}`{seed_of(notebook)}."
    first = notebook.cells[0]
    title, _, rest = first.source.partition("\n")
    if first.cell_type != "markdown" or not title.startswith("# "):
        raise BookError(f"A chapter's first cell must begin with its title, '# …': {title!r}")
    first.source = f"{title}\n\n{stamp_block(time_line)}\n{rest}"
    notebook.cells.append(nbformat.v4.new_markdown_cell(stamp_block(end_line), id="belamy-stamp"))
    return notebook


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


def copy_mathjax(target: Path) -> None:
    """MathJax 3 from the wheel that carries it, so that no page asks another server for it."""
    package = importlib.util.find_spec("sphinx-mathjax-offline")
    if package is None or package.origin is None:
        raise BookError("sphinx-mathjax-offline is not installed: run `make setup`")
    mathjax = Path(package.origin).parent / "static" / "mathjax"
    for part in MATHJAX_PARTS:
        copy = shutil.copytree if (mathjax / part).is_dir() else shutil.copyfile
        (target / part).parent.mkdir(parents=True, exist_ok=True)
        copy(mathjax / part, target / part)


def run_jupyter_book(source: Path, work: Path) -> Path:
    """Build `source` from scratch, warnings being errors; return the folder of HTML.

    From scratch, since a second, incremental build forgets the warnings of the first.
    """
    shutil.rmtree(work, ignore_errors=True)
    command = [sys.executable, "-c", JUPYTER_BOOK, "build", source, "--path-output", work]
    options = ["--all", "--warningiserror", "--nitpick", "--keep-going", "--quiet"]
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


def build_executed(book: Book) -> Path:
    """Execute what the cache lacks, then build _build/html from the cache."""
    execute(book)
    chapters = {path: book.executed(path) for path in book.chapters}
    return build(book, chapters, book.root / "_build")


def build_stored(book: Book) -> Path:
    """Build _build/preview/html from the outputs stored in the chapters; refuse stale ones."""
    refuse_stale(book)
    chapters = {path: read(path) for path in book.chapters}
    return build(book, chapters, book.root / "_build" / "preview")


def show(make: str) -> None:
    page = {"book": build_executed, "preview": build_stored}[make](Book())
    print(f"\nOpen {page}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("make", choices=["book", "preview"])
    run_or_exit(partial(show, parser.parse_args().make))


if __name__ == "__main__":
    main()
