"""Checks of the exercises on StackGAN: pictures made small, detail, a stage alone, paired intervals."""

import torch
from scipy import stats
from torch import Tensor, nn
from torch.nn import functional as F

from belamy.check import Check, Fresh

# --- small pictures ------------------------------------------------------------------------------


def draw_blocks(fresh: Fresh) -> tuple:
    batch, channels, height, width = fresh.sizes((3, 7), (2, 4), (3, 6), (3, 6))
    factor = fresh.integer(3, 4)
    return fresh.uniform(batch, channels, factor * height, factor * width), factor


def reordered(x: Tensor, factor: int) -> Tensor:
    batch, channels, height, width = x.shape
    return x.reshape(batch, channels, height // factor, width // factor, factor, factor).mean((-2, -1))


shrink = Check(
    lambda x, factor: F.avg_pool2d(x, factor),
    draw_blocks,
    "a tensor (B, C, H / factor, W / factor)",
    {
        "You kept one pixel of each block, its first. The small picture is the mean over the whole block; single "
        "pixels alias.": lambda x, factor: x[..., ::factor, ::factor],
        "You kept one pixel of each block, the middle one: the mean over the whole block is meant.": (
            lambda x, factor: x[..., factor // 2 :: factor, factor // 2 :: factor]
        ),
        "You took the sum over a block, where the mean is meant: a small picture would be brighter.": (
            lambda x, factor: F.avg_pool2d(x, factor) * factor**2
        ),
        "You took the largest value of a block, as a pooling layer for recognition does: the mean is meant.": (
            lambda x, factor: F.max_pool2d(x, factor)
        ),
        "The numbers are grouped in the order of memory. There, a block's rows do not lie beside each other: split "
        "both axes first, then take the mean over the two short ones.": reordered,
        "You averaged pixels that lie far apart: an axis is split into (blocks, factor), not into (factor, blocks).": (
            lambda x, factor: x.unflatten(3, (factor, -1)).unflatten(2, (factor, -1)).mean((2, 4))
        ),
        "Bilinear interpolation looks at four pixels of each block alone: the mean over the whole block is meant.": (
            lambda x, factor: F.interpolate(x, scale_factor=1 / factor, mode="bilinear")
        ),
        "You averaged over the channels, too: the colours are gone.": lambda x, factor: (
            F.avg_pool2d(x, factor).mean(1, keepdim=True).expand(-1, x.shape[1], -1, -1)
        ),
        "The picture got smaller along one axis only.": lambda x, factor: F.avg_pool2d(x, (factor, 1)),
        "The picture got narrower, not lower.": lambda x, factor: F.avg_pool2d(x, (1, factor)),
    },
)

# --- detail --------------------------------------------------------------------------------------


def enlarge(x: Tensor, **how) -> Tensor:
    return F.interpolate(x, scale_factor=2, **({"mode": "bilinear"} | how))


def pyramid(x: Tensor) -> tuple[Tensor, Tensor]:
    small = F.avg_pool2d(x, 2)
    return small, x - enlarge(small)


def draw_pictures(fresh: Fresh) -> tuple:
    batch, channels, height, width = fresh.sizes((3, 7), (2, 4), (3, 6), (3, 6))
    return (fresh.uniform(batch, channels, 2 * height, 2 * width),)


def level(small=lambda x: F.avg_pool2d(x, 2), detail=lambda x, small: x - enlarge(small)):
    return lambda x: (small(x), detail(x, small(x)))


laplacian = Check(
    pyramid,
    draw_pictures,
    "two tensors: the small pictures, and the detail, which is as large as the pictures",
    {
        "The detail has the wrong sign: added to the enlarged picture it is to give the picture back.": level(
            detail=lambda x, small: enlarge(small) - x
        ),
        "You enlarged by repeating pixels, where bilinear interpolation is meant.": level(
            detail=lambda x, small: x - enlarge(small, mode="nearest")
        ),
        "You enlarged with align_corners=True: then the corners of both pictures lie on each other, and every pixel "
        "between is shifted.": level(detail=lambda x, small: x - enlarge(small, align_corners=True)),
        "The small picture keeps every second pixel, where the mean over blocks is meant.": level(
            small=lambda x: x[..., ::2, ::2]
        ),
        "The small picture keeps the largest value of a block, where its mean is meant.": level(
            small=lambda x: F.max_pool2d(x, 2)
        ),
        "The detail is the picture itself: what the small picture says already is not taken off.": level(
            detail=lambda x, small: x
        ),
        "The second result is the enlarged picture, not what it lacks.": level(detail=lambda x, small: enlarge(small)),
        "The two results are exchanged: the small picture comes first.": lambda x: pyramid(x)[::-1],
        "The detail is taken from the picture's mean, not from its enlarged small version.": level(
            detail=lambda x, small: x - x.mean((2, 3), keepdim=True)
        ),
    },
)

# --- the last stage ------------------------------------------------------------------------------


class Refining(nn.Module):
    """Pictures (B, p) and latents (B, q) to pictures (B, 2p)."""

    def __init__(self, pixels: int, latent_dim: int):
        super().__init__()
        self.layer = nn.Linear(pixels + latent_dim, 2 * pixels)

    def forward(self, picture: Tensor, z: Tensor) -> Tensor:
        return torch.sigmoid(self.layer(torch.cat([picture, z], 1)))


def draw_stack(fresh: Fresh) -> tuple:
    batch, latent_dim, pixels = fresh.sizes((6, 12), (2, 4), (3, 5))
    first = nn.Sequential(nn.Linear(latent_dim, pixels), nn.Sigmoid())
    refiner = Refining(pixels, latent_dim)
    discriminator = nn.Sequential(nn.Linear(2 * pixels, 7), nn.LeakyReLU(0.2), nn.Linear(7, 1), nn.Flatten(0))
    with torch.no_grad():
        for net in (first, refiner, discriminator):
            for parameter in net.parameters():
                parameter.copy_(fresh.normal(*parameter.shape, scale=0.7))
    return first, refiner, discriminator, fresh.normal(batch, latent_dim)


def staged(
    first: nn.Module, refiner: nn.Module, discriminator: nn.Module, z: Tensor, still=True, cut=False, see=lambda z: z
) -> Tensor:
    picture = first(z).detach() if still else first(z)
    larger = refiner(picture, see(z))
    return discriminator(larger.detach() if cut else larger)


def stage_loss(first: nn.Module, refiner: nn.Module, discriminator: nn.Module, z: Tensor) -> Tensor:
    return F.softplus(-staged(first, refiner, discriminator, z)).mean()


last = Check(
    stage_loss,
    draw_stack,
    "a tensor without axes",
    {
        "The first stage does not stand still: the gradient runs on through the small picture into its weights.": (
            lambda *given: F.softplus(-staged(*given, still=False)).mean()
        ),
        "The large picture is cut off from its painter: nobody learns anything. It is the small picture that has to be "
        "cut off.": lambda *given: F.softplus(-staged(*given, cut=True)).mean(),
        "That is the saturating loss, log(1 − D): its gradient vanishes where the discriminator is sure of its "
        "fakes.": lambda *given: -F.softplus(staged(*given)).mean(),
        "The sigmoid is taken twice: a loss for scores, as softplus or one 'with logits', takes it itself.": (
            lambda *given: F.softplus(-staged(*given).sigmoid()).mean()
        ),
        "That is the discriminator's loss on fakes: the generator would learn to be caught.": (
            lambda *given: F.softplus(staged(*given)).mean()
        ),
        "The refiner gets zeros in the place of the latent: it is given the same z as the first stage.": (
            lambda *given: F.softplus(-staged(*given, see=torch.zeros_like)).mean()
        ),
        "The logarithm is missing: you have minus the probability itself.": (
            lambda *given: -torch.sigmoid(staged(*given)).mean()
        ),
        "That is minus the mean score, as in a Wasserstein game: the non-saturating loss is minus the mean of log D.": (
            lambda *given: -staged(*given).mean()
        ),
        "You averaged the scores first and took the logarithm then: the mean over the batch comes last.": (
            lambda *given: F.softplus(-staged(*given).mean())
        ),
    },
    may_freeze=("first",),
    gradients=("first", "refiner"),
)

# --- intervals -----------------------------------------------------------------------------------


def spread(a: Tensor, b: Tensor, error: float, quantile: float) -> tuple[float, float, float]:
    mean = float((a - b).mean())
    return mean, mean - quantile * error, mean + quantile * error


def interval(
    a: Tensor, b: Tensor, correction: int = 1, share: float = 0.975, root: float = 0.5, lost: int = 1
) -> tuple[float, float, float]:
    error = float((a - b).std(correction=correction)) / len(a) ** root
    return spread(a, b, error, stats.t.ppf(share, len(a) - lost))


def apart(a: Tensor, b: Tensor, freedom: int = 2) -> tuple[float, float, float]:
    error = float((a.var() + b.var()) / len(a)) ** 0.5
    return spread(a, b, error, stats.t.ppf(0.975, freedom * (len(a) - 1)))


def draw_seeds(fresh: Fresh) -> tuple:
    seeds = fresh.integer(3, 7)
    of_seed = fresh.normal(seeds, scale=2, dtype=torch.float64)
    one, other = (of_seed + fresh.normal(seeds, dtype=torch.float64) for _ in range(2))
    return one + fresh.number(0.5, 2), other


paired = Check(
    lambda a, b: tuple(map(float, interval(a, b))),
    draw_seeds,
    "three floats: the mean difference, and the lower and the upper end of its interval",
    {
        "You treated the two columns as independent. They are paired by seed: take the differences first, then their "
        "spread.": lambda a, b: tuple(map(float, apart(a, b))),
        "You treated the two columns as independent, where they are paired by seed, with the quantile of one "
        "column.": lambda a, b: tuple(map(float, apart(a, b, 1))),
        "You took the normal distribution's 1.96. With so few seeds the spread itself is uncertain: Student's t has "
        "wider tails.": lambda a, b: spread(a, b, float((a - b).std()) / len(a) ** 0.5, 1.959964),
        "You divided the squares by n, where the spread of a sample divides by n − 1.": lambda a, b: tuple(
            map(float, interval(a, b, correction=0))
        ),
        "The spread is that of one difference, not of their mean: it lacks the division by √n.": lambda a, b: tuple(
            map(float, interval(a, b, root=0.0))
        ),
        "You divided by n, where the spread of a mean divides by √n.": lambda a, b: tuple(
            map(float, interval(a, b, root=1.0))
        ),
        "Student's t has n − 1 degrees of freedom here, not n.": lambda a, b: tuple(map(float, interval(a, b, lost=0))),
        "Student's t has n − 1 degrees of freedom here, not n − 2: one mean is estimated.": lambda a, b: tuple(
            map(float, interval(a, b, lost=2))
        ),
        "You took the quantile at 95 %: with 2.5 % left out at either end it is that at 97.5 %.": lambda a, b: tuple(
            map(float, interval(a, b, share=0.95))
        ),
        "The difference is turned round: it is a less b.": lambda a, b: tuple(map(float, interval(b, a))),
        "The results stand in another order: the mean first, then the lower and the upper end.": (
            lambda a, b: tuple(float(interval(a, b)[k]) for k in (1, 0, 2))
        ),
    },
    atol=1e-4,
)
