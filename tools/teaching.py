"""The pages for instructors and of errata, filled in when the book is built: their times and lists are never typed."""

import re
from pathlib import Path

import yaml
from nbformat import NotebookNode

from tools.book import Book, BookError, read
from tools.classroom import EXERCISES
from tools.exercises import statements
from tools.preface import reading_minutes, told

INSTRUCTORS, SYLLABUS, PLANS = "chapters/instructors", "<!-- syllabus -->", "chapters/syllabus.yml"
ERRATA, LIST, MISTAKES = "chapters/errata", "<!-- errata -->", "chapters/errata.yml"
KINDS = ("statement", "verdict", "number", "code")


def fill(book: Book, chapters: dict[Path, NotebookNode], source: Path) -> None:
    """Write syllabus and errata into the pages of `source` that the book has for them.

    Raises:
        BookError: a page lacks its place, or a file names a page that the book does not have.
    """
    own = {path.stem: notebook for path, notebook in chapters.items() if path.parent.name == "chapters"}
    for page, place, text in ((INSTRUCTORS, SYLLABUS, syllabus), (ERRATA, LIST, errata)):
        if page not in book.entries:
            continue
        file = source / f"{page}.md"
        written = file.read_text(encoding="utf-8")
        if place not in written:
            raise BookError(f"{page}.md has no line {place!r}")
        file.write_text(written.replace(place, text(book, own)), encoding="utf-8")


def errata(book: Book, chapters: dict[str, NotebookNode]) -> str:
    """A list for each day, newest first: the page, what stood there, what is right."""
    entries = yaml.safe_load((book.root / MISTAKES).read_text(encoding="utf-8"))
    text = []
    for day in sorted({entry["date"] for entry in entries}, reverse=True):
        text += [f"## {day.day} {day:%B %Y}", ""]
        for entry in (entry for entry in entries if entry["date"] == day):
            known(entry["page"], chapters)
            if entry["kind"] not in KINDS:
                raise BookError(f"{MISTAKES}: the kind {entry['kind']!r} is none of {', '.join(KINDS)}")
            was, right = (" ".join(entry[key].split()) for key in ("was", "right"))
            thanks = f" (Found by {entry['thanks']}.)" if "thanks" in entry else ""
            text += [f"{{doc}}`{entry['page']}` ({entry['kind']})"]
            text += [f": **There stood:** {was}", "", f"  **Right is:** {right}{thanks}", ""]
    return "\n".join(text)


def syllabus(book: Book, chapters: dict[str, NotebookNode]) -> str:
    """A table for each course: weeks, pages, exercises, and the times that the notebooks themselves tell."""
    text = []
    for course in yaml.safe_load((book.root / PLANS).read_text(encoding="utf-8")):
        if len(course["plan"]) != course["weeks"]:
            raise BookError(f"{PLANS}: a course of {course['weeks']} weeks plans {len(course['plan'])}")
        text += [f"### {course['weeks']} weeks", "", "```{table}", ":widths: 6 44 26 12 12", ":width: 100%", ""]
        text += ["| week | pages | exercises | read | compute |", "| --- | --- | --- | --- | --- |"]
        total = 0.0
        for week, plan in enumerate(course["plan"], 1):
            for page in plan["pages"]:
                known(page, chapters)
            notebooks = [chapters[page] for page in plan["pages"]]
            links = ", ".join(f"{{doc}}`{page}`" for page in plan["pages"])
            if plan.get("again"):  # the page was read the week before
                text += [f"| {week} | {links}<br>{plan['aim']} | those that are left | – | – |"]
                continue
            seconds = sum(notebook.metadata.get("belamy", {}).get("seconds", 0) for notebook in notebooks)
            total += seconds
            times = (told(sum(map(reading_minutes, notebooks)), 5), told(seconds / 60, 1))
            tasks = "<br>".join(exercises(book, page, chapters[page], course["levels"]) for page in plan["pages"])
            text += [f"| {week} | {links}<br>{plan['aim']} | {tasks} | {' | '.join(times)} |"]
        levels = " and ".join(map(str, course["levels"])) if len(course["levels"]) < 3 else "1 to 3"
        text += ["```", "", f"Exercises of the levels {levels}. All pages together compute for {told(total / 60, 1)}."]
        text += [""]
    return "\n".join(text)


def exercises(book: Book, page: str, notebook: NotebookNode, levels: list[int]) -> str:
    """'4 of 9, 12 points, 80 min' of a page with an exercise notebook; else how many stand on the page."""
    path = book.root / EXERCISES / f"{page}.ipynb"
    if not path.exists():
        directives = r"^`{3,}\{exercise(?:-start)?\}|^:{3,}\{exercise(?:-start)?\}"
        texts = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
        count = sum(len(re.findall(directives, text, flags=re.MULTILINE)) for text in texts)
        return f"{count or 'none'} on the page"
    everything = list(statements(read(path)).values())
    chosen = [one for one in everything if one["level"] in levels and one["kind"] != "project"]
    points, minutes = (sum(one[key] for one in chosen) for key in ("points", "minutes"))
    return f"{len(chosen)} of {len(everything)}: {points} points, {told(minutes, 5)}"


def known(page: str, chapters: dict[str, NotebookNode]) -> None:
    if page not in chapters:
        raise BookError(f"The book has no page {page!r}. It has: {', '.join(chapters)}")
