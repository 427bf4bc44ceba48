"""Recorded runs: what took long or needed a GPU, kept with everything needed to trust it.

A run is a folder ``data/runs/<name>/``: ``run.json`` (parameters, metrics, history, device,
versions, commit, seed, the data's name and checksum, precision, wall time, and size and sha256 of every other
file), weights as safetensors, pictures as PNG. Only ``make record`` and ``make sweep`` write there; what
the notebook showed on the way they keep in the notebook.
"""

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pandas as pd
import torch
from PIL import Image
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from belamy.data.cache import cache_dir
from belamy.errors import FileError, InputError, optional

FIELDS = ("name", "parameters", "metrics", "history", "device", "precision", "versions", "commit")
FIELDS += ("date", "seed", "data", "seconds", "files")
QUIET = ["--log-level=CRITICAL"]  # kernels tell of their transport, and of being shut down


def data_dir() -> Path:
    """The book's ``data`` folder: $BELAMY_DATA, else that of the checkout in which the library lies, or
    from which pip installed it.

    Raises:
        FileError: the book's data are not on this machine.
    """
    given = os.environ.get("BELAMY_DATA")
    if given:
        return Path(given)
    roots = [Path(__file__).resolve().parents[2]]
    try:  # pip writes down what it was given (PEP 610)
        origin = json.loads(distribution("belamy").read_text("direct_url.json") or "{}").get("url", "")
    except PackageNotFoundError:
        origin = ""
    if origin.startswith("file:"):
        roots.append(Path(url2pathname(urlsplit(origin).path)))
    for root in roots:
        if (root / "data" / "runs").is_dir():
            return root / "data"
    raise FileError(
        f"the book's data are not here: no data/runs in {' or '.join(map(str, roots))}. The library comes "
        "without them: set BELAMY_DATA to the folder 'data' of a checkout of the book, or install the "
        "library from one, pip install --no-deps PATH-OF-THE-BOOK, and leave it where it is"
    )


@dataclass(frozen=True)
class Run:
    """A recorded run whose files have been verified.

    Attributes:
        record: the contents of ``run.json``.
        folder: where its files are.
    """

    record: dict[str, Any]
    folder: Path = field(repr=False)

    @property
    def parameters(self) -> dict[str, Any]:
        return self.record["parameters"]

    @property
    def metrics(self) -> dict[str, Any]:
        return self.record["metrics"]

    def history(self) -> pd.DataFrame:
        """What the run logged, one row an epoch (or one row a cell of a sweep's grid)."""
        return pd.DataFrame(self.record["history"])

    def weights(self, file: str = "weights.safetensors") -> dict[str, torch.Tensor]:
        """A state dict of the run's nets, on the CPU in float32."""
        tensors = load_tensors((self.folder / file).read_bytes())
        return {n: t.float() if t.is_floating_point() else t for n, t in tensors.items()}

    def picture(self, name: str) -> Image.Image:
        """One of the run's pictures, by file name."""
        return Image.open(self.folder / name)

    def stamp(self) -> str:
        """One line on where the run comes from; a commit with a plus sign had been edited since."""
        r = self.record
        minutes, edited = r["seconds"] / 60, "+" * r["commit"].endswith("+")
        return (
            f"recorded {r['date']} at commit {r['commit'][:10]}{edited} on {r['device']}, "
            f"{r['precision']}, torch {r['versions']['torch']}, seed {r['seed']}, {minutes:.0f} min, "
            f"data {r['data']['name']} ({r['data']['checksum'][:10]})"
        )


def load(name: str) -> Run:
    """Load a recorded run after verifying its schema and every file's checksum.

    Raises:
        FileError: the book's data are not there, there is no such run, or a file is missing or differs
            from what was recorded.
    """
    folder = data_dir() / "runs" / name
    if not folder.parent.is_dir():
        raise FileError(
            f"the book's recorded runs are not there: no folder {folder.parent}. Set BELAMY_DATA to the "
            "folder 'data' of a checkout of the book"
        )
    try:
        record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        known = sorted(p.parent.name for p in folder.parent.glob("*/run.json"))
        raise FileError(
            f"no recorded run {name!r} in {folder.parent}; there are {known}. "
            f"Record it with: make record RUN={name}"
        ) from error
    except json.JSONDecodeError as error:
        raise FileError(f"{folder / 'run.json'} is damaged ({error}); restore it from git") from error
    if missing := [key for key in FIELDS if key not in record]:
        raise FileError(f"{folder / 'run.json'} lacks {missing}; record the run again")
    for file, expected in record["files"].items():
        path = folder / file
        if not path.is_file() or _sha256(path.read_bytes()) != expected["sha256"]:
            raise FileError(f"{path} is missing or changed since it was recorded; restore it from git")
    return Run(record, folder)


def write(
    name: str,
    *,
    parameters: dict[str, Any],
    metrics: dict[str, Any],
    history: pd.DataFrame,
    data: Any,
    seed: int,
    seconds: float,
    device: torch.device | str = "cpu",
    precision: str = "fp32",
    weights: dict[str, torch.Tensor] | None = None,
    pictures: dict[str, Image.Image] | None = None,
) -> Path:
    """Write a run's folder; called by the notebook that ``make record`` executes.

    Args:
        history: one row an epoch or a cell of a grid; numbers and strings only.
        data: an ImageSet, of which name and checksum are kept.
        precision: that of the training, "fp32" or "bf16".
        weights: stored in half precision.
        pictures: PNGs by file name.

    Raises:
        InputError: called outside ``make record`` and ``make sweep``.
    """
    commit = os.environ.get("BELAMY_RECORD")
    if not commit:
        raise InputError(f"no run is recorded by hand: use make record RUN={name}")
    folder = data_dir() / "runs" / name
    folder.mkdir(parents=True, exist_ok=True)
    files = {file: _png(picture) for file, picture in (pictures or {}).items()}
    if weights:
        half = {n: t.detach().cpu().contiguous() for n, t in weights.items()}
        half = {n: t.half() if t.is_floating_point() else t for n, t in half.items()}
        files["weights.safetensors"] = save_tensors(half)
    for file, payload in files.items():
        (folder / file).write_bytes(payload)
    record = {
        "name": name,
        "parameters": parameters,
        "metrics": metrics,
        "history": history.round(6).to_dict("records"),
        "device": device_name(device),
        "precision": precision,
        "versions": {"python": platform.python_version(), "torch": str(torch.__version__)},
        "commit": commit,
        "date": date.today().isoformat(),
        "seed": seed,
        "data": {"name": data.name, "checksum": data.checksum},
        "seconds": round(seconds, 1),
        "files": {f: {"sha256": _sha256(p), "bytes": len(p)} for f, p in sorted(files.items())},
    }
    (folder / "run.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return folder


def device_name(device: torch.device | str) -> str:
    """What a stamp calls the device: the GPU's name, or the CPU's threads."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{torch.device(device).type} ({torch.get_num_threads()} threads)"


def execute(notebook: Path, output: Path, parameters: dict[str, Any], threads: int | None = None):
    """Execute a notebook with papermill; the executed copy, with any traceback, goes to ``output``.

    Args:
        threads: CPU threads of the kernel; None leaves the choice to torch.
    """
    papermill = optional("papermill", "executing a notebook with other parameters")
    if os.path.expanduser("~") == "~":  # Jupyter starts no kernel for a user without home
        os.environ["HOME"] = str(cache_dir())
    output.parent.mkdir(parents=True, exist_ok=True)
    env = {"OMP_NUM_THREADS": str(threads)} if threads else {}
    before = {name: os.environ.get(name) for name in env}
    os.environ |= env
    try:
        papermill.execute_notebook(
            str(notebook), str(output), parameters=parameters, cwd=str(notebook.parent),
            progress_bar=False, kernel_name="python3", extra_arguments=QUIET,
        )  # fmt: skip
    finally:
        for key, value in before.items():
            os.environ.pop(key) if value is None else os.environ.update({key: value})


def keep_outputs(notebook: Path, executed: Path) -> None:
    """Store in a run's notebook what its executed copy shows, and with which parameters it ran."""
    nbformat = optional("nbformat", "keeping a notebook's outputs")
    code = lambda book: [cell for cell in book.cells if cell.cell_type == "code"]  # noqa: E731
    template, copy = (nbformat.read(path, as_version=4) for path in (notebook, executed))
    injected = [cell for cell in code(copy) if "injected-parameters" in cell.metadata.get("tags", [])]
    ran = [cell for cell in code(copy) if cell not in injected]
    for number, (cell, one) in enumerate(zip(code(template), ran, strict=True), start=1):
        cell.execution_count = number
        cell.outputs = [out for out in one.outputs if out.get("name") != "stderr"]
        for out in cell.outputs:
            if "execution_count" in out:
                out.execution_count = number
        if injected and "parameters" in cell.metadata.get("tags", []):
            lines = injected[0].source.splitlines()[1:]
            given = "; ".join(line for line in lines if not line.startswith("result ="))
            text = f"The outputs stored here were made with {given}\n"
            cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=text)]
    nbformat.write(template, notebook)


def notebook_of(name: str) -> Path:
    """The parameterised notebook that records the run of this name.

    Raises:
        FileError: there is none.
    """
    folder = data_dir().parent / "chapters" / "runs"
    path = folder / f"{name}.ipynb"
    if not path.is_file():
        raise FileError(f"no notebook {path}; RUN is one of {sorted(p.stem for p in folder.glob('*.ipynb'))}")
    return path


def commit() -> str:
    """The checkout's commit, with a plus sign where it has been changed since."""
    root = data_dir().parent
    run = lambda *args: subprocess.run(  # noqa: E731
        ["git", "-C", str(root), *args], capture_output=True, text=True, check=False
    ).stdout.strip()
    changed = run("status", "--porcelain", "--untracked-files=no", "--", "lib", "chapters")
    return (run("rev-parse", "HEAD") or "unknown") + ("+" if changed else "")


def main() -> None:
    """``python -m belamy.runs NAME --profile record-cpu``: record one run."""
    parser = argparse.ArgumentParser(description="record a run into data/runs/NAME")
    parser.add_argument("name")
    parser.add_argument("--profile", default="record-cpu", choices=["cpu", "record-cpu", "gpu"])
    arguments = parser.parse_args()
    notebook = notebook_of(arguments.name)
    os.environ["BELAMY_RECORD"] = commit()
    if arguments.profile != "gpu":
        os.environ["BELAMY_DEVICE"] = "cpu"  # for notebooks that leave the device to fit
    started = time.time()
    print(f"recording {arguments.name} with profile {arguments.profile} ...", flush=True)
    output = data_dir().parent / ".cache" / "runs" / f"{arguments.name}.ipynb"
    execute(notebook, output, {"profile": arguments.profile})
    keep_outputs(notebook, output)
    print(f"{arguments.name}: {time.time() - started:.0f} s -> {data_dir() / 'runs' / arguments.name}")


def _png(picture: Image.Image) -> bytes:
    import io

    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _sha256(payload: bytes) -> str:
    return hashlib.sha256(payload).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
