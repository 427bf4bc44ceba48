"""What is drawn for each student's sheet of the exercises on variational autoencoders."""

import math

from numpy.random import Generator


def kl_by_hand(rng: Generator) -> tuple[dict, dict]:
    """Two means and two standard deviations; the price of each dimension and of both, in nats."""
    mu_1, mu_2 = (float(rng.choice([-1, 1]) * rng.integers(4, 20)) / 10 for _ in range(2))
    sigma_1, sigma_2 = (float(rng.integers(2, 9)) / 10 for _ in range(2))
    means = {"mu_1": 0.5 * mu_1**2, "mu_2": 0.5 * mu_2**2}
    spreads = {f"sigma_{j}": 0.5 * (s**2 - 1 - math.log(s**2)) for j, s in ((1, sigma_1), (2, sigma_2))}
    costs = {**means, **spreads}
    if sorted(costs.values())[-1] - sorted(costs.values())[-2] < 0.05:
        return kl_by_hand(rng)  # which costs most must be plain
    numbers = {"mu_1": mu_1, "mu_2": mu_2, "sigma_1": sigma_1, "sigma_2": sigma_2}
    first, second = costs["mu_1"] + costs["sigma_1"], costs["mu_2"] + costs["sigma_2"]
    name, place = max(costs, key=costs.get).split("_")
    key = {"first": round(first, 3), "second": round(second, 3), "total": round(first + second, 3)}
    return numbers, {**key, "dearest": f"$\\{name}_{place}$"}
