"""Claims of the book's sources, and what became of them.

A chapter displays its claims as a ``Claims`` table. The table carries its rows as JSON, too, and from
the executed chapters the book's builder gathers the page of all claims: nothing on it is typed.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable
from dataclasses import asdict, astuple, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from belamy._checks import real_number, whole_number
from belamy.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

MIME = "application/vnd.belamy.claims+json"
VERDICTS = ("reproduced", "reproduced in part", "not reproduced", "undecided", "not testable")
ENOUGH_SEEDS = 5  # with fewer, a verdict says how many


class Interval(NamedTuple):
    """A mean with its interval; ``f"{interval:.2f}"`` reads 1.88 [0.31, 3.46]."""

    mean: float
    low: float
    high: float

    def __format__(self, spec: str) -> str:
        mean, low, high = (format(value, spec or ".3g").replace("-", "−") for value in self)
        return f"{mean} [{low}, {high}]"


def interval(values: Iterable[float], confidence: float = 0.95) -> Interval:
    """Student's t interval of the mean of independent runs: one value a seed, at least two.

    Raises:
        InputError: fewer than two values, or one that is no finite number.
    """
    from scipy.stats import t

    confidence = real_number("confidence", confidence, 0, 1)
    runs = [real_number("a value", value) for value in values]
    if len(runs) < 2:
        raise InputError(f"{len(runs)} values have no spread: an interval needs two seeds or more")
    mean = math.fsum(runs) / len(runs)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in runs) / (len(runs) - 1))
    half = float(t.ppf((1 + confidence) / 2, len(runs) - 1)) * deviation / math.sqrt(len(runs))
    return Interval(mean, mean - half, mean + half)


def verdict(differences: Iterable[float], margin: float = 0.0, seeds: int | None = None) -> str:
    """The word that the book's one rule gives a claim: by the 95 % interval of a paired difference.

    Args:
        differences: one for each independent seed, paired, positive where the claim is right: for 'A is
            better than B', A's score minus B's on the same seed.
        margin: how much more than nothing the claim says.
        seeds: how many independent seeds there were, if the differences are not one for each.

    Returns:
        "reproduced" where the whole interval lies above the margin, "not reproduced" where it lies below,
        else "undecided"; of fewer than five seeds it says how many there were.

    Raises:
        InputError: fewer than three differences, or one that is no finite number.
    """
    found = list(differences)
    if len(found) < 3:
        raise InputError(f"{len(found)} differences decide nothing: take at least three seeds")
    count = len(found) if seeds is None else whole_number("seeds", seeds, 1)
    _, low, high = interval(found)
    margin = real_number("margin", margin)
    word = "reproduced" if low > margin else "not reproduced" if high < margin else "undecided"
    return word if count >= ENOUGH_SEEDS else f"{word}: {count} seeds"


@dataclass(frozen=True)
class Claim:
    """One row.

    Attributes:
        source: document and place, with a comma between them: ``"Portrait study, §3.2"``.
        claim: what it says, in the book's words.
        measured: what was found, with its interval where there is randomness.
        verdict: one of ``VERDICTS``, then, after a colon, whatever has to be added.
        at: label of the figure at which the experiment stands.
    """

    source: str
    claim: str
    measured: str
    verdict: str
    at: str


class Claims:
    """A chapter's claims: shown as a table, gathered by the builder.

    Args:
        rows: tuples of the five parts of a ``Claim``, in its order.

    Raises:
        InputError: no rows, one without five parts, an empty part, or a verdict that does not begin
            with one of ``VERDICTS``.
    """

    def __init__(self, rows: Iterable[tuple[str, str, str, str, str]]) -> None:
        given = list(rows) if isinstance(rows, Iterable) else []
        if not given:
            raise InputError("Claims of no rows: give (source, claim, measured, verdict, at) for each")
        for row in given:
            if not isinstance(row, tuple | list) or len(row) != 5:
                raise InputError(
                    f"{row!r} is no row of claims: give (source, claim, measured, verdict, at)"
                )
        self.rows = [Claim(*row) for row in given]
        for row in self.rows:
            if not all(isinstance(part, str) and part.strip() for part in astuple(row)):
                raise InputError(f"{row} has a part that is empty or no text")
            if row.verdict.partition(":")[0] not in VERDICTS:
                raise InputError(f"verdict={row.verdict!r} must begin with one of {', '.join(VERDICTS)}")

    def frame(self) -> pd.DataFrame:
        """The rows as they are shown."""
        import pandas as pd

        columns = ["source", "claim", "measured here", "verdict", "experiment"]
        return pd.DataFrame([astuple(row) for row in self.rows], columns=columns)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        table = self.frame().style.hide(axis="index").set_uuid("claims").format(html.escape)
        table.format(lambda at: f'<a href="#{html.escape(at)}">shown here</a>', subset=["experiment"])
        table.set_properties(**{"text-align": "left", "white-space": "normal"})
        return {
            MIME: {"verdicts": VERDICTS, "claims": [asdict(row) for row in self.rows]},
            "text/html": table.to_html(),
            "text/plain": self.frame().to_string(index=False),
        }
