"""Checks for the exercises on variational autoencoders."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from belamy.check import Check, Fresh, own_number

BATCH, LATENTS, PIXELS = (24, 64), (2, 9), (10, 20)


def by_unit(mean, log_variance):
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)


def encoded(fresh: Fresh) -> tuple:
    batch, latent_dim = fresh.sizes(BATCH, LATENTS)
    return fresh.normal(batch, latent_dim), fresh.normal(batch, latent_dim) - 0.5


def never_negative(answer, fresh: Fresh) -> str | None:
    if (answer(*encoded(fresh)) < -1e-5).any():
        return "A divergence is never negative, and yours is."


kl = Check(
    reference=lambda mean, log_variance: by_unit(mean, log_variance).sum(1),
    draw=encoded,
    returns="a tensor (batch,), one number of nats an example",
    terms={
        "½ μ²": lambda mean, log_variance: 0.5 * mean.square().sum(1),
        "½ σ²": lambda mean, log_variance: 0.5 * log_variance.exp().sum(1),
        "½ log σ²": lambda mean, log_variance: -0.5 * log_variance.sum(1),
        "The −½ of every dimension": lambda mean, log_variance: -0.5 * torch.ones_like(mean).sum(1),
    },
    mistakes={
        "The sign is turned: this is minus the divergence, as it stands in many papers' ELBO.": (
            lambda mean, log_variance: -by_unit(mean, log_variance).sum(1)
        ),
        "You took the mean over the latent dimensions where the sum is meant: the charges of independent "
        "dimensions add up.": (
            lambda mean, log_variance: by_unit(mean, log_variance).mean(1)
        ),
        "You summed over the batch where one number an example is meant.": (
            lambda mean, log_variance: by_unit(mean, log_variance).sum()
        ),
        "You took the mean over the batch where one number an example is meant.": (
            lambda mean, log_variance: by_unit(mean, log_variance).sum(1).mean()
        ),
        "You summed over the wrong axis: over the examples where the latent dimensions are meant.": (
            lambda mean, log_variance: by_unit(mean, log_variance).sum(0)
        ),
        "You used the standard deviation where the variance σ² is meant: exp(½ log σ²) is σ.": (
            lambda mean, log_variance: 0.5 * (mean.square() + (log_variance / 2).exp() - 1 - log_variance).sum(1)
        ),
        "You took the log-variance for the logarithm of σ: log σ² = 2 log σ.": (
            lambda mean, log_variance: by_unit(mean, 2 * log_variance).sum(1)
        ),
        "You took the log-variance for the variance itself: its exponential is missing.": (
            lambda mean, log_variance: 0.5 * (mean.square() + log_variance - 1 - log_variance).sum(1)
        ),
        "The mean must enter squared.": (
            lambda mean, log_variance: 0.5 * (mean + log_variance.exp() - 1 - log_variance).sum(1)
        ),
        "The divergence is the wrong way round, from the prior to the code: the encoder's Gaussian comes first.": (
            lambda mean, log_variance: 0.5 * ((mean.square() + 1) / log_variance.exp() - 1 + log_variance).sum(1)
        ),
        "You halved log σ² once too often: the ½ before the bracket is its ½ as well.": (
            lambda mean, log_variance: (by_unit(mean, log_variance) + log_variance / 4).sum(1)
        ),
        "The −1 of every dimension is missing: at the prior itself the divergence must be 0.": (
            lambda mean, log_variance: 0.5 * (mean.square() + log_variance.exp() - log_variance).sum(1)
        ),
        "You subtracted 1 once where it belongs to every latent dimension.": (
            lambda mean, log_variance: 0.5 * ((mean.square() + log_variance.exp() - log_variance).sum(1) - 1)
        ),
        "The term with the means is missing.": (
            lambda mean, log_variance: by_unit(0 * mean, log_variance).sum(1)
        ),
        "You halved log σ² everywhere: ½ log σ² is log σ, and the formula has log σ².": (
            lambda mean, log_variance: by_unit(mean, log_variance / 2).sum(1)
        ),
        "The mean must enter squared; you took its size.": (
            lambda mean, log_variance: 0.5 * (mean.abs() + log_variance.exp() - 1 - log_variance).sum(1)
        ),
        "The term log σ² has the wrong sign.": (
            lambda mean, log_variance: 0.5 * (mean.square() + log_variance.exp() - 1 + log_variance).sum(1)
        ),
    },
    gradients=("mean", "log_variance"),
    laws={"never negative": never_negative},
)


def two_gaussians(fresh: Fresh) -> tuple:
    batch, latent_dim = fresh.sizes(BATCH, LATENTS)
    return tuple(fresh.normal(batch, latent_dim) for _ in range(4))


def between(mean_1, log_variance_1, mean_2, log_variance_2):
    ratio = (log_variance_1 - log_variance_2).exp()
    shift = (mean_1 - mean_2).square() * (-log_variance_2).exp()
    return 0.5 * (ratio + shift - 1 - log_variance_1 + log_variance_2)


def zero_at_itself(answer, fresh: Fresh) -> str | None:
    mean, log_variance, *_ = two_gaussians(fresh)
    if answer(mean, log_variance, mean.clone(), log_variance.clone()).abs().max() > 1e-4:
        return "The divergence of a Gaussian to itself must be 0, and yours is not."


kl_between = Check(
    reference=lambda mean_1, log_variance_1, mean_2, log_variance_2: between(
        mean_1, log_variance_1, mean_2, log_variance_2
    ).sum(1),
    draw=two_gaussians,
    returns="a tensor (batch,), one number of nats an example",
    terms={
        "The ratio of the variances": lambda mean_1, log_variance_1, mean_2, log_variance_2: (
            0.5 * (log_variance_1 - log_variance_2).exp().sum(1)
        ),
        "The shift of the means": lambda mean_1, log_variance_1, mean_2, log_variance_2: (
            0.5 * ((mean_1 - mean_2).square() * (-log_variance_2).exp()).sum(1)
        ),
        "The −½ of every dimension": lambda mean_1, log_variance_1, mean_2, log_variance_2: (
            -0.5 * torch.ones_like(mean_1).sum(1)
        ),
        "The first log-variance": lambda mean_1, log_variance_1, mean_2, log_variance_2: -0.5 * log_variance_1.sum(1),
        "The second log-variance": lambda mean_1, log_variance_1, mean_2, log_variance_2: 0.5 * log_variance_2.sum(1),
    },
    mistakes={
        "The two Gaussians are exchanged: the divergence is not symmetric.": (
            lambda mean_1, log_variance_1, mean_2, log_variance_2: (
                between(mean_2, log_variance_2, mean_1, log_variance_1).sum(1)
            )
        ),
        "You divided the shift of the means by the first variance where the second is meant.": (
            lambda mean_1, log_variance_1, mean_2, log_variance_2: (
                between(mean_1, log_variance_1, mean_1, log_variance_2)
                + 0.5 * (mean_1 - mean_2).square() * (-log_variance_1).exp()
            ).sum(1)
        ),
        "The ratio is that of the standard deviations; the variances' is meant.": (
            lambda mean_1, log_variance_1, mean_2, log_variance_2: (
                between(mean_1, log_variance_1, mean_2, log_variance_2)
                + 0.5 * ((log_variance_1 - log_variance_2) / 2).exp()
                - 0.5 * (log_variance_1 - log_variance_2).exp()
            ).sum(1)
        ),
        "The ratio of the variances is upside down: the first stands above the second.": (
            lambda mean_1, log_variance_1, mean_2, log_variance_2: (
                between(mean_1, log_variance_1, mean_2, log_variance_2)
                + 0.5 * (log_variance_2 - log_variance_1).exp()
                - 0.5 * (log_variance_1 - log_variance_2).exp()
            ).sum(1)
        ),
        "You did not divide the shift of the means by the second variance.": (
            lambda mean_1, log_variance_1, mean_2, log_variance_2: (
                (between(mean_1, log_variance_1, mean_1, log_variance_2) + 0.5 * (mean_1 - mean_2).square()).sum(1)
            )
        ),
        "The sign of the two log-variances is turned: the first is subtracted, the second added.": (
            lambda mean_1, log_variance_1, mean_2, log_variance_2: (
                (between(mean_1, log_variance_1, mean_2, log_variance_2) + log_variance_1 - log_variance_2).sum(1)
            )
        ),
        "You took the log-variance for the logarithm of σ: log σ² = 2 log σ.": (
            lambda mean_1, log_variance_1, mean_2, log_variance_2: (
                between(mean_1, 2 * log_variance_1, mean_2, 2 * log_variance_2).sum(1)
            )
        ),
        "You took the mean over the latent dimensions where the sum is meant.": (
            lambda mean_1, log_variance_1, mean_2, log_variance_2: (
                between(mean_1, log_variance_1, mean_2, log_variance_2).mean(1)
            )
        ),
    },
    gradients=("mean_1", "log_variance_1", "mean_2", "log_variance_2"),
    laws={"zero from a Gaussian to itself": zero_at_itself},
)


def noise_is_standard(answer, fresh: Fresh) -> str | None:
    """ε, recovered from z, is one standard normal number for each coordinate of each example, at each call."""
    mean, log_variance = fresh.normal(400, 6), fresh.normal(400, 6)
    std = (log_variance / 2).exp()
    z, again = answer(mean, log_variance), answer(mean, log_variance)
    if torch.allclose(z, mean, atol=1e-4):
        return "There is no ε in your draw: it is μ itself."
    if torch.equal(z, again):
        return "Two calls return the same sample: ε must be drawn anew at every call."
    if torch.allclose((z - mean) / std, ((z - mean) / std)[:, :1].expand_as(z), atol=1e-3):
        return "All coordinates of an example share one ε: draw one for every coordinate, torch.randn_like(mean)."
    if torch.allclose((z - mean) / std, ((z - mean) / std)[:1].expand_as(z), atol=1e-3):
        return "All examples of the batch share one ε: draw one for every example, torch.randn_like(mean)."
    for scale, words in (
        (log_variance.exp(), "You multiplied ε by the variance σ² where the standard deviation σ is meant."),
        (log_variance.abs(), "You multiplied ε by the log-variance itself: the exponential is missing."),
        (1 / std, "You multiplied ε by 1/σ: the exponent has the wrong sign."),
        (torch.ones_like(std), "Your ε is not multiplied by σ."),
    ):
        if 0.9 < ((z - mean) / scale).square().mean() < 1.1 and not 0.9 < ((z - mean) / std).square().mean() < 1.1:
            return words
    if abs(torch.corrcoef(torch.stack([z.flatten(), mean.flatten()]))[0, 1]) < 0.1:
        return "Your sample has nothing to do with μ: it is a draw from the prior."
    eps = (z - mean) / std
    if (eps >= 0).all() and (eps < 1.01).all():
        return "Your ε is uniform on [0, 1]: torch.rand is not torch.randn."
    if abs(eps.mean()) > 0.15:
        return f"Your ε = (z − μ)/σ has the mean {eps.mean():.2f} where 0 is meant."
    if abs(eps.std() - 1) > 0.1:
        return f"Your ε = (z − μ)/σ has the standard deviation {eps.std():.2f} where 1 is meant."
    if eps.abs().max() < 2.2:
        return "Your ε never leaves ±2: it is not normal."


def gradient_arrives(answer, fresh: Fresh) -> str | None:
    mean, log_variance = (part.requires_grad_() for part in encoded(fresh))
    z = answer(mean, log_variance)
    if not z.requires_grad:
        return "No gradient reaches μ and log σ²: the sample is drawn from them, but not computed from them."
    slopes = torch.autograd.grad(z.sum(), (mean, log_variance), allow_unused=True)
    for slope, name in zip(slopes, ("μ", "log σ²")):
        if slope is None or not slope.any():
            return f"No gradient reaches {name}: something has detached it."
    half = 0.5 * (z - mean).detach()
    if not torch.allclose(slopes[0], torch.ones_like(mean), atol=1e-4):
        return "The gradient of z by μ must be 1, and yours is not."
    if not torch.allclose(slopes[1], half, atol=1e-4):
        return "The gradient of z by log σ² must be ½ σ ε, and yours is not."


sample = Check(
    reference=lambda mean, log_variance: mean + (log_variance / 2).exp() * torch.randn_like(mean),
    draw=encoded,
    returns="a tensor (batch, latents), one sample an example",
    random=True,
    laws={
        "ε standard normal, one a coordinate": noise_is_standard,
        "gradients reach μ and log σ²": gradient_arrives,
    },
)


def decoded(fresh: Fresh) -> tuple:
    batch, latent_dim, side = fresh.sizes(BATCH, LATENTS, PIXELS)
    x, logits = fresh.bits(batch, 1, side, side), fresh.normal(batch, 1, side, side, scale=2)
    return x, logits, fresh.normal(batch, latent_dim), fresh.normal(batch, latent_dim) - 0.5


def far_logits(fresh: Fresh) -> tuple:
    x, logits, mean, log_variance = decoded(fresh)
    return x, 60 * logits, mean, log_variance


def cross_entropy(x, logits, axes="sum"):
    """Of each example, (B,)."""
    each = F.binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1)
    return each.sum(1) if axes == "sum" else each.mean(1)


def price(mean, log_variance):
    return by_unit(mean, log_variance).sum(1)


negative_elbo = Check(
    reference=lambda x, logits, mean, log_variance: (cross_entropy(x, logits) + price(mean, log_variance)).mean(),
    draw=decoded,
    extremes=far_logits,
    returns="a tensor without axes, the mean over the batch of minus the ELBO, in nats",
    terms={
        "The reconstruction": lambda x, logits, mean, log_variance: cross_entropy(x, logits).mean(),
        "The KL": lambda x, logits, mean, log_variance: price(mean, log_variance).mean(),
    },
    mistakes={
        "You summed over the batch where the mean is meant.": (
            lambda x, logits, mean, log_variance: (cross_entropy(x, logits) + price(mean, log_variance)).sum()
        ),
        "One number an example is left: take the mean over the batch.": (
            lambda x, logits, mean, log_variance: cross_entropy(x, logits) + price(mean, log_variance)
        ),
        "The sign is turned: this is the ELBO, and a loss is minus it.": (
            lambda x, logits, mean, log_variance: -(cross_entropy(x, logits) + price(mean, log_variance)).mean()
        ),
        "The KL has the wrong sign: minus the ELBO is minus the reconstruction *plus* the KL.": (
            lambda x, logits, mean, log_variance: (cross_entropy(x, logits) - price(mean, log_variance)).mean()
        ),
        "You took the mean over the pixels where the sum is meant: log p(x|z) is a sum over pixels, and so "
        "the KL weighs as many times too much as there are pixels.": (
            lambda x, logits, mean, log_variance: (
                (cross_entropy(x, logits, "mean") + price(mean, log_variance)).mean()
            )
        ),
        "You took the mean over the latent dimensions where the sum is meant.": (
            lambda x, logits, mean, log_variance: (
                (cross_entropy(x, logits) + by_unit(mean, log_variance).mean(1)).mean()
            )
        ),
        "You summed the KL over the batch, but took the mean of the reconstruction.": (
            lambda x, logits, mean, log_variance: cross_entropy(x, logits).mean() + price(mean, log_variance).sum()
        ),
        "You summed the reconstruction over the batch, but took the mean of the KL.": (
            lambda x, logits, mean, log_variance: cross_entropy(x, logits).sum() + price(mean, log_variance).mean()
        ),
        "You applied a sigmoid to the logits and then a loss that applies it again.": (
            lambda x, logits, mean, log_variance: (
                (cross_entropy(x, logits.sigmoid()) + price(mean, log_variance)).mean()
            )
        ),
        "You took half the squared error of the probabilities, a Gaussian's; pixels of 0 and 1 have a Bernoulli's "
        "cross-entropy.": (
            lambda x, logits, mean, log_variance: (
                (0.5 * (x - logits.sigmoid()).square().flatten(1).sum(1) + price(mean, log_variance)).mean()
            )
        ),
        "The KL is missing: this is an autoencoder's loss.": (
            lambda x, logits, mean, log_variance: (
                cross_entropy(x, logits).mean() + 0 * price(mean, log_variance).mean()
            )
        ),
        "The factor ½ of the KL is missing.": (
            lambda x, logits, mean, log_variance: (cross_entropy(x, logits) + 2 * price(mean, log_variance)).mean()
        ),
        "The KL has a factor ½ too many.": (
            lambda x, logits, mean, log_variance: (cross_entropy(x, logits) + price(mean, log_variance) / 2).mean()
        ),
        "Picture and logits are exchanged in the cross-entropy.": (
            lambda x, logits, mean, log_variance: (cross_entropy(logits, x) + price(mean, log_variance)).mean()
        ),
        "The squared error is a Gaussian's likelihood; these pixels are Bernoulli.": (
            lambda x, logits, mean, log_variance: (
                ((x - logits.sigmoid()).square().flatten(1).sum(1) + price(mean, log_variance)).mean()
            )
        ),
        "In the KL you took the log-variance for the logarithm of σ.": (
            lambda x, logits, mean, log_variance: (cross_entropy(x, logits) + price(mean, 2 * log_variance)).mean()
        ),
    },
    gradients=("logits", "mean", "log_variance"),
)


def weights(fresh: Fresh) -> tuple:
    draws, batch = fresh.sizes((5, 20), BATCH)
    return fresh.normal(draws, batch, scale=2) - 9, fresh.normal(draws, batch) - 3


def far_weights(fresh: Fresh) -> tuple:
    log_joint, log_q = weights(fresh)
    return log_joint - 900, log_q


def log_mean_exp(values, axis=0):
    return values.logsumexp(axis) - math.log(values.shape[axis])


def at_least_elbo(answer, fresh: Fresh) -> str | None:
    log_joint, log_q = weights(fresh)
    if (answer(log_joint, log_q) < (log_joint - log_q).mean(0) - 1e-3).any():
        return "By Jensen's inequality the bound is never below the mean of the log-weights, and yours is."


bound = Check(
    reference=lambda log_joint, log_q: log_mean_exp(log_joint - log_q),
    draw=weights,
    extremes=far_weights,
    returns="a tensor (batch,), one number of nats an example",
    mistakes={
        "You took the mean of the logarithms, which is the ELBO, where the logarithm of the mean is meant.": (
            lambda log_joint, log_q: (log_joint - log_q).mean(0)
        ),
        "You took the logarithm of the sum: the mean of K weights needs − log K.": (
            lambda log_joint, log_q: (log_joint - log_q).logsumexp(0)
        ),
        "The sign of log K is turned.": (
            lambda log_joint, log_q: (log_joint - log_q).logsumexp(0) + math.log(len(log_q))
        ),
        "You divided by K outside the logarithm: (1/K) log Σ is not log (1/K) Σ.": (
            lambda log_joint, log_q: (log_joint - log_q).logsumexp(0) / len(log_q)
        ),
        "You averaged over the batch: the K draws lie along the first axis.": (
            lambda log_joint, log_q: log_mean_exp(log_joint - log_q, 1)
        ),
        "You subtracted the logarithm of the batch's size where log K is meant, the number of draws.": (
            lambda log_joint, log_q: (log_joint - log_q).logsumexp(0) - math.log(log_q.shape[1])
        ),
        "The weight is upside down: it is p(x, z) divided by q(z|x).": (
            lambda log_joint, log_q: log_mean_exp(log_q - log_joint)
        ),
        "log q is added where it must be subtracted: the weight is p(x, z) divided by q(z|x).": (
            lambda log_joint, log_q: log_mean_exp(log_joint + log_q)
        ),
        "log q is missing: a draw from q weighs p(x, z) / q(z|x).": (
            lambda log_joint, log_q: log_mean_exp(log_joint) + 0 * log_q.sum()
        ),
        "You took the largest of the weights where their mean is meant.": (
            lambda log_joint, log_q: (log_joint - log_q).amax(0)
        ),
        "You averaged numerator and denominator apart: the mean of ratios is not the ratio of means.": (
            lambda log_joint, log_q: log_mean_exp(log_joint) - log_mean_exp(log_q)
        ),
    },
    gradients=("log_joint", "log_q"),
    laws={"at least the ELBO": at_least_elbo},
)


def with_allowance(fresh: Fresh) -> tuple:
    """Some dimensions stay within the allowance, some do not; in one draw of three all do together."""
    batch, latent_dim = fresh.sizes(BATCH, (4, 9))
    scale = fresh.uniform(1, latent_dim, low=0.1)
    scale[0, :3] = torch.tensor([0.05, 1.3, 1.5])
    if fresh.seed % 3 == 0:
        scale *= 0.1
    mean, log_variance = scale * fresh.normal(batch, latent_dim), scale * fresh.normal(batch, latent_dim)
    return mean, log_variance, fresh.number(0.25, 0.45)


free_bits = Check(
    reference=lambda mean, log_variance, allowance: by_unit(mean, log_variance).mean(0).clamp(min=allowance).sum(),
    draw=with_allowance,
    returns="a tensor without axes, the charge of the batch in nats",
    mistakes={
        "You applied the allowance to every example; it holds for each dimension's mean over the batch.": (
            lambda mean, log_variance, allowance: by_unit(mean, log_variance).clamp(min=allowance).mean(0).sum()
        ),
        "You took the smaller of the two where the larger is meant: clamp(max=τ) is not max(τ, ·).": (
            lambda mean, log_variance, allowance: by_unit(mean, log_variance).mean(0).clamp(max=allowance).sum()
        ),
        "You applied one allowance to the sum of all dimensions; every dimension has its own.": (
            lambda mean, log_variance, allowance: by_unit(mean, log_variance).mean(0).sum().clamp(min=allowance)
        ),
        "You subtracted the allowance: max(0, KL − τ) is lower by τ in every dimension.": (
            lambda mean, log_variance, allowance: (
                (by_unit(mean, log_variance).mean(0) - allowance).clamp(min=0).sum()
            )
        ),
        "You took the largest dimension alone: max(τ, KL) is taken dimension by dimension.": (
            lambda mean, log_variance, allowance: by_unit(mean, log_variance).mean(0).max().clamp(min=allowance)
        ),
        "You took the mean over the latent dimensions where the sum is meant.": (
            lambda mean, log_variance, allowance: by_unit(mean, log_variance).mean(0).clamp(min=allowance).mean()
        ),
        "You summed over the batch where the mean is meant.": (
            lambda mean, log_variance, allowance: by_unit(mean, log_variance).sum(0).clamp(min=allowance).sum()
        ),
        "No allowance is applied: this is the ordinary KL.": (
            lambda mean, log_variance, allowance: by_unit(mean, log_variance).mean(0).sum()
        ),
        "The factor ½ of the KL is missing.": (
            lambda mean, log_variance, allowance: (
                (2 * by_unit(mean, log_variance)).mean(0).clamp(min=allowance).sum()
            )
        ),
        "Below the allowance a dimension must keep its constant charge τ; you dropped it.": (
            lambda mean, log_variance, allowance: (
                F.threshold(by_unit(mean, log_variance).mean(0), allowance, 0.0).sum()
            )
        ),
    },
    gradients=("mean", "log_variance"),
)


def reconstructed(fresh: Fresh) -> tuple:
    batch, side = fresh.sizes(BATCH, PIXELS)
    x = fresh.uniform(batch, 1, side, side)
    return x, x + fresh.normal(batch, 1, side, side, scale=0.2) + 0.1


def is_optimal(answer, fresh: Fresh) -> str | None:
    x, x_again = reconstructed(fresh)
    error = (x - x_again).square().mean()
    loss = lambda variance: 0.5 * (variance.log() + error / variance)
    best = answer(x, x_again)
    if loss(best) > min(loss(best * 1.05), loss(best / 1.05)):
        return "A σ² 5 % away gives a smaller loss than yours."


variance = Check(
    reference=lambda x, x_again: (x - x_again).square().mean(),
    draw=reconstructed,
    returns="a tensor without axes, the variance σ²",
    mistakes={
        "You returned the standard deviation σ where σ² is meant.": (
            lambda x, x_again: (x - x_again).square().mean().sqrt()
        ),
        "You summed over the pixels where the mean is meant: σ² is that of one pixel.": (
            lambda x, x_again: (x - x_again).square().flatten(1).sum(1).mean()
        ),
        "You summed over the batch where the mean is meant.": (
            lambda x, x_again: (x - x_again).square().flatten(1).mean(1).sum()
        ),
        "You summed over batch and pixels where the mean is meant.": (
            lambda x, x_again: (x - x_again).square().sum()
        ),
        "You subtracted the mean of the errors (a variance): a decoder's bias is an error as well.": (
            lambda x, x_again: (x - x_again).var()
        ),
        "You took the absolute error where its square is meant: that is a Laplace distribution's scale.": (
            lambda x, x_again: (x - x_again).abs().mean()
        ),
        "You returned log σ² where σ² is meant.": (
            lambda x, x_again: (x - x_again).square().mean().log()
        ),
        "One number an example is left: σ is one number for all pixels of all examples.": (
            lambda x, x_again: (x - x_again).square().flatten(1).mean(1)
        ),
        "You squared the mean of the errors where the mean of their squares is meant.": (
            lambda x, x_again: (x - x_again).mean().square()
        ),
    },
    laws={"no other σ² gives a smaller loss": is_optimal},
)


def greys(fresh: Fresh) -> tuple:
    batch, side = fresh.sizes(BATCH, PIXELS)
    return fresh.uniform(batch, 1, side, side), fresh.normal(batch, 1, side, side, scale=2)


def grey_at_zero(fresh: Fresh) -> tuple:
    """Logits at and around 0, where the formula is 0/0, and far from it."""
    x, logits = greys(fresh)
    logits[:4], logits[4:8], logits[8:12] = 0.0, 1e-4, 90.0
    return x, logits


def log_normaliser(logits):
    """log of l / tanh(l/2), whose series around 0 is log 2 + l²/12."""
    near = logits.abs() < 0.05
    safe = torch.where(near, torch.ones_like(logits), logits).double()
    exact = (safe / torch.tanh(safe / 2)).log()
    return torch.where(near, math.log(2) + logits.double().square() / 12, exact).to(logits)


def integrates_to_one(answer, fresh: Fresh) -> str | None:
    logit = fresh.number(-4, 4)
    x = torch.linspace(0, 1, 2001)[:, None]
    mass = torch.trapezoid(answer(x, torch.full_like(x, logit)).exp().double(), x[:, 0].double())
    if abs(mass - 1) > 1e-2:
        return f"Integrated over the greys from 0 to 1, your density gives {mass:.3f} where 1 is meant."


continuous_bernoulli = Check(
    reference=lambda x, logits: (log_normaliser(logits).flatten(1).sum(1) - cross_entropy(x, logits)),
    draw=greys,
    extremes=grey_at_zero,
    returns="a tensor (batch,), one log-density an example",
    terms={
        "The logarithm of the normaliser": lambda x, logits: log_normaliser(logits).flatten(1).sum(1),
        "The cross-entropy": lambda x, logits: -cross_entropy(x, logits),
    },
    mistakes={
        "The normaliser is missing: the cross-entropy of grey pixels is no density, its mass is below 1.": (
            lambda x, logits: -cross_entropy(x, logits)
        ),
        "The normaliser has the wrong sign: divide by the mass.": (
            lambda x, logits: -cross_entropy(x, logits) - log_normaliser(logits).flatten(1).sum(1)
        ),
        "You added the normaliser once an example; every pixel has its own.": (
            lambda x, logits: -cross_entropy(x, logits) + log_normaliser(logits).flatten(1).mean(1)
        ),
        "You took the mean over the pixels where the sum is meant.": (
            lambda x, logits: log_normaliser(logits).flatten(1).mean(1) - cross_entropy(x, logits, "mean")
        ),
        "The sign is turned: this is minus the log-density.": (
            lambda x, logits: cross_entropy(x, logits) - log_normaliser(logits).flatten(1).sum(1)
        ),
        "You added the normaliser itself where its logarithm is meant.": (
            lambda x, logits: log_normaliser(logits).exp().flatten(1).sum(1) - cross_entropy(x, logits)
        ),
    },
    gradients=("logits",),
    laws={"integrates to 1": integrates_to_one},
)


# --- numbers of the reader's own ------------------------------------------------------------------


def kl_by_hand(answer: Callable[[], float], mu: Sequence[float], sigma: Sequence[float]) -> None:
    """Check the KL divergence of independent normal codes, at the reader's own means and deviations."""

    def total(one: Callable[[float, float], float]) -> float:
        return sum(one(m, s) for m, s in zip(mu, sigma, strict=True))

    right = total(lambda m, s: (m * m + s * s - 1) / 2 - math.log(s))
    mistakes = {
        "The factor ½ is missing.": 2 * right,
        "The sign is turned: a divergence is never negative.": -right,
        "That is in bits: take the natural logarithm.": right / math.log(2),
        "You took σ for the variance: the formula has σ² in two places.": total(
            lambda m, s: (m * m + s - 1 - math.log(s)) / 2
        ),
        "The logarithm has the wrong sign: a narrow posterior costs more, not less.": total(
            lambda m, s: (m * m + s * s - 1) / 2 + math.log(s)
        ),
        "That is the divergence of the prior from the posterior, the other way round.": total(
            lambda m, s: (1 + m * m) / (2 * s * s) - 0.5 + math.log(s)
        ),
        "The −1 of every dimension is missing.": right + len(mu) / 2,
        "You subtracted 1 once: every dimension has a −1 of its own.": right + (len(mu) - 1) / 2,
        "The mean must enter squared.": total(lambda m, s: (abs(m) + s * s - 1) / 2 - math.log(s)),
        "The two codes' costs add up; you took their mean.": right / len(mu),
        "The logarithm is of σ², or of σ without the ½: yours has log σ, halved once more.": total(
            lambda m, s: (m * m + s * s - 1 - math.log(s)) / 2
        ),
    }
    own_number(answer, right, mistakes)


def own_density(
    log_density: Callable[[], float], elbo: Callable[[], float], *, w: float, sigma: float, x: float, m: float, s: float
) -> None:
    """Check likelihood and ELBO of a linear model of one number, at the reader's own numbers."""
    normal = lambda value, mean, variance: -(math.log(2 * math.pi * variance) + (value - mean) ** 2 / variance) / 2
    exact = normal(x, 0, w**2 + sigma**2)
    mistakes = {
        "The variances add up, not the deviations: x has the variance w² + σ².": normal(x, 0, (w + sigma) ** 2),
        "That is log p(x | z = 0): z has to be integrated out, which widens the density.": normal(x, 0, sigma**2),
        "The term with log 2π is missing.": exact + math.log(2 * math.pi) / 2,
        "You took σ for a variance: the noise has the variance σ².": normal(x, 0, w**2 + sigma),
        "That is p(x) itself: its logarithm is meant.": math.exp(exact),
        "z has the weight w, so that it adds the variance w², not w.": normal(x, 0, w + sigma**2),
        "The logarithm is of the variance w² + σ², not of its root.": (
            exact + math.log(w**2 + sigma**2) / 4
        ),
    }
    own_number(log_density, exact, mistakes)
    kl = (m**2 + s**2 - 1) / 2 - math.log(s)
    plugged = normal(x, w * m, sigma**2)
    reconstruction = plugged - w**2 * s**2 / (2 * sigma**2)
    mistakes = {
        "That is the reconstruction alone: the charge, KL(q || p), has to be paid.": reconstruction,
        "The charge has the wrong sign: KL is subtracted.": reconstruction + kl,
        "The charge counts twice: it has a factor ½.": reconstruction - 2 * kl,
        "You reconstructed from the mean code alone: over q, w²s² comes to the squared error.": plugged - kl,
        "That is log p(x): no encoder reaches it but the true posterior.": exact,
        "The sign is turned: that is the negative ELBO, a loss.": kl - reconstruction,
        "What q's width adds to the squared error is w²s²; you took ws².": plugged - w * s**2 / (2 * sigma**2) - kl,
        "What q's width adds to the squared error is w²s²; you took s².": plugged - s**2 / (2 * sigma**2) - kl,
        "The charge has log s², or log s without the ½: yours has log s, halved once more.": (
            reconstruction - kl - math.log(s) / 2
        ),
        "The −1 of the charge is missing.": reconstruction - kl - 0.5,
    }
    own_number(elbo, reconstruction - kl, mistakes)


def own_portraits(answer: Callable[[], float], pictures: Tensor, k: int) -> None:
    """Check the share of variance in the first k principal components of the reader's own pictures."""

    def share(rows: Tensor, power: int, kept: slice = slice(k)) -> float:
        values = torch.linalg.svdvals(rows.double()) ** power
        return (values[kept].sum() / values.sum()).item()

    centred = pictures - pictures.mean(0)
    right = share(centred, 2)
    mistakes = {
        "Variances are the squares of the singular values.": share(centred, 1),
        "Subtract the mean picture first: variance is about the mean.": share(pictures, 2),
        "That is the share that is lost.": 1 - right,
        "That is the share of one component less.": share(centred, 2, slice(k - 1)),
        "That is the share of one component more.": share(centred, 2, slice(k + 1)),
        "That is a sum of squared singular values; divide it by the sum of all.": (
            torch.linalg.svdvals(centred.double())[:k].square().sum().item()
        ),
        "That is the share of the k-th component alone.": share(centred, 2, slice(k - 1, k)),
        "That is the share of the k smallest components: sort the other way.": share(centred, 2, slice(-k, None)),
        "You subtracted from each picture its own mean: the mean picture is that over the rows.": (
            share(pictures - pictures.mean(1, keepdim=True), 2)
        ),
        "That is a percentage: a share lies between 0 and 1.": 100 * right,
    }
    own_number(answer, right, mistakes, decimals=5)
