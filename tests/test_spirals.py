"""The known density, and the test that all families take on it."""

import json

import numpy as np
import pytest
import torch
from scipy import stats
from conftest import ROOT
from torch.distributions import MultivariateNormal

from belamy import metrics, spirals
from belamy.errors import InputError
from tools import families
from tools.book import Book

EVERYWHERE = MultivariateNormal(torch.zeros(2), 2.25 * torch.eye(2))


def judged(**other):
    given = {"family": "a Gaussian", "sample": lambda n: EVERYWHERE.sample((n,)), "log_density": EVERYWHERE.log_prob}
    return spirals.judge(**{**given, "seed": 0, "seconds": 1.5, "parameters": 3, **other})


def test_the_density_is_that_of_the_points():
    side = torch.linspace(-spirals.SIDE, spirals.SIDE, 281)
    plane, cell = torch.cartesian_prod(side, side), float(side[1] - side[0]) ** 2
    density = spirals.log_spirals(plane).exp()
    assert abs(float(density.sum()) * cell - 1) < 2e-3
    points = spirals.spirals(40_000, 3)
    assert points.shape == (40_000, 2) and points.abs().max() < spirals.SIDE
    assert spirals.off_arms(points) == 0 and spirals.log_spirals(points).isfinite().all()
    coarse = np.linspace(-3.5, 3.5, 15)
    found = np.histogram2d(*points.numpy().T, bins=[coarse, coarse])[0] / 40_000
    middle = (plane[density > 0]).numpy()
    weight = (density[density > 0] * cell).numpy()
    expected = np.histogram2d(*middle.T, bins=[coarse, coarse], weights=weight)[0]
    assert np.abs(found - expected).max() < 0.01


def test_a_density_on_cells_is_drawn_from_as_it_is():
    log_density = lambda x: torch.where(x[:, 0] > 0, 3.0, 1.0).log() - 12.0  # of any normaliser
    torch.manual_seed(0)
    points = spirals.cell_sampler(log_density, 4)(20_000)
    share = (points > 0).double().mean(0)
    assert abs(share[0] - 0.75) < 0.02 and abs(share[1] - 0.5) < 0.02
    inside = (points[:, 1] / (2 * spirals.SIDE) * 4) % 1
    assert stats.kstest(inside.numpy(), "uniform").pvalue > 1e-3 and points.abs().max() <= spirals.SIDE


def test_points_depend_on_the_seed_alone():
    one = spirals.spirals(5, 1)
    torch.rand(3)
    assert torch.equal(one, spirals.spirals(5, 1)) and not torch.equal(one, spirals.spirals(5, 2))


def test_bare_arms_are_disjoint_and_of_even_mass():
    first, second = spirals.curve[:2000], spirals.curve[2000:]
    assert torch.cdist(first, second).min() > 2 * spirals.REACH
    bare = spirals.spirals(4000, 0, reach=0)
    nearest = torch.cdist(bare, spirals.curve).argmin(1)
    assert stats.kstest(nearest.numpy() / 4000, "uniform").pvalue > 1e-3


def test_the_truth_lacks_nothing_and_a_gaussian_what_the_closed_form_says():
    truth = judged(sample=lambda n: spirals.spirals(n, int(torch.randint(10**6, ()))), log_density=spirals.log_spirals)
    assert truth["KL"] == 0 and truth["off the arms"] == 0 and abs(truth["energy distance"]) < 0.01
    row = judged()
    held_out = spirals.spirals(3000, spirals.TEST_SEED)
    by_hand = -np.log(2 * np.pi * 2.25) - float(held_out.square().sum(1).mean()) / 4.5
    assert row["log-likelihood"] == pytest.approx(by_hand, rel=1e-5)
    assert row["KL"] == pytest.approx(float(spirals.log_spirals(held_out).mean()) - by_hand, rel=1e-4)
    assert row["off the arms"] > 0.5 and row["energy distance"] > 0.01
    drawn = np.array([pair.split(",") for pair in row["drawn"].split()], dtype=float)
    assert drawn.shape == (400, 2) and abs(drawn.std() - 1.5) < 0.15
    assert row["bound"] == "exact" and row["a sample, µs"] > 0 and row["a density, µs"] > 0


def test_the_test_leaves_the_random_numbers_of_its_page_alone_and_repeats():
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    one, other = judged(), judged(seed=1)
    assert torch.equal(torch.rand(1), expected)
    assert one["energy distance"] == judged()["energy distance"] != other["energy distance"]


def test_a_model_without_a_density_has_no_score():
    row = judged(log_density=None)
    assert row["bound"] == "none" and row["KL"] is None and row["a density, µs"] is None
    shown = spirals.Contest([row, judged(family="another", bound="lower bound")])
    assert list(shown.table().loc[["a Gaussian"], "KL"]) == [""]
    assert shown.rows[1]["bound"] == "lower bound"


def test_a_contest_carries_its_rows_and_shows_means():
    rows = [judged(seed=k, seconds=k + 1.0) for k in range(2)]
    bundle = json.loads(json.dumps(spirals.Contest(rows)._repr_mimebundle_()))
    assert bundle[spirals.MIME] == rows
    table = spirals.Contest(rows).table()
    assert list(table.index) == ["a Gaussian"] and table.loc["a Gaussian", "training, s"] == "2"
    assert f"{np.mean([row['energy distance'] for row in rows]):.4f}" in bundle["text/html"]


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: spirals.spirals(0, 0), "n=0 must be a whole number of at least 1"),
        (lambda: spirals.spirals(5, -1), "seed=-1"),
        (lambda: spirals.spirals(5, 0, reach=-0.1), "reach=-0.1"),
        (lambda: spirals.log_spirals(torch.zeros(3)), r"x: got \(3,\), torch.float32; expected points \(N, 2\)"),
        (lambda: spirals.off_arms([1, 2]), "x: got list"),
        (lambda: judged(bound="upper"), "bound='upper': expected 'exact' or 'lower bound'"),
        (lambda: judged(sample=lambda n: torch.zeros(3, 2)), r"got 3 points; expected \(2000, 2\)"),
        (lambda: judged(log_density=lambda x: torch.zeros(())), r"log_density gave \(\) for 3000 points"),
        (lambda: judged(points=3), "points=3"),
        (lambda: spirals.cell_sampler(spirals.log_spirals, 0), "cells=0"),
        (lambda: spirals.Contest([]), "a Contest of no rows"),
        (lambda: spirals.Contest([{"family": "x"}]), "is no row of `judge`"),
    ],
)
def test_what_cannot_be_used_is_named(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_energy_distance_on_a_line_is_that_of_scipy_without_its_bias():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=300), rng.normal(0.3, 1.2, size=200)
    spread = [np.abs(v[:, None] - v).sum() * (1 / len(v) ** 2 - 1 / (len(v) * (len(v) - 1))) for v in (x, y)]
    expected = stats.energy_distance(x, y) ** 2 + sum(spread)
    found = metrics.energy_distance(torch.tensor(x)[:, None], torch.tensor(y)[:, None])
    assert found == pytest.approx(expected, rel=1e-9)


def test_energy_distance_is_unbiased_and_grows_with_the_distance():
    rng = torch.Generator().manual_seed(0)
    draw = lambda shift: torch.randn(60, 2, generator=rng) + shift
    same = [metrics.energy_distance(draw(0.0), draw(0.0)) for _ in range(200)]
    assert abs(np.mean(same)) < 4 * np.std(same) / 200**0.5 and min(same) < 0
    assert 0 < metrics.energy_distance(draw(0.0), draw(1.0)) < metrics.energy_distance(draw(0.0), draw(2.0))


def test_the_file_of_all_families_is_what_the_pages_show():
    stored = json.loads((ROOT / families.FILE).read_text(encoding="utf-8"))
    assert stored == families.gather(Book(ROOT)), "run `make outputs`"
    assert len({row["family"] for row in stored}) >= 11
