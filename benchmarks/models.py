"""What is trained: four models, each by ``belamy.game.fit`` and by a plain textbook loop."""

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
from benchmarks.textbook import Nets


@dataclass(frozen=True)
class Model:
    """A model and its settings.

    Attributes:
        shape: (C, H, W) of its images.
        nets: makes its nets.
        players: who train them in ``fit``; ``plain``: the textbook loop that does the same.
        steps, cuda_steps: steps of one turn in a contest, about a second's work.
        targets: ratio to reach against the recipe as shipped, by precision on the CPU, or by "cuda".
    """

    shape: tuple[int, int, int]
    nets: Callable[[], Nets]
    players: tuple[Player | Group, ...]
    plain: Callable[..., None]
    lr: float
    steps: int
    cuda_steps: int
    targets: dict[str, float]
    betas: tuple[float, float] = (0.9, 0.999)

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


class _KerasEncoder(nn.Sequential):
    """Two convolutions of stride 2, a layer of 16, and two heads."""

    def __init__(self) -> None:
        convolutions = (nn.Conv2d(1, 32, 3, 2, 1), nn.ReLU(), nn.Conv2d(32, 64, 3, 2, 1), nn.ReLU())
        dense = (nn.Linear(7 * 7 * 64, 16), nn.ReLU(), nn.Linear(16, 4))
        super().__init__(*convolutions, nn.Flatten(), *dense)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return super().forward(x).chunk(2, 1)


def _keras_vae() -> Nets:
    """The shape of keras.io's example "Variational AutoEncoder"."""
    double = {"kernel_size": 3, "stride": 2, "padding": 1, "output_padding": 1}
    decoder = nn.Sequential(
        nn.Linear(2, 7 * 7 * 64),
        nn.ReLU(),
        nn.Unflatten(1, (64, 7, 7)),
        nn.ConvTranspose2d(64, 64, **double),
        nn.ReLU(),
        nn.ConvTranspose2d(64, 32, **double),
        nn.ReLU(),
        nn.ConvTranspose2d(32, 1, 3, 1, 1),
    )
    return {"encoder": _KerasEncoder(), "decoder": decoder}


def _fakes(nets: nn.ModuleDict, batch, noise) -> Tensor:
    return nets.generator(noise.normal(len(batch), nets.generator.latent_dim))


def _judge(nets: nn.ModuleDict, batch, fakes: Tensor) -> dict[str, Tensor]:
    return losses.minimax_discriminator(nets.discriminator(batch.x), nets.discriminator(fakes))


def _please(nets: nn.ModuleDict, batch, fakes: Tensor) -> Tensor:
    return losses.non_saturating_generator(nets.discriminator(fakes))


_elbo = (Player(["encoder", "decoder"], losses.negative_elbo),)
# As in the recipe, both players learn from the same fakes, the discriminator first.
_gan = (
    Group([Player(["discriminator"], _judge), Player(["generator"], _please)], _fakes, alternating=True),
)
_study_targets, _dcgan_targets = {"fp32": 1.0, "bf16": 1.4}, {"fp32": 1.0, "bf16": 1.8, "cuda": 3.0}
_vae, _half = textbook.vae, (0.5, 0.999)
MODELS = {
    "study's VAE 64x64x3": Model((3, 64, 64), _study_vae, _elbo, _vae, 3e-4, 10, 300, _study_targets, _half),
    "DCGAN 64x64x3": Model((3, 64, 64), _dcgan, _gan, textbook.dcgan, 2e-4, 2, 100, _dcgan_targets, _half),
    "MLP VAE 784-400-20": Model((1, 28, 28), _mlp_vae, _elbo, _vae, 1e-3, 100, 1000, {"fp32": 2.1}),
    "Keras' conv VAE 28x28": Model((1, 28, 28), _keras_vae, _elbo, _vae, 1e-3, 10, 300, {"fp32": 1.0}),
}


@dataclass(frozen=True)
class Contender:
    """One way to train one model; calling it trains until ``epoch_end`` raises.

    Attributes:
        way: "as shipped" or "ready batches" by the textbook, or the precision that ``fit`` is given.
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
        if self.way in ("as shipped", "ready batches"):
            data = textbook.pil_items(images, self.batch_size, self.workers)
            if self.way == "ready batches":
                data = textbook.ready_batches(images, self.batch_size)
            settings = {"lr": model.lr, "betas": model.betas, "device": self.device, "log": print}
            with redirect_stdout(StringIO()):  # the recipes print; a terminal's speed is not ours
                model.plain(model.nets(), data, epoch_end, **settings)
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
