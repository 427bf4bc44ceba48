"""A tiny book in a temporary folder: one chapter, one library that it prints from."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from filelock import FileLock
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tools import website
from tools.book import Book, read, write

ROOT = Path(__file__).resolve().parent.parent
CONFIG = """\
title: Tiny
execute: {execute_notebooks: "off"}
only_build_toc_files: true
"""
TOC = """\
format: jb-book
root: chapters/index
chapters: [{file: chapters/01-tiny}]
"""
COUNT_AND_PRINT = """\
open("../executions", "a", encoding="utf-8").write("x")
import belamy
print("the library says", belamy.ANSWER)
"""


class TinyBook:
    """A book whose chapter counts its own executions."""

    def __init__(self, root: Path):
        self.root, self.chapter = root, root / "chapters" / "01-tiny.ipynb"
        files = {
            "_config.yml": CONFIG,
            "_toc.yml": TOC,
            "chapters/index.md": "# Tiny\n",
            "lib/belamy/__init__.py": "ANSWER = 1\n",
            "data/README.md": "Nothing.\n",
            "pyproject.toml": (ROOT / "pyproject.toml").read_text(encoding="utf-8"),
            "requirements.lock": (ROOT / "requirements.lock").read_text(encoding="utf-8"),
        }
        for name, text in files.items():
            self.edit(name, text)
        parameters = new_code_cell("seed = 3", metadata={"tags": ["parameters"]})
        cells = [new_markdown_cell("# One\n\nText."), parameters, new_code_cell(COUNT_AND_PRINT)]
        write(new_notebook(cells=cells), self.chapter)

    @property
    def book(self) -> Book:
        """The book as it stands now (a `Book` remembers what it has read)."""
        return Book(self.root)

    @property
    def executions(self) -> int:
        count = self.root / "executions"
        return len(count.read_text(encoding="utf-8")) if count.exists() else 0

    @property
    def cached(self) -> list[Path]:
        return list((self.root / ".cache").rglob("*.ipynb"))

    def edit(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def edit_cell(self, index: int, source: str) -> None:
        notebook = read(self.chapter)
        notebook.cells[index].source = source
        nbformat.write(notebook, self.chapter)


@pytest.fixture(scope="session")
def html(tmp_path_factory, worker_id):
    """The folder of the site; built once, whichever process comes first."""
    own = tmp_path_factory.getbasetemp()
    built = (own if worker_id == "master" else own.parent) / "site.txt"
    with FileLock(built.with_suffix(".lock")):
        if not built.exists():
            website.build_stored(Book(ROOT), os.environ.get("BELAMY_CHAPTER") or None)
            built.write_text(str(website.preview(Book(ROOT)) / "html"), encoding="utf-8")
    return Path(built.read_text(encoding="utf-8"))


def pytest_terminal_summary(terminalreporter):
    """The measures of the pages that tests/test_site.py took."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    lines = {line for report in reports for key, line in report.user_properties if key == "page"}
    if lines:
        from tools.pages import HEAD

        terminalreporter.write_sep("-", "pages")
        for line in (HEAD, *sorted(lines)):
            terminalreporter.write_line(line)


@pytest.fixture
def tiny(tmp_path, monkeypatch) -> TinyBook:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "lib"))  # its library goes before the real one
    return TinyBook(tmp_path)


@pytest.fixture
def as_nobody(tmp_path):
    """Runs a program as a user without name, rights or home, and returns what it says.

    It sees the files below ``tmp_path``; permissions mean nothing to root, who often runs tests. What
    root's programs import, others may not read: imports come first, then the user is changed.
    """
    if os.geteuid() != 0:
        pytest.skip("only root may become another user")
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_mode & 0o011 != 0o011:
            folder.chmod(folder.stat().st_mode | 0o011)

    def run(program: str, **environ: str) -> str:
        preamble = (
            "import os, torch, pooch, PIL.Image, belamy.data; PIL.Image.init()\n"
            "os.setgroups([]); os.setgid(54321); os.setuid(54321); os.chdir('/')\n"
        )
        inherited = {key: os.environ[key] for key in ("PATH", "PYTHONPATH") if key in os.environ}
        done = subprocess.run(
            [sys.executable, "-c", preamble + program],
            env={"OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1", **inherited, **environ},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    return run
