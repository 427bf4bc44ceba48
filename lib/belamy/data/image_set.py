"""The one kind of thing that every loader of ``belamy.data`` returns."""

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from belamy.errors import InputError


@dataclass(frozen=True, eq=False, repr=False)
class ImageSet:
    """Images in memory, with labels or factors where they are known; it does not change.

    Models see ``images / 255``, float32 in [0, 1]. A slice or an index tensor gives another set:
    ``digits[:100]``, ``digits[digits.labels == 7]``.

    Attributes:
        images: (N, C, H, W), uint8, C = 1 (grey) or 3 (RGB), N >= 1.
        name: what the images are, without any path.
        labels: (N,), int64, or None.
        factors: (N, d), float32, the numbers that each image was made from, or None.
        factor_names: the d names of the factors' columns.
        report: what the loader had to leave out, one line a file.

    Raises:
        InputError: a shape or dtype other than these.
    """

    images: Tensor
    name: str
    labels: Tensor | None = None
    factors: Tensor | None = None
    factor_names: tuple[str, ...] = ()
    report: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check("images", self.images, torch.uint8, ("N", "1 or 3", "H", "W"))
        count, channels = self.images.shape[:2]
        if channels not in (1, 3) or self.images.numel() == 0:
            raise InputError(
                f"images of shape {tuple(self.images.shape)}: expected one or more of 1 channel "
                "(grey) or 3 (RGB), channels first"
            )
        if self.labels is not None:
            _check("labels", self.labels, torch.int64, (count,))
        if self.factors is not None:
            _check("factors", self.factors, torch.float32, (count, len(self.factor_names)))
        elif self.factor_names:
            raise InputError(f"factor_names={self.factor_names} without factors: give both")

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: slice | Tensor) -> "ImageSet":
        if not isinstance(index, slice) and not (isinstance(index, Tensor) and index.ndim == 1):
            raise InputError(
                f"{index!r} is no slice or index tensor of one dimension; "
                "for the picture alone take .images[i]"
            )
        try:
            rows = {key: values[index] for key, values in self._tensors().items()}
        except (IndexError, ValueError) as error:
            raise InputError(f"index into {len(self)} images: {error}") from error
        return replace(self, **rows)

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.images.shape))
        known = "".join(f", {key}" for key in self._tensors() if key != "images")
        return f"ImageSet({self.name!r}, uint8 {shape}{known})"

    @property
    def channels(self) -> int:
        """1 for grey, 3 for RGB."""
        return self.images.shape[1]

    @property
    def size(self) -> int:
        """Side of the square images, in pixels.

        Raises:
            InputError: the images are not square.
        """
        height, width = self.images.shape[2:]
        if height != width:
            raise InputError(f"images of {height} x {width} pixels have no one size: see .images")
        return height

    @cached_property
    def checksum(self) -> str:
        """SHA-256 (hex) of images, labels and factors with their shapes; not of the name."""
        digest = hashlib.sha256()
        for key, values in self._tensors().items():
            digest.update(f"{key} {tuple(values.shape)} {values.dtype};".encode())
            digest.update(values.cpu().contiguous().numpy())
        return digest.hexdigest()

    def _tensors(self) -> dict[str, Tensor]:
        known = {"images": self.images, "labels": self.labels, "factors": self.factors}
        return {key: values for key, values in known.items() if values is not None}


def _check(key: str, values: Tensor, dtype: torch.dtype, shape: tuple[int | str, ...]) -> None:
    """Compare dtype, dimensions and those lengths that ``shape`` states as numbers."""
    expected = f"expected {dtype} of shape ({', '.join(map(str, shape))})"
    if not isinstance(values, Tensor):
        raise InputError(f"{key} is a {type(values).__name__}; {expected}: use torch.as_tensor")
    fits = values.ndim == len(shape) and all(
        isinstance(wanted, str) or length == wanted for length, wanted in zip(values.shape, shape)
    )
    if values.dtype != dtype or not fits:
        raise InputError(f"{key} is {values.dtype} of shape {tuple(values.shape)}; {expected}")
