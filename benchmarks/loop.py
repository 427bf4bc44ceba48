"""What the loop itself costs, and how often it waits for the device."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from types import SimpleNamespace

import torch
from torch import Tensor

from belamy import losses, nets
from belamy.game import Game, Player, fit
from benchmarks.contest import Contest

BATCH, WIDTH = 64, 8


def tiny_vae() -> Game:
    """A game so small that a step is all overhead."""
    tiny = {
        "encoder": nets.MLPEncoder((WIDTH,), 2, (16,)),
        "decoder": nets.MLPDecoder((WIDTH,), 2, (16,)),
    }
    return Game(tiny, [Player(list(tiny), losses.negative_elbo)])


def tiny_gan() -> Game:
    """Two players, so that the turn passes at every step."""
    generator = nets.MLP(2, 16, WIDTH)
    generator.latent_dim = 2
    tiny = {"discriminator": _Judge(WIDTH, 16, 1), "generator": generator}
    players = [
        Player(["discriminator"], losses.discriminator_loss),
        Player(["generator"], losses.generator_loss),
    ]
    return Game(tiny, players)


class _Judge(nets.MLP):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).squeeze(1)


def bare(game: Game, rows: Tensor, epoch_end: Callable[[], None]) -> None:
    """The same game in a few lines of torch, without log, guard, seeds or progress."""
    device = rows.device
    noise = SimpleNamespace(normal=lambda *shape: torch.randn(*shape, device=device))
    modules = game.nets.to(device)
    owned = [game.parameters_of(player) for player in game.players]
    optimizers = [torch.optim.Adam(parameters, lr=1e-3, fused=True) for parameters in owned]
    while True:
        order = torch.randperm(len(rows), device=device)
        for index in order.split(BATCH):
            for player, parameters, optimizer in zip(game.players, owned, optimizers):
                batch = _Batch(rows.index_select(0, index))
                loss = player.loss(modules, batch, noise)
                loss = reduce(torch.add, loss.values()) if isinstance(loss, dict) else loss
                gradients = torch.autograd.grad(loss, parameters)
                for parameter, gradient in zip(parameters, gradients):
                    parameter.grad = gradient
                optimizer.step()
        epoch_end()


class _Batch(SimpleNamespace):
    def __init__(self, x: Tensor) -> None:
        super().__init__(x=x)

    def __len__(self) -> int:
        return len(self.x)


def fitted(game: Game, rows: Tensor, epoch_end: Callable[[], None]) -> None:
    """The same game by ``fit``."""
    fit(
        game,
        rows,
        epochs=2**31,
        batch_size=BATCH,
        device=rows.device,
        precision="fp32",
        callbacks=[lambda _game, _epoch: epoch_end()],
        progress=False,
    )


GAMES = {"VAE": tiny_vae, "GAN": tiny_gan}
WAYS = {"bare": bare, "fit": fitted}


@dataclass(frozen=True)
class Tiny:
    """A contender: one tiny game, trained in one of the two ways."""

    game: str
    way: str
    device: str
    rounds: int = 200

    def __call__(self, epoch_end: Callable[[], None]) -> None:
        torch.manual_seed(0)
        rows = torch.rand(BATCH * self.rounds, WIDTH, device=self.device)
        WAYS[self.way](GAMES[self.game](), rows, epoch_end)


def overhead(game: str, device: str, repeats: int, rounds: int = 200) -> tuple[float, float]:
    """Microseconds a player's step in ``fit`` and in bare torch, each at its best turn.

    The best, since other work on the machine can only add to so short a time.
    """
    ways = [Tiny(game, way, device, rounds) for way in ("fit", "bare")]
    clock = 0 if device == "cpu" else 1  # CPU seconds, or wall seconds where a device works too
    steps = rounds * len(GAMES[game]().players)
    with Contest(ways) as contest:
        ours, theirs = contest.run(repeats, threads=1)
    return tuple(min(turn[clock] for turn in turns) * 1e6 / steps for turns in (ours, theirs))


def synchronisations(rounds: int, log_every: int) -> int:
    """How often ``fit`` waits for the CUDA device in so many rounds of the tiny GAN."""
    rows = torch.rand(BATCH * rounds * 2, WIDTH, device="cuda")  # no epoch ends meanwhile
    game = tiny_gan()
    settings = {"batch_size": BATCH, "device": "cuda", "progress": False, "log_every": log_every}
    fit(game, rows, rounds=1, **settings)
    counts = []
    for more in (0, rounds):  # what a call waits for when it plays nothing is not the loop's
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            fit(game, rows, rounds=more, **settings)
            torch.cuda.set_sync_debug_mode("default")
        counts.append(sum("synchroniz" in str(warning.message) for warning in caught))
    return counts[1] - counts[0]
