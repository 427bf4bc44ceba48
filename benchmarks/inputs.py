"""The input side: what it costs to have pictures ready as tensors."""

import os
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from statistics import median
from unittest import mock

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from belamy.data import ImageSet, folder
from belamy.game.batches import Batches
from benchmarks.contest import median_ratio
from benchmarks.textbook import loader

Comparison = tuple[float, float, float]  # our images per CPU-second, theirs, our ratio to theirs


def resident(shape: tuple[int, int, int], count: int, repeats: int) -> Comparison:
    """Batches of 64 from one uint8 tensor against a DataLoader of PIL images with ToTensor."""
    images = torch.randint(0, 256, (count, *shape), dtype=torch.uint8)
    return _batches(images, loader(images, 64, workers=0), repeats)


def resident_faces(count: int, repeats: int, size: int = 64) -> Comparison:
    """The same against the DCGAN recipe's input: an ImageFolder of JPEGs of CelebA's size."""
    steps = [transforms.Resize(size), transforms.CenterCrop(size), transforms.ToTensor()]
    with tempfile.TemporaryDirectory() as place:
        _write_pictures(Path(place, "all"), count, width=178, height=218)
        faces = ImageFolder(place, transforms.Compose(steps))
        images = torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8)
        items = DataLoader(faces, 64, shuffle=True, drop_last=True)
        return _batches(images, items, repeats)


def _batches(images: torch.Tensor, items: DataLoader, repeats: int) -> Comparison:
    batches = Batches(ImageSet(images, "random"), 64, 0, torch.device("cpu"))

    def ours() -> None:
        for step in range(batches.per_epoch):
            _ = batches.draw("inputs", step).x  # gathered when it is asked for

    def theirs() -> None:
        for _ in items:
            pass

    return _compare(ours, theirs, batches.per_epoch * 64, repeats)


def folders(count: int, repeats: int, size: int = 128) -> tuple[Comparison, Comparison]:
    """``data.folder`` on JPEGs of 700x900, first and from its cache, against PIL and Lanczos."""
    with tempfile.TemporaryDirectory() as place:
        pictures = Path(place, "pictures")
        _write_pictures(pictures, count, width=700, height=900)

        def theirs() -> None:
            for file in sorted(pictures.iterdir()):
                _plain_decode(file, size)

        kept_there = mock.patch.dict(os.environ, BELAMY_CACHE=place)
        alone = mock.patch("os.cpu_count", return_value=1)  # one thread, as the plain loop has
        with kept_there, alone, redirect_stderr(StringIO()):  # no progress bars
            first = _compare(lambda: folder(pictures, size, cache=False), theirs, count, repeats)
            folder(pictures, size)
            again = _compare(lambda: folder(pictures, size), theirs, count, repeats)
    return first, again


def _plain_decode(file: Path, size: int) -> np.ndarray:
    """The whole picture, its middle square, resized."""
    with Image.open(file) as picture:
        width, height = picture.size
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        square = picture.convert("RGB").crop((left, top, left + side, top + side))
    return np.asarray(square.resize((size, size), Image.Resampling.LANCZOS))


def _write_pictures(place: Path, count: int, width: int, height: int) -> None:
    """Soft forms with some grain, so that files are about as large as photographs'."""
    place.mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        forms = Image.fromarray(rng.integers(0, 256, (12, 9, 3), dtype=np.uint8))
        forms = forms.resize((width, height), Image.Resampling.BICUBIC)
        grainy = np.asarray(forms) + rng.normal(0, 6, (height, width, 3))
        picture = Image.fromarray(grainy.clip(0, 255).astype(np.uint8))
        picture.save(place / f"{number}.jpg", quality=90)


def _compare(ours: Callable, theirs: Callable, count: int, repeats: int) -> Comparison:
    """Turn by turn in this process, on one thread of torch's, after one turn each unmeasured."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        _seconds(ours), _seconds(theirs)
        mine, other = zip(*((_seconds(ours), _seconds(theirs)) for _ in range(repeats)))
    finally:
        torch.set_num_threads(threads)
    return count / median(mine), count / median(other), median_ratio(other, mine)


def _seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return max(time.process_time() - start, 1e-9)
