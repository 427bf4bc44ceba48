"""One optimiser per player, built from the factory that the reader hands in."""

import inspect
import math
import numbers
from collections.abc import Callable, Mapping
from functools import partial

import torch

from belamy._devices import traits
from belamy.errors import InputError
from belamy.game.players import Game

Optimizer = Callable[..., torch.optim.Optimizer]
adam = partial(torch.optim.Adam, lr=1e-3)
# What an optimiser remembers of a parameter depends on these options.
REMEMBERS = ("amsgrad", "centered", "momentum")


def linear_to_zero(step: int, total: int, start: float = 0.0) -> float:
    """A schedule: 1 up to the share ``start`` of the steps, then in a straight line to 0.

    ``Player(..., schedule=partial(linear_to_zero, start=0.5))`` is CycleGAN's.
    """
    return min(1.0, (total - step) / (total * (1 - start)))


def of_step_and_total(schedule: Callable[..., float] | None) -> Callable[[int, int], float] | None:
    """The schedule as a function of (step, total), also where it was written as one of the step alone.

    Raises:
        InputError: it is no function of one or two arguments.
    """
    if schedule is None:
        return None
    try:
        inspect.signature(schedule).bind(0, 1)
        return schedule
    except (TypeError, ValueError):
        pass
    try:
        inspect.signature(schedule).bind(0)
    except (TypeError, ValueError) as error:
        raise InputError(f"schedule={schedule!r} is no function of the step, or of step and total") from error
    return lambda step, _total: schedule(step)


def build_optimizers(
    game: Game, optimizer: Optimizer | Mapping[str, Optimizer], device: torch.device
) -> dict[str, torch.optim.Optimizer]:
    """A new optimiser for every player; the game is left as it is.

    Raises:
        InputError: not a factory for every player, a learning rate that is no positive number, a
            player without a parameter that may move, or state of the earlier calls of ``fit`` that
            the new optimiser has no place for.
    """
    names = [player.name for player in game.players]
    bring = {player.name for player in game.players if player.optimizer is not None}
    given = dict(optimizer) if isinstance(optimizer, Mapping) else dict.fromkeys(names, optimizer)
    if not set(names) - bring <= set(given) <= set(names):
        raise InputError(f"optimizer is given for {sorted(given)}; players are {sorted(names)}")
    built = {}
    for player in game.players:
        factory = player.optimizer or given[player.name]
        parameters = game.parameters_of(player)
        if not parameters:
            raise InputError(
                f"player {player.name!r} has nothing to train: no parameter of {list(player.nets)} "
                "may move (requires_grad)"
            )
        if not callable(factory) or isinstance(factory, torch.optim.Optimizer):
            raise InputError(
                f"optimizer of {player.name!r} is {factory!r}; pass a class or partial(Adam, lr=1e-3), which "
                "fit calls with the player's parameters"
            )
        # Where the fused kernels work they are the fastest; foreach is slower than a loop on a CPU.
        inner, options = (factory.func, factory.keywords) if isinstance(factory, partial) else (factory, {})
        try:
            fused = "fused" in inspect.signature(inner).parameters and not {"fused", "foreach"} & set(options)
            fused = fused and all(p.is_floating_point() and traits(device).fused for p in parameters)
            new = factory(parameters, fused=True) if fused else factory(parameters)
        except (TypeError, ValueError) as error:
            raise InputError(f"optimizer of {player.name!r} cannot be built: {error}") from error
        if not isinstance(new, torch.optim.Optimizer):
            raise InputError(f"optimizer of {player.name!r} made a {type(new).__name__}, not an optimiser")
        for group in new.param_groups:
            rate = group["lr"].item() if isinstance(group["lr"], torch.Tensor) else group["lr"]
            if not isinstance(rate, numbers.Real) or not 0 < rate < math.inf:
                raise InputError(f"learning rate {rate!r} must be positive and finite")
            group.setdefault("initial_lr", group["lr"])
        old = game.optimizers.get(player.name)
        if type(old) is type(new) and old.state:
            for option in REMEMBERS:
                was, now = (any(g.get(option) for g in o.param_groups) for o in (old, new))
                if was != now and not isinstance(new, torch.optim.SGD):
                    raise InputError(
                        f"optimizer of {player.name!r}: {option} was {'on' if was else 'off'} in the fits before "
                        f"and is {'on' if now else 'off'} now, and what it remembers does not fit: keep the "
                        "option, or put the nets into a new Game"
                    )
        built[player.name] = new
    return built


def hand_over(old: torch.optim.Optimizer | None, new: torch.optim.Optimizer) -> None:
    """Let an optimiser go on from what one of the same kind remembers of the same parameters."""
    if type(old) is not type(new):
        return
    parameters = [parameter for group in new.param_groups for parameter in group["params"]]
    state = {k: old.state[p] for k, p in enumerate(parameters) if p in old.state}  # in the new one's order
    new.load_state_dict({"state": state, "param_groups": new.state_dict()["param_groups"]})


def maskable(optimizer: torch.optim.Optimizer) -> bool:
    """Whether a flag on the device can turn the optimiser's step into no step at all."""
    return isinstance(optimizer, torch.optim.Adam) and bool(optimizer.defaults.get("fused"))
