"""What is drawn for each student's sheet of the exercises on Wasserstein GANs."""

import math

import numpy as np
from numpy.random import Generator


def listed(numbers) -> str:
    """Numbers as a sentence has them: '0.1, 0.4 and 0.5', with a proper minus."""
    *most, last = (f"{number:g}".replace("-", "−") for number in numbers)
    return f"{', '.join(most)} and {last}"


def plan(rng: Generator) -> tuple[dict, dict]:
    """Four places, two lots of mass in tenths; what crosses each gap, the distance, the means and a potential."""
    while True:
        places = np.sort(rng.choice(np.arange(13), 4, replace=False))
        p, q = (rng.multinomial(6, [0.25] * 4) + 1 for _ in range(2))  # tenths, at least one at each place
        surplus = np.cumsum(p - q)[:-1]
        if (surplus > 0).any() and (surplus < 0).any() and (surplus != 0).all():  # both directions, every gap
            break
    gaps = np.diff(places)
    shown = {"places": listed(places), "p": listed(p / 10), "q": listed(q / 10)}
    heights = np.concatenate([[0], np.cumsum(-np.sign(surplus) * gaps)])
    return shown, {
        "crossing": listed(surplus / 10),
        "distance": round(float((np.abs(surplus) * gaps).sum() / 10), 2),
        "means": round(abs(float(((p - q) * places).sum() / 10)), 2),
        "heights": listed(heights),
    }


def excess(rng: Generator) -> tuple[dict, dict]:
    """How far two points lie apart, and a weight; the slope that a penalised critic takes, and what it reports."""
    apart, weight = float(rng.integers(10, 61)) / 5, float(rng.choice([2, 4, 5, 8, 10, 20]))
    slope = 1 + apart / (2 * weight)
    return {"apart": f"{apart:g}", "weight": f"{weight:g}"}, {
        "slope": round(slope, 3),
        "report": round(apart * slope, 2),
        "percent": round(100 * (slope - 1), 1),
    }


def box(rng: Generator) -> tuple[dict, dict]:
    """Widths of a critic's layers and a bound of its weights; its steepest slope, and the bound that makes it 1."""
    pixels = int(rng.choice([64, 256, 784, 1024, 3072]))
    first, second = (int(width) for width in rng.choice([16, 32, 48, 64, 96, 128, 192, 256], 2))
    bound = float(rng.integers(4, 21)) / 1000
    reach = first * second * math.sqrt(pixels)
    key = {"steepest": f"{bound**3 * reach:.3g}", "to_one": f"{reach ** (-1 / 3):.3g}"}
    return {"pixels": pixels, "first": first, "second": second, "bound": bound}, key


def one(rng: Generator) -> tuple[dict, dict]:
    """A coin's probability of heads; the mean distance from a single toss at it, and at the best biased answer."""
    heads = float(rng.integers(520, 960)) / 1000
    key = {"honest": round(2 * heads * (1 - heads), 4), "best": round(1 - heads, 3)}
    return {"heads": heads}, key
