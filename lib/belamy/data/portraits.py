"""Painted portraits: a procedural painter in the manner of the old masters, with known factors.

`paint` turns numbers into pictures; `portraits` draws the numbers and returns an `ImageSet`.
Each factor lies in [-1, 1] and is visible at every size:

| factor | -1 | 1 |
| --- | --- | --- |
| yaw | head turned to the picture's left, 34 degrees | to its right |
| tilt | head leaned to the picture's left, 14 degrees | to its right |
| light | lamp at the left, 70 degrees | at the right |
| closeness | small in the frame (face 34 % of the height) | large (42 %) |
| face_width | narrow | broad |
| skin_tone | pale | deep brown |
| hair_tone | black | through brown and blond to silver |
| hair_length | cropped | down to the breast |
| clothing_hue | crimson | through ochre and green to ultramarine |
| clothing_tone | nearly black | light |
| background_hue | red umber | through olive to slate |
| background_tone | dark | middle grey |

Everything else about a sitter (sex, age, features, hair style, beard, hat, collar, kind of ground,
brush marks) is nuisance: constant with `nuisance="fixed"`, where the picture is a smooth function
of the factors alone, and drawn for each sitter with `nuisance="random"`.
"""

import numbers
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import repeat

import torch
from torch import Tensor

from belamy._checks import MAX_SEED, whole_number
from belamy.data.image_set import ImageSet
from belamy.data.painter.easel import picture
from belamy.data.painter.sitter import FACTORS, draw_factors, draw_nuisance
from belamy.errors import InputError

__all__ = ["FACTORS", "paint", "portraits"]

SIZES = (16, 256)
PIXELS_AT_ONCE = 2**16  # keeps each intermediate field within a core's cache
MOST_SITTERS = 10**6  # all before the one asked for are drawn, too
MODEL = (7, 18)  # seed and number of the sitter of nuisance="fixed"


def paint(
    factors: Tensor,
    size: int = 64,
    *,
    nuisance: str = "fixed",
    seed: int = 0,
    sitter: int | Sequence[int] | None = None,
) -> Tensor:
    """Paint one portrait per row of factors; differentiable in them.

    Args:
        factors: float (N, len(FACTORS)), finite; meant for [-1, 1], the range the painter knows.
        size: side of the square pictures in pixels, 16 to 256.
        nuisance: "fixed" (one model sits for all rows) or "random" (row i shows sitter i).
        seed: which family of sitters, when nuisance is "random".
        sitter: with "random", the number of the sitter for all rows, or one number for each row:
            hold it and move yaw, tilt or light to animate.

    Returns:
        float32 (N, 3, size, size) in [0, 1].

    Raises:
        InputError: a shape, size, seed, sitter or nuisance that cannot be used; NaN among factors.
    """
    size, seed = _check(size, seed, nuisance)
    if not isinstance(factors, Tensor) or factors.ndim != 2 or factors.shape[1] != len(FACTORS):
        found = tuple(factors.shape) if isinstance(factors, Tensor) else type(factors).__name__
        raise InputError(f"factors must be a tensor (N, {len(FACTORS)}), as FACTORS; got {found}.")
    if len(factors) == 0 or factors.is_complex() or not factors.isfinite().all():
        raise InputError("factors must be one row or more of finite real numbers, meant for [-1, 1].")
    draws = _nuisance(len(factors), nuisance, seed, sitter)
    rows = max(1, PIXELS_AT_ONCE // size**2)
    parts = zip(factors.float().split(rows), draws.split(rows), strict=True)
    return torch.cat([picture(f, d, size) for f, d in parts])


def portraits(
    n: int,
    size: int = 64,
    seed: int = 0,
    *,
    nuisance: str = "random",
    vary: Sequence[str] = FACTORS,
) -> ImageSet:
    """A set of n painted portraits with their factors.

    Factors named in `vary` are uniform in [-1, 1], the others 0. The pictures depend on the
    arguments alone, and `portraits(10, ...)` are the first ten of `portraits(20, ...)`. With
    nuisance="fixed" the true number of factors is exactly `len(vary)`.

    Args:
        n: how many, at least 1.
        size: side in pixels, 16 to 256.
        seed: draws the factors and, with nuisance="random", the sitters.
        nuisance: "random" or "fixed", see `paint`.
        vary: names from FACTORS; an empty tuple varies the nuisance alone.

    Raises:
        InputError: an argument that cannot be used.
    """
    size, seed = _check(size, seed, nuisance)
    n = whole_number("n", n, 1)
    is_sequence = isinstance(vary, Sequence) and not isinstance(vary, str | bytes)
    unknown = [name for name in vary if name not in FACTORS] if is_sequence else [vary]
    if unknown:
        known = ", ".join(FACTORS)
        raise InputError(f"vary must be a sequence of names from {known}; got {unknown}.")
    factors = draw_factors(n, seed) * torch.tensor([float(name in vary) for name in FACTORS])
    rows = max(1, PIXELS_AT_ONCE // size**2)
    parts = factors.split(rows), _nuisance(n, nuisance, seed).split(rows)
    with _one_thread_each(), ThreadPoolExecutor(os.cpu_count()) as studio:
        images = torch.cat(list(studio.map(_pixels, *parts, repeat(size))))
    name = f"portraits-{nuisance}-{size}-seed{seed}"
    return ImageSet(images=images, name=name, factors=factors, factor_names=FACTORS)


@torch.no_grad()
def _pixels(factors: Tensor, draws: Tensor, size: int) -> Tensor:
    return (picture(factors, draws, size) * 255 + 0.5).to(torch.uint8)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Keep torch from sharing out single operations: whole pictures are what the workers share."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _check(size: int, seed: int, nuisance: str) -> tuple[int, int]:
    if nuisance not in ("fixed", "random"):
        raise InputError(f'nuisance must be "fixed" or "random"; got {nuisance!r}.')
    return whole_number("size", size, *SIZES), whole_number("seed", seed, 0, MAX_SEED - 1)


def _nuisance(
    n: int, nuisance: str, seed: int, sitter: int | Sequence[int] | None = None
) -> Tensor:
    """Nuisance draws (n, DRAWS) of the sitters that rows 0 to n - 1 show."""
    if nuisance == "fixed":
        if sitter is not None:
            raise InputError(
                f'sitter goes with nuisance="random"; with "fixed" one model sits for all rows. '
                f"Leave it out, or ask for random nuisance; got {sitter!r}."
            )
        family, number = MODEL
        return draw_nuisance(number + 1, family)[number:].expand(n, -1)
    if sitter is None:
        return draw_nuisance(n, seed)
    try:
        given = sitter.tolist() if isinstance(sitter, Tensor) else sitter
        each = [given] * n if isinstance(given, numbers.Number) else list(given)
        each = [whole_number("sitter", k, 0, MOST_SITTERS) for k in each]
        if len(each) != n:
            raise InputError(f"{len(each)} for {n} rows")
    except (TypeError, ValueError) as error:  # InputError is a ValueError
        raise InputError(f"sitter must be a number from 0, or {n} such, one a row: {error}") from error
    return draw_nuisance(max(each) + 1, seed)[each]
