"""What is drawn for each student's sheet of the exercises on resampling."""

from numpy.random import Generator


def sample(rng: Generator) -> tuple[dict, dict]:
    """A number of examples; how probable one is in a sample, how many different ones, and how often one is twice."""
    n = int(rng.integers(5, 16))
    inside = 1 - (1 - 1 / n) ** n
    twice = n * (n - 1) / 2 * (1 / n) ** 2 * (1 - 1 / n) ** (n - 2)
    return {"n": n}, {"inside": f"{inside:.4f}", "different": f"{n * inside:.2f}", "twice": f"{twice:.4f}"}


def mixture(rng: Generator) -> tuple[dict, dict]:
    """An apparent error, a leave-one-out bootstrap and a chance error; the .632 and the .632+."""
    apparent, one = int(rng.integers(0, 10)) / 100, int(rng.integers(20, 40)) / 100
    chance = int(rng.integers(45, 56)) / 100
    rho = (one - apparent) / (chance - apparent)
    w = 0.632 / (1 - 0.368 * rho)
    return {"apparent": f"{apparent:.2f}", "one": f"{one:.2f}", "chance": f"{chance:.2f}"}, {
        "plain": f"{0.368 * apparent + 0.632 * one:.3f}", "rho": f"{rho:.3f}", "w": f"{w:.3f}",
        "plus": f"{(1 - w) * apparent + w * one:.3f}",
    }  # fmt: skip
