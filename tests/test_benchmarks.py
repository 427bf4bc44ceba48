"""Benchmarks run, and compare like with like. No figure of speed is asserted."""

import math
import re
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from belamy.data import ImageSet
from belamy.game import Game, Noise, fit
from benchmarks import __main__ as bench
from benchmarks import loop, metrics, textbook
from benchmarks.contest import Contest
from benchmarks.models import MODELS, Contender
from benchmarks.report import Row, table


class Enough(Exception):
    """Ends a contender, which trains until its callback raises."""


def enough():
    raise Enough


def first_losses_of_textbook(batches, model, images, optimizer):
    """Parameters and first losses per image: of the VAE its sum, of others each player's."""
    nets, lines = model.nets(), []
    count = sum(p.numel() for net in nets.values() for p in net.parameters())
    settings = {"optimizer": optimizer, "device": "cpu", "log": lines.append}
    with pytest.raises(Enough):
        model.plain(nets, batches(images, len(images)), enough, **settings)
    return count, [float(value) for value in re.findall(r"(?i)loss\w*: ([-\d.]+)", lines[0])]


def first_losses_of_fit(model, images, optimizer):
    nets = model.nets()
    game = Game(nets, model.players)
    count = sum(p.numel() for net in game.nets.values() for p in net.parameters())
    settings = {"batch_size": len(images), "device": "cpu", "progress": False}
    history = fit(game, ImageSet(images, "random"), rounds=1, optimizer=optimizer, **settings)
    return count, history.frame().iloc[0][[player.name for player in game.players]].tolist()


@pytest.mark.parametrize("name", MODELS)
def test_both_contenders_train_the_same_model(name, monkeypatch):
    """Same parameters; same losses at step 0 from the same weights, data and draws."""

    def draws(*shape, **_):
        return torch.linspace(-2, 2, math.prod(shape)).sin().mul(2).reshape(shape)

    monkeypatch.setattr(Noise, "normal", lambda _self, *shape: draws(*shape))
    monkeypatch.setattr(torch, "randperm", lambda n, **_: torch.arange(n))
    monkeypatch.setattr(torch, "randn", draws)
    monkeypatch.setattr(torch, "randn_like", lambda like: draws(*like.shape))
    # Shares of the real image in a gradient penalty's pairs.
    monkeypatch.setattr(Noise, "uniform", lambda _self, *shape: draws(*shape).sigmoid())
    monkeypatch.setattr(np.random, "normal", lambda _mean, _std, shape: draws(*shape).numpy())
    monkeypatch.setattr(np.random, "random", lambda shape: draws(*shape).sigmoid().numpy())
    if name.startswith("VAE-GAN"):  # theirs normalises real and made images together, ours each by themselves
        monkeypatch.setattr(nn, "BatchNorm1d", lambda *_, **__: nn.Identity())
        monkeypatch.setattr(nn, "BatchNorm2d", lambda *_, **__: nn.Identity())
    model = MODELS[name]
    lr = 1e-12 if name.startswith("WGAN") else 1e-5  # ours steps five times before what is logged
    images, found = model.images(4), []
    as_shipped = partial(first_losses_of_textbook, textbook.pil_items)
    ready = partial(first_losses_of_textbook, textbook.ready_batches)
    for first_losses in (as_shipped, ready, first_losses_of_fit):
        torch.manual_seed(3)  # weights
        found.append(first_losses(model, images, partial(model.optimizer, lr=lr)))
    *theirs, (parameters, our_losses) = found
    for their_parameters, their_losses in theirs:
        assert their_parameters == parameters
        assert our_losses == pytest.approx(their_losses, rel=1e-5)


def test_the_keras_shape_has_as_many_parameters_as_the_published_model():
    nets = MODELS["Keras' conv VAE 28x28"].nets()
    counts = [sum(p.numel() for p in net.parameters()) for net in nets.values()]
    assert counts == [69_076, 65_089]  # as its layer shapes give them


@pytest.mark.parametrize("part", bench.PARTS)
def test_every_part_runs(part):
    rows = list(bench.PARTS[part](bench.TINY))
    assert rows
    for row in rows:
        assert math.isfinite(row.ours)
        assert row.ratio is None or (math.isfinite(row.ratio) and row.ratio > 0)


@pytest.mark.parametrize(
    "ways",
    [metrics.frechet(80, 6), metrics.kernel(30, 6, subsets=2, size=30), metrics.coverage(80, 6)],
    ids=["frechet", "kernel", "coverage"],
)
def test_all_packages_find_the_same_metrics(ways):
    found = [way() for way in ways.values()]
    assert found == pytest.approx(found[:1] * len(found), rel=1e-4)


@pytest.mark.parametrize("build", loop.GAMES.values(), ids=loop.GAMES)
def test_the_bare_loop_trains_all_players(build):
    game = build()
    before = [p.clone() for p in game.nets.parameters()]
    with pytest.raises(Enough):
        loop.bare(game, torch.rand(2 * loop.BATCH, loop.WIDTH), enough)
    assert all((p != q).any() for p, q in zip(game.nets.parameters(), before))


def test_the_table_says_what_is_met_and_what_is_missing():
    rows = [
        Row("a", 20, 10, "img/s", ratio=2.0, at_least=1.5),
        Row("b", 20, 10, "img/s", ratio=2.0, at_least=2.5),
        Row("c", 60, None, "us", at_most=50),
        Row("d", 40, None, "us", at_most=50),
        Row("e", 1, 1, "img/s", ratio=1.0),
    ]
    assert [row.verdict for row in rows] == ["met", "gap 0.5", "gap 10", "met", ""]
    assert "2.00x" in table(rows) and "<= 50" in table(rows)


def test_peak_memory_is_that_of_one_contender_alone():
    small, large = (Contender("MLP VAE 784-400-20", "fp32", "cpu", 64, steps) for steps in (1, 600))
    with Contest([large, small]) as contest:
        peaks = [turns[-1].peak for turns in contest.run(1, threads=1)]
    assert peaks[0] - peaks[1] > 0.9 * 599 * 64 * 784 / 1e6  # at least its images, a byte a pixel
