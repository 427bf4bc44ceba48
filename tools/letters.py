"""A Sphinx extension: the pages of the appendix are lettered where chapters are numbered.

The part of `_toc.yml` whose caption is 'Appendix' is numbered like the others; what would be chapter
17 is then A, its figures A.1, A.2, ….
"""

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.environment.collectors.toctree import TocTreeCollector

CAPTION = "Appendix"


def letter_appendix(env: BuildEnvironment) -> None:
    """Replace the chapter's number by a letter wherever Sphinx has noted it."""
    pages = appendix(env)
    first = min((chapter_of(env, page) for page in pages if chapter_of(env, page)), default=0)

    def lettered(number: tuple | list) -> list:
        return [chr(ord("A") + number[0] - first), *number[1:]] if number and isinstance(number[0], int) else number

    for page in pages:
        env.toc_secnumbers[page] = {
            anchor: number and tuple(lettered(number)) for anchor, number in env.toc_secnumbers[page].items()
        }
        for node in [*env.tocs[page].findall(nodes.reference), env.titles[page]]:
            if "secnumber" in node:
                node["secnumber"] = lettered(node["secnumber"])


def appendix(env: BuildEnvironment) -> list[str]:
    """The numbered pages of the appendix, in their order."""
    trees = env.get_doctree(env.config.root_doc).findall(addnodes.toctree)
    own = [tree for tree in trees if tree["numbered"] and (tree["caption"] or "").startswith(CAPTION)]
    return [page for tree in own for _, page in tree["entries"] if page in env.toc_secnumbers]


def chapter_of(env: BuildEnvironment, page: str) -> int:
    number = env.toc_secnumbers[page].get("") or (0,)
    return number[0] if isinstance(number[0], int) else 0


def setup(app: Sphinx) -> dict[str, bool]:
    number = TocTreeCollector.assign_section_numbers  # sphinx_multitoc_numbering's, which counts through all parts

    def assign_section_numbers(self: TocTreeCollector, env: BuildEnvironment) -> list[str]:
        changed = number(self, env)
        letter_appendix(env)
        return changed

    app.connect("builder-inited", lambda _: setattr(TocTreeCollector, "assign_section_numbers", assign_section_numbers))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
