"""The first code cell of every chapter: what to do if the library is missing.

A test compares every chapter's cell with this one. A notebook that is downloaded, or opened in Colab by a
page's button, has another, with everything in it: tools/notebooks.py.
"""

import nbformat
from nbformat import NotebookNode

from tools.book import Book, read, write

SETUP = '''\
# Setup: the library that the chapters share.
import importlib.util

if importlib.util.find_spec("belamy") is None:
    raise ModuleNotFoundError(
        "belamy is not installed here: run `make setup` in the book's folder and "
        "choose its .venv as this notebook's kernel, or run "
        "`pip install --no-deps PATH-OF-THE-BOOK`"
    )'''

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


def with_setup_cell(notebook: NotebookNode) -> NotebookNode:
    """The notebook with its setup cell: replaced, or put before the first code cell."""
    for cell in notebook.cells:
        if "setup" in cell.metadata.get("tags", []):
            cell.source = SETUP
            return notebook
    kinds = [cell.cell_type for cell in notebook.cells]
    place = kinds.index("code") if "code" in kinds else len(kinds)
    metadata = {"tags": ["setup", "hide-input"]}
    notebook.cells.insert(place, nbformat.v4.new_code_cell(SETUP, metadata=metadata))
    return notebook


def main() -> None:
    for path in Book().notebooks:
        before = read(path)
        after = with_setup_cell(read(path))
        if after != before:
            write(after, path)
            print(f"  {path.name}: setup cell written")


if __name__ == "__main__":
    main()
