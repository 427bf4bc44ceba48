"""Does nbgrader itself take the exercises as they are? It does so here, in an environment of its own.

    python -m tools.classroom_check --chapter variational-autoencoders

generates the assignment from the source, has nine students hand something in, looks at the submissions as
tools/grading.py does, grades them, and compares the points with those that each should have. Without
--chapter it does so with one page, and runs both versions of every page.
"""

import argparse
import ast
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import time
import venv
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from nbformat import NotebookNode

from tools.book import ROOT, BookError, read, write
from tools.classroom import EXERCISES, instructor, source_of, student
from tools.exercises import has_tag, name_of, statements
from tools.grading import look_at, run

NBGRADER = "nbgrader==0.9.6"
CACHE = ROOT / ".cache" / "classroom"
CONFIG = f'load_subconfig("nbgrader_config.py", path={str(ROOT / EXERCISES)!r})\n'
UNANSWERED = ("NotImplementedError", "NotAnswered")  # a starter, by itself or asked by its check
SECONDS = 60  # for a cell, by the clock; an endless loop takes all of them
SCORES = """\
import json, sys
from nbgrader.api import Gradebook
with Gradebook("sqlite:///gradebook.db") as book:
    found = book.assignment_submissions(sys.argv[1])
    print(json.dumps({s.student_id: {g.name: g.auto_score for n in s.notebooks for g in n.grades} for s in found}))
"""
CHEAT = "class Cheat:\n    __eq__ = __lt__ = __le__ = __gt__ = __ge__ = lambda self, other: True\n\n"


def environment() -> Path:
    """The folder of programs of an environment with nbgrader, which reaches torch and belamy in the book's own."""
    folder = CACHE / "venv"
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    if not (folder / ".installed").exists():
        print(f"Installing {NBGRADER} into {folder.relative_to(ROOT)} (half a minute, 340 MB)", flush=True)
        venv.create(folder, with_pip=True, clear=True)
        pip = [programs / "python", "-m", "pip", "install", "-qq", "--no-warn-conflicts"]
        subprocess.run([*pip, NBGRADER], check=True)
        own = subprocess.run(
            [programs / "python", "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"],
            check=True, capture_output=True, text=True,
        ).stdout.strip()  # fmt: skip
        lines = [str(ROOT / "lib"), f"import site; site.addsitedir({sysconfig.get_paths()['purelib']!r})"]
        (Path(own) / "book.pth").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (folder / ".installed").touch()
    return programs


def nbgrader(programs: Path, course: Path, *arguments: str) -> str:
    """Run nbgrader in a course; it calls other programs by name, so its folder stands on the path."""
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [programs / "python", *arguments], cwd=course, env={**os.environ, "PATH": path}, capture_output=True, text=True
    )
    if done.returncode:
        raise BookError(f"nbgrader {' '.join(arguments)} failed:\n{done.stderr[-3000:]}")
    return done.stdout


def solutions(source: NotebookNode) -> dict[str, str]:
    """The code that solves each exercise that has a check, in one cell."""
    checked = [name_of(cell) for cell in source.cells if has_tag(cell, "check")]
    cells = [cell for cell in source.cells if cell.cell_type == "code" and has_tag(cell, "solution")]
    return {name: "\n\n".join(cell.source for cell in cells if name_of(cell) == name) for name in checked}


def functions_of(source: NotebookNode, name: str) -> list[str]:
    """What the starter of an exercise asks for."""
    (starter,) = (cell for cell in source.cells if has_tag(cell, "starter") and name_of(cell) == name)
    return [node.name for node in ast.parse(starter.source).body if isinstance(node, ast.FunctionDef | ast.ClassDef)]


def submissions(source: NotebookNode) -> dict[str, tuple[Callable[[NotebookNode], None], set[str]]]:
    """What each student does to the released notebook, and the exercises that it costs."""
    right = solutions(source)
    first, *_ = right

    def constant(name: str, what: str = "'nothing'") -> str:
        return "\n".join(f"{f} = lambda *_, **__: {what}" for f in functions_of(source, name))

    def body(lines: str) -> str:
        return "\n".join(f"def {f}(*_, **__):\n    {lines}" for f in functions_of(source, first))

    def hand_in(notebook: NotebookNode, **answers: str) -> None:
        for cell in notebook.cells:
            if has_tag(cell, "starter") and cell.cell_type == "code":
                cell.source = {**right, **answers}.get(name_of(cell), cell.source)

    def with_check(notebook: NotebookNode, change: Callable[[list, NotebookNode], None], **answers: str) -> None:
        hand_in(notebook, **answers)
        change(notebook.cells, next(cell for cell in notebook.cells if has_tag(cell, "check")))

    def strip(notebook: NotebookNode) -> None:
        hand_in(notebook)
        for cell in notebook.cells:
            cell.metadata = {}

    wrong = {first: constant(first)}
    another = f"\n\nclass check:\n    {first.replace('-', '_')} = print\n    __getattr__ = print"
    everywhere = {name: constant(name) for name in right}
    return {
        "right": (hand_in, set()),
        "wrong": (partial(hand_in, **everywhere), set(right)),
        "endless-loop": (partial(hand_in, **{first: body("while True: pass")}), {first}),
        "ends-the-kernel": (partial(hand_in, **{first: body("import os; os._exit(1)")}), {first}),
        "deleted-check": (partial(with_check, change=lambda cells, cell: cells.remove(cell)), set()),
        "rewritten-check": (
            partial(with_check, change=lambda _, cell: cell.update(source="print('fine')"), **wrong),
            {first},
        ),
        "stripped-marks": (strip, set()),
        "cheat-object": (partial(hand_in, **{first: CHEAT + constant(first, "Cheat()")}), {first}),
        "own-check": (partial(hand_in, **{first: constant(first) + another}), {first}),
    }


TOLD = {  # what the look at each submission has to say
    "ends-the-kernel": "ended its process (status 1)",
    "deleted-check": "was deleted: put back",
    "rewritten-check": "the released check counts",
    "stripped-marks": "had lost their marks: restored",
    "cheat-object": "binds __eq__",
    "own-check": "defines check",
}


def check(root: Path, page: str) -> bool:
    """Go through the whole of it; print a table, and return whether all points are as they should be."""
    programs, course, clock = environment(), CACHE / "course", time.perf_counter()
    shutil.rmtree(course, ignore_errors=True)
    source = read(source_of(root, page))
    write(source, course / "source" / page / f"{page}.ipynb")
    (course / "nbgrader_config.py").write_text(CONFIG, encoding="utf-8")
    nbgrader(programs, course, "-m", "nbgrader", "generate_assignment", page, "--create")
    students = submissions(source)
    for who, (deed, _) in students.items():
        notebook = read(course / "release" / page / f"{page}.ipynb")
        deed(notebook)
        write(notebook, course / "submitted" / who / page / f"{page}.ipynb")
    told = look_at(course, page)
    nbgrader(programs, course, "-m", "nbgrader", "autograde", page, f"--Execute.timeout={SECONDS}")
    scores = json.loads(nbgrader(programs, course, "-c", SCORES, page))
    points = {name: exercise["points"] for name, exercise in statements(source).items()}
    passed = True
    for who, (_, cost) in students.items():
        should = {f"{page}-{name}-check": points[name] * (name not in cost) for name in solutions(source)}
        got = {name: scores[who].get(name) for name in should}
        said = "; ".join(told[who])
        fine = got == should and TOLD.get(who, "") in said and bool(said) == (who in TOLD)
        passed &= fine
        print(f"{'ok' if fine else 'NOT SO':6} {who:16} {sum(v or 0 for v in got.values()):g} points. {said}")
        if got != should:
            print(f"       wanted {should}\n       got    {got}")
    print(f"{len(students)} submissions in {time.perf_counter() - clock:.0f} s")
    return passed


def failures(root: Path, page: str, makers: Sequence[Callable] = (student, instructor)) -> list[str]:
    """What fails in the instructor's version, and in the student's other than by an answer that is missing."""
    source, told = read(source_of(root, page)), []
    checked = set(solutions(source))
    for make in makers:
        code = [cell for cell in make(source, page).cells if cell.cell_type == "code"]
        cells = [
            {"exercise": name_of(cell), "role": "check" if has_tag(cell, "check") else "code", "source": cell.source}
            for cell in code
        ]
        reports, status = run(cells)
        if status or reports[-1] != {"begins": "end"}:
            told.append(f"{make.__name__}: ended early, status {status}")
        failed = [report for report in reports if report.get("reason")]
        missing = [one for one in failed if make is student and one["reason"].startswith(UNANSWERED)]
        told += [f"{make.__name__}, {one['exercise']}: {one['reason']}" for one in failed if one not in missing]
        if make is student and (passed := checked - {one["exercise"] for one in missing if one["role"] == "check"}):
            told.append(f"student: no answer, and the check says nothing: {', '.join(sorted(passed))}")
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chapter", help="this page alone")
    given = parser.parse_args()
    page = Path(given.chapter or "variational-autoencoders").name.removesuffix(".ipynb")
    pages = [page] if given.chapter else sorted(path.stem for path in (ROOT / EXERCISES).glob("*.ipynb"))
    try:
        passed = True
        for one in pages:
            told = failures(ROOT, one)
            passed &= not told
            lines = [f"{'NOT SO' if told else 'ok':6} student's and instructor's {one}", *told]
            print(*lines, sep="\n       ", flush=True)
        sys.exit(0 if check(ROOT, page) and passed else 1)
    except BookError as error:
        parser.exit(1, f"{error}\n")


if __name__ == "__main__":
    main()
