"""Checks of the exercises to 'The AVA experiment, repeated': the metric, its path, its statistics."""

import torch
from scipy import stats
from torch import Tensor

from belamy.check import Check, Fresh

# --- the balance metric --------------------------------------------------------------------------


def set_and_picture(fresh: Fresh) -> tuple:
    count, height, width = fresh.sizes((4, 9), (3, 8), (3, 8))
    # dark pictures and a bright one, so that distances beyond 1 occur
    return fresh.uniform(count, 3, height, width, high=0.5), fresh.uniform(3, height, width, low=0.3)


def colour_distance(images, picture):
    return (images - picture).square().sum(1).sqrt()


def product(d):
    return d * (1 - d)


balance = Check(
    reference=lambda images, picture: product(colour_distance(images, picture)).abs().mean(),
    draw=set_and_picture,
    returns="a tensor (), the mean over pixels and images",
    mistakes={
        "This is the reading as printed: where a distance is larger than 1 the product is negative, and the program "
        "takes its absolute value.": lambda images, picture: product(colour_distance(images, picture)).mean(),
        "This is the normalised reading: the program does not divide the distance of two colours by √3.": (
            lambda images, picture: product(colour_distance(images, picture) / 3**0.5).abs().mean()
        ),
        "You treated each channel by itself; d is the distance of two colours, one number a pixel.": (
            lambda images, picture: product((images - picture).abs()).abs().mean()
        ),
        "You took the distance of whole images; d is one number a pixel.": lambda images, picture: (
            product((images - picture).square().flatten(1).sum(1).sqrt()).abs().mean()
        ),
        "You compared with the mean image; the metric is a mean over the images, which is another thing.": (
            lambda images, picture: product(colour_distance(images.mean(0, keepdim=True), picture)).abs().mean()
        ),
        "You left out the root: d is a distance, not its square.": lambda images, picture: (
            product((images - picture).square().sum(1)).abs().mean()
        ),
        "You added the three channels' differences; the norm of a colour is the root of a sum of squares.": (
            lambda images, picture: product((images - picture).abs().sum(1)).abs().mean()
        ),
    },
)

# --- where a decoder rests -----------------------------------------------------------------------

rests_at = Check(
    reference=lambda x, share: (x / (1 - share)).clamp(max=1),
    draw=lambda fresh: (fresh.uniform(*fresh.sizes((5, 9), (10, 20))), fresh.number(0.3, 0.7)),
    returns="a tensor like x",
    mistakes={
        "No logistic output exceeds 1: where the error never vanishes, the picture goes to white.": lambda x, share: (
            x / (1 - share)
        ),
        "You put x in place of x′ in the force: it grows with what is painted, not with what should be.": (
            lambda x, share: (x * (1 + share)).clamp(max=1)
        ),
        "This is where a force rests that is the same for all pixels, like that of the printed equation.": (
            lambda x, share: (x + share).clamp(max=1)
        ),
        "The force is missing: without it the decoder rests at x.": lambda x, share: x,
        "The force has the wrong sign: it brightens.": lambda x, share: x / (1 + share),
        "You forgot the error's own −x′.": lambda x, share: (x / share).clamp(max=1),
    },
)

# --- similarity and diversity --------------------------------------------------------------------


def two_sets(fresh: Fresh) -> tuple:
    pictures, images, height, width = fresh.sizes((4, 6), (7, 9), (3, 5), (6, 8))
    return fresh.uniform(pictures, 3, height, width), fresh.uniform(images, 3, height, width)


def apart(a: Tensor, b: Tensor) -> Tensor:
    return torch.cdist(a.flatten(1).double(), b.flatten(1).double()).to(a) / a[0].numel() ** 0.5


def between(pictures: Tensor) -> Tensor:
    return apart(pictures, pictures).sum() / (len(pictures) * (len(pictures) - 1))


def nearest(pictures: Tensor, images: Tensor) -> Tensor:
    return apart(pictures, images).amin(1).mean()


similarity_and_diversity = Check(
    reference=lambda pictures, images: (1 - nearest(pictures, images), between(pictures)),
    draw=two_sets,
    returns="two tensors (), similarity and diversity",
    mistakes={
        "You averaged over all training images; similarity asks for the nearest one.": lambda pictures, images: (
            1 - apart(pictures, images).mean(),
            between(pictures),
        ),
        "You counted the distance of a picture to itself: n pictures have n(n − 1) ordered pairs.": (
            lambda pictures, images: (1 - nearest(pictures, images), apart(pictures, pictures).mean())
        ),
        "You looked for the nearest picture of each training image; it is the other way round.": (
            lambda pictures, images: (1 - nearest(images, pictures), between(pictures))
        ),
        "Similarity is one minus the distance; yours is the distance.": lambda pictures, images: (
            nearest(pictures, images),
            between(pictures),
        ),
        "Your distances are not normalised: divide by the root of how many numbers an image has.": (
            lambda pictures, images: (
                1 - nearest(pictures, images) * pictures[0].numel() ** 0.5,
                between(pictures) * pictures[0].numel() ** 0.5,
            )
        ),
        "You took mean squares; a distance is their root.": lambda pictures, images: (
            1 - apart(pictures, images).square().amin(1).mean(),
            apart(pictures, pictures).square().sum() / (len(pictures) * (len(pictures) - 1)),
        ),
        "Diversity is measured between generated pictures; yours has training images in it.": (
            lambda pictures, images: (1 - nearest(pictures, images), apart(pictures, images).mean())
        ),
    },
)

# --- paired differences --------------------------------------------------------------------------


def two_tables(fresh: Fresh) -> tuple:
    seeds, rates = fresh.sizes((4, 7), (9, 19))
    curve = fresh.normal(rates, dtype=torch.float64)
    luck = fresh.normal(seeds, 1, scale=0.5, dtype=torch.float64)
    own = lambda: fresh.normal(seeds, rates, scale=0.3, dtype=torch.float64)
    tilt = fresh.normal(rates, scale=0.4, dtype=torch.float64)
    return curve + luck + own() + tilt + 0.3, curve + luck + own()


def interval_of(values=lambda a, b: (a - b).mean(1), quantile=None, correction=1, root=True, tail=0.975, less=1):
    def interval(a, b):
        found = values(a, b)
        n = len(found)
        half = (quantile or stats.t.ppf(tail, n - less)) * found.std(correction=correction) / (n**0.5 if root else 1)
        return tuple(float(value) for value in (found.mean(), found.mean() - half, found.mean() + half))

    return interval


def unpaired(a, b):
    a, b, n = a.mean(1), b.mean(1), len(a)
    middle, half = (a - b).mean(), stats.t.ppf(0.975, 2 * n - 2) * ((a.var() + b.var()) / n) ** 0.5
    return tuple(float(value) for value in (middle, middle - half, middle + half))


paired = Check(
    reference=interval_of(),
    draw=two_tables,
    returns="three floats: the mean difference and the two ends of its interval",
    mistakes={
        "Your interval runs over learning rates; they are a grid that somebody chose, not a sample.": interval_of(
            lambda a, b: (a - b).mean(0)
        ),
        "Your interval takes every cell for an independent value; the cells of one seed share their luck, so average "
        "over rates first.": interval_of(lambda a, b: (a - b).flatten()),
        "You treated the seeds of the two models as unrelated; pair them.": unpaired,
        "You took the normal quantile 1.96; with few seeds it is Student's t that counts.": interval_of(quantile=1.96),
        "Your standard deviation divides by n; the sample's divides by n − 1.": interval_of(correction=0),
        "You took the spread of single seeds; the mean of n seeds spreads less by the root of n.": interval_of(
            root=False
        ),
        "You took the quantile of a 90 % interval; two sides of 2.5 % make 95 %.": interval_of(tail=0.95),
        "Student's t has n − 1 degrees of freedom here, not n.": interval_of(less=0),
        "You gave one standard deviation to either side, which is no interval of 95 %.": interval_of(
            quantile=1.0, root=False
        ),
        "You subtracted the first model from the second.": interval_of(lambda a, b: (b - a).mean(1)),
    },
)

# --- how many seeds ------------------------------------------------------------------------------


def first(half_width, start=2):
    """The least n whose half width, a function of (n, s), is below the lead."""
    return lambda lead, s: next(n for n in range(start, 100_000) if half_width(n, s) < lead)


seeds_needed = Check(
    reference=first(lambda n, s: stats.t.ppf(0.975, 2 * n - 2) * s * (2 / n) ** 0.5),
    draw=lambda fresh: (0.001, 0.001 * fresh.number(0.8, 1.6)),
    returns="an int, the number of seeds of each model",
    mistakes={
        "You took the normal quantile; with so few seeds Student's t is larger, and it depends on the answer.": first(
            lambda n, s: 1.96 * s * (2 / n) ** 0.5
        ),
        "You took the error of one mean; a difference of two means has the variance of both.": first(
            lambda n, s: stats.t.ppf(0.975, 2 * n - 2) * s / n**0.5
        ),
        "You used n − 1 degrees of freedom; two samples of n have 2n − 2.": first(
            lambda n, s: stats.t.ppf(0.975, n - 1) * s * (2 / n) ** 0.5
        ),
        "You used the quantile of a 90 % interval; two sides of 2.5 % make 95 %.": first(
            lambda n, s: stats.t.ppf(0.95, 2 * n - 2) * s * (2 / n) ** 0.5
        ),
        "You compared the whole width with the lead; half of it is what the interval reaches from its middle.": first(
            lambda n, s: 2 * stats.t.ppf(0.975, 2 * n - 2) * s * (2 / n) ** 0.5
        ),
        "You took the quantile of n = 2 and kept it; it gets smaller as n grows.": first(
            lambda n, s: stats.t.ppf(0.975, 2) * s * (2 / n) ** 0.5
        ),
        "You counted the seeds of both models together; asked is the number for each.": lambda lead, s: (
            2 * first(lambda n, s: stats.t.ppf(0.975, 2 * n - 2) * s * (2 / n) ** 0.5)(lead, s)
        ),
    },
)

# --- the path from grey --------------------------------------------------------------------------


def logistic(v: Tensor) -> Tensor:
    return torch.sigmoid(0.5 * (v - 0.5))


def path(gain=lambda n, a: 1 + n * a**2, force=0.5, bend=0.5, out=logistic, late=0):
    """Walk the steps; the arguments are what a mistake replaces."""

    def walk(rate, target, steps, hidden):
        v, zero = torch.zeros_like(target), torch.zeros((), dtype=target.dtype)
        for _ in range(steps - late):
            image = out(v)
            slope = bend * image * (1 - image)
            v = v + rate * slope * (target - image + force * image) * gain(hidden, out(zero))
        return out(v)

    return walk


arrives = Check(
    reference=path(),
    draw=lambda fresh: (
        fresh.number(0.02, 0.06),
        fresh.uniform(fresh.integer(5, 12), dtype=torch.float64),
        fresh.integer(6, 12),
        fresh.integer(20, 60),
    ),
    returns="a tensor like target, the picture after the steps",
    mistakes={
        "The way of the bias is missing: it grows by δ, besides the weights.": path(gain=lambda n, a: n * a**2),
        "You counted one hidden unit; there are n of them, all equal.": path(gain=lambda n, a: 1 + a**2),
        "A hidden unit's value enters twice: its weight grows by δ times it, and is multiplied by it again.": path(
            gain=lambda n, a: 1 + n * a
        ),
        "Only the bias moves in your program; the output weights grow, too.": path(gain=lambda n, a: 1),
        "The force is missing: this is the path of a decoder without a discriminator.": path(force=0.0),
        "The force has the wrong sign: it brightens.": path(force=-0.5),
        "The slope of this logistic function is half of a(1 − a).": path(bend=1.0),
        "You used the standard logistic function; the program's has slope ½ and midpoint ½.": path(out=torch.sigmoid),
        "Your hidden units say ½; with zero weights they say a(0), which is less here.": path(
            gain=lambda n, a: 1 + n / 4
        ),
        "You stopped one step early.": path(late=1),
        "You return what flows into the neurons; the pixels are what comes out of them.": lambda *given: (
            2 * torch.logit(path()(*given)) + 0.5
        ),
    },
    atol=1e-7,
)
