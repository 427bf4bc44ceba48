"""Randomness as a function of (seed, names, step), never of construction or call order.

Every draw of the book comes from a generator whose seed is a hash of what the draw is *for*.
So two runs agree whatever was drawn before, copies of a game are comparable, and a checkpoint
needs no generator state. CPU draws come from CPU generators, accelerators' from their own.
"""

import hashlib

import torch
from torch.nn.functional import normalize
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import _SpectralNorm

from belamy.errors import InputError

MAX_SEED = 2**63


def key(seed: int, *names: object) -> int:
    """Hash (seed, names) to a generator seed in [0, 2**63).

    Raises:
        InputError: the seed is no integer in [0, 2**63).
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < MAX_SEED:
        raise InputError(f"seed={seed!r} is not an integer in [0, 2**63); pass seed=0, say")
    digest = hashlib.blake2b(repr((seed, *names)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def generator(seed: int, *names: object, device: str | torch.device = "cpu") -> torch.Generator:
    """A fresh generator for the purpose that the names spell out."""
    return torch.Generator(device).manual_seed(key(seed, *names))


def latents(n: int, latent_dim: int, seed: int = 0) -> torch.Tensor:
    """Fixed standard normal latents, the same on every device: float32 (n, latent_dim), on the CPU."""
    return torch.randn(n, latent_dim, generator=generator(seed, "latents", latent_dim))


class Noise:
    """The random draws of one step of one player; losses receive it as their third argument.

    A loss draws what it needs, ``noise.normal(64, 2)``, and gets the same numbers whenever the
    same (seed, player, step) comes round again.
    """

    def __init__(self, device: str | torch.device = "cpu", seed: int = 0) -> None:
        self.device = torch.device(device)
        self.generator = generator(seed, device=self.device)

    def at(self, seed: int, name: str, step: int) -> "Noise":
        """Move to the draws of the named player's step and return itself."""
        self.generator.manual_seed(key(seed, "noise", name, step))
        return self

    def normal(self, *shape: int) -> torch.Tensor:
        """Standard normal draws of the given shape."""
        return torch.randn(*shape, generator=self.generator, device=self.device)

    def uniform(self, *shape: int) -> torch.Tensor:
        """Uniform draws in [0, 1) of the given shape."""
        return torch.rand(*shape, generator=self.generator, device=self.device)


def initialise(net: torch.nn.Module, seed: int, name: str) -> None:
    """Draw a net's initial weights anew, as a function of (seed, name) alone.

    Calls ``reset_parameters`` of every module that has it, children before parents, so that a
    net's own ``reset_parameters`` has the last word. The global generator is left as it was.
    """
    # As if just built: draws fill a tensor in the order of its memory, and spectral norm iterates.
    net.train().to(memory_format=torch.contiguous_format)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.default_generator.manual_seed(key(seed, "weights", name))
        for module in reversed(list(net.modules())):
            if parametrize.is_parametrized(module):
                _reset_parametrized(module)
            elif callable(getattr(module, "reset_parameters", None)):
                module.reset_parameters()


def _reset_parametrized(module: torch.nn.Module) -> None:
    """Draw the weights behind a parametrization (spectral norm, say), and its vectors."""
    before = type(module).__bases__[0]  # the class that it was before it was parametrized
    plain = before.__new__(before)
    plain.__dict__ |= {**module.__dict__, "_parameters": dict(module._parameters)}
    for name, chain in module.parametrizations.items():
        plain._parameters[name] = chain.original
    plain.reset_parameters()
    for chain in module.parametrizations.values():
        for part in chain:
            if isinstance(part, _SpectralNorm):
                for vector in (part._u, part._v):
                    vector.copy_(normalize(torch.randn_like(vector), dim=0, eps=part.eps))
                part._power_method(part._reshape_weight_to_matrix(chain.original), 15)
