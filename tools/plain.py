"""From MyST to the Markdown that Jupyter, Colab and Kaggle show, with the numbers of the built book.

Numbers are not counted again: they come from the environment that Sphinx pickled when it built the
site, and how a citation reads from the pages.
"""

import base64
import pickle
import posixpath
import re
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from bs4 import BeautifulSoup
from docutils.nodes import make_id
from nbformat import NotebookNode
from pybtex.plugin import find_plugin

from tools.book import BookError

FENCE = re.compile(r"^(?P<mark>`{3,}|:{3,}|~{3,})(?:\{(?P<name>[\w:-]+)\}[ ]*(?P<title>.*)|.*)$")
OPTION = re.compile(r":([\w-]+):[ ]*(.*)$")
# Code of one line, with or without a role before it. What is in code without a role stays as it is.
CODE = re.compile(r"(?:\{(?P<role>[\w:-]+)\})?(?P<ticks>`+)(?P<text>(?:(?!\n\n).)+?)(?P=ticks)(?!`)", re.DOTALL)
EQUATION = re.compile(r"^\$\$(.+?)\$\$[ ]*\(([\w:-]+)\)[ ]*$", re.DOTALL | re.MULTILINE)
TITLED = re.compile(r"(.*?)\s*<([^<>]+)>", re.DOTALL)
NOTES = "note tip hint important warning caution attention danger error seealso admonition topic margin sidebar"
RAW = re.compile(r"^:{3,}|^`{3,}\{|\{[\w:-]+\}`|^\([\w:-]+\)=$|\[\^\w+\]", re.MULTILINE)


class LeadsNowhere(BookError):
    """A reference without its target: a chapter that could not be executed lacks its figures."""


class Places:
    """Where everything stands in the built book, and by which number it is called.

    Args:
        environment: what Sphinx pickled.
        html: the folder of the built pages.
        address: where the book is published, or nothing: then a reference is text, without a link.
    """

    def __init__(self, environment: Path, html: Path, address: str = ""):
        self.env = pickle.loads(environment.read_bytes())
        self.html, self.address = html, address.rstrip("/")

    def link(self, text: str, page: str, anchor: str = "") -> str:
        return f"[{text}]({self.address}/{page}.html{anchor and '#' + anchor})" if self.address else text

    def label(self, name: str) -> tuple[str, str, str]:
        """Page, anchor and title (perhaps none) of a label."""
        std = self.env.domaindata["std"]
        if name in std["labels"]:
            return std["labels"][name]
        if name in std["anonlabels"]:
            return (*std["anonlabels"][name], "")
        raise LeadsNowhere(f"the built book has no label {name!r}")

    def called(self, name: str) -> str:
        """What a reference without words of its own says: an exercise's number, or the title of what is there."""
        page, anchor, title = self.label(name)
        if anchor in self.env.toc_fignumbers.get(page, {}).get("exercise", {}):
            return self.numbered(name)  # the label of every exercise has the title 'Exercise'
        return title or name

    def numbered(self, name: str, form: str = "") -> str:
        """'Fig. 3.5', or what the form makes of its %s."""
        page, anchor, _ = self.label(name)
        for kind, numbers in self.env.toc_fignumbers.get(page, {}).items():
            if anchor in numbers:
                break
        else:
            kind, numbers = "section", self.env.toc_secnumbers[page]
            anchor = anchor if anchor in numbers else f"#{anchor}" if f"#{anchor}" in numbers else ""
        number = ".".join(map(str, numbers[anchor]))
        told = (form or self.env.config.numfig_format[kind]).replace("{number}", "%s").replace("{name}", "")
        return told.replace("%s", number)

    def equation(self, name: str) -> tuple[str, str, str]:
        """Page, anchor and number of an equation."""
        try:
            page = self.env.domaindata["math"]["objects"][name][0]
        except KeyError:
            raise LeadsNowhere(f"the built book has no equation {name!r}") from None
        anchor = make_id(f"equation-{name}")
        return page, anchor, ".".join(map(str, self.env.toc_fignumbers[page]["displaymath"][anchor]))

    @cached_property
    def sources(self) -> dict:
        """The bibliography's entries by key."""
        return {entry.key: entry for entry in self.env.domaindata["cite"]["citations"]}

    @cached_property
    def citations(self) -> dict[tuple[bool, tuple[str, ...]], str]:
        """How a citation reads on the pages, by whether it stands in brackets, and its keys."""
        found = {}
        pages = {}
        for one in self.env.domaindata["cite"]["citation_refs"]:
            if one.docname not in pages:
                text = (self.html / f"{one.docname}.html").read_text(encoding="utf-8")
                pages[one.docname] = BeautifulSoup(text, "html.parser")
            shown = pages[one.docname].find(id=one.citation_ref_id)
            if shown is not None:
                told = " ".join(shown.get_text().split())
                found[told.startswith("["), tuple(target.key for target in one.targets)] = told
        return found

    def entry(self, key: str) -> str:
        """The bibliography's entry."""
        text = self.sources[key].formatted_entry.text.render(find_plugin("pybtex.backends", "markdown")())
        return " ".join(text.split())


class Page:
    """One notebook on its way to plain Markdown.

    Attributes:
        doc: the page's name in the book, ``chapters/minimax``.
        gate: the title of the solution that has begun in an earlier cell and not ended.
        cited: keys of the sources, in the order of their first mention.
    """

    def __init__(self, doc: str, places: Places):
        self.doc, self.places = doc, places
        self.gate = ""
        self.cited: list[str] = []
        self.notes: dict[str, int] = {}

    def markdown(self, source: str) -> str:
        """One cell's text.

        Raises:
            BookError: a directive or role that is not known here, or would be left.
        """
        begun = self.gate
        text = self.blocks(source.split("\n"))

        def share(found: re.Match) -> str:  # of a gated solution, what stands in this cell
            if found[2].strip():
                return fold(found[1], found[2])
            return "" if found[1] == begun else f"\n*{found[1]}* is folded below.\n"

        text = f"\x00{begun}\x00{text}" if begun else text
        text = re.sub(r"\x00([^\x00]+)\x00(.*?)(?:\x00\x00|\Z)", share, text, flags=re.DOTALL)
        return re.sub(r"\n{3,}", "\n\n", text).strip("\n")

    def blocks(self, lines: list[str]) -> str:
        """Directives and code of several lines, and between them text."""
        done: list[str] = []
        text: list[str] = []
        index = 0
        while index < len(lines):
            fence = FENCE.match(lines[index])
            if fence is None:
                text.append(lines[index])
                index += 1
                continue
            done.append(self.text("\n".join(text)))
            text = []
            closing = re.compile(rf"{fence['mark'][0]}{{{len(fence['mark'])},}}[ ]*$")
            end = next((k for k in range(index + 1, len(lines)) if closing.match(lines[k])), len(lines))
            if fence["name"] is None:
                done.append("\n".join(lines[index : end + 1]))
            else:
                body = lines[index + 1 : end]
                options = {}
                while body and (option := OPTION.match(body[0])):
                    options[option[1]] = option[2]
                    body = body[1:]
                done.append(self.directive(fence["name"], fence["title"].strip(), options, body))
            index = end + 1
        return "\n".join([*done, self.text("\n".join(text))])

    def directive(self, name: str, title: str, options: dict[str, str], body: list[str]) -> str:
        within = lambda: self.blocks(body)  # noqa: E731
        if name in ("index", "exercise-end"):
            return ""
        if name == "div":
            return within()
        if name in ("exercise", "exercise-start"):
            return f"#### {self.exercise(options['label'], title)}\n\n{within()}"
        if name == "solution":
            return fold(f"Solution to {self.exercise(title)}", within())
        if name == "solution-start":
            self.gate = f"Solution to {self.exercise(title)}"
            return f"\x00{self.gate}\x00{within()}"
        if name == "solution-end":
            self.gate = ""
            return "\x00\x00"
        if name in ("figure", "image"):
            return self.figure(title, options, body)
        if name == "math":
            tag = f" \\tag{{{self.places.equation(options['label'])[2]}}}" if "label" in options else ""
            return "$$\n" + "\n".join(body) + f"{tag}\n$$"
        if name in NOTES.split():
            head = self.inline(title) if title else name.capitalize()
            if "dropdown" in options.get("class", ""):
                return fold(head, within())
            return quote(f"**{head}**\n\n{within()}")
        if name.startswith("prf:"):
            label = options.get("label")
            head = self.places.numbered(label).capitalize() if label else name[4:].capitalize()
            return quote(f"**{head}**{title and f' ({self.inline(title)})'}\n\n{within()}")
        raise BookError(f"{self.doc}: how a {{{name}}} reads in Jupyter is not known: tools/plain.py")

    def exercise(self, label: str, title: str = "") -> str:
        """'Exercise 3.5', with its title."""
        if not title:
            node = self.places.env.sphinx_exercise_registry[label]["node"]
            title = node[0].astext().removeprefix("Exercise").strip(" ()")
        return f"{self.places.numbered(label)} ({self.inline(title)})"

    def figure(self, source: str, options: dict[str, str], body: list[str]) -> str:
        file = self.places.html.parent / "source" / posixpath.dirname(self.doc) / source
        kind = {".svg": "svg+xml", ".jpg": "jpeg"}.get(file.suffix, file.suffix[1:])
        picture = f"data:image/{kind};base64,{base64.b64encode(file.read_bytes()).decode()}"
        caption = self.caption("\n".join(body), options.get("name", ""))
        return f"![{options.get('alt', '')}]({picture})\n\n{caption}"

    def caption(self, text: str, name: str = "") -> str:
        """'**Fig. 3.5** What is to be seen.'"""
        number = f"**{self.places.numbered(name)}** " if name else ""
        return number + self.inline(" ".join(text.split()))

    def text(self, text: str) -> str:
        """Text without directives: equations' labels, terms and their definitions, targets, footnotes."""
        kept: list[str] = []  # formulas, in which nothing else is to be looked for

        def equation(found: re.Match) -> str:
            kept.append(f"$${found[1].rstrip()} \\tag{{{self.places.equation(found[2])[2]}}}$$")
            return f"\x01{len(kept) - 1}\x01"

        text = EQUATION.sub(equation, text)
        text = re.sub(r"^\([\w:-]+\)=\n", "", text, flags=re.MULTILINE)
        text = re.sub(r"^(%.*|\+\+\+.*)\n?", "", text, flags=re.MULTILINE)
        text = re.sub(r"^(\S.*)\n:[ ]+", r"**\1**  \n", text, flags=re.MULTILINE)
        text = re.sub(  # a note's further lines are indented, which would make code of a new paragraph
            r"^\[\^[\w-]+\]:.*(?:\n(?:[ ]{4}.*|[ ]*(?=\n[ ]{4})))*",
            lambda note: "\n" + note[0].replace("]:", "]", 1).replace("\n    ", "\n"), text, flags=re.MULTILINE)
        text = self.inline(text)
        return re.sub(r"\x01(\d+)\x01", lambda found: kept[int(found[1])], text)

    def inline(self, text: str) -> str:
        """Roles and footnotes."""
        roles: dict[str, Callable[[str, str], str]] = {
            "numref": lambda shown, to: self.linked(self.places.numbered(to, shown), to),
            "ref": lambda shown, to: self.linked(shown or self.places.called(to), to),
            "eq": lambda _, to: self.equation(to),
            "doc": self.document,
            "term": self.term,
            "cite": lambda _, keys: self.citation(keys, True),
            "cite:p": lambda _, keys: self.citation(keys, True),
            "cite:t": lambda _, keys: self.citation(keys, False),
            "index": lambda shown, to: shown or to,
        }

        def code(found: re.Match) -> str:
            role, inner = found["role"], found["text"]
            if role is None:
                return found[0]
            if role not in roles:
                raise BookError(f"{self.doc}: how {{{role}}}`{inner}` reads in Jupyter is not known: tools/plain.py")
            titled = TITLED.fullmatch(inner)
            try:
                return roles[role](*((titled[1], titled[2]) if titled else ("", inner)))
            except LeadsNowhere:  # Sphinx has told so, and refuses it where warnings are errors
                return f"`{inner}`"

        pieces = []
        last = 0
        for found in CODE.finditer(text):
            pieces += [self.footnotes(text[last : found.start()]), code(found)]
            last = found.end()
        return "".join([*pieces, self.footnotes(text[last:])])

    def footnotes(self, text: str) -> str:
        """'[^name]' becomes a raised number, at the reference and before the note, which stays where it is."""

        def number(found: re.Match) -> str:
            return f"<sup>{self.notes.setdefault(found[1], len(self.notes) + 1)}</sup>"

        return re.sub(r"\[\^([\w-]+)\]", number, text)

    def linked(self, text: str, label: str) -> str:
        return self.places.link(text, *self.places.label(label)[:2])

    def equation(self, name: str) -> str:
        page, anchor, number = self.places.equation(name)
        return self.places.link(f"({number})", page, anchor)

    def document(self, shown: str, to: str) -> str:
        page = to.lstrip("/") if to.startswith("/") else posixpath.normpath(f"{posixpath.dirname(self.doc)}/{to}")
        if page not in self.places.env.titles:
            raise BookError(f"{self.doc}: the built book has no page {page!r}")
        return self.places.link(shown or f"*{self.places.env.titles[page].astext()}*", page)

    def term(self, shown: str, to: str) -> str:
        objects = self.places.env.domaindata["std"]["objects"]
        terms = {name.lower(): place for (kind, name), place in objects.items() if kind == "term"}
        return self.places.link(shown or to, *terms[to.lower()])

    def citation(self, keys: str, brackets: bool) -> str:
        names = tuple(key.strip() for key in keys.split(","))
        self.cited += [key for key in names if key not in self.cited]
        return self.places.citations[brackets, names].replace("[", "(").replace("]", ")")

    def references(self) -> str:
        """What the notebook cites, as the bibliography has it."""
        entries = sorted(self.places.entry(key) for key in self.cited)
        return "## References\n\n" + "\n".join(f"- {entry}" for entry in entries) if entries else ""


def left_raw(notebook: NotebookNode) -> list[str]:
    """What of MyST a notebook's text still holds, code aside."""
    found = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            plain = re.sub(r"^```(?!\{).*?^```$", "", cell.source, flags=re.MULTILINE | re.DOTALL)
            plain = re.sub(r"(?<!\})(`+)(?!`).+?\1", "", plain)
            found += [match[0] for match in RAW.finditer(plain)]
    return found


def fold(title: str, text: str) -> str:
    return f"\n<details>\n<summary>{title}</summary>\n\n{text.strip()}\n\n</details>\n"


def quote(text: str) -> str:
    return "\n" + "\n".join(f"> {line}".rstrip() for line in text.strip().split("\n")) + "\n"
