"""Answers to the exercises on autoregressive models as students write them, and what a reason must say."""

import math

import torch
from torch.nn import functional as F


def likelihood_entropy(logits, x):
    return -F.cross_entropy(logits, x, reduction="none").sum(dim=(1, 2))


def likelihood_one_hot(logits, x):
    chosen = F.one_hot(x, logits.shape[1]).permute(0, 3, 1, 2).to(logits)
    log_p = logits - torch.logsumexp(logits, dim=1, keepdim=True)
    return (chosen * log_p).flatten(1).sum(1)


def likelihood_mean(logits, x):
    return -F.cross_entropy(logits, x, reduction="none").mean((1, 2))


def likelihood_loss(logits, x):
    return F.cross_entropy(logits, x, reduction="none").sum((1, 2))


def likelihood_bits(logits, x):
    return likelihood_entropy(logits, x) / math.log(2)


def likelihood_raw(logits, x):
    return torch.gather(logits, 1, x.unsqueeze(1)).squeeze(1).sum((1, 2))


def likelihood_axis(logits, x):
    log_p = F.log_softmax(logits, dim=-1)
    return log_p.gather(1, x[:, None]).squeeze(1).sum((1, 2))


def likelihood_shifted(logits, x):
    log_p = logits.log_softmax(1).flatten(2)[:, :, :-1]
    return -F.nll_loss(log_p, x.flatten(1)[:, 1:], reduction="none").sum(1)


def likelihood_batch(logits, x):
    return -F.cross_entropy(logits, x, reduction="sum")


def likelihood_unstable(logits, x):
    p = logits.exp() / logits.exp().sum(1, keepdim=True)
    return p.gather(1, x[:, None])[:, 0].log().sum((1, 2))


def mask_loop(height, width, itself):
    found, middle = torch.zeros(height, width), (height // 2, width // 2)
    for r in range(height):
        for c in range(width):
            if (r, c) < middle or itself and (r, c) == middle:
                found[r, c] = 1.0
    return found


def mask_slices(height, width, itself):
    found = torch.ones(height, width)
    found[height // 2, width // 2 + int(itself):] = 0
    found[height // 2 + 1:] = 0
    return found


def mask_swapped(height, width, itself):
    return mask_slices(height, width, not itself)


def mask_always(height, width, itself):
    return mask_slices(height, width, True)


def mask_above_left(height, width, itself):
    found = torch.zeros(height, width)
    found[: height // 2, : width // 2 + 1] = 1
    found[height // 2, : width // 2 + int(itself)] = 1
    return found


def mask_row(height, width, itself):
    found = torch.ones(height, width)
    found[height // 2 + 1:] = 0
    found[height // 2, width // 2] = float(itself)
    return found


def mask_columns(height, width, itself):
    return mask_slices(width, height, itself).T.contiguous()


def mask_bool(height, width, itself):
    return mask_slices(height, width, itself).bool()


def attention_library(q, k, v):
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


def attention_loop(q, k, v):
    outputs = []
    for i in range(q.shape[1]):
        score = (k[:, : i + 1] * q[:, i : i + 1]).sum(2) / q.shape[2] ** 0.5
        outputs.append((score.softmax(1).unsqueeze(2) * v[:, : i + 1]).sum(1))
    return torch.stack(outputs, 1)


def attention_scores(q, k):
    return torch.einsum("nid,njd->nij", q, k) / math.sqrt(q.shape[-1])


def lower(q):
    return torch.ones(q.shape[1], q.shape[1]).tril().bool()


def attention_open(q, k, v):
    return attention_scores(q, k).softmax(-1) @ v


def attention_upper(q, k, v):
    return attention_scores(q, k).masked_fill(lower(q).tril(-1), -math.inf).softmax(-1) @ v


def attention_unscaled(q, k, v):
    score = (q @ k.transpose(1, 2)).masked_fill(~lower(q), -math.inf)
    return score.softmax(-1) @ v


def attention_by_n(q, k, v):
    score = (q @ k.transpose(1, 2) / q.shape[-1]).masked_fill(~lower(q), -math.inf)
    return score.softmax(-1) @ v


def attention_wrong_axis(q, k, v):
    return attention_scores(q, k).masked_fill(~lower(q), -math.inf).softmax(1) @ v


def attention_late(q, k, v):
    return (attention_scores(q, k).softmax(-1) * lower(q)) @ v


def attention_zero(q, k, v):
    return (attention_scores(q, k) * lower(q)).softmax(-1) @ v


def attention_strict(q, k, v):
    score = attention_scores(q, k).masked_fill(~lower(q).tril(-1), -math.inf)
    return score.softmax(-1).nan_to_num(0.0) @ v


def attention_detached(q, k, v):
    weights = attention_scores(q, k).masked_fill(~lower(q), -math.inf).softmax(-1)
    return weights.detach() @ v


def temperature_logits(p, t):
    return torch.softmax(torch.log(p) / t, dim=-1)


def temperature_powers(p, t):
    log_p = p.log() / t
    powers = (log_p - log_p.amax(1, keepdim=True)).exp()
    return powers / powers.sum(1, keepdim=True)


def temperature_open(p, t):
    return p ** (1 / t)


def temperature_inverse(p, t):
    powers = p**t
    return powers / powers.sum(1, keepdim=True)


def temperature_as_logits(p, t):
    return torch.softmax(p / t, dim=1)


def temperature_nothing(p, t):
    return (p / t) / (p / t).sum(1, keepdim=True)


def temperature_axis(p, t):
    powers = p ** (1 / t)
    return powers / powers.sum(0)


def top_p_scatter(p, mass):
    q, which = torch.sort(p, dim=1, descending=True)
    dropped = torch.cumsum(q, dim=1) - q >= mass
    kept = torch.zeros_like(p).scatter(1, which, q.masked_fill(dropped, 0.0))
    return kept / kept.sum(dim=1, keepdim=True)


def top_p_rows(p, mass):
    rows = []
    for row in p:
        total, keep = 0.0, torch.zeros_like(row)
        for k in row.argsort(descending=True).tolist():
            keep[k] = 1.0
            total += row[k].item()
            if total >= mass:
                break
        rows.append(row * keep / (row * keep).sum())
    return torch.stack(rows)


def top_p_below(p, mass):
    q, which = p.sort(1, descending=True)
    kept = torch.zeros_like(p).scatter(1, which, q * (q.cumsum(1) <= mass))
    return kept / kept.sum(1, keepdim=True)


def top_p_open(p, mass):
    q, which = p.sort(1, descending=True)
    return torch.zeros_like(p).scatter(1, which, q * (q.cumsum(1) - q < mass))


def top_p_sorted(p, mass):
    q = p.sort(1, descending=True).values
    kept = q * (q.cumsum(1) - q < mass)
    return kept / kept.sum(1, keepdim=True)


def top_p_ascending(p, mass):
    q, which = p.sort(1)
    kept = torch.zeros_like(p).scatter(1, which, q * (q.cumsum(1) - q < mass))
    return kept / kept.sum(1, keepdim=True)


def top_p_unsorted(p, mass):
    kept = p * (p.cumsum(1) - p < mass)
    return kept / kept.sum(1, keepdim=True)


def top_p_threshold(p, mass):
    return p * (p >= mass)


ANSWERS = {
    "log_likelihood": {
        "right": [likelihood_entropy, likelihood_one_hot],
        "wrong": {
            "mean": (likelihood_mean, "mean over the pixels"),
            "loss": (likelihood_loss, "sign is turned"),
            "bits": (likelihood_bits, "Those are bits"),
            "raw logits": (likelihood_raw, "not log-probabilities yet"),
            "wrong axis": (likelihood_axis, "levels are axis 1"),
            "shifted": (likelihood_shifted, "targets are shifted"),
            "over the batch": (likelihood_batch, "shape"),
            "unstable": (likelihood_unstable, "overflows"),
        },
    },
    "mask": {
        "right": [mask_loop, mask_slices],
        "wrong": {
            "A and B": (mask_swapped, "exchanged"),
            "always B": (mask_always, "always allowed"),
            "upper left": (mask_above_left, "left part only"),
            "whole row": (mask_row, "whole of the middle's own row"),
            "columns": (mask_columns, "column by column"),
            "bools": (mask_bool, "float32"),
        },
    },
    "attention": {
        "right": [attention_library, attention_loop],
        "wrong": {
            "no mask": (attention_open, "There is no mask"),
            "upper": (attention_upper, "turned round"),
            "unscaled": (attention_unscaled, "not divided by"),
            "by n": (attention_by_n, "You divide by n"),
            "wrong axis": (attention_wrong_axis, "places that ask"),
            "masked late": (attention_late, "after the softmax"),
            "masked with zero": (attention_zero, "exponential of 0"),
            "strict": (attention_strict, "its own place"),
            "detached": (attention_detached, "gradient"),
        },
    },
    "temperature": {
        "right": [temperature_logits, temperature_powers],
        "wrong": {
            "open": (temperature_open, "do not add up to one"),
            "inverse": (temperature_inverse, "to the power t"),
            "as logits": (temperature_as_logits, "took the probabilities for logits"),
            "nothing": (temperature_nothing, "changes nothing"),
            "axis": (temperature_axis, "each row is a law"),
        },
    },
    "top_p": {
        "right": [top_p_scatter, top_p_rows],
        "wrong": {
            "below": (top_p_below, "fills the mass is missing"),
            "open": (top_p_open, "do not add up to one"),
            "sorted": (top_p_sorted, "in sorted order"),
            "ascending": (top_p_ascending, "unlikeliest"),
            "unsorted": (top_p_unsorted, "in which they stand"),
            "threshold": (top_p_threshold, "sum"),
        },
    },
}
