"""Rows of figures, and the table that they are printed in."""

from collections.abc import Iterable
from dataclasses import dataclass

HEAD = ("", "ours", "theirs", "unit", "ratio", "target", "")


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        ratio: how many times as good ours is, or None where only our own figure has a target.
        at_least, at_most: the target, of ``ratio`` or else of ``ours``; neither: for information.
    """

    what: str
    ours: float
    theirs: float | None
    unit: str
    ratio: float | None = None
    at_least: float | None = None
    at_most: float | None = None

    @property
    def verdict(self) -> str:
        """Whether the target is met, else what is missing of it."""
        value = self.ours if self.ratio is None else self.ratio
        if self.at_least is not None:
            gap = max(0.0, self.at_least - value)
        elif self.at_most is not None:
            gap = max(0.0, value - self.at_most)
        else:
            return ""
        return f"gap {_number(gap)}" if gap else "met"

    def cells(self) -> tuple[str, ...]:
        """The row as text, in the order of ``HEAD``."""
        target = f">= {self.at_least:g}" if self.at_least is not None else ""
        target = f"<= {self.at_most:g}" if self.at_most is not None else target
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}x"
        figures = _number(self.ours), "" if self.theirs is None else _number(self.theirs)
        return (self.what, *figures, self.unit, ratio, target, self.verdict)


def table(rows: Iterable[Row]) -> str:
    """Rows under their heads, in columns; text to the left, figures to the right."""
    cells = [HEAD, *(row.cells() for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells)]
    left = {0, 3, 6}
    lines = (
        "  ".join(
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths))
        ).rstrip()
        for row in cells
    )
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
