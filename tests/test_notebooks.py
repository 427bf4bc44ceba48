"""The notebooks that the site offers for download: plain to read, and running by themselves."""

import hashlib
import io
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
import yaml
from bs4 import BeautifulSoup
from conftest import CONFIG, ROOT
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tools import classroom, colab, exercises, notebooks, plain, setup_cell, website
from tools.book import Book, BookError, code_of, read, write

BOOK = Book(ROOT)
ONLY = os.environ.get("BELAMY_CHAPTER")
PATHS = [path for path in BOOK.notebooks if ONLY in (None, "", path.stem)]
EXERCISES = [path for path in PATHS if path in BOOK.exercises]
LIGHT = [path for path in PATHS if path.stem in ("prerequisites", "reading-the-code")]
LIGHT += [path for path in EXERCISES if path.stem == "samples"]
name_of = lambda path: path.relative_to(ROOT).as_posix()  # noqa: E731


def offered(html, path):
    return html / "_sources" / path.relative_to(ROOT)


# --- every notebook ------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS, ids=name_of)
def test_a_notebook_is_plain_small_and_valid(html, path):
    notebook = read(offered(html, path))
    nbformat.validate(notebook)
    assert plain.left_raw(notebook) == []
    assert offered(html, path).stat().st_size <= notebooks.LIMIT
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    assert ("accelerator" in notebook.metadata) == ("fit(" in code_of(read(path)))
    assert notebook.metadata.colab.name == notebooks.name_of(BOOK, path) and notebook.metadata.colab.toc_visible
    for cell in notebook.cells:
        if "hide-input" in cell.metadata.get("tags", []):
            assert cell.metadata.jupyter.source_hidden
        assert str(ROOT) not in cell.source
    before = [c.source for c in read(path).cells if c.cell_type == "code" and "setup" not in c.metadata.get("tags", [])]
    assert [c.source for c in notebook.cells if c.cell_type == "code"][1:] == before


@pytest.mark.parametrize("path", EXERCISES, ids=name_of)
def test_an_exercise_shows_its_task_and_numbers_and_folds_its_solution(html, path):
    notebook = read(offered(html, path))
    hours = next(line for line in notebook.cells[0].source.splitlines() if line.startswith("*"))
    assert "exercises" in hours and "points" in hours
    for name, cells in exercises.groups(notebook).items():
        task, text = exercises.described(cells), cells[0].source
        assert text.startswith("#### Exercise ") and task["title"] in text.splitlines()[0]
        assert f"Level {task['level']}, " in text and f"about {task['minutes']} minutes" in text
        solution = [cell for cell in cells if exercises.has_tag(cell, "solution")]
        assert solution, name
        for cell in solution:
            folded = cell.source.startswith("<details>") and cell.source.endswith("</details>")
            assert folded if cell.cell_type == "markdown" else cell.metadata.jupyter.source_hidden
        markdown = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
        assert not exercises.PLACE.search(markdown)
        assert not re.search(r"\bExercise\b(?! [0-9])", markdown), "a reference without its number"
        assert re.search(r"minutes\n\n(?!\n)", text), "the text runs into the line of the level"


@pytest.fixture(scope="module")
def finish(html):
    return notebooks.finisher(BOOK, website.preview(BOOK), html)


@pytest.mark.parametrize("path", EXERCISES, ids=name_of)
def test_the_classroom_s_versions_are_plain_and_carry_the_library(finish, path):
    source = read(path)
    versions = (classroom.student, classroom.instructor)
    student, instructor = [finish(make(source, path.stem), path) for make in versions]
    assert plain.left_raw(student) == plain.left_raw(instructor) == []
    texts = [cell.source for cell in instructor.cells if cell.cell_type == "markdown"]
    assert not [text for text in texts if re.search(r"\bExercise (?![A-Z]?\.?\d)", text)]  # a link without its number
    for made in (student, instructor):
        (setup,) = (cell.source for cell in made.cells if exercises.has_tag(cell, "setup"))
        assert "CARRIED" in setup
    assert not any(exercises.has_tag(cell, "solution") for cell in student.cells)
    # nbgrader makes the same of the instructor's as of the source
    again = classroom.student(instructor, path.stem)
    assert [(c.cell_type, c.source, c.metadata.get("nbgrader")) for c in again.cells if c.id != "references"] == [
        (c.cell_type, c.source, c.metadata.get("nbgrader")) for c in student.cells if c.id != "references"
    ]


PROBE = """
import json, sys
cell, names, again = json.load(sys.stdin)
exec(cell)
import belamy
from belamy import runs
assert all(runs.notebook_of(name).is_file() for name in names if again)
for name in names:  # of which run another is about
    if "study" in (parameters := runs.load(name).parameters):
        assert parameters["study"] == runs.load("portrait-study").record["digest"]
print(belamy.__file__, *[runs.load(name).record["name"] for name in names])
"""


@pytest.mark.parametrize("path", PATHS, ids=name_of)
def test_the_set_up_cell_brings_the_library_and_the_runs_of_its_chapter(html, path, tmp_path):
    cell = next(c.source for c in read(offered(html, path)).cells if "setup" in c.metadata.get("tags", []))
    names = sorted(name for name in BOOK.runs if f'"{name}"' in cell_code(path) and (ROOT / "data/runs" / name).exists())
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONUTF8": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", PROBE], cwd=tmp_path, env=environment,
                          input=json.dumps([cell, names, "notebook_of(" in cell_code(path)]),
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    where, *loaded = done.stdout.split()
    assert Path(where).is_relative_to(tmp_path) and loaded == names


def cell_code(path):
    return "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "code")


@pytest.mark.parametrize("path", LIGHT, ids=name_of)
def test_a_notebook_runs_alone_without_a_home_or_a_network(html, path, tmp_path):
    try:
        colab.run_alone(sys.executable, offered(html, path), tmp_path)
    except subprocess.CalledProcessError as error:
        pytest.fail(error.stderr[-3000:])
    assert colab.shown_twice(read(tmp_path / "done.ipynb")) == []


def test_the_launch_button_opens_the_notebook_that_the_page_offers(tiny):
    """Colab opens what lies on a branch of a repository: there it is the built site."""
    given = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    repository = {**given["repository"], "url": "https://github.com/some/book"}
    buttons = {**given["launch_buttons"], "colab_url": "https://colab.research.google.com"}
    tiny.edit("_config.yml", CONFIG + yaml.safe_dump({"repository": repository, "launch_buttons": buttons}))
    tiny.edit_cell(0, "# One\n\n:::{note}\nText.\n:::")
    write(setup_cell.with_setup_cell(read(tiny.chapter)), tiny.chapter)
    html = website.build_for_numbers(tiny.book) / "html"
    page = BeautifulSoup((html / "chapters/01-tiny.html").read_text(encoding="utf-8"), "html.parser")
    (link,) = (a["href"] for a in page.select("a[href]") if a["href"].startswith(buttons["colab_url"]))
    branch, place = link.removeprefix(f"{buttons['colab_url']}/github/some/book/blob/").split("/", 1)
    opened = read(html / place)
    assert branch == "gh-pages" and plain.left_raw(opened) == [] and "CARRIED" in code_of(opened)


# --- what it carries -----------------------------------------------------------------------------


def test_the_wheel_is_the_same_every_time_and_its_record_is_true():
    name, first = notebooks.wheel(ROOT)
    assert notebooks.wheel(ROOT) == (name, first)
    with zipfile.ZipFile(io.BytesIO(first)) as archive:
        files = archive.namelist()
        assert "belamy/__init__.py" in files and not any("__pycache__" in file for file in files)
        record = archive.read(next(file for file in files if file.endswith("RECORD"))).decode().splitlines()
    assert [line.split(",")[0] for line in record] == files


def test_a_run_is_carried_with_the_checksums_of_what_is_carried(tmp_path, monkeypatch):
    code = 'runs.load("vae-portraits").weights(), picture("manifold.png")'
    files = notebooks.recorded(BOOK, code)
    assert sorted(files) == [f"data/runs/vae-portraits/{n}" for n in ("manifold.png", "run.json", "weights.safetensors")]
    for name, data in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    monkeypatch.setenv("BELAMY_DATA", str(tmp_path / "data"))
    assert notebooks.runs.load("vae-portraits").weights()
    whole = (ROOT / "data/runs/vae-portraits/weights.safetensors").read_bytes()
    assert hashlib.sha256(whole).digest() == hashlib.sha256(files["data/runs/vae-portraits/weights.safetensors"]).digest()


def test_a_set_up_cell_that_was_cut_off_says_so():
    cell = notebooks.carrying(("a.whl", b"x"), {})
    short = cell.replace('\n"""\npayload', '"""\npayload').replace(cell.split('\n"""\npayload')[0][-5:] + '"""', '"""')
    assert len(short) == len(cell) - 6
    with pytest.raises(ValueError, match="download the notebook again"):
        exec(short, {})


# --- plain text ----------------------------------------------------------------------------------


@pytest.fixture
def page():
    env = SimpleNamespace(
        config=SimpleNamespace(numfig_format={"figure": "Fig. %s", "exercise": "Exercise %s"}),
        toc_fignumbers={"chapters/a": {"figure": {"fig-x": (3, 5)}, "exercise": {"ex-a": (3, 1)},
                                       "displaymath": {"equation-eq-y": (3, 2)}}},
        domaindata={"std": {"labels": {"fig-x": ("chapters/a", "fig-x", "A curve"),
                                       "ex-a": ("chapters/a", "ex-a", "Exercise")}, "anonlabels": {},
                            "objects": {("term", "nat"): ("chapters/glossary", "term-nat")}},
                    "math": {"objects": {"eq:y": ("chapters/a", 1)}}},
        titles={"chapters/b": SimpleNamespace(astext=lambda: "The next")},
    )  # fmt: skip
    places = plain.Places.__new__(plain.Places)
    places.env, places.address = env, ""
    return plain.Page("chapters/a", places)


@pytest.mark.parametrize(
    "source, wanted",
    [
        ("See {numref}`fig-x` and {eq}`eq:y`.", "See Fig. 3.5 and (3.2)."),
        ("{ref}`ex-a` derives {ref}`it <ex-a>`, see {ref}`fig-x`.", "Exercise 3.1 derives it, see A curve."),
        ("{numref}`Picture %s <fig-x>` in {doc}`b`, {doc}`there <b>`", "Picture 3.5 in *The next*, there"),
        ("in {term}`nats <nat>`, not `{numref}` or ``{eq}`x` ``", "in nats, not `{numref}` or ``{eq}`x` ``"),
        ("$$ a = b $$ (eq:y)", "$$ a = b \\tag{3.2}$$"),
        ("One.[^a]\n\n[^a]: Two\n    lines.", "One.<sup>1</sup>\n\n<sup>1</sup> Two\nlines."),
        (":::{note}\nSee {eq}`eq:y`.\n:::", "> **Note**\n>\n> See (3.2)."),
        ("::::{admonition} Why\n:class: dropdown\n:::{tip}\nA.\n:::\n::::",
         "<details>\n<summary>Why</summary>\n\n> **Tip**\n>\n> A.\n\n</details>"),
        ("```{index} word\n```\n(label)=\n## Title", "## Title"),
        ("```python\n{eq}`x`\n```", "```python\n{eq}`x`\n```"),
        ("`Game(nets)`\n: Named nets.", "**`Game(nets)`**  \nNamed nets."),
        ("```{exercise} First\n:label: ex-a\nDo it.\n```", "#### Exercise 3.1 (First)\n\nDo it."),
    ],
)  # fmt: skip
def test_myst_becomes_markdown_with_the_book_s_numbers(page, source, wanted):
    assert page.markdown(source) == wanted


def test_with_the_book_s_address_references_are_links(page):
    page.places.address = "https://book.example"
    assert page.markdown("{numref}`fig-x`") == "[Fig. 3.5](https://book.example/chapters/a.html#fig-x)"


@pytest.mark.parametrize("source", ["{nonsense}`x`", ":::{nonsense}\n:::"])
def test_what_is_not_known_is_refused(page, source):
    with pytest.raises(BookError, match="nonsense"):
        page.markdown(source)


def test_a_reference_that_leads_nowhere_is_left_as_text(page):
    """Sphinx refuses it in a strict build; in a book with a chapter that failed, its figures are missing."""
    assert page.markdown("See {numref}`fig-none` and {eq}`eq:none`.") == "See `fig-none` and `eq:none`."


def test_a_solution_is_folded_in_text_and_code(page):
    page.places.env.sphinx_exercise_registry = {"ex-a": {"node": [SimpleNamespace(astext=lambda: "Exercise (First)")]}}
    cells = [
        new_markdown_cell("# T\n\n```{solution-start} ex-a\n:class: dropdown\n```\nThink."),
        new_code_cell("secret = 1"),
        new_markdown_cell("So.\n\n```{solution-end}\n```\n\nGo on."),
        new_code_cell("open"),
        new_code_cell("answer", metadata={"tags": ["solution"]}),
        new_markdown_cell("Because.", metadata={"tags": ["solution"]}),
    ]
    made = notebooks.plain(new_notebook(cells=cells), page)
    hidden = {"source_hidden": True, "outputs_hidden": True}
    title = "Solution to Exercise 3.1 (First)"
    assert made.cells[0].source == f"# T\n\n<details>\n<summary>{title}</summary>\n\nThink.\n\n</details>"
    assert made.cells[2].source.endswith("So.\n\n</details>\n\nGo on.")
    assert [cell.metadata.get("jupyter") for cell in made.cells[1::2][:2]] == [hidden, None]
    assert "jupyter" not in notebooks.plain(
        new_notebook(cells=[new_code_cell("k = 6", metadata={"tags": ["preamble", "numbers"]})]), page
    ).cells[0].metadata, "what an answer needs is open"
    assert made.cells[4].metadata.jupyter == hidden and "<details>" in made.cells[5].source
