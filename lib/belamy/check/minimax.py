"""Checks of the exercises on the minimax game; what each function is to do stands in its statement there."""

import math

import torch
from torch.nn import functional as F

from belamy import divergences
from belamy.check import Check, Fresh

LOG_2 = math.log(2)


def two_densities(fresh: Fresh, count: int) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Two positive densities over `count` cells of one width, and that width."""
    cell = fresh.number(0.02, 0.2)
    rough = (fresh.normal(count, dtype=torch.float64).softmax(0) for _ in range(2))
    return (*(mass / cell for mass in rough), cell)


# --- the value -----------------------------------------------------------------------------------


def value_of(real, fake):
    return F.logsigmoid(real).mean() + F.logsigmoid(-fake).mean()


def draw_scores(fresh: Fresh) -> tuple:
    b, n = fresh.sizes((5, 40), (5, 40))
    return fresh.normal(b, scale=2), fresh.normal(n, scale=2)


value = Check(
    value_of,
    draw_scores,
    "a tensor (), the value V in nats",
    terms={
        "The term of the real samples": lambda real, fake: F.logsigmoid(real).mean(),
        "The term of the generated samples": lambda real, fake: F.logsigmoid(-fake).mean(),
    },
    mistakes={
        "This is the discriminator's loss, which it minimises; the value V, which it maximises, has the other sign.":
            lambda real, fake: -value_of(real, fake),
        "Your second term is log D of the generated samples; the discriminator is paid log(1 − D) there.":
            lambda real, fake: F.logsigmoid(real).mean() + F.logsigmoid(fake).mean(),
        "You subtract the second term; V is the sum of the two expectations.":
            lambda real, fake: F.logsigmoid(real).mean() - F.logsigmoid(-fake).mean(),
        "Each expectation is a mean over its own batch. You took one mean over both batches together.":
            lambda real, fake: torch.cat([F.logsigmoid(real), F.logsigmoid(-fake)]).mean(),
        "You halve the sum, as a cross-entropy over both batches does; V is the sum of the two means.":
            lambda real, fake: value_of(real, fake) / 2,
        "An expectation is a mean over the samples; you summed over them.":
            lambda real, fake: F.logsigmoid(real).sum() + F.logsigmoid(-fake).sum(),
        "Real and generated samples have changed places: D is the probability of 'real'.":
            lambda real, fake: value_of(fake, real),
        "The sigmoid is taken twice: a function for scores, with 'logits' in its name, takes it itself.":
            lambda real, fake: value_of(real.sigmoid(), fake.sigmoid()),
        "You took the logarithm of scores. D is the sigmoid of a score.":
            lambda real, fake: real.log().mean() + (1 - fake).log().mean(),
        "The logarithm is taken of the mean opinion; V is the mean of the logarithms.":
            lambda real, fake: real.sigmoid().mean().log() + (-fake).sigmoid().mean().log(),
    },
    gradients=("real", "fake"),
    extremes=lambda fresh: (torch.tensor([-150.0, 30.0, 200.0]), torch.tensor([-120.0, 180.0])),
)  # fmt: skip


# --- the best discriminator ----------------------------------------------------------------------


def best_of(log_p, log_g, share):
    return torch.sigmoid(log_p - log_g + math.log(share / (1 - share)))


def draw_log_densities(fresh: Fresh) -> tuple:
    count, side = fresh.integer(5, 30), fresh.number(0.1, 0.4)
    log_p, log_g = (fresh.normal(count, scale=2, dtype=torch.float64) for _ in range(2))
    return log_p, log_g, side if fresh.integer(0, 1) else 1 - side


best = Check(
    best_of,
    draw_log_densities,
    "a tensor like log_p, the probability of 'real' at each place",
    mistakes={
        "Your discriminator takes no account of how often a real sample is shown: it is the best one for a share of ½.":
            lambda log_p, log_g, share: torch.sigmoid(log_p - log_g),
        "Yours is the probability of 'generated'; D is the probability of 'real'.":
            lambda log_p, log_g, share: 1 - best_of(log_p, log_g, share),
        "The densities have changed places: D is large where the data are.":
            lambda log_p, log_g, share: best_of(log_g, log_p, share),
        "The shares have changed places: `share` is that of the real samples.":
            lambda log_p, log_g, share: best_of(log_p, log_g, 1 - share),
        "Yours is the score of the best discriminator; its sigmoid is asked for.":
            lambda log_p, log_g, share: log_p - log_g + math.log(share / (1 - share)),
        "Yours is the ratio of the two densities, which may exceed 1; D divides by their sum.":
            lambda log_p, log_g, share: share / (1 - share) * (log_p - log_g).exp(),
        "You multiply D* by the share. The share weighs each density, below the fraction line too.":
            lambda log_p, log_g, share: share * torch.sigmoid(log_p - log_g),
        "You added the logarithm of the share alone; it is that of the odds, π / (1 − π), which belongs there.":
            lambda log_p, log_g, share: torch.sigmoid(log_p - log_g + math.log(share)),
        "You multiplied logarithms by the shares; a share weighs a density, so its logarithm is added.":
            lambda log_p, log_g, share: torch.sigmoid(share * log_p - (1 - share) * log_g),
        "You divided logarithms of densities: take the densities, or better the difference of their logarithms.":
            lambda log_p, log_g, share: share * log_p / (share * log_p + (1 - share) * log_g),
    },
    extremes=lambda fresh: (
        torch.tensor([-2000.0, -900.0, 3.0], dtype=torch.float64),
        torch.tensor([-2001.0, -901.5, -5.0], dtype=torch.float64),
        0.3,
    ),
)  # fmt: skip


# --- the Wasserstein distance of samples ---------------------------------------------------------


def transport_of(x, y):
    return (x.sort().values - y.sort().values).abs().mean()


def shift_is_seen(answer, fresh: Fresh) -> str | None:
    x = fresh.normal(20)
    if abs(float(answer(x, x + 500)) - 500) > 0.01:
        return "Samples that are all moved by 500 lie 500 away; yours is another number."
    return None


transport = Check(
    transport_of,
    lambda fresh: (fresh.normal(n := fresh.integer(6, 30)), fresh.normal(n, scale=2) + fresh.number(-0.3, 0.3)),
    "a tensor (), the mean distance that a sample travels",
    mistakes={
        "You pair the samples as they come. The cheapest plan pairs them in order of size.":
            lambda x, y: (x - y).abs().mean(),
        "Yours is the distance of the two means: samples that differ in spread alone would be at distance 0.":
            lambda x, y: (x.mean() - y.mean()).abs(),
        "The signs cancel: take the absolute value of each distance before the mean, not of the mean.":
            lambda x, y: (x.sort().values - y.sort().values).mean(),
        "Yours is the mean square of the distances; W1 is the mean of their absolute values.":
            lambda x, y: (x.sort().values - y.sort().values).square().mean(),
        "Yours is the root of the mean square, W2; W1 is the mean of the absolute distances.":
            lambda x, y: (x.sort().values - y.sort().values).square().mean().sqrt(),
        "You sorted one set upwards and the other downwards: then all paths cross.":
            lambda x, y: (x.sort().values - y.sort(descending=True).values).abs().mean(),
        "You averaged over all pairs; a plan sends each sample to one place only.":
            lambda x, y: (x[:, None] - y).abs().mean(),
        "Each sample goes to its nearest neighbour; but in a plan each place receives one sample only.":
            lambda x, y: (x[:, None] - y).abs().min(1).values.mean(),
    },
    gradients=("x", "y"),
    laws={"a shift is seen in full": shift_is_seen},
)  # fmt: skip


# --- what an imperfect discriminator loses -------------------------------------------------------


def gap_of(p, g, score, cell, weight=None, turned=False, sides=(1, -1)):
    optimum = p.log() - g.log()
    if turned:
        optimum, score = score, optimum
    coins = sum((k * optimum).sigmoid() * (F.logsigmoid(k * optimum) - F.logsigmoid(k * score)) for k in sides)
    return cell * ((p + g if weight is None else weight) * coins).sum()


def nothing_lost_by_the_best(answer, fresh: Fresh) -> str | None:
    p, g, cell = two_densities(fresh, 40)
    if abs(float(answer(p, g, p.log() - g.log(), cell))) > 1e-9:
        return "The best discriminator loses nothing, but your gap is not 0 there."
    return None


gap = Check(
    gap_of,
    lambda fresh: (*(made := two_densities(fresh, n := fresh.integer(20, 60)))[:2],
                   fresh.normal(n, dtype=torch.float64), made[2]),
    "a tensor (), what the discriminator loses in nats",
    mistakes={
        "The divergence is the wrong way round: the expectation is taken under the best discriminator's coin.":
            lambda p, g, score, cell: gap_of(p, g, score, cell, turned=True),
        "You weigh the places by the mean of the two densities; the equation has their sum.":
            lambda p, g, score, cell: gap_of(p, g, score, cell) / 2,
        "You weigh the places by the data's density alone; the discriminator is asked on both sides.":
            lambda p, g, score, cell: gap_of(p, g, score, cell, p),
        "You weigh the places by the generator's density alone; the discriminator is asked on both sides.":
            lambda p, g, score, cell: gap_of(p, g, score, cell, g),
        "A coin has two sides: the term of 'generated', with 1 − D, is missing.":
            lambda p, g, score, cell: gap_of(p, g, score, cell, sides=(1,)),
        "A sum over a grid becomes an integral by the width of a cell, which is missing.":
            lambda p, g, score, cell: gap_of(p, g, score, 1),
        "Yours is V(D) − V(D*), which is never positive: the sign is turned.":
            lambda p, g, score, cell: -gap_of(p, g, score, cell),
        "Yours is the value of D*, not what `score` falls short of it.":
            lambda p, g, score, cell: cell * (p * F.logsigmoid(p.log() - g.log())
                                              + g * F.logsigmoid(g.log() - p.log())).sum(),
        "Yours is the value of the given discriminator, not what it falls short of the best one.":
            lambda p, g, score, cell: cell * (p * F.logsigmoid(score) + g * F.logsigmoid(-score)).sum(),
        "A discriminator that knows the ratio of the densities has its logarithm as score, not the ratio.":
            lambda p, g, score, cell: value_gap(p, g, score, cell, p / g),
    },
    gradients=("score",),
    laws={"0 for the best discriminator": nothing_lost_by_the_best},
)  # fmt: skip


def value_gap(p, g, score, cell, other):
    """V of the scores `other` less V of the scores `score`."""
    gain = p * (F.logsigmoid(other) - F.logsigmoid(score)) + g * (F.logsigmoid(-other) - F.logsigmoid(-score))
    return cell * gain.sum()


# --- the Jensen-Shannon divergence ---------------------------------------------------------------


def relative(p, q, cell):
    return cell * (p * (p.log() - q.log())).sum()


def places_without_mass(answer, fresh: Fresh) -> str | None:
    p = fresh.uniform(12, low=0.5, dtype=torch.float64)
    p, g = (torch.cat(parts) / p.sum() for parts in ((p, 0 * p), (0 * p, p)))
    found = float(answer(p, g, 1.0))
    if not math.isfinite(found):
        return "Where a density is 0 your result is nan or inf: 0 log 0 counts as 0 in a divergence."
    if abs(found - LOG_2) > 1e-6:
        return f"Densities that share no place are at distance log 2; yours is {found:.3f}."
    return None


jsd = Check(
    divergences.jsd,
    lambda fresh: two_densities(fresh, fresh.integer(20, 60)),
    "a tensor (), the divergence in nats",
    mistakes={
        "You averaged the two divergences between p and g themselves; each is meant against their mixture m.":
            lambda p, g, cell: (relative(p, g, cell) + relative(g, p, cell)) / 2,
        "You summed the two divergences between p and g themselves; each is meant against their mixture m.":
            lambda p, g, cell: relative(p, g, cell) + relative(g, p, cell),
        "Your mixture has mass 2: m is (p + g) / 2.":
            lambda p, g, cell: (relative(p, p + g, cell) + relative(g, p + g, cell)) / 2,
        "Yours is V*, which is −log 4 + 2 JS, from a mixture of mass 2 and a sum: m is (p + g) / 2, and a mean is meant.":
            lambda p, g, cell: relative(p, p + g, cell) + relative(g, p + g, cell),
        "You summed the two divergences; their mean is meant, so that the largest value is log 2.":
            lambda p, g, cell: 2 * divergences.jsd(p, g, cell),
        "The divergences are the wrong way round: the expectations are taken under p and under g, not under m.":
            lambda p, g, cell: sum(relative((p + g) / 2, q, cell) for q in (p, g)) / 2,
        "One of the two halves is missing: yours has KL(p ‖ m) alone.":
            lambda p, g, cell: relative(p, (p + g) / 2, cell),
        "One of the two halves is missing: yours has half of KL(p ‖ m) alone.":
            lambda p, g, cell: relative(p, (p + g) / 2, cell) / 2,
        "A sum over a grid becomes an integral by the width of a cell, which is missing.":
            lambda p, g, cell: divergences.jsd(p, g, cell) / cell,
        "You compared p with g itself; both are compared with their mixture m.":
            lambda p, g, cell: relative(p, g, cell),
        "Yours is the root, the Jensen-Shannon distance; the divergence is asked for.":
            lambda p, g, cell: divergences.jsd(p, g, cell).sqrt(),
    },
    laws={"places without mass": places_without_mass},
)  # fmt: skip


# --- weights that repair a generator -------------------------------------------------------------


def weighted(values, weights, about=None):
    """Mean, variance and effective size of weighted samples; weights need not add up to 1."""
    share = weights / weights.sum()
    mean = (share * values).sum()
    return mean, (share * (values - (mean if about is None else about)).square()).sum(), 1 / share.square().sum()


def bare(values, weights):
    """The same three without a division by the sum of the weights."""
    mean = (weights * values).mean()
    return mean, (weights * (values - mean).square()).mean(), weighted(values, weights)[2]


repaired = Check(
    lambda values, scores: weighted(values, scores.exp()),
    lambda fresh: (fresh.normal(n := fresh.integer(8, 40), scale=2), fresh.normal(n, scale=1.5)),
    "the weighted mean, the weighted variance and the effective sample size, each a tensor ()",
    mistakes={
        "You weigh by D. The ratio of the densities is D / (1 − D), the exponential of the score.":
            lambda values, scores: weighted(values, scores.sigmoid()),
        "You weigh by the scores themselves; the ratio of the densities is their exponential.":
            lambda values, scores: weighted(values, scores),
        "The ratio is upside down: a sample that looks real is to count more, not less.":
            lambda values, scores: weighted(values, (-scores).exp()),
        "The weights are not divided by their sum: a weighted mean of ones must be 1.":
            lambda values, scores: bare(values, scores.exp()),
        "The variance is taken about the mean without weights; it belongs about the weighted mean.":
            lambda values, scores: weighted(values, scores.exp(), values.mean()),
        "The variance is that of the bare samples about the weighted mean; each square has its weight.":
            lambda values, scores: ((w := weighted(values, scores.exp()))[0],
                                    (values - w[0]).square().mean(), w[2]),
        "The variance is that of the samples without weights.":
            lambda values, scores: ((w := weighted(values, scores.exp()))[0], values.var(correction=0), w[2]),
        "You summed with weights that do not add up to 1: divide them by their sum first.":
            lambda values, scores: (m := (scores.exp() * values).sum(),
                                    (scores.exp() * (values - m).square()).sum(), 1 / (2 * scores).exp().sum()),
        "The variance is taken about 0: the square of the weighted mean is missing.":
            lambda values, scores: weighted(values, scores.exp(), 0),
        "Your effective size is upside down: equal weights must make it the number of samples.":
            lambda values, scores: (*(w := weighted(values, scores.exp()))[:2], 1 / w[2]),
        "Your effective size is a share of all samples; their number is asked for.":
            lambda values, scores: (*(w := weighted(values, scores.exp()))[:2], w[2] / len(values)),
        "Your effective size is 1 over the sum of the squares, which holds only for weights that add up to 1.":
            lambda values, scores: (*weighted(values, scores.exp())[:2], 1 / (2 * scores).exp().sum()),
        "Your third number is the sum of the weights; the effective size is its square over the sum of the squares.":
            lambda values, scores: (*weighted(values, scores.exp())[:2], scores.exp().sum()),
        "The spread is the standard deviation; the variance is asked for.":
            lambda values, scores: ((w := weighted(values, scores.exp()))[0], w[1].sqrt(), w[2]),
    },
)  # fmt: skip
