"""What is drawn for each student's sheet of the exercises on flows."""

import math

from numpy.random import Generator
from scipy.stats import norm


def signed(number: float, digits: int = 3) -> str:
    """A number with a proper minus."""
    return f"{number:.{digits}f}".replace("-", "−")


def step(rng: Generator) -> tuple[dict, dict]:
    """A point of the plane and a coupling; where it goes, the log-stretch, and its log-density there."""
    z1, z2 = (float(rng.choice([-1, 1]) * rng.integers(4, 19)) / 10 for _ in range(2))
    slope, curve = float(rng.integers(2, 8)) / 10, float(rng.integers(2, 9)) / 10
    log_scale, shift = slope * z1, curve * z1**2
    x2 = z2 * math.exp(log_scale) + shift
    log_z = -math.log(2 * math.pi) - (z1**2 + z2**2) / 2
    shown = {"z1": signed(z1, 1), "z2": signed(z2, 1), "slope": slope, "curve": curve}
    return shown, {"x2": signed(x2), "log_det": signed(log_scale), "log_p": signed(log_z - log_scale)}


def bridge(rng: Generator) -> tuple[dict, dict]:
    """Two islands, their distance and a slope; the least mass between them, its nats, and the slope for a tenth."""
    gap, steep = float(rng.integers(10, 41)) / 10, float(rng.integers(15, 61)) / 10
    mass = 2 * norm.cdf(gap / (2 * steep)) - 1
    wanted = float(rng.integers(2, 21)) / 1000
    needed = gap / (2 * norm.ppf((1 + wanted) / 2))
    return {"gap": gap, "steep": steep, "wanted": wanted}, {
        "mass": f"{mass:.3f}", "nats": f"{-math.log(1 - mass):.3f}", "needed": f"{needed:.0f}",
    }  # fmt: skip


def probe(rng: Generator) -> tuple[dict, dict]:
    """A matrix of two by two; its trace, the two values of a probe of signs, and the variances."""
    while True:
        a, b, c, d = (int(number) for number in rng.integers(-5, 6, 4))
        if b + c and a + d and b - c:
            break
    minus = lambda number: str(number).replace("-", "−")
    key = {"trace": minus(a + d), "same": minus(a + d + b + c), "other": minus(a + d - b - c),
           "signs": (b + c) ** 2, "normal": 2 * a**2 + 2 * d**2 + (b + c) ** 2}  # fmt: skip
    return {"a": minus(a), "b": minus(b), "c": minus(c), "d": minus(d)}, key
