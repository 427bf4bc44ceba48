"""What is drawn for each student's sheet of the exercises on flow matching."""

import math

from numpy.random import Generator


def signed(number: float, digits: int = 3) -> str:
    """A number with a proper minus."""
    return f"{number:.{digits}f}".replace("-", "−")


def crossing(rng: Generator) -> tuple[dict, dict]:
    """Two data points on a line, a time and a place; each line's velocity, its share, and their mean."""
    left, right = -float(rng.integers(6, 21)) / 10, float(rng.integers(6, 21)) / 10
    t, x_t = float(rng.integers(3, 7)) / 10, float(rng.integers(-5, 6)) / 10
    lines = [(x - x_t) / (1 - t) for x in (left, right)]
    weights = [math.exp(-((x_t - t * x) ** 2) / (2 * (1 - t) ** 2)) for x in (left, right)]
    share = weights[1] / sum(weights)
    shown = {"left": signed(left, 1), "right": signed(right, 1), "t": t, "x_t": signed(x_t, 1)}
    return shown, {"v_left": signed(lines[0]), "v_right": signed(lines[1]), "share": signed(share),
                   "v": signed((1 - share) * lines[0] + share * lines[1])}  # fmt: skip


def bell(rng: Generator) -> tuple[dict, dict]:
    """A normal law of data and a latent; the velocity at the start, and where the journey is and ends."""
    m, s = float(rng.integers(5, 26)) / 10, float(rng.integers(2, 9)) / 10
    z = float(rng.choice([-1, 1]) * rng.integers(4, 19)) / 10
    half = m / 2 + math.hypot(0.5, s / 2) * z
    return {"m": m, "s": s, "z": signed(z, 1)}, {
        "start": signed(m - z), "one_step": signed(m), "half": signed(half), "end": signed(m + s * z),
        "chord": signed((m + (1 + s) * z) / 2),
    }  # fmt: skip
