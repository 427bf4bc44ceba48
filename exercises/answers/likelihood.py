"""Answers to the exercises on likelihood, right and wrong, as students write them."""

import math

import numpy as np
import torch
from torch.distributions import Independent, MixtureSameFamily, Normal

# --- bits ----------------------------------------------------------------------------------------


def bits_by_256(log_density, dimensions):
    on_256 = log_density - dimensions * math.log(256)
    return -on_256 / dimensions / math.log(2)


def bits_by_loop(log_density, dimensions):
    return torch.stack([(math.log(256) - v / dimensions) * math.log2(math.e) for v in log_density])


def bits_as_code_length(log_density, dimensions):
    return -log_density / dimensions / np.log(2)


def bits_added(log_density, dimensions):
    return log_density / dimensions / math.log(2) + 8.0


def bits_per_image(log_density, dimensions):
    return 8 - log_density * math.log2(math.e)


def bits_without_log_2(log_density, dimensions):
    return 8.0 - log_density.div(dimensions)


def bits_of_decimal_digits(log_density, dimensions):
    return 8 - log_density / (dimensions * math.log(10))


def bits_averaged(log_density, dimensions):
    return bits_by_256(log_density, dimensions).mean()


def bits_of_a_shared_byte(log_density, dimensions):
    return (8 - log_density / math.log(2)) / dimensions


# --- dequantise ----------------------------------------------------------------------------------


def dequantise_in_place(images):
    noisy = torch.empty(images.shape).uniform_(0, 1)
    noisy += images
    return noisy / 256


def dequantise_by_loop(images):
    return torch.stack([x.float().add(torch.rand(x.shape)).div(256) for x in images])


def dequantise_by_255(images):
    return (images.float() + torch.rand(images.shape)) / 255


def dequantise_centred(images):
    return (images + torch.rand(images.shape) - 0.5) / 256


def dequantise_normal(images):
    return (images + torch.randn(images.shape)) / 256


def dequantise_scaled_first(images):
    return images / 256 + torch.rand(images.shape)


def dequantise_not(images):
    return images.float() / 256


def dequantise_one_draw(images):
    return (images + torch.rand(1)) / 256


def dequantise_one_an_image(images):
    return (images + torch.rand(len(images), 1, 1, 1)) / 256


def dequantise_same_for_all(images):
    return (images + torch.rand(images[0].shape)) / 256


def dequantise_unscaled(images):
    return images + torch.rand(images.shape)


# --- snow ----------------------------------------------------------------------------------------


def snow_stacked(log_p, share):
    terms = torch.stack([log_p + math.log1p(-share), torch.zeros_like(log_p) + math.log(share)])
    return torch.logsumexp(terms, 0)


def snow_by_largest(log_p, share):
    a, b = log_p + math.log(1 - share), torch.full_like(log_p, math.log(share))
    top = torch.maximum(a, b).detach()
    return top + ((a - top).exp() + (b - top).exp()).log()


def snow_directly(log_p, share):
    return ((1 - share) * log_p.exp() + share).log()


def snow_swapped(log_p, share):
    return (share * log_p.exp() + 1 - share).log()


def snow_of_logs(log_p, share):
    return share * math.log(1.0) + (1 - share) * log_p


def snow_density(log_p, share):
    return (1 - share) * log_p.exp() + share


def snow_bound(log_p, share):
    return log_p + np.log(1 - share)


def snow_detached(log_p, share):
    return snow_stacked(log_p.detach(), share)


# --- parzen --------------------------------------------------------------------------------------


def parzen_by_torch(samples, images, h):
    windows = Independent(Normal(samples, torch.full_like(samples, h)), 1)
    mixture = torch.distributions.Categorical(logits=torch.zeros(len(samples)))
    return MixtureSameFamily(mixture, windows).log_prob(images)


def parzen_by_loop(samples, images, h):
    found = [Normal(samples, h).log_prob(x).sum(1).logsumexp(0) for x in images]
    return torch.stack(found) - math.log(len(samples))


def parzen_of_densities(samples, images, h):
    each = Normal(samples, h).log_prob(images[:, None]).sum(2)
    return each.exp().mean(1).log()


def parzen_mean_of_logs(samples, images, h):
    return Normal(samples, h).log_prob(images[:, None]).sum(2).mean(1)


def parzen_without_count(samples, images, h):
    return Normal(samples, h).log_prob(images[:, None]).sum(2).logsumexp(1)


def parzen_variance(samples, images, h):
    return parzen_by_loop(samples, images, h**0.5)


def parzen_of_samples(samples, images, h):
    return parzen_by_loop(images, samples, h)


def parzen_unnormalised(samples, images, h):
    squares = torch.cdist(images, samples) ** 2
    return torch.logsumexp(-squares / (2 * h * h), 1) - math.log(len(samples))


def parzen_mean_pixels(samples, images, h):
    each = Normal(samples, h).log_prob(images[:, None]).mean(2)
    return each.logsumexp(1) - math.log(len(samples))


def parzen_of_distances(samples, images, h):
    constant = samples.shape[1] / 2 * math.log(2 * math.pi * h**2)
    return torch.logsumexp(-torch.cdist(images, samples) / h**2 / 2, 1) - constant - math.log(len(samples))


def parzen_over_images(samples, images, h):
    squares = torch.cdist(images, samples) ** 2
    constant = samples.shape[1] / 2 * math.log(2 * math.pi * h**2)
    return torch.logsumexp(-squares / (2 * h**2), 1) - constant - math.log(images.shape[0])


# --- weight --------------------------------------------------------------------------------------


def weight_by_loop(log_likelihoods, temperatures):
    total = torch.zeros(log_likelihoods.shape[1])
    for j in range(len(log_likelihoods)):
        total = total + (temperatures[j + 1] - temperatures[j]) * log_likelihoods[j]
    return total


def weight_by_einsum(log_likelihoods, temperatures):
    return torch.einsum("j,jc->c", temperatures[1:] - temperatures[:-1], log_likelihoods)


def weight_whole_temperatures(log_likelihoods, temperatures):
    return torch.einsum("j,jc->c", temperatures[1:], log_likelihoods)


def weight_down(log_likelihoods, temperatures):
    return torch.einsum("j,jc->c", temperatures[:-1] - temperatures[1:], log_likelihoods)


def weight_even(log_likelihoods, temperatures):
    return log_likelihoods.sum(0) / len(log_likelihoods)


def weight_of_all_chains(log_likelihoods, temperatures):
    return weight_by_loop(log_likelihoods, temperatures).sum()


def weight_exponential(log_likelihoods, temperatures):
    return weight_by_loop(log_likelihoods, temperatures).exp()


def weight_late(log_likelihoods, temperatures):
    total = torch.zeros(log_likelihoods.shape[1])
    for j in range(1, len(log_likelihoods)):
        total = total + (temperatures[j] - temperatures[j - 1]) * log_likelihoods[j]
    return total


# --- bracket -------------------------------------------------------------------------------------


def bracket_by_mean(forward, backward):
    lift = forward.amax(0), backward.amax(0)
    lower = (forward - lift[0]).exp().mean(0).log() + lift[0]
    return lower, -((backward - lift[1]).exp().mean(0).log() + lift[1])


def bracket_by_columns(forward, backward):
    log_mean = lambda w: torch.stack([c.logsumexp(0) - math.log(len(c)) for c in w.T])
    return log_mean(forward), log_mean(backward).neg()


def bracket_without_minus(forward, backward):
    lower, upper = bracket_by_columns(forward, backward)
    return lower, -upper


def bracket_swapped(forward, backward):
    return bracket_by_columns(forward, backward)[::-1]


def bracket_loose(forward, backward):
    return torch.mean(forward, 0), torch.mean(-backward, 0)


def bracket_sums(forward, backward):
    return torch.logsumexp(forward, 0), -torch.logsumexp(backward, 0)


def bracket_turned_first(forward, backward):
    n = math.log(len(forward))
    return forward.logsumexp(0) - n, (-backward).logsumexp(0) - n


def bracket_overflows(forward, backward):
    return forward.exp().mean(0).log(), -backward.exp().mean(0).log()


def bracket_one_number(forward, backward):
    lower, upper = bracket_by_columns(forward, backward)
    return lower.mean(), upper.mean()


def bracket_sign_of_the_count(forward, backward):
    log_count = math.log(forward.shape[0])
    return torch.logsumexp(forward, 0) - log_count, -torch.logsumexp(backward, 0) - log_count


# --- leapfrog ------------------------------------------------------------------------------------


def leapfrog_in_halves(slope, z, m, size, steps):
    for _ in range(steps):
        m = m - size / 2 * slope(z)
        z = z + size * m
        m = m - size / 2 * slope(z)
    return z, m


def leapfrog_in_a_while(slope, z, m, size, steps):
    m = m - size * slope(z) / 2
    for left in reversed(range(steps)):
        z = z.add(m, alpha=size)
        m = m - slope(z) * (size if left else size / 2)
    return z, m


def leapfrog_uphill(slope, z, m, size, steps):
    return leapfrog_in_halves(lambda z: -slope(z), z, m, size, steps)


def leapfrog_euler(slope, z, m, size, steps):
    for _ in range(steps):
        old = z
        z = z + size * m
        m = m - size * slope(old)
    return z, m


def leapfrog_whole_steps(slope, z, m, size, steps):
    for _ in range(steps):
        m = m - size * slope(z)
        z = z + size * m
    return z, m


def leapfrog_ends_whole(slope, z, m, size, steps):
    m = m - size / 2 * slope(z)
    for _ in range(steps):
        z = z + size * m
        m = m - size * slope(z)
    return z, m


def leapfrog_short(slope, z, m, size, steps):
    return leapfrog_in_halves(slope, z, m, size, steps - 1)


def leapfrog_place_only(slope, z, m, size, steps):
    return leapfrog_in_halves(slope, z, m, size, steps)[0]


def leapfrog_half_as_far(slope, z, m, size, steps):
    return leapfrog_in_halves(slope, z, m, size / 2, steps)


def parzen_constant_of_h(samples, images, h):
    squares = (images[:, None] - samples).square().sum(2) / (2 * h**2)
    constant = 0.5 * samples.shape[1] * math.log(2 * math.pi * h)
    return (-squares).logsumexp(1) - math.log(len(samples)) - constant


def weight_backwards(log_likelihoods, temperatures):
    return temperatures.diff().flip(0) @ log_likelihoods


def dequantise_seeded(images):
    return (images + torch.rand(images.shape, generator=torch.Generator().manual_seed(0))) / 256


ANSWERS = {
    "bits": {
        "right": [bits_by_256, bits_by_loop],
        "wrong": {
            "a density on [0, 256)": (bits_as_code_length, "8 bits are missing"),
            "the sign": (bits_added, "sign"),
            "of a whole image": (bits_per_image, "dimensions"),
            "nats beside bits": (bits_without_log_2, "nats, beside 8 bits"),
            "base 10": (bits_of_decimal_digits, "base 10"),
            "mean over the images": (bits_averaged, "one number an image"),
            "8 bits divided, too": (bits_of_a_shared_byte, "8 bits by the number"),
        },
    },
    "dequantise": {
        "right": [dequantise_in_place, dequantise_by_loop],
        "wrong": {
            "by 255": (dequantise_by_255, "255"),
            "centred": (dequantise_centred, "negative"),
            "normal noise": (dequantise_normal, "own cube"),
            "noise of the size of the range": (dequantise_scaled_first, "exceeds one grey level"),
            "no noise": (dequantise_not, "no noise"),
            "one draw for all": (dequantise_one_draw, "All pixels"),
            "one draw an image": (dequantise_one_an_image, "All pixels"),
            "the same noise for all images": (dequantise_same_for_all, "All images"),
            "not scaled": (dequantise_unscaled, "scale by 256"),
            "a seed of its own": (dequantise_seeded, "Two calls"),
        },
    },
    "snow": {
        "right": [snow_stacked, snow_by_largest],
        "wrong": {
            "overflows": (snow_directly, "overflows"),
            "shares swapped": (snow_swapped, "exchanged"),
            "mixed logarithms": (snow_of_logs, "logarithms"),
            "no logarithm": (snow_density, "exponential"),
            "the bound": (snow_bound, "lower bound"),
            "no gradient": (snow_detached, "no gradient"),
        },
    },
    "parzen": {
        "right": [parzen_by_torch, parzen_by_loop],
        "wrong": {
            "underflows": (parzen_of_densities, "overflows to inf or nan"),
            "mean of logarithms": (parzen_mean_of_logs, "mean of the logarithms"),
            "sum for mean": (parzen_without_count, "number is missing"),
            "h as a variance": (parzen_variance, "standard deviation"),
            "samples and images swapped": (parzen_of_samples, "one number an image"),
            "no constant": (parzen_unnormalised, "constant"),
            "mean over the pixels": (parzen_mean_pixels, "differ"),
            "distances not squared": (parzen_of_distances, "not squared"),
            "the number of images": (parzen_over_images, "number of images"),
            "h for a variance in the constant": (parzen_constant_of_h, "In the constant"),
        },
    },
    "weight": {
        "right": [weight_by_loop, weight_by_einsum],
        "wrong": {
            "whole temperatures": (weight_whole_temperatures, "difference"),
            "from 1 down": (weight_down, "wrong way round"),
            "even steps": (weight_even, "evenly"),
            "sum over the chains": (weight_of_all_chains, "each has its own weight"),
            "not its logarithm": (weight_exponential, "exponential"),
            "after the move": (weight_late, "after its move"),
            "temperatures backwards": (weight_backwards, "backwards"),
        },
    },
    "bracket": {
        "right": [bracket_by_mean, bracket_by_columns],
        "wrong": {
            "no minus": (bracket_without_minus, "lacks its minus"),
            "swapped": (bracket_swapped, "lower one is meant first"),
            "means of logarithms": (bracket_loose, "looser"),
            "sums": (bracket_sums, "number of chains"),
            "1/w turned to w": (bracket_turned_first, "1/w"),
            "overflows": (bracket_overflows, "inf or nan"),
            "mean over the images": (bracket_one_number, "shape"),
            "log K subtracted twice": (bracket_sign_of_the_count, "log K with the wrong sign"),
        },
    },
    "leapfrog": {
        "right": [leapfrog_in_halves, leapfrog_in_a_while],
        "wrong": {
            "uphill": (leapfrog_uphill, "wrong sign"),
            "Euler": (leapfrog_euler, "Euler"),
            "whole steps": (leapfrog_whole_steps, "whole steps only"),
            "ends with a whole step": (leapfrog_ends_whole, "last step of the momentum"),
            "one step short": (leapfrog_short, "too few"),
            "the place alone": (leapfrog_place_only, "2 values"),
            "half the size": (leapfrog_half_as_far, "half of `size`"),
        },
    },
}
