"""Batches drawn by index from a data set that stays on the device as one tensor."""

import hashlib
from functools import cached_property

import torch

from belamy.data.image_set import ImageSet
from belamy.errors import InputError
from belamy.game.device import traits
from belamy.randomness import generator


class Batch:
    """One batch: ``x`` and, where the set has labels, ``y``; each is gathered when first used.

    Images come as float32 (B, C, H, W) in [0, 1]; a float data set comes as it is.
    """

    def __init__(self, batches: "Batches", index: torch.Tensor) -> None:
        self._batches = batches
        self.index = index  # (B,) rows of the data set
        self._x: torch.Tensor | None = None  # cached_property has a lock, which costs 5 us a step
        self._y: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.index)

    @property
    def x(self) -> torch.Tensor:
        if self._x is None:
            rows = self._batches.rows.index_select(0, self.index)
            if rows.dtype == torch.uint8:
                # Stored (N, H, W, C): the permuted view is channels_last without a copy.
                rows = rows.permute(0, 3, 1, 2).to(torch.float32).div_(255)
                if self._batches.memory_format == torch.contiguous_format:
                    rows = rows.contiguous()
            self._x = rows
        return self._x

    @property
    def y(self) -> torch.Tensor:
        if self._y is None:
            if self._batches.labels is None:
                raise InputError("this loss asks for batch.y, but the data set has no labels")
            self._y = self._batches.labels.index_select(0, self.index)
        return self._y


class Batches:
    """The data set on the device, and which of its rows each step of each player sees.

    Every epoch of a player is a fresh permutation, a function of (seed, player, epoch); rows
    that do not fill the last batch wait for another epoch.

    Raises:
        InputError: the data are neither an ImageSet nor a tensor that can be trained on, or
            there are fewer rows than ``batch_size``.
    """

    def __init__(
        self, data: ImageSet | torch.Tensor, batch_size: int, seed: int, device: torch.device
    ) -> None:
        images = data.images if isinstance(data, ImageSet) else data
        _check(images, batch_size)
        labels = data.labels if isinstance(data, ImageSet) else None
        if images.dtype == torch.uint8:
            images = images.permute(0, 2, 3, 1).contiguous()
        self.rows = images.to(device)
        self.labels = None if labels is None else labels.to(device)
        self.batch_size, self.seed, self.device = batch_size, seed, device
        self.memory_format = traits(device).memory_format
        self.per_epoch = len(images) // batch_size
        self._orders: dict[str, tuple[int, tuple[torch.Tensor, ...]]] = {}  # name: epoch, batches

    def draw(self, name: str, step: int) -> Batch:
        """The batch that the named player sees at its given step."""
        epoch, position = divmod(step, self.per_epoch)
        known = self._orders.get(name)
        if known is None or known[0] != epoch:
            rng = generator(self.seed, "order", name, epoch, device=self.device)
            order = torch.randperm(len(self.rows), generator=rng, device=self.device)
            known = self._orders[name] = epoch, order.split(self.batch_size)
        return Batch(self, known[1][position])

    @cached_property
    def checksum(self) -> str:
        """sha256 of the rows and labels, by which a checkpoint knows its data again."""
        digest = hashlib.sha256(repr((tuple(self.rows.shape), str(self.rows.dtype))).encode())
        for tensor in (self.rows, self.labels):
            if tensor is not None:
                digest.update(tensor.cpu().numpy().tobytes())
        return digest.hexdigest()


def _check(images: torch.Tensor, batch_size: int) -> None:
    if not isinstance(images, torch.Tensor):
        raise InputError(f"data is a {type(images).__name__}; pass an ImageSet or a tensor")
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise InputError(f"batch_size={batch_size!r} must be a whole number of at least 1")
    if images.dtype == torch.uint8 and images.dim() != 4:
        raise InputError(f"images of shape {tuple(images.shape)}; expected uint8 (N, C, H, W)")
    if images.dtype != torch.uint8 and not images.is_floating_point():
        raise InputError(f"data of type {images.dtype}; pass uint8 images or floating point rows")
    if len(images) < batch_size:
        raise InputError(
            f"{len(images)} rows do not fill one batch of {batch_size}; "
            f"pass batch_size={max(1, len(images))} or less, or more data"
        )
    if images.is_floating_point() and not (finite := torch.isfinite(images)).all():
        row = int((~finite).flatten(1).any(1).nonzero()[0, 0]) if images.dim() > 1 else 0
        raise InputError(f"row {row} of the data holds NaN or infinity; remove or repair it")
