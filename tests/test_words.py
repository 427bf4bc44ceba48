"""The pages of words: notation, glossary, the preface's map."""

import re

import nbformat
import pytest
import yaml
from conftest import ROOT
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tools import preface, teaching
from tools.book import Book, BookError

PAGES = ROOT / "chapters"
BOOK = Book(ROOT)


def text_of(name: str) -> str:
    return (PAGES / name).read_text(encoding="utf-8")


def test_the_notation_lists_each_symbol_once():
    rows = re.findall(r"^\| (\$.+?\$) \| .+ \| \{doc\}`[\w-]+` \|$", text_of("notation.md"), flags=re.MULTILINE)
    symbols = [symbol.strip() for row in rows for symbol in re.split(r",\\ ", row.strip("$"))]
    assert len(rows) == len(re.findall(r"^\| \$", text_of("notation.md"), flags=re.MULTILINE)) > 50
    assert len(symbols) == len(set(symbols)) > 60
    for decided in (r"d_x", r"d_z", r"q_\phi(z \mid x)", r"\operatorname{sigm}", r"D_\Psi", r"\mathrm{FD}", "h", "f"):
        assert decided in symbols


def glossary() -> dict[str, str]:
    """Terms and what is said of them."""
    body = re.search(r"````\{glossary\}\n(.+?)````", text_of("glossary.md"), flags=re.DOTALL)[1]
    found = {}
    for entry in body.strip().split("\n\n"):
        *terms, told = entry.split("\n")
        found |= dict.fromkeys(terms, told.strip())
    return found


def test_the_glossary_is_in_order_and_says_where_each_term_is_explained():
    terms = glossary()
    assert 60 <= len(set(terms.values())) <= 7 * len(Book().chapters)
    firsts = list(dict.fromkeys(terms.values()))
    leading = [next(term for term, told in terms.items() if told == first) for first in firsts]
    assert leading == sorted(leading, key=lambda term: term.lower().replace("é", "e"))
    assert all(re.search(r"\. \{doc\}`[\w-]+`$", told) for told in terms.values())


def test_every_term_that_a_page_names_is_in_the_glossary():
    terms = {term.lower() for term in glossary()}
    pages = [text_of(path.name) for path in PAGES.glob("*.md")]
    pages += [c.source for p in BOOK.chapters for c in nbformat.read(p, 4).cells if c.cell_type == "markdown"]
    named = {re.sub(r".*<(.+)>", r"\1", name) for page in pages for name in re.findall(r"\{term\}`([^`]+)`", page)}
    assert named and {name.lower() for name in named} <= terms


def test_every_notebook_of_the_book_has_a_sentence_on_the_map():
    sentences = yaml.safe_load((ROOT / preface.SENTENCES).read_text(encoding="utf-8"))
    assert {path.stem for path in BOOK.chapters} <= set(sentences)
    assert preface.MAP in text_of("index.md")
    for sentence in sentences.values():
        assert len(sentence) < 140 and sentence[-1] in ".?"


def test_the_map_tells_reading_and_computing_times(tiny):
    folded = new_code_cell("1\n" * 300, metadata={"tags": ["hide-input"]})
    figure = new_code_cell("2", metadata={"mystnb": {"figure": {"name": "fig-a", "caption": "b"}}})
    notebook = new_notebook(cells=[new_markdown_cell("word " * 1790 + "{doc}`x`" + " $a b c$" * 9), folded, figure])
    assert 10 < preface.reading_minutes(notebook) < 10.5
    notebook.metadata["belamy"] = {"seconds": 125}
    tiny.edit(preface.SENTENCES, f"{tiny.chapter.stem}: What is it?\n")
    part = f"{{caption: I, chapters: [{{file: chapters/{tiny.chapter.stem}}}]}}"
    toc = f"format: jb-book\nroot: chapters/index\nparts: [{part}]\n"
    tiny.edit("_toc.yml", toc)
    tiny.edit("chapters/index.md", f"# Tiny\n\n{preface.MAP}\n")
    preface.fill(tiny.book, {tiny.chapter: notebook}, tiny.root)
    page = (tiny.root / "chapters/index.md").read_text(encoding="utf-8")
    assert f"| {{doc}}`{tiny.chapter.stem}`<br>What is it? | 10\xa0min | 2\xa0min |" in page
    assert not (tiny.root / f"{preface.INDEX}.md").exists()


def test_the_wall_of_portraits_is_small():
    assert 20_000 < (PAGES / "assets" / "wall.jpg").stat().st_size < 300_000


def pages_by_name():
    return {path.stem: nbformat.read(path, 4) for path in BOOK.chapters if path.parent.name == "chapters"}


def test_the_syllabus_takes_its_times_and_exercises_from_the_notebooks():
    pages = pages_by_name()
    text = teaching.syllabus(BOOK, pages)
    assert re.findall(r"^### (\d+) weeks$", text, flags=re.MULTILINE) == ["6", "10", "14"]
    assert len(re.findall(r"^\| \d+ \| ", text, flags=re.MULTILINE)) == 30
    pages["minimax"].metadata["belamy"] = {"seconds": 47 * 60}
    assert "47\xa0min |" in teaching.syllabus(BOOK, pages)


def test_a_course_plans_as_many_weeks_as_it_says(tiny):
    plan = "- {weeks: 2, levels: [1], plan: [{pages: [01-tiny], aim: 'a, b'}]}\n"
    tiny.edit(teaching.PLANS, plan)
    pages = {"01-tiny": nbformat.read(tiny.chapter, 4)}
    with pytest.raises(BookError, match="2 weeks plans 1"):
        teaching.syllabus(tiny.book, pages)
    tiny.edit(teaching.PLANS, plan.replace("weeks: 2", "weeks: 1"))
    assert "<br>a, b | none on the page |" in teaching.syllabus(tiny.book, pages)
    full = {"name": "a", "level": 1, "kind": "code", "points": 3, "minutes": 20}
    cells = [
        new_markdown_cell("", metadata={"tags": ["statement"], "exercise": {**full, "name": name, "level": level}})
        for name, level in (("a", 1), ("b", 1), ("c", 2))
    ]
    (tiny.root / "exercises").mkdir()
    nbformat.write(new_notebook(cells=cells), tiny.root / "exercises" / "01-tiny.ipynb")
    assert "| 2 of 3: 6 points, 40\xa0min |" in teaching.syllabus(tiny.book, pages)


def test_the_errata_are_dated_newest_first_and_of_pages_that_there_are():
    entries = yaml.safe_load((ROOT / teaching.MISTAKES).read_text(encoding="utf-8"))
    dates = [entry["date"] for entry in entries]
    assert dates == sorted(dates, reverse=True) and len(entries) > 10
    text = teaching.errata(BOOK, pages_by_name())
    assert text.count("**Right is:**") == len(entries)
    assert all(" ".join(entry["right"].split()) in text for entry in entries)


def test_an_erratum_names_a_page_and_a_kind_and_no_other(tiny):
    pages = {"01-tiny": None}
    entry = "- {date: 2026-01-02, page: 01-tiny, kind: number, was: '2', right: '3', thanks: Ann}\n"
    tiny.edit(teaching.MISTAKES, entry)
    text = teaching.errata(tiny.book, pages)
    assert "## 2 January 2026" in text and "{doc}`01-tiny` (number)\n: **There stood:** 2" in text
    assert text.rstrip().endswith("**Right is:** 3 (Found by Ann.)")
    for wrong, told in (("page: none-such", "no page 'none-such'"), ("kind: lie", "kind 'lie'")):
        tiny.edit(teaching.MISTAKES, re.sub(f"{wrong.partition(':')[0]}: [^,]+", wrong, entry))
        with pytest.raises(BookError, match=told):
            teaching.errata(tiny.book, pages)


def test_the_pages_for_teachers_are_linked_and_have_their_places():
    assert {teaching.INSTRUCTORS, teaching.ERRATA} <= set(BOOK.entries)
    assert teaching.SYLLABUS in text_of("instructors.md") and teaching.LIST in text_of("errata.md")
    for page in ("index.md", "instructors.md"):
        assert "{doc}`errata`" in text_of(page)
