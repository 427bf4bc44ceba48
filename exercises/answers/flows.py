"""Answers to the exercises on flows as students write them, right and wrong, and what a reason must say."""

import math

import torch
from torch import autograd
from torch.distributions import MultivariateNormal, Normal
from torch.func import jvp


def linear_library(x, mean, L):
    return MultivariateNormal(mean, L @ L.T).log_prob(x)


def linear_inverse(x, mean, L):
    inverse = torch.linalg.inv(L)
    z = (x - mean) @ inverse.T
    return Normal(0.0, 1.0).log_prob(z).sum(dim=1) + torch.linalg.slogdet(inverse)[1]


def linear_sign(x, mean, L):
    z = (x - mean) @ torch.linalg.inv(L).T
    return Normal(0.0, 1.0).log_prob(z).sum(1) + torch.linalg.slogdet(L)[1]


def linear_no_det(x, mean, L):
    return Normal(0.0, 1.0).log_prob((x - mean) @ torch.linalg.inv(L).T).sum(1)


def linear_forward(x, mean, L):
    z = (x - mean) @ L.T
    return Normal(0.0, 1.0).log_prob(z).sum(1) - torch.log(torch.abs(torch.diagonal(L))).sum()


def linear_covariance(x, mean, L):
    z = (x - mean) @ torch.linalg.inv(L).T
    return Normal(0.0, 1.0).log_prob(z).sum(1) - 0.5 * torch.linalg.slogdet(L)[1]


def linear_columns(x, mean, L):
    z = (x - mean) @ torch.linalg.inv(L)
    return Normal(0.0, 1.0).log_prob(z).sum(1) - torch.linalg.slogdet(L)[1]


def linear_det(x, mean, L):
    z = (x - mean) @ torch.linalg.inv(L).T
    return Normal(0.0, 1.0).log_prob(z).sum(1) - torch.linalg.det(L).abs()


def linear_no_pi(x, mean, L):
    z = (x - mean) @ torch.linalg.inv(L).T
    return -0.5 * (z**2).sum(1) - torch.linalg.slogdet(L)[1]


def bits_shift(nats, d, levels):
    whole = nats - d * math.log(levels)  # the log-probability of a whole-numbered picture
    return -whole / d / math.log(2)


def bits_log2(nats, d, levels):
    return torch.log2(torch.tensor(float(levels))) - nats / d * math.log2(math.e)


def bits_no_levels(nats, d, levels):
    return -nats / d / math.log(2)


def bits_nats(nats, d, levels):
    return (d * math.log(levels) - nats) / d


def bits_sign(nats, d, levels):
    return math.log2(levels) + nats / d / math.log(2)


def bits_whole(nats, d, levels):
    return d * math.log2(levels) - nats / math.log(2)


def bits_bytes(nats, d, levels):
    return 8 - nats / (d * math.log(2))


def bits_mean(nats, d, levels):
    return bits_shift(nats, d, levels).mean()


def masks_loop(rank, units):
    d, h = len(rank), len(units)
    into, out = torch.zeros(h, d), torch.zeros(d, h)
    for k in range(h):
        for i in range(d):
            if rank[i] <= units[k]:
                into[k, i] = 1.0
            if rank[i] > units[k]:
                out[i, k] = 1.0
    return into, out


def masks_where(rank, units):
    seen = torch.where(rank[None, :] <= units[:, None], 1.0, 0.0)
    return seen, 1 - seen.T


def masks_equal(rank, units):
    return (units[:, None] >= rank).float(), (rank[:, None] >= units).float()


def masks_strict(rank, units):
    return (units[:, None] > rank).float(), (rank[:, None] > units).float()


def masks_positions(rank, units):
    place = torch.arange(len(rank))
    return (units[:, None] >= place).float(), (place[:, None] > units).float()


def masks_argsort(rank, units):
    place = rank.argsort()
    return (units[:, None] >= place).float(), (place[:, None] > units).float()


def masks_transposed(rank, units):
    return (rank[:, None] <= units).float(), (units[:, None] < rank).float()


def masks_bool(rank, units):
    return units[:, None] >= rank, rank[:, None] > units


def decode_loop(net, z, rank):
    d = z.shape[1]
    columns = [torch.zeros_like(z[:, 0]) for _ in range(d)]
    for place in range(d):
        (i,) = torch.nonzero(rank == place)[0].tolist()
        amounts = net(torch.stack(columns, dim=1))
        columns[i] = amounts[:, i] + torch.exp(amounts[:, d + i]) * z[:, i]
    return torch.stack(columns, dim=1)


def decode_repeat(net, z, rank):
    x = torch.zeros_like(z)
    for _ in range(z.shape[1]):  # after k rounds, all numbers of rank below k are right
        shift, log_scale = torch.chunk(net(x), 2, dim=1)
        x = z * torch.exp(log_scale) + shift
    return x


def decode_once(net, z, rank):
    shift, log_scale = net(z).chunk(2, 1)
    return shift + log_scale.exp() * z


def decode_encode(net, z, rank):
    shift, log_scale = net(z).chunk(2, 1)
    return (z - shift) / torch.exp(log_scale)


def decode_positions(net, z, rank):
    x = torch.zeros_like(z)
    for i in range(z.shape[1]):
        shift, log_scale = net(x).chunk(2, 1)
        x = x.clone()
        x[:, i] = z[:, i] * log_scale[:, i].exp() + shift[:, i]
    return x


def decode_rank(net, z, rank):
    x = torch.zeros_like(z)
    for i in rank.tolist():
        shift, log_scale = net(x).chunk(2, 1)
        x = x.clone()
        x[:, i] = z[:, i] * log_scale[:, i].exp() + shift[:, i]
    return x


def decode_wrong_scale(net, z, rank):
    x = torch.zeros_like(z)
    for _ in range(z.shape[1]):
        shift, log_scale = net(x).chunk(2, 1)
        x = z * torch.exp(-log_scale) + shift
    return x


def decode_swapped(net, z, rank):
    x = torch.zeros_like(z)
    for _ in range(z.shape[1]):
        log_scale, shift = net(x).chunk(2, 1)
        x = z * torch.exp(log_scale) + shift
    return x


def decode_detached(net, z, rank):
    x = torch.zeros_like(z)
    for _ in range(z.shape[1]):
        shift, log_scale = net(x.detach()).chunk(2, 1)
        x = z * torch.exp(log_scale) + shift
    return x.detach()


def trace_jvp(v, x, probes):
    total = torch.zeros_like(x[:, 0])
    for probe in probes:
        _, pushed = jvp(v, (x,), (probe,))
        total = total + (pushed * probe).sum(dim=1)
    return total / len(probes)


def trace_vjp(v, x, probes, create_graph=True):
    x = x.detach().requires_grad_(True)
    speeds, found = v(x), []
    for probe in probes:
        (pulled,) = autograd.grad(speeds, x, probe, create_graph=create_graph, retain_graph=True)
        found.append((pulled * probe).sum(1))
    return torch.stack(found).mean(0)


def trace_sum(v, x, probes):
    return trace_vjp(v, x, probes) * len(probes)


def trace_velocity(v, x, probes):
    return (probes * v(x)).sum(-1).mean(0)


def trace_first(v, x, probes):
    return trace_jvp(v, x, probes[:1])


def trace_no_second(v, x, probes):
    return torch.stack([jvp(v, (x,), (probe,))[1].sum(1) for probe in probes]).mean(0)


def trace_square(v, x, probes):
    return torch.stack([jvp(v, (x,), (probe,))[1].square().sum(1) for probe in probes]).mean(0)


def trace_graphless(v, x, probes):
    return trace_vjp(v, x, probes, create_graph=False).detach()


ANSWERS = {
    "linear": {
        "right": [linear_library, linear_inverse],
        "wrong": {
            "sign": (linear_sign, "sign of the log-determinant is turned"),
            "no determinant": (linear_no_det, "determinant is missing"),
            "forwards": (linear_forward, "multiply by L"),
            "half": (linear_covariance, "Half of the log-determinant"),
            "columns": (linear_columns, "L transposed"),
            "determinant itself": (linear_det, "subtract the determinant itself"),
            "no π": (linear_no_pi, "one for each dimension"),
        },
    },
    "bits": {
        "right": [bits_shift, bits_log2],
        "wrong": {
            "no levels": (bits_no_levels, "log2(levels) bits are missing"),
            "nats": (bits_nats, "nats a dimension"),
            "sign": (bits_sign, "sign of the nats is turned"),
            "whole picture": (bits_whole, "whole picture"),
            "bytes": (bits_bytes, "8-bit"),
            "mean": (bits_mean, "mean over"),
        },
    },
    "masks": {
        "right": [masks_loop, masks_where],
        "wrong": {
            "equality at the output": (masks_equal, "strictly greater"),
            "strict at the input": (masks_strict, "equality is allowed"),
            "positions": (masks_positions, "went by the positions"),
            "argsort": (masks_argsort, "rank.argsort()"),
            "transposed": (masks_transposed, "transposed"),
            "bools": (masks_bool, "float32"),
        },
    },
    "decode": {
        "right": [decode_loop, decode_repeat],
        "wrong": {
            "once": (decode_once, "ask the net once"),
            "encodes": (decode_encode, "forwards, from x to z"),
            "by position": (decode_positions, "by position"),
            "by rank": (decode_rank, "through `rank` itself"),
            "scale": (decode_wrong_scale, "done again"),
            "halves": (decode_swapped, "shifts come first"),
            "detached": (decode_detached, "no gradient reaches"),
        },
    },
    "trace": {
        "right": [trace_jvp, trace_vjp],
        "wrong": {
            "sum": (trace_sum, "summed over the probes"),
            "velocity": (trace_velocity, "velocity itself"),
            "first": (trace_first, "first probe only"),
            "one product": (trace_no_second, "probe once more"),
            "squared": (trace_square, "length of J ε squared"),
            "no graph": (trace_graphless, "no gradient reaches"),
        },
    },
}
