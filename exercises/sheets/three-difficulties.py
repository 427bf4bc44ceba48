"""What is drawn for each student's sheet of the exercises on three difficulties."""

import math

from numpy.random import Generator


def needle(rng: Generator) -> tuple[dict, dict]:
    """A kernel density estimate; the bound of its own points' score, and what half the bandwidth adds."""
    points, dimension = 10 * int(rng.integers(4, 13)), int(rng.integers(2, 7))
    bandwidth = float(rng.integers(2, 10)) / 100
    bound = -math.log(points) - dimension * math.log(bandwidth * math.sqrt(2 * math.pi))
    numbers = {"points": points, "dimension": dimension, "bandwidth": bandwidth}
    return numbers, {"bound": round(bound, 2), "gain": round(dimension * math.log(2), 2)}


def contrast(rng: Generator) -> tuple[dict, dict]:
    """A contrast of distances, and the independent numbers that have it."""
    found = float(rng.integers(800, 2100)) / 10_000
    return {"contrast": found}, {"numbers": round(7 / (20 * found**2), 1)}
