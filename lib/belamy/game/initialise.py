"""Initial weights as a function of (seed, name of net), whatever was drawn before."""

import torch
from torch.nn.functional import normalize
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import _SpectralNorm

from belamy.randomness import key


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
