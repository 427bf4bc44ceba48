"""Answers to the exercises on InfoGAN as students write them, right and wrong, and what a reason must say."""

import math

import numpy as np
import torch
from sklearn.metrics import mutual_info_score
from torch.distributions import Normal
from torch.nn import functional as F


def bound_einsum(p_code, p_picture, Q):
    return torch.einsum("c,cx,cx->", p_code, p_picture, Q.log()) - (p_code * p_code.log()).sum()


def bound_loop(p_code, p_picture, Q):
    total = torch.zeros((), dtype=Q.dtype)
    for c in range(len(p_code)):
        for x in range(Q.shape[1]):
            total = total + p_code[c] * p_picture[c, x] * (Q[c, x] / p_code[c]).log()
    return total


def bound_without_entropy(p_code, p_picture, Q):
    return torch.einsum("c,cx,cx->", p_code, p_picture, Q.log())


def bound_uniform(p_code, p_picture, Q):
    h = -(p_code * p_code.log()).sum()
    return h + sum((p_picture[c] * Q[c].log()).sum() for c in range(len(p_code))) / len(p_code)


def bound_sign(p_code, p_picture, Q):
    h = (p_code * p_code.log()).sum()
    return h + ((p_code[:, None] * p_picture) * Q.log()).sum()


def bound_information(p_code, p_picture, Q):
    joint = p_code.unsqueeze(1) * p_picture
    product = p_code.unsqueeze(1) * joint.sum(0, keepdim=True)
    return (joint * torch.log(joint / product)).sum()


def bound_bits(p_code, p_picture, Q):
    joint = p_code[:, None] * p_picture
    return (joint * Q.log2()).sum() - (p_code * p_code.log2()).sum()


def reading_distributions(logits, means, c, u, sigma):
    q = Normal(means, sigma)
    of_class = torch.distributions.Categorical(logits=logits).log_prob(c)
    return -(of_class + q.log_prob(u).sum(1)).mean()


def reading_gather(logits, means, c, u, sigma):
    log_q = logits.log_softmax(1).gather(1, c[:, None])[:, 0]
    nll = 0.5 * math.log(2 * math.pi * sigma**2) + (u - means) ** 2 / (2 * sigma**2)
    return (nll.sum(1) - log_q).mean()


def reading_mean(logits, means, c, u, sigma):
    return F.cross_entropy(logits, c) - Normal(means, sigma).log_prob(u).mean()


def reading_squares(logits, means, c, u, sigma):
    return F.cross_entropy(logits, c) + ((means - u) ** 2 / (2 * sigma**2)).sum(1).mean()


def reading_softmax(logits, means, c, u, sigma):
    q = F.softmax(logits, dim=1)
    return F.cross_entropy(q, c) - Normal(means, sigma).log_prob(u).sum(1).mean()


def reading_variance(logits, means, c, u, sigma):
    # the standard deviation taken for the variance in the exponent
    nll = (u - means) ** 2 / (2 * sigma) + math.log(sigma) + 0.5 * math.log(2 * math.pi)
    return F.cross_entropy(logits, c) + nll.sum(1).mean()


def reading_sum(logits, means, c, u, sigma):
    return F.cross_entropy(logits, c, reduction="sum") - Normal(means, sigma).log_prob(u).sum()


def reading_sigma_is_variance(logits, means, c, u, sigma):
    turns = F.gaussian_nll_loss(means, u, torch.full_like(u, sigma), full=True, reduction="none")
    return F.cross_entropy(logits, c) + turns.sum(1).mean()


def debiased_sklearn(codes, labels, n_codes, n_labels):
    found = mutual_info_score(codes.numpy(), labels.numpy())
    return float(found) - (n_codes - 1) * (n_labels - 1) / (2 * len(codes))


def debiased_loop(codes, labels, n_codes, n_labels):
    n, total = len(codes), 0.0
    for i in range(n_codes):
        for j in range(n_labels):
            both = ((codes == i) & (labels == j)).sum().item()
            if both:
                rows, columns = (codes == i).sum().item(), (labels == j).sum().item()
                total += both / n * math.log(both * n / (rows * columns))
    return total - (n_codes - 1) * (n_labels - 1) / 2 / n


def debiased_not(codes, labels, n_codes, n_labels):
    return float(mutual_info_score(codes.numpy(), labels.numpy()))


def debiased_once(codes, labels, n_codes, n_labels):
    return debiased_not(codes, labels, n_codes, n_labels) - (n_codes - 1) * (n_labels - 1) / len(codes)


def debiased_cells(codes, labels, n_codes, n_labels):
    return debiased_not(codes, labels, n_codes, n_labels) - n_codes * n_labels / (2 * len(codes))


def debiased_bits(codes, labels, n_codes, n_labels):
    p = np.histogram2d(codes.numpy(), labels.numpy(), bins=[n_codes, n_labels])[0] / len(codes)
    q = p.sum(1, keepdims=True) * p.sum(0, keepdims=True)
    mask = p > 0
    return float((p[mask] * np.log2(p[mask] / q[mask])).sum()) - (n_codes - 1) * (n_labels - 1) / (2 * len(codes))


def debiased_logarithm_of_zero(codes, labels, n_codes, n_labels):
    p = torch.full((n_codes, n_labels), 1e-3, dtype=torch.float64)
    for a, b in zip(codes, labels):
        p[a, b] += 1
    p = p / p.sum()
    mi = (p * (p / (p.sum(1, keepdim=True) * p.sum(0))).log()).sum()
    return mi - (n_codes - 1) * (n_labels - 1) / (2 * len(codes))


def slant_loop(x):
    out = []
    for picture in x[:, 0]:
        rows, columns = torch.meshgrid(*(torch.arange(n, dtype=x.dtype) for n in picture.shape), indexing="ij")
        weight = picture.sum()
        mean_y, mean_x = (picture * rows).sum() / weight, (picture * columns).sum() / weight
        dy, dx = rows - mean_y, columns - mean_x
        out.append((picture * dx * dy).sum() / (picture * dy**2).sum())
    return torch.stack(out)


def slant_moments(x):
    ink = x.squeeze(1)
    y = torch.arange(ink.shape[1], dtype=x.dtype).view(1, -1, 1)
    c = torch.arange(ink.shape[2], dtype=x.dtype).view(1, 1, -1)
    mean = lambda v: (ink * v).sum((1, 2)) / ink.sum((1, 2))
    return (mean(y * c) - mean(y) * mean(c)) / (mean(y * y) - mean(y) ** 2)


def slant_exchanged(x):
    ink = x.squeeze(1)
    y = torch.arange(ink.shape[1], dtype=x.dtype).view(1, -1, 1)
    c = torch.arange(ink.shape[2], dtype=x.dtype).view(1, 1, -1)
    mean = lambda v: (ink * v).sum((1, 2)) / ink.sum((1, 2))
    return (mean(y * c) - mean(y) * mean(c)) / (mean(c * c) - mean(c) ** 2)


def slant_raw(x):
    y = torch.arange(x.shape[2], dtype=x.dtype).view(1, 1, -1, 1)
    c = torch.arange(x.shape[3], dtype=x.dtype).view(1, 1, 1, -1)
    return (x * y * c).sum((1, 2, 3)) / (x * y * y).sum((1, 2, 3))


def slant_middle(x):
    y = torch.linspace(-1, 1, x.shape[2], dtype=x.dtype).view(1, 1, -1, 1) * (x.shape[2] - 1) / 2
    c = torch.linspace(-1, 1, x.shape[3], dtype=x.dtype).view(1, 1, 1, -1) * (x.shape[3] - 1) / 2
    return (x * y * c).sum((1, 2, 3)) / (x * y * y).sum((1, 2, 3))


def slant_upwards(x):
    return slant_moments(x.flip(2))


def slant_of_the_outline(x):
    return slant_moments((x > 0).to(x))


def slant_angle(x):
    ink = x[:, 0] / x[:, 0].sum((1, 2), keepdim=True)
    down, right = torch.arange(x.shape[2]).to(x)[:, None], torch.arange(x.shape[3]).to(x)
    dy = down - (ink * down).sum((1, 2), keepdim=True)
    dx = right - (ink * right).sum((1, 2), keepdim=True)
    return torch.atan2((ink * dx * dy).sum((1, 2)), (ink * dy**2).sum((1, 2)))


ANSWERS = {
    "bound": {
        "right": [bound_einsum, bound_loop],
        "wrong": {
            "no entropy": (bound_without_entropy, "entropy of the code is missing"),
            "equal codes": (bound_uniform, "equally likely"),
            "the entropy's sign": (bound_sign, "taken off"),
            "the information": (bound_information, "information itself"),
            "bits": (bound_bits, "bits"),
        },
    },
    "reading": {
        "right": [reading_distributions, reading_gather],
        "wrong": {
            "mean over codes": (reading_mean, "mean over the continuous codes"),
            "squares alone": (reading_squares, "constants"),
            "softmax twice": (reading_softmax, "softmax"),
            "σ for σ²": (reading_variance, "not by σ²"),
            "sums": (reading_sum, "summed over"),
            "σ is a variance": (reading_sigma_is_variance, "sigma for the variance"),
        },
    },
    "debiased": {
        "right": [debiased_sklearn, debiased_loop],
        "wrong": {
            "nothing taken off": (debiased_not, "not taken off"),
            "N": (debiased_once, "2N"),
            "all cells": (debiased_cells, "all cells"),
            "bits": (debiased_bits, "bits"),
            "a tensor": (debiased_logarithm_of_zero, "float"),
        },
    },
    "slant": {
        "right": [slant_loop, slant_moments],
        "wrong": {
            "the other moment": (slant_exchanged, "exchanged"),
            "raw moments": (slant_raw, "not central"),
            "middle of the picture": (slant_middle, "middle of its ink"),
            "counted upwards": (slant_upwards, "sign"),
            "ink or no ink": (slant_of_the_outline, "how much ink"),
            "an angle": (slant_angle, "tangent"),
        },
    },
}
