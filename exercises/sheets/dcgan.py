"""What is drawn for each student's sheet of the exercises on DCGAN."""

import math

from numpy.random import Generator


def size(rng: Generator) -> tuple[dict, dict]:
    """A kernel and a side; the padding that doubles every side, and the side with it and without."""
    n, kernel = int(rng.integers(5, 65)), int(rng.choice([4, 6, 8, 10]))
    padding = kernel // 2 - 1
    key = {"bare": 2 * (n - 1) + kernel, "padding": padding, "doubled": 2 * n}
    return {"n": n, "kernel": kernel, "odd_kernel": kernel + 1}, key


def shell(rng: Generator) -> tuple[dict, dict]:
    """A latent dimension and a share of the way; the mean squared norms of both paths there."""
    latent_dim, t = int(rng.integers(6, 41)) * 5, float(rng.integers(2, 10)) / 20
    chord = ((1 - t) ** 2 + t**2) * latent_dim
    spread = math.sqrt(2 * latent_dim)
    key = {"chord": round(chord, 1), "spread": round(spread, 1), "away": round((latent_dim - chord) / spread, 1)}
    return {"latent_dim": latent_dim, "t": t}, key
