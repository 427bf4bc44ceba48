"""The one kind of thing that every loader of ``belamy.data`` returns."""

import hashlib
import keyword
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from belamy.errors import InputError

TAKEN = frozenset({"images", "labels", "factors", "x", "y", "index", "name", "others"})
INDICES = (torch.bool, torch.int64, torch.int32)  # torch takes bytes for a mask, silently
BLOCK = 2**20  # bytes hashed at once


@dataclass(frozen=True, eq=False, repr=False)
class ImageSet:
    """Images in memory, with what is known of each of them; it does not change.

    Models see ``images / 255``, float32 in [0, 1]. A slice or an index (a tensor or an array) gives
    another set, of the same rows of everything: ``digits[:100]``, ``digits[digits.labels == 7]``.

    What else belongs to the images, row for row, goes into ``others`` under a name of your own: a
    mask, the sketch of each portrait, a depth map. ::

        pairs = ImageSet(photos, "streets", others={"mask": masks})
        pairs[:10].others["mask"]

    Attributes:
        images: (N, C, H, W), uint8, C = 1 (grey) or 3 (RGB), N >= 1.
        name: what the images are, without any path.
        labels: (N,), int64, or None.
        factors: (N, d), float32, the numbers that each image was made from, or None.
        factor_names: the d names of the factors' columns.
        report: what the loader had to leave out, one line a file.
        others: further tensors of N rows by name, of any other shape and of any type. Those of bytes
            are pictures like ``images`` and models see them / 255; all others they see as they are.

    Raises:
        InputError: a shape or type other than these, NaN or infinity among floating-point values.
    """

    images: Tensor
    name: str
    labels: Tensor | None = None
    factors: Tensor | None = None
    factor_names: tuple[str, ...] = ()
    report: tuple[str, ...] = ()
    others: Mapping[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise InputError(f"name={self.name!r} must be a string: what the images are")
        for key in ("factor_names", "report"):
            words = getattr(self, key)
            if not isinstance(words, tuple | list) or not all(isinstance(w, str) for w in words):
                raise InputError(f"{key}={words!r} must be a tuple of strings")
            object.__setattr__(self, key, tuple(words))

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

        if not isinstance(self.others, Mapping):
            raise InputError(f"others is a {type(self.others).__name__}; expected {{name: tensor}}")
        for key in self.others:
            if not isinstance(key, str) or not key.isidentifier() or keyword.iskeyword(key):
                raise InputError(f"others has the name {key!r}: give a word of letters, say 'mask'")
            if key in TAKEN or key.startswith("_"):
                raise InputError(f"others has the name {key!r}, which is taken: choose another")
        object.__setattr__(self, "others", dict(self.others))  # ours: the caller's may change
        for key, values in self._tensors().items():
            if not isinstance(values, Tensor):
                found = type(values).__name__
                raise InputError(f"{key} is a {found}; expected a tensor: use torch.as_tensor")
            if values.ndim == 0 or len(values) != count:
                raise InputError(
                    f"{key} of shape {tuple(values.shape)} beside {count} images: expected {count} rows"
                )
            if values.is_floating_point() and not (finite := values.isfinite()).all():
                row = int((~finite).reshape(count, -1).any(1).nonzero()[0])
                raise InputError(f"{key} holds NaN or infinity, first in row {row}: repair or drop it")

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: slice | Tensor | np.ndarray) -> "ImageSet":
        is_array = isinstance(index, np.ndarray) and index.dtype.kind in "biuf"
        rows = torch.from_numpy(index) if is_array else index
        if not isinstance(rows, slice):
            if not (isinstance(rows, Tensor) and rows.ndim == 1):
                raise InputError(
                    f"{index!r} is no slice or index tensor of one dimension; "
                    "for the picture alone take .images[i]"
                )
            if rows.dtype not in INDICES:
                raise InputError(f"an index of {rows.dtype}: give rows (int64) or a mask (bool)")
            rows = rows.cpu()  # which fits tensors on every device
        try:
            parts = {key: values[rows] for key, values in self._tensors().items()}
        except (IndexError, TypeError, ValueError) as error:
            raise InputError(f"index into {len(self)} images: {error}") from error
        others = {key: parts.pop(key) for key in self.others}
        return replace(self, **parts, others=others)

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
        """SHA-256 (hex) of all tensors with their names and shapes; not of the set's name."""
        digest = hashlib.sha256()
        for key, values in self._tensors().items():
            digest.update(f"{key} {tuple(values.shape)} {values.dtype};".encode())
            # In blocks of rows: what lies otherwise in memory (or elsewhere) is never copied whole.
            rows = max(1, BLOCK * len(values) // max(1, values.numel() * values.element_size()))
            for block in values.detach().split(rows):
                digest.update(block.cpu().contiguous().view(torch.uint8).numpy())
        return digest.hexdigest()

    def _tensors(self) -> dict[str, Tensor]:
        """All that has a row for each image; the others in the order of their names."""
        known = {"images": self.images, "labels": self.labels, "factors": self.factors}
        known |= {key: self.others[key] for key in sorted(self.others)}
        return {key: values for key, values in known.items() if values is not None or key in self.others}


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
