"""The one loop that trains every game."""

import contextlib
import math
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import reduce
from pathlib import Path

import torch
from tqdm.auto import tqdm

from belamy.data.image_set import ImageSet
from belamy.errors import InputError, NonFiniteLoss
from belamy.game import checkpoint as checkpoints
from belamy.game.batches import Batches
from belamy.game.device import autocast, fork_rng, keep_freed_memory, pick_device, seeder, traits
from belamy.game.history import History
from belamy.game.initialise import initialise
from belamy.game.optimizers import Optimizer, adam, maskable, set_optimizers
from belamy.game.players import Game, Group, Player
from belamy.randomness import Noise


def fit(
    game: Game,
    data: ImageSet | torch.Tensor,
    *,
    epochs: int | None = None,
    rounds: int | None = None,
    batch_size: int = 64,
    optimizer: Optimizer | Mapping[str, Optimizer] = adam,
    schedule: Callable[[int], float] | None = None,
    seed: int = 0,
    device: str | torch.device | None = None,
    precision: str = "auto",
    callbacks: Sequence[Callable[[Game, int], None]] = (),
    checkpoint: str | Path | None = None,
    log_every: int = 50,
    progress: bool = True,
) -> History:
    """Train a game for a number of epochs or rounds; every player once (or ``steps`` times) a round.

    Called again, it goes on where it stopped. Ctrl-C ends it after the current round, with
    nets, optimisers and history intact.

    Args:
        data: an ImageSet (losses see float32 (B, C, H, W) in [0, 1]) or a float tensor of rows.
        epochs: passes over the data by the busiest player; or else ``rounds``.
        optimizer: ``partial(Adam, lr=3e-4)``, say, for all players, or a mapping by player name.
        schedule: factor of the learning rate as a function of the player's step.
        seed: initial weights, batches and noise are functions of it.
        device: by default $BELAMY_DEVICE, else the first of cuda, mps, cpu that the machine has.
        precision: "fp32", "bf16", or "auto": bf16 where CUDA hardware has it, else fp32.
        callbacks: called as ``callback(game, epoch)`` after every epoch (from 1), nets in
            evaluation mode.
        checkpoint: a file to write after every epoch and at the end. If it exists, the run that
            wrote it is resumed, on the CPU bit for bit as if it had never stopped.
        log_every: rounds between two looks at the losses; nothing else waits for the device.

    Returns:
        The game's history, with all rounds that it has played.

    Raises:
        InputError: an argument cannot be used; nothing was changed.
        NonFiniteLoss: a loss became NaN or infinite; nets are as before the bad step.
        CheckpointError: the checkpoint is damaged or of another run.
    """
    device = pick_device(device)
    batches = Batches(data, batch_size, seed, device)
    per_epoch = max(1, batches.per_epoch // max(turn.steps for turn in game.turns))
    length = _length(epochs, rounds, per_epoch)
    context = autocast(precision, device)
    if game.rounds == 0:
        for name, net in game.nets.items():
            if name not in game.keep:
                initialise(net, seed, name)
    game.nets.to(device, memory_format=traits(device).memory_format)
    set_optimizers(game, optimizer)
    run = {"start": game.rounds, "seed": seed, "batch_size": batch_size, "precision": precision}
    if checkpoint is not None:
        run["data"] = batches.checksum
        if Path(checkpoint).exists():
            run = checkpoints.load_game(checkpoint, game, run)
    loop = _Loop(game, batches, context, schedule, seed)
    end = run["start"] + length
    if device.type == "cpu":
        keep_freed_memory()
    hidden = not progress or "TQDM_DISABLE" in os.environ  # of which tqdm's notebook bar knows nothing
    bar = tqdm(total=length, initial=game.rounds - run["start"], unit="round", disable=hidden)
    game.history.interrupted = False
    with bar, loop, _stop_signals() as stop:
        while game.rounds < end and not stop:
            loop.play_round((game.rounds - run["start"]) // per_epoch)
            bar.update()
            played = game.rounds - run["start"]
            whole = played % per_epoch == 0
            if whole or game.rounds % log_every == 0 or game.rounds == end or stop:
                loop.check()
                bar.set_postfix({k: f"{v:.4g}" for k, v in game.history.flush().items()})
            if whole:
                loop.finish_epoch(callbacks, played // per_epoch)
                if checkpoint is not None and game.rounds < end:
                    checkpoints.save_game(checkpoint, game, run)
    if checkpoint is not None:
        checkpoints.save_game(checkpoint, game, run)
    if stop:
        game.history.interrupted = True
        if signal.SIGTERM in stop:
            raise SystemExit(128 + signal.SIGTERM)
        warnings.warn(f"interrupted after round {game.rounds}; call fit again to go on", stacklevel=2)
    return game.history


class _Loop:
    """One call of fit: plays rounds, and keeps what is needed to undo a bad step."""

    def __init__(self, game: Game, batches: Batches, context, schedule, seed: int) -> None:
        self.game, self.batches, self.context = game, batches, context
        self.schedule, self.seed = schedule, seed
        self.noise = Noise(batches.device)
        # Dropout inside nets draws from the global generator: it, too, becomes a function of the step.
        self.seed_dropout = seeder(batches.device)
        # On an accelerator nobody waits for a loss: a flag on the device masks all updates from
        # the first bad one on, where the optimiser can be masked, and ``check`` looks later.
        self.waits = traits(batches.device).waits
        self.bad = torch.zeros((), device=batches.device)
        self.parameters = {p.name: game.parameters_of(p) for p in game.players}
        self.buffers = {p.name: [b for n in p.nets for b in game.nets[n].buffers()] for p in game.players}
        self.checked = len(game.history)
        self.good = self._snapshot()

    def __enter__(self) -> "_Loop":
        self.game.nets.train()
        self.rng = fork_rng(self.batches.device)
        self.rng.__enter__()
        return self

    def __exit__(self, *error) -> None:
        self.game.end_turns()
        self.rng.__exit__(*error)

    def play_round(self, epoch: int) -> None:
        losses: dict[str, torch.Tensor] = {}
        for turn in self.game.turns:
            for _ in range(turn.steps):
                losses |= self._step(turn)
        self.game.history.record(epoch, losses)
        self.game.rounds += 1

    def _step(self, turn: Player | Group) -> dict[str, float | torch.Tensor]:
        """One player's step, or one step of every player of a group; returns what to log."""
        game, nets = self.game, self.game.nets
        grouped = isinstance(turn, Group)
        players = turn.players if grouped else (turn,)
        game.give_turn(players)
        step = game.steps[players[0].name]
        batch = self.batches.draw(turn.name, step)
        given = self.noise.at(self.seed, turn.name, step)
        self.seed_dropout(given.generator.initial_seed() ^ 1)
        saved = {p.name: [buffer.clone() for buffer in self.buffers[p.name]] for p in players}
        if grouped:
            with self.context:
                given = turn.forward(nets, batch, given)
        log: dict[str, float | torch.Tensor] = {}
        for movers in [(p,) for p in players] if grouped and turn.alternating else [players]:
            log |= self._move_together(movers, batch, given, saved)
        return log

    def _move_together(self, players, batch, given, saved) -> dict[str, float | torch.Tensor]:
        """Take the gradients of all these players, then let each take its step."""
        self.game.give_turn(players)
        with self.context:
            terms = {p.name: _terms(p, p.loss(self.game.nets, batch, given)) for p in players}
        log = {name: value for named in terms.values() for name, value in named.items()}
        log = self._guard(players, log, batch, saved)
        gradients, left = {}, len(players)
        for player in players:  # each player's gradient for its own parameters, and nothing else
            left -= 1
            gradients[player.name] = torch.autograd.grad(
                terms[player.name][player.name],
                self.parameters[player.name],
                retain_graph=left > 0,
                allow_unused=True,
            )
        for player in players:
            before = saved.pop(player.name)
            if not self.waits:
                for buffer, old in zip(self.buffers[player.name], before):
                    buffer.copy_(torch.where(self.bad > 0, old, buffer))
            self._move(player, gradients[player.name])
        return log

    def _move(self, player: Player, gradients: tuple) -> None:
        optimizer = self.game.optimizers[player.name]
        if self.schedule is not None:
            factor = self.schedule(self.game.steps[player.name])
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * factor
        if not self.waits and maskable(optimizer):
            optimizer.grad_scale, optimizer.found_inf = None, self.bad
        parameters = self.parameters[player.name]
        for parameter, gradient in zip(parameters, gradients):
            parameter.grad = gradient
        optimizer.step()
        for parameter in parameters:
            parameter.grad = None
        self.game.steps[player.name] += 1

    def _guard(self, players, log, batch, saved) -> dict[str, float | torch.Tensor]:
        """Mask the update if a loss is not finite, or stop; return the log, read where that is free."""
        if not self.waits and all(maskable(self.game.optimizers[p.name]) for p in players):
            log = {name: value.detach() for name, value in log.items()}
            for player in players:
                self.bad = torch.maximum(self.bad, 1 - torch.isfinite(log[player.name]).float())
            return log
        log = {name: value.item() for name, value in log.items()}
        if not all(math.isfinite(log[player.name]) for player in players):
            for name, before in saved.items():  # of those who have not moved yet
                for buffer, old in zip(self.buffers[name], before):
                    buffer.copy_(old)
            column = next(name for name, value in reversed(log.items()) if not math.isfinite(value))
            self._fail(self.game.rounds, column, batch)
        return log

    def check(self) -> None:
        """Read the losses; raise if one of them was not finite."""
        self.game.history.flush()
        found = self.game.history.first_non_finite(self.checked)
        self.checked = len(self.game.history)
        if found is not None:
            self._fail(*found, batch=None)

    def finish_epoch(self, callbacks, epoch: int) -> None:
        state = [*self.game.nets.parameters()]
        if state and not torch.stack([p.detach().sum() for p in state]).isfinite().all():
            self._fail(self.game.rounds, "parameters (a gradient was not finite)", None)
        self.good = self._snapshot()
        if callbacks:
            self.game.end_turns()
            for callback in callbacks:
                callback(self.game, epoch)
            self.game.nets.train()

    def _snapshot(self) -> list[torch.Tensor]:
        return [value.clone() for value in self.game.nets.state_dict().values()]

    def _fail(self, row: int, column: str, batch) -> None:
        kept = "parameters are as before that step"
        live = list(self.game.nets.state_dict().values())
        if not all(value.isfinite().all() for value in live):  # an earlier gradient was not
            kept = "parameters are those of the last whole epoch, optimisers start afresh"
            for value, good in zip(live, self.good):
                value.copy_(good)
            self.game.optimizers.clear()
        seen = "" if batch is None else f"; its batch lay in [{batch.x.min():.4g}, {batch.x.max():.4g}]"
        raise NonFiniteLoss(
            f"{column} became NaN or infinite in round {row}{seen}; {kept}. "
            "Try a smaller learning rate, or look for log(0), sqrt(0) or exp of large numbers"
        )


def _terms(player: Player, loss: torch.Tensor | Mapping[str, torch.Tensor]) -> dict:
    """Name a loss's total after its player, and its terms ``player/term``."""
    named = {}
    if isinstance(loss, Mapping):
        named = {f"{player.name}/{term}": value for term, value in loss.items()}
        loss = reduce(torch.add, loss.values())  # sum() would add to 0 first, which takes 5 us more
    if not isinstance(loss, torch.Tensor) or loss.dim() or not loss.requires_grad:
        raise InputError(
            f"the loss of player {player.name!r} must be a scalar that depends on the parameters "
            f"of {list(player.nets)}; it is {loss!r}"
        )
    return {player.name: loss, **named}


def _length(epochs: int | None, rounds: int | None, per_epoch: int) -> int:
    if (epochs is None) == (rounds is None):
        raise InputError("pass epochs=... or rounds=..., one of the two")
    count = epochs if rounds is None else rounds
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        raise InputError(f"epochs={epochs!r}, rounds={rounds!r}: a whole number is needed")
    return count if rounds is not None else epochs * per_epoch


@contextlib.contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM, so that a round is never cut in two; a second one is not held."""
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    caught = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in caught}

    def remember(number, _frame):
        received.append(number)
        for caught_number, handler in before.items():
            signal.signal(caught_number, handler)

    for number in caught:
        signal.signal(number, remember)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
