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

FORMAT = 1


def write(path: str | os.PathLike, tensors: dict[str, torch.Tensor], settings: dict) -> None:
    """Write tensors and settings to one file, atomically.

    Raises:
        FileError: the file cannot be written; whatever stood there is still there.
    """
    path = Path(path)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    header = {"format": FORMAT, "digest": _digest(tensors), "settings": settings}
    payload = save(tensors, {"belamy": json.dumps(header)})
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


def read(path: str | os.PathLike) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read what ``write`` wrote: (tensors, settings).

    Raises:
        FileError: there is no such file.
        CheckpointError: the file is damaged or no checkpoint of belamy.
    """
    path = Path(path)
    if not path.is_file():
        raise FileError(f"no checkpoint at {path}; train with fit(..., checkpoint={str(path)!r})")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})["belamy"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise CheckpointError(
            f"{path} is damaged or no checkpoint of belamy ({error}); delete it and train again"
        ) from error
    if header.get("format") != FORMAT:
        raise CheckpointError(f"{path} has format {header.get('format')}; this belamy reads {FORMAT}")
    if header["digest"] != _digest(tensors):
        raise CheckpointError(f"{path} is damaged (its digest differs); delete it and train again")
    return tensors, header["settings"]


def save_game(path: str | os.PathLike, game: Game, run: dict) -> None:
    """Write all that training needs to go on: nets, buffers, optimisers, counters, history."""
    tensors = {f"nets/{name}": value for name, value in game.nets.state_dict().items()}
    groups = {}
    for player, optimizer in game.optimizers.items():
        state = optimizer.state_dict()
        groups[player] = _without_lr(state["param_groups"])
        for index, values in state["state"].items():
            for name, value in values.items():
                if value is not None:  # SGD without momentum
                    tensors[f"optimizers/{player}/{index}/{name}"] = torch.as_tensor(value)
    tensors |= {f"history/{name}": value for name, value in game.history.state().items()}
    write(path, tensors, {
        "run": run,
        "rounds": game.rounds,
        "steps": game.steps,
        "groups": json.loads(json.dumps(groups)),
        "columns": game.history.columns,
        "where": [game.device.type, torch.get_num_threads()],
    })  # fmt: skip


def load_game(path: str | os.PathLike, game: Game, run: dict) -> dict:
    """Bring the game to the state that ``save_game`` wrote; return the run it was in.

    Raises:
        CheckpointError: the checkpoint is of another game or another run (all differences are
            listed); the game is unchanged.
    """
    tensors, settings = read(path)
    nets = _within(tensors, "nets/")
    _check_same(path, game, nets, settings, run)
    game.nets.load_state_dict(nets)
    for player in game.players:
        optimizer, parameters = game.optimizers[player.name], game.parameters_of(player)
        state: dict[int, dict] = {}
        for name, value in _within(tensors, f"optimizers/{player.name}/").items():
            index, _, field = name.partition("/")
            state.setdefault(int(index), {})[field] = _laid_out_like(parameters[int(index)], value)
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})
    game.history.load_state(settings["columns"], _within(tensors, "history/"))
    game.rounds, game.steps = settings["rounds"], dict(settings["steps"])
    here = [game.device.type, torch.get_num_threads()]
    if settings["where"] != here:
        warnings.warn(
            f"{path} was written on {settings['where'][0]} with {settings['where'][1]} threads, "
            f"this is {here[0]} with {here[1]}: the run goes on, but not bit for bit",
            stacklevel=3,
        )
    return settings["run"]


def _check_same(path, game: Game, nets: dict, settings: dict, run: dict) -> None:
    mine = {name: tuple(value.shape) for name, value in game.nets.state_dict().items()}
    theirs = {name: tuple(value.shape) for name, value in nets.items()}
    differences = [f"missing there: {name}" for name in sorted(mine.keys() - theirs.keys())]
    differences += [f"only there: {name}" for name in sorted(theirs.keys() - mine.keys())]
    differences += [
        f"{name}: shape {theirs[name]} there, {mine[name]} here"
        for name in sorted(mine.keys() & theirs.keys())
        if mine[name] != theirs[name]
    ]
    groups = {name: _without_lr(o.state_dict()["param_groups"]) for name, o in game.optimizers.items()}
    here = json.loads(json.dumps({**run, "optimizers": groups}))
    there = {**settings["run"], "optimizers": settings["groups"]}
    differences += [
        f"{name}: {there.get(name)!r} there, {value!r} here"
        for name, value in here.items()
        if name != "start" and there.get(name) != value
    ]
    if differences:
        raise CheckpointError(
            f"{path} belongs to another game or run; name another file or delete it. "
            f"Differences: {'; '.join(differences)}"
        )


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
