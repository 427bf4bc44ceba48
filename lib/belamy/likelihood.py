"""Estimators of log p(x) of models with a decoder, p(x) = E[p(x|z)] over z ~ N(0, I).

A model is given by one function, ``log_likelihood(x, z)``: images (B, ...) and latents (B, q) to
log p(x|z) in nats, (B,), such as ``gaussian(decoder, sigma)``. Every estimate is in nats per image,
float64, on the device of the images (on the CPU where that has no float64). A density on [0, 1] and
one on [0, 256) differ by log 256 nats a dimension: compare models on one scale only, or in
``bits_per_dimension``.

Latents are drawn in the floating point type of the images, which the nets must share; log-weights are
float64 in any case. Nets belong in evaluation mode. All draws are functions of the seed; ``chunk``
bounds the memory and changes no draw. Sources: Burda et al. 2016 (importance weighting); Neal 2001
(annealing); Neal 2011 (Hamiltonian moves); Wu et al. 2017 (annealing for decoders, and its schedule);
Grosse et al. 2015 (bidirectional Monte Carlo); Theis et al. 2016 (dequantisation, Parzen windows,
units).
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from belamy._annealing import Annealing, Encoder, LogLikelihood, Target, check_numbers
from belamy._checks import check_finite, real_number, whole_number
from belamy._devices import double, float64_device
from belamy.errors import InputError
from belamy.losses import gaussian_log_likelihood
from belamy.randomness import Noise

VALUES_AT_ONCE = 2**22  # of a block of distances, and of the images behind it: 32 MiB each
SMALLEST = 1e-100  # standard deviation whose square, and one over it, are within float64


def gaussian(decoder: Callable[[Tensor], Tensor], sigma: float) -> LogLikelihood:
    """The observation model p(x|z) = N(decoder(z), sigma^2 I), scored in float64.

    Args:
        decoder: latents (B, q) to mean images (B, ...), in the range of the data: a sigmoid behind a
            decoder that returns logits, (x + 1) / 2 behind a generator that ends in tanh.
        sigma: standard deviation of every pixel, in the unit of the images. It may be fitted on
            validation images: ``max(grid, key=lambda s: iwae(gaussian(decoder, s), ...).mean())``.

    Raises:
        InputError: sigma is not from 1e-100 to 1e100; in use, the shapes of x and the mean differ.
    """
    log_variance = 2 * math.log(real_number("sigma", sigma, least=SMALLEST, most=1 / SMALLEST))

    def log_likelihood(x: Tensor, z: Tensor) -> Tensor:
        return gaussian_log_likelihood(double(x), double(decoder(z)), log_variance)

    return log_likelihood


@torch.no_grad()
def iwae(
    log_likelihood: LogLikelihood,
    images: Tensor,
    encoder: Encoder,
    k: int,
    *,
    seed: int = 0,
    chunk: int = 1024,
) -> Tensor:
    """Importance-weighted bound, log (1/k) sum_i p(x, z_i) / q(z_i|x) with z_i ~ q(z|x): (N,).

    Burda et al. 2016, equation (8). Its mean is at most log p(x), grows with k, and is the ELBO at k=1.
    Of one seed, a smaller k takes the first of the draws of a larger one.

    Args:
        images: (N, ...), floating point.
        encoder: images (B, ...) to mean and log-variance of q(z|x), each (B, q).
        k: samples per image.
        chunk: pairs of an image and a latent that are decoded at once.

    Raises:
        InputError: images that hold NaN, k below 1, a log-likelihood that is NaN, of another shape, or
            that depends on the rest of its batch.
    """
    k = whole_number("k", k, 1)
    target = Target(log_likelihood, images, encoder, None, chunk)
    noise = Noise(images.device)
    at_once = max(1, chunk // len(images))
    place = float64_device(images.device)
    total = torch.full((len(images),), -math.inf, dtype=torch.float64, device=place)
    for start in range(0, k, at_once):
        numbers = range(start, min(start + at_once, k))
        u = torch.stack([noise.at(seed, "iwae", number).normal(*target.shape) for number in numbers])
        total = torch.logaddexp(total, check_numbers(target(u.to(images))).logsumexp(0))
    return total - math.log(k)


@torch.inference_mode(False)  # moves need gradients, also where the caller wants none
def ais(
    log_likelihood: LogLikelihood,
    images: Tensor,
    latent_dim: int,
    *,
    encoder: Encoder | None = None,
    steps: int = 1000,
    chains: int = 16,
    leapfrog: int = 10,
    sharpness: float = 4.0,
    seed: int = 0,
    chunk: int = 1024,
    progress: bool = True,
) -> Tensor:
    """Annealed importance sampling with Hamiltonian moves, a stochastic lower bound of log p(x): (N,).

    Chains pass from q(z) to p(z|x) by the densities q^(1 - b) p(x, z)^b, b rising from 0 to 1 along a
    sigmoid. Their weights p(x, z) / q(z), taken apart into one factor a step, have the mean p(x), so
    the mean of the log of their mean is at most log p(x) (Neal 2001; Wu et al. 2017). The error falls
    with ``steps``: double them until nothing changes, and report the gap of ``bdmc``.

    Step sizes, one for each image and temperature, are fitted to an acceptance of 0.65 by a pilot run
    of 200 temperatures with its own draws, then fixed. Adapted within the run (as in the program of Wu
    et al., slowly and for a whole batch), moves would depend on the past of their own chains; the mean
    weight would not be p(x), and might exceed it.

    Args:
        images: (N, ...), floating point.
        latent_dim: number of latents, q.
        encoder: start from its q(z|x) (as in ``iwae``) instead of the prior N(0, I).
        steps: from one temperature to the next; 1 is importance sampling from q.
        chains: per image.
        leapfrog: steps of one Hamiltonian trajectory; each needs the gradient of log p(x|z) in z.
        sharpness: temperatures are evenly spaced on the sigmoid's axis from -sharpness to sharpness.
            4 as in Wu et al.; more puts more of them near 0 and 1, which pays where the posterior is
            much narrower than the prior.
        chunk: pairs of an image and a latent that are decoded at once.

    Raises:
        InputError: as in ``iwae``; or a log-likelihood without gradient in z, latent_dim, steps,
            chains or leapfrog below 1, a sharpness below 1e-6 or above 100.
    """
    target = Target(log_likelihood, images, encoder, latent_dim, chunk)
    return Annealing(target, steps, chains, leapfrog, sharpness, seed, progress).forward()


@torch.inference_mode(False)
def bdmc(
    log_likelihood: LogLikelihood,
    images: Tensor,
    latents: Tensor,
    *,
    encoder: Encoder | None = None,
    steps: int = 1000,
    chains: int = 16,
    leapfrog: int = 10,
    sharpness: float = 4.0,
    seed: int = 0,
    chunk: int = 1024,
    progress: bool = True,
) -> tuple[Tensor, Tensor]:
    """Bidirectional Monte Carlo: lower and upper stochastic bounds of log p(x), each (N,).

    The lower one is ``ais``. The upper one runs the chains backwards from an exact draw of p(z|x),
    which the latents of simulated images are; their weights have the mean 1 / p(x) (Grosse et al.
    2015). So the mean gap is at least the error of ``ais`` on such images. It proves nothing about
    images that the model did not make, though theirs is often alike.

    Args:
        images: (N, ...), simulated from the model: of latents z ~ N(0, I), drawn from p(x|z) (for
            ``gaussian``, the decoder's images plus sigma times standard normal noise).
        latents: (N, q), those z.
        others: as in ``ais``.

    Raises:
        InputError: as in ``ais``; or latents of another shape, not finite.
    """
    check_finite("images", images, "simulated from the model")
    check_finite("latents", latents, "the z of which each image was simulated")
    if latents.ndim != 2 or len(latents) != len(images):
        raise InputError(
            f"latents of shape {tuple(latents.shape)} for {len(images)} images; expected (N, q): the z "
            "of which each image was simulated"
        )
    latents = latents.clone() if latents.is_inference() else latents  # else no gradient could reach it
    target = Target(log_likelihood, images, encoder, latents.shape[1], chunk)
    annealing = Annealing(target, steps, chains, leapfrog, sharpness, seed, progress)
    return annealing.forward(), annealing.backward(latents)


@torch.no_grad()
def parzen(samples: Tensor, images: Tensor, h: float) -> Tensor:
    """log-density of a Parzen window estimate, (1/M) sum_j N(x; s_j, h^2 I), at images: (N,).

    Shown for its failure: in many dimensions it is far below the log-density of the model that the
    samples are from, and ranks models wrongly (Theis et al. 2016; Wu et al. 2017). The
    bandwidth is chosen on validation images: ``max(grid, key=lambda h: parzen(s, v, h).mean())``.

    Args:
        samples: (M, ...) from the model; images: (N, ...), the same shape and unit.
        h: standard deviation of the window.

    Raises:
        InputError: h is not from 1e-100 to 1e100, shapes differ, or a value is NaN, infinite, or so large
            that squared distances overflow.
    """
    check_finite("samples", samples, "a model's, in the unit of the images")
    check_finite("images", images, "dequantise(images)")
    if samples.shape[1:] != images.shape[1:]:
        raise InputError(
            f"samples are of shape {tuple(samples.shape[1:])}, images of {tuple(images.shape[1:])}: "
            "give both the same"
        )
    precision = real_number("h", h, least=SMALLEST, most=1 / SMALLEST) ** -2
    dimensions = images[0].numel()
    rows = max(1, min(math.isqrt(VALUES_AT_ONCE), VALUES_AT_ONCE // dimensions))
    parts, place = [], float64_device(images.device)
    for some in images.flatten(1).split(rows):
        total = torch.full((len(some),), -math.inf, dtype=torch.float64, device=place)
        for others in samples.flatten(1).split(rows):
            distance = torch.cdist(double(some), double(others.to(some.device)))
            total = torch.logaddexp(total, (-0.5 * precision * distance.square()).logsumexp(1))
        parts.append(total)
    constant = math.log(len(samples)) + 0.5 * dimensions * math.log(2 * math.pi / precision)
    total = torch.cat(parts)
    if total.isnan().any():  # infinity less infinity
        largest = max(values.abs().max().item() for values in (samples, images))
        raise InputError(f"values reach {largest:.4g}, whose squares overflow: choose another unit")
    return total - constant


def dequantise(images: Tensor, seed: int = 0) -> Tensor:
    """8-bit images as draws of a density: (x + u) / 256 with u uniform in [0, 1), float32 in [0, 1].

    The mean log-density of a model at such images, plus D log(1/256), is at most the log-probability
    that it gives to the 8-bit images: Theis et al. 2016, section 3.1.

    Raises:
        InputError: images are not uint8.
    """
    if not isinstance(images, Tensor) or images.dtype != torch.uint8:
        kind = images.dtype if isinstance(images, Tensor) else type(images).__name__
        raise InputError(f"images are {kind}; dequantise takes uint8 (an ImageSet's .images)")
    u = Noise(images.device).at(seed, "dequantise", 0).uniform(*images.shape)
    return (images + u) / 256


def bits_per_dimension(nats: Tensor | float, dimensions: int) -> Tensor | float:
    """Bits for one 8-bit value, 8 - nats / (D log 2), from a log-density on [0, 1]^D: lower is better.

    The uniform model needs 8. To the nats of a density on [0, 256)^D add D log 256 first
    (Theis et al. 2016, section 3.1).

    Args:
        nats: a number or tensor, total per image.
        dimensions: D, of one image: channels times height times width.

    Raises:
        InputError: dimensions below 1.
    """
    return 8 - nats / (whole_number("dimensions", dimensions, 1) * math.log(2))
