"""Answers to the exercises on StackGAN as students write them, right and wrong, and what a reason must say."""

import math

import numpy as np
import torch
from scipy import stats
from torch.nn import functional as F


def shrink_view(x, factor):
    b, c, h, w = x.shape
    return x.view(b, c, h // factor, factor, w // factor, factor).mean(dim=(3, 5))


def shrink_slices(x, factor):
    total = sum(x[:, :, i::factor, j::factor] for i in range(factor) for j in range(factor))
    return total / factor**2


def shrink_steps(x, factor):
    return F.interpolate(x, scale_factor=1 / factor, mode="nearest")


def shrink_memory(x, factor):
    b, c, h, w = x.shape
    return x.view(b, c, h // factor, w // factor, factor**2).mean(-1)


def shrink_total(x, factor):
    return sum(x[:, :, i::factor, j::factor] for i in range(factor) for j in range(factor))


def shrink_largest(x, factor):
    return x.unfold(2, factor, factor).unfold(3, factor, factor).amax((-2, -1))


def shrink_half(x, factor):
    return F.avg_pool2d(x, 2)


def shrink_strips(x, factor):
    b, c, h, w = x.shape
    return x.view(b, c, factor, h // factor, factor, w // factor).mean((2, 4))


def pyramid_upsample(x):
    up = torch.nn.Upsample(scale_factor=2, mode="bilinear")
    small = torch.nn.AvgPool2d(2)(x)
    return small, x - up(small)


def pyramid_size(x):
    small = (x[..., ::2, ::2] + x[..., 1::2, ::2] + x[..., ::2, 1::2] + x[..., 1::2, 1::2]) / 4
    coarse = F.interpolate(small, size=x.shape[-2:], mode="bilinear", align_corners=False)
    return [small, -(coarse - x)]


def pyramid_sign(x):
    small = F.avg_pool2d(x, 2)
    return small, F.interpolate(small, scale_factor=2, mode="bilinear") - x


def pyramid_repeat(x):
    small = F.avg_pool2d(x, 2)
    return small, x - small.repeat_interleave(2, -1).repeat_interleave(2, -2)


def pyramid_corners(x):
    small = F.avg_pool2d(x, 2)
    return small, x - F.interpolate(small, scale_factor=2, mode="bilinear", align_corners=True)


def pyramid_order(x):
    small, detail = pyramid_upsample(x)
    return detail, small


def last_no_grad(first, refiner, discriminator, z):
    with torch.no_grad():
        picture = first(z)
    return -F.logsigmoid(discriminator(refiner(picture, z))).mean()


def last_entropy(first, refiner, discriminator, z):
    for p in first.parameters():
        p.requires_grad_(False)
    score = discriminator(refiner(first(z), z))
    return F.binary_cross_entropy_with_logits(score, torch.ones_like(score))


def last_all_learn(first, refiner, discriminator, z):
    return -F.logsigmoid(discriminator(refiner(first(z), z))).mean()


def last_nobody(first, refiner, discriminator, z):
    with torch.no_grad():
        fake = refiner(first(z), z)
    return F.softplus(-discriminator(fake)).mean()


def last_zeros(first, refiner, discriminator, z):
    score = discriminator(refiner(first(z).detach(), z))
    return F.binary_cross_entropy_with_logits(score, torch.zeros_like(score))


def last_saturating(first, refiner, discriminator, z):
    d = torch.sigmoid(discriminator(refiner(first(z).detach(), z)))
    return torch.log(1 - d).mean()


def last_sum(first, refiner, discriminator, z):
    return F.softplus(-discriminator(refiner(first(z).detach(), z))).sum()


def last_two_sigmoids(first, refiner, discriminator, z):
    opinion = torch.sigmoid(discriminator(refiner(first(z).detach(), z)))
    return F.binary_cross_entropy_with_logits(opinion, torch.ones_like(opinion))


def paired_scipy(a, b):
    d = (a - b).numpy()
    low, high = stats.t.interval(0.95, len(d) - 1, loc=d.mean(), scale=stats.sem(d))
    return float(d.mean()), float(low), float(high)


def paired_loop(a, b):
    d = [x - y for x, y in zip(a.tolist(), b.tolist())]
    n, mean = len(d), sum(d) / len(d)
    error = math.sqrt(sum((v - mean) ** 2 for v in d) / (n - 1) / n)
    half = float(stats.t.isf(0.025, n - 1)) * error
    return mean, mean - half, mean + half


def paired_welch(a, b):
    n = len(a)
    half = float(stats.t.ppf(0.975, 2 * n - 2)) * math.sqrt(a.var().item() / n + b.var().item() / n)
    mean = (a.mean() - b.mean()).item()
    return mean, mean - half, mean + half


def paired_normal(a, b):
    d = a - b
    half = 1.96 * d.std().item() / math.sqrt(len(d))
    return d.mean().item(), d.mean().item() - half, d.mean().item() + half


def paired_numpy_std(a, b):
    d = (a - b).numpy()
    half = stats.t.ppf(0.975, len(d) - 1) * np.std(d) / np.sqrt(len(d))
    return float(d.mean()), float(d.mean() - half), float(d.mean() + half)


def paired_no_root(a, b):
    d = a - b
    half = stats.t.ppf(0.975, len(d) - 1) * d.std().item()
    return d.mean().item(), float(d.mean().item() - half), float(d.mean().item() + half)


def paired_numpy(a, b):
    d = (a - b).numpy()
    half = stats.t.ppf(0.975, len(d) - 1) * d.std(ddof=1) / np.sqrt(len(d))
    return d.mean(), d.mean() - half, d.mean() + half


def paired_two_lost(a, b):
    gaps = a - b
    half = float(stats.t.ppf(0.975, df=len(a) - 2)) * gaps.std().item() / math.sqrt(len(a))
    return gaps.mean().item(), gaps.mean().item() - half, gaps.mean().item() + half


def shrink_to_grey(x, factor):
    blocks = x.unflatten(3, (-1, factor)).unflatten(2, (-1, factor)).mean((1, 3, 5))
    return torch.stack([blocks] * x.shape[1], 1)


def laplacian_max(x):
    small = F.max_pool2d(x, 2)
    return small, x - F.interpolate(small, scale_factor=2, mode="bilinear")


ANSWERS = {
    "shrink": {
        "right": [shrink_view, shrink_slices],
        "wrong": {
            "nearest pixel": (shrink_steps, "one pixel of each block"),
            "order of memory": (shrink_memory, "order of memory"),
            "sum": (shrink_total, "sum over a block"),
            "largest": (shrink_largest, "largest value"),
            "always two": (shrink_half, "shape"),
            "one of each strip": (shrink_strips, "lie far apart"),
            "grey": (shrink_to_grey, "channels"),
        },
    },
    "laplacian": {
        "right": [pyramid_upsample, pyramid_size],
        "wrong": {
            "sign": (pyramid_sign, "sign"),
            "repeated pixels": (pyramid_repeat, "repeating pixels"),
            "align_corners": (pyramid_corners, "align_corners"),
            "order": (pyramid_order, "exchanged"),
            "the largest pixel": (laplacian_max, "largest"),
        },
    },
    "last": {
        "right": [last_no_grad, last_entropy],
        "wrong": {
            "all stages learn": (last_all_learn, "stand still"),
            "nobody learns": (last_nobody, "nobody learns"),
            "label 0": (last_zeros, "caught"),
            "saturating": (last_saturating, "saturating"),
            "sum": (last_sum, "summed"),
            "two sigmoids": (last_two_sigmoids, "twice"),
        },
    },
    "paired": {
        "right": [paired_scipy, paired_loop],
        "wrong": {
            "not paired": (paired_welch, "paired by seed"),
            "1.96": (paired_normal, "Student's t"),
            "numpy's std": (paired_numpy_std, "n − 1"),
            "no root": (paired_no_root, "√n"),
            "numpy numbers": (paired_numpy, "numpy"),
            "n − 2 degrees of freedom": (paired_two_lost, "not n − 2"),
        },
    },
}
