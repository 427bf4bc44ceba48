"""Answers to the exercises on the AVA experiment, right and wrong, as students write them."""

import math

import numpy as np
import torch
from scipy import stats
from torch.nn import functional as F

# --- balance -------------------------------------------------------------------------------------


def balance_by_norm(images, picture):
    d = torch.linalg.vector_norm(images - picture[None], dim=1)
    return torch.mean(torch.abs(d - d**2))


def balance_by_loop(images, picture):
    total = 0
    for image in images:
        d = torch.sqrt(((image - picture) ** 2).sum(dim=0))
        total = total + (d * (1 - d)).abs().sum() / d.numel()
    return total / len(images)


def balance_printed(images, picture):
    d = (images - picture).norm(dim=1)
    return (d * (1 - d)).mean()


def balance_of_channels(images, picture):
    d = torch.abs(images - picture)
    return torch.abs(d * (1 - d)).mean()


def balance_of_whole_images(images, picture):
    d = (images - picture).flatten(1).norm(dim=1)
    return (d * (1 - d)).abs().mean()


def balance_normalised(images, picture):
    d = F.mse_loss(images, picture.expand_as(images), reduction="none").mean(1).sqrt()
    return (d * (1 - d)).abs().mean()


def balance_without_root(images, picture):
    d = ((images - picture) ** 2).sum(1)
    return (d * (1 - d)).abs().mean()


def balance_each_image(images, picture):
    d = (images - picture).norm(dim=1)
    return (d * (1 - d)).abs().mean((1, 2))


def balance_summed(images, picture):
    return balance_by_norm(images, picture) * len(images)


# --- rests-at ------------------------------------------------------------------------------------


def rests_by_minimum(x, share):
    return torch.minimum(x / (1 - share), torch.ones_like(x))


def rests_by_where(x, share):
    brighter = x + share * x / (1 - share)
    return torch.where(brighter < 1, brighter, 1.0)


def rests_unclamped(x, share):
    return x / (1 - share)


def rests_at_force_of_data(x, share):
    return torch.clamp(x + share * x, 0, 1)


def rests_at_printed(x, share):
    return torch.clamp(x + share, max=1.0)


def rests_darker(x, share):
    return torch.clamp(x / (1 + share), 0, 1)


# --- similarity-and-diversity --------------------------------------------------------------------


def two_by_broadcast(pictures, images):
    apart = lambda a, b: (a[:, None] - b[None]).pow(2).mean((2, 3, 4)).sqrt()
    own = apart(pictures, pictures)
    return 1 - apart(pictures, images).min(1).values.mean(), own[~torch.eye(len(own), dtype=torch.bool)].mean()


def two_by_loop(pictures, images):
    rms = lambda a, b: ((a - b) ** 2).mean().sqrt()
    near = [min(rms(p, image) for image in images) for p in pictures]
    n = len(pictures)
    pairs = [rms(pictures[i], pictures[j]) for i in range(n) for j in range(n) if i != j]
    return 1 - torch.stack(near).mean(), torch.stack(pairs).mean()


def two_with_itself(pictures, images):
    scale = pictures[0].numel() ** 0.5
    own = torch.cdist(pictures.flatten(1), pictures.flatten(1)) / scale
    return two_by_broadcast(pictures, images)[0], own.mean()


def two_of_all_images(pictures, images):
    scale = pictures[0].numel() ** 0.5
    return 1 - (torch.cdist(pictures.flatten(1), images.flatten(1)) / scale).mean(), two_by_loop(pictures, images)[1]


def two_the_other_way(pictures, images):
    return two_by_loop(images, pictures)[0], two_by_loop(pictures, images)[1]


def two_unscaled(pictures, images):
    s, d = two_by_broadcast(pictures, images)
    scale = math.sqrt(pictures[0].numel())
    return 1 - (1 - s) * scale, d * scale


def two_distances(pictures, images):
    s, d = two_by_broadcast(pictures, images)
    return 1 - s, d


def two_in_floats(pictures, images):
    s, d = two_by_broadcast(pictures, images)
    return s.item(), d.item()


# --- paired --------------------------------------------------------------------------------------


def paired_by_scipy(a, b):
    x = (a - b).numpy().mean(axis=1)
    low, high = stats.t.interval(0.95, len(x) - 1, loc=x.mean(), scale=stats.sem(x))
    return float(x.mean()), float(low), float(high)


def paired_by_ttest(a, b):
    test = stats.ttest_rel(a.mean(1).numpy(), b.mean(1).numpy())
    ends = test.confidence_interval(0.95)
    return float((a - b).mean()), float(ends.low), float(ends.high)


def told(x, quantile=None, ddof=1):
    x = np.asarray(x).ravel()
    half = (quantile or stats.t.ppf(0.975, len(x) - 1)) * x.std(ddof=ddof) / len(x) ** 0.5
    return float(x.mean()), float(x.mean() - half), float(x.mean() + half)


def paired_over_rates(a, b):
    return told((a - b).mean(0))


def paired_over_cells(a, b):
    return told(a - b)


def paired_normal(a, b):
    return told((a - b).mean(1), quantile=1.96)


def paired_numpy_std(a, b):
    return told((a - b).mean(1), ddof=0)


def paired_backwards(a, b):
    return told((b - a).mean(1))


def paired_not(a, b):
    test = stats.ttest_ind(a.mean(1).numpy(), b.mean(1).numpy())
    ends = test.confidence_interval(0.95)
    return float((a - b).mean()), float(ends.low), float(ends.high)


# --- seeds-needed --------------------------------------------------------------------------------


def needed_by_for(lead, s):
    for n in range(2, 10**6):
        width = stats.t(2 * n - 2).ppf(0.975) * math.sqrt(s**2 / n + s**2 / n)
        if width < lead:
            return n


def needed_backwards(lead, s):
    n = 10_000
    while n > 2 and stats.t.ppf(0.975, 2 * (n - 1) - 2) * s * math.sqrt(2 / (n - 1)) < lead:
        n -= 1
    return n


def needed_normal(lead, s):
    return max(2, math.ceil(2 * (1.96 * s / lead) ** 2))


def needed_one_mean(lead, s):
    n = 2
    while stats.t.ppf(0.975, 2 * n - 2) * s / math.sqrt(n) >= lead:
        n += 1
    return n


def needed_few_degrees(lead, s):
    n = 2
    while stats.t.ppf(0.975, n - 1) * s * math.sqrt(2 / n) >= lead:
        n += 1
    return n


def needed_as_a_float(lead, s):
    return float(needed_by_for(lead, s))


def needed_of_both(lead, s):
    return 2 * needed_by_for(lead, s)


# --- arrives -------------------------------------------------------------------------------------


def arrives_with(rate, target, steps, hidden, *, units=None, force=0.5, slope=0.5, middle=0.5, bias=1, aimed=1):
    a = lambda v: 1 / (1 + torch.exp(-slope * (v - middle)))
    v = 0 * target
    a_0 = a(v)
    for _ in range(steps):
        x = a(v)
        delta = rate * slope * x * (1 - x) * (aimed * target - x + force * x)
        v = v + bias * delta + (hidden if units is None else units) * a_0 * (delta * a_0)
    return a(v)


def arrives_expanded(rate, target, steps, hidden):
    return arrives_with(rate, target, steps, hidden)


def arrives_as_a_net(rate, target, steps, hidden):
    """The decoder's last layer written out, its hidden units held at a(0)."""
    a = lambda v: torch.sigmoid((v - 0.5) / 2)
    units = a(torch.zeros(hidden, dtype=target.dtype))
    weights, bias = torch.zeros(len(target), hidden, dtype=target.dtype), torch.zeros_like(target)
    for _ in range(steps):
        x = a(weights @ units + bias)
        delta = rate * 0.5 * x * (1 - x) * (target - x + 0.5 * x)
        weights, bias = weights + torch.outer(delta, units), bias + delta
    return a(weights @ units + bias)


def arrives_one_unit(rate, target, steps, hidden):
    return arrives_with(rate, target, steps, hidden, units=1)


def arrives_without_bias(rate, target, steps, hidden):
    return arrives_with(rate, target, steps, hidden, bias=0)


def arrives_without_force(rate, target, steps, hidden):
    return arrives_with(rate, target, steps, hidden, force=0)


def arrives_standard_logistic(rate, target, steps, hidden):
    a = torch.sigmoid
    v, a_0 = torch.zeros_like(target), 0.5
    for _ in range(steps):
        x = a(v)
        v = v + rate * 0.5 * x * (1 - x) * (target - 0.5 * x) * (1 + hidden * a_0**2)
    return a(v)


def arrives_too_steep(rate, target, steps, hidden):
    return arrives_with(2 * rate, target, steps, hidden)


def arrives_in_place(rate, target, steps, hidden):
    return arrives_with(rate, target, steps, hidden).float()


def rests_at_the_picture(x, share):
    return x.clamp(0, 1)


def paired_one_sided(a, b):
    values = (a - b).mean(1)
    half = stats.t.ppf(0.95, len(a) - 1) * values.std() / len(a) ** 0.5
    return tuple(float(end) for end in (values.mean(), values.mean() - half, values.mean() + half))


def arrives_inside(rate, target, steps, hidden):
    pixels = arrives_expanded(rate, target, steps, hidden)
    return 0.5 + 2 * (pixels / (1 - pixels)).log()


ANSWERS = {
    "balance": {
        "right": [balance_by_norm, balance_by_loop],
        "wrong": {
            "as printed": (balance_printed, "as printed"),
            "each channel by itself": (balance_of_channels, "each channel"),
            "distances of images": (balance_of_whole_images, "whole images"),
            "normalised": (balance_normalised, "normalised"),
            "squared distances": (balance_without_root, "root"),
            "one number an image": (balance_each_image, "shape"),
            "summed over images": (balance_summed, "summed over the examples"),
        },
    },
    "rests-at": {
        "right": [rests_by_minimum, rests_by_where],
        "wrong": {
            "beyond white": (rests_unclamped, "exceeds 1"),
            "a force of the data": (rests_at_force_of_data, "x in place of x′"),
            "the printed force": (rests_at_printed, "same for all pixels"),
            "the force's sign": (rests_darker, "brightens"),
            "no force": (rests_at_the_picture, "force is missing"),
        },
    },
    "similarity-and-diversity": {
        "right": [two_by_broadcast, two_by_loop],
        "wrong": {
            "a picture beside itself": (two_with_itself, "to itself"),
            "all images for the nearest": (two_of_all_images, "nearest one"),
            "nearest picture of an image": (two_the_other_way, "other way round"),
            "not divided": (two_unscaled, "normalised"),
            "a distance for a similarity": (two_distances, "one minus"),
            "floats": (two_in_floats, "tensor"),
        },
    },
    "paired": {
        "right": [paired_by_scipy, paired_by_ttest],
        "wrong": {
            "over rates": (paired_over_rates, "grid"),
            "over all cells": (paired_over_cells, "every cell"),
            "1.96": (paired_normal, "1.96"),
            "numpy's std": (paired_numpy_std, "n − 1"),
            "second minus first": (paired_backwards, "subtracted"),
            "unpaired": (paired_not, "pair them"),
            "a 90 % interval": (paired_one_sided, "90 %"),
        },
    },
    "seeds-needed": {
        "right": [needed_by_for, needed_backwards],
        "wrong": {
            "normal quantile": (needed_normal, "normal quantile"),
            "one mean": (needed_one_mean, "difference of two means"),
            "n − 1 degrees": (needed_few_degrees, "degrees of freedom"),
            "a float": (needed_as_a_float, "int"),
            "both together": (needed_of_both, "both models together"),
        },
    },
    "arrives": {
        "right": [arrives_expanded, arrives_as_a_net],
        "wrong": {
            "one hidden unit": (arrives_one_unit, "one hidden unit"),
            "no bias": (arrives_without_bias, "bias"),
            "no force": (arrives_without_force, "force is missing"),
            "the standard logistic function": (arrives_standard_logistic, "standard logistic"),
            "slope a(1 − a)": (arrives_too_steep, "half of"),
            "single precision": (arrives_in_place, "float32"),
            "what flows in": (arrives_inside, "flows into"),
        },
    },
}
