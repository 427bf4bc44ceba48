"""What a game is made of, in words that stay the same from one process to the next.

A checkpoint belongs to the game that wrote it. Weights alone do not tell two games apart that differ
in a loss, a beta or an activation; so nets and functions are described here by what they do: nets by
their modules, functions of the reader's own by their compiled code with the constants, defaults and
variables that they use, functions of installed libraries by name.
"""

import contextlib
import dataclasses
import dis
import functools
import hashlib
import numbers
import re
import sys
import types

import torch
from torch import nn

from belamy.game.players import Game, Group

INSTALLED = {"torch", "torchvision", "numpy", "scipy", "belamy"} | set(sys.stdlib_module_names) - {"__main__"}


def identity(game: Game) -> dict[str, str]:
    """Every part of the game, by name, with a digest of what it is."""
    parts: dict[str, object] = {"turns": tuple(turn.name for turn in game.turns),
                                "averages": tuple(game.averages.items())}  # fmt: skip
    for name, net in game.nets.items():
        # repr() shows modules and their settings, but no function that a forward calls.
        kinds = {type(module).__qualname__: type(module) for module in net.modules()}
        forwards = tuple(kind.forward for _, kind in sorted(kinds.items()) if not _installed(kind))
        settings = tuple(
            (name, value) for module in net.modules() for name, value in sorted(vars(module).items())
            # A module's own functions and words; its numbers may be counters.
            if not name.startswith("_") and isinstance(value, (str, types.FunctionType, functools.partial))
        )  # fmt: skip
        parts[f"net {name!r}"] = (re.sub(r" at 0x\w+", "", repr(net)), forwards, settings)
    for turn in game.turns:
        if isinstance(turn, Group):
            parts[f"forward of the group {turn.name!r}"] = turn.forward  # of one player: by the same name
            parts[f"steps of the group {turn.name!r}"] = (turn.steps, turn.alternating)
    for player in game.players:
        parts[f"nets of {player.name!r}"] = player.nets
        parts[f"steps of {player.name!r}"] = player.steps
        for role in ("loss", "schedule", "clip", "after"):
            parts[f"{role} of {player.name!r}"] = getattr(player, role)
    return {
        part: hashlib.sha256(repr(_describe(value, frozenset())).encode()).hexdigest()[:16]
        for part, value in parts.items()
    }


def _installed(thing: object) -> bool:
    return (getattr(thing, "__module__", None) or "builtins").split(".")[0] in INSTALLED


def _variables(code: types.CodeType) -> tuple[set[str], set[str]]:
    """Global variables that a function reads, and variables around it that it sets, inner functions included."""
    reads, writes = set(), set()
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            reads.add(instruction.argval)
        if instruction.opname in ("STORE_GLOBAL", "STORE_DEREF"):
            writes.add(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            inner = _variables(constant)
            reads, writes = reads | inner[0], writes | inner[1]
    return reads, writes


def _describe_code(code: types.CodeType, doc: str | None) -> list:
    """Compiled code with its names and constants, without its documentation, file and line numbers."""
    constants = [_describe_code(c, None) if isinstance(c, types.CodeType) else repr(c)
                 for c in code.co_consts if doc is None or c != doc]  # fmt: skip
    return [code.co_code.hex(), code.co_names, constants]


def _describe(value: object, above: frozenset[int]) -> object:
    """The value in plain data; ``above`` holds what contains it, so that a cycle ends."""
    if value is None or isinstance(value, (bool, str, bytes)):
        return value
    if isinstance(value, numbers.Number):
        return repr(value.item() if hasattr(value, "item") else value)
    if id(value) in above or len(above) > 20:
        return "..."
    inside = functools.partial(_describe, above=above | {id(value)})
    if isinstance(value, functools.partial):
        keywords = sorted((name, repr(inside(v))) for name, v in value.keywords.items())
        return ["partial", inside(value.func), inside(value.args), keywords]
    if isinstance(value, types.MethodType):
        return ["method", inside(value.__func__), inside(value.__self__)]
    if isinstance(value, types.FunctionType) and not _installed(value):
        reads, writes = _variables(value.__code__)
        known = {name: value.__globals__[name] for name in reads if name in value.__globals__}
        for name, cell in zip(value.__code__.co_freevars, value.__closure__ or ()):
            with contextlib.suppress(ValueError):  # a variable that has no value yet
                known[name] = cell.cell_contents
        # What the function sets itself counts something; what lists and dicts hold may grow, too.
        used = sorted((name, repr(inside(v))) for name, v in known.items() if name not in writes)
        return [_describe_code(value.__code__, value.__doc__), inside(value.__defaults__ or ()),
                sorted((name, repr(inside(v))) for name, v in (value.__kwdefaults__ or {}).items()), used]  # fmt: skip
    if isinstance(value, (tuple, frozenset)):
        return [inside(v) for v in value]
    if isinstance(value, dict) and not above:
        return sorted((str(name), repr(inside(v))) for name, v in value.items())
    if isinstance(value, list) and not above:
        return [inside(v) for v in value]
    if isinstance(value, torch.Tensor):
        small = value.numel() <= 100 and not value.requires_grad
        return [str(value.dtype), tuple(value.shape), value.tolist() if small else None]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return [type(value).__qualname__, sorted((name, repr(inside(v))) for name, v in fields.items())]
    return getattr(value, "__qualname__", None) or type(value).__qualname__
