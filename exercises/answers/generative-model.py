"""Answers to the exercises on generative models, right and wrong, as students write them."""

import math
from collections import Counter

import torch
from torch.distributions import Categorical, LogNormal, MultivariateNormal, Normal
from torch.nn import functional as F

# --- lognormal -----------------------------------------------------------------------------------


def lognormal_by_torch(x, mean, scale):
    return LogNormal(mean, scale).log_prob(x)


def lognormal_by_hand(x, mean, scale):
    z = torch.log(x)
    return -((z - mean) ** 2) / (2 * scale**2) - math.log(scale * math.sqrt(2 * math.pi)) - z


def lognormal_no_jacobian(x, mean, scale):
    return -0.5 * ((torch.log(x) - mean) / scale) ** 2 - math.log(scale) - 0.5 * math.log(2 * math.pi)


def lognormal_times_slope(x, mean, scale):
    return lognormal_no_jacobian(x, mean, scale) + torch.log(x)


def lognormal_slope_of_x(x, mean, scale):
    slope = torch.exp(x)  # G'(x)
    return lognormal_no_jacobian(x, mean, scale) - torch.log(slope)


def lognormal_no_constant(x, mean, scale):
    return lognormal_by_hand(x, mean, scale) + 0.5 * math.log(2 * math.pi)


def lognormal_density(x, mean, scale):
    return LogNormal(mean, scale).log_prob(x).exp()


def lognormal_by_the_density(x, mean, scale):
    return torch.log(Normal(mean, scale).log_prob(x.log()).exp() / x)


def lognormal_variance(x, mean, scale):
    return LogNormal(mean, scale**0.5).log_prob(x)


# --- bayes ---------------------------------------------------------------------------------------


def bayes_by_loop(log_likelihoods, log_prior):
    rows = [row + log_prior - torch.logsumexp(row + log_prior, 0) for row in log_likelihoods]
    return torch.stack(rows)


def bayes_by_categorical(log_likelihoods, log_prior):
    return Categorical(logits=log_likelihoods + log_prior).logits


def bayes_naive(log_likelihoods, log_prior):
    joint = log_likelihoods.exp() * log_prior.exp()
    return (joint / joint.sum(1, keepdim=True)).log()


def bayes_probabilities(log_likelihoods, log_prior):
    return F.softmax(log_likelihoods + log_prior, dim=-1)


def bayes_over_batch(log_likelihoods, log_prior):
    joint = log_likelihoods + log_prior[None]
    return joint - torch.logsumexp(joint, 0, keepdim=True)


def bayes_no_prior(log_likelihoods, log_prior):
    return F.log_softmax(log_likelihoods, dim=1)


def bayes_prior_last(log_likelihoods, log_prior):
    return log_likelihoods - log_likelihoods.logsumexp(1)[:, None] + log_prior


def bayes_joint(log_likelihoods, log_prior):
    return torch.add(log_likelihoods, log_prior)


def bayes_prior_as_it_is(log_likelihoods, log_prior):
    return (log_likelihoods + torch.exp(log_prior)).log_softmax(-1)


# --- marginal ------------------------------------------------------------------------------------


def marginal_by_torch(x, centres, log_weights, width):
    parts = MultivariateNormal(centres, width**2 * torch.eye(x.shape[1]))
    return torch.logsumexp(parts.log_prob(x[:, None]) + log_weights, 1)


def marginal_by_loop(x, centres, log_weights, width):
    total = torch.full((len(x),), -torch.inf)
    for centre, log_weight in zip(centres, log_weights):
        total = torch.logaddexp(total, Normal(centre, width).log_prob(x).sum(1) + log_weight)
    return total


def marginal_underflow(x, centres, log_weights, width):
    p = Normal(centres, width).log_prob(x[:, None]).sum(2).exp()
    return (p @ log_weights.exp()).log()


def marginal_mean_of_logs(x, centres, log_weights, width):
    return Normal(centres, width).log_prob(x[:, None]).sum(2) @ log_weights.exp()


def marginal_uniform(x, centres, log_weights, width):
    return Normal(centres, width).log_prob(x[:, None]).sum(2).logsumexp(1) - math.log(centres.shape[0])


def marginal_line(x, centres, log_weights, width):
    near = torch.cdist(x, centres) ** 2 / 2 / width**2
    return (log_weights - near).logsumexp(1) - math.log(width) - 0.5 * math.log(2 * math.pi)


def marginal_variance(x, centres, log_weights, width):
    return marginal_by_torch(x, centres, log_weights, math.sqrt(width))


def marginal_nearest(x, centres, log_weights, width):
    return (Normal(centres, width).log_prob(x[:, None]).sum(2) + log_weights).max(1).values


def marginal_detached(x, centres, log_weights, width):
    return marginal_by_loop(x, centres.detach(), log_weights, width)


def marginal_batch_mean(x, centres, log_weights, width):
    return marginal_by_loop(x, centres, log_weights, width).mean()


def marginal_without_half(x, centres, log_weights, width):
    squares = torch.cdist(x, centres) ** 2
    normaliser = x.shape[1] * math.log(width * math.sqrt(2 * math.pi))
    return torch.logsumexp(log_weights - squares / width**2 - normaliser, dim=1)


# --- coupling ------------------------------------------------------------------------------------


def coupling_by_slices(a, b, net):
    out = net(a)
    h = a.shape[1]
    z = (b - out[:, :h]) / out[:, h:].exp()
    return z, -torch.sum(out[:, h:], dim=1)


def coupling_by_jacobian(a, b, net):
    z, signs = [], []
    for one, two in zip(a, b):
        shift, log_scale = net(one[None])[0].chunk(2)
        z.append((two - shift) * torch.exp(-log_scale))
        signs.append(torch.diag(torch.exp(-log_scale)).logdet())
    return torch.stack(z), torch.stack(signs)


def coupling_sign(a, b, net):
    shift, log_scale = torch.chunk(net(a), 2, dim=-1)
    return (b - shift) / torch.exp(log_scale), log_scale.sum(-1)


def coupling_forward(a, b, net):
    shift, log_scale = torch.chunk(net(a), 2, dim=-1)
    return b * torch.exp(log_scale) + shift, log_scale.sum(-1)


def coupling_order(a, b, net):
    shift, log_scale = torch.chunk(net(a), 2, dim=-1)
    return b / log_scale.exp() - shift, -log_scale.sum(-1)


def coupling_swapped(a, b, net):
    log_scale, shift = torch.chunk(net(a), 2, dim=-1)
    return (b - shift) / log_scale.exp(), -log_scale.sum(-1)


def coupling_mean(a, b, net):
    shift, log_scale = torch.chunk(net(a), 2, dim=-1)
    return (b - shift) / log_scale.exp(), -torch.mean(log_scale, 1)


def coupling_alone(a, b, net):
    return coupling_by_slices(a, b, net)[0]


def coupling_cut(a, b, net):
    with torch.no_grad():
        shift, log_scale = net(a).chunk(2, 1)
    return (b - shift) / log_scale.exp(), -log_scale.sum(1)


def coupling_of_b(a, b, net):
    shift, log_scale = net(b).chunk(2, dim=1)
    return (b - shift) / log_scale.exp(), -log_scale.sum(1)


def coupling_by_turns(a, b, net):
    shift, log_scale = net(a).unflatten(1, (-1, 2)).unbind(2)
    return (b - shift) / log_scale.exp(), -log_scale.sum(1)


def coupling_of_scales(a, b, net):
    shift, scale = net(a).chunk(2, dim=1)
    return (b - shift) / scale, -scale.abs().log().sum(1)


# --- markov ---------------------------------------------------------------------------------------


def markov_by_pairs(seen, text, order, letters, extra):
    pairs = Counter(seen[i : i + order + 1] for i in range(len(seen) - order))
    total = 0.0
    places = range(len(text) - order)
    for i in places:
        context = text[i : i + order]
        row = {letter: pairs[context + letter] + extra for letter in letters}
        total += math.log2(row[text[i + order]] / sum(row.values()))
    return -total / len(places)


def markov_by_sums(seen, text, order, letters, extra):
    longer = Counter(seen[i : i + order + 1] for i in range(len(seen) - order))
    shorter = Counter(seen[i : i + order] for i in range(len(seen) - order))
    words = [text[i : i + order + 1] for i in range(len(text) - order)]
    share = [(longer[w] + extra) / (shorter[w[:-1]] + extra * len(letters)) for w in words]
    return sum(-math.log(p, 2) for p in share) / len(share)


def markov_nats(seen, text, order, letters, extra):
    return markov_by_pairs(seen, text, order, letters, extra) * math.log(2)


def markov_total(seen, text, order, letters, extra):
    return markov_by_pairs(seen, text, order, letters, extra) * len(range(order, len(text)))


def markov_own_text(seen, text, order, letters, extra):
    return markov_by_sums(text, text, order, letters, extra)


def markov_all_letters(seen, text, order, letters, extra):
    return markov_total(seen, text, order, letters, extra) / len(text)


def markov_one_extra(seen, text, order, letters, extra):
    return markov_by_sums(seen, text, order, "x", extra)


def markov_skips(seen, text, order, letters, extra):
    pairs = Counter(seen[i : i + order + 1] for i in range(len(seen) - order))
    bits = []
    for i in range(order, len(text)):
        row = {letter: pairs[text[i - order : i] + letter] for letter in letters}
        if sum(row.values()) == 0:
            continue
        bits.append(-math.log2((row[text[i]] + extra) / (sum(row.values()) + extra * len(letters))))
    return sum(bits) / len(bits)


def markov_tensor(seen, text, order, letters, extra):
    return torch.tensor(markov_by_sums(seen, text, order, letters, extra))


def marginal_of_variance(x, centres, log_weights, width):
    squares = (x[:, None] - centres).square().sum(2)
    normaliser = x.shape[1] / 2 * math.log(2 * math.pi * width**2)
    return (log_weights - squares / (2 * width) - normaliser).logsumexp(1)


def coupling_multiplied(a, b, net):
    shift, log_scale = net(a).chunk(2, 1)
    return (b - shift) * log_scale.exp(), -log_scale.sum(1)


ANSWERS = {
    "lognormal": {
        "right": [lognormal_by_torch, lognormal_by_hand],
        "wrong": {
            "no derivative": (lognormal_no_jacobian, "left out the derivative"),
            "multiplied by the derivative": (lognormal_times_slope, "the equation divides"),
            "derivative at x": (lognormal_slope_of_x, "derivative of G at x"),
            "no constant": (lognormal_no_constant, "0.919 above"),
            "density for its logarithm": (lognormal_density, "exponential"),
            "by way of the density": (lognormal_by_the_density, "overflows"),
            "scale is a variance": (lognormal_variance, "standard deviation"),
        },
    },
    "bayes": {
        "right": [bayes_by_loop, bayes_by_categorical],
        "wrong": {
            "exponentials first": (bayes_naive, "overflows"),
            "probabilities": (bayes_probabilities, "logarithms are asked for"),
            "over the batch": (bayes_over_batch, "over the batch"),
            "no prior": (bayes_no_prior, "left out P(y)"),
            "prior last": (bayes_prior_last, "sum to one"),
            "joint density": (bayes_joint, "denominator"),
            "prior as it is": (bayes_prior_as_it_is, "its logarithm"),
        },
    },
    "marginal": {
        "right": [marginal_by_torch, marginal_by_loop],
        "wrong": {
            "underflow": (marginal_underflow, "overflows"),
            "mean of logarithms": (marginal_mean_of_logs, "averaged the logarithms"),
            "equal weights": (marginal_uniform, "same weight"),
            "one dimension": (marginal_line, "on a line"),
            "width is a variance": (marginal_variance, "standard deviation"),
            "nearest cause": (marginal_nearest, "likeliest cause"),
            "no gradient": (marginal_detached, "no gradient reaches `centres`"),
            "mean of the batch": (marginal_batch_mean, "the mean over"),
            "no ½": (marginal_without_half, "½ in the exponent"),
            "width for its square": (marginal_of_variance, "not squared"),
        },
    },
    "coupling": {
        "right": [coupling_by_slices, coupling_by_jacobian],
        "wrong": {
            "sign of the determinant": (coupling_sign, "determinant is that of the way from z"),
            "forwards": (coupling_forward, "forwards"),
            "order": (coupling_order, "wrong order"),
            "halves swapped": (coupling_swapped, "shifts come first"),
            "mean of log-scales": (coupling_mean, "averaged the log-scales"),
            "no determinant": (coupling_alone, "2 values"),
            "net without gradient": (coupling_cut, "no gradient reaches"),
            "the net reads b": (coupling_of_b, "to read a"),
            "by turns": (coupling_by_turns, "by turns"),
            "logarithms for scales": (coupling_of_scales, "holds their logarithms"),
            "scaled the wrong way": (coupling_multiplied, "undo a multiplication"),
        },
    },
    "markov": {
        "right": [markov_by_pairs, markov_by_sums],
        "wrong": {
            "nats": (markov_nats, "nats, where bits"),
            "total": (markov_total, "whole text"),
            "counts of the text itself": (markov_own_text, "from `seen` alone"),
            "divided by all letters": (markov_all_letters, "all letters of the text"),
            "extra once": (markov_one_extra, "`extra`"),
            "unseen contexts": (markov_skips, "never seen"),
            "a tensor": (markov_tensor, "float"),
        },
    },
}
