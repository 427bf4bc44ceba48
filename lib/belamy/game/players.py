"""Every model of the book is a game: named nets, and players that own some of them.

A player minimises its own loss, a plain function ``loss(nets, batch, noise)``, over the
parameters of the nets that it owns; all other nets stand still meanwhile. So no loss needs a
``detach``: a gradient that must not flow is a parameter that the player does not own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.utils.parametrizations import _SpectralNorm

from belamy.errors import InputError
from belamy.game.history import History

Loss = Callable[..., torch.Tensor | Mapping[str, torch.Tensor]]
Parts = tuple[list[nn.Parameter], list[nn.Module]]  # those that may move, those that must be told


@dataclass(frozen=True)
class Player:
    """Who moves what, and why.

    Attributes:
        nets: names of the nets whose parameters the player owns.
        loss: ``loss(nets, batch, noise)``, to be minimised: a scalar, or a mapping from the
            names of terms to scalars, whose sum is minimised and whose parts are logged.
        steps: how many steps in a row it takes each round (a critic's 5, say), every one on a
            fresh batch and fresh noise.
        name: how logs and randomness call it; by default its nets, joined by "+".
    """

    nets: Sequence[str]
    loss: Loss
    steps: int = 1
    name: str = ""

    def __post_init__(self) -> None:
        if isinstance(self.nets, str) or not self.nets:
            raise InputError(f"Player nets={self.nets!r}: pass a list of net names, ['decoder'], say")
        if not isinstance(self.steps, int) or self.steps < 1:
            raise InputError(f"Player steps={self.steps!r} must be a whole number of at least 1")
        object.__setattr__(self, "nets", tuple(self.nets))
        object.__setattr__(self, "name", self.name or "+".join(self.nets))


@dataclass(frozen=True)
class Group:
    """Players that share one forward pass.

    ``forward(nets, batch, noise)`` computes what they share; each player's loss is then called
    as ``loss(nets, batch, shared)``.

    Attributes:
        alternating: by default the players move at the same time: all gradients are taken before
            any of them steps. If True, they move one after the other, in order, on what was shared
            before the first moved; so ``forward`` must not use a net that moves before the last
            player does. The original DCGAN program is such a group: the discriminator learns from
            the fakes that the generator then learns from.
    """

    players: Sequence[Player]
    forward: Callable
    steps: int = 1
    alternating: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "players", tuple(self.players))

    @property
    def name(self) -> str:
        return "&".join(player.name for player in self.players)


class Game:
    """Named nets and the players that train them, in the order in which they move.

    ``Game({"encoder": e, "decoder": d}, [Player(["encoder", "decoder"], negative_elbo)])`` is a
    variational autoencoder. Nets are reached as ``game.nets["encoder"]`` or
    ``game.nets.encoder``. The first ``fit`` draws all initial weights from its seed, except for
    the nets named in ``keep``, which bring theirs (pretrained ones, say).

    Raises:
        InputError: a player names a net that the game has not, a net or a parameter belongs to
            two players, or two players have one name.
    """

    def __init__(
        self,
        nets: Mapping[str, nn.Module],
        players: Sequence[Player | Group],
        keep: Sequence[str] = (),
    ) -> None:
        self.nets = nn.ModuleDict(nets)
        self.turns = list(players)
        self.keep = frozenset(keep)
        self.history = History()
        self.rounds = 0  # rounds played so far
        self.steps = {player.name: 0 for player in self.players}  # steps taken so far
        self.optimizers: dict[str, torch.optim.Optimizer] = {}
        self._moving: tuple[str, ...] | None = None  # nets that may move now
        self._parts: dict[str, Parts] = {}  # of every net, while turns are given
        self._fixed = {id(p) for p in self.nets.parameters() if not p.requires_grad}
        self._check()

    @property
    def players(self) -> list[Player]:
        """All players, those of groups included, in order."""
        return [p for turn in self.turns for p in getattr(turn, "players", [turn])]

    @property
    def device(self) -> torch.device:
        """Where the nets are."""
        return next(self.nets.parameters()).device

    def parameters_of(self, player: Player) -> list[nn.Parameter]:
        """The parameters that the player owns, without those that came frozen."""
        owned = [p for name in player.nets for p in self.nets[name].parameters()]
        return [p for p in owned if id(p) not in self._fixed]

    def give_turn(self, players: Sequence[Player]) -> None:
        """Let only these players' nets move; every other net is frozen.

        Frozen nets keep normalising by the batch at hand, as in training, but neither their
        parameters nor their running statistics change.
        """
        moving = tuple(name for player in players for name in player.nets)
        if moving == self._moving:
            return
        if self._moving is None:  # nets may have changed since the last turn
            self._parts = {name: self._parts_of(net) for name, net in self.nets.items()}
        self._moving = moving
        for name, parts in self._parts.items():
            _set_moving(parts, name in moving)

    def end_turns(self) -> None:
        """Unfreeze all nets and switch them to evaluation mode, ready for use."""
        self._moving = None
        for net in self.nets.values():
            _set_moving(self._parts_of(net), True)
        self.nets.eval()

    def _parts_of(self, net: nn.Module) -> Parts:
        """What tells a net that moves from one that stands still."""
        parameters = [p for p in net.parameters() if id(p) not in self._fixed]
        modules = [m for m in net.modules() if isinstance(m, (_NormBase, _SpectralNorm))]
        return parameters, modules

    def _check(self) -> None:
        if not self.turns:
            raise InputError("a Game needs at least one Player")
        if len(self.steps) < len(self.players):
            raise InputError(f"two players share a name: {[p.name for p in self.players]}")
        named = {name for player in self.players for name in player.nets} | self.keep
        if unknown := sorted(named - set(self.nets)):
            raise InputError(f"no net is called {unknown[0]!r}; the game has {sorted(self.nets)}")
        owner: dict[int, str] = {}
        for player in self.players:
            for parameter in set(self.parameters_of(player)):
                if id(parameter) in owner:
                    raise InputError(
                        f"players {owner[id(parameter)]!r} and {player.name!r} own the same "
                        "parameter; give every net to one player only"
                    )
                owner[id(parameter)] = player.name


def _set_moving(parts: Parts, moving: bool) -> None:
    parameters, modules = parts
    for parameter in parameters:
        parameter.requires_grad = moving
    for module in modules:
        if isinstance(module, _SpectralNorm):
            module.train(moving)  # off: no power iteration
        elif module.running_mean is not None:
            module.track_running_stats = moving  # off: batch statistics, buffers untouched
