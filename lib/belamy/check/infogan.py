"""Checks of the exercises on InfoGAN: the bound, a reader's surprise, information by chance, slant."""

import math
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from belamy.check import Check, Fresh

# --- the bound -----------------------------------------------------------------------------------


def expected(p_code: Tensor, p_picture: Tensor, values: Tensor) -> Tensor:
    """The mean of values (codes, pictures) over p(c, x)."""
    return (p_code[:, None] * p_picture * values).sum()


def entropy(p: Tensor) -> Tensor:
    return -(p * p.log()).sum()


def exact_bound(p_code: Tensor, p_picture: Tensor, Q: Tensor) -> Tensor:
    return entropy(p_code) + expected(p_code, p_picture, Q.log())


def posterior(p_code: Tensor, p_picture: Tensor) -> Tensor:
    joint = p_code[:, None] * p_picture
    return joint / joint.sum(0)


def draw_joint(fresh: Fresh) -> tuple:
    codes, pictures = fresh.sizes((3, 6), (3, 9))
    rows = fresh.normal(codes, pictures, scale=1.5, dtype=torch.float64).softmax(1)
    guesses = fresh.normal(codes, pictures, scale=1.5, dtype=torch.float64).softmax(0)
    return fresh.normal(codes, dtype=torch.float64).softmax(0), rows, guesses


bound = Check(
    exact_bound,
    draw_joint,
    "a tensor without axes, a number of nats",
    terms={
        "The entropy of the code": lambda p_code, p_picture, Q: entropy(p_code),
        "The expected logarithm of the guess": lambda p_code, p_picture, Q: expected(p_code, p_picture, Q.log()),
    },
    mistakes={
        "The entropy of the code is missing: what you have is minus the cross-entropy of the guesses.": (
            lambda p_code, p_picture, Q: expected(p_code, p_picture, Q.log())
        ),
        "The logarithm of Q is missing: a bound is made of surprises, not of probabilities.": (
            lambda p_code, p_picture, Q: entropy(p_code) + expected(p_code, p_picture, Q)
        ),
        "The entropy is that of codes that are equally frequent; p(c) says how frequent each is.": (
            lambda p_code, p_picture, Q: math.log(len(p_code)) + expected(p_code, p_picture, Q.log())
        ),
        "The entropy of the code is taken off, where it is added.": lambda p_code, p_picture, Q: (
            expected(p_code, p_picture, Q.log()) - entropy(p_code)
        ),
        "The surprise is added to the entropy, where it is taken off: a guesser who errs would raise the bound.": (
            lambda p_code, p_picture, Q: entropy(p_code) - expected(p_code, p_picture, Q.log())
        ),
        "The expectation lacks p(c): rare codes count as much as frequent ones.": lambda p_code, p_picture, Q: (
            entropy(p_code) + (p_picture * Q.log()).sum()
        ),
        "You took all codes for equally likely in the expectation: draw them from p(c).": lambda p_code, p_picture, Q: (
            entropy(p_code) + (p_picture * Q.log()).sum(1).mean()
        ),
        "The expectation is taken under Q itself. Codes and pictures are drawn from p(c, x); Q only guesses.": (
            lambda p_code, p_picture, Q: entropy(p_code) + (p_code @ p_picture * (Q * Q.log()).sum(0)).sum()
        ),
        "That is the information itself, with the posterior in the place of Q.": lambda p_code, p_picture, Q: (
            exact_bound(p_code, p_picture, posterior(p_code, p_picture))
        ),
        "That is the gap between information and bound, not the bound.": lambda p_code, p_picture, Q: expected(
            p_code, p_picture, posterior(p_code, p_picture).log() - Q.log()
        ),
        "You took the entropy of the pictures, where that of the code is meant.": lambda p_code, p_picture, Q: (
            entropy(p_code @ p_picture) + expected(p_code, p_picture, Q.log())
        ),
    },
    gradients=("Q",),
)

# --- a reader's surprise -------------------------------------------------------------------------


def gaussian(means: Tensor, u: Tensor, sigma: float, half=0.5, power=2, spread=1.0, constant=0.5) -> Tensor:
    """-log N(u; means, sigma²) for each continuous code."""
    square = half * (u - means).square() / sigma**power
    return square + spread * math.log(sigma) + constant * math.log(2 * math.pi)


def surprised(logits: Tensor, means: Tensor, c: Tensor, u: Tensor, sigma: float, **changes: float) -> Tensor:
    return F.cross_entropy(logits, c) + gaussian(means, u, sigma, **changes).sum(1).mean()


def full_surprise(logits: Tensor, means: Tensor, c: Tensor, u: Tensor, sigma: float) -> Tensor:
    return surprised(logits, means, c, u, sigma)


def draw_reading(fresh: Fresh) -> tuple:
    batch, codes, turns = fresh.sizes((12, 30), (5, 10), (2, 4))
    c = torch.tensor([fresh.integer(0, codes - 1) for _ in range(batch)])
    u = fresh.uniform(batch, turns, low=-1)
    return fresh.normal(batch, codes), fresh.normal(batch, turns), c, u, fresh.number(0.3, 0.7)


reading = Check(
    full_surprise,
    draw_reading,
    "a tensor without axes: the mean over the batch, in nats",
    terms={
        "The surprise of the class code": lambda logits, means, c, u, sigma: F.cross_entropy(logits, c),
        "The surprise of the continuous codes": lambda logits, means, c, u, sigma: (
            full_surprise(logits, means, c, u, sigma) - F.cross_entropy(logits, c)
        ),
    },
    mistakes={
        "You took the mean over the continuous codes, where they add up: −log Q of independent codes is a sum.": (
            lambda logits, means, c, u, sigma: F.cross_entropy(logits, c) + gaussian(means, u, sigma).mean()
        ),
        "The Gaussian lacks its constants, log σ and ½ log 2π for each code. A player does not mind; a bound in nats "
        "does.": partial(surprised, spread=0.0, constant=0.0),
        "The Gaussian lacks ½ log 2π for each code.": partial(surprised, constant=0.0),
        "The Gaussian lacks log σ for each code.": partial(surprised, spread=0.0),
        "The Gaussian's constants are counted once, where each continuous code has its own.": (
            lambda logits, means, c, u, sigma: (
                surprised(logits, means, c, u, sigma) - (u.shape[1] - 1) * math.log(sigma * math.sqrt(2 * math.pi))
            )
        ),
        "You added log σ² for each code, which is twice too much: −log of a Gaussian has ½ log σ².": partial(
            surprised, spread=2.0
        ),
        "The squares lack their ½.": partial(surprised, half=1.0),
        "You took sigma for the variance; it is the standard deviation.": lambda logits, means, c, u, sigma: surprised(
            logits, means, c, u, math.sqrt(sigma)
        ),
        "The squares are divided by σ, not by σ².": partial(surprised, power=1),
        "The squares are not divided by σ².": partial(surprised, power=0),
        "You sent the logits through a softmax before the cross-entropy, which does that itself.": (
            lambda logits, means, c, u, sigma: surprised(logits.softmax(1), means, c, u, sigma)
        ),
        "The class code is missing: only the continuous codes are read.": lambda logits, means, c, u, sigma: gaussian(
            means, u, sigma
        ).sum(1).mean(),
        "The continuous codes are missing: only the class code is read.": lambda logits, means, c, u, sigma: (
            F.cross_entropy(logits, c)
        ),
        "The class code is summed over the batch, the continuous codes are not.": lambda logits, means, c, u, sigma: (
            surprised(logits, means, c, u, sigma) + (len(c) - 1) * F.cross_entropy(logits, c)
        ),
    },
    gradients=("logits", "means"),
)

# --- information by chance -----------------------------------------------------------------------


def table_of(codes: Tensor, labels: Tensor, n_codes: int, n_labels: int) -> Tensor:
    counts = torch.bincount(codes * n_labels + labels, minlength=n_codes * n_labels)
    return counts.view(n_codes, n_labels).double() / len(codes)


def plug_in(codes: Tensor, labels: Tensor, n_codes: int, n_labels: int) -> float:
    p = table_of(codes, labels, n_codes, n_labels)
    independent = p.sum(1, keepdim=True) * p.sum(0)
    return float((p[p > 0] * (p[p > 0] / independent[p > 0]).log()).sum())


def without_chance(codes: Tensor, labels: Tensor, n_codes: int, n_labels: int) -> float:
    return plug_in(codes, labels, n_codes, n_labels) - (n_codes - 1) * (n_labels - 1) / (2 * len(codes))


def draw_pairs(fresh: Fresh) -> tuple:
    number, n_codes, n_labels = fresh.sizes((80, 160), (3, 7), (3, 7))
    labels = [fresh.integer(0, n_labels - 1) for _ in range(number)]
    codes = [fresh.integer(0, n_codes - 1) if fresh.integer(0, 1) else y % n_codes for y in labels]
    return torch.tensor(codes), torch.tensor(labels), n_codes, n_labels


def corrected_by(bias):
    return lambda codes, labels, n_codes, n_labels: (
        plug_in(codes, labels, n_codes, n_labels) - bias(n_codes, n_labels, len(codes))
    )


debiased = Check(
    without_chance,
    draw_pairs,
    "a float, a number of nats",
    {
        "What chance alone gives is not taken off.": corrected_by(lambda k, m, n: 0),
        "What chance alone gives is added, where it is taken off.": corrected_by(
            lambda k, m, n: -(k - 1) * (m - 1) / (2 * n)
        ),
        "You divided the bias by N, not by 2N.": corrected_by(lambda k, m, n: (k - 1) * (m - 1) / n),
        "The bias counts all cells of the table. Given its row and column sums only (n − 1)(m − 1) are free.": (
            corrected_by(lambda k, m, n: k * m / (2 * n))
        ),
        "The bias counts all cells but one. Given the table's row and column sums fewer are free.": corrected_by(
            lambda k, m, n: (k * m - 1) / (2 * n)
        ),
        "The information is in bits: take the natural logarithm.": lambda codes, labels, n_codes, n_labels: (
            plug_in(codes, labels, n_codes, n_labels) / math.log(2)
            - (n_codes - 1) * (n_labels - 1) / (2 * len(codes))
        ),
        "The logarithm lacks the division by both shares, p(c) p(y): that is minus the entropy of the table.": (
            lambda codes, labels, n_codes, n_labels: (
                -float(torch.special.entr(table_of(codes, labels, n_codes, n_labels)).sum())
                - (n_codes - 1) * (n_labels - 1) / (2 * len(codes))
            )
        ),
    },
)

# --- slant ---------------------------------------------------------------------------------------


def moments(x: Tensor, ink: bool = True, centre: str = "ink") -> tuple[Tensor, ...]:
    """Second central moments yy, xy, xx of each picture's ink, each (B,)."""
    height, width = x.shape[-2:]
    weights = x[:, 0] / x[:, 0].sum((1, 2), keepdim=True) if ink else torch.ones_like(x[:, 0]) / (height * width)
    down, right = torch.meshgrid(torch.arange(height).to(x), torch.arange(width).to(x), indexing="ij")
    if centre == "ink":
        down, right = (place - (weights * place).sum((1, 2), keepdim=True) for place in (down, right))
    elif centre == "picture":
        down, right = down - (height - 1) / 2, right - (width - 1) / 2
    return tuple((weights * a * b).sum((1, 2)) for a, b in ((down, down), (down, right), (right, right)))


def slanted(x: Tensor, centre: str = "ink") -> Tensor:
    yy, xy, _ = moments(x, centre=centre)
    return xy / yy


def slant_of(x: Tensor) -> Tensor:
    return slanted(x)


def draw_ink(fresh: Fresh) -> tuple:
    """Leaning strokes of uneven ink, and spots, on empty ground."""
    batch, height, width = fresh.sizes((3, 8), (8, 14), (8, 14))
    down, right = torch.arange(height)[:, None] - height / 2, torch.arange(width) - width / 2
    off = (right - fresh.uniform(batch, 1, 1, low=-1, high=1) * down).abs()
    ink = fresh.uniform(batch, height, width, dtype=torch.float64)
    return ((ink**2 * ((off < 2) | (ink > 0.8)))[:, None],)


slant = Check(
    slant_of,
    draw_ink,
    "a tensor (B,), one slant a picture",
    {
        "The moments are not central: take the ink's mean place off first.": partial(slanted, centre="corner"),
        "You measured from the middle of the picture, not from the middle of its ink.": partial(
            slanted, centre="picture"
        ),
        "You divided by the moment across, not by the one down the picture: rows and columns are exchanged.": (
            lambda x: moments(x)[1] / moments(x)[2]
        ),
        "That is the correlation of x and y: the slant divides by the moment of y alone.": lambda x: (
            moments(x)[1] / (moments(x)[0] * moments(x)[2]).sqrt()
        ),
        "The division by the moment of y is missing: a digit twice as large would have four times the slant.": (
            lambda x: moments(x)[1]
        ),
        "The slant stands on its head: it is the shift across for each step down.": lambda x: (
            moments(x)[0] / moments(x)[1]
        ),
        "Every pixel that has ink counts alike in yours; each is weighed by how much ink it has.": lambda x: (
            slanted((x > 0).to(x))
        ),
        "You return the angle; the slant is its tangent, the shift across for each row.": lambda x: slanted(x).atan(),
        "You took the standard deviation down the picture, where its square is meant.": lambda x: (
            moments(x)[1] / moments(x)[0].sqrt()
        ),
    },
)
