"""The guard against stale outputs: what runs again, what does not, and what is refused."""

import os
import platform
import re
import signal
import subprocess
import sys
import time

import pytest
from conftest import COUNT_AND_PRINT, ROOT

from tools import website
from tools.book import BookError, read, refuse_stale
from tools.execute import ChapterError, execute, write_outputs


def printed(notebook) -> str:
    return notebook.cells[-1].outputs[0].text


def test_unchanged_chapters_are_not_executed_again(tiny):
    execute(tiny.book)
    execute(tiny.book)
    assert tiny.executions == 1


@pytest.mark.parametrize(
    ("file", "text"),
    [("lib/belamy/__init__.py", "ANSWER = 2\n"), ("data/new.csv", "1\n")],
)
def test_an_edit_in_library_or_data_executes_again(tiny, file, text):
    execute(tiny.book)
    tiny.edit(file, text)
    execute(tiny.book)
    assert tiny.executions == 2


def test_an_edit_in_what_the_library_says_of_itself_executes_nothing(tiny):
    before = '"""One."""\nANSWER = 1  # two\n\n\ndef f():\n    """Three.\n\n    # Four.\n    """\n    return "# five"\n'
    after = 'ANSWER = 1\n\n# One.\ndef f():\n    """Six."""\n    return "# five"  # seven\n'
    tiny.edit("lib/belamy/__init__.py", before)
    execute(tiny.book)
    tiny.edit("lib/belamy/__init__.py", after)
    execute(tiny.book)
    assert tiny.executions == 1
    tiny.edit("lib/belamy/__init__.py", after.replace("# five", "# six"))  # this is no comment
    execute(tiny.book)
    assert tiny.executions == 2


def test_a_recorded_run_executes_the_chapters_that_name_it_and_no_others(tiny):
    tiny.edit_cell(2, COUNT_AND_PRINT + "print('far-away' + 'here')\n")
    tiny.edit("data/runs/far-away/run.json", "{}")
    tiny.edit("chapters/runs/far-away.grid.json", "{}")
    execute(tiny.book)
    for file in ("data/runs/other/run.json", "chapters/runs/other.ipynb", "chapters/runs/other.grid.json"):
        tiny.edit(file, "{}")
    execute(tiny.book)
    assert tiny.executions == 1
    tiny.edit("data/runs/far-away/run.json", "{ }")
    execute(tiny.book)
    assert tiny.executions == 2
    tiny.edit("chapters/runs/far-away.grid.json", "{ }")
    execute(tiny.book)
    assert tiny.executions == 3


def test_a_new_version_of_torch_in_the_lock_executes_again_but_one_of_the_theme_does_not(tiny):
    execute(tiny.book)
    lock = (tiny.root / "requirements.lock").read_text(encoding="utf-8")
    tiny.edit("requirements.lock", lock.replace("sphinx-copybutton==", "sphinx-copybutton==9"))
    execute(tiny.book)
    assert tiny.executions == 1
    tiny.edit("requirements.lock", lock.replace("\ntorch==", "\ntorch==9"))
    execute(tiny.book)
    assert tiny.executions == 2


def test_the_page_follows_library_and_text_and_each_build_does_only_what_is_needed(tiny, capsys):
    page = tiny.root / "_build" / "html" / "chapters" / "01-tiny.html"
    website.build_executed(tiny.book)
    first = page.read_text(encoding="utf-8")
    assert "the library says 1" in first
    assert "Measured time" in first and "seed 3" in first

    capsys.readouterr()
    website.build_executed(tiny.book)
    assert "nothing has changed" in capsys.readouterr().out
    assert page.read_text(encoding="utf-8") == first

    tiny.edit_cell(0, "# One\n\nAnother text.")
    website.build_executed(tiny.book)
    assert "Another text." in page.read_text(encoding="utf-8")
    assert tiny.executions == 1

    tiny.edit("lib/belamy/__init__.py", "ANSWER = 2\n")
    website.build_executed(tiny.book)
    assert "the library says 2" in page.read_text(encoding="utf-8")

    page.unlink()
    website.build_executed(tiny.book)
    assert page.exists()
    assert tiny.executions == 2


def test_a_failing_cell_is_named_and_nothing_is_cached(tiny):
    tiny.edit_cell(2, "open('../executions', 'a', encoding='utf-8').write('x')\n1 / 0")
    (error,) = execute(tiny.book)
    assert isinstance(error, ChapterError) and error.cell == 2
    assert re.search(r"01-tiny\.ipynb: cell 2/2 failed[\s\S]*ZeroDivisionError", str(error))
    assert tiny.cached == []
    with pytest.raises(BookError, match="cell 2/2 failed"):
        write_outputs(tiny.book)
    assert read(tiny.chapter).cells[2].outputs == []
    assert tiny.executions == 2


def test_a_dead_kernel_is_a_failure(tiny):
    tiny.edit_cell(2, "import os\nos._exit(1)")
    (error,) = execute(tiny.book)
    assert "cell 2/2 failed" in str(error)
    assert tiny.cached == []


def test_stored_outputs_are_refused_when_code_library_or_data_changed(tiny):
    with pytest.raises(BookError, match="01-tiny.ipynb: .*never ran"):
        refuse_stale(tiny.book)
    write_outputs(tiny.book)
    assert printed(read(tiny.chapter)) == "the library says 1\n"
    refuse_stale(tiny.book)
    tiny.edit_cell(0, "# One\n\nAnother text.")
    refuse_stale(tiny.book)
    tiny.edit_cell(1, "seed = 4")
    tiny.edit("lib/belamy/__init__.py", "ANSWER = 2\n")
    with pytest.raises(BookError, match="01-tiny.ipynb: changed: code, lib\n"):
        website.build_stored(tiny.book)
    tiny.edit("data/README.md", "Something.\n")  # no code reads it,
    tiny.edit("data/prose.txt", "Something.\n")  # and a text concerns those that name it
    with pytest.raises(BookError, match="changed: code, lib\n"):
        website.build_stored(tiny.book)
    tiny.edit("data/numbers.csv", "1\n")
    with pytest.raises(BookError, match="changed: code, lib, data\n"):
        website.build_stored(tiny.book)


def test_outputs_fill_the_cache_are_stamped_and_are_written_again_only_when_forced(tiny):
    write_outputs(tiny.book)
    stored = tiny.chapter.read_text(encoding="utf-8")
    execute(tiny.book)
    write_outputs(tiny.book)
    assert tiny.executions == 1
    assert tiny.chapter.read_text(encoding="utf-8") == stored
    stamp = read(tiny.chapter).metadata.belamy
    assert stamp.profile == "cpu"
    assert stamp.seconds >= 0
    assert {"hash", "code", "lib", "data"} < set(stamp)
    assert {"python", "torch"} < set(stamp.versions)
    assert stamp.machine == {"processor": platform.machine()}  # this chapter has no use for torch
    write_outputs(tiny.book, force=True)
    assert tiny.executions == 2


def test_chapters_run_on_one_thread_with_the_cpu_profile(tiny):
    tiny.edit_cell(
        2, "import os\nprint(os.environ['OMP_NUM_THREADS'], os.environ['BELAMY_PROFILE'])"
    )
    execute(tiny.book)
    assert printed(tiny.book.executed(tiny.chapter)) == "1 cpu\n"


def test_an_interrupted_execution_keeps_finished_chapters_and_leaves_no_kernel(tiny):
    """Two chapters; Ctrl-C comes while the second one is at work."""
    second = tiny.chapter.with_name("02-slow.ipynb")
    second.write_bytes(tiny.chapter.read_bytes())
    toc = (tiny.root / "_toc.yml").read_text(encoding="utf-8")
    tiny.edit("_toc.yml", toc.replace("}]", "}, {file: chapters/02-slow}]"))
    tiny.chapter, first = second, tiny.chapter
    tiny.edit_cell(
        2,
        "import os, time\nopen('../pid', 'w', encoding='utf-8').write(f'{os.getpid()}\\n')\n"
        "time.sleep(600)",
    )
    # Who is started in the background by a shell ignores Ctrl-C, and so do its children.
    code = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    code += "from pathlib import Path; from tools.book import Book; "
    code += "from tools.execute import execute, run_or_exit; "
    code += "run_or_exit(lambda: execute(Book(Path(sys.argv[1]))))"
    with subprocess.Popen(
        [sys.executable, "-c", code, tiny.root], cwd=ROOT, text=True, stdout=subprocess.PIPE
    ) as process:
        pid = tiny.root / "pid"
        wait_for(lambda: pid.exists() and pid.read_text(encoding="utf-8").endswith("\n") and tiny.cached)
        process.send_signal(signal.SIGINT)
        told, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Finished chapters are kept" in told
    assert [path.name.partition("-")[0] for path in tiny.cached] == ["01"]
    assert tiny.book.executed(first)
    wait_for(lambda: not alive(int(pid.read_text(encoding="utf-8"))))


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_for(condition, seconds: float = 120) -> None:
    """Return once `condition()` holds; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def test_a_page_that_was_not_written_is_an_error(tiny, tmp_path):
    (tmp_path / "chapters").mkdir(exist_ok=True)
    (tmp_path / "chapters" / "index.html").write_text("<p>", encoding="utf-8")
    with pytest.raises(BookError, match="chapters/01-tiny"):
        website.require_pages(tiny.book, tmp_path)


def test_another_jupyter_book_is_refused(monkeypatch):
    website.require_jupyter_book_1()
    monkeypatch.setattr(website, "version", lambda name: "2.0.1")
    with pytest.raises(BookError, match="2.0.1"):
        website.require_jupyter_book_1()


def test_a_warning_fails_the_build_every_time(tiny):
    tiny.edit("chapters/index.md", "# Tiny\n\n{ref}`nowhere`\n")
    for _ in range(2):
        with pytest.raises(BookError, match="nowhere"):
            website.build_executed(tiny.book)
    assert not (tiny.root / "_build" / "html").exists()
