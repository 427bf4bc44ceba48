"""What differs between devices, tried with the CPU as a stand-in that has the traits of Apple's GPU."""

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from belamy import _devices, losses
from belamy.data import ImageSet
from belamy.errors import InputError
from belamy.game import Game, Player, fit
from belamy.game import device as devices

CPU, CUDA, MPS = (torch.device(name) for name in ("cpu", "cuda", "mps"))


def test_apple_s_gpu_gets_the_plain_forms():
    mps = _devices.traits(MPS)
    assert mps.memory_format == torch.contiguous_format
    assert (mps.fused, mps.waits, mps.float64) == (False, True, False)
    assert _devices.float64_device(MPS) == CPU
    assert devices.seeder(MPS) is torch.mps.manual_seed
    for device in (CPU, CUDA):
        assert _devices.traits(device).memory_format == torch.channels_last
        assert _devices.traits(device).fused and _devices.float64_device(device) == device
    assert _devices.traits(CPU).waits and not _devices.traits(CUDA).waits


@pytest.mark.parametrize("apple", [True, False])
def test_training_uses_the_forms_of_its_device(monkeypatch, apple):
    if apple:
        monkeypatch.setitem(_devices.TRAITS, "cpu", _devices.TRAITS["mps"])
    seen = []

    def loss(nets, batch, noise):
        seen.append(batch.x.is_contiguous())
        return nets.net(batch.x).square().mean()

    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5))
    images = ImageSet(torch.randint(256, (8, 3, 8, 8), dtype=torch.uint8), "noise")
    game = Game({"net": net}, [Player(["net"], loss)])
    fit(game, images, rounds=2, batch_size=4, device="cpu", progress=False)
    assert seen == [apple, apple]
    assert net[0].weight.is_contiguous() == apple
    assert bool(game.optimizers["net"].defaults["fused"]) != apple


class Apple(TorchDispatchMode):
    """A stand-in device: the CPU's kernels, less those that Apple's GPU has not or has wrong."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function._schema.name.startswith("aten::_fused_"):
            raise TypeError(f"{function} passes over found_inf on this device")
        out = function(*args, **(kwargs or {}))
        if any(isinstance(leaf, torch.Tensor) and leaf.dtype == torch.float64 for leaf in tree_leaves(out)):
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype as the MPS framework has no float64")
        return out


@pytest.mark.parametrize("apple", [True, False])
def test_a_game_of_every_kind_of_step_trains_on_a_device_without_float64_or_fused_kernels(monkeypatch, apple):
    """Penalty, several steps, clipping, averages, batch statistics and dropout; the CPU itself fails the trial."""
    if apple:
        monkeypatch.setitem(_devices.TRAITS, "cpu", _devices.TRAITS["mps"])

    def critic_loss(nets, batch, noise):
        fake = nets.generator(noise.normal(4, 3)).view(4, 3, 8, 8)
        distance = nets.critic(fake).mean() - nets.critic(batch.x).mean()
        return distance + losses.gradient_penalty(nets.critic, batch.x, fake, noise)

    def generator_loss(nets, batch, noise):
        return -nets.critic(nets.generator(noise.normal(4, 3)).view(4, 3, 8, 8)).mean()

    nets = {
        "critic": nn.Sequential(nn.Conv2d(3, 4, 3), nn.LeakyReLU(), nn.Dropout(0.2), nn.Flatten(), nn.Linear(144, 1)),
        "generator": nn.Sequential(nn.Linear(3, 192), nn.BatchNorm1d(192), nn.Sigmoid()),
    }
    players = [
        Player(["critic"], critic_loss, steps=2, clip=1.0),
        Player(["generator"], generator_loss),
    ]
    game = Game(nets, players)
    images = ImageSet(torch.randint(256, (16, 3, 8, 8), dtype=torch.uint8), "noise")

    def train():
        with Apple():
            fit(game, images, rounds=2, batch_size=4, device="cpu", progress=False)

    if apple:
        train()
        assert game.rounds == 2
    else:
        with pytest.raises(TypeError, match="found_inf"):
            train()


def test_double_moves_to_the_cpu_only_where_float64_is_refused():
    x = torch.ones(3, device="meta")
    assert _devices.double(x).dtype == torch.float64 and _devices.double(x).device.type == "meta"
    assert torch.equal(_devices.double(torch.ones(3)), torch.ones(3, dtype=torch.float64))


def test_half_precision_is_used_where_it_is_asked_for_or_at_home(monkeypatch):
    found = {}
    for native in (True, False):
        asked = lambda including_emulation: native and including_emulation is False  # noqa: B023, E731
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", asked)
        monkeypatch.setattr(torch, "autocast", lambda kind, dtype: (kind, dtype))
        for precision in ("auto", "fp32", "bf16"):
            for device in (CPU, CUDA):
                context = devices.autocast(precision, device)
                found[precision, device.type, native] = context == (device.type, torch.bfloat16)
    used = {case for case, half in found.items() if half}
    assert used == {("auto", "cuda", True)} | {case for case in found if case[0] == "bf16"}


def test_without_the_gnu_library_memory_is_left_alone(monkeypatch):
    def missing(name):
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(devices.ctypes, "CDLL", missing)
    with devices.keep_freed_memory(CPU):
        pass


def test_the_state_of_randomness_is_that_of_the_device(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: ("cuda", device))
    monkeypatch.setattr(torch.mps, "get_rng_state", lambda device: ("mps", device))
    assert devices.rng_state(CUDA) == ("cuda", CUDA) and devices.rng_state(MPS) == ("mps", MPS)
    assert torch.equal(devices.rng_state(CPU), torch.get_rng_state())


def test_generators_are_left_as_they_were_on_their_device_alone(monkeypatch):
    monkeypatch.setattr(torch.random, "fork_rng", lambda *places, **kind: (*places, kind))
    assert devices.fork_rng(CPU) == ([], {})
    assert devices.fork_rng(torch.device("cuda", 1)) == ([1], {"device_type": "cuda"})
    assert devices.fork_rng(MPS) == ([0], {"device_type": "mps"})


def test_the_device_is_that_of_the_call_or_of_the_environment(monkeypatch):
    monkeypatch.setenv("BELAMY_DEVICE", "meta")
    assert devices.pick_device().type == "meta" and devices.pick_device("cpu") == CPU
    monkeypatch.setenv("BELAMY_DEVICE", "nowhere")
    with pytest.raises(InputError, match="device='nowhere' cannot be used"):
        devices.pick_device()


@pytest.mark.parametrize("ends", ["well", "badly"])
def test_nets_go_home_after_training_however_it_ends(monkeypatch, ends):
    """A device is all that a machine without a GPU lacks: who is sent where is written down instead."""
    sent = []
    monkeypatch.setattr(nn.Module, "to", lambda self, device: sent.append((self, str(device))))
    nets = nn.ModuleDict({"net": nn.Linear(1, 1), "empty": nn.ReLU()})
    try:
        with devices.visit(nets, CUDA):
            assert sent == [(nets, "cuda")]
            if ends == "badly":
                raise RuntimeError("out of memory")
    except RuntimeError:
        assert ends == "badly"
    assert (nets["net"], "cpu") in sent[1:]


def test_fit_trains_on_its_device_and_brings_the_nets_back(monkeypatch):
    visits = []
    there = devices.visit

    def visit(nets, device):
        visits.append(device)
        return there(nets, device)

    monkeypatch.setattr(devices, "visit", visit)
    game = Game({"net": nn.Linear(3, 1)}, [Player(["net"], lambda nets, batch, noise: nets.net(batch.x).mean())])
    fit(game, torch.rand(8, 3), rounds=1, batch_size=4, device="cpu", progress=False)
    assert visits == [CPU]
