"""What is drawn for each student's sheet of the exercises on InfoGAN."""

import math

from numpy.random import Generator


def alike(rng: Generator) -> tuple[dict, dict]:
    """How many codes there are and how many of them paint the same picture; the information, in nats."""
    n, m = int(rng.integers(7, 41)), int(rng.integers(2, 7))
    key = {"full": round(math.log(n), 3), "lost": round(m / n * math.log(m), 3)}
    return {"n": n, "m": m}, {**key, "left": round(math.log(n) - m / n * math.log(m), 3)}
