"""Record runs and sweeps into ``data/runs``: ``make record RUN=name`` and ``make sweep RUN=name``.

The library's ``runs`` writes a record, its ``sweep`` executes notebooks; here stands what only a
checkout has: the notebooks of ``chapters/runs``, whose outputs are stored, and the commit.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import nbformat
import torch

from belamy import runs, sweep
from belamy._notebooks import parameters
from belamy.errors import BelamyError, InputError
from tools.book import code_cells, code_of, read, write

PROFILES = ("cpu", "record-cpu", "gpu")


def record(name: str, profile: str = "record-cpu") -> Path:
    """Execute the notebook that records the run of this name; return the run's folder.

    Raises:
        FileError: there is no such notebook.
        InputError: it is that of a sweep.
    """
    notebook = runs.notebook_of(name)
    if "result" in parameters(notebook):
        raise InputError(f"{name} is a sweep: use make sweep RUN={name}")
    os.environ["BELAMY_RECORD"] = commit()
    if profile != "gpu":
        os.environ["BELAMY_DEVICE"] = "cpu"  # for notebooks that leave the device to fit
    output = runs.data_dir().parent / ".cache" / "runs" / f"{name}.ipynb"
    sweep.execute(notebook, output, {"profile": profile})
    keep_outputs(notebook, output)
    return runs.data_dir() / "runs" / name


def record_sweep(name: str, grid_file: Path | None = None, jobs: int = 1) -> tuple[Path, int]:
    """Run the sweep of this name, record its table; return the run's folder and the number of cells.

    Args:
        grid_file: by default ``chapters/runs/<name>.grid.json``.
        jobs: kernels at a time.

    Raises:
        FileError: there is no such notebook or grid.
        InputError: its cells do not report ``data`` and ``checksum``; their results stay in the cache.
        SweepError: cells failed; the others are kept.
    """
    notebook, started = runs.notebook_of(name), time.time()
    cells = sweep.read_grid(grid_file or notebook.with_suffix(".grid.json"))
    defaults, sha = parameters(notebook), commit()
    code = code_of(read(notebook))  # found out before hours are spent
    if lacking := [word for word in ("checksum", "data") if not re.search(rf"\b{word}\b *[=\"':]", code)]:
        raise InputError(f"{notebook} must report {lacking}, too: sweep.report(result, data=..., ...)")
    table = sweep.run(notebook, cells, runs.data_dir().parent / ".cache" / "sweeps" / name, jobs)
    if lacking := {"data", "checksum"} - set(table.columns):
        raise InputError(
            f"{notebook} must report {sorted(lacking)}, too: sweep.report(result, data=..., ...)"
        )
    # What ran: every value of an axis once (told apart by its text, as lists have no hash).
    # A seed or a precision that no axis names is the notebook's own.
    ran: dict[str, list[Any]] = {
        axis: list({repr(cell[axis]): cell[axis] for cell in cells if axis in cell}.values())
        for axis in dict.fromkeys(axis for cell in cells for axis in cell)
    }
    ran |= {own: [defaults[own]] for own in ("seed", "precision") if own in defaults and own not in ran}
    torch.set_num_threads(1)  # as in the kernels, for the stamp
    os.environ["BELAMY_RECORD"] = sha
    names, checksums = (" and ".join(table[of].astype(str).unique()) for of in ("data", "checksum"))
    folder = runs.write(
        name,
        parameters=ran,
        metrics={"cells": len(table)},
        history=table.drop(columns=["data", "checksum"]),
        data=argparse.Namespace(name=names, checksum=checksums),
        seed=ran.get("seed"),
        seconds=table["seconds"].sum() if "seconds" in table else time.time() - started,
        precision=" and ".join(map(str, ran.get("precision", ["fp32"]))),
    )
    keep_outputs(notebook, table.attrs["executed"][0])
    return folder, len(table)


def keep_outputs(notebook: Path, executed: Path) -> None:
    """Store in a run's notebook what its executed copy shows, and with which parameters it ran."""
    template, copy = read(notebook), code_cells(read(executed))
    injected = [cell for cell in copy if "injected-parameters" in cell.metadata.get("tags", [])]
    ran = [cell for cell in copy if cell not in injected]
    for number, (cell, one) in enumerate(zip(code_cells(template), ran, strict=True), start=1):
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
    write(template, notebook)


def commit() -> str:
    """The checkout's commit, with a plus sign where library or notebooks have been changed since."""
    git = ["git", "-C", str(runs.data_dir().parent)]
    asked = {"capture_output": True, "encoding": "utf-8", "check": False}
    changed = ["status", "--porcelain", "--untracked-files=no", "--", "lib", "chapters"]
    try:
        edited = subprocess.run([*git, *changed], **asked).stdout.strip()
        return (
            subprocess.run([*git, "rev-parse", "HEAD"], **asked).stdout.strip() or "unknown"
        ) + "+" * bool(edited)
    except FileNotFoundError:  # no git on this machine
        return "unknown"


def main() -> None:
    """``python -m tools.record run NAME`` or ``python -m tools.record sweep NAME``."""
    parser = argparse.ArgumentParser(
        description="record a run, or the table of a sweep, into data/runs/NAME"
    )
    commands = parser.add_subparsers(dest="command", required=True)
    one, many = commands.add_parser("run"), commands.add_parser("sweep")
    for command in (one, many):
        command.add_argument("name", help="a notebook in chapters/runs")
    one.add_argument("--profile", default="record-cpu", choices=PROFILES)
    many.add_argument("--grid", type=Path, help="by default chapters/runs/NAME.grid.json")
    many.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="kernels at a time")
    given = parser.parse_args()
    if given.command == "sweep":
        folder, count = record_sweep(given.name, given.grid, given.jobs)
        print(f"{given.name}: {count} cells -> {folder}")
        return
    started = time.time()
    print(f"recording {given.name} with profile {given.profile} ...", flush=True)
    folder = record(given.name, given.profile)
    print(f"{given.name}: {time.time() - started:.0f} s -> {folder}")


if __name__ == "__main__":
    try:
        main()
    except BelamyError as error:
        sys.exit(f"\n{error}")
