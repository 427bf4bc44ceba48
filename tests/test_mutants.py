"""What mutants of the library got past all other tests with (``make mutants``): each is caught here."""

import copy
import dataclasses
import inspect
import math
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from belamy import _annealing, divergences, losses, metrics
from belamy import likelihood as L
from belamy._devices import Traits, double, traits
from belamy.data import ImageSet
from belamy.errors import InputError
from belamy.game import Average, Game, Group, Player, Pool, device, evaluate, fit, linear_to_zero
from belamy.game.batches import Batches
from belamy.game.device import pick_device, seeder
from belamy.game.fit import _told, planned_rounds
from belamy.game.history import History
from belamy.game.identity import _describe, _installed, identity
from belamy.game.optimizers import of_step_and_total
from belamy.randomness import Noise, generator, key
from torch import distributions as D
from torch import nn

DEFAULTS = {
    losses.Term: {"weight": 1.0},
    losses.negative_elbo: {"beta": 1.0},
    losses.gaussian_negative_elbo: {"beta": 1.0},
    losses.gradient_penalty: {"slope": 1.0},
    divergences.kl: {"cell": 1.0},
    divergences.jsd: {"cell": 1.0},
    divergences.total_variation: {"cell": 1.0},
    divergences.wasserstein: {"cell": 1.0},
    divergences.kl_samples: {"k": 1},
    L.iwae: {"seed": 0, "chunk": 1024},
    L.dequantise: {"seed": 0},
    metrics.kernel_distance_subsets: {"subsets": 100, "subset_size": 1000, "seed": 0},
    metrics.precision_recall: {"k": 3},
    metrics.density_coverage: {"k": 5},
    metrics.inception_score: {"splits": 1},
    metrics.balance_metric: {"reading": "normalised"},
    Player: {"steps": 1, "name": "", "optimizer": None, "schedule": None, "clip": None, "after": None,
             "allow_unused": False},
    Group: {"steps": 1, "alternating": False},
    Average: {"decay": 0.999},
    Pool: {"size": 50},
    Traits: {"memory_format": torch.channels_last, "fused": True, "waits": False, "float64": True},
}  # fmt: skip
ANNEALING = {"steps": 1000, "chains": 16, "leapfrog": 10, "sharpness": 4.0, "seed": 0, "chunk": 1024}
DEFAULTS |= dict.fromkeys((L.ais, L.bdmc), {"encoder": None, **ANNEALING, "progress": True})


@pytest.mark.parametrize("function", DEFAULTS, ids=lambda function: function.__name__)
def test_defaults_are_those_of_the_papers_and_of_the_recorded_numbers(function):
    parameters = inspect.signature(function).parameters.values()
    found = {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}
    assert found == DEFAULTS[function]


# --- likelihood: the algorithms again, image by image, in the plainest form -------------------------

RNG = torch.Generator().manual_seed(0)
WEIGHT = torch.randn(2, 5, generator=RNG, dtype=torch.float64)
IMAGES = torch.randn(3, 5, generator=RNG, dtype=torch.float64)
LATENTS = torch.randn(3, 2, generator=RNG, dtype=torch.float64)
SCALE = 0.6


def score(x, z):
    """A decoder that is not linear, so that moves are accepted and refused."""
    return D.Normal(torch.tanh(z @ WEIGHT.to(z)), SCALE).log_prob(x).sum(-1).double()


def encode(x):
    return 0.3 * x[:, :2], 0.1 * x[:, 2:4] - 1.0


def log_weight(number, u, encoder):
    """log p(x, z) - log q(z|x) of one image at z = mean + std u."""
    if encoder is None:
        return score(IMAGES[number], u)
    mean, log_variance = (values[number] for values in encoder(IMAGES))
    z, q = mean + log_variance.mul(0.5).exp() * u, D.Normal(mean, log_variance.mul(0.5).exp())
    prior = D.Normal(torch.zeros(2, dtype=torch.float64), 1.0)
    return score(IMAGES[number], z) + prior.log_prob(z).sum(-1) - q.log_prob(z).sum(-1)


@pytest.mark.parametrize("chunk", [1, 1024])
def test_iwae_is_the_mean_weight_of_the_draws_that_its_seed_names(chunk):
    noise, k = Noise(), 4
    draws = torch.stack([noise.at(7, "iwae", i).normal(3, 2).double() for i in range(k)])  # (k, N, q)
    weights = torch.stack([log_weight(n, draws[:, n], encode) for n in range(3)])  # (N, k)
    found = L.iwae(score, IMAGES, encode, k, seed=7, chunk=chunk)
    torch.testing.assert_close(found, weights.exp().mean(1).log(), rtol=1e-12, atol=1e-12)


def temperatures(steps, sharpness):
    axis = [-sharpness + 2 * sharpness * t / steps for t in range(steps + 1)]
    s = [1 / (1 + math.exp(-a)) for a in axis]
    return [(value - s[0]) / (s[-1] - s[0]) for value in s]


def move(u, beta, size, noise, leapfrog, encoder):
    """A Hamiltonian move of all chains: u (S, N, q), size (N,); kick, drift, kick."""

    def energy_and_force(u):
        u = u.detach().requires_grad_()
        value = torch.stack([log_weight(n, u[:, n], encoder) for n in range(3)], 1)
        value = beta * value - 0.5 * u.square().sum(-1)
        return value.detach(), torch.autograd.grad(value.sum(), u)[0]

    momentum = start_momentum = noise.normal(*u.shape).double()
    start, (value, force) = u, energy_and_force(u)
    before = value - 0.5 * start_momentum.square().sum(-1)
    step = size[None, :, None]
    for _ in range(leapfrog):
        momentum = momentum + 0.5 * step * force
        u = u + step * momentum
        value, force = energy_and_force(u)
        momentum = momentum + 0.5 * step * force
    acceptance = (value - 0.5 * momentum.square().sum(-1) - before).exp().clamp(max=1)
    accepted = noise.uniform(*acceptance.shape) < acceptance
    return torch.where(accepted[..., None], u, start), acceptance


def annealed(name, u, steps, chains, leapfrog, sharpness, seed, encoder, pilot):
    noise = Noise()
    ladder, sizes = temperatures(pilot, sharpness)[1:], []
    walker = noise.at(seed, "pilot", 0).normal(chains, 3, 2).double()
    size = torch.full((3,), 0.5, dtype=torch.float64)
    for t, beta in enumerate(ladder):
        noise.at(seed, "pilot", t + 1)
        sizes.append(size)
        walker, acceptance = move(walker, beta, size, noise, leapfrog, encoder)
        size = size * (0.5 * (acceptance.mean(0) - 0.65)).exp()
    path = temperatures(steps, sharpness)
    path = path if name == "forward" else path[::-1]
    u = noise.at(seed, name, 0).normal(chains, 3, 2).double() if u is None else u.expand(chains, 3, 2)
    total = torch.zeros(chains, 3, dtype=torch.float64)
    for t, (last, beta) in enumerate(zip(path, path[1:])):
        total += (beta - last) * torch.stack([log_weight(n, u[:, n], encoder) for n in range(3)], 1)
        if t < steps - 1:
            noise.at(seed, name, t + 1)
            rung = next(i for i, value in enumerate(ladder) if value >= beta)
            u, _ = move(u, beta, sizes[rung], noise, leapfrog, encoder)
    return total.exp().mean(0).log()


@pytest.mark.parametrize("encoder", [None, encode])
def test_annealing_is_that_of_the_plainest_program(encoder, monkeypatch):
    monkeypatch.setattr(_annealing, "PILOT_STEPS", 9)
    settings = {"steps": 7, "chains": 5, "leapfrog": 3, "sharpness": 3.0, "seed": 2}
    u = LATENTS
    if encoder is not None:
        mean, log_variance = encoder(IMAGES)
        u = (LATENTS - mean) / log_variance.mul(0.5).exp()
    lower = annealed("forward", None, encoder=encoder, pilot=9, **settings)
    upper = -annealed("backward", u, encoder=encoder, pilot=9, **settings)
    found = L.bdmc(score, IMAGES, LATENTS, encoder=encoder, progress=False, **settings)
    torch.testing.assert_close(found, (lower, upper), rtol=1e-7, atol=1e-7)
    alone = L.ais(score, IMAGES, 2, encoder=encoder, progress=False, **settings)
    torch.testing.assert_close(alone, lower, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("size", [0.0015, 0.0005])
def test_what_depends_on_its_batch_by_more_than_rounding_is_refused(size):
    of_batch = lambda x, z: z.sum(1) + size * (z.max() - z.min())  # noqa: E731
    try:
        L.ais(of_batch, IMAGES, latent_dim=2, chains=1, steps=1, progress=False)
        refused = False
    except InputError as error:
        refused = "in one batch" in str(error)
    assert refused == (size > 0.001)


def test_what_cannot_be_dequantised_is_named():
    with pytest.raises(InputError, match="images are list"):
        L.dequantise([1, 2])


def test_dequantisation_adds_the_draws_that_its_seed_names():
    images = torch.arange(12, dtype=torch.uint8).view(1, 3, 2, 2)
    draws = Noise().at(5, "dequantise", 0).uniform(1, 3, 2, 2)
    torch.testing.assert_close(L.dequantise(images, seed=5), (images + draws) / 256, rtol=0, atol=0)


# --- metrics ----------------------------------------------------------------------------------------


def test_subsets_are_those_that_the_seed_draws():
    real, fake = torch.randn(9, 4, generator=RNG), torch.randn(7, 4, generator=RNG)
    rng, expected = torch.Generator().manual_seed(3), []
    for _ in range(2):
        pair = [rows[torch.randperm(len(rows), generator=rng)[:5]] for rows in (real, fake)]
        expected.append(metrics.kernel_distance(*pair))
    found = metrics.kernel_distance_subsets(real, fake, subsets=2, subset_size=5, seed=3)
    assert found.tolist() == expected


@pytest.mark.parametrize("reading", metrics.READINGS)
def test_the_balance_metric_of_pictures_that_are_not_square_by_hand(reading, monkeypatch):
    monkeypatch.setattr(metrics, "PIXELS_AT_ONCE", 25)  # two pictures at once
    images, fakes = torch.rand(5, 2, 3, 4, generator=RNG), torch.rand(3, 2, 3, 4, generator=RNG)
    images[0], fakes[0] = 0.0, 1.0  # so that d is beyond 1 where it is not normalised
    values = []
    for image in images.double():
        for fake in fakes.double():
            d = (image - fake).square().sum(0).sqrt() / (2**0.5 if reading == "normalised" else 1)
            values.append((d - d * d).abs() if reading == "as coded" else d - d * d)
    assert metrics.balance_metric(images, fakes, reading) == pytest.approx(torch.stack(values).mean().item(), rel=1e-6)


def test_alike_rows_score_one_to_the_last_digits_of_double_precision():
    p = torch.rand(5, generator=RNG).softmax(0)
    assert metrics.inception_score(p.expand(4099, 5), 1) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("splits", [1, 3, 4])
def test_the_inception_score_of_parts_that_are_not_equal_by_hand(splits):
    p = torch.rand(11, 5, generator=RNG, dtype=torch.float64).pow(3)
    p = p / p.sum(1, keepdim=True)
    scores = []
    for part in range(splits):
        rows = p[part * 11 // splits : (part + 1) * 11 // splits]
        scores.append((rows * (rows / rows.mean(0)).log()).sum(1).mean().exp())
    assert metrics.inception_score(p, splits) == pytest.approx(sum(scores).item() / splits, rel=1e-9)


# --- losses and divergences ----------------------------------------------------------------------------


def test_a_term_weighs_one_and_reparameterised_draws_are_those_of_the_noise():
    assert losses.Term(3.0) == losses.Term(3.0, 1.0)
    mean, log_variance = torch.randn(4, 3, generator=RNG), torch.randn(4, 3, generator=RNG)
    z = losses.reparameterise(mean, log_variance, Noise(seed=2))
    torch.testing.assert_close(z, mean + log_variance.exp().sqrt() * Noise(seed=2).normal(4, 3))


@pytest.mark.parametrize("beta", [1, 1.0, 0.5, torch.tensor(1.0)])
def test_both_elbos_by_hand(beta):
    x = torch.rand(4, 3, generator=RNG)
    noise = Noise(seed=1).normal(4, 2)
    nets = SimpleNamespace(encoder=lambda x: (x[:, :2] - 1, 0.5 * x[:, 1:]), spread=lambda: torch.tensor(-1.5))
    nets.decoder = lambda z: torch.cat([2 * z, z[:, :1] - 1], 1)
    mean, log_variance = nets.encoder(x)
    logits = nets.decoder(mean + (0.5 * log_variance).exp() * noise)
    q, prior = D.Normal(mean, (0.5 * log_variance).exp()), D.Normal(torch.zeros(2), 1.0)
    kl = D.kl_divergence(q, prior).sum(1).mean()
    flip = -nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="none")
    spread = D.Normal(logits.sigmoid(), math.exp(-0.75)).log_prob(x)
    for loss, density in ((losses.negative_elbo, flip), (losses.gaussian_negative_elbo, spread)):
        terms = loss(nets, SimpleNamespace(x=x), Noise(seed=1), beta)
        torch.testing.assert_close(terms["reconstruction"], -density.sum(1).mean())
        found = terms["kl"]  # a plain number of 1 needs no Term
        assert isinstance(found, losses.Term) == (torch.is_tensor(beta) or beta != 1)
        found = found if isinstance(found, losses.Term) else losses.Term(found)
        torch.testing.assert_close(found.value, kl)
        assert found.weight == beta and list(terms) == ["reconstruction", "kl"]


def test_halves_are_summed_in_single_precision():
    x = torch.full((2, 513), 0.5, dtype=torch.bfloat16)
    found = losses.bernoulli_log_likelihood(x, torch.zeros_like(x))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, torch.full((2,), 513 * math.log(0.5)), rtol=2e-3, atol=0)


def test_a_critic_s_losses_are_means_of_its_scores():
    real, fake = torch.tensor([1.0, 4.0]), torch.tensor([-2.0, 0.0, 8.0])
    assert {n: v.item() for n, v in losses.wasserstein_critic(real, fake).items()} == {"real": -2.5, "fake": 2.0}
    assert losses.wasserstein_generator(fake).item() == losses.hinge_generator(fake).item() == -2.0


def test_probabilities_at_both_ends_are_looked_at_where_they_should_be():
    x, logits = torch.tensor([[0.0, 1.0]]), torch.zeros(1, 2)
    expected = torch.full((1,), 2 * math.log(0.5))
    torch.testing.assert_close(losses.bernoulli_log_likelihood(x, logits), expected)
    assert losses.bernoulli_log_likelihood(x[:0], logits[:0]).shape == (0,)
    for spoilt in (x - 0.01, x + 0.01, x * math.nan):
        with pytest.raises(InputError, match="from 0 to 1"):
            losses.bernoulli_log_likelihood(spoilt, logits)
        with losses.checking_values(False):
            losses.bernoulli_log_likelihood(spoilt, logits)
        with pytest.raises(InputError, match="from 0 to 1"), losses.checking_values(True):
            losses.bernoulli_log_likelihood(spoilt, logits)


@pytest.mark.parametrize("slope", [0.0, 1.0, 2.5])
def test_a_gradient_penalty_by_hand(slope):
    real, fake = torch.randn(4, 2, 3, generator=RNG), torch.randn(4, 2, 3, generator=RNG)
    share = Noise(seed=6).uniform(4, 1, 1)
    x = share * real + (1 - share) * fake
    expected = ((2 * x).flatten(1).norm(dim=1) - slope).square().mean()  # of the critic |x|^2
    critic = lambda x: x.square().flatten(1).sum(1)  # noqa: E731
    found = losses.gradient_penalty(critic, real, fake, Noise(seed=6), slope)
    torch.testing.assert_close(found, expected)
    flat = losses.gradient_penalty(lambda x: 0 * x.flatten(1).sum(1), real, fake, Noise(), slope)
    assert flat.item() == pytest.approx(slope**2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = losses.gradient_penalty(critic, real.bfloat16(), fake.bfloat16(), Noise(seed=6), slope)
    assert half.dtype == torch.float32


def test_nearest_neighbours_by_hand():
    x, y = torch.randn(6, 2, generator=RNG).double(), torch.randn(5, 2, generator=RNG).double()
    for k in (1, 2):
        within = torch.cdist(x, x).sort(1).values[:, k]
        across = torch.cdist(x, y).sort(1).values[:, k - 1]
        expected = 2 * (across / within).log().mean() + math.log(5 / 5)
        torch.testing.assert_close(divergences.kl_samples(x, y, k), expected)
    torch.testing.assert_close(
        divergences.kl_samples(x, y[:3]) - divergences.kl_samples(x[:, [1, 0]], y[:3][:, [1, 0]]),
        torch.zeros((), dtype=torch.float64),
    )


def test_two_samples_against_one_are_enough_for_nearest_neighbours():
    x, y = torch.tensor([[0.0], [1.0]]), torch.tensor([[3.0]])
    assert divergences.kl_samples(x, y).item() == pytest.approx((math.log(3) + math.log(2)) / 2)


def test_a_set_of_samples_is_said_to_be_what_it_may_be():
    with pytest.raises(InputError, match=r"shape \(2, 3, 4\); expected floats \(N,\) or \(N, d\)$"):
        divergences.wasserstein_samples(torch.rand(2, 3, 4), torch.rand(2, 3, 4))


def test_a_tolerance_is_within_a_hundredth():
    for mass, taken in ((0.9901, True), (1.0099, True), (0.9899, False), (1.0101, False)):
        p = torch.tensor([0.5, 0.5], dtype=torch.float64) * mass
        if taken:
            divergences.kl(p, p)
        else:
            with pytest.raises(InputError, match="instead of 1"):
                divergences.kl(p, p)


# --- game: training again, in the plainest form -------------------------------------------------------

PIXELS = torch.randint(0, 256, (22, 1, 4, 4), generator=RNG, dtype=torch.uint8)
LABELS = torch.arange(22) % 3
BATCH, SIZES = 4, {"critic": (16, 1), "forger": (3, 16)}


def build():
    torch.manual_seed(1)
    nets = {}
    for name, (width, out) in SIZES.items():
        # No bias whose gradient is nothing but rounding, which Adam would blow up.
        first, last = nn.Linear(width, 8, bias=False), nn.Linear(8, out, bias=False)
        nets[name] = nn.Sequential(first, nn.BatchNorm1d(8), nn.Dropout(0.3), nn.ReLU(), last)
    return nets


def critic_loss(nets, batch, noise):
    real = nets.critic(batch.x.flatten(1) + 0.01 * batch.y[:, None])
    fake = nets.critic(nets.forger(noise.normal(len(batch), 3)))
    warm = noise.step / noise.total
    penalty = losses.Term(real.square().mean(), warm)
    seen = losses.Term(real.mean(), 0)
    return {"gap": fake.mean() - real.mean(), "size": penalty, "real": seen, "two": 2}


def forger_loss(nets, batch, noise):
    return -nets.critic(nets.forger(noise.normal(len(batch), 3))).mean()


def halve(step, total):
    return 1 - 0.5 * step / total


def clip_weights(nets):
    for parameter in nets.critic.parameters():
        parameter.clamp_(-0.3, 0.3)


class Rows(SimpleNamespace):
    def __len__(self):
        return len(self.x)


def plain_training(rounds):
    """Nets, averages and the log after so many rounds: the critic steps twice a round, the forger once."""
    nets = SimpleNamespace(**build())
    both = {name: getattr(nets, name).train() for name in SIZES}
    mean = copy.deepcopy(nets.forger)
    sgd = {"critic": torch.optim.SGD(nets.critic.parameters(), lr=0.2)}
    sgd["forger"] = torch.optim.Adam(nets.forger.parameters(), lr=0.01)
    steps, total = dict.fromkeys(SIZES, 0), {"critic": 2 * rounds, "forger": rounds}
    noise, log, x = Noise(), [], PIXELS.float() / 255
    for _ in range(rounds):
        row = {}
        for name in ("critic", "critic", "forger"):
            step, other = steps[name], both["forger" if name == "critic" else "critic"]
            epoch, position = divmod(step, len(x) // BATCH)
            order = torch.randperm(len(x), generator=generator(5, "order", name, epoch))
            index = order[BATCH * position : BATCH * (position + 1)]
            batch = Rows(x=x[index], y=LABELS[index])
            noise.at(5, name, step, total[name])
            torch.manual_seed(noise.generator.initial_seed() ^ 1)
            before = copy.deepcopy(dict(other.named_buffers()))
            if name == "critic":
                terms = critic_loss(nets, batch, noise)
                loss = terms["gap"] + terms["size"].weight * terms["size"].value + terms["two"]
                row |= {"critic": loss, "critic/gap": terms["gap"], "critic/size": terms["size"].value}
                row |= {"critic/real": terms["real"].value, "critic/two": 2.0}
            else:
                loss = forger_loss(nets, batch, noise)
                row |= {"forger": loss}
            parameters = list(both[name].parameters())
            for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters)):
                parameter.grad = gradient
            for label, value in other.named_buffers():
                value.copy_(before[label])
            if name == "critic":
                sgd[name].param_groups[0]["lr"] = 0.2 * halve(step, total[name])
                norm = torch.cat([p.grad.flatten() for p in parameters]).norm()
                for parameter in parameters:
                    parameter.grad *= (0.5 / (norm + 1e-6)).clamp(max=1)
            sgd[name].step()
            steps[name] += 1
            with torch.no_grad():
                if name == "critic":
                    clip_weights(nets)
                else:
                    for value, now in zip(mean.parameters(), nets.forger.parameters()):
                        value += 0.1 * (now - value)
                    for value, now in zip(mean.buffers(), nets.forger.buffers()):
                        value.copy_(now)
        log.append({key: float(torch.as_tensor(value).detach()) for key, value in row.items()})
    return {**both, "mean": mean}, log


@pytest.mark.parametrize("cut", [(7,), (3, 4), (1, 0, 6)], ids=str)
def test_fit_is_the_plainest_loop_however_it_is_cut(cut):
    """An epoch is 5 batches, of the critic 2.5 rounds; 7 rounds begin 3 epochs."""
    players = [
        Player(["critic"], critic_loss, steps=2, schedule=halve, clip=0.5, after=clip_weights),
        Player(["forger"], forger_loss, optimizer=partial(torch.optim.Adam, lr=0.01)),
    ]
    game = Game(build(), players, averages={"mean": Average("forger", 0.9)})
    sgd = {"critic": partial(torch.optim.SGD, lr=0.2)}
    data, seen = ImageSet(PIXELS, "noise", labels=LABELS), []
    settings = {"batch_size": BATCH, "optimizer": sgd, "seed": 5, "device": "cpu", "progress": False}
    note = lambda game, epoch: seen.append((epoch, game.rounds))  # noqa: E731
    for rounds in cut:
        fit(game, data, rounds=rounds, callbacks=note, **settings)
    assert seen == [(1, 3), (2, 5)]
    assert (game.rounds, game.epochs, game.into_epoch) == (7, 2, 4)
    assert game.steps == {"critic": 14, "forger": 7}
    assert not any(net.training for net in game.nets.values())
    frame = game.history.frame()
    assert frame["epoch"].tolist() == [0, 0, 0, 1, 1, 2, 2]
    if len(cut) > 1:
        assert frame.drop(columns="epoch").isna().sum().sum() == 0
        return
    nets, log = plain_training(7)
    for name, net in nets.items():
        for key, value in net.state_dict().items():
            torch.testing.assert_close(game.nets[name].state_dict()[key], value, rtol=1e-4, atol=1e-6)
    for row, expected in zip(frame.to_dict("records"), log, strict=True):
        assert {key: row[key] for key in expected} == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert list(frame.columns) == ["epoch", *log[0]]


def test_evaluate_draws_noise_of_the_game_s_kind_and_wants_sets_of_one_length():
    kinds = []
    game = Game({"net": nn.Linear(2, 1).double()}, [Player(["net"], lambda nets, batch, noise: nets.net(batch.x).mean())])

    def look(nets, batch, noise):
        kinds.append(noise.normal(2).dtype)
        return torch.zeros(())

    evaluate(game, look, torch.ones(3, 2, dtype=torch.float64))
    assert kinds == [torch.float64]
    with pytest.raises(InputError, match=r"sets of \[3, 4\] rows have no mean in common"):
        evaluate(game, look, {"a": torch.ones(3, 2, dtype=torch.float64), "b": torch.ones(4, 2, dtype=torch.float64)})


def test_evaluate_is_the_mean_over_rows_and_draws_of_the_noise_that_the_seed_names():
    game = Game(build(), [Player(["critic"], critic_loss)])
    data = ImageSet(PIXELS, "noise", labels=LABELS)

    def loss(nets, batch, noise):
        b = losses.Term(batch.y.float().mean(), 3.0)
        return {"a": batch.x.mean() + noise.normal(1).sum(), "b": b, "c": losses.Term(1.0, 0)}

    found = evaluate(game, loss, data, draws=2, seed=4, batch_size=8)
    noise, a = Noise(), 0.0
    for draw in range(2):
        for number, rows in enumerate(torch.arange(22).split(8)):
            shift = noise.at(4, f"evaluate {draw}", number).normal(1).item()
            a += len(rows) * ((PIXELS[rows].float() / 255).mean().item() + shift) / 44
    b = LABELS.float().mean().item()
    assert found == pytest.approx({"a": a, "b": b, "c": 1.0, "total": a + 3 * b}, rel=1e-5)
    assert all(parameter.requires_grad for parameter in game.nets.parameters())


def test_a_pool_keeps_and_swaps_what_the_noise_says():
    pool, noise, kept = Pool(3), Noise(), []
    for step in range(6):
        fakes = torch.arange(2.0).add(10 * step).view(2, 1)
        found = pool(fakes, noise.at(0, "d", step))
        again = noise.at(0, "d", step)
        swap, slots, expected = again.uniform(2) < 0.5, again.permutation(3).tolist(), []
        for number, fake in enumerate(fakes.flatten().tolist()):
            if len(kept) < 3:
                kept.append(fake)
                expected.append(fake)
            else:
                slot = slots.pop(0)
                expected.append(kept[slot] if swap[number] else fake)
                kept[slot] = fake if swap[number] else kept[slot]
        assert found.flatten().tolist() == expected and pool.images.flatten().tolist() == kept


def test_a_pool_may_hold_one_and_keeps_the_type_of_its_fakes():
    pool, noise, fakes = Pool(1), Noise(), torch.rand(5, 2, 3, dtype=torch.float64)
    found = pool(fakes, noise.at(0, "d", 0))
    assert found.dtype == pool.images.dtype == torch.float64 and pool.images.shape == (1, 2, 3)
    assert all(any(torch.equal(one, other) for other in fakes) for one in found)
    assert pool(fakes.half(), noise.at(0, "d", 1)).dtype == torch.float16 and pool.images.dtype == torch.float64


def test_players_groups_and_averages_keep_plain_and_unchangeable_values():
    player = Player(["net"], abs, steps=np.int64(2), clip=np.float32(0.5))
    given = [Player(["a"], abs), Player(["b"], abs)]
    group, average = Group(given, abs, steps=np.int64(3)), Average("net", np.float64(0.5))
    given.clear()
    assert [type(value) for value in (player.steps, player.clip, group.steps, average.decay)] == [int, float, int, float]
    assert group.name == "a&b" and group.players == (Player(["a"], abs), Player(["b"], abs))


def test_a_game_of_nets_without_parameters_is_on_the_cpu():
    assert Game({"net": nn.Linear(1, 1), "fixed": nn.Flatten()}, [Player(["net"], abs)], seed=0).device.type == "cpu"
    game = SimpleNamespace(nets=nn.ModuleDict({"fixed": nn.Flatten()}))
    assert Game.device.fget(game) == torch.device("cpu")


def test_numbers_are_doubled_where_the_device_has_such(monkeypatch):
    class OfApple(torch.Tensor):
        device = torch.device("mps")

        def double(self):
            raise TypeError("no float64 here")

        def cpu(self):
            return torch.tensor([2.0])

    assert double(torch.ones(1)).dtype == torch.float64
    assert double(torch.ones(1).as_subclass(OfApple)).item() == 2


def test_the_device_that_is_picked_is_the_first_there_is(monkeypatch):
    monkeypatch.delenv("BELAMY_DEVICE", raising=False)
    for there, picked in (((True, True), "cuda"), ((False, True), "mps"), ((False, False), "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: there[0])
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: there[1])
        assert pick_device().type == picked


def test_a_gpu_s_own_generator_is_the_one_that_is_seeded(monkeypatch):
    generators = [SimpleNamespace(manual_seed="first"), SimpleNamespace(manual_seed="second")]
    monkeypatch.setattr(torch.cuda, "default_generators", generators)
    assert [seeder(torch.device(name)) for name in ("cuda", "cuda:0", "cuda:1")] == ["first", "first", "second"]


def test_freed_memory_is_kept_by_linux_alone_and_until_the_last_has_done(monkeypatch):
    calls = []
    libc = SimpleNamespace(mallopt=lambda *given: calls.append(given), malloc_trim=lambda given: calls.append("trim"))
    monkeypatch.setattr(device.ctypes, "CDLL", lambda name: libc)
    monkeypatch.setattr(device.sys, "platform", "linux")
    with device.keep_freed_memory(torch.device("cpu")), device.keep_freed_memory(torch.device("cpu")):
        assert "trim" not in calls and calls
    assert calls.count("trim") == 1
    with device.keep_freed_memory(torch.device("cpu")):
        calls.clear()
    assert calls.count("trim") == 1  # and again
    for name, platform in (("cuda", "linux"), ("cpu", "darwin")):
        calls.clear()
        monkeypatch.setattr(device.sys, "platform", platform)
        with device.keep_freed_memory(torch.device(name)):
            assert not calls
        assert not calls


def test_what_a_function_is_bound_to_and_what_a_tuple_holds_tell_games_apart():
    class Scale:
        def __init__(self, by):
            self.by = by

        def loss(self, nets, batch, noise):
            return self.by * nets.net(batch.x).mean()

        def other(self, nets, batch, noise):
            return nets.net(batch.x).square().mean()

    def game(loss):
        return identity(Game({"net": nn.Linear(1, 1)}, [Player(["net"], loss)], seed=0))

    both = (0.1, (2.0, "a")), (0.1, (2.0, "b"))
    told = [game(lambda nets, batch, noise, pair=pair: nets.net(batch.x).mean()) for pair in both]
    assert told[0] != told[1] and game(Scale(1).loss) == game(Scale(1).loss) != game(Scale(1).other)


def test_linear_to_zero_is_flat_and_then_straight():
    assert [linear_to_zero(step, 4) for step in range(5)] == [1, 0.75, 0.5, 0.25, 0]
    assert [linear_to_zero(step, 8, start=0.5) for step in range(0, 9, 2)] == [1, 1, 1, 0.5, 0]


@pytest.mark.parametrize(
    "epochs, rounds, per_epoch, busiest, into, expected",
    [
        (None, 7, 5, 2, 0, 7),
        (None, 0, 5, 2, 4, 0),
        (0, None, 5, 1, 0, 0),
        (2, None, 5, 1, 0, 10),
        (1, None, 5, 2, 0, 3),  # 5 batches by twos
        (1, None, 5, 2, 1, 2),  # one of them was taken by the round before
        (1, None, 5, 2, 2, 3),  # an interrupted epoch is not what was asked for
        (1, None, 1, 3, 2, 0),
        (10, None, 9, 5, 0, 18),
    ],
)
def test_planned_rounds(epochs, rounds, per_epoch, busiest, into, expected):
    assert planned_rounds(epochs, rounds, per_epoch, busiest, into) == expected
    if not into:
        assert planned_rounds(epochs, rounds, per_epoch, busiest) == expected


def test_a_history_by_hand():
    history = History()
    history.record(0, {"a": 1.0, "a/x": torch.tensor(2.0)})
    assert history.flush() == {"a": 1.0, "a/x": 2.0}
    history.record(0, {"a": torch.tensor(3.0)})
    history.record(1, {"b": torch.tensor(5.0), "a": 0.1})
    assert len(history) == 3 and history.flush() == {"a": 0.1, "b": 5.0}
    assert history.values == [[1.0, 2.0], [3.0, None], [0.1, None, 5.0]]
    history.report(1, {"v": torch.tensor([2.5])})
    history.report(1, {"w": np.int64(3)})
    history.report(2, None)
    history.report(3, {"v": 1})
    assert history.reports == [{"epoch": 1, "v": 2.5, "w": 3.0}, {"epoch": 3, "v": 1.0}]
    for wrong in ([1.0], {"a": 1.0}, {"epoch": 1.0}, {"round": 1.0}, {"v": "1"}, {1: 1.0}):
        with pytest.raises(InputError, match="a callback returned"):
            history.report(2, wrong)
    frame = history.frame()
    assert list(frame.columns) == ["epoch", "a", "a/x", "b"] and frame.index.name == "round"
    assert frame["epoch"].tolist() == [0, 0, 1] and frame["b"].isna().tolist() == [True, True, False]
    table = history.by_epoch()
    assert table.index.tolist() == [1, 2, 3] and table["a"].tolist()[:2] == [2.0, 0.1]
    assert table.loc[1, "v"] == 2.5 and table.loc[3, "v"] == 1.0 and math.isnan(table.loc[2, "v"])
    other = History()
    other.record(9, {"z": 1.0})
    other.load_state(history.columns, history.reports, history.state())
    assert len(other) == 3 and other.frame().equals(frame) and other.reports == history.reports
    assert other.epochs == [0, 0, 1] and not other.interrupted
    history.forget_from(1)
    assert history.values == [[1.0, 2.0]] and history.epochs == [0]


@pytest.mark.parametrize("form", ["foreach", "fused"])
def test_an_optimiser_s_own_form_is_left_alone(form):
    game = Game({"net": nn.Linear(2, 1)}, [Player(["net"], lambda nets, batch, noise: nets.net(batch.x).mean())])
    fit(game, torch.ones(4, 2), rounds=1, batch_size=4, device="cpu", progress=False,
        optimizer=partial(torch.optim.SGD, lr=0.1, **{form: form == "foreach"}))  # fmt: skip
    (group,) = game.optimizers["net"].param_groups
    assert bool(group["foreach"]) == (form == "foreach") and not group["fused"]


def test_weights_are_drawn_from_the_seed_and_the_net_s_name():
    idle = lambda nets, batch, noise: 0.0  # noqa: E731
    game = Game({"one": nn.Linear(3, 2), "two": nn.Linear(3, 2)}, [Player(["one", "two"], idle)], seed=5)
    for name, net in game.nets.items():
        with torch.random.fork_rng([]):
            torch.manual_seed(key(5, "weights", name))
            torch.testing.assert_close(net.state_dict(), nn.Linear(3, 2).state_dict(), rtol=0, atol=0)


class Scaled(nn.Module):
    """A reader's net, whose forward ``scaled`` gives another constant."""

    def forward(self, x):
        return 2 * x


def identity_of(part="loss of 'net'", loss=None, net=None, **group):
    player = Player(["net"], loss or (lambda nets, batch, noise: 0.0))
    turn = Group([player], **group) if group else player
    return identity(Game({"net": net or nn.Linear(1, 1)}, [turn]))[part]


def test_functions_are_told_apart_by_what_they_do():
    def inner(number):
        return eval(f"lambda n, b, z: (lambda: {number})()", {"__name__": __name__})

    def in_a_class(number):
        space = {"FACTOR": number, "__name__": __name__}
        exec("def loss(n, b, z):\n    class A:\n        k = FACTOR\n    return A.k", space)
        return space["loss"]

    def holding(entries, value):
        held = torch.full((entries,), value)
        return lambda n, b, z: held.sum()

    pairs = [
        (inner(3), inner(3), inner(4)),
        (in_a_class(3), in_a_class(3), in_a_class(4)),
        (holding(100, 1.0), holding(100, 1.0), holding(100, 2.0)),
        (partial(torch.add, 1), partial(torch.add, 1), partial(torch.mul, 1)),
        (losses.generator_loss, losses.generator_loss, losses.discriminator_loss),
    ]
    for one, same, other in pairs:
        assert identity_of(loss=one) == identity_of(loss=same) != identity_of(loss=other)
    assert identity_of(loss=holding(101, 1.0)) == identity_of(loss=holding(101, 2.0))  # a large one: its shape


@dataclasses.dataclass
class Weighed:
    weight: float = 1.0


@dataclasses.dataclass
class Named:
    weight: float = 1.0


def keyword_of(number):
    def loss(nets, batch, noise, *, scale=number):
        return scale

    return loss


def commented(number):
    space = {"__name__": __name__}
    exec(f"def loss(n, b, z):\n    'The loss.'\n    return {number}, 'The loss, too.'", space)
    return space["loss"]


def without_value():
    loss = lambda nets, batch, noise: later  # noqa: E731, F821
    if False:
        later = 1.0
    return loss


@pytest.mark.parametrize(
    "one, other",
    [
        (Weighed(1.0), Weighed(2.0)),
        (Weighed(1.0), Named(1.0)),
        (partial(abs, 1), partial(abs, 2)),
        (partial(int, base=2), partial(int, base=3)),
        (partial(math.sqrt), math.sqrt),
        ((1, "a"), (1, "b")),
        ([1, 2.0], [1, 3.0]),
        ({"a": 1}, {"a": 2}),
        ({"a": 1}, {"b": 1}),
        (torch.ones(2), torch.ones(2).double()),
        (torch.ones(2), torch.ones(3)),
        (torch.ones(2), torch.zeros(2)),
        (keyword_of(1.0), keyword_of(2.0)),
        (commented(1), commented(2)),
        ([].append, "".join),
        (1, 1.0),
        (True, 1),
    ],
)
def test_what_differs_is_described_differently(one, other):
    above = frozenset()
    assert _describe(one, above) == _describe(copy.deepcopy(one), above) != _describe(other, above)


def test_numbers_and_functions_are_described_as_what_they_are():
    above = frozenset()
    assert _describe(np.float64(0.5), above) == _describe(0.5, above) == "0.5"
    assert _describe(partial(abs, 2), above)[0] == "partial"
    assert _describe(Scaled().forward, above)[0] == "method" and _describe(Scaled().forward, above)[2] == "Scaled"
    assert _describe(without_value(), above)
    assert _installed(SimpleNamespace()) and _installed(torch.add) and not _installed(identity_of)
    net = nn.Linear(1, 1)
    plain = identity_of("net 'net'", net=net)
    net.word, net.counted, net._hidden = "a", 3, "b"
    assert identity_of("net 'net'", net=net) != plain
    del net.word
    assert identity_of("net 'net'", net=net) == plain


def test_what_a_function_counts_is_no_part_of_it():
    calls = 0

    def loss(nets, batch, noise):
        def count():
            nonlocal calls
            calls += 1

        count()
        return calls

    before = identity_of(loss=loss)
    loss(None, None, None)
    assert calls == 1 and identity_of(loss=loss) == before


def test_nets_are_told_apart_by_their_forward_and_groups_by_how_they_step():
    namesake = type("Scaled", (nn.Module,), {"forward": lambda self, x: 3 * x, "__module__": __name__})
    assert identity_of("net 'net'", net=Scaled()) != identity_of("net 'net'", net=namesake())
    forward = lambda nets, batch, noise: batch.x  # noqa: E731
    of = lambda **how: identity_of("steps of the group 'net'", forward=forward, **how)  # noqa: E731
    assert of(steps=1) != of(steps=2) and of() != of(alternating=True)


def test_the_first_loss_that_is_not_finite_is_found_with_the_term_to_blame():
    history = History()
    history.record(0, {"a": 1.0, "a/x": math.nan, "ab/y": 0.0})
    history.record(0, {"a": math.inf, "ab/y": math.nan})
    history.record(0, {"a": math.nan, "a/x": math.inf})
    history.flush()
    assert history.first_non_finite(0, {"a"}) == (1, "a")
    assert history.first_non_finite(2, {"a"}) == (2, "a/x")
    assert history.first_non_finite(3, {"a"}) is None and history.first_non_finite(0, {"ab"}) is None


def test_batches_of_several_sets_are_those_that_the_seed_names():
    mask = torch.randint(0, 256, (10, 1, 2, 3), generator=RNG, dtype=torch.uint8)
    photo = ImageSet(PIXELS[:10], "photo", labels=torch.arange(10), others={"mask": mask})
    painting = torch.arange(7.0)[:, None]
    batches = Batches({"photo": photo, "painting": painting}, 3, 8, torch.device("cpu"))
    assert batches.per_epoch == 3
    for step in (0, 2, 3, 7):
        batch = batches.draw("p", step)
        assert len(batch) == 3
        for name, count in (("photo", 10), ("painting", 7)):
            epoch, position = divmod(step, count // 3)
            order = torch.randperm(count, generator=generator(8, "order", "p", name, epoch))
            assert torch.equal(getattr(batch, name).index, order[3 * position : 3 * position + 3])
        rows = batch.photo.index
        torch.testing.assert_close(batch.photo.x, PIXELS[rows].float() / 255)
        torch.testing.assert_close(batch.photo.mask, mask[rows].float() / 255)
        assert batch.photo.y.tolist() == rows.tolist()
        torch.testing.assert_close(batch.painting.x, painting[batch.painting.index])
    low, high = painting[batch.painting.index].aminmax()
    assert f"painting lay in [{low:.4g}, {high:.4g}]" in batches.describe(7, "p")
    for name, words in (("sketch", r"\['photo', 'painting'\]"),):
        with pytest.raises(InputError, match=words):
            getattr(batch, name)
    with pytest.raises(InputError, match=r"batch.depth; the data set has \['x', 'y', 'mask'\]"):
        _ = batch.photo.depth


def test_what_rows_may_be_and_what_a_batch_says_of_itself(monkeypatch):
    cpu = torch.device("cpu")
    batches = Batches(torch.tensor([0.5, -1.0, 0.25]), 2, 0, cpu)  # rows of one number each
    low, high = batches.draw("p", 1).x.aminmax()
    assert batches.describe(1, "p") == f"; its batch lay in [{low:.4g}, {high:.4g}]"
    several = Batches({"photo": torch.rand(4, 2)}, 2, 0, cpu).draw("p", 0)
    for batch in (batches.draw("p", 0), several, several.photo):
        assert not hasattr(batch, "_what_python_itself_looks_for")
    with pytest.raises(InputError, match="a single number"):
        Batches(torch.tensor(1.0), 1, 0, cpu)
    monkeypatch.setattr("belamy.game.batches.LOOKED_AT", 2)
    rows = torch.zeros(9, 3)
    rows[7, 1] = math.nan
    with pytest.raises(InputError, match="row 7 "):
        Batches(rows, 2, 0, cpu)


def test_the_progress_bar_is_told_losses_whole_while_they_fit():
    assert _told({"critic": 1.0, "a" * 20: 0.123456}) == f"critic=1, {'a' * 20}=0.1235"
    assert _told({"forger/" + "b" * 19: 2}) == "…" + "b" * 19 + "=2"
    for most, text in ((8, "a=1, c=2"), (7, "a=1, c…")):
        assert _told({"a": 1, "c": 2}, most) == text


def test_a_schedule_may_know_the_step_alone_or_the_total_too():
    assert of_step_and_total(None) is None
    assert of_step_and_total(lambda step: step + 1)(4, 9) == 5
    assert of_step_and_total(lambda step, total: step / total)(4, 8) == 0.5
    with pytest.raises(InputError, match="no function of the step"):
        of_step_and_total(lambda: 1)


def test_what_differs_between_devices():
    cpu, cuda, mps = (traits(torch.device(kind)) for kind in ("cpu", "cuda", "mps"))
    assert (cpu.memory_format, cpu.fused, cpu.waits, cpu.float64) == (torch.channels_last, True, True, True)
    assert (cuda.memory_format, cuda.fused, cuda.waits, cuda.float64) == (torch.channels_last, True, False, True)
    assert (mps.memory_format, mps.fused, mps.waits, mps.float64) == (torch.contiguous_format, False, True, False)
