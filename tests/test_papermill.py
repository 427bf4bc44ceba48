"""Notebooks executed with other parameters: runs and sweeps small, chapters at the sources' scale made tiny."""

import ast
import json
import math

import pytest
from conftest import ROOT

from belamy import sweep
from tools.book import Book, code_cells, code_of, read

NOTEBOOKS = {path.stem: path for path in (ROOT / "chapters" / "runs").glob("*.ipynb")}
SMALL = {
    "augmentation-portraits": {"seed": 7, "amounts": [64], "rounds": 2, "width": 4, "judged": 64},
    "ava-experiment": {"rates": [0.5, 0.02], "seeds": 1},
    "ava-portraits": {"profile": "cpu", "seed": 7},
    "dcgan-mnist": {"profile": "cpu", "seed": 7},
    "dcgan-portraits": {"profile": "cpu", "seed": 7},
    "dcgan-sensitivity": {"seed": 7, "images": 64, "pictures": 256, "width": 4, "judged": 64, "batch_size": 32},
    "dcgan-spectrum": {"seed": 7, "gan_epochs": 1, "vae_epochs": 1, "images": 64, "width": 4, "counted": 64},
    "diffusion-portraits": {"profile": "cpu", "seed": 7},
    "gan-optimal-discriminator": {"width": 4, "n": 64, "seed": 7, "rounds": 20},
    "gan-ring": {"k": 2, "batch": 16, "seed": 7, "rounds": 20},
    "pix2pix-pairs": {"seed": 7, "pairs": 32, "judged": 32, "rounds": 2, "width": 4},
    "portrait-study": {"profile": "cpu", "seed": 7},
    "portrait-study-bits": {"profile": "cpu", "seed": 7},
    "stackgan-portraits": {"profile": "cpu", "seed": 7},
    "stackgan-seeds": {"seed": 7, "images": 64, "judged": 64, "base": 8, "width": 8, "rival_width": 4, "rounds": [2, 2, 2, 2]},
    "text-transformer": {"profile": "cpu", "seed": 7},
    "vae-gan-ladder": {"models": ["VAE", "GAN", "VAE-GAN", "VAE + WGAN-GP"], "seed": 7, "rounds": 2, "images": 110,
                       "width": 4, "latent_dim": 8, "judged": 110, "eye_rounds": 2},
    "vae-gan-portraits": {"profile": "cpu", "seed": 7},
    "vae-latent-dim": {"q": 3, "seed": 7, "n": 128, "epochs": 1},
    "vae-mnist": {"profile": "cpu", "seed": 7},
    "vae-precision": {"seed": 7, "n": 64, "size": 16, "epochs": 1},
    "vae-portraits": {"profile": "cpu", "seed": 7},
    "wgan-portraits": {"profile": "cpu", "seed": 7},
    "wgan-stability": {"seed": 7, "runs": 2, "steps": 24},
}


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # of the kernels, which inherit it


def run(name, folder, **parameters):
    """Execute the notebook; return its executed copy and what it reported, if it reports."""
    output, result = folder / "executed.ipynb", folder / "result.json"
    given = {**SMALL[name], **parameters}
    (definitions,) = (
        cell.source
        for cell in code_cells(read(NOTEBOOKS[name]))
        if "parameters" in cell.metadata.get("tags", [])
    )
    if "result =" in definitions:
        given["result"] = str(result)
    sweep.execute(NOTEBOOKS[name], output, given)
    return read(output), json.loads(result.read_text(encoding="utf-8")) if result.exists() else {}


def test_every_notebook_of_a_run_is_tried_here():
    assert set(SMALL) == set(NOTEBOOKS)


@pytest.mark.parametrize("name", SMALL)
def test_a_run_s_notebook_takes_other_parameters(name, tmp_path):
    executed, result = run(name, tmp_path)
    assert all(cell.execution_count for cell in code_cells(executed))
    printed = "".join(o.get("text", "") for cell in code_cells(executed) for o in cell.outputs)
    assert "nan" not in printed
    numbers = [value for value in result.values() if isinstance(value, float)]
    assert all(math.isfinite(number) for number in numbers)


def test_another_seed_is_another_result_and_the_same_seed_the_same(tmp_path):
    elbos = {}
    for attempt, seed in enumerate([1, 1, 2]):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        elbos[attempt] = run("vae-latent-dim", folder, seed=seed)[1]["elbo"]
    assert elbos[0] == elbos[1] != elbos[2]


# --- chapters at the other scale ----------------------------------------------------------------

CHAPTERS = {path.stem: path for path in Book().chapters if "belamy.setup(" in code_of(read(path))}


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_runs_to_its_end_at_the_sources_scale_made_tiny(name, tmp_path):
    """Every cell of the "gpu" column, with sizes that a CPU does in a minute: ``belamy_tiny`` of its metadata."""
    output = tmp_path / "executed.ipynb"
    tiny = read(CHAPTERS[name]).metadata["belamy_tiny"]
    sweep.execute(CHAPTERS[name], output, {"profile": "gpu", "confirmed": True, "override": dict(tiny)})
    executed = code_cells(read(output))
    assert all(cell.execution_count for cell in executed)
    printed = "".join(o.get("text", "") for cell in executed for o in cell.outputs)
    assert "profile gpu, device cpu" in printed


@pytest.mark.parametrize("name", CHAPTERS)
def test_no_chapter_pins_a_device(name):
    code = ast.parse("\n".join(cell.source for cell in code_cells(read(CHAPTERS[name]))))
    given = [part for node in ast.walk(code) if isinstance(node, ast.Call) for part in node.keywords]
    devices = [part.value for part in given if part.arg == "device"]
    assert not any(isinstance(value, ast.Constant) for value in devices), "pass run.device"
