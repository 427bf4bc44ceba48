"""Look at submissions before nbgrader does, and grade sheets: each in processes of its own.

    python -m tools.grading COURSE variational-autoencoders

goes through COURSE/submitted/STUDENT/PAGE/PAGE.ipynb: lost marks are restored, deleted checks put back, and
an answer that ends its process (`os._exit`, a crash) is set aside, so that it costs its own exercise
and not the whole submission. What a student handed in is kept in COURSE/received.
"""

import argparse
import ast
import copy
import difflib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from nbformat import NotebookNode

from tools.book import ROOT, read, write
from tools.classroom import has_tag, imports_anew, name_of

SECONDS, SECONDS_IN_ALL = 30, 600  # of the processor, for a cell; by the clock, for a whole submission
TOO_LONG = -getattr(signal, "SIGPROF", 1)  # the status of a process whose time was up
USUAL = {"belamy", "collections", "dataclasses", "functools", "itertools", "math", "matplotlib", "numpy", "pandas"}
USUAL |= {"random", "scipy", "seaborn", "sklearn", "torch", "torchvision", "typing", "IPython"}
UNUSUAL = {"exec", "eval", "compile", "__import__", "open", "globals", "vars", "setattr", "delattr", "breakpoint"}
INSIDE = {"reference", "mistakes", "terms"}  # what of a check gives its answer away
OTHERS = re.compile(r"check$|belamy$|__(?!init__|call__)")  # names that are not a student's to give
SET_ASIDE = 'raise NotImplementedError("set aside before grading: {reason}")'


def mark(cell: NotebookNode) -> str | None:
    """nbgrader's name of a cell."""
    return cell.metadata.get("nbgrader", {}).get("grade_id")


def repair(returned: NotebookNode, released: NotebookNode) -> tuple[NotebookNode, list[str]]:
    """A copy of the returned notebook in which each marked cell of the released one stands once.

    Marks that were lost (a notebook copied cell by cell) are found again: a cell with the released text is
    that cell, and of the others between two neighbours the most similar is the answer. What is not
    there at all is put back.

    Returns:
        The notebook, and a sentence for each thing that had to be mended.
    """
    notebook, told = copy.deepcopy(returned), []
    marked = {mark(cell): cell for cell in released.cells if mark(cell)}
    found: dict[str, NotebookNode] = {}
    for cell in notebook.cells:
        name = mark(cell)
        if name in marked and name not in found and cell.cell_type == marked[name].cell_type:
            found[name] = cell
        elif cell.metadata.pop("nbgrader", None):
            told.append(f"a second cell was marked {name}: it counts no more")
    lost = [name for name in marked if name not in found]
    for name in lost:
        same = (c for c in notebook.cells if not mark(c) and c.source.strip() == marked[name].source.strip())
        if cell := next(same, None):
            take_marks(cell, marked[name])
            found[name] = cell
    order, texts = list(marked), {cell.source for cell in released.cells}
    for name in lost:
        before = next((found[n] for n in reversed(order[: order.index(name)]) if n in found), None)
        start = notebook.cells.index(before) + 1 if before else 0
        if name not in found and (cell := most_similar(notebook.cells[start:], marked[name], texts)):
            take_marks(cell, marked[name])
            found[name] = cell
        elif name not in found:
            found[name] = copy.deepcopy(marked[name])
            notebook.cells.insert(start, found[name])
            told.append(f"{name} was deleted: put back")
    restored = len(lost) - sum("put back" in line for line in told)
    if restored:
        told.append(f"{restored} of {len(marked)} cells had lost their marks: restored")
    for name, cell in found.items():
        if has_tag(marked[name], "check") and cell.source != marked[name].source:
            told.append(f"{name} was rewritten: the released check counts")
        take_marks(cell, marked[name])
    return notebook, told


def is_locked(cell: NotebookNode) -> bool:
    return cell.metadata.get("nbgrader", {}).get("locked", False)


def take_marks(cell: NotebookNode, released: NotebookNode) -> None:
    marks = ("nbgrader", "exercise", "tags")
    cell.metadata.update({key: copy.deepcopy(released.metadata[key]) for key in marks if key in released.metadata})


def most_similar(cells: list[NotebookNode], released: NotebookNode, texts: set[str]) -> NotebookNode | None:
    """Of the unmarked cells before the next marked one, none of them released, that most like `released`."""
    between = []
    for cell in cells:
        if mark(cell):
            break
        between += [cell] if cell.cell_type == released.cell_type and cell.source not in texts else []
    likeness = lambda cell: difflib.SequenceMatcher(None, cell.source, released.source).ratio()
    return max(between, key=likeness, default=None)


@dataclass
class Outcome:
    """What became of one exercise: `passed` None means that a person has to look."""

    passed: bool | None = None
    reason: str = ""
    ended: bool = False  # its cells ended the process, or did not come to an end
    numbers: dict[str, float | None] = field(default_factory=dict)


def trial(notebook: NotebookNode, released: NotebookNode, asked: dict[str, list[str]] = {}) -> dict[str, Outcome]:
    """Run a repaired submission in a process of its own; where that dies, run the rest in another.

    The checks are the released ones, imported anew before each; so are the drawn numbers, but in a sheet that
    is another student's.

    Args:
        asked: for each exercise the functions whose number is wanted, where it ends and with its numbers set anew:
            other cells may use its names.
    """
    anew = imports_anew(released.cells)
    mine = notebook.metadata.get("belamy_sheet") == released.metadata.get("belamy_sheet")
    locked = [cell for cell in released.cells if is_locked(cell) and (mine or not has_tag(cell, "numbers"))]
    own = {mark(cell): cell.source for cell in locked}
    cells, name, preambles = [], None, {}
    for cell in notebook.cells:
        name = name_of(cell) or name  # a cell that the student added belongs to the exercise above it
        if cell.cell_type == "code" and not has_tag(cell, "setup"):  # a sheet carries a library: not the grader's
            check, source = has_tag(cell, "check"), own.get(mark(cell), cell.source)
            cells.append({"exercise": name, "role": "check" if check else "code", "source": anew * check + source})
            if has_tag(cell, "preamble"):
                preambles.setdefault(name, []).append(cells[-1])
    for name, functions in asked.items():
        end = 1 + max((k for k, cell in enumerate(cells) if cell["exercise"] == name), default=len(cells))
        wanted = [{"exercise": name, "role": "number", "source": function} for function in functions]
        cells[end:end] = [*preambles.get(name, []), *wanted]
    outcomes = {name: Outcome() for name in dict.fromkeys(cell["exercise"] for cell in cells) if name}
    while True:
        left = [cell for cell in cells if cell["exercise"] is None or not outcomes[cell["exercise"]].ended]
        reports, status = run(left)
        last = reports[-1].get("begins", "end") if reports else None
        if last == "end":
            break
        why = f"took longer than {SECONDS} s" if status == TOO_LONG else f"ended its process (status {status})"
        if last is None:  # in the cells before the first exercise
            return {name: Outcome(passed=False, reason=f"the first cells: {why}", ended=True) for name in outcomes}
        outcomes[last] = Outcome(passed=False, reason=why, ended=True)
    for report in reports:
        outcome = outcomes.get(report.get("exercise"))
        if outcome is None:
            continue
        if report["role"] == "check":
            outcome.passed, outcome.reason = report["reason"] is None, report["reason"] or ""
        elif report["role"] == "number":
            outcome.numbers[report["source"]] = report["number"]
        else:
            outcome.reason = outcome.reason or report["reason"] or ""
    return outcomes


def run(cells: list[dict]) -> tuple[list[dict], int]:
    """Run the cells in a new process and an empty folder: what it wrote down, and its status."""
    with tempfile.TemporaryDirectory() as folder:
        given, results = Path(folder) / "cells.json", Path(folder) / "results.jsonl"
        given.write_text(json.dumps(cells), encoding="utf-8")
        results.touch()
        environment = {**os.environ, "MPLBACKEND": "Agg", "TQDM_DISABLE": "1", "BELAMY_PROFILE": "cpu"}
        command = [sys.executable, str(ROOT / "tools" / "trial.py"), given.name, results.name, str(SECONDS)]
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        try:
            status = subprocess.run(command, cwd=folder, env=environment, timeout=SECONDS_IN_ALL, **quiet).returncode
        except subprocess.TimeoutExpired:
            status = TOO_LONG
        return [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()], status


def suspicions(notebook: NotebookNode) -> list[str]:
    """What in a student's cells an answer does not need: unusual imports and calls, another `check`."""
    found, imported = [], {"check"}
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        try:
            nodes = list(ast.walk(ast.parse(cell.source)))
        except SyntaxError:
            continue
        for node in nodes:
            if isinstance(node, ast.Import | ast.ImportFrom):
                imported |= {(name.asname or name.name).partition(".")[0] for name in node.names}
        if is_locked(cell):
            continue
        for node in nodes:
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [n.name for n in node.names]
                found += [f"imports {name}" for name in names if name.partition(".")[0] not in USUAL]
            elif isinstance(node, ast.Name) and node.id in UNUSUAL:
                found.append(f"uses {node.id}")
            elif isinstance(node, ast.Attribute):
                root, patched = ast.unparse(node).partition(".")[0], isinstance(node.ctx, ast.Store)
                hidden = node.attr.startswith("_") and node.attr not in ("__init__", "__call__") and root != "self"
                if hidden or (patched or node.attr in INSIDE) and root in imported:
                    found.append(f"touches {ast.unparse(node)}")
            elif isinstance(node, ast.FunctionDef | ast.ClassDef) and OTHERS.match(node.name):
                found.append(f"defines {node.name}")
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and OTHERS.match(node.id):
                found.append(f"binds {node.id}")
    return list(dict.fromkeys(found))


def look_at(course: Path, page: str, every: bool = False) -> dict[str, list[str]]:
    """Mend all submissions of a page in place; return what was found, student by student.

    Args:
        every: try each submission, not only the suspicious ones. It takes as long again as grading.
    """
    released, found = read(course / "release" / page / f"{page}.ipynb"), {}
    for path in sorted((course / "submitted").glob(f"*/{page}/{page}.ipynb")):
        who = path.parent.parent.name
        received = course / "received" / who / page / path.name
        if not received.exists():
            received.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, received)
        notebook, told = repair(read(received), released)
        doubts = suspicions(notebook)
        if doubts or every:
            for name, outcome in trial(notebook, released).items():
                if outcome.ended:
                    told.append(f"{name} {outcome.reason}: set aside, its points are lost")
                    for cell in notebook.cells:
                        if name_of(cell) == name and cell.cell_type == "code" and has_tag(cell, "starter"):
                            cell.source = SET_ASIDE.format(reason=outcome.reason)
        write(notebook, path)
        found[who] = told + [f"look at this one: {', '.join(doubts)}"] * bool(doubts)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("course", type=Path, help="nbgrader's folder of the course")
    parser.add_argument("page")
    parser.add_argument("--every", action="store_true", help="try each submission, not only suspicious ones")
    given = parser.parse_args()
    for who, lines in look_at(given.course, given.page, given.every).items():
        print(f"{who}: {'; '.join(lines) or 'nothing to mend'}")


if __name__ == "__main__":
    main()
