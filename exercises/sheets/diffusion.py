"""What is drawn for each student's sheet of the exercises on diffusion."""

import math

from numpy.random import Generator


def signed(number: float, digits: int = 3) -> str:
    """A number with a proper minus."""
    return f"{number:.{digits}f}".replace("-", "−")


def at_once(rng: Generator) -> tuple[dict, dict]:
    """An angle and a picture of one pixel; what is kept, the noise, a mean, a log-density, a ratio."""
    degrees, x = int(rng.integers(4, 15)) * 5, float(rng.integers(3, 18)) / 10
    x_t = float(rng.integers(-12, 13)) / 10
    a, b = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    log_p = -0.5 * math.log(2 * math.pi) - math.log(b) - (x_t - a * x) ** 2 / (2 * b**2)
    shown = {"degrees": degrees, "x": signed(x, 1), "x_t": signed(x_t, 1)}
    return shown, {"a": signed(a), "b": signed(b), "mean": signed(a * x), "log_p": signed(log_p),
                   "snr": signed((a / b) ** 2), "e": signed((x_t - a * x) / b)}  # fmt: skip


def weights(rng: Generator) -> tuple[dict, dict]:
    """Two angles and two errors; the ratios, and what each error costs in nats."""
    s = int(rng.integers(3, 8)) * 5
    t = s + int(rng.integers(2, 6)) * 5
    error = float(rng.integers(2, 10)) / 10
    ratio = lambda degrees: 1 / math.tan(math.radians(degrees)) ** 2
    guess = (1 / math.tan(math.radians(t))) ** -1 * error  # b / a times the error of the noise
    return {"s": s, "t": t, "error": error}, {
        "snr_s": f"{ratio(s):.3f}", "snr_t": f"{ratio(t):.3f}",
        "kl": f"{0.5 * (ratio(s) / ratio(t) - 1) * error**2:.3f}", "guess": f"{guess:.3f}",
    }  # fmt: skip
