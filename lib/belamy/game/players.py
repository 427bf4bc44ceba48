"""Every model of the book is a game: named nets, and players that own some of them.

A player minimises its own loss, a plain function ``loss(nets, batch, noise)``, over the
parameters of the nets that it owns; all other nets stand still meanwhile. So no loss needs a
``detach``: a gradient that must not flow is a parameter that the player does not own.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from belamy._checks import real_number, whole_number
from belamy.errors import InputError
from belamy.game.history import History
from belamy.game.initialise import initialise

Loss = Callable[..., torch.Tensor | Mapping[str, object]]


@dataclass(frozen=True)
class Player:
    """Who moves what, and why.

    Attributes:
        nets: names of the nets whose parameters the player owns.
        loss: ``loss(nets, batch, noise)``, to be minimised: a scalar, or a mapping from the
            names of terms to scalars, whose sum is minimised and whose parts are logged. A term
            may be a ``losses.Term``, which is logged as it is and minimised times its weight.
        steps: how many steps in a row it takes each round (a critic's 5, say), every one on a
            fresh batch and fresh noise.
        name: how logs and randomness call it; by default its nets, joined by "+".
        optimizer: called with the parameters, ``partial(Adam, lr=1e-4)``; by default ``fit``'s.
        schedule: factor of the learning rate, ``schedule(step, total)``, where ``total`` is the
            number of steps that the player will have taken when this call of ``fit`` ends:
            ``linear_to_zero``, say. A function of the step alone will do.
        clip: largest norm of the player's whole gradient, which is scaled down to it.
        after: ``after(nets)``, called without gradients when the player has stepped: to clip
            weights, say.
        allow_unused: whether parameters of its nets may get no gradient from its loss, as where
            parts of a net are used by chance; otherwise such a parameter is an error.
    """

    nets: Sequence[str]
    loss: Loss
    steps: int = 1
    name: str = ""
    optimizer: Callable[..., torch.optim.Optimizer] | None = None
    schedule: Callable[..., float] | None = None
    clip: float | None = None
    after: Callable[[nn.ModuleDict], object] | None = None
    allow_unused: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.nets, str) or not self.nets or not all(isinstance(n, str) for n in self.nets):
            raise InputError(f"Player nets={self.nets!r}: pass a list of net names, ['decoder'], say")
        for role in ("loss", "optimizer", "schedule", "after"):
            value = getattr(self, role)
            if not callable(value) and (value is not None or role == "loss"):
                raise InputError(f"Player {role}={value!r} cannot be called; pass a function")
        if not isinstance(self.name, str):
            raise InputError(f"Player name={self.name!r} is no text")
        object.__setattr__(self, "steps", whole_number("Player steps", self.steps, 1))
        if self.clip is not None:
            object.__setattr__(self, "clip", real_number("Player clip", self.clip, above=0))
        object.__setattr__(self, "nets", tuple(self.nets))
        object.__setattr__(self, "name", self.name or "+".join(self.nets))


@dataclass(frozen=True)
class Group:
    """Players that share one forward pass.

    ``forward(nets, batch, noise)`` computes what they share; each player's loss is then called
    as ``loss(nets, batch, shared)``.

    Attributes:
        steps: steps of the whole group each round; its players have none of their own.
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
        if isinstance(self.players, Player) or not all(isinstance(p, Player) for p in self.players):
            raise InputError(f"Group players={self.players!r}: pass a list of Players")
        if not self.players:
            raise InputError("a Group needs at least one Player")
        if not callable(self.forward):
            raise InputError(f"Group forward={self.forward!r} cannot be called; pass a function")
        for player in self.players:
            if player.steps != 1:
                raise InputError(
                    f"player {player.name!r} has steps={player.steps} inside a Group, whose players share "
                    "their forward pass: give steps to the Group"
                )
        object.__setattr__(self, "steps", whole_number("Group steps", self.steps, 1))
        object.__setattr__(self, "players", tuple(self.players))

    @property
    def name(self) -> str:
        return "&".join(player.name for player in self.players)


@dataclass(frozen=True)
class Average:
    """An exponential moving average of a net's weights: ``w <- decay w + (1 - decay) net``.

    It starts at the net's weights and follows every step of the net's player; buffers are copied.
    """

    of: str
    decay: float = 0.999

    def __post_init__(self) -> None:
        object.__setattr__(self, "decay", real_number("Average decay", self.decay, 0, 1))


class Game:
    """Named nets and the players that train them, in the order in which they move.

    ``Game({"encoder": e, "decoder": d}, [Player(["encoder", "decoder"], negative_elbo)])`` is a
    variational autoencoder. Nets are reached as ``game.nets["encoder"]`` or
    ``game.nets.encoder``.

    Weights belong to whoever made them: ``fit`` changes none but by an optimiser. With a ``seed``,
    the initial weights of ``nets`` are drawn here, each net's as a function of (seed, its name), so
    that copies of a game are comparable whatever was built or drawn before. Without one they stay
    as their maker left them: after ``belamy.setup`` a notebook that runs from top to bottom repeats
    anyway. Nets that come trained are handed over apart, as ``pretrained``: what must not be drawn is
    then seen at a glance, and cannot be forgotten in a list of names elsewhere.

    A net that no player owns stands in evaluation mode while the game is trained, and nothing of
    it changes; gradients flow through it, not into it.

    Args:
        nets: name -> module.
        players: who moves, in order; a ``Group`` of players counts as one turn.
        seed: draws the initial weights of ``nets``; None leaves them alone.
        pretrained: name -> module, more nets, whose weights no seed touches.
        averages: name -> ``Average("generator", 0.999)``: one more net, a copy of that one, which
            holds the moving average of its weights. It belongs to no player, and is saved and
            resumed with the game.

    Raises:
        InputError: a player names a net that the game has not, a net or a parameter belongs to
            two players, two players have one name, or a seed cannot draw a net's weights.
    """

    def __init__(
        self,
        nets: Mapping[str, nn.Module],
        players: Sequence[Player | Group],
        *,
        seed: int | None = None,
        pretrained: Mapping[str, nn.Module] | None = None,
        averages: Mapping[str, Average] | None = None,
    ) -> None:
        if isinstance(players, (Player, Group)):
            raise InputError("players must be a list: pass [Player(...)]")
        self.turns = list(players)
        self.averages = dict(averages or {})
        self.pretrained = frozenset(pretrained or ())
        if twice := sorted(set(nets) & self.pretrained):
            raise InputError(f"net {twice[0]!r} is given twice, among nets and among pretrained")
        self.nets = nn.ModuleDict()
        for name, net in {**nets, **(pretrained or {})}.items():
            self._add(name, net)
        self.history = History()
        self.rounds = 0  # rounds played so far
        self.epochs, self.into_epoch = 0, 0  # whole passes over the data, and batches since then
        self.optimizers: dict[str, torch.optim.Optimizer] = {}
        self.steps: dict[str, int] = {}  # steps that each player has taken so far
        self.check()
        if seed is not None:
            for name, net in self.nets.items():
                if name not in self.pretrained:
                    initialise(net, seed, name)
        for name, average in self.averages.items():
            self._add(name, copy.deepcopy(self.nets[average.of]).requires_grad_(False).eval())

    @property
    def players(self) -> list[Player]:
        """All players, those of groups included, in order."""
        return [p for turn in self.turns for p in getattr(turn, "players", [turn])]

    @property
    def device(self) -> torch.device:
        """Where the nets are."""
        return next((p.device for p in self.nets.parameters()), torch.device("cpu"))

    @property
    def dtype(self) -> torch.dtype:
        """The floating type that all parameters share, else float32; noise and images have it."""
        types = {p.dtype for p in self.nets.parameters() if p.is_floating_point()}
        return types.pop() if len(types) == 1 else torch.float32

    def parameters_of(self, player: Player) -> list[nn.Parameter]:
        """The parameters that the player moves, each once: those of its nets that are not frozen."""
        owned = dict.fromkeys(p for name in player.nets for p in self.nets[name].parameters())
        return [p for p in owned if p.requires_grad]

    def check(self) -> None:
        """Raise InputError unless players, nets and averages make a game."""
        if not self.turns:
            raise InputError("a Game needs at least one Player")
        for turn in self.turns:
            if not isinstance(turn, (Player, Group)):
                raise InputError(f"players holds {turn!r}; pass Players and Groups")
        names = [player.name for player in self.players]
        if len(set(names)) < len(names):
            raise InputError(f"two players share a name: {names}")
        named = {name for player in self.players for name in player.nets}
        named |= {average.of for average in self.averages.values()}
        if unknown := sorted(named - set(self.nets)):
            raise InputError(f"no net is called {unknown[0]!r}; the game has {sorted(self.nets)}")
        owner: dict[nn.Parameter, str] = {}
        for player in self.players:
            if averaged := sorted(set(player.nets) & set(self.averages)):
                raise InputError(f"player {player.name!r} owns {averaged[0]!r}, an average, which nobody trains")
            for parameter in self.parameters_of(player):
                if parameter in owner:
                    raise InputError(
                        f"players {owner[parameter]!r} and {player.name!r} own the same "
                        "parameter; give every net to one player only"
                    )
                owner[parameter] = player.name
            self.steps.setdefault(player.name, 0)

    def _add(self, name: str, net: nn.Module) -> None:
        if not isinstance(net, nn.Module):
            raise InputError(f"net {name!r} is a {type(net).__name__}; pass a torch.nn.Module")
        try:
            if name in self.nets:
                raise KeyError("another net has this name")
            self.nets[name] = net
        except (KeyError, TypeError) as error:
            raise InputError(f"no net can be called {name!r}: {error}") from error
