"""Answers to the exercises on Wasserstein GANs as students write them, right and wrong, and what a reason must say."""

import torch
from scipy.stats import wasserstein_distance
from torch import autograd, nn
from torch.nn import functional as F
from torch.nn.utils import parameters_to_vector


def line_loop(x, p, y, q):
    stops = sorted([*((place, mass) for place, mass in zip(x, p)), *((place, -mass) for place, mass in zip(y, q))],
                   key=lambda stop: stop[0].item())  # fmt: skip
    total, carried = 0.0, 0.0
    for (here, mass), (there, _) in zip(stops, stops[1:]):
        carried = carried + mass
        total = total + abs(carried) * (there - here)
    return total


def line_cdf(x, p, y, q):
    edges = torch.cat([x, y]).sort().values
    left = edges[:-1]
    first = (p * (x <= left[:, None])).sum(1)
    second = (q * (y <= left[:, None])).sum(1)
    return torch.sum(torch.abs(first - second) * (edges[1:] - left))


def line_scipy(x, p, y, q):
    return torch.tensor(wasserstein_distance(x.detach(), y.detach(), p, q), dtype=x.dtype)


def line_means(x, p, y, q):
    return torch.abs((p * x).sum() - (q * y).sum())


def line_masses(x, p, y, q):
    places = torch.cat((x, y))
    order = torch.argsort(places)
    mass = torch.cat((p, -q))[order]
    return (mass.abs()[:-1] * torch.diff(places[order])).sum()


def line_unsorted_masses(x, p, y, q):
    places = torch.cat([x, y]).sort()[0]
    return (torch.cumsum(torch.cat([p, -q]), 0)[:-1].abs() * (places[1:] - places[:-1])).sum()


def line_no_widths(x, p, y, q):
    order = torch.cat([x, y]).argsort()
    return torch.cat([p, -q])[order].cumsum(0)[:-1].abs().sum()


def line_unweighted(x, p, y, q):
    return line_cdf(x, torch.ones_like(p) / len(p), y, torch.ones_like(q) / len(q))


def line_cramer(x, p, y, q):
    edges = torch.cat([x, y]).sort().values
    gap = (p * (x <= edges[:-1, None])).sum(1) - (q * (y <= edges[:-1, None])).sum(1)
    return (gap**2 * edges.diff()).sum()


def losses_labels(real, fake):
    return -torch.mean(real) + torch.mean(fake), -torch.mean(fake)


def losses_of_labels(real, fake):
    wasserstein = lambda scores, label: (label * scores).mean()
    ones = torch.ones_like
    return wasserstein(real, -ones(real)) + wasserstein(fake, ones(fake)), wasserstein(fake, -ones(fake))


def losses_ascent(real, fake):
    return real.mean() - fake.mean(), -fake.mean()


def losses_entropy(real, fake):
    bce = F.binary_cross_entropy_with_logits
    critic = bce(real, torch.ones_like(real)) + bce(fake, torch.zeros_like(fake))
    return critic, bce(fake, torch.ones_like(fake))


def losses_sigmoid(real, fake):
    return torch.sigmoid(fake).mean() - torch.sigmoid(real).mean(), -torch.sigmoid(fake).mean()


def losses_abs(real, fake):
    return -torch.abs(real.mean() - fake.mean()), -fake.mean()


def losses_plus(real, fake):
    return fake.mean() - real.mean(), fake.mean()


def losses_sum(real, fake):
    return fake.sum() - real.sum(), -fake.sum()


def losses_items(real, fake):
    return torch.tensor(fake.mean().item() - real.mean().item()), -fake.mean()


def bound_loop(g, x, y):
    total = 0.0
    for point in x:
        total = total + torch.min(g + torch.linalg.norm(point - y, dim=1))
    return total / len(x) - g.sum() / len(g)


def bound_cdist(g, x, y):
    f = (torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist") + g[None]).min(dim=1).values
    return f.mean() - g.mean()


def bound_max(g, x, y):
    return (g + torch.cdist(x, y)).max(1).values.mean() - g.mean()


def bound_minus(g, x, y):
    return (g - torch.cdist(x, y)).max(1).values.mean() - g.mean()


def bound_axis(g, x, y):
    return (torch.cdist(x, y) + g).min(0)[0].mean() - g.mean()


def bound_squared(g, x, y):
    cost = ((x[:, None] - y[None]) ** 2).sum(-1)
    return (g + cost).min(1).values.mean() - g.mean()


def bound_nearest(g, x, y):
    cost = torch.cdist(x, y)
    nearest = cost.argmin(1)
    return (g[nearest] + cost.min(1).values).mean() - g.mean()


def bound_manhattan(g, x, y):
    return (g + torch.cdist(x, y, p=1)).min(1).values.mean() - g.mean()


def bound_turned(g, x, y):
    return g.mean() - (g + torch.cdist(x, y)).min(1).values.mean()


def slopes_at(critic, x, **options):
    x = x.detach().requires_grad_(True)
    scores = critic(x)
    return autograd.grad(scores, x, grad_outputs=torch.ones_like(scores), create_graph=True, **options)[0]


def gp_view(critic, real, fake):
    alpha = torch.rand(real.size(0), 1, 1, 1, dtype=real.dtype)
    gradients = slopes_at(critic, alpha * real + (1 - alpha) * fake, retain_graph=True, only_inputs=True)
    gradients = gradients.view(gradients.size(0), -1)
    return ((gradients.norm(2, dim=1) - 1) ** 2).mean()


def gp_sqrt(critic, real, fake):
    eps = torch.rand(len(real), dtype=real.dtype).view(-1, 1, 1, 1)
    slopes = slopes_at(critic, real + eps * (fake - real))
    return torch.mean((torch.sqrt((slopes**2).sum((1, 2, 3)) + 1e-10) - 1.0) ** 2)


def gp_channels(critic, real, fake):
    alpha = torch.rand(real.size(0), 1, 1, 1, dtype=real.dtype)
    gradients = slopes_at(critic, alpha * real + (1 - alpha) * fake)
    return ((gradients.norm(2, dim=1) - 1) ** 2).mean()


def gp_pixels(critic, real, fake):
    alpha = torch.rand(real.shape, dtype=real.dtype)
    return ((slopes_at(critic, alpha * real + (1 - alpha) * fake).flatten(1).norm(dim=1) - 1) ** 2).mean()


def gp_one_share(critic, real, fake):
    alpha = torch.rand(1, dtype=real.dtype)
    return ((slopes_at(critic, alpha * real + (1 - alpha) * fake).flatten(1).norm(dim=1) - 1) ** 2).mean()


def gp_normal(critic, real, fake):
    alpha = torch.randn(len(real), 1, 1, 1, dtype=real.dtype)
    return ((slopes_at(critic, real + alpha * (fake - real)).flatten(1).norm(dim=1) - 1) ** 2).mean()


def gp_at_real(critic, real, fake):
    return ((slopes_at(critic, real).flatten(1).norm(dim=1) - 1) ** 2).mean()


def gp_at_both(critic, real, fake):
    return ((slopes_at(critic, torch.cat([real, fake])).flatten(1).norm(dim=1) - 1) ** 2).mean()


def gp_without_graph(critic, real, fake):
    alpha = torch.rand(len(real), 1, 1, 1, dtype=real.dtype)
    x = (alpha * real + (1 - alpha) * fake).requires_grad_()
    gradients = autograd.grad(critic(x).sum(), x)[0]
    return ((gradients.flatten(1).norm(dim=1) - 1) ** 2).mean()


def gp_bare_root(critic, real, fake):
    alpha = torch.rand(len(real), 1, 1, 1, dtype=real.dtype)
    gradients = slopes_at(critic, alpha * real + (1 - alpha) * fake)
    return ((gradients.square().sum((1, 2, 3)).sqrt() - 1) ** 2).mean()


def gp_mean_first(critic, real, fake):
    alpha = torch.rand(len(real), 1, 1, 1, dtype=real.dtype)
    norms = slopes_at(critic, alpha * real + (1 - alpha) * fake).flatten(1).norm(dim=1)
    return (norms.mean() - 1) ** 2


def gp_no_root(critic, real, fake):
    alpha = torch.rand(len(real), 1, 1, 1, dtype=real.dtype)
    gradients = slopes_at(critic, alpha * real + (1 - alpha) * fake)
    return (((gradients**2).sum((1, 2, 3)) - 1) ** 2).mean()


def gp_mean_score(critic, real, fake):
    alpha = torch.rand(len(real), 1, 1, 1, dtype=real.dtype)
    x = (alpha * real + (1 - alpha) * fake).requires_grad_()
    gradients = autograd.grad(critic(x).mean(), x, create_graph=True)[0]
    return ((gradients.flatten(1).norm(dim=1) - 1) ** 2).mean()


def gp_lambda(critic, real, fake):
    return 10 * gp_view(critic, real, fake)


def as_vectors(critic, generator):
    return tuple(parameters_to_vector(net.parameters()).detach() for net in (critic, generator))


def sgd(net, rate):
    return torch.optim.SGD(net.parameters(), lr=rate)


def move(optimizer, loss):
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def clip(net, bound):
    for p in net.parameters():
        p.data.clamp_(-bound, bound)


def round_optimizers(critic, generator, x, z, rate, bound):
    d, g = sgd(critic, rate), sgd(generator, rate)
    for real, latent in zip(x, z[:-1]):
        move(d, -(critic(real).mean() - critic(generator(latent).detach()).mean()))
        clip(critic, bound)
    move(g, -critic(generator(z[-1])).mean())
    return as_vectors(critic, generator)


def round_by_hand(critic, generator, x, z, rate, bound):
    for i in range(len(x)):
        loss = critic(generator(z[i])).mean() - critic(x[i]).mean()
        grads = torch.autograd.grad(loss, list(critic.parameters()))
        with torch.no_grad():
            for p, g in zip(critic.parameters(), grads):
                p.copy_((p - rate * g).clamp(-bound, bound))
    loss = -critic(generator(z[len(x)])).mean()
    for p, g in zip(generator.parameters(), torch.autograd.grad(loss, list(generator.parameters()))):
        p.data -= rate * g
    return as_vectors(critic, generator)


def round_before(critic, generator, x, z, rate, bound):
    d, g = sgd(critic, rate), sgd(generator, rate)
    for real, latent in zip(x, z[:-1]):
        clip(critic, bound)
        move(d, critic(generator(latent).detach()).mean() - critic(real).mean())
    move(g, -critic(generator(z[-1])).mean())
    return as_vectors(critic, generator)


def round_clips_both(critic, generator, x, z, rate, bound):
    d, g = sgd(critic, rate), sgd(generator, rate)
    for real, latent in zip(x, z[:-1]):
        move(d, critic(generator(latent).detach()).mean() - critic(real).mean())
        for net in (critic, generator):
            clip(net, bound)
    move(g, -critic(generator(z[-1])).mean())
    clip(generator, bound)
    return as_vectors(critic, generator)


def round_clips_gradients(critic, generator, x, z, rate, bound):
    d, g = sgd(critic, rate), sgd(generator, rate)
    for real, latent in zip(x, z[:-1]):
        d.zero_grad()
        (critic(generator(latent).detach()).mean() - critic(real).mean()).backward()
        nn.utils.clip_grad_value_(critic.parameters(), bound)
        d.step()
    move(g, -critic(generator(z[-1])).mean())
    return as_vectors(critic, generator)


def round_clips_late(critic, generator, x, z, rate, bound):
    d, g = sgd(critic, rate), sgd(generator, rate)
    for real, latent in zip(x, z[:-1]):
        move(d, critic(generator(latent).detach()).mean() - critic(real).mean())
    move(g, -critic(generator(z[-1])).mean())
    clip(critic, bound)
    return as_vectors(critic, generator)


def round_same_batch(critic, generator, x, z, rate, bound):
    d, g = sgd(critic, rate), sgd(generator, rate)
    for _ in range(len(x)):
        move(d, critic(generator(z[0]).detach()).mean() - critic(x[0]).mean())
        clip(critic, bound)
    move(g, -critic(generator(z[-1])).mean())
    return as_vectors(critic, generator)


def round_never_zeroed(critic, generator, x, z, rate, bound):
    d, g = sgd(critic, rate), sgd(generator, rate)
    for real, latent in zip(x, z[:-1]):
        (critic(generator(latent).detach()).mean() - critic(real).mean()).backward()
        d.step()
        clip(critic, bound)
    move(g, -critic(generator(z[-1])).mean())
    return as_vectors(critic, generator)


def round_climbs(critic, generator, x, z, rate, bound):
    d, g = sgd(critic, rate), sgd(generator, rate)
    for real, latent in zip(x, z[:-1]):
        move(d, critic(real).mean() - critic(generator(latent).detach()).mean())
        clip(critic, bound)
    move(g, -critic(generator(z[-1])).mean())
    return as_vectors(critic, generator)


def steepest_no_grad(weight, u, steps):
    w = weight.reshape(weight.shape[0], -1)
    with torch.no_grad():
        for _ in range(steps):
            v = F.normalize(w.t() @ u, dim=0)
            u = F.normalize(w @ v, dim=0)
    return torch.dot(u, torch.mv(w, v)), u


def steepest_detach(weight, u, steps):
    rows = weight.flatten(1)
    fixed = rows.detach()
    for _ in range(steps):
        v = fixed.T.mv(u)
        v = v / v.norm()
        u = fixed.mv(v)
        u = u / u.norm()
    return (rows * torch.outer(u, v)).sum(), u


def steepest_frobenius(weight, u, steps):
    return weight.norm(), steepest_detach(weight, u, steps)[1]


def steepest_svd(weight, u, steps):
    sigma = torch.linalg.svdvals(weight.flatten(1))[0]
    return sigma, steepest_detach(weight, u, steps)[1]


def steepest_through(weight, u, steps):
    w = weight.flatten(1)
    for _ in range(steps):
        v = F.normalize(w.t() @ u, dim=0)
        u = F.normalize(w @ v, dim=0)
    return u @ w @ v, u.detach()


def steepest_summed(weight, u, steps):
    return steepest_detach(weight.sum(dim=(2, 3)), u, steps)


def steepest_unnormalised(weight, u, steps):
    w = weight.flatten(1)
    for _ in range(steps):
        v = w.detach().t() @ u
        u = w.detach() @ v
    return u @ w @ v, u


def steepest_all_cut(weight, u, steps):
    return steepest_no_grad(weight.detach(), u, steps)


def losses_positive(real, fake):
    return (real.mean() - fake.mean()).abs(), -fake.mean()


def bound_g_subtracted(g, x, y):
    return (torch.cdist(x, y) - g).amin(1).mean() - g.mean()


def clipping_late(critic, generator, x, z, rate, bound):
    played = torch.optim.SGD(critic.parameters(), lr=rate)
    for real, latents in zip(x, z):
        played.zero_grad()
        (critic(generator(latents).detach()).mean() - critic(real).mean()).backward()
        played.step()
    for parameter in critic.parameters():
        parameter.data.clamp_(-bound, bound)
    played = torch.optim.SGD(generator.parameters(), lr=rate)
    played.zero_grad()
    (-critic(generator(z[-1])).mean()).backward()
    played.step()
    return tuple(parameters_to_vector(net.parameters()).detach() for net in (critic, generator))


ANSWERS = {
    "distance": {
        "right": [line_loop, line_cdf],
        "wrong": {
            "difference of the means": (line_means, "cancel"),
            "masses for running sums": (line_masses, "running sum"),
            "masses not sorted": (line_unsorted_masses, "stay with its place"),
            "no widths": (line_no_widths, "width of the gap"),
            "all samples alike": (line_unweighted, "its own mass"),
            "squared": (line_cramer, "Cramér"),
            "scipy, without gradient": (line_scipy, "no gradient reaches `x`"),
        },
    },
    "losses": {
        "right": [losses_labels, losses_of_labels],
        "wrong": {
            "the critic climbs": (losses_ascent, "critic's sign is turned"),
            "cross-entropy": (losses_entropy, "no logarithm"),
            "sigmoid": (losses_sigmoid, "no probability"),
            "absolute value": (losses_abs, "the wrong way round"),
            "generator's sign": (losses_plus, "generator's sign is turned"),
            "sums": (losses_sum, "you summed"),
            "items": (losses_items, "no gradient reaches `real`"),
            "a distance for a loss": (losses_positive, "is an absolute value"),
        },
    },
    "bound": {
        "right": [bound_loop, bound_cdist],
        "wrong": {
            "largest": (bound_max, "largest over the generated samples"),
            "from below": (bound_minus, "smallest such function"),
            "other axis": (bound_axis, "other axis"),
            "squared": (bound_squared, "squared"),
            "at the nearest": (bound_nearest, "need not lie there"),
            "Manhattan": (bound_manhattan, "Euclidean"),
            "turned": (bound_turned, "turned"),
            "g subtracted in f": (bound_g_subtracted, "subtracted"),
        },
    },
    "penalty": {
        "right": [gp_view, gp_sqrt],
        "wrong": {
            "norm of channels": (gp_channels, "over the channels only"),
            "ε one a pixel": (gp_pixels, "for every pixel"),
            "ε one a batch": (gp_one_share, "whole batch"),
            "ε normal": (gp_normal, "outside of [0, 1]"),
            "at real pictures": (gp_at_real, "at the real pictures only"),
            "at real and generated": (gp_at_both, "not between them"),
            "no graph": (gp_without_graph, "create_graph=True"),
            "root at zero": (gp_bare_root, "nan"),
            "mean first": (gp_mean_first, "The mean comes last"),
            "no root": (gp_no_root, "root is missing"),
            "mean score": (gp_mean_score, "Differentiate the sum"),
            "with its weight": (gp_lambda, "weight λ"),
        },
    },
    "clipping": {
        "right": [round_optimizers, round_by_hand],
        "wrong": {
            "clipped before": (round_before, "clip before a step"),
            "both clipped": (round_clips_both, "generator's weights as well"),
            "gradients clipped": (round_clips_gradients, "clip the *gradients*"),
            "clipped at the end": (round_clips_late, "clip once"),
            "one batch": (round_same_batch, "first batch"),
            "never zeroed": (round_never_zeroed, "pile up"),
            "climbs": (round_climbs, "climbs"),
            "clipped after the last step": (clipping_late, "after the critic's last step"),
        },
    },
    "steepest": {
        "right": [steepest_no_grad, steepest_detach],
        "wrong": {
            "Frobenius": (steepest_frobenius, "all weights together"),
            "exact": (steepest_svd, "exact largest"),
            "through the iteration": (steepest_through, "runs through the power iteration"),
            "kernel summed": (steepest_summed, "sum the kernel's places"),
            "not normalised": (steepest_unnormalised, "length 1"),
            "cut off": (steepest_all_cut, "no gradient reaches `weight`"),
        },
    },
}
