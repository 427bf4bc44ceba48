"""Metrics on features against the packages that others use: CPU seconds on one thread, in turns."""

import contextlib
import io
import statistics
import time
import warnings
from collections.abc import Callable

import prdc
import torch
from threadpoolctl import threadpool_limits
from torch_fidelity import metric_fid, metric_kid
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from belamy import metrics
from benchmarks.contest import median_ratio

Ways = dict[str, Callable[[], float]]  # by name: "ours" and the packages, which find the same value


def features(count: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Real and generated, as a net ends: float32, none negative."""
    draws = [torch.randn(count, width, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1)]
    return draws[0].relu_(), draws[1].add_(0.1).relu_()


def frechet(count: int, width: int) -> Ways:
    """Fréchet distance, from features to the number."""
    real, generated = features(count, width)

    def torch_fidelity() -> float:
        fits = [metric_fid.fid_features_to_statistics(rows) for rows in (real, generated)]
        return metric_fid.fid_statistics_to_metric(*fits, verbose=False)[metric_fid.KEY_METRIC_FID]

    return {
        "ours": lambda: metrics.frechet_distance(real, generated),
        "torchmetrics": lambda: _torchmetrics(FrechetInceptionDistance, real, generated),
        "torch-fidelity": torch_fidelity,
    }


def kernel(count: int, width: int, subsets: int, size: int) -> Ways:
    """Mean kernel distance of random subsets."""
    real, generated = features(count, width)
    draws = {"subsets": subsets, "subset_size": size}

    def torch_fidelity() -> float:
        settings = {"kid_subsets": subsets, "kid_subset_size": size, "verbose": False}
        found = metric_kid.kid_features_to_metric(generated, real, **settings)
        return found[metric_kid.KEY_METRIC_KID_MEAN]

    return {
        "ours": lambda: metrics.kernel_distance_subsets(real, generated, **draws).mean().item(),
        "torchmetrics": lambda: _torchmetrics(KernelInceptionDistance, real, generated, **draws),
        "torch-fidelity": torch_fidelity,
    }


def coverage(count: int, width: int) -> Ways:
    """Density and coverage, as their sum; prdc cannot but compute precision and recall, too."""
    real, generated = features(count, width)

    def package() -> float:
        with contextlib.redirect_stdout(io.StringIO()):
            found = prdc.compute_prdc(real.numpy(), generated.numpy(), nearest_k=5)
        return found["density"] + found["coverage"]

    return {"ours": lambda: sum(metrics.density_coverage(real, generated)), "prdc": package}


def versus(ways: Ways, repeats: int) -> tuple[float, dict[str, tuple[float, float]]]:
    """Median CPU seconds of ours; and for every package its own, and the median ratio of turns."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    torch.set_num_threads(1)
    with threadpool_limits(1):
        for name in list(ways) * repeats:
            started = time.process_time()
            ways[name]()
            seconds[name].append(time.process_time() - started)
    ours = seconds.pop("ours")
    found = {name: (statistics.median(own), median_ratio(own, ours)) for name, own in seconds.items()}
    return statistics.median(ours), found


def _torchmetrics(kind: type, real: torch.Tensor, generated: torch.Tensor, **draws: int) -> float:
    given = torch.nn.Identity()  # what it takes for a net: the features are given
    given.num_features = real.shape[1]
    with warnings.catch_warnings(action="ignore"):  # that it keeps the features
        metric = kind(given, **draws)
    metric.update(real, real=True)
    metric.update(generated, real=False)
    found = metric.compute()
    return (found[0] if isinstance(found, tuple) else found).item()
