"""One optimiser per player, built from the factory that the reader hands in."""

import inspect
import math
from collections.abc import Callable, Mapping
from functools import partial

import torch

from belamy.errors import InputError
from belamy.game.device import traits
from belamy.game.players import Game

Optimizer = Callable[..., torch.optim.Optimizer]
adam = partial(torch.optim.Adam, lr=1e-3)


def set_optimizers(game: Game, optimizer: Optimizer | Mapping[str, Optimizer]) -> None:
    """Give every player its optimiser; one of the same kind hands its state over."""
    names = [player.name for player in game.players]
    factories = optimizer if isinstance(optimizer, Mapping) else dict.fromkeys(names, optimizer)
    if set(factories) != set(names):
        raise InputError(f"optimizer is given for {sorted(factories)}; players are {sorted(names)}")
    for player in game.players:
        new = _build(factories[player.name], game.parameters_of(player))
        old = game.optimizers.get(player.name)
        if type(old) is type(new):
            groups = new.state_dict()["param_groups"]
            new.load_state_dict({"state": old.state_dict()["state"], "param_groups": groups})
        game.optimizers[player.name] = new


def _build(factory: Optimizer, parameters: list) -> torch.optim.Optimizer:
    # Where the fused kernels work they are the fastest; foreach is slower than a loop on a CPU.
    inner = factory.func if isinstance(factory, partial) else factory
    given = factory.keywords if isinstance(factory, partial) else {}
    fused = "fused" in inspect.signature(inner).parameters and not {"fused", "foreach"} & set(given)
    fused = fused and all(traits(parameter.device).fused for parameter in parameters)
    built = factory(parameters, fused=True) if fused else factory(parameters)
    for group in built.param_groups:
        if not 0 < group["lr"] < math.inf:
            raise InputError(f"learning rate {group['lr']!r} must be positive and finite")
        group.setdefault("initial_lr", group["lr"])
    return built


def maskable(optimizer: torch.optim.Optimizer) -> bool:
    """Whether a flag on the device can turn the optimiser's step into no step at all."""
    return isinstance(optimizer, torch.optim.Adam) and bool(optimizer.defaults.get("fused"))
