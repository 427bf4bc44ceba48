"""What mutants of the library got past all other tests with (``make mutants``): each is caught here."""

import inspect
import math

import pytest
import torch
from torch import distributions as D

from belamy import _annealing, divergences, losses, metrics
from belamy import likelihood as L
from belamy.randomness import Noise

DEFAULTS = {
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
}
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
    walker, size = noise.at(seed, "pilot", 0).normal(chains, 3, 2).double(), torch.full((3,), 0.5).double()
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
