"""Annealed importance sampling of log p(x), for ``belamy.likelihood``, whose docstrings explain it."""

import bisect
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from belamy._checks import check_finite, real_number, whole_number
from belamy._devices import double, float64_device
from belamy._progress import bar
from belamy.errors import InputError
from belamy.randomness import Noise

LogLikelihood = Callable[[Tensor, Tensor], Tensor]
Encoder = Callable[[Tensor], tuple[Tensor, Tensor]]
State = tuple[Tensor, Tensor, Tensor]  # u (S, N, q), log w there (S, N), its gradient (S, N, q)

ACCEPTANCE = 0.65  # of Hamiltonian moves: about the best in many dimensions (Neal 2011)
# The pilot's temperatures, its first step size, and how far an acceptance moves the size's logarithm.
PILOT_STEPS, PILOT_START, PILOT_GAIN = 200, 0.5, 0.5


class Target:
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
        check_finite("images", images, "dequantise(images)")
        # Contiguous, since many nets start with x.view(len(x), -1).
        self.log_likelihood, self.images = log_likelihood, images.detach().contiguous()
        if self.images.is_inference():  # autograd may not keep such a tensor for a gradient
            self.images = self.images.clone()
        self.chunk = whole_number("chunk", chunk, 1)
        self.posterior = None if encoder is None else self._encode(encoder)
        if latent_dim is not None or self.posterior is None:
            latent_dim = whole_number("latent_dim", latent_dim, 1)
        size = self.posterior[0].shape[1] if self.posterior else latent_dim
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
            with torch.enable_grad():  # wherever the caller stands
                value = self._pairs(part.requires_grad_(), rows)
                total = value.sum()
            if not total.requires_grad:
                raise InputError("the log-likelihood has no gradient in z: compute it without no_grad")
            gradients += torch.autograd.grad(total, part)
            values.append(value.detach())
        return u, torch.cat(values).view(u.shape[:2]), torch.cat(gradients).view(u.shape)

    def standardise(self, z: Tensor) -> Tensor:
        """The u of latents z (N, q)."""
        if self.posterior is None:
            return z.detach().to(self.images)
        mean, log_variance = self.posterior
        return ((z.detach().to(mean) - mean) * torch.exp(-0.5 * log_variance)).to(self.images)

    def _parts(self, u: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        rows = torch.arange(u.shape[1], device=float64_device(u.device)).repeat(u.shape[0])
        return zip(u.flatten(0, 1).split(self.chunk), rows.split(self.chunk))

    def _pairs(self, u: Tensor, rows: Tensor) -> Tensor:
        """u (P, q), each for the image of its row (P,), -> (P,)."""
        if self.posterior is None:
            return self._score(rows, u)
        mean, log_variance = (values[rows] for values in self.posterior)
        z = mean + torch.exp(0.5 * log_variance) * double(u)
        correction = 0.5 * (double(u).square() - z.square() + log_variance).sum(1)
        return self._score(rows, z.to(u)) + correction

    def _score(self, rows: Tensor, z: Tensor) -> Tensor:
        value = self.log_likelihood(self.images[rows], z)
        if value.shape != (len(z),):
            raise InputError(
                f"the log-likelihood of {len(z)} pairs has shape {tuple(value.shape)}; expected "
                f"({len(z)},), a sum over the dimensions of each image"
            )
        return double(value)

    @torch.no_grad()
    def _encode(self, encoder: Encoder) -> tuple[Tensor, Tensor]:
        parts = [encoder(part) for part in self.images.split(self.chunk)]
        mean, log_variance = (double(torch.cat(values)) for values in zip(*parts))
        if mean.ndim != 2 or mean.shape != log_variance.shape or len(mean) != len(self.images):
            raise InputError(
                f"the encoder gives shapes {tuple(mean.shape)} and {tuple(log_variance.shape)} for "
                f"{len(self.images)} images; expected the mean and log-variance, each (N, q)"
            )
        return mean, log_variance

    def _check_independence(self) -> None:
        """Refuse what depends on the rest of its batch, as batch normalisation in training does."""
        u = torch.arange(2.0).to(self.images)[:, None].expand(2, self.shape[1])
        row = torch.zeros(2, dtype=torch.int64, device=float64_device(u.device))
        with torch.no_grad():
            first, again = (check_numbers(self._pairs(pair, row)[0]) for pair in (u, u[[0, 0]]))
        if (first - again).abs() > 1e-3 * (1 + first.abs()):
            raise InputError(
                f"one pair's log-likelihood is {first:.6g} in one batch and {again:.6g} in another: "
                "put the nets in evaluation mode, decoder.eval(), and draw nothing at random in them"
            )


@dataclass
class Annealing:
    """Annealed importance sampling of one target, forwards and backwards."""

    target: Target
    steps: int
    chains: int
    leapfrog: int
    sharpness: float
    seed: int
    progress: bool

    def __post_init__(self) -> None:
        for name in ("steps", "chains", "leapfrog"):
            setattr(self, name, whole_number(name, getattr(self, name), 1))
        self.sharpness = real_number("sharpness", self.sharpness, least=1e-6, most=100)
        self.noise = Noise(self.target.images.device)
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
        log_weight = torch.zeros_like(check_numbers(state[1]))
        pairs = list(itertools.pairwise(temperatures))
        for t, (last, beta) in enumerate(self._bar(name, pairs)):
            if beta != last:  # far out on the sigmoid they may coincide, and 0 times -infinity is NaN
                log_weight += (beta - last) * state[1]
            if t < self.steps - 1:
                self.noise.at(self.seed, name, t + 1)
                state, _ = self._move(state, beta, self._size(beta))
        rising = temperatures[0] < temperatures[-1]
        check_numbers(log_weight if rising else -log_weight, "on the chains' way")
        return log_weight.logsumexp(0) - math.log(self.chains)

    def _pilot(self) -> Tensor:
        """Follow the temperatures once, and find the step sizes of the wanted acceptance on the way."""
        state = self.target.with_gradient(self._start("pilot"))
        log_size = torch.full_like(check_numbers(state[1])[0], math.log(PILOT_START))
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
        accepted = self.noise.uniform(*value.shape).to(acceptance.device) < acceptance
        value = torch.where(accepted, value, state[1])
        accepted = accepted[..., None].to(u.device)
        u = torch.where(accepted, u, state[0])
        slope = torch.where(accepted, slope, state[2])
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
        return bar(temperatures, show=self.progress, desc=name, unit="temperature")


def _energy(v: Tensor) -> Tensor:
    return 0.5 * double(v.square()).sum(-1)


def check_numbers(values: Tensor, where: str = "at the first latents") -> Tensor:
    """Log-weights as they are; -infinity, the logarithm of no likelihood at all, is one.

    Raises:
        InputError: one is NaN or +infinity.
    """
    if values.isnan().any() or values.isposinf().any():
        raise InputError(
            f"the log-likelihood is NaN or infinite {where}: look for NaN in the decoder's weights and "
            "output, and for a log-variance of the encoder that overflows"
        )
    return values
