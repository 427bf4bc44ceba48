"""Metrics on features against the packages that others use: CPU seconds on one thread, in turns."""

import contextlib
import io
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import prdc
import torch
from threadpoolctl import threadpool_limits
from torch_fidelity import metric_fid, metric_kid
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from belamy import metrics
from benchmarks.contest import median_ratio


@dataclass(frozen=True)
class Task:
    """One metric of the same features, ours and theirs, which find the same value.

    Attributes:
        at_least: the ratio that is the target, or None: for information.
    """

    what: str
    ours: Callable[[], float]
    theirs: dict[str, Callable[[], float]]
    at_least: float | None = 1.0


class Given(torch.nn.Identity):
    """What torchmetrics takes for a net: the features are given."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.num_features = width


def features(seed: int, count: int, width: int) -> torch.Tensor:
    """As a net ends: float32, none negative."""
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(count, width, generator=rng).add_(0.1 * seed).relu_()


def frechet(count: int, width: int) -> Task:
    """Fréchet distance, from features to the number."""
    real, generated = features(0, count, width), features(1, count, width)

    def torchmetrics() -> float:
        return _torchmetrics(FrechetInceptionDistance(Given(width)), real, generated)

    def torch_fidelity() -> float:
        fits = [metric_fid.fid_features_to_statistics(rows) for rows in (real, generated)]
        return metric_fid.fid_statistics_to_metric(*fits, verbose=False)[metric_fid.KEY_METRIC_FID]

    return Task(
        f"Fréchet distance, {count:,} x {width}",
        lambda: metrics.frechet_distance(real, generated),
        {
            "torchmetrics": torchmetrics,
            "torch-fidelity": torch_fidelity,
        },
    )


def kernel(count: int, width: int, subsets: int, size: int) -> Task:
    """Mean kernel distance of random subsets."""
    real, generated = features(0, count, width), features(1, count, width)
    draws = {"subsets": subsets, "subset_size": size}

    def torchmetrics() -> float:
        with warnings.catch_warnings(action="ignore"):  # that it keeps the features
            theirs = KernelInceptionDistance(Given(width), **draws)
        return _torchmetrics(theirs, real, generated)

    def torch_fidelity() -> float:
        settings = {"kid_subsets": subsets, "kid_subset_size": size, "verbose": False}
        found = metric_kid.kid_features_to_metric(generated, real, **settings)
        return found[metric_kid.KEY_METRIC_KID_MEAN]

    return Task(
        f"kernel distance, {subsets} subsets of {size:,} x {width}",
        lambda: metrics.kernel_distance_subsets(real, generated, **draws).mean().item(),
        {"torchmetrics": torchmetrics, "torch-fidelity": torch_fidelity},
    )


def coverage(count: int, width: int) -> Task:
    """Density and coverage, as their sum; prdc cannot but compute precision and recall, too."""
    real, generated = features(0, count, width), features(1, count, width)
    return Task(
        f"density and coverage, {count:,} x {width}",
        lambda: sum(metrics.density_coverage(real, generated)),
        {"prdc": lambda: _prdc(real, generated, "density", "coverage")},
    )


def all_four(count: int, width: int) -> Task:
    """Precision, recall, density and coverage, as their sum; ours, apart, share no distances."""
    real, generated = features(0, count, width), features(1, count, width)
    both = metrics.precision_recall, metrics.density_coverage
    return Task(
        f"precision and recall with them, {count:,} x {width}",
        lambda: sum(value for metric in both for value in metric(real, generated, k=5)),
        {"prdc": lambda: _prdc(real, generated, "precision", "recall", "density", "coverage")},
        at_least=None,
    )


def versus(task: Task, repeats: int) -> tuple[float, dict[str, tuple[float, float]]]:
    """Median CPU seconds of ours; and for every package its own, and the median ratio of turns."""
    ways = {"ours": task.ours, **task.theirs}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    torch.set_num_threads(1)
    with threadpool_limits(1):
        for _ in range(repeats):
            for name, way in ways.items():
                started = time.process_time()
                way()
                seconds[name].append(time.process_time() - started)
    ours = seconds.pop("ours")
    found = {name: (statistics.median(own), median_ratio(own, ours)) for name, own in seconds.items()}
    return statistics.median(ours), found


def _torchmetrics(metric, real: torch.Tensor, generated: torch.Tensor) -> float:
    metric.update(real, real=True)
    metric.update(generated, real=False)
    found = metric.compute()
    return (found[0] if isinstance(found, tuple) else found).item()


def _prdc(real: torch.Tensor, generated: torch.Tensor, *names: str) -> float:
    with contextlib.redirect_stdout(io.StringIO()):
        found = prdc.compute_prdc(real.numpy(), generated.numpy(), nearest_k=5)
    return sum(found[name] for name in names)
