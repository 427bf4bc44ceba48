"""Initial weights as a function of (seed, name of net), whatever was built or drawn before."""

import torch
from torch import nn
from torch.nn.functional import normalize
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import _SpectralNorm

from belamy.errors import InputError
from belamy.randomness import key


def initialise(net: nn.Module, seed: int, name: str) -> None:
    """Draw a net's initial weights anew, as a function of (seed, name) alone.

    Calls ``reset_parameters`` of every module that has it, children before parents, so that a
    net's own ``reset_parameters`` has the last word. The global generator is left as it was.

    Raises:
        InputError: a parameter is frozen, was set to zero on purpose, is lazy, or is written by no
            ``reset_parameters`` (a bare ``nn.Parameter``, ``nn.MultiheadAttention``): it is named,
            and the net stays as it was.
    """
    key(seed)  # says what is wrong with a seed, before anything is touched
    for path, parameter in net.named_parameters():
        if nn.parameter.is_lazy(parameter):
            raise InputError(f"net {name!r}: {path} has no shape yet; send one batch through the net first")
        if not parameter.requires_grad:
            raise InputError(
                f"net {name!r}: {path} is frozen, so its weights are meant to stay; pass the net as "
                f"pretrained={{{name!r}: net}}, or leave the Game's seed out"
            )
    mode = {module: module.training for module in net.modules()}
    before = {path: value.detach().clone() for path, value in net.state_dict(keep_vars=True).items()
              if isinstance(value, torch.Tensor)}  # fmt: skip
    # As if just built: draws fill a tensor in the order of its memory, and spectral norm iterates.
    net.train().to(memory_format=torch.contiguous_format)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.default_generator.manual_seed(key(seed, "weights", name))
        for parameter in net.parameters():
            if parameter.is_floating_point():
                parameter.fill_(torch.nan)  # whatever is still NaN afterwards, nobody has drawn
        for module in reversed(list(net.modules())):
            if parametrize.is_parametrized(module):
                _reset_parametrized(module)
            elif callable(getattr(module, "reset_parameters", None)):
                module.reset_parameters()
    problem = ""
    for path, parameter in net.named_parameters():
        if parameter.isnan().any():
            problem = f"{path} is written by no reset_parameters, so that no seed can draw it"
        elif parameter.any() and path in before and not before[path].any():
            problem = f"{path} was set to zero, and its reset_parameters would make it random"
        if problem:
            break
    if problem:
        with torch.no_grad():
            for path, value in net.state_dict(keep_vars=True).items():
                if path in before:
                    value.copy_(before[path])
        for module, training in mode.items():
            module.training = training
        raise InputError(
            f"net {name!r}: {problem}. Give the net a reset_parameters that sets it; or build the net after "
            f"torch.manual_seed(seed) (belamy.setup does that) and leave the Game's seed out, or pass it as "
            f"pretrained={{{name!r}: net}}"
        )


def _reset_parametrized(module: nn.Module) -> None:
    """Draw the weights behind a parametrization (spectral or weight norm, say), and its vectors."""
    before = type(module).__bases__[0]  # the class that it was before it was parametrized
    if not callable(getattr(before, "reset_parameters", None)):
        return
    plain = before.__new__(before)
    plain.__dict__ |= {**module.__dict__, "_parameters": dict(module._parameters)}
    for name, chain in module.parametrizations.items():
        drawn = chain.original if chain.is_tensor else nn.Parameter(torch.empty_like(getattr(module, name)))
        plain._parameters[name] = drawn
    plain.reset_parameters()
    for name, chain in module.parametrizations.items():
        if not chain.is_tensor:  # weight norm has two originals: direction and length of what was drawn
            setattr(module, name, plain._parameters[name].detach())
        for part in chain:
            if isinstance(part, _SpectralNorm):
                for vector in (part._u, part._v):
                    vector.copy_(normalize(torch.randn_like(vector), dim=0, eps=part.eps))
                part._power_method(part._reshape_weight_to_matrix(chain.original), 15)
