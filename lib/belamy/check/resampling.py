"""Checks of the exercises on resampling: folds, what is left out, chance agreement, the .632+."""

import torch
from torch import Tensor

from belamy.check import Check, Fresh

# --- folds -----------------------------------------------------------------------------------------


def cut(order: Tensor, K: int) -> Tensor:
    """Counts (K, N) of K-fold cross-validation: place i of the shuffled order belongs to the fold i mod K."""
    fold = torch.empty_like(order)
    fold[order] = torch.arange(len(order)) % K
    return (fold != torch.arange(K)[:, None]).long()


def draw_folds(fresh: Fresh) -> tuple[Tensor, int]:
    n, k = fresh.integer(11, 17), fresh.integer(3, 5)
    while not n % k:
        n += 1
    return torch.randperm(n, generator=fresh.rng), k


def each_left_out_once(answer, fresh: Fresh) -> str | None:
    order, K = draw_folds(fresh)
    left = (answer(order, K) == 0).sum(0)
    if not (left == 1).all():
        return "Each example has to be left out by exactly one of the K sets."


folds = Check(
    cut,
    draw_folds,
    "a table (K, N) of whole numbers, int64: a row is a training set",
    {
        "Your ones are what is *left out*. A row is a training set: 1 where an example is in it.":
            lambda order, K: 1 - cut(order, K),
        "You cut the examples in their own order. They may be sorted by class: go by `order`.":
            lambda order, K: cut(torch.arange(len(order)), K),
        "You looked up order[i] where the place of example i is meant: `order` lists examples, place by place.":
            lambda order, K: (order % K != torch.arange(K)[:, None]).long(),
        "Your table is transposed: a row is a training set, a column an example.": lambda order, K: cut(order, K).T,
    },
    laws={"each is left out once": each_left_out_once},
)  # fmt: skip

# --- what is left out --------------------------------------------------------------------------------


def one_left_out(wrong: Tensor, counts: Tensor) -> Tensor:
    """Efron's leave-one-out bootstrap: for each example the mean over sets without it, then over examples."""
    out = (counts == 0).double()
    return ((wrong.double() * out).sum(0) / out.sum(0)).mean()


def draw_errors(fresh: Fresh) -> tuple[Tensor, Tensor]:
    while True:
        S, n = fresh.sizes((9, 14), (5, 8))
        counts = torch.randint(0, 3, (S, n), generator=fresh.rng)
        out = counts == 0
        if out.any(0).all() and out.any(1).all() and len(set(out.sum(0).tolist())) > 2:
            return torch.rand(S, n, generator=fresh.rng) < 0.2 + 0.5 * out.double().mean(0), counts


def over(weights, axis):
    """A mistake: other weights, or the means in another order."""
    def found(wrong, counts):
        w, e = weights(counts).double(), wrong.double()
        return (e * w).sum() / w.sum() if axis is None else ((e * w).sum(axis) / w.sum(axis)).mean()

    return found


left_out = Check(
    one_left_out,
    draw_errors,
    "one number, float64, as a tensor",
    {
        "You averaged for each *set* first. That is the slides' estimate; Efron's takes, for each example, the mean over "
        "the sets without it, and then the mean over examples.": over(lambda counts: counts == 0, 1),
        "You averaged over all pairs at once, so that examples that are left out more often weigh more.":
            over(lambda counts: counts == 0, None),
        "You averaged all errors, also of examples that were trained on.":
            over(lambda counts: torch.ones_like(counts), None),
        "You kept the examples that *are* in the sets. Test on those whose count is 0.":
            over(lambda counts: counts > 0, 0),
        "You weighed errors by the counts: then only what was trained on is tested.": over(lambda counts: counts, 0),
        "You divide by the number of sets, not by how many of them left the example out.":
            lambda wrong, counts: (wrong.double() * (counts == 0)).mean(0).mean(),
        "That is the share of right answers.": lambda wrong, counts: 1 - one_left_out(wrong, counts),
    },
)  # fmt: skip

# --- chance agreement --------------------------------------------------------------------------------


def shares(labels: Tensor, classes: int) -> Tensor:
    return torch.bincount(labels, minlength=classes).double() / len(labels)


def by_chance(labels: Tensor, predicted: Tensor, classes: int) -> Tensor:
    """Error if labels were dealt at random to the same predictions."""
    p, q = shares(labels, classes), shares(predicted, classes)
    return (p * (1 - q)).sum()


def draw_labels(fresh: Fresh) -> tuple[Tensor, Tensor, int]:
    classes = fresh.integer(3, 5)
    n = fresh.integer(30, 50)
    odds = torch.rand(2, classes, generator=fresh.rng) + 0.1
    return (*(torch.multinomial(row, n, True, generator=fresh.rng) for row in odds), classes)


def pairs_by_hand(answer, fresh: Fresh) -> str | None:
    labels, predicted, classes = draw_labels(fresh)
    exact = (labels[:, None] != predicted).double().mean()
    if abs(float(answer(labels, predicted, classes)) - float(exact)) > 1e-6:
        return "Dealing each label to each prediction once gives another share of errors."


chance = Check(
    by_chance,
    draw_labels,
    "one number, float64, as a tensor",
    {
        "That is how often they would *agree*. The error is 1 minus it.":
            lambda labels, predicted, classes: 1 - by_chance(labels, predicted, classes),
        "You took the labels' shares twice: the predictions have shares of their own.":
            lambda labels, predicted, classes: by_chance(labels, labels, classes),
        "You took the predictions' shares twice.":
            lambda labels, predicted, classes: by_chance(predicted, predicted, classes),
        "That is the apparent error: each label against its own prediction.":
            lambda labels, predicted, classes: (labels != predicted).double().mean(),
        "You took all classes for equally frequent.":
            lambda labels, predicted, classes: torch.tensor(1 - 1 / classes).double(),
    },
    laws={"all pairs, counted": pairs_by_hand},
)  # fmt: skip

# --- the .632+ -----------------------------------------------------------------------------------------


def plus(apparent: float, one: float, chance: float) -> float:
    """Efron & Tibshirani 1997, section 3: the weight grows with the relative overfitting."""
    one = min(one, chance)
    overfit = (one - apparent) / (chance - apparent) if one > apparent else 0.0
    w = 0.632 / (1 - 0.368 * overfit)
    return (1 - w) * apparent + w * one


def draw_plus(fresh: Fresh) -> tuple[float, float, float]:
    chance = fresh.number(0.45, 0.65)
    apparent = fresh.number(0.02, 0.2)
    return apparent, fresh.number(apparent + 0.05, chance - 0.05), chance


def knows_its_limits(answer, fresh: Fresh) -> str | None:
    chance, apparent = fresh.number(0.4, 0.6), fresh.number(0.0, 0.2)
    if abs(answer(apparent, chance + 0.1, chance) - chance) > 1e-6:
        return "An error beyond chance counts as chance: with Err(1) above it the estimate is the chance error itself."
    below = answer(apparent, apparent - 0.02, chance) if apparent > 0.02 else None
    if below is not None and abs(below - (0.368 * apparent + 0.632 * (apparent - 0.02))) > 1e-6:
        return "Where Err(1) is not above the apparent error there is no overfitting: then it is the plain .632."


plus632 = Check(
    plus,
    draw_plus,
    "a float",
    {
        "That is the plain .632: the weight does not depend on the overfitting.":
            lambda apparent, one, chance: 0.368 * apparent + 0.632 * one,
        "The two weights have changed places: w belongs to Err(1).":
            lambda apparent, one, chance: _mixed(one, apparent, _weight(apparent, one, chance)),
        "Your overfitting is Err(1) − err̄, without its scale: divide by what is possible, the chance error less err̄.":
            lambda apparent, one, chance: _mixed(apparent, one, 0.632 / (1 - 0.368 * (one - apparent))),
        "You divide by the chance error. The scale starts at the apparent error.":
            lambda apparent, one, chance: _mixed(apparent, one, 0.632 / (1 - 0.368 * (one - apparent) / chance)),
        "The weight has 1 − 0.632 ρ below. It is 1 − 0.368 ρ, so that it is 1 where there is nothing but overfitting.":
            lambda apparent, one, chance: _mixed(
                apparent, one, 0.632 / (1 - 0.632 * (one - apparent) / (chance - apparent))),
        "The weight has 1 + 0.368 ρ below. It grows with the overfitting: 1 − 0.368 ρ.":
            lambda apparent, one, chance: _mixed(
                apparent, one, 0.632 / (1 + 0.368 * (one - apparent) / (chance - apparent))),
        "You took ρ itself for the weight.":
            lambda apparent, one, chance: _mixed(apparent, one, (one - apparent) / (chance - apparent)),
        "You return the weight. It mixes the two errors.": lambda apparent, one, chance: _weight(apparent, one, chance),
    },
    laws={"it stays between no overfitting and nothing but": knows_its_limits},
)  # fmt: skip


def _weight(apparent: float, one: float, chance: float) -> float:
    return 0.632 / (1 - 0.368 * (one - apparent) / (chance - apparent))


def _mixed(apparent: float, one: float, w: float) -> float:
    return (1 - w) * apparent + w * one
