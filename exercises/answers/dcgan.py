"""Answers to the exercises on DCGAN as students write them, right and wrong, and what a reason must say."""

import copy

import torch
from torch.nn import functional as F


def label_loop(x, y, classes):
    maps = x.new_zeros(len(x), classes, x.shape[2], x.shape[3])
    for i, k in enumerate(y.tolist()):
        maps[i, k] = 1
    return torch.cat([x, maps], dim=1)


def label_equal(x, y, classes):
    one_hot = (y[:, None] == torch.arange(classes)).float()
    return torch.cat((x, one_hot.reshape(len(y), classes, 1, 1) * torch.ones_like(x[:, :1])), 1)


def label_number(x, y, classes):
    return torch.cat([x, torch.ones_like(x[:, :1]) * y.view(-1, 1, 1, 1)], 1)


def label_first(x, y, classes):
    return torch.cat([label_loop(x, y, classes)[:, x.shape[1] :], x], 1)


def label_corner(x, y, classes):
    maps = torch.zeros(x.shape[0], classes, x.shape[2], x.shape[3])
    for i in range(len(y)):
        maps[i][y[i]][0][0] = 1.0
    return torch.cat([x, maps], 1)


def label_number_in_each_map(x, y, classes):
    maps = y.float().view(-1, 1, 1, 1).expand(-1, classes, x.shape[2], x.shape[3])
    return torch.cat([x, maps], dim=1)


def up_loop(v, kernel, stride, padding):
    out = torch.zeros((len(v) - 1) * stride + len(kernel), dtype=v.dtype)
    for i in range(len(v)):
        out[i * stride : i * stride + len(kernel)] += v[i] * kernel
    return out[padding : len(out) - padding]


def up_matrix(v, kernel, stride, padding):
    n, k = len(v), len(kernel)
    rows = []
    for i in range(n):
        rows.append(F.pad(kernel, (i * stride, (n - 1 - i) * stride)))
    full = v @ torch.stack(rows)
    return full[padding : len(full) - padding]


def up_flipped(v, kernel, stride, padding):
    spread = torch.zeros((len(v) - 1) * stride + 1, dtype=v.dtype)
    spread[::stride] = v
    wide = F.pad(spread, (len(kernel) - 1 - padding,) * 2)
    return F.conv1d(wide[None, None], kernel[None, None])[0, 0]  # cross-correlation without the flip


def up_assign(v, kernel, stride, padding):
    out = torch.zeros((len(v) - 1) * stride + len(kernel), dtype=v.dtype)
    for i in range(len(v)):
        out[i * stride : i * stride + len(kernel)] = v[i] * kernel
    return out[padding : len(out) - padding]


def up_unpadded(v, kernel, stride, padding):
    out = torch.zeros((len(v) - 1) * stride + len(kernel), dtype=v.dtype)
    for i in range(len(v)):
        out[i * stride : i * stride + len(kernel)] += v[i] * kernel
    return out


def up_stride_one(v, kernel, stride, padding):
    return up_loop(v, kernel, 1, padding)


def up_numbers(v, kernel, stride, padding):
    out = [0.0] * ((len(v) - 1) * stride + len(kernel))
    for i in range(len(v)):
        for j in range(len(kernel)):
            out[i * stride + j] += v[i].item() * kernel[j].item()
    return torch.tensor(out[padding : len(out) - padding], dtype=v.dtype)


def up_empty_without_padding(v, kernel, stride, padding):
    row = torch.zeros((len(v) - 1) * stride + len(kernel), dtype=v.dtype)
    for i in range(len(v)):
        row[i * stride : i * stride + len(kernel)] += v[i] * kernel
    return row[padding:-padding]


def norm_torch(x, eps):
    return F.batch_norm(x, None, None, training=True, eps=eps)


def norm_flat(x, eps):
    rows = x.transpose(0, 1).flatten(1)
    rows = rows - rows.mean(1, keepdim=True)
    rows = rows / torch.sqrt((rows**2).mean(1, keepdim=True) + eps)
    return rows.view(x.shape[1], x.shape[0], *x.shape[2:]).transpose(0, 1)


def norm_pixels(x, eps):
    return (x - x.mean(0)) / torch.sqrt(x.var(0, unbiased=False) + eps)


def norm_instance(x, eps):
    return F.instance_norm(x, eps=eps)


def norm_default_var(x, eps):
    dims = (0, 2, 3)
    return (x - x.mean(dims, keepdim=True)) / torch.sqrt(x.var(dims, keepdim=True) + eps)


def norm_outside(x, eps):
    m = x.mean((0, 2, 3)).view(1, -1, 1, 1)
    s = x.std((0, 2, 3), unbiased=False).view(1, -1, 1, 1)
    return (x - m) / (s + eps)


def norm_no_grad(x, eps):
    with torch.no_grad():
        m = x.mean((0, 2, 3), keepdim=True)
        v = ((x - m) ** 2).mean((0, 2, 3), keepdim=True)
    return (x - m) / (v + eps) ** 0.5


def stack_entropy(generator, discriminator, x, z):
    bce = F.binary_cross_entropy_with_logits
    fakes = generator(z)
    real, fake = discriminator(x), discriminator(fakes.detach())
    d_loss = bce(real, torch.ones_like(real)) + bce(fake, torch.zeros_like(fake))
    for p in discriminator.parameters():
        p.requires_grad = False
    fooled = discriminator(fakes)
    for p in discriminator.parameters():
        p.requires_grad = True
    return d_loss, bce(fooled, torch.ones_like(fooled))


def stack_copy(generator, discriminator, x, z):
    with torch.no_grad():
        caught = generator(z)
    d_loss = -F.logsigmoid(discriminator(x)).mean() - F.logsigmoid(-discriminator(caught)).mean()
    frozen = copy.deepcopy(discriminator).requires_grad_(False)
    return d_loss, -F.logsigmoid(frozen(generator(z))).mean()


def stack_leak(generator, discriminator, x, z):
    fakes = generator(z)
    d_loss = F.softplus(-discriminator(x)).mean() + F.softplus(discriminator(fakes)).mean()
    frozen = copy.deepcopy(discriminator).requires_grad_(False)
    return d_loss, F.softplus(-frozen(fakes)).mean()


def stack_unfrozen(generator, discriminator, x, z):
    bce = F.binary_cross_entropy_with_logits
    fakes = generator(z)
    ones, zeros = torch.ones(len(x)), torch.zeros(len(x))
    d_loss = bce(discriminator(x), ones) + bce(discriminator(fakes.detach()), zeros)
    return d_loss, bce(discriminator(fakes), ones)


def stack_detached(generator, discriminator, x, z):
    fakes = generator(z).detach()
    d_loss = F.softplus(-discriminator(x)).mean() + F.softplus(discriminator(fakes)).mean()
    frozen = copy.deepcopy(discriminator).requires_grad_(False)
    return d_loss, F.softplus(-frozen(fakes)).mean()


def stack_saturating(generator, discriminator, x, z):
    d_loss, _ = stack_copy(generator, discriminator, x, z)
    frozen = copy.deepcopy(discriminator).requires_grad_(False)
    return d_loss, torch.log(1 - torch.sigmoid(frozen(generator(z)))).mean()


def stack_halved(generator, discriminator, x, z):
    d_loss, g_loss = stack_copy(generator, discriminator, x, z)
    return 0.5 * d_loss, g_loss


def stack_never_thawed(generator, discriminator, x, z):
    fakes = generator(z)
    first = F.softplus(-discriminator(x)).mean() + F.softplus(discriminator(fakes.detach())).mean()
    for parameter in discriminator.parameters():
        parameter.requires_grad = False
    return first, F.softplus(-discriminator(fakes)).mean()


def stack_two_sigmoids(generator, discriminator, x, z):
    entropy = lambda p, label: F.binary_cross_entropy_with_logits(p, torch.full_like(p, label))
    fakes = generator(z)
    real, fake = discriminator(x).sigmoid(), discriminator(fakes.detach()).sigmoid()
    first = entropy(real, 1.0) + entropy(fake, 0.0)
    discriminator.requires_grad_(False)
    second = entropy(discriminator(fakes).sigmoid(), 1.0)
    discriminator.requires_grad_(True)
    return first, second


def hinge_maximum(real, fake):
    zero = torch.zeros_like(real)
    d_loss = torch.maximum(zero, 1 - real).mean() + torch.maximum(zero, 1 + fake).mean()
    return d_loss, -torch.mean(fake)


def hinge_clamp(real, fake):
    return ((1 - real).clamp(min=0) + (1 + fake).clamp(min=0)).mean(), (-fake).mean()


def hinge_probability(real, fake):
    real, fake = torch.sigmoid(real), torch.sigmoid(fake)
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean(), -fake.mean()


def hinge_swapped(real, fake):
    return F.relu(1 + real).mean() + F.relu(1 - fake).mean(), -fake.mean()


def hinge_for_both(real, fake):
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean(), F.relu(1 - fake).mean()


def hinge_sum(real, fake):
    return F.relu(1 - real).sum() + F.relu(1 + fake).sum(), -fake.sum()


def hinge_plus(real, fake):
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean(), fake.mean()


def hinge_same_for_fakes(real, fake):
    return torch.clamp(1 - real, min=0).mean() + torch.clamp(1 - fake, min=0).mean(), -fake.mean()


def hinge_same_for_real(real, fake):
    return torch.clamp(1 + real, min=0).mean() + torch.clamp(1 + fake, min=0).mean(), -fake.mean()


def hinge_upwards(real, fake):
    return -F.relu(1 - real).mean() - F.relu(1 + fake).mean(), -fake.mean()


ANSWERS = {
    "label": {
        "right": [label_loop, label_equal],
        "wrong": {
            "the label as a number": (label_number, "number"),
            "maps first": (label_first, "before the picture"),
            "one pixel": (label_corner, "every pixel"),
            "the number in every map": (label_number_in_each_map, "Every map holds"),
        },
    },
    "transposed": {
        "right": [up_loop, up_matrix],
        "wrong": {
            "kernel flipped": (up_flipped, "turned the kernel"),
            "assigned, not added": (up_assign, "added"),
            "no padding": (up_unpadded, "padding"),
            "stride ignored": (up_stride_one, "stride"),
            "gradient lost": (up_numbers, "gradient"),
            "cut to −padding": (up_empty_without_padding, "a slice that ends at −0"),
        },
    },
    "normalise": {
        "right": [norm_torch, norm_flat],
        "wrong": {
            "every pixel its own": (norm_pixels, "every pixel"),
            "instance norm": (norm_instance, "instance normalisation"),
            "unbiased variance": (norm_default_var, "one less"),
            "eps outside": (norm_outside, "under the root"),
            "no_grad around the statistics": (norm_no_grad, "cut off"),
        },
    },
    "stack": {
        "right": [stack_entropy, stack_copy],
        "wrong": {
            "no detach": (stack_leak, "detach the fakes in step 1"),
            "not frozen": (stack_unfrozen, "not frozen"),
            "detached too early": (stack_detached, "detached the fakes in step 2"),
            "saturating": (stack_saturating, "saturating"),
            "halved": (stack_halved, "averaged"),
            "never thawed": (stack_never_thawed, "still frozen"),
            "two sigmoids": (stack_two_sigmoids, "twice"),
        },
    },
    "hinge": {
        "right": [hinge_maximum, hinge_clamp],
        "wrong": {
            "probabilities": (hinge_probability, "sigmoid"),
            "signs": (hinge_swapped, "signs are turned"),
            "a hinge for the generator": (hinge_for_both, "no hinge"),
            "sums": (hinge_sum, "summed"),
            "generator's sign": (hinge_plus, "generator's sign"),
            "fakes as real ones": (hinge_same_for_fakes, "fakes' hinge"),
            "real ones as fakes": (hinge_same_for_real, "real pictures' hinge"),
            "the critic's loss turned": (hinge_upwards, "the first is not"),
        },
    },
}
