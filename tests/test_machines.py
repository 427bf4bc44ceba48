"""Other machines: another git, a disk that cannot be written, a user without name or home."""

import subprocess

import nbformat
import pytest
from conftest import ROOT

from tools.book import Book, read, tree_digest

# --- line ends -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """The repository's files as they stand here, with the line ends of Windows wherever git sees text."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True)
    if done.returncode:
        pytest.skip("not a git checkout")
    root = tmp_path_factory.mktemp("windows")
    for name in filter(None, done.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            content = (ROOT / name).read_bytes()
            if b"\0" not in content[:8000]:
                content = content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)
    return root


def test_a_checkout_with_the_line_ends_of_windows_makes_no_chapter_stale(checkout):
    here, there = Book(ROOT), Book(checkout)
    assert b"\r\n" in (checkout / "lib/belamy/nets.py").read_bytes()
    assert len(there.chapters) == len(here.chapters) > 0
    for mine, copy in zip(here.chapters, there.chapters):
        assert there.digests(read(copy)) == here.digests(read(mine))
        assert there.staleness(copy) == here.staleness(mine)


def test_a_cell_with_the_line_ends_of_windows_is_the_same_code(tiny):
    before = tiny.book.digests(read(tiny.chapter))
    notebook = read(tiny.chapter)
    notebook.cells[2].source = notebook.cells[2].source.replace("\n", "\r\n")
    nbformat.write(notebook, tiny.chapter)
    assert "\r\n" in read(tiny.chapter).cells[2].source
    assert tiny.book.digests(read(tiny.chapter)) == before


def test_line_ends_count_in_binary_files_and_unix_text_has_the_digest_it_always_had(tmp_path):
    picture = tmp_path / "b.png"
    (tmp_path / "a.csv").write_bytes(b"1\n2\n")
    picture.write_bytes(b"\x89PNG\r\n\x1a\n\0\0\r\n")
    assert tree_digest(tmp_path) == "dedb7d58688611ed"
    (tmp_path / "a.csv").write_bytes(b"1\r\n2\r\n")
    assert tree_digest(tmp_path) == "dedb7d58688611ed"
    picture.write_bytes(picture.read_bytes().replace(b"\r\n", b"\n"))
    assert tree_digest(tmp_path) != "dedb7d58688611ed"


def test_git_checks_out_unix_line_ends_whatever_it_is_set_to(tmp_path):
    def git(*command):
        author = ["-c", "user.name=n", "-c", "user.email=e", "-c", "core.autocrlf=true"]
        subprocess.run(["git", *author, *command], cwd=tmp_path, check=True, capture_output=True)

    (tmp_path / ".gitattributes").write_bytes((ROOT / ".gitattributes").read_bytes())
    (tmp_path / "text.py").write_bytes(b"one\ntwo\n")
    (tmp_path / "weights.safetensors").write_bytes(b"one\ntwo\r\n")
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "All"], ["clone", "-q", ".", "clone"]):
        git(*command)
    assert (tmp_path / "clone" / "text.py").read_bytes() == b"one\ntwo\n"
    assert (tmp_path / "clone" / "weights.safetensors").read_bytes() == b"one\ntwo\r\n"
