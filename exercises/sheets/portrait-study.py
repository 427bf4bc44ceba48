"""What is drawn for each student's sheet of the exercises on the portrait study."""

import math

from numpy.random import Generator


def scales(rng: Generator) -> tuple[dict, dict]:
    """Three scores; the first on [0, 256), and the bits a value of all three."""
    total, low = float(rng.integers(4000, 13000)) / 10, float(rng.integers(450, 550)) / 100
    high = float(rng.integers(60, 180)) / 100
    numbers = {"total": total, "low": low, "high": high}
    minus = f"−{784 * math.log(256) - total:.0f}"
    key = {"on_bytes": minus, "bits": round(8 - total / (784 * math.log(2)), 2)}
    return numbers, key | {"low_bits": round(low / math.log(2), 2), "high_bits": round(8 - high / math.log(2), 2)}
