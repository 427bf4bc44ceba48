"""Interrupt and resume: bit for bit on the CPU, atomic on the disk, plain words when it fails."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from functools import partial

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from torch.optim import SGD, Adam
from torch.nn.utils.parametrizations import spectral_norm

from belamy import losses, nets
from belamy.errors import CheckpointError, FileError
from belamy.game import Game, Player, checkpoint, fit

RNG = torch.Generator().manual_seed(1)
PIXELS = torch.randint(0, 256, (40, 3, 16, 16), generator=RNG, dtype=torch.uint8)

OPTIMIZER = {
    "discriminator": partial(Adam, lr=2e-4, betas=(0.5, 0.999)),
    "generator": partial(SGD, lr=1e-2, momentum=0.9),
}
schedule = lambda step: 0.9**step  # noqa: E731
train = partial(fit, batch_size=8, progress=False, device="cpu", optimizer=OPTIMIZER, schedule=schedule)


after = []  # what happens after the generator's losses have been called so many times: (calls, what)


def loss_of_fakes(*args):
    """The generator's loss. A test that interrupts it must not give the game another loss."""
    if after:
        calls, happens = after.pop()
        happens() if calls == 1 else after.append((calls - 1, happens))
    return losses.generator_loss(*args)


def gan(width=4, loss=loss_of_fakes):
    """A game with every kind of state: running statistics, power iterations, moments, dropout."""
    judge = nets.Discriminator(16, width=width)
    bounded = spectral_norm(nn.Linear(judge.head.in_features, 8))
    judge.head = nn.Sequential(nn.Dropout(0.2), bounded, nn.Linear(8, 1))
    return Game(
        {"discriminator": judge, "generator": nets.Generator(16, latent_dim=5, width=width)},
        [Player(["discriminator"], losses.discriminator_loss, steps=2), Player(["generator"], loss)],
        seed=0,
    )


def state(game):
    return {name: value.clone() for name, value in game.nets.state_dict().items()}


def same(a, b):
    a, b = state(a), state(b)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def whole():
    game = gan()
    train(game, PIXELS, epochs=6)
    return game


@pytest.mark.parametrize("stop", [1, 3, 7])  # rounds: 2 an epoch, so also inside an epoch
def test_a_resumed_run_is_bit_identical_to_one_never_interrupted(tmp_path, whole, stop):
    path = tmp_path / "run.safetensors"
    after[:] = [(stop, lambda: os.kill(os.getpid(), signal.SIGINT))]
    with pytest.warns(UserWarning, match=f"interrupted after round {stop}"):
        train(gan(), PIXELS, epochs=6, checkpoint=path)
    torch.manual_seed(stop)  # nothing may depend on the global generator
    resumed = gan()
    history = train(resumed, PIXELS, epochs=6, checkpoint=path)
    assert same(resumed, whole)
    assert history.frame().equals(whole.history.frame())
    assert resumed.steps == whole.steps == {"discriminator": 30, "generator": 15}


PIECES = [
    "nets/discriminator.convolutions.0.weight",
    "nets/discriminator.convolutions.3.running_mean",
    "nets/discriminator.convolutions.3.running_var",
    "nets/discriminator.head.1.parametrizations.weight.0._v",
    "nets/generator.convolutions.0.weight",
    "optimizers/discriminator/0/exp_avg",
    "optimizers/discriminator/0/exp_avg_sq",
    "optimizers/discriminator/0/step",
    "optimizers/generator/0/momentum_buffer",
    "steps/discriminator",
    "steps/generator",
    "rounds",
    "history/values",
]


@pytest.mark.parametrize("piece", PIECES)
def test_every_piece_of_state_matters(tmp_path, whole, piece):
    """Leave one piece out of the checkpoint, and the resumed run must differ."""
    path = tmp_path / "run.safetensors"
    train(gan(), PIXELS, epochs=3, checkpoint=path)
    tensors, settings = checkpoint.read(path)
    kind, _, name = piece.partition("/")
    if kind == "steps":
        settings["steps"][name] = 0
    elif kind == "rounds":
        settings["rounds"] -= 1
    else:
        tensors[piece] = torch.ones_like(tensors[piece])
    checkpoint.write(path, tensors, settings)
    resumed = gan()
    train(resumed, PIXELS, epochs=6, checkpoint=path)
    assert not (same(resumed, whole) and resumed.history.frame().equals(whole.history.frame()))


def test_the_pieces_above_are_all_there_is(tmp_path):
    path = tmp_path / "run.safetensors"
    train(gan(), PIXELS, epochs=1, checkpoint=path)
    tensors, settings = checkpoint.read(path)
    kinds = {name.split("/")[0] for name in tensors} | {k for k in settings if k in ("steps", "rounds")}
    assert kinds == {piece.split("/")[0] for piece in PIECES}
    fields = {n.rsplit("/", 1)[1] for n in tensors if n.startswith("optimizers/")}
    assert fields == {"exp_avg", "exp_avg_sq", "step", "momentum_buffer"}


def test_a_finished_run_is_loaded_not_repeated(tmp_path, whole):
    path = tmp_path / "run.safetensors"
    train(gan(), PIXELS, epochs=6, checkpoint=path)
    written = path.read_bytes()
    game = gan()
    after[:] = [(1, lambda: pytest.fail("trained again"))]
    history = train(game, PIXELS, epochs=6, checkpoint=path)
    assert same(game, whole) and len(history) == 15 and after.pop()
    assert path.stat().st_size == len(written)


def test_a_game_already_trained_goes_on_from_its_checkpoint(tmp_path):
    first, second = gan(), gan()
    for game in (first, second):
        train(game, PIXELS, epochs=2)
    train(first, PIXELS, epochs=2, checkpoint=tmp_path / "a")
    train(second, PIXELS, epochs=1, checkpoint=tmp_path / "b")
    fresh = gan()
    train(fresh, PIXELS, epochs=2, checkpoint=tmp_path / "b")
    assert fresh.rounds == 10 and same(first, fresh)


def test_a_run_may_be_stored_before_its_first_round(tmp_path, whole):
    train(gan(), PIXELS, epochs=0, checkpoint=tmp_path / "start")
    game = gan()
    train(game, PIXELS, epochs=0, checkpoint=tmp_path / "start")
    train(game, PIXELS, epochs=6)
    assert same(game, whole)


def test_no_pickle_and_settings_in_plain_json(tmp_path):
    path = tmp_path / "run.safetensors"
    train(gan(), PIXELS, epochs=1, checkpoint=path)
    with safe_open(path, "pt") as file:
        header = json.loads(file.metadata()["belamy"])
    assert header["settings"]["rounds"] == 3 and header["settings"]["run"]["seed"] == 0
    assert os.listdir(tmp_path) == ["run.safetensors"]


@pytest.mark.parametrize(
    "change, words",
    [
        ({"seed": 1}, "seed: 0 there, 1 here"),
        ({"batch_size": 4}, "batch_size: 8 there, 4 here"),
        ({"optimizer": Adam}, "optimizers"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(tmp_path, change, words):
    path = tmp_path / "run.safetensors"
    train(gan(), PIXELS, epochs=1, checkpoint=path)
    with pytest.raises(CheckpointError, match=words):
        train(gan(), PIXELS, epochs=2, checkpoint=path, **change)


def line(optimizer, path, rounds):
    """A line through points, with one optimiser of its own."""
    game = Game({"line": nn.Linear(2, 1)}, [Player(["line"], lambda n, b, z: n.line(b.x).square().mean())])
    fit(game, torch.ones(8, 2), rounds=rounds, batch_size=8, progress=False, device="cpu", optimizer=optimizer,
        checkpoint=path)  # fmt: skip


def test_other_parameter_groups_of_the_same_parameters_are_refused(tmp_path):
    def two_groups(parameters):
        return SGD([{"params": [parameter]} for parameter in parameters], lr=0.1)

    line(partial(SGD, lr=0.1), tmp_path / "run", 1)
    with pytest.raises(CheckpointError, match="optimizers of 'line': 1 groups there, 2 here"):
        line(two_groups, tmp_path / "run", 2)


def test_an_option_that_is_a_number_of_numpy_is_compared_by_its_value(tmp_path):
    optimizer = lambda decay: partial(SGD, lr=0.1, weight_decay=np.float32(decay))  # noqa: E731
    line(optimizer(0.25), tmp_path / "run", 1)
    line(optimizer(0.25), tmp_path / "run", 2)
    with pytest.raises(CheckpointError, match=r"weight_decay=0\.25 there, 0\.5 here"):
        line(optimizer(0.5), tmp_path / "run", 3)


def test_a_checkpoint_of_other_data_is_refused(tmp_path):
    path = tmp_path / "run.safetensors"
    train(gan(), PIXELS, epochs=1, checkpoint=path)
    with pytest.raises(CheckpointError, match="data"):
        train(gan(), 255 - PIXELS, epochs=2, checkpoint=path)


def test_a_checkpoint_of_another_architecture_lists_the_differences(tmp_path):
    path = tmp_path / "run.safetensors"
    train(gan(), PIXELS, epochs=1, checkpoint=path)
    with pytest.raises(CheckpointError, match=r"generator.head.weight: shape \(128, 5\) there, \(192, 5\)"):
        train(gan(width=6), PIXELS, epochs=2, checkpoint=path)
    other = Game({"net": nn.Linear(2, 2)}, [Player(["net"], lambda n, b, z: n.net(b.x).sum())])
    with pytest.raises(CheckpointError, match="missing there: net.bias.*only there: discriminator"):
        fit(other, torch.zeros(8, 2), epochs=1, batch_size=8, progress=False, checkpoint=path)


def damage(path, how):
    payload = bytearray(path.read_bytes())
    if how == "truncated":
        payload = payload[: len(payload) // 2]
    elif how == "bit flipped":
        payload[-100] ^= 1
    elif how == "a web page":
        payload = bytearray(b"<html>404</html>")
    elif how == "empty":
        payload = bytearray()
    path.write_bytes(payload)


@pytest.mark.parametrize("how", ["truncated", "bit flipped", "a web page", "empty"])
def test_a_damaged_checkpoint_is_refused_and_the_game_unchanged(tmp_path, how):
    path = tmp_path / "run.safetensors"
    train(gan(), PIXELS, epochs=1, checkpoint=path)
    damage(path, how)
    with pytest.raises(CheckpointError, match="damaged.*delete it"):
        train(gan(), PIXELS, epochs=2, checkpoint=path)


def test_somebody_else_s_safetensors_and_missing_files_are_named(tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "other")
    with pytest.raises(CheckpointError, match="no checkpoint of belamy"):
        checkpoint.read(tmp_path / "other")
    with pytest.raises(FileError, match="no checkpoint at"):
        checkpoint.read(tmp_path / "nothing")


def test_another_thread_count_is_allowed_and_said(tmp_path):
    path = tmp_path / "run.safetensors"
    train(gan(), PIXELS, epochs=1, checkpoint=path)
    tensors, settings = checkpoint.read(path)
    settings["where"][1] += 1
    checkpoint.write(path, tensors, settings)
    with pytest.warns(UserWarning, match="not bit for bit"):
        train(gan(), PIXELS, epochs=2, checkpoint=path)


@pytest.mark.parametrize("call", ["os.fsync", "os.replace"])
def test_a_full_disk_leaves_the_old_checkpoint_and_nothing_else(tmp_path, monkeypatch, call):
    path = tmp_path / "run.safetensors"
    checkpoint.write(path, {"a": torch.ones(3)}, {})
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(call, full)
    with pytest.raises(FileError, match="No space left.*bytes are needed.*are free"):
        checkpoint.write(path, {"a": torch.zeros(3)}, {})
    assert path.read_bytes() == before and os.listdir(tmp_path) == [path.name]


def test_where_no_checkpoint_can_be_is_found_out_first(tmp_path):
    with pytest.raises(FileError, match="cannot be written: it is a folder; name another file$"):
        checkpoint.check_writable(tmp_path)
    with pytest.raises(FileError, match="^checkpoint='5' cannot be written: "):
        checkpoint.check_writable(5)


def test_a_folder_that_is_a_file_is_named(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(FileError, match="cannot write"):
        checkpoint.write(tmp_path / "file" / "run", {"a": torch.ones(1)}, {})


def test_a_killed_writer_leaves_a_checkpoint_that_loads(tmp_path):
    """SIGKILL while checkpoints are written as fast as they can: old or new, never half."""
    path = tmp_path / "run"
    script = textwrap.dedent("""
        import sys, torch
        from belamy.game import checkpoint
        for k in range(10**6):
            checkpoint.write(sys.argv[1], {"a": torch.full((200_000,), float(k))}, {"k": k})
            print(k, flush=True)
    """)
    for lines in (1, 4):
        writer = subprocess.Popen([sys.executable, "-c", script, path], stdout=subprocess.PIPE, text=True)
        for _ in range(lines):
            writer.stdout.readline()
        writer.kill()
        writer.wait()
        tensors, settings = checkpoint.read(path)
        assert (tensors["a"] == settings["k"]).all()
