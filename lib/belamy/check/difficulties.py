"""Checks for the exercises of 'Three difficulties'."""

import math

import torch
from torch import Tensor

from belamy.check import Check, Fresh

# --- held out one by one -------------------------------------------------------------------------


def log_kernels(points: Tensor, h: float) -> Tensor:
    """log N(x_i; x_j, h^2 I) of all pairs, (N, N)."""
    squares = (points[:, None] - points).square().sum(2)
    return -squares / (2 * h**2) - points.shape[1] * math.log(h * math.sqrt(2 * math.pi))


def without_diagonal(logs: Tensor) -> Tensor:
    """Minus infinity where a point meets itself."""
    return logs.masked_fill(torch.eye(len(logs), dtype=bool), -torch.inf)


def leave_one_out(points: Tensor, h: float) -> Tensor:
    """log density of each point by kernels on the others: (N, d) -> (N,)."""
    return without_diagonal(log_kernels(points, h)).logsumexp(1) - math.log(len(points) - 1)


def draw_cloud(fresh: Fresh, scale: float = 1.0) -> tuple[Tensor, float]:
    """Points and a bandwidth."""
    n, d = fresh.sizes((8, 14), (2, 5))
    return fresh.normal(n, d, scale=scale), fresh.number(0.4, 0.8)


heldout = Check(
    leave_one_out,
    draw=draw_cloud,
    returns="a tensor (N,), a log-density for each point",
    terms={
        "The constant of the Gaussian": lambda points, h: (
            -points.shape[1] * math.log(h * math.sqrt(2 * math.pi)) + 0 * points[:, 0]
        ),
    },
    mistakes={
        "Each point stands under its own kernel: only the others may judge it.": (
            lambda x, h: log_kernels(x, h).logsumexp(1) - math.log(len(x))
        ),
        "Each point stands under its own kernel, although you divide by the number of the others.": (
            lambda x, h: log_kernels(x, h).logsumexp(1) - math.log(len(x) - 1)
        ),
        "You divided by N: without the point itself only N − 1 kernels are left to average.": (
            lambda x, h: leave_one_out(x, h) + math.log(len(x) - 1) - math.log(len(x))
        ),
        "You set the point's own kernel to 0 in logarithms, which is a density of 1; it must not count at all.": (
            lambda x, h: (
                log_kernels(x, h).masked_fill(torch.eye(len(x), dtype=bool), 0).logsumexp(1) - math.log(len(x) - 1)
            )
        ),
        "In the exponent of the kernel the ½ is missing.": (
            lambda x, h: leave_one_out(x, h / math.sqrt(2)) - x.shape[1] * math.log(2) / 2
        ),
        "In the exponent of the kernel h is not squared: it is a standard deviation.": (
            lambda x, h: leave_one_out(x, math.sqrt(h)) - x.shape[1] * math.log(h) / 2
        ),
        "You summed the kernels where the estimate averages them: its mass is not one.": (
            lambda x, h: without_diagonal(log_kernels(x, h)).logsumexp(1)
        ),
        "You averaged the logarithms of the kernels: the average comes first, then the logarithm.": (
            lambda x, h: (log_kernels(x, h).sum(1) - log_kernels(x, h).diag()) / (len(x) - 1)
        ),
        "Your normaliser is that of a Gaussian on a line: in d dimensions it stands there d times.": (
            lambda x, h: leave_one_out(x, h) + (x.shape[1] - 1) * math.log(h * math.sqrt(2 * math.pi))
        ),
        "You took h for a variance: it is the standard deviation of a kernel.": (
            lambda x, h: leave_one_out(x, math.sqrt(h))
        ),
        "The kernels lack their normaliser, the power of h√(2π) that gives them mass one.": (
            lambda x, h: leave_one_out(x, h) + x.shape[1] * math.log(h * math.sqrt(2 * math.pi))
        ),
    },
    extremes=lambda fresh: draw_cloud(fresh, 100.0),
)

# --- a test by shuffling -------------------------------------------------------------------------


def p_value(observed: float, shuffled: Tensor) -> float:
    """How often chance alone gives as much, the observed value counted among the shuffled ones."""
    return (1 + int((shuffled >= observed).sum())) / (1 + len(shuffled))


def draw_statistics(fresh: Fresh) -> tuple[float, Tensor]:
    """Shuffled statistics in steps, so that ties occur, and an observed one among their upper half."""
    shuffled = (fresh.normal(fresh.integer(60, 120)) * 4).round() / 4
    return float(shuffled.sort().values[-fresh.integer(9, 20)]), shuffled


shuffling = Check(
    p_value,
    draw=draw_statistics,
    returns="a float between 0 and 1",
    mistakes={
        "You left out the observed value itself, which is one of the equally likely arrangements.": (
            lambda observed, shuffled: float((shuffled >= observed).double().mean())
        ),
        "You counted the observed value among the hits, but not among all values.": (
            lambda observed, shuffled: (1 + int((shuffled >= observed).sum())) / len(shuffled)
        ),
        "You counted the observed value among all values, but not among the hits.": (
            lambda observed, shuffled: int((shuffled >= observed).sum()) / (1 + len(shuffled))
        ),
        "Ties count as hits: a shuffled value that equals the observed one is as extreme as it.": (
            lambda observed, shuffled: (1 + int((shuffled > observed).sum())) / (1 + len(shuffled))
        ),
        "You left out the observed value, and ties, which count as hits.": (
            lambda observed, shuffled: float((shuffled > observed).double().mean())
        ),
        "You doubled the share, as a test with two tails does: only large statistics speak against equal densities.": (
            lambda observed, shuffled: min(1.0, 2 * p_value(observed, shuffled))
        ),
        "You counted the wrong tail: large statistics speak against equal densities.": (
            lambda observed, shuffled: (1 + int((shuffled <= observed).sum())) / (1 + len(shuffled))
        ),
        "You counted both tails: only large statistics speak against equal densities.": (
            lambda observed, shuffled: (1 + int((shuffled.abs() >= abs(observed)).sum())) / (1 + len(shuffled))
        ),
        "You return the share that lies below; the p-value is the share that does not.": (
            lambda observed, shuffled: float((shuffled < observed).double().mean())
        ),
    },
)

# --- flat dimensions -----------------------------------------------------------------------------


def participation(x: Tensor) -> Tensor:
    """(sum of variances)^2 / sum of squared variances along principal components: (N, d) -> ()."""
    variances = torch.linalg.svdvals(x - x.mean(0)).square()
    return variances.sum().square() / variances.square().sum()


def ratio_of(values) -> object:
    """A mistake: the same ratio of other `values`."""
    return lambda x: values(x).sum().square() / values(x).square().sum()


flat = Check(
    participation,
    draw=lambda fresh: (
        fresh.normal(fresh.integer(12, 30), d := fresh.integer(4, 7)) @ fresh.normal(d, d) + fresh.normal(d, scale=4),
    ),
    returns="a tensor without axes, the number of dimensions",
    mistakes={
        "You did not subtract the mean: it then counts as a direction of its own.": (
            ratio_of(lambda x: torch.linalg.svdvals(x).square())
        ),
        "You took singular values for variances: a variance is the square of one, divided by N.": (
            ratio_of(lambda x: torch.linalg.svdvals(x - x.mean(0)))
        ),
        "You took the variances of the single coordinates: they depend on how space is turned.": (
            ratio_of(lambda x: x.var(0))
        ),
        "Your ratio is upside down: equal variances must give d, not 1 / d.": lambda x: 1 / participation(x),
        "You subtracted a mean from every point by itself; the mean is taken over the points.": (
            ratio_of(lambda x: torch.linalg.svdvals(x - x.mean(1, keepdim=True)).square())
        ),
        "You divided by d: the ratio is a number of dimensions, not a share of them.": (
            lambda x: participation(x) / x.shape[1]
        ),
        "You forgot to square the sum of the variances.": (
            lambda x: torch.linalg.svdvals(x - x.mean(0)).square().sum()
            / torch.linalg.svdvals(x - x.mean(0)).pow(4).sum()
        ),
    },
    gradients=["x"],
    rtol=1e-3,
)

# --- one nat by neighbours -----------------------------------------------------------------------


def kth(distances: Tensor, k: int) -> Tensor:
    """The k-th smallest of each row."""
    return distances.topk(k, dim=1, largest=False).values[:, -1]


def kl_by_neighbours(x: Tensor, y: Tensor, k: int) -> Tensor:
    """KL(p || q) in nats from x ~ p (N, d) and y ~ q (M, d), by k-th neighbours: ()."""
    within = kth(torch.cdist(x, x), k + 1)  # the nearest is the point itself
    across = kth(torch.cdist(x, y), k)
    return x.shape[1] * (across / within).log().mean() + math.log(len(y) / (len(x) - 1))


def draw_samples(fresh: Fresh) -> tuple[Tensor, Tensor, int]:
    """Two samples of different sizes and a number of neighbours."""
    n, m, d = fresh.sizes((15, 25), (30, 45), (2, 4))
    return fresh.normal(n, d), 0.5 + 1.5 * fresh.normal(m, d), fresh.integer(2, 4)


neighbours = Check(
    kl_by_neighbours,
    draw=draw_samples,
    returns="a tensor without axes, nats",
    terms={
        "The logarithm of the numbers of points": lambda x, y, k: torch.tensor(math.log(len(y) / (len(x) - 1))),
        "The mean logarithm of the radii's ratio": lambda x, y, k: (
            kl_by_neighbours(x, y, k) - math.log(len(y) / (len(x) - 1))
        ),
    },
    mistakes={
        "Within x you took the point itself for its first neighbour.": (
            lambda x, y, k: (
                x.shape[1] * (kth(torch.cdist(x, y), k) / kth(torch.cdist(x, x), k)).log().mean()
                + math.log(len(y) / (len(x) - 1))
            )
        ),
        "You skipped the nearest y, too: a point of x is not among the y, so nothing is to be skipped there.": (
            lambda x, y, k: (
                x.shape[1] * (kth(torch.cdist(x, y), k + 1) / kth(torch.cdist(x, x), k + 1)).log().mean()
                + math.log(len(y) / (len(x) - 1))
            )
        ),
        "You took the neighbours k + 1 in both samples, one too far.": (
            lambda x, y, k: kl_by_neighbours(x, y, k + 1)
        ),
        "Your ratio is upside down: where the y are far away, log p / q is large.": (
            lambda x, y, k: 2 * math.log(len(y) / (len(x) - 1)) - kl_by_neighbours(x, y, k)
        ),
        "You left out the dimension: a ball of radius r has a volume like r to the power d.": (
            lambda x, y, k: (
                (kl_by_neighbours(x, y, k) - math.log(len(y) / (len(x) - 1))) / x.shape[1]
                + math.log(len(y) / (len(x) - 1))
            )
        ),
        "You left out the numbers of points: k of many points lie nearer than k of few.": (
            lambda x, y, k: kl_by_neighbours(x, y, k) - math.log(len(y) / (len(x) - 1))
        ),
        "You divided M by N: a point of x has only N − 1 others about it.": (
            lambda x, y, k: kl_by_neighbours(x, y, k) + math.log((len(x) - 1) / len(x))
        ),
        "The numbers of points stand upside down.": (
            lambda x, y, k: kl_by_neighbours(x, y, k) - 2 * math.log(len(y) / (len(x) - 1))
        ),
        "You took the logarithm of the ratio of two means; the estimate is a mean of logarithms.": (
            lambda x, y, k: (
                x.shape[1] * (kth(torch.cdist(x, y), k).mean() / kth(torch.cdist(x, x), k + 1).mean()).log()
                + math.log(len(y) / (len(x) - 1))
            )
        ),
        "You took the logarithm of the mean; the estimate is a mean of logarithms.": (
            lambda x, y, k: (
                x.shape[1] * (kth(torch.cdist(x, y), k) / kth(torch.cdist(x, x), k + 1)).mean().log()
                + math.log(len(y) / (len(x) - 1))
            )
        ),
        "You computed the other divergence, from q to p.": lambda x, y, k: kl_by_neighbours(y, x, k),
    },
)
