"""Pages of exercises: what the builder makes of their cells, and a quick trial of one page.

The source of a page is a plain notebook, exercises/PAGE.ipynb, whose cells say by tags what they are:
statement, preamble, starter, expected, solution, check.
"""

import argparse
import builtins
import re
import runpy
import symtable
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
import numpy as np
from nbformat import NotebookNode

from tools.book import ROOT, read

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


def drawn(root: Path, page: str, name: str, seed: int = 0) -> dict[str, object]:
    """The numbers of an exercise and the entries of its key under one seed; empty if it draws none."""
    file = root / "exercises" / "sheets" / f"{page}.py"
    draw = runpy.run_path(str(file)).get(name.replace("-", "_")) if file.exists() else None
    if draw is None:
        return {}
    numbers, key = draw(np.random.default_rng(seed))
    return {**numbers, **key}


def filled(text: str, values: dict[str, object]) -> str:
    """The text with values for its placeholders {{name}}.

    Raises:
        KeyError: a placeholder has no value.
    """
    return PLACE.sub(lambda found: str(values[found[1]]), text)


def dress(notebook: NotebookNode, root: Path = ROOT) -> None:
    """Make a page of the book from a source notebook: levels and points, drawn numbers, folded solutions."""
    page = page_of(notebook)
    found = groups(notebook)
    tasks = [described(cells) for cells in found.values()]
    hours = sum(task["minutes"] for task in tasks) / 60
    points = sum(task["points"] for task in tasks)
    counts = [(len(tasks), "exercise"), (points, "point"), (round(hours), "hour")]
    told = [f"{count} {word}{'s' * (count != 1)}" for count, word in counts]
    notebook.cells[0].source += f"\n\n*{told[0]}, {told[1]}, about {told[2]}.*"
    for name, cells in found.items():
        values = drawn(root, page, name)
        for cell in cells:
            if cell.cell_type == "markdown":
                cell.source = filled(cell.source, values)
        cells[0].source = with_task_line(cells[0].source, described(cells))
        for cell in cells:
            if role(cell) == "starter" and cell.cell_type == "markdown":
                notebook.cells.remove(cell)  # nobody writes on a page
        fold_solution(notebook, [cell for cell in cells if role(cell) == "solution"], f"ex-{page}-{name}")


def page_of(notebook: NotebookNode) -> str:
    """The chapter's name, as the first exercise's label has it."""
    statement = next(cell for cell in notebook.cells if role(cell) == "statement")
    label = re.search(r"^:label: ex-(\S+)$", statement.source, re.MULTILINE)[1]
    return label.removesuffix(f"-{statement.metadata.exercise['name']}")


def with_task_line(statement: str, task: dict) -> str:
    """The statement with its level, kind, points and minutes above its text."""
    level, points = task["level"], task["points"]
    stars = f'<span aria-hidden="true">{"★" * level}{"☆" * (len(LEVELS) - level)}</span>'
    words = f"Level {level}, {LEVELS[level]} · {KINDS[task['kind']]}"
    counts = f"{points} point{'s' * (points != 1)} · about {task['minutes']} minutes"
    line = f":::{{div}} belamy-task\n{stars} {words} · {counts}\n:::"
    return re.sub(r"^(:label: .*\n)", rf"\1\n{line}\n", statement, count=1, flags=re.MULTILINE)


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
