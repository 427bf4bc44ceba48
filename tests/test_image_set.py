"""What an ImageSet accepts, and what is kept when it is sliced."""

import copy
import dataclasses
import pickle
import subprocess
import sys

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
    [
        slice(1, 4),
        slice(np.int64(1), np.int64(4)),
        torch.tensor([1, 2, 3]),
        torch.tensor([False, True, True, True, False, False]),
        np.array([1, 2, 3]),
        np.array([False, True, True, True, False, False]),
    ],
    ids=["slice", "numpy's slice", "indices", "mask", "array", "array mask"],
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
        "index",
    [
        3,
        slice(6, 9),
        slice(0, 2.5),
        slice("a", None),
        torch.tensor([6]),
        torch.tensor(2),
        torch.tensor([0.0, 1.0]),
        torch.tensor([1, 1, 1, 0, 0, 0], dtype=torch.uint8),  # a mask, or rows 1 and 0?
        torch.ones(5, dtype=torch.bool),
        torch.zeros(0, dtype=torch.int64),
        np.array(["a"]),
        slice(None, None, -1),
        "light",
        None,
    ],
    ids=repr,
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
        ({"factors": torch.tensor([[0.0, 1.0]] * 3 + [[0.0, torch.nan]] * 3)}, "factors.*NaN.* row 3"),
        ({"factor_names": "ab"}, "factor_names='ab' must be a tuple of strings"),
        ({"report": (1,)}, "report=.*tuple of strings"),
        ({"name": None}, "name=None must be a string"),
        ({"images": None}, "images is a NoneType"),
        ({"labels": [0, 1, 2, 3, 4, 5]}, "labels is a list; expected torch.int64"),
        ({"others": [1]}, "others is a list; expected {name: tensor}"),
        ({"others": {"mask": np.zeros(6)}}, "mask is a ndarray; expected a tensor"),
        ({"others": {"mask": torch.zeros(5, 2)}}, r"mask of shape \(5, 2\) beside 6 images"),
        ({"others": {"mask": torch.tensor(1)}}, r"mask of shape \(\) beside 6"),
        ({"others": {"depth": torch.full((6, 2), float("inf"))}}, "depth holds NaN or infinity.* row 0"),
        ({"others": {"labels": torch.zeros(6)}}, "'labels', which is taken"),
        ({"others": {"two words": torch.zeros(6)}}, "'two words': give a word"),
        ({"others": {3: torch.zeros(6)}}, "the name 3: give a word"),
    ],
)
def test_bad_tensors_are_named(change, says):
    with pytest.raises(InputError, match=says):
        dataclasses.replace(make(), **change)


# Further arrays beside the images


def pairs(n: int = 6) -> ImageSet:
    depth = torch.linspace(0, 1, n * 4).reshape(n, 2, 2).bfloat16()
    return dataclasses.replace(make(n), others={"mask": make(n).images > 2, "depth": depth})


def test_what_belongs_to_an_image_stays_with_it():
    whole = pairs()
    for index in (slice(1, None, 2), torch.tensor([5, 0, 5]), whole.labels > 3):
        part = whole[index]
        assert list(part.others) == ["mask", "depth"]
        for key, values in part.others.items():
            assert torch.equal(values, whole.others[key][index])
    assert repr(whole) == "ImageSet('squares', uint8 6 x 1 x 2 x 2, labels, factors, depth, mask)"


def test_the_others_are_the_sets_own_and_travel_with_copies():
    mine = {"mask": torch.zeros(6)}
    images = dataclasses.replace(make(), others=mine)
    mine["more"] = torch.zeros(1)
    assert list(images.others) == ["mask"]
    for copied in (copy.deepcopy(images), pickle.loads(pickle.dumps(images))):
        assert copied.checksum == images.checksum and list(copied.others) == ["mask"]


def test_checksum_knows_the_others_their_names_and_no_order():
    base = pairs()
    swapped = dict(reversed(base.others.items()))
    assert dataclasses.replace(base, others=swapped).checksum == base.checksum
    seen = {base.checksum, make().checksum}
    for key in base.others:
        changed = base.others[key].clone()
        changed.view(-1)[-1] = 0
        seen.add(dataclasses.replace(base, others={**base.others, key: changed}).checksum)
        rest = {name: values for name, values in base.others.items() if name != key}
        seen.add(dataclasses.replace(base, others=rest).checksum)
        seen.add(dataclasses.replace(base, others={**rest, key + "s": base.others[key]}).checksum)
    assert len(seen) == 2 + 3 * 2


def test_checksums_of_sets_without_others_are_those_of_before():
    assert make().checksum.startswith("b222a897ad02e22d")


def test_a_checksum_copies_no_set_whole():
    """Channels last, where contiguous memory would be a second set of 200 MB."""
    program = (
        "import resource, torch\nfrom belamy.data import ImageSet\n"
        "x = torch.ones(1000, 256, 256, 3, dtype=torch.uint8).permute(0, 3, 1, 2)\n"
        "images = ImageSet(x, 'ones')\nImageSet(x[:9], 'few').checksum\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\nimages.checksum\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)"
    )
    run = [sys.executable, "-c", program]
    grown = int(subprocess.run(run, capture_output=True, text=True, check=True).stdout)
    assert grown < 64  # MB
