"""Checks of the exercises on DCGAN: labels as maps, stamps, batch normalisation, the stack, hinges."""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from belamy.check import Check, Fresh

# --- labels --------------------------------------------------------------------------------------


def with_label(x: Tensor, y: Tensor, classes: int) -> Tensor:
    maps = F.one_hot(y, classes)[:, :, None, None].to(x)
    return torch.cat([x, maps.expand(-1, -1, *x.shape[2:])], 1)


def draw_label(fresh: Fresh) -> tuple:
    batch, channels, height, width, classes = fresh.sizes((4, 9), (1, 3), (4, 9), (4, 9), (4, 9))
    y = torch.tensor([0, classes - 1, *(fresh.integer(0, classes - 1) for _ in range(batch - 2))])
    return fresh.uniform(batch, channels, height, width), y, classes


def dotted(x: Tensor, y: Tensor, classes: int) -> Tensor:
    maps = torch.zeros(len(x), classes, *x.shape[2:])
    maps[torch.arange(len(x)), y, 0, 0] = 1
    return torch.cat([x, maps], 1)


label = Check(
    with_label,
    draw_label,
    "a tensor (B, C + classes, H, W): the picture's channels, then a map for each class",
    {
        "The label's maps stand before the picture: the picture's channels come first.": lambda x, y, classes: (
            with_label(x, y, classes).roll(classes, 1)
        ),
        "One map holds the label as a number. Then a nine looks like nine times a one, and a three lies between a "
        "two and a four; a class needs a map of its own.": lambda x, y, classes: torch.cat(
            [x, y.to(x)[:, None, None, None].expand(-1, 1, *x.shape[2:])], 1
        ),
        "Every map holds the label as a number: the map of the picture's own class is 1, the others are 0.": (
            lambda x, y, classes: torch.cat([x, y.to(x)[:, None, None, None].expand(-1, classes, *x.shape[2:])], 1)
        ),
        "The label is written at one pixel only: a convolution has to see it at every pixel.": dotted,
        "All pictures of the batch got the first one's label.": lambda x, y, classes: with_label(
            x, y[:1].expand_as(y), classes
        ),
        "You return the label's maps alone, without the picture.": lambda x, y, classes: with_label(x, y, classes)[
            :, x.shape[1] :
        ],
        "Ones and zeros are exchanged: the map of the label's class is 1, the others are 0.": lambda x, y, classes: (
            torch.cat([x, 1 - with_label(x, y, classes)[:, x.shape[1] :]], 1)
        ),
    },
)

# --- stamps --------------------------------------------------------------------------------------


def stamp(v: Tensor, kernel: Tensor, stride: int, padding: int) -> Tensor:
    return F.conv_transpose1d(v[None, None], kernel[None, None], stride=stride, padding=padding)[0, 0]


def overwritten(v: Tensor, kernel: Tensor, stride: int, padding: int) -> Tensor:
    row = torch.zeros_like(stamp(v, kernel, stride, 0))
    for i in range(len(v)):
        row = torch.cat([row[: i * stride], v[i] * kernel, row[i * stride + len(kernel) :]])
    return row[padding : len(row) - padding]


def uncut_without_padding(answer, fresh: Fresh) -> str | None:
    v, kernel = fresh.normal(6, dtype=torch.float64), fresh.normal(4, dtype=torch.float64)
    found, right = answer(v, kernel, 2, 0), stamp(v, kernel, 2, 0)
    if found.shape != right.shape:
        return (
            f"With a padding of 0 you return {len(found)} numbers where {len(right)} are meant: "
            "a slice that ends at −0 is empty."
        )


transposed = Check(
    stamp,
    lambda fresh: (
        fresh.normal(fresh.integer(5, 9), dtype=torch.float64),
        fresh.normal(fresh.integer(4, 6), dtype=torch.float64),
        fresh.integer(2, 3),
        1,
    ),
    "a tensor with (n − 1) · stride − 2 · padding + kernel numbers",
    {
        "You turned the kernel round. A stamp is put down as it is; it is the convolution on the way down whose kernel "
        "would then have to be turned.": lambda v, kernel, stride, padding: stamp(v, kernel.flip(0), stride, padding),
        "Where stamps overlap, the last one wins in yours. They are added.": overwritten,
        "The padding is not taken off. In a transposed convolution it shortens the result, at both ends.": (
            lambda v, kernel, stride, padding: stamp(v, kernel, stride, 0)
        ),
        "The padding is added. In a transposed convolution it is taken off, at both ends.": (
            lambda v, kernel, stride, padding: F.pad(stamp(v, kernel, stride, 0), (padding, padding))
        ),
        "The padding is taken off at the front only.": (
            lambda v, kernel, stride, padding: stamp(v, kernel, stride, 0)[padding:]
        ),
        "The padding is taken off at the end only.": (
            lambda v, kernel, stride, padding: stamp(v, kernel, stride, 0)[:-padding]
        ),
        "The padding is taken off twice at one end, and not at the other.": (
            lambda v, kernel, stride, padding: stamp(v, kernel, stride, 0)[2 * padding :]
        ),
        "Your stamps lie one pixel apart, whatever the stride.": (
            lambda v, kernel, stride, padding: stamp(v, kernel, 1, padding)
        ),
        "That is the strided convolution, which goes down; its transpose goes up.": (
            lambda v, kernel, stride, padding: F.conv1d(
                v[None, None], kernel[None, None], stride=stride, padding=padding
            )[0, 0]
        ),
    },
    gradients=("v", "kernel"),
    laws={"no padding": uncut_without_padding},
)

# --- batch normalisation -------------------------------------------------------------------------


def standard(x: Tensor, eps: float, over=(0, 2, 3), correction: int = 0, cut: bool = False) -> Tensor:
    source = x.detach() if cut else x
    mean = source.mean(over, keepdim=True)
    variance = source.var(over, correction=correction, keepdim=True)
    return (x - mean) / (variance + eps).sqrt()


def normalised(x: Tensor, eps: float) -> Tensor:
    return standard(x, eps)


def draw_maps(fresh: Fresh) -> tuple:
    batch, channels, height, width = fresh.sizes((3, 6), (2, 5), (3, 6), (3, 6))
    x = fresh.normal(batch, channels, height, width, dtype=torch.float64)
    scale, shift = fresh.uniform(1, channels, 1, 1, low=0.5, high=2), fresh.normal(1, channels, 1, 1)
    return x * scale + shift, fresh.number(0.1, 0.9)


normalise = Check(
    normalised,
    draw_maps,
    "a tensor like x",
    {
        "You took mean and variance over the batch alone, for every pixel its own: a convolution treats all places "
        "alike, and so does its normalisation.": partial(standard, over=(0,)),
        "You took mean and variance inside each picture: that is instance normalisation. Over the batch, too, a "
        "picture's result has to depend on the others.": partial(standard, over=(2, 3)),
        "You took mean and variance of each picture over its channels as well: that is layer normalisation.": partial(
            standard, over=(1, 2, 3)
        ),
        "You took one mean and one variance for all channels: each channel has its own.": partial(
            standard, over=(0, 1, 2, 3)
        ),
        "You divided the squares by one less than their number, which is torch's default: batch normalisation takes "
        "the plain mean of the squares.": partial(standard, correction=1),
        "eps is added to the standard deviation: it belongs to the variance, under the root.": lambda x, eps: (
            (x - x.mean((0, 2, 3), keepdim=True)) / (x.var((0, 2, 3), correction=0, keepdim=True).sqrt() + eps)
        ),
        "eps is missing: the variance of a constant map is 0.": lambda x, eps: standard(x, 0.0),
        "You divided by the variance, not by its root.": lambda x, eps: (
            (x - x.mean((0, 2, 3), keepdim=True)) / (x.var((0, 2, 3), correction=0, keepdim=True) + eps)
        ),
        "The mean is not taken off.": lambda x, eps: x / (x.var((0, 2, 3), correction=0, keepdim=True) + eps).sqrt(),
        "Mean and variance are cut off from the graph. They depend on x, and the gradient has to go through "
        "them.": partial(standard, cut=True),
    },
    gradients=("x",),
)

# --- the stack -----------------------------------------------------------------------------------


def stacked(
    generator: nn.Module,
    discriminator: nn.Module,
    x: Tensor,
    z: Tensor,
    detach: bool = True,
    freeze: bool = True,
    thaw: bool = True,
) -> tuple[Tensor, Tensor]:
    fakes = generator(z)
    fake = discriminator(fakes.detach() if detach else fakes)
    first = F.softplus(-discriminator(x)).mean() + F.softplus(fake).mean()
    discriminator.requires_grad_(not freeze)
    second = F.softplus(-discriminator(fakes)).mean()
    discriminator.requires_grad_(thaw)
    return first, second


def stacked_losses(generator: nn.Module, discriminator: nn.Module, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    return stacked(generator, discriminator, x, z)


def players(fresh: Fresh) -> tuple:
    batch, latent_dim, pixels, width = fresh.sizes((5, 9), (2, 4), (3, 9), (3, 9))
    generator = nn.Sequential(nn.Linear(latent_dim, pixels), nn.Sigmoid())
    discriminator = nn.Sequential(nn.Linear(pixels, width), nn.LeakyReLU(0.2), nn.Linear(width, 1), nn.Flatten(0))
    with torch.no_grad():
        for parameter in (*generator.parameters(), *discriminator.parameters()):
            parameter.copy_(fresh.normal(*parameter.shape))
    return generator, discriminator, fresh.uniform(batch, pixels), fresh.normal(batch, latent_dim)


def changed(
    first=lambda real, fake: F.softplus(-real).mean() + F.softplus(fake).mean(), second=lambda s: F.softplus(-s)
):
    def losses(generator, discriminator, x, z):
        real, fake = discriminator(x), discriminator(generator(z))
        return first(real, fake), second(fake).mean()

    return losses


stack = Check(
    stacked_losses,
    players,
    "two losses, of step 1 and of step 2, each a tensor without dimensions",
    {
        "The discriminator's loss sends its gradient on into the generator, which would then learn to be caught: "
        "detach the fakes in step 1.": partial(stacked, detach=False),
        "In step 2 the discriminator is not frozen: it would learn to be fooled.": partial(stacked, freeze=False),
        "Every loss reaches both nets: in step 1 the fakes are not detached, in step 2 the discriminator is not "
        "frozen.": partial(stacked, detach=False, freeze=False),
        "The sigmoid is taken twice: a loss for scores, as softplus or one 'with logits', takes it itself.": changed(
            lambda real, fake: F.softplus(-real.sigmoid()).mean() + F.softplus(fake.sigmoid()).mean(),
            lambda s: F.softplus(-s.sigmoid()),
        ),
        "You detached the fakes in step 2 as well: there the gradient has to run through the discriminator into the "
        "generator, which gets none.": lambda generator, discriminator, x, z: stacked(
            lambda z: generator(z).detach(), discriminator, x, z
        ),
        "Step 2 has the saturating loss, log(1 − D(G(z))): with the label 1 cross-entropy is −log D(G(z)).": changed(
            second=lambda s: -F.softplus(s)
        ),
        "In step 2 the fakes have the label 0, as in step 1: the generator would help the discriminator.": changed(
            second=F.softplus
        ),
        "The labels of step 1 are exchanged: real is 1, generated is 0.": changed(
            lambda real, fake: F.softplus(real).mean() + F.softplus(-fake).mean()
        ),
        "In step 1 you averaged the two halves, where they are added.": changed(
            lambda real, fake: (F.softplus(-real).mean() + F.softplus(fake).mean()) / 2
        ),
        "Step 1 lacks the real pictures.": changed(lambda real, fake: F.softplus(fake).mean()),
        "Step 1 lacks the generated pictures.": changed(lambda real, fake: F.softplus(-real).mean()),
        "The two losses are exchanged: step 1, the discriminator's, comes first.": lambda *given: stacked(*given)[::-1],
    },
    gradients=("generator", "discriminator"),
)

# --- hinges --------------------------------------------------------------------------------------


def hinges(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean(), -fake.mean()


def draw_scores(fresh: Fresh) -> tuple:
    return tuple(fresh.normal(2, fresh.integer(12, 20), scale=2.0))


hinge = Check(
    hinges,
    draw_scores,
    "two losses, the discriminator's and the generator's, each a tensor without dimensions",
    {
        "The hinges have no margin: a real score is good from 1 on, a fake's from −1 down, not from 0.": (
            lambda real, fake: (F.relu(-real).mean() + F.relu(fake).mean(), -fake.mean())
        ),
        "The discriminator's signs are turned: real scores are to be large, fakes' small.": lambda real, fake: (
            F.relu(1 + real).mean() + F.relu(1 - fake).mean(),
            -fake.mean(),
        ),
        "The fakes' hinge has the sign of the real ones': it is 1 + s, which presses their scores down.": (
            lambda real, fake: (F.relu(1 - real).mean() + F.relu(1 - fake).mean(), -fake.mean())
        ),
        "The real pictures' hinge has the sign of the fakes': it is 1 − s, which lifts their scores.": (
            lambda real, fake: (F.relu(1 + real).mean() + F.relu(1 + fake).mean(), -fake.mean())
        ),
        "You sent the scores through a sigmoid first: hinges are written in scores, any numbers, not in "
        "probabilities.": lambda real, fake: hinges(real.sigmoid(), fake.sigmoid()),
        "The generator has no hinge: its loss is minus the mean score, however large that is.": lambda real, fake: (
            hinges(real, fake)[0],
            F.relu(1 - fake).mean(),
        ),
        "The generator's sign is turned: it would minimise the score of its pictures.": lambda real, fake: (
            hinges(real, fake)[0],
            fake.mean(),
        ),
        "You averaged the discriminator's two hinges, where they are added.": lambda real, fake: (
            hinges(real, fake)[0] / 2,
            -fake.mean(),
        ),
        "The margin is taken of the batch's mean: each score has its own hinge, and the mean comes last.": (
            lambda real, fake: (F.relu(1 - real.mean()) + F.relu(1 + fake.mean()), -fake.mean())
        ),
        "You took the smaller of 0 and the margin, not the larger.": lambda real, fake: (
            (1 - real).clamp(max=0).mean() + (1 + fake).clamp(max=0).mean(),
            -fake.mean(),
        ),
        "That is the soft hinge, log(1 + e^x), the cross-entropy's. A hinge is max(0, x).": lambda real, fake: (
            F.softplus(1 - real).mean() + F.softplus(1 + fake).mean(),
            -fake.mean(),
        ),
        "The two losses are exchanged: the discriminator's comes first.": lambda real, fake: hinges(real, fake)[::-1],
    },
    gradients=("real", "fake"),
)
