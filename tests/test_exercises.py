"""Pages of exercises: their format, and that checks pass what is right and say why the rest is wrong."""

import ast
import importlib
import re
import runpy
from collections import Counter
from pathlib import Path

import pytest
from conftest import ROOT
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from belamy.check import Check, Wrong
from tools import exercises, setup_cell
from tools.book import Book, code_of, read

BOOK = Book(ROOT)
PATHS = sorted((ROOT / "exercises").glob("*.ipynb"))
PAGES = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
LEAST = {"code": 4, "hand": 2, "project": 1}  # of each kind, and eight in all
NBGRADER = {"schema_version", "grade_id", "grade", "solution", "locked", "task"}


def answers(page: str) -> dict[str, dict]:
    return runpy.run_path(str(ROOT / "exercises" / "answers" / f"{page}.py"))["ANSWERS"]


def module(path: Path):
    """The module of a page's checks."""
    (name,) = re.findall(r"from belamy\.check import (\w+) as check", code_of(read(path)))
    return importlib.import_module(f"belamy.check.{name}")


def checks(path: Path) -> dict[str, Check]:
    return {name: value for name, value in vars(module(path)).items() if isinstance(value, Check)}


def codes(path: Path) -> dict[str, str]:
    """The check of each code exercise, by the exercise's name."""
    found = {}
    for name, cells in exercises.groups(read(path)).items():
        for cell in cells:
            if exercises.role(cell) == "check" and exercises.described(cells)["kind"] == "code":
                found[name] = re.findall(r"\bcheck\.(\w+)\(", cell.source)
    return {name: one for name, (one,) in found.items()}


# --- the format ----------------------------------------------------------------------------------


def test_every_page_of_exercises_is_in_the_book_below_its_chapter():
    assert PATHS and set(PATHS) == set(BOOK.exercises)
    entries = [Path(entry) for entry in BOOK.entries]
    for path in PATHS:
        place = entries.index(Path("exercises", path.stem))
        assert entries[place - 1] == Path("chapters", path.stem)
        assert f"{{doc}}`../exercises/{path.stem}`" in "".join(
            cell.source for cell in read(ROOT / "chapters" / path.name).cells
        )


@PAGES
def test_a_page_begins_as_chapters_do(path):
    title, setup, parameters, imports = read(path).cells[:4]
    assert title.cell_type == "markdown" and title.source.startswith("# Exercises: ")
    assert setup.metadata.tags == ["setup", "hide-input"]
    assert setup.source == setup_cell.SETUP
    assert parameters.metadata.tags == ["parameters"]
    assert parameters.source == 'profile = "auto"\nseed = 0'
    assert "belamy.setup(profile, seed" in imports.source


@PAGES
def test_exercises_are_enough_of_each_kind_and_ordered_by_level(path):
    tasks = [exercises.described(cells) for cells in exercises.groups(read(path)).values()]
    kinds = Counter(task["kind"] for task in tasks)
    assert len(tasks) >= 8 and all(kinds[kind] >= least for kind, least in LEAST.items())
    assert set(kinds) <= set(exercises.KINDS)
    levels = [task["level"] for task in tasks]
    assert levels == sorted(levels) and set(levels) <= set(exercises.LEVELS)


COUNTS = "eight nine ten eleven twelve thirteen fourteen fifteen sixteen".split()


@PAGES
def test_a_chapter_that_counts_its_exercises_counts_them_right(path):
    text = "\n".join(c.source for c in read(ROOT / "chapters" / path.name).cells if c.cell_type == "markdown")
    told = re.findall(rf"\b({'|'.join(COUNTS)}) exercises\b", text, re.IGNORECASE)
    assert {COUNTS.index(word.lower()) + 8 for word in told} <= {len(exercises.groups(read(path)))}


@PAGES
def test_a_reader_is_told_where_code_and_figures_go_and_how_exact_a_number_must_be(path):
    notebook = read(path)
    assert "then its own" not in notebook.cells[0].source
    for name, cells in exercises.groups(notebook).items():
        if exercises.described(cells)["kind"] in ("experiment", "project"):
            texts = [c.source for c in cells if exercises.role(c) == "starter" and c.cell_type == "markdown"]
            assert all("add code cells below" in text for text in texts), name
        if any(exercises.has_tag(cell, "numbers") for cell in cells):
            assert re.search(r"to (four|five)\s+decimals", cells[0].source), name


@PAGES
def test_an_exercise_is_a_run_of_cells_whose_tags_and_metadata_say_what_each_is(path):
    notebook = read(path)
    order = [cell.metadata.exercise["name"] for cell in notebook.cells if "exercise" in cell.metadata]
    assert len(set(order)) == sum(a != b for a, b in zip([None, *order], order)), "an exercise's cells stand together"
    for name, cells in exercises.groups(notebook).items():
        assert re.fullmatch(r"[a-z0-9-]+", name)
        roles = [exercises.role(cell) for cell in cells]
        task, counts = exercises.described(cells), Counter(roles)
        assert set(task) == {"name", "title", "level", "kind", "points", "minutes"}
        assert type(task["points"]) is int and task["points"] > 0 and task["minutes"] > 0
        assert roles == sorted(roles, key=exercises.ROLES.index), roles
        assert counts["statement"] == counts["starter"] == 1 and counts["solution"] >= 1
        for cell in cells[1:]:
            assert cell.metadata.exercise == {"name": name}
        statement = cells[0].source
        assert f"{{exercise}} {task['title']}\n:label: ex-{path.stem}-{name}\n" in statement
        starter = cells[roles.index("starter")]
        assert counts["check"] == (starter.cell_type == "code") and (counts["check"] or task["kind"] != "code")
        if starter.cell_type == "code":
            ast.parse(starter.source)
            assert starter.source.rstrip().endswith("raise NotImplementedError")
            assert '"""' in starter.source and "->" in starter.source, "a docstring with shapes, a typed signature"
        else:
            assert starter.cell_type == "markdown"


@PAGES
def test_nbgrader_finds_its_metadata_and_the_points_add_up(path):
    ids, graded = [], 0
    groups = exercises.groups(read(path))
    for name, cells in groups.items():
        task = exercises.described(cells)
        manual = not any(exercises.role(cell) == "check" for cell in cells)
        for cell in cells:
            own = cell.metadata.get("nbgrader")
            role = exercises.role(cell)
            assert (own is None) == (role in ("preamble", "expected", "solution"))
            if own is None:
                continue
            suffix = {"statement": "", "starter": "-answer", "check": "-check"}[role]
            graded_here = role == "check" or role == "starter" and manual
            expected = {
                "schema_version": 3,
                "grade_id": f"{path.stem}-{name}{suffix}",
                "grade": graded_here,
                "solution": role == "starter",
                "locked": role != "starter",
                "task": False,
            }
            assert dict(own) == {**expected, **({"points": task["points"]} if graded_here else {})}
            ids.append(own["grade_id"])
            graded += own.get("points", 0)
    assert len(ids) == len(set(ids))
    assert graded == sum(exercises.described(cells)["points"] for cells in groups.values())


@PAGES
def test_an_exercise_needs_no_code_of_another(path):
    unknown = {name: names for name, names in exercises.unknown_names(read(path)).items() if names}
    assert unknown == {}


@PAGES
def test_every_placeholder_is_drawn_and_the_same_for_the_same_seed(path):
    for name, cells in exercises.groups(read(path)).items():
        text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
        values = exercises.drawn(ROOT, path.stem, name)
        assert set(exercises.PLACE.findall(text)) <= set(values)
        assert values == exercises.drawn(ROOT, path.stem, name)
        if values:
            assert exercises.PLACE.search(cells[0].source), f"{name} draws numbers that its statement does not show"
            several = [str(exercises.drawn(ROOT, path.stem, name, seed)) for seed in range(30)]
            assert len(set(several)) > 25


SEED = 11  # the same draws whenever the tests run: at others two mistakes may agree by chance

# --- the checks ----------------------------------------------------------------------------------


@PAGES
def test_every_code_exercise_has_a_check_and_answers_right_and_wrong(path):
    names = codes(path)
    given = answers(path.stem)
    assert set(given) == set(names) or set(given) == set(names.values())
    for kinds in given.values():
        assert len(kinds["right"]) >= 2 and len(kinds["wrong"]) >= 3


@PAGES
def test_right_answers_pass_and_wrong_ones_are_told_why(path):
    names, found = codes(path), module(path)
    for exercise, kinds in answers(path.stem).items():
        check = getattr(found, names.get(exercise, exercise))
        for answer in kinds["right"]:
            check(answer, seed=SEED)
        for what, (answer, phrase) in kinds["wrong"].items():
            with pytest.raises(Wrong) as told:
                check(answer, seed=SEED)
                pytest.fail(f"{exercise}: {what} passed")
            assert phrase in str(told.value), f"{exercise}, {what}: {told.value}"


@PAGES
def test_a_named_mistake_is_found_by_its_own_sentence(path):
    for name, check in checks(path).items():
        check(check.reference, seed=SEED)
        for sentence, mistake in check.mistakes.items():
            with pytest.raises(Wrong) as told:
                check(mistake, seed=SEED)
                pytest.fail(f"{name}: passed: {sentence}")
            assert sentence in str(told.value), f"{name}: {sentence} is told as: {told.value}"


# --- what the builder makes of them ----------------------------------------------------------------


def small_page():
    own = {"exercise": {"name": "sum"}}
    task = {"name": "sum", "title": "A sum", "level": 2, "kind": "hand", "points": 1, "minutes": 60}
    statement = "```{exercise} A sum\n:label: ex-tiny-sum\n\nAdd {{a}} and {{b}}.\n```"
    cells = [
        new_markdown_cell("# Exercises: tiny\n\nTwo sentences. Here."),
        new_markdown_cell(statement, metadata={"tags": ["statement"], "exercise": task}),
        new_markdown_cell("*Write your answer here.*", metadata={"tags": ["starter"], **own}),
        new_markdown_cell("It is {{sum}}.", metadata={"tags": ["solution"], **own}),
        new_code_cell("print(1 + 2)", metadata={"tags": ["solution"], **own}),
    ]
    return new_notebook(cells=cells)


def test_a_page_shows_levels_points_drawn_numbers_and_folded_solutions(tmp_path):
    sheets = tmp_path / "exercises" / "sheets"
    sheets.mkdir(parents=True)
    draw = "def sum(rng):\n    a = int(rng.integers(1, 9))\n    return {'a': a, 'b': 2}, {'sum': a + 2}\n"
    (sheets / "tiny.py").write_text(draw, encoding="utf-8")
    notebook = small_page()
    exercises.dress(notebook, "tiny", tmp_path)
    title, statement, start, solution, code, end = [cell.source for cell in notebook.cells]
    assert title.endswith("*1 exercise, 1 point, about 1 hour.*")
    assert "★★☆" in statement and "Level 2, the core" in statement and "1 point · about 60 minutes" in statement
    a = exercises.drawn(tmp_path, "tiny", "sum")["a"]
    assert f"Add {a} and 2." in statement and solution == f"It is {a + 2}."
    assert start == "```{solution-start} ex-tiny-sum\n:class: dropdown\n```"
    assert (code, end) == ("print(1 + 2)", "```{solution-end}\n```")


@pytest.mark.parametrize("blank", ["", "\n"])
def test_a_blank_line_parts_the_level_from_the_text(blank):
    task = {"level": 1, "kind": "hand", "points": 1, "minutes": 30}
    text = exercises.with_task_line(f"```{{exercise}} A\n:label: ex-a\n{blank}Do it.\n```", task)
    assert text.endswith("about 30 minutes\n:::\n\nDo it.\n```")


def test_a_name_of_another_exercise_is_seen():
    notebook = small_page()
    notebook.cells[-1].source = "def f(x):\n    return x + other\nprint(f(1))"
    assert exercises.unknown_names(notebook) == {"sum": {"other"}}


def test_a_chapter_stays_fresh_when_a_check_changes_and_its_exercises_do_not(tiny):
    tiny.edit("lib/belamy/check/__init__.py", "A = 1\n")
    before = tiny.book.digests(read(tiny.chapter))
    page = new_notebook(cells=[new_code_cell("from belamy.check import vae as check")])
    checks_before = tiny.book.digests(page)
    tiny.edit("lib/belamy/check/__init__.py", "A = 2\n")
    assert tiny.book.digests(read(tiny.chapter)) == before
    assert tiny.book.digests(page) != checks_before
