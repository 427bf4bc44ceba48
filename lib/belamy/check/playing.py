"""Checks of the exercises on playing the game; what each function is to do stands in its statement there."""

import math

import torch
from torch import nn
from torch.nn import functional as F

from belamy.check import Check, Fresh


def network(*sizes: int) -> nn.Module:
    """A small net with a bend, from torch's own generator, which a check seeds."""
    return nn.Sequential(nn.Linear(*sizes[:2]), nn.Tanh(), nn.Linear(*sizes[1:]))


def judge(dimension: int) -> nn.Module:
    """A discriminator: (B, dimension) -> scores (B,)."""
    return nn.Sequential(network(dimension, 6, 1), nn.Flatten(0))


# --- the generator's two losses ------------------------------------------------------------------


def losses_of(fake):
    return -F.softplus(fake).mean(), F.softplus(-fake).mean()


losses = Check(
    losses_of,
    lambda fresh: (fresh.normal(fresh.integer(6, 40), scale=2),),
    "the saturating and the non-saturating loss, each a tensor ()",
    mistakes={
        "The two losses have changed places: the saturating one is the one that the theory names.":
            lambda fake: losses_of(fake)[::-1],
        "Your saturating loss has the other sign: with it the generator helps the discriminator.":
            lambda fake: (-losses_of(fake)[0], losses_of(fake)[1]),
        "Your non-saturating loss has the other sign: it is log D, which the generator would have to maximise.":
            lambda fake: (losses_of(fake)[0], -losses_of(fake)[1]),
        "Both signs are turned: a loss is minimised, and the generator wants its samples to be taken for real.":
            lambda fake: tuple(-loss for loss in losses_of(fake)),
        "These are losses of the discriminator, for generated and for real samples: they draw scores the other way.":
            lambda fake: (F.softplus(fake).mean(), F.softplus(fake).mean()),
        "Your saturating loss is log D, the other loss with its sign turned; the theory has log(1 − D).":
            lambda fake: (-F.softplus(-fake).mean(), losses_of(fake)[1]),
        "The sigmoid is taken twice: a function for scores, with 'logits' in its name, takes it itself.":
            lambda fake: losses_of(fake.sigmoid()),
        "The logarithm is taken of the mean opinion; each loss is the mean of the logarithms.":
            lambda fake: ((-fake).sigmoid().mean().log(), -fake.sigmoid().mean().log()),
        "You took the logarithm of scores. D is the sigmoid of a score.":
            lambda fake: ((1 - fake).log().mean(), -fake.log().mean()),
    },
    gradients=("fake",),
    extremes=lambda fresh: (torch.tensor([-180.0, 3.0, 150.0]),),
)  # fmt: skip


# --- the discriminator's turn --------------------------------------------------------------------


def turn_of(discriminator, generator, x, z):
    return F.softplus(-discriminator(x)).mean() + F.softplus(discriminator(generator(z).detach())).mean()


def draw_turn(fresh: Fresh) -> tuple:
    b, n, d_x, d_z = fresh.sizes((12, 24), (12, 24), (2, 5), (2, 5))
    torch.manual_seed(fresh.seed)
    return judge(d_x), network(d_z, 6, d_x), fresh.normal(b, d_x, scale=2), fresh.normal(n, d_z)


turn = Check(
    turn_of,
    draw_turn,
    "a tensor (), the discriminator's loss",
    mistakes={
        "You took the scores themselves, as a Wasserstein critic does; this loss is made of logarithms of D.":
            lambda discriminator, generator, x, z: (discriminator(generator(z).detach()).mean()
                                                    - discriminator(x).mean()),
        "You cut the graph behind the discriminator: it learns nothing from the generated samples. The cut belongs "
        "between the generator and the discriminator.":
            lambda discriminator, generator, x, z: F.softplus(-discriminator(x)).mean()
                + F.softplus(discriminator(generator(z)).detach()).mean(),
        "You cut the graph at the real samples' scores, from which the discriminator has to learn, too.":
            lambda discriminator, generator, x, z: F.softplus(-discriminator(x)).mean().detach()
                + F.softplus(discriminator(generator(z).detach())).mean(),
        "The term of the generated samples is the generator's own loss: it rewards D for taking them for real.":
            lambda discriminator, generator, x, z: F.softplus(-discriminator(x)).mean()
                + F.softplus(-discriminator(generator(z).detach())).mean(),
        "The labels are turned: this discriminator learns to take the data for generated.":
            lambda discriminator, generator, x, z: F.softplus(discriminator(x)).mean()
                + F.softplus(-discriminator(generator(z).detach())).mean(),
        "This is the value V, which the discriminator maximises; its loss is the negative.":
            lambda discriminator, generator, x, z: -turn_of(discriminator, generator, x, z),
        "You halve the sum of the two terms; the loss is minus V, the sum of two means.":
            lambda discriminator, generator, x, z: turn_of(discriminator, generator, x, z) / 2,
        "The generated samples are missing from the loss.":
            lambda discriminator, generator, x, z: F.softplus(-discriminator(x)).mean(),
        "You took one mean over both batches together; each expectation is a mean over its own batch.":
            lambda discriminator, generator, x, z: torch.cat(
                [F.softplus(-discriminator(x)), F.softplus(discriminator(generator(z).detach()))]).mean(),
    },
    gradients=("discriminator", "generator"),
)  # fmt: skip


# --- a round of the Dirac-GAN --------------------------------------------------------------------


def played_of(psi, theta, rate, weight, charge=1.0, opinion=torch.sigmoid, at_once=False):
    seen = psi
    psi = psi - rate * opinion(psi * theta) * theta - charge * rate * weight * psi
    moving = seen if at_once else psi
    return psi, theta + rate * opinion(moving * theta) * moving


def generator_first(psi, theta, rate, weight):
    theta = theta + rate * torch.sigmoid(psi * theta) * psi
    return psi - rate * torch.sigmoid(psi * theta) * theta - rate * weight * psi, theta


def stale_opinion(psi, theta, rate, weight):
    opinion = torch.sigmoid(psi * theta)
    psi = psi - rate * opinion * theta - rate * weight * psi
    return psi, theta + rate * opinion * psi


def non_saturating(psi, theta, rate, weight):
    psi, _ = played_of(psi, theta, rate, weight)
    return psi, theta + rate * torch.sigmoid(-psi * theta) * psi


def played_apart(psi, theta, rate, weight, up=1, down=1):
    psi = psi - up * rate * torch.sigmoid(psi * theta) * theta - rate * weight * psi
    return psi, theta + down * rate * torch.sigmoid(psi * theta) * psi


def kept_at_the_origin(answer, fresh: Fresh) -> str | None:
    zero = torch.zeros(2, dtype=torch.float64)
    if any(part.abs().max() > 0 for part in answer(zero, zero, 0.2, 0.5)):
        return "At ψ = θ = 0 neither player may move: it is the equilibrium."
    return None


played = Check(
    played_of,
    lambda fresh: (*fresh.normal(2, fresh.integer(5, 9), scale=1.5, dtype=torch.float64),
                   fresh.number(0.1, 0.6), fresh.number(0.2, 1.0)),
    "the new ψ and the new θ, tensors like the old ones",
    mistakes={
        "Both players move at once: the generator has to answer the discriminator's new slope.":
            lambda psi, theta, rate, weight: played_of(psi, theta, rate, weight, at_once=True),
        "The generator moves first; here the discriminator does.": generator_first,
        "The generator's step mixes times: its D is that of before the discriminator moved.": stale_opinion,
        "That is the pull of the non-saturating loss, 1 − D; this game's generator minimises log(1 − D).":
            non_saturating,
        "The discriminator goes down its value; it maximises V.":
            lambda psi, theta, rate, weight: played_apart(psi, theta, rate, weight, up=-1),
        "The generator goes up the value; it minimises V.":
            lambda psi, theta, rate, weight: played_apart(psi, theta, rate, weight, down=-1),
        "The penalty drives ψ away from 0; it is to draw ψ there.":
            lambda psi, theta, rate, weight: played_of(psi, theta, rate, weight, charge=-1.0),
        "Your step of the penalty is twice as long: it is (λ/2) ψ² whose slope is taken.":
            lambda psi, theta, rate, weight: played_of(psi, theta, rate, weight, charge=2.0),
        "Your step of the penalty is half as long: the slope of a square brings a 2.":
            lambda psi, theta, rate, weight: played_of(psi, theta, rate, weight, charge=0.5),
        "The penalty is missing: λ does nothing.":
            lambda psi, theta, rate, weight: played_of(psi, theta, rate, weight, charge=0.0),
        "You took ½ for D, which holds near the equilibrium only.":
            lambda psi, theta, rate, weight: played_of(psi, theta, rate, weight, opinion=lambda s: 0 * s + 0.5),
    },
    laws={"the equilibrium stays": kept_at_the_origin},
)  # fmt: skip


# --- R1 ------------------------------------------------------------------------------------------


def slopes(discriminator, x, of=lambda scores: scores):
    """The slope of a function of each score at its sample: (B, d), with its graph."""
    x = x.clone().requires_grad_()
    return torch.autograd.grad(of(discriminator(x)).sum(), x, create_graph=True)[0]


def r1_of(discriminator, x, weight):
    return weight / 2 * slopes(discriminator, x).square().sum(1).mean()


def draw_r1(fresh: Fresh) -> tuple:
    b, d = fresh.sizes((8, 20), (2, 6))
    torch.manual_seed(fresh.seed)
    return judge(d), fresh.normal(b, d), fresh.number(0.3, 5.0)


def penalty_without_graph(discriminator, x, weight):
    return r1_of(discriminator, x, weight).detach()


def leaves_x_alone(answer, fresh: Fresh) -> str | None:
    discriminator, x, weight = draw_r1(fresh)
    answer(discriminator, x, weight)
    if x.requires_grad or x.grad is not None:
        return "`x` is not as it was: it now asks for gradients. Let a copy do so, `x.clone().requires_grad_()`."


r1 = Check(
    r1_of,
    draw_r1,
    "a tensor (), the penalty",
    mistakes={
        "You charge for the length of the slope; R1 charges for its square.":
            lambda discriminator, x, weight: weight / 2 * slopes(discriminator, x).norm(dim=1).mean(),
        "You draw the length of the slope to 1, as one does for a Wasserstein critic; R1 draws it to 0.":
            lambda discriminator, x, weight: weight / 2 * (slopes(discriminator, x).norm(dim=1) - 1).square().mean(),
        "You draw the length of the slope to 1, and without ½: that is the penalty of a Wasserstein critic, not R1.":
            lambda discriminator, x, weight: weight * (slopes(discriminator, x).norm(dim=1) - 1).square().mean(),
        "You took the slope of the batch's mean score: each sample's slope is then divided by the size of the batch.":
            lambda discriminator, x, weight: r1_of(discriminator, x, weight) / len(x) ** 2,
        "You took the slope of D, the probability; R1 is about the slope of the score.":
            lambda discriminator, x, weight: weight / 2
                * slopes(discriminator, x, torch.sigmoid).square().sum(1).mean(),
        "You took the slope of log D; R1 is about the slope of the score.":
            lambda discriminator, x, weight: weight / 2
                * slopes(discriminator, x, F.logsigmoid).square().sum(1).mean(),
        "You charge for the discriminator's weights, as weight decay does; R1 charges for the slope in x.":
            lambda discriminator, x, weight: weight / 2 * sum(p.square().sum() for p in discriminator.parameters()),
        "You charge for the scores themselves; R1 charges for their slope in x.":
            lambda discriminator, x, weight: weight / 2 * discriminator(x).square().mean(),
        "The penalty has lost its graph, so that nobody can minimise it: `autograd.grad` keeps it only with "
        "create_graph=True, and a `detach` or an `item` ends it.":
            penalty_without_graph,
        "The weight and its ½ are missing.":
            lambda discriminator, x, weight: r1_of(discriminator, x, 2.0),
        "The weight λ is missing.":
            lambda discriminator, x, weight: r1_of(discriminator, x, 1.0),
    },
    gradients=("discriminator",),
    laws={"x as it was": leaves_x_alone},
)  # fmt: skip


# --- modes covered, good samples -----------------------------------------------------------------


def coverage_of(samples, centres, deviation, reach=3.0, quota=0.25, of_good=False, box=False, square=False):
    apart = samples[:, None] - centres
    distance = apart.abs().amax(2) if box else apart.norm(dim=2)
    nearest, mode = (distance.square() if square else distance).min(1)
    good = nearest < reach * deviation
    received = torch.bincount(mode[good], minlength=len(centres))
    total = int(good.sum()) if of_good else len(samples)
    return int((received >= max(quota * total / len(centres), 1)).sum()), float(good.double().mean())


def draw_ring(fresh: Fresh) -> tuple:
    """Modes with a fair share, with too little, with nothing, and samples that only just miss."""
    modes, deviation = fresh.integer(10, 12), fresh.number(0.08, 0.12)
    angles = torch.arange(modes) * (2 * math.pi / modes)
    centres = 2 * torch.stack([angles.cos(), angles.sin()], 1)
    fair = fresh.integer(60, 90)
    counts = [0, fair // 9, round(0.23 * fair), round(0.6 * fair), fair // 9, *[fair] * (modes - 5)]
    near = [centre + 0.9 * deviation * fresh.normal(n, 2).clamp(-2, 2) for centre, n in zip(centres, counts)]
    corner = centres[3] + 2.6 * deviation * torch.ones(fair // 2, 2)
    beside = centres[2] + 4.5 * deviation * F.normalize(fresh.normal(fair, 2))
    beyond = fresh.uniform(modes * fair - sum(counts) - fair - fair // 2, 2) + torch.tensor([3.0, -0.5])
    together = torch.cat([*near, corner, beside, beyond])
    return together[torch.randperm(len(together), generator=fresh.rng)], centres, deviation


coverage = Check(
    coverage_of,
    draw_ring,
    "the number of modes covered, an int, and the share of good samples, a float",
    mistakes={
        "A sample is good within three deviations of a centre; you took one.":
            lambda samples, centres, deviation: coverage_of(samples, centres, deviation, reach=1.0),
        "A sample is good within three deviations of a centre; you took two.":
            lambda samples, centres, deviation: coverage_of(samples, centres, deviation, reach=2.0),
        "You compare each coordinate by itself, which is a square about the centre; the distance is meant.":
            lambda samples, centres, deviation: coverage_of(samples, centres, deviation, box=True),
        "You compare the square of a distance with three deviations.":
            lambda samples, centres, deviation: coverage_of(samples, centres, deviation, square=True),
        "One good sample does not cover a mode: it needs a quarter of its fair share.":
            lambda samples, centres, deviation: coverage_of(samples, centres, deviation, quota=0.0),
        "You ask a mode for its whole fair share; a quarter of it is enough.":
            lambda samples, centres, deviation: coverage_of(samples, centres, deviation, quota=1.0),
        "The fair share is one of all samples; you took it of the good ones.":
            lambda samples, centres, deviation: coverage_of(samples, centres, deviation, of_good=True),
        "A mode is covered by good samples; you count all that are nearest to it, however far.":
            lambda samples, centres, deviation: (coverage_of(samples, centres, deviation, reach=1e9)[0],
                                                 coverage_of(samples, centres, deviation)[1]),
        "You count the samples that are good, not their share.":
            lambda samples, centres, deviation: (
                (found := coverage_of(samples, centres, deviation))[0], found[1] * len(samples)),
        "You ask of a good sample that it be near all centres; near one of them is enough.":
            lambda samples, centres, deviation: (
                coverage_of(samples, centres, deviation)[0],
                float((torch.cdist(samples, centres) < 3 * deviation).all(1).double().mean())),
        "You took the root of the deviation, as if it were a variance.":
            lambda samples, centres, deviation: coverage_of(samples, centres, deviation**0.5),
        "You count the modes that are missing; those covered are asked for.":
            lambda samples, centres, deviation: (
                len(centres) - (found := coverage_of(samples, centres, deviation))[0], found[1]),
    },
)  # fmt: skip


# --- how fast the players come home --------------------------------------------------------------


def round_matrix(rate, weight, opinion=0.5, charge=1.0, at_once=False, kept=True):
    a, keep = opinion * rate, 1 - charge * rate * weight
    below = [a, 1.0] if at_once else [a * keep if kept else a, 1 - a * a]
    return torch.tensor([[keep, -a], below], dtype=torch.float64)


def largest(matrix) -> float:
    return float(torch.linalg.eigvals(matrix).abs().max())


contraction = Check(
    lambda rate, weight: largest(round_matrix(rate, weight)),
    # In two of three draws the players circle, in the third, with a strong penalty, they do not.
    lambda fresh: (fresh.number(0.2, 0.6), fresh.number(0.1, 0.5) if fresh.seed % 3 else fresh.number(2.2, 2.5)),
    "a float, by which a round multiplies the radius in the long run",
    mistakes={
        "The smaller modulus is that of the part which dies first; the slower part decides.":
            lambda rate, weight: float(torch.linalg.eigvals(round_matrix(rate, weight)).abs().min()),
        "The root of the determinant is the modulus while the eigenvalues are complex; a strong penalty makes them real.":
            lambda rate, weight: math.sqrt(abs(1 - rate * weight)),
        "Yours is the determinant, the product of the two eigenvalues; the larger modulus is asked for.":
            lambda rate, weight: abs(1 - rate * weight),
        "Yours is the largest singular value, which bounds a single round; over many rounds eigenvalues decide.":
            lambda rate, weight: float(torch.linalg.matrix_norm(round_matrix(rate, weight), 2)),
        "Your players move at once; here the generator sees the discriminator's new slope.":
            lambda rate, weight: largest(round_matrix(rate, weight, at_once=True)),
        "The generator answers the slope after the penalty, too: the penalty is missing from your second row.":
            lambda rate, weight: largest(round_matrix(rate, weight, kept=False)),
        "Near the equilibrium D is ½, so that a is half of the rate; you took the rate itself.":
            lambda rate, weight: largest(round_matrix(rate, weight, opinion=1.0)),
        "The penalty has a ½ in front of its square, so its step is rate times weight times ψ; yours is twice as long.":
            lambda rate, weight: largest(round_matrix(rate, weight, charge=2.0)),
        "Yours is the largest real part; an eigenvalue off the real line has its modulus for length.":
            lambda rate, weight: float(torch.linalg.eigvals(round_matrix(rate, weight)).real.max()),
        "The penalty is missing.": lambda rate, weight: largest(round_matrix(rate, 0.0)),
    },
)  # fmt: skip
