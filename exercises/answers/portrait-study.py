"""Answers to the exercises on the portrait study, right and wrong, as students write them."""

import torch

# --- saturation ----------------------------------------------------------------------------------


def saturation_by_sort(x):
    low, _, high = x.sort(1).values.unbind(1)
    return torch.nan_to_num(1 - low / high, nan=0.0).mean((1, 2))


def saturation_by_loop(x):
    found = []
    for picture in x:
        colours = picture.flatten(1).T
        values = [(c.max() - c.min()) / c.max() if c.max() > 0 else torch.tensor(0.0) for c in colours]
        found.append(torch.stack(values).mean())
    return torch.stack(found)


def saturation_without_black(x):
    return ((x.max(1).values - x.min(1).values) / x.max(1).values).mean((-1, -2))


def saturation_is_chroma(x):
    return (x.max(dim=1)[0] - x.min(dim=1)[0]).mean(dim=(1, 2))


def saturation_of_means(x):
    mean = x.flatten(2).mean(-1)
    return 1 - mean.min(1).values / mean.max(1).values


def saturation_of_lightness(x):
    high, low = x.max(1).values, x.min(1).values
    return torch.nan_to_num((high - low) / (high + low)).mean((1, 2))


def saturation_of_batch(x):
    return saturation_by_sort(x).mean()


def saturation_in_percent(x):
    return 100 * saturation_by_sort(x)


def saturation_by_median(x):
    return torch.nan_to_num(1 - x.amin(1) / x.amax(1)).flatten(1).median(1).values


# --- ruler ---------------------------------------------------------------------------------------


def ruler_by_loop(looks, labels, exam):
    kinds = labels.unique()
    means = [looks[labels == k].mean(0) for k in kinds]
    inside = sum(((looks[labels == k] - m) ** 2).sum(0) for k, m in zip(kinds, means))
    scale = torch.sqrt(inside / len(looks))
    return torch.tensor([min(kinds.tolist(), key=lambda k: (((x - means[k]) / scale) ** 2).sum()) for x in exam])


def ruler_by_sums(looks, labels, exam):
    member = torch.nn.functional.one_hot(labels).float()
    means = member.T @ looks / member.sum(0)[:, None]
    variance = (looks - member @ means).pow(2).mean(0)
    return ((exam[:, None] - means) ** 2 / variance).sum(-1).argmin(-1)


def ruler_without_unit(looks, labels, exam):
    means = torch.stack([looks[labels == k].mean(0) for k in range(labels.max() + 1)])
    return ((exam[:, None] - means) ** 2).sum(-1).argmin(-1)


def ruler_whole_spread(looks, labels, exam):
    z = (looks - looks.mean(0)) / looks.std(0)
    e = (exam - looks.mean(0)) / looks.std(0)
    return ruler_without_unit(z, labels, e)


def ruler_own_spread(looks, labels, exam):
    z = (looks - looks.mean(0)) / looks.std(0)
    e = (exam - exam.mean(0)) / exam.std(0)
    return ruler_without_unit(z, labels, e)


def ruler_of_neighbours(looks, labels, exam):
    means = torch.stack([looks[labels == k].mean(0) for k in range(labels.max() + 1)])
    scale = (looks - means[labels]).std(0)
    return labels[(exam[:, None] / scale - looks / scale).norm(dim=-1).argmin(1)]


def ruler_of_distances(looks, labels, exam):
    return ruler_by_sums(looks, labels, exam).float()


def ruler_as_a_list(looks, labels, exam):
    return ruler_by_loop(looks, labels, exam).tolist()


# --- mirror --------------------------------------------------------------------------------------


def mirrored_in_one_pass(net, z, sign):
    both = net(torch.cat([z, z * sign]))
    plain, other = both[: len(z)], both[len(z) :]
    return torch.lerp(plain, other.flip(3), 0.5)


def mirrored_by_index(net, z, sign):
    other = net(torch.where(sign > 0, z, -z))
    return 0.5 * net(z) + 0.5 * other[..., torch.arange(other.shape[-1] - 1, -1, -1)]


def mirrored_upside_down(net, z, sign):
    return torch.stack([net(z), net(sign * z).flip(2)]).mean(0)


def mirrored_same_latents(net, z, sign):
    x = net(z)
    return (x + torch.fliplr(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)) / 2


def mirrored_without_flip(net, z, sign):
    return torch.stack([net(z), net(sign * z)]).mean(0)


def mirrored_sum(net, z, sign):
    return net(z) + net(z * sign).flip(-1)


def mirrored_without_gradient(net, z, sign):
    with torch.no_grad():
        other = net(z * sign).flip(-1)
    return (net(z) + other) / 2


def mirrored_in_place(net, z, sign):
    plain = net(z)
    z *= sign
    return (plain.detach() + net(z).flip(-1)) / 2


def mirrored_first_half(net, z, sign):
    half = torch.ones(z.shape[1])
    half[: z.shape[1] // 2] = -1
    return (net(z) + net(z * half).flip(-1)) / 2


# --- width ---------------------------------------------------------------------------------------


def width_in_one_batch(generator, z, sigma, step):
    n, q = z.shape
    moved = generator((z[:, None] + step * torch.eye(q)).flatten(0, 1)).view(n, q, -1)
    slope = (moved - generator(z).view(n, 1, -1)) / step
    return -(1 + slope.square().sum(-1) / sigma**2).log().detach()


def width_by_loop(generator, z, sigma, step):
    out = torch.zeros_like(z)
    with torch.no_grad():
        for i in range(len(z)):
            for k in range(z.shape[1]):
                there = z[i : i + 1].clone()
                there[0, k] += step
                change = ((generator(there) - generator(z[i : i + 1])) ** 2).sum()
                out[i, k] = torch.log(1 / (1 + change / (step * sigma) ** 2))
    return out


def slopes(generator, z, step):
    n, q = z.shape
    with torch.no_grad():
        moved = generator((z[:, None] + step * torch.eye(q)).flatten(0, 1)).view(n, q, -1)
        return (moved - generator(z).view(n, 1, -1)) / step


def width_without_prior(generator, z, sigma, step):
    return 2 * torch.log(torch.tensor(sigma)) - slopes(generator, z, step).pow(2).sum(2).log()


def width_mean(generator, z, sigma, step):
    return -torch.log(1 + slopes(generator, z, step).pow(2).mean(2) / sigma**2)


def width_precision(generator, z, sigma, step):
    return torch.log(1 + slopes(generator, z, step).pow(2).sum(2) / sigma**2)


def width_of_the_deviation(generator, z, sigma, step):
    return (1 + slopes(generator, z, step).pow(2).sum(2) / sigma**2).rsqrt().log()


def width_sigma_once(generator, z, sigma, step):
    return -torch.log(1 + slopes(generator, z, step).pow(2).sum(2) / sigma)


def width_all_at_once(generator, z, sigma, step):
    with torch.no_grad():
        change = (generator(z + step) - generator(z)).flatten(1).pow(2).sum(1, keepdim=True) / step**2
    return -torch.log1p(change / sigma**2)


def width_clamped(generator, z, sigma, step):
    return -torch.log(1 + slopes(generator, z, step).abs().sum(2) / sigma)


def saturation_with_floor(x):
    high, low = x.amax(1), x.amin(1)
    return ((high - low) / high.clamp(min=0.05)).flatten(1).mean(1)


def saturation_of_extremes(x):
    high, low = x.amax((1, 2, 3)), x.amin((1, 2, 3))
    return (high - low) / high


def width_of_lengths(generator, z, sigma, step):
    with torch.no_grad():
        moved = [(generator(z + e) - generator(z)).flatten(1).norm(dim=1) for e in step * torch.eye(z.shape[1])]
    return -(1 + torch.stack(moved, 1) / step / sigma**2).log()


ANSWERS = {
    "saturation": {
        "right": [saturation_by_sort, saturation_by_loop],
        "wrong": {
            "0/0 at black": (saturation_without_black, "inf or nan"),
            "not divided": (saturation_is_chroma, "not divided by the brightest"),
            "of the mean colour": (saturation_of_means, "mean colour"),
            "HSL": (saturation_of_lightness, "HSL"),
            "one for the batch": (saturation_of_batch, "shape"),
            "percent": (saturation_in_percent, "100"),
            "median": (saturation_by_median, "differ"),
            "a wide floor": (saturation_with_floor, "darker"),
            "colours of the picture": (saturation_of_extremes, "all numbers"),
        },
    },
    "ruler": {
        "right": [ruler_by_loop, ruler_by_sums],
        "wrong": {
            "no unit": (ruler_without_unit, "one unit"),
            "the spread of all": (ruler_whole_spread, "within a kind"),
            "the exam's own spread": (ruler_own_spread, "own mean and spread"),
            "nearest picture": (ruler_of_neighbours, "nearest single picture"),
            "floats": (ruler_of_distances, "int64"),
            "a list": (ruler_as_a_list, "a torch tensor is meant"),
        },
    },
    "mirror": {
        "right": [mirrored_in_one_pass, mirrored_by_index],
        "wrong": {
            "upside down": (mirrored_upside_down, "upside down"),
            "latents not turned": (mirrored_same_latents, "did not turn the latents"),
            "not flipped": (mirrored_without_flip, "did not flip"),
            "no half": (mirrored_sum, "whole"),
            "no gradient": (mirrored_without_gradient, "half of what it paints"),
            "in place": (mirrored_in_place, "in place"),
            "the first half, whatever the signs": (mirrored_first_half, "differ"),
        },
    },
    "width": {
        "right": [width_in_one_batch, width_by_loop],
        "wrong": {
            "no prior": (width_without_prior, "prior is missing"),
            "mean over the values": (width_mean, "adds up"),
            "precision": (width_precision, "precision"),
            "deviation": (width_of_the_deviation, "standard deviation"),
            "σ once": (width_sigma_once, "variance is meant"),
            "all latents at once": (width_all_at_once, "shape"),
            "absolute changes": (width_clamped, "differ"),
            "lengths for squares": (width_of_lengths, "length of the derivative"),
        },
    },
}
