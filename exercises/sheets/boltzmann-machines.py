"""What is drawn for each student's sheet of the exercises on Boltzmann machines."""

import math

from numpy.random import Generator


def coins(rng: Generator) -> tuple[dict, dict]:
    """e to the power of both weights; the constant, and how probable agreement is."""
    odds = int(rng.integers(2, 60))
    total = odds**2 + 2 * odds + 5
    return {"odds": odds}, {"constant": total, "agree": round((odds**2 + 3) / total, 3)}


def unbiased(rng: Generator) -> tuple[dict, dict]:
    """e to the power of the one weight; a round's second eigenvalue, and the rounds that are enough."""
    odds = int(rng.integers(2, 100))
    second = (odds / (1 + odds) - 0.5) ** 2
    return {"odds": odds}, {"second": round(second, 4), "rounds": math.ceil(math.log(0.01) / math.log(second))}
