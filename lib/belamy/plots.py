"""Pictures of images: grids, and how samples change while a model trains."""

from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torchvision.utils import make_grid

from belamy.errors import InputError


def style() -> None:
    """The book's look: seaborn's colours for readers without full colour vision, crisp figures."""
    sns.set_theme(context="notebook", style="whitegrid", palette="colorblind")
    plt.rcParams.update({"figure.dpi": 90, "axes.grid.axis": "y", "image.interpolation": "nearest"})


def as_array(images: torch.Tensor, columns: int = 8, padding: int = 1) -> np.ndarray:
    """Lay images (N, C, H, W), uint8 or float in [0, 1], out on a white grid: (h, w, 3) in [0, 1].

    Raises:
        InputError: the tensor is not of that shape.
    """
    if images.dim() != 4 or images.shape[1] not in (1, 3):
        raise InputError(f"images of shape {tuple(images.shape)}; expected (N, 1 or 3, H, W)")
    images = images.detach().cpu()
    images = images.float() / 255 if images.dtype == torch.uint8 else images.float().clamp(0, 1)
    return make_grid(images, nrow=columns, padding=padding, pad_value=1.0).permute(1, 2, 0).numpy()


def show(
    images: torch.Tensor,
    columns: int = 8,
    title: str | None = None,
    ax: Axes | None = None,
    width: float = 7.0,
) -> Axes:
    """Draw a grid of images; a new figure, ``width`` inches wide, unless ``ax`` is given."""
    picture = as_array(images, columns)
    if ax is None:
        _, ax = plt.subplots(figsize=(width, width * picture.shape[0] / picture.shape[1]))
    ax.imshow(picture)
    ax.set_axis_off()
    if title:
        ax.set_title(title, fontsize="medium")
    return ax


def compare(rows: dict[str, torch.Tensor], width: float = 7.0) -> Figure:
    """Draw one labelled row of images for each entry, all with as many columns."""
    pictures = {name: as_array(images, len(images)) for name, images in rows.items()}
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
    """

    def __init__(self, sample: Callable[..., torch.Tensor], every: int = 1) -> None:
        self.sample, self.every = sample, every
        self.frames: dict[int, torch.Tensor] = {}

    @torch.no_grad()
    def __call__(self, game, epoch: int) -> None:
        if epoch % self.every == 0:
            self.frames[epoch] = self.sample(game.nets).cpu()

    def plot(self, images: int = 8) -> Figure:
        """One row an epoch kept."""
        return compare({f"epoch {epoch}": frame[:images] for epoch, frame in self.frames.items()})
