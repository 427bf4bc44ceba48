"""Where data are kept: the folder, what takes its place, and the command that lists and clears it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from belamy.data import folder
from belamy.data.__main__ import main
from belamy.data.cache import cache_dir, kept_files

SHOW = "from belamy.data.cache import cache_dir\nprint(cache_dir(), cache_dir() == cache_dir())\n"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BELAMY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def filled(cache, tmp_path):
    """A decoded folder, a file of MNIST's, half a file of a killed program, and something foreign."""
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "pictures" / "x.png")
    folder(tmp_path / "pictures", 8)
    (cache / "MNIST" / "raw").mkdir(parents=True)
    (cache / "MNIST" / "raw" / "train-labels-idx1-ubyte").write_bytes(bytes(2_000_000))
    (cache / "folders" / ".x.safetensors.0.part").write_bytes(bytes(1_000_000))
    (cache / "folders" / "damaged.safetensors").write_bytes(b"x")
    (cache / "thesis.txt").write_text("mine", encoding="utf-8")
    return cache


def test_the_folder_is_the_one_named_else_the_systems(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("BELAMY_CACHE", "~/mine")
    assert cache_dir() == tmp_path / "mine"
    monkeypatch.delenv("BELAMY_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if sys.platform == "linux":
        assert cache_dir() == tmp_path / ".cache" / "belamy"
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
        assert cache_dir() == tmp_path / "elsewhere" / "belamy"
    assert list(tmp_path.iterdir()) == []


def check_temporary(said, reason):
    lines = [line for line in said.splitlines() if "BELAMY_CACHE" in line]
    assert len(lines) == 1 and reason in lines[0], "one line, once a process"
    place, same = next(line for line in said.splitlines() if line.endswith("True")).split()
    assert same == "True" and "belamy-" in place and place in lines[0]
    assert not Path(place).exists(), "it goes with its process"


def test_without_a_home_data_are_kept_in_a_temporary_folder(as_nobody):
    check_temporary(as_nobody(SHOW), "this user has no home: data are kept in")
    check_temporary(as_nobody(SHOW, BELAMY_CACHE="~/cache"), "this user has no home")


def test_a_home_that_cannot_be_written_to_is_told_of(as_nobody, tmp_path):
    (tmp_path / "home").mkdir(mode=0o755)
    said = as_nobody(SHOW, HOME=str(tmp_path / "home"))
    check_temporary(said, f"{tmp_path / 'home'} cannot be written to")


def test_a_home_that_is_no_folder_is_told_of(tmp_path):
    environ = {**os.environ, "HOME": "/dev/null"}
    environ.pop("BELAMY_CACHE", None)
    environ.pop("XDG_CACHE_HOME", None)
    run = [sys.executable, "-c", SHOW]
    done = subprocess.run(run, env=environ, capture_output=True, text=True, check=True)
    check_temporary(done.stdout + done.stderr, "/dev/null cannot be written to")


def test_pictures_are_read_without_a_home(as_nobody, tmp_path):
    root = tmp_path / "pictures"
    root.mkdir(mode=0o755)
    Image.new("RGB", (8, 8)).save(root / "x.png")
    program = f"from belamy.data import folder\nfor _ in 'ab': print(len(folder({str(root)!r}, 8)))"
    said = as_nobody(program)
    assert said.count("1\n") == 2 and said.count("this user has no home") == 1


def test_the_command_lists_what_is_kept(filled, capsys):
    assert main([]) == 0
    said = capsys.readouterr().out
    assert "0.00 MB  folder pictures 8x8\n" in said
    assert "2.00 MB  MNIST/raw/train-labels-idx1-ubyte\n" in said
    assert "1.00 MB  folders/.x.safetensors.0.part\n" in said
    assert "folders/damaged.safetensors (damaged)\n" in said and "thesis" not in said
    assert f"3.00 MB  in 4 files kept in {filled}\n" in said
    assert len(kept_files()) == 4


def test_the_command_clears_what_it_lists_and_nothing_else(filled, capsys):
    assert main(["--clear"]) == 0
    assert f"3.00 MB  in 4 files removed from {filled}\n" in capsys.readouterr().out
    assert [p.name for p in filled.rglob("*") if p.is_file()] == ["thesis.txt"]
    assert main(["--clear"]) == 0
    assert "0.00 MB  in 0 files" in capsys.readouterr().out


def test_an_empty_cache_is_listed_and_not_made(cache, capsys):
    assert main([]) == 0
    assert "0.00 MB  in 0 files kept" in capsys.readouterr().out and not cache.exists()


def test_what_cannot_be_removed_is_named_and_the_status_is_1(filled, as_nobody):
    program = "from belamy.data.__main__ import main\nprint('status', main(['--clear']))"
    said = as_nobody(program, BELAMY_CACHE=str(filled))
    assert "MNIST/raw/train-labels-idx1-ubyte cannot be removed: Permission denied" in said
    assert "0.00 MB  in 0 files removed" in said and "status 1" in said


def test_it_runs_as_a_command(filled):
    run = [sys.executable, "-m", "belamy.data", "--clear"]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    assert "in 4 files removed" in done.stdout and not kept_files()
