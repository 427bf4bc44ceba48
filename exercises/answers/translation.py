"""Answers to the exercises on translation as students write them, right and wrong, and what a reason must say."""

import torch
from torch import nn
from torch.nn import functional as F


def views_backwards(kernels, strides):
    seen = 1
    for kernel, stride in zip(kernels[::-1], strides[::-1]):
        seen = (seen - 1) * stride + kernel
    return seen


def views_products(kernels, strides):
    total = 1
    for i, kernel in enumerate(kernels):
        step = 1
        for stride in strides[:i]:
            step = step * stride
        total += (kernel - 1) * step
    return total


def views_own_stride(kernels, strides):
    seen, step = 1, 1
    for k, s in zip(kernels, strides):
        step *= s
        seen += (k - 1) * step
    return seen


def views_no_strides(kernels, strides):
    return 1 + sum(k - 1 for k in kernels)


def views_k(kernels, strides):
    seen, step = 1, 1
    for k, s in zip(kernels, strides):
        seen, step = seen + k * step, step * s
    return seen


def views_float(kernels, strides):
    return float(views_backwards(kernels, strides))


def bridge_repeat(coarse, fine):
    large = coarse.repeat_interleave(2, 2).repeat_interleave(2, 3)
    return torch.cat((large, fine), dim=1)


def bridge_module(coarse, fine):
    return torch.cat([nn.Upsample(scale_factor=2, mode="nearest")(coarse), fine], 1)


def bridge_added(coarse, fine):
    return coarse.repeat_interleave(2, 2).repeat_interleave(2, 3) + fine


def bridge_order(coarse, fine):
    return torch.cat([fine, F.interpolate(coarse, scale_factor=2)], 1)


def bridge_bilinear(coarse, fine):
    large = F.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)
    return torch.cat([large, fine], 1)


def bridge_detached(coarse, fine):
    return torch.cat([F.interpolate(coarse, scale_factor=2), fine.detach()], 1)


def patches_bce(real, fake):
    one, zero = torch.ones_like(real), torch.zeros_like(fake)
    return F.binary_cross_entropy_with_logits(real, one) + F.binary_cross_entropy_with_logits(fake, zero)


def patches_logsigmoid(real, fake):
    return -(F.logsigmoid(real).mean() + F.logsigmoid(-fake).mean())


def patches_mean_first(real, fake):
    return F.softplus(-real.flatten(1).mean(1)).mean() + F.softplus(fake.flatten(1).mean(1)).mean()


def patches_exchanged(real, fake):
    return F.softplus(real).mean() + F.softplus(-fake).mean()


def patches_generator(real, fake):
    return F.softplus(-real).mean() + F.softplus(-fake).mean()


def patches_real_only(real, fake):
    return F.softplus(-real).mean()


def patches_half(real, fake):
    return (F.softplus(-real).mean() + F.softplus(fake).mean()) / 2


def patches_naive(real, fake):
    return -torch.log(torch.sigmoid(real)).mean() - torch.log(1 - torch.sigmoid(fake)).mean()


def translator_l1(made, wanted, scores, weight):
    return weight * F.l1_loss(made, wanted) - F.logsigmoid(scores).mean()


def translator_bce(made, wanted, scores, weight):
    deceive = F.binary_cross_entropy_with_logits(scores, torch.ones_like(scores))
    return deceive + weight * torch.mean(torch.abs(made - wanted))


def translator_l2(made, wanted, scores, weight):
    return weight * F.mse_loss(made, wanted) + F.softplus(-scores).mean()


def translator_weight(made, wanted, scores, weight):
    return F.l1_loss(made, wanted) + weight * F.softplus(-scores).mean()


def translator_judge(made, wanted, scores, weight):
    return weight * F.l1_loss(made, wanted) + F.softplus(scores).mean()


def translator_saturating(made, wanted, scores, weight):
    return weight * F.l1_loss(made, wanted) + F.logsigmoid(-scores).mean()


def translator_mean_first(made, wanted, scores, weight):
    return weight * F.l1_loss(made, wanted) + F.softplus(-scores.flatten(1).mean(1)).mean()


def translator_no_judge(made, wanted, scores, weight):
    return weight * F.l1_loss(made, wanted)


def truths_einsum(g, one, other):
    way, gone = (other - one).flatten(1), (g - one).flatten(1)
    return torch.einsum("bi,bi->b", gone, way) / torch.einsum("bi,bi->b", way, way)


def truths_loop(g, one, other):
    rows = []
    for a, b, c in zip(g, one, other):
        rows.append(((a - b) * (c - b)).sum() / ((c - b) ** 2).sum())
    return torch.stack(rows)


def truths_swapped(g, one, other):
    return truths_einsum(g, other, one)


def truths_length(g, one, other):
    way, gone = (other - one).flatten(1), (g - one).flatten(1)
    return (gone * way).sum(1) / way.norm(dim=1)


def truths_origin(g, one, other):
    way = (other - one).flatten(1)
    return (g.flatten(1) * way).sum(1) / way.square().sum(1)


def truths_distances(g, one, other):
    a, b = (g - one).flatten(1).norm(dim=1), (g - other).flatten(1).norm(dim=1)
    return a / (a + b)


def dial_expand(x, value):
    channel = value[:, None, None, None].expand(len(x), 1, x.shape[2], x.shape[3])
    return torch.cat([x, channel], dim=1)


def dial_ones(x, value):
    return torch.cat([x, torch.ones_like(x[:, :1]) * value.reshape(-1, 1, 1, 1)], 1)


def dial_added(x, value):
    return x + value[:, None, None, None]


def dial_first(x, value):
    return torch.cat([torch.ones_like(x[:, :1]) * value.reshape(-1, 1, 1, 1), x], 1)


def dial_mean(x, value):
    return torch.cat([x, torch.full_like(x[:, :1], value.mean().item())], 1)


def dial_pixel(x, value):
    channel = torch.zeros_like(x[:, :1])
    channel[:, 0, 0, 0] = value
    return torch.cat([x, channel], 1)


ANSWERS = {
    "views": {
        "right": [views_backwards, views_products],
        "wrong": {
            "own stride": (views_own_stride, "layers *before* it"),
            "no strides": (views_no_strides, "forgot the strides"),
            "k": (views_k, "k − 1 steps"),
            "float": (views_float, "a whole number"),
        },
    },
    "bridge": {
        "right": [bridge_repeat, bridge_module],
        "wrong": {
            "added": (bridge_added, "You added the maps"),
            "order": (bridge_order, "The order"),
            "bilinear": (bridge_bilinear, "bilinear"),
            "detached": (bridge_detached, "fine"),
        },
    },
    "patches": {
        "right": [patches_bce, patches_logsigmoid],
        "wrong": {
            "mean first": (patches_mean_first, "*before* the loss"),
            "exchanged": (patches_exchanged, "exchanged"),
            "generator": (patches_generator, "generator's loss"),
            "real only": (patches_real_only, "made patches is missing"),
            "half": (patches_half, "0.500 times"),
            "naive": (patches_naive, "overflows"),
        },
    },
    "translator": {
        "right": [translator_l1, translator_bce],
        "wrong": {
            "l2": (translator_l2, "squared error"),
            "weight": (translator_weight, "before the wrong term"),
            "judge": (translator_judge, "the judge's"),
            "saturating": (translator_saturating, "saturating form"),
            "mean first": (translator_mean_first, "before the logarithm"),
            "no judge": (translator_no_judge, "deceives the judge is missing"),
        },
    },
    "side": {
        "right": [truths_einsum, truths_loop],
        "wrong": {
            "swapped": (truths_swapped, "changed places"),
            "length": (truths_length, "divide by its square"),
            "origin": (truths_origin, "subtract y₁"),
            "distances": (truths_distances, "projection"),
        },
    },
    "dial": {
        "right": [dial_expand, dial_ones],
        "wrong": {
            "added": (dial_added, "channel of its own"),
            "first": (dial_first, "meant is the last"),
            "mean": (dial_mean, "the mean of the numbers"),
            "pixel": (dial_pixel, "one pixel only"),
        },
    },
}
