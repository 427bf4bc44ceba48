"""Adversarial variational autoencoders: AVA1 to AVA5, VAE and GAN as settings of one table.

Source: Nguyen, Abdalla & Amer 2024 (AVA), its four switches and its targets. The paper prints
update rules without a gradient through the draw of z; here every loss is differentiated exactly,
with reparameterisation (Kingma & Welling 2014). Our reconstruction, where the paper leaves a choice:
the encoder's target keeps the reconstruction, which it influences through z; the
discriminator moves the decoder only (as in Larsen et al. 2016) and the code discriminator the encoder
only, as in the paper's table; variances are given as logarithms; an image is the sigmoid of the decoder's output.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from types import MappingProxyType

from torch import Tensor, nn

from belamy import losses
from belamy.errors import InputError
from belamy.game import Game, Group, Player


@dataclass(frozen=True)
class Variant:
    """One row of the table: which terms stand in the four losses.

    Attributes:
        supervise_decoder: a discriminator d tells images from reconstructions; the decoder pleases it.
        lean_decoder: half the squared error of the image stands in the discriminator's loss, too.
        supervise_encoder: a code discriminator D tells mu(x) from mu(x'); the encoder pleases it.
        lean_encoder: half the squared error of the mean stands in D's loss, too.
        encodes: z is drawn from the encoder; otherwise (GAN) from the prior, and there is none.
        reconstructs: the decoder is charged for the squared error. The author's program charges
            the GAN as well, for the error to an unrelated image: ``replace(VARIANTS["GAN"],
            reconstructs=True)``.
    """

    supervise_decoder: bool = False
    lean_decoder: bool = False
    supervise_encoder: bool = False
    lean_encoder: bool = False
    encodes: bool = True
    reconstructs: bool = True

    def __post_init__(self) -> None:
        if self.lean_decoder and not self.supervise_decoder:
            raise InputError("lean_decoder=True needs supervise_decoder=True: d is what leans")
        if self.lean_encoder and not self.supervise_encoder:
            raise InputError("lean_encoder=True needs supervise_encoder=True: D is what leans")
        if self.supervise_encoder and not self.encodes:
            raise InputError("supervise_encoder=True needs encodes=True: there is no encoder")
        if not (self.reconstructs or self.supervise_decoder):
            raise InputError("reconstructs=False needs supervise_decoder=True: nobody tells the decoder what to do")


VARIANTS: Mapping[str, Variant] = MappingProxyType({
    "VAE": Variant(),
    "GAN": Variant(supervise_decoder=True, encodes=False, reconstructs=False),
    "AVA1": Variant(supervise_decoder=True),
    "AVA2": Variant(supervise_decoder=True, lean_decoder=True),
    "AVA3": Variant(supervise_encoder=True),
    "AVA4": Variant(supervise_encoder=True, lean_encoder=True),
    "AVA5": Variant(supervise_decoder=True, lean_decoder=True, supervise_encoder=True, lean_encoder=True),
})  # fmt: skip


class Play:
    """One batch sent through the nets; each quantity is computed when a loss first asks for it.

    Attributes:
        mean, log_variance: of q(z|x), (B, q).
        z: (B, q), drawn from q(z|x), or from the prior if the variant does not encode.
        image: x', the sigmoid of the decoder's output, like x.
        error: half the squared error of x', summed over an image, averaged over the batch.
        kl: KL(q(z|x) || N(0, I)), averaged over the batch.
        mean_again: mu(x'), (B, q).
        code_error: half the squared error of mu(x').
        real, fake: logits of d(x) and d(x'), (B,).
        code, code_again: logits of D(mu(x)) and D(mu(x')), (B,).
    """

    def __init__(self, nets: nn.ModuleDict, batch, noise, variant: Variant, variance: float) -> None:
        self.nets, self.x, self.noise = nets, batch.x, noise
        self.variant, self.variance = variant, variance

    @cached_property
    def posterior(self) -> tuple[Tensor, Tensor]:
        return self.nets.encoder(self.x)

    @property
    def mean(self) -> Tensor:
        return self.posterior[0]

    @cached_property
    def z(self) -> Tensor:
        if self.variant.encodes:
            return losses.reparameterise(*self.posterior, self.noise)
        return self.noise.normal(len(self.x), self.nets.decoder.latent_dim).to(self.x)

    @cached_property
    def image(self) -> Tensor:
        return self.nets.decoder(self.z).sigmoid()

    @cached_property
    def error(self) -> Tensor:
        return _half_square(self.x, self.image) / self.variance

    @cached_property
    def kl(self) -> Tensor:
        return losses.kl_to_standard_normal(*self.posterior).mean()

    @cached_property
    def mean_again(self) -> Tensor:
        return self.nets.encoder(self.image)[0]

    @cached_property
    def code_error(self) -> Tensor:
        return _half_square(self.mean, self.mean_again)

    @cached_property
    def real(self) -> Tensor:
        return self.nets.discriminator(self.x)

    @cached_property
    def fake(self) -> Tensor:
        return self.nets.discriminator(self.image)

    @cached_property
    def code(self) -> Tensor:
        return self.nets.encoder_discriminator(self.mean)

    @cached_property
    def code_again(self) -> Tensor:
        return self.nets.encoder_discriminator(self.mean_again)


Please = Callable[[Tensor], Tensor]


def encoder_loss(play: Play, please: Please = losses.minimax_generator) -> dict[str, Tensor]:
    """Theta: error + KL, and log(1 - D(mu(x'))) where the encoder is supervised."""
    terms = {"error": play.error, "kl": play.kl}
    if play.variant.supervise_encoder:
        terms["judged"] = please(play.code_again)
    return terms


def decoder_loss(play: Play, please: Please = losses.minimax_generator) -> dict[str, Tensor]:
    """Phi: error, and log(1 - d(x')) where the decoder is supervised."""
    terms = {"error": play.error} if play.variant.reconstructs else {}
    if play.variant.supervise_decoder:
        terms["judged"] = please(play.fake)
    return terms


def discriminator_loss(play: Play) -> dict[str, Tensor]:
    """Psi: -log d(x) - log(1 - d(x')); leaning adds the error, which does not contain Psi."""
    terms = losses.minimax_discriminator(play.real, play.fake)
    if play.variant.lean_decoder:
        terms["lean"] = play.error
    return terms


def encoder_discriminator_loss(play: Play) -> dict[str, Tensor]:
    """Lambda: -log D(mu(x)) - log(1 - D(mu(x'))); leaning adds the means' error, without Lambda."""
    terms = losses.minimax_discriminator(play.code, play.code_again)
    if play.variant.lean_encoder:
        terms["lean"] = play.code_error
    return terms


def game(
    variant: str | Variant,
    encoder: nn.Module | None = None,
    decoder: nn.Module | None = None,
    discriminator: nn.Module | None = None,
    encoder_discriminator: nn.Module | None = None,
    *,
    please: Please = losses.minimax_generator,
    variance: float = 1.0,
    simultaneous: bool = False,
    seed: int | None = None,
) -> Game:
    """The game of a variant; nets that it has no use for are left out of it.

    Args:
        variant: a name in ``VARIANTS``, or switches of your own.
        encoder: x -> (mean, log_variance), each (B, q).
        decoder: z -> logits like x; a GAN also reads its ``latent_dim``.
        discriminator: d, x -> logits (B,).
        encoder_discriminator: D, codes (B, q) -> logits (B,).
        please: what a player minimises that answers to a discriminator, a function of the fakes' logits:
            ``losses.minimax_generator`` as in the paper, or ``losses.non_saturating_generator``.
        variance: sigma^2 of the pixels, which divides their squared error; the paper's is 1.
        simultaneous: all players move at once and share one pass through the nets; by default
            one moves after the other, in the paper's order.
        seed: draws the initial weights, as a ``Game``'s; None leaves them as the nets' maker did.

    Raises:
        InputError: an unknown variant, a net that it needs is missing, or variance is not positive.
    """
    switches = _variant(variant)
    if not variance > 0:
        raise InputError(f"variance={variance!r} must be positive")
    given = {
        "encoder": (encoder, switches.encodes, partial(encoder_loss, please=please)),
        "decoder": (decoder, True, partial(decoder_loss, please=please)),
        "discriminator": (discriminator, switches.supervise_decoder, discriminator_loss),
        "encoder_discriminator": (encoder_discriminator, switches.supervise_encoder, encoder_discriminator_loss),
    }  # fmt: skip
    used = {name: (net, loss) for name, (net, needed, loss) in given.items() if needed}
    if missing := [name for name, (net, _) in used.items() if net is None]:
        raise InputError(f"variant {variant!r} needs {' and '.join(missing)}: pass {missing[0]}=...")
    nets = {name: net for name, (net, _) in used.items()}
    play = partial(Play, variant=switches, variance=variance)
    if simultaneous:
        players = [Player([name], partial(_of_shared, loss)) for name, (_, loss) in used.items()]
        return Game(nets, [Group(players, forward=play)], seed=seed)
    players = [Player([name], partial(_of_own, loss, play)) for name, (_, loss) in used.items()]
    return Game(nets, players, seed=seed)


def table() -> dict[str, dict[str, bool]]:
    """The switches of all seven variants, by name."""
    return {name: asdict(variant) for name, variant in VARIANTS.items()}


def _of_shared(loss, nets, batch, shared: Play):
    return loss(shared)


def _of_own(loss, play, nets, batch, noise):
    return loss(play(nets, batch, noise))


def _variant(variant: str | Variant) -> Variant:
    if isinstance(variant, Variant):
        return variant
    if variant not in VARIANTS:
        raise InputError(f"variant={variant!r} is not one of {', '.join(VARIANTS)}")
    return VARIANTS[variant]


def _half_square(a: Tensor, b: Tensor) -> Tensor:
    return 0.5 * (a - b).square().flatten(1).sum(1).mean()
