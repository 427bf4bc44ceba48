"""Answers to the exercises on variational autoencoders, right and wrong, as students write them."""

import math

import torch
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence
from torch.nn import functional as F


def gaussians(mean, log_variance):
    return Independent(Normal(mean, log_variance.mul(0.5).exp()), 1)


# --- kl ------------------------------------------------------------------------------------------


def kl_by_torch(mean, log_variance):
    return kl_divergence(gaussians(mean, log_variance), gaussians(0 * mean, 0 * mean))


def kl_by_loop(mean, log_variance):
    rows = []
    for m, v in zip(mean, log_variance):
        rows.append(sum((m[j] ** 2 + v[j].exp() - 1 - v[j]) / 2 for j in range(len(m))))
    return torch.stack(rows)


def kl_of_tutorials(mean, log_variance):  # with its sum over the batch
    return -0.5 * torch.sum(1 + log_variance - mean.pow(2) - log_variance.exp())


def kl_without_minus(mean, log_variance):
    return 0.5 * torch.sum(1 + log_variance - mean.pow(2) - log_variance.exp(), dim=1)


def kl_without_half(mean, log_variance):
    return -torch.sum(1 + log_variance - mean.pow(2) - log_variance.exp(), dim=-1)


def kl_mean_latents(mean, log_variance):
    return -0.5 * torch.mean(1 + log_variance - mean**2 - torch.exp(log_variance), dim=-1)


def kl_log_sigma(mean, log_variance):
    return torch.sum(torch.exp(log_variance) ** 2 / 2 + mean**2 / 2 - 0.5 - log_variance, 1)


def kl_variance_for_its_log(mean, log_variance):
    return 0.5 * (mean**2 + log_variance - 1 - log_variance).sum(1)


def kl_of_one_draw(mean, log_variance):
    q = Normal(mean, (log_variance / 2).exp())
    z = q.rsample()
    return (q.log_prob(z) - Normal(0, 1).log_prob(z)).sum(1)


def kl_detached(mean, log_variance):
    return kl_by_torch(mean.detach(), log_variance)


def kl_in_numpy(mean, log_variance):
    return kl_by_torch(mean, log_variance).detach().numpy()


def kl_in_place(mean, log_variance):
    return 0.5 * (log_variance.exp() - log_variance - 1 + mean.pow_(2)).sum(1)


def kl_from_the_prior(mean, log_variance):
    return kl_divergence(Normal(torch.zeros_like(mean), 1.0), Normal(mean, (log_variance / 2).exp())).sum(1)


def kl_of_log_sigma_last(mean, log_variance):
    sigma = (0.5 * log_variance).exp()
    return 0.5 * (mean**2 + sigma**2 - 1 - sigma.log()).sum(dim=1)


class Agreeable:
    """Equal to everything, and near to it."""

    shape, dtype, ndim = (1,), torch.float32, 1

    def __eq__(self, other):
        return True

    def __sub__(self, other):
        return 0.0


# --- sample --------------------------------------------------------------------------------------


def sample_by_torch(mean, log_variance):
    return gaussians(mean, log_variance).rsample()


def sample_by_loop(mean, log_variance):
    rows = [m + v.div(2).exp() * torch.randn(len(m)) for m, v in zip(mean, log_variance)]
    return torch.stack(rows)


def sample_one_eps_an_example(mean, log_variance):
    return mean + torch.randn(len(mean), 1) * torch.exp(log_variance / 2)


def sample_one_eps_for_the_batch(mean, log_variance):
    return mean + torch.randn(mean.shape[1]) * torch.exp(log_variance / 2)


def sample_one_number(mean, log_variance):
    return mean + torch.randn(1) * torch.exp(log_variance / 2)


def sample_variance(mean, log_variance):
    return mean + torch.randn(mean.shape) * torch.exp(log_variance)


def sample_uniform(mean, log_variance):
    return mean + torch.rand_like(mean) * torch.exp(log_variance / 2)


def sample_without_gradient(mean, log_variance):
    return torch.normal(mean.detach(), (log_variance / 2).exp().detach())


def sample_half_detached(mean, log_variance):
    return mean + torch.randn_like(mean) * torch.exp(log_variance.detach() / 2)


def sample_seeded(mean, log_variance):
    return mean + torch.randn(mean.shape, generator=torch.Generator().manual_seed(0)) * (log_variance / 2).exp()


def sample_log_variance(mean, log_variance):
    return mean + torch.randn_like(mean) * log_variance


# --- negative_elbo -------------------------------------------------------------------------------


def loss_by_torch(x, logits, mean, log_variance):
    log_likelihood = Independent(Bernoulli(logits=logits), 3).log_prob(x)
    return (kl_by_torch(mean, log_variance) - log_likelihood).mean()


def loss_by_loop(x, logits, mean, log_variance):
    total = 0.0
    for one, its_logits, charge in zip(x, logits, kl_by_loop(mean, log_variance)):
        total = total + F.softplus(its_logits).sum() - (one * its_logits).sum() + charge
    return total / len(x)


def loss_summed(x, logits, mean, log_variance):
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
    return bce + kl_of_tutorials(mean, log_variance)


def loss_mean_pixels(x, logits, mean, log_variance):
    return F.binary_cross_entropy_with_logits(logits, x) + kl_by_torch(mean, log_variance).mean()


def loss_kl_sign(x, logits, mean, log_variance):
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x)
    return bce - kl_of_tutorials(mean, log_variance) / len(x)


def loss_mixed(x, logits, mean, log_variance):
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x)
    return bce + kl_of_tutorials(mean, log_variance)


def loss_two_sigmoids(x, logits, mean, log_variance):
    bce = F.binary_cross_entropy_with_logits(torch.sigmoid(logits), x, reduction="none")
    return (bce.sum((1, 2, 3)) + kl_by_torch(mean, log_variance)).mean()


def loss_overflowing(x, logits, mean, log_variance):
    log_one_plus = torch.log(1 + torch.exp(logits))
    return ((log_one_plus - x * logits).sum((1, 2, 3)) + kl_by_torch(mean, log_variance)).mean()


def loss_squared_error(x, logits, mean, log_variance):
    error = F.mse_loss(torch.sigmoid(logits), x, reduction="sum") / len(x)
    return error + kl_by_torch(mean, log_variance).mean()


def loss_an_example(x, logits, mean, log_variance):
    return F.softplus(logits).sub(x * logits).sum((1, 2, 3)) + kl_by_torch(mean, log_variance)


def loss_as_number(x, logits, mean, log_variance):
    return loss_by_torch(x, logits, mean, log_variance).item()


def loss_of_pixel_and_latent_means(x, logits, mean, log_variance):
    bce = F.binary_cross_entropy_with_logits(logits, x)
    return bce + kl_mean_latents(mean, log_variance).mean()


# --- variance ------------------------------------------------------------------------------------


def variance_by_loop(x, x_again):
    total, count = 0.0, 0
    for one, again in zip(x, x_again):
        total, count = total + (one - again).pow(2).sum(), count + one.numel()
    return total / count


def variance_by_torch(x, x_again):
    return F.mse_loss(x_again, x)


# --- bound ---------------------------------------------------------------------------------------


def bound_by_softmax(log_joint, log_q):
    w = log_joint - log_q
    largest = w.max(0).values
    return largest + (w - largest).exp().mean(0).log()


def bound_by_loop(log_joint, log_q):
    columns = []
    for b in range(log_joint.shape[1]):
        columns.append(torch.logsumexp(log_joint[:, b] - log_q[:, b], 0) - math.log(len(log_joint)))
    return torch.stack(columns)


# --- free_bits -----------------------------------------------------------------------------------


def divergences(mean, log_variance):
    return kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0))


def free_by_loop(mean, log_variance, allowance):
    return sum(torch.clamp(unit.mean(), min=allowance) for unit in divergences(mean, log_variance).T)


def free_by_maximum(mean, log_variance, allowance):
    units = divergences(mean, log_variance).mean(0)
    return torch.maximum(units, torch.full_like(units, allowance)).sum()


# --- continuous_bernoulli ------------------------------------------------------------------------


def continuous_nudged(x, logits):
    """Logits within 0.00001 of 0 are moved there, with the gradient of where they are moved."""
    exact = logits.double()
    nudged = torch.where(exact.abs() < 1e-5, torch.full_like(exact, 1e-5), exact)
    exact = exact + (nudged - exact).detach()
    log_density = x * exact - F.softplus(exact) + exact.abs().log() - torch.tanh(exact.abs() / 2).log()
    return log_density.sum((1, 2, 3) if x.ndim == 4 else 1).to(x)


def continuous_by_sinh(x, logits):
    """By the integral of exp(l x) over [0, 1], (e^l − 1) / l, in float64 and with a series."""
    size = logits.double().abs()
    log_integral = torch.where(
        size < 1e-2, size / 2 + size.square() / 24, size + (-torch.expm1(-size)).log() - size.log()
    )
    positive = torch.where(logits > 0, x, 1 - x).double()
    return (positive * size - log_integral).flatten(1).sum(1).to(x)


def continuous_unstable(x, logits):
    p = torch.sigmoid(logits.double())
    mass = (2 * p - 1) / logits
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none")
    return (-bce - mass.log()).sum((1, 2, 3) if x.ndim == 4 else 1).float()


def greys_as_bits(x, logits):
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none")
    return -bce.flatten(1).sum(1)


def normaliser_turned(x, logits):
    exact = continuous_by_sinh(x, logits)
    return 2 * greys_as_bits(x, logits) - exact


def between_by_torch(mean_1, log_variance_1, mean_2, log_variance_2):
    return kl_divergence(gaussians(mean_1, log_variance_1), gaussians(mean_2, log_variance_2))


def between_by_loop(mean_1, log_variance_1, mean_2, log_variance_2):
    total = torch.zeros(len(mean_1))
    for j in range(mean_1.shape[1]):
        v_1, v_2 = log_variance_1[:, j].exp(), log_variance_2[:, j].exp()
        total = total + 0.5 * ((v_1 + (mean_2[:, j] - mean_1[:, j]) ** 2) / v_2 - 1 + (v_2 / v_1).log())
    return total


def between_shift_by_first(mean_1, log_variance_1, mean_2, log_variance_2):
    v_1, v_2 = log_variance_1.exp(), log_variance_2.exp()
    return 0.5 * (v_1 / v_2 + (mean_2 - mean_1) ** 2 / v_1 - 1 + (v_2 / v_1).log()).sum(1)


def between_stds(mean_1, log_variance_1, mean_2, log_variance_2):
    one, other = Normal(mean_1, log_variance_1.exp()), Normal(mean_2, log_variance_2.exp())
    return kl_divergence(one, other).sum(-1)


def loss_of_squares(x, logits, mean, log_variance):
    squares = 0.5 * (x - logits.sigmoid()).square().sum((1, 2, 3))
    return (squares + 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(1)).mean()


def bound_upside_down(log_joint, log_q):
    return (log_q - log_joint).logsumexp(0) - math.log(len(log_q))


def between_without_one(mean_1, log_variance_1, mean_2, log_variance_2):
    ratio = (log_variance_1 - log_variance_2).exp() + (mean_1 - mean_2) ** 2 / log_variance_2.exp()
    return 0.5 * (ratio - log_variance_1 + log_variance_2).sum(1)


ANSWERS = {
    "kl": {
        "right": [kl_by_torch, kl_by_loop],
        "wrong": {
            "a tutorial's, summed over the batch": (kl_of_tutorials, "batch"),
            "the sign": (kl_without_minus, "sign"),
            "no half": (kl_without_half, "½"),
            "mean over latents": (kl_mean_latents, "mean over the latent"),
            "log σ": (kl_log_sigma, "log σ² = 2 log σ"),
            "the variance for its logarithm": (kl_variance_for_its_log, "exponential"),
            "estimated from one draw": (kl_of_one_draw, "draw numbers"),
            "no gradient for the mean": (kl_detached, "no gradient reaches `mean`"),
            "numpy": (kl_in_numpy, "numpy"),
            "changes the mean": (kl_in_place, "changes its argument `mean`"),
            "a cheat": (lambda mean, log_variance: Agreeable(), "Agreeable"),
            "nothing": (lambda mean, log_variance: None, "return"),
            "from the prior": (kl_from_the_prior, "wrong way round"),
            "log σ in the last term": (kl_of_log_sigma_last, "once too often"),
        },
    },
    "sample": {
        "right": [sample_by_torch, sample_by_loop],
        "wrong": {
            "one ε an example": (sample_one_eps_an_example, "coordinates of an example share one ε"),
            "one ε for the batch": (sample_one_eps_for_the_batch, "examples of the batch share one ε"),
            "one number": (sample_one_number, "share one ε"),
            "variance for σ": (sample_variance, "variance σ²"),
            "uniform": (sample_uniform, "uniform"),
            "no gradient": (sample_without_gradient, "No gradient reaches"),
            "no gradient for σ": (sample_half_detached, "log σ²"),
            "always the same": (sample_seeded, "anew"),
            "the log-variance": (sample_log_variance, "exponential"),
            "the mean alone": (lambda mean, log_variance: mean + 0 * log_variance, "no ε in your draw"),
        },
    },
    "negative_elbo": {
        "right": [loss_by_torch, loss_by_loop],
        "wrong": {
            "sums": (loss_summed, "summed over the batch"),
            "mean over pixels": (loss_mean_pixels, "mean over the pixels"),
            "KL's sign": (loss_kl_sign, "KL has the wrong sign"),
            "mean and sum": (loss_mixed, "summed the KL over the batch"),
            "two sigmoids": (loss_two_sigmoids, "sigmoid"),
            "overflow": (loss_overflowing, "overflows"),
            "squared error": (loss_squared_error, "Gaussian"),
            "the ELBO": (lambda *given: -loss_by_torch(*given), "sign is turned"),
            "one an example": (loss_an_example, "mean over the batch"),
            "a float": (loss_as_number, "item"),
            "two means": (loss_of_pixel_and_latent_means, "values differ"),
            "squared errors": (loss_of_squares, "Gaussian"),
        },
    },
    "variance": {
        "right": [variance_by_loop, variance_by_torch],
        "wrong": {
            "σ": (lambda x, y: torch.sqrt(F.mse_loss(x, y)), "standard deviation"),
            "sum over pixels": (lambda x, y: F.mse_loss(x, y, reduction="sum") / len(x), "summed over the pixels"),
            "centred": (lambda x, y: (x - y).var(unbiased=False), "bias"),
            "absolute": (lambda x, y: F.l1_loss(x, y), "absolute"),
            "a float": (lambda x, y: float(F.mse_loss(x, y)), "a float"),
        },
    },
    "bound": {
        "right": [bound_by_softmax, bound_by_loop],
        "wrong": {
            "mean of logarithms": (lambda p, q: torch.mean(p - q, dim=0), "ELBO"),
            "no log K": (lambda p, q: torch.logsumexp(p - q, dim=0), "log K"),
            "over the batch": (lambda p, q: torch.logsumexp(p - q, 1) - math.log(p.shape[1]), "first axis"),
            "underflow": (lambda p, q: (p - q).exp().mean(0).log(), "overflows to inf"),
            "log q added": (lambda p, q: torch.logsumexp(p + q, 0) - math.log(len(p)), "subtracted"),
            "the largest": (lambda p, q: (p - q).max(0).values, "largest"),
            "weights held fixed": (lambda p, q: bound_by_loop(p, q.detach()), "no gradient reaches `log_q`"),
            "q over p": (bound_upside_down, "upside down"),
        },
    },
    "kl_between": {
        "right": [between_by_torch, between_by_loop],
        "wrong": {
            "exchanged": (lambda a, b, c, d: between_by_torch(c, d, a, b), "exchanged"),
            "divided by the first": (between_shift_by_first, "first variance"),
            "log σ": (between_stds, "log σ² = 2 log σ"),
            "to the prior": (lambda a, b, c, d: kl_by_torch(a, b) + 0 * (c + d).sum(1), "no account of `mean_2`"),
            "no −1": (between_without_one, "−½ of every dimension"),
        },
    },
    "free_bits": {
        "right": [free_by_loop, free_by_maximum],
        "wrong": {
            "min for max": (lambda m, v, t: torch.clamp(divergences(m, v).mean(0), max=t).sum(), "smaller"),
            "each example": (lambda m, v, t: divergences(m, v).clamp(min=t).sum(1).mean(), "every example"),
            "on the sum": (lambda m, v, t: divergences(m, v).sum(1).mean().clamp(min=t), "one allowance"),
            "subtracted": (lambda m, v, t: F.relu(divergences(m, v).mean(0) - t).sum(), "subtracted"),
            "the largest unit": (lambda m, v, t: divergences(m, v).mean(0).amax().clamp(min=t), "largest dimension"),
            "mean over units": (lambda m, v, t: divergences(m, v).mean(0).clamp(min=t).mean(), "latent dimensions"),
        },
    },
    "continuous_bernoulli": {
        "right": [continuous_by_sinh, continuous_nudged],
        "wrong": {
            "greys as bits": (greys_as_bits, "normaliser is missing"),
            "the normaliser turned": (normaliser_turned, "wrong sign"),
            "0 / 0": (continuous_unstable, "extreme"),
            "mean over pixels": (lambda x, logits: continuous_by_sinh(x, logits) / x[0].numel(), "over the pixels"),
        },
    },
}
