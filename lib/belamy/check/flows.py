"""Checks of the exercises on flows: a linear flow, bits, masks, decoding in order, an estimated trace."""

import math
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import jvp
from torch.nn import functional as F

from belamy.check import Check, Fresh

HALF_LOG = 0.5 * math.log(2 * math.pi)

# --- a linear flow -------------------------------------------------------------------------------


def log_linear(x: Tensor, mean: Tensor, L: Tensor) -> Tensor:
    """log p(x) of x = mean + L z with a lower triangular L: (N, d), (d,), (d, d) -> (N,)."""
    z = torch.linalg.solve_triangular(L, (x - mean).T, upper=False).T
    return of_codes(z) - L.diagonal().abs().log().sum()


def of_codes(z: Tensor) -> Tensor:
    return (-z.square() / 2 - HALF_LOG).sum(1)


def draw_linear(fresh: Fresh) -> tuple[Tensor, Tensor, Tensor]:
    n, d = fresh.sizes((5, 9), (2, 4))
    numbers = partial(fresh.normal, dtype=torch.float64)
    signs = 2 * fresh.bits(d, dtype=torch.float64) - 1
    L = numbers(d, d).tril(-1) + torch.diag(signs * fresh.uniform(d, low=0.3, high=0.8, dtype=torch.float64))
    return numbers(n, d), numbers(d), L


def with_codes(rule):
    """A mistake, from the right codes (N, d), the diagonal (d,) and the number of dimensions."""
    def found(x, mean, L):
        z = torch.linalg.solve_triangular(L, (x - mean).T, upper=False).T
        return rule(z, L.diagonal(), len(mean))

    return found


linear = Check(
    log_linear,
    draw_linear,
    "a tensor (N,), a log-density for each point",
    {
        "The sign of the log-determinant is turned: L stretches, and what is stretched is thinned out.":
            with_codes(lambda z, s, d: of_codes(z) + s.abs().log().sum()),
        "The determinant is missing: that is the log-density of z, in the units of z.":
            with_codes(lambda z, s, d: of_codes(z)),
        "You subtract the determinant itself. It is its logarithm that is subtracted from a logarithm.":
            with_codes(lambda z, s, d: of_codes(z) - s.prod().abs()),
        "You add up the stretches. A determinant is their product, and its logarithm the sum of their logarithms.":
            with_codes(lambda z, s, d: of_codes(z) - s.abs().sum()),
        "Half of the log-determinant is missing, as if L were a covariance. It is a root of one.":
            with_codes(lambda z, s, d: of_codes(z) - s.abs().log().sum() / 2),
        "The factors √(2π) of the normal density are missing, one for each dimension.":
            with_codes(lambda z, s, d: -z.square().sum(1) / 2 - s.abs().log().sum()),
        "The factor √(2π) stands there once. In d dimensions there are d of them.":
            with_codes(lambda z, s, d: -z.square().sum(1) / 2 - HALF_LOG - s.abs().log().sum()),
        "You multiply by L to get from x to z. The flow multiplies on the way from z to x; undo it.":
            lambda x, mean, L: of_codes((x - mean) @ L.T) - L.diagonal().abs().log().sum(),
        "The mean is not taken off before L is undone.": lambda x, mean, L: log_linear(x, torch.zeros_like(mean), L),
        "The mean is taken off last. It was added last, so it has to go first.": lambda x, mean, L: (
            of_codes(torch.linalg.solve_triangular(L, x.T, upper=False).T - mean) - L.diagonal().abs().log().sum()
        ),
        "You solve with L transposed: points are rows here, and L z is meant for columns.": lambda x, mean, L: (
            of_codes(torch.linalg.solve_triangular(L.T, (x - mean).T, upper=True).T) - L.diagonal().abs().log().sum()
        ),
    },
    gradients=("x", "mean"),
)  # fmt: skip

# --- bits ----------------------------------------------------------------------------------------


def bits_of(nats: Tensor, d: int, levels: int) -> Tensor:
    """Bits a dimension of whole-numbered pictures, from log-densities of (k + u) / levels: (N,) -> (N,)."""
    return math.log2(levels) - nats / (d * math.log(2))


bits = Check(
    bits_of,
    lambda fresh: (fresh.normal(fresh.integer(4, 9), scale=30) + 40, fresh.integer(30, 90), fresh.integer(9, 60)),
    "a tensor (N,), bits a dimension of each picture",
    {
        "A level is 1 / levels wide, and its probability is a density times that width, in each dimension: "
        "log2(levels) bits are missing.": lambda nats, d, levels: -nats / (d * math.log(2)),
        "The sign of the nats is turned: what is more probable costs fewer bits.":
            lambda nats, d, levels: math.log2(levels) + nats / (d * math.log(2)),
        "Those are nats a dimension. A bit is log 2 nats.": lambda nats, d, levels: math.log(levels) - nats / d,
        "The levels are counted in nats and the density in bits: take log2 of the levels.":
            lambda nats, d, levels: math.log(levels) - nats / (d * math.log(2)),
        "The levels are counted in bits and the density in nats: divide the latter by log 2.":
            lambda nats, d, levels: math.log2(levels) - nats / d,
        "You multiply by log 2 to get from nats to bits. There are more bits than nats: divide.":
            lambda nats, d, levels: math.log2(levels) - nats * math.log(2) / d,
        "Those are bits of the whole picture; asked is one dimension's share.":
            lambda nats, d, levels: d * math.log2(levels) - nats / math.log(2),
        "The density is not divided by the number of dimensions.":
            lambda nats, d, levels: math.log2(levels) - nats / math.log(2),
        "You count the levels' bits for every dimension, and then the density's for one.":
            lambda nats, d, levels: d * math.log2(levels) - nats / (d * math.log(2)),
        "That takes every picture for 8-bit ones. Use the number of levels.":
            lambda nats, d, levels: 8 - nats / (d * math.log(2)),
    },
    gradients=("nats",),
)  # fmt: skip

# --- masks ---------------------------------------------------------------------------------------


def two_masks(rank: Tensor, units: Tensor) -> tuple[Tensor, Tensor]:
    """Masks into the hidden layer (H, d) and out of it (d, H), 1 where a weight may be."""
    return (units[:, None] >= rank).float(), (rank[:, None] > units).float()


def draw_ranks(fresh: Fresh) -> tuple[Tensor, Tensor]:
    d, h = fresh.sizes((4, 6), (9, 14))
    rank = torch.randperm(d, generator=fresh.rng)
    while torch.equal(rank, torch.arange(d)) or torch.equal(rank, rank.argsort()):
        rank = torch.randperm(d, generator=fresh.rng)
    return rank, torch.arange(h) % (d - 1)


def no_way_to_itself(answer, fresh: Fresh) -> str | None:
    rank, units = draw_ranks(fresh)
    into, out = answer(rank, units)
    reached = (out.double() @ into.double())[rank.argsort()][:, rank.argsort()]
    if reached.triu().any():
        return "Multiply your two masks: a way leads from a number to an output of its own rank, or of a smaller one."
    if not reached.tril(-1).add(torch.ones_like(reached).triu()).all():
        return "Multiply your two masks: some output does not see a number that stands before it."


masks = Check(
    two_masks,
    draw_ranks,
    "two tensors of zeros and ones, into the hidden layer (H, d) and out of it (d, H), float32",
    {
        "At the output the rank has to be strictly greater. With equality, a number says how it is moved itself, and "
        "the Jacobian has more on its diagonal than the stretches.":
            lambda rank, units: (two_masks(rank, units)[0], (rank[:, None] >= units).float()),
        "Into the hidden layer equality is allowed: a unit of number k may see the input of rank k. Yours sees less, and "
        "nothing ever sees rank 0.": lambda rank, units: ((units[:, None] > rank).float(), two_masks(rank, units)[1]),
        "Equality stands at the wrong layer: allowed into the hidden layer, forbidden at the output.":
            lambda rank, units: ((units[:, None] > rank).float(), (rank[:, None] >= units).float()),
        "Both comparisons are turned: yours sees what comes after.":
            lambda rank, units: ((units[:, None] <= rank).float(), (rank[:, None] < units).float()),
        "You went by the positions of the numbers. They are moved in the order of their ranks.":
            lambda rank, units: two_masks(torch.arange(len(rank)), units),
        "You went by `rank.argsort()`, which lists positions in the order of ranks: the rank of number i is rank[i].":
            lambda rank, units: two_masks(rank.argsort(), units),
        "Both masks are transposed: a linear layer's weights are (out, in).":
            lambda rank, units: tuple(mask.T for mask in two_masks(rank, units)),
        "The two masks are exchanged: the one into the hidden layer comes first.":
            lambda rank, units: two_masks(rank, units)[::-1],
        "Your masks have ones where weights are *forbidden*.":
            lambda rank, units: tuple(1 - mask for mask in two_masks(rank, units)),
    },
    laws={"no way from a number to itself": no_way_to_itself},
)  # fmt: skip

# --- decoding in order ---------------------------------------------------------------------------


class Amounts(nn.Module):
    """A masked net: (N, d) -> shifts and log-scales (N, 2 d), each of numbers with a smaller rank only."""

    def __init__(self, rank: Tensor, width: int, fresh: Fresh):
        super().__init__()
        d, units = len(rank), torch.arange(width) % (len(rank) - 1)
        into, out = two_masks(rank, units)
        numbers = partial(fresh.normal, dtype=torch.float64)
        self.into, self.out = into.double(), out.repeat(2, 1).double()
        self.first, self.last = nn.Parameter(numbers(width, d)), nn.Parameter(0.5 * numbers(2 * d, width))
        self.bias = nn.Parameter(0.5 * numbers(2 * d))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(torch.tanh(F.linear(x, self.into * self.first)), self.out * self.last, self.bias)


def in_order(net: nn.Module, z: Tensor, rank: Tensor, order: Tensor | None = None, undo=None) -> Tensor:
    """x with z_i = (x_i − m_i) e^{−s_i}: one number after another."""
    undo = undo or (lambda z, shift, log_scale: z * log_scale.exp() + shift)
    x = torch.zeros_like(z)
    for i in (rank.argsort() if order is None else order).tolist():
        shift, log_scale = net(x).chunk(2, 1)
        x = torch.cat([x[:, :i], undo(z, shift, log_scale)[:, i : i + 1], x[:, i + 1 :]], 1)
    return x


def decoded(net: nn.Module, z: Tensor, rank: Tensor) -> Tensor:
    return in_order(net, z, rank)


def draw_decoding(fresh: Fresh) -> tuple[nn.Module, Tensor, Tensor]:
    n, d = fresh.sizes((6, 9), (3, 5))
    rank = torch.randperm(d, generator=fresh.rng)
    while torch.equal(rank, torch.arange(d)) or torch.equal(rank, rank.argsort()):
        rank = torch.randperm(d, generator=fresh.rng)
    return Amounts(rank, 12, fresh), fresh.normal(n, d, dtype=torch.float64), rank


def at_once(undo):
    """A mistake: a single pass, with the net reading z."""
    return lambda net, z, rank: undo(z, *net(z).chunk(2, 1))


def comes_back(answer, fresh: Fresh) -> str | None:
    net, z, rank = draw_decoding(fresh)
    x = answer(net, z, rank)
    shift, log_scale = net(x).chunk(2, 1)
    if not torch.allclose((x - shift) * (-log_scale).exp(), z, atol=1e-6):
        return "Encoding what you decoded does not give back z."


decode = Check(
    decoded,
    draw_decoding,
    "x (N, d), which the step encodes to z",
    {
        "You ask the net once, about z. Its questions are about x: the shift of a number needs the *x* of those before "
        "it, so they have to be found one after another. (One pass over z is the inverse flow.)":
            at_once(lambda z, m, s: z * s.exp() + m),
        "You ran the step forwards, from x to z, on z.": at_once(lambda z, m, s: (z - m) * (-s).exp()),
        "You go through the numbers by position. Number i can be had when those of smaller *rank* are there.":
            lambda net, z, rank: in_order(net, z, rank, torch.arange(len(rank))),
        "You go through `rank` itself. The number whose turn it is has to be looked up: `rank.argsort()` lists them.":
            lambda net, z, rank: in_order(net, z, rank, rank),
        "You go from the last rank to the first.": lambda net, z, rank: in_order(net, z, rank, rank.argsort().flip(0)),
        "The shift is added before the stretch. Encoding takes it off first, so it comes back last.":
            lambda net, z, rank: in_order(net, z, rank, undo=lambda z, m, s: (z + m) * s.exp()),
        "The stretch is not undone but done again: encoding multiplies by e^−s, so decoding by e^s.":
            lambda net, z, rank: in_order(net, z, rank, undo=lambda z, m, s: z * (-s).exp() + m),
        "The shift is taken off, as in encoding. On the way to x it is added.":
            lambda net, z, rank: in_order(net, z, rank, undo=lambda z, m, s: z * s.exp() - m),
        "You took the net's second half for stretches; it holds their logarithms.":
            lambda net, z, rank: in_order(net, z, rank, undo=lambda z, m, s: z * s + m),
        "You took the first half of the net's output for log-stretches: shifts come first.":
            lambda net, z, rank: in_order(net, z, rank, undo=lambda z, s, m: z * s.exp() + m),
        "The last number is never set: there are d of them, and d passes.":
            lambda net, z, rank: in_order(net, z, rank, rank.argsort()[:-1]),
    },
    gradients=("z", "net"),
    laws={"there and back": comes_back},
)  # fmt: skip

# --- an estimated trace --------------------------------------------------------------------------


def directions(v: nn.Module, x: Tensor, probes: Tensor) -> Tensor:
    """J ε for each probe: (K, N, d)."""
    return torch.stack([jvp(v, (x,), (probe,))[1] for probe in probes])


def mean_probe(v: nn.Module, x: Tensor, probes: Tensor) -> Tensor:
    """The mean over probes (K, N, d) of ε' J ε at each point: (N, d) -> (N,)."""
    return (probes * directions(v, x, probes)).sum(2).mean(0)


def draw_probes(fresh: Fresh) -> tuple[nn.Module, Tensor, Tensor]:
    k, n, d = fresh.sizes((3, 4), (5, 8), (9, 10))
    v = nn.Sequential(nn.Linear(d, 12), nn.Tanh(), nn.Linear(12, d)).double()
    with torch.no_grad():
        for value in v.parameters():
            value.copy_(fresh.normal(*value.shape, scale=0.5, dtype=torch.float64))
    return v, fresh.normal(n, d, dtype=torch.float64), 2 * fresh.bits(k, n, d, dtype=torch.float64) - 1


def units_give_the_trace(answer, fresh: Fresh) -> str | None:
    v, x, _ = draw_probes(fresh)
    units = torch.eye(x.shape[1], dtype=x.dtype)[:, None].expand(-1, len(x), -1)
    exact = torch.stack([torch.autograd.functional.jacobian(v, one).trace() for one in x])
    if not torch.allclose(answer(v, x, units) * x.shape[1], exact, atol=1e-6):
        return "With the d unit vectors for probes, d times the mean is the exact trace. Yours is not."


trace = Check(
    mean_probe,
    draw_probes,
    "a tensor (N,), an estimate for each point",
    {
        "You summed over the probes where the mean is meant.":
            lambda v, x, probes: (probes * directions(v, x, probes)).sum(2).sum(0),
        "You multiplied the probe by the velocity itself. It is the velocity's *derivative* along the probe that counts.":
            lambda v, x, probes: (probes * v(x)).sum(2).mean(0),
        "You stopped at J ε: multiply by the probe once more before you sum.":
            lambda v, x, probes: directions(v, x, probes).sum(2).mean(0),
        "That is the length of J ε squared, whose mean is the sum of all squared entries of J.":
            lambda v, x, probes: directions(v, x, probes).square().sum(2).mean(0),
        "You used the first probe only.": lambda v, x, probes: mean_probe(v, x, probes[:1]),
        "You averaged over the dimensions. A trace is a sum.":
            lambda v, x, probes: (probes * directions(v, x, probes)).mean(2).mean(0),
        "You averaged the probes before you used them. Then a single, shorter one is left.":
            lambda v, x, probes: mean_probe(v, x, probes.mean(0, keepdim=True)),
        "All points get the same probe. Each has its own: probes are (K, N, d).":
            lambda v, x, probes: mean_probe(v, x, probes[:, :1].expand_as(probes)),
    },
    gradients=("v",),
    laws={"the unit vectors give the trace": units_give_the_trace},
)  # fmt: skip
