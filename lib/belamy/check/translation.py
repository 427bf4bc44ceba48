"""Checks of the exercises on translation: views, bridges, maps of scores, both terms of Pix2Pix, two truths, the dial."""

import torch
from torch import Tensor
from torch.nn import functional as F

from belamy.check import Check, Fresh

# --- how far a score sees ----------------------------------------------------------------------------


def field(kernels: list[int], strides: list[int]) -> int:
    """Pixels of a side that one unit of the last layer sees: each kernel adds k - 1 times the strides before it."""
    seen, step = 1, 1
    for kernel, stride in zip(kernels, strides):
        seen, step = seen + (kernel - 1) * step, step * stride
    return seen


def draw_layers(fresh: Fresh) -> tuple[list[int], list[int]]:
    while True:
        count = fresh.integer(3, 5)
        kernels = [fresh.integer(2, 5) for _ in range(count)]
        strides = [fresh.integer(1, 2) for _ in range(count)]
        if len(set(kernels)) > 1 and strides[0] == 2 and strides[-1] == 2 and 1 in strides:
            return kernels, strides


def own_strides(kernels, strides):
    seen, step = 1, 1
    for kernel, stride in zip(kernels, strides):
        step *= stride
        seen += (kernel - 1) * step
    return seen


views = Check(
    field,
    draw_layers,
    "a whole number, the pixels of a side",
    {
        "You let a layer's own stride count for its kernel. The steps that count are those of the layers *before* it.":
            own_strides,
        "You forgot the strides: after a stride of 2, neighbours of a map are two pixels apart.":
            lambda kernels, strides: field(kernels, [1] * len(strides)),
        "A kernel of k adds k − 1 steps, not k: one of its places is where the unit stands.":
            lambda kernels, strides: field([k + 1 for k in kernels], strides),
        "You started from 0 pixels; a unit of no layer at all sees one.":
            lambda kernels, strides: field(kernels, strides) - 1,
        "You went from the first layer to the last as if the last stood next to the picture: go in the layers' order.":
            lambda kernels, strides: field(kernels[::-1], strides[::-1]),
    },
)  # fmt: skip

# --- a bridge ----------------------------------------------------------------------------------------


def joined(coarse: Tensor, fine: Tensor) -> Tensor:
    """The coarse maps, enlarged twofold by repeating each value, and beside them those of the bridge."""
    return torch.cat([F.interpolate(coarse, scale_factor=2), fine], 1)


def draw_maps(fresh: Fresh) -> tuple[Tensor, Tensor]:
    batch, channels, h, w = fresh.sizes((2, 4), (2, 5), (3, 6), (3, 7))
    return fresh.normal(batch, channels, h, w), fresh.normal(batch, channels, 2 * h, 2 * w)


bridge = Check(
    joined,
    draw_maps,
    "a tensor (B, a + b, 2h, 2w): the enlarged coarse channels first, then the fine ones",
    {
        "You added the maps. A bridge lays channels side by side, so that the next layer can tell them apart.":
            lambda coarse, fine: F.interpolate(coarse, scale_factor=2) + fine,
        "The order: first the enlarged coarse channels, then those of the bridge.":
            lambda coarse, fine: torch.cat([fine, F.interpolate(coarse, scale_factor=2)], 1),
        "You shrank the fine maps to the coarse ones. The way leads up: enlarge the coarse ones.":
            lambda coarse, fine: torch.cat([coarse, F.avg_pool2d(fine, 2)], 1),
        "You enlarged by drawing straight lines between values (bilinear); here each value is repeated.":
            lambda coarse, fine: torch.cat([F.interpolate(coarse, scale_factor=2, mode="bilinear"), fine], 1),
        "The maps stand beside each other in the *picture*. Join them along the channels, axis 1.":
            lambda coarse, fine: torch.cat([F.interpolate(coarse, scale_factor=2), fine], 3),
    },
    gradients=["coarse", "fine"],
)  # fmt: skip

# --- a map of scores ---------------------------------------------------------------------------------


def real_part(real: Tensor, fake: Tensor) -> Tensor:
    return F.softplus(-real).mean()


def fake_part(real: Tensor, fake: Tensor) -> Tensor:
    return F.softplus(fake).mean()


def map_loss(real: Tensor, fake: Tensor) -> Tensor:
    """−log σ(s) of real patches and −log(1 − σ(s)) of made ones, each averaged over all patches of all pictures."""
    return real_part(real, fake) + fake_part(real, fake)


def draw_scores(fresh: Fresh) -> tuple[Tensor, Tensor]:
    batch, h, w = fresh.sizes((3, 6), (3, 7), (4, 8))
    return fresh.normal(batch, 1, h, w, scale=3.0) + 1, fresh.normal(batch, 1, h, w, scale=3.0) - 0.5


def extreme_scores(fresh: Fresh) -> tuple[Tensor, Tensor]:
    return torch.full((2, 1, 3, 3), -200.0), torch.full((2, 1, 3, 3), 200.0)


def over_map(real, fake):
    return map_loss(real.mean((1, 2, 3)), fake.mean((1, 2, 3)))


patches = Check(
    map_loss,
    draw_scores,
    "one number, as a tensor",
    {
        "You averaged each map *before* the loss. Every patch is an example: take the logarithm of each, then the mean.":
            over_map,
        "Real and made patches are exchanged: σ(s) is to be near 1 for real ones.":
            lambda real, fake: map_loss(fake, real),
        "That is the generator's loss: the judge wants made patches to score low.":
            lambda real, fake: F.softplus(-real).mean() + F.softplus(-fake).mean(),
        "You summed over the patches of a picture, so that larger pictures weigh more. Take the mean over all patches.":
            lambda real, fake: map_loss(real, fake) * real[0].numel(),
        "You took the best patch of each picture for the whole. Each patch is judged.":
            lambda real, fake: map_loss(real.amax((1, 2, 3)), fake.amax((1, 2, 3))),
        "You took probabilities for scores: the maps hold logits, and σ is still to be applied.":
            lambda real, fake: map_loss(real.sigmoid(), fake.sigmoid()),
    },
    gradients=["real", "fake"],
    terms={"The term of the real patches": real_part, "The term of the made patches": fake_part},
    extremes=extreme_scores,
)  # fmt: skip

# --- what the translator minimises -------------------------------------------------------------------


def l1_part(made: Tensor, wanted: Tensor, scores: Tensor, weight: float) -> Tensor:
    return weight * (made - wanted).abs().mean()


def deceive_part(made: Tensor, wanted: Tensor, scores: Tensor, weight: float) -> Tensor:
    return F.softplus(-scores).mean()


def both(made: Tensor, wanted: Tensor, scores: Tensor, weight: float) -> Tensor:
    """The weighted mean absolute error, and the non-saturating loss of the judge's map of scores."""
    return l1_part(made, wanted, scores, weight) + deceive_part(made, wanted, scores, weight)


def draw_translations(fresh: Fresh) -> tuple[Tensor, Tensor, Tensor, float]:
    batch, side, patch = fresh.sizes((2, 4), (6, 9), (3, 5))
    pictures = [fresh.uniform(batch, 3, side, side) for _ in range(2)]
    return (*pictures, fresh.normal(batch, 1, patch, patch, scale=2.0), fresh.number(3.0, 40.0))


translator = Check(
    both,
    draw_translations,
    "one number, as a tensor",
    {
        "You took the squared error, whose answer to two truths is their mean. Pix2Pix takes the absolute one.":
            lambda made, wanted, scores, weight: weight * (made - wanted).square().mean()
            + F.softplus(-scores).mean(),
        "The weight stands before the wrong term: λ multiplies the absolute error.":
            lambda made, wanted, scores, weight: (made - wanted).abs().mean() + weight * F.softplus(-scores).mean(),
        "Your second term is the judge's: it falls when the judge is *not* deceived.":
            lambda made, wanted, scores, weight: weight * (made - wanted).abs().mean() + F.softplus(scores).mean(),
        "You took the saturating form log(1 − σ(s)), whose slope vanishes where the judge is sure. Take −log σ(s).":
            lambda made, wanted, scores, weight: weight * (made - wanted).abs().mean() - F.softplus(scores).mean(),
        "You averaged the map of scores before the logarithm: each patch is an example.":
            lambda made, wanted, scores, weight: weight * (made - wanted).abs().mean()
            + F.softplus(-scores.mean((1, 2, 3))).mean(),
        "You summed the absolute error over the pixels of a picture; meant is the mean over all numbers.":
            lambda made, wanted, scores, weight: weight * (made - wanted).abs().flatten(1).sum(1).mean()
            + F.softplus(-scores).mean(),
    },
    gradients=["made", "scores"],
    terms={"The absolute error": l1_part, "The term that deceives the judge": deceive_part},
)  # fmt: skip

# --- on which side -----------------------------------------------------------------------------------


def side(g: Tensor, one: Tensor, other: Tensor) -> Tensor:
    """Where g lies on the way from one truth to the other, for each picture: 0 at the first, 1 at the second."""
    way, gone = (other - one).flatten(1), (g - one).flatten(1)
    return (gone * way).sum(1) / way.square().sum(1)


def draw_truths(fresh: Fresh) -> tuple[Tensor, Tensor, Tensor]:
    batch, size = fresh.sizes((3, 6), (7, 10))
    one, other, off = (fresh.uniform(batch, 3, size, size) for _ in range(3))
    share = fresh.uniform(batch, 1, 1, 1)
    return one + share * (other - one) + 0.2 * (off - 0.5), one, other


def ends_are_ends(answer, fresh: Fresh) -> str | None:
    _, one, other = draw_truths(fresh)
    ends = answer(one, one, other), answer(other, one, other), answer((one + other) / 2, one, other)
    if not all(torch.allclose(torch.as_tensor(e).float(), torch.full((len(one),), v), atol=1e-4)
               for e, v in zip(ends, (0.0, 1.0, 0.5))):  # fmt: skip
        return "At the first truth the side has to be 0, at the second 1, and half-way ½."


two_truths = Check(
    side,
    draw_truths,
    "a tensor (B,): one number a picture",
    {
        "The truths have changed places: 0 belongs to the first.": lambda g, one, other: side(g, other, one),
        "You divided by the length of y₂ − y₁; divide by its square, or it has the unit of pixels.":
            lambda g, one, other: side(g, one, other) * (other - one).flatten(1).norm(dim=1),
        "You forgot to measure from the first truth: subtract y₁ from g.":
            lambda g, one, other: (g.flatten(1) * (other - one).flatten(1)).sum(1)
            / (other - one).flatten(1).square().sum(1),
        "You took all pictures together; each has a side of its own.":
            lambda g, one, other: (((g - one) * (other - one)).sum() / (other - one).square().sum()).expand(len(g)),
        "You compared distances. The side is a projection: what lies beside the way does not count.":
            lambda g, one, other: (g - one).flatten(1).norm(dim=1)
            / ((g - one).flatten(1).norm(dim=1) + (g - other).flatten(1).norm(dim=1)),
    },
    laws={"0, 1 and ½ where they should be": ends_are_ends},
)  # fmt: skip

# --- a dial ------------------------------------------------------------------------------------------


def with_dial(x: Tensor, value: Tensor) -> Tensor:
    """Pictures (B, C, H, W) and numbers (B,): each number as a further channel, the same at every pixel."""
    return torch.cat([x, value.view(-1, 1, 1, 1).expand(-1, 1, *x.shape[2:]).to(x)], 1)


def draw_dial(fresh: Fresh) -> tuple[Tensor, Tensor]:
    batch, channels, h, w = fresh.sizes((2, 4), (1, 3), (5, 7), (5, 8))
    return fresh.uniform(batch, channels, h, w), fresh.uniform(batch, low=-1)


dial = Check(
    with_dial,
    draw_dial,
    "a tensor (B, C + 1, H, W): the numbers in the last channel",
    {
        "You added the number to the picture: the net cannot tell light from dial. Give it a channel of its own.":
            lambda x, value: x + value.view(-1, 1, 1, 1),
        "The dial's channel stands first; meant is the last.":
            lambda x, value: with_dial(x, value).roll(1, 1),
        "All pictures got the first one's number.":
            lambda x, value: with_dial(x, value[:1].expand(len(x))),
        "You told all pictures the mean of the numbers.":
            lambda x, value: with_dial(x, value.mean().expand(len(x))),
        "You wrote the number into one pixel only; a convolution elsewhere does not see it.":
            lambda x, value: torch.cat(
                [x, F.pad(value.view(-1, 1, 1, 1), (0, x.shape[3] - 1, 0, x.shape[2] - 1))], 1),
    },
)  # fmt: skip
