"""Checks for the exercises on likelihood."""

import math

import torch
from torch import Tensor

from belamy.check import Check, Fresh

LOG_2 = math.log(2)
IMAGES, CHAINS, DIMENSIONS = (20, 40), (5, 12), (2, 4)


def scores(fresh: Fresh) -> tuple:
    images, dimensions = fresh.sizes(IMAGES, (48, 900))
    return fresh.normal(images, scale=200), dimensions


bits = Check(
    reference=lambda log_density, dimensions: 8 - log_density / (dimensions * LOG_2),
    draw=scores,
    returns="a tensor (images,), bits per dimension",
    terms={
        "The 8 bits of a pixel": lambda log_density, dimensions: 8 + 0 * log_density,
        "The bits of the density": lambda log_density, dimensions: -log_density / (dimensions * LOG_2),
    },
    mistakes={
        "The 8 bits are missing that the change from [0, 1] to [0, 256) costs.": lambda log_density, dimensions: (
            -log_density / (dimensions * LOG_2)
        ),
        "The sign of the log-density is turned: more nats are fewer bits.": lambda log_density, dimensions: (
            8 + log_density / (dimensions * LOG_2)
        ),
        "All of it is in nats; divide by log 2.": lambda log_density, dimensions: (
            8 * LOG_2 - log_density / dimensions
        ),
        "The log-density is still in nats, beside 8 bits.": lambda log_density, dimensions: (
            8 - log_density / dimensions
        ),
        "The 8 bits are still in nats, log 256, beside a log-density in bits.": lambda log_density, dimensions: (
            8 * LOG_2 - log_density / (dimensions * LOG_2)
        ),
        "You did not divide by the number of dimensions: the nats are those of a whole image.": lambda log_density,
        dimensions: 8 - log_density / LOG_2,
        "You divided the 8 bits by the number of dimensions, too: they are those of one dimension already.": (
            lambda log_density, dimensions: (8 - log_density / LOG_2) / dimensions
        ),
        "You multiplied by log 2 where you should divide: a nat is more than a bit.": lambda log_density, dimensions: (
            8 - log_density * LOG_2 / dimensions
        ),
        "You took the mean over the images where one number an image is meant.": lambda log_density, dimensions: (
            (8 - log_density / (dimensions * LOG_2)).mean()
        ),
    },
)


def bytes_of(fresh: Fresh) -> tuple:
    images, side = fresh.sizes(IMAGES, (10, 18))
    return ((256 * fresh.uniform(images, 1, side, side)).to(torch.uint8),)


def noise_of(answer, fresh: Fresh) -> Tensor:
    """u = 256 y − x, a row an image."""
    (images,) = bytes_of(fresh)
    return (256 * answer(images).double() - images.double()).flatten(1)


def stays_in_its_cube(answer, fresh: Fresh) -> str | None:
    (images,) = bytes_of(fresh)
    images[0, 0, 0, :2] = torch.tensor([0, 255], dtype=torch.uint8)
    found = answer(images)
    if found.max() > 2:
        return f"Your values reach {found.max():.0f}: the density is to be one on [0, 1], so scale by 256."
    u = 256 * found.double() - images.double()
    if u.abs().max() < 1e-3:
        return "There is no noise: the same grey level always gives the same number, on which a spike may stand."
    if u.min() < -1e-3:
        return "Your noise is also negative, and moves a grey level out of its own cube [x, x + 1)."
    if u.max() > 1.001:
        return "Your noise exceeds one grey level (or you scaled by 255): x + u must stay in [x, x + 1)."


def is_uniform(answer, fresh: Fresh) -> str | None:
    u = noise_of(answer, fresh)
    if abs(u.mean() - 0.5) > 0.06 or abs(u.std() - 12**-0.5) > 0.05:
        return (
            f"Within its grey level your noise has the mean {u.mean():.2f} and the deviation {u.std():.2f}; "
            "uniform noise over the whole level is meant."
        )


def is_of_each_pixel(answer, fresh: Fresh) -> str | None:
    (images,) = bytes_of(fresh)
    if torch.equal(answer(images), answer(images)):
        return "Two calls give the same noise: draw it anew at every call, without a seed of your own."
    u = noise_of(answer, fresh)
    if u.std(1).mean() < 0.1:
        return "All pixels of an image get the same noise: each needs a draw of its own."
    if u.std(0).mean() < 0.1:
        return "All images get the same noise: each needs a draw of its own."


dequantise = Check(
    reference=lambda images: (images + torch.rand(images.shape)) / 256,
    draw=bytes_of,
    returns="a float32 tensor of the shape of the images, in [0, 1]",
    laws={
        "stays in its grey level": stays_in_its_cube,
        "a draw for each pixel": is_of_each_pixel,
        "uniform": is_uniform,
    },
    random=True,
)


def points(fresh: Fresh) -> tuple:
    count, images, dimensions = fresh.sizes((50, 80), IMAGES, (3, 9))
    return fresh.normal(count, dimensions), fresh.normal(images, dimensions), fresh.number(0.5, 0.9)


def far_points(fresh: Fresh) -> tuple:
    samples, images, _ = points(fresh)
    return samples, images, 0.02


def half_distances(samples, images, h):
    """‖x − s‖² / 2h², (images, samples)."""
    return (images[:, None] - samples).square().sum(2) / (2 * h**2)


def constant(samples, h):
    return 0.5 * samples.shape[1] * math.log(2 * math.pi * h**2)


parzen = Check(
    reference=lambda samples, images, h: (
        (-half_distances(samples, images, h)).logsumexp(1) - math.log(len(samples)) - constant(samples, h)
    ),
    draw=points,
    extremes=far_points,
    returns="a tensor (images,), log-densities",
    terms={
        "The constant of the Gaussian": lambda samples, images, h: -constant(samples, h) + 0 * images[:, 0],
        "The logarithm of the number of windows": lambda samples, images, h: (
            -math.log(len(samples)) + 0 * images[:, 0]
        ),
    },
    mistakes={
        "The constant of the Gaussian window is missing: without it "
        "nothing integrates to 1.": lambda samples, images, h: (
            (-half_distances(samples, images, h)).logsumexp(1) - math.log(len(samples))
        ),
        "You took the constant of a Gaussian in one dimension; every dimension has one.": lambda samples, images, h: (
            (-half_distances(samples, images, h)).logsumexp(1)
            - math.log(len(samples))
            - 0.5 * math.log(2 * math.pi * h**2)
        ),
        "You summed over the windows where the mean is meant: their number is missing.": lambda samples, images, h: (
            (-half_distances(samples, images, h)).logsumexp(1) - constant(samples, h)
        ),
        "You took the mean of the logarithms; the logarithm of the mean density is meant.": lambda samples, images, h: (
            -half_distances(samples, images, h).mean(1) - constant(samples, h)
        ),
        "You averaged over the images; the mean is over the samples, with one number an image.": lambda samples,
        images, h: (
            (-half_distances(samples, images, h)).logsumexp(0) - math.log(len(images)) - constant(samples, h)
        ),
        "You took h for the variance of the window; it is the standard deviation.": lambda samples, images, h: (
            (-half_distances(samples, images, math.sqrt(h))).logsumexp(1)
            - math.log(len(samples))
            - constant(samples, math.sqrt(h))
        ),
        "In the constant you took h for the variance of the window; it is the standard deviation.": (
            lambda samples, images, h: (
                (-half_distances(samples, images, h)).logsumexp(1)
                - math.log(len(samples))
                - constant(samples, math.sqrt(h))
            )
        ),
        "The ½ in the exponent of the window is missing.": lambda samples, images, h: (
            (-2 * half_distances(samples, images, h)).logsumexp(1) - math.log(len(samples)) - constant(samples, h)
        ),
        "The distance in the exponent of the window is not squared.": lambda samples, images, h: (
            (-torch.cdist(images, samples) / (2 * h**2)).logsumexp(1) - math.log(len(samples)) - constant(samples, h)
        ),
        "You divided by the number of images; the mean is over the windows, one on each sample.": (
            lambda samples, images, h: (
                (-half_distances(samples, images, h)).logsumexp(1) - math.log(len(images)) - constant(samples, h)
            )
        ),
        "You took the nearest window alone; all of them count.": lambda samples, images, h: (
            -half_distances(samples, images, h).amin(1) - math.log(len(samples)) - constant(samples, h)
        ),
    },
)


def annealed(fresh: Fresh) -> tuple:
    steps, chains = fresh.sizes(CHAINS, IMAGES)
    rises = fresh.uniform(steps, low=0.2)
    temperatures = torch.cat([torch.zeros(1), (rises / rises.sum()).cumsum(0)])
    return fresh.normal(steps, chains, scale=3) - 5, temperatures


log_weight = Check(
    reference=lambda log_likelihoods, temperatures: temperatures.diff() @ log_likelihoods,
    draw=annealed,
    returns="a tensor (chains,), one log-weight a chain",
    mistakes={
        "You weighted every step by its temperature; the difference of two neighbours is "
        "meant.": lambda log_likelihoods,
        temperatures: temperatures[1:] @ log_likelihoods,
        "You took the differences the wrong way round: they go from 0 up to 1.": lambda log_likelihoods, temperatures: (
            -temperatures.diff() @ log_likelihoods
        ),
        "You treated the temperatures as evenly spaced: every step has its own width.": lambda log_likelihoods,
        temperatures: log_likelihoods.mean(0),
        "You took the mean over the steps; a product of factors is a sum of logarithms.": lambda log_likelihoods,
        temperatures: temperatures.diff() @ log_likelihoods / len(log_likelihoods),
        "You forgot the differences of temperature: each factor is raised to one.": lambda log_likelihoods,
        temperatures: log_likelihoods.sum(0),
        "You paired each step with the state after its move: step j is weighed at the state "
        "before.": lambda log_likelihoods,
        temperatures: temperatures.diff()[:-1] @ log_likelihoods[1:],
        "You went through the temperatures backwards: step j belongs to the rise after t_j.": (
            lambda log_likelihoods, temperatures: temperatures.diff().flip(0) @ log_likelihoods
        ),
        "You summed over the chains as well; each has its own weight.": lambda log_likelihoods, temperatures: (
            (temperatures.diff() @ log_likelihoods).sum()
        ),
        "You kept the last step only; the weight gathers all of them.": lambda log_likelihoods, temperatures: (
            temperatures.diff()[-1] * log_likelihoods[-1]
        ),
    },
)


def log_mean(log_weights, axis=0):
    return log_weights.logsumexp(axis) - math.log(log_weights.shape[axis])


def both_ways(fresh: Fresh) -> tuple:
    chains, images = fresh.sizes(CHAINS, IMAGES)
    level = fresh.normal(images, scale=10) - 40
    return level + fresh.normal(chains, images, scale=2), fresh.normal(chains, images, scale=2) - level


def deep(fresh: Fresh) -> tuple:
    forward, backward = both_ways(fresh)
    return forward - 900, backward + 900


bracket = Check(
    reference=lambda forward, backward: (log_mean(forward), -log_mean(backward)),
    draw=both_ways,
    extremes=deep,
    returns="two tensors (images,): the lower and the upper bound",
    mistakes={
        "The upper bound lacks its minus: the backward weights have the mean 1 / p(x).": lambda forward, backward: (
            log_mean(forward),
            log_mean(backward),
        ),
        "You returned the upper bound first; the lower one is meant first.": lambda forward, backward: (
            -log_mean(backward),
            log_mean(forward),
        ),
        "You took the mean of the logarithms: a bound as well, but a looser "
        "one than the log of the mean.": lambda forward,
        backward: (forward.mean(0), -backward.mean(0)),
        "The number of chains is missing: you took the log of a sum where that of a mean is meant.": lambda forward,
        backward: (forward.logsumexp(0), -backward.logsumexp(0)),
        "The upper bound has log K with the wrong sign: −(log Σ − log K) is log K − log Σ.": lambda forward, backward: (
            log_mean(forward),
            -log_mean(backward) - 2 * math.log(len(backward)),
        ),
        "You turned the backward logarithms before you averaged: the mean is that of 1/w, not of w.": lambda forward,
        backward: (log_mean(forward), log_mean(-backward)),
        "You averaged over the images; the mean is over the chains of each image.": lambda forward, backward: (
            log_mean(forward, 1),
            -log_mean(backward, 1),
        ),
        "Both bounds are of the forward chains; the upper one needs the backward ones.": lambda forward, backward: (
            log_mean(forward),
            log_mean(forward),
        ),
    },
)


def models(fresh: Fresh) -> tuple:
    return fresh.normal(fresh.integer(*IMAGES), scale=3), fresh.number(0.6, 0.99)


def extreme_models(fresh: Fresh) -> tuple:
    return torch.tensor([-400.0, 0.0, 400.0, 90.0]), 0.99


def costs_little(answer, fresh: Fresh) -> str | None:
    log_p, share = models(fresh)
    if (answer(log_p, share) < log_p + math.log(1 - share) - 1e-4).any():
        return "The mixture may cost no more than log 1/(1 − share) nats an image, and yours costs more."


snow = Check(
    reference=lambda log_p, share: torch.logaddexp(
        log_p + math.log(1 - share), torch.full_like(log_p, math.log(share))
    ),
    draw=models,
    extremes=extreme_models,
    returns="a tensor (images,), log-densities",
    mistakes={
        "You mixed the logarithms; it is the densities that are mixed.": lambda log_p, share: (1 - share) * log_p,
        "The shares are exchanged: `share` is the snow's.": lambda log_p, share: torch.logaddexp(
            log_p + math.log(share), torch.full_like(log_p, math.log(1 - share))
        ),
        "The shares are missing: a sum of two densities has the mass 2.": lambda log_p, share: torch.logaddexp(
            log_p, torch.zeros_like(log_p)
        ),
        "You left the snow out: this is only the lower bound of the mixture.": lambda log_p, share: (
            log_p + math.log(1 - share)
        ),
        "You took the larger of the two terms; both count.": lambda log_p, share: torch.maximum(
            log_p + math.log(1 - share), torch.full_like(log_p, math.log(share))
        ),
        "Only the snow's term has its share; the model's needs the rest.": lambda log_p, share: torch.logaddexp(
            log_p, torch.full_like(log_p, math.log(share))
        ),
        "You added the snow's share to the logarithm, not its density to the density.": lambda log_p, share: (
            log_p + math.log(1 - share) + share
        ),
    },
    gradients=("log_p",),
    laws={"costs at most log 1/(1 − share)": costs_little},
)


def landscape(fresh: Fresh) -> tuple:
    chains, latents = fresh.sizes(IMAGES, DIMENSIONS)
    stiffness = fresh.number(0.5, 1.5)
    slope = lambda z: stiffness * z + 0.3 * z**3
    z, m = fresh.normal(chains, latents), fresh.normal(chains, latents)
    return slope, z, m, fresh.number(0.1, 0.2), fresh.integer(4, 7)


def roll(slope, z, m, size, steps, first=0.5, last=0.5, sign=-1.0):
    m = m + sign * first * size * slope(z)
    for step in range(steps):
        z = z + size * m
        m = m + sign * (size if step < steps - 1 else last * size) * slope(z)
    return z, m


def euler(slope, z, m, size, steps):
    for _ in range(steps):
        z, m = z + size * m, m - size * slope(z)
    return z, m


def returns_home(answer, fresh: Fresh) -> str | None:
    slope, z, m, size, steps = landscape(fresh)
    there = answer(slope, z, m, size, steps)
    back = answer(slope, there[0], -there[1], size, steps)
    if (back[0] - z).abs().max() > 1e-3:
        return "Rolled back with its momentum turned round, a chain does not come home: the moves are not reversible."


leapfrog = Check(
    reference=roll,
    draw=landscape,
    returns="two tensors (chains, latents): the new z and the new m",
    mistakes={
        "The force has the wrong sign: a ball rolls down the slope.": lambda slope, z, m, size, steps: roll(
            slope, z, m, size, steps, sign=1.0
        ),
        "The first step of the momentum must be half as long as the later ones.": lambda slope, z, m, size, steps: roll(
            slope, z, m, size, steps, first=1.0
        ),
        "The last step of the momentum must be half as long: it closes what the first one opened.": lambda slope, z, m,
        size, steps: roll(slope, z, m, size, steps, last=1.0),
        "You used the position before its step for the momentum: this is Euler's rule, and gains energy.": euler,
        "The momentum takes whole steps only: halve its first, and add "
        "a half one at the end.": lambda slope, z, m, size,
        steps: roll(slope, z, m, size, steps, first=1.0, last=0.0),
        "The half step of the momentum at the end is missing.": lambda slope, z, m, size, steps: roll(
            slope, z, m, size, steps, last=0.0
        ),
        "You made one step too few: `steps` counts the steps of the position.": lambda slope, z, m, size, steps: roll(
            slope, z, m, size, steps - 1
        ),
        "You made one step too many: `steps` counts the steps of the position.": lambda slope, z, m, size, steps: roll(
            slope, z, m, size, steps + 1
        ),
        "The momentum is turned at the end, which no one asked for here.": lambda slope, z, m, size, steps: (
            (found := roll(slope, z, m, size, steps))[0],
            -found[1],
        ),
    },
    laws={"comes home when rolled back": returns_home},
)
