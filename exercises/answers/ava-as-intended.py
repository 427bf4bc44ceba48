"""Answers to the exercises on AVA as intended, right and wrong, as students write them."""

import math

import numpy as np
import torch
from scipy import stats
from torch.distributions import Normal, kl_divergence
from torch.nn import functional as F

# --- best-elbo -----------------------------------------------------------------------------------


def elbo_by_density(x, x1, kl):
    sigma = F.mse_loss(x1, x).sqrt()
    likelihood = Normal(x1, sigma).log_prob(x).flatten(1).sum(1)
    return (likelihood - kl).mean()


def elbo_by_parts(x, x1, kl):
    pixels = x.shape[-1] * x.shape[-2]
    mse = ((x - x1) ** 2).sum() / x.numel()
    return -0.5 * pixels * (math.log(2 * math.pi) + mse.log() + 1) - kl.sum() / len(kl)


def elbo_of_unit_variance(x, x1, kl):
    return (Normal(x1, 1.0).log_prob(x).flatten(1).sum(1) - kl).mean()


def elbo_without_e(x, x1, kl):
    return -0.5 * x[0].numel() * torch.log(2 * math.pi * F.mse_loss(x, x1)) - kl.mean()


def elbo_of_each_picture(x, x1, kl):
    mse = (x - x1).pow(2).mean((1, 2, 3), keepdim=True)
    return (Normal(x1, mse.sqrt()).log_prob(x).sum((1, 2, 3)) - kl).mean()


def elbo_with_reward(x, x1, kl):
    return elbo_by_density(x, x1, -kl)


def elbo_negative(x, x1, kl):
    return -elbo_by_density(x, x1, kl)


def elbo_of_the_batch(x, x1, kl):
    return Normal(x1, F.mse_loss(x, x1).sqrt()).log_prob(x).sum() - kl.mean()


# --- ava1-losses ---------------------------------------------------------------------------------


def ava1_by_logsigmoid(error, kl, real, fake):
    charge = F.logsigmoid(-fake).mean()
    return {
        "discriminator": -F.logsigmoid(real).mean() - charge,
        "encoder": kl + error,
        "decoder": charge + error,
    }


def ava1_by_bce(error, kl, real, fake):
    bce = F.binary_cross_entropy_with_logits
    lying = bce(fake, torch.zeros_like(fake))
    return {
        "encoder": error + kl,
        "decoder": error - lying,
        "discriminator": bce(real, torch.ones_like(real)) + lying,
    }


def ava1_that_overflows(error, kl, real, fake):
    d, d1 = torch.sigmoid(real), torch.sigmoid(fake)
    charge = torch.log(1 - d1).mean()
    return {"encoder": error + kl, "decoder": error + charge, "discriminator": -d.log().mean() - charge}


def ava1_non_saturating(error, kl, real, fake):
    return ava1_by_bce(error, kl, real, fake) | {"decoder": error - F.logsigmoid(fake).mean()}


def ava1_as_in_the_paper(error, kl, real, fake):
    return ava1_by_bce(error, kl, real, fake) | {"encoder": kl + 0.0}


def ava1_one_loss_for_both(error, kl, real, fake):
    charge = F.logsigmoid(-fake).mean()
    return ava1_by_bce(error, kl, real, fake) | {"encoder": error + kl + charge}


def ava1_ascent(error, kl, real, fake):
    found = ava1_by_bce(error, kl, real, fake)
    return found | {"discriminator": -found["discriminator"]}


def ava1_labels_exchanged(error, kl, real, fake):
    return ava1_by_bce(error, kl, real, fake) | {
        "discriminator": -F.logsigmoid(-real).mean() - F.logsigmoid(fake).mean()
    }


def ava1_halved(error, kl, real, fake):
    found = ava1_by_bce(error, kl, real, fake)
    return found | {"discriminator": found["discriminator"] / 2}


# --- blocks --------------------------------------------------------------------------------------


def blocks_by_loop(x, size):
    rows, columns = x.shape[2] // size, x.shape[3] // size
    found = []
    for i in range(rows):
        for j in range(columns):
            found.append(x[:, 0, i * size : (i + 1) * size, j * size : (j + 1) * size].reshape(len(x), -1))
    return torch.stack(found, dim=1)


def blocks_by_unfold(x, size):
    return x.unfold(2, size, size).unfold(3, size, size).flatten(4).flatten(1, 3)


def blocks_by_reshape(x, size):
    return x.view(x.shape[0], -1, size**2)


def blocks_without_transpose(x, size):
    return F.unfold(x, size, stride=size).reshape(len(x), -1, size * size)


def blocks_by_columns(x, size):
    columns = []
    for j in range(x.shape[3] // size):
        for i in range(x.shape[2] // size):
            columns.append(x[:, 0, i * size : (i + 1) * size, j * size : (j + 1) * size].flatten(1))
    return torch.stack(columns, 1)


def blocks_overlapping(x, size):
    return F.unfold(x, kernel_size=size).permute(0, 2, 1)


def blocks_turned(x, size):
    return blocks_by_unfold(x, size).unflatten(2, (size, size)).mT.flatten(2)


# --- encoder-loss --------------------------------------------------------------------------------


def by_distributions(encoder, decoder, judge, x, eps):
    mean, log_variance = encoder(x)
    q = Normal(mean, log_variance.mul(0.5).exp())
    x1 = decoder(q.loc + q.scale * eps)
    kl = kl_divergence(q, Normal(torch.zeros_like(mean), torch.ones_like(mean))).sum(-1)
    again, _ = encoder(x1)
    return F.mse_loss(x1, x, reduction="sum") / 2 / len(x) + kl.mean() + F.logsigmoid(-judge(again)).mean()


def by_loop(encoder, decoder, judge, x, eps):
    total = 0
    for one, noise in zip(x, eps):
        mean, log_variance = encoder(one[None])
        x1 = decoder(mean + torch.exp(log_variance / 2) * noise)
        total = total + 0.5 * ((one - x1) ** 2).sum()
        total = total - 0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum()
        total = total + torch.log(1 - torch.sigmoid(judge(encoder(x1)[0]))).sum()
    return total / len(x)


def encoder_loss_with(encoder, decoder, judge, x, eps, *, cut=False, read=False, std=None, judged=None, sign=1):
    mean, log_variance = encoder(x)
    z = mean + (std or (lambda v: torch.exp(0.5 * v)))(log_variance) * eps
    x1 = decoder(z.detach() if cut else z)
    again = encoder(x1.detach() if read else x1)[0]
    seen = {"mean": mean, "z": z}.get(judged, again)
    kl = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum(1)
    charge = sign * F.logsigmoid(-judge(seen))
    return (0.5 * ((x - x1) ** 2).sum(1) + kl + charge).mean()


def cut_code(*given):
    return encoder_loss_with(*given, cut=True)


def cut_reading(*given):
    return encoder_loss_with(*given, read=True)


def variance_for_deviation(*given):
    return encoder_loss_with(*given, std=torch.exp)


def judged_by_the_picture(*given):
    return encoder_loss_with(*given, judged="mean")


def judged_by_the_draw(*given):
    return encoder_loss_with(*given, judged="z")


def paid_for_it(*given):
    return encoder_loss_with(*given, sign=-1)


def without_gradient(encoder, decoder, judge, x, eps):
    with torch.no_grad():
        return by_distributions(encoder, decoder, judge, x, eps)


# --- gain ----------------------------------------------------------------------------------------


def gain_by_scipy(vae, model):
    logs = np.log(model.numpy()) - np.log(vae.numpy())
    low, high = stats.t.interval(0.95, len(logs) - 1, loc=logs.mean(), scale=stats.sem(logs))
    return float(np.exp(logs.mean())), float(np.exp(low)), float(np.exp(high))


def gain_by_loop(vae, model):
    logs = [math.log(float(m) / float(v)) for v, m in zip(vae, model)]
    n = len(logs)
    mean = sum(logs) / n
    variance = sum((log - mean) ** 2 for log in logs) / (n - 1)
    half = float(stats.t.ppf(0.975, n - 1)) * math.sqrt(variance / n)
    return math.exp(mean), math.exp(mean - half), math.exp(mean + half)


def gain_normal(vae, model):
    logs = np.log(model.numpy() / vae.numpy())
    half = 1.96 * stats.sem(logs)
    return tuple(float(np.exp(value)) for value in (logs.mean(), logs.mean() - half, logs.mean() + half))


def gain_numpy_std(vae, model):
    logs = np.log(model.numpy() / vae.numpy())
    half = stats.t.ppf(0.975, len(logs) - 1) * np.std(logs) / np.sqrt(len(logs))
    return tuple(float(np.exp(value)) for value in (logs.mean(), logs.mean() - half, logs.mean() + half))


def gain_inverse(vae, model):
    return gain_by_scipy(model, vae)


def gain_of_logs(vae, model):
    return tuple(math.log(value) for value in gain_by_scipy(vae, model))


def gain_arithmetic(vae, model):
    ratios = (model / vae).numpy()
    half = stats.t.ppf(0.975, len(ratios) - 1) * stats.sem(ratios)
    return float(ratios.mean()), float(ratios.mean() - half), float(ratios.mean() + half)


def gain_of_seeds(vae, model):
    logs = (model / vae).log()
    half = stats.t.ppf(0.975, len(logs) - 1) * logs.std()
    return tuple(value.exp().item() for value in (logs.mean(), logs.mean() - half, logs.mean() + half))


def elbo_doubled(x, x1, kl):
    return -x[0].numel() * torch.log(2 * torch.pi * torch.e * (x - x1).square().mean()) - kl.mean()


def whole_squares(encoder, decoder, judge, x, eps):
    mean, log_variance = encoder(x)
    x1 = decoder(mean + (log_variance / 2).exp() * eps)
    kl = (mean**2 + log_variance.exp() - 1 - log_variance).sum(1) / 2
    return ((x - x1).square().sum(1) + kl - F.softplus(judge(encoder(x1)[0]))).mean()


def gain_one_sided(vae, model):
    logs = (model / vae).log()
    half = stats.t.ppf(0.95, len(logs) - 1) * logs.std() / len(logs) ** 0.5
    return tuple(float(end.exp()) for end in (logs.mean(), logs.mean() - half, logs.mean() + half))


def ava1_without_fakes(error, kl, real, fake):
    decoder, discriminator = error - F.softplus(fake).mean(), F.softplus(-real).mean()
    return {"encoder": error + kl, "decoder": decoder, "discriminator": discriminator}


ANSWERS = {
    "best-elbo": {
        "right": [elbo_by_density, elbo_by_parts],
        "wrong": {
            "variance 1": (elbo_of_unit_variance, "variance at 1"),
            "no middle term": (elbo_without_e, "squared error out"),
            "a variance for each picture": (elbo_of_each_picture, "of its own"),
            "KL as a reward": (elbo_with_reward, "added"),
            "minus the ELBO": (elbo_negative, "sign"),
            "pixels of the batch": (elbo_of_the_batch, "whole batch"),
            "no half": (elbo_doubled, "term of the pixels"),
        },
    },
    "ava1-losses": {
        "right": [ava1_by_logsigmoid, ava1_by_bce],
        "wrong": {
            "sigmoid before log": (ava1_that_overflows, "overflows"),
            "the other charge": (ava1_non_saturating, "non-saturating"),
            "the paper's encoder": (ava1_as_in_the_paper, "forgets"),
            "the encoder charged as well": (ava1_one_loss_for_both, "only the decoder"),
            "a discriminator that climbs": (ava1_ascent, "maximises"),
            "labels exchanged": (ava1_labels_exchanged, "other way round"),
            "the mean of two terms": (ava1_halved, "sum"),
            "no reconstructions": (ava1_without_fakes, "sees no reconstructions"),
        },
    },
    "blocks": {
        "right": [blocks_by_loop, blocks_by_unfold],
        "wrong": {
            "a plain reshape": (blocks_by_reshape, "reshape"),
            "unfold without transpose": (blocks_without_transpose, "transposed"),
            "by columns": (blocks_by_columns, "column by column"),
            "stride 1": (blocks_overlapping, "overlap"),
            "pixels by columns": (blocks_turned, "Within a block"),
        },
    },
    "encoder-loss": {
        "right": [by_distributions, by_loop],
        "wrong": {
            "code detached": (cut_code, "does not feel"),
            "picture detached before it is read": (cut_reading, "two ways"),
            "exp(log σ²) for σ": (variance_for_deviation, "variance"),
            "judged by the picture's code": (judged_by_the_picture, "picture itself"),
            "judged by z": (judged_by_the_draw, "drawn code"),
            "the charge's sign": (paid_for_it, "paid"),
            "no_grad": (without_gradient, "no gradient"),
            "no half": (whole_squares, "squared error"),
        },
    },
    "gain": {
        "right": [gain_by_scipy, gain_by_loop],
        "wrong": {
            "1.96": (gain_normal, "1.96"),
            "numpy's std": (gain_numpy_std, "n − 1"),
            "upside down": (gain_inverse, "divided"),
            "logarithms returned": (gain_of_logs, "logarithm"),
            "the mean of ratios": (gain_arithmetic, "logarithms"),
            "no root of n": (gain_of_seeds, "root of n"),
            "a 90 % interval": (gain_one_sided, "90 %"),
        },
    },
}
