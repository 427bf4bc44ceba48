"""Checks of the exercises on one pixel after another: likelihood, masks, attention, temperature, top-p."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from belamy.check import Check, Fresh

# --- the log-likelihood of a picture -------------------------------------------------------------


def log_pictures(logits: Tensor, x: Tensor) -> Tensor:
    """log P(x) in nats, from logits (N, levels, H, W) and whole-numbered pictures (N, H, W): (N,)."""
    return logits.log_softmax(1).gather(1, x[:, None])[:, 0].sum((1, 2))


def draw_pictures(fresh: Fresh) -> tuple[Tensor, Tensor]:
    n, levels, height, width = fresh.sizes((4, 6), (7, 9), (10, 12), (13, 15))
    x = torch.randint(levels, (n, height, width), generator=fresh.rng)
    return fresh.normal(n, levels, height, width, dtype=torch.float64), x


def large_logits(fresh: Fresh) -> tuple[Tensor, Tensor]:
    logits, x = draw_pictures(fresh)
    return 1000 * logits, x


def picked(rule):
    """A mistake, from what the rule makes of the logits, at the pictures' levels."""
    return lambda logits, x: rule(logits).gather(1, x[:, None])[:, 0].sum((1, 2))


def moved_on(logits: Tensor, x: Tensor, step: int) -> Tensor:
    """A mistake: the logits of pixel i for pixel i + step, in reading order."""
    a, b = logits.log_softmax(1).flatten(2), x.flatten(1)
    a, b = (a[:, :, :-step], b[:, step:]) if step > 0 else (a[:, :, -step:], b[:, :step])
    return a.gather(1, b[:, None])[:, 0].sum(1)


log_likelihood = Check(
    log_pictures,
    draw_pictures,
    "a tensor (N,), a log-probability for each picture, in nats",
    {
        "You took the mean over the pixels. The probability of a picture is a product of its pixels', and the "
        "logarithm of a product is a sum.": lambda logits, x: log_pictures(logits, x) / x[0].numel(),
        "The sign is turned: that is the loss. A log-probability is below zero.":
            lambda logits, x: -log_pictures(logits, x),
        "That is the mean cross-entropy of a pixel, as `F.cross_entropy` returns it with its own reduction, sign and all.":
            lambda logits, x: -log_pictures(logits, x) / x[0].numel(),
        "Those are bits. Asked are nats: the natural logarithm.":
            lambda logits, x: log_pictures(logits, x) / math.log(2),
        "Logits are not log-probabilities yet: subtract the logarithm of the sum of their exponentials.":
            picked(lambda logits: logits),
        "The softmax goes over the width of the picture. The levels are axis 1.":
            picked(lambda logits: logits.log_softmax(3)),
        "The softmax goes over the height of the picture. The levels are axis 1.":
            picked(lambda logits: logits.log_softmax(2)),
        "The softmax goes over the pictures of the batch. The levels are axis 1.":
            picked(lambda logits: logits.log_softmax(0)),
        "You score each level as if it were a coin of its own, with a sigmoid. The levels of a pixel share one softmax.":
            picked(F.logsigmoid),
        "You added up the pixels' probabilities. Their logarithms are to be added.":
            picked(lambda logits: logits.softmax(1)),
        "The targets are shifted: you ask the logits of pixel i for pixel i + 1. These logits are already those of "
        "their own pixel.": lambda logits, x: moved_on(logits, x, 1),
        "The targets are shifted: you ask the logits of pixel i for pixel i − 1.":
            lambda logits, x: moved_on(logits, x, -1),
        "The first pixel is left out. Its law counts like that of the others.":
            lambda logits, x: log_pictures(logits, x) - logits.log_softmax(1).gather(1, x[:, None])[:, 0, 0, 0],
    },
    gradients=("logits",),
    extremes=large_logits,
)  # fmt: skip

# --- the mask of a filter ------------------------------------------------------------------------

EXCHANGED = "Masks A and B are exchanged: with `itself` the middle is allowed, without it, it is not."
ALWAYS = "The middle is always allowed. In the first layer it must not be: each pixel would see itself."
NEVER = (
    "The middle is never allowed. From the second layer on it may be: what stands there has seen earlier pixels only."
)


def filter_mask(height: int, width: int, itself: bool) -> Tensor:
    """Ones at the places of a filter that come before its middle in reading order: (height, width)."""
    return (torch.arange(height * width) < height * width // 2 + itself).view(height, width).float()


def draw_filter(fresh: Fresh) -> tuple[int, int, bool]:
    height, width = (2 * size + 1 for size in fresh.sizes((1, 3), (2, 4)))
    return height, width, bool(fresh.seed % 2)  # both kinds: a check draws with seeds in a row


def by_place(rule):
    """A mistake, from each place's row and column, counted from the middle, and `itself`."""
    def found(height, width, itself):
        r, c = torch.meshgrid(torch.arange(height) - height // 2, torch.arange(width) - width // 2, indexing="ij")
        return rule(r, c, itself).float()

    return found


def both_masks(answer, fresh: Fresh) -> str | None:
    height, width, _ = draw_filter(fresh)
    a, b = answer(height, width, False), answer(height, width, True)
    middle = height // 2, width // 2
    if a[middle] or not b[middle]:
        return ALWAYS if b[middle] else NEVER if not a[middle] else EXCHANGED
    if (b - a).sum() != 1:
        return "Masks A and B differ in one place, the middle."


mask = Check(
    filter_mask,
    draw_filter,
    "a tensor of zeros and ones (height, width), float32",
    {
        EXCHANGED: lambda height, width, itself: filter_mask(height, width, not itself),
        ALWAYS: lambda height, width, itself: filter_mask(height, width, True),
        NEVER: lambda height, width, itself: filter_mask(height, width, False),
        "Your mask has ones where weights are *forbidden*.":
            lambda height, width, itself: 1 - filter_mask(height, width, itself),
        "Your mask sees what comes *after* the middle.":
            lambda height, width, itself: filter_mask(height, width, itself).flip(0, 1),
        "The rows above are missing: they come before, in their whole width.":
            by_place(lambda r, c, itself: (r == 0) & (c < itself)),
        "The places to the left in the middle's own row are missing.":
            by_place(lambda r, c, itself: (r < 0) | (r == 0) & (c == 0) & itself),
        "Of the rows above, you keep the left part only. They come before in their whole width: what lies to the right "
        "above is read before, too.": by_place(lambda r, c, itself: (r < 0) & (c <= 0) | (r == 0) & (c < itself)),
        "Your mask has the whole of the middle's own row. What stands to the right of the middle comes later.":
            by_place(lambda r, c, itself: (r < 0) | (r == 0) & ((c != 0) | itself)),
        "You read column by column, from top to bottom. Reading order goes along the rows.":
            by_place(lambda r, c, itself: (c < 0) | (c == 0) & (r < itself)),
    },
    laws={"A and B differ in the middle": both_masks},
)  # fmt: skip

# --- causal attention ----------------------------------------------------------------------------


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Each place's mean of the values up to its own: queries, keys (N, T, n), values (N, T, m) -> (N, T, m)."""
    return weighted(q, k, v, lambda score, later: score.masked_fill(later, -math.inf).softmax(2))


def weighted(q, k, v, rule, scale=None):
    """Values weighted by a rule of the scores (N, T, T) and of which places are later (T, T)."""
    scale = math.sqrt(q.shape[2]) if scale is None else scale
    later = torch.ones(q.shape[1], q.shape[1]).triu(1).bool()
    return rule(q @ k.mT / scale, later) @ v


def draw_attention(fresh: Fresh) -> tuple[Tensor, Tensor, Tensor]:
    n, places, width, out = fresh.sizes((3, 4), (6, 9), (10, 12), (13, 15))
    numbers = lambda size: fresh.normal(n, places, size, dtype=torch.float64)
    return 2 * numbers(width), numbers(width), numbers(out)


def large_scores(fresh: Fresh) -> tuple[Tensor, Tensor, Tensor]:
    q, k, v = draw_attention(fresh)
    return 100 * q, 100 * k, v


def no_way_from_later(answer, fresh: Fresh) -> str | None:
    q, k, v = draw_attention(fresh)
    last = (torch.arange(k.shape[1])[:, None] == k.shape[1] - 1).double()
    moved = answer(q, k + last, v - last)
    if not torch.allclose(moved[:, :-1], answer(q, k, v)[:, :-1]):
        return "Change the last key and value: the outputs of earlier places must not move, and yours do."


causal = lambda score, later: score.masked_fill(later, -math.inf).softmax(2)
attention = Check(
    attend,
    draw_attention,
    "a tensor (N, T, m), an output for each place",
    {
        "There is no mask: each place sees those that come after it.":
            lambda q, k, v: weighted(q, k, v, lambda score, later: score.softmax(2)),
        "The mask is turned round: each place sees itself and those *after* it. Forbidden is what lies above the "
        "diagonal, row i being the place that asks.":
            lambda q, k, v: weighted(q, k, v, lambda score, later: causal(score, later.T)),
        "The scores are not divided by √n.": lambda q, k, v: weighted(q, k, v, causal, 1.0),
        "You divide by n. The deviation of a product of n terms is the root of n.":
            lambda q, k, v: weighted(q, k, v, causal, q.shape[2]),
        "You divide by the root of the number of places. It is the length of a query that counts.":
            lambda q, k, v: weighted(q, k, v, causal, math.sqrt(q.shape[1])),
        "You divide by the root of the length of a *value*. Scores are products of queries and keys.":
            lambda q, k, v: weighted(q, k, v, causal, math.sqrt(v.shape[2])),
        "The softmax goes over the places that ask. The weights of each query add up to one: over the keys, the last axis.":
            lambda q, k, v: weighted(q, k, v, lambda score, later: score.masked_fill(later, -math.inf).softmax(1)),
        "The softmax goes over the batch. The weights of each query add up to one over the keys.":
            lambda q, k, v: weighted(q, k, v, lambda score, later: score.masked_fill(later, -math.inf).softmax(0)),
        "You mask after the softmax: the weights that are left add up to less than one. Set scores to −∞ before it.":
            lambda q, k, v: weighted(q, k, v, lambda score, later: score.softmax(2).masked_fill(later, 0.0)),
        "You set the scores of later places to 0, and the exponential of 0 is 1: they still count. −∞ is meant.":
            lambda q, k, v: weighted(q, k, v, lambda score, later: score.masked_fill(later, 0.0).softmax(2)),
        "A place does not see its own place. It may: what stands there belongs to the input, and the output is that of the "
        "next.": lambda q, k, v: weighted(q, k, v, lambda score, later: (
            score.masked_fill(later.logical_or(torch.eye(len(later)).bool()), -math.inf).softmax(2).nan_to_num(0.0))),
        "You multiply queries and keys the wrong way round: row i of the scores belongs to query i.":
            lambda q, k, v: weighted(k, q, v, causal),
        "You weigh the keys. It is the values that are averaged.":
            lambda q, k, v: weighted(q, k, F.pad(k, (0, v.shape[2] - k.shape[2])), causal),
    },
    gradients=("q", "k", "v"),
    laws={"no way from later places": no_way_from_later},
    extremes=large_scores,
)  # fmt: skip

# --- temperature ---------------------------------------------------------------------------------


def at_temperature(p: Tensor, t: float) -> Tensor:
    """The law p^(1/t), made to add up to one: (N, K) -> (N, K)."""
    return (p.log() / t).softmax(1)


def draw_tempered(fresh: Fresh) -> tuple[Tensor, float]:
    n, k = fresh.sizes((4, 6), (7, 12))
    t = fresh.number(0.4, 0.8) if fresh.integer(0, 1) else fresh.number(1.3, 2.5)
    return fresh.normal(n, k, scale=1.5, dtype=torch.float64).softmax(1), t


def nearly_certain(fresh: Fresh) -> tuple[Tensor, float]:
    n, k = fresh.sizes((4, 6), (7, 12))
    return fresh.normal(n, k, scale=60.0, dtype=torch.float64).softmax(1), 0.02


temperature = Check(
    at_temperature,
    draw_tempered,
    "a tensor (N, K), a law in each row",
    {
        "The powers do not add up to one: divide each row by its sum.": lambda p, t: p ** (1 / t),
        "You raise to the power t. A *low* temperature sharpens: the power is 1 / t.":
            lambda p, t: (p.log() * t).softmax(1),
        "You divide the probabilities by t and make them add up to one: that changes nothing.":
            lambda p, t: p.clone(),
        "You took the probabilities for logits. Take their logarithms before you divide by t.":
            lambda p, t: (p / t).softmax(1),
        "You divided by t after the softmax.": lambda p, t: p / t,
        "The sums run over the rows' other axis: each row is a law.": lambda p, t: (p.log() / t).softmax(0),
        "You returned logarithms.": lambda p, t: (p.log() / t).log_softmax(1),
    },
    gradients=("p",),
    extremes=nearly_certain,
)  # fmt: skip

# --- top-p ---------------------------------------------------------------------------------------


def nucleus(p: Tensor, mass: float) -> Tensor:
    """The likeliest symbols that together have `mass` or more, made to add up to one: (N, K) -> (N, K)."""
    return keeping(p, mass, lambda q, before, mass: before < mass)


def keeping(p, mass, rule, again=True):
    """A law that keeps symbols by a rule of their probability, of what likelier ones gather, and of the mass."""
    q, which = p.sort(1, descending=True)
    kept = q * rule(q, q.cumsum(1) - q, mass)
    kept = torch.zeros_like(p).scatter(1, which, kept)
    return kept / kept.sum(1, keepdim=True) if again else kept


def draw_nucleus(fresh: Fresh) -> tuple[Tensor, float]:
    n, k = fresh.sizes((4, 6), (9, 14))
    return fresh.normal(n, k, scale=1.2, dtype=torch.float64).softmax(1), fresh.number(0.55, 0.9)


def from_below(p: Tensor, mass: float) -> Tensor:
    q, which = p.sort(1)
    kept = torch.zeros_like(p).scatter(1, which, q * (q.cumsum(1) - q < mass))
    return kept / kept.sum(1, keepdim=True)


def left_sorted(p: Tensor, mass: float) -> Tensor:
    q = p.sort(1, descending=True).values
    kept = q * (q.cumsum(1) - q < mass)
    return kept / kept.sum(1, keepdim=True)


def always_something(answer, fresh: Fresh) -> str | None:
    p = torch.tensor([[0.02, 0.95, 0.03]], dtype=torch.float64)
    if not torch.allclose(answer(p, 0.5), torch.tensor([[0.0, 1.0, 0.0]], dtype=torch.float64)):
        return "If the likeliest symbol alone has more than the mass, it has to be kept, and nothing else."


top_p = Check(
    nucleus,
    draw_nucleus,
    "a tensor (N, K), a law in each row, zero at the symbols that are dropped",
    {
        "The symbols that are kept do not add up to one: divide each row by its sum.":
            lambda p, mass: keeping(p, mass, lambda q, before, mass: before < mass, again=False),
        "The symbol that fills the mass is missing: yours keeps those whose sum stays *below* it, and together they have less "
        "than asked.": lambda p, mass: keeping(p, mass, lambda q, before, mass: before + q <= mass),
        "You keep one symbol too many: stop as soon as the mass is reached.":
            lambda p, mass: keeping(p, mass, lambda q, before, mass: F.pad(before, (1, 0))[:, :-1] < mass),
        "You begin with the unlikeliest symbols.": from_below,
        "You returned the probabilities in sorted order: each has to go back to the place of its symbol.": left_sorted,
        "You keep symbols in the order in which they stand. Sort them by their probability first.":
            lambda p, mass: (lambda kept: kept / kept.sum(1, keepdim=True))(p * (p.cumsum(1) - p < mass)),
        "You keep the symbols whose own probability is at least the mass. It is their *sum* that has to reach it.":
            lambda p, mass: p * (p >= mass),
        "You keep what is within that share of the likeliest symbol. It is the *sum* of the likeliest that counts.":
            lambda p, mass: keeping(p, mass, lambda q, before, mass: q >= mass * q[:, :1]),
        "Symbols that are dropped must have probability 0. Yours go through a softmax once more, as probabilities.":
            lambda p, mass: keeping(p, mass, lambda q, before, mass: before < mass, again=False).softmax(1),
        "Nothing is dropped.": lambda p, mass: p.clone(),
    },
    gradients=("p",),
    laws={"something is always kept": always_something},
)  # fmt: skip
