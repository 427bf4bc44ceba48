"""Pictures of images, as grids and while a model trains; tables of numbers as the book shows them."""

import numbers
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from belamy._checks import check_images, unit, whole_number
from belamy.data.image_set import ImageSet
from belamy.errors import InputError

if TYPE_CHECKING:  # slow to import, and needed only where something is drawn
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Images = Tensor | np.ndarray | ImageSet


def style() -> None:
    """The book's look: seaborn's colours for readers without full colour vision, crisp figures."""
    import matplotlib.pyplot as plt
    import seaborn as sns

    sns.set_theme(context="notebook", style="whitegrid", palette="colorblind")
    plt.rcParams.update({"figure.dpi": 90, "axes.grid.axis": "y", "image.interpolation": "nearest"})


def as_array(images: Images, columns: int = 8, padding: int = 1) -> np.ndarray:
    """Lay images (N, C, H, W), uint8 or float in [0, 1], out on a white grid: (h, w, 3) in [0, 1].

    Args:
        images: a tensor, an array or an ImageSet, of 1 channel (grey) or 3 (RGB).
        columns: images in a row; padding: white pixels between them.

    Raises:
        InputError: no image, another shape or type, or values that are NaN or outside [0, 1], where
            the range is named: (x + 1) / 2 or x / 255 brings them there, .clamp(0, 1) cuts them off.
    """
    from torchvision.utils import make_grid

    pixels = _pixels("images", images)
    columns, padding = whole_number("columns", columns, 1), whole_number("padding", padding, 0)
    return make_grid(pixels, nrow=columns, padding=padding, pad_value=1.0).permute(1, 2, 0).numpy()


def show(
    images: Images,
    columns: int = 8,
    title: str | None = None,
    ax: "Axes | None" = None,
    width: float = 7.0,
) -> "Axes":
    """Draw a grid of images; a new figure, ``width`` inches wide, unless ``ax`` is given.

    Raises:
        InputError: as for ``as_array``.
    """
    import matplotlib.pyplot as plt

    picture = as_array(images, columns)
    if ax is None:
        _, ax = plt.subplots(figsize=(width, width * picture.shape[0] / picture.shape[1]))
    ax.imshow(picture)
    ax.set_axis_off()
    if title:
        ax.set_title(title, fontsize="medium")
    return ax


def compare(rows: Mapping[str, Images], width: float = 7.0) -> "Figure":
    """Draw one labelled row of images for each entry, all with as many columns.

    Raises:
        InputError: there is no row, or one that ``as_array`` would refuse.
    """
    import matplotlib.pyplot as plt
    import seaborn as sns

    if not isinstance(rows, Mapping) or not rows:
        raise InputError(f'rows={rows!r}: expected names and images, as in {{"held out": images[:8]}}')
    checked = {name: _pixels(f"rows[{name!r}]", images) for name, images in rows.items()}
    pictures = {name: as_array(images, len(images)) for name, images in checked.items()}
    shape = next(iter(pictures.values())).shape
    height = width * shape[0] / shape[1] + 0.05
    figure, axes = plt.subplots(len(rows), 1, figsize=(width, height * len(rows)), squeeze=False)
    for ax, (name, picture) in zip(axes[:, 0], pictures.items()):
        ax.imshow(picture)
        ax.set(xticks=[], yticks=[])
        ax.grid(False)
        sns.despine(ax=ax, left=True, bottom=True)
        ax.set_ylabel(name, rotation=0, ha="right", va="center", fontsize="small")
    figure.tight_layout(pad=0.2)
    return figure


class SampleGrid:
    """A callback of ``fit`` that keeps ``sample(nets)`` every few epochs, to see a model learn.

    ``SampleGrid(lambda nets: nets.decoder(z).sigmoid(), every=5)``, with fixed latents z.

    Args:
        sample: nets to images, as ``show`` takes them.
        every: epochs from one frame to the next, at least 1.

    Raises:
        InputError: ``every`` is no such number; in use, ``sample`` returns no tensor.
    """

    def __init__(self, sample: Callable[[Any], Tensor], every: int = 1) -> None:
        self.sample, self.every = sample, whole_number("every", every, 1)
        self.frames: dict[int, Tensor] = {}

    @torch.no_grad()
    def __call__(self, game: Any, epoch: int) -> None:
        if epoch % self.every == 0:
            images = self.sample(game.nets)
            if not isinstance(images, Tensor):
                raise InputError(f"sample returns a {type(images).__name__}; expected images, a tensor")
            self.frames[epoch] = images.cpu()

    def plot(self, images: int = 8) -> "Figure":
        """One row an epoch kept, of the first ``images`` of each.

        Raises:
            InputError: nothing was kept, or what was kept cannot be drawn.
        """
        images = whole_number("images", images, 1)
        if not self.frames:
            raise InputError(
                f"no frame was kept: pass this object to fit in callbacks=[...], for {self.every} or "
                "more epochs"
            )
        return compare({f"epoch {epoch}": frame[:images] for epoch, frame in self.frames.items()})


def table(frame: "pd.DataFrame", digits: int | Mapping[Any, int] = 2, index: bool = True) -> "pd.DataFrame":
    """Typeset a frame's numbers: a frame of text, with its row labels under one head.

    ``table(bounds)``, ``table(bounds, {"bits/dim": 3})``. Minus signs are true ones, thousands are
    separated, and what is missing (None, NaN) is left empty. Text stays as it is, with formulas in it.

    Args:
        frame: numbers, text, and what is missing.
        digits: decimals, 0 to 15, of all columns or by column, where one that is not named has 2.
            Whole numbers and all from 1,000 on are shown without.
        index: whether the frame's index holds the row labels; otherwise its first column does.

    Raises:
        InputError: no frame or one without columns, other digits, digits of a column that is not there,
            or a cell that is neither a number nor text.
    """
    import pandas as pd

    if not isinstance(frame, pd.DataFrame) or not len(frame.columns):
        raise InputError(f"frame={frame!r}: expected a pandas DataFrame with columns")
    places = digits if isinstance(digits, Mapping) else dict.fromkeys(frame.columns, digits)
    if strangers := [name for name in places if name not in frame.columns]:
        raise InputError(f"digits of {strangers}, and the frame's columns are {list(frame.columns)}")
    places = {name: whole_number(f"digits of {name!r}", many, 0, 15) for name, many in places.items()}

    def typeset(value: Any, name: Any) -> str:
        if isinstance(value, str):
            return value
        missing = value is None or value is pd.NA
        if not missing and (not isinstance(value, numbers.Real) or isinstance(value, bool)):
            raise InputError(f"column {name!r} holds {value!r}: expected a number, or text: str({value!r})")
        if missing or value != value:  # NaN
            return ""
        whole = isinstance(value, numbers.Integral) or abs(value) >= 1000
        many = 0 if whole else places.get(name, 2)
        return f"{round(value, many) + 0:,.{many}f}".replace("-", "−")  # + 0: no minus at a zero

    shown = frame.astype(object)
    for column, (name, values) in enumerate(frame.items()):
        shown.isetitem(column, [typeset(value, name) for value in values])
    if not index:
        shown = shown.set_index(shown.columns[0])
    if shown.index.nlevels == shown.columns.nlevels == 1:
        # As the columns' name it stands in the head's corner: an index's name has a row of its own.
        shown = shown.rename_axis(index=None, columns=shown.index.name)
    return shown


def _pixels(name: str, images: Images) -> Tensor:
    """Images of any kind that can be drawn, checked: float32 (N, 1 or 3, H, W) in [0, 1], on the CPU."""
    if isinstance(images, ImageSet):
        images = images.images
    elif isinstance(images, np.ndarray):
        try:
            images = torch.from_numpy(np.ascontiguousarray(images))
        except TypeError as error:
            raise InputError(f"{name} is an array of {images.dtype}; expected numbers") from error
    if isinstance(images, Tensor) and images.dtype == torch.bool:
        images = images.float()
    check_images(name, images)
    if images.shape[1] not in (1, 3):
        raise InputError(
            f"{name} of shape {tuple(images.shape)}; expected (N, 1 or 3, H, W), channels first"
        )
    # Clamped, since rounding may have left a value just outside.
    return unit(images.detach().cpu()).float().clamp(0, 1)
