"""The house: one set of dependencies, clean sources, chapters that keep the book's conventions."""

import ast
import re
import subprocess
import tomllib

import ipywidgets
import pytest
import yaml
from conftest import ROOT
from packaging.requirements import Requirement
from packaging.version import Version

from tools import setup_cell, website
from tools.book import Book, code_cells, read

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
BOOK = Book(ROOT)
CHAPTERS = pytest.mark.parametrize("path", BOOK.chapters, ids=lambda path: path.stem)
NOTEBOOKS = pytest.mark.parametrize(  # chapters, and pages of exercises
    "path", BOOK.notebooks, ids=[p.stem if p in BOOK.chapters else f"exercises-{p.stem}" for p in BOOK.notebooks]
)
LINE = 88  # columns of code that the page shows without scrolling
MACHINE_PATH = re.compile(r"(?<![\w.~/-])/(?:work|tmp|root|home|Users)/[\w.]")
# In ipywidgets 8 but not in 7.7.1, the version in Colab.
NEW_WIDGETS = {"ColorsInput", "FloatsInput", "IntsInput", "NaiveDatetimePicker", "Stack"}
NEW_WIDGETS |= {"DatetimePicker", "TagsInput", "TimePicker", "TagsInputBase"}
UNFIT_WIDGETS = {"Accordion", "Tab"}  # Colab's custom widget manager breaks them


def tracked() -> list[str]:
    """The repository's own files; skips where git or its folder is missing (a plain archive)."""
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("not a git checkout")
    return [name for name in done.stdout.splitlines() if (ROOT / name).is_file()]


def locked() -> dict[str, list[Version]]:
    """The lock's versions, several where they differ between platforms."""
    versions: dict[str, list[Version]] = {}
    for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines():
        requirement = Requirement(line)
        (pin,) = requirement.specifier
        assert pin.operator == "==", line
        versions.setdefault(requirement.name.lower(), []).append(Version(pin.version))
    return versions


def declared() -> list[Requirement]:
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    return [Requirement(line) for group in groups for line in group]


def test_the_lock_pins_every_declared_dependency_within_its_bounds():
    versions = locked()
    for requirement in declared():
        if requirement.name == "belamy":
            continue
        pins = versions[requirement.name.lower()]
        assert all(pin in requirement.specifier for pin in pins), requirement


def test_the_lock_holds_the_ordinary_torch_pair():
    versions = locked()
    assert versions["torch"] == [Version("2.14.1")]
    assert versions["torchvision"] == [Version("0.29.1")]


def test_all_means_every_optional_group():
    groups = PROJECT["optional-dependencies"]
    (everything,) = map(Requirement, groups["all"])
    assert everything.extras == set(groups) - {"all"}


def test_conda_installs_what_pip_does():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    *conda, pip = environment["dependencies"]
    assert pip == {"pip": ["-c requirements.lock", "-e .[all]"]}
    python = next(line for line in conda if line.startswith("python"))
    supported = Requirement(f"python{PROJECT['requires-python']}").specifier
    assert python.partition("=")[2] in supported
    assert conda[1:] == ["pip"]


def test_one_version_number():
    from belamy import __version__

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert PROJECT["version"] == __version__ == citation["version"]


def test_git_ignores_what_is_built_and_not_the_library():
    def ignored(path: str) -> bool:
        command = ["git", "check-ignore", "--no-index", "-q", path]
        done = subprocess.run(command, cwd=ROOT, capture_output=True)
        if done.returncode > 1:
            pytest.skip("not a git checkout")
        return done.returncode == 0

    assert not ignored("lib/belamy/game/fit.py")
    assert not ignored("data/runs/vae/weights.safetensors")
    assert ignored("_build/html/index.html")
    assert ignored(".cache/chapters/x.ipynb")
    assert ignored(".venv/bin/python")


def test_no_file_names_a_path_of_one_machine():
    found = []
    for name in tracked():
        try:
            text = (ROOT / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{name}: {match[0]}" for match in MACHINE_PATH.finditer(text)]
    assert found == []


def without_encoding(source: str) -> list[str]:
    """The calls in `source` that read or write text in whatever encoding the machine prefers."""
    found = []
    for call in ast.walk(ast.parse(source)):
        if not isinstance(call, ast.Call) or any(k.arg == "encoding" for k in call.keywords):
            continue
        name = ast.unparse(call.func)
        modes = [k.value for k in call.keywords if k.arg == "mode"]
        if name == "open" or name.endswith(".open") and name not in ("Image.open", "gzip.open"):
            modes += call.args[name == "open" :][:1]
            binary = any(isinstance(mode, ast.Constant) and "b" in mode.value for mode in modes)
            found += [] if binary else [ast.unparse(call)]
        # The first argument of a path's read_text is the encoding; that of a package's, a name.
        if name.endswith(".write_text") or name.endswith(".read_text") and not call.args:
            found.append(ast.unparse(call))
    return found


def test_the_encoding_lint_sees_text_and_passes_bytes():
    for call in ("open(p)", "open(p, 'w')", "p.open()", "(a / b).read_text()", "p.write_text('x')"):
        assert without_encoding(call) == [call]
    for call in ("open(p, 'rb')", "p.open('rb')", "open(p, mode='wb')", "Image.open(p)", "p.read_bytes()"):
        assert without_encoding(call) == []
    assert without_encoding("p.read_text(encoding='utf-8')\nopen(p, encoding='utf-8')") == []


def test_every_file_of_text_is_opened_with_an_encoding():
    files = [name for name in tracked() if name.endswith(".py")]
    found = {name: without_encoding((ROOT / name).read_text(encoding="utf-8")) for name in files}
    assert len(files) > 50
    assert {name: calls for name, calls in found.items() if calls} == {}


def test_every_room_of_the_library_is_on_its_page():
    page = (ROOT / "chapters" / "library.md").read_text(encoding="utf-8")
    described = set(re.findall(r"automodule:: belamy\.(\w+)", page))
    rooms = {path.stem for path in (ROOT / "lib" / "belamy").iterdir() if path.stem[0] not in "_."}
    assert described == rooms


@NOTEBOOKS
def test_outputs_are_stored_and_fresh(path):
    assert BOOK.staleness(path) == []
    assert all(cell.execution_count for cell in code_cells(read(path)))
    assert path.stat().st_size <= 2 * 2**20


@pytest.mark.parametrize("path", sorted((ROOT / "chapters/runs").glob("*.ipynb")), ids=lambda p: p.stem)
def test_a_run_s_notebook_shows_what_it_printed_and_with_which_parameters(path):
    cells = code_cells(read(path))
    assert all(cell.execution_count for cell in cells)
    (given,) = (cell for cell in cells if "parameters" in cell.metadata.get("tags", []))
    assert "outputs stored here were made with" in given.outputs[0].text
    assert not any(output.get("name") == "stderr" for cell in cells for output in cell.outputs)


@CHAPTERS
def test_a_chapter_begins_with_its_setup_and_parameters(path):
    setup, parameters, *rest = code_cells(read(path))
    assert setup.metadata.tags == ["setup", "hide-input"]
    assert setup.source == setup_cell.SETUP
    assert "parameters" in parameters.metadata.tags
    names = [ast.unparse(node.targets[0]) for node in ast.parse(parameters.source).body]
    assert names == ["profile", "seed", "override", "confirmed"]
    assert 'profile = "auto"' in parameters.source
    assert not any({"setup", "parameters"} & set(cell.metadata.get("tags", [])) for cell in rest)


@NOTEBOOKS
def test_code_cells_are_short_and_portable(path):
    for cell in code_cells(read(path)):
        assert len(cell.source.splitlines()) <= 40, cell.source
        assert not re.search(r"""["'](/|\.\./|~/|[A-Z]:\\)""", cell.source), cell.source
        assert "%matplotlib widget" not in cell.source
        ast.parse(cell.source)


def wide_lines(path) -> list[str]:
    """The lines of a notebook's code that its page would cut."""
    lines = [line for cell in code_cells(read(path)) for line in cell.source.splitlines()]
    return [line for line in lines if len(line) > LINE]


@NOTEBOOKS
def test_code_lines_fit_the_page(path):
    found = wide_lines(path)
    assert found == [], f"{path.stem}: {len(found)} lines of code are longer than {LINE} columns"


@CHAPTERS
def test_a_chapter_opens_with_its_hero(path):
    notebook = read(path)
    heroes = [cell for cell in notebook.cells if "hero" in cell.metadata.get("tags", [])]
    assert len(heroes) == 1, f"{path.stem}: {len(heroes)} cells are tagged `hero`, one should be"
    assert "hide-input" in heroes[0].metadata.tags and heroes[0].metadata.mystnb.figure.caption
    website.lift_hero(notebook)
    assert notebook.cells[1] is not None and "hero" in notebook.cells[1].metadata.tags


@NOTEBOOKS
def test_a_reference_to_an_exercise_says_so_once(path):
    text = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    assert re.findall(r"(?i)\b(?:exercise|figure|fig\.)\s\{(?:ref|numref)\}`[^<`]*`", text) == []


@NOTEBOOKS
def test_figures_have_caption_name_and_alt(path):
    names = []
    for cell in code_cells(read(path)):
        if not any(is_picture(output) for output in cell.outputs):
            continue
        options = cell.metadata.get("mystnb", {})
        figure, alt = options.get("figure", {}), options.get("image", {}).get("alt", "")
        assert figure.get("caption") and figure.get("name"), cell.source
        assert len(alt) > 20, f"say what is to be seen: {cell.source}"
        names.append(figure["name"])
    assert len(names) == len(set(names))


def is_picture(output) -> bool:
    data = output.get("data", {})
    return any(kind.startswith("image/") for kind in data) or "belamy-sliders" in data.get(
        "text/html", ""
    )


@NOTEBOOKS
def test_no_output_is_a_warning_or_a_widget_without_a_picture(path):
    for cell in code_cells(read(path)):
        for output in cell.outputs:
            assert output.get("name") != "stderr", output.text
            assert not any("widget-view" in kind for kind in output.get("data", {})), cell.source


def widget_names(source: str) -> set[str]:
    """The widgets that `source` uses, by attribute or by import from ipywidgets."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id in ("widgets", "ipywidgets"):
                names.add(node.attr)
        if isinstance(node, ast.ImportFrom) and node.module == "ipywidgets":
            names |= {alias.name for alias in node.names}
    return names


def unfit(source: str) -> set[str]:
    used = {name for name in widget_names(source) if hasattr(ipywidgets, name)}
    return used & (NEW_WIDGETS | UNFIT_WIDGETS)


def test_the_widget_lint_sees_widgets_that_colab_lacks():
    assert unfit("import ipywidgets\nipywidgets.TagsInput()") == {"TagsInput"}
    assert unfit("from ipywidgets import Stack, IntSlider") == {"Stack"}
    assert unfit("import ipywidgets as widgets\nwidgets.IntSlider()") == set()


@NOTEBOOKS
def test_chapters_use_only_widgets_that_colab_has(path):
    assert unfit("\n".join(cell.source for cell in code_cells(read(path)))) == set()


def test_the_library_uses_only_widgets_that_colab_has():
    for path in (ROOT / "lib").rglob("*.py"):
        assert unfit(path.read_text(encoding="utf-8")) == set(), path
