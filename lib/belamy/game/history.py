"""What a training run leaves behind: every player's losses, round by round."""

import math
import numbers
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from belamy.errors import InputError

if TYPE_CHECKING:  # they take longer to import than torch: only when a frame or a plot is asked for
    import pandas as pd
    from matplotlib.axes import Axes


class History:
    """The losses of every round; turns into a pandas frame and a plot.

    Columns are named after the player (its total loss) and ``player/term`` (the terms, where a
    loss returned several). A term that a round did not have is NaN there. Losses that are still on a
    device wait there until ``flush`` reads them, all in one transfer. A player that steps several
    times a round shows its last step.

    Attributes:
        epochs: of every round, the epoch in which it began, from 0.
        reports: what callbacks returned, {"epoch": from 1, name: number} for each epoch.
        interrupted: whether the last call of ``fit`` was stopped by a signal.
    """

    def __init__(self) -> None:
        self.columns: list[str] = []
        self.values: list[list[float | None]] = []  # a row may be shorter than columns; None: no such term
        self.epochs: list[int] = []
        self.reports: list[dict[str, float]] = []
        self.interrupted = False
        self._pending: list[list[float | torch.Tensor | None]] = []

    def __len__(self) -> int:
        return len(self.values) + len(self._pending)

    def record(self, epoch: int, losses: dict[str, float | torch.Tensor]) -> None:
        """Remember one round's losses; scalar tensors are not read from their device yet."""
        if losses.keys() - set(self.columns):
            self.columns += [name for name in losses if name not in self.columns]
        self._pending.append([losses.get(name) for name in self.columns])
        self.epochs.append(epoch)

    def report(self, epoch: int, numbers_by_name: object) -> None:
        """Remember what a callback returned after an epoch (from 1): nothing, or numbers by name.

        Raises:
            InputError: it returned something else, or a name that a loss has.
        """
        if numbers_by_name is None:
            return
        row: dict[str, float] = {}
        for name, value in numbers_by_name.items() if isinstance(numbers_by_name, Mapping) else [("", None)]:
            value = value.item() if isinstance(value, torch.Tensor) and value.numel() == 1 else value
            if not isinstance(name, str) or not isinstance(value, numbers.Real):
                raise InputError(
                    f"a callback returned {numbers_by_name!r}; it returns nothing, or numbers by name, "
                    '{"validation": 3.2}'
                )
            if name in self.columns or name in ("epoch", "round"):
                raise InputError(f"a callback returned {name!r}, which is a column of the history: rename it")
            row[name] = float(value)
        if not self.reports or self.reports[-1]["epoch"] != epoch:
            self.reports.append({"epoch": epoch})
        self.reports[-1] |= row

    def flush(self) -> dict[str, float]:
        """Read all pending rounds from the device at once; return the latest round's losses."""
        waiting = [v.float() for row in self._pending for v in row if isinstance(v, torch.Tensor)]
        read = iter(torch.stack(waiting).tolist() if waiting else ())
        for row in self._pending:
            self.values.append([next(read) if isinstance(v, torch.Tensor) else v for v in row])
        self._pending.clear()
        latest = dict(zip(self.columns, self.values[-1])) if self.values else {}
        return {name: value for name, value in latest.items() if value is not None}

    def first_non_finite(self, start: int, totals: set[str]) -> tuple[int, str] | None:
        """(round, column) of the first NaN or infinite total at or after ``start``, if any.

        Of a total that is not finite, the term that is to blame is named where there is one.
        """
        for row in range(start, len(self.values)):
            values = {n: v for n, v in zip(self.columns, self.values[row]) if v is not None}
            bad = [name for name, value in values.items() if not math.isfinite(value)]
            for total in bad:
                if total in totals:
                    return row, next((n for n in bad if n.startswith(f"{total}/")), total)
        return None

    def forget_from(self, row: int) -> None:
        """Drop all rounds from this one on."""
        self.flush()
        del self.values[row:], self.epochs[row:]

    def frame(self) -> "pd.DataFrame":
        """One row a round: ``epoch`` (from 0) and a column for every loss."""
        import pandas as pd

        self.flush()
        frame = pd.DataFrame(self._rows(), columns=self.columns, dtype=float)
        frame.insert(0, "epoch", self.epochs)
        return frame.rename_axis("round")

    def by_epoch(self) -> "pd.DataFrame":
        """One row an epoch (from 1): mean losses, and what callbacks returned."""
        import pandas as pd

        means = self.frame().groupby("epoch").mean()
        means.index = means.index + 1
        if any(len(row) > 1 for row in self.reports):
            means = means.join(pd.DataFrame(self.reports).set_index("epoch"), how="outer")
        return means

    def plot(self, columns: list[str] | None = None, ax: "Axes | None" = None) -> "Axes":
        """Draw every epoch's mean losses and what callbacks returned; ``columns`` chooses among them."""
        import matplotlib.pyplot as plt
        import seaborn as sns

        ax = ax or plt.gca()
        means = self.by_epoch()
        sns.lineplot(means[columns] if columns else means, ax=ax, palette="colorblind")
        ax.set(xlabel="epoch", ylabel="loss")
        return ax

    def state(self) -> dict[str, torch.Tensor]:
        """The history as tensors, for a checkpoint (column names and reports travel apart)."""
        self.flush()
        values = torch.tensor(self._rows(), dtype=torch.float64)
        return {
            "values": values.reshape(len(self.values), len(self.columns)),
            "epochs": torch.tensor(self.epochs, dtype=torch.int64),
        }

    def load_state(
        self, columns: list[str], reports: list[dict[str, float]], state: dict[str, torch.Tensor]
    ) -> None:
        """Take the place of the history that ``state`` describes."""
        self._pending.clear()
        self.columns, self.reports = list(columns), [dict(row) for row in reports]
        self.values = state["values"].tolist()
        self.epochs = state["epochs"].tolist()

    def _rows(self) -> list[list[float]]:
        """All rows in full length, NaN where a round had no such term."""
        width = len(self.columns)
        return [[math.nan if v is None else v for v in row] + [math.nan] * (width - len(row)) for row in self.values]
