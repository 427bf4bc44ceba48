"""Adversarial games: their optima, gradients, ownership, and labels."""

import copy
import math
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.optim import Adam

from belamy import divergences, losses, nets
from belamy.data import ImageSet
from belamy.errors import InputError
from belamy.game import Game, Noise, Player, fit

seeds = st.integers(0, 2**32)
property_based = settings(deadline=None, max_examples=25)
train = partial(fit, batch_size=8, progress=False, device="cpu")

# --- the optimal discriminator and what is left for the generator --------------------------------


def counts_of_a_mixture(draw, cells=24):
    """How often each cell holds a sample of a random mixture of Gaussians; at least once."""
    places = np.linspace(-4, 4, cells)
    means, stds = draw.uniform(-3, 3, 3), draw.uniform(0.4, 1.5, 3)
    density = np.exp(-(((places[:, None] - means) / stds) ** 2) / 2) / stds @ draw.dirichlet([1, 1, 1])
    return torch.tensor(1 + np.round(400 * density / density.sum())).long()


def score_table(seed):
    """Real and fake samples as rows of a table with one score a cell, and the two distributions."""
    counts = [counts_of_a_mixture(np.random.default_rng([seed, k])) for k in (0, 1)]
    rows = [torch.arange(len(n)).repeat_interleave(n) for n in counts]
    return rows, [n.double() / n.sum() for n in counts]


def value(loss, scores, rows):
    return sum(loss(scores[rows[0]], scores[rows[1]]).values())


def minimise(loss, rows, count):
    """The best score of every cell, by Newton-like steps from zero."""
    scores = torch.zeros(count, dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS([scores], 1, 500, tolerance_grad=1e-12, tolerance_change=1e-16,
                               history_size=50, line_search_fn="strong_wolfe")  # fmt: skip

    def closure():
        search.zero_grad()
        cost = value(loss, scores, rows)
        cost.backward()
        return cost

    search.step(closure)
    return scores.detach()


@given(seeds)
@property_based
def test_the_best_discriminator_is_the_share_of_real_and_leaves_the_jsd(seed):
    rows, (p, q) = score_table(seed)
    scores = minimise(losses.minimax_discriminator, rows, len(p))
    torch.testing.assert_close(torch.sigmoid(scores), p / (p + q), atol=1e-5, rtol=0)
    least = value(losses.minimax_discriminator, scores, rows)  # = -C(G)
    assert float(least) == pytest.approx(math.log(4) - 2 * float(divergences.jsd(p, q)), abs=1e-9)


@given(seeds)
@property_based
def test_the_best_least_squares_score_is_the_share_of_real_itself(seed):
    rows, (p, q) = score_table(seed)
    scores = minimise(losses.least_squares_discriminator, rows, len(p))
    torch.testing.assert_close(scores, p / (p + q), atol=1e-6, rtol=0)
    least = value(losses.least_squares_discriminator, scores, rows)
    assert float(least) == pytest.approx(float((p * q / (p + q)).sum()) / 2, abs=1e-9)


@given(seeds)
@property_based
def test_the_best_hinge_score_is_a_sign_and_leaves_the_total_variation(seed):
    rows, (p, q) = score_table(seed)
    scores = (p - q).sign()
    least = float(value(losses.hinge_discriminator, scores, rows))
    assert least == pytest.approx(2 - 2 * float(divergences.total_variation(p, q)), abs=1e-12)
    draw = torch.Generator().manual_seed(seed)
    for size in (0.01, 0.5, 3):  # the loss is convex: no better score nearby, none anywhere
        other = scores + size * torch.randn(len(p), generator=draw, dtype=torch.float64)
        assert value(losses.hinge_discriminator, other, rows) >= least - 1e-12


# --- gradients -----------------------------------------------------------------------------------

sigmoid = torch.sigmoid
OF_FAKES = {
    losses.minimax_generator: lambda s: -sigmoid(s),
    losses.non_saturating_generator: lambda s: -(1 - sigmoid(s)),
    losses.least_squares_generator: lambda s: s - 1,
    losses.hinge_generator: lambda s: -torch.ones_like(s),
}
OF_BOTH = {
    losses.minimax_discriminator: (lambda s: -(1 - sigmoid(s)), lambda s: sigmoid(s)),
    losses.least_squares_discriminator: (lambda s: s - 1, lambda s: s),
    losses.hinge_discriminator: (lambda s: -(s < 1).double(), lambda s: (s > -1).double()),
}
SCORES = torch.tensor([-40, -3.2, -1.1, -0.4, 0.3, 0.9, 2.5, 40], dtype=torch.float64)


def slopes(loss, scores):
    scores = scores.clone().requires_grad_()
    return torch.autograd.grad(loss(scores), scores)[0] * len(scores)


@pytest.mark.parametrize("loss", OF_FAKES, ids=lambda f: f.__name__)
def test_gradient_of_a_generator_s_loss(loss):
    exact = OF_FAKES[loss](SCORES)
    torch.testing.assert_close(slopes(loss, SCORES), exact, atol=1e-15, rtol=1e-12)
    single = slopes(loss, SCORES.float())
    torch.testing.assert_close(single, exact.float(), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("loss", OF_BOTH, ids=lambda f: f.__name__)
def test_gradient_of_a_discriminator_s_loss(loss):
    other = SCORES.flip(0)[:5] / 3  # as many fakes as reals are not needed
    real = slopes(lambda s: sum(loss(s, other).values()), SCORES)
    fake = slopes(lambda s: sum(loss(other, s).values()), SCORES)
    for found, exact in zip((real, fake), OF_BOTH[loss]):
        torch.testing.assert_close(found, exact(SCORES), atol=1e-15, rtol=1e-12)
    terms = loss(SCORES, other)
    assert list(terms) == ["real", "fake"]
    torch.testing.assert_close(terms["real"], loss(SCORES, SCORES)["real"])
    torch.testing.assert_close(terms["fake"], loss(SCORES, other.clone())["fake"])


@pytest.mark.parametrize(
    "loss, at_zero",
    [
        (losses.minimax_generator, -math.log(2)),
        (losses.non_saturating_generator, math.log(2)),
        (losses.least_squares_generator, 0.5),
        (losses.hinge_generator, 0.0),
        (losses.minimax_discriminator, (math.log(2), math.log(2))),
        (losses.least_squares_discriminator, (0.5, 0.0)),
        (losses.hinge_discriminator, (1.0, 1.0)),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_values_have_all_their_constants(loss, at_zero):
    zeros = torch.zeros(3)
    found = loss(zeros, zeros).values() if loss in OF_BOTH else [loss(zeros)]
    np.testing.assert_allclose([float(v) for v in found], np.atleast_1d(at_zero), atol=1e-6)


def test_when_the_discriminator_wins_only_the_saturating_gradient_vanishes():
    won = torch.full((4,), -20.0)
    assert slopes(losses.minimax_generator, won).abs().max() < 1e-8
    assert slopes(losses.non_saturating_generator, won).abs().min() > 0.99


def test_half_precision_scores_are_averaged_in_single():
    scores = torch.linspace(-2, 2, 300).bfloat16()
    for loss in OF_FAKES:
        assert loss(scores).dtype == torch.float32
        torch.testing.assert_close(loss(scores), loss(scores.float()))


@pytest.mark.parametrize("shape", [(4, 1), (2, 1, 3, 3)])
def test_every_patch_of_a_map_is_a_score(shape):
    """The mean is taken after the loss: least squares of scores -1 and 1 is not that of their mean."""
    scores = torch.linspace(-1, 1, math.prod(shape), dtype=torch.float64).view(shape)
    for loss in OF_FAKES:
        torch.testing.assert_close(loss(scores), loss(scores.flatten()))
    for loss in OF_BOTH:
        for name, value in loss(scores, 2 * scores).items():
            torch.testing.assert_close(value, loss(scores.flatten(), 2 * scores.flatten())[name])
    two = torch.tensor([[[[-1.0, 1.0]]]])
    assert losses.least_squares_generator(two).item() == pytest.approx(1.0)  # of the mean it would be 0.5


def test_a_score_of_no_example_is_refused():
    for loss in OF_FAKES:
        with pytest.raises(InputError, match=r"one number an example, \(B,\)"):
            loss(torch.zeros(()))
    for loss in OF_BOTH:
        for pair in ((torch.zeros(()), torch.zeros(4)), (torch.zeros(4), torch.zeros(()))):
            with pytest.raises(InputError, match="scores of shape"):
                loss(*pair)


# --- players' losses -----------------------------------------------------------------------------


def arithmetic_nets():
    """Nets whose numbers can be followed by hand; a label weighs 10 in one, 100 in the other."""
    generator = lambda z, y=0: z[:, 0] + 10.0 * y  # noqa: E731
    generator.latent_dim = 1
    return SimpleNamespace(generator=generator, discriminator=lambda x, y=0: x + 100.0 * y)


class Rows(SimpleNamespace):
    def __len__(self):
        return len(self.x)


def raw(real, fake):
    return {"real": real, "fake": fake}


def test_every_loss_of_scores_fits_into_the_players_losses():
    batch = Rows(x=torch.tensor([1.0, 2.0, 3.0]))
    z = Noise(seed=4).normal(3, 1)[:, 0]
    terms = losses.discriminator_loss(arithmetic_nets(), batch, Noise(seed=4), raw)
    assert torch.equal(terms["real"], batch.x) and torch.equal(terms["fake"], z)
    fake = losses.generator_loss(arithmetic_nets(), batch, Noise(seed=4), lambda scores: scores)
    assert torch.equal(fake, z)


def test_conditional_losses_hand_the_same_label_to_both_nets():
    batch = Rows(x=torch.tensor([1.0, 2.0, 3.0]), y=torch.tensor([2, 0, 1]))
    z = Noise(seed=4).normal(3, 1)[:, 0]
    terms = losses.conditional_discriminator_loss(arithmetic_nets(), batch, Noise(seed=4), raw)
    assert torch.equal(terms["real"], batch.x + 100 * batch.y)
    assert torch.equal(terms["fake"], z + 10 * batch.y + 100 * batch.y)
    fake = losses.conditional_generator_loss(
        arithmetic_nets(), batch, Noise(seed=4), lambda scores: scores
    )
    assert torch.equal(fake, terms["fake"])


def test_conditional_losses_are_by_default_those_of_the_unconditional_game():
    batch = Rows(x=torch.tensor([1.0, -2.0]), y=torch.tensor([0, 0]))
    for given_labels, plain in (
        (losses.conditional_discriminator_loss, losses.discriminator_loss),
        (losses.conditional_generator_loss, losses.generator_loss),
    ):
        pair = [f(arithmetic_nets(), batch, Noise(seed=1)) for f in (given_labels, plain)]
        torch.testing.assert_close(*pair)


# --- ownership and batch statistics --------------------------------------------------------------


def labelled_images(n=40, size=16):
    draw = torch.Generator().manual_seed(7)
    pixels = torch.randint(0, 256, (n, 3, size, size), generator=draw, dtype=torch.uint8)
    return ImageSet(pixels, "noise", labels=torch.arange(n) % 3)


def conditional_gan(of_real_and_fake, of_fake, steps=1, size=16, channels=3, classes=3, width=4, seed=0):
    parts = {
        "discriminator": nets.Discriminator(size, channels, width, classes=classes),
        "generator": nets.Generator(size, 5, channels, width, classes=classes),
    }
    judge = partial(losses.conditional_discriminator_loss, of_scores=of_real_and_fake)
    forge = partial(losses.conditional_generator_loss, of_scores=of_fake)
    players = [Player(["discriminator"], judge, steps=steps), Player(["generator"], forge)]
    return Game(parts, players, seed=seed)


def snapshot(net):
    return {name: value.clone() for name, value in net.state_dict().items()}


PAIRS = [
    (losses.minimax_discriminator, losses.minimax_generator),
    (losses.minimax_discriminator, losses.non_saturating_generator),
    (losses.least_squares_discriminator, losses.least_squares_generator),
    (losses.hinge_discriminator, losses.hinge_generator),
]


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair[1].__name__)
@pytest.mark.parametrize("mover, still", [(0, "generator"), (1, "discriminator")])
def test_a_conditional_step_moves_its_owner_s_nets_alone(pair, mover, still):
    game = conditional_gan(*pair)
    train(game, labelled_images(), rounds=1)
    game = Game(dict(game.nets), [game.turns[mover]])
    before = {name: snapshot(net) for name, net in game.nets.items()}
    train(game, labelled_images(), rounds=1)
    for name, net in game.nets.items():
        same = {key for key, value in net.state_dict().items() if torch.equal(value, before[name][key])}
        # A bias after all else is all that may rest: hinges of real and fake can pull it evenly.
        assert same == set(before[name]) if name == still else same <= {"head.bias"}


def norms(net):
    return [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]


def test_running_statistics_move_in_their_owner_s_turn_and_twice_in_the_discriminator_s():
    game = conditional_gan(*PAIRS[1], steps=3)
    train(game, labelled_images(), rounds=4)
    assert [int(m.num_batches_tracked) for m in norms(game.nets.discriminator)] == [2 * 3 * 4]
    assert {int(m.num_batches_tracked) for m in norms(game.nets.generator)} == {4}


def test_real_and_fake_are_normalised_as_two_batches():
    seen = {}

    def spy(nets_, batch, noise):
        fake = lambda z, y: seen.setdefault("fake", nets_.generator(z, y))  # noqa: E731
        fake.latent_dim = nets_.generator.latent_dim
        seen.update(x=batch.x, y=batch.y, before=copy.deepcopy(nets_.discriminator))
        recorded = SimpleNamespace(discriminator=nets_.discriminator, generator=fake)
        return losses.conditional_discriminator_loss(recorded, batch, noise)

    game = conditional_gan(*PAIRS[1])
    game.turns = [Player(["discriminator"], spy)]
    train(game, labelled_images(), rounds=1)
    x, y, fake, before = (seen[name] for name in ("x", "y", "fake", "before"))
    apart, together = before, copy.deepcopy(before)
    with torch.no_grad():
        apart(x, y), apart(fake, y), together(torch.cat([x, fake]), torch.cat([y, y]))
    for (found,), (exact,), (mixed,) in [[norms(n) for n in (game.nets.discriminator, apart, together)]]:
        torch.testing.assert_close(found.running_mean, exact.running_mean)
        torch.testing.assert_close(found.running_var, exact.running_var)
        assert (found.running_var - mixed.running_var).abs().max() > 0.01


# --- a generator that obeys ----------------------------------------------------------------------


def dark_and_bright(n=256, size=8):
    """Label 0 is nearly black, label 1 nearly white, with a little noise."""
    labels = torch.arange(n) % 2
    draw = torch.Generator().manual_seed(0)
    noise = torch.randint(-20, 21, (n, 1, size, size), generator=draw)
    return ImageSet((40 + 175 * labels[:, None, None, None] + noise).to(torch.uint8), "two", labels=labels)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair[1].__name__)
def test_a_trained_conditional_generator_obeys_its_label(pair, seed):
    game = conditional_gan(*pair, size=8, channels=1, classes=2, width=32, seed=seed)
    adam = partial(Adam, lr=2e-3, betas=(0.5, 0.999))
    train(game, dark_and_bright(), rounds=100, batch_size=32, optimizer=adam, seed=seed)
    z = torch.randn(64, 5, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        both = [game.nets.generator(z, torch.full((64,), label)) for label in (0, 1)]
    dark, bright = (images.mean((1, 2, 3)) for images in both)
    assert (dark < bright).all()  # whatever the latent
    assert dark.mean() < 0.35 and bright.mean() > 0.65  # the data's are 0.16 and 0.84
