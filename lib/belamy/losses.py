"""What players minimise: pure functions of tensors, in nats.

Log-likelihoods and divergences are summed over the dimensions of one example and returned per
example, shape (B,), with all their constants; losses average them over the batch. Functions take
logits where a sigmoid would saturate. Sources: Kingma & Welling 2014 (ELBO, reparameterisation,
closed-form KL); Higgins et al. 2017 (beta); Goodfellow et al. 2014 (adversarial losses); Mirza &
Osindero 2014 (labels); Mao et al. 2017 (least squares); Lim & Ye 2017 (hinge); Arjovsky et al. 2017
(Wasserstein); Gulrajani et al. 2017 (gradient penalty); Isola et al. 2017 (a score for every patch).
"""

import contextlib
import math
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from belamy.errors import InputError

LOG_2PI = math.log(2 * math.pi)

# Whether values are looked at, not only shapes. It costs a pass over the data, on an accelerator a wait:
# so by default only on the CPU, and ``fit`` looks at each player's first step alone.
_values_checked: ContextVar[bool | None] = ContextVar("values_checked", default=None)


@dataclass(frozen=True)
class Term:
    """A part of a loss that is logged as ``value`` and minimised as ``weight`` times it.

    ``{"reconstruction": r, "kl": Term(kl, beta)}`` shows the KL in nats whatever beta is. A weight of 0
    logs a number that nobody minimises, an accuracy, say.
    """

    value: Tensor | float
    weight: float | Tensor = 1.0


@contextlib.contextmanager
def checking_values(on: bool) -> Iterator[None]:
    """Within, losses look at the range of what they are given, or never do."""
    token = _values_checked.set(on)
    try:
        yield
    finally:
        _values_checked.reset(token)


def reparameterise(mean: Tensor, log_variance: Tensor, noise) -> Tensor:
    """Draw z = mean + std * eps, eps ~ N(0, I), so that gradients reach mean and log_variance.

    Args:
        mean, log_variance: (B, q).
        noise: the draws of the step (``belamy.randomness.Noise``).
    """
    return mean + torch.exp(0.5 * log_variance) * noise.normal(*mean.shape).to(mean)


def bernoulli_log_likelihood(x: Tensor, logits: Tensor) -> Tensor:
    """log p(x) of independent Bernoulli pixels: (B, ...) in [0, 1], logits alike -> (B,).

    For x strictly between 0 and 1 this is the expected log-likelihood of a coin flip per pixel,
    not a density on [0, 1].

    Raises:
        InputError: shapes differ, or x leaves [0, 1] (looked at on the CPU, and in a player's first step).
    """
    _same_shape(x, logits)
    looks = _values_checked.get()
    if looks or (looks is None and x.device.type == "cpu"):
        low, high = (x.min().item(), x.max().item()) if x.numel() else (0, 1)
        if not (0 <= low and high <= 1):
            raise InputError(
                f"a Bernoulli likelihood of values in [{low:.4g}, {high:.4g}]: it is for probabilities, from 0 "
                "to 1. Divide bytes by 255, map [-1, 1] to (x + 1) / 2, or take gaussian_log_likelihood"
            )
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    # x l - log(1 + e^l), where log(1 + e^l) = l/2 + |l|/2 - log sigmoid(|l|) overflows nowhere, and
    # is four times as fast as torch's cross-entropy on a CPU, whose log1p is not vectorised.
    size = logits.abs()
    return _sum_example((x - 0.5) * logits - 0.5 * size + torch.log(torch.sigmoid(size)))


def gaussian_log_likelihood(x: Tensor, mean: Tensor, log_variance: Tensor | float) -> Tensor:
    """log p(x) of independent Gaussians: x, mean (B, ...) -> (B,).

    Args:
        log_variance: one number or tensor for all pixels, or anything that broadcasts to x.

    Raises:
        InputError: shapes of x and mean differ.
    """
    _same_shape(x, mean)
    log_variance = torch.as_tensor(log_variance, dtype=mean.dtype, device=mean.device)
    cost = LOG_2PI + log_variance + (x - mean).square() * torch.exp(-log_variance)
    return -0.5 * _sum_example(cost.expand_as(x))


def kl_to_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, diag exp(log_variance)) || N(0, I)): (B, q) -> (B,), never negative."""
    return 0.5 * (mean.square() + torch.expm1(log_variance) - log_variance).sum(1)


def negative_elbo(nets, batch, noise, beta: float = 1.0) -> dict[str, Tensor | Term]:
    """The VAE's loss with a Bernoulli decoder, from logits: -E[log p(x|z)] + beta KL, each in nats.

    Nets: ``encoder`` x -> (mean, log_variance), each (B, q); ``decoder`` z -> logits like x.
    """
    mean, log_variance = nets.encoder(batch.x)
    logits = nets.decoder(reparameterise(mean, log_variance, noise))
    kl = kl_to_standard_normal(mean, log_variance).mean()
    return {
        "reconstruction": -bernoulli_log_likelihood(batch.x, logits).mean(),
        "kl": kl if isinstance(beta, (int, float)) and beta == 1 else Term(kl, beta),
    }


def gaussian_negative_elbo(nets, batch, noise, beta: float = 1.0) -> dict[str, Tensor | Term]:
    """The VAE's loss with a Gaussian decoder of one shared variance.

    Nets: ``encoder`` as above; ``decoder`` z -> logits of the mean; ``spread``, a
    ``nets.SharedLogVariance`` that says how far pixels stray from it, learnt or fixed.
    """
    mean, log_variance = nets.encoder(batch.x)
    x_mean = torch.sigmoid(nets.decoder(reparameterise(mean, log_variance, noise)))
    kl = kl_to_standard_normal(mean, log_variance).mean()
    return {
        "reconstruction": -gaussian_log_likelihood(batch.x, x_mean, nets.spread()).mean(),
        "kl": kl if isinstance(beta, (int, float)) and beta == 1 else Term(kl, beta),
    }


def minimax_discriminator(real: Tensor, fake: Tensor) -> dict[str, Tensor]:
    """-E[log D(x)] and -E[log(1 - D(G(z)))], D the sigmoid of scores (B,): Goodfellow et al. 2014.

    Here and in the other losses of scores, a discriminator of patches may return a map, (B, 1, H, W), say:
    every entry is a score, and the mean over all of them is taken last.

    Raises:
        InputError: here and in the other losses of scores, if those have no dimension of examples.
    """
    real, fake = _scores(real), _scores(fake)
    return {"real": F.softplus(-real).mean(), "fake": F.softplus(fake).mean()}


def minimax_generator(fake: Tensor) -> Tensor:
    """E[log(1 - D(G(z)))] from scores (B,): saturates, its gradient vanishes where D wins."""
    return -F.softplus(_scores(fake)).mean()


def non_saturating_generator(fake: Tensor) -> Tensor:
    """-E[log D(G(z))] from scores (B,): the same fixed point, a strong gradient where D wins."""
    return F.softplus(-_scores(fake)).mean()


def least_squares_discriminator(real: Tensor, fake: Tensor) -> dict[str, Tensor]:
    """E[(D(x) - 1)^2] / 2 and E[D(G(z))^2] / 2 on raw scores (B,): Mao et al. 2017, a=0, b=c=1."""
    real, fake = _scores(real), _scores(fake)
    return {"real": (real - 1).square().mean() / 2, "fake": fake.square().mean() / 2}


def least_squares_generator(fake: Tensor) -> Tensor:
    """E[(D(G(z)) - 1)^2] / 2 on raw scores (B,): Mao et al. 2017."""
    return (_scores(fake) - 1).square().mean() / 2


def hinge_discriminator(real: Tensor, fake: Tensor) -> dict[str, Tensor]:
    """E[max(0, 1 - D(x))] and E[max(0, 1 + D(G(z)))] on raw scores (B,): Lim & Ye 2017."""
    real, fake = _scores(real), _scores(fake)
    return {"real": F.relu(1 - real).mean(), "fake": F.relu(1 + fake).mean()}


def hinge_generator(fake: Tensor) -> Tensor:
    """-E[D(G(z))] on raw scores (B,): Lim & Ye 2017."""
    return -_scores(fake).mean()


def wasserstein_critic(real: Tensor, fake: Tensor) -> dict[str, Tensor]:
    """-E[C(x)] and E[C(G(z))] on raw scores (B,): Arjovsky et al. 2017. It needs a critic with a bound on
    its slope, by ``gradient_penalty``, say."""
    return {"real": -_scores(real).mean(), "fake": _scores(fake).mean()}


def wasserstein_generator(fake: Tensor) -> Tensor:
    """-E[C(G(z))] on raw scores (B,): Arjovsky et al. 2017."""
    return -_scores(fake).mean()


def gradient_penalty(
    critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, noise, slope: float = 1.0
) -> Tensor:
    """E[(norm of grad C(x) - slope)^2] at x between real and fake, a random share for each pair: a scalar.

    Gulrajani et al. 2017, equation (3), without its weight (10). The norm is taken over all dimensions of
    an example. It is computed in float32 at least, outside autocast, finite and with a finite gradient
    where the slope is zero, and under ``torch.no_grad``, too.

    Args:
        critic: x -> scores (B,) or a map of them, whose sum's slope it is; ``lambda x: nets.critic(x, y)``
            where it takes labels.
        real, fake: (B, ...), alike in shape; neither gets a gradient.
        noise: the draws of the step.
        slope: what the norm is drawn to: 1, or 0 for a penalty on every slope.

    Raises:
        InputError: shapes differ.
    """
    _same_shape(real, fake)
    train = torch.is_grad_enabled()
    with torch.enable_grad(), torch.autocast(real.device.type, enabled=False):
        dtype = torch.promote_types(real.dtype, torch.float32)
        real, fake = real.detach().to(dtype), fake.detach().to(dtype)
        share = noise.uniform(len(real), *[1] * (real.ndim - 1)).to(real)  # (B, 1, ...)
        between = (share * real + (1 - share) * fake).requires_grad_()
        (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=train)
        square = gradient.flatten(1).square().sum(1)  # (B,)
        # The root has no gradient at 0: there, the norm is 0 and passes none on.
        norm = torch.where(square > 0, torch.where(square > 0, square, 1.0).sqrt(), 0.0)
        return (norm - slope).square().mean()


def discriminator_loss(nets, batch, noise, of_scores=minimax_discriminator) -> dict[str, Tensor]:
    """The discriminator's loss: nets ``discriminator`` x -> scores (B,), ``generator`` z -> x."""
    return of_scores(nets.discriminator(batch.x), _fake_scores(nets, batch, noise))


def generator_loss(nets, batch, noise, of_scores=non_saturating_generator) -> Tensor:
    """The generator's loss, by default the non-saturating one; nets as above."""
    return of_scores(_fake_scores(nets, batch, noise))


def conditional_discriminator_loss(
    nets, batch, noise, of_scores=minimax_discriminator
) -> dict[str, Tensor]:
    """``discriminator_loss`` given labels: D(x, y) on pairs, D(G(z, y), y) on the same labels."""
    real = nets.discriminator(batch.x, batch.y)
    return of_scores(real, _fake_scores(nets, batch, noise, batch.y))


def conditional_generator_loss(nets, batch, noise, of_scores=non_saturating_generator) -> Tensor:
    """``generator_loss`` given the batch's labels."""
    return of_scores(_fake_scores(nets, batch, noise, batch.y))


def _fake_scores(nets, batch, noise, *labels: Tensor) -> Tensor:
    z = noise.normal(len(batch), nets.generator.latent_dim)
    return nets.discriminator(nets.generator(z, *labels), *labels)


def _scores(scores: Tensor) -> Tensor:
    if scores.ndim < 1:
        raise InputError(
            f"scores of shape {tuple(scores.shape)}; a discriminator returns one number an example, (B,), "
            "or a map of them, (B, ...): do not average before the loss"
        )
    return scores.to(torch.promote_types(scores.dtype, torch.float32))


def _sum_example(values: Tensor) -> Tensor:
    # At least float32: under autocast the addends may be bfloat16.
    return values.flatten(1).sum(1, dtype=torch.promote_types(values.dtype, torch.float32))


def _same_shape(x: Tensor, prediction: Tensor) -> None:
    if x.shape != prediction.shape:  # torch would broadcast (N, 1) against (N,)
        raise InputError(
            f"data of shape {tuple(x.shape)} against a prediction of shape "
            f"{tuple(prediction.shape)}: give both the same shape"
        )
