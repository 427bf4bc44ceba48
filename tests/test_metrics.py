"""The balance metric on images whose value is known, in its three readings."""

import math

import pytest
import torch

from belamy import metrics
from belamy.errors import InputError
from belamy.metrics import READINGS, balance_metric

ROOT_3 = math.sqrt(3)
BLACK, WHITE = torch.zeros(1, 3, 4, 5), torch.ones(1, 3, 4, 5)


def constant(value, n=1, channels=3):
    return torch.full((n, channels, 4, 5), value)


@pytest.mark.parametrize("reading", READINGS)
def test_a_perfect_copy_scores_nothing(reading):
    image = torch.rand(1, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    assert balance_metric(image, image, reading) == 0


@pytest.mark.parametrize(
    "reading, value",
    {
        "as printed": ROOT_3 * (1 - ROOT_3),
        "as coded": ROOT_3 * (ROOT_3 - 1),
        "normalised": 0.0,
    }.items(),
)
def test_black_against_white(reading, value):
    assert balance_metric(WHITE, BLACK, reading) == pytest.approx(value, abs=1e-6)
    assert balance_metric(BLACK, WHITE, reading) == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize("reading", READINGS)
def test_a_distance_of_one_half_scores_a_quarter(reading):
    """One half a channel is the distance 1/2 when normalised, 1/2 over root 3 when not."""
    step = 0.5 if reading == "normalised" else 0.5 / ROOT_3
    assert balance_metric(constant(0.2), constant(0.2 + step), reading) == pytest.approx(0.25, abs=1e-6)


@pytest.mark.parametrize("reading", READINGS)
def test_grey_images_need_no_normalisation(reading):
    found = balance_metric(constant(0.2, channels=1), constant(0.5, channels=1), reading)
    assert found == pytest.approx(0.3 * 0.7, abs=1e-6)


@pytest.mark.parametrize("reading", READINGS)
def test_it_is_the_mean_over_pixels_images_and_generated_images(reading, monkeypatch):
    rng = torch.Generator().manual_seed(1)
    images = torch.rand(7, 3, 4, 5, generator=rng)
    generated = torch.rand(3, 3, 4, 5, generator=rng)
    values = []
    for image in images.tolist():
        for picture in generated.tolist():
            for row in range(4):
                for column in range(5):
                    d = math.dist(*[[channel[row][column] for channel in p] for p in (image, picture)])
                    d = d / ROOT_3 if reading == "normalised" else d
                    values.append(d * (1 - d) if reading == "as printed" else abs(d * (1 - d)))
    exact = pytest.approx(sum(values) / len(values), abs=1e-6)
    assert balance_metric(images, generated, reading) == exact
    monkeypatch.setattr(metrics, "PIXELS_AT_ONCE", 45)  # two images at a time
    assert balance_metric(images, generated, reading) == exact


def test_the_readings_differ_where_colours_are_far_apart():
    near, far = (
        [balance_metric(BLACK, constant(value), reading) for reading in READINGS] for value in (0.5, 0.9)
    )
    assert near[0] == near[1] > 0  # d = 0.87 < 1: the absolute value changes nothing
    assert far[0] == -far[1] < 0


def test_bytes_are_scaled():
    images = torch.tensor([0, 255], dtype=torch.uint8).reshape(2, 1, 1, 1).repeat(1, 3, 4, 5)
    assert balance_metric(images, images[:1] * 0 + 51) == pytest.approx(0.2 * 0.8, abs=1e-6)


@pytest.mark.parametrize(
    "images, generated, reading, words",
    [
        (WHITE, WHITE, "squared", "'squared' is not one of 'as printed', 'as coded', 'normalised'"),
        (WHITE, 255 * WHITE, "as coded", r"generated lie in \[255, 255\]; expected \[0, 1\]"),
        (WHITE - 1.5, WHITE, "as coded", r"images lie in \[-0.5, -0.5\]"),
        (WHITE * math.nan, WHITE, "as coded", r"images lie in \[nan, nan\]"),
        (WHITE, WHITE[0], "as coded", r"generated of shape \(3, 4, 5\); expected \(N, C, H, W\)"),
        (WHITE[:0], WHITE, "as coded", "not empty"),
        (WHITE, WHITE[..., :3], "as coded", r"\(3, 4, 5\), generated ones of \(3, 4, 3\)"),
        (WHITE, WHITE[:, :1], "as coded", r"generated ones of \(1, 4, 5\)"),
        (WHITE.long(), WHITE, "as coded", "images is torch.int64"),
        (WHITE.numpy(), WHITE, "as coded", "images is a ndarray"),
    ],
)
def test_what_cannot_be_compared_is_refused(images, generated, reading, words):
    with pytest.raises(InputError, match=words):
        balance_metric(images, generated, reading)
