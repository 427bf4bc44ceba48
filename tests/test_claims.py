"""Claims: what a chapter shows is what the page of all claims holds."""

import json

import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from belamy import claims
from belamy.claims import VERDICTS, Claims
from belamy.errors import InputError
from tools import ledger
from tools.book import BookError

ROWS = [
    ("Study, §1", "Two * three_four is hard | so they say.", "0.50 ± 0.02 of <all>", "reproduced", "fig-a"),
    ("Study, Table 2", "It is best.", "0.1", "not reproduced: too few seeds", "fig-b"),
    ("Paper", "It is black.", "0.3", "undecided", "fig-c"),
]


def executed(*rows):
    """A notebook that has displayed these claims, as its file would hold it."""
    data = json.loads(json.dumps(Claims(rows)._repr_mimebundle_()))
    cells = [new_code_cell("1"), new_code_cell("2", outputs=[new_output("display_data", data)])]
    return new_notebook(cells=cells)


def test_a_table_shows_every_part_as_text_and_links_to_the_experiment():
    bundle = Claims(ROWS)._repr_mimebundle_()
    assert "0.50 ± 0.02 of &lt;all&gt;" in bundle["text/html"]
    assert '<a href="#fig-a">' in bundle["text/html"]
    assert "not reproduced: too few seeds" in bundle["text/plain"]
    assert bundle["text/html"] == Claims(ROWS)._repr_mimebundle_()["text/html"]  # outputs repeat


@pytest.mark.parametrize("verdict", VERDICTS)
def test_every_verdict_may_be_followed_by_a_remark(verdict):
    for text in (verdict, f"{verdict}: on digits"):
        assert Claims([("Study", "It works.", "yes", text, "fig-a")]).rows[0].verdict == text


@pytest.mark.parametrize(
    "row, message",
    [
        (("Study", "It works.", "yes", "confirmed", "fig-a"), "verdict='confirmed' must begin with one of"),
        (("Study", "It works.", "yes", "reproduced, on digits", "fig-a"), "must begin with one of"),
        (("Study", "It works.", " ", "reproduced", "fig-a"), "a part that is empty"),
        (("Study", "It works.", 0.5, "reproduced", "fig-a"), "a part that is empty or no text"),
    ],
)
def test_a_row_that_cannot_stand_in_the_ledger_is_refused(row, message):
    with pytest.raises(InputError, match=message):
        Claims([row])
    with pytest.raises(InputError, match="no rows"):
        Claims([])


@pytest.mark.parametrize("rows", [None, 3, ROWS[0], [ROWS[0][:4]], [(*ROWS[0], "more")], ["abcde"], [None]])
def test_what_are_no_rows_is_refused(rows):
    with pytest.raises(InputError, match=r"give \(source, claim, measured, verdict, at\)"):
        Claims(rows)


def test_the_page_and_the_preface_are_made_from_the_outputs(tiny):
    toc = (tiny.root / "_toc.yml").read_text(encoding="utf-8")
    tiny.edit("_toc.yml", toc.replace("}]", "}, {file: chapters/ledger}]"))
    tiny.edit("chapters/ledger.md", f"# Claims\n\n{ledger.TABLES}\n")
    tiny.edit("chapters/index.md", f"# Tiny\n\nSo far: {ledger.COUNT}\n")
    ledger.fill(tiny.book, {tiny.chapter: executed(*ROWS)}, tiny.root)
    page = (tiny.root / "chapters/ledger.md").read_text(encoding="utf-8")
    assert (tiny.root / "chapters/index.md").read_text(encoding="utf-8").endswith(
        "So far: 3 claims: 1 reproduced, 1 not reproduced, 1 undecided.\n"
    )
    assert page.index("## Study") < page.index("## Paper")
    assert r"| §1 | Two \* three\_four is hard \| so they say. | 0.50 ± 0.02 of \<all\> | reproduced |" in page
    assert "| Table 2 |" in page and "{numref}`fig-b`" in page and "| whole | It is black." in page
    assert "2 claims: 1 reproduced, 1 not reproduced." in page


def test_a_chapter_that_shows_no_claims_fails_the_build(tiny):
    toc = (tiny.root / "_toc.yml").read_text(encoding="utf-8")
    tiny.edit("_toc.yml", toc.replace("}]", "}, {file: chapters/ledger}]"))
    silent = new_notebook(cells=[new_code_cell("1")])
    with pytest.raises(BookError, match="01-tiny.ipynb shows no claims"):
        ledger.fill(tiny.book, {tiny.chapter: silent}, tiny.root)
    tiny.edit("chapters/ledger.md", "# Claims\n")
    with pytest.raises(BookError, match="has no line"):
        ledger.fill(tiny.book, {tiny.chapter: executed(*ROWS)}, tiny.root)


def test_builder_and_library_mean_the_same_output():
    assert ledger.MIME == claims.MIME


def test_all_tables_of_a_chapter_are_taken(tmp_path):
    notebook = executed(*ROWS[:1])
    notebook.cells += executed(*ROWS[1:]).cells
    taken = ledger.take_claims(tmp_path / "01-tiny.ipynb", notebook)
    assert [row["claim"] for row in taken["claims"]] == [row[1] for row in ROWS]
    assert taken["verdicts"] == list(VERDICTS)
    assert not any(ledger.MIME in output.data for cell in notebook.cells for output in cell.outputs)


# --- the one rule for verdicts ------------------------------------------------------------------


def test_the_interval_is_student_s():
    from scipy import stats

    runs = [0.3, 1.2, 0.9, 2.5, 1.1]
    found = claims.interval(runs)
    low, high = stats.t.interval(0.95, 4, loc=sum(runs) / 5, scale=stats.sem(runs))
    assert (found.mean, found.low, found.high) == pytest.approx((sum(runs) / 5, low, high))
    assert f"{claims.interval([-1.0, -3.0, -2.0]):.2f}" == "−2.00 [−4.48, 0.48]"
    wide, narrow = claims.interval(runs, 0.99), claims.interval(runs, 0.5)
    assert wide.low < found.low < narrow.low


@pytest.mark.parametrize(
    "differences, margin, word",
    [
        ([1.0, 1.2, 0.8, 1.1, 0.9], 0, "reproduced"),
        ([1.0, 1.2, 0.8, 1.1, 0.9], 2, "not reproduced"),
        ([1.0, 1.2, 0.8, 1.1, 0.9], 0.9, "undecided"),
        ([-1.0, -1.2, -0.8, -1.1, -0.9], 0, "not reproduced"),
        ([1.0, -1.2, 0.8, 1.1, -0.9], 0, "undecided"),
        ([1.0, 1.1, 0.9], 0, "reproduced: 3 seeds"),
        ([1.0, 1.0, 1.0, 1.0, 1.0], 0, "reproduced"),
        ([0.0, 0.0, 0.0, 0.0, 0.0], 0, "undecided"),
    ],
)
def test_a_verdict_is_where_the_interval_of_the_paired_difference_lies(differences, margin, word):
    assert claims.verdict(differences, margin) == word
    assert word.partition(":")[0] in VERDICTS


def test_a_verdict_says_how_few_seeds_there_were():
    assert claims.verdict([1.0, 1.2, 0.8, 1.1, 0.9], seeds=3) == "reproduced: 3 seeds"


@pytest.mark.parametrize("few", [[], [1.0], [1.0, 2.0]])
def test_two_seeds_decide_nothing(few):
    with pytest.raises(InputError, match="at least three seeds"):
        claims.verdict(few)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), "1", None, True])
def test_a_difference_that_is_no_number_is_refused(bad):
    with pytest.raises(InputError, match="must be a finite number"):
        claims.verdict([1.0, 2.0, bad])
    with pytest.raises(InputError, match="two seeds or more"):
        claims.interval([1.0])
