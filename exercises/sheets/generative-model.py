"""What is drawn for each student's sheet of the exercises on generative models."""

from numpy.random import Generator


def nearest(rng: Generator) -> tuple[dict, dict]:
    """Two humps, and the mean and variance of their mixture."""
    weight = round(float(rng.integers(3, 8)) / 10, 1)
    left, right = -float(rng.integers(10, 30)) / 10, float(rng.integers(10, 30)) / 10
    narrow, wide = float(rng.integers(4, 8)) / 10, float(rng.integers(9, 14)) / 10
    rest = round(1 - weight, 1)
    mean = weight * left + rest * right
    variance = weight * (left**2 + narrow**2) + rest * (right**2 + wide**2) - mean**2
    numbers = {"weight": weight, "rest": rest, "left": left, "right": right, "narrow": narrow, "wide": wide}
    return numbers, {"mean": round(mean, 3), "variance": round(variance, 3)}
