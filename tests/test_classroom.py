"""The classroom: versions by tags, submissions that are mended, sheets with keys of their own."""

import copy
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import ROOT
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from belamy.check import Wrong, vae
from tools import classroom, classroom_check, exercises, grading, sheets
from tools.book import BookError, read, write
from tools.exercises import has_tag, name_of, statements

PAGE = "tiny"
CHECKS = """\
class Wrong(AssertionError):
    pass


def double(answer):
    value = answer(3.0)
    if type(value) is not float:
        raise Wrong(f"a float is meant, not {type(value).__name__}")
    if value != 6.0:
        raise Wrong(f"yours is {value / 6.0} times the right value")


def area(answer):
    if type(answer()) is not float:
        raise Wrong("a float is meant")
"""
DRAWS = """\
def area(rng):
    side = round(float(rng.uniform(-4, 4)), 6)
    return {"side": side}, {"area": (side * side, 1e-6)}
"""
PICTURE = "iVBORw0KGgo="


def exercise(name: str, *cells: tuple, points: int = 2) -> list:
    """The cells of an exercise in the form of exercises/, given as (kind of cell, tag, source)."""
    full = {"name": name, "title": name, "level": 1, "kind": "code", "points": points, "minutes": 5}
    made = []
    for kind, tag, source in cells:
        cell = new_markdown_cell(source) if kind == "text" else new_code_cell(source, execution_count=1)
        if kind == "code":
            cell.outputs = [new_output("stream", text=f"output of the {tag}\n")]
        tags = ["preamble", tag] if tag == "numbers" else [tag]
        cell.metadata = {"tags": tags, "exercise": full if tag == "statement" else {"name": name}}
        manual = tag == "starter" and kind == "text"
        if tag in classroom.IN_PLACE:
            marks = {"schema_version": 3, "task": False, "solution": tag == "starter", "locked": tag != "starter"}
            marks |= {"grade": tag == "check" or manual}
            marks |= {"points": points} if marks["grade"] else {}
            ending = {"statement": "", "starter": "-answer", "check": "-check"}[tag]
            cell.metadata["nbgrader"] = {**marks, "grade_id": f"{PAGE}-{name}{ending}"}
        if tag == "statement":
            cell.source = f"```{{exercise}} {name}\n:label: ex-{PAGE}-{name}\n\n{source}\n```"
        made.append(cell)
    return made


@pytest.fixture
def source():
    """A source notebook of three exercises: code, code with drawn numbers, text."""
    stub = "def {}({}):\n    raise NotImplementedError"
    notebook = new_notebook(metadata={"belamy": {"seconds": 1}})
    notebook.cells = [
        new_markdown_cell("# Tiny\n\nThree exercises."),
        new_code_cell("from belamy.check import tiny as check", outputs=[new_output("stream", text="old\n")]),
        *exercise(
            "double",
            ("text", "statement", "Double it."),
            ("code", "starter", stub.format("double", "x")),
            ("code", "expected", "show(double(range(3)))"),
            ("code", "solution", "def double(x):\n    return 2.0 * x"),
            ("code", "check", "check.double(double)"),
        ),
        *exercise(
            "area",
            ("text", "statement", "A square has side ${{side}}$. What is its area?"),
            ("code", "numbers", "side = -1.5"),
            ("code", "starter", stub.format("area", "")),
            ("code", "solution", "def area():\n    return side * side"),
            ("code", "check", "check.area(area)"),
            points=3,
        ),
        *exercise(
            "why",
            ("text", "statement", "Why?"),
            ("text", "starter", "*Write your answer here.*"),
            ("text", "solution", "Because of Pythagoras."),
            points=1,
        ),
    ]
    (expected,) = (cell for cell in notebook.cells if has_tag(cell, "expected"))
    expected.outputs = [new_output("display_data", {"image/png": PICTURE})]
    return notebook


@pytest.fixture
def book(tiny, source):
    """A book with this one exercise notebook, whose checks are in a library of its own."""
    tiny.edit("lib/belamy/check/__init__.py", "")
    tiny.edit("lib/belamy/check/tiny.py", CHECKS)
    tiny.edit("exercises/sheets/tiny.py", DRAWS)
    write(source, tiny.root / "exercises" / "tiny.ipynb")
    return tiny


def answered(released, **answers):
    """A student's notebook: the released one with some starters written over."""
    notebook = copy.deepcopy(released)
    for cell in notebook.cells:
        if has_tag(cell, "starter") and name_of(cell) in answers:
            cell.source = answers[name_of(cell)]
    return notebook


RIGHT = {"double": "def double(x):\n    return x + x", "area": "def area():\n    return side**2"}


def test_the_student_gets_stubs_and_pictures_and_no_line_of_a_solution(source):
    notebook = classroom.student(source, PAGE)
    text = json.dumps(notebook, ensure_ascii=False)
    assert "raise NotImplementedError" in text and "Pythagoras" not in text and "2.0 * x" not in text
    assert not any(cell.get("outputs") for cell in notebook.cells) and "output of" not in text
    (picture,) = (cell for cell in notebook.cells if has_tag(cell, "expected"))
    assert picture.attachments == {"expected-0.png": {"image/png": PICTURE}} and "show(" not in text
    assert notebook.metadata.colab.name == "tiny.ipynb" and "belamy" not in notebook.metadata
    assert "side $-1.5$." in text
    assert "Level 1, to begin with · code, checked at once · 3 points · about 5 minutes" in text
    assert notebook.cells[0].source.endswith("*3 exercises, 6 points, about 0 hours.*")
    marked = [cell for cell in notebook.cells if cell.cell_type == "code" or has_tag(cell, "statement")]
    assert all(cell.metadata.nbgrader.locked != has_tag(cell, "starter") for cell in marked)


def test_an_expected_picture_that_was_never_made_is_an_error(source):
    for cell in source.cells:
        if has_tag(cell, "expected"):
            cell.outputs = []
    with pytest.raises(BookError, match="'double' is not there"):
        classroom.student(source, PAGE)


def test_a_number_that_no_cell_gives_is_an_error(source):
    source.cells[0].metadata["exercise"] = {"name": "double"}
    source.cells[0].source = "{{volume}}"
    with pytest.raises(BookError, match="no number volume"):
        classroom.student(source, PAGE)


def test_both_versions_are_written_and_the_source_is_left_alone(book, source):
    before = (book.root / "exercises" / "tiny.ipynb").read_bytes()
    student, instructor = classroom.write_versions(book.root)
    assert (book.root / "exercises" / "tiny.ipynb").read_bytes() == before
    assert "Pythagoras" in instructor.read_text(encoding="utf-8")
    assert "Pythagoras" not in student.read_text(encoding="utf-8")
    with pytest.raises(BookError, match="those of: tiny"):
        classroom.write_versions(book.root, "giant")


def outcomes(submission, released):
    return {name: outcome.passed for name, outcome in grading.trial(submission, released).items()}


def test_the_empty_sheet_fails_with_nothing_but_not_implemented(book, source):
    released = classroom.student(source, PAGE)
    found = grading.trial(released, released)
    assert {outcome.reason for outcome in found.values()} == {"NotImplementedError: "}
    assert outcomes(answered(released, **RIGHT), released) == {"double": True, "area": True}


@pytest.mark.parametrize(
    "answer",
    [
        "def double(x):\n    return x",
        "class Cheat:\n    def __eq__(self, other):\n        return True\n\ndef double(x):\n    return Cheat()",
        "def double(x):\n    return x\n\nclass check:\n    double = area = print",
        "def double(x):\n    return x\n\nimport belamy.check.tiny as tiny\ntiny.double = print\ncheck = tiny",
        "def double(x:",
    ],
    ids=["wrong", "cheat", "another check", "patched check", "no Python"],
)
def test_a_wrong_answer_fails_alone_whatever_it_does_to_the_check(book, source, answer):
    released = classroom.student(source, PAGE)
    submission = answered(released, double=answer, area=RIGHT["area"])
    assert outcomes(submission, released) == {"double": False, "area": True}


@pytest.mark.parametrize("deed", ["import os; os._exit(0)", "while True: pass", "import os; os.kill(os.getpid(), 9)"])
def test_what_ends_the_process_costs_its_own_exercise(book, source, deed, monkeypatch):
    monkeypatch.setattr(grading, "SECONDS", 2)
    released = classroom.student(source, PAGE)
    submission = answered(released, double=f"def double(x):\n    {deed}", area=RIGHT["area"])
    found = grading.trial(submission, released)
    assert found["double"].ended and found["area"].passed
    assert "ended its process" in found["double"].reason or "longer than 2 s" in found["double"].reason


def test_suspicious_is_what_an_answer_does_not_need(source):
    released = classroom.student(source, PAGE)
    for code, told in (
        ("import os", "imports os"),
        ("check = 1", "binds check"),
        ("def check(): pass", "defines check"),
        ("class Cheat:\n    def __eq__(self, other): return True", "defines __eq__"),
        ("class Cheat:\n    __lt__ = __eq__", "binds __lt__"),
        ("open('key')", "uses open"),
        ("x.__class__", "touches x.__class__"),
        ("import belamy as b\nb.check.double = print", "touches b.check.double"),
        ("check.double = print", "touches check.double"),
        ("double = check.double.reference", "touches check.double.reference"),
    ):
        assert grading.suspicions(answered(released, double=code)) == [told]
    usual = "import torch\nfrom torch.nn import functional as F\ncheck.double(double)"
    module = "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.w = 1"
    for code in (RIGHT["double"], module, "weights.requires_grad = True", usual):
        assert grading.suspicions(answered(released, double=code)) == []


def without(notebook, which):
    notebook.cells = [cell for cell in notebook.cells if not which(cell)]
    return notebook


def test_a_deleted_check_is_put_back_and_a_rewritten_one_does_not_count(book, source):
    released = classroom.student(source, PAGE)
    is_check = lambda cell: has_tag(cell, "check") and name_of(cell) == "double"
    mended, told = grading.repair(without(answered(released, **RIGHT), is_check), released)
    assert told == ["tiny-double-check was deleted: put back"]
    marks = lambda notebook: [grading.mark(cell) for cell in notebook.cells if grading.mark(cell)]
    assert marks(mended) == marks(released)
    assert outcomes(mended, released) == {"double": True, "area": True}
    rewritten = answered(released, double="def double(x):\n    return x")
    next(cell for cell in rewritten.cells if is_check(cell)).source = "print('fine')"
    mended, told = grading.repair(rewritten, released)
    assert told == ["tiny-double-check was rewritten: the released check counts"]
    assert outcomes(mended, released)["double"] is False


def test_lost_marks_are_found_again_and_said(book, source):
    released = classroom.student(source, PAGE)
    submission = answered(released, **RIGHT, why="Because the sides are equal.")
    submission.cells.insert(5, new_code_cell("scratch = 1"))
    for cell in submission.cells:
        cell.metadata = {}
    mended, told = grading.repair(submission, released)
    marks = [grading.mark(cell) for cell in released.cells]
    assert told == [f"{sum(map(bool, marks))} of {sum(map(bool, marks))} cells had lost their marks: restored"]
    assert [grading.mark(cell) for cell in mended.cells if cell.source != "scratch = 1"] == marks
    assert outcomes(mended, released) == {"double": True, "area": True}


def test_a_cell_that_was_copied_counts_once(source):
    released = classroom.student(source, PAGE)
    submission = answered(released, **RIGHT)
    submission.cells.append(copy.deepcopy(next(c for c in submission.cells if has_tag(c, "starter"))))
    mended, told = grading.repair(submission, released)
    assert told == ["a second cell was marked tiny-double-answer: it counts no more"]
    assert "nbgrader" not in mended.cells[-1].metadata


def test_a_course_s_submissions_are_mended_in_place_and_kept_as_received(book, source):
    course, released = book.root / "course", classroom.student(source, PAGE)
    write(released, course / "release" / PAGE / "tiny.ipynb")
    culprit = answered(released, double="import os\nos._exit(3)", area=RIGHT["area"])
    for who, notebook in (("ann", answered(released, **RIGHT)), ("bob", culprit)):
        write(notebook, course / "submitted" / who / PAGE / "tiny.ipynb")
    found = grading.look_at(course, PAGE)
    assert found["ann"] == []
    assert found["bob"] == [
        "double ended its process (status 3): set aside, its points are lost",
        "look at this one: imports os, touches os._exit",
    ]
    assert "os._exit" in (course / "received/bob/tiny/tiny.ipynb").read_text(encoding="utf-8")
    assert grading.look_at(course, PAGE) == found
    assert outcomes(read(course / "submitted/bob/tiny/tiny.ipynb"), released) == {"double": False, "area": True}


@pytest.fixture
def class_of_thirty(book):
    """Thirty sheets and keys, by student."""
    lines = ["name,id", *(f"Student {n},s{n:02d}" for n in range(30))]
    book.edit("names.csv", "\n".join(lines))
    names = sheets.make(book.root, PAGE, book.root / "names.csv", "secret")
    folder = book.root / sheets.SHEETS / PAGE
    keys = [json.loads((folder / "keys" / f"{who}.json").read_text(encoding="utf-8")) for who in names]
    return {who: (read(folder / "students" / f"{who}.ipynb"), key) for who, key in zip(names, keys, strict=True)}


def test_thirty_sheets_differ_and_come_out_the_same_again(book, class_of_thirty):
    keys = [json.dumps(key) for _, key in class_of_thirty.values()]
    texts = [json.dumps([cell.source for cell in notebook.cells]) for notebook, _ in class_of_thirty.values()]
    assert len(class_of_thirty) == len(set(keys)) == len(set(texts)) == 30
    assert not any(str(key["area"]["area"][0]) in json.dumps(sheet) for sheet, key in class_of_thirty.values())
    again = book.root / sheets.SHEETS / PAGE / "keys"
    before = {path.name: path.read_text(encoding="utf-8") for path in again.iterdir()}
    sheets.make(book.root, PAGE, book.root / "names.csv", "secret")
    assert before == {path.name: path.read_text(encoding="utf-8") for path in again.iterdir()}
    sheets.make(book.root, PAGE, book.root / "names.csv", "another secret")
    assert all(before[path.name] != path.read_text(encoding="utf-8") for path in again.iterdir())


def typed(key: dict) -> str:
    return f"def area():\n    return {key['area']['area'][0]!r}"


def test_a_key_fits_its_own_sheet_and_a_neighbour_s_answers_fail(class_of_thirty):
    everybody = list(class_of_thirty.values())
    for (sheet, key), (copied, neighbour) in zip(everybody[:4], everybody[1:5], strict=True):
        own = sheets.grade(answered(sheet, double=RIGHT["double"], area=typed(key)), sheet, key)
        assert own == {
            "double": (2, ""),
            "area": (3, "as the key says"),
            "why": (None, "to be read"),
            "remarks": (None, ""),
        }
        theirs = sheets.grade(answered(sheet, double=RIGHT["double"], area=typed(neighbour)), sheet, key)
        assert theirs["area"][0] == 0 and theirs["double"][0] == 2
        whole = sheets.grade(answered(copied, **RIGHT), sheet, key)
        assert whole["area"][0] == 0 and "this is the sheet of s0" in whole["remarks"][1]


@pytest.mark.parametrize("where", ["starter", "numbers", "added"])
def test_a_drawn_number_that_a_student_s_cell_overwrites_is_judged_as_drawn(class_of_thirty, where):
    sheet, key = class_of_thirty["s00"]
    returned = answered(sheet, double=RIGHT["double"], area=RIGHT["area"] + "\n\nside = 100.0" * (where == "starter"))
    if where == "numbers":
        next(cell for cell in returned.cells if has_tag(cell, "numbers")).source = "side = 100.0"
    if where == "added":  # in a later exercise, which uses the answer's name as well
        returned.cells.append(new_code_cell("side = 100.0\narea = None"))
    assert sheets.grade(returned, sheet, key)["area"] == (3, "as the key says")
    space = {"area": lambda: None, "side": 100.0, "check": SimpleNamespace(area=lambda answer: None)}
    (check,) = (cell.source for cell in sheet.cells if has_tag(cell, "check") and name_of(cell) == "area")
    exec(check, space)
    assert space["side"] ** 2 == pytest.approx(key["area"]["area"][0])


def test_a_number_read_by_a_person_stands_on_the_sheet_and_its_value_beside_the_points(source):
    for cell in source.cells:
        if name_of(cell) == "why":
            cell.source += " For {{n}}." if has_tag(cell, "statement") else " It is {{twice}}."
    for cell in source.cells:
        if has_tag(cell, "starter") and name_of(cell) == "why":
            cell.source = "*Write your answer here.*"
    draws = {"area": lambda rng: ({"side": 2.0}, {"area": (4.0, 1e-6)}), "why": lambda rng: ({"n": 3}, {"twice": 6})}
    sheet, key = sheets.sheet(source, PAGE, "ann", "secret", draws)
    assert "For 3." in json.dumps(sheet) and "It is 6" not in json.dumps(sheet)
    assert key == {"area": {"area": [4.0, 1e-6]}, "why": {"twice": 6}}
    assert sheets.grade(sheet, sheet, key)["why"] == (None, "to be read; the key says twice = 6")


def test_a_folder_of_returned_sheets_becomes_a_table(book, class_of_thirty):
    returned = book.root / "returned"
    for who, (sheet, _) in list(class_of_thirty.items())[:2]:
        write(answered(sheet, **RIGHT), returned / f"{who}.ipynb")
    table = sheets.grade_all(book.root, PAGE, returned).read_text(encoding="utf-8").splitlines()
    assert table[0] == "student,exercise,points,reason" and len(table) == 1 + 2 * 4
    assert table[2] == "s00,area,3,as the key says"
    write(answered(sheet, **RIGHT), returned / "stranger.ipynb")
    with pytest.raises(BookError, match="no sheet that was given out"):
        sheets.grade_all(book.root, PAGE, returned)


def test_an_interrupted_grading_leaves_the_sheets_that_it_came_to(book, class_of_thirty, monkeypatch):
    returned = book.root / "returned"
    for who, (sheet, _) in list(class_of_thirty.items())[:3]:
        write(sheet, returned / f"{who}.ipynb")
    outcomes = iter([{"double": (2, "")}, {"double": (0, "not yet")}])  # and then Ctrl-C
    monkeypatch.setattr(sheets, "grade", lambda *_: next(outcomes))
    with pytest.raises(StopIteration):
        sheets.grade_all(book.root, PAGE, returned)
    table = (book.root / sheets.SHEETS / PAGE / "grades.csv").read_text(encoding="utf-8").splitlines()
    assert table[1:] == ["s00,double,2,", "s01,double,0,not yet"]


def test_students_need_names_of_their_own(tmp_path):
    table = tmp_path / "names.csv"
    table.write_text("name\nAnn Lee\nAnn Lee\n", encoding="utf-8")
    with pytest.raises(BookError, match="Ann-Lee"):
        sheets.students_in(table)
    table.write_text("student\nAnn\n", encoding="utf-8")
    with pytest.raises(BookError, match="column `name`"):
        sheets.students_in(table)


@pytest.mark.parametrize("page, told", [("nope", "No exercises of 'nope'"), ("minimax", "No draws for 'minimax'")])
def test_a_wrong_name_is_told_before_the_site_is_built(page, told, tmp_path, monkeypatch, capsys):
    names = tmp_path / "names.csv"
    names.write_text("name\nAnn\n", encoding="utf-8")
    monkeypatch.setattr("tools.website.build_for_numbers", lambda book: pytest.fail("minutes are lost"))
    given = ["make", "--chapter", page, "--students", str(names), "--secret", "word"]
    monkeypatch.setattr("sys.argv", ["sheets", *given])
    with pytest.raises(SystemExit):
        sheets.main()
    assert told in capsys.readouterr().err


# --- the book's own exercises --------------------------------------------------------------------

SOURCES = sorted((ROOT / "exercises").glob("*.ipynb"))
EXERCISES = pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)


def lines_of(cells) -> set[str]:
    return {line.strip() for cell in cells for line in cell.source.splitlines() if len(line.strip()) > 12}


@EXERCISES
def test_marks_are_unique_and_points_add_up(path):
    notebook = read(path)
    for made in (notebook, classroom.student(notebook, path.stem)):
        marks = [grading.mark(cell) for cell in made.cells if grading.mark(cell)]
        assert len(marks) == len(set(marks)) and all(mark.startswith(f"{path.stem}-") for mark in marks)
        for name, facts in statements(made).items():
            own = [cell.metadata.get("nbgrader", {}) for cell in made.cells if name_of(cell) == name]
            assert sum(marks.get("points", 0) for marks in own if marks.get("grade")) == facts["points"] > 0, name
            assert any(has_tag(cell, "solution") for cell in notebook.cells if name_of(cell) == name), name


@EXERCISES
def test_no_line_of_a_solution_is_left_to_the_student(path):
    notebook = read(path)
    given = classroom.student(notebook, path.stem)
    outside = [cell for cell in given.cells if name_of(cell) is None or has_tag(cell, "preamble")]
    for name in statements(notebook):
        solution = [cell for cell in notebook.cells if has_tag(cell, "solution") and name_of(cell) == name]
        usual = [cell for cell in given.cells if has_tag(cell, "starter") and name_of(cell) == name]
        told = "\n".join(cell.source for cell in outside + usual)  # a line may be the end of a longer one there
        secret = {line for line in lines_of(solution) if line not in told}
        rest = json.dumps([cell for cell in given.cells if cell not in usual], ensure_ascii=False)
        assert secret and not [line for line in secret if json.dumps(line, ensure_ascii=False)[1:-1] in rest], name


@pytest.mark.parametrize("page", ["dcgan", "variational-autoencoders"])
def test_the_student_s_fails_only_where_an_answer_is_missing(page):
    """Of all pages, and that the instructor's fails nowhere: `make classroom-check`."""
    assert classroom_check.failures(ROOT, page, [classroom.student]) == []


@EXERCISES
def test_the_instructor_s_notebook_is_the_source_with_its_numbers(path):
    """So it passes from top to bottom where the source does, which `make test` executes."""
    notebook = read(path)
    made = classroom.instructor(notebook, path.stem)
    assert [c.source for c in made.cells if c.cell_type == "code"] == [
        c.source for c in notebook.cells if c.cell_type == "code"
    ]
    assert not any(exercises.PLACE.search(cell.source) for cell in made.cells if cell.cell_type == "markdown")
    for statement, task in zip((c for c in made.cells if has_tag(c, "statement")), statements(made).values()):
        assert f"about {task['minutes']} minutes" in statement.source


@pytest.mark.parametrize("path", sorted((ROOT / "exercises/sheets").glob("*.py")), ids=lambda path: path.stem)
def test_keys_fit_the_solutions_of_their_own_sheets_alone(path):
    source = read(classroom.source_of(ROOT, path.stem))
    draws = sheets.draws_of(ROOT, path.stem, source)
    assert set(draws) == set(exercises.with_own_numbers(source))
    for name, numbers in exercises.numbers_in(source).items():
        assert draws[name](np.random.default_rng(0))[0] == numbers
    drawn = [
        {name: draw(sheets.generator("secret", path.stem, f"s{n}", name)) for name, draw in draws.items()}
        for n in range(30)
    ]
    own = [cell for cell in source.cells if cell.cell_type == "code"]
    space: dict = {}
    for cell in own:
        if name_of(cell) is None:
            exec(cell.source, space)
    for n, one in enumerate(drawn):
        given = exercises.with_numbers(source, {name: {**key, **numbers} for name, (numbers, key) in one.items()})
        typed = exercises.numbers_in(source)  # the others' answers are read by a person
        for cell in given.cells:
            if name_of(cell) in typed and any(has_tag(cell, tag) for tag in ("numbers", "preamble", "solution")):
                exec(cell.source, space) if cell.cell_type == "code" else None
        for name, (_, key) in ((name, one[name]) for name in typed):
            for function, right in key.items():
                answer = float(space[function]())
                assert sheets.near(answer, *right), (name, function)
                others = [other[name][1][function] for k, other in enumerate(drawn) if k != n]
                assert not any(sheets.near(answer, *other) for other in others), (name, function)


def test_a_check_of_one_s_own_number_names_the_mistake_and_not_the_number(capsys):
    mu, sigma, given = (0.5, -1.0), (0.4, 0.2), {"w": 2.0, "sigma": 0.5, "x": 1.0, "m": 0.2, "s": 0.3}
    nats = sum((m * m + s * s - 1) / 2 - math.log(s) for m, s in zip(mu, sigma, strict=True))
    variance = 2.0**2 + 0.5**2
    density = -(math.log(2 * math.pi * variance) + 1 / variance) / 2
    kl = (0.2**2 + 0.3**2 - 1) / 2 - math.log(0.3)
    plugged = -(math.log(2 * math.pi * 0.25) + 0.6**2 / 0.25) / 2  # from the mean code alone
    elbo = plugged - 4 * 0.3**2 / (2 * 0.25) - kl
    check_kl = lambda value: vae.kl_by_hand(lambda: value, mu, sigma)
    check_density = lambda value: vae.own_density(lambda: value, lambda: elbo, **given)
    check_elbo = lambda value: vae.own_density(lambda: density, lambda: value, **given)
    for check, right, wrong in (
        (check_kl, nats, {-nats: "sign", 2 * nats: "½", nats / math.log(2): "bits", 1.234: "right number"}),
        (check_density, density, {math.exp(density): "logarithm", density + math.log(2 * math.pi) / 2: "2π"}),
        (check_elbo, elbo, {elbo + kl: "charge", elbo + 2 * kl: "sign", plugged - kl: "mean code"}),
    ):
        check(right)
        check(round(right, 4))
        assert "Right" in capsys.readouterr().out
        for value, why in wrong.items():
            with pytest.raises(Wrong, match=why) as told:
                check(value)
            assert f"{right:.2f}" not in str(told.value)
        with pytest.raises(Wrong, match="plain number"):
            check(torch.tensor(right))
    with pytest.raises(NotImplementedError):
        vae.kl_by_hand(starter, mu, sigma)


def starter():
    raise NotImplementedError
