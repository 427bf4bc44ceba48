"""The book's commands, also for machines without `make`: python -m tools.make book

The Makefile calls them, so that each stands once. On a fresh clone nothing is installed yet: only
Python's own library is imported here.
"""

import argparse
import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EVENLY = ("-n", "2", "--dist", "worksteal")
BY_NOTEBOOK = ("-n", "2", "--dist", "loadscope")  # a notebook's cells stay with one kernel
AFTER = ("test_site", "test_notebooks")  # they need the built site
CELL_TIMEOUT = 1800  # seconds
TEST_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1", "BELAMY_PROFILE": "cpu"}


def python() -> Path:
    """The interpreter of the book's own environment, which may not be there yet."""
    return ROOT / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def setup() -> None:
    """create .venv with the pinned versions (the other commands do it by themselves)"""
    if not os.access(ROOT, os.W_OK):
        sys.exit(f"{ROOT} cannot be written, and the book is built there: copy it to where you may write")
    stamp = ROOT / ".venv" / ".installed"
    newest = max((ROOT / name).stat().st_mtime for name in ("pyproject.toml", "requirements.lock"))
    if stamp.exists() and stamp.stat().st_mtime >= newest:
        return
    if not (3, 11) <= sys.version_info < (3, 14):
        sys.exit(
            f"{sys.executable} is not Python 3.11-3.13: try make PYTHON=python3.12 book, or "
            "python3.12 -m tools.make book"
        )
    if importlib.util.find_spec("ensurepip") is None:
        sys.exit(f"{sys.executable} lacks ensurepip. On Debian and Ubuntu: apt-get install python3-venv")
    if Path(sys.prefix) != ROOT / ".venv":  # an environment does not make itself again
        print("Setup 1/2: creating .venv", flush=True)
        run(sys.executable, "-m", "venv", ROOT / ".venv")
    print("Setup 2/2: installing the pinned versions (a few minutes, 5.5 GB on Linux)", flush=True)
    run(python(), "-m", "pip", "install", "-c", "requirements.lock", "-e", ".[all]")
    stamp.touch()


def book(chapter: str | None = None) -> None:
    """execute the chapters that are not in the cache (or the one named), build the site into _build/html"""
    setup()
    run(python(), "-m", "tools.website", "book", *(("--chapter", chapter) if chapter else ()))


def test(chapter: str | None = None) -> None:
    """prove everything: library, house, chapters, site; or one chapter and its page"""
    setup()
    os.environ.update(TEST_ENVIRONMENT)
    pytest = (python(), "-m", "pytest")
    nbval = ("--nbval-lax", "--nbval-current-env", f"--nbval-cell-timeout={CELL_TIMEOUT}")
    run(python(), "-m", "tools.chromium")
    if chapter:
        notebook = notebook_of(chapter)
        os.environ["BELAMY_CHAPTER"] = notebook.stem
        print(f"Test 1/3: the house's rules for {notebook}", flush=True)
        run(*pytest, "tests/test_house.py", "-k", f"[{notebook.stem}] or [exercises-{notebook.stem}]")
        print("Test 2/3: its code and its exercises, executed once", flush=True)
        own = [path for path in (notebook, Path("exercises") / notebook.name) if (ROOT / path).exists()]
        run(*pytest, *own, *nbval)
        print("Test 3/3: its page, from the outputs just confirmed, in headless Chromium", flush=True)
        run(*pytest, "tests/test_site.py", "-n", "2")
        return
    print("Test 1/3: the library and the house", flush=True)
    run(*pytest, "tests", *(f"--ignore=tests/{name}.py" for name in AFTER), *EVENLY)
    print("Test 2/3: the chapters and their exercises, each executed once", flush=True)
    notebooks = [path for folder in ("chapters", "exercises") for path in sorted((ROOT / folder).glob("*.ipynb"))]
    run(*pytest, *(path.relative_to(ROOT) for path in notebooks), *nbval, *BY_NOTEBOOK)
    print("Test 3/3: the site, from the outputs just confirmed, in headless Chromium", flush=True)
    run(*pytest, *(f"tests/{name}.py" for name in AFTER), "-n", "2")


def lab(chapter: str | None = None) -> None:
    """open the pages in JupyterLab"""
    setup()
    run(python(), "-m", "tools.website", "lab", *(("--chapter", chapter) if chapter else ()))
    run(python(), "-m", "jupyterlab", f"_build/lab/{notebook_of(chapter).name}" if chapter else "_build/lab")


def notebooks() -> None:
    """write every page as a notebook that runs by itself into _build/notebooks"""
    setup()
    run(python(), "-m", "tools.website", "notebooks")


def colab_check() -> None:
    """run every such notebook as Colab would: its versions, another folder, no network (three quarters of an hour)"""
    notebooks()
    run(python(), "-m", "tools.colab")


def notebook_of(chapter: str) -> Path:
    """The chapter called so; ends with their names if there is none."""
    path = Path("chapters") / f"{Path(chapter).name.removesuffix('.ipynb')}.ipynb"
    if not (ROOT / path).is_file():
        names = sorted(path.stem for path in (ROOT / "chapters").glob("*.ipynb"))
        sys.exit(f"No chapter {chapter!r}. There are: {', '.join(names)}")
    return path


def run(*command: object) -> None:
    """Run a command in the book's folder to its end; if it fails, end with its status."""
    if os.path.expanduser("~") == "~":
        os.environ["HOME"] = tempfile.mkdtemp(prefix="belamy-")
        print(f"This user has no home: {os.environ['HOME']} takes its place", flush=True)
    os.environ.setdefault("PYTHONUTF8", "1")  # on Windows, too
    # Ctrl-C reaches the command, too, which ends in its own way; a plain `kill` is passed on to it, also
    # if it came while the command was being started.
    child, told = None, []

    def pass_on(*_: object) -> None:
        told.append(True)
        if child is not None:
            child.terminate()

    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGTERM, pass_on)
    child = subprocess.Popen([str(part) for part in command], cwd=str(ROOT))
    if told:
        child.terminate()
    status = child.wait()
    if status:
        sys.exit(status if status > 0 else 128 - status)


def main() -> None:
    makers = (book, test, lab, notebooks, colab_check, setup)
    commands = {command.__name__.replace("_", "-"): command for command in makers}
    parser = argparse.ArgumentParser(prog="python -m tools.make", description=__doc__.splitlines()[0])
    told = "; ".join(f"{name}: {command.__doc__}" for name, command in commands.items())
    parser.add_argument("command", choices=list(commands), help=told)
    parser.add_argument("--chapter", help="book, test, lab: only this one, for example minimax")
    given = parser.parse_args()
    if given.chapter and given.command in ("book", "test", "lab"):
        commands[given.command](given.chapter)
    else:
        commands[given.command]()


if __name__ == "__main__":
    main()
