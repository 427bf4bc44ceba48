"""The one loop that trains every game."""

import contextlib
import math
import numbers
import signal
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from belamy._checks import whole_number
from belamy._devices import traits
from belamy._progress import bar
from belamy.errors import InputError, NonFiniteLoss
from belamy.game import checkpoint as checkpoints
from belamy.game import device as devices
from belamy.game.batches import Batches, Data
from belamy.game.guards import explained, stop_signals
from belamy.game.history import History
from belamy.game.identity import identity
from belamy.game.optimizers import Optimizer, adam, build_optimizers, hand_over, maskable, of_step_and_total
from belamy.game.players import Game, Group, Player
from belamy.game.pool import Pool
from belamy.losses import Term, checking_values
from belamy.randomness import Noise, key

Callback = Callable[[Game, int], Mapping[str, float] | None]
AS_USUAL = contextlib.nullcontext()


def fit(
    game: Game,
    data: Data | Mapping[str, Data],
    *,
    epochs: int | None = None,
    rounds: int | None = None,
    batch_size: int = 64,
    optimizer: Optimizer | Mapping[str, Optimizer] = adam,
    schedule: Callable[..., float] | None = None,
    seed: int = 0,
    device: str | torch.device | None = None,
    precision: str = "auto",
    callbacks: Callback | Sequence[Callback] = (),
    checkpoint: str | Path | None = None,
    log_every: int = 50,
    progress: bool = True,
) -> History:
    """Train a game for a number of epochs or rounds; every player once (or ``steps`` times) a round.

    Called again, it goes on where it stopped, and goes on counting. Ctrl-C ends it after the current
    round, with nets, optimisers and history intact. No weight changes but by an optimiser: initial
    weights are the affair of whoever made the nets, or of the ``Game``'s seed.

    While it trains on a CPU with glibc, freed memory is kept for reuse by the whole process, and
    handed back at the end.

    Args:
        data: an ImageSet (losses see floating point (B, C, H, W) in [0, 1]), a float tensor of rows,
            or several by name, ``{"photo": a, "painting": b}``, which losses see as ``batch.photo.x``.
        epochs: passes over the data (the largest set) by the player with the most steps a round; or
            else ``rounds``.
        optimizer: ``partial(Adam, lr=3e-4)``, say, or a mapping by player name, for players that
            bring none.
        schedule: factor of the learning rate, ``schedule(step, total)`` or ``schedule(step)``, for
            players that bring none.
        seed: batches and noise are functions of it.
        device: where to train; by default $BELAMY_DEVICE, else the first of cuda, mps, cpu that the
            machine has. Afterwards the nets are again where they were before.
        precision: "fp32", "bf16", or "auto": bf16 where CUDA hardware has it, else fp32.
        callbacks: called as ``callback(game, epoch)`` after every epoch (from 1, counted over all
            calls), nets in evaluation mode. Numbers that one returns by name, {"validation": 3.2},
            stand in the history.
        checkpoint: a file to write after every epoch and at the end. If it exists, the run that
            wrote it is resumed, on the CPU bit for bit as if it had never stopped. For a game that
            has itself come as far as the file, the call means what it means without one: so many
            epochs more, or the rest of an interrupted call.
        log_every: rounds between two looks at the losses; nothing else waits for the device.

    Returns:
        The game's history, with all rounds that it has played.

    Raises:
        InputError: an argument cannot be used, and nothing was changed; or a loss cannot, at its
            first step.
        NonFiniteLoss: a loss became NaN or infinite; nets are as before the bad step.
        FileError: the checkpoint cannot be written, which is found out before training.
        CheckpointError: the checkpoint is damaged, of another run or game, or older than the game.
    """
    # What can be wrong is found before anything changes.
    if not isinstance(game, Game):
        raise InputError(f"fit trains a Game, not a {type(game).__name__}")
    game.check()
    for name, parameter in game.nets.named_parameters():
        if nn.parameter.is_lazy(parameter):
            raise InputError(f"{name} has no shape yet (a lazy module): send one batch through the net first")
    planned_rounds(epochs, rounds, 1, 1)
    log_every = whole_number("log_every", log_every, 1)
    key(seed)
    callbacks = [callbacks] if callable(callbacks) else list(callbacks)
    for callback in callbacks:
        if not callable(callback):
            raise InputError(f"callbacks holds {callback!r}, which cannot be called")
    device = devices.pick_device(device)
    context = devices.autocast(precision, device)
    optimizers = build_optimizers(game, optimizer, device)
    schedules = {p.name: of_step_and_total(p.schedule or schedule) for p in game.players}
    batches = Batches(data, batch_size, seed, device, game.dtype)
    path = None if checkpoint is None else checkpoints.check_writable(checkpoint)

    # Nets go to their device, and afterwards back to where they were; optimisers go on from where those of
    # an earlier call were.
    with devices.visit(game.nets, device):
        for value in (*game.nets.parameters(), *game.nets.buffers()):
            if value.dim() == 4:  # the weights of convolutions of images, in the layout that is right and fast
                value.data = value.data.to(memory_format=traits(device).memory_format)
        for name, new in optimizers.items():
            hand_over(game.optimizers.get(name), new)
        fresh, game.optimizers = not any(game.steps.values()), optimizers
        if fresh:  # averages start at their nets' weights, whatever was loaded into those meanwhile
            for name, average in game.averages.items():
                game.nets[name].load_state_dict(game.nets[average.of].state_dict())

        # A round is one step, or several, of every player; an epoch is a pass over the data by the busiest.
        busiest = max(turn.steps for turn in game.turns)
        if game.into_epoch >= batches.per_epoch:  # the data are others now
            game.epochs, game.into_epoch = game.epochs + 1, 0
        run = {"start": game.rounds, "into_epoch": game.into_epoch, "seed": int(seed), "batch_size": batches.batch_size,
               "precision": "fp32" if isinstance(context, contextlib.nullcontext) else "bf16"}  # fmt: skip
        if path is not None:
            run |= {"data": batches.checksum, "game": identity(game)}
            if path.exists():
                played = game.rounds
                stored = checkpoints.load_game(path, game, run)
                if played < game.rounds or played == 0 or stored["interrupted"]:
                    run |= {name: stored[name] for name in ("start", "into_epoch")}
        length = planned_rounds(epochs, rounds, batches.per_epoch, busiest, run["into_epoch"])
        end = run["start"] + length
        total = {t.name: game.steps[_players(t)[0].name] + max(0, end - game.rounds) * t.steps for t in game.turns}

        training = _Training(game, batches, context, schedules, total, seed)
        told = bar(show=progress, total=length, initial=game.rounds - run["start"], unit="round")
        game.history.interrupted = False
        with told, devices.keep_freed_memory(device), training, stop_signals() as stop:
            while game.rounds < end and not stop:
                losses: dict[str, float | torch.Tensor] = {}
                for turn in game.turns:
                    for _ in range(turn.steps):
                        losses |= training.step(turn)
                game.history.record(game.epochs, losses)
                game.rounds += 1
                game.into_epoch += busiest
                told.update()

                whole = game.into_epoch >= batches.per_epoch
                if whole or game.rounds % log_every == 0 or game.rounds == end or stop:
                    training.check_losses()
                    told.set_postfix_str(_told(game.history.flush()))
                if whole:
                    training.check_parameters()
                    while game.into_epoch >= batches.per_epoch:  # a round of many steps may end several
                        game.epochs, game.into_epoch = game.epochs + 1, game.into_epoch - batches.per_epoch
                        if callbacks:
                            training.pause()
                            for callback in callbacks:
                                game.history.report(game.epochs, callback(game, game.epochs))
                            training.resume()
                    if path is not None and game.rounds < end:
                        checkpoints.save_game(path, game, run)
            game.history.interrupted = bool(stop) and game.rounds < end
        if path is not None:
            checkpoints.save_game(path, game, run)
        if stop:
            game.history.interrupted = True
            if signal.SIGTERM in stop:
                raise SystemExit(128 + signal.SIGTERM)
            warnings.warn(f"interrupted after round {game.rounds}; call fit again to go on", stacklevel=2)
    return game.history


def planned_rounds(epochs: int | None, rounds: int | None, per_epoch: int, busiest: int, into: int = 0) -> int:
    """Rounds to play: those asked for, or as many as the epochs take.

    An epoch is ``per_epoch`` batches of a player that takes ``busiest`` of them a round. Batches that the last
    round before took ``into`` the next epoch are not taken twice.

    Raises:
        InputError: neither is given or both are, or one is no whole number.
    """
    if (epochs is None) == (rounds is None):
        raise InputError("pass epochs=... or rounds=..., one of the two")
    if rounds is not None:
        return whole_number("rounds", rounds, 0)
    ahead = into if into < busiest else 0
    return math.ceil(max(0, whole_number("epochs", epochs, 0) * per_epoch - ahead) / busiest)


def _told(losses: Mapping[str, float], most: int = 72) -> str:
    """The losses for the progress bar, which they share a line with: a long name keeps its end."""
    names = {name: name if len(name) <= 20 else "…" + name[-19:] for name in losses}
    text = ", ".join(f"{names[name]}={value:.4g}" for name, value in losses.items())
    return text if len(text) <= most else text[: most - 1] + "…"


class _Training:
    """One call of fit: who may move, one step, and what is needed to undo a bad one."""

    def __init__(
        self,
        game: Game,
        batches: Batches,
        context: contextlib.AbstractContextManager,
        schedules: dict[str, Callable[[int, int], float] | None],
        total: dict[str, int],
        seed: int,
    ) -> None:
        self.game, self.batches, self.context = game, batches, context
        self.schedules, self.total, self.seed = schedules, total, seed
        self.noise = Noise(batches.device, dtype=game.dtype)
        # Dropout inside nets draws from the global generator: it, too, becomes a function of the step.
        self.seed_dropout = devices.seeder(batches.device)
        # On an accelerator nobody waits for a loss: a flag on the device masks all updates from
        # the first bad one on, and ``check_losses`` looks later.
        self.waits = traits(batches.device).waits
        self.bad = torch.zeros((), device=batches.device)
        self.taken = {p.name: torch.zeros((), device=batches.device) for p in game.players}  # since the last look
        self.begun: set[str] = set()  # players whose first step has been looked at closely
        self.checked, self.steps_then = len(game.history), dict(game.steps)
        self.good = self._weights()
        self.owned = {name for player in game.players for name in player.nets}

    def __enter__(self) -> "_Training":
        self.outer = contextlib.ExitStack()
        self.outer.enter_context(devices.fork_rng(self.batches.device))
        self.outer.enter_context(checking_values(False))
        self.resume()
        return self

    def __exit__(self, *error) -> None:
        self.pause()
        self.outer.close()

    def resume(self) -> None:
        """Set the modes for training: nets of players train, the others stand in evaluation mode."""
        nets = self.game.nets
        for name, net in nets.items():
            net.train(name in self.owned)
        self.pools = [module for module in nets.modules() if isinstance(module, Pool)]
        for pool in self.pools:
            pool.train()
        self.frozen_before = [(parameter, parameter.requires_grad) for parameter in nets.parameters()]
        self.parameters = {p.name: self.game.parameters_of(p) for p in self.game.players}
        self.free = {name: [p for p in net.parameters() if p.requires_grad] for name, net in nets.items()}
        # Running statistics are simply not tracked while a net stands still; what else a net remembers (the
        # vectors of a spectral norm, a codebook) is put back after the step.
        self.norms = {name: [m for m in net.modules() if isinstance(m, _NormBase) and m.running_mean is not None
                             and m.track_running_stats] for name, net in nets.items()}  # fmt: skip
        tracked = {m for modules in self.norms.values() for m in modules}
        self.holders = {name: [m for m in net.modules() if any(b is not None for b in m._buffers.values())
                               and not isinstance(m, Pool)] for name, net in nets.items()}  # fmt: skip
        self.remembering = {name: [m for m in held if m not in tracked] for name, held in self.holders.items()}
        self.moving: tuple[str, ...] | None = None

    def pause(self) -> None:
        """Give the nets back as they were, in evaluation mode."""
        for modules in self.norms.values():
            for module in modules:
                module.track_running_stats = True
        for parameter, moves in self.frozen_before:
            parameter.requires_grad = moves
        self.game.nets.eval()

    def let_move(self, players: Sequence[Player]) -> None:
        """Let only these players' nets move; of every other net, gradients flow through, not into it."""
        moving = tuple(name for player in players for name in player.nets)
        if moving == self.moving:
            return
        self.moving = moving
        for still in (True, False):  # nets may share parameters: who moves has the last word
            for name in self.game.nets:
                if (name not in moving) == still:
                    for parameter in self.free[name]:
                        parameter.requires_grad = not still
                    for module in self.norms[name]:
                        module.track_running_stats = not still

    def step(self, turn: Player | Group) -> dict[str, float | torch.Tensor]:
        """One player's step, or one step of every player of a group; returns what to log."""
        game, nets, players = self.game, self.game.nets, _players(turn)
        step = game.steps[players[0].name]
        batch = self.batches.draw(turn.name, step)
        noise = self.noise.at(self.seed, turn.name, step, self.total[turn.name])
        self.seed_dropout(noise.generator.initial_seed() ^ 1)
        first = turn.name not in self.begun
        moving = {name for player in players for name in player.nets}
        before = _remember(self.holders, moving) + _remember(self.remembering, self.holders.keys() - moving)
        pools = [pool.images for pool in self.pools]
        log: dict[str, float | torch.Tensor] = {}
        given = noise
        try:
            if isinstance(turn, Group):
                self.let_move(players)
                with checking_values(True) if first else AS_USUAL, self.context:
                    given = turn.forward(nets, batch, noise)

            # Alternating players of a group take their turns on what was shared, all others move together.
            alternating = isinstance(turn, Group) and turn.alternating
            for movers in [(p,) for p in players] if alternating else [players]:
                self.let_move(movers)
                still = moving - {name for player in movers for name in player.nets}
                middle = _remember(self.remembering, still)
                totals: dict[str, torch.Tensor] = {}
                with checking_values(True) if first else AS_USUAL, self.context:
                    for player in movers:
                        totals[player.name], terms = total_and_terms(player, player.loss(nets, batch, given))
                        if not totals[player.name].requires_grad:
                            raise not_to_be_minimised(player, repr(totals[player.name]))
                        log |= terms
                _put_back(middle, still)

                # A loss that is not finite ends it here, or masks this update and all later ones.
                if self.waits:
                    log = {name: v.item() if isinstance(v, torch.Tensor) else v for name, v in log.items()}
                    if not all(math.isfinite(log[player.name]) for player in movers):
                        undone = {
                            name
                            for player in players
                            if player in movers or not alternating or player.name not in log
                            for name in player.nets
                        }
                        _put_back(before, self.holders.keys() - (moving - undone))
                        for pool, images in zip(self.pools, pools):
                            pool.images = images
                        bad = next(name for name, v in reversed(log.items()) if not math.isfinite(v))
                        self.fail(game.rounds, bad, self.batches.describe(step, turn.name))
                else:
                    log = {name: v.detach() if isinstance(v, torch.Tensor) else v for name, v in log.items()}
                    for player in movers:
                        self.bad = torch.maximum(self.bad, 1 - torch.isfinite(log[player.name]).float())

                # Each player's gradient for its own parameters, and nothing else; then each takes its step.
                gradients = {}
                for left, player in zip(reversed(range(len(movers))), movers):
                    gradients[player.name] = torch.autograd.grad(
                        totals[player.name], self.parameters[player.name], retain_graph=left > 0, allow_unused=True
                    )
                    if first and not player.allow_unused:
                        self.check_all_used(player, gradients[player.name])
                for player in movers:
                    if not self.waits:
                        _put_back(before, set(player.nets), self.bad)
                    self.move(player, gradients[player.name])
        except (RuntimeError, ValueError) as error:
            if (better := explained(error, turn.name)) is not error:
                raise better from error
            raise
        _put_back(before, self.holders.keys() - moving)
        if not self.waits:
            for pool, images in zip(self.pools, pools):
                if pool.images.shape == images.shape:
                    pool.images = torch.where(self.bad > 0, images, pool.images)
        self.begun.add(turn.name)
        return log

    def move(self, player: Player, gradients: Sequence[torch.Tensor | None]) -> None:
        """Let a player's optimiser step, then do what the player does afterwards; averages follow."""
        game, optimizer, parameters = self.game, self.game.optimizers[player.name], self.parameters[player.name]
        if (schedule := self.schedules[player.name]) is not None:
            factor = schedule(game.steps[player.name], self.total[self.turn_of(player)])
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * factor
        for parameter, gradient in zip(parameters, gradients):
            # A fused kernel walks both in the order of memory, so they must lie alike; `backward` sees to it
            # itself. What `torch.einsum` and transposed weights give lies otherwise.
            if gradient is not None and gradient.stride() != parameter.stride():
                gradient = torch.empty_like(parameter).copy_(gradient)
            parameter.grad = gradient
        if player.clip is not None:
            nn.utils.clip_grad_norm_(parameters, player.clip)
        if self.waits:
            optimizer.step()
        elif maskable(optimizer):
            optimizer.grad_scale, optimizer.found_inf = None, self.bad
            optimizer.step()
        else:  # step, and take it back where the flag is up: no optimiser has to know of it
            known = {p: dict(optimizer.state[p]) for p in parameters if p in optimizer.state}
            old = [[p, p.detach().clone()] for p in parameters]
            old += [[v, v.clone()] for s in known.values() for v in s.values() if isinstance(v, torch.Tensor)]
            optimizer.step()
            with torch.no_grad():
                for value, was in old:
                    value.copy_(torch.where(self.bad.to(value.device) > 0, was, value))
        for parameter in parameters:
            parameter.grad = None
        game.steps[player.name] += 1
        if not self.waits:
            self.taken[player.name] += 1 - self.bad
        with torch.no_grad():
            if player.after is not None:
                player.after(game.nets)
            for name, average in game.averages.items():
                if average.of in player.nets:
                    share = 1 - average.decay if self.waits else (1 - average.decay) * (1 - self.bad)
                    of, mean = game.nets[average.of], game.nets[name]
                    for value, now in zip(mean.parameters(), of.parameters()):
                        value.lerp_(now, share if self.waits else share.to(value.dtype))
                    for value, now in zip(mean.buffers(), of.buffers()):
                        value.copy_(now)

    def turn_of(self, player: Player) -> str:
        return next(turn.name for turn in self.game.turns if player in _players(turn))

    def check_all_used(self, player: Player, gradients: Sequence[torch.Tensor | None]) -> None:
        """Raise InputError if the loss has no gradient for a parameter of its player."""
        names = {parameter: name for name, parameter in self.game.nets.named_parameters()}
        unused = [names[p] for p, g in zip(self.parameters[player.name], gradients) if g is None]
        if unused:
            raise InputError(
                f"the loss of player {player.name!r} has no gradient for {', '.join(unused[:5])}"
                f"{', ...' if len(unused) > 5 else ''}, which the player owns: let the loss use it, freeze it, or say "
                "Player(..., allow_unused=True)"
            )

    def check_losses(self) -> None:
        """Read the losses; raise if one of them was not finite."""
        game, history = self.game, self.game.history
        history.flush()
        found = history.first_non_finite(self.checked, {player.name for player in game.players})
        if found is not None:  # on an accelerator only: time goes back to where the flag went up
            for name, taken in self.taken.items():
                game.steps[name] = self.steps_then[name] + int(taken.item())
            lost = len(history) - found[0]
            game.rounds -= lost
            game.into_epoch = max(0, game.into_epoch - lost * max(turn.steps for turn in game.turns))
            history.forget_from(found[0])
            self.fail(*found, "")
        self.checked, self.steps_then = len(history), dict(game.steps)
        if not self.waits:
            for taken in self.taken.values():
                taken.zero_()

    def check_parameters(self) -> None:
        """After an epoch: raise if a gradient was not finite; else remember these weights as good."""
        state = [p.detach().sum() for p in self.game.nets.parameters() if p.is_floating_point()]
        if state and not torch.stack([s.float() for s in state]).isfinite().all():
            self.fail(self.game.rounds, "parameters (a gradient was not finite)", "")
        self.good = self._weights()

    def _weights(self) -> dict[str, torch.Tensor]:
        return {name: value.clone() for name, value in self.game.nets.state_dict().items()}

    def fail(self, row: int, column: str, seen: str) -> None:
        """Raise NonFiniteLoss, with the nets as they last were good."""
        kept = "parameters are as before that step"
        if not all(value.isfinite().all() for value in self.game.nets.state_dict().values()):
            kept = "parameters are those of the last whole epoch, optimisers start afresh"
            self.game.nets.load_state_dict(self.good)
            self.game.optimizers.clear()
        raise NonFiniteLoss(
            f"{column} became NaN or infinite in round {row}{seen}; {kept}. "
            "Try a smaller learning rate, or look for log(0), sqrt(0) or exp of large numbers"
        )


Remembered = list[tuple[str, dict, str, torch.Tensor, torch.Tensor]]


def _players(turn: Player | Group) -> tuple[Player, ...]:
    return turn.players if isinstance(turn, Group) else (turn,)


def _remember(holders: dict[str, list[nn.Module]], names: set[str]) -> Remembered:
    """Copies of these nets' buffers: (net, where it stands, under which name, the tensor, its copy)."""
    return [
        (name, module._buffers, label, value, value.clone())
        for name in names
        for module in holders[name]
        for label, value in module._buffers.items()
        if value is not None
    ]


def _put_back(remembered: Remembered, names: set[str], where: torch.Tensor | None = None) -> None:
    """Give these nets the buffers that were remembered, those that were replaced too (where a flag is up)."""
    for name, buffers, label, value, was in remembered:
        if name in names:
            if where is None:
                buffers[label] = value
                value.copy_(was)
            else:
                buffers[label].copy_(torch.where(where > 0, was, buffers[label]))


def total_and_terms(player: Player, loss: object) -> tuple[torch.Tensor, dict[str, float | torch.Tensor]]:
    """What is minimised, and what is logged: the total after its player, terms as ``player/term``."""
    terms: dict[str, float | torch.Tensor] = {}
    total = loss
    if isinstance(loss, Mapping):
        total = None
        for name, value in loss.items():
            weight: float | torch.Tensor = 1.0
            if isinstance(value, Term):
                value, weight = value.value, value.weight
            if not isinstance(value, numbers.Real) and not (isinstance(value, torch.Tensor) and not value.dim()):
                raise InputError(f"term {name!r} of the loss of player {player.name!r} is no scalar: {value!r}")
            terms[f"{player.name}/{name}"] = value if isinstance(value, torch.Tensor) else float(value)
            if isinstance(weight, torch.Tensor) or weight != 0:
                part = value if isinstance(weight, float) and weight == 1.0 else weight * value
                total = part if total is None else total + part
    if not isinstance(total, torch.Tensor) or total.dim():
        raise not_to_be_minimised(player, f"{loss!r}, without a term to minimise" if total is None else repr(total))
    return total, {player.name: total, **terms}


def not_to_be_minimised(player: Player, found: str) -> InputError:
    """What to raise where a loss is no scalar, or depends on nothing that the player owns."""
    return InputError(
        f"the loss of player {player.name!r} must be a scalar that depends on the parameters of "
        f"{list(player.nets)}; it is {found}"
    )
