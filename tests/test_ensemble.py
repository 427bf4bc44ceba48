"""Copies trained together are copies trained alone."""

import math
from functools import partial

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, RMSprop

from belamy import ava, ensemble, losses, nets
from belamy.errors import InputError
from belamy.game import Game, Group, Player, fit

WIDTH = 6
SEEDS, RATES = (0, 3), (0.05, 0.01)
TOGETHER = ("batched", "processes")
# Of smaller eps, RMSprop makes whole steps of rounding.
OPTIMIZERS = [SGD, partial(SGD, momentum=0.9), partial(Adam, betas=(0.5, 0.99)), partial(RMSprop, eps=0.1)]
OPTIMIZER_NAMES = ["SGD", "momentum", "Adam", "RMSprop"]


class Judge(nets.MLP):
    def forward(self, x):
        return super().forward(x).squeeze(1)


class Painter(nets.MLP):
    latent_dim = 2

    def forward(self, z):  # noise is drawn in single precision
        return super().forward(z.to(next(self.parameters())))


def generator():
    return Painter(2, 8, WIDTH)


def vae():
    parts = {"encoder": nets.MLPEncoder((WIDTH,), 2, (8,)), "decoder": nets.MLPDecoder((WIDTH,), 2, (8,))}
    return Game(parts, [Player(list(parts), losses.negative_elbo)])


def gan():
    parts = {"discriminator": Judge(WIDTH, 8, 1), "generator": generator()}
    players = [
        Player(["discriminator"], losses.discriminator_loss, steps=2),
        Player(["generator"], losses.generator_loss),
    ]
    return Game(parts, players)


def ava5(simultaneous=False):
    return ava.game(
        "AVA5", nets.MLPEncoder((WIDTH,), 2, (8,)), nets.MLPDecoder((WIDTH,), 2, (8,)), Judge(WIDTH, 8, 1),
        Judge(2, 8, 1), simultaneous=simultaneous,
    )  # fmt: skip


def conv_vae():
    parts = {"encoder": nets.ConvEncoder(8, 2, widths=(4, 8)), "decoder": nets.ConvDecoder(8, 2, widths=(4, 8))}
    return Game(parts, [Player(list(parts), losses.negative_elbo)])


GAMES = {"VAE": vae, "GAN": gan, "AVA5": ava5, "AVA5, at once": partial(ava5, True)}


def rows(dtype, *shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1)).to(dtype)


def alone(game, data, optimizer, seed, lr, rounds=12):
    game = Game(dict(game.nets), game.turns, seed=seed)
    fit(game, data, rounds=rounds, batch_size=8, seed=seed, optimizer=partial(optimizer, lr=lr),
        device="cpu", precision="fp32", progress=False)  # fmt: skip
    return game


def together(game, data, optimizer, method, rounds=12, seeds=SEEDS, rates=RATES):
    return ensemble.train(
        game, data, seeds=seeds, rates=rates, optimizer=optimizer, rounds=rounds, batch_size=8,
        device="cpu", method=method, jobs=2, progress=False,
    )  # fmt: skip


def largest_difference(copy, game):
    mine = game.nets.state_dict()
    assert set(mine) == set(copy.weights)
    return max((mine[n] - copy.weights[n]).abs().max().item() for n in mine)


@pytest.mark.parametrize("method", TOGETHER)
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=OPTIMIZER_NAMES)
@pytest.mark.parametrize("name", GAMES)
def test_in_double_precision_copies_are_those_trained_alone(name, optimizer, method):
    if method == "processes" and optimizer not in (SGD, OPTIMIZERS[2]):
        pytest.skip("fit's own optimisers: two are enough")
    build, data = GAMES[name], rows(torch.float64, 40, WIDTH)
    copies = together(double(build), data, optimizer, method)
    assert [(c.lr, c.seed) for c in copies] == [(lr, s) for lr in RATES for s in SEEDS]
    for c in copies:
        game = alone(double(build), data, optimizer, c.seed, c.lr)
        assert largest_difference(c, game) < 1e-12
        mine, theirs = c.history.frame(), game.history.frame()
        assert list(mine) == list(theirs) and len(mine) == 12
        assert (mine.to_numpy() - theirs.to_numpy()).__abs__().max() < 1e-11
    assert len({c.history.frame().iloc[-1, 1] for c in copies}) == len(copies)  # they do differ


def double(build):
    game = build()
    game.nets.double()
    return game


@pytest.mark.parametrize("name", GAMES)
def test_in_single_precision_they_agree_within_rounding(name):
    data = rows(torch.float32, 40, WIDTH)
    for c in together(GAMES[name](), data, SGD, "batched"):
        assert largest_difference(c, alone(GAMES[name](), data, SGD, c.seed, c.lr)) < 1e-5


def test_convolutions_on_bytes():
    from belamy.data import ImageSet

    data = ImageSet((rows(torch.float32, 24, 3, 8, 8) * 255).to(torch.uint8), "noise")
    for c in together(conv_vae(), data, SGD, "batched", rounds=5, rates=(0.001,)):
        assert largest_difference(c, alone(conv_vae(), data, SGD, c.seed, c.lr, rounds=5)) < 1e-5


def test_the_game_itself_and_nets_that_are_kept_stay_as_they_are():
    game = vae()
    kept = Game({"encoder": game.nets.encoder}, [Player(["encoder"], losses.negative_elbo)],
                pretrained={"decoder": game.nets.decoder})  # fmt: skip
    before = {n: v.clone() for n, v in game.nets.state_dict().items()}
    for method in (*TOGETHER, "one by one"):
        for c in together(kept, rows(torch.float32, 40, WIDTH), SGD, method, rounds=2):
            for name, value in c.weights.items():
                assert torch.equal(value, before[name]) == name.startswith("decoder")
    assert all(torch.equal(value, before[name]) for name, value in game.nets.state_dict().items())
    assert kept.rounds == 0


@pytest.mark.parametrize("method", ["batched", "processes", "one by one"])
def test_a_copy_that_diverges_stops_alone(method):
    game = Game({"line": nn.Linear(WIDTH, 1)}, [Player(["line"], steep)])
    good, bad = together(game, rows(torch.float32, 40, WIDTH), SGD, method, 200, (0,), (1e-4, 1e3))
    assert not good.failure and len(good.history) == 200
    assert "NaN or infinite in round" in bad.failure and 0 < len(bad.history) < 200
    assert all(v.isfinite().all() for v in bad.weights.values())
    assert all(math.isfinite(v) for row in bad.history.values for v in row)


def steep(nets, batch, noise):
    return nets.line(batch.x).pow(4).mean()


def test_games_that_cannot_be_batched_say_why_and_train_otherwise():
    normed = {"net": nn.Sequential(nn.Linear(WIDTH, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))}
    dropped = {"net": nn.Sequential(nn.Linear(WIDTH, 4), nn.Dropout(), nn.Linear(4, 1))}
    data = rows(torch.float32, 40, WIDTH)
    for parts, why in ((normed, r"running statistics \(BatchNorm1d\)"), (dropped, "has dropout")):
        game = Game(parts, [Player(["net"], square)])
        with pytest.raises(InputError, match=why):
            together(game, data, SGD, "batched")
        for c in together(game, data, SGD, "auto", rounds=3):
            expected = alone(Game(parts, [Player(["net"], square)]), data, SGD, c.seed, c.lr, rounds=3)
            assert largest_difference(c, expected) < 1e-6


def square(nets, batch, noise):
    return nets.net(batch.x).square().mean()


def restless(nets, batch, noise):
    return (nets.net(batch.x) + torch.randn(1)).square().mean()


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"method": "parallel"}, "'parallel' is not one of 'auto', 'batched'"),
        ({"rates": ()}, "no copies"),
        ({"rates": (0.1, 0.1)}, "two copies are alike"),
        ({"rates": (0.0,)}, "learning rate=0.0 must be a finite number above 0"),
        ({"seeds": (-1,)}, "seed=-1 must be a whole number from 0"),
        ({"jobs": 0}, "jobs=0 must be"),
        ({"optimizer": partial(SGD, weight_decay=0.1), "method": "batched"}, "without weight decay"),
        ({"optimizer": AdamW, "method": "batched"}, "is not SGD, Adam or RMSprop"),
        ({"rounds": None}, "pass epochs=... or rounds=..."),
        ({"batch_size": 99}, "40 rows do not fill one batch of 99"),
    ],
)
def test_what_cannot_be_used_is_refused(settings, words):
    given = {"rates": (0.1,), "rounds": 1, "batch_size": 8, "device": "cpu", "method": "batched"} | settings
    with pytest.raises(InputError, match=words):
        ensemble.train(vae(), rows(torch.float32, 40, WIDTH), progress=False, **given)


def test_a_trained_game_and_a_loss_with_secret_randomness_are_refused():
    data = rows(torch.float32, 40, WIDTH)
    with pytest.raises(InputError, match="has played 2 rounds"):
        together(alone(vae(), data, SGD, 0, 0.1, rounds=2), data, SGD, "batched")
    with pytest.raises(InputError, match="torch's own generator"):
        together(Game({"net": nn.Linear(WIDTH, 1)}, [Player(["net"], restless)]), data, SGD, "batched")
    group = Group([Player(["net"], square)], lambda nets, batch, noise: noise, alternating=True)
    with pytest.raises(InputError, match="alternating group"):
        together(Game({"net": nn.Linear(WIDTH, 1)}, [group]), data, SGD, "batched")
