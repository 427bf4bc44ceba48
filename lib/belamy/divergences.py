"""How far two distributions are apart: Kullback-Leibler, Jensen-Shannon, total variation, W1.

On a grid the distributions are densities over cells of one size, or probabilities (``cell=1``);
float64 is advised, and gradients flow to both. On samples, ``histogram`` leads to the grid, and
the estimators need none. KL and JSD are in nats, total variation is a probability, the
Wasserstein distance has the unit of x. Sources: Lin 1991 (JSD); Wang, Kulkarni & Verdu 2009
(nearest neighbours); Arjovsky et al. 2017 (how the four differ where supports do not meet).
"""

import numpy as np
import torch
from torch import Tensor

from belamy._checks import real_number, whole_number
from belamy.errors import InputError

MASS_TOLERANCE = 1e-2


def kl(p: Tensor, q: Tensor, cell: float = 1.0) -> Tensor:
    """KL(p || q) in nats, in [0, inf]: densities (..., K) -> (...).

    Infinite where p has mass and q has none, be it by underflow in q's far tail; 0 log 0 = 0, with
    gradient 0. A mass that is not exactly 1 shifts it by as much.

    Args:
        p, q: densities over cells of one size, or probabilities.
        cell: length, area or volume of a cell; 1 for probabilities.

    Raises:
        InputError: shapes differ, an entry is negative or NaN, or a mass is off 1 by over 1e-2.
    """
    _check_densities(p, q, cell)
    return _relative_entropy(p, q, cell)


def jsd(p: Tensor, q: Tensor, cell: float = 1.0) -> Tensor:
    """Jensen-Shannon divergence in nats, in [0, log 2]: densities (..., K) -> (...).

    (KL(p || m) + KL(q || m)) / 2 with m = (p + q) / 2. Arguments and errors as in ``kl``.
    """
    _check_densities(p, q, cell)
    both = p + q  # 2 m: halving the smallest floats would lose them
    return (_relative_entropy(2 * p, both, cell) + _relative_entropy(2 * q, both, cell)) / 4


def total_variation(p: Tensor, q: Tensor, cell: float = 1.0) -> Tensor:
    """The largest difference of probability of any event, in [0, 1]: (..., K) -> (...).

    It is half the L1 distance. Arguments and errors as in ``kl``.
    """
    _check_densities(p, q, cell)
    return cell * (p - q).abs().sum(-1) / 2


def wasserstein(p: Tensor, q: Tensor, cell: float = 1.0) -> Tensor:
    """Wasserstein-1 distance on a line, in the unit of ``cell``: densities (..., K) -> (...).

    The area between the distribution functions, each cell's mass sitting in its middle. Arguments
    and errors as in ``kl``; cells lie in order, ``cell`` is their width.
    """
    _check_densities(p, q, cell)
    return cell * (cell * (p - q)).cumsum(-1)[..., :-1].abs().sum(-1)


def histogram(x: Tensor, edges: Tensor) -> Tensor:
    """Samples (N,) as a density over the cells between K + 1 edges: (K,), of mass 1.

    So ``jsd(histogram(x, edges), histogram(y, edges), cell)`` compares samples; it grows with the
    noise in the counts, about K / 4N for equally many of one law. The last edge counts as inside.

    Args:
        edges: (K + 1,), increasing; evenly spaced for the functions on a grid.

    Raises:
        InputError: edges do not increase, or a sample is NaN or outside.
    """
    _check_samples(x, 1)
    _check_samples(edges, 1)
    if len(edges) < 2 or not (edges.diff() > 0).all():
        raise InputError("edges must be two or more and increase: torch.linspace(low, high, K + 1)")
    x = x.to(edges)
    outside = ((x < edges[0]) | (x > edges[-1])).sum()
    if outside:
        raise InputError(
            f"{int(outside)} of {len(x)} samples lie outside [{edges[0]:.4g}, {edges[-1]:.4g}]; "
            f"they reach from {x.min():.4g} to {x.max():.4g}: widen the edges, or drop them"
        )
    counts, _ = np.histogram(*(values.detach().cpu().double().numpy() for values in (x, edges)))
    return torch.from_numpy(counts).to(edges) / (len(x) * edges.diff())


def kl_samples(x: Tensor, y: Tensor, k: int = 1) -> Tensor:
    """KL(p || q) in nats, estimated from x ~ p (N, d) and y ~ q (M, d): a number, may be negative.

    d mean_i log(nu_i / rho_i) + log(M / (N - 1)), where rho_i is the distance of x_i to its k-th
    neighbour among the other x, and nu_i among the y (Wang, Kulkarni & Verdu 2009). Consistent for
    densities, but too low at finite M where p reaches beyond the samples of q; no gradient.

    Raises:
        InputError: shapes do not fit, k neighbours are not there, or points coincide.
    """
    from scipy.spatial import KDTree  # slow to import

    _check_samples(x, 2)
    _check_samples(y, 2)
    (n, d), m = x.shape, len(y)
    if y.shape[1] != d:
        raise InputError(f"x has {d} dimensions, y has {y.shape[1]}: give both the same")
    if min(n - 1, m) < 1:
        raise InputError(f"{n} samples x and {m} samples y: two or more of x have neighbours")
    k = whole_number(f"with {n} and {m} samples, k", k, 1, min(n - 1, m))
    rows, others = (samples.detach().cpu().double().numpy() for samples in (x, y))
    within = torch.from_numpy(KDTree(rows).query(rows, [k + 1])[0])  # the nearest is itself
    across = torch.from_numpy(KDTree(others).query(rows, [k])[0])
    if not (within > 0).all() or not (across > 0).all():
        raise InputError("samples coincide, so no density is near them: raise k, or add noise")
    if not (within.isfinite() & across.isfinite()).all():
        raise InputError("distances of samples overflow: divide both sets by one number")
    return (d * (across / within).log().mean() + torch.tensor(m / (n - 1)).log()).to(x)


def wasserstein_samples(x: Tensor, y: Tensor) -> Tensor:
    """Exact Wasserstein-1 distance of two sets of samples, in the unit of x; gradients flow.

    On a line, x (N,) and y (M,), by their quantile functions. In space, x and y both (N, d), by
    the assignment of least mean Euclidean distance: N^2 memory, up to N^3 time, 2,000 in seconds.

    Raises:
        InputError: shapes do not fit, or a value is NaN or infinite.
    """
    from scipy.optimize import linear_sum_assignment  # slow to import

    _check_samples(x, 1, 2)
    _check_samples(y, 1, 2)
    # Half precision counts pairs to 65504 only.
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    if x.ndim == y.ndim == 1:
        return _quantile_distance(x, y.to(x))
    if x.shape != y.shape:
        raise InputError(
            f"samples of shapes {tuple(x.shape)} and {tuple(y.shape)}: in space give both the "
            "same (N, d), by dropping rows of the larger; on a line give (N,) and (M,)"
        )
    exact = "donot_use_mm_for_euclid_dist"
    cost = torch.cdist(x.detach(), y.detach().to(x), compute_mode=exact).cpu()
    if not cost.isfinite().all():
        raise InputError("distances of samples overflow: divide both sets by one number")
    rows, columns = map(torch.from_numpy, linear_sum_assignment(cost.double().numpy()))
    return torch.linalg.vector_norm(x[rows.to(x.device)] - y[columns.to(y.device)], dim=1).mean()


def _relative_entropy(p: Tensor, q: Tensor, cell: float) -> Tensor:
    # Where p = 0 the addend is 0, and so is its gradient here, instead of 0 log 0 = NaN.
    p_safe, q_safe = (torch.where(p > 0, values, 1.0) for values in (p, q))
    return cell * (p * (p_safe.log() - q_safe.log())).sum(-1)


def _quantile_distance(x: Tensor, y: Tensor) -> Tensor:
    """Mean gap between sorted samples; levels in whole numbers of 1 / NM, so nothing rounds."""
    n, m = len(x), len(y)
    steps = [torch.arange(0, n * m + 1, size, device=x.device) for size in (n, m)]
    levels = torch.cat(steps).unique()  # both quantile functions are constant between two
    start = levels[:-1]
    gap = (x.sort().values[start // m] - y.sort().values[start // n]).abs()
    return (levels.diff().to(x) / (n * m) * gap).sum()


def _check_densities(p: Tensor, q: Tensor, cell: float) -> None:
    for name, values in (("p", p), ("q", q)):
        if not isinstance(values, Tensor):
            raise InputError(f"{name} is a {type(values).__name__}; expected a tensor, (..., K)")
    if p.device != q.device:
        raise InputError(f"p is on {p.device}, q on {q.device}: move one, p.to(q)")
    if p.shape != q.shape or p.ndim == 0:
        raise InputError(
            f"p of shape {tuple(p.shape)} against q of shape {tuple(q.shape)}: give both the same "
            "grid (..., K); expand one that stands for many"
        )
    # As it comes out of edges.diff(), it may be a tensor.
    real_number("cell", cell.item() if isinstance(cell, Tensor) and cell.ndim == 0 else cell, above=0)
    for name, values in (("p", p.detach()), ("q", q.detach())):
        if not values.is_floating_point():
            raise InputError(f"{name} is {values.dtype}: pass a float tensor, float64 is advised")
        if not (values >= 0).all():
            bad = values[~(values >= 0)][0]
            raise InputError(f"{name} holds {bad:.4g}: a density is never negative or NaN")
        mass = cell * values.sum(-1)
        if not ((off := (mass - 1).abs()) <= MASS_TOLERANCE).all():
            raise InputError(
                f"{name} has mass {mass.flatten()[off.argmax()]:.4g} instead of 1 with "
                f"cell={float(cell):.4g}: normalise, or widen the grid"
            )


def _check_samples(x: Tensor, *dimensions: int) -> None:
    expected = " or ".join({1: "(N,)", 2: "(N, d)"}[count] for count in dimensions)
    if not isinstance(x, Tensor):
        raise InputError(f"got a {type(x).__name__}; expected a tensor of floats {expected}")
    if x.ndim not in dimensions or x.numel() == 0 or not x.is_floating_point():
        raise InputError(f"got {x.dtype} of shape {tuple(x.shape)}; expected floats {expected}")
    if not x.isfinite().all():
        raise InputError(f"values {expected} hold NaN or infinity: remove or repair them")
