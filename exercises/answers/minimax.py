"""Answers to the exercises on the minimax game: right variants, and wrong ones with a word of the reason due."""

import math

import torch
import torch.nn.functional as F

from belamy import divergences

# --- value ---------------------------------------------------------------------------------------


def value_softplus(real, fake):
    return -F.softplus(-real).mean() - F.softplus(fake).mean()


def value_cross_entropy(real, fake):
    loss = F.binary_cross_entropy_with_logits
    return -loss(real, torch.ones_like(real)) - loss(fake, torch.zeros_like(fake))


def value_as_loss(real, fake):
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def value_label_one(real, fake):
    loss = F.binary_cross_entropy_with_logits
    return -loss(real, torch.ones_like(real)) - loss(fake, torch.ones_like(fake))


def value_one_mean(real, fake):
    scores = torch.cat([real, fake])
    labels = torch.cat([torch.ones_like(real), torch.zeros_like(fake)])
    return -F.binary_cross_entropy_with_logits(scores, labels)


def value_summed(real, fake):
    return -F.softplus(-real).sum() - F.softplus(fake).sum()


def value_naive(real, fake):
    return torch.log(torch.sigmoid(real)).mean() + torch.log(1 - torch.sigmoid(fake)).mean()


def value_number(real, fake):
    return (F.logsigmoid(real).mean() + F.logsigmoid(-fake).mean()).item()


def value_sigmoid_twice(real, fake):
    loss = F.binary_cross_entropy_with_logits
    real, fake = torch.sigmoid(real), torch.sigmoid(fake)
    return -loss(real, torch.ones_like(real)) - loss(fake, torch.zeros_like(fake))


def value_real_detached(real, fake):
    return F.logsigmoid(real.detach()).mean() + F.logsigmoid(-fake).mean()


# --- best ----------------------------------------------------------------------------------------


def best_sigmoid(log_p, log_g, share):
    odds = math.log(share) - math.log(1 - share)
    return 1 / (1 + torch.exp(log_g - log_p - odds))


def best_softmax(log_p, log_g, share):
    both = torch.stack([log_p + math.log(share), log_g + math.log(1 - share)])
    return both.softmax(0)[0]


def best_even(log_p, log_g, share):
    return (log_p - log_g).sigmoid()


def best_of_fakes(log_p, log_g, share):
    return ((1 - share) * log_g.exp()) / (share * log_p.exp() + (1 - share) * log_g.exp())


def best_score(log_p, log_g, share):
    return log_p - log_g + math.log(share / (1 - share))


def best_underflow(log_p, log_g, share):
    real, fake = share * log_p.exp(), (1 - share) * log_g.exp()
    return real / (real + fake)


def best_share_in_front(log_p, log_g, share):
    return share * log_p.exp() / (log_p.exp() + log_g.exp())


def best_of_logs(log_p, log_g, share):
    return share * log_p / (share * log_p + (1 - share) * log_g)


def best_wrong_share(log_p, log_g, share):
    return torch.sigmoid(log_p - log_g + math.log((1 - share) / share))


def best_log_share(log_p, log_g, share):
    return (log_p - log_g + math.log(share)).sigmoid()


def best_logs_times_shares(log_p, log_g, share):
    real, fake = share * log_p, (1 - share) * log_g
    return torch.stack([real, fake]).softmax(0)[0]


# --- transport -----------------------------------------------------------------------------------


def transport_library(x, y):
    return divergences.wasserstein_samples(x, y)


def transport_by_argsort(x, y):
    return torch.mean(torch.abs(x[torch.argsort(x)] - y[torch.argsort(y)]))


def transport_unsorted(x, y):
    return torch.mean(torch.abs(x - y))


def transport_means(x, y):
    return torch.abs(torch.mean(x) - torch.mean(y))


def transport_squares(x, y):
    return F.mse_loss(torch.sort(x)[0], torch.sort(y)[0])


def transport_sum(x, y):
    return (torch.sort(x)[0] - torch.sort(y)[0]).abs().sum()


def transport_every_pair(x, y):
    return torch.cdist(x[:, None], y[:, None]).mean()


def transport_numpy(x, y):
    return abs(sorted(x.tolist())[0] - sorted(y.tolist())[0])


# --- gap -----------------------------------------------------------------------------------------


def gap_of_values(p, g, score, cell):
    def v(s):
        return cell * (p * F.logsigmoid(s) + g * F.logsigmoid(-s)).sum()

    return v(torch.log(p / g)) - v(score)


def gap_by_kl_div(p, g, score, cell):
    best, mine = p / (p + g), torch.sigmoid(score)
    inner = best * (best / mine).log() + (1 - best) * ((1 - best) / (1 - mine)).log()
    return ((p + g) * inner).sum() * cell


def gap_turned(p, g, score, cell):
    best, mine = p / (p + g), torch.sigmoid(score)
    inner = mine * (mine / best).log() + (1 - mine) * ((1 - mine) / (1 - best)).log()
    return ((p + g) * inner).sum() * cell


def gap_of_mixture(p, g, score, cell):
    return gap_by_kl_div(p, g, score, cell) * 0.5


def gap_one_side(p, g, score, cell):
    best = p / (p + g)
    return ((p + g) * best * (best / torch.sigmoid(score)).log()).sum() * cell


def gap_no_cell(p, g, score, cell):
    return gap_by_kl_div(p, g, score, 1.0)


def gap_negative(p, g, score, cell):
    return -gap_of_values(p, g, score, cell)


def gap_under_data(p, g, score, cell):
    best, mine = p / (p + g), torch.sigmoid(score)
    return (p * (best * (best / mine).log() + (1 - best) * ((1 - best) / (1 - mine)).log())).sum() * cell


# --- jsd -----------------------------------------------------------------------------------------


def jsd_by_entropies(p, g, cell):
    def entropy(q):
        return -cell * torch.special.xlogy(q, q).sum()

    return entropy((p + g) / 2) - (entropy(p) + entropy(g)) / 2


def jsd_xlogy(p, g, cell):
    m = (p + g) / 2
    terms = (torch.special.xlogy(q, q) - torch.special.xlogy(q, m) for q in (p, g))
    return 0.5 * cell * sum(term.sum() for term in terms)


def jsd_symmetric_kl(p, g, cell):
    return 0.5 * (cell * (p * (p / g).log()).sum() + cell * (g * (g / p).log()).sum())


def jsd_mass_two(p, g, cell):
    m = p + g
    return 0.5 * (cell * (p * (p / m).log()).sum() + cell * (g * (g / m).log()).sum())


def jsd_no_half(p, g, cell):
    m = (p + g) / 2
    return cell * (p * (p / m).log()).sum() + cell * (g * (g / m).log()).sum()


def jsd_bits(p, g, cell):
    m = (p + g) / 2
    return 0.5 * cell * (p * (p / m).log2() + g * (g / m).log2()).sum()


def jsd_nan_at_zero(p, g, cell):
    return jsd_no_half(p, g, cell) / 2


def jsd_wrong_way(p, g, cell):
    m = (p + g) / 2
    return F.kl_div(p.log(), m, reduction="sum") * cell / 2 + F.kl_div(g.log(), m, reduction="sum") * cell / 2


def jsd_no_cell(p, g, cell):
    return jsd_xlogy(p, g, 1.0)


# --- repaired ------------------------------------------------------------------------------------


def repaired_softmax(values, scores):
    share = torch.softmax(scores, 0)
    mean = share @ values
    return mean, share @ values.square() - mean**2, 1 / (share @ share)


def repaired_by_opinion(values, scores):
    opinion = torch.sigmoid(scores)
    w = opinion / (1 - opinion)
    mean = (w * values).sum() / w.sum()
    return mean, (w * (values - mean) ** 2).sum() / w.sum(), w.sum() ** 2 / (w**2).sum()


def of_weights(values, w):
    mean = (w * values).sum() / w.sum()
    return mean, (w * (values - mean) ** 2).sum() / w.sum(), w.sum() ** 2 / (w**2).sum()


def repaired_with_d(values, scores):
    return of_weights(values, torch.sigmoid(scores))


def repaired_inverse(values, scores):
    return of_weights(values, torch.exp(-scores))


def repaired_unnormalised(values, scores):
    w = torch.exp(scores)
    mean = (w * values).mean()
    return mean, (w * (values - mean) ** 2).mean(), w.sum() ** 2 / (w**2).sum()


def repaired_old_mean(values, scores):
    w = torch.exp(scores)
    mean, _, size = of_weights(values, w)
    return mean, (w * (values - values.mean()) ** 2).sum() / w.sum(), size


def repaired_size_share(values, scores):
    mean, variance, size = of_weights(values, torch.exp(scores))
    return mean, variance, size / len(values)


def repaired_two(values, scores):
    return of_weights(values, torch.exp(scores))[:2]


def transport_crossing(x, y):
    return (x.sort().values - y.sort(descending=True).values).abs().mean()


def transport_in_numpy(x, y):
    one, other = (values.sort().values.numpy(force=True) for values in (x, y))
    return torch.tensor(abs(one - other).mean(), dtype=torch.float64)


def repaired_bare_variance(values, scores):
    share = scores.softmax(0)
    mean = (share * values).sum()
    return mean, (values - mean).square().mean(), 1 / share.square().sum()


ANSWERS = {
    "value": {
        "right": [value_softplus, value_cross_entropy],
        "wrong": {
            "the loss": (value_as_loss, "sign"),
            "label 1 for both": (value_label_one, "log(1 − D)"),
            "one mean over both": (value_one_mean, "own batch"),
            "sums": (value_summed, "summed"),
            "log of a sigmoid": (value_naive, "stable"),
            "a plain number": (value_number, ".item()"),
            "two sigmoids": (value_sigmoid_twice, "twice"),
            "real scores detached": (value_real_detached, "no gradient reaches `real`"),
        },
    },
    "best": {
        "right": [best_sigmoid, best_softmax],
        "wrong": {
            "even shares": (best_even, "share of ½"),
            "of fakes": (best_of_fakes, "probability of 'generated'"),
            "score": (best_score, "score"),
            "underflow": (best_underflow, "stable"),
            "share in front": (best_share_in_front, "multiply"),
            "logs divided": (best_of_logs, "logarithms of densities"),
            "share turned": (best_wrong_share, "shares have changed places"),
            "log of the share": (best_log_share, "odds"),
            "logs times shares": (best_logs_times_shares, "multiplied logarithms"),
        },
    },
    "transport": {
        "right": [transport_library, transport_by_argsort],
        "wrong": {
            "unsorted": (transport_unsorted, "order of size"),
            "means": (transport_means, "two means"),
            "squares": (transport_squares, "mean square"),
            "sum": (transport_sum, "summed"),
            "all pairs": (transport_every_pair, "all pairs"),
            "a float": (transport_numpy, "a float"),
            "sorted against each other": (transport_crossing, "cross"),
            "by numpy": (transport_in_numpy, "no gradient"),
        },
    },
    "gap": {
        "right": [gap_of_values, gap_by_kl_div],
        "wrong": {
            "KL turned": (gap_turned, "wrong way round"),
            "mean of the densities": (gap_of_mixture, "mean of the two densities"),
            "one side": (gap_one_side, "two sides"),
            "no cell": (gap_no_cell, "width of a cell"),
            "sign": (gap_negative, "sign"),
            "under the data": (gap_under_data, "data's density alone"),
        },
    },
    "jsd": {
        "right": [jsd_by_entropies, jsd_xlogy],
        "wrong": {
            "symmetric KL": (jsd_symmetric_kl, "mixture"),
            "mass 2": (jsd_mass_two, "mass 2"),
            "no half": (jsd_no_half, "mean is meant"),
            "bits": (jsd_bits, "bits"),
            "nan at zero": (jsd_nan_at_zero, "0 log 0"),
            "wrong way round": (jsd_wrong_way, "wrong way round"),
            "no cell": (jsd_no_cell, "width of a cell"),
        },
    },
    "repaired": {
        "right": [repaired_softmax, repaired_by_opinion],
        "wrong": {
            "D as weight": (repaired_with_d, "D / (1 − D)"),
            "upside down": (repaired_inverse, "upside down"),
            "not normalised": (repaired_unnormalised, "divided by their sum"),
            "about the old mean": (repaired_old_mean, "without weights"),
            "size as share": (repaired_size_share, "share of all samples"),
            "two of three": (repaired_two, "meant are 3 values"),
            "variance without weights": (repaired_bare_variance, "has its weight"),
        },
    },
}
