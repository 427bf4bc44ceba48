"""The bundled digits: scale, split and resampling."""

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from belamy.data import digits
from belamy.errors import InputError


def test_pixels_are_scikit_learns_counts_of_16_scaled_to_255():
    scans = load_digits()
    images = digits("all")
    assert images.images.shape == (1797, 1, 8, 8)
    counts = images.images[:, 0].double() * 16 / 255
    assert torch.equal(counts.round(), torch.from_numpy(scans.images))
    assert (images.images.min(), images.images.max()) == (0, 255)
    assert torch.equal(images.labels, torch.from_numpy(scans.target))


def test_the_split_is_complete_disjoint_and_stratified():
    parts = {split: digits(split) for split in ("train", "validation", "test")}
    assert {split: len(part) for split, part in parts.items()} == {
        "train": 1197,
        "validation": 300,
        "test": 300,
    }
    for split in ("validation", "test"):
        assert torch.bincount(parts[split].labels).tolist() == [30] * 10
    rows = sorted(x.numpy().tobytes() for part in parts.values() for x in part.images)
    assert rows == sorted(x.numpy().tobytes() for x in digits("all").images)


@pytest.mark.parametrize(
    ("split", "checksum"),
    [
        ("train", "3c423b9d7ea96bc7"),
        ("validation", "4fc911a9ea3ca976"),
        ("test", "69af42af6bb24ad7"),
    ],
)
def test_the_split_is_the_same_for_ever(split, checksum):
    assert digits(split).checksum[:16] == checksum


@pytest.mark.parametrize("size", [28, 32])
def test_enlarged_digits_are_the_scans_inside_mnists_margin(size):
    small, large = digits("test").images[:, 0].float(), digits("test", size=size).images
    assert large.shape == (300, 1, size, size)
    edge = size // 14
    border = large[:, 0].clone()
    border[:, edge:-edge, edge:-edge] = 0
    assert border.max() == 0
    inner = tuple(place / 28 * size for place in (4, 4, 24, 24))
    box = Image.Resampling.BOX
    shrunk = [Image.fromarray(x).resize((8, 8), box, inner) for x in large[:, 0].numpy()]
    back = torch.from_numpy(np.stack(shrunk)).float()
    both = torch.stack([back.flatten(), small.flatten()])
    assert torch.corrcoef(both)[0, 1] > 0.97  # one pixel aside it is below 0.95


@pytest.mark.parametrize("size", [28, 32])
def test_enlarged_digits_sit_in_the_middle(size):
    large = digits("all", size=size).images[:, 0].float().mean(0)
    places = torch.arange(size) - (size - 1) / 2
    for axis in (0, 1):
        mean = (large.sum(axis) * places).sum() / large.sum()
        assert abs(mean) < size / 28


@pytest.mark.parametrize(
    "wrong",
    [
        *({"split": split} for split in ("valid", ["train"], None, 0, "")),
        *({"size": size} for size in (16, 8.0, np.float64(28), "8", None, [8], -8, True, np.arange(2))),
    ],
    ids=repr,
)
def test_unknown_split_or_size(wrong):
    with pytest.raises(InputError, match="choose a split"):
        digits(**wrong)


def test_the_size_may_be_numpys():
    assert digits(size=np.int64(28)).name == "digits 28x28, train"
