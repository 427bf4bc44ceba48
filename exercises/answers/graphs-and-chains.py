"""Answers to the exercises on graphs and chains as students write them, right and wrong, and what a reason must say."""

import torch


def backdoor_loop(counts):
    total, answer = counts.sum(), []
    for t in range(counts.shape[1]):
        answer.append(sum(counts[s].sum() / total * counts[s, t, 1] / counts[s, t].sum() for s in range(len(counts))))
    return torch.stack(answer)


def backdoor_weights(counts):
    """Each case counts 1 / P(t | s) times."""
    given = counts.sum(2) / counts.sum((1, 2))[:, None]
    return (counts[..., 1] / given).sum(0) / counts.sum()


def backdoor_seeing(counts):
    together = counts.sum(0)
    return together[:, 1] / together.sum(1)


def backdoor_mean(counts):
    return (counts[..., 1] / counts.sum(-1)).mean(dim=0)


def backdoor_joint(counts):
    return counts[:, :, 1].sum(0) / counts.sum()


def backdoor_failures(counts):
    rates = counts[..., 0] / counts.sum(2)
    return counts.sum((1, 2)) / counts.sum() @ rates


def backdoor_counts(counts):
    return torch.einsum("s,st->t", counts.sum((1, 2)), counts[..., 1] / counts.sum(2))


def stationary_solve(T):
    A = torch.eye(len(T), dtype=T.dtype) - T.T
    A = torch.cat([A[:-1], torch.ones(1, len(T), dtype=T.dtype)])
    return torch.linalg.inv(A)[:, -1]


def stationary_eig(T):
    values, vectors = torch.linalg.eig(T.T)
    p = vectors[:, (values - 1).abs().argmin()].real
    return p / p.sum()


def stationary_powers(T):
    return torch.linalg.matrix_power(T, 4096)[0]


def stationary_right(T):
    values, vectors = torch.linalg.eig(T)
    p = vectors[:, (values - 1).abs().argmin()].real
    return p / p[0]


def stationary_even(T):
    return torch.ones(len(T), dtype=T.dtype) / len(T)


def stationary_once(T):
    return T.sum(0) / T.sum()


def stationary_length(T):
    p = stationary_eig(T)
    return p / torch.linalg.norm(p)


def kn_loop(counts, delta):
    seen = counts > 0
    rows = []
    for row, kinds in zip(counts, seen):
        share = [(max(float(n) - delta, 0.0) + delta * float(kinds.sum()) * float(seen[:, x].sum()) / float(seen.sum()))
                 / float(row.sum()) for x, n in enumerate(row)]  # fmt: skip
        rows.append(torch.tensor(share, dtype=counts.dtype))
    return torch.stack(rows)


def kn_where(counts, delta):
    seen = (counts > 0).to(counts)
    discounted = torch.where(counts > 0, counts - delta, 0.0 * counts)
    left = 1 - discounted.sum(1) / counts.sum(1)
    return discounted / counts.sum(1, keepdim=True) + torch.outer(left, seen.mean(0) / seen.mean(0).sum())


def kn_frequency(counts, delta):
    n = counts.sum(1, keepdim=True)
    saved = delta * (counts > 0).sum(1, keepdim=True) / n
    return torch.relu(counts - delta) / n + saved * counts.sum(0) / counts.sum()


def kn_even(counts, delta):
    n = counts.sum(1, keepdim=True)
    return torch.relu(counts - delta) / n + delta * (counts > 0).sum(1, keepdim=True) / n / counts.shape[1]


def kn_lost(counts, delta):
    return torch.relu(counts - delta) / counts.sum(1, keepdim=True)


def kn_negative(counts, delta):
    n, seen = counts.sum(1, keepdim=True), counts > 0
    return (counts - delta) / n + delta * seen.sum(1, keepdim=True) / n * seen.sum(0) / seen.sum()


def kn_mixture(counts, delta):
    seen = counts > 0
    return (1 - delta) * counts / counts.sum(1, keepdim=True) + delta * seen.sum(0) / seen.sum()


def mh_minimum(p, S):
    flow = torch.minimum(p[:, None] * S, (p[:, None] * S).T)
    flow = flow - torch.diag(flow.diagonal())
    T = flow / p[:, None]
    return T + torch.diag(1 - T.sum(1))


def mh_loop(p, S):
    n = len(p)
    T = torch.zeros_like(S)
    for i in range(n):
        for j in range(n):
            if i != j:
                T[i, j] = S[i, j] * min(1.0, float(p[j] * S[j, i] / (p[i] * S[i, j])))
        T[i, i] = 1 - T[i].sum()
    return T


def mh_plain(p, S):
    T = S * (p[None] / p[:, None]).clamp(max=1)
    return T + torch.diag(1 - T.sum(1))


def mh_upside_down(p, S):
    T = S * (p[:, None] * S / (p[None] * S.T)).clamp(max=1)
    return T + torch.diag(1 - T.sum(1))


def mh_lost(p, S):
    return S * torch.clamp(p[None] * S.T / (p[:, None] * S), max=1)


def mh_rescaled(p, S):
    T = mh_lost(p, S)
    return T / T.sum(1, keepdim=True)


def mh_barker(p, S):
    T = S * (p[None] * S.T) / (p[None] * S.T + p[:, None] * S)
    T = T - torch.diag(T.diagonal())
    return T + torch.diag(1 - T.sum(1))


ANSWERS = {
    "backdoor": {
        "right": [backdoor_loop, backdoor_weights],
        "wrong": {
            "seeing": (backdoor_seeing, "That is seeing"),
            "plain mean": (backdoor_mean, "equally large"),
            "joint": (backdoor_joint, "joint probability"),
            "failures": (backdoor_failures, "probability of failure"),
            "counts as weights": (backdoor_counts, "add up to 1"),
        },
    },
    "stationary": {
        "right": [stationary_solve, stationary_eig],
        "wrong": {
            "powers": (stationary_powers, "goes round in a circle"),
            "right eigenvector": (stationary_right, "multiplies from the left"),
            "even": (stationary_even, "even law"),
            "one step": (stationary_once, "one step from an even start"),
            "length 1": (stationary_length, "not scaled to add up to 1"),
        },
    },
    "fallback": {
        "right": [kn_loop, kn_where],
        "wrong": {
            "frequency": (kn_frequency, "*different* symbols"),
            "even": (kn_even, "even over all symbols"),
            "lost": (kn_lost, "not handed on"),
            "negative": (kn_negative, "negative shares"),
            "fixed weights": (kn_mixture, "fixed weights"),
        },
    },
    "hastings": {
        "right": [mh_minimum, mh_loop],
        "wrong": {
            "symmetric rule": (mh_plain, "right for symmetric proposals"),
            "upside down": (mh_upside_down, "upside down"),
            "refusals lost": (mh_lost, "belongs on the diagonal"),
            "rescaled": (mh_rescaled, "rescale"),
            "Barker": (mh_barker, "Barker"),
        },
    },
}
