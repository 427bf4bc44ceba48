"""Handwritten digits that come with scikit-learn: real handwriting without a download.

1,797 digits by 13 people, the test part of *Optical Recognition of Handwritten Digits* (Alpaydin
& Kaynak 1998, UCI Machine Learning Repository): 32 x 32 bitmaps, of which every 4 x 4 block was
counted, so 8 x 8 pixels of 0 to 16. Who wrote which is not known: the same hands are in every
split.
"""

import hashlib
import numbers

import numpy as np
import torch
from PIL import Image

from belamy.data.image_set import ImageSet
from belamy.errors import InputError

SPLITS = ("train", "validation", "test", "all")
SIZES = (8, 28, 32)
HELD_OUT = 30  # of each digit, in validation and in test alike


def digits(split: str = "train", size: int = 8) -> ImageSet:
    """1,197 digits to train on, 300 each for validation and test, with labels 0 to 9.

    Args:
        split: "train", "validation", "test" or "all" (in scikit-learn's order).
        size: 8, the pixels as scanned, a count c of 16 being stored as round(255 c / 16); or 28
            or 32, resampled by cubic splines with MNIST's margin of a seventh on each side.

    Returns:
        (N, 1, size, size) on black; the same in every version of numpy and scikit-learn.

    Raises:
        InputError: unknown split or size.
    """
    is_whole = isinstance(size, numbers.Integral) and not isinstance(size, bool)
    if split not in SPLITS or not is_whole or size not in SIZES:
        raise InputError(
            f"digits({split!r}, size={size!r}): choose a split of {SPLITS} and a size of {SIZES}"
        )
    size = int(size)
    from sklearn.datasets import load_digits  # slow to import, and needed here only

    scans = load_digits()
    rows = _rows(scans.target, split)
    pixels = np.rint(scans.images[rows] * (255 / 16)).astype(np.uint8)
    if size != 8:
        pixels = np.stack([_enlarge(picture, size) for picture in pixels])
    return ImageSet(
        images=torch.from_numpy(pixels)[:, None],
        name=f"digits {size}x{size}, {split}",
        labels=torch.from_numpy(scans.target[rows].astype(np.int64)),
    )


def _rows(labels: np.ndarray, split: str) -> np.ndarray:
    """Which scans belong to a split, ascending; every digit is held out equally often."""
    if split == "all":
        return np.arange(len(labels))
    chosen = []
    for digit in range(10):
        # Shuffled by a hash, for random streams may differ between versions of a library.
        shuffled = sorted(np.flatnonzero(labels == digit), key=_hash)
        parts = np.split(np.array(shuffled), [HELD_OUT, 2 * HELD_OUT])
        chosen.append(dict(zip(("test", "validation", "train"), parts))[split])
    return np.sort(np.concatenate(chosen))


def _hash(row: int) -> str:
    return hashlib.sha256(f"digit {row}".encode()).hexdigest()


def _enlarge(picture: np.ndarray, size: int) -> np.ndarray:
    """(8, 8) to (size, size), the scan covering 20 / 28 of the side, as in MNIST."""
    canvas = Image.fromarray(np.pad(picture, 2))  # 12 x 12, of which 8 * 28 / 20 = 11.2 are shown
    shown = (0.4, 0.4, 11.6, 11.6)
    return np.asarray(canvas.resize((size, size), Image.Resampling.BICUBIC, box=shown))
