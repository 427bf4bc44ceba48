"""The same game, many times: copies that differ in seed and learning rate, trained by one call.

A copy is what ``belamy.game.fit`` makes of the game with that seed and learning rate: the same initial
weights, batches and noise, so the same result but for rounding. On CUDA all copies are one batched
program (``torch.func``), since one small game leaves the device idle. On a CPU, where a copy's weights
should stay in a core's cache, they are shared out to one-thread processes.
"""

import copy
import itertools
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial, reduce

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.optim import SGD, Adam
from tqdm.auto import tqdm

from belamy import losses
from belamy.data.image_set import ImageSet
from belamy.errors import InputError, NonFiniteLoss, optional
from belamy.game import Batch, Game, Group, History, Noise, Player, fit
from belamy.game.batches import Batches
from belamy.game.device import autocast, double, float64_device, pick_device, rng_state
from belamy.game.fit import planned_rounds
from belamy.game.initialise import initialise

METHODS = ("auto", "batched", "processes", "one by one")
BATCHED_OPTIONS = {SGD: frozenset(), Adam: frozenset({"betas", "eps"})}


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
            (no running statistics, no dropout, no alternating group, plain SGD or Adam), "processes"
            on the CPU, else "one by one".
        jobs: processes at a time; by default one for each core.

    Returns:
        One ``Copy`` for each learning rate and seed: all seeds of the first rate, then of the next.
        A copy whose loss stops being finite ends there; the others go on.

    Raises:
        InputError: an argument cannot be used, or the method does not suit the game.
    """
    copies = list(itertools.product(rates, seeds))
    device = pick_device(device)
    _check(game, copies, method, jobs)
    obstacle = _obstacle(game, optimizer)
    if method == "auto":
        if device.type == "cuda":
            method = "one by one" if obstacle else "batched"
        else:
            method = "processes" if device.type == "cpu" and len(copies) > 1 else "one by one"
    if method == "batched" and obstacle:
        raise InputError(f"{obstacle}: pass method='processes' or 'one by one'")
    if method == "processes" and device.type != "cpu":
        raise InputError(f"method='processes' is for the CPU, not for {device}: pass device='cpu'")
    hidden = not progress or "TQDM_DISABLE" in os.environ
    if method == "batched":
        batch = partial(Batches, data, batch_size, device=device)
        return _Batched(game, batch, copies, optimizer, autocast(precision, device), hidden).train(epochs, rounds)
    settings = {"epochs": epochs, "rounds": rounds, "batch_size": batch_size, "device": device}
    train_part = partial(_one_by_one, dict(game.nets), game.turns, game.pretrained, data, optimizer,
                         settings | {"precision": precision, "progress": False})  # fmt: skip
    if method == "one by one":
        parts = (train_part([c]) for c in copies)
        return [done for part in tqdm(parts, total=len(copies), unit="copy", disable=hidden) for done in part]
    return _in_processes(train_part, copies, jobs or os.cpu_count() or 1, hidden)


def _in_processes(train_part: Callable, copies: list, jobs: int, hidden: bool) -> list[Copy]:
    joblib = optional("joblib", "training in several processes")
    size = max(1, len(copies) // (4 * jobs))  # few enough parts that the data travel seldom
    parts = [copies[start : start + size] for start in range(0, len(copies), size)]
    pool = joblib.Parallel(n_jobs=min(jobs, len(parts)), backend="loky", return_as="generator")
    done = pool(joblib.delayed(_alone)(train_part, part) for part in parts)
    return [c for part in tqdm(done, total=len(parts), unit="part", disable=hidden) for c in part]


def _alone(train_part: Callable, copies: list) -> list[Copy]:
    torch.set_num_threads(1)
    return train_part(copies)


def _one_by_one(nets, turns, pretrained, data, optimizer, settings, copies) -> list[Copy]:
    trained = []
    for lr, seed in copies:
        fresh = copy.deepcopy(nets)
        trained_before = {name: fresh.pop(name) for name in pretrained}
        game = Game(fresh, turns, seed=seed, pretrained=trained_before)
        failure = ""
        try:
            fit(game, data, seed=seed, optimizer=partial(optimizer, lr=lr), **settings)
        except NonFiniteLoss as error:
            failure = str(error)
        game.history.flush()
        weights = {name: value.detach().cpu() for name, value in game.nets.state_dict().items()}
        trained.append(Copy(seed, lr, weights, game.history, failure))
    return trained


class _Member(nn.Module):
    """What ``functional_call`` calls with the weights of one copy: the losses of one turn."""

    def __init__(self, nets: nn.ModuleDict) -> None:
        super().__init__()
        self.nets = nets

    def forward(self, turn: Player | Group, batch: Batch, noise: "_Draws") -> dict[str, Tensor]:
        given = turn.forward(self.nets, batch, noise) if isinstance(turn, Group) else noise
        players = turn.players if isinstance(turn, Group) else (turn,)
        terms = [_named(player, player.loss(self.nets, batch, given)) for player in players]
        return {name: value for named in terms for name, value in named.items()}


class _Draws:
    """``Noise`` within ``vmap``: every seed draws from its own generator, every copy sees its own."""

    def __init__(self, noises: Sequence[Noise], which: Tensor) -> None:
        self.noises, self.which = noises, which  # which: of the noises, (1,) for one copy
        self.device = noises[0].device

    def normal(self, *shape: int) -> Tensor:
        return self._mine([noise.normal(*shape) for noise in self.noises])

    def uniform(self, *shape: int) -> Tensor:
        return self._mine([noise.uniform(*shape) for noise in self.noises])

    def _mine(self, draws: list[Tensor]) -> Tensor:
        return torch.stack(draws).index_select(0, self.which).squeeze(0)


class _Batched:
    """All copies as one program: every weight has one more dimension, the copies' (K)."""

    def __init__(self, game: Game, batches: Callable, copies: list, optimizer, context, hidden: bool) -> None:
        self.turns, self.copies, self.hidden = game.turns, copies, hidden
        self.context: AbstractContextManager = context
        seeds = list(dict.fromkeys(seed for _, seed in copies))
        first = batches(seed=seeds[0])
        self.batches = [first]
        for seed in seeds[1:]:  # the rows are shared, the order is each seed's own
            other = copy.copy(first)
            other.seed, other._orders = seed, {}
            self.batches.append(other)
        self.device = first.device
        self.noises = [Noise(self.device) for _ in seeds]
        self.which = torch.tensor([seeds.index(seed) for _, seed in copies], device=self.device)
        place = float64_device(self.device)
        self.rates = torch.tensor([lr for lr, _ in copies], dtype=torch.float64, device=place)
        starts = [_first_weights(game, seed) for seed in seeds]
        self.names = list(starts[0])
        every = [starts[seeds.index(seed)] for _, seed in copies]
        self.state = {name: torch.stack([s[name] for s in every]).to(self.device) for name in self.names}
        self.member = _Member(copy.deepcopy(game.nets).to(self.device).train())
        fixed = {f"nets.{n}" for n, p in game.nets.named_parameters() if not p.requires_grad}
        parameters = [f"nets.{n}" for n, _ in game.nets.named_parameters()]
        self.owned = {
            p.name: [n for n in parameters if n.split(".")[1] in p.nets and n not in fixed] for p in game.players
        }
        self.step_of = {p.name: 0 for p in game.players}
        self.optimizer = {p.name: _Optimizer(optimizer, self.rates) for p in game.players}
        self.alive = torch.ones(len(copies), dtype=torch.bool, device=self.device)
        self.rounds_alive = torch.zeros(len(copies), dtype=torch.int64, device=self.device)

    def train(self, epochs: int | None, rounds: int | None) -> list[Copy]:
        per_epoch, busiest = self.batches[0].per_epoch, max(turn.steps for turn in self.turns)
        log: list[dict[str, Tensor]] = []
        for _ in tqdm(range(planned_rounds(epochs, rounds, per_epoch, busiest)), unit="round", disable=self.hidden):
            log.append({})
            for turn in self.turns:
                for _ in range(turn.steps):
                    log[-1] |= self._step(turn)
            self.rounds_alive += self.alive
        return self._copies(log, per_epoch, busiest)

    def _step(self, turn: Player | Group) -> dict[str, Tensor]:
        players = turn.players if isinstance(turn, Group) else (turn,)
        step = self.step_of[players[0].name]
        index = torch.stack([batches.draw(turn.name, step).index for batches in self.batches])
        for noise, batches in zip(self.noises, self.batches):
            noise.at(batches.seed, turn.name, step)
        moving = {name for player in players for name in self.owned[player.name]}
        state = {name: value.requires_grad_(name in moving) for name, value in self.state.items()}
        before = rng_state(self.device) if step == 0 else None
        with self.context:
            terms = self._losses(turn, state, index)
        if before is not None and not torch.equal(before, rng_state(self.device)):
            raise InputError(
                f"{turn.name} draws from torch's own generator, which copies would share: draw from the "
                "loss's noise, or pass method='processes' or 'one by one'"
            )
        gradients = {}
        for player in players:
            if not terms[player.name].requires_grad:
                raise InputError(_no_loss(player, terms[player.name]))
        for left, player in enumerate(reversed(players)):
            mine = [state[name] for name in self.owned[player.name]]
            total = terms[player.name].sum()  # copies are independent: each gets its own gradient
            retain = left < len(players) - 1
            gradients[player.name] = torch.autograd.grad(total, mine, retain_graph=retain, allow_unused=True)
        self._move(players, terms, gradients)
        return {name: value.detach() for name, value in terms.items()}

    def _losses(self, turn: Player | Group, state: dict[str, Tensor], index: Tensor) -> dict[str, Tensor]:
        def of_one_copy(state, index, which):
            batch, noise = Batch(self.batches[0].sets[""], index), _Draws(self.noises, which)
            return functional_call(self.member, state, (turn, batch, noise))

        try:
            with losses.checking_values(False):  # a value cannot be looked at inside vmap
                return vmap(of_one_copy, randomness="same")(state, index[self.which], self.which[:, None])
        except RuntimeError as error:
            if "vmap" not in str(error):
                raise
            raise InputError(
                f"the loss of {turn.name} cannot be batched ({error}); pass method='processes' or 'one by one'"
            ) from error

    @torch.no_grad()
    def _move(self, players: Sequence[Player], terms: dict[str, Tensor], gradients: dict) -> None:
        for player in players:
            self.alive &= terms[player.name].isfinite()
            for gradient in gradients[player.name]:
                if gradient is not None:
                    self.alive &= gradient.flatten(1).isfinite().all(1)
        for player in players:
            self.optimizer[player.name].step(
                [self.state[name] for name in self.owned[player.name]], gradients[player.name], self.alive
            )
            self.step_of[player.name] += 1

    def _copies(self, log: list[dict[str, Tensor]], per_epoch: int, busiest: int) -> list[Copy]:
        columns = list(log[0]) if log else []
        values = [torch.stack([double(row[c]) for c in columns], 1) for row in log]  # (K, columns) a round
        table = torch.stack(values, 1).tolist() if values else [[] for _ in self.copies]
        played, trained = self.rounds_alive.tolist(), []
        state = {name: value.detach().cpu() for name, value in self.state.items()}
        for k, (lr, seed) in enumerate(self.copies):
            history = History()
            history.columns, history.values = columns, table[k][: played[k]]
            history.epochs = [number * busiest // per_epoch for number in range(played[k])]
            weights = {name.removeprefix("nets."): value[k].clone() for name, value in state.items()}
            failure = "" if played[k] == len(log) else f"a loss became NaN or infinite in round {played[k]}"
            trained.append(Copy(seed, lr, weights, history, failure))
        return trained


class _Optimizer:
    """SGD or Adam with a learning rate for each copy; copies that are not alive stand still."""

    def __init__(self, factory: Callable, rates: Tensor) -> None:
        self.adam = _kind(factory) is Adam
        options = {"betas": (0.9, 0.999), "eps": 1e-8} | getattr(factory, "keywords", {})
        self.betas, self.eps, self.rates = options["betas"], options["eps"], rates
        self.moments: dict[int, tuple[Tensor, Tensor]] = {}
        self.steps = 0

    def step(self, parameters: list[Tensor], gradients: Sequence[Tensor | None], alive: Tensor) -> None:
        self.steps += 1
        for number, (p, g) in enumerate(zip(parameters, gradients)):
            if g is None:
                continue
            shape = (-1, *[1] * (p.ndim - 1))
            rate = self.rates.to(p).view(shape)
            change = rate * (self._adam(number, g) if self.adam else g)
            p.sub_(torch.where(alive.view(shape), change, torch.zeros_like(change)))

    def _adam(self, number: int, g: Tensor) -> Tensor:
        b1, b2 = self.betas
        m, v = self.moments.setdefault(number, (torch.zeros_like(g), torch.zeros_like(g)))
        m.lerp_(g, 1 - b1)
        v.mul_(b2).addcmul_(g, g, value=1 - b2)
        denominator = (v.sqrt() / (1 - b2**self.steps) ** 0.5).add_(self.eps)
        return m / (1 - b1**self.steps) / denominator


def _named(player: Player, loss: Tensor | Mapping[str, Tensor]) -> dict[str, Tensor]:
    """As ``fit`` names a loss and its terms; whether it can be differentiated shows outside ``vmap``."""
    named = {}
    if isinstance(loss, Mapping):
        parts = {n: t if isinstance(t, losses.Term) else losses.Term(t) for n, t in loss.items()}
        named = {f"{player.name}/{name}": part.value for name, part in parts.items()}
        weighted = [p.value if p.weight is losses.Term.weight else p.weight * p.value for p in parts.values()]
        loss = reduce(torch.add, weighted)
    if not isinstance(loss, Tensor) or loss.dim():
        raise InputError(_no_loss(player, loss))
    return {player.name: loss, **named}


def _no_loss(player: Player, loss: object) -> str:
    return (
        f"the loss of player {player.name!r} must be a scalar that depends on the parameters of "
        f"{list(player.nets)}; it is {loss!r}"
    )


def _first_weights(game: Game, seed: int) -> dict[str, Tensor]:
    """What ``fit`` would start from: parameters and buffers by name."""
    nets = copy.deepcopy(game.nets)
    for name, net in nets.items():
        if name not in game.pretrained:
            initialise(net, seed, name)
    named = itertools.chain(nets.named_parameters(), nets.named_buffers())
    return {f"nets.{name}": value.detach().clone() for name, value in named}


def _kind(optimizer: Callable) -> Callable:
    return optimizer.func if isinstance(optimizer, partial) else optimizer


def _obstacle(game: Game, optimizer: Callable) -> str:
    """Why the game cannot be one batched program, or nothing."""
    for name, net in game.nets.items():
        for module in net.modules():
            if isinstance(module, _SpectralNorm) or getattr(module, "running_mean", None) is not None:
                if isinstance(module, (_SpectralNorm, _NormBase)):
                    return f"net {name!r} keeps running statistics ({type(module).__name__})"
            if isinstance(module, _DropoutNd):
                return f"net {name!r} has dropout"
    if any(isinstance(turn, Group) and turn.alternating for turn in game.turns):
        return "the game has an alternating group"
    options = set(getattr(optimizer, "keywords", {})) - {"lr"}
    if _kind(optimizer) not in BATCHED_OPTIONS or options - BATCHED_OPTIONS[_kind(optimizer)]:
        return f"optimizer {optimizer!r} is not plain SGD, or Adam with betas and eps"
    return ""


def _check(game: Game, copies: list, method: str, jobs: int | None) -> None:
    if method not in METHODS:
        raise InputError(f"method={method!r} is not one of {', '.join(map(repr, METHODS))}")
    if not copies:
        raise InputError("no copies: seeds and rates need at least one value each")
    if len(set(copies)) < len(copies):
        raise InputError("two copies are alike: give every seed and every rate once")
    for lr, seed in copies:
        if not isinstance(lr, (int, float)) or not 0 < lr < float("inf"):
            raise InputError(f"learning rate {lr!r} must be positive and finite")
        Noise(seed=seed)  # says what is wrong with a seed
    if game.rounds:
        raise InputError(f"the game has played {game.rounds} rounds; copies start from an untrained one")
    if jobs is not None and (not isinstance(jobs, int) or jobs < 1):
        raise InputError(f"jobs={jobs!r} must be a whole number of at least 1")
