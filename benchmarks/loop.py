"""What the loop itself costs: a game so small that a step is all overhead, by ``fit`` and in bare torch."""

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace

import torch
from torch import Tensor

from belamy import losses, nets
from belamy.game import Game, Player, fit
from benchmarks.contest import Contest

BATCH, WIDTH = 64, 8


def tiny_vae() -> Game:
    """One player."""
    tiny = {
        "encoder": nets.MLPEncoder((WIDTH,), 2, (16,)),
        "decoder": nets.MLPDecoder((WIDTH,), 2, (16,)),
    }
    return Game(tiny, [Player(list(tiny), losses.negative_elbo)])


def tiny_gan() -> Game:
    """Two players, so that the turn passes at every step."""
    generator = nets.MLP(2, 16, WIDTH)
    generator.latent_dim = 2
    discriminator = torch.nn.Sequential(nets.MLP(WIDTH, 16, 1), torch.nn.Flatten(0))
    tiny = {"discriminator": discriminator, "generator": generator}
    players = [
        Player(["discriminator"], losses.discriminator_loss),
        Player(["generator"], losses.generator_loss),
    ]
    return Game(tiny, players)


GAMES = {"VAE": tiny_vae, "GAN": tiny_gan}


class _Batch(SimpleNamespace):
    def __len__(self) -> int:
        return len(self.x)


def bare(game: Game, rows: Tensor, epoch_end: Callable[[], None]) -> None:
    """The game in a few lines of torch, without log, guard, seeds or progress."""
    device = rows.device
    noise = SimpleNamespace(normal=lambda *shape: torch.randn(*shape, device=device))
    modules = game.nets.to(device)
    owned = [game.parameters_of(player) for player in game.players]
    optimizers = [torch.optim.Adam(parameters, lr=1e-3, fused=True) for parameters in owned]
    while True:
        for index in torch.randperm(len(rows), device=device).split(BATCH):
            for player, parameters, optimizer in zip(game.players, owned, optimizers):
                loss = player.loss(modules, _Batch(x=rows.index_select(0, index)), noise)
                loss = sum(loss.values()) if isinstance(loss, dict) else loss
                gradients = torch.autograd.grad(loss, parameters)
                for parameter, gradient in zip(parameters, gradients):
                    parameter.grad = gradient
                optimizer.step()
        epoch_end()


@dataclass(frozen=True)
class Tiny:
    """A contender: one tiny game, trained by "fit" or "bare"."""

    game: str
    way: str
    device: str
    rounds: int

    def __call__(self, epoch_end: Callable[[], None]) -> None:
        torch.manual_seed(0)
        rows = torch.rand(BATCH * self.rounds, WIDTH, device=self.device)
        game, settings = GAMES[self.game](), {"epochs": 2**31, "batch_size": BATCH, "progress": False}
        if self.way == "bare":
            bare(game, rows, epoch_end)
        settings |= {"device": self.device, "precision": "fp32"}
        fit(game, rows, callbacks=lambda _game, _epoch: epoch_end(), **settings)


def overhead(game: str, device: str, repeats: int, rounds: int = 200) -> tuple[float, float]:
    """Microseconds a player's step in ``fit`` and in bare torch, each at its best turn.

    The best, since other work on the machine can only add to so short a time.
    """
    ways = [Tiny(game, way, device, rounds) for way in ("fit", "bare")]
    clock = "cpu" if device == "cpu" else "wall"
    steps = rounds * len(GAMES[game]().players)
    with Contest(ways) as contest:
        ours, theirs = contest.run(repeats, threads=1)
    return tuple(min(getattr(turn, clock) for turn in turns) * 1e6 / steps for turns in (ours, theirs))
