"""Distances and kernels of all pairs of rows, a block of rows at a time, so that memory is bounded."""

from collections.abc import Iterator

import torch
from torch import Tensor

ROWS_AT_ONCE = 512  # 200 MB of distances to 50,000 samples
KERNEL_ROWS_AT_ONCE = 1024  # the same in float32; and a subset of the usual size is one block
TIE = 1e-12  # of the squared norms: squared distances nearer than that differ by rounding alone


def centred(real: Tensor, generated: Tensor) -> tuple[Tensor, Tensor]:
    """In float64, around the real mean, since rounding grows with the norms."""
    centre = real.mean(0, dtype=torch.float64)
    return real.double() - centre, generated.double() - centre


def radii(samples: Tensor, k: int) -> Tensor:
    """Squared distance of every row to its k-th neighbour among the others: (N, D) -> (N,)."""
    found = []
    for rows, distances in squared_distances(samples, samples):
        distances.diagonal(rows.start).fill_(torch.inf)  # nothing is a neighbour of its own
        found.append(distances.topk(k, largest=False).values[:, -1])  # faster than kthvalue
    return torch.cat(found)


def squared_distances(
    samples: Tensor, others: Tensor, share: float = 0.0
) -> Iterator[tuple[slice, Tensor]]:
    """Blocks of rows and their squared distances (b, M), with a share of the squared norms added.

    Rounding differs with order, rotation and size of block. A share of ``TIE`` or -``TIE`` exceeds
    it, and lets all ties fall to one side.
    """
    norms = others.square().sum(1) * (1 + share)
    for start in range(0, len(samples), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        part = samples[rows]
        own = part.square().sum(1, keepdim=True) * (1 + share)
        yield rows, torch.addmm(norms, part, others.mT, alpha=-2).add_(own)


def mean_kernel_within(samples: Tensor) -> Tensor:
    """Mean of (x.y / D + 1)^3 over pairs of two different rows, in float64."""
    total = torch.zeros((), dtype=torch.float64, device=samples.device)
    for start in range(0, len(samples), KERNEL_ROWS_AT_ONCE):
        stop = start + KERNEL_ROWS_AT_ONCE
        part, rest = samples[start:stop], samples[stop:]
        square = _kernels(part, part)
        total += _total(square) - square.diagonal().sum(dtype=torch.float64)
        total += 2 * _total(_kernels(part, rest))
    return total / (len(samples) * (len(samples) - 1))


def mean_kernel_across(samples: Tensor, others: Tensor) -> Tensor:
    """Mean of (x.y / D + 1)^3 over pairs of one row of each, in float64."""
    total = torch.zeros((), dtype=torch.float64, device=samples.device)
    for part in samples.split(KERNEL_ROWS_AT_ONCE):
        total += _total(_kernels(part, others))
    return total / (len(samples) * len(others))


def _kernels(rows: Tensor, columns: Tensor) -> Tensor:
    """On the CPU by numpy, whose BLAS needs half the time where rows and columns are the same."""
    if rows.device.type == "cpu":
        products = torch.from_numpy(rows.numpy() @ columns.numpy().T)
    else:
        products = rows @ columns.mT
    return products.div_(rows.shape[1]).add_(1).pow_(3)


def _total(kernels: Tensor) -> Tensor:
    return kernels.sum(1).sum(dtype=torch.float64)  # all of it in float64 is 20 times as slow
