"""Answers to the exercises on Boltzmann machines as students write them, right and wrong, and what a reason must say."""

import itertools

import torch
from torch.nn import functional as F


def energy_logaddexp(x, W, b, c):
    pull = x @ W + c
    return -(x * b).sum(1) - torch.logaddexp(pull, torch.zeros_like(pull)).sum(1)


def energy_states(x, W, b, c):
    z = torch.tensor(list(itertools.product((0.0, 1.0), repeat=len(c))), dtype=x.dtype)
    return -torch.logsumexp(x @ b[:, None] + z @ c + x @ W @ z.T, dim=1)


def energy_overflows(x, W, b, c):
    return -x @ b - torch.log(1 + torch.exp(c + x @ W)).sum(1)


def energy_plus(x, W, b, c):
    return x @ b + F.softplus(x @ W + c).sum(1)


def energy_means(x, W, b, c):
    z = torch.sigmoid(x @ W + c)
    return -x @ b - z @ c - ((x @ W) * z).sum(1)


def energy_logsigmoid(x, W, b, c):
    return -x @ b - torch.log(torch.sigmoid(c + x @ W)).sum(1)


def energy_one_log(x, W, b, c):
    return -x @ b - torch.log(1 + torch.exp(c + x @ W).sum(1))


def energy_hidden_only(x, W, b, c):
    return -F.softplus(c + x @ W).sum(dim=1)


def gradient_autograd(x, dream, W, c):
    W = W.clone().requires_grad_()
    log_p = F.softplus(c + x @ W).sum(1).mean() - F.softplus(c + dream @ W).sum(1).mean()
    return torch.autograd.grad(log_p, W)[0]


def gradient_outer(x, dream, W, c):
    up = lambda x: torch.stack([torch.outer(one, torch.sigmoid(c + one @ W)) for one in x]).mean(0)
    return up(x) - up(dream)


def gradient_descent(x, dream, W, c):
    return -gradient_outer(x, dream, W, c)


def gradient_sums(x, dream, W, c):
    return x.T @ torch.sigmoid(c + x @ W) - dream.T @ torch.sigmoid(c + dream @ W)


def gradient_apart(x, dream, W, c):
    up = lambda x: torch.outer(x.mean(0), torch.sigmoid(c + x @ W).mean(0))
    return up(x) - up(dream)


def gradient_rounded(x, dream, W, c):
    up = lambda x: x.T @ torch.sigmoid(c + x @ W).round() / len(x)
    return up(x) - up(dream)


def gradient_data(x, dream, W, c):
    return x.T @ torch.sigmoid(x @ W + c) / x.shape[0]


def constant_hidden(W, b, c):
    z = torch.tensor(list(itertools.product((0.0, 1.0), repeat=len(c))), dtype=W.dtype)
    return torch.logsumexp(z @ c + F.softplus(b + z @ W.T).sum(1), 0)


def constant_all(W, b, c):
    words = lambda n: torch.tensor(list(itertools.product((0.0, 1.0), repeat=n)), dtype=W.dtype)
    x, z = words(len(b)), words(len(c))
    return ((x @ b)[:, None] + z @ c + x @ W @ z.T).flatten().logsumexp(0)


def constant_mean(W, b, c):
    x = torch.tensor(list(itertools.product((0.0, 1.0), repeat=len(b))), dtype=W.dtype)
    return torch.log(torch.exp(x @ b + F.softplus(c + x @ W).sum(1)).mean())


def constant_sign(W, b, c):
    x = torch.tensor(list(itertools.product((0.0, 1.0), repeat=len(b))), dtype=W.dtype)
    return torch.logsumexp(-x @ b - F.softplus(c + x @ W).sum(1), 0)


def constant_not_log(W, b, c):
    return constant_hidden(W, b, c).exp()


def constant_without(W, b, c):
    return F.softplus(b).sum() + F.softplus(c).sum()


def bits(n, dtype):
    """The first bit changes fastest."""
    return torch.tensor(list(itertools.product((0.0, 1.0), repeat=n)), dtype=dtype).flip(1)


def round_products(W, b, c):
    X, H = bits(len(b), W.dtype), bits(len(c), W.dtype)
    up, down = torch.sigmoid(c + X @ W), torch.sigmoid(b + H @ W.T)
    law = lambda p, states: torch.where(states[None] == 1, p[:, None], 1 - p[:, None]).prod(2)
    return law(up, H) @ law(down, X)


def round_joint(W, b, c):
    X, H = bits(len(b), W.dtype), bits(len(c), W.dtype)
    p = torch.exp((X @ b)[:, None] + (H @ c)[None] + X @ W @ H.T)
    return (p / p.sum(1, keepdim=True)) @ (p / p.sum(0)).T


def round_turned(W, b, c):
    return round_products(W, b, c).T


def round_means(W, b, c):
    X = bits(len(b), W.dtype)
    p = torch.sigmoid(b + torch.sigmoid(c + X @ W) @ W.T)
    return torch.where(X[None] == 1, p[:, None], 1 - p[:, None]).prod(2)


def round_twice(W, b, c):
    return torch.linalg.matrix_power(round_joint(W, b, c), 2)


def round_law(W, b, c):
    X = bits(len(b), W.dtype)
    p = torch.softmax(X @ b + F.softplus(c + X @ W).sum(1), 0)
    return p.repeat(len(p), 1)


ANSWERS = {
    "energy": {
        "right": [energy_logaddexp, energy_states],
        "wrong": {
            "signs": (energy_plus, "*low* energy"),
            "means put in": (energy_means, ""),
            "logarithm of the sigmoid": (energy_logsigmoid, "logarithm of the sigmoid"),
            "one logarithm": (energy_one_log, "a logarithm of its own"),
            "hidden only": (energy_hidden_only, "visible leanings"),
            "overflows": (energy_overflows, "overflow"),
        },
    },
    "gradient": {
        "right": [gradient_autograd, gradient_outer],
        "wrong": {
            "descent": (gradient_descent, "sign is turned"),
            "sums": (gradient_sums, "You summed"),
            "means apart": (gradient_apart, "goes with its own"),
            "rounded": (gradient_rounded, "rounded"),
            "data only": (gradient_data, "Without the dreams"),
        },
    },
    "constant": {
        "right": [constant_hidden, constant_all],
        "wrong": {
            "mean": (constant_mean, "averaged"),
            "sign": (constant_sign, "*minus* E"),
            "not its logarithm": (constant_not_log, "its logarithm"),
            "no weights": (constant_without, "weights are missing"),
        },
    },
    "round": {
        "right": [round_products, round_joint],
        "wrong": {
            "turned": (round_turned, "transposed"),
            "means sent down": (round_means, "*probabilities* down"),
            "two rounds": (round_twice, "two rounds"),
            "the law": (round_law, "infinitely many"),
        },
    },
}
