"""Answers to the exercises on three difficulties, right and wrong, as students write them."""

import math

import torch
from torch.distributions import Normal

# --- shuffling -----------------------------------------------------------------------------------


def shuffling_joined(observed, shuffled):
    together = [observed, *shuffled.tolist()]
    return sum(value >= observed for value in together) / len(together)


def shuffling_by_mean(observed, shuffled):
    return float(torch.cat([torch.tensor([observed]), shuffled]).ge(observed).double().mean())


def shuffling_plain_share(observed, shuffled):
    return sum(v >= observed for v in shuffled.tolist()) / len(shuffled)


def shuffling_strict(observed, shuffled):
    return (sum(v > observed for v in shuffled.tolist()) + 1) / (len(shuffled) + 1)


def shuffling_low_tail(observed, shuffled):
    return (torch.sum(shuffled <= observed).item() + 1) / (shuffled.numel() + 1)


def shuffling_tensor(observed, shuffled):
    return ((shuffled >= observed).sum() + 1) / (len(shuffled) + 1)


def shuffling_below(observed, shuffled):
    return torch.lt(shuffled, observed).sum().item() / len(shuffled)


def shuffling_two_tails(observed, shuffled):
    share = ((shuffled >= observed).sum().item() + 1) / (len(shuffled) + 1)
    return min(1.0, 2 * share)


# --- flat ----------------------------------------------------------------------------------------


def flat_by_eigenvalues(x):
    values = torch.linalg.eigvalsh(torch.cov(x.T))
    return values.sum() ** 2 / (values**2).sum()


def flat_by_svd(x):
    values = torch.linalg.svd(x - x.mean(dim=0, keepdim=True), full_matrices=False).S ** 2
    share = values / values.sum()
    return 1 / (share**2).sum()


def flat_not_centred(x):
    values = torch.linalg.eigvalsh(x.T @ x)
    return values.sum() ** 2 / (values**2).sum()


def flat_singular_values(x):
    values = torch.linalg.svd(x - x.mean(0)).S
    return values.sum() ** 2 / (values**2).sum()


def flat_coordinates(x):
    values = torch.std(x, dim=0) ** 2
    return values.sum() ** 2 / (values**2).sum()


def flat_upside_down(x):
    share = torch.linalg.eigvalsh(torch.cov(x.T))
    share = share / share.sum()
    return (share**2).sum()


def flat_number(x):
    return flat_by_svd(x).item()


def flat_in_numpy(x):
    return torch.tensor(flat_by_svd(x).item())


# --- heldout -------------------------------------------------------------------------------------


def heldout_by_loop(points, h):
    found = []
    for i in range(len(points)):
        others = torch.cat([points[:i], points[i + 1 :]])
        log_kernel = Normal(others, h).log_prob(points[i]).sum(1)
        found.append(torch.logsumexp(log_kernel, 0) - math.log(len(others)))
    return torch.stack(found)


def heldout_by_mask(points, h):
    n, d = points.shape
    near = -((points[:, None] - points[None]) ** 2).sum(-1) / (2 * h * h)
    near = near[~torch.eye(n, dtype=bool)].reshape(n, n - 1)
    return near.logsumexp(1) - math.log(n - 1) - d / 2 * math.log(2 * math.pi * h**2)


def heldout_with_itself(points, h):
    log_kernel = Normal(points, h).log_prob(points[:, None]).sum(2)
    return log_kernel.logsumexp(1) - math.log(len(points))


def heldout_divided_by_n(points, h):
    return heldout_by_loop(points, h) + math.log(1 - 1 / len(points))


def heldout_zeroed(points, h):
    log_kernel = Normal(points, h).log_prob(points[:, None]).sum(2)
    log_kernel = log_kernel * (1 - torch.eye(len(points)))
    return log_kernel.logsumexp(1) - math.log(len(points) - 1)


def heldout_variance(points, h):
    return heldout_by_loop(points, h**0.5)


def heldout_mean(points, h):
    return heldout_by_loop(points, h).mean()


def heldout_underflow(points, h):
    kernel = Normal(points, h).log_prob(points[:, None]).sum(2).exp().fill_diagonal_(0)
    return (kernel.sum(1) / (len(points) - 1)).log()


def heldout_line(points, h):
    near = (-torch.cdist(points, points).square() / (2 * h**2)).fill_diagonal_(-torch.inf)
    return near.logsumexp(1) - math.log((len(points) - 1) * h * math.sqrt(2 * math.pi))


# --- neighbours ----------------------------------------------------------------------------------


def neighbours_by_sort(x, y, k):
    rho = torch.sort(torch.cdist(x, x), dim=1).values[:, k]
    nu = torch.sort(torch.cdist(x, y), dim=1).values[:, k - 1]
    d = x.shape[1]
    return d * torch.mean(torch.log(nu) - torch.log(rho)) + math.log(len(y)) - math.log(len(x) - 1)


def neighbours_by_loop(x, y, k):
    total = 0.0
    for i in range(len(x)):
        others = torch.cat([x[:i], x[i + 1 :]])
        rho = (others - x[i]).norm(dim=1).kthvalue(k).values
        nu = (y - x[i]).norm(dim=1).kthvalue(k).values
        total = total + x.shape[1] * torch.log(nu / rho)
    return total / len(x) + math.log(len(y) / (len(x) - 1))


def neighbours_with_itself(x, y, k):
    rho = torch.cdist(x, x).kthvalue(k, dim=1).values
    nu = torch.cdist(x, y).kthvalue(k, dim=1).values
    return x.shape[1] * (nu / rho).log().mean() + math.log(len(y) / (len(x) - 1))


def neighbours_skips_twice(x, y, k):
    rho = torch.cdist(x, x).kthvalue(k + 1, dim=1).values
    nu = torch.cdist(x, y).kthvalue(k + 1, dim=1).values
    return x.shape[1] * (nu / rho).log().mean() + math.log(len(y) / (len(x) - 1))


def neighbours_no_dimension(x, y, k):
    rho = torch.cdist(x, x).kthvalue(k + 1, dim=1).values
    nu = torch.cdist(x, y).kthvalue(k, dim=1).values
    return (nu / rho).log().mean() + math.log(len(y) / (len(x) - 1))


def neighbours_no_counts(x, y, k):
    return neighbours_by_loop(x, y, k) - math.log(len(y) / (len(x) - 1))


def neighbours_m_by_n(x, y, k):
    return neighbours_no_counts(x, y, k) + math.log(len(y) / len(x))


def neighbours_upside_down(x, y, k):
    rho = torch.cdist(x, x).kthvalue(k + 1, dim=1).values
    nu = torch.cdist(x, y).kthvalue(k, dim=1).values
    return x.shape[1] * (rho / nu).log().mean() + math.log(len(y) / (len(x) - 1))


def neighbours_summed(x, y, k):
    return neighbours_by_sort(x, y, k) * len(x)


def neighbours_bits(x, y, k):
    return neighbours_by_sort(x, y, k) / math.log(2)


def flat_share(x):
    variances = torch.linalg.eigvalsh(torch.cov(x.T))
    return variances.sum() ** 2 / variances.square().sum() / x.shape[1]


def heldout_no_half(points, h):
    n, d = points.shape
    log_kernel = -torch.cdist(points, points).square() / h**2
    log_kernel.fill_diagonal_(-torch.inf)
    return log_kernel.logsumexp(1) - math.log(n - 1) - d * math.log(h * math.sqrt(2 * math.pi))


def neighbours_too_far(x, y, k):
    rho = torch.cdist(x, x).sort(1).values[:, k + 1]
    nu = torch.cdist(x, y).sort(1).values[:, k]
    return x.shape[1] * (nu / rho).log().mean() + math.log(len(y) / (len(x) - 1))


def heldout_of_variance(points, h):
    log_kernel = Normal(points[:, None], h**2).log_prob(points).sum(2).fill_diagonal_(-torch.inf)
    return log_kernel.logsumexp(1) - math.log(len(points) - 1)


ANSWERS = {
    "shuffling": {
        "right": [shuffling_joined, shuffling_by_mean],
        "wrong": {
            "a plain share": (shuffling_plain_share, "left out the observed value itself"),
            "strictly larger": (shuffling_strict, "Ties count"),
            "low tail": (shuffling_low_tail, "wrong tail"),
            "a tensor": (shuffling_tensor, "float"),
            "share below": (shuffling_below, "share that lies below"),
            "two tails": (shuffling_two_tails, "doubled"),
        },
    },
    "flat": {
        "right": [flat_by_eigenvalues, flat_by_svd],
        "wrong": {
            "not centred": (flat_not_centred, "subtract the mean"),
            "singular values": (flat_singular_values, "singular values for variances"),
            "coordinates": (flat_coordinates, "single coordinates"),
            "upside down": (flat_upside_down, "upside down"),
            "a number": (flat_number, "float"),
            "cut off": (flat_in_numpy, "no gradient reaches `x`"),
            "a share of d": (flat_share, "divided by d"),
        },
    },
    "heldout": {
        "right": [heldout_by_loop, heldout_by_mask],
        "wrong": {
            "with itself": (heldout_with_itself, "under its own kernel"),
            "divided by N": (heldout_divided_by_n, "divided by N"),
            "own kernel zeroed": (heldout_zeroed, "0 in logarithms"),
            "h is a variance": (heldout_variance, "standard deviation"),
            "mean of all": (heldout_mean, "the mean over"),
            "underflow": (heldout_underflow, "overflows"),
            "one dimension": (heldout_line, "on a line"),
            "no half": (heldout_no_half, "½ is missing"),
            "h squared twice": (heldout_of_variance, "square of `h`"),
        },
    },
    "neighbours": {
        "right": [neighbours_by_sort, neighbours_by_loop],
        "wrong": {
            "itself as a neighbour": (neighbours_with_itself, "point itself"),
            "skipped twice": (neighbours_skips_twice, "skipped the nearest y"),
            "no dimension": (neighbours_no_dimension, "dimension"),
            "no counts": (neighbours_no_counts, "numbers of points"),
            "M by N": (neighbours_m_by_n, "divided M by N"),
            "upside down": (neighbours_upside_down, "upside down"),
            "summed": (neighbours_summed, "summed over"),
            "bits": (neighbours_bits, "bits"),
            "a neighbour too far": (neighbours_too_far, "too far"),
        },
    },
}
