"""Estimators of log p(x) of models with a decoder, p(x) = E[p(x|z)] over z ~ N(0, I).

A model is given by one function, ``log_likelihood(x, z)``: images (B, ...) and latents (B, q) to
log p(x|z) in nats, (B,), such as ``gaussian(decoder, sigma)``. Every estimate is in nats per image,
float64, on the device of the images. A density on [0, 1] and one on [0, 256) differ by log 256 nats a
dimension: compare models on one scale only, or in ``bits_per_dimension``.

Latents are drawn in the floating point type of the images, which the nets must share; log-weights are
float64 in any case. Nets belong in evaluation mode. All draws are functions of the seed; ``chunk``
bounds the memory and changes no draw. Sources: Burda et al. 2016 (importance weighting); Neal 2001
(annealing); Neal 2011 (Hamiltonian moves); Wu et al. 2017 (annealing for decoders, and its schedule);
Grosse et al. 2015 (bidirectional Monte Carlo); Theis et al. 2016 (dequantisation, Parzen windows,
units).
"""

import bisect
import itertools
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm.auto import tqdm

from belamy.errors import InputError
from belamy.game import Noise
from belamy.losses import gaussian_log_likelihood

LogLikelihood = Callable[[Tensor, Tensor], Tensor]
Encoder = Callable[[Tensor], tuple[Tensor, Tensor]]
State = tuple[Tensor, Tensor, Tensor]  # u (S, N, q), log w there (S, N), its gradient (S, N, q)

ACCEPTANCE = 0.65  # of Hamiltonian moves: about the best in many dimensions (Neal 2011)
# The pilot's temperatures, its first step size, and how far an acceptance moves the size's logarithm.
PILOT_STEPS, PILOT_START, PILOT_GAIN = 200, 0.5, 0.5
VALUES_AT_ONCE = 2**22  # of a block of distances, and of the images behind it: 32 MiB each


def gaussian(decoder: Callable[[Tensor], Tensor], sigma: float) -> LogLikelihood:
    """The observation model p(x|z) = N(decoder(z), sigma^2 I), scored in float64.

    Args:
        decoder: latents (B, q) to mean images (B, ...), in the range of the data: a sigmoid behind a
            decoder that returns logits, (x + 1) / 2 behind a generator that ends in tanh.
        sigma: standard deviation of every pixel, in the unit of the images. It may be fitted on
            validation images: ``max(grid, key=lambda s: iwae(gaussian(decoder, s), ...).mean())``.

    Raises:
        InputError: sigma is not positive and finite; in use, the shapes of x and the mean differ.
    """
    log_variance = 2 * math.log(_positive("sigma", sigma))

    def log_likelihood(x: Tensor, z: Tensor) -> Tensor:
        return gaussian_log_likelihood(x.double(), decoder(z).double(), log_variance)

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
    _whole("k", k)
    target = _Target(log_likelihood, images, encoder, None, chunk)
    noise = Noise(images.device)
    at_once = max(1, chunk // len(images))
    total = torch.full((len(images),), -math.inf, dtype=torch.float64, device=images.device)
    for start in range(0, k, at_once):
        numbers = range(start, min(start + at_once, k))
        u = torch.stack([noise.at(seed, "iwae", number).normal(*target.shape) for number in numbers])
        total = torch.logaddexp(total, _numbers(target(u.to(images))).logsumexp(0))
    return total - math.log(k)


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
            chains or leapfrog below 1, a sharpness that is not positive.
    """
    target = _Target(log_likelihood, images, encoder, latent_dim, chunk)
    return _Annealing(target, steps, chains, leapfrog, sharpness, seed, progress).forward()


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
    if latents.ndim != 2 or len(latents) != len(images) or not latents.isfinite().all():
        raise InputError(
            f"latents of shape {tuple(latents.shape)} for {len(images)} images; expected (N, q), "
            "finite: the z of which each image was simulated"
        )
    target = _Target(log_likelihood, images, encoder, latents.shape[1], chunk)
    annealing = _Annealing(target, steps, chains, leapfrog, sharpness, seed, progress)
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
        InputError: h is not positive and finite, shapes differ, or a value is NaN or infinite.
    """
    _check_images("samples", samples)
    _check_images("images", images)
    if samples.shape[1:] != images.shape[1:]:
        raise InputError(
            f"samples are of shape {tuple(samples.shape[1:])}, images of {tuple(images.shape[1:])}: "
            "give both the same"
        )
    precision = _positive("h", h) ** -2
    dimensions = images[0].numel()
    rows = max(1, min(math.isqrt(VALUES_AT_ONCE), VALUES_AT_ONCE // dimensions))
    parts = []
    for some in images.flatten(1).split(rows):
        total = torch.full((len(some),), -math.inf, dtype=torch.float64, device=images.device)
        for others in samples.flatten(1).split(rows):
            distance = torch.cdist(some.double(), others.to(some.device).double())
            total = torch.logaddexp(total, (-0.5 * precision * distance.square()).logsumexp(1))
        parts.append(total)
    constant = math.log(len(samples)) + 0.5 * dimensions * math.log(2 * math.pi / precision)
    return torch.cat(parts) - constant


def dequantise(images: Tensor, seed: int = 0) -> Tensor:
    """8-bit images as draws of a density: (x + u) / 256 with u uniform in [0, 1), float32 in [0, 1].

    The mean log-density of a model at such images, plus D log(1/256), is at most the log-probability
    that it gives to the 8-bit images: Theis et al. 2016, section 3.1.

    Raises:
        InputError: images are not uint8.
    """
    if images.dtype != torch.uint8:
        raise InputError(f"images are {images.dtype}; dequantise takes uint8 (an ImageSet's .images)")
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
    return 8 - nats / (_whole("dimensions", dimensions) * math.log(2))


class _Target:
    """log w(u) = log p(x, z) - log q(z|x) at z = mean + std u, for every image and several u.

    q is the encoder's posterior or, without an encoder, the prior: then log w = log p(x|z). In terms
    of u it is always N(0, I), so steps of one size suit all dimensions.
    """

    def __init__(
        self,
        log_likelihood: LogLikelihood,
        images: Tensor,
        encoder: Encoder | None,
        latent_dim: int | None,
        chunk: int,
    ) -> None:
        _check_images("images", images)
        self.log_likelihood, self.images = log_likelihood, images.detach()
        self.chunk = _whole("chunk", chunk)
        self.posterior = None if encoder is None else self._encode(encoder)
        size = self.posterior[0].shape[1] if self.posterior else _whole("latent_dim", latent_dim)
        if latent_dim not in (None, size):
            raise InputError(f"latent_dim={latent_dim!r}, but the encoder's q is {size}: pass {size}")
        self.shape = (len(images), size)
        self._check_independence()

    @torch.no_grad()
    def __call__(self, u: Tensor) -> Tensor:
        """(S, N, q) -> (S, N), float64."""
        return torch.cat([self._pairs(*part) for part in self._parts(u)]).view(u.shape[:2])

    def with_gradient(self, u: Tensor) -> State:
        """u, the same, and its gradient in u, (S, N, q)."""
        values: list[Tensor] = []
        gradients: list[Tensor] = []
        for part, rows in self._parts(u):
            with torch.enable_grad():
                value = self._pairs(part.requires_grad_(), rows)
            if not value.requires_grad:
                raise InputError("the log-likelihood has no gradient in z: compute it without no_grad")
            gradients += torch.autograd.grad(value.sum(), part)
            values.append(value.detach())
        return u, torch.cat(values).view(u.shape[:2]), torch.cat(gradients).view(u.shape)

    def standardise(self, z: Tensor) -> Tensor:
        """The u of latents z (N, q)."""
        if self.posterior is None:
            return z.detach().to(self.images)
        mean, log_variance = self.posterior
        return ((z.detach().to(mean) - mean) * torch.exp(-0.5 * log_variance)).to(self.images)

    def _parts(self, u: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        rows = torch.arange(u.shape[1], device=u.device).repeat(u.shape[0])
        return zip(u.flatten(0, 1).split(self.chunk), rows.split(self.chunk))

    def _pairs(self, u: Tensor, rows: Tensor) -> Tensor:
        """u (P, q), each for the image of its row (P,), -> (P,)."""
        if self.posterior is None:
            return self._score(rows, u)
        mean, log_variance = (values[rows] for values in self.posterior)
        z = mean + torch.exp(0.5 * log_variance) * u
        correction = 0.5 * (u.double().square() - z.square() + log_variance).sum(1)
        return self._score(rows, z.to(u)) + correction

    def _score(self, rows: Tensor, z: Tensor) -> Tensor:
        value = self.log_likelihood(self.images[rows], z)
        if value.shape != (len(z),):
            raise InputError(
                f"the log-likelihood of {len(z)} pairs has shape {tuple(value.shape)}; expected "
                f"({len(z)},), a sum over the dimensions of each image"
            )
        return value.double()

    @torch.no_grad()
    def _encode(self, encoder: Encoder) -> tuple[Tensor, Tensor]:
        parts = [encoder(part) for part in self.images.split(self.chunk)]
        mean, log_variance = (torch.cat(values).double() for values in zip(*parts))
        if mean.ndim != 2 or mean.shape != log_variance.shape or len(mean) != len(self.images):
            raise InputError(
                f"the encoder gives shapes {tuple(mean.shape)} and {tuple(log_variance.shape)} for "
                f"{len(self.images)} images; expected the mean and log-variance, each (N, q)"
            )
        return mean, log_variance

    def _check_independence(self) -> None:
        """Refuse what depends on the rest of its batch, as batch normalisation in training does."""
        u = torch.arange(2.0).to(self.images)[:, None].expand(2, self.shape[1])
        row = torch.zeros(2, dtype=torch.int64, device=u.device)
        with torch.no_grad():
            first, again = (_numbers(self._pairs(pair, row)[0]) for pair in (u, u[[0, 0]]))
        if (first - again).abs() > 1e-3 * (1 + first.abs()):
            raise InputError(
                f"one pair's log-likelihood is {first:.6g} in one batch and {again:.6g} in another: "
                "put the nets in evaluation mode, decoder.eval(), and draw nothing at random in them"
            )


@dataclass
class _Annealing:
    """Annealed importance sampling of one target, forwards and backwards."""

    target: _Target
    steps: int
    chains: int
    leapfrog: int
    sharpness: float
    seed: int
    progress: bool

    def __post_init__(self) -> None:
        for name in ("steps", "chains", "leapfrog"):
            _whole(name, getattr(self, name))
        _positive("sharpness", self.sharpness)
        self.noise = Noise(self.target.images.device)
        self.hidden = not self.progress or "TQDM_DISABLE" in os.environ
        self.ladder = self._temperatures(PILOT_STEPS)[1:]
        self.sizes = self._pilot() if self.steps > 1 else torch.empty(0)  # (T, N)

    def forward(self) -> Tensor:
        """log of the chains' mean weight: (N,)."""
        return self._anneal("forward", self._start("forward"), self._temperatures(self.steps))

    def backward(self, z: Tensor) -> Tensor:
        """Minus log of the mean weight of chains from z (N, q), drawn from p(z|x), to q: (N,)."""
        u = self.target.standardise(z).expand(self.chains, -1, -1)
        return -self._anneal("backward", u, self._temperatures(self.steps)[::-1])

    def _anneal(self, name: str, u: Tensor, temperatures: list[float]) -> Tensor:
        state = self.target.with_gradient(u)
        log_weight = torch.zeros_like(_numbers(state[1]))
        pairs = list(itertools.pairwise(temperatures))
        for t, (last, beta) in enumerate(self._bar(name, pairs)):
            log_weight += (beta - last) * state[1]
            if t < self.steps - 1:
                self.noise.at(self.seed, name, t + 1)
                state, _ = self._move(state, beta, self._size(beta))
        return log_weight.logsumexp(0) - math.log(self.chains)

    def _pilot(self) -> Tensor:
        """Follow the temperatures once, and find the step sizes of the wanted acceptance on the way."""
        state = self.target.with_gradient(self._start("pilot"))
        log_size = torch.full_like(_numbers(state[1])[0], math.log(PILOT_START))
        sizes = []
        for t, beta in enumerate(self._bar("pilot", self.ladder)):
            self.noise.at(self.seed, "pilot", t + 1)
            sizes.append(log_size.exp())
            state, acceptance = self._move(state, beta, sizes[-1])
            log_size = log_size + PILOT_GAIN * (acceptance.mean(0) - ACCEPTANCE)
        return torch.stack(sizes)

    def _move(self, state: State, beta: float, size: Tensor) -> tuple[State, Tensor]:
        """A Hamiltonian move at the density N(u; 0, I) w(u)^beta, and its acceptance (S, N)."""
        u, value, slope = state
        step = size[:, None].to(u)
        momentum = self.noise.normal(*u.shape).to(u)
        before = beta * value - _energy(u) - _energy(momentum)
        momentum = momentum + 0.5 * step * (beta * slope - u)
        for number in range(self.leapfrog):
            u, value, slope = self.target.with_gradient(u + step * momentum)
            last = 0.5 if number == self.leapfrog - 1 else 1.0
            momentum = momentum + last * step * (beta * slope - u)
        after = beta * value - _energy(u) - _energy(momentum)
        acceptance = (after - before).exp().clamp(max=1).nan_to_num(0.0)  # NaN where it diverged
        accepted = self.noise.uniform(*value.shape) < acceptance
        value = torch.where(accepted, value, state[1])
        u = torch.where(accepted[..., None], u, state[0])
        slope = torch.where(accepted[..., None], slope, state[2])
        return (u, value, slope), acceptance

    def _temperatures(self, steps: int) -> list[float]:
        """Inverse temperatures from 0 to 1 on a sigmoid, dense at both ends (Wu et al. 2017)."""
        axis = torch.linspace(-self.sharpness, self.sharpness, steps + 1, dtype=torch.float64)
        sigmoid = axis.sigmoid()
        return ((sigmoid - sigmoid[0]) / (sigmoid[-1] - sigmoid[0])).tolist()

    def _size(self, beta: float) -> Tensor:
        """The pilot's step sizes (N,) at the next rung of its ladder."""
        return self.sizes[bisect.bisect_left(self.ladder, beta)]

    def _start(self, name: str) -> Tensor:
        draws = self.noise.at(self.seed, name, 0).normal(self.chains, *self.target.shape)
        return draws.to(self.target.images)

    def _bar(self, name: str, temperatures: list):
        return tqdm(temperatures, desc=name, unit="temperature", disable=self.hidden)


def _energy(v: Tensor) -> Tensor:
    return 0.5 * v.square().sum(-1, dtype=torch.float64)


def _numbers(values: Tensor) -> Tensor:
    if values.isnan().any() or values.isposinf().any():
        raise InputError(
            "the log-likelihood is NaN or infinite at the first latents: look for NaN in the decoder's "
            "weights and output, and for a log-variance of the encoder that overflows"
        )
    return values


def _check_images(name: str, images: Tensor) -> None:
    if not isinstance(images, Tensor) or not images.is_floating_point():
        kind = images.dtype if isinstance(images, Tensor) else type(images).__name__
        raise InputError(f"{name} are {kind}; expected a floating point tensor: dequantise(images)")
    if images.ndim < 2 or images.numel() == 0:
        raise InputError(f"{name} of shape {tuple(images.shape)}; expected (N, ...), not empty")
    if not (finite := images.isfinite().flatten(1).all(1)).all():
        row = int((~finite).nonzero()[0, 0])
        raise InputError(f"{name}[{row}] holds NaN or infinity: remove or repair it")


def _whole(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InputError(f"{name}={value!r} must be a whole number of at least 1")
    return value


def _positive(name: str, value: float) -> float:
    if not 0 < value < math.inf:
        raise InputError(f"{name}={value!r} must be positive and finite")
    return float(value)
