"""What is drawn for each student's sheet of the exercises on samples."""

from numpy.random import Generator


def line(rng: Generator) -> tuple[dict, dict]:
    """Means and deviations of two sets on a line; the two parts of their distance, and the whole."""
    mu_r, mu_g = (float(m) / 10 for m in rng.choice(range(-20, 21), 2, replace=False))
    sigma_r, sigma_g = (float(s) / 10 for s in rng.choice(range(3, 26), 2, replace=False))
    shift, spread = (mu_r - mu_g) ** 2, (sigma_r - sigma_g) ** 2
    numbers = {"mu_r": mu_r, "sigma_r": sigma_r, "mu_g": mu_g, "sigma_g": sigma_g}
    return numbers, {"shift": round(shift, 2), "spread": round(spread, 2), "distance": round(shift + spread, 2)}
