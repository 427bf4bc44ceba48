"""What a check says of an answer, and the numbers that it says it of: what they are, how they differ, and why."""

import copy
import itertools
import math
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from belamy.check import Check

HERE = Path(__file__).parent
REDUCERS = {"sum": torch.sum, "mean": torch.mean, "largest": torch.amax}
FACTORS = {  # that have a name
    0.5: "a factor ½ too many, or a 2 that is missing",
    2.0: "a factor ½ is missing, or there is a 2 too many",
    1 / math.log(2): "bits, where nats are meant: take the natural logarithm",
    math.log(2): "nats, where bits are meant",
    math.log10(2): "you took the logarithm to base 10, not to base 2",
    1 / math.log(10): "you took the logarithm to base 10, not the natural one",
}


def kind(value: object) -> str:
    """What a value is, for the reader: 'a torch tensor', 'a numpy array', 'a list', …"""
    if value is None:
        return "nothing"
    if type(value) is Tensor:
        return "a torch tensor"
    if type(value) is nn.Parameter:
        return "a parameter"
    if isinstance(value, np.ndarray | np.generic):
        return "a numpy array" if isinstance(value, np.ndarray) else "a numpy number"
    article = "an" if type(value).__name__[0].lower() in "aeio" else "a"
    return f"{article} {type(value).__name__}"


def remedy(one: object, right: object) -> str:
    if type(right) is Tensor and isinstance(one, np.ndarray | np.generic):
        return " Stay with torch: numpy ends the gradient."
    if type(right) is Tensor and isinstance(one, int | float):
        return " Leave `.item()` and `float(…)` away: they end the gradient."
    if type(right) in (int, float) and isinstance(one, Tensor | np.generic):
        return f" `{type(right).__name__}(…)` turns it into a plain number."
    return ""


def plain(number: float, more: int = 0) -> str:
    """A measured number as a reader says it: 64.0, 0.500, −3.21; with so many digits more."""
    size = abs(number)
    if size and not 1e-3 <= size < 1e5:
        text = f"{number:.{2 + more}e}"
    else:
        text = f"{number:.{(3 if size < 1 else 2 if size < 10 else 1) + more}f}"
    return text.replace("-", "−")


def beside(one: float, right: float) -> str:
    """'−10.82 where −10.84 is right': with so many digits that they differ."""
    more = next((n for n in range(9) if plain(one, n) != plain(right, n)), 0)
    return f"{plain(one, more)} where {plain(right, more)} is right"


def name_of(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def place(error: Exception) -> str:
    """' (at `…`)': the line at which the reader's function stopped."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).parent != HERE and "site-packages" not in frame.filename]
    return f" (at `{own[-1].line}`)" if own and own[-1].line else ""


def holds(reason: str | None) -> bool:
    """Whether there is a reason, and it holds in all draws alike."""
    return reason is not None and "in the first" not in reason


def example(yours: list, right: list, check: "Check") -> str:
    """'In one draw yours is −3.21 where 5.43 is right': the first number that differs."""
    for one, other in zip(yours, right):
        for a, b in zip(leaves(one), leaves(other)):
            a, b = numbers(a).flatten(), numbers(b).flatten()
            if a.shape != b.shape or check.close(a, b):
                continue
            apart = ~torch.isclose(a, b, rtol=check.rtol, atol=check.atol)
            odd = apart & ~a.isfinite()
            first = int((odd if odd.any() else apart).nonzero()[0]) if apart.any() else 0
            share = f" {int(apart.sum())} of {len(a)} numbers differ." if 0 < int(apart.sum()) < len(a) else ""
            values = beside(a[first].item(), b[first].item())
            ratio = constant(a / b, check.rtol * 10) if not share else None
            ratio = ratio if ratio and abs(ratio) > 1e-9 else None
            whole = ratio and min(abs(n - round(n)) for n in (ratio, 1 / ratio)) < 1e-3
            telling = len(a) > 1 or whole
            if ratio and telling and abs(abs(ratio) - 1) > 1e-3:
                return f"In one draw yours is {plain(ratio)} times the right value: {values}."
            return f"In one draw yours is {values}.{share}"
    return ""


def apart_near_zero(mine: Tensor, its: Tensor, argument: object, check: "Check") -> str | None:
    """A sentence if two gradients differ only where the argument is close to 0."""
    if not is_real(argument) or argument.numel() != len(mine):
        return None
    apart = ~torch.isclose(mine, its, rtol=check.rtol, atol=check.atol)
    if apart.all() or not apart.any() or (size := argument.flatten()[apart].abs().max().item()) > 0.3:
        return None
    return (
        f"It is off only near 0, up to {plain(size)}: `clamp`, or a number put in place of the argument, has no "
        "gradient there, and `torch.where` differentiates the branch it does not take as well, so put a harmless "
        "value into that one first."
    )


def factor(ratios: list[float], draws: list[tuple], than: str, single: bool) -> str | None:
    """A sentence about constant ratios, one a draw; None where they are 1, or say nothing.

    They say nothing if they differ and each is that of a `single` number.
    """
    first, steady = ratios[0], constant(torch.tensor(ratios), 1e-3) is not None
    if all(abs(ratio - 1) < 1e-3 for ratio in ratios):
        return None
    if all(abs(ratio) < 1e-9 for ratio in ratios):
        return "Yours is always 0."
    if all(abs(ratio + 1) < 1e-3 for ratio in ratios):
        return f"The sign is turned: yours is minus {than}."
    yours = f"yours is {plain(first)} times {than}"
    for count, words in sizes(draws):
        if all(abs(ratio / n - 1) < 1e-3 for ratio, n in zip(ratios, count)):
            return f"You summed over {words} where the mean is meant: {yours}."
        if all(abs(ratio * n - 1) < 1e-3 for ratio, n in zip(ratios, count)):
            return f"You took the mean over {words} where the sum is meant: {yours}."
    for word, other, counts in (("summed", "mean", ratios), ("took the mean", "sum", [1 / ratio for ratio in ratios])):
        if all(1.5 < n < 1e6 and abs(n - round(n)) < 1e-3 for n in counts) and not steady:
            return f"You {word} where the {other} is meant: {yours}."
    if not steady:
        return None if single else f"A factor is wrong, and not the same in every draw: in the first, {yours}."
    for value, words in FACTORS.items():
        if abs(abs(first) / value - 1) < 1e-3:
            turned = "the sign is turned, and " if first < 0 else ""
            return f"{yours[0].upper()}{yours[1:]}: {turned}{words}."
    return f"{yours[0].upper()}{yours[1:]}."


def sizes(draws: list[tuple]) -> Iterator[tuple[list[int], str]]:
    """Counts by which a sum and a mean differ: of examples, of the numbers of one, of all; a draw's each."""
    tensors = [[v for v in draw if isinstance(v, Tensor) and v.ndim] for draw in draws]
    if not all(tensors) or len({len(t) for t in tensors}) > 1:
        return
    for several in zip(*tensors):
        shapes = [tuple(t.shape) for t in several]
        yield [s[0] for s in shapes], "the examples of the batch"
        if min(map(len, shapes)) > 1:
            yield [math.prod(s[1:]) for s in shapes], "the numbers of an example"
            yield [math.prod(s) for s in shapes], "all numbers of the batch"
            yield [s[-1] for s in shapes], "the last axis"


def reduced(one: Tensor, right: Tensor) -> str | None:
    """A sentence if the answer is the right one, summed or averaged over some of its axes."""
    for count in range(1, right.ndim + 1):
        for axes in itertools.combinations(range(right.ndim), count):
            for word, reduce in REDUCERS.items():
                whole = reduce(right.detach().double(), dim=axes)
                if whole.shape == one.shape and torch.allclose(one.detach().double(), whole, rtol=1e-3):
                    over = "all axes" if count == right.ndim > 1 else "the batch" if axes == (0,) else f"axis {axes}"
                    return f"You took the {word} over {over}, which is not asked for."
    return None


def unreduced(one: Tensor, right: Tensor) -> str | None:
    """A sentence if the right answer is this one, summed or averaged over one of its axes."""
    for axis in range(one.ndim) if one.is_floating_point() else ():
        for word, reduce in REDUCERS.items():
            whole = reduce(one.detach().double(), dim=axis)
            if whole.shape == right.shape and torch.allclose(whole, right.detach().double(), rtol=1e-3):
                over = "last axis" if axis == one.ndim - 1 > 0 else "batch" if axis == 0 else f"axis {axis}"
                return f"The {word} over the {over} is missing."
    return None


def exchanged(one: Tensor, right: Tensor) -> str | None:
    """A sentence if the answer is the right one but for the order of its axes."""
    for order in itertools.permutations(range(one.ndim)):
        turned = one.detach().permute(order)
        if turned.shape == right.shape and torch.allclose(turned.double(), right.detach().double(), rtol=1e-3):
            return "The numbers are right, but axes have changed places: permute or transpose them."
    return None


def reordered(yours: list, right: list) -> str | None:
    """A sentence if the answer has the right numbers in another order."""
    for one, other in zip(yours, right):
        for a, b in zip(leaves(one), leaves(other)):
            if not torch.allclose(numbers(a).flatten().sort().values, numbers(b).flatten().sort().values, rtol=1e-4):
                return None
    return "Your numbers are the right ones, in another order: look at what is sorted, turned or counted backwards."


# --- numbers -------------------------------------------------------------------------------------


def leaves(value: object) -> list:
    """The tensors and numbers in a value, those of a dict by sorted key."""
    if isinstance(value, Mapping):
        return [leaf for key in sorted(value) for leaf in leaves(value[key])]
    if isinstance(value, tuple | list):
        return [leaf for part in value for leaf in leaves(part)]
    return [value]


def numbers(value: object, keep: bool = False) -> Tensor:
    """A leaf as float64, without its graph unless `keep`."""
    tensor = value if isinstance(value, Tensor) else torch.tensor(float(value))
    return tensor.double() if keep else tensor.detach().double()


def constant(values: Tensor, rtol: float) -> float | None:
    """The value that all have within `rtol`, or None."""
    values = values[~values.isnan()]  # 0 / 0
    if not len(values) or not values.isfinite().all():
        return None
    middle = values.median().item()
    return middle if (values - middle).abs().max().item() <= rtol * max(abs(middle), 1e-6) else None


def copied(value):
    """A value that may be changed without harm: tensors detached and cloned, modules copied."""
    if isinstance(value, tuple):
        return tuple(copied(part) for part in value)
    if type(value) is Tensor:
        return value.detach().clone()
    return copy.deepcopy(value)


def replaced(draw: tuple, place_: int, function: Callable) -> tuple:
    return (*draw[:place_], function(draw[place_]), *draw[place_ + 1 :])


def swapped(draw: tuple, one: int, other: int) -> tuple:
    found = list(draw)
    found[one], found[other] = draw[other], draw[one]
    return tuple(found)


def is_real(value: object) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def finite(draw: tuple) -> bool:
    """Whether all tensors among the arguments hold numbers, and neither NaN nor infinity."""
    return all(bool(leaf.isfinite().all()) for leaf in leaves(draw) if isinstance(leaf, Tensor))


def ends(values: Tensor) -> str:
    return f"{plain(values.min().item())} to {plain(values.max().item())}"


def frozen(module: nn.Module) -> bool:
    return not all(parameter.requires_grad for parameter in module.parameters())


def same_tensor(one: object, other: object) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.shape == other.shape and torch.equal(one.detach().nan_to_num(), other.detach().nan_to_num())
    return type(one) is type(other) and (one == other or one != one)
