"""What an ImageSet accepts, and what is kept when it is sliced."""

import dataclasses

import numpy as np
import pytest
import torch

from belamy.data import ImageSet
from belamy.errors import InputError


def make(n: int = 6, channels: int = 1) -> ImageSet:
    images = torch.arange(n * channels * 4, dtype=torch.uint8).reshape(n, channels, 2, 2)
    return ImageSet(
        images,
        "squares",
        labels=torch.arange(n),
        factors=torch.linspace(0, 1, 2 * n).reshape(n, 2),
        factor_names=("light", "pose"),
        report=("x.jpg: empty file",),
    )


@pytest.mark.parametrize(
    "index",
    [slice(1, 4), torch.tensor([1, 2, 3]), torch.tensor([False, True, True, True, False, False])],
    ids=["slice", "indices", "mask"],
)
def test_a_slice_takes_the_same_rows_of_everything_and_keeps_the_rest(index):
    whole = make()
    part = whole[index]
    assert torch.equal(part.images, whole.images[1:4])
    assert part.labels.tolist() == [1, 2, 3]
    assert torch.equal(part.factors, whole.factors[1:4])
    assert (part.name, part.factor_names, part.report, len(part)) == (
        "squares", ("light", "pose"), ("x.jpg: empty file",), 3
    )  # fmt: skip


@pytest.mark.parametrize(
    "index", [3, slice(6, 9), torch.tensor([6]), torch.tensor(2), slice(None, None, -1), "light"]
)
def test_other_indices_are_refused(index):
    with pytest.raises(InputError):
        make()[index]


def test_checksum_follows_every_tensor_but_not_the_name():
    base = make()
    assert base.checksum == make().checksum
    assert base.checksum == dataclasses.replace(base, name="other").checksum
    for key in ("images", "labels", "factors"):
        changed = getattr(base, key).clone()
        changed.view(-1)[-1] += 1
        assert dataclasses.replace(base, **{key: changed}).checksum != base.checksum
    reshaped = dataclasses.replace(base, images=base.images.reshape(6, 1, 4, 1))
    assert reshaped.checksum != base.checksum
    assert dataclasses.replace(base, labels=None).checksum != base.checksum


def test_checksum_is_of_the_values_not_of_their_layout_in_memory():
    base = make(channels=3)
    last = base.images.to(memory_format=torch.channels_last)
    assert dataclasses.replace(base, images=last).checksum == base.checksum


def test_it_is_frozen_and_prints_in_one_line():
    images = make()
    with pytest.raises(dataclasses.FrozenInstanceError):
        images.name = "other"
    assert repr(images) == "ImageSet('squares', uint8 6 x 1 x 2 x 2, labels, factors)"
    assert (images.size, images.channels) == (2, 1)


def test_size_of_oblong_images_is_an_error():
    with pytest.raises(InputError, match="2 x 3 pixels"):
        _ = ImageSet(torch.zeros(1, 1, 2, 3, dtype=torch.uint8), "oblong").size


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"images": torch.zeros(6, 1, 2, 2)}, "images is torch.float32 .* expected torch.uint8"),
        ({"images": torch.zeros(6, 2, 2, dtype=torch.uint8)}, r"\(6, 2, 2\); .*\(N, 1 or 3, H"),
        ({"images": torch.zeros(6, 2, 2, 2, dtype=torch.uint8)}, "1 channel .* or 3"),
        ({"images": torch.zeros(0, 1, 2, 2, dtype=torch.uint8)}, r"\(0, 1, 2, 2\): expected one"),
        ({"images": np.zeros((6, 1, 2, 2), np.uint8)}, "images is a ndarray"),
        ({"labels": torch.arange(5)}, r"labels is torch.int64 of shape \(5,\); .* \(6\)"),
        ({"labels": torch.zeros(6)}, "labels is torch.float32"),
        ({"labels": torch.arange(6)[:, None]}, r"labels .*\(6, 1\)"),
        ({"factors": torch.zeros(6, 3)}, r"factors .*\(6, 3\); .*\(6, 2\)"),
        ({"factors": torch.zeros(6, 2, dtype=torch.float64)}, "expected torch.float32"),
        ({"factors": None}, "without factors"),
    ],
)
def test_bad_tensors_are_named(change, says):
    with pytest.raises(InputError, match=says):
        dataclasses.replace(make(), **change)
