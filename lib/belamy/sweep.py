"""A grid of papermill runs: resumable, in parallel, gathered into one table.

Each cell of the grid executes a parameterised notebook in a kernel of its own. The notebook's last
cell hands its numbers to ``report``; they land in one JSON file named after a hash of (parameters,
code), so an interrupted sweep goes on with what is missing, and changed code starts afresh.
Kernels are processes, so threads are enough to run several; ``joblib.parallel_config`` sends the
same sweep to a cluster engine that joblib knows ("dask", say) without a change here.
"""

import argparse
import hashlib
import itertools
import json
import os
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from belamy import runs
from belamy.data.cache import cache_dir, writable
from belamy.errors import BelamyError, FileError, InputError, optional


class SweepError(BelamyError, RuntimeError):
    """Some cells of a sweep failed; the others are kept."""


def grid(**axes: Iterable[Any]) -> list[dict[str, Any]]:
    """All combinations of the axes' values: ``grid(q=[2, 8], seed=[0, 1])`` has four cells."""
    if not axes:
        raise InputError("a grid needs at least one axis, grid(seed=[0, 1]), say")
    return [dict(zip(axes, values)) for values in itertools.product(*axes.values())]


def report(path: str, **values: Any) -> None:
    """Called by the swept notebook: write its numbers to ``path``, unless that is empty."""
    if path:
        temporary = Path(f"{path}.part")
        temporary.write_text(json.dumps(values), encoding="utf-8")
        os.replace(temporary, path)


def run(
    notebook: str | Path, cells: list[Mapping[str, Any]], cache: str | Path | None = None, jobs: int = 2
) -> pd.DataFrame:
    """Execute the notebook for every cell that the cache lacks; return one row a cell.

    Args:
        notebook: has a ``parameters`` cell with the swept names and ``result = ""``.
        cache: folder of results and executed notebooks, by default one in $BELAMY_CACHE (else
            ~/.cache/belamy); where it cannot be written, a temporary folder takes its place.
        jobs: kernels at a time, one thread each.

    Raises:
        MissingPackage: papermill or joblib is not installed.
        SweepError: cells failed (their notebooks, with tracebacks, are kept); the rest is done.
    """
    from tqdm.auto import tqdm

    joblib, _ = (optional(package, "a sweep") for package in ("joblib", "papermill"))
    notebook = Path(notebook).resolve()
    cache = writable(Path(cache or cache_dir() / "sweeps" / notebook.stem).resolve())
    cache.mkdir(parents=True, exist_ok=True)
    names = [_key(notebook, cell) for cell in cells]
    missing = [(n, c) for n, c in zip(names, cells) if not (cache / f"{n}.json").exists()]
    # One-thread kernels, set once for all: threads of this process share its environment.
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        calls = (joblib.delayed(_execute)(notebook, cache, n, dict(c)) for n, c in missing)
        done = joblib.Parallel(n_jobs=jobs, prefer="threads", return_as="generator_unordered")(calls)
        hidden = "TQDM_DISABLE" in os.environ  # of which tqdm's notebook bar knows nothing
        failed = [f for f in tqdm(done, total=len(missing), desc=notebook.stem, disable=hidden) if f]
    finally:
        os.environ.pop("OMP_NUM_THREADS")
        if before is not None:
            os.environ["OMP_NUM_THREADS"] = before
    if failed:
        raise SweepError(f"{len(failed)} of {len(cells)} cells failed: {'; '.join(failed)}")
    results = [json.loads((cache / f"{name}.json").read_text(encoding="utf-8")) for name in names]
    return pd.DataFrame([{**cell, **result} for cell, result in zip(cells, results)])


def main() -> None:
    """``python -m belamy.sweep NOTEBOOK [--grid GRID] [--jobs N]``: run a notebook over a grid.

    NOTEBOOK is the name of one in ``chapters/runs``, whose table is recorded in ``data/runs``, or the
    path of any other, whose table is written beside its grid as CSV. GRID is a JSON file with the axes
    of one grid, or a list of several; by default NOTEBOOK's own, with the ending ``.grid.json``.
    """
    parser = argparse.ArgumentParser(description="run a notebook for every cell of a grid")
    parser.add_argument("notebook", help="a name in chapters/runs, or a path")
    parser.add_argument("--grid", type=Path)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="kernels at a time")
    arguments = parser.parse_args()
    recorded = not arguments.notebook.endswith(".ipynb")
    notebook = runs.notebook_of(arguments.notebook) if recorded else Path(arguments.notebook)
    grid_file = arguments.grid or notebook.with_suffix(".grid.json")
    cells = _cells(notebook, grid_file)
    cache = runs.data_dir().parent / ".cache" / "sweeps" / notebook.stem
    started = time.time()
    table = run(notebook, cells, cache, arguments.jobs)
    if recorded:
        where = _record(notebook.stem, cells, table, time.time() - started)
        runs.keep_outputs(notebook, cache / f"{_key(notebook, cells[0])}.ipynb")
    else:
        where = grid_file.with_name(f"{grid_file.name.removesuffix('.json').removesuffix('.grid')}.csv")
        table.to_csv(where, index=False)
    print(f"{notebook.stem}: {len(table)} cells -> {where}")


def _cells(notebook: Path, grid_file: Path) -> list[dict[str, Any]]:
    """All cells of the grids in a file."""
    for path in (notebook, grid_file):
        if not path.is_file():
            raise FileError(f"there is no {path}; give NOTEBOOK, and GRID if it is not beside it")
    grids = json.loads(grid_file.read_text(encoding="utf-8"))
    return [cell for axes in (grids if isinstance(grids, list) else [grids]) for cell in grid(**axes)]


def _record(name: str, cells: list[dict[str, Any]], table: pd.DataFrame, seconds: float) -> Path:
    """Keep the table as a recorded run."""
    axes = {axis: list(dict.fromkeys(cell[axis] for cell in cells)) for axis in cells[0]}
    os.environ["BELAMY_RECORD"] = runs.commit()
    first = table.iloc[0]
    return runs.write(
        name, parameters=axes, metrics={"cells": len(table)}, seed=0,
        seconds=float(table["seconds"].sum()) if "seconds" in table else seconds,
        history=table.drop(columns=["data", "checksum"]),
        data=argparse.Namespace(name=first["data"], checksum=first["checksum"]),
        precision=" and ".join(axes.get("precision", ["fp32"])),
    )  # fmt: skip


def _execute(notebook: Path, cache: Path, name: str, cell: dict[str, Any]) -> str:
    """Run one cell; return a sentence if it failed, else nothing."""
    output = cache / f"{name}.ipynb"
    try:
        runs.execute(notebook, output, {**cell, "result": str(cache / f"{name}.json")})
    except Exception as error:  # noqa: BLE001  a kernel can die in many ways; the others go on
        return f"{cell} ({type(error).__name__}: see {output})"
    if not (cache / f"{name}.json").exists():
        return f"{cell} (the notebook never called sweep.report: see {output})"
    return ""


def _key(notebook: Path, cell: Mapping[str, Any]) -> str:
    code = [
        "".join(c["source"])
        for c in json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        if c["cell_type"] == "code"
    ]
    library = [path.read_text(encoding="utf-8") for path in sorted(Path(__file__).parent.rglob("*.py"))]
    text = json.dumps([dict(sorted(cell.items())), code, library])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


if __name__ == "__main__":
    sys.exit(main())
