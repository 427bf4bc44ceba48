"""Checks of a reader's answers that say why one is wrong; one module for each page of exercises.

A check calls the reader's function with numbers drawn on the spot, beside a reference, and looks at
the type, the shape, the dtype, the values, the gradients and the laws, in this order. When something
differs it looks for the reason: first among the mistakes that are named for this exercise, then whether
a factor, a sign, a logarithm, a sum or an offset explains the difference.
"""

import inspect
import itertools
import math
import random
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from belamy.check._words import (
    REDUCERS,
    apart_near_zero,
    constant,
    copied,
    ends,
    example,
    exchanged,
    factor,
    finite,
    frozen,
    holds,
    is_real,
    kind,
    leaves,
    name_of,
    numbers,
    place,
    plain,
    reduced,
    remedy,
    reordered,
    replaced,
    same_tensor,
    sizes,
    swapped,
    unreduced,
)
from belamy.errors import BelamyError

ROUNDS = 3  # draws of each kind
SHAPES = {  # transformations by which a result is often off
    "the logarithm of the right value": torch.log,
    "the exponential of the right value": torch.exp,
    "the square root of the right value": torch.sqrt,
    "the square of the right value": torch.square,
    "one divided by the right value": torch.reciprocal,
    "one minus the right value": lambda right: 1 - right,
}
COUNTS = {  # how often a term may count in a wrong answer
    1.0: "is right",
    0.0: "is missing",
    -1.0: "has the wrong sign",
    2.0: "counts twice: a factor ½ is missing, or there is a 2 too many",
    0.5: "counts half: a factor ½ too many, or a 2 that is missing",
    -2.0: "has the wrong sign, and counts twice",
    -0.5: "has the wrong sign, and counts half",
}
COUNTED = {  # other whole numbers that an answer may take an argument for
    "1": lambda value: 1,
    "one more than #": lambda value: value + 1,
    "one less than #": lambda value: value - 1,
    "twice #": lambda value: 2 * value,
}
READINGS = {  # what an answer may take a number or a tensor for
    "minus #": lambda value: -value,
    "one minus #": lambda value: 1 - value,
    "1": lambda value: value * 0 + 1,
    "0": lambda value: value * 0,
    "twice #": lambda value: 2 * value,
    "half of #": lambda value: value / 2,
    "the square of #": lambda value: value**2,
    "the root of #": lambda value: value**0.5,
    "one over #": lambda value: 1 / value,
    "the logarithm of #": lambda value: value.log() if is_real(value) else math.log(value),
    "the exponential of #": lambda value: value.exp() if is_real(value) else math.exp(value),
    "the sigmoid of #": lambda value: value.sigmoid(),
    "the absolute value of #": lambda value: abs(value),
    "# rounded": lambda value: value.round(),
    "# sorted": lambda value: value.sort(0).values,
    "# turned round along its first axis": lambda value: value.flip(0),
    "# turned round along its last axis": lambda value: value.flip(-1),
    "# with its last two axes exchanged": lambda value: value.mT,
    "the mean of # over the batch": lambda value: value.mean(0, keepdim=True).expand_as(value),
}
ORDINALS = ("the first", "the second", "the third", "the fourth", "the fifth")


class Wrong(BelamyError, AssertionError):
    """An answer is wrong; the message says why. A notebook shows the message and no traceback."""

    def _render_traceback_(self) -> list[str]:
        return [f"Not yet right: {self}"]


class NotAnswered(BelamyError, NotImplementedError):
    """A starter as it was given out. A notebook shows a sentence, and no line of the check, which knows the answer."""

    def __init__(self, name: str):
        super().__init__(f"Not answered yet: `{name}` still has the starter's `raise NotImplementedError`.")

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


def asked(answer: Callable, *given: object) -> object:
    """What the reader's function returns; that it is still a starter, or what goes wrong in it, is told."""
    try:
        return answer(*given)
    except Exception as error:
        # A starter's error says nothing; torch raises such errors, too, with words.
        if isinstance(error, NotImplementedError) and not error.args:
            raise NotAnswered(getattr(answer, "__name__", "your function")) from None
        raise Wrong(f"Your function stops with {type(error).__name__}: {error}{place(error)}") from error


class Fresh:
    """Numbers for one draw of a check.

    Args:
        seed: None takes one from the machine's entropy.
    """

    def __init__(self, seed: int | None = None):
        self.seed = secrets.randbits(60) if seed is None else seed
        self.rng = torch.Generator().manual_seed(self.seed)

    def normal(self, *shape: int, scale: float = 1.0, dtype: torch.dtype = torch.float32) -> Tensor:
        return (scale * torch.randn(shape, generator=self.rng, dtype=torch.float64)).to(dtype)

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0, dtype: torch.dtype = torch.float32) -> Tensor:
        draws = torch.rand(shape, generator=self.rng, dtype=torch.float64)
        return (low + (high - low) * draws).to(dtype)

    def bits(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return (torch.rand(shape, generator=self.rng) < 0.5).to(dtype)

    def integer(self, low: int, high: int) -> int:
        """One of low, …, high."""
        return int(torch.randint(low, high + 1, (), generator=self.rng))

    def sizes(self, *ranges: tuple[int, int]) -> list[int]:
        """A number from each range, no two alike, so that a mistaken axis shows."""
        while True:
            found = [self.integer(*ends) for ends in ranges]
            if len(set(found)) == len(found):
                return found

    def number(self, low: float, high: float) -> float:
        return float(self.uniform(low=low, high=high, dtype=torch.float64))


@dataclass
class Check:
    """What a right answer does: ``check.kl = Check(reference, draw, …)``, called with the answer.

    The reference can be read and called: a check helps whoever wants to learn. Before grades are given,
    `tools.grading` points at answers that use it.

    Attributes:
        reference: the right function; its signature is that of the answer. What it returns says which
            type, shape and dtype are meant: a tensor, a float, an int, a bool, or a tuple, a list or a dict of these.
        draw: Fresh -> the arguments, as a tuple; different sizes at each call. Tensors and modules
            are copied before an answer sees them.
        returns: what the answer returns, in words for the reader: 'a tensor (batch,): one number an example'.
        mistakes: a sentence for each typical mistake -> the function that makes it, of the same signature.
            Where several fit, the first is named.
        gradients: the arguments (tensors, or modules for their parameters) whose gradients are compared.
            Where the reference gives none, none may arrive.
        terms: what the right answer is the sum of, in words -> a function of the same signature. Then an answer
            that has one of them too often, with the wrong sign or not at all is told which.
        laws: a few words for each law -> a function (answer, Fresh) -> None, or the reason, a sentence.
        extremes: like draw: arguments at which a careless formula overflows.
        may_freeze: the modules that may be frozen for good; others must be trainable when the answer returns.
        random: the answer draws numbers itself: its values and gradients are left to the laws.
        rtol, atol: how far values may lie apart; atol is relative to the largest right value.
    """

    reference: Callable
    draw: Callable[[Fresh], tuple]
    returns: str
    mistakes: Mapping[str, Callable] = field(default_factory=dict)
    gradients: Sequence[str] = ()
    terms: Mapping[str, Callable] = field(default_factory=dict)
    laws: Mapping[str, Callable[[Callable, Fresh], str | None]] = field(default_factory=dict)
    extremes: Callable[[Fresh], tuple] | None = None
    may_freeze: Sequence[str] = ()
    random: bool = False
    rtol: float = 1e-4
    atol: float = 1e-5

    def __call__(self, answer: Callable, seed: int | None = None) -> None:
        """Check an answer; print a line if it is right.

        Args:
            answer: the function itself.
            seed: draws that can be repeated; None draws afresh.

        Raises:
            Wrong: it is not right; the message says why.
            NotAnswered: the answer raises NotImplementedError, as a starter does.
        """
        with untouched_randomness(fresh := Fresh(seed)):
            call = self.guarded(answer)
            draws = [self.draw(Fresh(fresh.seed + k)) for k in range(ROUNDS)]
            self.check_values(call, draws)
            if self.extremes and not self.random:
                self.check_extremes(call, self.extremes(fresh))
            if self.gradients and not self.random:
                self.check_gradients(call, draws)
            for law in self.laws.values():
                if reason := law(call, fresh):
                    raise Wrong(reason)
        seen = ["type, shape and dtype"] if self.random else [f"values at {ROUNDS} draws"]
        seen += [f"gradients of {', '.join(self.gradients)}"] if self.gradients and not self.random else []
        print(f"Right: {'; '.join([*seen, *self.laws])}.")

    # --- calling an answer ---------------------------------------------------------------------------

    @property
    def names(self) -> list[str]:
        return list(inspect.signature(self.reference).parameters)

    def guarded(self, answer: Callable) -> Callable:
        """The answer as laws call it: what goes wrong in it, and what it does to its arguments, is told."""
        wanted = ", ".join(self.names)
        if not callable(answer):
            raise Wrong(
                f"The check takes the function itself, not what it returns: here came {kind(answer)}. "
                "Write its name without brackets."
            )

        def call(*given):
            try:
                inspect.signature(answer).bind(*given)
            except TypeError:
                raise Wrong(f"Your function must take ({wanted}), in this order.") from None
            except ValueError:
                pass  # a function without a signature
            before = [copied(value) for value in given]
            value = asked(answer, *given)
            for name, old, new in zip(self.names, before, given):
                thaw = isinstance(old, nn.Module) and name not in self.may_freeze
                if thaw and frozen(new) and not frozen(old):
                    raise Wrong(
                        f"When your function returns, `{name}` is still frozen: nobody can train it any more. "
                        "Thaw it with `requires_grad_(True)`, or detach what it makes instead."
                    )
                if type(old) is Tensor and not same_tensor(old, new):
                    raise Wrong(
                        f"Your function changes its argument `{name}` in place: whoever calls it still needs it. "
                        "Compute a new tensor."
                    )
            return value

        return call

    # --- values --------------------------------------------------------------------------------------

    def check_values(self, call: Callable, draws: list[tuple]) -> None:
        right = [self.reference(*copied(draw)) for draw in draws]
        yours = [call(*copied(draw)) for draw in draws]
        for one, other, draw in zip(yours, right, draws):
            self.check_form(one, other, yours, draws)
        if self.random:
            return
        for draw, one in zip(draws, yours):
            again = call(*copied(draw))
            if not all(same_tensor(a, b) for a, b in zip(leaves(one), leaves(again))):
                raise Wrong(
                    "Your function gives two different answers to the same question: it must not draw numbers itself."
                )
        self.compare(call, yours, right, draws)

    def check_form(self, one: object, right: object, yours: list, draws: list[tuple], where: str = "") -> None:
        """Type, shape and dtype, exactly: an object that only looks like a tensor is none."""
        what = f"{where or 'Your function'} returns"
        if one is None:
            raise Wrong(f"{what} nothing: is a `return` missing? Meant is {self.returns}.")
        if isinstance(right, Mapping):
            if type(one) is not dict or set(one) != set(right):
                found = f"with {', '.join(map(str, one))}" if type(one) is dict else kind(one)
                raise Wrong(f"{what} {found}; meant is a dict with {', '.join(right)}: {self.returns}.")
            for key in right:
                self.check_form(one[key], right[key], yours, draws, f"Under {key!r} your function")
            return
        if isinstance(right, tuple | list):
            if type(one) not in (tuple, list) or len(one) != len(right):
                found = f"{len(one)} values" if type(one) in (tuple, list) else kind(one)
                raise Wrong(f"{what} {found}; meant are {len(right)} values: {self.returns}.")
            for place_, (a, b) in enumerate(zip(one, right), 1):
                self.check_form(a, b, yours, draws, f"At place {place_} your function")
            return
        if type(one) is not type(right):
            raise Wrong(f"{what} {kind(one)} where {kind(right)} is meant: {self.returns}.{remedy(one, right)}")
        if not isinstance(right, Tensor):
            return
        if one.shape != right.shape:
            reason = self.known_mistake(yours, draws) or reduced(one, right) or self.reduced_mistake(yours, draws)
            reason = reason or unreduced(one, right) or exchanged(one, right)
            sizes = f"{what} the shape {tuple(one.shape)} where {tuple(right.shape)} is meant: {self.returns}."
            raise Wrong(f"{reason} {sizes}" if reason else sizes)
        if one.dtype != right.dtype:
            dtypes = f"{name_of(one.dtype)} where {name_of(right.dtype)}"
            given = {value.dtype for draw in draws for value in draw if isinstance(value, Tensor)}
            kept = ": it keeps the dtype of its arguments" if right.dtype in given else ""
            cut = " A tensor made anew, of numbers or by numpy, has a dtype of its own, and no gradient passes."
            raise Wrong(f"{what} {dtypes} is meant{kept}.{cut if self.gradients else ''}")

    def check_extremes(self, call: Callable, draw: tuple) -> None:
        right, one = self.reference(*copied(draw)), call(*copied(draw))
        self.check_form(one, right, [one], [draw])
        if self.alike(one, right):
            return
        given = [f"`{name}` from {ends(value)}" for name, value in zip(self.names, draw) if is_real(value)]
        where = f"With extreme arguments ({', '.join(given)})" if given else "With extreme arguments"
        shown = example([one], [right], self).replace("In one draw yours", "Yours")
        if not all(torch.isfinite(numbers(a)).all() for a in leaves(one)):
            raise Wrong(
                f"{where} your result overflows to inf or nan where the right one is finite: "
                f"the formula needs a form that is stable in floating point. {shown}"
            )
        raise Wrong(f"{where} your result is not exact: the formula needs a form that is stable. {shown}")

    def alike(self, one: object, right: object) -> bool:
        """Values agree within the tolerance, leaf by leaf; False where shapes or leaves differ."""
        ours, theirs = leaves(one), leaves(right)
        return len(ours) == len(theirs) and all(self.close(numbers(a), numbers(b)) for a, b in zip(ours, theirs))

    def close(self, one: Tensor, right: Tensor) -> bool:
        if one.shape != right.shape:
            return False
        finite = right[torch.isfinite(right)]
        atol = self.atol * max(1.0, finite.abs().max().item() if finite.numel() else 1.0)
        return torch.allclose(one, right, rtol=self.rtol, atol=atol, equal_nan=True)

    def compare(self, call: Callable, yours: list, right: list, draws: list[tuple]) -> None:
        """Raise the best reason why `yours` differs from `right`, draw by draw."""
        if all(self.alike(a, b) for a, b in zip(yours, right)):
            return
        reason = self.known_mistake(yours, draws)
        if reason is None:
            whole = self.arithmetic(yours, right, draws)
            reason = (
                (whole if holds(whole) else None)
                or self.term(yours, right, draws)
                or self.weighed(yours, draws)
                or self.misread(yours, draws)
                or self.part(yours, right, draws)
                or self.near_mistake(yours, draws)
                or self.ignored(call, yours, right, draws)
                or reordered(yours, right)
                or whole
            )
        shown = example(yours, right, self)
        if reason and " times the right value" in reason and " times the right value" in shown:
            raise Wrong(reason)
        raise Wrong(f"{reason} {shown}" if reason else f"The values differ. {shown}")

    def known_mistake(self, yours: list, draws: list[tuple], slopes: bool = False) -> str | None:
        """The sentence of the first named mistake that gives what the answer gives, in all draws.

        Of slopes, only of mistakes whose values are right.
        """
        harmless = {
            sentence
            for sentence, values, right in (self.mistaken(draws) if slopes else ())
            if all(self.alike(a, b) for a, b in zip(values, right))
        }
        for sentence, values, right in self.mistaken(draws, self.gradient if slopes else None):
            if slopes and sentence not in harmless:
                continue
            telling = [not self.alike(a, b) for a, b in zip(values, right)]
            if any(telling) and all(self.alike(a, b) for a, b in zip(yours, values)):
                return sentence
        return None

    def near_mistake(self, yours: list, draws: list[tuple]) -> str | None:
        """A named mistake and, besides, a factor or a sign."""
        for sentence, values, right in self.mistaken(draws):
            if self.arithmetic(values, right, draws):
                continue  # the mistake is itself no more than a factor
            besides = self.arithmetic(yours, values, draws, "what this mistake alone gives")
            if holds(besides) and not re.search("always|above|below", besides):  # a factor
                return f"Two things at once. {sentence} Besides: {besides}"
        return None

    def part(self, yours: list, right: list, draws: list[tuple]) -> str | None:
        """Of several values, which are right; of a single wrong one, what is wrong with it."""
        if not isinstance(right[0], tuple | list | Mapping):
            return None
        keys = list(right[0]) if isinstance(right[0], Mapping) else range(len(right[0]))
        fit = {key: all(self.alike(a[key], b[key]) for a, b in zip(yours, right)) for key in keys}
        good, bad = ([key for key in keys if fit[key] == wanted] for wanted in (True, False))
        for order in itertools.permutations(keys):
            pairs = [(a[key], b[other]) for a, b in zip(yours, right) for key, other in zip(keys, order)]
            if all(self.alike(a, b) for a, b in pairs):
                return f"The values that you return have changed places: meant are {self.returns}."
        if not good:
            return None
        named = lambda found: " and ".join(repr(k) if isinstance(k, str) else ORDINALS[k] for k in found)
        told = f"Of the values that you return, {named(good)} {'is' if len(good) == 1 else 'are'} right"
        if len(bad) > 1:
            return f"{told}; {named(bad)} are not."
        for key in good:
            if all(self.alike(value[bad[0]], value[key]) for value in yours):
                return f"{told}; {named(bad)} is {named([key])} once more."
        reason = self.arithmetic([value[bad[0]] for value in yours], [value[bad[0]] for value in right], draws)
        return f"{told}; {named(bad)} is not. {reason or ''}".strip()

    def term(self, yours: list, right: list, draws: list[tuple]) -> str | None:
        """A sentence if one operation on one term of the right value turns it into the answer's."""
        for name, function in self.terms.items():
            own = [numbers(function(*copied(draw))) for draw in draws]
            rest = [numbers(a) - (numbers(b) - t) for a, b, t in zip(yours, right, own)]
            if all(self.close(r, torch.zeros_like(r)) for r in rest):
                return f"{name} is missing."
            for word, reduce in REDUCERS.items():
                if own[0].ndim and all(self.close(r, reduce(t, 0).expand_as(t)) for r, t in zip(rest, own)):
                    return f"In one term you took the {word} over the batch, which is not asked for: {name.strip(',')}."
            if holds(reason := self.arithmetic(rest, own, draws, "the right one")):
                return f"All is right but a single term: {name[0].lower()}{name[1:].strip(',')}. {reason}"
        return None

    def misread(self, yours: list, draws: list[tuple]) -> str | None:
        """A sentence if the answer is what the right function gives for another argument."""
        names = self.names[: len(draws[0])]
        swaps = [
            (f"`{a}` and `{b}` exchanged", lambda draw, i=names.index(a), j=names.index(b): swapped(draw, i, j))
            for a, b in itertools.combinations(names, 2)
        ]
        changes = [
            (f"{words} in place of `{name}`".replace("#", f"`{name}`"), lambda draw, i=i, f=f: replaced(draw, i, f))
            for i, name in enumerate(names)
            for words, f in (COUNTED if type(draws[0][i]) is int else READINGS).items()
        ]
        for words, change in swaps + changes:
            try:
                changed = [change(draw) for draw in draws]
                if not all(map(finite, changed)):
                    continue  # the logarithm of a negative number, say, on which LAPACK ends the process
                others = (self.reference(*copied(draw)) for draw in changed)
                if all(self.alike(a, b) for a, b in zip(yours, others)):
                    return f"Your result is the right one for other arguments, with {words}."
            except Exception:
                continue  # an argument that the right function does not take
        return None

    def weighed(self, yours: list, draws: list[tuple]) -> str | None:
        """A sentence if the answer is the sum of the terms of the right one, of which some count too much."""
        row = lambda values: torch.cat([numbers(leaf).flatten() for value in values for leaf in leaves(value)])
        if not self.terms:
            return None
        columns = torch.stack([row([term(*copied(draw)) for draw in draws]) for term in self.terms.values()], 1)
        ours = row(yours)
        if len(ours) != len(columns) or not ours.isfinite().all():
            return None
        shares = torch.linalg.lstsq(columns, ours[:, None], driver="gelsd").solution[:, 0]
        near = [min(COUNTS, key=lambda count: abs(count - share)) for share in shares.tolist()]
        if not self.close(ours, columns @ torch.tensor(near, dtype=columns.dtype)):
            return None
        return " ".join(f"{name} {COUNTS[count]}." for name, count in zip(self.terms, near) if count != 1)

    def ignored(self, call: Callable, yours: list, right: list, draws: list[tuple]) -> str | None:
        """A sentence if an argument changes the right value, and not the answer's."""
        for place_, name in enumerate(self.names[: len(draws[0])]):
            if not all(isinstance(draw[place_], float) or is_real(draw[place_]) for draw in draws):
                continue
            change = lambda value: (
                value * Fresh(1).uniform(*value.shape, low=0.8).to(value) if is_real(value) else 0.9 * value
            )
            other = [copied((*draw[:place_], change(draw[place_]), *draw[place_ + 1 :])) for draw in draws]
            try:
                moved = [not self.alike(self.reference(*copied(draw)), b) for draw, b in zip(other, right)]
                still = [self.alike(call(*draw), a) for draw, a in zip(other, yours)]
            except Exception:
                continue  # not every number is allowed
            if all(moved) and all(still):
                return f"Your result takes no account of `{name}`: another `{name}` gives the same numbers."
        return None

    def reduced_mistake(self, yours: list, draws: list[tuple]) -> str | None:
        """A named mistake, and besides a sum or a mean that is not asked for."""
        if not isinstance(yours[0], Tensor):
            return None
        for sentence, values, right in self.mistaken(draws):
            if not self.alike(values[0], right[0]) and isinstance(values[0], Tensor):
                if besides := reduced(yours[0], values[0]):
                    return f"Two things at once. {sentence} Besides: {besides}"
        return None

    def mistaken(self, draws: list[tuple], evaluate: Callable | None = None) -> Iterator[tuple[str, list, list]]:
        evaluate = evaluate or (lambda function, draw: function(*copied(draw)))
        right = [evaluate(self.reference, draw) for draw in draws]
        for sentence, function in self.mistakes.items():
            try:
                yield sentence, [evaluate(function, draw) for draw in draws], right
            except (RuntimeError, ValueError, TypeError, IndexError):
                continue  # a mistake that these arguments do not allow

    def arithmetic(self, yours: list, right: list, draws: list[tuple], than: str = "the right value") -> str | None:
        """A sentence if one operation turns the right values into the answer's, in every draw."""
        ours = [torch.cat([numbers(leaf).flatten() for leaf in leaves(value)]) for value in yours]
        theirs = [torch.cat([numbers(leaf).flatten() for leaf in leaves(value)]) for value in right]
        if any(len(a) != len(b) or not len(a) for a, b in zip(ours, theirs)):
            return None
        if not all(torch.isfinite(a).all() for a in ours):
            return "Yours has values that are inf or nan: a logarithm of 0, a division by 0 or an overflow."
        ratios = [constant(a / b, self.rtol * 10) for a, b in zip(ours, theirs)]
        if None not in ratios:
            reason = factor(ratios, draws, than, single=min(map(len, ours)) == 1)
            if reason:
                return reason
        for words, function in SHAPES.items():
            if all(self.close(a, function(b)) for a, b in zip(ours, theirs)):
                return f"Yours is {words.replace('the right value', than)}."
        offsets = [constant(a - b, self.rtol * 10) for a, b in zip(ours, theirs)]
        steady = None not in offsets and constant(torch.tensor(offsets), 1e-3) is not None
        if None not in offsets and not steady:
            for count, words in sizes(draws):
                signs = {round(offset / math.log(n), 3) for offset, n in zip(offsets, count) if n > 1}
                if signs in ({1.0}, {-1.0}):
                    side = "above" if signs == {1.0} else "below"
                    return f"Yours is {side} {than} by the logarithm of a number, that of {words}."
        if steady or None not in offsets and min(map(len, ours)) > 1:
            how = "always" if steady else "in the first draw"
            return f"Yours is {how} {plain(abs(offsets[0]))} {'above' if offsets[0] > 0 else 'below'} {than}."
        return None

    # --- gradients -----------------------------------------------------------------------------------

    def check_gradients(self, call: Callable, draws: list[tuple]) -> None:
        right = [self.gradient(self.reference, draw) for draw in draws]
        yours = [self.gradient(call, draw) for draw in draws]
        named = self.known_mistake(yours, draws, slopes=True)
        for one, other, draw in zip(yours, right, draws):
            for name in self.gradients:
                mine, its = one[name], other[name]
                if self.close(mine, its):
                    continue
                if named:
                    raise Wrong(f"The values are right, the gradient is not. {named}")
                if not its.any():
                    raise Wrong(
                        f"The values are right, but a gradient reaches `{name}`, where none should: detach what it "
                        "comes from, or leave it out."
                    )
                if not mine.any():
                    raise Wrong(
                        f"The values are right, but no gradient reaches `{name}`: a `detach`, an `item`, a `no_grad` "
                        "or a new `torch.tensor(…)` has cut it off."
                    )
                reason = self.arithmetic([mine], [its], [()], "the right one") or apart_near_zero(
                    mine, its, draw[self.names.index(name)], self
                )
                raise Wrong(f"The values are right, but the gradient of `{name}` is not. {reason or ''}".strip())

    def gradient(self, function: Callable, draw: tuple) -> dict[str, Tensor]:
        """Gradients of a weighted sum of all that `function` returns, by name; zeros where none arrives."""
        given = dict(zip(self.names, copied(draw)))
        targets = {}
        for name in self.gradients:
            value = given[name]
            if isinstance(value, Tensor):
                given[name] = value.requires_grad_()
            targets[name] = list(value.parameters()) if isinstance(value, nn.Module) else [given[name]]
        found = function(*given.values())
        weights = Fresh(len(draw))
        total = sum((numbers(leaf, keep=True) * weights.uniform(*leaf.shape, low=0.5)).sum() for leaf in leaves(found))
        if not total.requires_grad:
            return {name: torch.cat([t.detach().flatten() * 0 for t in parts]) for name, parts in targets.items()}
        # An answer may have frozen a module for good: no gradient arrives there.
        every = [tensor for parts in targets.values() for tensor in parts if tensor.requires_grad]
        slopes = dict(zip(every, torch.autograd.grad(total, every, allow_unused=True)))
        arrived = lambda t: torch.zeros_like(t) if slopes.get(t) is None else slopes[t]  # noqa: E731
        return {name: torch.cat([arrived(t).flatten() for t in parts]) for name, parts in targets.items()}


def own_number(answer: Callable[[], float], right: float, mistakes: Mapping[str, float], decimals: int = 4) -> None:
    """Check one number of the reader's own sheet; unlike `Check`, never tell how far it is from the right one.

    Args:
        answer: a function without arguments that returns the number.
        mistakes: a sentence for each typical mistake -> the number to which it leads.

    Raises:
        Wrong: it is not right; the message says why if the mistake is among those named.
        NotAnswered: the answer raises NotImplementedError, as a starter does.
    """
    if not callable(answer):
        raise Wrong(
            f"Keep the starter's line `def … -> float:`, and below it `return` your number: here came {kind(answer)}."
        )
    value, name = asked(answer), getattr(answer, "__name__", "your function")
    if type(value) not in (float, int):
        comma = " Python's decimal sign is a point: 3.5438, not 3,5438." if type(value) is tuple else ""
        raise Wrong(f"`{name}` returns {kind(value)} where a plain number is meant.{comma or remedy(value, 0.0)}")
    near = lambda other: abs(value - other) <= 10.0**-decimals * max(1.0, abs(other))
    if not abs(value - right) <= 10.0**-decimals:
        told = [sentence for sentence, wrong in mistakes.items() if near(wrong)]
        plain_slips = {
            "The sign is turned.": -right,
            "That is in bits: take the natural logarithm.": right / math.log(2),
            "A factor ½ is missing, or there is a 2 too many.": 2 * right,
            "There is a factor ½ too many, or a 2 is missing.": right / 2,
        }
        told += [sentence for sentence, wrong in plain_slips.items() if near(wrong)]
        shorter = lambda n: (round(right, n), math.trunc(right * 10**n) / 10**n)
        cut = [n for n in range(1, decimals) if value in shorter(n)]
        told += [f"Right to {n} decimal{'s' * (n > 1)}: give {decimals}." for n in cut[:1]]
        shown = f"{value:.{decimals}f}".replace("-", "−")
        raise Wrong(told[0] if told else f"`{name}` returns {shown}, which is not the right number.")
    print(f"Right: {name}, to {decimals} decimals.")


@contextmanager
def untouched_randomness(fresh: Fresh) -> Iterator[None]:
    """Draws within, by whatever generator, change nothing for the cells that follow."""
    numpy_state, python_state = np.random.get_state(), random.getstate()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(fresh.seed)
        np.random.seed(fresh.seed % 2**32)
        random.seed(fresh.seed)
        try:
            yield
        finally:
            np.random.set_state(numpy_state)
            random.setstate(python_state)
