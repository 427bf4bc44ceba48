"""Each page of code as a notebook that is the whole experiment: it runs alone, wherever torch is.

Its set-up cell carries the library as a wheel, and the recorded runs that the page loads; its text is
plain Markdown (tools/plain.py). The site offers it for download; `make notebooks` gathers all of them in
_build/notebooks, and `make lab` opens the same with the library of the book's own environment.
"""

import base64
import copy
import hashlib
import io
import json
import lzma
import re
import tarfile
import tomllib
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import nbformat
import yaml
from nbformat import NotebookNode

from belamy import runs
from tools import exercises, setup_cell
from tools.book import Book, BookError, code_of, digest, read, write
from tools.outputs import shrunk
from tools.plain import Page, Places, fold, left_raw

LIMIT = 8 * 2**20  # bytes of a notebook
LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the time of everything in a wheel, so that it is the same every time


def write_all(book: Book, chapters: dict[Path, NotebookNode], out: Path, html: Path) -> None:
    """Write the notebooks that the pages of a site just built offer for download.

    Raises:
        BookError: a text that cannot be made plain, or a notebook above 8 MB.
    """
    finish = finisher(book, out, html)
    for path, notebook in chapters.items():
        if path in book.exercises:
            notebook = exercises.complete(notebook, path.stem, book.root)
        write(finish(notebook, path), html / "_sources" / path.relative_to(book.root))


def finisher(book: Book, out: Path, html: Path) -> Callable[[NotebookNode, Path], NotebookNode]:
    """A function (notebook, source) that makes of a version of a page's source one that runs by itself.

    It raises BookError for a text that cannot be made plain, or a notebook above 8 MB.
    """
    library, places = wheel(book.root), places_of(book, out, html)
    setup = cache(lambda path: carrying(library, recorded(book, code_of(read(path)))))

    def finish(notebook: NotebookNode, path: Path) -> NotebookNode:
        made = plain(notebook, Page(path.relative_to(book.root).with_suffix("").as_posix(), places), setup(path))
        if (size := len(nbformat.writes(made).encode())) > LIMIT:
            raise BookError(f"{path.name} has {size / 2**20:.1f} MB, more than a notebook may: 8 MB")
        return made

    return finish


def write_for_lab(book: Book, path: Path, out: Path, folder: Path) -> None:
    """Write a page's notebook with the set-up cell of the book, unless that page is there already."""
    target = folder / name_of(book, path)
    notebook = read(path)
    now = digest(nbformat.writes(notebook))
    if target.exists():
        if read(target).metadata.get("belamy_source") == now:
            return
        target.rename(target.with_suffix(".before.ipynb"))
    doc = path.relative_to(book.root).with_suffix("").as_posix()
    if path in book.exercises:
        notebook = exercises.complete(notebook, path.stem, book.root)
    made = plain(notebook, Page(doc, places_of(book, out, out / "html")))
    made.metadata["belamy_source"] = now
    write(made, target)


def name_of(book: Book, path: Path) -> str:
    """A notebook's name where all lie in one folder: minimax.ipynb, minimax-exercises.ipynb."""
    return path.name if path.parent.name != "exercises" else f"{path.stem}-exercises.ipynb"


def places_of(book: Book, out: Path, html: Path) -> Places:
    config = yaml.safe_load((book.root / "_config.yml").read_text(encoding="utf-8"))
    environment = out / "work" / "_build" / ".doctrees" / "environment.pickle"
    return Places(environment, html, config.get("html", {}).get("baseurl", ""))


# --- what a notebook carries -----------------------------------------------------------------------


def wheel(root: Path) -> tuple[str, bytes]:
    """Name and content of the library's wheel: the same bytes whenever and wherever it is built.

    Not compressed, since all that a notebook carries is compressed together. It requires nothing, for
    what it needs is there or is said by `belamy.setup`.
    """
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    name = f"belamy-{project['version']}"
    files = {
        path.relative_to(root / "lib").as_posix(): path.read_bytes()
        for path in sorted((root / "lib" / "belamy").rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
    about = f"Metadata-Version: 2.1\nName: belamy\nVersion: {project['version']}\n"
    files[f"{name}.dist-info/METADATA"] = f"{about}Requires-Python: {project['requires-python']}\n".encode()
    kind = "Wheel-Version: 1.0\nGenerator: belamy\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[f"{name}.dist-info/WHEEL"] = kind.encode()
    sums = {file: base64.urlsafe_b64encode(hashlib.sha256(data).digest()) for file, data in files.items()}
    lines = [f"{file},sha256={sums[file].decode().rstrip('=')},{len(data)}" for file, data in files.items()]
    record = f"{name}.dist-info/RECORD"
    files[record] = "\n".join([*lines, f"{record},,", ""]).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for file, data in files.items():
            archive.writestr(zipfile.ZipInfo(file, LONG_AGO), data)
    return f"{name}-py3-none-any.whl", buffer.getvalue()


def recorded(book: Book, code: str) -> dict[str, bytes]:
    """The data that code loads and the notebooks of runs that it executes, by their place in the book.

    Of a run the files that the code asks for: weights in half precision, as they were recorded,
    pictures with 256 colours. The record is that of what is carried: its checksums are, also where another
    run says by its digest what it is about.
    """
    files = {
        f"data/{path.name}": path.read_bytes()
        for path in (book.root / "data").iterdir()
        if path.is_file() and path.name in code
    }
    names = sorted(name for name in book.runs if re.search(rf"\b{re.escape(name)}\b", code))
    records, digests = {}, {}
    for name in names:
        if (book.root / "data" / "runs" / name).is_dir():
            run = runs.load(name)
            own, records[name] = lighter(run, code)
            digests[run.record["digest"]] = records[name]["digest"]
            files |= {f"data/runs/{name}/{file}": data for file, data in own.items()}
        if "notebook_of(" in code:
            files[f"chapters/runs/{name}.ipynb"] = (book.root / "chapters" / "runs" / f"{name}.ipynb").read_bytes()
    for name, record in records.items():
        text = json.dumps(record)
        for before, now in digests.items():
            text = text.replace(before, now)
        record = json.loads(text)
        record["digest"] = runs.record_digest(record)
        files[f"data/runs/{name}/run.json"] = json.dumps(record).encode()
    return files


def lighter(run: runs.Run, code: str) -> tuple[dict[str, bytes], dict]:
    """The files of a run that the code asks for, as light as they get, and their record."""
    record = copy.deepcopy(run.record)
    files = {}
    for file in list(record["files"]):
        asked = ".weights(" in code if file == "weights.safetensors" else file in code or ".picture(f" in code
        if not asked:
            del record["files"][file]
            continue
        data = (run.folder / file).read_bytes()
        if file.endswith(".png"):
            data = min(data, base64.b64decode(shrunk(base64.b64encode(data).decode())), key=len)
        files[file] = data
        record["files"][file] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    record["digest"] = runs.record_digest(record)
    return files, record


def carrying(library: tuple[str, bytes], files: dict[str, bytes]) -> str:
    """The set-up cell that unpacks a library and files of the book into a folder of its own."""
    buffer = io.BytesIO()
    with tarfile.TarFile(fileobj=buffer, mode="w") as archive:
        for name, content in sorted([library, *files.items()]):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        folder = tarfile.TarInfo("data/runs")  # by which the library knows its data, also if there are none
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(folder)
    # Numbers of two bytes (half precision) follow each other: lp=1.
    packed = lzma.compress(buffer.getvalue(), filters=[{"id": lzma.FILTER_LZMA2, "preset": 6, "lp": 1}])
    text = base64.b85encode(packed).decode()
    lines = "\n".join(f" {text[start : start + 1000]}" for start in range(0, len(text), 1000))
    return setup_cell.CARRIED.replace("DIGEST", hashlib.sha256(packed).hexdigest()).replace("PAYLOAD", lines)


# --- the notebook ----------------------------------------------------------------------------------


def plain(notebook: NotebookNode, page: Page, setup: str = "") -> NotebookNode:
    """A copy that Jupyter, Colab and Kaggle show as it is meant.

    Args:
        setup: the code of its set-up cell; as in the chapter if there is none.

    Raises:
        BookError: something of MyST would be left.
    """
    made = nbformat.v4.new_notebook(metadata=metadata(notebook, page.doc))
    for cell in copy.deepcopy(notebook.cells):
        tags = cell.metadata.get("tags", [])
        after = []
        if cell.cell_type == "markdown":
            cell.source = page.markdown(cell.source)
            if "solution" in tags and "<details>" not in cell.source:
                cell.source = fold("Solution", cell.source).strip("\n")
            if not cell.source:
                continue
        elif cell.cell_type == "code":
            if "setup" in tags and setup:
                cell.source, cell.outputs, cell.execution_count = setup, [], None
                cell.metadata["cellView"] = "form"
            solved = bool(page.gate) or "solution" in tags
            if solved or {"hide-input", "expected"} & set(tags):
                cell.metadata["jupyter"] = {"source_hidden": True, **({"outputs_hidden": True} if solved else {})}
            look = cell.metadata.pop("mystnb", {})
            if "expected" in tags and "image" in look:  # the student's version shows the picture alone
                cell.metadata["mystnb"] = {"image": look["image"]}
            elif figure := look.get("figure"):
                caption = page.caption(figure["caption"], figure.get("name", ""))
                caption = fold("What the figure shows", caption).strip("\n") if solved else caption
                own = {key: cell.metadata[key] for key in ("exercise", "tags") if "solution" in tags}
                after = [nbformat.v4.new_markdown_cell(caption, id=f"{cell.id[:55]}-caption", metadata=own)]
        made.cells += [cell, *after]
    if references := page.references():
        made.cells.append(nbformat.v4.new_markdown_cell(references, id="references"))
    if left := left_raw(made):
        raise BookError(f"{page.doc}: Jupyter would show {left[0]!r} as it is: tools/plain.py")
    nbformat.validate(made)
    return made


def metadata(notebook: NotebookNode, doc: str) -> dict:
    """What Jupyter, Colab and Kaggle ask for; a GPU only where a page trains."""
    trains = "fit(" in code_of(notebook)
    name = f"{Path(doc).name}-exercises.ipynb" if doc.startswith("exercises/") else f"{Path(doc).name}.ipynb"
    colab = {"name": name, "provenance": [], "toc_visible": True, **notebook.metadata.get("colab", {})}
    return {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
        "colab": {**colab, **({"gpuType": "T4"} if trains else {})},
        "kaggle": {"accelerator": "gpu" if trains else "none", "isInternetEnabled": False, "language": "python"},
        **({"accelerator": "GPU"} if trains else {}),
        **{key: notebook.metadata[key] for key in ("belamy_sheet",) if key in notebook.metadata},
    }
