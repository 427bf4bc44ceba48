"""A grid of papermill runs: resumable, in parallel, gathered into one table.

Each cell of the grid executes a parameterised notebook in a kernel of its own. The notebook's last
cell hands its numbers to ``report``; they land in one JSON file named after a hash of all that made
them, so an interrupted sweep goes on with what is missing, and changed code starts afresh.

What made them is: the cell's parameters, the notebook's code and folder, the library, Python and torch,
and the files that the notebook's code or the cell names (in an import or a text; of a cell, paths
relative to the notebook). So let a notebook write its files elsewhere: one that it names and changes
makes all cells run again.

Kernels are processes, so threads are enough to run several; ``joblib.parallel_config`` sends the
same sweep to a cluster engine that joblib knows ("dask", say) without a change here.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import itertools
import json
import os
import platform
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from belamy import runs
from belamy._checks import whole_number
from belamy._notebooks import code_cells, named_files, parameters
from belamy._progress import bar
from belamy.data.cache import cache_dir, writable
from belamy.errors import BelamyError, FileError, InputError, MissingPackage, optional

if TYPE_CHECKING:
    import pandas as pd

TRIALS = 3  # cells; if all of them fail, so would the rest
QUIET = ["--log-level=CRITICAL"]  # kernels tell of their transport, and of being shut down


class SweepError(BelamyError, RuntimeError):
    """Some cells of a sweep failed; the others are kept."""


def grid(**axes: Iterable[Any]) -> list[dict[str, Any]]:
    """All combinations of the axes' values: ``grid(q=[2, 8], seed=[0, 1])`` has four cells.

    Args:
        axes: lists, ranges or arrays of numbers, texts, or lists and dicts of them.

    Raises:
        InputError: no axis; one that is no list or is empty; a value that a notebook cannot be given.
    """
    if not axes:
        raise InputError("a grid needs at least one axis, grid(seed=[0, 1]), say")
    values = {}
    for axis, given in axes.items():
        if isinstance(given, str | bytes | Mapping) or not hasattr(given, "__iter__"):
            raise InputError(f"the axis {axis}={given!r} must be a list of values")
        try:
            values[axis] = runs.plain(list(given), axis)
        except TypeError as error:  # an array of no dimensions
            raise InputError(f"the axis {axis}={given!r} must be a list of values") from error
        if not values[axis]:
            raise InputError(f"the axis {axis}={given!r} has no values")
    return [dict(zip(values, combination)) for combination in itertools.product(*values.values())]


def read_grid(path: Path) -> list[dict[str, Any]]:
    """All cells of a JSON file that holds the axes of one grid, ``{"q": [2, 8]}``, or a list of several.

    Raises:
        FileError: there is no such file, or something else is in it.
    """
    if not path.is_file():
        raise FileError(f"there is no {path}; give NOTEBOOK, and GRID if it is not beside it")
    try:
        grids = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise FileError(f"{path} is no JSON that can be read ({error})") from error
    grids = grids if isinstance(grids, list) else [grids]
    if not grids or not all(isinstance(axes, dict) for axes in grids):
        raise FileError(
            f'{path} holds no grid; expected {{"q": [2, 8], "seed": [0, 1]}}, say, or a list of such'
        )
    try:
        return [cell for axes in grids for cell in grid(**axes)]
    except InputError as error:
        raise FileError(f"{path}: {error}") from error


def report(path: str | Path, /, **values: Any) -> None:
    """Called by the swept notebook: write its numbers to ``path``, unless that is empty.

    Args:
        values: numbers (of Python, NumPy or torch), texts, and lists and dicts of them.

    Raises:
        InputError: a value is something else; said when the notebook is run by hand, too.
    """
    text = json.dumps({name: runs.plain(value, name) for name, value in values.items()})
    if path:
        temporary = Path(f"{path}.part")
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)


def run(
    notebook: str | Path,
    cells: Iterable[Mapping[str, Any]],
    cache: str | Path | None = None,
    jobs: int = 2,
) -> pd.DataFrame:
    """Execute the notebook for every cell that the cache lacks; return one row a cell.

    Args:
        notebook: has a ``parameters`` cell with the swept names and ``result = ""``.
        cells: parameters by name, as of ``grid``.
        cache: folder of results and executed notebooks, by default one in $BELAMY_CACHE (else
            ~/.cache/belamy); where it cannot be written, a temporary folder takes its place.
        jobs: kernels at a time, one thread each.

    Returns:
        A cell's parameters and results a row; ``.attrs["executed"]`` are the executed notebooks' paths.

    Raises:
        InputError: no cells; one that sets what the ``parameters`` cell does not; jobs below 1.
        FileError: no such notebook; one without a ``parameters`` cell; the cache cannot be written.
        MissingPackage: joblib is not installed, or neither papermill nor nbclient.
        SweepError: cells failed (their notebooks, with tracebacks, are kept); the rest is done, unless
            the first three all failed.
    """
    import pandas as pd

    # Whatever can be wrong is found out before the first kernel starts.
    notebook = Path(notebook).expanduser().resolve()
    jobs = whole_number("jobs", jobs, 1)
    if isinstance(cells, str | Mapping) or not hasattr(cells, "__iter__"):
        raise InputError(
            f"cells is a {type(cells).__name__}; expected a list of dicts, grid(seed=[0, 1]), say"
        )
    cells = list(cells)
    if not cells:
        raise InputError("cells is empty; expected a list of dicts, grid(seed=[0, 1]), say")
    known = parameters(notebook)
    if "result" not in known:
        raise FileError(
            f'the parameters cell of {notebook} lacks result = "", which sweep.report is given'
        )
    for cell in cells:
        if not isinstance(cell, Mapping):
            raise InputError(f"the cell {cell!r} must be a dict of parameters by name")
        if unknown := [name for name in cell if name not in known or name == "result"]:
            free = [name for name in known if name != "result"]
            raise InputError(f"{unknown} cannot be swept: the parameters cell of {notebook} sets {free}")
    cells = [{name: runs.plain(value, name) for name, value in cell.items()} for cell in cells]
    joblib = optional("joblib", "a sweep")
    if not any(map(importlib.util.find_spec, ("papermill", "nbclient"))):
        optional("papermill", "a sweep")
    cache = writable(Path(cache or cache_dir() / "sweeps" / notebook.stem).expanduser().resolve())
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"the cache {cache} cannot be written ({error}); name another folder") from error

    names = _keys(notebook, cells, cache)
    missing = list({n: c for n, c in zip(names, cells) if _result(cache, n) is None}.items())
    first, tried, failed = max(TRIALS, jobs), 0, []

    def faults() -> Iterator[str | None]:
        for part in (missing[:first], missing[first:]):
            if len(failed) < first:  # what ails all of the first ails the others
                calls = (joblib.delayed(_execute)(notebook, cache, n, c) for n, c in part)
                yield from joblib.Parallel(jobs, prefer="threads", return_as="generator_unordered")(calls)

    # One-thread kernels, set once for all: threads of this process share its environment.
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        for tried, fault in enumerate(bar(faults(), total=len(missing), desc=notebook.stem), 1):
            failed += [fault] if fault else []
    finally:
        os.environ.pop("OMP_NUM_THREADS")
        if before is not None:
            os.environ["OMP_NUM_THREADS"] = before
    if tried < len(missing):
        failed[-1] += f"; since the first {tried} all did, {len(missing) - tried} were not tried"
    if failed:
        raise SweepError(f"{len(failed)} of {len(cells)} cells failed: {'; '.join(failed)}")
    table = pd.DataFrame([{**cell, **_result(cache, name)} for cell, name in zip(cells, names)])
    table.attrs["executed"] = [cache / f"{name}.ipynb" for name in names]
    return table


def execute(notebook: str | Path, output: str | Path, parameters: Mapping[str, Any]) -> None:
    """Execute a notebook with papermill; the executed copy, with any traceback, goes to ``output``.

    Colab has no papermill, but what papermill stands on: there, that alone does it.

    Raises:
        MissingPackage: neither papermill nor nbclient is installed.
    """
    notebook, output, parameters = Path(notebook), Path(output), dict(parameters)
    if os.path.expanduser("~") == "~":  # Jupyter starts no kernel for a user without home
        os.environ["HOME"] = str(cache_dir())
    output.parent.mkdir(parents=True, exist_ok=True)
    try:
        papermill = optional("papermill", "executing a notebook with other parameters")
    except MissingPackage as missing:
        try:
            import nbclient
            import nbformat
        except ModuleNotFoundError:
            raise missing from None
        book = nbformat.read(notebook, as_version=4)
        (place,) = (n for n, cell in enumerate(book.cells) if "parameters" in cell.metadata.get("tags", []))
        given = f"import json\nglobals().update(json.loads({json.dumps(parameters)!r}))"
        book.cells.insert(place + 1, nbformat.v4.new_code_cell(given))
        where = {"metadata": {"path": str(notebook.parent)}}
        client = nbclient.NotebookClient(
            book, timeout=None, kernel_name="python3", resources=where, extra_arguments=QUIET
        )
        try:
            client.execute()
        finally:
            nbformat.write(book, output)
        return
    papermill.execute_notebook(
        str(notebook), str(output), parameters=parameters, cwd=str(notebook.parent),
        progress_bar=False, kernel_name="python3", extra_arguments=QUIET,
    )  # fmt: skip


def main() -> None:
    """``python -m belamy.sweep NOTEBOOK [--grid GRID] [--jobs N]``: run a notebook over a grid.

    The table is written beside the grid, as CSV. GRID is a JSON file with the axes of one grid, or a
    list of several; by default NOTEBOOK's own, with the ending ``.grid.json``.
    """
    parser = argparse.ArgumentParser(description="run a notebook for every cell of a grid")
    parser.add_argument("notebook", type=Path)
    parser.add_argument("--grid", type=Path)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="kernels at a time")
    arguments = parser.parse_args()
    notebook, grid_file = (
        arguments.notebook,
        arguments.grid or arguments.notebook.with_suffix(".grid.json"),
    )
    cells = read_grid(grid_file)
    table = run(
        notebook, cells, runs.data_dir().parent / ".cache" / "sweeps" / notebook.stem, arguments.jobs
    )
    where = grid_file.with_name(f"{grid_file.name.removesuffix('.json').removesuffix('.grid')}.csv")
    table.to_csv(where, index=False)
    print(f"{notebook.stem}: {len(table)} cells -> {where}")


def _keys(notebook: Path, cells: list[dict[str, Any]], cache: Path) -> list[str]:
    """For every cell, a hash of all that makes its results."""
    code = [cell["source"] for cell in code_cells(notebook)]
    library = Path(__file__).parent
    common = json.dumps([
        platform.python_version(),
        str(torch.__version__),
        [path.read_text(encoding="utf-8") for path in sorted(library.rglob("*.py"))],
        str(notebook.parent),
        code,
        named_files(notebook.parent, code, [], cache),
    ])  # fmt: skip
    common = hashlib.sha256(common.encode()).hexdigest()
    keys = []
    for cell in cells:
        texts, values = [], list(cell.values())
        while values:
            value = values.pop()
            if isinstance(value, dict | list):
                values += value.values() if isinstance(value, dict) else value
            # An absolute path may as well be where the notebook writes.
            elif isinstance(value, str) and not os.path.isabs(value):
                texts.append(value)
        made_of = [common, dict(sorted(cell.items())), named_files(notebook.parent, [], texts, cache)]
        keys.append(hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:16])
    return keys


def _result(cache: Path, name: str) -> dict[str, Any] | None:
    """What a cell reported; None where it did not yet, or the file is damaged."""
    try:
        values = json.loads((cache / f"{name}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return values if isinstance(values, dict) else None


def _execute(notebook: Path, cache: Path, name: str, cell: dict[str, Any]) -> str:
    """Run one cell; return a sentence if it failed, else nothing."""
    output = cache / f"{name}.ipynb"
    try:
        execute(notebook, output, {**cell, "result": str(cache / f"{name}.json")})
    except Exception as error:  # noqa: BLE001  a kernel can die in many ways; the others go on
        return f"{cell} ({type(error).__name__}: see {output})"
    if _result(cache, name) is None:
        return f"{cell} (the notebook never called sweep.report: see {output})"
    return ""


if __name__ == "__main__":
    try:
        main()
    except BelamyError as error:
        sys.exit(f"\n{error}")
