"""Other machines: another git, a disk that cannot be written, a user without name or home."""

import json
import os
import signal
import subprocess
import sys

import nbformat
import pytest
import torch
from conftest import ROOT

from belamy import runs, sweep
from belamy.data.cache import cache_dir, writable
from belamy.errors import BelamyError, FileError, MissingPackage, optional
from belamy.game.device import pick_device
from tools import make, record
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


# --- a disk that cannot be written, a user without name or home ----------------------------------


def as_stranger(folder, code, **environment):
    """Run `code` in `folder`, which cannot be written, as a user without name or home; what it printed.

    The tests may run as root, to whom permissions mean nothing: so the folder is mounted read-only, and
    the user is another, both for this process only.
    """
    mount = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && cd "$0" && '
    mount += 'exec unshare --map-user=54321 --map-group=54321 "$@"'
    command = ["unshare", "-rm", "sh", "-c", mount, folder]
    try:
        subprocess.run([*command, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no user namespaces here")
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'lib'}", "PYTHONDONTWRITEBYTECODE": "1", **environment}
    for name in ("HOME", "USER", "LOGNAME", "BELAMY_CACHE"):
        environment.pop(name, None)
    command += [sys.executable, "-u", "-c", code]
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_a_chapter_s_sweep_runs_from_a_read_only_book_for_a_user_without_name_or_home(tmp_path):
    """The lines that chapters 2, 3, 4 and 7 have."""
    code = """
import getpass, pathlib
for unknown in (getpass.getuser, pathlib.Path.home):
    try:
        unknown()
    except (KeyError, OSError, RuntimeError):
        print("a stranger")
import belamy
from belamy import runs, sweep
belamy.setup("cpu")
cache = runs.data_dir().parent / ".cache" / "sweeps" / "chapter"
cell = {"q": 3, "seed": 7, "n": 128, "epochs": 1}
print(float(sweep.run(runs.notebook_of("vae-latent-dim"), [cell], cache, jobs=1)["elbo"][0]))
"""
    told = as_stranger(ROOT, code, TMPDIR=str(tmp_path)).splitlines()
    assert told[:2] == ["a stranger"] * 2
    warned = [line for line in told[3:-1] if "belamy-" in line]
    assert warned[0].startswith(f"{ROOT}/.cache/sweeps/chapter cannot be written: ")
    assert "this user has no home: data are kept in " in warned[1] and len(warned) == 2
    assert float(told[-1]) < 0


def test_a_cache_that_cannot_be_made_is_a_temporary_folder_and_one_line_says_so(tmp_path):
    code = """
import os, subprocess, sys
from belamy.data.cache import cache_dir
folder = cache_dir()
print(folder == cache_dir(), os.access(folder, os.W_OK))
again = "from belamy.data.cache import cache_dir; print(cache_dir())"
print(subprocess.check_output([sys.executable, "-c", again], text=True) == f"{folder}\\n")
"""
    told = as_stranger(tmp_path, code).splitlines()
    assert [line for line in told if line.startswith("True")] == ["True True", "True"]
    (line,) = (line for line in told if "this user has no home: data are kept in " in line)
    assert "BELAMY_CACHE" in line


def test_a_home_that_can_be_written_is_used_and_one_that_can_only_be_read_too(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("BELAMY_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_dir() == tmp_path / ".cache" / "belamy" and not cache_dir().exists()
    assert writable(tmp_path / "new" / "folder") == tmp_path / "new" / "folder"
    cache_dir().mkdir(parents=True)
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert cache_dir() == tmp_path / ".cache" / "belamy"
    assert capsys.readouterr().out == ""
    assert writable(tmp_path / "new") != tmp_path / "new"


def test_a_sweep_keeps_its_results_in_the_user_s_cache_by_default(tmp_path, monkeypatch):
    monkeypatch.setenv("BELAMY_CACHE", str(tmp_path))
    monkeypatch.setattr(sweep, "execute", lambda book, output, cell: sweep.report(cell["result"], a=1))
    table = sweep.run(runs.notebook_of("gan-ring"), [{"k": 2}])
    assert table.to_dict("records") == [{"k": 2, "a": 1}]
    assert len(list((tmp_path / "sweeps" / "gan-ring").glob("*.json"))) == 1


# --- a library that is installed, not linked -----------------------------------------------------


@pytest.fixture(scope="module")
def installed(checkout, tmp_path_factory):
    """The folder into which pip installed the book in `checkout`, as the README says for Colab."""
    target = tmp_path_factory.mktemp("site-packages")
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--no-index", "--target", target, checkout], check=True)
    return target


def elsewhere(installed, code, **environment):
    """Run `code` with the installed library from a folder that has nothing to do with the book."""
    folder = installed.parent
    environment = {**os.environ, "PYTHONPATH": str(installed), **environment}
    return subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True)


def test_an_installed_library_finds_the_book_that_it_was_installed_from(installed, checkout):
    code = """
import belamy, pandas
from belamy import runs
print(belamy.__file__)
print(runs.data_dir())
print(runs.load("vae-portraits").metrics, len(pandas.read_csv(runs.data_dir() / "ava_tables.csv")))
print(runs.notebook_of("vae-latent-dim").is_file())
"""
    done = elsewhere(installed, code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        str(installed / "belamy" / "__init__.py"),
        str(checkout / "data"),
        f"{runs.load('vae-portraits').metrics} 19",
        "True",
    ]


def test_a_library_without_the_book_s_data_says_so_and_takes_them_where_it_is_told(installed, checkout, tmp_path):
    (record,) = installed.glob("belamy-*.dist-info/direct_url.json")
    before = record.read_bytes()
    record.write_text(json.dumps({"url": (tmp_path / "gone").as_uri()}), encoding="utf-8")
    code = "from belamy import runs; print(len(runs.load('vae-portraits').history()))"
    try:
        done = elsewhere(installed, code)
        told = elsewhere(installed, code, BELAMY_DATA=str(checkout / "data"))
    finally:
        record.write_bytes(before)
    assert "FileError: the book's data are not here" in done.stderr and "BELAMY_DATA" in done.stderr
    assert "make record" not in done.stderr
    assert int(told.stdout) > 0


def test_a_setting_that_names_no_data_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("BELAMY_DATA", str(tmp_path / "nothing"))
    with pytest.raises(FileError, match=r"recorded runs are not there: no folder .*nothing.runs\. Set BELAMY_DATA"):
        runs.load("vae-portraits")


# --- packages that only a part of the library needs ----------------------------------------------


@pytest.mark.parametrize("package", ["papermill", "joblib"])
def test_a_package_that_a_sweep_misses_is_named_with_its_command(tmp_path, monkeypatch, package):
    """In place of papermill nbclient will do, which Colab has."""
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setitem(sys.modules, "nbclient", None)
    with pytest.raises(MissingPackage, match=f"a sweep needs {package}.*: pip install {package}$"):
        sweep.run(runs.notebook_of("gan-ring"), [{"k": 2}], tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_an_optional_package_is_imported_and_a_fault_within_it_is_its_own(tmp_path, monkeypatch):
    assert optional("json", "a test") is json
    assert issubclass(MissingPackage, BelamyError)
    (tmp_path / "broken_inside.py").write_text("import nowhere_at_all\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="nowhere_at_all") as raised:
        optional("broken_inside", "a test")
    assert not isinstance(raised.value, BelamyError)


# --- devices -------------------------------------------------------------------------------------


def test_the_environment_chooses_the_device_where_the_code_does_not(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.delenv("BELAMY_DEVICE", raising=False)
    assert pick_device() == torch.device("cuda")
    monkeypatch.setenv("BELAMY_DEVICE", "cpu")
    assert pick_device() == torch.device("cpu")
    assert pick_device("meta") == torch.device("meta")


@pytest.mark.parametrize(("profile", "device"), [("record-cpu", "cpu"), ("cpu", "cpu"), ("gpu", None)])
def test_only_the_gpu_s_profile_may_record_on_an_accelerator(monkeypatch, profile, device):
    found = []
    monkeypatch.setenv("BELAMY_RECORD", "")  # both are put back after the test
    monkeypatch.setenv("BELAMY_DEVICE", "")
    monkeypatch.delenv("BELAMY_DEVICE")
    monkeypatch.setattr(sweep, "execute", lambda *_: found.append(os.environ.get("BELAMY_DEVICE")))
    monkeypatch.setattr(record, "keep_outputs", lambda *_: None)
    record.record("vae-portraits", profile)
    assert found == [device]


# --- the commands, with make and without ---------------------------------------------------------


@pytest.fixture
def commands(tmp_path):
    """Runs a command in a copy of the book's tools, in whose .venv Python only says what it is asked for."""
    for name in ("Makefile", "pyproject.toml", "requirements.lock", "tools/__init__.py", "tools/make.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / "chapters").mkdir()
    for name in ("02-b.ipynb", "01-a.ipynb"):
        (tmp_path / "chapters" / name).touch()
    fake = tmp_path / ".venv" / "bin" / "python"
    fake.parent.mkdir(parents=True)
    say = 'echo "$OMP_NUM_THREADS:$BELAMY_PROFILE $*"; case "$*" in *"$FAIL"*) exit 3;; esac'
    # `make` asks it to run tools.make, which is the real thing.
    pass_on = f'if [ "$2" = tools.make ]; then exec "{sys.executable}" "$@"; fi'
    fake.write_text(f"#!/bin/sh\n{pass_on}\n{say}\n", encoding="utf-8")
    fake.chmod(0o755)
    (tmp_path / ".venv" / ".installed").touch()

    def run(*command, **environment):
        cleared = {"FAIL": "nothing", "OMP_NUM_THREADS": "", "BELAMY_PROFILE": ""}
        cleared |= dict.fromkeys(("MAKEFLAGS", "MAKELEVEL", "MFLAGS"), "")  # these tests may themselves be run by make
        environment = {**os.environ, **cleared, **environment}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)

    return run


@pytest.mark.skipif(os.name == "nt", reason="the stand-in for Python is a shell script")
@pytest.mark.parametrize("how", [["make"], [sys.executable, "-m", "tools.make"]], ids=["make", "python"])
class TestCommands:
    def test_book_and_test_are_the_same_with_make_and_without(self, commands, how):
        assert commands(*how, "book").stdout == ": -m tools.website book\n"
        done = commands(*how, "test")
        assert done.returncode == 0, done.stderr
        after = [f"tests/{name}.py" for name in ("test_site", "test_notebooks")]
        ignored = " ".join(f"--ignore={name}" for name in after)
        nbval = "--nbval-lax --nbval-current-env --nbval-cell-timeout=1800"
        assert done.stdout.splitlines() == [
            "1:cpu -m tools.chromium",
            "Test 1/3: the library and the house",
            f"1:cpu -m pytest tests {ignored} -n 2 --dist worksteal",
            "Test 2/3: the chapters and their exercises, each executed once",
            f"1:cpu -m pytest chapters/01-a.ipynb chapters/02-b.ipynb {nbval} -n 2 --dist loadscope",
            "Test 3/3: the site, from the outputs just confirmed, in headless Chromium",
            f"1:cpu -m pytest {' '.join(after)} -n 2",
        ]

    def test_one_chapter_is_executed_built_and_tested_alone(self, commands, how):
        one = ["CHAPTER=01-a"] if how == ["make"] else ["--chapter", "01-a"]
        assert commands(*how, "book", *one).stdout == ": -m tools.website book --chapter 01-a\n"
        done = commands(*how, "test", *one)
        assert done.returncode == 0, done.stderr
        nbval = "--nbval-lax --nbval-current-env --nbval-cell-timeout=1800"
        assert done.stdout.splitlines() == [
            "1:cpu -m tools.chromium",
            "Test 1/3: the house's rules for chapters/01-a.ipynb",
            "1:cpu -m pytest tests/test_house.py -k [01-a] or [exercises-01-a]",
            "Test 2/3: its code and its exercises, executed once",
            f"1:cpu -m pytest chapters/01-a.ipynb {nbval}",
            "Test 3/3: its page, from the outputs just confirmed, in headless Chromium",
            "1:cpu -m pytest tests/test_site.py -n 2",
        ]

    def test_a_chapter_that_is_not_there_is_told_with_those_that_are(self, commands, how):
        one = ["CHAPTER=nothing"] if how == ["make"] else ["--chapter", "nothing"]
        done = commands(*how, "test", *one)
        assert done.returncode != 0
        assert "No chapter 'nothing'. There are: 01-a, 02-b" in done.stderr

    def test_jupyterlab_opens_all_pages_or_one(self, commands, how):
        assert commands(*how, "lab").stdout.splitlines() == [": -m tools.website lab", ": -m jupyterlab _build/lab"]
        one = ["CHAPTER=01-a"] if how == ["make"] else ["--chapter", "01-a"]
        assert commands(*how, "lab", *one).stdout == ": -m tools.website lab --chapter 01-a\n: -m jupyterlab _build/lab/01-a.ipynb\n"

    def test_a_step_that_fails_is_the_last(self, commands, how):
        done = commands(*how, "test", FAIL="chapters/01")
        assert done.returncode != 0
        assert "Test 2/3" in done.stdout and "Test 3/3" not in done.stdout

    def test_setup_installs_what_the_lock_says_when_it_is_new(self, commands, how, tmp_path):
        os.utime(tmp_path / ".venv" / ".installed", (0, 0))
        # A venv that makes nothing: the stand-in is there already.
        (tmp_path / "venv.py").write_text("import sys; print('venv', *sys.argv[1:])", encoding="utf-8")
        done = commands(*how, *["PYTHON=" + sys.executable][: how == ["make"]], "book")
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines() == [
            "Setup 1/2: creating .venv",
            f"venv {tmp_path}/.venv",
            "Setup 2/2: installing the pinned versions (a few minutes, 5.5 GB on Linux)",
            ": -m pip install -c requirements.lock -e .[all]",
            ": -m tools.website book",
        ]
        assert commands(*how, "book").stdout == ": -m tools.website book\n"


@pytest.mark.skipif(os.name == "nt", reason="signals of Unix")
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_interrupted_ends_in_its_own_way(commands, tmp_path, kind):
    """Ctrl-C goes to all processes of a terminal, the signal of `kill` and of make to the first alone."""
    fake = tmp_path / ".venv" / "bin" / "python"
    script = "#!/bin/sh\ntrap 'sleep 1; echo kept; kill $!; exit 130' INT TERM\nsleep 600 &\necho ready\nwait\n"
    fake.write_text(script, encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "-m", "tools.make", "book"], cwd=tmp_path, text=True, stdout=subprocess.PIPE,
        start_new_session=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert process.stdout.readline() == "ready\n"
    (os.killpg if kind == signal.SIGINT else os.kill)(process.pid, kind)
    told, _ = process.communicate(timeout=60)
    assert (told, process.returncode) == ("kept\n", 130)


def test_setup_names_the_true_cause(tmp_path, monkeypatch):
    monkeypatch.setattr(make, "ROOT", tmp_path)
    for name in ("pyproject.toml", "requirements.lock"):
        (tmp_path / name).touch()
    monkeypatch.setattr(make.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="lacks ensurepip.*apt-get install python3-venv"):
        make.setup()
    monkeypatch.setattr(sys, "version_info", (3, 10, 4))
    with pytest.raises(SystemExit, match=r"is not Python 3\.11-3\.13"):
        make.setup()
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(SystemExit, match=f"{tmp_path} cannot be written.*copy it") as raised:
        make.setup()
    assert "apt-get" not in str(raised.value)


def test_a_read_only_book_says_so_before_anything_is_built(tmp_path):
    code = """
from tools import make
try:
    make.book()
except SystemExit as end:
    print(end)
"""
    told = as_stranger(ROOT, code, PYTHONPATH=str(ROOT))
    assert told.startswith(f"{ROOT} cannot be written")
