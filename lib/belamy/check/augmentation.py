"""Checks of the exercises on augmentation: mixup, shifts, rates, folds, paired intervals, differentiable changes."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from belamy.check import Check, Fresh

# --- mixup -----------------------------------------------------------------------------------------


def mixed(x: Tensor, y: Tensor, share: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Zhang et al. 2018: pictures and labels by one share a pair."""
    s = share[:, None]
    return s * x + (1 - s) * x[other], s * y + (1 - s) * y[other]


def draw_mixup(fresh: Fresh) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    n, d, c = fresh.sizes((5, 7), (8, 11), (3, 4))
    other = (torch.arange(n) + 2) % n
    labels = torch.arange(n) % c
    return fresh.uniform(n, d), F.one_hot(labels, c).float(), fresh.uniform(n, low=0.1, high=0.45), other


mixup = Check(
    mixed,
    draw_mixup,
    "two tensors: pictures (B, D) and labels (B, C)",
    {
        "You left the labels as they were: a picture that is mixed has a mixed label.":
            lambda x, y, share, other: (mixed(x, y, share, other)[0], y),
        "Your labels are mixed by the other share: what a picture has of the first, its label has of the first, too.":
            lambda x, y, share, other: (mixed(x, y, share, other)[0], mixed(x, y, 1 - share, other)[1]),
        "Both shares are exchanged: `share` belongs to the example itself, the rest to the other one.":
            lambda x, y, share, other: mixed(x, y, 1 - share, other),
        "You took the first share for all pairs: each has one of its own.":
            lambda x, y, share, other: mixed(x, y, share[0].expand_as(share), other),
        "You mixed with the next example. Which one is meant, `other` says.":
            lambda x, y, share, other: mixed(x, y, share, (torch.arange(len(x)) + 1) % len(x)),
    },
)  # fmt: skip

# --- a shift -----------------------------------------------------------------------------------------


def moved(x: Tensor, down: int, right: int) -> Tensor:
    """Pictures (B, H, W) moved by whole pixels, black coming in."""
    _, h, w = x.shape
    room = F.pad(x, (abs(right), abs(right), abs(down), abs(down)))
    top, left = abs(down) - down, abs(right) - right
    return room[:, top : top + h, left : left + w]


def draw_shift(fresh: Fresh) -> tuple[Tensor, int, int]:
    n, h, w = fresh.sizes((2, 3), (6, 8), (9, 11))
    return fresh.uniform(n, h, w, low=0.1), fresh.integer(2, 3) * (1 - 2 * fresh.integer(0, 1)), 1


def black_comes_in(answer, fresh: Fresh) -> str | None:
    x = fresh.uniform(2, 6, 7, low=0.1)
    for down, right in ((1, 0), (-1, 0), (0, 2), (0, -2), (0, 0)):
        if not torch.equal(answer(x, down, right), moved(x, down, right)):
            return f"With down = {down} and right = {right} it is wrong: a shift may go either way, or not at all."


shift = Check(
    moved,
    draw_shift,
    "pictures (B, H, W)",
    {
        "What leaves on one side comes in again on the other. Let black come in.":
            lambda x, down, right: x.roll((down, right), (1, 2)),
        "You moved it up and to the left where down and right are meant, or the other way round.":
            lambda x, down, right: moved(x, -down, -right),
        "Rows and columns have changed places: `down` moves along the axis of the height.":
            lambda x, down, right: moved(x, right, down),
        "You moved it down only.": lambda x, down, right: moved(x, down, 0),
    },
    laws={"black comes in on every side": black_comes_in},
)  # fmt: skip

# --- sensitivity and specificity -----------------------------------------------------------------------


def one_against_rest(guess: Tensor, truth: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Mean sensitivity and mean specificity over the classes, each against the rest."""
    found = [((guess == c)[truth == c].double().mean(), (guess != c)[truth != c].double().mean())
             for c in range(classes)]  # fmt: skip
    return tuple(torch.stack(part).mean() for part in zip(*found))


def draw_guesses(fresh: Fresh) -> tuple[Tensor, Tensor, int]:
    classes = fresh.integer(3, 5)
    truth = torch.cat([torch.arange(classes), torch.randint(0, classes, (24,), generator=fresh.rng) ** 2 % classes])
    wrong = torch.rand(len(truth), generator=fresh.rng) < 0.4
    guess = torch.where(wrong, (truth + 1) % classes, truth)
    return torch.cat([guess, torch.arange(classes)]), torch.cat([truth, torch.arange(classes)]), classes


def share_of_guesses(guess: Tensor, truth: Tensor, classes: int) -> Tensor:
    return torch.stack([(truth == c)[guess == c].double().mean() for c in range(classes)]).mean()


def pooled(guess: Tensor, truth: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    right = (guess == truth).double().mean()
    return right, 1 - (1 - right) / (classes - 1)


rates = Check(
    one_against_rest,
    draw_guesses,
    "sensitivity and specificity, two numbers, float64, as tensors",
    {
        "Your sensitivity asks how many of those *called* so are so. It asks how many that are so are called so.":
            lambda guess, truth, classes: (share_of_guesses(guess, truth, classes),
                                           one_against_rest(guess, truth, classes)[1]),
        "You pooled all cases. Take each class against the rest, then the mean over classes.": pooled,
        "Your first value is the share of right answers, in which frequent classes weigh more. Take each class by itself.":
            lambda guess, truth, classes: ((guess == truth).double().mean(), one_against_rest(guess, truth, classes)[1]),
        "Sensitivity and specificity have changed places.":
            lambda guess, truth, classes: one_against_rest(guess, truth, classes)[::-1],
        "Your specificity is the share of false alarms: it is 1 minus that.":
            lambda guess, truth, classes: (one_against_rest(guess, truth, classes)[0],
                                           1 - one_against_rest(guess, truth, classes)[1]),
    },
)  # fmt: skip

# --- split, then fit -----------------------------------------------------------------------------------


def inside(x: Tensor, fold: Tensor, k: int, make: Callable) -> Tensor:
    """The training set of fold k: real examples, then what a maker makes of these alone."""
    real = x[fold != k]
    return torch.cat([real, make(real)])


def draw_fold(fresh: Fresh) -> tuple[Tensor, Tensor, int, Callable]:
    n, d, folds = fresh.sizes((12, 16), (5, 8), (3, 4))
    centre = fresh.number(0.2, 0.8)

    def make(rows: Tensor) -> Tensor:
        return centre * rows.mean(0) + (1 - centre) * rows.flip(0)

    return fresh.uniform(n, d), torch.randperm(n, generator=fresh.rng) % folds, fresh.integer(0, folds - 1), make


def no_picture_crosses(answer, fresh: Fresh) -> str | None:
    x, fold, k, make = draw_fold(fresh)
    seen: list[Tensor] = []

    def spy(rows: Tensor) -> Tensor:
        seen.append(rows)
        return make(rows)

    answer(x, fold, k, spy)
    if any((rows[:, None] == x[fold == k]).all(2).any() for rows in seen):
        return "A synthetic picture has crossed the fold: its maker was shown an example of the test."
    snow = torch.where((fold == k)[:, None], fresh.uniform(*x.shape), x)
    if not torch.equal(answer(x, fold, k, make), answer(snow, fold, k, make)):
        return "Replace the test fold by snow, and your training set changes: something of the test is in it."


fold = Check(
    inside,
    draw_fold,
    "a tensor of rows: the real examples to train on, then the made ones",
    {
        "A synthetic picture has crossed the fold: you fitted the maker on all examples. Split first.":
            lambda x, fold, k, make: torch.cat([x[fold != k], make(x)]),
        "A synthetic picture has crossed the fold: you fitted the maker on all examples, and dropped some of what it made "
        "afterwards. What it made of the rest has still seen the test.":
            lambda x, fold, k, make: torch.cat([x[fold != k], make(x)[fold != k]]),
        "You fitted the maker on the test fold.": lambda x, fold, k, make: torch.cat([x[fold != k], make(x[fold == k])]),
        "You train on fold k. It is the one to test on: the others train.":
            lambda x, fold, k, make: torch.cat([x[fold == k], make(x[fold == k])]),
        "You return what was made, without the real examples.": lambda x, fold, k, make: make(x[fold != k]),
        "The real examples come first, then the made ones.":
            lambda x, fold, k, make: inside(x, fold, k, make).roll(-int((fold != k).sum()), 0),
    },
    laws={"no picture crosses the fold": no_picture_crosses},
)  # fmt: skip

# --- a paired interval ---------------------------------------------------------------------------------


def apart(a: Tensor, b: Tensor, t: float) -> tuple[Tensor, Tensor]:
    """Ends of the interval of the mean difference: folds averaged, seeds independent."""
    return spread(a.mean(1) - b.mean(1), t)


def spread(difference: Tensor, t: float, correction: int = 1) -> tuple[Tensor, Tensor]:
    half = t * difference.std(correction=correction) / len(difference) ** 0.5
    return difference.mean() - half, difference.mean() + half


def unpaired(a: Tensor, b: Tensor, t: float) -> tuple[Tensor, Tensor]:
    one, two = a.mean(1), b.mean(1)
    half = t * ((one.var() + two.var()) / len(one)) ** 0.5
    return (one - two).mean() - half, (one - two).mean() + half


def draw_scores(fresh: Fresh) -> tuple[Tensor, Tensor, float]:
    seeds, folds = fresh.sizes((5, 8), (2, 4))
    hard = fresh.uniform(seeds, folds, low=0.6, high=0.9, dtype=torch.float64)
    noise = fresh.normal(2, seeds, folds, scale=0.02, dtype=torch.float64)
    return hard + noise[0] + 0.03, hard + noise[1], fresh.number(2.0, 2.8)


paired = Check(
    apart,
    draw_scores,
    "the two ends, float64, as tensors",
    {
        "You took all folds for independent. Their training sets overlap: average the folds of a seed first.":
            lambda a, b, t: spread((a - b).flatten(), t),
        "You added the two spreads as if the runs were independent. They are paired: take differences first.": unpaired,
        "Your difference is b less a.": lambda a, b, t: apart(b, a, t),
        "You divide by the number of seeds in the standard deviation: with the mean estimated, one less.":
            lambda a, b, t: spread((a - b).mean(1), t, 0),
        "That is the spread of a single run: the mean over seeds is steadier by the root of their number.":
            lambda a, b, t: tuple((a - b).mean() + sign * t * (a - b).mean(1).std() for sign in (-1, 1)),
        "You averaged over the seeds first. A fold is no independent run.":
            lambda a, b, t: spread((a - b).mean(0), t),
    },
)  # fmt: skip

# --- changes of real and generated pictures --------------------------------------------------------------


def on_both(score: Callable, change: Callable, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Zhao et al. 2020: the losses of discriminator and generator, all pictures changed before they are judged."""
    return _pair(score(change(real)), score(change(fake)), score(change(fake)))


def _pair(real: Tensor, fake: Tensor, again: Tensor) -> tuple[Tensor, Tensor]:
    return F.softplus(-real).mean() + F.softplus(fake).mean(), F.softplus(-again).mean()


def draw_judged(fresh: Fresh) -> tuple[Callable, Callable, Tensor, Tensor]:
    n, d = fresh.sizes((6, 9), (10, 14))
    weights, bright = fresh.normal(d), fresh.number(0.4, 0.9)

    def score(x: Tensor) -> Tensor:
        return x @ weights

    def change(x: Tensor) -> Tensor:
        return (x + bright).square()

    return score, change, fresh.uniform(n, d), fresh.uniform(n, d)


both = Check(
    on_both,
    draw_judged,
    "the discriminator's and the generator's loss, two numbers",
    {
        "You changed the real pictures only: the generator will learn to paint the changes.":
            lambda score, change, real, fake: _pair(score(change(real)), score(fake), score(fake)),
        "You left the change out of the generator's step: there it belongs, too, and the gradient passes through it.":
            lambda score, change, real, fake: _pair(score(change(real)), score(change(fake)), score(fake)),
        "You changed the real pictures and, in the generator's step, the generated ones; the discriminator sees those "
        "unchanged.": lambda score, change, real, fake: _pair(score(change(real)), score(fake), score(change(fake))),
        "You changed the generated pictures only.":
            lambda score, change, real, fake: _pair(score(real), score(change(fake)), score(change(fake))),
        "Nothing is changed here: put `change` before each `score`.":
            lambda score, change, real, fake: _pair(score(real), score(fake), score(fake)),
        "Your generator's loss saturates: take −log D of what it painted.":
            lambda score, change, real, fake: (on_both(score, change, real, fake)[0],
                                               -F.softplus(score(change(fake))).mean()),
    },
)  # fmt: skip
