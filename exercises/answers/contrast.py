"""Answers to the exercises on contrast agent as students write them, right and wrong, and what a reason must say."""

import torch

# --- Dice --------------------------------------------------------------------------------------------


def dice_flat(truth, found, label):
    a, b = (truth == label).flatten().double(), (found == label).flatten().double()
    return 2 * (a * b).sum() / (a.sum() + b.sum())


def dice_counts(truth, found, label):
    right = ((truth == label) & (found == label)).sum()
    missed = ((truth == label) & (found != label)).sum()
    wrong = ((truth != label) & (found == label)).sum()
    return (2 * right).double() / (2 * right + missed + wrong)


def dice_union(truth, found, label):
    a, b = truth == label, found == label
    return (a & b).sum().double() / (a | b).sum()


def dice_half(truth, found, label):
    return dice_flat(truth, found, label) / 2


def dice_recall(truth, found, label):
    return (found[truth == label] == label).double().mean()


def dice_accuracy(truth, found, label):
    return ((truth == label) == (found == label)).double().mean()


def dice_by_picture(truth, found, label):
    return torch.stack([dice_flat(t, f, label) for t, f in zip(truth, found)]).mean()


# --- pictures and labels ------------------------------------------------------------------------------


def aligned_loop(x, y, mirror, turns):
    pictures, labels = [], []
    for i in range(len(x)):
        a, b = x[i], y[i]
        if mirror[i]:
            a, b = torch.flip(a, [-1]), torch.flip(b, [-1])
        pictures.append(torch.rot90(a, int(turns[i]), [-2, -1]))
        labels.append(torch.rot90(b, int(turns[i]), [-2, -1]))
    return torch.stack(pictures), torch.stack(labels)


def aligned_masked(x, y, mirror, turns):
    a = torch.where(mirror[:, None, None, None], x.flip(3), x)
    b = torch.where(mirror[:, None, None], y.flip(2), y)
    for k in range(1, 4):
        a = torch.where((turns == k)[:, None, None, None], torch.rot90(a, k, (2, 3)), a)
        b = torch.where((turns == k)[:, None, None], torch.rot90(b, k, (1, 2)), b)
    return a, b


def aligned_pictures(x, y, mirror, turns):
    return aligned_loop(x, y, mirror, turns)[0], y


def aligned_first(x, y, mirror, turns):
    return aligned_loop(x, y, mirror[0].expand(len(x)), turns[0].expand(len(x)))


def aligned_order(x, y, mirror, turns):
    a, b = aligned_loop(x, y, torch.zeros_like(mirror), turns)
    return aligned_loop(a, b, mirror, torch.zeros_like(turns))


def aligned_clockwise(x, y, mirror, turns):
    return aligned_loop(x, y, mirror, -turns)


def aligned_float(x, y, mirror, turns):
    a, b = aligned_loop(x, y, mirror, turns)
    return a, b.float()


# --- the cycle ----------------------------------------------------------------------------------------


def cycle_lines(x, y, wash, enhance):
    washed, enhanced = wash(x), enhance(y)
    return torch.mean(torch.abs(enhance(washed) - x)) + torch.mean(torch.abs(wash(enhanced) - y))


def cycle_functional(x, y, wash, enhance):
    from torch.nn.functional import l1_loss

    return l1_loss(enhance(wash(x)), x) + l1_loss(wash(enhance(y)), y)


def cycle_squares(x, y, wash, enhance):
    return (enhance(wash(x)) - x).pow(2).mean() + (wash(enhance(y)) - y).pow(2).mean()


def cycle_one_side(x, y, wash, enhance):
    return (enhance(wash(x)) - x).abs().mean()


def cycle_identity(x, y, wash, enhance):
    return (wash(y) - y).abs().mean() + (enhance(x) - x).abs().mean()


def cycle_pairs(x, y, wash, enhance):
    return (wash(x) - y).abs().mean() + (enhance(y) - x).abs().mean()


def cycle_detached(x, y, wash, enhance):
    return cycle_lines(x, y, lambda a: wash(a).detach(), enhance)


# --- judges of patches --------------------------------------------------------------------------------


def patches_lines(real, fake):
    return 0.5 * torch.mean((real - 1) ** 2) + 0.5 * torch.mean(fake**2)


def patches_functional(real, fake):
    from torch.nn.functional import mse_loss

    return (mse_loss(real, torch.ones_like(real)) + mse_loss(fake, torch.zeros_like(fake))) / 2


def patches_mean_first(real, fake):
    return ((real.mean((1, 2, 3)) - 1) ** 2).mean() / 2 + (fake.mean((1, 2, 3)) ** 2).mean() / 2


def patches_sigmoid(real, fake):
    return patches_lines(torch.sigmoid(real), torch.sigmoid(fake))


def patches_exchanged(real, fake):
    return patches_lines(fake, real)


def patches_no_half(real, fake):
    return 2 * patches_lines(real, fake)


# --- the pool ------------------------------------------------------------------------------------------


def pool_loop(pool, fakes, swap, slots):
    shown, after = fakes.clone(), pool.clone()
    for i in range(len(fakes)):
        if swap[i]:
            shown[i] = pool[slots[i]]
            after[slots[i]] = fakes[i]
    return shown, after


def pool_where(pool, fakes, swap, slots):
    mask = swap[:, None, None, None]
    old = pool[slots]
    return torch.where(mask, old, fakes), pool.index_copy(0, slots, torch.where(mask, fakes, old))


def pool_all(pool, fakes, swap, slots):
    return pool_loop(pool, fakes, torch.ones_like(swap), slots)


def pool_kept(pool, fakes, swap, slots):
    return pool_loop(pool, fakes, swap, slots)[0], pool.clone()


def pool_late(pool, fakes, swap, slots):
    shown, after = fakes.clone(), pool.clone()
    after[slots[swap]] = fakes[swap]
    shown[swap] = after[slots[swap]]
    return shown, after


def pool_in_place(pool, fakes, swap, slots):
    shown = fakes.clone()
    shown[swap] = pool[slots[swap]]
    pool[slots[swap]] = fakes[swap]
    return shown, pool


# --- the patch that a score sees ------------------------------------------------------------------------


def field_backwards(kernels, strides):
    side = 1
    for kernel, stride in zip(kernels[::-1], strides[::-1]):
        side = (side - 1) * stride + kernel
    return side


def field_sum(kernels, strides):
    product, total = 1, 1
    for i in range(len(kernels)):
        total = total + (kernels[i] - 1) * product
        product = product * strides[i]
    return total


def field_no_strides(kernels, strides):
    return 1 + sum(k - 1 for k in kernels)


def field_own_stride(kernels, strides):
    side, step = 1, 1
    for kernel, stride in zip(kernels, strides):
        step *= stride
        side += (kernel - 1) * step
    return side


def field_forgets_one(kernels, strides):
    return field_sum(kernels, strides) - 1


def field_whole_kernels(kernels, strides):
    return field_sum([k + 1 for k in kernels], strides)


ANSWERS = {
    "dice": {
        "right": [dice_flat, dice_counts],
        "wrong": {
            "union": (dice_union, "intersection over the union"),
            "half": (dice_half, "The 2 is missing"),
            "recall": (dice_recall, "size of the truth alone"),
            "accuracy": (dice_accuracy, "background and all"),
            "by picture": (dice_by_picture, "averaged over pictures"),
        },
    },
    "aligned": {
        "right": [aligned_loop, aligned_masked],
        "wrong": {
            "pictures only": (aligned_pictures, "left the labels"),
            "the first one's": (aligned_first, "the first one's move"),
            "other order": (aligned_order, "turned first"),
            "clockwise": (aligned_clockwise, "clockwise"),
            "labels as floats": (aligned_float, "int64"),
        },
    },
    "cycle": {
        "right": [cycle_lines, cycle_functional],
        "wrong": {
            "squares": (cycle_squares, "squared"),
            "one side": (cycle_one_side, "Only scans with agent"),
            "identity": (cycle_identity, "identity loss"),
            "pairs": (cycle_pairs, "loss of pairs"),
            "detached": (cycle_detached, "gradient"),
        },
    },
    "patches": {
        "right": [patches_lines, patches_functional],
        "wrong": {
            "mean first": (patches_mean_first, "square, then mean"),
            "sigmoid": (patches_sigmoid, "sigmoid"),
            "exchanged": (patches_exchanged, "changed places"),
            "no half": (patches_no_half, "factor ½ is missing"),
        },
    },
    "pool": {
        "right": [pool_loop, pool_where],
        "wrong": {
            "all": (pool_all, "Every fake was exchanged"),
            "kept": (pool_kept, "stays as it was"),
            "late": (pool_late, "before the new ones go in"),
            "in place": (pool_in_place, "in place"),
        },
    },
    "field": {
        "right": [field_backwards, field_sum],
        "wrong": {
            "no strides": (field_no_strides, "no notice of strides"),
            "own stride": (field_own_stride, "own stride does not widen"),
            "one less": (field_forgets_one, "One pixel is missing"),
            "whole kernels": (field_whole_kernels, "k − 1 steps"),
        },
    },
}
