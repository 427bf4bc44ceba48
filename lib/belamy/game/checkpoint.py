"""Checkpoints: one safetensors file, its settings as JSON in the header, no pickle.

A file is written beside its target, flushed to the disk, then moved over it; so a reader finds
the old checkpoint or the new one, never half of one. A digest of the tensors in the header
detects damage that neither safetensors nor torch would notice.
"""

import hashlib
import json
import os
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from belamy.errors import CheckpointError, FileError
from belamy.game.players import Game
from belamy.game.pool import Pool

FORMAT = 2  # 1 knew neither the game that it belonged to nor the names of its optimisers' parameters
SETTINGS = {"run": dict, "rounds": int, "epochs": list, "steps": dict, "groups": dict, "parameters": dict,
            "columns": list, "reports": list, "interrupted": bool, "where": list}  # fmt: skip


def write(path: str | os.PathLike, tensors: dict[str, torch.Tensor], settings: dict) -> None:
    """Write tensors and settings to one file, atomically.

    Raises:
        FileError: the file cannot be written; whatever stood there is still there.
    """
    path = Path(path).expanduser()
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    stored: set[int] = set()
    for name, tensor in tensors.items():  # safetensors refuses one memory under two names: tied weights
        address = tensor.untyped_storage().data_ptr()
        tensors[name] = tensor.clone() if address in stored else tensor
        stored.add(address)
    header = {"format": FORMAT, "digest": _digest(tensors), "settings": settings}
    payload = save(tensors, {"belamy": json.dumps(_plain(header))})
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(descriptor, "wb") as file:
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise FileError(
            f"cannot write {path}: {error.strerror or error}; {len(payload):,} bytes are needed"
            f"{_free(path)}; nothing that stood there was lost"
        ) from error
    finally:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)


def check_writable(path: str | os.PathLike) -> Path:
    """The path with its ``~`` resolved, once it is known that a file can be written there.

    Raises:
        FileError: the path is a folder, or its folder cannot be made or written to.
    """
    try:
        path = Path(path).expanduser()
        if path.is_dir():
            raise IsADirectoryError(None, "it is a folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(descriptor)
        os.unlink(temporary)
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise FileError(f"checkpoint={str(path)!r} cannot be written: {reason}; name another file") from error
    return path


def read(path: str | os.PathLike) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read what ``write`` wrote: (tensors, settings).

    Raises:
        FileError: there is no such file.
        CheckpointError: the file is damaged or no checkpoint of belamy.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileError(f"no checkpoint at {path}; train with fit(..., checkpoint={str(path)!r})")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})["belamy"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        version, digest, settings = header["format"], header.get("digest"), header.get("settings")
    except (SafetensorError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise CheckpointError(
            f"{path} is damaged or no checkpoint of belamy ({error}); delete it and train again"
        ) from error
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror or error}") from error
    if version != FORMAT:
        raise CheckpointError(
            f"{path} has format {version!r}; this belamy reads {FORMAT}: delete it and train again"
        )
    if digest != _digest(tensors) or not isinstance(settings, dict):
        raise CheckpointError(f"{path} is damaged (its digest differs); delete it and train again")
    return tensors, settings


def save_game(path: str | os.PathLike, game: Game, run: dict) -> None:
    """Write all that training needs to go on: nets, buffers, optimisers, counters, history."""
    tensors = {f"nets/{name}": value for name, value in game.nets.state_dict().items()}
    groups, parameters = {}, {}
    for player, optimizer in game.optimizers.items():
        state = optimizer.state_dict()
        groups[player] = _without_lr(state["param_groups"])
        parameters[player] = [name for name, _ in _in_order(game, optimizer)]
        for index, values in state["state"].items():
            for name, value in values.items():
                if value is not None:  # SGD without momentum
                    tensors[f"optimizers/{player}/{index}/{name}"] = torch.as_tensor(value)
    tensors |= {f"history/{name}": value for name, value in game.history.state().items()}
    write(path, tensors, {
        "run": run,
        "rounds": game.rounds,
        "epochs": [game.epochs, game.into_epoch],
        "steps": game.steps,
        "groups": _plain(groups),
        "parameters": parameters,
        "columns": game.history.columns,
        "reports": game.history.reports,
        "interrupted": game.history.interrupted,
        "where": [game.device.type, torch.get_num_threads()],
    })  # fmt: skip


def load_game(path: str | os.PathLike, game: Game, run: dict) -> dict:
    """Bring the game to the state that ``save_game`` wrote; return the run it was in.

    Raises:
        CheckpointError: the checkpoint is damaged, of another game or another run (all differences
            are listed), or older than the game; the game is unchanged.
    """
    tensors, settings = read(path)
    for name, kind in SETTINGS.items():
        if not isinstance(settings.get(name), kind):
            raise CheckpointError(
                f"{path} is damaged (its header has no {name!r} that could be read); delete it and train again"
            )
    nets = _within(tensors, "nets/")
    _check_same(path, game, nets, settings, run)
    if game.rounds > settings["rounds"]:
        raise CheckpointError(
            f"{path} is older than the game: it holds round {settings['rounds']}, the game has played "
            f"{game.rounds}. Train a new Game from it, or name another file"
        )
    mine = {name: value for name, value in game.nets.state_dict().items() if isinstance(value, torch.Tensor)}
    if game.rounds == settings["rounds"] > 0 and not all(
        torch.equal(value.cpu(), nets[name].to(value.dtype)) for name, value in mine.items()
    ):
        raise CheckpointError(
            f"{path} holds other weights than the game, which has played as many rounds "
            f"({game.rounds}): name another file, or train a new Game from it"
        )
    states = {}
    try:
        for player, optimizer in game.optimizers.items():
            order = _in_order(game, optimizer)
            state: dict[int, dict] = {}
            for name, value in _within(tensors, f"optimizers/{player}/").items():
                index, _, field = name.partition("/")
                state.setdefault(int(index), {})[field] = _laid_out_like(order[int(index)][1], value)
            states[player] = {"state": state, "param_groups": optimizer.state_dict()["param_groups"]}
        history = _within(tensors, "history/")
        history["values"], history["epochs"]
    except (KeyError, IndexError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged ({error}); delete it and train again") from error
    game.nets.load_state_dict(nets)
    for player, state in states.items():
        game.optimizers[player].load_state_dict(state)
    game.history.load_state(settings["columns"], settings["reports"], history)
    game.rounds, game.steps = settings["rounds"], dict(settings["steps"])
    game.epochs, game.into_epoch = settings["epochs"]
    here = [game.device.type, torch.get_num_threads()]
    if settings["where"] != here:
        warnings.warn(
            f"{path} was written on {settings['where'][0]} with {settings['where'][1]} threads, "
            f"this is {here[0]} with {here[1]}: the run goes on, but not bit for bit",
            stacklevel=3,
        )
    return settings["run"] | {"interrupted": settings["interrupted"]}


def _check_same(path, game: Game, nets: dict, settings: dict, run: dict) -> None:
    mine = {name: tuple(value.shape) for name, value in game.nets.state_dict().items()}
    theirs = {name: tuple(value.shape) for name, value in nets.items()}
    grows = {f"{name}.images" for name, net in game.nets.named_modules() if isinstance(net, Pool)}
    differences = [f"missing there: {name}" for name in sorted(mine.keys() - theirs.keys())]
    differences += [f"only there: {name}" for name in sorted(theirs.keys() - mine.keys())]
    differences += [
        f"{name}: shape {theirs[name]} there, {mine[name]} here"
        for name in sorted(mine.keys() & theirs.keys() - grows)
        if mine[name] != theirs[name]
    ]
    for player, optimizer in game.optimizers.items():
        here = [_without_lr(optimizer.state_dict()["param_groups"]), [n for n, _ in _in_order(game, optimizer)]]
        there = [settings["groups"].get(player), settings["parameters"].get(player)]
        if there[1] != here[1]:
            differences.append(
                f"parameters of {player!r} in the order of its optimizers: {there[1]} there, {here[1]} here"
            )
        elif len(there[0]) != len(here[0]):
            differences.append(f"optimizers of {player!r}: {len(there[0])} groups there, {len(here[0])} here")
        else:  # an option that only one version of torch knows is at its default
            for theirs_, mine_ in zip(there[0], _plain(here[0])):
                differences += [
                    f"optimizers of {player!r}: {option}={theirs_[option]!r} there, {mine_[option]!r} here"
                    for option in sorted(theirs_.keys() & mine_.keys())
                    if theirs_[option] != mine_[option]
                ]
    for name, value in _plain(run).items():
        there = settings["run"].get(name)
        if name == "game":
            there = there if isinstance(there, dict) else {}
            differences += [
                f"another {part}" for part in sorted(value.keys() | there.keys()) if there.get(part) != value.get(part)
            ]
        elif name not in ("start", "into_epoch") and there != value:  # where the call began: the file knows
            differences.append(f"{name}: {there!r} there, {value!r} here")
    if differences:
        raise CheckpointError(
            f"{path} belongs to another game or run; name another file or delete it. "
            f"Differences: {'; '.join(differences)}"
        )


def _in_order(game: Game, optimizer: torch.optim.Optimizer) -> list[tuple[str, torch.Tensor]]:
    """The optimiser's parameters by name, in its own order, which parameter groups may change."""
    names = {parameter: name for name, parameter in game.nets.named_parameters()}
    order = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    return [(names.get(parameter, "?"), parameter) for parameter in order]


def _plain(value: object) -> Any:
    """As JSON gives it back: tuples are lists, tensors and numpy's numbers are numbers."""
    return json.loads(json.dumps(value, default=lambda v: v.tolist() if hasattr(v, "tolist") else repr(v)))


def _laid_out_like(parameter: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Moments in their parameter's memory layout: fused kernels walk both side by side."""
    if value.shape != parameter.shape:
        return value
    return torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def _without_lr(groups: list[dict]) -> list[dict]:
    """A schedule moves "lr"; "initial_lr" is what identifies the run."""
    return [{name: value for name, value in group.items() if name != "lr"} for group in groups]


def _within(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name[len(prefix) :]: t for name, t in tensors.items() if name.startswith(prefix)}


def _digest(tensors: dict[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _free(path: Path) -> str:
    try:
        return f", {shutil.disk_usage(path.parent).free:,} are free"
    except OSError:
        return ""
