"""What a training run leaves behind: every player's losses, round by round."""

import math

import pandas as pd
import torch
from matplotlib.axes import Axes


class History:
    """The losses of every round; turns into a pandas frame and a plot.

    Columns are named after the player (its total loss) and ``player/term`` (the terms, where a
    loss returned several). Losses that are still on a device wait there until ``flush`` reads them,
    all in one transfer. A player that steps several times a round shows its last step.
    """

    def __init__(self) -> None:
        self.columns: list[str] = []
        self.values: list[list[float]] = []
        self.epochs: list[int] = []
        self.interrupted = False
        self._pending: list[list[float | torch.Tensor]] = []

    def __len__(self) -> int:
        return len(self.values) + len(self._pending)

    def record(self, epoch: int, losses: dict[str, float | torch.Tensor]) -> None:
        """Remember one round's losses; scalar tensors are not read from their device yet."""
        self.columns = self.columns or list(losses)
        self._pending.append([losses[name] for name in self.columns])
        self.epochs.append(epoch)

    def flush(self) -> dict[str, float]:
        """Read all pending rounds from the device at once; return the latest round's losses."""
        waiting = [v.float() for row in self._pending for v in row if isinstance(v, torch.Tensor)]
        read = iter(torch.stack(waiting).tolist() if waiting else ())
        for row in self._pending:
            self.values.append([next(read) if isinstance(v, torch.Tensor) else v for v in row])
        self._pending.clear()
        return dict(zip(self.columns, self.values[-1])) if self.values else {}

    def first_non_finite(self, start: int = 0) -> tuple[int, str] | None:
        """(round, column) of the first NaN or infinite loss at or after ``start``, if any."""
        for row in range(start, len(self.values)):
            for name, value in zip(self.columns, self.values[row]):
                if not math.isfinite(value):
                    return row, name
        return None

    def frame(self) -> pd.DataFrame:
        """One row a round: ``epoch`` (from 0) and a column for every loss."""
        self.flush()
        frame = pd.DataFrame(self.values, columns=self.columns)
        frame.insert(0, "epoch", self.epochs)
        return frame.rename_axis("round")

    def plot(self, columns: list[str] | None = None, ax: Axes | None = None) -> Axes:
        """Draw the mean losses of every epoch; ``columns`` chooses among them."""
        import matplotlib.pyplot as plt
        import seaborn as sns

        ax = ax or plt.gca()
        means = self.frame().groupby("epoch").mean()[columns or self.columns]
        means.index = means.index + 1
        sns.lineplot(means, ax=ax, palette="colorblind")
        ax.set(xlabel="epoch", ylabel="loss")
        return ax

    def state(self) -> dict[str, torch.Tensor]:
        """The history as tensors, for a checkpoint (column names travel apart)."""
        self.flush()
        return {
            "values": torch.tensor(self.values, dtype=torch.float64).reshape(
                len(self.values), len(self.columns)
            ),
            "epochs": torch.tensor(self.epochs, dtype=torch.int64),
        }

    def load_state(self, columns: list[str], state: dict[str, torch.Tensor]) -> None:
        """Take the place of the history that ``state`` describes."""
        self._pending.clear()
        self.columns = list(columns)
        self.values = state["values"].tolist()
        self.epochs = state["epochs"].tolist()
