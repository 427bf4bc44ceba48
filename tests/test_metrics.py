"""Metrics on images, features and probabilities whose value is known, and against other packages."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from prdc import compute_prdc
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch_fidelity import metric_fid, metric_isc, metric_prc
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from belamy import _pairs, metrics
from belamy.errors import InputError
from belamy.metrics import (
    READINGS,
    balance_metric,
    density_coverage,
    frechet_distance,
    inception_score,
    kernel_distance,
    kernel_distance_subsets,
    precision_recall,
)

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


# Features: golden values, which torch-fidelity, torchmetrics, clean-fid and prdc agree on


def normal(seed, rows, columns=16):
    return torch.from_numpy(np.random.RandomState(seed).randn(rows, columns))


REAL, FAKE = normal(0, 500), 0.3 + 1.2 * normal(1, 500)
PROBABILITIES = (3 * normal(2, 1000, 10)).softmax(1)


def test_golden_frechet_distance():
    assert frechet_distance(REAL, FAKE) == pytest.approx(2.72997751085343, rel=1e-12)


def test_golden_kernel_distance():
    assert kernel_distance(REAL, FAKE) == pytest.approx(0.437883768185977, rel=1e-12)


def test_golden_kernel_distance_of_subsets():
    rng = np.random.RandomState(2020)
    values = []
    for _ in range(100):
        fake = FAKE[rng.choice(500, 100, replace=False)]
        values.append(kernel_distance(REAL[rng.choice(500, 100, replace=False)], fake))
    assert np.mean(values) == pytest.approx(0.435882604293861, rel=1e-12)
    assert np.std(values) == pytest.approx(0.0996652660192405, rel=1e-12)


def test_golden_precision_and_recall():
    assert precision_recall(REAL, FAKE) == (0.456, 0.928)
    assert precision_recall(REAL, FAKE, k=5) == (0.556, 0.974)


def test_golden_density_and_coverage():
    assert density_coverage(REAL, FAKE) == (0.3412, 0.692)
    assert density_coverage(REAL, FAKE, k=3) == (523 / 1500, 0.518)


def test_golden_inception_score():
    assert inception_score(PROBABILITIES) == pytest.approx(3.85593435206610, rel=1e-12)
    assert inception_score(PROBABILITIES, splits=10) == pytest.approx(3.75789368888954, rel=1e-12)
    parts = [inception_score(part) for part in PROBABILITIES.split(100)]
    assert np.std(parts) == pytest.approx(0.238089, abs=1e-6)


@pytest.mark.parametrize("samples", [REAL, REAL.float(), normal(3, 12)], ids=["", "float32", "few"])
def test_a_copy_is_perfect(samples):
    assert frechet_distance(samples, samples) == pytest.approx(0, abs=1e-7)
    assert precision_recall(samples, samples) == (1, 1)
    assert density_coverage(samples, samples) == (1, 1)


# Independent implementations


class Rows(torch.nn.Identity):
    """What torchmetrics takes for a feature net."""

    num_features = 16


@pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance` will save all")
@pytest.mark.parametrize("kind", [FrechetInceptionDistance, KernelInceptionDistance])
def test_torchmetrics_agrees(kind):
    frechet = kind is FrechetInceptionDistance
    theirs = kind(Rows()) if frechet else kind(Rows(), subsets=1, subset_size=500)
    theirs.set_dtype(torch.float64)
    theirs.update(REAL, real=True)
    theirs.update(FAKE, real=False)
    found = theirs.compute() if frechet else theirs.compute()[0]
    ours = (frechet_distance if frechet else kernel_distance)(REAL, FAKE)
    assert ours == pytest.approx(found.item(), rel=1e-9)


def test_torch_fidelity_agrees():
    fits = [metric_fid.fid_features_to_statistics(samples) for samples in (REAL, FAKE)]
    theirs = metric_fid.fid_statistics_to_metric(*fits, verbose=False)
    assert frechet_distance(REAL, FAKE) == pytest.approx(theirs[metric_fid.KEY_METRIC_FID], rel=1e-9)
    logits = 3 * normal(2, 1003, 10)
    theirs = metric_isc.isc_features_to_metric(logits, 7, False, 0)[metric_isc.KEY_METRIC_ISC_MEAN]
    assert inception_score(logits.softmax(1), splits=7) == pytest.approx(theirs, rel=1e-12)
    theirs = metric_prc.calculate_precision_recall_full(FAKE, REAL[:300], 4)
    assert precision_recall(REAL[:300], FAKE, 4) == pytest.approx(theirs, abs=1e-6)  # float32 means


@pytest.mark.parametrize(
    "n, m, dimensions, k", [(120, 200, 3, 1), (300, 150, 40, 4), (99, 100, 200, 7)]
)
def test_prdc_agrees(n, m, dimensions, k):
    real, fake = normal(4, n, dimensions), 0.1 + 0.9 * normal(5, m, dimensions)
    theirs = compute_prdc(real.numpy(), fake.numpy(), k)
    assert precision_recall(real, fake, k) == pytest.approx((theirs["precision"], theirs["recall"]))
    assert density_coverage(real, fake, k) == pytest.approx((theirs["density"], theirs["coverage"]))


# Closed forms


def whitened(seed, rows, columns):
    """Samples whose mean is exactly 0 and whose covariance is exactly the identity."""
    samples = normal(seed, rows, columns)
    samples = samples - samples.mean(0)
    factor = torch.linalg.cholesky(samples.mT @ samples / (rows - 1))
    return torch.linalg.solve_triangular(factor, samples.mT, upper=False).mT


@pytest.mark.parametrize("shift, scale", [(0.0, 1.0), (0.3, 1.2), (-2.0, 0.1), (5.0, 1.0)])
def test_frechet_distance_of_round_gaussians(shift, scale):
    """N(0, I) against N(m, s^2 I): d (m^2 + (1 - s)^2)."""
    real, fake = whitened(0, 80, 6), shift + scale * whitened(1, 90, 6)
    exact = 6 * (shift**2 + (1 - scale) ** 2)
    assert frechet_distance(real, fake) == pytest.approx(exact, abs=1e-9)


def test_frechet_distance_of_gaussians_in_the_plane_whose_axes_differ():
    """tr sqrt(S1 S2) = sqrt(tr(S1 S2) + 2 sqrt(det(S1 S2))) in two dimensions."""
    first, second = torch.tensor([[2.0, 0.0], [1.0, 0.3]]), torch.tensor([[0.5, -1.0], [0.0, 3.0]])
    first, second = first.double(), second.double()
    real, fake = whitened(0, 50, 2) @ first.mT, whitened(1, 60, 2) @ second.mT
    one, two = first @ first.mT, second @ second.mT
    product = one @ two
    shared = (product.trace() + 2 * torch.linalg.det(product).sqrt()).sqrt()
    exact = (one.trace() + two.trace() - 2 * shared).item()
    assert frechet_distance(real, fake) == pytest.approx(exact, rel=1e-12)


def test_few_samples_in_many_dimensions_keep_their_distance():
    """Fewer rows than columns: the same as in the subspace that they span."""
    basis = torch.linalg.qr(normal(2, 300, 9)).Q
    real, fake = normal(0, 40, 9), 0.3 + 1.2 * normal(1, 50, 9)
    within = frechet_distance(real, fake)
    assert frechet_distance(real @ basis.mT, fake @ basis.mT) == pytest.approx(within, rel=1e-9)
    both = torch.cat([real, torch.zeros(40, 30)], 1), torch.cat([fake, torch.zeros(50, 30)], 1)
    assert frechet_distance(*both) == pytest.approx(within, rel=1e-6)  # enough rows, rank 9 of 39


def test_kernel_distance_by_hand():
    real, fake = normal(0, 5, 3).tolist(), normal(1, 7, 3).tolist()

    def kernel(x, y):
        return (sum(a * b for a, b in zip(x, y)) / 3 + 1) ** 3

    def within(rows):
        pairs = [kernel(x, y) for i, x in enumerate(rows) for j, y in enumerate(rows) if i != j]
        return sum(pairs) / len(pairs)

    across = sum(kernel(x, y) for x in real for y in fake) / 35
    exact = within(real) + within(fake) - 2 * across
    assert kernel_distance(torch.tensor(real), torch.tensor(fake)) == pytest.approx(exact, rel=1e-5)


def test_kernel_distance_is_unbiased_and_falls_below_zero():
    values = [kernel_distance(normal(seed, 20, 4), normal(1000 + seed, 30, 4)) for seed in range(400)]
    assert min(values) < 0
    assert abs(np.mean(values)) < 4 * np.std(values) / 20


def test_kernel_distance_of_subsets():
    values = kernel_distance_subsets(REAL, FAKE, subsets=60, subset_size=100, seed=1)
    assert values.shape == (60,) and values.std() > 0.05
    assert values.mean().item() == pytest.approx(kernel_distance(REAL, FAKE), abs=0.05)
    assert torch.equal(values, kernel_distance_subsets(REAL, FAKE, 60, 100, seed=1))
    assert not torch.equal(values, kernel_distance_subsets(REAL, FAKE, 60, 100, seed=2))
    whole = kernel_distance_subsets(REAL, FAKE, subsets=2, subset_size=500)
    assert whole.tolist() == pytest.approx([kernel_distance(REAL, FAKE)] * 2, rel=1e-12)


def test_balls_by_hand():
    """On a line: real 0, 1, 3 with k=1 have radii 1, 1, 2."""
    real, fake = torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([[2.0], [2.5], [9.0], [-0.5]])
    # 2 is on the boundary of the ball of 1, and inside that of 3, as is 2.5; -0.5 is inside that of 0.
    assert density_coverage(real, fake, k=1) == (3 / 4, 2 / 3)
    # Radii of fake: 0.5, 0.5, 6.5, 2.5. Of real, 3 is on the boundaries of 2.5 and 9; 0, 1 near -0.5.
    assert precision_recall(real, fake, k=1) == (3 / 4, 1)
    assert precision_recall(real, fake[:2], k=1) == (1, 1 / 3)
    assert density_coverage(real, torch.tensor([[2.0], [2.0]]), k=1) == (1, 1 / 3)


def test_points_that_coincide_are_near_each_other_and_fill_no_ball():
    same = torch.ones(6, 3)
    assert precision_recall(same, same) == (1, 1)
    assert density_coverage(same, same) == (0, 0)


def test_swapped_arguments_exchange_precision_and_recall_but_not_density():
    assert precision_recall(REAL, FAKE) == precision_recall(FAKE, REAL)[::-1]
    assert density_coverage(REAL, FAKE) != density_coverage(FAKE, REAL)


def test_limits_of_the_inception_score():
    assert inception_score(torch.full((30, 10), 0.1)) == pytest.approx(1, abs=1e-6)
    certain = torch.eye(10).repeat(3, 1)
    assert inception_score(certain) == pytest.approx(10)
    assert inception_score(torch.eye(10)[:1].repeat(30, 1)) == pytest.approx(1)
    by_class = torch.eye(10).repeat_interleave(3, 0)
    assert inception_score(by_class, splits=10) == pytest.approx(1)  # the order is kept


# Properties

GRIDS = arrays(np.float64, st.tuples(st.integers(4, 12), st.just(3)), elements=st.integers(-3, 3))
SEEDS = st.integers(0, 2**31)
property_based = settings(deadline=None, max_examples=60)


def every_metric(real, fake):
    """Fréchet, kernel, precision, recall, density, coverage."""
    distances = [frechet_distance(real, fake), kernel_distance(real, fake)]
    return [*distances, *precision_recall(real, fake, 3), *density_coverage(real, fake, 3)]


def close(values):
    """Fréchet and kernel distance up to rounding; shares and counts exactly."""
    return [*(pytest.approx(value, rel=1e-6, abs=1e-5) for value in values[:2]), *values[2:]]


@property_based
@given(GRIDS, GRIDS, SEEDS)  # whole numbers, which lie in rows, at one place, and at equal distances
def test_the_order_of_rows_does_not_matter(real, fake, seed):
    real, fake = torch.from_numpy(real), torch.from_numpy(fake)
    rng = torch.Generator().manual_seed(seed)
    shuffled = [samples[torch.randperm(len(samples), generator=rng)] for samples in (real, fake)]
    assert every_metric(*shuffled) == close(every_metric(real, fake))


@property_based
@given(GRIDS, GRIDS, SEEDS)
def test_rotation_reflection_and_shift_do_not_matter(real, fake, seed):
    """Not to the kernel distance either, but for the shift: its kernel knows the origin."""
    real, fake = torch.from_numpy(real), torch.from_numpy(fake)
    rng = torch.Generator().manual_seed(seed)
    turn = torch.linalg.qr(torch.randn(3, 3, generator=rng, dtype=torch.float64)).Q
    shift = 10 * torch.randn(3, generator=rng, dtype=torch.float64)
    before = every_metric(real, fake)
    assert every_metric(real @ turn, fake @ turn) == close(before)
    frechet, _, *others = every_metric(real @ turn + shift, fake @ turn + shift)
    assert [frechet, *others] == [close(before)[0], *before[2:]]


@property_based
@given(GRIDS, GRIDS)
def test_what_is_symmetric(real, fake):
    real, fake = torch.from_numpy(real), torch.from_numpy(fake)
    there, back = every_metric(real, fake), every_metric(fake, real)
    assert there[:2] == close(back)[:2]
    assert there[2:4] == back[2:4][::-1]
    assert there[0] >= 0 and all(0 <= share <= 1 for share in (*there[2:4], there[5]))


@property_based
@given(arrays(np.float64, (12, 4), elements=st.floats(0.01, 1)), SEEDS)
def test_the_inception_score_lies_between_1_and_the_number_of_classes(weights, seed):
    probabilities = torch.from_numpy(weights / weights.sum(1, keepdims=True))
    score = inception_score(probabilities)
    assert 1 - 1e-9 <= score <= 4
    order = torch.randperm(12, generator=torch.Generator().manual_seed(seed))
    assert inception_score(probabilities[order]) == pytest.approx(score, rel=1e-9)


# Blocks, types, devices


def test_blocks_do_not_change_the_values(monkeypatch):
    real, fake = REAL[:203], FAKE[:150]
    whole = every_metric(real, fake)
    score = inception_score(PROBABILITIES, 3)
    monkeypatch.setattr(_pairs, "ROWS_AT_ONCE", 12)
    monkeypatch.setattr(metrics, "ROWS_AT_ONCE", 12)
    monkeypatch.setattr(_pairs, "KERNEL_ROWS_AT_ONCE", 12)
    found = every_metric(real, fake)
    assert found[:2] == pytest.approx(whole[:2], rel=1e-11)
    assert found[2:] == whole[2:]
    assert inception_score(PROBABILITIES, 3) == pytest.approx(score, rel=1e-12)


class Largest(TorchDispatchMode):
    """Notes how many entries the largest tensor has that anything computes."""

    entries = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        found = function(*args, **(kwargs or {}))
        tensors = [value for value in tree_leaves(found) if isinstance(value, torch.Tensor)]
        self.entries = max([self.entries, *(tensor.numel() for tensor in tensors)])
        return found


def test_no_matrix_of_all_pairs_is_held(monkeypatch):
    monkeypatch.setattr(_pairs, "ROWS_AT_ONCE", 16)
    monkeypatch.setattr(_pairs, "KERNEL_ROWS_AT_ONCE", 16)
    real, fake = normal(0, 700, 8).float(), normal(1, 900, 8).float()
    with Largest() as largest:
        every_metric(real, fake)
    assert 8 * 900 < largest.entries <= 16 * 900


def test_float32_features_are_compared_in_float64_or_nearly():
    """Positive features of a large mean, as nets have, whose differences are small."""
    real, fake = normal(0, 400, 64).abs().float() + 1, normal(1, 400, 64).abs().float() + 1.01
    single, double = every_metric(real, fake), every_metric(real.double(), fake.double())
    assert single[0] == pytest.approx(double[0], rel=1e-12)
    assert single[1] == pytest.approx(double[1], rel=1e-3)  # its kernels are float32
    assert single[2:] == double[2:]
    assert all(math.isfinite(value) for value in every_metric(real.half(), fake.bfloat16()))


@pytest.mark.parametrize("scale", [1e5, 1e7, 1e38])
def test_large_float32_features_are_compared_in_float64(scale):
    """Their kernels, sixth powers, would overflow float32 from about 1e6."""
    real, fake = REAL[:60].float() / 10 * scale, FAKE[:50].float() / 10 * scale
    single, double = every_metric(real, fake), every_metric(real.double(), fake.double())
    assert single == pytest.approx(double, rel=1e-12 if scale > 1e6 else 1e-3)
    small = every_metric(real.double() / scale, fake.double() / scale)
    assert single[0] == pytest.approx(small[0] * scale**2, rel=1e-9)
    assert single[2:] == pytest.approx(small[2:])
    kernels = lambda x, y: (x.double() @ y.double().T / 16 + 1) ** 3  # noqa: E731
    within = [kernels(x, x) for x in (real, fake)]
    expected = sum((k.sum() - k.trace()) / (len(k) * (len(k) - 1)) for k in within)
    assert single[1] == pytest.approx((expected - 2 * kernels(real, fake).mean()).item(), rel=1e-3)


def test_half_precision_images_are_averaged_in_float32():
    images, generated = (torch.rand(n, 3, 8, 8).bfloat16() for n in (4, 3))
    wanted = balance_metric(images.float(), generated.float())
    assert balance_metric(images, generated) == wanted


def test_metrics_run_in_inference_mode():
    with torch.inference_mode():
        assert every_metric(REAL + 0, FAKE + 0) == every_metric(REAL, FAKE)


def test_gradients_are_not_recorded():
    real = REAL.clone().requires_grad_()
    assert isinstance(every_metric(real, FAKE)[0], float)
    assert not kernel_distance_subsets(real, FAKE, 1, 10).requires_grad


# Refusals

METRICS = pytest.mark.parametrize(
    "metric",
    [frechet_distance, kernel_distance, kernel_distance_subsets, precision_recall, density_coverage],
)
BROKEN = REAL.clone()
BROKEN[3, 2], BROKEN[9, 0] = math.nan, math.inf


@METRICS
@pytest.mark.parametrize(
    "real, fake, words",
    [
        (BROKEN, FAKE, "2 of 500 rows of real hold NaN or infinity"),
        (REAL, BROKEN, "2 of 500 rows of generated hold NaN or infinity"),
        (1e200 * REAL, FAKE, r"real reach from -.*e\+200 to .*e\+200, and powers of what is beyond 1e\+40"),
        (REAL, 1e41 * FAKE, "generated reach from .* divide both sets by one number"),
        (REAL, FAKE[:, :15], "real has 16 features, generated 15"),
        (REAL[:1], FAKE, "real holds one sample"),
        (REAL, FAKE[:1], "generated holds one sample"),
        (REAL[:0], FAKE, r"real is torch.float64 of shape \(0, 16\); expected floating point"),
        (REAL[0], FAKE, r"real is torch.float64 of shape \(16,\)"),
        (REAL, FAKE.reshape(500, 4, 4), r"generated is torch.float64 of shape \(500, 4, 4\)"),
        (REAL.long(), FAKE, "real is torch.int64"),
        (REAL, FAKE.numpy(), "generated is a ndarray; expected a tensor"),
    ],
)
def test_features_that_cannot_be_compared_are_refused(metric, real, fake, words):
    with pytest.raises(InputError, match=words):
        metric(real, fake)


@pytest.mark.parametrize("metric", [precision_recall, density_coverage])
@pytest.mark.parametrize("k", [0, -1, 20, 2.5])
def test_neighbours_that_are_not_there_are_refused(metric, k):
    with pytest.raises(InputError, match=f"of 20 samples, neighbours k={k} must be .* from 1 to 19"):
        metric(REAL[:20], FAKE, k)


def test_only_the_real_samples_have_neighbours_in_density_and_coverage():
    assert density_coverage(REAL, FAKE[:3], k=5)[0] > 0
    with pytest.raises(InputError, match="of 3 samples, neighbours k=5 must be a whole number from 1 to 2"):
        precision_recall(REAL, FAKE[:3], k=5)


@pytest.mark.parametrize(
    "numbers, words",
    [
        ((0, 10), "subsets=0 must be a whole number of at least 1"),
        ((2.0, 10), "subsets=2.0"),
        ((3, 1), "of 300 samples, subset_size=1 must be a whole number from 2 to 300"),
        ((3, 301), "subset_size=301"),
        ((3, 2.5), "subset_size=2.5"),
        ((3, 10, -1), "seed=-1"),
    ],
)
def test_subsets_that_cannot_be_drawn_are_refused(numbers, words):
    with pytest.raises(InputError, match=words):
        kernel_distance_subsets(REAL, FAKE[:300], *numbers)


def test_numpy_s_numbers_are_taken():
    n = np.int64(3)
    assert precision_recall(REAL, FAKE, n) == precision_recall(REAL, FAKE, 3)
    assert density_coverage(REAL, FAKE, n) == density_coverage(REAL, FAKE, 3)
    assert inception_score(PROBABILITIES, n) == inception_score(PROBABILITIES, 3)
    found = kernel_distance_subsets(REAL, FAKE, n, n, n)
    assert torch.equal(found, kernel_distance_subsets(REAL, FAKE, 3, 3, 3))


@pytest.mark.parametrize(
    "probabilities, splits, words",
    [
        (3 * normal(2, 9, 4), 1, "probabilities go down to -"),
        (PROBABILITIES * 2, 1, "sums to 2: pass a softmax"),
        (PROBABILITIES * math.nan, 1, "probabilities go down to nan"),
        (PROBABILITIES, 0, "of 1000 rows, splits=0 must be a whole number from 1 to 1000"),
        (PROBABILITIES, 1001, "splits=1001"),
        (PROBABILITIES, 2.0, "splits=2.0"),
        (PROBABILITIES[:0], 1, r"of shape \(0, 10\)"),
        (PROBABILITIES[0], 1, r"of shape \(10,\); expected floating point, a softmax \(N, C\)"),
        (PROBABILITIES.long(), 1, "probabilities is torch.int64"),
        (PROBABILITIES.tolist(), 1, "probabilities is a list"),
    ],
)
def test_what_is_no_set_of_probabilities_is_refused(probabilities, splits, words):
    with pytest.raises(InputError, match=words):
        inception_score(probabilities, splits)
