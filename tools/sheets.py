"""A sheet for each student: an exercise notebook with numbers and data of the student's own, and its key.

    python -m tools.sheets make  --chapter variational-autoencoders --students names.csv --secret WORD
    python -m tools.sheets grade --chapter variational-autoencoders --returned FOLDER

`exercises/sheets/PAGE.py` draws: for an exercise `closed-kl` its function `closed_kl(rng)` returns the numbers
that the sheet shows and the key, `{function of the answer: (right value, tolerance)}`, or where a person
reads the answer `{what is asked for: its value}`. The draw depends on the course's secret, the page, the
student and the exercise, and on nothing else. Sheets are written to
_build/sheets/PAGE/students, keys to _build/sheets/PAGE/keys. Returned sheets are named as they were given out.
"""

import argparse
import csv
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from nbformat import NotebookNode

from tools.book import ROOT, BookError, read, write
from tools.classroom import EXERCISES, Finish, as_it_is, portable, source_of, student
from tools.exercises import draws_in, has_tag, name_of, statements, with_numbers, with_own_numbers
from tools.grading import repair, trial

SHEETS = Path("_build") / "sheets"
Draw = Callable[[np.random.Generator], tuple[dict, dict]]


def draws_of(root: Path, page: str, notebook: NotebookNode) -> dict[str, Draw]:
    """The draws of a page, by exercise; an error where one is missing or draws for no exercise."""
    path = EXERCISES / "sheets" / f"{page}.py"
    if not (there := draws_in(root, page)):
        pages = ", ".join(sorted(path.stem for path in (root / EXERCISES / "sheets").glob("*.py")))
        raise BookError(f"No draws for {page!r}: {path} is not there. There are those of: {pages}")
    found = {}
    for name in with_own_numbers(notebook):
        draw = there.get(name.replace("-", "_"))
        if draw is None:
            raise BookError(f"{path.name} has no function {name.replace('-', '_')} for the exercise {name!r}")
        found[name] = draw
    return found


def generator(*words: str) -> np.random.Generator:
    """The generator that these words name."""
    digest = hashlib.sha256("\0".join(words).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def sheet(
    source: NotebookNode, page: str, who: str, secret: str, draws: dict[str, Draw]
) -> tuple[NotebookNode, dict]:
    """The sheet of one student and its key: {exercise: {function: [right value, tolerance], or name: value}}."""
    drawn = {name: draw(generator(secret, page, who, name)) for name, draw in draws.items()}
    own = with_numbers(source, {name: {**key, **numbers} for name, (numbers, key) in drawn.items()})
    notebook = student(own, page)
    notebook.cells = [cell for cell in notebook.cells if not (has_tag(cell, "expected") and name_of(cell) in draws)]
    notebook.metadata["belamy_sheet"] = {"page": page, "student": who}
    return notebook, json.loads(json.dumps({name: key for name, (_, key) in drawn.items()}))


def students_in(path: Path) -> list[str]:
    """The students of a table with a column `name`, and perhaps `id`, which then names their files."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    column = "id" if rows and "id" in rows[0] else "name"
    if not rows or column not in rows[0]:
        raise BookError(f"{path} needs a first line with the column `name` (and, if you like, `id`)")
    files = [re.sub(r"[^\w.-]+", "-", row[column].strip()) for row in rows]
    if twice := {file for file in files if not file or files.count(file) > 1}:
        raise BookError(f"{path}: each student needs a name or id of their own: {', '.join(sorted(twice))!r}")
    return files


def make(root: Path, page: str, students: Path, secret: str, finish: Finish = as_it_is) -> list[str]:
    """Write a sheet, finished as in `write_versions`, and a key for each student; return their names."""
    path = source_of(root, page)
    source = read(path)
    draws = draws_of(root, page, source)
    folder, names = root / SHEETS / page, students_in(students)
    for who in names:
        notebook, key = sheet(source, page, who, secret, draws)
        write(finish(notebook, path), folder / "students" / f"{who}.ipynb")
        (folder / "keys").mkdir(parents=True, exist_ok=True)
        (folder / "keys" / f"{who}.json").write_text(json.dumps(key, indent=1), encoding="utf-8")
    return names


def grade(returned: NotebookNode, given: NotebookNode, key: dict) -> dict[str, tuple[float | None, str]]:
    """Points of one returned sheet, exercise by exercise, and why; None where a person has to read.

    The student's functions run in a process that does not know the key, with the numbers that were drawn for
    the sheet's owner: a sheet copied from a neighbour gives the neighbour's values.
    """
    notebook, mended = repair(returned, given)
    read_by_machine = {name: own for name, own in key.items() if all(isinstance(v, list) for v in own.values())}
    outcomes = trial(notebook, given, {name: list(own) for name, own in read_by_machine.items()})
    grades = {}
    for name, exercise in statements(given).items():
        outcome = outcomes.get(name)
        if name in read_by_machine and not outcome.ended:
            wrong = [f for f, right in key[name].items() if not near(outcome.numbers.get(f), *right)]
            told = [f"{function} is {outcome.numbers.get(function)}" for function in wrong]
            grades[name] = (exercise["points"] * (not wrong), "; ".join(told) or "as the key says")
        elif outcome is None or outcome.passed is None:
            values = ", ".join(f"{what} = {value}" for what, value in key.get(name, {}).items())
            grades[name] = (None, f"to be read{values and f'; the key says {values}'}")
        else:
            grades[name] = (exercise["points"] * outcome.passed, outcome.reason)
    owner = returned.metadata.get("belamy_sheet", {}).get("student")
    mended += [f"this is the sheet of {owner}"] * (owner != given.metadata.belamy_sheet.student)
    grades["remarks"] = (None, "; ".join(mended))
    return grades


def near(answer: float | None, right: float, tolerance: float) -> bool:
    return answer is not None and abs(answer - right) <= tolerance


def grade_all(root: Path, page: str, folder: Path) -> Path:
    """Grade the sheets in `folder`; write a table of points and reasons, sheet by sheet, and return its file."""
    given, returned = root / SHEETS / page, sorted(folder.glob("*.ipynb"))
    for path in returned:
        if not (own := given / "students" / path.name).is_file():
            raise BookError(f"{path.name} is no sheet that was given out: {own.parent} has none of this name")
    table = given / "grades.csv"
    with open(table, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["student", "exercise", "points", "reason"])
        for path in returned:
            key = json.loads((given / "keys" / f"{path.stem}.json").read_text(encoding="utf-8"))
            grades = grade(read(path), read(given / "students" / path.name), key)
            writer.writerows([path.stem, name, got, reason] for name, (got, reason) in grades.items())
            file.flush()
            print(f"  {path.stem}: {sum(points or 0 for points, _ in grades.values()):g} points", flush=True)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["make", "grade"])
    parser.add_argument("--chapter", required=True)
    parser.add_argument("--students", type=Path, help="make: a table with the column name, perhaps id")
    parser.add_argument("--secret", help="make: a word that only the teacher knows; the same word, the same sheets")
    parser.add_argument("--returned", type=Path, help="grade: the folder of returned sheets")
    given = parser.parse_args()
    page = Path(given.chapter).name.removesuffix(".ipynb")
    try:
        if given.command == "make":
            if not (given.students and given.secret and given.students.is_file()):
                parser.error("make needs --students names.csv, a file that is there, and --secret WORD")
            names = make(ROOT, page, given.students, given.secret, portable(ROOT))
            print(f"{len(names)} sheets and keys in {SHEETS / page}")
        else:
            if not (given.returned and given.returned.is_dir()):
                parser.error("grade needs --returned FOLDER, a folder that is there")
            print(f"Points and reasons: {grade_all(ROOT, page, given.returned)}")
    except BookError as error:
        parser.exit(1, f"{error}\n")


if __name__ == "__main__":
    main()
