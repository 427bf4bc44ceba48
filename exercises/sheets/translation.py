"""What is drawn for each student's sheet of the exercises on translation."""

from numpy.random import Generator


def coat(rng: Generator) -> tuple[dict, dict]:
    """Shares of red, green and blue coats; what the square, the absolute error and a judge of pairs ask for."""
    red, blue = int(rng.integers(20, 46)), int(rng.integers(15, 46))
    green = 100 - red - blue  # at least 10, so that neither end has half of all
    values = [(0.0, red), (0.4, green), (1.0, blue)]
    mean = sum(v * share for v, share in values) / 100
    below, median = 0, None
    for v, share in values:
        below += share
        if median is None and below >= 50:
            median = v
    square = sum(share * (v - mean) ** 2 for v, share in values) / 100
    absolute = sum(share * abs(v - median) for v, share in values) / 100
    return {"red": f"{red} %", "green": f"{green} %", "blue": f"{blue} %"}, {
        "mean": f"{mean:.3f}", "median": f"{median:g}", "square": f"{square:.4f}", "absolute": f"{absolute:.3f}",
    }  # fmt: skip


def judges(rng: Generator) -> tuple[dict, dict]:
    """A judge's layers: what a score sees, and how many scores a picture gets."""
    layers, side = int(rng.integers(2, 5)), 16 * int(rng.integers(4, 41))
    kernel = int(rng.integers(2, 4)) * 2
    seen, step = 1, 1
    for _ in range(layers):
        seen, step = seen + (kernel - 1) * step, 2 * step
    last = seen + (kernel - 1) * step
    maps = side // step - kernel + 1 + 2 * (kernel // 2 - 1)
    return {"layers": layers, "kernel": kernel, "pad": kernel // 2 - 1, "side": side}, {
        "before": seen, "seen": last, "scores": f"{maps} × {maps}", "step": step,
    }  # fmt: skip
