"""Answers to the exercises on playing the game: right variants, and wrong ones with a word of the reason due."""

import math

import torch
import torch.nn.functional as F

from belamy import losses as library

# --- losses --------------------------------------------------------------------------------------


def losses_library(fake):
    return library.minimax_generator(fake), library.non_saturating_generator(fake)


def losses_cross_entropy(fake):
    loss = F.binary_cross_entropy_with_logits
    return -loss(fake, torch.zeros_like(fake)), loss(fake, torch.ones_like(fake))


def losses_plus(fake):
    loss = F.binary_cross_entropy_with_logits
    return loss(fake, torch.zeros_like(fake)), loss(fake, torch.ones_like(fake))


def losses_swapped(fake):
    return -F.logsigmoid(fake).mean(), F.logsigmoid(-fake).mean()


def losses_log_d(fake):
    return F.logsigmoid(-fake).mean(), F.logsigmoid(fake).mean()


def losses_naive(fake):
    opinion = torch.sigmoid(fake)
    return torch.log(1 - opinion).mean(), -torch.log(opinion).mean()


def losses_safe_log(fake):
    opinion = torch.sigmoid(fake)
    return torch.log(1 - opinion + 1e-12).mean(), -torch.log(opinion + 1e-12).mean()


def losses_one(fake):
    return F.softplus(-fake).mean()


def losses_sum(fake):
    return -F.softplus(fake).sum(), F.softplus(-fake).sum()


# --- turn ----------------------------------------------------------------------------------------


def turn_no_grad(discriminator, generator, x, z):
    with torch.no_grad():
        fake = generator(z)
    real_scores, fake_scores = discriminator(x), discriminator(fake)
    return -F.logsigmoid(real_scores).mean() - F.logsigmoid(-fake_scores).mean()


def turn_labels(discriminator, generator, x, z):
    loss = torch.nn.BCEWithLogitsLoss()
    fake = generator(z).detach()
    return loss(discriminator(x), torch.ones(len(x))) + loss(discriminator(fake), torch.zeros(len(z)))


def turn_no_detach(discriminator, generator, x, z):
    return F.softplus(-discriminator(x)).mean() + F.softplus(discriminator(generator(z))).mean()


def turn_scores_detached(discriminator, generator, x, z):
    with torch.no_grad():
        fake = discriminator(generator(z))
    return F.softplus(-discriminator(x)).mean() + F.softplus(fake).mean()


def turn_wrong_label(discriminator, generator, x, z):
    loss = F.binary_cross_entropy_with_logits
    real, fake = discriminator(x), discriminator(generator(z).detach())
    return loss(real, torch.ones_like(real)) + loss(fake, torch.ones_like(fake))


def turn_flipped(discriminator, generator, x, z):
    loss = F.binary_cross_entropy_with_logits
    real, fake = discriminator(x), discriminator(generator(z).detach())
    return loss(real, torch.zeros_like(real)) + loss(fake, torch.ones_like(fake))


def turn_value(discriminator, generator, x, z):
    fake = generator(z).detach()
    return F.logsigmoid(discriminator(x)).mean() + F.logsigmoid(-discriminator(fake)).mean()


def turn_half(discriminator, generator, x, z):
    return 0.5 * turn_no_grad(discriminator, generator, x, z)


def turn_all_detached(discriminator, generator, x, z):
    return turn_no_grad(discriminator, generator, x, z).detach()


# --- played --------------------------------------------------------------------------------------


def played_autograd(psi, theta, rate, weight):
    slope = psi.clone().requires_grad_()
    gain = -F.softplus(slope * theta) - weight / 2 * slope.square()
    psi = psi + rate * torch.autograd.grad(gain.sum(), slope)[0]
    place = theta.clone().requires_grad_()
    return psi, theta - rate * torch.autograd.grad(-F.softplus(psi * place).sum(), place)[0]


def played_one_by_one(psi, theta, rate, weight):
    pairs = []
    for a, b in zip(psi.tolist(), theta.tolist()):
        a = a * (1 - rate * weight) - rate * b / (1 + math.exp(-a * b))
        pairs.append((a, b + rate * a / (1 + math.exp(-a * b))))
    return tuple(torch.tensor(numbers, dtype=torch.float64) for numbers in zip(*pairs))


def played_at_once(psi, theta, rate, weight):
    opinion = torch.sigmoid(psi * theta)
    return psi - rate * (opinion * theta + weight * psi), theta + rate * opinion * psi


def played_old_opinion(psi, theta, rate, weight):
    opinion = torch.sigmoid(psi * theta)
    new = psi - rate * (opinion * theta + weight * psi)
    return new, theta + rate * opinion * new


def played_downhill(psi, theta, rate, weight):
    new = psi + rate * (torch.sigmoid(psi * theta) * theta - weight * psi)
    return new, theta + rate * torch.sigmoid(new * theta) * new


def played_no_penalty(psi, theta, rate, weight):
    return played_autograd(psi, theta, rate, 0.0)


def played_double_penalty(psi, theta, rate, weight):
    return played_autograd(psi, theta, rate, 2 * weight)


def played_linear(psi, theta, rate, weight):
    a, keep = rate / 2, 1 - rate * weight
    return keep * psi - a * theta, a * keep * psi + (1 - a**2) * theta


def played_generator_only(psi, theta, rate, weight):
    new = psi - rate * (torch.sigmoid(psi * theta) * theta + weight * psi)
    return new, theta - rate * torch.sigmoid(new * theta) * new


# --- r1 ------------------------------------------------------------------------------------------


def r1_by_rows(discriminator, x, weight):
    total = 0
    for row in x:
        row = row[None].clone().requires_grad_()
        (slope,) = torch.autograd.grad(discriminator(row), row, torch.ones(1), create_graph=True)
        total = total + (slope**2).sum()
    return 0.5 * weight * total / len(x)


def r1_norm(discriminator, x, weight):
    x = x.detach().requires_grad_()
    (slope,) = torch.autograd.grad(discriminator(x).sum(), [x], create_graph=True)
    return weight * 0.5 * torch.linalg.vector_norm(slope, dim=1).pow(2).mean()


def r1_no_graph(discriminator, x, weight):
    x = x.detach().requires_grad_()
    (slope,) = torch.autograd.grad(discriminator(x).sum(), [x])
    return weight / 2 * slope.pow(2).sum(1).mean()


def r1_to_one(discriminator, x, weight):
    x = x.detach().requires_grad_()
    (slope,) = torch.autograd.grad(discriminator(x).sum(), [x], create_graph=True)
    return weight * ((slope.norm(2, dim=1) - 1) ** 2).mean()


def r1_mean_score(discriminator, x, weight):
    x = x.detach().requires_grad_()
    (slope,) = torch.autograd.grad(discriminator(x).mean(), [x], create_graph=True)
    return weight / 2 * slope.pow(2).sum(1).mean()


def r1_of_probability(discriminator, x, weight):
    x = x.detach().requires_grad_()
    (slope,) = torch.autograd.grad(torch.sigmoid(discriminator(x)).sum(), [x], create_graph=True)
    return weight / 2 * slope.pow(2).sum(1).mean()


def r1_unsquared(discriminator, x, weight):
    x = x.detach().requires_grad_()
    (slope,) = torch.autograd.grad(discriminator(x).sum(), [x], create_graph=True)
    return weight / 2 * slope.pow(2).sum(1).sqrt().mean()


def r1_no_half(discriminator, x, weight):
    return 2 * r1_norm(discriminator, x, weight)


def r1_mean_of_all(discriminator, x, weight):
    x = x.detach().requires_grad_()
    (slope,) = torch.autograd.grad(discriminator(x).sum(), [x], create_graph=True)
    return weight / 2 * slope.pow(2).mean()


def r1_graph_forgotten(discriminator, x, weight):
    inputs = x.detach().clone().requires_grad_(True)
    (slope,) = torch.autograd.grad(discriminator(inputs).sum(), inputs)
    return 0.5 * weight * slope.pow(2).sum(1).mean()


def r1_of_x_itself(discriminator, x, weight):
    x.requires_grad_(True)
    (slope,) = torch.autograd.grad(discriminator(x).sum(), x, create_graph=True)
    return 0.5 * weight * slope.pow(2).sum(1).mean()


# --- coverage ------------------------------------------------------------------------------------


def coverage_cdist(samples, centres, deviation):
    distance, mode = torch.cdist(samples, centres).min(1)
    by_mode = torch.bincount(mode[distance < 3 * deviation], minlength=len(centres)) / len(samples)
    return int((by_mode >= 0.25 / len(centres)).sum()), float(by_mode.sum())


def coverage_loop(samples, centres, deviation):
    covered = good = 0
    for centre in centres:
        inside = int(((samples - centre).square().sum(1) < (3 * deviation) ** 2).sum())
        good += inside
        covered += inside >= len(samples) / len(centres) / 4
    return covered, good / len(samples)


def coverage_touched(samples, centres, deviation):
    inside = torch.cdist(samples, centres) < 3 * deviation
    return int(inside.any(0).sum()), inside.any(1).float().mean().item()


def coverage_square(samples, centres, deviation):
    inside = ((samples[:, None] - centres).abs() < 3 * deviation).all(2)
    return int((inside.sum(0) >= len(samples) / len(centres) / 4).sum()), inside.any(1).float().mean().item()


def coverage_of_good(samples, centres, deviation):
    inside = torch.cdist(samples, centres) < 3 * deviation
    return int((inside.sum(0) >= inside.sum() / len(centres) / 4).sum()), inside.any(1).float().mean().item()


def coverage_full_share(samples, centres, deviation):
    inside = torch.cdist(samples, centres) < 3 * deviation
    return int((inside.sum(0) >= len(samples) / len(centres)).sum()), inside.any(1).float().mean().item()


def coverage_all_nearest(samples, centres, deviation):
    distance, mode = torch.cdist(samples, centres).min(1)
    by_mode = torch.bincount(mode, minlength=len(centres)) / len(samples)
    return int((by_mode >= 0.25 / len(centres)).sum()), (distance < 3 * deviation).float().mean().item()


def coverage_one_deviation(samples, centres, deviation):
    return coverage_cdist(samples, centres, deviation / 3)


def coverage_tensors(samples, centres, deviation):
    inside = torch.cdist(samples, centres) < 3 * deviation
    return (inside.sum(0) >= len(samples) / len(centres) / 4).sum(), inside.any(1).float().mean()


# --- contraction ---------------------------------------------------------------------------------


def contraction_formula(rate, weight):
    trace = 1 - rate * weight + 1 - rate**2 / 4
    root = (complex(trace**2 - 4 * (1 - rate * weight))) ** 0.5
    return max(abs(trace + root), abs(trace - root)) / 2


def contraction_numpy(rate, weight):
    import numpy as np

    a = rate / 2
    discriminator = np.array([[1 - rate * weight, -a], [0, 1]])
    generator = np.array([[1, 0], [a, 1]])
    return float(np.abs(np.linalg.eigvals(generator @ discriminator)).max())


def contraction_root(rate, weight):
    return abs(1 - rate * weight) ** 0.5


def contraction_at_once(rate, weight):
    matrix = torch.tensor([[1 - rate * weight, -rate / 2], [rate / 2, 1.0]])
    return torch.linalg.eigvals(matrix).abs().max().item()


def contraction_norm(rate, weight):
    a, keep = rate / 2, 1 - rate * weight
    return torch.linalg.svdvals(torch.tensor([[keep, -a], [a * keep, 1 - a**2]])).max().item()


def contraction_determinant(rate, weight):
    return abs(1 - rate * weight)


def contraction_smaller(rate, weight):
    a, keep = rate / 2, 1 - rate * weight
    return torch.linalg.eigvals(torch.tensor([[keep, -a], [a * keep, 1 - a**2]])).abs().min().item()


def contraction_whole_rate(rate, weight):
    keep = 1 - rate * weight
    return torch.linalg.eigvals(torch.tensor([[keep, -rate], [rate * keep, 1 - rate**2]])).abs().max().item()


def contraction_tensor(rate, weight):
    a, keep = rate / 2, 1 - rate * weight
    return torch.linalg.eigvals(torch.tensor([[keep, -a], [a * keep, 1 - a**2]])).abs().max()


def losses_one_and_its_negative(fake):
    return F.logsigmoid(fake).mean(), -F.logsigmoid(fake).mean()


def turn_frozen(discriminator, generator, x, z):
    generator.requires_grad_(False)
    return F.softplus(-discriminator(x)).mean() + F.softplus(discriminator(generator(z))).mean()


def r1_of_weights(discriminator, x, weight):
    return weight / 2 * sum(p.square().sum() for p in discriminator.parameters())


def coverage_all(samples, centres, deviation):
    near = torch.cdist(samples, centres) < 3 * deviation
    received = near.sum(0) >= len(samples) / len(centres) / 4
    return int(received.sum()), float(near.all(1).float().mean())


ANSWERS = {
    "losses": {
        "right": [losses_library, losses_cross_entropy],
        "wrong": {
            "plus": (losses_plus, "helps the discriminator"),
            "swapped": (losses_swapped, "changed places"),
            "log D": (losses_log_d, "maximise"),
            "log of a sigmoid": (losses_naive, "stable"),
            "log with a crutch": (losses_safe_log, "stable"),
            "one loss": (losses_one, "2 values"),
            "sums": (losses_sum, "summed over the examples"),
            "one loss twice": (losses_one_and_its_negative, "log(1 − D)"),
        },
    },
    "turn": {
        "right": [turn_no_grad, turn_labels],
        "wrong": {
            "no detach": (turn_no_detach, "reaches `generator`"),
            "scores detached": (turn_scores_detached, "behind the discriminator"),
            "both real": (turn_wrong_label, "generator's own loss"),
            "flipped": (turn_flipped, "labels are turned"),
            "value": (turn_value, "maximises"),
            "half": (turn_half, "halve"),
            "all detached": (turn_all_detached, "no gradient reaches `discriminator`"),
            "frozen for good": (turn_frozen, "still frozen"),
        },
    },
    "played": {
        "right": [played_autograd, played_one_by_one],
        "wrong": {
            "at once": (played_at_once, "at once"),
            "old opinion": (played_old_opinion, "mixes times"),
            "downhill": (played_downhill, "maximises V"),
            "no penalty": (played_no_penalty, "penalty is missing"),
            "penalty twice": (played_double_penalty, "twice"),
            "linear": (played_linear, "near the equilibrium only"),
            "generator uphill": (played_generator_only, "minimises V"),
        },
    },
    "r1": {
        "right": [r1_by_rows, r1_norm],
        "wrong": {
            "no graph": (r1_no_graph, "create_graph=True"),
            "to one": (r1_to_one, "Wasserstein"),
            "mean score": (r1_mean_score, "mean score"),
            "of D": (r1_of_probability, "the probability"),
            "not squared": (r1_unsquared, "its square"),
            "no half": (r1_no_half, "½"),
            "mean of all": (r1_mean_of_all, "where the sum is meant"),
            "create_graph forgotten": (r1_graph_forgotten, "create_graph=True"),
            "x asks for gradients": (r1_of_x_itself, "`x` is not as it was"),
            "weight decay": (r1_of_weights, "weight decay"),
        },
    },
    "coverage": {
        "right": [coverage_cdist, coverage_loop],
        "wrong": {
            "touched": (coverage_touched, "quarter of its fair share"),
            "square": (coverage_square, "square about the centre"),
            "of the good": (coverage_of_good, "of the good ones"),
            "whole share": (coverage_full_share, "whole fair share"),
            "all nearest": (coverage_all_nearest, "however far"),
            "one deviation": (coverage_one_deviation, "you took one"),
            "tensors": (coverage_tensors, "a torch tensor where an int is meant"),
            "near all centres": (coverage_all, "near all"),
        },
    },
    "contraction": {
        "right": [contraction_formula, contraction_numpy],
        "wrong": {
            "root of det": (contraction_root, "complex"),
            "at once": (contraction_at_once, "at once"),
            "norm": (contraction_norm, "singular value"),
            "determinant": (contraction_determinant, "product of the two"),
            "smaller": (contraction_smaller, "slower part"),
            "whole rate": (contraction_whole_rate, "half of the rate"),
            "a tensor": (contraction_tensor, "a torch tensor where a float is meant"),
        },
    },
}
