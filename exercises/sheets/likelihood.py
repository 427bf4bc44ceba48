"""What is drawn for each student's sheet of the exercises on likelihood."""

import math

from numpy.random import Generator


def units(rng: Generator) -> tuple[dict, dict]:
    """Three reports in three units, at least 0.15 bits apart; the bits of each, and the order."""
    nats, wide = int(rng.integers(500, 1500)), int(rng.integers(3200, 4200))
    bits = float(rng.integers(58, 76)) / 10
    found = {"the first": 8 - nats / (784 * math.log(2)), "the second": bits}
    found["the third"] = wide / (784 * math.log(2))
    best = sorted(found, key=found.get)
    if any(found[b] - found[a] < 0.15 for a, b in zip(best, best[1:])):
        return units(rng)  # the order must be plain
    key = {"first": round(found["the first"], 2), "third": round(found["the third"], 2)}
    return {"nats": nats, "bits": bits, "wide": wide}, {**key, "order": ", ".join(best)}


def gap(rng: Generator) -> tuple[dict, dict]:
    """An encoder's factor, latents and an allowed gap; the relative variance, and the draws."""
    a, d, allowed = float(rng.integers(12, 19)) / 10, int(rng.integers(4, 11)), float(rng.integers(1, 9)) / 100
    variance = (a**2 / math.sqrt(2 * a**2 - 1)) ** d - 1
    return {"a": a, "d": d, "allowed": allowed}, {
        "variance": round(variance, 2),
        "draws": math.ceil(variance / (2 * allowed)),
    }
