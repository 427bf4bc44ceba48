"""What is drawn for each student's sheet of the exercises on augmentation."""

import math

from numpy.random import Generator


def share(rng: Generator) -> tuple[dict, dict]:
    """A share, two pixels, and a batch; what they mix to, and the cross entropy of a guess."""
    lam = int(rng.integers(55, 95)) / 100
    a, b = (int(v) / 10 for v in rng.choice(11, 2, replace=False))
    p = int(rng.integers(30, 70)) / 100
    mixed = lam * a + (1 - lam) * b
    loss = -lam * math.log(p) - (1 - lam) * math.log(1 - p)
    least = -lam * math.log(lam) - (1 - lam) * math.log(1 - lam)
    return {"lam": f"{lam:.2f}", "a": f"{a:.1f}", "b": f"{b:.1f}", "p": f"{p:.2f}"}, {
        "mixed": f"{mixed:.3f}", "one": f"{lam:.2f}", "two": f"{1 - lam:.2f}", "loss": f"{loss:.4f}",
        "least": f"{least:.4f}",
    }  # fmt: skip


def points(rng: Generator) -> tuple[dict, dict]:
    """How many lesions of each kind were found, of 53, 64 and 65; the rates and their scatter."""
    of = (53, 64, 65)
    hits = [int(rng.integers(int(0.6 * n), int(0.9 * n))) for n in of]
    each = [hit / n for hit, n in zip(hits, of)]
    mean = sum(each) / 3
    error = math.sqrt(sum(p * (1 - p) / n for p, n in zip(each, of))) / 3
    return {"cysts": hits[0], "metastases": hits[1], "haemangiomas": hits[2]}, {
        "each": ", ".join(f"{100 * p:.1f} %" for p in each), "mean": f"{100 * mean:.1f}", "error": f"{100 * error:.1f}",
        "two": f"{100 * error * math.sqrt(2):.1f}",
    }  # fmt: skip
