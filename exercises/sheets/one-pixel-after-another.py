"""What is drawn for each student's sheet of the exercises on autoregressive models."""

import math

from numpy.random import Generator


def signed(number: float, digits: int = 3) -> str:
    """A number with a proper minus."""
    return f"{number:.{digits}f}".replace("-", "−")


def chain(rng: Generator) -> tuple[dict, dict]:
    """The numbers of a belief net of three pixels; the probability of a picture, its bits, and one more question."""
    b1, b2, b3, a21, a31, a32 = (float(rng.choice([-1, 1]) * rng.integers(2, 21)) / 10 for _ in range(6))
    sigmoid = lambda a: 1 / (1 + math.exp(-a))
    p1, p2, p3 = sigmoid(b1), 1 - sigmoid(b2 + a21), sigmoid(b3 + a31)
    last = sum(
        (p1 if x1 else 1 - p1) * (q if x2 else 1 - q) * sigmoid(b3 + a31 * x1 + a32 * x2)
        for x1 in (0, 1) for x2 in (0, 1) for q in [sigmoid(b2 + a21 * x1)]
    )  # fmt: skip
    p = p1 * p2 * p3
    shown = {name: signed(value, 1) for name, value in
             {"b1": b1, "b2": b2, "b3": b3, "a21": a21, "a31": a31, "a32": a32}.items()}  # fmt: skip
    return shown, {"p1": f"{p1:.3f}", "p2": f"{p2:.3f}", "p3": f"{p3:.3f}", "p": f"{p:.4f}",
                   "bits": f"{-math.log2(p):.2f}", "each": f"{-math.log2(p) / 3:.2f}", "last": f"{last:.3f}"}  # fmt: skip


def fork(rng: Generator) -> tuple[dict, dict]:
    """A first letter of two, and how many letters may follow the first of them; both laws at a temperature of ½."""
    first, many = float(rng.integers(55, 75)) / 100, int(rng.integers(4, 10))
    step = first**2 / (first**2 + (1 - first) ** 2)
    joint = first**2 / many / (first**2 / many + (1 - first) ** 2)
    kl = step * math.log(step / joint) + (1 - step) * math.log((1 - step) / (1 - joint))
    return {"first": f"{first:.2f}", "other": f"{1 - first:.2f}", "many": many}, {
        "step": f"{step:.3f}", "joint": f"{joint:.3f}", "kl": f"{kl:.3f}", "each": f"{first / many:.3f}"
    }  # fmt: skip
