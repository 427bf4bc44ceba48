"""The builder: what it does to notebooks and pages, without building a site."""

import json
import re

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tools import dress, execute, families, formulas, ledger, moved, outputs, polish, website
from tools.book import Book, BookError, read, write


def soup(text):
    return BeautifulSoup(text, "html.parser")


# --- the hero ------------------------------------------------------------------------------------


OPENING = "# Title\n\nOne paragraph\nof two lines.\n\n**In this chapter you will** …"


def chapter(first=OPENING, tags=("hero", "hide-input")):
    cells = [new_markdown_cell(first), new_code_cell("a = 1"), new_code_cell("draw()", metadata={"tags": list(tags)})]
    return new_notebook(cells=cells)


def test_the_hero_stands_under_the_first_paragraph_and_the_time_under_the_title():
    notebook = chapter()
    stamp = {"seconds": 5, "profile": "cpu", "versions": dict.fromkeys(("python", *website.STAMPED_VERSIONS), "1")}
    notebook.metadata["belamy"] = stamp
    sources = [cell.source for cell in website.with_stamp(notebook).cells]
    first, hero, rest, code, _ = sources
    assert first.startswith("# Title\n\n:::{div} belamy-stamp\nMeasured time: 5 s")
    assert first.endswith("One paragraph\nof two lines.")
    assert (hero, code) == ("draw()", "a = 1")
    assert rest == "**In this chapter you will** …"
    assert nbformat.validate(notebook) is None


def test_a_chapter_without_hero_stays_and_one_without_a_paragraph_is_refused():
    before = chapter(tags=())
    website.lift_hero(before)
    assert [cell.source for cell in before.cells][1:] == ["a = 1", "draw()"]
    with pytest.raises(BookError, match="a paragraph under the title"):
        website.lift_hero(chapter(first="# Title\n\n"))


def test_the_hero_s_code_stands_under_its_picture():
    page = soup('<div class="cell tag_hero"><details>code</details><div class="cell_output">picture</div></div>')
    dress.lower_hero(page)
    assert page.get_text() == "picturecode"


# --- folds ---------------------------------------------------------------------------------------


def fold(code, output="", tag=""):
    shown = f'<div class="cell_output">{output}</div>' if output is not None else ""
    return (
        f'<div class="cell tag_hide-input {tag}"><details class="above-input"><summary><p class="collapsed">c</p>'
        f'<p class="expanded">e</p></summary><div class="cell_input">{code}</div></details>{shown}</div>\n'
    )


def bars(html):
    page = soup(f"<section>{html}</section>")
    dress.merge_folds(page)
    return [
        (bar.select_one(".collapsed").get_text(), [code.get_text() for code in bar.select(".cell_input")])
        for bar in page.select("details")
    ]


def test_folded_cells_in_a_row_become_one_bar():
    three = fold("a", tag="tag_setup") + fold("b", None) + fold("c", "<img>")
    assert bars(three) == [("Show set-up (3 cells)", ["a", "b", "c"])]
    assert bars(fold("a") + fold("b")) == [("Show code (2 cells)", ["a", "b"])]


def test_what_is_to_be_seen_between_two_folded_cells_keeps_them_apart():
    assert bars(fold("a", "printed") + fold("b")) == [("Show code", ["a"]), ("Show code", ["b"])]
    assert bars(fold("a") + "<p>Text.</p>" + fold("b")) == [("Show code", ["a"]), ("Show code", ["b"])]
    assert bars(fold("a") + '<div class="cell"><div class="cell_input">open</div></div>' + fold("b")) == [
        ("Show code", ["a"]),
        ("Show code", ["b"]),
    ]


# --- tables --------------------------------------------------------------------------------------


def table(head, *rows):
    def line(cells, kind):
        return "<tr>" + "".join(f"<{kind}>{cell}</{kind}>" for cell in cells) + "</tr>"

    body = "".join(line(row, "td") for row in rows)
    table = f"<table><thead>{head}</thead><tbody>{body}</tbody></table>"
    page = soup(f"<article><div><style>x</style>{table}</div></article>")
    dress.tabulate(page)
    return page


def test_columns_of_numbers_stand_to_the_right_with_a_true_minus():
    head = "<tr><td></td><th>value</th><th>text</th></tr>"
    page = table(head, ["VAE-GAN", "-1.5 ± 0.2", "a-b -1"], ["b", "1e-05 [-3, -2]", "2"], ["c", "", "x"])
    cells = [cell.get_text() for cell in page.select("tbody td")]
    assert cells == ["VAE-GAN", "−1.5 ± 0.2", "a-b -1", "b", "1e−05 [−3, −2]", "2", "c", "", "x"]
    assert [cell.get_text() for cell in page.select(".belamy-number")] == ["value", "−1.5 ± 0.2", "1e−05 [−3, −2]", ""]
    assert not page.select("style")


@pytest.mark.parametrize(
    "text",
    ["0.31", "-3", "12 %", "3 of 9", "64×64", "1.9 [0.3, 3.5]", "−1 to 2", "1,797", "nan", "—", "< 0.01"],
)
def test_numbers_are_known(text):
    assert dress.is_number(soup(f"<td>{text}</td>").td)


@pytest.mark.parametrize("text", ["AVA1", "32 steps", "Adam", "and", "2a", "to"])
def test_text_is_no_number(text):
    assert not dress.is_number(soup(f"<td>{text}</td>").td)


def test_the_index_s_name_needs_no_row_of_its_own():
    head = "<tr><td></td><th>a</th></tr><tr><th>model</th><td></td></tr>"
    page = table(head, ["VAE", "1"])
    assert [row.get_text("|") for row in page.select("tr")] == ["model|a", "VAE|1"]
    several = "<tr><td></td><th colspan='2'>mean</th></tr><tr><th>q</th><th>a</th><th>b</th></tr>"
    assert len(table(several, ["1", "2", "3"]).select("thead tr")) == 2


def test_rows_without_names_are_not_numbered():
    page = table("<tr><th></th><th>a</th><th>b</th></tr>", ["0", "x", "1"], ["1", "y", "2"])
    assert [row.get_text("|") for row in page.select("tr")] == ["a|b", "x|1", "y|2"]
    counted = ["<tr><th>code</th><th>a</th><th>b</th></tr>", ["0", "x", "1"], ["1", "y", "2"]]
    assert [row.get_text("|") for row in table(*counted).select("tr")] == ["code|a|b", "0|x|1", "1|y|2"]


def test_a_short_word_among_numbers_stands_with_them():
    page = table("<tr><th>model</th><th>score</th></tr>", ["VAE", "-1.9"], ["flow", "-2"], ["GAN", "none"])
    assert [cell.get_text() for cell in page.select(".belamy-number")] == ["score", "−1.9", "−2", "none"]


def test_settings_have_their_thousands_parted():
    page = soup('<article><table id="T_settings"><tbody><tr><td>points</td><td>65536</td><td>512</td><td>(8, 1000)</td>'
                "</tr></tbody></table></article>")  # fmt: skip
    dress.tabulate(page)
    assert [cell.get_text() for cell in page.select("td")] == ["points", "65,536", "512", "(8, 1000)"]


def test_many_columns_stand_closer_only_if_there_is_much_in_them():
    head = "<tr>" + "<th>n</th>" * 6 + "</tr>"
    assert not table(head, ["0.1"] * 6).select(".belamy-crowded")
    assert table(head, ["0.084 [0.081, 0.086]"] * 6).select(".belamy-crowded")


def test_what_a_cell_prints_in_several_goes_is_one_block():
    block = '<div class="output stream"><pre>%s\n</pre></div>'
    first, second = (block * 4) % (1, 2, "", 3), block % 4
    page = soup(f'<div class="cell_output">{first}<div>table</div>{second}</div>')
    dress.join_printed(page)
    assert [pre.get_text() for pre in page.select("pre")] == ["1\n2\n3\n", "4\n"]


def test_an_empty_corner_is_the_head_of_nothing():
    page = table("<tr><th></th><th>a</th></tr>", ["1", "2"])
    assert [cell.name for cell in page.select("thead tr > *")] == ["td", "th"]


def test_a_table_scrolls_in_a_box_and_one_of_claims_says_on_each_cell_what_it_is():
    page = table("<tr><th>a</th></tr>", ["1"])
    assert page.select_one(".belamy-wide > .belamy-scroll > table")
    claims = soup('<article><table id="T_claims"><thead><tr><th>claim</th><th>measured here</th></tr></thead>'
                  "<tbody><tr><td>x</td><td>1</td></tr></tbody></table></article>")  # fmt: skip
    dress.tabulate(claims)
    assert [cell["data-label"] for cell in claims.select("td")] == ["claim", "measured here"]
    assert not claims.select(".belamy-scroll")


def test_no_name_of_a_row_and_no_number_is_broken_into_short_lines():
    page = table("<tr><th></th><th>score</th></tr>", ["d = 4", "-1.92 ± 0.00"], ["a network of two layers", "none"])
    marked = [(cell["class"], cell.get_text()) for cell in page.select("td[class]")]
    assert marked == [
        (["belamy-one-line"], "d = 4"),
        (["belamy-one-line"], "−1.92 ± 0.00"),
        (["belamy-long"], "a network of two layers"),
    ]


def test_a_printed_minus_is_one_and_a_hyphen_stays():
    told = "portraits-32-seed0, 2026-11-21: [-0.5, 1e-07] -inf"
    page = soup(f'<article><div class="cell_output"><pre>{told}</pre></div><pre>x = -1</pre></article>')
    dress.print_minus(page)
    told = [pre.get_text() for pre in page.select("pre")]
    assert told == ["portraits-32-seed0, 2026-11-21: [−0.5, 1e−07] −inf", "x = -1"]


def test_no_line_begins_with_what_belongs_to_the_one_before():
    math = '<span class="math">x</span>'
    page = soup(f"<article><p>By ({math}), 95 % of {math} and <code>5 %</code>; {math}: so.</p></article>")
    dress.hold_together(page)
    assert [held.get_text() for held in page.select(".belamy-held")] == ["(x),", "x:"]
    assert page.get_text() == "By (x), 95\N{NO-BREAK SPACE}% of x and 5 %; x: so."


def test_the_index_has_one_line_for_a_module():
    page = soup('<table class="indextable"><li> belamy.ava <ul><li><a href="#x">module</a></li></ul></li></table>')
    polish.join_modules(page)
    assert str(page.li) == '<li><a href="#x">belamy.ava (module)</a></li>'


def test_no_link_begins_with_a_space():
    page = soup('<div class="solution"><p class="admonition-title">Solution to<a href="#x"> Exercise 1</a></p></div>')
    polish.space_links(page)
    assert str(page.p) == '<p class="admonition-title">Solution to <a href="#x">Exercise 1</a></p>'


def test_a_slider_s_picture_has_a_ratio_instead_of_a_height():
    page = soup('<div class="belamy-picture" style="width:800px;height:160px;color:red"></div>')
    dress.keep_proportions(page)
    assert page.div["style"] == "width:800px;aspect-ratio:800/160;color:red"


# --- formulas ------------------------------------------------------------------------------------

PAGE = r"""<html><head></head><body><article>
<p><span class="math">\(x &lt; y\)</span> and again <span class="math">\(x &lt; y\)</span></p>
<div class="math"><span class="eqno">(1)</span>\[\min_G \max_D V\]</div>
<div class="math">\begin{align} a &amp;= b \end{align}</div>
<div class="cell_output"><div class="text_html">costs $5, $\beta$ = 1, 10$ <code>$x$</code></div></div>
</article><script>window.MathJax = {}</script><script src="mathjax/tex.js"></script></body></html>"""


def built(tmp_path, text):
    (tmp_path / "chapters").mkdir()
    page = tmp_path / "chapters" / "a.html"
    page.write_text(text, encoding="utf-8")
    polish.polish(tmp_path)
    return soup(page.read_text(encoding="utf-8"))


def test_formulas_are_typeset_with_mathml_their_latex_and_the_site_s_own_fonts(tmp_path):
    page = built(tmp_path, PAGE)
    latex = [note.get_text() for note in page.select("mjx-container annotation[encoding='application/x-tex']")]
    assert latex == ["x < y", "x < y", r"\min_G \max_D V", r"\begin{align} a &= b \end{align}", r"\beta"]
    assert [bool(m.get("display")) for m in page.select("mjx-container")] == [False, False, True, True, False]
    assert len(page.select("math > semantics")) == 5
    assert "costs $5" in page.select_one(".text_html").get_text() and page.code.get_text() == "$x$"
    assert page.select_one(".eqno").get_text() == "(1)"
    assert not page.select("script")
    style = page.find("link", rel="stylesheet")["href"]
    assert style == "../_static/mathematics/mathjax.css"
    css = (tmp_path / "_static/mathematics/mathjax.css").read_text(encoding="utf-8")
    assert 'url("woff-v2/MathJax_Math-Italic.woff")' in css and "http" not in css
    assert (tmp_path / "_static/mathematics/woff-v2/MathJax_Math-Italic.woff").is_file()


def test_a_table_s_head_that_is_a_formula_alone_has_its_name_in_words(tmp_path):
    heads = r'<tr><th>$\beta$</th><th>KL at $\beta$</th></tr>'
    output = f'<div class="cell_output"><div class="text_html"><table>{heads}</table></div></div>'
    page = built(tmp_path, f"<article>{output}</article>")
    assert [head.get("aria-label") for head in page.select("th")] == ["β", None]


@pytest.mark.parametrize("wrong", [r"\frac{1}", r"\nosuchthing x", r"{x", r"x_1_2"])
def test_a_formula_that_cannot_be_typeset_is_an_error_that_names_its_page(tmp_path, wrong):
    with pytest.raises(BookError, match=r"(?s)cannot be typeset.*chapters/a\.html: .*") as raised:
        built(tmp_path, rf'<html><head></head><body><span class="math">\({wrong}\)</span></body></html>')
    assert wrong in str(raised.value)


def test_node_comes_from_its_wheel_else_from_the_machine_else_the_error_says_what_to_do(monkeypatch):
    monkeypatch.setattr(formulas.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(formulas.shutil, "which", lambda name: "somewhere/node")
    assert formulas.node().name == "node"
    monkeypatch.setattr(formulas.shutil, "which", lambda name: None)
    with pytest.raises(BookError, match="make setup"):
        formulas.node()


def test_the_ledger_begins_with_the_book_s_own_sources_and_knows_their_names():
    sources = ["Arjovsky et al. 2017, §4", "Interactive arts, 'Architecture'", "Portrait study, §1"]
    rows = [{"source": source, "claim": "c", "measured": "m", "verdict": "undecided", "at": "fig"} for source in sources]
    found = re.findall("^## (.*)$", ledger.tables(rows, ["undecided"]), re.MULTILINE)
    assert found == ["Portrait study", "Interactive arts", "Arjovsky et al. 2017"]


def test_the_ledger_keeps_formulas_and_escapes_all_else():
    assert ledger.escape("a_b is 5$ | $\\beta|x|$ *") == r"a\_b is 5\$ \| $\beta\vert x\vert $ \*"


# --- old addresses -------------------------------------------------------------------------------


def test_an_old_address_gets_a_page_and_never_replaces_one(tmp_path):
    (tmp_path / "chapters").mkdir()
    (tmp_path / "chapters/new.html").write_text("<title>1. A &amp; B &#8212; Belamy</title>", encoding="utf-8")
    moved.redirect(tmp_path, {"chapters/01-old": "chapters/new", "chapters/02-gone": "chapters/nowhere"})
    page = soup((tmp_path / "chapters/01-old.html").read_text(encoding="utf-8"))
    assert page.find("meta", attrs={"http-equiv": "refresh"})["content"] == "0; url=new.html"
    assert page.find("link", rel="canonical")["href"] == page.a["href"] == "new.html"
    assert page.a.get_text() == "1. A & B"
    assert not (tmp_path / "chapters/02-gone.html").exists()
    with pytest.raises(BookError, match="chapters/new is a page of the book"):
        moved.redirect(tmp_path, {"chapters/new": "chapters/01-old"})


# --- one chapter alone ---------------------------------------------------------------------------


@pytest.fixture
def two(tiny):
    """A tiny book of two chapters, the second with stored outputs."""
    other = tiny.chapter.with_name("02-other.ipynb")
    write(read(tiny.chapter), other)
    files = "[{file: chapters/01-tiny}, {file: chapters/02-other}]"
    tiny.edit("_toc.yml", f"format: jb-book\nroot: chapters/index\nchapters: {files}\n")
    return tiny, other


def test_one_chapter_is_executed_and_the_others_are_shown_as_stored(two, monkeypatch):
    tiny, other = two
    shown = {}

    def build(book, chapters, out, strict):
        shown.update(chapters, strict=strict)
        return out / "html" / "index.html"

    monkeypatch.setattr(website, "build", build)
    page = website.build_executed(Book(tiny.root), "01-tiny")
    assert page == tiny.root / "_build/html/chapters/01-tiny.html"
    assert tiny.executions == 1 and not shown["strict"]
    assert "the library says 1" in shown[tiny.chapter].cells[2].outputs[0].text
    assert "Outputs from before a change" in shown[other].cells[0].source
    execute.write_outputs(Book(tiny.root))
    tiny.edit_cell(0, "# One\n\nOther text.")
    website.build_executed(Book(tiny.root), "chapters/01-tiny.ipynb")
    assert shown["strict"] and "Outputs from" not in shown[other].cells[0].source


def test_a_preview_of_one_chapter_asks_only_that_its_own_outputs_are_fresh(two, monkeypatch):
    tiny, other = two
    execute.write_outputs(Book(tiny.root))
    monkeypatch.setattr(website, "build", lambda book, chapters, out, strict: out / "html" / "index.html")
    notebook = read(other)
    notebook.cells[2].source += "\nprint(2)"
    write(notebook, other)
    assert website.build_stored(Book(tiny.root), "01-tiny").name == "01-tiny.html"
    with pytest.raises(BookError, match="02-other.ipynb are stale: changed: code"):
        website.build_stored(Book(tiny.root), "02-other")
    with pytest.raises(BookError, match="No chapter 'nothing'. There are: 01-tiny, 02-other"):
        website.build_stored(Book(tiny.root), "nothing")


def test_of_sliders_the_static_form_alone_is_stored():
    live = new_output("display_data", {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}})
    static, text = new_output("display_data", {"text/html": "<p>"}), new_output("stream", text="x")
    cell = new_code_cell("sliders", outputs=[text, live, static, live])
    outputs.drop_widget_views(new_notebook(cells=[cell]))
    assert cell.outputs == [text, static, live]  # the last has no stand-in: tests/test_house.py refuses it


CONTEST = """\
from IPython.display import display
rows = [{{"family": "{0}", "seed": seed, "KL": {1}, "drawn": "0.00,1.00"}} for seed in (0, 1)]
display({{"application/vnd.belamy.families+json": rows, "text/plain": "a table"}}, raw=True)
"""
COMPARED = """\
import json
from pathlib import Path
rows = json.loads(Path("../data/all-families.json").read_text(encoding="utf-8"))
print("compared", [(row["page"], row["KL"]) for row in rows])
"""


def test_a_page_that_compares_is_executed_after_those_that_it_compares(two):
    tiny, other = two
    third = tiny.root / "chapters" / "00-first.ipynb"
    for path, code in ((tiny.chapter, CONTEST.format("a", 0.25)), (other, CONTEST.format("b", 0.5)), (third, COMPARED)):
        notebook = read(tiny.chapter)
        notebook.cells[2].source = code
        write(notebook, path)
    names = ", ".join(f"{{file: chapters/{path.stem}}}" for path in (third, tiny.chapter, other))
    tiny.edit("_toc.yml", f"format: jb-book\nroot: chapters/index\nchapters: [{names}]\n")
    execute.write_outputs(Book(tiny.root))
    rows = json.loads((tiny.root / families.FILE).read_text(encoding="utf-8"))
    assert rows == families.gather(Book(tiny.root))
    assert [(row["page"], row["family"]) for row in rows] == [("01-tiny", "a")] * 2 + [(other.stem, "b")] * 2
    assert [("drawn" in row) for row in rows] == [True, False] * 2  # one picture of each
    assert "('01-tiny', 0.25)" in read(third).cells[2].outputs[0].text
    tiny.edit_cell(2, CONTEST.format("a", 0.125))
    execute.write_outputs(Book(tiny.root))
    assert "('01-tiny', 0.125)" in read(third).cells[2].outputs[0].text
    assert not any(Book(tiny.root).staleness(path) for path in (third, tiny.chapter, other))
