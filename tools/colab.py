"""Run the notebooks that readers download as Colab would: its versions, another folder, no network.

The environment in .cache/colab lies over the book's own, which lends it torch. Each notebook stands alone
in a folder; the home folder cannot be written; `google.colab` can be imported, papermill cannot.
"""

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

import nbformat

from tools.book import read
from tools.outputs import WIDGET

ROOT = Path(__file__).resolve().parent.parent
PINS = (  # of Colab's runtime of August 2026
    "ipython==7.34.0", "ipykernel==6.17.1", "ipywidgets==7.7.1", "traitlets==5.7.1", "matplotlib==3.10.0",
    "numpy==2.1.3", "pillow==11.3.0", "pandas==2.2.3", "jupyter-client<8", "setuptools<81",
)  # fmt: skip
MISSING = ("papermill",)  # in Colab, and not here
ALONE = ("unshare", "--map-root-user", "--net")
INSIDE = """
import fcntl, nbclient, nbformat, os, socket, struct, sys
try:  # a network of one's own begins with its loopback down, by which kernels are spoken to
    fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sH14x", b"lo", 0x41))
except PermissionError:
    pass  # the network of this machine, where it is up
book = nbformat.read(sys.argv[1], as_version=4)
nbclient.NotebookClient(book, timeout=1800, kernel_name="python3", store_widget_state=False).execute()
nbformat.write(book, "done.ipynb")
"""


def environment() -> Path:
    """The interpreter of an environment like Colab's; made when it is first asked for."""
    folder = ROOT / ".cache" / "colab"
    made, told = folder / "bin" / "python", folder / "pins.txt"
    if told.exists() and told.read_text(encoding="utf-8") == "\n".join(PINS):
        return made
    print("Colab: making .cache/colab (a minute, 150 MB)", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    lent = subprocess.run(
        [made, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    (Path(lent) / "book.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    done = subprocess.run([made, "-m", "pip", "install", "-q", *PINS], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"Colab's versions cannot be had here; is there a package index?\n{done.stderr}")
    told.write_text("\n".join(PINS), encoding="utf-8")
    return made


def run_alone(python: Path | str, notebook: Path, folder: Path) -> None:
    """Execute a notebook where nothing of the book lies; the outcome is written beside it.

    Raises:
        subprocess.CalledProcessError: it did not come to its end; ``stderr`` says why.
    """
    for part in ("google", "google/colab"):
        (folder / part).mkdir(parents=True)
        (folder / part / "__init__.py").touch()
    for name in MISSING:
        (folder / f"{name}.py").write_text(f"raise ModuleNotFoundError(name={name!r})\n", encoding="utf-8")
    shutil.copy(notebook, folder)
    kept = {key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ}
    places = ("IPYTHONDIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "MPLCONFIGDIR")
    own = {place: str(folder / ".own") for place in places}
    around = {"HOME": "/proc", "TMPDIR": str(folder), "OMP_NUM_THREADS": "1", "PYTHONUTF8": "1"}
    command = [*(ALONE if can_be_alone() else ()), str(python), "-c", INSIDE, notebook.name]
    subprocess.run(command, cwd=folder, env={**kept, **own, **around}, check=True, capture_output=True, text=True)


def can_be_alone() -> bool:
    """Whether a process may be cut off from the network here."""
    return shutil.which("unshare") is not None and not subprocess.run([*ALONE, "true"], capture_output=True).returncode


def shown_twice(notebook: nbformat.NotebookNode) -> list[str]:
    """Outputs in which a slider's live form lacks its static one, which knows it and gives way, or reversely."""
    faults = []
    for cell in notebook.cells:
        kinds = [output.get("data", {}) for output in cell.get("outputs", [])]
        live = [k for k, kind in enumerate(kinds) if WIDGET in kind and "text/plain" not in kind]
        static = [k for k, kind in enumerate(kinds) if "-live) ." in kind.get("text/html", "")]
        sliders = [k for k, kind in enumerate(kinds) if 'class="belamy-sliders' in kind.get("text/html", "")]
        if not [k + 1 for k in live] == static == sliders:
            faults.append(cell.source)
    return faults


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="pages, all by default")
    given, folder, failed = parser.parse_args(), ROOT / "_build" / "notebooks", []
    python = environment()
    if not can_be_alone():
        print("Colab: no process can be cut off from the network here (unshare): the network stays", flush=True)
    for path in sorted(folder.glob("*.ipynb")):
        if given.names and path.stem not in given.names:
            continue
        clock, cells = time.perf_counter(), sum(cell.cell_type == "code" for cell in read(path).cells)
        with tempfile.TemporaryDirectory(prefix="belamy-") as place:
            try:
                run_alone(python, path, Path(place))
                twice = shown_twice(read(Path(place) / "done.ipynb"))
                reason = f"sliders shown twice or not at all: {twice}" if twice else ""
            except subprocess.CalledProcessError as error:
                reason = error.stderr[-3000:]
        end = f"{'failed' if reason else 'ran'} in {time.perf_counter() - clock:.0f} s"
        why = f": {reason.strip().splitlines()[-1]}" if reason else ""
        print(f"  {path.stem}  {cells} cells  {end}{why}", flush=True)
        failed += [f"{path.name}:\n{reason}"] if reason else []
    if failed:
        sys.exit("\n\n".join(failed))


if __name__ == "__main__":
    main()
