"""The same game, many times: copies that differ in seed and learning rate, trained by one call.

A copy is what ``belamy.game.fit`` makes of the game with that seed and learning rate: the same initial
weights, batches and noise, so the same result but for rounding. On CUDA all copies are one batched
program (``torch.func``), since one small game leaves the device idle. On a CPU, where a copy's weights
should stay in a core's cache, they are shared out to one-thread processes.
"""

import copy
import itertools
import os
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.optim import SGD, Adam, RMSprop

from belamy import losses
from belamy._checks import real_number, whole_number
from belamy._devices import double
from belamy._progress import bar
from belamy.data.image_set import ImageSet
from belamy.errors import InputError, NonFiniteLoss, optional
from belamy.game import Batch, Game, Group, History, Noise, Player, fit
from belamy.game.batches import Batches
from belamy.game.device import autocast, pick_device, rng_state
from belamy.game.fit import not_to_be_minimised, planned_rounds, total_and_terms
from belamy.game.initialise import initialise
from belamy.randomness import key

METHODS = ("auto", "batched", "processes", "one by one")
BATCHABLE = (SGD, Adam, RMSprop)  # of which a step is the learning rate times what the gradients say


@dataclass(frozen=True)
class Copy:
    """One trained copy of the game.

    Attributes:
        seed, lr: what makes it differ from the others.
        weights: state dict of the game's nets, on the CPU: ``game.nets.load_state_dict(copy.weights)``.
        history: its losses, round by round.
        failure: empty, or why it stopped early (its loss became NaN or infinite); its weights are
            then those before the bad step.
    """

    seed: int
    lr: float
    weights: dict[str, Tensor] = field(repr=False)
    history: History = field(repr=False)
    failure: str = ""


def train(
    game: Game,
    data: ImageSet | Tensor,
    *,
    seeds: Iterable[int] = (0,),
    rates: Iterable[float],
    optimizer: Callable[..., torch.optim.Optimizer] = SGD,
    epochs: int | None = None,
    rounds: int | None = None,
    batch_size: int = 64,
    device: str | torch.device | None = None,
    precision: str = "fp32",
    method: str = "auto",
    jobs: int | None = None,
    progress: bool = True,
) -> list[Copy]:
    """Train a copy of an untrained game for every learning rate and every seed.

    Args:
        game: stays as it is; the nets in its ``pretrained`` start alike in all copies.
        optimizer: called as ``optimizer(parameters, lr=rate)``: ``SGD``, ``partial(Adam, eps=1e-6)``.
        epochs, rounds, batch_size, device, precision: as in ``fit``.
        method: "batched" trains all copies in one program, "processes" each in a process of one
            thread, "one by one" each in turn, here. "auto" is "batched" on CUDA where the game can be
            (no running statistics, no dropout, no alternating group, SGD, Adam or RMSprop without
            weight decay), "processes" on the CPU, else "one by one".
        jobs: processes at a time; by default one for each core.

    Returns:
        One ``Copy`` for each learning rate and seed: all seeds of the first rate, then of the next.
        A copy whose loss stops being finite ends there; the others go on.

    Raises:
        InputError: an argument cannot be used, or the method does not suit the game.
    """
    # What can be wrong is found before anything is trained.
    copies = [(real_number("learning rate", lr, above=0), seed) for lr in rates for seed in seeds]
    if not copies:
        raise InputError("no copies: seeds and rates need at least one value each")
    if len(set(copies)) < len(copies):
        raise InputError("two copies are alike: give every seed and every rate once")
    for _, seed in copies:
        key(seed)
    if game.rounds:
        raise InputError(f"the game has played {game.rounds} rounds; copies start from an untrained one")
    device, obstacle = pick_device(device), _obstacle(game, optimizer)
    jobs = whole_number("jobs", os.cpu_count() or 1 if jobs is None else jobs, 1)
    if method == "auto" and device.type == "cuda":
        method = "one by one" if obstacle else "batched"
    elif method == "auto":
        method = "processes" if device.type == "cpu" and len(copies) > 1 else "one by one"
    if method not in METHODS:
        raise InputError(f"method={method!r} is not one of {', '.join(map(repr, METHODS))}")
    if method == "batched" and obstacle:
        raise InputError(f"{obstacle}: pass method='processes' or 'one by one'")
    if method == "processes" and device.type != "cpu":
        raise InputError(f"method='processes' is for the CPU, not for {device}: pass device='cpu'")

    if method == "batched":
        batches = {seed: Batches(data, batch_size, seed, device, game.dtype) for _, seed in copies[:1]}
        for _, seed in copies[1:]:  # the rows are shared, the order is each seed's own
            batches.setdefault(seed, next(iter(batches.values())).of_seed(seed))
        length = planned_rounds(epochs, rounds, batches[copies[0][1]].per_epoch, max(t.steps for t in game.turns))
        return _batched(game, batches, copies, optimizer, autocast(precision, device), length, progress)
    # Nets, not the game, travel to other processes: a Game is made there, with the copy's own weights.
    fresh = {name: net for name, net in game.nets.items() if name not in game.pretrained}
    train_one = partial(_alone, fresh, game.turns, {name: game.nets[name] for name in game.pretrained}, data, optimizer,
                        {"epochs": epochs, "rounds": rounds, "batch_size": batch_size, "device": device,
                         "precision": precision, "progress": False})  # fmt: skip
    if method == "one by one":
        return [train_one(lr, seed) for lr, seed in bar(copies, show=progress, unit="copy")]
    joblib = optional("joblib", "training in several processes")
    pool = joblib.Parallel(n_jobs=min(jobs, len(copies)), backend="loky", return_as="generator")
    done = pool(joblib.delayed(_in_process)(train_one, lr, seed) for lr, seed in copies)
    return list(bar(done, show=progress, total=len(copies), unit="copy"))


def _in_process(train_one: Callable, lr: float, seed: int) -> Copy:
    torch.set_num_threads(1)
    return train_one(lr, seed)


def _alone(nets, turns, pretrained, data, optimizer, settings, lr: float, seed: int) -> Copy:
    """Train one copy with ``fit``."""
    game = Game(copy.deepcopy(nets), turns, seed=seed, pretrained=copy.deepcopy(pretrained))
    failure = ""
    try:
        fit(game, data, seed=seed, optimizer=partial(optimizer, lr=lr), **settings)
    except NonFiniteLoss as error:
        failure = str(error)
    game.history.flush()
    return Copy(seed, lr, {n: v.detach().cpu() for n, v in game.nets.state_dict().items()}, game.history, failure)


class _Losses(nn.Module):
    """What ``functional_call`` calls with the weights of one copy: the losses of one turn."""

    def __init__(self, nets: nn.ModuleDict) -> None:
        super().__init__()
        self.nets = nets

    def forward(self, turn: Player | Group, batch: Batch, noise: "_Draws") -> tuple[dict, dict]:
        given = turn.forward(self.nets, batch, noise) if isinstance(turn, Group) else noise
        totals, log = {}, {}
        for player in turn.players if isinstance(turn, Group) else (turn,):
            totals[player.name], terms = total_and_terms(player, player.loss(self.nets, batch, given))
            log |= {name: torch.as_tensor(value) for name, value in terms.items()}
        return totals, log


class _Draws:
    """``Noise`` within ``vmap``: every seed draws from its own generator, every copy sees its own."""

    def __init__(self, noises: list[Noise], which: Tensor) -> None:
        self.noises, self.which = noises, which  # which: of the noises, (1,) for one copy
        self.step, self.total, self.device, self.dtype = (
            getattr(noises[0], part) for part in ("step", "total", "device", "dtype")
        )

    def __getattr__(self, kind: str) -> Callable[..., Tensor]:
        """normal, uniform, integers, permutation."""
        return lambda *shape: torch.stack([getattr(n, kind)(*shape) for n in self.noises]).index_select(
            0, self.which
        ).squeeze(0)


def _batched(
    game: Game, batches: dict[int, Batches], copies: list, optimizer: Callable,
    context: AbstractContextManager, length: int, progress: bool,
) -> list[Copy]:  # fmt: skip
    """Train all K copies as one program: every weight has one more dimension, the copies' (K)."""
    seeds, device = list(batches), next(iter(batches.values())).device
    noises = [Noise(device, dtype=game.dtype) for _ in seeds]
    which = torch.tensor([seeds.index(seed) for _, seed in copies], device=device)  # (K,)
    rates = torch.tensor([lr for lr, _ in copies], dtype=torch.float32).to(device)
    if game.dtype == torch.float64:
        rates = torch.tensor([lr for lr, _ in copies], dtype=torch.float64, device=device)
    starts = {seed: _first_weights(game, seed) for seed in seeds}
    state = {name: torch.stack([starts[seed][name] for _, seed in copies]).to(device) for name in starts[seeds[0]]}
    member = _Losses(copy.deepcopy(game.nets).to(device).train())
    owned = {
        player.name: [
            f"nets.{name}.{n}"
            for name in player.nets
            for n, weight in game.nets[name].named_parameters()
            if weight.requires_grad
        ]
        for player in game.players
    }
    # Torch's own optimisers know one learning rate: each moves zeros at the rate 1, and what has become of
    # those is added to the weights, times every copy's rate.
    moves = {p: [torch.zeros_like(state[name]) for name in names] for p, names in owned.items()}
    optimizers = {p: optimizer(moves[p], lr=1.0) for p in owned}
    alive = torch.ones(len(copies), dtype=torch.bool, device=device)
    lived = torch.zeros(len(copies), dtype=torch.int64, device=device)
    steps = dict.fromkeys(owned, 0)
    logs: list[dict[str, Tensor]] = []

    for _ in bar(range(length), show=progress, unit="round"):
        logs.append({})
        for turn in (turn for turn in game.turns for _ in range(turn.steps)):
            players = turn.players if isinstance(turn, Group) else (turn,)
            step = steps[players[0].name]
            index = torch.stack([batches[seed].draw(turn.name, step).index for seed in seeds])  # (seeds, B)
            for noise, seed in zip(noises, seeds):
                noise.at(seed, turn.name, step, length * turn.steps)
            moving = {name for player in players for name in owned[player.name]}
            state = {name: value.detach().requires_grad_(name in moving) for name, value in state.items()}

            # All copies' losses: (K,) each.
            def of_one_copy(weights, index, which):
                batch = Batch(batches[seeds[0]].sets[""], index)  # noqa: B023
                return functional_call(member, weights, (turn, batch, _Draws(noises, which)))  # noqa: B023

            before = rng_state(device) if step == 0 else None
            try:
                with context, losses.checking_values(False):  # a value cannot be looked at inside vmap
                    totals, log = vmap(of_one_copy, randomness="same")(state, index[which], which[:, None])
            except RuntimeError as error:
                if "vmap" not in str(error):
                    raise
                raise InputError(
                    f"the loss of {turn.name} cannot be batched ({error}); pass method='processes' or 'one by one'"
                ) from error
            if before is not None and not torch.equal(before, rng_state(device)):
                raise InputError(
                    f"{turn.name} draws from torch's own generator, which copies would share: draw from the "
                    "loss's noise, or pass method='processes' or 'one by one'"
                )
            for player in players:
                if not totals[player.name].requires_grad:
                    raise not_to_be_minimised(player, repr(totals[player.name]))
            logs[-1] |= {name: value.detach() for name, value in log.items()}

            # Copies are independent: the gradient of their sum is each one's own. One that is not finite stops.
            for left, player in zip(reversed(range(len(players))), players):
                found = torch.autograd.grad(
                    totals[player.name].sum(), [state[name] for name in owned[player.name]], retain_graph=left > 0,
                    allow_unused=True,
                )  # fmt: skip
                alive &= totals[player.name].isfinite()
                for move, gradient in zip(moves[player.name], found):
                    move.grad = gradient
                    if gradient is not None:
                        alive &= gradient.flatten(1).isfinite().all(1)
            with torch.no_grad():
                for player in players:
                    optimizers[player.name].step()
                    for name, move in zip(owned[player.name], moves[player.name]):
                        shape = (-1, *[1] * (move.dim() - 1))
                        state[name] += torch.where(alive.view(shape), rates.view(shape) * move, 0)
                        move.zero_()
                    steps[player.name] += 1
        lived += alive

    # Apart again: each copy's weights, and its history as far as it came.
    lasted, weights = lived.tolist(), {name: value.detach().cpu() for name, value in state.items()}
    table = [torch.stack([double(value) for value in log.values()]).T.tolist() for log in logs]  # rounds of K rows
    busiest, per_epoch = max(turn.steps for turn in game.turns), batches[seeds[0]].per_epoch
    trained = []
    for k, (lr, seed) in enumerate(copies):
        history = History()
        for number in range(lasted[k]):
            history.record(number * busiest // per_epoch, dict(zip(logs[number], table[number][k])))
        history.flush()
        failure = "" if lasted[k] == length else f"a loss became NaN or infinite in round {lasted[k]}"
        own = {name.removeprefix("nets."): value[k].clone() for name, value in weights.items()}
        trained.append(Copy(seed, lr, own, history, failure))
    return trained


def _first_weights(game: Game, seed: int) -> dict[str, Tensor]:
    """What ``fit`` would start from: parameters and buffers by name."""
    nets = copy.deepcopy(game.nets)
    for name, net in nets.items():
        if name not in game.pretrained:
            initialise(net, seed, name)
    named = itertools.chain(nets.named_parameters(), nets.named_buffers())
    return {f"nets.{name}": value.detach().clone() for name, value in named}


def _obstacle(game: Game, optimizer: Callable) -> str:
    """Why the game cannot be one batched program, or nothing."""
    for name, net in game.nets.items():
        for module in net.modules():
            tracked = isinstance(module, _NormBase) and module.running_mean is not None
            if tracked or isinstance(module, _SpectralNorm):
                return f"net {name!r} keeps running statistics ({type(module).__name__})"
            if isinstance(module, _DropoutNd):
                return f"net {name!r} has dropout"
    if any(isinstance(turn, Group) and turn.alternating for turn in game.turns):
        return "the game has an alternating group"
    kind, options = optimizer, {}
    if isinstance(optimizer, partial):
        kind, options = optimizer.func, optimizer.keywords
    if kind not in BATCHABLE or options.get("weight_decay") or options.get("fused"):
        return f"optimizer {optimizer!r} is not SGD, Adam or RMSprop without weight decay"
    return ""
