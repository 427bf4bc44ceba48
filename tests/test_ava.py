"""The switchboard of AVA1 to AVA5: the printed table, each loss by hand, what leaning does."""

import math
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam

from belamy import ava, losses, nets
from belamy.errors import InputError
from belamy.game import Game, Noise, Player, fit

X = torch.rand(64, 6, generator=torch.Generator().manual_seed(0))
# Nguyen's table: supervise the decoder, lean it, supervise the encoder, lean it; who takes part.
PRINTED = {
    "VAE": ("----", "encoder decoder"),
    "GAN": ("s---", "decoder discriminator"),
    "AVA1": ("s---", "encoder decoder discriminator"),
    "AVA2": ("sl--", "encoder decoder discriminator"),
    "AVA3": ("--s-", "encoder decoder encoder_discriminator"),
    "AVA4": ("--sl", "encoder decoder encoder_discriminator"),
    "AVA5": ("slsl", "encoder decoder discriminator encoder_discriminator"),
}
SWITCHES = ("supervise_decoder", "lean_decoder", "supervise_encoder", "lean_encoder")


def judge(*sizes):
    return nn.Sequential(nets.MLP(*sizes, 1), nn.Flatten(0))


def four_nets():
    return {
        "encoder": nets.MLPEncoder((6,), 2, (8,)),
        "decoder": nets.MLPDecoder((6,), 2, (8,)),
        "discriminator": judge(6, 8),
        "encoder_discriminator": judge(2, 8),
    }


def trained(variant, rounds=12, optimizer=partial(Adam, lr=1e-2), seed=3, **options):
    game = ava.game(variant, **four_nets(), **options, seed=seed)
    fit(game, X, rounds=rounds, batch_size=16, optimizer=optimizer, seed=seed, device="cpu", progress=False)
    return game


def same(a, b, parts=("encoder", "decoder")):
    """Whether two games agree in every bit of the named nets."""
    return all(
        torch.equal(p, q)
        for name in parts
        for p, q in zip(a.nets[name].parameters(), b.nets[name].parameters(), strict=True)
    )


# --- the table -----------------------------------------------------------------------------------


@pytest.mark.parametrize("simultaneous", [False, True])
@pytest.mark.parametrize("name", PRINTED)
def test_switches_and_players_are_those_of_the_printed_table(name, simultaneous):
    switches, players = PRINTED[name]
    variant = ava.VARIANTS[name]
    assert "".join(c if getattr(variant, s) else "-" for s, c in zip(SWITCHES, "slsl")) == switches
    game = ava.game(name, **four_nets(), simultaneous=simultaneous)
    assert [player.name for player in game.players] == players.split() == list(game.nets)


def test_the_table_has_these_seven_rows_and_cannot_be_changed():
    assert set(ava.VARIANTS) == set(PRINTED) == set(ava.table())
    assert ava.table()["AVA4"]["lean_encoder"] and not ava.table()["AVA3"]["lean_encoder"]
    with pytest.raises(TypeError):
        ava.VARIANTS["AVA6"] = ava.Variant()


# --- each loss by hand ---------------------------------------------------------------------------


class Always(nn.Module):
    """A net that answers with the same row whatever it sees, or with one row per kind of input."""

    def __init__(self, *answers, latent_dim=2):
        super().__init__()
        self.answers = nn.ParameterList(torch.tensor(a, dtype=torch.float64) for a in answers)
        self.latent_dim = latent_dim

    def forward(self, x):
        rows = [a.expand(len(x), *a.shape) for a in self.answers]
        return rows[0] if len(rows) == 1 else tuple(rows)


class BySign(nn.Module):
    """Scores or codes that tell real inputs (positive first entry) from others."""

    def __init__(self, positive, negative):
        super().__init__()
        self.positive, self.negative = positive, negative

    def forward(self, x):
        first = (x[:, 0] > 0).to(torch.float64)
        return first * self.positive + (1 - first) * self.negative


class SignEncoder(nn.Module):
    """mu = (1, 2) for inputs above one half, (-1, 0) below; log-variances log 2, 0."""

    def forward(self, x):
        above = (x[:, :1] > 0.5).double()
        mean = above * torch.tensor([1.0, 2.0]) + (1 - above) * torch.tensor([-1.0, 0.0])
        return mean, torch.tensor([math.log(2), 0.0], dtype=torch.float64).expand(len(x), 2)


def softplus(v):
    return math.log1p(math.exp(v))


def play_of(variant, variance=1.0):
    """x = (1, 1, 1); x' = sigmoid of (-log 3, 0, log 3), that is (1/4, 1/2, 3/4)."""
    parts = nn.ModuleDict({
        "encoder": SignEncoder(),
        "decoder": Always([-math.log(3), 0.0, math.log(3)]),
        "discriminator": BySignOfHalf(0.7, -0.4),
        "encoder_discriminator": BySign(1.1, -0.2),
    })  # fmt: skip
    batch = SimpleNamespace(x=torch.ones(5, 3, dtype=torch.float64))
    return ava.Play(parts, batch, Noise(seed=0), variant=variant, variance=variance)


class BySignOfHalf(BySign):
    def forward(self, x):
        return super().forward(x - 0.5)


ERROR = 0.5 * (0.75**2 + 0.5**2 + 0.25**2)
KL = 0.5 * (1 + 2 - 1 - math.log(2)) + 0.5 * (4 + 1 - 1 - 0)
FAKE, CODE_AGAIN = -0.4, -0.2
CLOSED = {
    "encoder": {"error": ERROR, "kl": KL, "judged": -softplus(CODE_AGAIN)},
    "decoder": {"error": ERROR, "judged": -softplus(FAKE)},
    "discriminator": {"real": softplus(-0.7), "fake": softplus(FAKE), "lean": ERROR},
    "encoder_discriminator": {"real": softplus(-1.1), "fake": softplus(CODE_AGAIN), "lean": 0.5 * (4 + 4)},
}
TERMS = {  # which of these terms each player minimises
    "VAE": {"encoder": "error kl", "decoder": "error"},
    "GAN": {"decoder": "judged", "discriminator": "real fake"},
    "AVA1": {"encoder": "error kl", "decoder": "error judged", "discriminator": "real fake"},
    "AVA2": {"encoder": "error kl", "decoder": "error judged", "discriminator": "real fake lean"},
    "AVA3": {"encoder": "error kl judged", "decoder": "error", "encoder_discriminator": "real fake"},
    "AVA4": {"encoder": "error kl judged", "decoder": "error", "encoder_discriminator": "real fake lean"},
    "AVA5": {"encoder": "error kl judged", "decoder": "error judged", "discriminator": "real fake lean",
             "encoder_discriminator": "real fake lean"},
}  # fmt: skip
LOSSES = {
    "encoder": ava.encoder_loss,
    "decoder": ava.decoder_loss,
    "discriminator": ava.discriminator_loss,
    "encoder_discriminator": ava.encoder_discriminator_loss,
}


@pytest.mark.parametrize("name", TERMS)
def test_every_term_of_every_loss_has_its_closed_form(name):
    for player, terms in TERMS[name].items():
        found = LOSSES[player](play_of(ava.VARIANTS[name]))
        assert list(found) == terms.split(), (name, player)
        for term, value in found.items():
            assert value.item() == pytest.approx(CLOSED[player][term], abs=1e-12), (name, player, term)


def test_the_game_s_players_minimise_these_losses():
    for name in TERMS:
        for simultaneous in (False, True):
            game = ava.game(name, **four_nets(), simultaneous=simultaneous)
            history = fit(game, X, rounds=1, batch_size=16, device="cpu", progress=False).frame()
            logged = {c for c in history.columns if "/" in c}
            assert logged == {f"{p}/{t}" for p, terms in TERMS[name].items() for t in terms.split()}


def test_the_non_saturating_term_and_the_variance_of_pixels():
    variant = ava.VARIANTS["AVA5"]
    kinder = losses.non_saturating_generator
    assert ava.decoder_loss(play_of(variant), kinder)["judged"].item() == pytest.approx(softplus(-FAKE))
    assert ava.encoder_loss(play_of(variant), kinder)["judged"].item() == pytest.approx(softplus(-CODE_AGAIN))
    assert play_of(variant, variance=0.1).error.item() == pytest.approx(10 * ERROR)
    assert play_of(variant, variance=0.1).code_error.item() == pytest.approx(4.0)  # of codes, not pixels
    minimax, other = trained("AVA1"), trained("AVA1", please=kinder)
    assert not same(minimax, other, ["decoder"])


def test_a_gan_draws_latents_from_the_prior_and_an_ava_from_the_encoder():
    gan, vae = play_of(ava.VARIANTS["GAN"]), play_of(ava.VARIANTS["VAE"])
    eps = Noise(seed=0).normal(5, 2).double()
    assert torch.equal(gan.z, eps)
    expected = torch.tensor([1.0, 2.0]) + eps * torch.tensor([2.0, 1.0]).double().sqrt()
    assert torch.allclose(vae.z, expected, atol=1e-12)


def test_the_program_s_gan_keeps_the_squared_error():
    as_coded = replace(ava.VARIANTS["GAN"], reconstructs=True)
    assert list(ava.decoder_loss(play_of(as_coded))) == ["error", "judged"]
    assert [p.name for p in ava.game(as_coded, **four_nets()).players] == ["decoder", "discriminator"]


# --- what training does --------------------------------------------------------------------------


@pytest.mark.parametrize("simultaneous", [False, True])
@pytest.mark.parametrize("optimizer", [partial(SGD, lr=0.05), partial(Adam, lr=1e-2)], ids=["sgd", "adam"])
@pytest.mark.parametrize("plain, leaning", [("AVA1", "AVA2"), ("AVA3", "AVA4")])
def test_leaning_changes_no_bit_of_any_net(plain, leaning, optimizer, simultaneous):
    one, other = (trained(v, 40, optimizer, simultaneous=simultaneous) for v in (plain, leaning))
    assert same(one, other, one.nets)
    judge = list(one.nets)[-1]
    totals = [game.history.frame()[judge] for game in (one, other)]
    assert (totals[1] - totals[0] > 1e-3).all()  # the term is there; it only moves nobody


@pytest.mark.parametrize("simultaneous", [False, True])
def test_the_other_switches_change_the_nets(simultaneous):
    games = {v: trained(v, simultaneous=simultaneous) for v in ("VAE", "AVA1", "AVA3", "AVA5")}
    names = list(games)
    for k, a in enumerate(names):
        for b in names[:k]:
            assert not same(games[a], games[b], ["encoder"]) and not same(games[a], games[b], ["decoder"])


def test_the_judge_of_an_image_moves_only_the_decoder_and_that_of_a_code_only_the_encoder():
    # With all players moving at once on the same draws, one step shows who was pushed.
    vae, ava1, ava3 = (shared_draws(v) for v in ("VAE", "AVA1", "AVA3"))
    assert same(vae, ava1, ["encoder"]) and not same(vae, ava1, ["decoder"])
    assert same(vae, ava3, ["decoder"]) and not same(vae, ava3, ["encoder"])


def shared_draws(variant):
    """One simultaneous step by hand, all variants from the same weights and the same noise."""
    game = ava.game(variant, **four_nets(), simultaneous=True, seed=0)
    fit(game, X, rounds=0, batch_size=16, device="cpu", progress=False)
    play = game.turns[0].forward(game.nets, SimpleNamespace(x=X[:16]), Noise(seed=1))
    terms = [sum(player.loss(game.nets, None, play).values()) for player in game.players]
    for player, loss in zip(game.players, terms):
        own = game.parameters_of(player)
        for p, g in zip(own, torch.autograd.grad(loss, own, retain_graph=True, allow_unused=True)):
            p.requires_grad = False
            p -= 0 if g is None else 0.1 * g
            p.requires_grad = True
    return game


def test_the_vae_of_two_players_is_the_vae_of_one():
    def loss(nets, batch, noise):
        mean, log_variance = nets.encoder(batch.x)
        x_mean = nets.decoder(losses.reparameterise(mean, log_variance, noise)).sigmoid()
        likelihood = losses.gaussian_log_likelihood(batch.x, x_mean, math.log(0.5))
        return {"error": -likelihood.mean(), "kl": losses.kl_to_standard_normal(mean, log_variance).mean()}

    two = trained("VAE", simultaneous=True, variance=0.5)
    parts = {k: v for k, v in four_nets().items() if k in two.nets}
    one = Game(parts, [Player(list(parts), loss, name="encoder&decoder")], seed=3)  # named alike: the same draws
    fit(one, X, rounds=12, batch_size=16, optimizer=partial(Adam, lr=1e-2), seed=3, device="cpu", progress=False)
    for p, q in zip(one.nets.parameters(), two.nets.parameters(), strict=True):
        assert torch.allclose(p, q, atol=1e-6)


def test_without_an_order_all_move_at_once_and_with_one_the_later_see_the_earlier():
    sgd = partial(SGD, lr=0.1)
    at_once, in_turn = (trained("AVA5", 1, sgd, simultaneous=s) for s in (True, False))
    assert not same(at_once, in_turn, ["discriminator"])


# --- bad input -----------------------------------------------------------------------------------


def test_an_unknown_variant_is_named_with_the_choices():
    with pytest.raises(InputError, match=r"'AVA6' is not one of VAE, GAN, AVA1, AVA2, AVA3, AVA4, AVA5"):
        ava.game("AVA6", **four_nets())


@pytest.mark.parametrize("variant, net", [("VAE", "encoder"), ("GAN", "discriminator"), ("AVA1", "discriminator"),
                                          ("AVA3", "encoder_discriminator"), ("GAN", "decoder")])  # fmt: skip
def test_a_missing_net_is_named(variant, net):
    with pytest.raises(InputError, match=f"{variant}.* needs {net}"):
        ava.game(variant, **{**four_nets(), net: None})


@pytest.mark.parametrize("variance", [0.0, -1.0, math.nan])
def test_a_variance_is_positive(variance):
    with pytest.raises(InputError, match="variance"):
        ava.game("VAE", **four_nets(), variance=variance)


@pytest.mark.parametrize(
    "switches",
    [{"lean_decoder": True}, {"lean_encoder": True}, {"reconstructs": False},
     {"encodes": False, "supervise_encoder": True, "supervise_decoder": True}],
)  # fmt: skip
def test_switches_that_make_no_sense_together_are_refused(switches):
    with pytest.raises(InputError, match="needs"):
        ava.Variant(**switches)
