"""The book's chapters, and when their stored outputs are stale.

An execution is named by a digest of all that its outputs depend on: the chapter's code cells, the
library's code, the data, the recorded runs that the code names and their notebooks, the pinned
versions that compute, and the profile. Text is not part of it: a chapter whose text alone was edited
keeps its outputs, and so do all where a docstring or a comment of the library was. (Jupyter Book's own
cache looks at the code cells only, so that after an edit in the library its pages stay stale.)
"""

import ast
import copy
import hashlib
import io
import json
import os
import re
import tokenize
import tomllib
from collections.abc import Callable, Set
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import nbformat
import yaml
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parent.parent


class BookError(Exception):
    """The book cannot be built as it stands; the message says why and what to do."""


@dataclass(frozen=True)
class Book:
    """The folder of a book, and the profile that its chapters are executed with."""

    root: Path = ROOT
    profile: str = "cpu"

    @cached_property
    def entries(self) -> list[str]:
        """The pages of `_toc.yml` in reading order, without suffix."""

        def walk(node: object) -> list[str]:
            if isinstance(node, list):
                return [page for child in node for page in walk(child)]
            if not isinstance(node, dict):
                return []
            own = [node[key] for key in ("root", "file") if key in node]
            return own + [page for child in node.values() for page in walk(child)]

        return walk(yaml.safe_load((self.root / "_toc.yml").read_text(encoding="utf-8")))

    @cached_property
    def notebooks(self) -> list[Path]:
        """The notebooks among the entries: chapters and their pages of exercises."""
        notebooks = [self.root / f"{entry}.ipynb" for entry in self.entries]
        return [path for path in notebooks if path.exists()]

    @property
    def chapters(self) -> list[Path]:
        return [path for path in self.notebooks if path.parent.name != "exercises"]

    @property
    def exercises(self) -> list[Path]:
        return [path for path in self.notebooks if path.parent.name == "exercises"]

    @cached_property
    def surroundings(self) -> dict[str, str]:
        """Digests of what every chapter depends on."""
        return {
            "lib": tree_digest(self.root / "lib" / "belamy", {"check"}, code_in),
            "lock": digest("\n".join(pinned_versions(self.root))),
            "profile": self.profile,
        }

    @cached_property
    def runs(self) -> set[str]:
        """Names of all recorded runs, and of those that could be recorded."""
        recorded = [path.name for path in (self.root / "data" / "runs").glob("*")]
        return {*recorded, *(path.stem for path in (self.root / "chapters" / "runs").glob("*.ipynb"))}

    @cached_property
    def texts(self) -> set[str]:
        """Names of the texts and gathered rows among the data, each of which concerns only those that name it."""
        return {path.stem for kind in ("txt", "json") for path in (self.root / "data").glob(f"*.{kind}")}

    def digests(self, notebook: NotebookNode) -> dict[str, str]:
        """What an execution of `notebook` depends on, part by part."""
        code = code_of(notebook)
        others = {name for name in self.runs | self.texts if name not in code}
        checks = {}
        if "from belamy.check import" in code:  # an exercise's; no chapter depends on them
            checks["checks"] = tree_digest(self.root / "lib" / "belamy" / "check", content=code_in)
        return {
            "code": digest(code),
            "lib": self.surroundings["lib"],
            "data": tree_digest(self.root / "data", others | {"README"}),
            "runs": tree_digest(self.root / "chapters" / "runs", others, code_in),
            **self.surroundings,
            **checks,
        }

    def cache_file(self, path: Path) -> Path:
        """Where the executed form of the notebook at `path`, as it stands now, is kept."""
        key = combined(self.digests(read(path)))
        return self.root / ".cache" / path.parent.name / f"{path.stem}-{key}.ipynb"

    def executed(self, path: Path) -> NotebookNode:
        """The chapter's present text with its cached outputs and their stamp."""
        file = self.cache_file(path)
        if not file.exists():
            raise BookError(f"{path.name} was edited while it ran: run the command again")
        return with_outputs(read(path), read(file))

    def staleness(self, path: Path) -> list[str]:
        """The parts that changed since the outputs stored in the chapter were made."""
        notebook = read(path)
        stamp = notebook.metadata.get("belamy")
        if stamp is None:
            return ["everything (`make outputs` never ran it)"]
        return [part for part, now in self.digests(notebook).items() if stamp.get(part) != now]


def digest(content: str | bytes) -> str:
    data = content.encode() if isinstance(content, str) else content
    return hashlib.sha256(data).hexdigest()[:16]


def combined(digests: dict[str, str]) -> str:
    return digest(json.dumps(digests))


def plain_bytes(path: Path) -> bytes:
    """The file's content; that of text with the line ends of Unix, whatever a checkout made of them.

    Binary is, as for git, what has a zero among its first bytes.
    """
    data = path.read_bytes()
    return data if b"\0" in data[:8000] else data.replace(b"\r\n", b"\n")


def tree_digest(
    folder: Path,
    without: Set[str] = frozenset(),
    content: Callable[[Path], str | bytes] = plain_bytes,
) -> str:
    """Digest of the names and contents of all files below `folder`, compiled ones aside.

    Left out is also what is called, up to its first dot, or lies in a folder called, as `without`
    says.
    """
    files = [path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file()]
    return digest(
        "\n".join(
            f"{path.as_posix()} {digest(content(folder / path))}"
            for path in files
            if "__pycache__" not in path.parts
            and not path.name.startswith(".")
            and without.isdisjoint(part.partition(".")[0] for part in path.parts)
        )
    )


def code_in(path: Path) -> str | bytes:
    """What of a file can change an output: of a notebook and of a module the code, else all of it."""
    if path.suffix == ".ipynb":
        return code_of(read(path))
    if path.suffix == ".py":
        return without_remarks(plain_bytes(path).decode())
    return plain_bytes(path)


def without_remarks(source: str) -> str:
    """A module's lines without docstrings, comments and empty lines: what is left is what is computed.

    Cut out by place, not printed from a syntax tree, whose form differs between versions of Python.
    """
    remarks: set[int] = set()  # lines of docstrings
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if ast.get_docstring(node, clean=False) is not None:
                remarks |= set(range(first.lineno, first.end_lineno + 1))
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    ends = {token.start[0]: token.start[1] for token in tokens if token.type == tokenize.COMMENT}
    lines = (
        line[: ends.get(number)].rstrip()
        for number, line in enumerate(source.split("\n"), 1)
        if number not in remarks
    )
    return "\n".join(line for line in lines if line)


def pinned_versions(root: Path) -> list[str]:
    """The lock's lines for the library's own dependencies: those that chapters compute with."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {re.match(r"[\w.-]+", line)[0].lower() for line in project["dependencies"]}
    lock = (root / "requirements.lock").read_text(encoding="utf-8").splitlines()
    return [line for line in lock if line.partition("==")[0].lower() in names]


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def write(notebook: NotebookNode, path: Path) -> None:
    """Write at once or not at all: an interruption leaves the old file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    nbformat.write(notebook, temporary)
    os.replace(temporary, path)


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def code_of(notebook: NotebookNode) -> str:
    return json.dumps([cell.source.replace("\r\n", "\n") for cell in code_cells(notebook)])


def with_outputs(notebook: NotebookNode, executed: NotebookNode) -> NotebookNode:
    """A copy of `notebook` with the outputs and the stamp of `executed`, whose code is the same."""
    merged = copy.deepcopy(notebook)
    for cell, ran in zip(code_cells(merged), code_cells(executed), strict=True):
        cell.outputs, cell.execution_count = ran.outputs, ran.execution_count
        cell.metadata.pop("execution", None)
    kept = {name: value for name, value in notebook.metadata.items() if name == "belamy_tiny"}
    merged.metadata = {
        **kept,
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
        "belamy": executed.metadata["belamy"],
    }
    return merged


def refuse_stale(book: Book) -> None:
    """Raise unless the outputs stored in every notebook are those of its present code."""
    stale = {path.name: book.staleness(path) for path in book.notebooks}
    lines = [f"  {name}: changed: {', '.join(why)}" for name, why in stale.items() if why]
    if lines:
        told = "\n".join(lines)
        raise BookError(f"Stored outputs are stale:\n{told}\nRun `make outputs`, or `make book`.")
