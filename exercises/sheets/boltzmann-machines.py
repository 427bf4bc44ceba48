"""What is drawn for each student's sheet of the exercises on Boltzmann machines."""

import math

from numpy.random import Generator


def coins(rng: Generator) -> tuple[dict, dict]:
    """e to the power of either weight; the constant, and how probable agreement is."""
    first, second = (int(odds) for odds in rng.integers(2, 40, 2))
    total = first * second + first + second + 5
    return {"first": first, "second": second}, {"constant": total, "agree": round((first * second + 3) / total, 3)}


def unbiased(rng: Generator) -> tuple[dict, dict]:
    """e to the power of the one weight; a round's second eigenvalue, and the rounds that are enough."""
    odds = int(rng.integers(15, 1000)) / 10
    second = (odds / (1 + odds) - 0.5) ** 2
    return {"odds": odds}, {"second": round(second, 4), "rounds": math.ceil(math.log(0.01) / math.log(second))}
