"""The first code cell of every chapter, written from the one place that knows the repository.

In Colab it installs the library without touching what is there; on a reader's own machine it says
what to do if the library is missing. A test compares every chapter's cell with this one. A notebook that
is downloaded has another, with everything in it: tools/notebooks.py.
"""

from pathlib import Path

import nbformat
import yaml
from nbformat import NotebookNode

from tools.book import Book, read, write

LOCAL = '''\
# Setup: the library that the chapters share.
import importlib.util

if importlib.util.find_spec("belamy") is None:
    raise ModuleNotFoundError(
        "belamy is not installed here: run `make setup` in the book's folder and "
        "choose its .venv as this notebook's kernel, or run "
        "`pip install --no-deps PATH-OF-THE-BOOK`"
    )
'''

HOSTED = '''\
# @title Setup: the book and the library that its chapters share
import importlib.util
import os
import shutil
import subprocess
import sys

if importlib.util.find_spec("belamy") is None:  # Colab has all that it needs
    half = "belamy-book.part"  # what an interrupted attempt left is no book
    shutil.rmtree(half, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "install", "-q"]
    clone = ["git", "clone", "-q", "--depth", "1", "--branch", "{branch}", "{url}", half]
    for command in (
        *([] if os.path.isdir("belamy-book") else [clone]),
        [*pip, "papermill"],  # for sweeps; it replaces nothing that Colab brings
        [*pip, "--no-deps", "--editable", "belamy-book"],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{{' '.join(command)}}\\n{{done.stdout}}{{done.stderr}}")
        if command is clone:
            os.rename(half, "belamy-book")
    sys.path.insert(0, os.path.abspath("belamy-book/lib"))
    importlib.invalidate_caches()
'''

CARRIED = '''\
# @title Setup: this notebook carries its library and its recorded runs
import base64
import hashlib
import importlib
import io
import os
import sys
import tarfile
import tempfile
import zipfile

CARRIED = """
PAYLOAD
"""
payload = base64.b85decode("".join(CARRIED.split()))
if hashlib.sha256(payload).hexdigest() != "DIGEST":
    raise ValueError("this cell was changed or cut off: download the notebook again")
cache = os.path.expanduser("~/.cache/belamy")
folder = os.path.join(cache, "notebook-DIGEST"[:25])
if not os.path.isdir(folder):
    try:
        os.makedirs(cache, exist_ok=True)
        new = tempfile.mkdtemp(dir=cache)
    except OSError:  # no home, or one that may only be read
        new = folder = tempfile.mkdtemp(prefix="belamy-")
    with tarfile.open(fileobj=io.BytesIO(payload)) as archive:
        archive.extractall(new, filter="data")
    for wheel in os.listdir(new):
        if wheel.endswith(".whl"):
            zipfile.ZipFile(os.path.join(new, wheel)).extractall(os.path.join(new, "lib"))
    if new != folder:
        os.rename(new, folder)  # whole, or not there
os.environ["PYTHONPATH"] = library = os.path.join(folder, "lib")  # also for a sweep's kernels
sys.path.insert(0, library)
importlib.invalidate_caches()
'''


def setup_source(root: Path) -> str:
    """The cell's code: an installation where `_config.yml` names a repository, else a note."""
    repository = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))["repository"]
    return (HOSTED.format(**repository) if repository["url"] else LOCAL).rstrip("\n")


def with_setup_cell(notebook: NotebookNode, source: str) -> NotebookNode:
    """The notebook with `source` as its setup cell: replaced, or put before the first code cell."""
    for cell in notebook.cells:
        if "setup" in cell.metadata.get("tags", []):
            cell.source = source
            return notebook
    kinds = [cell.cell_type for cell in notebook.cells]
    place = kinds.index("code") if "code" in kinds else len(kinds)
    metadata = {"tags": ["setup", "hide-input"]}
    notebook.cells.insert(place, nbformat.v4.new_code_cell(source, metadata=metadata))
    return notebook


def main() -> None:
    book = Book()
    source = setup_source(book.root)
    for path in book.notebooks:
        before = read(path)
        after = with_setup_cell(read(path), source)
        if after != before:
            write(after, path)
            print(f"  {path.name}: setup cell written")


if __name__ == "__main__":
    main()
