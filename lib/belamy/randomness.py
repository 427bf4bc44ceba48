"""Randomness as a function of (seed, names, step), never of construction or call order.

Every draw of the book comes from a generator whose seed is a hash of what the draw is *for*.
So two runs agree whatever was drawn before, copies of a game are comparable, and a checkpoint
needs no generator state. CPU draws come from CPU generators, accelerators' from their own.
"""

import hashlib
import numbers

import torch

from belamy._checks import MAX_SEED, whole_number


def key(seed: int, *names: object) -> int:
    """Hash (seed, names) to a generator seed in [0, 2**63).

    Raises:
        InputError: the seed is no whole number in [0, 2**63).
    """
    seed = whole_number("seed", seed, 0, MAX_SEED - 1)
    # numpy's 3 and Python's are one number, but print as two.
    plain = [int(name) if isinstance(name, numbers.Integral) else name for name in names]
    digest = hashlib.blake2b(repr((seed, *plain)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def generator(seed: int, *names: object, device: str | torch.device = "cpu") -> torch.Generator:
    """A fresh generator for the purpose that the names spell out."""
    return torch.Generator(device).manual_seed(key(seed, *names))


def latents(n: int, latent_dim: int, seed: int = 0) -> torch.Tensor:
    """Fixed standard normal latents, the same on every device: float32 (n, latent_dim), on the CPU.

    Raises:
        InputError: n, latent_dim or the seed is no whole number, or below 0, 1 and 0.
    """
    n, latent_dim = whole_number("n", n, 0), whole_number("latent_dim", latent_dim, 1)
    return torch.randn(n, latent_dim, generator=generator(seed, "latents", latent_dim))


class Noise:
    """The random draws of one step of one player; losses receive it as their third argument.

    A loss draws what it needs, ``noise.normal(64, 2)``, and gets the same numbers whenever the
    same (seed, player, step) comes round again.

    Attributes:
        step: steps that the player has taken before this one.
        total: steps that it will have taken when this call of ``fit`` ends, so that
            ``noise.step / noise.total`` goes from 0 to 1; 0 outside ``fit``.
        dtype: of what is drawn, the type of the game's nets. Draws are those of float32, converted.
    """

    def __init__(
        self, device: str | torch.device = "cpu", seed: int = 0, dtype: torch.dtype = torch.float32
    ) -> None:
        self.device, self.dtype = torch.device(device), dtype
        self.generator = generator(seed, device=self.device)
        self.step = self.total = 0

    def at(self, seed: int, name: str, step: int, total: int = 0) -> "Noise":
        """Move to the draws of the named player's step and return itself."""
        self.generator.manual_seed(key(seed, "noise", name, step))
        self.step, self.total = step, total
        return self

    def normal(self, *shape: int) -> torch.Tensor:
        """Standard normal draws of the given shape."""
        draws = torch.randn(*shape, generator=self.generator, device=self.device, dtype=torch.float32)
        return draws if self.dtype == torch.float32 else draws.to(self.dtype)

    def uniform(self, *shape: int) -> torch.Tensor:
        """Uniform draws in [0, 1) of the given shape."""
        draws = torch.rand(*shape, generator=self.generator, device=self.device, dtype=torch.float32)
        return draws if self.dtype == torch.float32 else draws.to(self.dtype)

    def integers(self, high: int, *shape: int) -> torch.Tensor:
        """Whole numbers from 0 to high - 1, each as likely: int64 of the given shape."""
        return torch.randint(high, shape, generator=self.generator, device=self.device)

    def permutation(self, n: int) -> torch.Tensor:
        """The numbers from 0 to n - 1 in random order: int64 (n,)."""
        return torch.randperm(n, generator=self.generator, device=self.device)
