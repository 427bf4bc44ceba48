"""Recorded runs and sweeps: what is written is what is read, and tampering shows."""

import contextlib
import json
import os
import random
import re
import signal
import time
from pathlib import Path

import joblib
import nbformat
import pandas as pd
import pytest
import torch
from PIL import Image

from belamy import runs, sweep
from belamy.data import ImageSet
from belamy.errors import BelamyError, FileError, InputError
from tools import record as record_tool

DATA = ImageSet(torch.zeros(2, 1, 2, 2, dtype=torch.uint8), "black")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "chapters" / "runs").mkdir(parents=True)
    monkeypatch.setenv("BELAMY_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("BELAMY_RECORD", "abc123")
    return tmp_path


def record(**change):
    given = dict(
        parameters={"q": 2}, metrics={"elbo": -1.5}, history=pd.DataFrame({"epoch": [0], "loss": [3.0]}),
        data=DATA, seed=4, seconds=61.0, weights={"w": torch.tensor([0.5, 2.0]), "n": torch.tensor(3)},
        pictures={"samples.png": Image.new("RGB", (4, 4), "red")},
    )  # fmt: skip
    return runs.write("tiny", **{**given, **change})


def test_a_run_comes_back_as_it_was_recorded(folder):
    record()
    run = runs.load("tiny")
    assert run.parameters == {"q": 2} and run.metrics == {"elbo": -1.5}
    assert run.history().equals(pd.DataFrame({"epoch": [0], "loss": [3.0]}))
    weights = run.weights()
    torch.testing.assert_close(weights["w"], torch.tensor([0.5, 2.0]))
    assert int(weights["n"]) == 3
    assert run.picture("samples.png").getpixel((0, 0)) == (255, 0, 0)
    stamp = run.stamp()
    assert all(word in stamp for word in ("abc123", "seed 4", "1 min", "black", DATA.checksum[:10]))
    assert str(folder) not in (folder / "data/runs/tiny/run.json").read_text(encoding="utf-8")


def test_a_stamp_says_the_precision_and_whether_the_code_had_been_edited(folder, monkeypatch):
    record()
    assert "abc123 on cpu" in runs.load("tiny").stamp() and ", fp32, torch" in runs.load("tiny").stamp()
    monkeypatch.setenv("BELAMY_RECORD", "0123456789abcdef+")
    record(precision="bf16")
    assert "0123456789+ on cpu" in runs.load("tiny").stamp()
    assert ", bf16, torch" in runs.load("tiny").stamp()


@pytest.mark.parametrize("file", ["weights.safetensors", "samples.png"])
@pytest.mark.parametrize("how", ["flip", "delete"])
def test_a_file_that_changed_is_refused(folder, file, how):
    path = record() / file
    if how == "flip":
        payload = bytearray(path.read_bytes())
        payload[-1] ^= 1
        path.write_bytes(payload)
    else:
        path.unlink()
    with pytest.raises(FileError, match=f"{file} is missing or changed"):
        runs.load("tiny")


def test_missing_and_damaged_records_are_named(folder):
    path = record() / "run.json"
    with pytest.raises(FileError, match=r"no recorded run 'other'.*\['tiny'\].*make record RUN=other"):
        runs.load("other")
    content = json.loads(path.read_text(encoding="utf-8"))
    del content["seed"]
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(FileError, match=r"lacks \['seed'\]"):
        runs.load("tiny")
    path.write_text("{", encoding="utf-8")
    with pytest.raises(FileError, match="damaged"):
        runs.load("tiny")


def test_no_run_is_recorded_by_hand(folder, monkeypatch):
    monkeypatch.delenv("BELAMY_RECORD")
    with pytest.raises(InputError, match="make record RUN=tiny"):
        record()


def test_every_recorded_run_of_the_book_loads():
    folder = runs.data_dir() / "runs"
    names = sorted(path.parent.name for path in folder.glob("*/run.json"))
    for name in names:
        run = runs.load(name)
        assert run.record["name"] == name and len(run.history())
        runs.notebook_of(name)


# --- sweeps --------------------------------------------------------------------------------------

CODE = """
from belamy import sweep
if {broken}: raise ValueError("no such q")
sweep.report(result, square=q * q, data="none", checksum="0")
with open(log, "a", encoding="utf-8") as file: file.write(f"{{q}} ")
"""


def notebook(path, broken="False"):
    book = nbformat.v4.new_notebook()
    book.metadata = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}
    parameters = nbformat.v4.new_code_cell('q = 1\nlog = ""\nresult = ""')
    parameters.metadata["tags"] = ["parameters"]
    book.cells = [parameters, nbformat.v4.new_code_cell(CODE.format(broken=broken))]
    nbformat.write(book, path)
    return path


def test_a_grid_is_the_product_of_its_axes():
    assert sweep.grid(q=[1, 2], s=[0]) == [{"q": 1, "s": 0}, {"q": 2, "s": 0}]
    with pytest.raises(InputError):
        sweep.grid()


def test_a_sweep_keeps_what_is_done_runs_what_is_missing_and_forgets_changed_code(folder):
    book, cache, log = notebook(folder / "square.ipynb", broken="q == 3"), folder / "cache", folder / "log"
    cells = sweep.grid(q=[2, 3], log=[str(log)])
    with pytest.raises(sweep.SweepError, match=r"1 of 2 cells failed.*'q': 3"):
        sweep.run(book, cells, cache)
    assert log.read_text(encoding="utf-8") == "2 "
    table = sweep.run(book, cells[:1], cache)
    assert log.read_text(encoding="utf-8") == "2 " and list(table["square"]) == [4]  # resumed: nothing ran
    notebook(book)
    table = sweep.run(book, cells, cache)
    assert list(table["square"]) == [4, 9]
    assert sorted(log.read_text(encoding="utf-8").split()) == ["2", "2", "3"]  # the code changed: all ran


def test_a_notebook_that_never_reports_is_named(folder):
    book = notebook(folder / "mute.ipynb")
    content = nbformat.read(book, 4)
    content.cells[1].source = "pass"
    nbformat.write(content, book)
    with pytest.raises(sweep.SweepError, match="never called sweep.report"):
        sweep.run(book, sweep.grid(q=[1]), folder / "cache")


def test_make_sweep_records_the_table_of_all_its_grids(folder, monkeypatch):
    log = str(folder / "log")
    notebook(folder / "chapters" / "runs" / "square.ipynb")
    grids = [{"q": [2, 3], "log": [log], "precision": ["fp32"]}, {"q": [5], "log": [log], "precision": ["bf16"]}]
    parameters = "q = 1\nprecision = ''\nlog = ''\nresult = ''"
    book = nbformat.read(folder / "chapters/runs/square.ipynb", 4)
    book.cells[0].source = parameters
    nbformat.write(book, folder / "chapters/runs/square.ipynb")
    (folder / "chapters/runs/square.grid.json").write_text(json.dumps(grids), encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["record", "sweep", "square", "--jobs", "1"])
    record_tool.main()
    run = runs.load("square")
    assert list(run.history()["square"]) == [4, 9, 25]
    assert run.parameters["q"] == [2, 3, 5] and run.metrics == {"cells": 3}
    assert run.record["precision"] == "fp32 and bf16"
    kept = nbformat.read(folder / "chapters/runs/square.ipynb", 4)
    assert [cell.execution_count for cell in kept.cells] == [1, 2]
    assert [cell.source for cell in kept.cells] == [cell.source for cell in book.cells]
    assert "made with q = 2; " in kept.cells[0].outputs[0].text  # the first cell of the grid


def test_make_sweep_writes_the_table_of_a_notebook_of_ones_own_beside_its_grid(folder, monkeypatch, capsys):
    book, log = notebook(folder / "mine.ipynb"), str(folder / "log")
    (folder / "wide.json").write_text(json.dumps({"q": [2, 3], "log": [log]}), encoding="utf-8")
    arguments = ["sweep", str(book), "--grid", str(folder / "wide.json"), "--jobs", "1"]
    monkeypatch.setattr("sys.argv", arguments)
    sweep.main()
    assert list(pd.read_csv(folder / "wide.csv")["square"]) == [4, 9]
    assert f"mine: 2 cells -> {folder / 'wide.csv'}" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["sweep", str(book)])
    with pytest.raises(FileError, match=r"there is no .*mine\.grid\.json; give NOTEBOOK, and GRID"):
        sweep.main()


def results(cache):
    return {path.name: path.stat().st_mtime_ns for path in cache.glob("*.json")}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked process")
def test_a_sweep_killed_at_random_loses_nothing_and_does_nothing_twice(folder, monkeypatch):
    """Kernels are replaced by a nap; report, cache and resumption are the real ones."""
    book, cache, log = notebook(folder / "square.ipynb"), folder / "cache", folder / "log"

    def nap(_notebook, _output, parameters):
        time.sleep(0.02)
        sweep.report(parameters["result"], square=parameters["q"] ** 2)
        with open(log, "a", encoding="utf-8") as file:  # after the report: a line is a cell that need not run again
            file.write(f"{parameters['q']}\n")

    monkeypatch.setattr(sweep, "execute", nap)
    cells, rng = sweep.grid(q=list(range(40))), random.Random(0)
    monkeypatch.setenv("TQDM_DISABLE", "1")
    found = {}
    for _ in range(6):
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                sweep.run(book, cells, cache)
            os._exit(0)
        enough, deadline = len(found) + rng.randrange(1, 6), time.monotonic() + 60
        while len(results(cache)) < enough and time.monotonic() < deadline:
            time.sleep(0.003)
        time.sleep(rng.uniform(0, 0.02))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        now = results(cache)
        assert found.items() <= now.items()  # what was there is there, and was not written again
        found = now
    assert 6 <= len(found) < 40
    table = sweep.run(book, cells, cache)
    assert list(table["square"]) == [q * q for q in range(40)]
    assert found.items() <= results(cache).items()
    done = [int(line) for line in log.read_text(encoding="utf-8").split()]
    assert len(done) == len(set(done))


def test_failed_cells_leave_their_notebooks_and_do_not_stop_the_rest(folder):
    book, cache, log = notebook(folder / "square.ipynb", broken="q == 1"), folder / "cache", folder / "log"
    with pytest.raises(sweep.SweepError, match=r"1 of 3 cells failed: .*ipynb") as raised:
        sweep.run(book, sweep.grid(q=[1, 2, 3], log=[str(log)]), cache, jobs=1)
    assert log.read_text(encoding="utf-8") == "2 3 "
    named = re.search(r"see (\S+\.ipynb)", str(raised.value))[1]
    assert "no such q" in Path(named).read_text(encoding="utf-8")  # the traceback


def test_a_sweep_runs_on_a_dask_cluster_of_two_workers(folder):
    distributed = pytest.importorskip("distributed")
    book, cache, log = notebook(folder / "square.ipynb"), folder / "cache", folder / "log"
    settings = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**settings) as cluster, distributed.Client(cluster) as client:
        with joblib.parallel_config(backend="dask"):
            table = sweep.run(book, sweep.grid(q=[1, 2, 3], log=[str(log)]), cache)
        ran = client.run(lambda: os.getpid())
    assert list(table["square"]) == [1, 4, 9]
    assert sorted(log.read_text(encoding="utf-8").split()) == ["1", "2", "3"]
    assert len(set(ran.values())) == 2 and os.getpid() not in ran.values()
