"""Divergences: their laws on random distributions, closed forms, scipy, and brute force."""

import math
from itertools import permutations

import numpy as np
import pytest
import scipy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import distributions as D

from belamy import divergences as V
from belamy.errors import InputError

CELL = 0.01
GRID = torch.arange(-12, 12, CELL, dtype=torch.float64) + CELL / 2
LOG_2 = math.log(2)
ROUNDING = 1e-12
seeds = st.integers(0, 2**32)
property_based = settings(deadline=None, max_examples=60)


def rng(seed):
    return np.random.default_rng(seed)


def gaussian(mean, std):
    return D.Normal(torch.tensor(mean, dtype=torch.float64), std).log_prob(GRID).exp()


def mixture(draw):
    """A density of one to four Gaussians, of mass 1 on the grid; positive everywhere on it."""
    count = draw.integers(1, 5)
    parts = zip(draw.dirichlet(np.ones(count)), draw.uniform(-4, 4, count), draw.uniform(0.5, 2, count))
    density = sum(weight * gaussian(mean, std) for weight, mean, std in parts)
    return density / (density.sum() * CELL)


def discrete(draw, size):
    """Probabilities, about half of them 0."""
    values = draw.dirichlet(np.full(size, 0.5)) * (draw.random(size) < 0.5)
    values[draw.integers(size)] += 0.1
    return torch.tensor(values / values.sum())


def distributions(seed, count):
    """``count`` distributions of one kind, and their cell."""
    draw = rng(seed)
    if seed % 2:
        return [mixture(draw) for _ in range(count)], CELL
    size = int(draw.integers(2, 12))
    return [discrete(draw, size) for _ in range(count)], 1.0


# --- laws ----------------------------------------------------------------------------------------


@given(seeds)
@property_based
def test_bounds_and_inequalities(seed):
    (p, q), cell = distributions(seed, 2)
    kl, jsd, tv = (f(p, q, cell) for f in (V.kl, V.jsd, V.total_variation))
    assert -ROUNDING <= jsd <= LOG_2 + ROUNDING and 0 <= tv <= 1 + ROUNDING
    assert kl >= 2 * tv**2 - ROUNDING  # Pinsker
    assert tv**2 / 2 - ROUNDING <= jsd <= LOG_2 * tv + ROUNDING  # Pinsker to the middle; Lin 1991
    width = cell * (len(p) - 1)
    assert 0 <= V.wasserstein(p, q, cell) <= width * tv + ROUNDING


@given(seeds)
@property_based
def test_jsd_tv_and_wasserstein_are_symmetric_and_obey_the_triangle(seed):
    (p, q, r), cell = distributions(seed, 3)
    root = lambda *args: V.jsd(*args).clamp_min(0).sqrt()  # noqa: E731; Endres & Schindelin 2003
    for distance in (root, V.total_variation, V.wasserstein):
        torch.testing.assert_close(distance(p, q, cell), distance(q, p, cell))
        sides = distance(p, q, cell) + distance(q, r, cell)
        assert distance(p, r, cell) <= sides + 1e-7


@given(seeds)
@property_based
def test_zero_at_equality_and_only_there(seed):
    (p, q), cell = distributions(seed, 2)
    for divergence in (V.kl, V.jsd, V.total_variation, V.wasserstein):
        assert divergence(p, p, cell) == 0
        for share in (0.5, 1e-3):
            near = (1 - share) * p + share * q
            if V.total_variation(p, near, cell) > 1e-6:
                assert divergence(p, near, cell) > ROUNDING


@given(seeds, st.integers(1, 6), st.integers(1, 6))
@property_based
def test_disjoint_supports(seed, left, right):
    draw = rng(seed)
    p, q = torch.zeros(2, left + right, dtype=torch.float64)
    p[:left] = torch.tensor(draw.dirichlet(np.ones(left)))
    q[left:] = torch.tensor(draw.dirichlet(np.ones(right)))
    assert float(V.jsd(p, q)) == pytest.approx(LOG_2, abs=1e-14)
    assert float(V.total_variation(p, q)) == pytest.approx(1, abs=1e-14)
    assert V.kl(p, q) == V.kl(q, p) == math.inf


@given(seeds)
@property_based
def test_merging_cells_never_raises_a_divergence(seed):
    """Data processing: what cannot tell cells apart cannot tell p from q better."""
    (p, q), cell = distributions(seed, 2)
    p, q = p * cell, q * cell
    groups = int(rng(seed).integers(1, 6))
    where = torch.tensor(rng(seed + 1).integers(0, groups, len(p)))
    merged = [torch.zeros(groups, dtype=p.dtype).index_add(0, where, values) for values in (p, q)]
    for divergence in (V.kl, V.jsd, V.total_variation):
        assert divergence(*merged) <= divergence(p, q) + ROUNDING


# --- exact values --------------------------------------------------------------------------------


@given(st.floats(-2, 2), st.floats(-2, 2), st.floats(0.5, 1.4), st.floats(0.5, 1.4))
@property_based
def test_kl_of_gaussians_is_the_closed_form(a, b, s, t):
    exact = math.log(t / s) + (s**2 + (a - b) ** 2) / (2 * t**2) - 0.5
    assert float(V.kl(gaussian(a, s), gaussian(b, t), CELL)) == pytest.approx(exact, abs=1e-8)


@given(st.floats(-2, 2), st.floats(-2, 2), st.floats(0.5, 1.4), st.floats(0.5, 1.4))
@property_based
def test_wasserstein_of_gaussians_is_the_shift_or_the_difference_of_scales(a, b, s, t):
    shift = V.wasserstein(gaussian(a, s), gaussian(b, s), CELL)
    assert float(shift) == pytest.approx(abs(a - b), abs=1e-7)
    scale = V.wasserstein(gaussian(a, s), gaussian(a, t), CELL)
    assert float(scale) == pytest.approx(abs(s - t) * math.sqrt(2 / math.pi), abs=1e-4)


@given(st.floats(0, 3), st.floats(0.5, 1.4))
@property_based
def test_total_variation_of_shifted_gaussians_is_the_closed_form(shift, std):
    exact = math.erf(shift / (2 * math.sqrt(2) * std))
    value = V.total_variation(gaussian(-shift / 2, std), gaussian(shift / 2, std), CELL)
    assert float(value) == pytest.approx(exact, abs=1e-4)


@given(seeds)
@property_based
def test_scipy_agrees(seed):
    (p, q), cell = distributions(seed, 2)
    a, b = (p * cell).numpy(), (q * cell).numpy()
    places = cell * np.arange(len(a))
    jensen_shannon = scipy.spatial.distance.jensenshannon(a, b) ** 2
    assert float(V.jsd(p, q, cell)) == pytest.approx(jensen_shannon, abs=1e-9)
    assert float(V.kl(p, q, cell)) == pytest.approx(scipy.stats.entropy(a, b), abs=1e-9)
    earth_mover = scipy.stats.wasserstein_distance(places, places, a, b)
    assert float(V.wasserstein(p, q, cell)) == pytest.approx(earth_mover, abs=1e-9)


def test_leading_dimensions_are_a_batch():
    draw = rng(0)
    p, q = (torch.stack([mixture(draw) for _ in range(6)]).view(2, 3, -1) for _ in range(2))
    for divergence in (V.kl, V.jsd, V.total_variation, V.wasserstein):
        values = divergence(p, q, CELL)
        assert values.shape == (2, 3)
        torch.testing.assert_close(values[1, 2], divergence(p[1, 2], q[1, 2], CELL))


# --- gradients -----------------------------------------------------------------------------------


@pytest.mark.parametrize("divergence", [V.kl, V.jsd, V.total_variation, V.wasserstein])
def test_gradients_where_both_are_positive(divergence):
    draw = rng(1)
    p, q = (torch.tensor(draw.dirichlet(np.ones(7)), requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(divergence, (p, q), eps=1e-7)


@pytest.mark.parametrize("divergence", [V.kl, V.jsd, V.total_variation, V.wasserstein])
def test_cells_that_both_leave_empty_do_not_spoil_the_gradient(divergence):
    places = torch.linspace(-1, 1, 401, dtype=torch.float64) * 60  # float64 ends at 38 sigma
    shift = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    densities = [torch.exp(-((places - m) ** 2) / 2) / math.sqrt(2 * math.pi) for m in (0, shift)]
    if divergence is V.kl:
        densities = [d * (places.abs() < 15) for d in densities]  # else q underflows before p
    (slope,) = torch.autograd.grad(divergence(*densities, 0.3), shift)
    exact = {V.kl: 2.0, V.wasserstein: 1.0, V.total_variation: math.exp(-0.5) / math.sqrt(2 * math.pi)}
    if divergence is V.jsd:  # d/dm of the JSD is E_q[(x - m) log(q / m)] / 2
        p, q = (d.detach() for d in densities)
        log = torch.where(q > 0, (2 * q / (p + q).clamp_min(1e-300)).clamp_min(1e-300).log(), 0)
        exact[V.jsd] = float(0.3 * (q * (places - 2) * log).sum() / 2)
    assert float(slope) == pytest.approx(exact[divergence], abs=0.02)


# --- samples -------------------------------------------------------------------------------------


@given(seeds, st.integers(1, 40))
@property_based
def test_histogram_is_numpy_s(seed, cells):
    draw = rng(seed)
    edges = np.unique(np.concatenate([[-1, 1], draw.uniform(-1, 1, cells)]))
    x = np.concatenate([draw.uniform(-1, 1, 50), edges])  # samples on edges, the last included
    ours = V.histogram(torch.tensor(x), torch.tensor(edges))
    expected, _ = np.histogram(x, edges, density=True)
    torch.testing.assert_close(ours, torch.tensor(expected))
    assert float((ours * torch.tensor(np.diff(edges))).sum()) == pytest.approx(1, abs=1e-12)


def test_histograms_of_samples_approach_the_densities_divergences():
    draw = torch.Generator().manual_seed(0)
    normal = lambda: torch.randn(100_000, generator=draw, dtype=torch.float64)  # noqa: E731
    edges = torch.linspace(-8, 8, 161, dtype=torch.float64)
    x, y, z = (V.histogram(samples, edges) for samples in (normal(), normal(), normal() + 1))
    p, q = gaussian(-0.5, 1.0), gaussian(0.5, 1.0)
    for divergence, near in ((V.jsd, 2e-3), (V.total_variation, 0.015), (V.wasserstein, 0.02)):
        exact = float(divergence(p, q, CELL))
        assert float(divergence(x, z, 0.1)) == pytest.approx(exact, abs=near)
    occupied = int((x + y > 0).sum())  # of one law: the bias that the docstring states
    assert float(V.jsd(x, y, 0.1)) == pytest.approx(occupied / 4e5, rel=0.4)


@given(seeds, st.integers(1, 30), st.integers(1, 30))
@property_based
def test_wasserstein_on_a_line_is_scipy_s_for_any_two_sizes(seed, n, m):
    x, y = (rng(seed + k).normal(k, 1, size).round(1) for k, size in enumerate((n, m)))
    ours = V.wasserstein_samples(torch.tensor(x), torch.tensor(y))
    assert float(ours) == pytest.approx(scipy.stats.wasserstein_distance(x, y), abs=1e-9)
    moved = V.wasserstein_samples(torch.tensor(x), torch.tensor(x) + 0.7)
    assert float(moved) == pytest.approx(0.7, abs=1e-9)


@given(seeds)
@property_based
def test_wasserstein_of_samples_is_that_of_their_histogram(seed):
    draw = rng(seed)
    x, y = (torch.tensor(draw.integers(0, 20, size)) * 0.5 for size in (30, 45))
    edges = torch.arange(-0.25, 10, 0.5)
    grid = V.wasserstein(V.histogram(x, edges).double(), V.histogram(y, edges).double(), 0.5)
    assert float(grid) == pytest.approx(float(V.wasserstein_samples(x, y)), abs=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_assignment_is_the_best_of_all_permutations(seed):
    x, y = (torch.tensor(rng(seed + k).normal(size=(6, 3))) for k in (0, 50))
    cost = torch.cdist(x, y)
    best = min(float(cost[range(6), order].mean()) for order in permutations(range(6)))
    assert float(V.wasserstein_samples(x, y)) == pytest.approx(best, abs=1e-12)
    assert best < float(cost.diagonal().mean()) - 0.05  # the order given is not the best already


def test_wasserstein_in_space_of_a_shift_is_its_length_and_on_a_line_the_quantiles():
    x = torch.randn(200, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    shift = torch.tensor([2.0, -3.0, 6.0], dtype=torch.float64)
    order = torch.randperm(200, generator=torch.Generator().manual_seed(1))
    assert float(V.wasserstein_samples(x, (x + shift)[order])) == pytest.approx(7, abs=1e-9)
    line, other = x[:, :1], x[:, 1:2] ** 2
    torch.testing.assert_close(
        V.wasserstein_samples(line, other), V.wasserstein_samples(line[:, 0], other[:, 0])
    )


@pytest.mark.parametrize("shape", [(9,), (9, 2)])
def test_wasserstein_of_samples_has_the_gradient_of_its_matching(shape):
    x, y = (torch.tensor(rng(k).normal(size=shape), requires_grad=True) for k in (0, 1))
    assert torch.autograd.gradcheck(V.wasserstein_samples, (x, y), eps=1e-7)


def correlated_pair(seed, n=4000):
    """Two Gaussians in the plane, and samples of each."""
    covariance = torch.tensor([[1.0, 0.6], [0.6, 0.8]], dtype=torch.float64)
    p = D.MultivariateNormal(torch.tensor([0.5, 0.0], dtype=torch.float64), covariance)
    q = D.MultivariateNormal(torch.zeros(2, dtype=torch.float64), 1.5 * torch.eye(2).double())
    draws = (torch.tensor(rng(seed + k).normal(size=(n, 2))) for k in (0, 100))
    return p, q, *(law.mean + noise @ law.scale_tril.T for law, noise in zip((p, q), draws))


@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize("seed", range(3))
def test_nearest_neighbours_estimate_the_kl_of_gaussians_in_the_plane(seed, k):
    p, q, x, y = correlated_pair(seed)
    there, back = (float(D.kl_divergence(*pair)) for pair in ((p, q), (q, p)))
    assert float(V.kl_samples(x, y, k)) == pytest.approx(there, abs=0.12)
    assert float(V.kl_samples(x, y[:1000], k)) == pytest.approx(there, abs=0.2)
    assert float(V.kl_samples(x[:2000], x[2000:], k)) == pytest.approx(0, abs=0.12)
    assert there + 0.15 < float(V.kl_samples(y, x, k)) < back  # too low, as the docstring states


# --- what cannot be used -------------------------------------------------------------------------

HALF = torch.tensor([0.5, 0.5])


@pytest.mark.parametrize("divergence", [V.kl, V.jsd, V.total_variation, V.wasserstein])
@pytest.mark.parametrize(
    "p, q, cell, words",
    [
        (HALF, torch.tensor([0.5, 0.25, 0.25]), 1, r"\(2,\).*\(3,\).*same grid"),
        (HALF[None], HALF, 1, r"\(1, 2\).*\(2,\)"),
        (torch.tensor(1.0), torch.tensor(1.0), 1, r"\(\.\.\., K\)"),
        (HALF, torch.tensor([1.5, -0.5]), 1, "q holds -0.5"),
        (torch.tensor([1.0, float("nan")]), HALF, 1, "p holds nan"),
        (HALF, HALF.mul(1.02), 1, "q has mass 1.02.*normalise, or widen the grid"),
        (torch.stack([HALF, HALF / 2]), torch.stack([HALF, HALF]), 1, "p has mass 0.5"),
        (HALF, HALF, 0.1, "p has mass 0.1 instead of 1 with cell=0.1"),
        (torch.tensor([1.0, float("inf")]), HALF, 1, "p has mass inf"),
        (HALF, HALF, 0, "cell=0 must be a finite number above 0"),
        (HALF, HALF, math.inf, "cell=inf"),
        (HALF, HALF, torch.tensor(-1.0), "cell=-1.0"),
        (HALF, HALF.numpy(), 1, "q is a ndarray; expected a tensor"),
        (HALF.to("meta"), HALF, 1, "p is on meta, q on cpu"),
        (HALF[:0], HALF[:0], 1, "p has mass 0"),
        (torch.tensor([1, 0]), HALF, 1, "p is torch.int64"),
    ],
)
def test_densities_that_cannot_be_used_are_named(divergence, p, q, cell, words):
    with pytest.raises(InputError, match=words):
        divergence(p, q, cell)


def test_a_mass_within_the_tolerance_is_taken_as_it_is():
    assert float(V.kl(HALF, HALF * 0.995)) == pytest.approx(-math.log(0.995), rel=1e-3)


@pytest.mark.parametrize("divergence", [V.kl, V.jsd, V.total_variation, V.wasserstein])
def test_a_grid_of_one_cell_holds_no_difference(divergence):
    assert divergence(torch.ones(3, 1), torch.ones(3, 1)).tolist() == [0, 0, 0]


def test_half_precision_samples_are_compared_in_float32():
    """N M, the number of pairs of levels, is beyond float16."""
    x, y = (torch.randn(n, generator=torch.Generator().manual_seed(n)) for n in (300, 401))
    half = V.wasserstein_samples(x.half(), y.half())
    assert half == V.wasserstein_samples(x.half().float(), y.half().float()) and half.isfinite()
    rows = x.view(150, 2).bfloat16()
    found = V.wasserstein_samples(rows, rows.flip(0) + 1)
    assert found == V.wasserstein_samples(rows.float(), (rows.flip(0) + 1).float())
    edges = torch.linspace(-6, 6, 13)
    found, wanted = (V.histogram(x.bfloat16(), e) for e in (edges.bfloat16(), edges))
    assert torch.equal(found, wanted.bfloat16())


POINTS = torch.arange(8.0).view(4, 2)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: V.histogram(torch.tensor([0.5, 2.0, -7.0]), torch.tensor([0.0, 1.0])), "2 of 3 .*-7 to 2"),
        (lambda: V.histogram(torch.tensor([0.5]), torch.tensor([0.0, 1.0, 1.0])), "edges must .*increase"),
        (lambda: V.histogram(torch.tensor([0.5]), torch.tensor([0.0])), "two or more"),
        (lambda: V.histogram(torch.tensor([float("nan")]), torch.tensor([0.0, 1.0])), "NaN"),
        (lambda: V.histogram(POINTS, torch.tensor([0.0, 1.0])), r"\(4, 2\).*\(N,\)"),
        (lambda: V.kl_samples(POINTS, POINTS[:, :1]), "2 dimensions, y has 1"),
        (lambda: V.kl_samples(POINTS, POINTS + 0.3, k=4), "k=4.*1 to 3"),
        (lambda: V.kl_samples(POINTS, POINTS + 0.3, k=1.0), "k=1.0 must be a whole number"),
        (lambda: V.kl_samples(POINTS[:1], POINTS), "1 samples x and 4 samples y: two or more"),
        (lambda: V.kl_samples(POINTS.double() * 1e200, POINTS.double()), "overflow: divide both"),
        (lambda: V.wasserstein_samples(POINTS.double() * 1e200, POINTS.double()), "overflow: divide both"),
        (lambda: V.wasserstein_samples(POINTS.numpy(), POINTS), "got a ndarray; expected a tensor"),
        (lambda: V.kl_samples(POINTS, POINTS), "coincide"),
        (lambda: V.kl_samples(POINTS[[0, 0, 1]], POINTS + 0.3), "coincide"),
        (lambda: V.kl_samples(POINTS[:, 0], POINTS), r"\(4,\).*\(N, d\)"),
        (lambda: V.wasserstein_samples(POINTS, POINTS[:3]), r"\(4, 2\) and \(3, 2\).*dropping"),
        (lambda: V.wasserstein_samples(POINTS, POINTS[:, 0]), r"\(4, 2\) and \(4,\)"),
        (lambda: V.wasserstein_samples(POINTS / 0, POINTS), "NaN or infinity"),
        (lambda: V.wasserstein_samples(POINTS.long(), POINTS), "int64"),
        (lambda: V.wasserstein_samples(POINTS[:0], POINTS), r"\(0, 2\)"),
    ],
)
def test_samples_that_cannot_be_used_are_named(call, words):
    with pytest.raises(InputError, match=words):
        call()
