"""Checks for the exercises on the portrait study."""

import torch
from torch import nn

from belamy.check import Check, Fresh

IMAGES, HEIGHTS, WIDTHS, LATENTS = (5, 8), (9, 12), (13, 16), (17, 19)  # no two of a size


def coloured(fresh: Fresh) -> tuple:
    images, height, width = fresh.sizes(IMAGES, HEIGHTS, WIDTHS)
    return (fresh.uniform(images, 3, height, width, low=0.05),)


def with_black(fresh: Fresh) -> tuple:
    (x,) = coloured(fresh)
    x[:, :, :4] = 0
    return (x,)


def strength(x):
    high, low = x.amax(1), x.amin(1)
    return torch.where(high > 0, (high - low) / high.clamp(min=1e-12), torch.zeros(()))


def per_picture(pixels):
    return pixels.flatten(1).mean(1)


def dark_is_as_vivid(answer, fresh: Fresh) -> str | None:
    (x,) = coloured(fresh)
    if not torch.allclose(answer(x / 100), per_picture(strength(x)), atol=0.01):
        return (
            "A picture that is a hundred times darker has the same saturation, and in yours another: what keeps black "
            "pixels from a division by 0 must be far smaller than any colour."
        )


saturation = Check(
    reference=lambda x: per_picture(strength(x)),
    draw=coloured,
    extremes=with_black,
    returns="a tensor (pictures,): one number a picture",
    mistakes={
        "This is the saturation of the mean colour; the mean of the pixels' saturations is meant.": (
            lambda x: strength(x.mean((2, 3))[:, :, None, None]).flatten()
        ),
        "The difference of the colours is not divided by the brightest: dark pixels count too little.": (
            lambda x: per_picture(x.amax(1) - x.amin(1))
        ),
        "You divided by the mean of the three colours; the brightest is meant.": (
            lambda x: per_picture((x.amax(1) - x.amin(1)) / x.mean(1))
        ),
        "You divided by the sum of brightest and darkest, as HSL does; HSV divides by the brightest.": (
            lambda x: per_picture((x.amax(1) - x.amin(1)) / (x.amax(1) + x.amin(1)))
        ),
        "You divided the two means; divide at every pixel, and take the mean after.": (
            lambda x: per_picture(x.amax(1) - x.amin(1)) / per_picture(x.amax(1))
        ),
        "This is darkest over brightest: it is large for grey, and 1 less it is meant.": (
            lambda x: per_picture(x.amin(1) / x.amax(1))
        ),
        "You took brightest and darkest over the picture; those of the three colours at a pixel are meant.": (
            lambda x: strength(x.flatten(2).transpose(1, 2)).mean(1)
        ),
        "You took brightest and darkest of all numbers of the picture; those of the three colours at a pixel are "
        "meant.": lambda x: strength(x.flatten(1)[:, :, None, None]).flatten(),
        "You took the most saturated pixel; the mean is meant.": (
            lambda x: strength(x).flatten(1).amax(1)
        ),
        "This is the standard deviation of the colours over their mean; the range over the brightest is "
        "meant.": (
            lambda x: per_picture(x.std(1) / x.mean(1))
        ),
    },
    laws={"dark pictures": dark_is_as_vivid},
)


def lessons(fresh: Fresh) -> tuple:
    """Kinds apart in a feature of small unit, beside a wide feature that says little."""
    kinds, each, exam = fresh.sizes((3, 4), (30, 40), (200, 250))
    units = torch.tensor([0.1, 8.0, 1.0])
    centres = 1.5 * fresh.normal(kinds, 3)
    labels = torch.arange(kinds).repeat(each)
    skew = lambda n: fresh.normal(n, 3) + 0.7 * fresh.normal(n, 3).square() - 0.7
    learnt = (centres[labels] + skew(len(labels))) * units
    asked = centres[torch.arange(exam) % 2] + skew(exam)  # two kinds alone
    return learnt, labels, asked * units + 3 * units


def centres_of(looks, labels, middle=lambda part: part.mean(0)):
    return torch.stack([middle(looks[labels == kind]) for kind in range(int(labels.max()) + 1)])


def spread_within(looks, labels):
    return (looks - centres_of(looks, labels)[labels]).std(0)


def named(looks, labels, exam, scale=spread_within, p=2.0, centres=centres_of, choose=torch.argmin):
    unit = scale(looks, labels)
    return choose(torch.cdist(exam / unit, centres(looks, labels) / unit, p=p), dim=1)


def as_they_are(looks, labels):
    return torch.ones(looks.shape[1])


def scaled(looks):
    return (looks - looks.mean(0)) / looks.std(0)


def medians_of(looks, labels):
    return centres_of(looks, labels, lambda part: part.median(0).values)


ruler = Check(
    reference=lambda looks, labels, exam: named(looks, labels, exam),
    draw=lessons,
    returns="a tensor (pictures of the exam,), int64: the number of a kind each",
    mistakes={
        "You named the farthest kind; the nearest is meant.": (
            lambda looks, labels, exam: named(looks, labels, exam, choose=torch.argmax)
        ),
        "Your kinds are numbered from 1; they are numbered from 0, as the labels are.": (
            lambda looks, labels, exam: named(looks, labels, exam) + 1
        ),
        "The numbers of a picture are not brought to one unit: the widest of them decides alone.": (
            lambda looks, labels, exam: named(looks, labels, exam, as_they_are)
        ),
        "You divided by the spread of all pictures together, which holds the distance of the kinds as well; "
        "the spread within a kind is meant.": (
            lambda looks, labels, exam: named(looks, labels, exam, lambda looks, labels: looks.std(0))
        ),
        "You divided by variances; standard deviations are meant.": (
            lambda looks, labels, exam: (
                named(looks, labels, exam, lambda looks, labels: spread_within(looks, labels) ** 2)
            )
        ),
        "The exam's pictures are measured by their own mean and spread: what the lessons taught must serve "
        "for both.": (
            lambda looks, labels, exam: (
                named(scaled(looks), labels, scaled(exam), as_they_are)
            )
        ),
        "You named the kind of the nearest single picture; the nearest mean is meant.": (
            lambda looks, labels, exam: labels[named(looks, labels, exam, centres=lambda looks, labels: looks)]
        ),
        "You took medians as the middle of a kind; means are meant.": (
            lambda looks, labels, exam: (
                named(looks, labels, exam, centres=medians_of)
            )
        ),
        "You added up absolute differences; the Euclidean distance is meant.": (
            lambda looks, labels, exam: named(looks, labels, exam, p=1.0)
        ),
    },
)


def painter(latents: int, height: int, width: int) -> nn.Module:
    sizes = nn.Unflatten(1, (3, height, width))
    net = nn.Sequential(nn.Linear(latents, 8), nn.Tanh(), nn.Linear(8, 3 * height * width), sizes)
    nn.init.normal_(net[0].weight, std=0.3)
    return net


def turned_latents(fresh: Fresh) -> tuple:
    batch, height, width, latents = fresh.sizes(IMAGES, HEIGHTS, WIDTHS, LATENTS)
    sign = 1 - 2 * fresh.bits(latents)
    sign[:2] = torch.tensor([1.0, -1.0])
    return painter(latents, height, width), fresh.normal(batch, latents), sign


def exact_mirror(answer, fresh: Fresh) -> str | None:
    net, z, sign = turned_latents(fresh)
    if not torch.allclose(answer(net, z * sign, sign), answer(net, z, sign).flip(-1), atol=1e-5):
        return "Turned latents must give the mirror image, and with yours they do not."


mirrored = Check(
    reference=lambda net, z, sign: (net(z) + net(z * sign).flip(-1)) / 2,
    draw=turned_latents,
    returns="a tensor (batch, 3, height, width), as the net's",
    gradients=("net", "z"),
    mistakes={
        "Half of the sum is meant; you took the whole.": (
            lambda net, z, sign: net(z) + net(z * sign).flip(-1)
        ),
        "You did not turn the latents of the second picture: left and right become equal in every picture.": (
            lambda net, z, sign: (net(z) + net(z).flip(-1)) / 2
        ),
        "You did not flip the second picture: the result does not change at all when the latents are turned.": (
            lambda net, z, sign: (net(z) + net(z * sign)) / 2
        ),
        "You flipped upside down; left and right are meant, the last axis.": (
            lambda net, z, sign: (net(z) + net(z * sign).flip(-2)) / 2
        ),
        "You flipped both pictures; the first stays as it is.": (
            lambda net, z, sign: (net(z) + net(z * sign)).flip(-1) / 2
        ),
        "You flipped more than left and right.": (
            lambda net, z, sign: (net(z) + net(z * sign).flip((-2, -1))) / 2
        ),
        "You turned all latents; only those with a sign of −1 turn.": (
            lambda net, z, sign: (net(z) + net(-z).flip(-1)) / 2
        ),
        "You subtracted: with a minus, turned latents give the negative of the mirror image.": (
            lambda net, z, sign: (net(z) - net(z * sign).flip(-1)) / 2
        ),
        "Only the second picture is there; the mean of both is meant.": (
            lambda net, z, sign: net(z * sign).flip(-1)
        ),
        "The second picture is cut off from the gradient, and the net learns from half of what it paints.": (
            lambda net, z, sign: (net(z) + net(z * sign).detach().flip(-1)) / 2
        ),
    },
    laws={"an exact mirror": exact_mirror},
)


def searched(fresh: Fresh) -> tuple:
    batch, height, width, latents = fresh.sizes((2, 4), HEIGHTS, WIDTHS, LATENTS)
    sigma, step = fresh.number(2, 4), fresh.number(0.3, 0.6)
    return painter(latents, height, width), fresh.normal(batch, latents), sigma, step


def moves(net, z, step, reduce=torch.sum, back=0.0):
    """Squared change of the picture for a step along each latent: (batch, latents)."""
    with torch.no_grad():
        ahead = [net(z + step * e) - net(z - back * step * e) for e in torch.eye(z.shape[1])]
    return torch.stack([reduce(part.flatten(1).square(), 1) for part in ahead], 1)


def log_width(moved, unit):
    return -torch.log1p(moved / unit**2)


def linear_is_exact(answer, fresh: Fresh) -> str | None:
    columns = torch.linalg.qr(fresh.normal(12, 4))[0] * fresh.uniform(4, low=0.5, high=3)
    sigma = fresh.number(0.3, 1)
    exact = -torch.log1p(columns.square().sum(0) / sigma**2).expand(3, 4)
    given = answer(lambda z: (z @ columns.T).view(-1, 3, 2, 2), fresh.normal(3, 4), sigma, 0.1)
    if not torch.allclose(given, exact, atol=1e-2):
        return "For a linear generator with orthogonal columns the exact posterior is known, and yours is another."


width = Check(
    reference=lambda generator, z, sigma, step: log_width(moves(generator, z, step), step * sigma),
    draw=searched,
    returns="a tensor (batch, latents)",
    mistakes={
        "The prior is missing: even a latent that does not show has a variance of 1.": (
            lambda generator, z, sigma, step: -torch.log(moves(generator, z, step) / (step * sigma) ** 2)
        ),
        "This is the logarithm of the precision; that of the variance is meant.": (
            lambda generator, z, sigma, step: -log_width(moves(generator, z, step), step * sigma)
        ),
        "This is the variance; its logarithm is meant.": (
            lambda generator, z, sigma, step: log_width(moves(generator, z, step), step * sigma).exp()
        ),
        "This is the logarithm of the standard deviation; that of the variance is meant.": (
            lambda generator, z, sigma, step: log_width(moves(generator, z, step), step * sigma) / 2
        ),
        "You took the mean over the values of a picture; the evidence of all values adds up.": (
            lambda generator, z, sigma, step: log_width(moves(generator, z, step, torch.mean), step * sigma)
        ),
        "The change is not divided by the step.": (
            lambda generator, z, sigma, step: log_width(moves(generator, z, step), sigma)
        ),
        "You divided by the step once; the squared change goes with the squared step.": (
            lambda generator, z, sigma, step: log_width(moves(generator, z, step), step ** 0.5 * sigma)
        ),
        "The noise enters as σ; its variance is meant.": (
            lambda generator, z, sigma, step: log_width(moves(generator, z, step), step * sigma ** 0.5)
        ),
        "σ is missing: with more noise a latent is known less well.": (
            lambda generator, z, sigma, step: log_width(moves(generator, z, step), step)
        ),
        "You stepped to both sides; one step forward is meant.": (
            lambda generator, z, sigma, step: log_width(moves(generator, z, step, back=1.0), 2 * step * sigma)
        ),
        "You took the length of the derivative; its square is meant.": (
            lambda generator, z, sigma, step: log_width(moves(generator, z, step).sqrt() / step, sigma)
        ),
        "You took the length of the change; its square is meant.": (
            lambda generator, z, sigma, step: log_width(moves(generator, z, step).sqrt(), step * sigma)
        ),
    },
    laws={"exact where the generator is linear": linear_is_exact},
)
