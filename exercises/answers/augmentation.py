"""Answers to the exercises on augmentation as students write them, right and wrong, and what a reason must say."""

import torch
from torch.nn import functional as F


def mixup_lerp(x, y, share, other):
    s = share.unsqueeze(1)
    return torch.lerp(x[other], x, s), torch.lerp(y[other], y, s)


def mixup_loop(x, y, share, other):
    pairs = list(zip(range(len(x)), other.tolist(), share))
    return (torch.stack([s * x[i] + (1 - s) * x[j] for i, j, s in pairs]),
            torch.stack([s * y[i] + (1 - s) * y[j] for i, j, s in pairs]))  # fmt: skip


def mixup_labels_kept(x, y, share, other):
    return mixup_lerp(x, y, share, other)[0], y


def mixup_labels_turned(x, y, share, other):
    return mixup_lerp(x, y, share, other)[0], mixup_lerp(x, y, 1 - share, other)[1]


def mixup_one_share(x, y, share, other):
    return mixup_lerp(x, y, share[0].expand(len(x)), other)


def mixup_turned(x, y, share, other):
    return mixup_lerp(x, y, 1 - share, other)


def shift_slices(x, down, right):
    new, (h, w) = torch.zeros_like(x), x.shape[1:]
    rows, columns = h - abs(down), w - abs(right)
    new[:, max(down, 0) : max(down, 0) + rows, max(right, 0) : max(right, 0) + columns] = (
        x[:, max(-down, 0) : max(-down, 0) + rows, max(-right, 0) : max(-right, 0) + columns])  # fmt: skip
    return new


def shift_pad(x, down, right):
    return F.pad(x, (right, -right, down, -down))  # a negative pad cuts off


def shift_roll(x, down, right):
    return torch.roll(x, (down, right), dims=(1, 2))


def shift_back(x, down, right):
    return shift_pad(x, -down, -right)


def shift_axes(x, down, right):
    return shift_pad(x, right, down)


def shift_positive_only(x, down, right):
    return shift_pad(x, abs(down), abs(right))


def table_of(guess, truth, classes):
    table = torch.zeros(classes, classes, dtype=torch.float64)
    for g, t in zip(guess.tolist(), truth.tolist()):
        table[t, g] += 1
    return table


def rates_table(guess, truth, classes):
    table = table_of(guess, truth, classes)
    hit = table.diag()
    false = table.sum(0) - hit
    others = table.sum() - table.sum(1)
    return (hit / table.sum(1)).mean(), (1 - false / others).mean()


def rates_masks(guess, truth, classes):
    is_c = truth[:, None] == torch.arange(classes)
    said = guess[:, None] == torch.arange(classes)
    return (((said & is_c).sum(0) / is_c.sum(0).double()).mean(),
            ((~said & ~is_c).sum(0) / (~is_c).sum(0).double()).mean())  # fmt: skip


def rates_precision(guess, truth, classes):
    table = table_of(guess, truth, classes)
    return (table.diag() / table.sum(0)).mean(), rates_table(guess, truth, classes)[1]


def rates_accuracy(guess, truth, classes):
    return (guess == truth).double().mean(), rates_table(guess, truth, classes)[1]


def rates_swapped(guess, truth, classes):
    return rates_table(guess, truth, classes)[::-1]


def rates_alarms(guess, truth, classes):
    one, two = rates_table(guess, truth, classes)
    return one, 1 - two


def fold_indices(x, fold, k, make):
    train = (fold != k).nonzero()[:, 0]
    return torch.cat((x[train], make(x[train])), 0)


def fold_lists(x, fold, k, make):
    real = torch.stack([row for row, f in zip(x, fold.tolist()) if f != k])
    return torch.vstack([real, make(real)])


def fold_all(x, fold, k, make):
    return torch.cat([x[fold != k], make(x)])


def fold_dropped(x, fold, k, make):
    return torch.cat([x[fold != k], make(x)[fold != k]])


def fold_test(x, fold, k, make):
    return torch.cat([x[fold == k], make(x[fold == k])])


def fold_made_only(x, fold, k, make):
    return make(x[fold != k])


def paired_by_hand(a, b, t):
    difference = (a - b).mean(1)
    n, middle = len(difference), difference.mean()
    half = t * (((difference - middle) ** 2).sum() / (n - 1) / n).sqrt()
    return middle - half, middle + half


def paired_var(a, b, t):
    seeds = a.mean(dim=1) - b.mean(dim=1)
    return tuple(seeds.mean() + sign * t * (seeds.var() / len(seeds)).sqrt() for sign in (-1, 1))


def paired_flat(a, b, t):
    difference = (a - b).flatten()
    half = t * difference.std() / len(difference) ** 0.5
    return difference.mean() - half, difference.mean() + half


def paired_not(a, b, t):
    one, two = a.mean(1), b.mean(1)
    half = t * ((one.var() + two.var()) / len(one)).sqrt()
    return one.mean() - two.mean() - half, one.mean() - two.mean() + half


def paired_biased(a, b, t):
    difference = (a - b).mean(1)
    half = t * difference.std(correction=0) / len(difference) ** 0.5
    return difference.mean() - half, difference.mean() + half


def paired_no_root(a, b, t):
    difference = (a - b).mean(1)
    return difference.mean() - t * difference.std(), difference.mean() + t * difference.std()


def both_bce(score, change, real, fake):
    one, two = score(change(real)), score(change(fake))
    bce = F.binary_cross_entropy_with_logits
    d = bce(one, torch.ones_like(one)) + bce(two, torch.zeros_like(two))
    return d, bce(two, torch.ones_like(two))


def both_logsigmoid(score, change, real, fake):
    one, two = score(change(real)), score(change(fake))
    return -(F.logsigmoid(one).mean() + F.logsigmoid(-two).mean()), -F.logsigmoid(two).mean()


def both_real_only(score, change, real, fake):
    one, two = score(change(real)), score(fake)
    return F.softplus(-one).mean() + F.softplus(two).mean(), F.softplus(-two).mean()


def both_not_generator(score, change, real, fake):
    d, _ = both_logsigmoid(score, change, real, fake)
    return d, F.softplus(-score(fake)).mean()


def both_saturating(score, change, real, fake):
    d, _ = both_logsigmoid(score, change, real, fake)
    return d, -F.softplus(score(change(fake))).mean()


def both_nowhere(score, change, real, fake):
    return both_logsigmoid(score, lambda x: x, real, fake)


ANSWERS = {
    "mixup": {
        "right": [mixup_lerp, mixup_loop],
        "wrong": {
            "labels kept": (mixup_labels_kept, "left the labels as they were"),
            "labels turned": (mixup_labels_turned, "labels are mixed by the other share"),
            "one share": (mixup_one_share, "first share for all pairs"),
            "turned": (mixup_turned, "Both shares are exchanged"),
        },
    },
    "shift": {
        "right": [shift_slices, shift_pad],
        "wrong": {
            "roll": (shift_roll, "comes in again on the other"),
            "back": (shift_back, "up and to the left"),
            "axes": (shift_axes, "Rows and columns have changed places"),
        },
    },
    "rates": {
        "right": [rates_table, rates_masks],
        "wrong": {
            "precision": (rates_precision, "*called* so"),
            "accuracy": (rates_accuracy, "share of right answers"),
            "swapped": (rates_swapped, "changed places"),
            "false alarms": (rates_alarms, "false alarms"),
        },
    },
    "fold": {
        "right": [fold_indices, fold_lists],
        "wrong": {
            "fitted on all": (fold_all, "crossed the fold"),
            "fitted on all, some dropped": (fold_dropped, "dropped some"),
            "the test fold": (fold_test, "train on fold k"),
            "made only": (fold_made_only, "without the real examples"),
        },
    },
    "paired": {
        "right": [paired_by_hand, paired_var],
        "wrong": {
            "all folds": (paired_flat, "all folds for independent"),
            "not paired": (paired_not, "take differences first"),
            "divided by n": (paired_biased, "one less"),
            "no root": (paired_no_root, "spread of a single run"),
        },
    },
    "both": {
        "right": [both_bce, both_logsigmoid],
        "wrong": {
            "real only": (both_real_only, "real pictures only"),
            "not in the generator's step": (both_not_generator, "left the change out of the generator's step"),
            "saturating": (both_saturating, "saturates"),
            "nowhere": (both_nowhere, "Nothing is changed"),
        },
    },
}
