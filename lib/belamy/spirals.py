"""The known density: two noisy arms of a spiral, on which every family of the book is tried.

Chapter *What is a generative model?* derives it. The arms do not touch, so that no conventional shape fits,
and the law can be written down: what a model lacks is a mean over held-out points and no matter of taste.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from belamy._checks import MAX_SEED, real_number, whole_number
from belamy.errors import InputError
from belamy.metrics import energy_distance

if TYPE_CHECKING:
    import pandas as pd

MIME = "application/vnd.belamy.families+json"
REACH = 0.3  # of the noise about the arms
SIDE = 3.5  # all points lie in [-SIDE, SIDE]^2
PICTURED = 400  # of the drawn points, in a row
TEST_SEED = 2**31 - 1  # of the held-out points, the same for all families
BOUNDS = ("exact", "lower bound", "none")  # what a log-likelihood is


def arm(z: Tensor) -> Tensor:
    """The bare spirals, z in [-1, 1] to a point on one of two arms, (N,) -> (N, 2)."""
    r = torch.sqrt(0.25 + 8.75 * z.abs())  # about evenly along the arm, from 0.5 to 3
    turns = torch.stack([torch.cos(math.pi / 2 * r), torch.sin(math.pi / 2 * r)], 1)
    return (z.sign() * r)[:, None] * turns


curve = arm((torch.arange(4000) + 0.5) / 2000 - 1)  # (4000, 2): pieces of equal probability, first arm first


def spirals(n: int, seed: int, reach: float = REACH) -> Tensor:
    """Draw points of the noisy spirals, (n, 2).

    At distance r from a point of an arm the noise has the density 3 / (pi R^2) (1 - r^2 / R^2)^2, R the reach.

    Raises:
        InputError: no point, a seed that is none, or a reach below 0.
    """
    n, seed = whole_number("n", n, 1), whole_number("seed", seed, 0, MAX_SEED - 1)
    reach = real_number("reach", reach, 0)
    rng = torch.Generator().manual_seed(seed)
    z, u = 2 * torch.rand(n, generator=rng) - 1, torch.rand(2, n, generator=rng)
    distance, angle = reach * torch.sqrt(1 - u[0] ** (1 / 3)), 2 * math.pi * u[1]
    return arm(z) + distance[:, None] * torch.stack([angle.cos(), angle.sin()], 1)


def log_spirals(x: Tensor) -> Tensor:
    """The true log-density of the noisy spirals, (N, 2) -> (N,); minus infinity off the arms.

    The latent z is integrated out by a sum over the 4,000 points of ``curve``.

    Raises:
        InputError: not (N, 2), or no floating-point numbers.
    """
    _check_points("x", x)
    middle, parts = curve.to(x), []
    for part in x.split(2000):
        inside = (1 - torch.cdist(part, middle).square() / REACH**2).clamp(min=0)
        parts.append((3 / (math.pi * REACH**2) * inside.square()).mean(1).log())
    return torch.cat(parts)


def off_arms(x: Tensor) -> float:
    """The share of points (N, 2) where the true density is zero, in [0, 1]."""
    _check_points("x", x)
    return (torch.cdist(x, curve.to(x)).amin(1) > REACH).double().mean().item()


def cell_sampler(log_density: Callable[[Tensor], Tensor], cells: int) -> Callable[[int], Tensor]:
    """What draws from a density that is constant on cells x cells squares: n -> (n, 2).

    Args:
        log_density: (N, 2) -> (N,), asked at the middle of each square of [-SIDE, SIDE]^2.

    Raises:
        InputError: no cell.
    """
    cells = whole_number("cells", cells, 1)
    middle = 2 * SIDE * ((torch.arange(cells) + 0.5) / cells - 0.5)
    middles = torch.cartesian_prod(middle, middle)
    mass = torch.as_tensor(log_density(middles)).double().softmax(0)

    def sample(n: int) -> Tensor:
        within = torch.rand(n, 2) - 0.5
        return middles[torch.multinomial(mass, n, replacement=True)] + 2 * SIDE / cells * within

    return sample


@torch.no_grad()
def judge(
    family: str,
    sample: Callable[[int], Tensor],
    log_density: Callable[[Tensor], Tensor] | None = None,
    *,
    seed: int,
    seconds: float,
    parameters: int,
    bound: str = "exact",
    points: int = 3000,
) -> dict[str, Any]:
    """Put one trained model to the test that all families of the book take.

    Args:
        family: what it is; runs of one name are one family.
        sample: n -> (n, 2), from torch's global generator, which is seeded for it and put back.
        log_density: (N, 2) -> (N,) in nats; None if the model has none.
        seed: of the training, one row for each.
        seconds: of a processor, that the training took.
        parameters: how many numbers were learnt.
        bound: "exact", or "lower bound" if ``log_density`` gives one; without ``log_density`` it is "none".
        points: held-out ones; a third fewer are drawn.

    Returns:
        A row for ``Contest``: the mean log-likelihood of held-out points and the divergence from the truth
        ``KL(data || model)``, nats (missing without a density); the share of samples off the arms; the energy
        distance of samples and held-out points; what a sample and a log-density cost, in microseconds of a
        processor; and 400 of the samples as text, ``"0.51,-1.20 ..."``, for a picture.

    Raises:
        InputError: an argument cannot be used, or the model gives points or densities of another shape.
    """
    points, parameters = whole_number("points", points, 30), whole_number("parameters", parameters, 0)
    seconds = real_number("seconds", seconds, 0)
    if bound not in BOUNDS[:2]:
        raise InputError(f"bound={bound!r}: expected 'exact' or 'lower bound'")
    held_out = spirals(points, TEST_SEED)
    count = points * 2 // 3
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(whole_number("seed", seed, 0, MAX_SEED - 1))
        began = time.process_time()
        drawn = sample(count)
        sample_cost = (time.process_time() - began) / count
    _check_points("sample(n)", drawn, count)
    row = {
        "family": family,
        "seed": seed,
        "bound": "none",
        "log-likelihood": None,
        "KL": None,
        "off the arms": off_arms(drawn.float()),
        "energy distance": energy_distance(held_out[:count], drawn.float()),
        "parameters": parameters,
        "training, s": seconds,
        "a sample, µs": 1e6 * sample_cost,
        "a density, µs": None,
        "drawn": " ".join(f"{x:.2f},{y:.2f}" for x, y in drawn[:PICTURED].tolist()),
    }
    if log_density is not None:
        began = time.process_time()
        score = torch.as_tensor(log_density(held_out))
        row["a density, µs"] = 1e6 * (time.process_time() - began) / points
        if score.shape != (points,):
            raise InputError(f"log_density gave {tuple(score.shape)} for {points} points: expected ({points},)")
        row["bound"] = bound
        row["log-likelihood"] = score.double().mean().item()
        row["KL"] = (log_spirals(held_out).double() - score.double()).mean().item()
    return row


class Contest:
    """A page's rows of the comparison of all families: shown as a table of means, gathered by the builder.

    Args:
        rows: what ``judge`` returned, a row for each training.

    Raises:
        InputError: no rows, or one that did not come from ``judge``.
    """

    SHOWN = ("log-likelihood", "KL", "off the arms", "energy distance", "parameters", "training, s")

    def __init__(self, rows: Iterable[dict[str, Any]]) -> None:
        self.rows = list(rows)
        if not self.rows:
            raise InputError("a Contest of no rows: give those that `judge` returned")
        for row in self.rows:
            if not isinstance(row, dict) or not {"family", "seed", "KL", *self.SHOWN} <= row.keys():
                raise InputError(f"{row!r} is no row of `judge`")

    def frame(self) -> pd.DataFrame:
        """A row for each training, without the points."""
        import pandas as pd

        return pd.DataFrame(self.rows).drop(columns="drawn", errors="ignore")

    def table(self) -> pd.DataFrame:
        """The means over the trainings of each family, typeset."""
        from belamy import plots

        means = self.frame().astype({name: float for name in self.SHOWN}).groupby("family", sort=False)
        shown = means[list(self.SHOWN)].mean().round({"parameters": 0})
        digits = {"log-likelihood": 3, "KL": 3, "off the arms": 3, "energy distance": 4, "parameters": 0}
        return plots.table(shown, {**digits, "training, s": 0})

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        table = self.table()
        return {MIME: self.rows, "text/html": table.to_html(), "text/plain": table.to_string()}


def _check_points(name: str, x: Tensor, count: int | None = None) -> None:
    expected = f"({'N' if count is None else count}, 2)"
    if not isinstance(x, Tensor) or not x.is_floating_point() or x.ndim != 2 or x.shape[1] != 2:
        found = f"{tuple(x.shape)}, {x.dtype}" if isinstance(x, Tensor) else type(x).__name__
        raise InputError(f"{name}: got {found}; expected points {expected} of floating-point numbers")
    if count is not None and len(x) != count:
        raise InputError(f"{name}: got {len(x)} points; expected {expected}")
