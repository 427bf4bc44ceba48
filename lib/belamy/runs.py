"""Recorded runs: what took long or needed a GPU, kept with everything needed to trust it.

A run is a folder ``data/runs/<name>/``: ``run.json`` (parameters, metrics, history, device,
versions, commit, seed, the data's name and checksum, precision, wall time, size and sha256 of every
other file, and a digest of all this), weights as safetensors, pictures as PNG. Only ``make record``
and ``make sweep`` write there; what the notebook showed on the way they keep in the notebook.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import PackageNotFoundError, distribution
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import torch
from PIL import Image
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from belamy.errors import FileError, InputError

if TYPE_CHECKING:  # it takes as long to import as all the rest: only who asks for a frame waits for it
    import pandas as pd

FIELDS = ("name", "parameters", "metrics", "history", "device", "precision", "versions", "commit")
FIELDS += ("date", "seed", "data", "seconds", "files", "digest")
FILE_NAME = re.compile(r"\w[\w. -]*")  # of a run and of its files: no path, nothing hidden


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
        import pandas as pd

        return pd.DataFrame(self.record["history"])

    def weights(self, file: str = "weights.safetensors") -> dict[str, torch.Tensor]:
        """A state dict of the run's nets, on the CPU in float32.

        Raises:
            FileError: the run has no such file, or no tensors are in it.
        """
        payload = self._read(file)
        try:
            tensors = load_tensors(payload)
        except Exception as error:  # safetensors' own, which share no class with others
            raise FileError(f"{self.folder / file} holds no weights ({error})") from error
        return {n: t.float() if t.is_floating_point() else t for n, t in tensors.items()}

    def picture(self, name: str) -> Image.Image:
        """One of the run's pictures, by file name.

        Raises:
            FileError: the run has no such file, or it is no picture.
        """
        payload = self._read(name)
        try:
            return Image.open(io.BytesIO(payload))
        except OSError as error:
            raise FileError(f"{self.folder / name} is no picture ({error})") from error

    def stamp(self) -> str:
        """One line on where the run comes from; a commit with a plus sign had been edited since."""
        r = self.record
        device = r["device"].replace("(1 threads)", "(1 thread)")  # so it stands in older records
        minutes, edited = r["seconds"] / 60, "+" * r["commit"].endswith("+")
        seed = r["seed"]
        if r["metrics"].keys() == {"cells"}:
            # A sweep. Its parameters tell which seeds ran; old records say seed 0 whatever ran.
            seed = r["parameters"].get("seed")
        seeds = seed if isinstance(seed, list) else [seed]
        if seeds == [None]:
            told = "seeds as in its notebook"
        elif len(seeds) > 10:
            told = f"{len(seeds)} seeds from {min(seeds)} to {max(seeds)}"
        else:
            told = f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"
        return (
            f"recorded {r['date']} at commit {r['commit'][:10]}{edited} on {device}, "
            f"{r['precision']}, torch {r['versions']['torch']}, {told}, {minutes:.0f} min, "
            f"data {r['data']['name']} ({r['data']['checksum'][:10]})"
        )

    def _read(self, file: str) -> bytes:
        """The contents of one of the run's files."""
        if file not in self.record["files"]:
            there = sorted(self.record["files"])
            raise FileError(f"the run {self.record['name']!r} has no file {file!r}; it has {there}")
        try:
            return (self.folder / file).read_bytes()
        except OSError as error:
            raise FileError(
                f"{self.folder / file} cannot be read ({error}); restore it from git"
            ) from error


def load(name: str) -> Run:
    """Load a recorded run after verifying that neither its record nor its files changed.

    Raises:
        InputError: what is given is no name.
        FileError: the book's data are not there; there is no such run; its record is damaged or was
            edited; or a file is missing, differs from what was recorded, or was not recorded.
    """
    folder = _folder(name)
    if not folder.parent.is_dir():
        raise FileError(
            f"the book's recorded runs are not there: no folder {folder.parent}. Set BELAMY_DATA to the "
            "folder 'data' of a checkout of the book"
        )
    # A recording that was killed between its two renames has put the old run aside (see `write`).
    aside = folder.with_name(f".{name}.old")
    if not folder.exists() and aside.exists():
        folder = aside
    path = folder / "run.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        known = sorted(p.parent.name for p in folder.parent.glob("*/run.json"))
        raise FileError(
            f"no recorded run {name!r} in {folder.parent}; there are {known}. "
            f"Record it with: make record RUN={name}"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise FileError(f"{path} is damaged ({error}); restore it from git") from error
    if not isinstance(record, dict):
        raise FileError(f"{path} is damaged (it holds no object); restore it from git")
    if missing := [key for key in FIELDS if key not in record]:
        raise FileError(f"{path} lacks {missing}; record the run again")
    if record["digest"] != record_digest(record) or record["name"] != name:
        raise FileError(f"{path} was edited since it was recorded; restore it from git")
    # What the record says is from here on what `write` once said: it needs no further check.
    for file, expected in record["files"].items():
        try:
            found = hashlib.sha256((folder / file).read_bytes()).hexdigest()
        except OSError:
            found = ""
        if found != expected["sha256"]:
            raise FileError(
                f"{folder / file} is missing or changed since it was recorded; restore it from git"
            )
    there = {
        p.name for p in folder.iterdir() if not p.name.startswith(".")
    }  # not .DS_Store and the like
    if unknown := sorted(there - {"run.json", *record["files"]}):
        raise FileError(f"{folder} holds {unknown}, which the run did not record; move it elsewhere")
    return Run(record, folder)


def write(
    name: str,
    *,
    parameters: dict[str, Any],
    metrics: dict[str, Any],
    history: pd.DataFrame,
    data: Any,
    seed: int | Sequence[int] | None,
    seconds: float,
    device: torch.device | str = "cpu",
    precision: str = "fp32",
    weights: dict[str, torch.Tensor] | None = None,
    pictures: dict[str, Image.Image] | None = None,
) -> Path:
    """Write a run's folder; called by the notebook that ``make record`` executes.

    Whenever this is interrupted, ``load`` finds the run as it was before, or the whole new one.

    Args:
        parameters: numbers (of Python, NumPy or torch), texts, and lists and dicts of them.
        metrics: the same.
        history: one row an epoch or a cell of a grid; kept to six digits, after the point or
            significant, whichever are more.
        data: an ImageSet, of which name and checksum are kept.
        seed: a list for a sweep over seeds; None where the notebook alone knows.
        precision: that of the training, "fp32" or "bf16".
        weights: stored in half precision, where that holds their values.
        pictures: PNGs by file name.

    Raises:
        InputError: called outside ``make record`` and ``make sweep``, or with what cannot be kept.
        FileError: the folder cannot be written; the old run is as it was.
    """
    import pandas as pd

    commit = os.environ.get("BELAMY_RECORD")
    if not commit:
        raise InputError(f"no run is recorded by hand: use make record RUN={name}")
    folder = _folder(name)
    if not isinstance(history, pd.DataFrame):
        raise InputError(f"history is a {type(history).__name__}; expected a DataFrame, a row an epoch")
    if not all(isinstance(getattr(data, part, None), str) for part in ("name", "checksum")):
        raise InputError(
            f"data is a {type(data).__name__}; expected an ImageSet, with name and checksum"
        )
    kept_seed = plain(seed, "seed")
    for one in kept_seed if isinstance(kept_seed, list) else [kept_seed]:
        if one is not None and type(one) is not int:
            raise InputError(f"seed={one!r} must be a whole number")
    duration = plain(seconds, "seconds")
    if type(duration) not in (int, float):
        raise InputError(f"seconds={seconds!r} must be a number")

    # All is made in memory first, so that what cannot be kept is refused before a file is touched.
    files = {}
    for file, picture in (pictures or {}).items():
        if not FILE_NAME.fullmatch(file) or file in ("run.json", "weights.safetensors"):
            raise InputError(f"{file!r} cannot name a picture; expected 'samples.png', say")
        if not isinstance(picture, Image.Image):
            raise InputError(f"pictures[{file!r}] is a {type(picture).__name__}; expected a PIL image")
        buffer = io.BytesIO()
        picture.save(buffer, "PNG", optimize=True)
        files[file] = buffer.getvalue()
    if weights:
        kept = {}
        for n, t in weights.items():
            t = t.detach().cpu()
            half = t.half() if t.is_floating_point() else t
            if half.isinf().any() and not t.isinf().any():  # beyond 65,504
                half = t
            kept[n] = half.clone(
                memory_format=torch.contiguous_format
            )  # of its own, if weights are tied
        files["weights.safetensors"] = save_tensors(kept)
    rows = plain(history.to_dict("records"), "history")
    for row in rows:
        for key, value in row.items():
            if isinstance(value, float):
                row[key] = float(f"{value:.6g}") if abs(value) < 1 else round(value, 6)
    record = {
        "name": name,
        "parameters": plain(parameters, "parameters"),
        "metrics": plain(metrics, "metrics"),
        "history": rows,
        "device": device_name(device),
        "precision": str(precision),
        "versions": {"python": platform.python_version(), "torch": str(torch.__version__)},
        "commit": commit,
        "date": date.today().isoformat(),
        "seed": kept_seed,
        "data": {"name": data.name, "checksum": data.checksum},
        "seconds": round(float(duration), 1),
        "files": {
            f: {"sha256": hashlib.sha256(p).hexdigest(), "bytes": len(p)}
            for f, p in sorted(files.items())
        },
    }
    record["digest"] = record_digest(record)
    files["run.json"] = (json.dumps(record, indent=1) + "\n").encode()

    # Two folders cannot be swapped in one step on every system. So the new run is written whole beside
    # the old one, which is put aside, and removed only when the new one is in its place. Between the two
    # renames `load` reads the old one where it was put.
    new, old = folder.with_name(f".{name}.new"), folder.with_name(f".{name}.old")
    try:
        shutil.rmtree(new, ignore_errors=True)
        if old.exists():  # an earlier recording was killed: between its renames, or later
            shutil.rmtree(old) if folder.exists() else os.rename(old, folder)
        new.mkdir(parents=True)
        for file, payload in files.items():
            (new / file).write_bytes(payload)
        if folder.exists():
            os.rename(folder, old)
        os.rename(new, folder)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise FileError(
            f"{folder} cannot be written ({error}); what was recorded before is kept"
        ) from error
    return folder


def plain(value: Any, where: str) -> Any:
    """The value in JSON's own types: numbers of NumPy and torch become Python's, tuples become lists.

    Args:
        where: what to call it if it is refused, ``"parameters"``, say.

    Raises:
        InputError: it is, or holds, something else than numbers, texts, lists and dicts.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, Mapping):
        return {str(key): plain(one, f"{where}[{key!r}]") for key, one in value.items()}
    if isinstance(value, list | tuple | range):
        return [plain(one, f"{where}[{index}]") for index, one in enumerate(value)]
    if hasattr(value, "tolist"):  # arrays, tensors and series, and NumPy's bool
        return plain(value.tolist(), where)
    raise InputError(
        f"{where} is a {type(value).__name__}; expected numbers, texts, and lists and dicts of them"
    )


def record_digest(record: dict[str, Any]) -> str:
    """Sha256 of all that a record says besides its digest: what was edited by hand shows."""
    content = {key: value for key, value in record.items() if key != "digest"}
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def device_name(device: torch.device | str) -> str:
    """What a stamp calls the device: the GPU's name, or the CPU's threads."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{torch.device(device).type} ({threads} thread{'s' * (threads != 1)})"


def notebook_of(name: str) -> Path:
    """The parameterised notebook that records the run of this name.

    Raises:
        FileError: there is none.
    """
    folder = data_dir().parent / "chapters" / "runs"
    path = folder / f"{name}.ipynb"
    if not path.is_file():
        raise FileError(
            f"no notebook {path}; RUN is one of {sorted(p.stem for p in folder.glob('*.ipynb'))}"
        )
    return path


def _folder(name: str) -> Path:
    """Where the run of this name is kept."""
    if not isinstance(name, str) or not FILE_NAME.fullmatch(name):
        raise InputError(f"{name!r} is no name of a run; expected 'vae-portraits', say")
    return data_dir() / "runs" / name
