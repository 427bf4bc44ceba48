"""Recorded runs and sweeps: what is written is what is read, and tampering shows."""

import contextlib
import json
import math
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import joblib
import nbformat
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from belamy import runs, sweep
from belamy.data import ImageSet
from belamy._notebooks import named_files, parameters
from belamy.errors import FileError, InputError
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


@pytest.mark.parametrize(
    "payload",
    [b"[]", b"3", b"null", b'"text"', b"", b"\xff\xfe{", b"[" * 100_000, b"{}", b'{"name": "tiny"}'],
    ids=lambda payload: repr(payload[:16]),
)
def test_whatever_stands_in_a_record_s_place_is_refused(folder, payload):
    path = record() / "run.json"
    path.write_bytes(payload)
    with pytest.raises(FileError, match=r"run\.json (is damaged|lacks)"):
        runs.load("tiny")
    path.unlink()
    path.mkdir()
    with pytest.raises(FileError, match=r"run\.json is damaged"):
        runs.load("tiny")


EDITS = {
    "a metric": lambda r: r["metrics"].update(elbo=-1.4),
    "no files": lambda r: r.update(files={}),
    "a file less": lambda r: r["files"].pop("samples.png"),
    "a row less": lambda r: r["history"].clear(),
    "the seed": lambda r: r.update(seed=5),
    "a text for a number": lambda r: r["metrics"].update(elbo="-1.5"),
    "a list for an object": lambda r: r.update(files=[], metrics=[]),
    "the digest": lambda r: r.update(digest=None),
    "the name": lambda r: r.update(name="other"),
    "one more entry": lambda r: r.update(note="checked"),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_a_record_edited_by_hand_is_refused(folder, edit):
    path = record() / "run.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(content), encoding="utf-8")
    assert runs.load("tiny").metrics == {"elbo": -1.5}  # other white space is no edit
    edit(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(FileError, match=r"run\.json was edited since it was recorded"):
        runs.load("tiny")


def test_a_run_under_another_name_and_a_file_it_did_not_record_are_refused(folder):
    path = record()
    shutil.copytree(path, path.with_name("copy"))
    with pytest.raises(FileError, match="was edited"):
        runs.load("copy")
    (path / ".DS_Store").write_bytes(b"")
    runs.load("tiny")
    (path / "better.png").write_bytes(b"")
    with pytest.raises(FileError, match=r"\['better\.png'\], which the run did not record"):
        runs.load("tiny")


def test_files_that_a_run_lacks_or_that_are_something_else_are_named(folder):
    path = record()
    run = runs.load("tiny")
    for read, name in (
        (run.picture, "sample.png"),
        (run.weights, "other.safetensors"),
        (run.picture, "run.json"),
    ):
        with pytest.raises(
            FileError, match=rf"'tiny' has no file '{name}'; it has \['samples\.png', 'weights"
        ):
            read(name)
    with pytest.raises(FileError, match="weights.safetensors is no picture"):
        run.picture("weights.safetensors")
    with pytest.raises(FileError, match="samples.png holds no weights"):
        run.weights("samples.png")
    (path / "samples.png").unlink()
    with pytest.raises(FileError, match="samples.png cannot be read"):
        run.picture("samples.png")


@pytest.mark.parametrize("name", ["", ".", "..", "../tiny", "a/b", ".tiny", "a\0", None, 3])
def test_what_cannot_name_a_run_is_refused(folder, name):
    record()
    with pytest.raises(InputError, match="is no name of a run"):
        runs.load(name)
    with pytest.raises(InputError, match="is no name of a run"):
        runs.write(
            name, parameters={}, metrics={}, history=pd.DataFrame(), data=DATA, seed=0, seconds=1.0
        )


def test_small_numbers_are_kept_and_large_ones_lose_nothing(folder):
    given = [3e-7, -1.23456789e-12, 0.0, 31420.9456184, 1e22, math.inf, math.nan, 0.1234567]
    record(history=pd.DataFrame({"loss": given}), metrics={"gap": 1.23456789e-9})
    run = runs.load("tiny")
    kept = [3e-7, -1.23457e-12, 0.0, 31420.945618, 1e22, math.inf, math.nan, 0.123457]
    assert np.array_equal(run.history()["loss"].to_numpy(), kept, equal_nan=True)
    assert run.metrics == {"gap": 1.23456789e-9}


def test_numbers_of_numpy_and_torch_are_kept_as_numbers(folder):
    parameters = {
        "q": np.int64(2),
        "rates": np.array([0.5, 0.25]),
        "shape": (3, 4),
        "on": np.bool_(True),
        10: range(2),
    }
    metrics = {
        "elbo": np.float32(-1.5),
        "kl": torch.tensor(2.0, requires_grad=True),
        "best": torch.arange(2),
    }
    history = pd.DataFrame(
        {"epoch": np.arange(1), "loss": np.float32([0.5]), "spectrum": [np.array([1.0, 2.0])]}
    )
    record(
        parameters=parameters,
        metrics=metrics,
        history=history,
        seed=np.int32(4),
        seconds=torch.tensor(61.04),
    )
    run = runs.load("tiny")
    assert run.parameters == {"q": 2, "rates": [0.5, 0.25], "shape": [3, 4], "on": True, "10": [0, 1]}
    assert run.parameters["on"] is True
    assert run.metrics == {"elbo": -1.5, "kl": 2.0, "best": [0, 1]}
    assert run.record["history"] == [{"epoch": 0, "loss": 0.5, "spectrum": [1.0, 2.0]}]
    assert run.record["seed"] == 4 and run.record["seconds"] == 61.0 and "seed 4, 1 min" in run.stamp()


@pytest.mark.parametrize(
    "change, message",
    [
        ({"metrics": {"nets": [{"g": object()}]}}, r"metrics\['nets'\]\[0\]\['g'\] is a object"),
        ({"parameters": {"z": 1j}}, r"parameters\['z'\] is a complex"),
        ({"history": [{"epoch": 0}]}, "history is a list"),
        ({"data": "portraits"}, "data is a str"),
        ({"seed": 0.5}, r"seed=0\.5 must be a whole number"),
        ({"seed": [0, True]}, "seed=True must be a whole number"),
        ({"seconds": "61"}, "seconds='61' must be a number"),
        ({"pictures": {"../a.png": Image.new("L", (1, 1))}}, r"'\.\./a\.png' cannot name a picture"),
        ({"pictures": {"run.json": Image.new("L", (1, 1))}}, r"'run\.json' cannot name a picture"),
        ({"pictures": {"a.png": torch.zeros(2)}}, r"pictures\['a\.png'\] is a Tensor"),
    ],
)
def test_what_a_record_cannot_keep_is_named_and_the_old_run_stays(folder, change, message):
    record()
    with pytest.raises(InputError, match=message):
        record(**change)
    assert runs.load("tiny").metrics == {"elbo": -1.5}
    assert os.listdir(folder / "data/runs") == ["tiny"]


def test_weights_that_are_tied_or_too_large_for_half_precision_come_back(folder):
    w = torch.tensor([1e5, 1.0])
    tied = torch.ones(3, dtype=torch.float16)
    record(weights={"w": w, "a": tied, "b": tied, "t": torch.arange(6.0).view(2, 3).T})
    weights = runs.load("tiny").weights()
    assert weights["w"].tolist() == [1e5, 1.0] and weights["t"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert weights["a"].tolist() == weights["b"].tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    "seed, parameters, metrics, told",
    [
        (4, {}, {"elbo": 1}, ", seed 4, "),
        ([0, 1, 2], {"seed": [0, 1, 2]}, {"cells": 3}, ", seeds 0, 1, 2, "),
        (0, {"q": [1], "seed": [0, 1, 2]}, {"cells": 3}, ", seeds 0, 1, 2, "),  # an old record
        (0, {"q": [1]}, {"cells": 1}, ", seeds as in its notebook, "),  # an old record
        (None, {"q": [1]}, {"cells": 1}, ", seeds as in its notebook, "),
        ([7], {"seed": [7]}, {"cells": 1}, ", seed 7, "),
        (list(range(20)), {"seed": list(range(20))}, {"cells": 20}, ", 20 seeds from 0 to 19, "),
        ([3, 5], {}, {"elbo": 1}, ", seeds 3, 5, "),
    ],
)
def test_a_stamp_says_which_seeds_ran(folder, seed, parameters, metrics, told):
    record(seed=seed, parameters=parameters, metrics=metrics)
    assert told in runs.load("tiny").stamp()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked process")
def test_a_recording_killed_anywhere_leaves_the_old_run_or_the_new_one(folder):
    """A child dies just before its n-th access to the file system, for every n until it survives."""

    def killed_at(n):
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                seen = 0

                def hook(event, args):
                    nonlocal seen
                    if event.split(".")[0] in ("open", "os", "shutil") and str(folder / "data") in str(
                        args
                    ):
                        seen += 1
                        if seen == n:
                            os.kill(os.getpid(), signal.SIGKILL)

                sys.addaudithook(hook)
                record(metrics={"elbo": -2.0}, pictures={"other.png": Image.new("RGB", (4, 4), "blue")})
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL

    found, aside = [], 0
    record()
    for n in range(1, 200):
        if not killed_at(n):
            break
        aside += not (folder / "data/runs/tiny").exists()
        run = runs.load("tiny")  # whole: every file is verified
        old = run.metrics["elbo"] == -1.5
        assert (
            run.picture("samples.png" if old else "other.png").size == (4, 4) and len(run.weights()) == 2
        )
        found.append(old)
        record()  # goes through, whatever lies about
        assert runs.load("tiny").metrics == {"elbo": -1.5}
        assert os.listdir(folder / "data/runs") == ["tiny"]
    assert n > 8 and found == sorted(found, reverse=True)  # first the old run, then the new
    assert True in found and False in found and aside == 1  # killed between the two renames, too
    assert runs.load("tiny").metrics == {"elbo": -2.0}


def test_a_folder_that_cannot_be_written_is_named(folder):
    (folder / "data").mkdir()
    (folder / "data" / "runs").write_bytes(b"")
    with pytest.raises(FileError, match=r"runs.tiny cannot be written"):
        record()


def test_records_and_sweeps_are_imported_without_pandas():
    rooms = "import sys, belamy.runs, belamy.sweep, belamy.claims"
    code = f"{rooms}; print({{'pandas', 'papermill'}} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True
    )
    assert done.stdout.strip() == "set()"


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
    book, cache, log = (
        notebook(folder / "square.ipynb", broken="q == 3"),
        folder / "cache",
        folder / "log",
    )
    cells = sweep.grid(q=[2, 3], log=[str(log)])
    with pytest.raises(sweep.SweepError, match=r"1 of 2 cells failed.*'q': 3"):
        sweep.run(book, cells, cache)
    assert log.read_text(encoding="utf-8") == "2 "
    table = sweep.run(book, cells[:1], cache)
    assert log.read_text(encoding="utf-8") == "2 " and list(table["square"]) == [
        4
    ]  # resumed: nothing ran
    notebook(book)
    table = sweep.run(book, cells, cache)
    assert list(table["square"]) == [4, 9]
    assert sorted(log.read_text(encoding="utf-8").split()) == [
        "2",
        "2",
        "3",
    ]  # the code changed: all ran


def test_a_sweep_whose_first_cells_all_fail_ends_before_it_has_spent_hours(folder):
    book, log = notebook(folder / "square.ipynb", broken="q < 9"), folder / "log"
    with pytest.raises(sweep.SweepError, match="since the first 3 all did, 5 were not tried"):
        sweep.run(book, sweep.grid(q=[1, 2, 3, 4, 5, 9, 10, 11], log=[str(log)]), folder / "cache")
    assert len(list((folder / "cache").glob("*.ipynb"))) == 3
    with pytest.raises(sweep.SweepError, match="3 of 3 cells failed") as raised:
        sweep.run(book, sweep.grid(q=[1, 2, 3], log=[str(log)]), folder / "cache")
    assert "not tried" not in str(raised.value)


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
    grids = [
        {"q": [2, 3], "log": [log], "precision": ["fp32"]},
        {"q": [5], "log": [log], "precision": ["bf16"]},
    ]
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


def test_a_sweep_that_could_not_be_recorded_is_refused_before_it_runs(folder):
    path = notebook(folder / "chapters" / "runs" / "square.ipynb")
    book = nbformat.read(path, 4)
    book.cells[1].source = f"open({str(folder / 'log')!r}, 'a').write('ran')"
    nbformat.write(book, path)
    path.with_suffix(".grid.json").write_text('{"q": [2, 3]}', encoding="utf-8")
    with pytest.raises(InputError, match=r"must report \['checksum', 'data'\], too"):
        record_tool.record_sweep("square")
    assert not (folder / "log").exists()


def test_make_sweep_writes_the_table_of_a_notebook_of_ones_own_beside_its_grid(
    folder, monkeypatch, capsys
):
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
        with open(
            log, "a", encoding="utf-8"
        ) as file:  # after the report: a line is a cell that need not run again
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


@pytest.mark.parametrize("papermill", [True, False], ids=["with papermill", "as in Colab"])
def test_failed_cells_leave_their_notebooks_and_do_not_stop_the_rest(folder, papermill, monkeypatch):
    if not papermill:
        monkeypatch.setitem(sys.modules, "papermill", None)
    book, cache, log = (
        notebook(folder / "square.ipynb", broken="q == 1"),
        folder / "cache",
        folder / "log",
    )
    with pytest.raises(sweep.SweepError, match=r"1 of 3 cells failed: .*ipynb") as raised:
        sweep.run(book, sweep.grid(q=[1, 2, 3], log=[str(log)]), cache, jobs=1)
    assert log.read_text(encoding="utf-8") == "2 3 "
    named = re.search(r"see (\S+\.ipynb)", str(raised.value))[1]
    assert "no such q" in Path(named).read_text(encoding="utf-8")  # the traceback


def test_without_papermill_a_notebook_gets_the_same_values(folder, monkeypatch):
    values = {"q": {"rates": [0.5, float("inf")], "on": True}, "log": "it's \"so\"\n", "result": str(folder / "r.json")}
    book = nbformat.read(notebook(folder / "values.ipynb"), 4)
    book.cells[1].source = "from belamy import sweep\nsweep.report(result, q=str(q), log=log)"
    nbformat.write(book, folder / "values.ipynb")
    found = []
    for missing in (False, True):
        if missing:
            monkeypatch.setitem(sys.modules, "papermill", None)
        sweep.execute(str(folder / "values.ipynb"), str(folder / "out" / "done.ipynb"), values)
        found.append((folder / "r.json").read_text(encoding="utf-8"))
        assert all(c.execution_count for c in nbformat.read(folder / "out/done.ipynb", 4).cells)
    assert found[0] == found[1]
    assert json.loads(found[0]) == {"q": str(values["q"]), "log": values["log"]}


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


@pytest.fixture
def counted(monkeypatch):
    """Kernels are replaced by a list of the cells that would have run; each reports 4."""
    ran = []

    def note(_notebook, output, parameters):
        output.write_text("executed", encoding="utf-8")
        ran.append({name: value for name, value in parameters.items() if name != "result"})
        sweep.report(parameters["result"], square=4)

    monkeypatch.setattr(sweep, "execute", note)
    return ran


@pytest.mark.parametrize(
    "axes, message",
    [
        ({"q": "abc"}, "the axis q='abc' must be a list"),
        ({"q": 3}, "the axis q=3 must be a list"),
        ({"q": None}, "the axis q=None must be a list"),
        ({"q": {"a": 1}}, "the axis q={'a': 1} must be a list"),
        ({"q": np.array(3)}, r"the axis q=array\(3\) must be a list"),
        ({"q": [], "seed": [0]}, r"the axis q=\[\] has no values"),
        ({"q": [1, object()]}, r"q\[1\] is a object"),
    ],
)
def test_an_axis_that_is_no_list_of_values_is_refused(axes, message):
    with pytest.raises(InputError, match=message):
        sweep.grid(**axes)


@pytest.mark.parametrize(
    "text", ['"q"', "3", "null", "true", "[]", "{}", "[{}]", "[3]", '[{"q": [1]}, "q"]', '{"q": 3}',
             '{"q": "ab"}', '{"q": []}', "{", "\xff"],
)  # fmt: skip
def test_a_file_that_holds_no_grid_is_refused_by_name(folder, text):
    (folder / "odd.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(FileError, match=r"odd\.json"):
        sweep.read_grid(folder / "odd.json")


@pytest.mark.parametrize(
    "cells, message",
    [
        ([], "cells is empty"),
        ("q", "cells is a str"),
        ({"q": [1]}, "cells is a dict"),
        (3, "cells is a int"),
        ([3], "the cell 3 must be a dict"),
        ([{"q": 1}, {"qq": 1}], r"\['qq'\] cannot be swept: .* sets \['q', 'log'\]"),
        ([{"result": "x"}], r"\['result'\] cannot be swept"),
        ([{1: 2}], r"\[1\] cannot be swept"),
        ([{"q": object()}], "q is a object"),
    ],
)
def test_cells_that_a_notebook_cannot_run_are_refused_before_any_work(folder, counted, cells, message):
    with pytest.raises(InputError, match=message):
        sweep.run(notebook(folder / "square.ipynb"), cells, folder / "cache")
    assert not counted and not (folder / "cache").exists()


@pytest.mark.parametrize("jobs", [0, -3, -1, 1.5, True, "2", None])
def test_the_number_of_jobs_is_a_whole_number_of_at_least_one(folder, counted, jobs):
    book = notebook(folder / "square.ipynb")
    with pytest.raises(InputError, match=r"jobs=.* must be a whole number of at least 1"):
        sweep.run(book, sweep.grid(q=[1]), folder / "cache", jobs=jobs)
    assert not counted
    sweep.run(book, sweep.grid(q=[1]), folder / "cache", jobs=np.int64(2))


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", "{}", '{"cells": 3}', '{"cells": [3]}', '{"cells": [{}]}', "\xff"]
)
def test_what_is_no_notebook_is_refused(folder, text):
    path = folder / "odd.ipynb"
    with pytest.raises(FileError, match=r"there is no notebook .*odd\.ipynb"):
        sweep.run(path, sweep.grid(q=[1]), folder / "cache")
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(FileError, match=r"odd\.ipynb is no notebook"):
        sweep.run(path, sweep.grid(q=[1]), folder / "cache")


@pytest.mark.parametrize(
    "source, tags, message",
    [
        ("q = 1\nresult = ''", [], "no cell tagged 'parameters'"),
        ("q = 1", ["parameters"], 'lacks result = ""'),
        ("q = = 1", ["parameters"], "is no Python"),
    ],
)
def test_a_notebook_that_cannot_be_swept_is_refused(folder, counted, source, tags, message):
    path = notebook(folder / "square.ipynb")
    content = nbformat.read(path, 4)
    content.cells[0].source, content.cells[0].metadata["tags"] = source, tags
    nbformat.write(content, path)
    with pytest.raises(FileError, match=message):
        sweep.run(path, sweep.grid(q=[1]), folder / "cache")
    assert not counted


def test_the_parameters_of_a_notebook_are_all_names_that_its_cell_sets(folder):
    path = notebook(folder / "square.ipynb")
    content = nbformat.read(path, 4)
    content.cells[0].source = (
        "%matplotlib inline\nq: int = 6  # units\nn, size = 2048, 32\nrates = [1, -2.5]\na = b = 1\n"
        "half = q / 2\nif q:\n    late = 1\nresult = ''"
    )
    nbformat.write(content, path)
    assert parameters(path) == {
        "q": 6, "n": None, "size": None, "rates": [1, -2.5], "a": 1, "b": None, "half": None,
        "late": None, "result": "",
    }  # fmt: skip


def test_a_cache_that_cannot_be_written_is_named(folder, counted):
    (folder / "file").write_bytes(b"")
    with pytest.raises(FileError, match="cache .*file.* cannot be written"):
        sweep.run(notebook(folder / "square.ipynb"), sweep.grid(q=[1]), folder / "file" / "cache")


def test_equal_cells_run_once_and_a_damaged_result_is_made_again(folder, counted):
    book, cache = notebook(folder / "square.ipynb"), folder / "cache"
    assert len(sweep.run(book, [{"q": 2}, {"q": np.int64(2)}], cache)) == 2
    assert counted == [{"q": 2}]
    (only,) = cache.glob("*.json")
    for damage in ("", "[]", "{"):
        only.write_text(damage, encoding="utf-8")
        assert list(sweep.run(book, [{"q": 2}], cache)["square"]) == [4]
    assert counted == [{"q": 2}] * 4


def test_numbers_of_numpy_and_torch_are_swept_and_reported_as_numbers(folder):
    result = folder / "result.json"
    sweep.report(
        result, x=np.float32(1), y=torch.tensor(2.0), rows=np.arange(2), on=np.bool_(True), s=(1, "a")
    )
    assert json.loads(result.read_text(encoding="utf-8")) == {
        "x": 1.0,
        "y": 2.0,
        "rows": [0, 1],
        "on": True,
        "s": [1, "a"],
    }
    for path in (result, ""):
        with pytest.raises(InputError, match=r"nets\['g'\] is a Linear"):
            sweep.report(path, nets={"g": torch.nn.Linear(1, 1)})
    cells = sweep.grid(q=np.arange(2), rate=torch.tensor([0.5, 0.25]), n=range(3, 4))
    assert cells == [{"q": q, "rate": rate, "n": 3} for q in (0, 1) for rate in (0.5, 0.25)]
    assert {type(value) for cell in cells for value in cell.values()} == {int, float}
    assert sweep.grid(path=[1]) == [{"path": 1}]
    sweep.report(result, path="a")  # a name that report itself uses


def test_a_sweep_s_record_holds_lists_dicts_its_seeds_and_all_that_its_grids_name(folder, monkeypatch):
    path = folder / "chapters" / "runs" / "square.ipynb"
    content = nbformat.read(notebook(path), 4)
    content.cells[0].source = "q = 1\nshape = [1]\nseed = 3\nprecision = 'bf16'\nresult = ''"
    nbformat.write(content, path)

    ran = []

    def note(_notebook, output, parameters):
        ran.append(parameters)
        shutil.copy(path, output)
        values = {"data": "ring", "checksum": f"{parameters.get('q', 0)}ab"} if "q" in parameters else {}
        sweep.report(parameters["result"], square=np.float64(2) ** 2, **values)

    monkeypatch.setattr(sweep, "execute", note)
    grids = [{"q": [{"a": 1}, {"a": 2}], "shape": [[1, 2], [1, 2], []]}, {"q": [2]}]
    path.with_suffix(".grid.json").write_text(json.dumps(grids), encoding="utf-8")
    _, count = record_tool.record_sweep("square")
    run = runs.load("square")
    assert count == 7 and len(run.history()) == 7 and len(ran) == 5
    assert run.parameters == {
        "q": [{"a": 1}, {"a": 2}, 2], "shape": [[1, 2], []], "seed": [3], "precision": ["bf16"],
    }  # fmt: skip
    assert (
        ", bf16, torch" in run.stamp()
        and ", seed 3, " in run.stamp()
        and "cpu (1 thread)" in run.stamp()
    )
    assert run.record["data"] == {"name": "ring", "checksum": "{'a': 1}ab and {'a': 2}ab and 2ab"}
    path.with_suffix(".grid.json").write_text('{"q": [2], "seed": [0, 1]}', encoding="utf-8")
    record_tool.record_sweep("square")
    assert ", seeds 0, 1, " in runs.load("square").stamp()
    path.with_suffix(".grid.json").write_text('{"shape": [[3]]}', encoding="utf-8")
    with pytest.raises(InputError, match=r"must report \['checksum', 'data'\], too"):
        record_tool.record_sweep("square")


# --- to what a kept result belongs ---------------------------------------------------------------

READS = """
import helper
from belamy import sweep
sweep.report(result, value=float(open("value.txt").read()), factor=helper.FACTOR * q)
"""


def test_results_belong_to_the_folder_of_the_notebook_and_the_files_that_it_reads(folder):
    books = []
    for name, value in (("one", "1"), ("two", "2")):
        (folder / name).mkdir()
        books.append(notebook(folder / name / "reads.ipynb"))
        content = nbformat.read(books[-1], 4)
        content.cells[1].source = READS
        nbformat.write(content, books[-1])
        (folder / name / "value.txt").write_text(value, encoding="utf-8")
        (folder / name / "helper.py").write_text("FACTOR = 10", encoding="utf-8")

    def table(book):
        return sweep.run(book, sweep.grid(q=[1]), folder / "cache", jobs=1)[
            ["value", "factor"]
        ].values.tolist()

    assert table(books[0]) == [[1, 10]] and table(books[1]) == [[2, 10]]
    (folder / "one" / "helper.py").write_text("FACTOR = 20", encoding="utf-8")
    assert table(books[0]) == [[1, 20]] and len(results(folder / "cache")) == 3
    assert table(books[1]) == [[2, 10]] and len(results(folder / "cache")) == 3  # as it was


@pytest.mark.parametrize(
    "code, file",
    [
        ("open('value.txt')", "value.txt"),
        ("%run value.py", "value.py"),
        ("!cat value.txt", "value.txt"),
        ("%%bash\ncat value.txt", "value.txt"),
        ("Path('data') / name", "data/value.txt"),
        ("os.listdir('data')", "data/deep/value.txt"),
        ("open(f'value-{q}.txt')", "value-3.txt"),
        ("open(f'{name}.txt')", "value.txt"),
        ("sorted(Path().glob('*.csv'))", "value.csv"),
        ("glob('**/*.csv', recursive=True)", "data/deep/value.csv"),
        ("open('[value].txt')", "[value].txt"),
        ("import value", "value.py"),
        ("import value.part as v", "value/part.py"),
        ("from value.part import x", "value/table.csv"),
        ("importlib.import_module('value')", "value.py"),
        ("Path('value').with_suffix('.txt')", "value.txt"),
        ("import first", "value.txt"),  # of which first.py reads
        ("import first", "second.py"),
        ("open('../value.txt')", "../value.txt"),
    ],
)
def test_files_that_a_notebook_s_code_names_are_seen(folder, code, file):
    home = folder / "home"
    home.mkdir()
    (home / "first.py").write_text("import second\nx = open('value.txt')", encoding="utf-8")
    path = home / file
    before = named_files(home, [code], [], folder / "cache")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("1", encoding="utf-8")
    one = named_files(home, [code], [], folder / "cache")
    path.write_text("2", encoding="utf-8")
    two = named_files(home, [code], [], folder / "cache")
    assert one.keys() == two.keys() > before.keys()
    assert [name for name in one if one[name] != two[name]] == [str(path)]


def test_files_that_nothing_names_and_outputs_of_notebooks_change_nothing(folder, counted):
    book, cache = notebook(folder / "square.ipynb"), folder / "cache"
    content = nbformat.read(book, 4)
    content.cells[1].source = "open('other.ipynb'); print(f'{q}: {square}'); '.', '..', '/', '*'"
    nbformat.write(content, book)
    other = notebook(folder / "other.ipynb")
    cells = [{"q": 2, "log": str(folder / "log")}]  # an absolute path: where it writes
    sweep.run(book, cells, cache)
    for written in ("log", "table.csv", "helper.py", "square.grid.json"):
        (folder / written).write_text("2", encoding="utf-8")
    for path in (book, other):
        content = nbformat.read(path, 4)
        content.cells[1].outputs = [nbformat.v4.new_output("stream", text="4")]
        content.cells[1].execution_count = 1
        nbformat.write(content, path)
    sweep.run(book, cells, cache)
    assert len(counted) == 1
    content.cells[1].source = "1"
    nbformat.write(content, other)
    sweep.run(book, cells, cache)
    assert len(counted) == 2


def test_a_file_that_a_cell_names_belongs_to_its_result(folder, counted):
    book, cells = notebook(folder / "square.ipynb"), sweep.grid(q=["first.txt", ["second.txt"]])
    for value in "12":
        (folder / "first.txt").write_text(value, encoding="utf-8")
        sweep.run(book, cells, folder / "cache", jobs=1)
    assert [cell["q"] for cell in counted] == ["first.txt", ["second.txt"], "first.txt"]
    (folder / "second.txt").write_text("1", encoding="utf-8")
    sweep.run(book, cells, folder / "cache", jobs=1)
    assert [cell["q"] for cell in counted[3:]] == [["second.txt"]]


def test_of_large_files_size_and_time_are_looked_at(folder, monkeypatch):
    monkeypatch.setattr("belamy._notebooks.LARGE", 3)
    path, seen = folder / "large.bin", []
    for payload, moment in ((b"1234", 1), (b"4321", 1), (b"4321", 2), (b"12345", 2)):
        path.write_bytes(payload)
        os.utime(path, (moment, moment))
        seen.append(named_files(folder, ["'large.bin'"], [], folder / "cache")[str(path)])
    assert seen[0] == seen[1] and len(set(seen)) == 3


# --- on the command line --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command, message",
    [
        ("tools.record run nowhere", "no notebook"),
        ("tools.record run square", "square is a sweep: use make sweep RUN=square"),
        ("tools.record sweep square --jobs 0", "jobs=0 must be a whole number of at least 1"),
        (
            "belamy.sweep chapters/runs/square.ipynb --jobs -3",
            "jobs=-3 must be a whole number of at least 1",
        ),
        ("belamy.sweep square", "there is no square.grid.json"),
    ],
)
def test_on_the_command_line_an_error_is_a_sentence(folder, command, message):
    path = notebook(folder / "chapters" / "runs" / "square.ipynb")
    path.with_suffix(".grid.json").write_text('{"q": [1]}', encoding="utf-8")
    paths = os.pathsep.join(
        [str(Path(runs.__file__).parents[1]), str(Path(record_tool.__file__).parents[1])]
    )
    done = subprocess.run(
        [sys.executable, "-m", *command.split()], cwd=folder, env={**os.environ, "PYTHONPATH": paths},
        capture_output=True, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 1 and message in done.stderr and "Traceback" not in done.stderr


def test_a_record_says_the_commit_and_whether_the_code_was_edited(folder):
    def git(*arguments):
        command = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
        return subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout.strip()

    assert record_tool.commit() == "unknown"
    (folder / "chapters" / "code.py").write_text("1", encoding="utf-8")
    git("init"), git("add", "."), git("commit", "-m", "one")
    assert record_tool.commit() == git("rev-parse", "HEAD")
    (folder / "notes.txt").write_text("1", encoding="utf-8")
    assert record_tool.commit() == git("rev-parse", "HEAD")
    (folder / "chapters" / "code.py").write_text("2", encoding="utf-8")
    assert record_tool.commit() == git("rev-parse", "HEAD") + "+"
