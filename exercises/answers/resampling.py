"""Answers to the exercises on resampling as students write them, right and wrong, and what a reason must say."""

import torch


def folds_loop(order, K):
    table = torch.ones(K, len(order), dtype=torch.int64)
    for place, example in enumerate(order.tolist()):
        table[place % K, example] = 0
    return table


def folds_argsort(order, K):
    place = order.argsort()  # of each example
    return (place[None] % K != torch.arange(K)[:, None]).long()


def folds_complement(order, K):
    return 1 - folds_loop(order, K)


def folds_unshuffled(order, K):
    return folds_loop(torch.arange(len(order)), K)


def folds_lookup(order, K):
    return torch.stack([(order % K != k).long() for k in range(K)])


def folds_bool(order, K):
    return folds_loop(order, K).bool()


def left_loop(wrong, counts):
    means = [wrong[counts[:, i] == 0, i].double().mean() for i in range(wrong.shape[1])]
    return torch.stack(means).mean()


def left_masked(wrong, counts):
    return torch.where(counts == 0, wrong.double(), torch.nan).nanmean(0).mean()


def left_by_set(wrong, counts):
    return torch.where(counts == 0, wrong.double(), torch.nan).nanmean(1).mean()


def left_pairs(wrong, counts):
    return wrong[counts == 0].double().mean()


def left_all(wrong, counts):
    return wrong.double().mean()


def left_in(wrong, counts):
    return torch.where(counts > 0, wrong.double(), torch.nan).nanmean(0).mean()


def left_accuracy(wrong, counts):
    return 1 - left_loop(wrong, counts)


def chance_shares(labels, predicted, classes):
    p = torch.stack([(labels == c).double().mean() for c in range(classes)])
    q = torch.stack([(predicted == c).double().mean() for c in range(classes)])
    return 1 - (p * q).sum()


def chance_pairs(labels, predicted, classes):
    return (labels[:, None] != predicted[None]).double().mean()


def chance_agree(labels, predicted, classes):
    return 1 - chance_shares(labels, predicted, classes)


def chance_apparent(labels, predicted, classes):
    return (labels != predicted).double().mean()


def chance_labels_twice(labels, predicted, classes):
    return chance_shares(labels, labels, classes)


def chance_uniform(labels, predicted, classes):
    return torch.tensor(1 - 1 / classes, dtype=torch.float64)


def plus_paper(apparent, one, chance):
    one = min(one, chance)
    rho = max(0.0, (one - apparent) / (chance - apparent))
    w = 0.632 / (1 - 0.368 * rho)
    return (1 - w) * apparent + w * one


def plus_added(apparent, one, chance):
    """The second form in the paper: the plain .632 and a correction."""
    one = min(one, chance)
    rho = (one - apparent) / (chance - apparent) if one > apparent else 0.0
    plain = 0.368 * apparent + 0.632 * one
    return plain + (one - apparent) * 0.368 * 0.632 * rho / (1 - 0.368 * rho)


def plus_plain(apparent, one, chance):
    return 0.368 * apparent + 0.632 * one


def plus_swapped(apparent, one, chance):
    w = 0.632 / (1 - 0.368 * (one - apparent) / (chance - apparent))
    return w * apparent + (1 - w) * one


def plus_unscaled(apparent, one, chance):
    w = 0.632 / (1 - 0.368 * (one - apparent))
    return (1 - w) * apparent + w * one


def plus_unclipped(apparent, one, chance):
    w = 0.632 / (1 - 0.368 * (one - apparent) / (chance - apparent))
    return (1 - w) * apparent + w * one


def plus_weight(apparent, one, chance):
    return 0.632 / (1 - 0.368 * (one - apparent) / (chance - apparent))


ANSWERS = {
    "folds": {
        "right": [folds_loop, folds_argsort],
        "wrong": {
            "complement": (folds_complement, "left out"),
            "not shuffled": (folds_unshuffled, "own order"),
            "looked up": (folds_lookup, "looked up order[i]"),
            "bools": (folds_bool, "int64"),
        },
    },
    "left_out": {
        "right": [left_loop, left_masked],
        "wrong": {
            "by set": (left_by_set, "for each *set* first"),
            "pairs": (left_pairs, "all pairs at once"),
            "all": (left_all, "all errors"),
            "in the set": (left_in, "*are* in the sets"),
            "accuracy": (left_accuracy, "share of right answers"),
        },
    },
    "chance": {
        "right": [chance_shares, chance_pairs],
        "wrong": {
            "agreement": (chance_agree, "*agree*"),
            "apparent": (chance_apparent, "apparent error"),
            "labels twice": (chance_labels_twice, "labels' shares twice"),
            "uniform": (chance_uniform, "equally frequent"),
        },
    },
    "plus632": {
        "right": [plus_paper, plus_added],
        "wrong": {
            "plain": (plus_plain, "plain .632"),
            "swapped": (plus_swapped, "changed places"),
            "unscaled": (plus_unscaled, "without its scale"),
            "unclipped": (plus_unclipped, "beyond chance"),
            "weight": (plus_weight, "return the weight"),
        },
    },
}
