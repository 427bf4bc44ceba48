"""Batches drawn by index from data sets that stay on the device as tensors."""

import copy
import hashlib
from collections.abc import Mapping
from functools import cached_property

import torch

from belamy._checks import whole_number
from belamy._devices import traits
from belamy.data.image_set import ImageSet
from belamy.errors import InputError
from belamy.randomness import generator

Data = ImageSet | torch.Tensor
LOOKED_AT = 4096  # rows at a time


class Batch:
    """One batch: ``x`` and, where the set has them, ``y`` (labels), ``factors`` and further arrays by name.

    Each is gathered when first used; all belong to the same rows, ``index`` (B,). Images come as
    floating point (B, C, H, W) in [0, 1], of the nets' type, channels last in memory; a float data set
    comes as it is.
    """

    def __init__(self, rows: "Rows", index: torch.Tensor) -> None:
        self._rows = rows
        self.index = index  # (B,) rows of the data set
        self._x: torch.Tensor | None = None  # cached_property has a lock, which costs 5 us a step

    def __len__(self) -> int:
        return len(self.index)

    @property
    def x(self) -> torch.Tensor:
        if self._x is None:
            x = self._rows.x.index_select(0, self.index)
            if x.dtype == torch.uint8:
                # Stored (N, H, W, C): the permuted view is channels_last without a copy.
                x = x.permute(0, 3, 1, 2).to(self._rows.dtype).div_(255)
                if self._rows.memory_format == torch.contiguous_format:
                    x = x.contiguous()
            self._x = x
        return self._x

    def __getattr__(self, name: str) -> torch.Tensor:
        """What else the set has of these rows: called only for names that are not set yet."""
        if name.startswith("_"):
            raise AttributeError(name)
        aligned = self._rows.aligned
        if name not in aligned:
            if name == "y":
                raise InputError("this loss asks for batch.y, but the data set has no labels")
            raise InputError(f"this loss asks for batch.{name}; the data set has {['x', *aligned]}")
        values = aligned[name].index_select(0, self.index)
        if values.dtype == torch.uint8 and values.dim() == 4:
            values = values.permute(0, 3, 1, 2).to(self._rows.dtype).div_(255)
        setattr(self, name, values)
        return values


class SeveralBatches:
    """A batch of each of several data sets, by the sets' names: ``batch.photo.x``, ``batch.painting.x``."""

    def __init__(self, batches: dict[str, Batch]) -> None:
        self._batches = batches

    def __len__(self) -> int:
        return len(next(iter(self._batches.values())))

    def __getattr__(self, name: str) -> Batch:
        if name.startswith("_"):
            raise AttributeError(name)
        if name not in self._batches:
            raise InputError(f"this loss asks for batch.{name}; the data sets are {list(self._batches)}")
        return self._batches[name]


class Rows:
    """One data set on the device: ``x`` (N, ...) and whatever else its rows have, aligned with them.

    Raises:
        InputError: the data are neither an ImageSet nor a tensor that can be trained on.
    """

    def __init__(self, data: Data, device: torch.device, dtype: torch.dtype = torch.float32) -> None:
        x = data.images if isinstance(data, ImageSet) else data
        _check(x)
        self.memory_format = traits(device).memory_format
        self.dtype = dtype  # of images as the losses see them
        aligned = {"y": getattr(data, "labels", None), "factors": getattr(data, "factors", None)}
        aligned |= dict(getattr(data, "others", None) or {})
        self.x = self._stored(x, device)
        self.aligned = {name: self._stored(v, device) for name, v in aligned.items() if v is not None}

    def __len__(self) -> int:
        return len(self.x)

    @staticmethod
    def _stored(values: torch.Tensor, device: torch.device) -> torch.Tensor:
        images = values.dtype == torch.uint8 and values.dim() == 4
        return (values.permute(0, 2, 3, 1).contiguous() if images else values).to(device)

    def digest(self) -> bytes:
        """sha256 of all tensors; read where they lie, without a copy."""
        digest = hashlib.sha256(repr((tuple(self.x.shape), str(self.x.dtype))).encode())
        for name, tensor in {"": self.x, **self.aligned}.items():
            digest.update(name.encode())
            digest.update(tensor.cpu().contiguous().view(-1).view(torch.uint8).numpy())
        return digest.digest()


class Batches:
    """The data on the device, and which of their rows each step of each player sees.

    Every epoch of a player is a fresh permutation, a function of (seed, player, epoch); rows
    that do not fill the last batch wait for another epoch. Of several data sets each is permuted
    by itself, and an epoch is a pass over the largest.

    Raises:
        InputError: the data are neither an ImageSet nor a tensor that can be trained on, nor a
            mapping from names to such, or a set has fewer rows than ``batch_size``.
    """

    def __init__(
        self,
        data: Data | Mapping[str, Data],
        batch_size: int,
        seed: int,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.batch_size = whole_number("batch_size", batch_size, 1)
        self.seed, self.device = seed, device
        self.several = isinstance(data, Mapping)
        if self.several and not data:
            raise InputError("data is an empty mapping: name at least one data set")
        for name in data if self.several else ():
            if not isinstance(name, str) or not name.isidentifier() or name.startswith("_"):
                raise InputError(f"a data set cannot be called {name!r}: losses read it as batch.<name>")
        self.sets = {name: Rows(part, device, dtype) for name, part in (data if self.several else {"": data}).items()}
        for name, rows in self.sets.items():
            if len(rows) < self.batch_size:
                raise InputError(
                    f"{len(rows)} rows{f' of {name!r}' if name else ''} do not fill one batch of "
                    f"{self.batch_size}; pass batch_size={max(1, len(rows))} or less, or more data"
                )
        self.per_epoch = max(len(rows) for rows in self.sets.values()) // self.batch_size
        self._orders: dict[tuple[str, str], tuple[int, tuple[torch.Tensor, ...]]] = {}  # epoch, batches

    def draw(self, player: str, step: int) -> Batch | SeveralBatches:
        """The batch that the named player sees at its given step."""
        drawn = {}
        for name, rows in self.sets.items():
            epoch, position = divmod(step, len(rows) // self.batch_size)
            known = self._orders.get((player, name))
            if known is None or known[0] != epoch:
                purpose = (player, name) if self.several else (player,)
                rng = generator(self.seed, "order", *purpose, epoch, device=self.device)
                order = torch.randperm(len(rows), generator=rng, device=self.device)
                known = self._orders[player, name] = epoch, order.split(self.batch_size)
            drawn[name] = Batch(rows, known[1][position])
        return SeveralBatches(drawn) if self.several else drawn[""]

    def of_seed(self, seed: int) -> "Batches":
        """The same rows, on the device once, in another seed's order."""
        other = copy.copy(self)
        other.seed, other._orders = seed, {}
        return other

    @cached_property
    def checksum(self) -> str:
        """sha256 of all rows, by which a checkpoint knows its data again."""
        parts = [name.encode() + rows.digest() for name, rows in self.sets.items()]
        return hashlib.sha256(b"".join(parts)).hexdigest()

    def describe(self, step: int, player: str) -> str:
        """The range of a batch, for a message."""
        batch = self.draw(player, step)
        parts = batch._batches if self.several else {"batch": batch}
        spans = [f"{name} lay in [{b.x.min():.4g}, {b.x.max():.4g}]" for name, b in parts.items()]
        return "; its " + ", ".join(spans)


def _check(rows: torch.Tensor) -> None:
    if not isinstance(rows, torch.Tensor):
        raise InputError(f"data is a {type(rows).__name__}; pass an ImageSet or a tensor")
    if rows.dim() == 0:
        raise InputError("data is a single number; pass rows, (N, ...)")
    if rows.dtype == torch.uint8 and rows.dim() != 4:
        raise InputError(f"images of shape {tuple(rows.shape)}; expected uint8 (N, C, H, W)")
    if rows.dtype != torch.uint8 and not rows.is_floating_point():
        raise InputError(f"data of type {rows.dtype}; pass uint8 images or floating point rows")
    # A sum needs no memory. Only where it is not finite does anybody look for the row, a few at a time: such a
    # sum may also come of many finite numbers.
    if rows.is_floating_point() and not rows.sum().isfinite():
        for start in range(0, len(rows), LOOKED_AT):
            part = rows[start : start + LOOKED_AT]
            finite = part.reshape(len(part), -1).isfinite().all(1)
            if not finite.all():
                bad = start + int((~finite).nonzero()[0, 0])
                raise InputError(f"row {bad} of the data holds NaN or infinity; remove or repair it")
