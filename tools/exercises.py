"""Pages of exercises: what the builder makes of their cells, and a quick trial of one page.

The source of a page is a plain notebook, exercises/PAGE.ipynb, whose cells say by tags what they are:
statement, preamble, starter, expected, solution, check. nbgrader's environment, which may lack all that the
book computes with, imports this module, too.
"""

import argparse
import ast
import builtins
import copy
import re
import runpy
import symtable
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from tools.book import ROOT, BookError, read

ROLES = ("statement", "preamble", "starter", "expected", "solution", "check")
LEVELS = {1: "to begin with", 2: "the core", 3: "to go further"}
KINDS = {
    "code": "code, checked at once",
    "hand": "with pen and paper",
    "experiment": "an experiment",
    "project": "a project",
}
PLACE = re.compile(r"\{\{(\w+)\}\}")


def role(cell: NotebookNode) -> str | None:
    """Which part of an exercise a cell is; None outside of exercises."""
    return next((tag for tag in cell.metadata.get("tags", []) if tag in ROLES), None)


def groups(notebook: NotebookNode) -> dict[str, list[NotebookNode]]:
    """The cells of each exercise by its name, in order."""
    found: dict[str, list[NotebookNode]] = {}
    for cell in notebook.cells:
        if "exercise" in cell.metadata:
            found.setdefault(cell.metadata.exercise["name"], []).append(cell)
    return found


def described(cells: list[NotebookNode]) -> dict:
    """The exercise's title, level, kind, points and minutes: the statement's metadata."""
    return dict(cells[0].metadata.exercise)


def statements(notebook: NotebookNode) -> dict[str, dict]:
    """What each exercise says of itself, by its name, in order."""
    return {name: described(cells) for name, cells in groups(notebook).items()}


def name_of(cell: NotebookNode) -> str | None:
    """The name of the exercise that a cell belongs to; None of the cells around them."""
    return cell.metadata.get("exercise", {}).get("name")


def has_tag(cell: NotebookNode, tag: str) -> bool:
    return tag in cell.metadata.get("tags", [])


# --- numbers of one's own --------------------------------------------------------------------------


def numbers_in(notebook: NotebookNode) -> dict[str, dict]:
    """The numbers of each exercise that has a preamble tagged `numbers`: it only assigns literals."""
    return {name_of(cell): literals(cell) for cell in notebook.cells if has_tag(cell, "numbers")}


def literals(cell: NotebookNode) -> dict[str, object]:
    return {line.targets[0].id: ast.literal_eval(line.value) for line in ast.parse(cell.source).body}


def with_own_numbers(notebook: NotebookNode) -> list[str]:
    """The exercises whose texts or code have places for numbers, in order."""
    cells = [cell for cell in notebook.cells if name_of(cell)]
    asks = lambda cell: has_tag(cell, "numbers") or cell.cell_type == "markdown" and PLACE.search(cell.source)
    return list(dict.fromkeys(name_of(cell) for cell in cells if asks(cell)))


def draws_in(root: Path, page: str) -> dict[str, object]:
    """What exercises/sheets/PAGE.py defines; nothing where a page draws no numbers."""
    file = root / "exercises" / "sheets" / f"{page}.py"
    return runpy.run_path(str(file)) if file.exists() else {}


def drawn(root: Path, page: str, name: str, seed: int = 0) -> dict[str, object]:
    """The numbers of an exercise and the entries of its key under one seed; empty if it draws none."""
    draw = draws_in(root, page).get(name.replace("-", "_"))
    if draw is None:
        return {}
    import numpy as np

    numbers, key = draw(np.random.default_rng(seed))
    return {**numbers, **key}


def with_numbers(notebook: NotebookNode, numbers: dict[str, dict]) -> NotebookNode:
    """A copy whose exercises have these numbers: in their cell tagged `numbers`, and for {{name}} in texts.

    Raises:
        BookError: a text asks for a number that its exercise does not have.
    """
    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        own = numbers.get(name_of(cell), {})
        if has_tag(cell, "numbers"):
            cell.source = "\n".join(f"{name} = {own[name]!r}" for name in literals(cell))
        elif cell.cell_type == "markdown" and name_of(cell):
            unknown = set(PLACE.findall(cell.source)) - set(own)
            if unknown:
                raise BookError(f"Exercise {name_of(cell)!r} has no number {', '.join(sorted(unknown))}")
            cell.source = PLACE.sub(lambda match, own=own: str(own[match[1]]), cell.source)
    return notebook


# --- what readers see ------------------------------------------------------------------------------


def complete(notebook: NotebookNode, page: str, root: Path = ROOT) -> NotebookNode:
    """A copy that says all that a reader has to know: the numbers of seed 0, levels, points and minutes.

    Raises:
        BookError: a text asks for a number that its exercise does not have.
    """
    numbers = numbers_in(notebook)
    more = [name for name in with_own_numbers(notebook) if name not in numbers]
    notebook = with_numbers(notebook, {**numbers, **{name: drawn(root, page, name) for name in more}})
    tasks = statements(notebook).values()
    hours = sum(task["minutes"] for task in tasks) / 60
    points = sum(task["points"] for task in tasks)
    counts = [(len(tasks), "exercise"), (points, "point"), (round(hours), "hour")]
    told = [f"{count} {word}{'s' * (count != 1)}" for count, word in counts]
    told = f"*{told[0]}, {told[1]}, about {told[2]}.*"
    if told not in notebook.cells[0].source:  # as it is in an instructor's notebook
        notebook.cells[0].source += f"\n\n{told}"
    for cells in groups(notebook).values():
        cells[0].source = with_task_line(cells[0].source, described(cells))
    return notebook


def dress(notebook: NotebookNode, page: str, root: Path = ROOT) -> None:
    """Make a page of the book from a source notebook: all that a reader has to know, folded solutions."""
    notebook.cells = complete(notebook, page, root).cells
    for name, cells in groups(notebook).items():
        for cell in cells:
            if role(cell) == "starter" and cell.cell_type == "markdown":
                notebook.cells.remove(cell)  # nobody writes on a page
        fold_solution(notebook, [cell for cell in cells if role(cell) == "solution"], f"ex-{page}-{name}")


def with_task_line(statement: str, task: dict) -> str:
    """The statement with its level, kind, points and minutes above its text."""
    level, points = task["level"], task["points"]
    stars = f'<span aria-hidden="true">{"★" * level}{"☆" * (len(LEVELS) - level)}</span>'
    words = f"Level {level}, {LEVELS[level]} · {KINDS[task['kind']]}"
    counts = f"{points} point{'s' * (points != 1)} · about {task['minutes']} minutes"
    line = f":::{{div}} belamy-task\n{stars} {words} · {counts}\n:::"
    return re.sub(r"^(:label: .*\n)\n*", rf"\1\n{line}\n\n", statement, count=1, flags=re.MULTILINE)


def fold_solution(notebook: NotebookNode, cells: list[NotebookNode], label: str) -> None:
    """Put the cells of a solution, and what stands between them, into a block that is closed at first."""
    first, last = notebook.cells.index(cells[0]), notebook.cells.index(cells[-1])
    begin = f"```{{solution-start}} {label}\n:class: dropdown\n```"
    for place, text, end in ((last + 1, "```{solution-end}\n```", "end"), (first, begin, "start")):
        cell = nbformat.v4.new_markdown_cell(text, id=f"{label}-{end}"[-64:].lstrip("-"))
        notebook.cells.insert(place, cell)


# --- a quick trial ---------------------------------------------------------------------------------


def shared_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """The code before the first exercise: set-up, parameters, imports."""
    return [cell for cell in notebook.cells if cell.cell_type == "code" and role(cell) is None]


def unknown_names(notebook: NotebookNode) -> dict[str, set[str]]:
    """For each exercise the global names that neither its own cells nor the shared ones define."""
    found = {}
    for name, cells in groups(notebook).items():
        own = [cell for cell in cells if cell.cell_type == "code"]
        source = "\n".join(cell.source for cell in [*shared_cells(notebook), *own])
        tables = list(scopes(symtable.symtable(source, name, "exec")))
        top = {symbol.get_name() for symbol in tables[0].get_symbols() if defines(symbol)}
        used = {s.get_name() for t in tables for s in t.get_symbols() if s.is_referenced() and s.is_global()}
        used |= {s.get_name() for s in tables[0].get_symbols() if s.is_referenced()}
        found[name] = used - top - set(dir(builtins))
    return found


def scopes(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield table
    for child in table.get_children():
        yield from scopes(child)


def defines(symbol: symtable.Symbol) -> bool:
    return symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace()


def run(page: str, root: Path = ROOT) -> None:
    """Run each exercise of a page alone, after the shared cells, and print how long it took."""
    import matplotlib

    matplotlib.use("agg")
    notebook = read(root / "exercises" / f"{page}.ipynb")
    for name, cells in groups(notebook).items():
        own = [cell for cell in cells if cell.cell_type == "code"]
        namespace: dict[str, object] = {"__name__": "__main__"}
        for cell in shared_cells(notebook):
            exec(compile(cell.source, cell.id, "exec"), namespace)
        clock = time.perf_counter()
        for cell in own:
            exec(compile(cell.source, cell.id, "exec"), namespace)
        print(f"{name}: {time.perf_counter() - clock:.1f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=run.__doc__)
    parser.add_argument("run", choices=["run"])
    parser.add_argument("page", help="the chapter's name, as variational-autoencoders")
    run(parser.parse_args().page)


if __name__ == "__main__":
    main()
