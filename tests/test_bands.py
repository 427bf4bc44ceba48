"""Bands: watched without changing what a cell does, reported with their room, and no reader's loss."""

import ast
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from bs4 import BeautifulSoup

from tools import portability, website
from tools.bands import BAND, Band, Rewrite, Watcher, read_log
from tools.book import BookError, read
from tools.execute import run_or_exit, write_outputs

# --- the rewriting -------------------------------------------------------------------------------


def watched(tmp_path: Path, source: str, **names) -> list[Band]:
    """The bands of some code."""
    log = tmp_path / "bands.jsonl"
    log.unlink(missing_ok=True)
    code = compile(Rewrite().visit(ast.parse(source)), "cell", "exec")
    exec(code, {BAND: Watcher(log), "np": np, "torch": torch, **names})
    return read_log(log)[0]


SERIES = pd.Series([1.0, 2.0, 4.0])


@pytest.mark.parametrize(
    ("test", "value", "bound", "slack"),
    [
        ("3 < 5", 3, 5, 2),
        ("5 >= 4.5", 5, 4.5, 0.5),
        ("1 < torch.tensor(3.0) < 10", 1, 3, 2),  # of a chain the nearer end, and the other as well
        ("(s < 5).all()", 4, 5, 1),  # of a table the entry that comes nearest
        ("s.between(0.9, 9).all()", 1, 0.9, 0.1),
        ("s.is_monotonic_increasing", 2, 1, 1),
        ("(-s).is_monotonic_decreasing", -2, -1, 1),
        ("torch.allclose(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.1]), rtol=0, atol=0.3)", 0.1, 0.3, 0.2),
        ("np.isclose(1.0, 1.1, 0, 0.3)", 0.1, 0.3, 0.2),
        ("not 3 > 5", 3, 5, -2),
    ],
)
def test_a_comparison_is_written_down_with_its_distance_to_the_edge(tmp_path, test, value, bound, slack):
    (band,) = watched(tmp_path, f"assert {test}", s=SERIES)
    assert band.passed and band.text == ast.unparse(ast.parse(test))
    part = band.parts[0]
    assert [part["value"], part["bound"], part["slack"]] == pytest.approx([value, bound, slack], abs=1e-6)


@pytest.mark.parametrize(
    "test",
    ["3 in (1, 2)", "'a' == 'b'", "5 < 3", "1 < 0 < unknown", "SERIES.gt(2).all()", "None is not None",
     "not 1 < 2", "1 > 2 or 3 > 4", "all(x < 2 for x in [1, 2, 3])", "len([]) > 0", "np.nan < 1"],
)  # fmt: skip
def test_what_is_false_is_noted_and_the_cell_goes_on(tmp_path, test):
    gone_on = []
    (band,) = watched(tmp_path, f"assert {test}, 'why'\ngone_on.append(1)", gone_on=gone_on, SERIES=SERIES)
    assert not band.passed and gone_on == [1]


def test_operands_are_computed_once_in_order_and_only_as_far_as_needed(tmp_path):
    calls = []
    f = lambda x: calls.append(x) or x  # noqa: E731
    watched(tmp_path, "assert f(1) < f(2) < f(3) and f(9) < f(4) < f(5)", f=f)
    assert calls == [1, 2, 3, 9, 4]


def test_an_exception_in_a_band_is_one(tmp_path):
    with pytest.raises(ZeroDivisionError):
        watched(tmp_path, "assert 1 / 0 > 3")


def test_of_a_loop_the_worst_round_is_kept(tmp_path):
    (band,) = watched(tmp_path, "for x in (1, 4, 2):\n    assert x < 5")
    assert band.passed and band.parts[0]["value"] == 4
    (band,) = watched(tmp_path, "for x in (1, 6, 2):\n    assert x < 5")
    assert not band.passed and band.told() == "x < 5  (here 6 against 5)"


# --- a reader's book -----------------------------------------------------------------------------

FAILS = "print('measured', {})\nassert {} < 5\nprint('went on')"


def on_the_page(tiny) -> tuple[str, list[str]]:
    """The page's text, and its notices."""
    page = tiny.root / "_build" / "html" / "chapters" / "01-tiny.html"
    soup = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")
    return plain(soup.find("article")), [plain(notice) for notice in soup.select(".belamy-differs")]


def plain(element) -> str:
    return " ".join(element.get_text(" ").split())


def test_a_failed_band_costs_a_reader_nothing_but_a_notice(tiny):
    tiny.edit_cell(2, FAILS.format(3, 3))
    write_outputs(tiny.book)
    machine = tiny.root / "lib" / "belamy" / "__init__.py"
    tiny.edit_cell(2, "import belamy\n" + FAILS.format("belamy.ANSWER", "belamy.ANSWER"))
    tiny.edit("lib/belamy/__init__.py", "ANSWER = 3\n")
    write_outputs(tiny.book)
    stored = tiny.chapter.read_text(encoding="utf-8")
    website.build_executed(tiny.book)
    assert on_the_page(tiny)[1] == []
    machine.write_text("ANSWER = 7\n", encoding="utf-8")  # another machine: the same code, another number
    for _ in range(2):
        words = r"01-tiny\.ipynb: the book's own checks failed here\n  cell 2: .*7 against 5"
        with pytest.raises(BookError, match=words):
            website.build_executed(tiny.book)
        text, (top, place) = on_the_page(tiny)
        assert "measured 7" in text and "went on" in text
        assert "A check of this chapter did not hold" in top and text.index("did not hold") < text.index("Text.")
        assert "belamy.ANSWER < 5 (here 7 against 5)" in place and "measured 3" in place
    with pytest.raises(BookError, match="bands failed, outputs not written\n  cell 2"):
        write_outputs(tiny.book)
    assert tiny.chapter.read_text(encoding="utf-8") == stored


@pytest.mark.parametrize(("cell", "told"), [("1 / 0", "ZeroDivisionError"), ("import os; os._exit(1)", "died")])
def test_a_chapter_that_ends_early_is_shown_as_stored(tiny, cell, told):
    tiny.edit_cell(2, f"import belamy\nprint('the answer', belamy.ANSWER)\nif belamy.ANSWER == 7: {cell}")
    write_outputs(tiny.book)
    tiny.edit("lib/belamy/__init__.py", "ANSWER = 7\n")
    with pytest.raises(BookError, match=r"cell 2/2 failed[\s\S]*The site is built all the same"):
        website.build_executed(tiny.book)
    text, (top, place) = on_the_page(tiny)
    assert "the answer 1" in text and "the answer 7" not in text
    assert told in top and "there changed: lib" in top and told in place
    assert tiny.cached and len(tiny.cached) == 1  # that of the machine where it ran


def test_a_chapter_that_never_ran_anywhere_is_shown_without_outputs(tiny):
    tiny.edit_cell(0, "# One\n\nText on {numref}`fig-of-nothing`.")
    tiny.edit_cell(2, "1 / 0")
    with pytest.raises(BookError, match="ZeroDivisionError"):
        website.build_executed(tiny.book)
    text, notices = on_the_page(tiny)
    assert "Text on" in text and len(notices) == 2


def test_the_command_ends_with_the_list_and_a_status(tiny):
    tiny.edit_cell(2, FAILS.format(7, 7))
    with pytest.raises(SystemExit) as ended:
        run_or_exit(lambda: website.build_executed(tiny.book))
    assert "cell 2: 7 < 5" in str(ended.value.code)  # a text as status: printed, and 1


def test_the_stamp_names_instructions_and_threads(tiny):
    tiny.edit_cell(2, "import torch\ntorch.set_num_threads(2)")
    write_outputs(tiny.book)
    machine = read(tiny.chapter).metadata.belamy.machine
    assert machine.instructions == torch.backends.cpu.get_cpu_capability() and machine.threads == 2
    website.build_stored(tiny.book)
    page = (tiny.root / "_build/preview/html/chapters/01-tiny.html").read_text(encoding="utf-8")
    assert f"with {machine.instructions}, 2 threads" in page


# --- make portability ----------------------------------------------------------------------------

SETTINGS_TRIED = """\
import os, torch
value = {"avx2": 4.5, "default": 5.5}.get(os.environ.get("ATEN_CPU_CAPABILITY"), 4.0)
assert value < 5
assert seed < 15
"""


def test_portability_tries_every_setting_tells_failures_and_room_and_runs_nothing_twice(tiny, capsys):
    tiny.edit_cell(1, "seed = 0")
    tiny.edit_cell(2, SETTINGS_TRIED + "open('../executions', 'a', encoding='utf-8').write('x')")
    names = list(portability.SETTINGS)
    write_outputs(tiny.book)  # which counts as one of them
    for _ in range(2):
        with pytest.raises(BookError, match="bands failed"):
            portability.try_all(tiny.book, [], names, only_report=False)
        told = capsys.readouterr().out
    assert tiny.executions == len(names)
    assert "01-tiny, sse41, cell 2: value < 5  (here 5.5 against 5)" in told
    assert "01-tiny, seed 20, cell 2: seed < 15  (here 20 against 15)" in told
    assert "Failed: 2\n" in told
    assert "| 01-tiny | sse41 | DEFAULT, " in told  # the switch reaches torch
    assert "value < 5: 4.5 against 5 (avx2)  [room 0.50]" not in told  # it failed already: no need
    tiny.edit("lib/belamy/__init__.py", "ANSWER = 2\n")
    portability.try_all(tiny.book, ["01-tiny"], ["as it is"], only_report=False)
    assert tiny.executions == len(names) + 1
    with pytest.raises(BookError, match="no chapter '02'; there are 01-tiny"):
        portability.try_all(tiny.book, ["02"], names, only_report=False)


def test_room_is_the_distance_to_the_edge_in_units_of_what_moved():
    def band(value: float, bound: float) -> Band:
        part = {"text": "v < b", "value": value, "bound": bound, "slack": bound - value}
        return Band(1, "v < b", True, [part])

    ((room, line),) = portability.rooms({"a": band(1.0, 2.0), "b": band(1.5, 2.0), "c": band(1.25, 2.0)})
    assert room == 1.0 and line == "v < b: 1.5 against 2 (b)"
    assert portability.rooms({"a": band(1.0, 2.0), "b": band(1.0, 2.0)}) == []  # it does not move


def test_a_trial_that_raises_is_reported(tiny, capsys):
    tiny.edit_cell(2, "1 / 0")
    with pytest.raises(BookError):
        portability.try_all(tiny.book, [], ["as it is"], only_report=False)
    assert "ended by cell 2: ZeroDivisionError" in capsys.readouterr().out
