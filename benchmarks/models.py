"""What is trained: seven models, each by ``belamy.game.fit`` and by a plain textbook loop."""

from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from io import StringIO
from types import SimpleNamespace

import torch
from torch import Tensor, nn

from belamy import losses
from belamy import nets as networks
from belamy.data import ImageSet
from belamy.game import Game, Group, Player, Pool, fit
from benchmarks import textbook
from benchmarks.textbook import Nets


@dataclass(frozen=True)
class Model:
    """A model and its settings.

    Attributes:
        shape: (C, H, W) of its images.
        nets: makes its nets.
        players: who train them in ``fit``; ``plain``: the textbook loop that does the same.
        optimizer: makes every player's, ``partial(Adam, lr=2e-4)``, say.
        steps, cuda_steps: steps of one turn in a contest, about a second's work or one step.
        targets: ratio to reach against the recipe as shipped, by precision on the CPU, or by "cuda".
    """

    shape: tuple[int, int, int]
    nets: Callable[[], Nets]
    players: tuple[Player | Group, ...]
    plain: Callable[..., None]
    optimizer: Callable[..., torch.optim.Optimizer]
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


def _wgan() -> Nets:
    """The shape of eriklindernoren's ``wgan_gp.py``."""
    blocks = [
        nn.Sequential(nn.Linear(a, b), nn.BatchNorm1d(b, 0.8), nn.LeakyReLU(0.2))
        for a, b in ((128, 256), (256, 512), (512, 1024))
    ]
    first, last = (nn.Linear(100, 128), nn.LeakyReLU(0.2)), (nn.Linear(1024, 784), nn.Sigmoid())
    generator = nn.Sequential(*first, *blocks, *last, nn.Unflatten(1, (1, 28, 28)))
    generator.latent_dim = 100
    critic = networks.MLP(784, 512, 256, 1, activation=partial(nn.LeakyReLU, 0.2))
    return {"critic": nn.Sequential(nn.Flatten(), critic), "generator": generator}


def _critic_loss(nets: nn.ModuleDict, batch, noise) -> dict:
    fake = nets.generator(noise.normal(len(batch), nets.generator.latent_dim))
    penalty = losses.gradient_penalty(nets.critic, batch.x, fake, noise)
    scores = nets.critic(batch.x), nets.critic(fake)
    return losses.wasserstein_critic(*scores) | {"penalty": losses.Term(penalty, 10)}


def _generator_loss(nets: nn.ModuleDict, batch, noise) -> Tensor:
    fake = nets.generator(noise.normal(len(batch), nets.generator.latent_dim))
    return losses.wasserstein_generator(nets.critic(fake))


class _VAEGANEncoder(nn.Sequential):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return super().forward(x).chunk(2, 1)


class _VAEGANDiscriminator(nn.Module):
    """Scores (B,), and the third convolution's maps, in which images are compared."""

    def __init__(self) -> None:
        super().__init__()
        first, (third, *rest) = (nn.Conv2d(3, 32, 5, padding=2), nn.ReLU()), _half(256, 256)
        self.to_hidden = nn.Sequential(*first, *_half(32, 128), *_half(128, 256), third)
        self.to_score = nn.Sequential(*rest, nn.Flatten(), *_dense(8 * 8 * 256, 512), nn.Linear(512, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.to_hidden(x)
        return self.to_score(hidden).squeeze(1), hidden


def _half(a: int, b: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(a, b, 5, 2, 2, bias=False), nn.BatchNorm2d(b, momentum=0.9), nn.ReLU()


def _double(a: int, b: int) -> tuple[nn.Module, ...]:
    up = nn.ConvTranspose2d(a, b, 5, 2, 2, output_padding=1, bias=False)
    return up, nn.BatchNorm2d(b, momentum=0.9), nn.ReLU()


def _dense(a: int, b: int) -> tuple[nn.Module, ...]:
    return nn.Linear(a, b, bias=False), nn.BatchNorm1d(b), nn.ReLU()


def _vae_gan() -> Nets:
    """The shape of lucabergamini's VAEGAN-PYTORCH, after Larsen et al. 2016: 128 latents."""
    flat, maps = 8 * 8 * 256, nn.Unflatten(1, (256, 8, 8))
    down, up = (*_half(3, 64), *_half(64, 128), *_half(128, 256)), (*_double(256, 128), *_double(128, 64))
    last = nn.Conv2d(32, 3, 5, padding=2), nn.Sigmoid()
    return {
        "encoder": _VAEGANEncoder(*down, nn.Flatten(), *_dense(flat, 1024), nn.Linear(1024, 2 * 128)),
        "decoder": nn.Sequential(*_dense(128, flat), maps, *up, *_double(64, 32), *last),
        "discriminator": _VAEGANDiscriminator(),
    }


def _look(nets: nn.ModuleDict, batch, noise) -> SimpleNamespace:
    """What the three players share.

    The recipe's discriminator sees real, reconstructed and sampled images as one batch, ours each as a
    batch of its own: then no gradient is computed for those that a player has no share in.
    """
    mean, log_variance = nets.encoder(batch.x)
    z = losses.reparameterise(mean, log_variance, noise)
    images = batch.x, nets.decoder(z), nets.decoder(noise.normal(*z.shape))
    (real, hidden), (rebuilt, seen), (sampled, _) = (nets.discriminator(x) for x in images)
    return SimpleNamespace(
        kl=losses.kl_to_standard_normal(mean, log_variance).mean(),
        likeness=(hidden - seen).flatten(1).square().sum(1).mean(),
        judged=losses.minimax_discriminator(real, rebuilt) | {"sampled": -losses.minimax_generator(sampled)},
    )


class _Residual(nn.Sequential):
    def __init__(self, a: int) -> None:
        half = (nn.ReflectionPad2d(1), nn.Conv2d(a, a, 3), nn.InstanceNorm2d(a))
        super().__init__(*half, nn.ReLU(), nn.ReflectionPad2d(1), nn.Conv2d(a, a, 3), nn.InstanceNorm2d(a))

    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x)


def _cyclegan() -> Nets:
    """The shape of eriklindernoren's ``cyclegan``, of half its width and with three residual blocks."""

    def layer(a: int, b: int, stride: int = 1) -> tuple[nn.Module, ...]:
        return nn.Conv2d(a, b, 3, stride, 1), nn.InstanceNorm2d(b), nn.ReLU()

    def translator() -> nn.Module:
        first = nn.ReflectionPad2d(3), nn.Conv2d(3, 32, 7), nn.InstanceNorm2d(32), nn.ReLU()
        down, blocks = (*layer(32, 64, 2), *layer(64, 128, 2)), (_Residual(128) for _ in range(3))
        up = (nn.Upsample(scale_factor=2), *layer(128, 64), nn.Upsample(scale_factor=2), *layer(64, 32))
        return nn.Sequential(*first, *down, *blocks, *up, nn.ReflectionPad2d(3), nn.Conv2d(32, 3, 7), nn.Sigmoid())

    def patches() -> nn.Module:
        def half(a: int, b: int) -> tuple[nn.Module, ...]:
            return nn.Conv2d(a, b, 4, 2, 1), nn.InstanceNorm2d(b), nn.LeakyReLU(0.2)

        first = nn.Conv2d(3, 32, 4, 2, 1), nn.LeakyReLU(0.2)
        last = nn.ZeroPad2d((1, 0, 1, 0)), nn.Conv2d(128, 1, 4, 1, 1)
        return nn.Sequential(*first, *half(32, 64), *half(64, 128), *last)

    trained = {"G_AB": translator(), "G_BA": translator(), "D_A": patches(), "D_B": patches()}
    return trained | {"past_a": Pool(50), "past_b": Pool(50)}  # the recipe's loop has buffers of its own


def _cycle_look(nets: nn.ModuleDict, batch, noise) -> SimpleNamespace:
    a, b = batch.x.chunk(2, 3)  # side by side, (B, 3, S, S) each
    return SimpleNamespace(a=a, b=b, as_b=nets.G_AB(a), as_a=nets.G_BA(b), noise=noise)


def _cycle_translators(nets: nn.ModuleDict, _batch, seen: SimpleNamespace) -> dict:
    size = lambda x: x.abs().mean() / 2
    deceive = losses.least_squares_generator
    return {
        "gan": deceive(nets.D_B(seen.as_b)) + deceive(nets.D_A(seen.as_a)),
        "cycle": losses.Term(size(nets.G_BA(seen.as_b) - seen.a) + size(nets.G_AB(seen.as_a) - seen.b), 10),
        "identity": losses.Term(size(nets.G_BA(seen.a) - seen.a) + size(nets.G_AB(seen.b) - seen.b), 5),
    }


def _cycle_judge(real: str, fake: str, nets: nn.ModuleDict, _batch, seen: SimpleNamespace) -> dict[str, Tensor]:
    judge, past = nets[f"D_{real.upper()}"], nets[f"past_{real}"]
    return losses.least_squares_discriminator(judge(getattr(seen, real)), judge(past(getattr(seen, fake), seen.noise)))


_elbo = (Player(["encoder", "decoder"], losses.negative_elbo),)
# As in the recipe, both players learn from the same fakes, the discriminator first.
_gan = (
    Group([Player(["discriminator"], _judge), Player(["generator"], _please)], _fakes, alternating=True),
)
_critics = (Player(["critic"], _critic_loss, steps=5), Player(["generator"], _generator_loss))
_larsen = (
    Group(
        [
            Player(["encoder"], lambda _nets, _batch, seen: {"kl": seen.kl, "likeness": seen.likeness}),
            Player(
                ["decoder"],
                lambda _nets, _batch, seen: {
                    "likeness": losses.Term(seen.likeness, 1e-6),
                    "judged": losses.Term(sum(seen.judged.values()), -1),
                },
            ),
            Player(["discriminator"], lambda _nets, _batch, seen: seen.judged),
        ],
        _look,
    ),
)
_cycle = (
    Group(
        [
            Player(["G_AB", "G_BA"], _cycle_translators, name="translators"),
            Player(["D_A"], partial(_cycle_judge, "a", "as_a")),
            Player(["D_B"], partial(_cycle_judge, "b", "as_b")),
        ],
        _cycle_look,
        alternating=True,
    ),
)
_study_targets, _dcgan_targets = {"fp32": 1.0, "bf16": 1.4}, {"fp32": 1.0, "bf16": 1.8, "cuda": 3.0}
_wgan_targets, _larsen_targets = {"fp32": 1.9, "bf16": 2.8}, {"fp32": 1.88, "bf16": 3.81}
_adam, _rmsprop = torch.optim.Adam, partial(torch.optim.RMSprop, lr=3e-4)
_study, _dcgan_adam = (partial(_adam, lr=lr, betas=(0.5, 0.999)) for lr in (3e-4, 2e-4))
_vae, _milli = textbook.vae, partial(_adam, lr=1e-3)
MODELS = {
    "study's VAE 64x64x3": Model((3, 64, 64), _study_vae, _elbo, _vae, _study, 10, 300, _study_targets),
    "DCGAN 64x64x3": Model((3, 64, 64), _dcgan, _gan, textbook.dcgan, _dcgan_adam, 2, 100, _dcgan_targets),
    "MLP VAE 784-400-20": Model((1, 28, 28), _mlp_vae, _elbo, _vae, _milli, 100, 1000, {"fp32": 2.1}),
    "Keras' conv VAE 28x28": Model((1, 28, 28), _keras_vae, _elbo, _vae, _milli, 10, 300, {"fp32": 1.0}),
    "WGAN-GP 28x28": Model((1, 28, 28), _wgan, _critics, textbook.wgan_gp, _dcgan_adam, 40, 500, _wgan_targets),
    "VAE-GAN 64x64x3": Model((3, 64, 64), _vae_gan, _larsen, textbook.vae_gan, _rmsprop, 1, 50, _larsen_targets),
    "CycleGAN 32x32x3": Model((3, 32, 64), _cyclegan, _cycle, textbook.cyclegan, _dcgan_adam, 1, 50, {"fp32": 1.0}),
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
            settings = {"optimizer": model.optimizer, "device": self.device, "log": print}
            with redirect_stdout(StringIO()):  # the recipes print; a terminal's speed is not ours
                model.plain(model.nets(), data, epoch_end, **settings)
        fit(
            Game(model.nets(), model.players),
            ImageSet(images, "random pictures"),
            epochs=2**31,
            batch_size=self.batch_size,
            optimizer=model.optimizer,
            device=self.device,
            precision=self.way,
            callbacks=[lambda _game, _epoch: epoch_end()],
            progress=False,
        )
