"""How a chapter begins: profile, settings, device, and what becomes of its assertions."""

import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell

import belamy
from belamy import profiles
from belamy.errors import InputError

CPU, GPU = {"epochs": 2, "side": 16, "minutes": 3}, {"epochs": 100, "side": 128, "minutes": 60}


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    """No variable of this machine's, and torch's threads as they were."""
    for name in ("BELAMY_PROFILE", "BELAMY_DEVICE", "BELAMY_THREADS"):
        monkeypatch.delenv(name, raising=False)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def gpu(monkeypatch):
    """A machine on which torch finds a GPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)


def test_the_cpu_profile_trains_on_one_thread_of_the_cpu_also_where_there_is_a_gpu(gpu, capsys):
    run = belamy.setup("auto", 3, cpu=CPU, gpu=GPU)
    assert (run.profile, run.seed, run.device.type, run.epochs, run.side) == ("cpu", 3, "cpu", 2, 16)
    assert torch.get_num_threads() == 1 and torch.initial_seed() == 3
    assert "profile cpu, device cpu, seed 3; about 3 minutes" in capsys.readouterr().out
    belamy.setup("auto", 3, cpu=CPU | {"minutes": 1}, gpu=GPU)
    assert "seed 3; about 1 minute\n" in capsys.readouterr().out


def test_the_gpu_profile_is_the_sources_scale_on_the_reader_s_gpu(gpu, capsys, monkeypatch):
    monkeypatch.setenv("BELAMY_PROFILE", "gpu")
    run = belamy.setup(cpu=CPU, gpu=GPU)
    assert (run.profile, run.device.type, run.side, run.epochs) == ("gpu", "cuda", 128, 100)
    assert "device cuda, seed 0; about 60 minutes" in capsys.readouterr().out


def test_without_a_gpu_it_says_how_long_it_would_take_and_asks(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(InputError, match=r"about 50 hours\. Set confirmed = True"):
        belamy.setup("gpu", cpu=CPU, gpu=GPU)
    run = belamy.setup("gpu", cpu=CPU, gpu=GPU, confirmed=True, override={"side": 8})
    assert (run.device.type, run.side, run.epochs) == ("cpu", 8, 100)


def test_a_setting_of_one_s_own_shows_in_the_table(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    belamy.setup("cpu", cpu=CPU, gpu=GPU)
    assert list(shown[0].data) == ["setting", "cpu, in force", "gpu"]
    belamy.setup("cpu", cpu=CPU, gpu=GPU, override={"epochs": 7})
    assert list(shown[1].data) == ["setting", "cpu", "gpu", "here, in force"]
    assert shown[1].data["here, in force"].tolist() == ["7", "16", "3"]
    assert shown[0].to_html() == shown[0].to_html()  # outputs repeat


@pytest.mark.parametrize(
    "given, words",
    [
        ({"profile": "tpu"}, "profile='tpu' is not one of"),
        ({"seed": -1}, "seed=-1 must be a whole number"),
        ({"override": {"epoch": 3}}, "no setting is called 'epoch'; there are epochs, side, minutes"),
        ({"gpu": {"epochs": 1, "minutes": 2}}, "setting 'side' stands in one profile only"),
        ({"cpu": {"epochs": 1}, "gpu": {"epochs": 2}}, "lack 'minutes'"),
    ],
)
def test_what_cannot_be_used_is_refused(given, words):
    with pytest.raises(InputError, match=words):
        belamy.setup(**{"cpu": CPU, "gpu": GPU} | given)


def test_a_setting_that_is_not_there_is_named():
    run = belamy.setup(cpu=CPU, gpu=GPU)
    with pytest.raises(AttributeError, match="no setting is called 'epoch'; there are epochs, side, minutes"):
        run.epoch  # noqa: B018


def test_at_the_sources_scale_a_band_is_printed_where_it_differs_and_raised_at_the_cpu_s(monkeypatch, capsys):
    shell = InteractiveShell.instance()
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    profiles.report_bands(True)
    profiles.report_bands(True)  # the set-up cell runs twice
    done = shell.run_cell("loss = 3\nassert loss < 2, 'far off'\nassert loss > 1\nafter = loss + 1")
    assert done.success and shell.user_ns["after"] == 4
    assert capsys.readouterr().out == "differs from the cpu setting: loss < 2\n"
    profiles.report_bands(False)
    assert isinstance(shell.run_cell("assert loss < 2").error_in_exec, AssertionError)
