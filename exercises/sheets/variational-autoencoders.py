"""What a student's own sheet on variational autoencoders draws, and its key. For instructors only.

For each exercise with numbers of its own, a function (rng) -> (numbers, key): the numbers that the sheet shows, and
for each function that it asks for the right value with the tolerance within which an answer counts.
"""

import math

import numpy as np
import torch

from belamy.data import portraits


def within(value: float, decimals: int = 4) -> tuple[float, float]:
    """A right value, and how far an answer with so many decimals may lie from it."""
    return value, 10.0**-decimals * max(1.0, abs(value))


def kl_by_hand(rng: np.random.Generator) -> tuple[dict, dict]:
    """A posterior of two independent codes, and its KL divergence from the standard normal prior."""
    mu, sigma = rng.uniform(-2, 2, 2).round(2).tolist(), rng.uniform(0.1, 1.5, 2).round(2).tolist()
    nats = sum((m * m + s * s - 1) / 2 - math.log(s) for m, s in zip(mu, sigma, strict=True))
    numbers = {"mu_1": mu[0], "mu_2": mu[1], "sigma_1": sigma[0], "sigma_2": sigma[1]}
    return numbers, {"kl_in_nats": within(nats)}


def own_density(rng: np.random.Generator) -> tuple[dict, dict]:
    """A linear model of one number, of which likelihood and posterior are known, and a guess at the posterior."""
    w, sigma = round(rng.uniform(0.5, 3), 2), round(rng.uniform(0.2, 1), 2)
    x, m, s = round(rng.uniform(-3, 3), 2), round(rng.uniform(-1, 1), 2), round(rng.uniform(0.2, 1), 2)
    variance = w**2 + sigma**2
    exact = -(math.log(2 * math.pi * variance) + x**2 / variance) / 2
    mean, spread = w * x / variance, sigma / math.sqrt(variance)  # of the true posterior
    gap = math.log(spread / s) + (s**2 + (m - mean) ** 2) / (2 * spread**2) - 1 / 2
    numbers = {"w": w, "sigma": sigma, "x": x, "m": m, "s": s}
    return numbers, {"log_density": within(exact), "elbo": within(exact - gap)}


def own_portraits(rng: np.random.Generator) -> tuple[dict, dict]:
    """Sitters of the student's own, and how much of their variance a linear decoder of k latents can keep."""
    numbers = {"sitters": int(rng.integers(1, 10**6)), "k": int(rng.integers(2, 9))}
    pictures = portraits(100, 16, seed=numbers["sitters"]).images.double().flatten(1) / 255
    variances = torch.linalg.svdvals(pictures - pictures.mean(0)) ** 2
    share = (variances[: numbers["k"]].sum() / variances.sum()).item()
    return numbers, {"share_kept": within(share, 5)}
