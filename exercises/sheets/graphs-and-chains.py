"""What is drawn for each student's sheet of the exercises on graphs and chains."""

from numpy.random import Generator


def alarm(rng: Generator) -> tuple[dict, dict]:
    """Probabilities of a burglary and of an earthquake; of a burglary once the alarm goes off."""
    burglary, quake = int(rng.integers(2, 40)) / 100, int(rng.integers(2, 40)) / 100
    either = burglary + quake - burglary * quake
    return {"burglary": burglary, "quake": quake}, {"alarmed": round(burglary / either, 3)}


def worth(rng: Generator) -> tuple[dict, dict]:
    """A network's size and parents; its numbers, the cases that it needs, and until when an arrow does not pay."""
    n, k = int(rng.integers(9, 19)), int(rng.integers(2, 5))
    goal, loss = int(rng.integers(1, 10)) / 100, int(rng.integers(1, 10)) / 1000
    numbers, table = 2**k - 1 + (n - k) * 2**k, 2**n - 1
    key = {"numbers": numbers, "table": f"{table:,}", "cases": f"{numbers / (2 * goal):,.0f}",
           "cases_table": f"{table / (2 * goal):,.0f}", "until": f"{2 ** (k - 1) / (2 * loss):,.0f}"}  # fmt: skip
    return {"n": n, "k": k, "goal": goal, "loss": loss}, key
