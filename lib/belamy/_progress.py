"""Progress bars that a saved notebook still shows.

In a notebook tqdm's own bar is a widget and belongs to the kernel: opened again without it, the notebook
says 'Error displaying widget' in its place. Here it is a line of text there, too: an output that is replaced
as the line grows, and saved as it stands.
"""

import os
import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm


def bar(over: Iterable | None = None, *, show: bool = True, **options: Any) -> tqdm:
    """A bar that counts what ``over`` yields, or calls of its ``update``.

    Args:
        show: whether it is seen; never where $TQDM_DISABLE is set.
        options: of tqdm: total, desc, unit, leave, ...
    """
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    kind = _Line if hasattr(shell, "kernel") else tqdm
    return kind(over, disable=not show or "TQDM_DISABLE" in os.environ, **options)


class _Line(tqdm):
    """tqdm's line as an output of a notebook's cell."""

    output = None

    def __init__(self, *args: Any, **options: Any) -> None:
        # As a GUI's it writes nothing itself. Long lines wrap: no terminal's width cuts them, or the bar.
        super().__init__(*args, gui=True, bar_format="{l_bar}{bar:30}{r_bar}", **options)
        self.ncols = None
        if not self.disable:
            self.refresh()

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        from IPython.display import display

        line = {"text/plain": str(self) if msg is None else msg}
        if self.output is None:
            self.output = display(line, raw=True, display_id=True)
        else:
            self.output.update(line, raw=True)

    def close(self) -> None:
        if not self.disable:
            super().close()
            self.display(None if self.leave else "")
