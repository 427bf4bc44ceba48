"""What is drawn for each student's sheet of the exercises on VAE-GAN."""

import math

from numpy.random import Generator


def beard(rng: Generator) -> tuple[dict, dict]:
    """Shares of candle light with and without a beard; what a difference of means then holds of the candle."""
    with_beard, without = (int(share) for share in rng.choice(range(5, 100, 5), 2, replace=False))
    excess = (with_beard - without) / 100
    key = {"candle": f"{excess:.2f}".replace("-", "−"), "angle": round(math.degrees(math.atan(abs(excess))), 1)}
    return {"with_beard": with_beard, "without": without}, key


def ruler(rng: Generator) -> tuple[dict, dict]:
    """A term of likeness and a factor of the features; the term afterwards, and the deviation that it amounts to."""
    term, factor = int(rng.integers(20, 400)), float(rng.choice([0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8]))
    key = {"afterwards": f"{term * factor**2:.4g}", "weight": f"{1 / factor**2:.4g}", "deviation": f"{1 / factor:.4g}"}
    return {"term": term, "factor": factor}, key


def turned(rng: Generator) -> tuple[dict, dict]:
    """An angle of rotation; the squared correlations of one factor with both latents, and its gap in nats."""
    degrees = float(rng.choice([d / 2 for d in range(10, 171) if d != 90]))
    one, other = math.cos(math.radians(degrees)) ** 2, math.sin(math.radians(degrees)) ** 2
    gap = abs(math.log(other / one)) / 2
    return {"degrees": f"{degrees:g}"}, {"one": round(one, 3), "other": round(other, 3), "gap": round(gap, 3)}
