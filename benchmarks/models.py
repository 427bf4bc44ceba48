"""What is trained: three models, each by ``belamy.game.fit`` and by a plain textbook loop."""

from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from io import StringIO

import torch
from torch import Tensor, nn

from belamy import losses
from belamy import nets as networks
from belamy.data import ImageSet
from belamy.game import Game, Group, Player, fit
from benchmarks import textbook

Nets = dict[str, nn.Module]


@dataclass(frozen=True)
class Model:
    """A model and its settings.

    Attributes:
        shape: (C, H, W) of its images.
        nets: makes its nets.
        players: who train them in ``fit``.
        plain: the textbook loop that does the same.
        steps, cuda_steps: steps of one turn in a contest, about a second's work.
        targets: ratio to reach, by precision, on the CPU; on CUDA by "cuda".
    """

    name: str
    shape: tuple[int, int, int]
    nets: Callable[[], Nets]
    players: tuple[Player | Group, ...]
    plain: Callable[..., None]
    lr: float
    betas: tuple[float, float]
    steps: int
    cuda_steps: int
    targets: dict[str, float]

    def images(self, count: int) -> Tensor:
        """Random pictures, uint8 (count, C, H, W): their content costs no time."""
        rng = torch.Generator().manual_seed(0)
        return torch.randint(0, 256, (count, *self.shape), dtype=torch.uint8, generator=rng)


def _study_vae() -> Nets:
    return {"encoder": networks.ConvEncoder(64, 2), "decoder": networks.ConvDecoder(64, 2)}


def _dcgan() -> Nets:
    return {"discriminator": networks.Discriminator(64), "generator": networks.Generator(64)}


def _mlp_vae() -> Nets:
    return {
        "encoder": networks.MLPEncoder((1, 28, 28), 20, (400,)),
        "decoder": networks.MLPDecoder((1, 28, 28), 20, (400,)),
    }


_elbo_player = (Player(["encoder", "decoder"], losses.negative_elbo),)
def _fakes(nets: nn.ModuleDict, batch, noise) -> Tensor:
    return nets.generator(noise.normal(len(batch), nets.generator.latent_dim))


def _judge(nets: nn.ModuleDict, batch, fakes: Tensor) -> dict[str, Tensor]:
    return losses.minimax_discriminator(nets.discriminator(batch.x), nets.discriminator(fakes))


def _please(nets: nn.ModuleDict, batch, fakes: Tensor) -> Tensor:
    return losses.non_saturating_generator(nets.discriminator(fakes))


# As in the recipe, both players learn from the same fakes, the discriminator first.
_gan_players = (
    Group([Player(["discriminator"], _judge), Player(["generator"], _please)], _fakes, alternating=True),
)
MODELS = {
    model.name: model
    for model in (
        Model(
            name="study's VAE 64x64x3",
            shape=(3, 64, 64),
            nets=_study_vae,
            players=_elbo_player,
            plain=textbook.vae,
            lr=3e-4,
            betas=(0.5, 0.999),
            steps=10,
            cuda_steps=300,
            targets={"fp32": 1.0, "bf16": 1.4},
        ),
        Model(
            name="DCGAN 64x64x3",
            shape=(3, 64, 64),
            nets=_dcgan,
            players=_gan_players,
            plain=textbook.dcgan,
            lr=2e-4,
            betas=(0.5, 0.999),
            steps=2,
            cuda_steps=100,
            targets={"fp32": 1.2, "bf16": 2.1, "cuda": 3.0},
        ),
        Model(
            name="MLP VAE 784-400-20",
            shape=(1, 28, 28),
            nets=_mlp_vae,
            players=_elbo_player,
            plain=textbook.vae,
            lr=1e-3,
            betas=(0.9, 0.999),
            steps=100,
            cuda_steps=1000,
            targets={"fp32": 2.1},
        ),
    )
}


@dataclass(frozen=True)
class Contender:
    """One way to train one model; calling it trains until ``epoch_end`` raises.

    Attributes:
        way: "textbook", or the precision that ``fit`` is given.
        steps: batches in an epoch.
    """

    model: str
    way: str
    device: str
    batch_size: int
    steps: int
    workers: int = 0

    @property
    def images_a_turn(self) -> int:
        """Images seen in one epoch."""
        return self.batch_size * self.steps

    def __call__(self, epoch_end: Callable[[], None]) -> None:
        torch.manual_seed(0)
        model = MODELS[self.model]
        images = model.images(self.images_a_turn)
        if self.way == "textbook":
            with redirect_stdout(StringIO()):  # the recipes print; a terminal's speed is not ours
                self._plain(model, images, epoch_end)
        else:
            self._fit(model, images, epoch_end)

    def _plain(self, model: Model, images: Tensor, epoch_end: Callable[[], None]) -> None:
        model.plain(
            model.nets(),
            images,
            epoch_end,
            batch_size=self.batch_size,
            lr=model.lr,
            betas=model.betas,
            device=self.device,
            workers=self.workers,
            log=print,
        )

    def _fit(self, model: Model, images: Tensor, epoch_end: Callable[[], None]) -> None:
        fit(
            Game(model.nets(), model.players),
            ImageSet(images, "random pictures"),
            epochs=2**31,
            batch_size=self.batch_size,
            optimizer=partial(torch.optim.Adam, lr=model.lr, betas=model.betas),
            device=self.device,
            precision=self.way,
            callbacks=[lambda _game, _epoch: epoch_end()],
            progress=False,
        )
