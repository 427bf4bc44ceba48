"""Networks of the papers, sized by arguments.

Images are float (B, C, H, W) in [0, 1]; decoders return logits of that shape; generators return
images; discriminators and critics return one number an image, (B,). Features are flattened in
their memory order (H, W, C), which costs no copy in the channels_last layout that ``fit`` uses.
Sources: Jlidi & Kovacs (two 4x4 stride-2 convolutions of 32 and 64 channels; a discriminator of
two convolutions and a fully connected layer); Radford et al. 2016 (DCGAN); Mirza & Osindero 2014
(labels as inputs); Ho et al. 2020 (a U-Net that is told the time).
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


class UNet(nn.Module):
    """A picture at a time, and of a label if there are classes, to a picture: (B, C, S, S), (B,) -> (B, C, S, S).

    The network of Ho et al. 2020, App. B, made small: residual blocks with group normalisation, which are told
    the time; one more block a level on the way up, which also sees what its level was on the way down. Without
    attention. The last layer starts at zero, and so does the net.

    Args:
        size: side S of the pictures, divisible by ``patch`` and by 2 for every level but the first.
        width: channels of the first level.
        levels: channels of each level, in units of ``width``; from one to the next the side is halved.
        patch: squares of so many pixels a side are folded into channels first, which is faster and coarser.
        classes: number of labels; the label ``classes`` stands for "not told".

    Raises:
        InputError: sizes, times or labels that do not fit, here or in ``forward``.
    """

    def __init__(
        self, size: int, channels: int = 3, width: int = 32, levels: Sequence[int] = (1, 2, 2),
        patch: int = 1, classes: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        levels, width = _whole("levels", levels), whole_number("width", width, 2)
        channels, patch = whole_number("channels", channels, 1), whole_number("patch", patch, 1)
        size = whole_number("size", size, 1)
        if size % (patch * 2 ** (len(levels) - 1)):
            raise InputError(f"size={size} must be divisible by {patch * 2 ** (len(levels) - 1)}, for its levels")
        self.shape, self.patch, self.classes = (channels, size, size), patch, whole_number("classes", classes, 0)
        told, folded, sides = 4 * width, channels * patch**2, [width * k for k in levels]
        self.time = nn.Sequential(nn.Linear(2 * width, told), nn.SiLU(), nn.Linear(told, told))
        self.label = nn.Embedding(classes + 1, told) if classes else None
        self.first = nn.Conv2d(folded, width, 3, 1, 1)
        self.down = nn.ModuleList(_ResidualBlock(a, b, told) for a, b in zip((width, *sides), sides))
        self.smaller = nn.ModuleList(nn.Conv2d(side, side, 3, 2, 1) for side in sides[:-1])
        self.middle = _ResidualBlock(sides[-1], sides[-1], told)
        self.up = nn.ModuleList(
            _ResidualBlock(below + side, side, told) for below, side in zip((*sides[1:], sides[-1]), sides)
        )
        self.last = nn.Sequential(nn.GroupNorm(math.gcd(8, width), sides[0]), nn.SiLU(),
                                  nn.Conv2d(sides[0], folded, 3, 1, 1))  # fmt: skip
        self.reset_parameters()

    def reset_parameters(self) -> None:
        for module in self.modules():
            if module is not self and hasattr(module, "reset_parameters"):
                module.reset_parameters()
        nn.init.zeros_(self.last[-1].weight)
        nn.init.zeros_(self.last[-1].bias)

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        """Pictures (B, C, S, S) of any range, times (B,) in [0, 1], labels (B,) of 0 to ``classes``."""
        _check_input(self, x, self.shape)
        if not isinstance(t, Tensor) or t.shape != (len(x),):
            raise InputError(f"times are {_found(t)}; expected one for each picture, shape ({len(x)},)")
        if y is not None or self.label is not None:
            y = torch.full((len(x),), self.classes, device=x.device) if y is None else y
            _check_labels(y, self.classes and self.classes + 1, len(x))
        told = self.time(_waves(t.to(x), self.time[0].in_features))  # (B, 4 width)
        if self.label is not None:
            told = told + self.label(y)
        h = self.first(F.pixel_unshuffle(x, self.patch))
        kept = []
        for level, block in enumerate(self.down):
            h = block(h, told)
            kept.append(h)
            h = self.smaller[level](h) if level < len(self.smaller) else h
        h = self.middle(h, told)
        for level in reversed(range(len(self.up))):
            h = self.up[level](torch.cat([h, kept[level]], 1), told)
            h = F.interpolate(h, scale_factor=2) if level else h
        return F.pixel_shuffle(self.last(h), self.patch)


class _ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut; between them stands what the block is told, (B, told)."""

    def __init__(self, channels: int, out: int, told: int) -> None:
        super().__init__()
        layer = lambda a: (nn.GroupNorm(math.gcd(8, a), a), nn.SiLU(), nn.Conv2d(a, out, 3, 1, 1))
        self.one, self.two = nn.Sequential(*layer(channels)), nn.Sequential(*layer(out))
        self.told = nn.Linear(told, out)
        self.shortcut = nn.Conv2d(channels, out, 1) if channels != out else nn.Identity()

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        return self.shortcut(x) + self.two(self.one(x) + self.told(told)[:, :, None, None])


def _waves(t: Tensor, count: int) -> Tensor:
    """Times (B,) in [0, 1] as sines and cosines of many wavelengths, (B, count): Vaswani et al. 2017, section 3.5."""
    rates = 1000 * torch.exp(-math.log(10_000) * torch.arange(count // 2, device=t.device) / (count // 2))
    angles = t[:, None] * rates.to(t)
    return torch.cat([angles.sin(), angles.cos()], 1)


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


def _found(x: object) -> str:
    return f"shape {tuple(x.shape)}" if isinstance(x, Tensor) else f"a {type(x).__name__}"


def _check_input(net: nn.Module, x: Tensor, shape: tuple[int, ...]) -> None:
    """Refuse by name what torch would only stumble over, deep in a layer; waits for no device."""
    if not isinstance(x, Tensor) or tuple(x.shape[1:]) != shape:
        raise InputError(f"got {_found(x)}; expected (B, {', '.join(map(str, shape))})")
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
