"""Networks of the papers, sized by arguments.

Images are float (B, C, H, W) in [0, 1]; decoders return logits of that shape; generators return
images; discriminators and critics return one number an image, (B,). Features are flattened in
their memory order (H, W, C), which costs no copy in the channels_last layout that ``fit`` uses.
Sources: Jlidi & Kovacs (two 4x4 stride-2 convolutions of 32 and 64 channels; a discriminator of
two convolutions and a fully connected layer); Radford et al. 2016 (DCGAN); Mirza & Osindero 2014
(labels as inputs).
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from belamy._checks import real_number, whole_number
from belamy.errors import InputError

Posterior = tuple[Tensor, Tensor]


class ConvEncoder(nn.Module):
    """Images to the mean and log-variance of q(z|x): (B, C, S, S) -> two of (B, q).

    Args:
        size: side S of the images, divisible by 2 for every convolution.
        widths: channels of the 4x4 stride-2 convolutions, each of which halves the side.

    Raises:
        InputError: sizes that do not fit, here or in ``forward``.
    """

    def __init__(
        self, size: int, latent_dim: int, channels: int = 3, widths: Sequence[int] = (32, 64)
    ) -> None:
        super().__init__()
        widths = _whole("widths", widths)
        channels = whole_number("channels", channels, 1)
        latent_dim = whole_number("latent_dim", latent_dim, 1)
        size, side = _sides(size, len(widths))
        self.shape, self.latent_dim = (channels, size, size), latent_dim
        steps = zip((channels, *widths), widths)
        self.convolutions = nn.Sequential(
            *(layer for a, b in steps for layer in (nn.Conv2d(a, b, 4, 2, 1), _leaky()))
        )
        self.head = nn.Linear(widths[-1] * side**2, 2 * latent_dim)

    def forward(self, x: Tensor) -> Posterior:
        _check_input(self, x, self.shape)
        return _halves(self.head(_flatten(self.convolutions(x))))


class ConvDecoder(nn.Module):
    """The encoder's mirror: latents (B, q) to logits (B, C, S, S).

    Args:
        hidden: units of one more dense layer, next to the latents. With few latents it lets the
            decoder bend the latent space before it is laid out as an image; 0 leaves it out.
    """

    def __init__(
        self,
        size: int,
        latent_dim: int,
        channels: int = 3,
        widths: Sequence[int] = (32, 64),
        hidden: int = 32,
    ) -> None:
        super().__init__()
        widths = _whole("widths", widths)
        channels, hidden = whole_number("channels", channels, 1), whole_number("hidden", hidden, 0)
        self.latent_dim = latent_dim = whole_number("latent_dim", latent_dim, 1)
        _, self.side = _sides(size, len(widths))
        bend = [nn.Linear(latent_dim, hidden), _leaky()] if hidden else []
        self.head = nn.Sequential(*bend, nn.Linear(hidden or latent_dim, widths[-1] * self.side**2))
        # Not in place: its input is a view, whose gradient autograd would copy in another layout.
        layers: list[nn.Module] = [nn.LeakyReLU(0.2)]
        for a, b in zip(widths[::-1], (*widths[-2::-1], channels)):
            layers += [nn.ConvTranspose2d(a, b, 4, 2, 1), _leaky()]
        self.convolutions = nn.Sequential(*layers[:-1])  # the last layer gives logits

    def forward(self, z: Tensor) -> Tensor:
        _check_input(self, z, (self.latent_dim,))
        return self.convolutions(_unflatten(self.head(z), self.side))


class MLP(nn.Sequential):
    """A multilayer perceptron: rows (B, sizes[0]) to (B, sizes[-1]), Tanh between layers.

    Raises:
        InputError: fewer than two sizes, or one that is no whole number of at least 1.
    """

    def __init__(self, *sizes: int, activation: type[nn.Module] = nn.Tanh) -> None:
        layers: list[nn.Module] = []
        if len(sizes := _whole("sizes", sizes)) < 2:
            raise InputError(f"sizes={sizes}: expected those of input and output, and of layers between")
        for a, b in zip(sizes, sizes[1:]):
            layers += [nn.Linear(a, b), activation()]
        super().__init__(*layers[:-1])


class MLPEncoder(nn.Module):
    """Images ``(B, *shape)`` to mean and log-variance of q(z|x), each (B, q), through dense layers."""

    def __init__(
        self, shape: Sequence[int], latent_dim: int, hidden: Sequence[int] = (200, 200)
    ) -> None:
        super().__init__()
        self.shape, self.latent_dim = _whole("shape", shape), whole_number("latent_dim", latent_dim, 1)
        self.mlp = MLP(math.prod(self.shape), *hidden, 2 * self.latent_dim)

    def forward(self, x: Tensor) -> Posterior:
        _check_input(self, x, self.shape)
        return _halves(self.mlp(x.flatten(1)))


class MLPDecoder(nn.Module):
    """Latents (B, q) to logits ``(B, *shape)``, through dense layers."""

    def __init__(
        self, shape: Sequence[int], latent_dim: int, hidden: Sequence[int] = (200, 200)
    ) -> None:
        super().__init__()
        self.shape, self.latent_dim = _whole("shape", shape), whole_number("latent_dim", latent_dim, 1)
        self.mlp = MLP(self.latent_dim, *hidden, math.prod(self.shape))

    def forward(self, z: Tensor) -> Tensor:
        _check_input(self, z, (self.latent_dim,))
        return self.mlp(z).unflatten(1, self.shape)


class SharedLogVariance(nn.Module):
    """One log-variance for all pixels, learnt unless ``learnt=False``; called without arguments."""

    def __init__(self, start: float = 0.0, learnt: bool = True) -> None:
        super().__init__()
        self.start = real_number("start", start)
        value = torch.tensor(self.start)
        if learnt:
            self.value = nn.Parameter(value)
        else:
            self.register_buffer("value", value)

    def reset_parameters(self) -> None:
        nn.init.constant_(self.value, self.start)

    def forward(self) -> Tensor:
        return self.value


def features_of(net: nn.Module, x: Tensor, layers: Sequence[str]) -> tuple[Tensor, list[Tensor]]:
    """What a net returns for x, and what its named layers returned on the way, in the order asked for.

    For a learnt similarity or a perceptual loss: ``score, (hidden,) = features_of(net, x, ["body.3"])``.

    Args:
        layers: names as in ``dict(net.named_modules())``.

    Raises:
        InputError: the net has no such layer, or ``forward`` did not use it.
    """
    modules, seen = dict(net.named_modules()), {}
    hooks = []
    try:
        for name in layers:
            if name not in modules:
                raise InputError(f"the net has no layer {name!r}; it has {', '.join(filter(None, modules))}")
            keep = lambda _module, _inputs, output, name=name: seen.__setitem__(name, output)  # noqa: E731
            hooks.append(modules[name].register_forward_hook(keep))
        output = net(x)
    finally:
        for hook in hooks:
            hook.remove()
    if idle := [name for name in layers if name not in seen]:
        raise InputError(f"the net's forward did not use its layer {idle[0]!r}")
    return output, [seen[name] for name in layers]


class Generator(nn.Module):
    """DCGAN's generator: latents (B, q) to images (B, C, S, S) in [0, 1].

    A linear layer makes a 4x4 map, fractionally strided convolutions double it up to the size,
    with batch normalisation and ReLU between; (tanh + 1) / 2 at the end. Weights start as
    N(0, 0.02), as in the paper.

    Args:
        size: 16, 32, 64, 128, ...
        width: channels of the last hidden map; each map before has twice as many.
        classes: with some, ``forward(z, y)`` takes labels y, int64 (B,), 0 to classes - 1, which
            go to the first layer as one-hot vectors beside z (Mirza & Osindero 2014).
    """

    def __init__(
        self,
        size: int,
        latent_dim: int = 100,
        channels: int = 3,
        width: int = 64,
        classes: int = 0,
    ) -> None:
        super().__init__()
        doublings = _doublings(size)
        channels, width = whole_number("channels", channels, 1), whole_number("width", width, 1)
        self.latent_dim = latent_dim = whole_number("latent_dim", latent_dim, 1)
        self.classes = classes = whole_number("classes", classes, 0)
        widths = [width * 2**k for k in reversed(range(doublings))]
        self.head = nn.Linear(latent_dim + classes, widths[0] * 16, bias=False)
        layers: list[nn.Module] = [nn.BatchNorm2d(widths[0]), nn.ReLU(inplace=True)]
        for a, b in zip(widths, widths[1:]):
            layers += [nn.ConvTranspose2d(a, b, 4, 2, 1, bias=False), nn.BatchNorm2d(b)]
            layers += [nn.ReLU(inplace=True)]
        layers += [nn.ConvTranspose2d(widths[-1], channels, 4, 2, 1, bias=False)]
        self.convolutions = nn.Sequential(*layers)

    def reset_parameters(self) -> None:
        _dcgan_weights(self)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        _check_input(self, z, (self.latent_dim,))
        z = _with_labels(z, y, self.classes)
        return torch.sigmoid(2 * self.convolutions(_unflatten(self.head(z), 4)))  # (tanh + 1) / 2


class Discriminator(nn.Module):
    """DCGAN's discriminator: images (B, C, S, S) in [0, 1] to logits (B,), large for real.

    Strided 4x4 convolutions with LeakyReLU(0.2) and batch normalisation, then one linear layer.

    Args:
        layers: number of convolutions; by default as many as bring the side to 4 (DCGAN); the
            portrait study has 2.
        normalise: "inner" normalises all but the first layer (DCGAN), "all" also the first (the
            portrait study), "none" nothing (a critic).
        classes: with some, ``forward(x, y)`` takes labels y, int64 (B,), 0 to classes - 1, which
            go to the first layer as one more map per class, all 1 or all 0.
    """

    def __init__(
        self,
        size: int,
        channels: int = 3,
        width: int = 64,
        layers: int | None = None,
        normalise: str = "inner",
        classes: int = 0,
    ) -> None:
        super().__init__()
        if normalise not in ("none", "inner", "all"):
            raise InputError(f"normalise={normalise!r} is not one of 'none', 'inner', 'all'")
        channels, width = whole_number("channels", channels, 1), whole_number("width", width, 1)
        layers = _doublings(size) if layers is None else whole_number("layers", layers, 1)
        size, side = _sides(size, layers)
        self.classes = classes = whole_number("classes", classes, 0)
        self.shape = (channels, size, size)
        widths = [channels + classes, *(width * 2**k for k in range(layers))]
        stack: list[nn.Module] = []
        for k, (a, b) in enumerate(zip(widths, widths[1:])):
            norm = normalise == "all" or (normalise == "inner" and k > 0)
            stack += [nn.Conv2d(a, b, 4, 2, 1, bias=not norm)]
            stack += [nn.BatchNorm2d(b)] if norm else []
            stack += [_leaky()]
        self.convolutions = nn.Sequential(*stack)
        self.head = nn.Linear(widths[-1] * side**2, 1)

    def reset_parameters(self) -> None:
        _dcgan_weights(self)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        _check_input(self, x, self.shape)
        x = _with_labels(2 * x - 1, y, self.classes)
        return self.head(_flatten(self.convolutions(x))).squeeze(1)


class Critic(Discriminator):
    """A discriminator without normalisation, whose numbers are no logits: for Wasserstein games."""

    def __init__(
        self, size: int, channels: int = 3, width: int = 64, layers: int | None = None
    ) -> None:
        super().__init__(size, channels, width, layers, normalise="none")


def _leaky() -> nn.Module:
    return nn.LeakyReLU(0.2, inplace=True)


def _halves(output: Tensor) -> Posterior:
    mean, log_variance = output.chunk(2, dim=1)
    return mean, log_variance.clamp(-20, 20)  # exp stays finite whatever the net says


def _flatten(maps: Tensor) -> Tensor:
    return maps.permute(0, 2, 3, 1).flatten(1)


def _unflatten(rows: Tensor, side: int) -> Tensor:
    return rows.unflatten(1, (side, side, -1)).permute(0, 3, 1, 2)


def _with_labels(x: Tensor, y: Tensor | None, classes: int) -> Tensor:
    """x (B, C, ...) with one more channel per class, 1 everywhere for the label's, else 0."""
    _check_labels(y, classes, len(x))
    if y is None:
        return x
    rows = x.movedim(1, -1)  # channels last, and so they stay in memory
    one_hot = F.one_hot(y, classes).to(x).view(len(x), *[1] * (x.ndim - 2), classes)
    return torch.cat([rows, one_hot.expand(*rows.shape[:-1], classes)], -1).movedim(-1, 1)


def _dcgan_weights(net: nn.Module) -> None:
    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            nn.init.normal_(module.weight, 0, 0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1, 0.02)
            nn.init.zeros_(module.bias)


def _whole(name: str, values: Sequence[int]) -> tuple[int, ...]:
    """One or more whole numbers of at least 1, as a tuple of Python's own."""
    try:
        found = tuple(whole_number(f"{name}[{k}]", value, 1) for k, value in enumerate(values))
    except TypeError as error:
        raise InputError(f"{name}={values!r} must be a sequence of whole numbers") from error
    if not found:
        raise InputError(f"{name}={values!r} is empty: expected one whole number or more")
    return found


def _doublings(size: int) -> int:
    """How often 4 is doubled to give the size."""
    size = whole_number("size", size, 1)
    doublings = size.bit_length() - 3
    if size < 8 or size != 4 * 2**doublings:
        raise InputError(f"size={size!r} must be 8, 16, 32, 64, 128 or a larger power of two")
    return doublings


def _sides(size: int, halvings: int) -> tuple[int, int]:
    """The side of the images, and what is left of it after ``halvings``."""
    size = whole_number("size", size, 1)
    if size % 2**halvings:
        raise InputError(f"size={size!r} must be divisible by {2**halvings} ({halvings} halvings)")
    return size, size // 2**halvings


def _check_input(net: nn.Module, x: Tensor, shape: tuple[int, ...]) -> None:
    """Refuse by name what torch would only stumble over, deep in a layer; waits for no device."""
    if not isinstance(x, Tensor) or tuple(x.shape[1:]) != shape:
        found = f"shape {tuple(x.shape)}" if isinstance(x, Tensor) else f"a {type(x).__name__}"
        raise InputError(f"got {found}; expected (B, {', '.join(map(str, shape))})")
    wanted = next(net.parameters()).dtype
    if x.dtype != wanted and not (x.is_floating_point() and torch.is_autocast_enabled(x.device.type)):
        advice = f"x.to({wanted}), or net.to(x.dtype)"
        advice = "divide bytes by 255" if x.dtype == torch.uint8 else advice
        raise InputError(f"got {x.dtype} for a net of {wanted}: {advice}")


def _check_labels(y: Tensor | None, classes: int, count: int) -> None:
    if y is None and classes:
        raise InputError(f"this net has classes={classes}: pass labels too, net(x, y)")
    if y is None:
        return
    if not classes:
        raise InputError("labels for a net without classes: build it with classes=10, say")
    if not isinstance(y, Tensor):
        raise InputError(f"labels are a {type(y).__name__}; expected torch.int64 of shape ({count},)")
    if y.dtype != torch.int64 or tuple(y.shape) != (count,):
        found = f"{y.dtype} of shape {tuple(y.shape)}"
        raise InputError(f"labels are {found}; expected torch.int64 of shape ({count},)")
    # An accelerator would have to be waited for; there a bad label fails in the one-hot kernel.
    if y.device.type == "cpu" and count and not 0 <= int(y.min()) <= int(y.max()) < classes:
        raise InputError(f"labels lie in {y.min()} to {y.max()}; expected 0 to {classes - 1}")
