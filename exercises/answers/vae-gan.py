"""Answers to the exercises on VAE-GAN as students write them, right and wrong, and what a reason must say."""

import numpy as np
import torch
from sklearn.metrics import mutual_info_score
from torch.nn import functional as F


def unlike_loop(features, x, again):
    one, other = features(x), features(again)
    return sum(0.5 * ((a - b) ** 2).sum() for a, b in zip(one, other)) / len(x)


def unlike_mse(features, x, again):
    return 0.5 * F.mse_loss(features(again), features(x).detach(), reduction="sum") / x.shape[0]


def unlike_mean(features, x, again):
    return ((features(x) - features(again)) ** 2).mean()


def unlike_pixels(features, x, again):
    return 0.5 * ((x - again) ** 2).sum((1, 2, 3)).mean()


def unlike_whole(features, x, again):
    return ((features(x) - features(again)) ** 2).flatten(1).sum(1).mean()


def unlike_l1(features, x, again):
    return (features(x) - features(again)).abs().sum((1, 2, 3)).mean()


def unlike_sum(features, x, again):
    return 0.5 * torch.sum((features(x) - features(again)) ** 2)


def unlike_no_grad(features, x, again):
    with torch.no_grad():
        one, other = features(x), features(again)
    return 0.5 * (one - other).square().flatten(1).sum(1).mean()


def bce(scores, label):
    return F.binary_cross_entropy_with_logits(scores, torch.full_like(scores, label))


def three_entropies(prior, unlike, real, again, drawn, gamma):
    return {
        "encoder": (prior + unlike).mean(),
        "decoder": gamma * unlike.mean() + bce(again, 1.0) + bce(drawn, 1.0),
        "discriminator": bce(real, 1.0) + bce(again, 0.0) + bce(drawn, 0.0),
    }


def three_logs(prior, unlike, real, again, drawn, gamma):
    log = F.logsigmoid
    judge = -(log(real) + log(-again) + log(-drawn)).mean()
    paint = (gamma * unlike - log(again) - log(drawn)).mean()
    return dict(discriminator=judge, decoder=paint, encoder=prior.mean() + unlike.mean())


def three_shared(prior, unlike, real, again, drawn, gamma):
    right = three_entropies(prior, unlike, real, again, drawn, gamma)
    return right | {"encoder": prior.mean() + unlike.mean() + bce(again, 1.0) + bce(drawn, 1.0)}


def three_gamma_for_both(prior, unlike, real, again, drawn, gamma):
    right = three_entropies(prior, unlike, real, again, drawn, gamma)
    return right | {"encoder": prior.mean() + gamma * unlike.mean()}


def three_gamma_on_gan(prior, unlike, real, again, drawn, gamma):
    right = three_entropies(prior, unlike, real, again, drawn, gamma)
    return right | {"decoder": unlike.mean() + gamma * (bce(again, 1.0) + bce(drawn, 1.0))}


def three_minus_gan(prior, unlike, real, again, drawn, gamma):
    right = three_entropies(prior, unlike, real, again, drawn, gamma)
    gan = bce(real, 1.0) + bce(again, 0.0) + bce(drawn, 0.0)
    return right | {"decoder": gamma * unlike.mean() - gan}


def three_two_kinds(prior, unlike, real, again, drawn, gamma):
    right = three_entropies(prior, unlike, real, again, drawn, gamma)
    return right | {"discriminator": bce(real, 1.0) + bce(drawn, 0.0)}


def three_halved(prior, unlike, real, again, drawn, gamma):
    right = three_entropies(prior, unlike, real, again, drawn, gamma)
    return right | {"discriminator": bce(real, 1.0) + 0.5 * (bce(again, 0.0) + bce(drawn, 0.0))}


def three_ruler(prior, unlike, real, again, drawn, gamma):
    right = three_entropies(prior, unlike, real, again, drawn, gamma)
    return right | {"discriminator": right["discriminator"] + unlike.mean()}


def pure_inverse(z, factors, which):
    design = torch.cat([torch.ones(len(z), 1, dtype=z.dtype), factors], dim=1)
    return (torch.linalg.pinv(design) @ z)[which + 1]


def pure_partial(z, factors, which):
    others = torch.cat([factors[:, :which], factors[:, which + 1 :], torch.ones_like(factors[:, :1])], 1)
    rest = factors[:, which] - others @ torch.linalg.lstsq(others, factors[:, which]).solution
    return rest @ z / (rest @ rest)


def pure_alone(z, factors, which):
    f = factors[:, which] - factors[:, which].mean()
    return (f[:, None] * (z - z.mean(0))).sum(0) / f.square().sum()


def pure_reader(z, factors, which):
    design = torch.cat([z, torch.ones(len(z), 1, dtype=z.dtype)], 1)
    return torch.linalg.lstsq(design, factors).solution[:-1, which]


def pure_without_ones(z, factors, which):
    return torch.linalg.lstsq(factors, z).solution[which]


def pure_unit(z, factors, which):
    found = pure_inverse(z, factors, which)
    return found / found.norm()


def pure_halves(z, factors, which):
    high = factors[:, which] > torch.median(factors[:, which])
    return z[high].mean(0) - z[~high].mean(0)


def information(codes, factors):
    return np.array([[mutual_info_score(c, f) for f in factors.T.numpy()] for c in codes.T.numpy()])


def entropies(factors):
    return np.array([mutual_info_score(f, f) for f in factors.T.numpy()])


def gap_sklearn(codes, factors):
    found = np.sort(information(codes, factors), axis=0)
    return float(np.mean((found[-1] - found[-2]) / entropies(factors)))


def gap_counts(codes, factors):
    gaps = []
    for f in factors.T:
        of_f = torch.bincount(f).double() / len(f)
        own = -(of_f[of_f > 0] * of_f[of_f > 0].log()).sum().item()
        found = []
        for c in codes.T:
            joint = torch.zeros(int(c.max()) + 1, int(f.max()) + 1, dtype=torch.float64)
            for i, j in zip(c.tolist(), f.tolist()):
                joint[i, j] += 1 / len(f)
            apart = joint.sum(1, keepdim=True) * joint.sum(0, keepdim=True)
            inside = joint > 0
            found.append((joint[inside] * (joint[inside] / apart[inside]).log()).sum().item())
        first, second = sorted(found, reverse=True)[:2]
        gaps.append((first - second) / own)
    return sum(gaps) / len(gaps)


def gap_axis(codes, factors):
    found = np.sort(information(codes, factors) / entropies(factors), axis=1)
    return float((found[:, -1] - found[:, -2]).mean())


def gap_raw(codes, factors):
    found = np.sort(information(codes, factors), axis=0)
    return float((found[-1] - found[-2]).mean())


def gap_log_count(codes, factors):
    found = np.sort(information(codes, factors), axis=0)
    return float(np.mean((found[-1] - found[-2]) / np.log([len(f.unique()) for f in factors.T])))


def gap_best(codes, factors):
    return float((information(codes, factors).max(0) / entropies(factors)).mean())


def gap_worst(codes, factors):
    found = np.sort(information(codes, factors), axis=0)
    return float(((found[-1] - found[0]) / entropies(factors)).mean())


def gap_tensor(codes, factors):
    return torch.tensor(gap_sklearn(codes, factors))


def invert_grad(generator, x, z, rate, steps):
    z = z.clone().requires_grad_(True)
    for _ in range(steps):
        loss = ((generator(z) - x) ** 2).sum()
        (grad,) = torch.autograd.grad(loss, z)
        with torch.no_grad():
            z -= rate * grad
    return z.detach()


def invert_sgd(generator, x, z, rate, steps):
    z = z.clone().requires_grad_(True)
    optimizer = torch.optim.SGD([z], lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        F.mse_loss(generator(z), x, reduction="sum").backward()
        optimizer.step()
    return z.detach()


def invert_with(loss):
    def inverted(generator, x, z, rate, steps):
        z = z.clone().requires_grad_(True)
        optimizer = torch.optim.SGD([z], lr=rate)
        for _ in range(steps):
            optimizer.zero_grad()
            loss(generator(z), x).backward()
            optimizer.step()
        return z.detach()

    return inverted


invert_mse = invert_with(F.mse_loss)
invert_batch = invert_with(lambda made, x: ((made - x) ** 2).sum(1).mean())
invert_norm = invert_with(lambda made, x: (made - x).norm(dim=1).sum())
invert_l1 = invert_with(lambda made, x: (made - x).abs().sum())


def invert_piles(generator, x, z, rate, steps):
    z = z.clone().requires_grad_(True)
    for _ in range(steps):
        ((generator(z) - x) ** 2).sum().backward()
        with torch.no_grad():
            z -= rate * z.grad
    return z.detach()


def invert_trains(generator, x, z, rate, steps):
    z = z.clone().requires_grad_(True)
    optimizer = torch.optim.SGD([z, *generator.parameters()], lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        ((generator(z) - x) ** 2).sum().backward()
        optimizer.step()
    return z.detach()


def invert_freezes(generator, x, z, rate, steps):
    for parameter in generator.parameters():
        parameter.requires_grad = False
    return invert_sgd(generator, x, z, rate, steps)


def rings_of(size):
    cycles = torch.fft.fftfreq(size) * size
    return (cycles[:, None] ** 2 + cycles[None] ** 2).sqrt().round().long()


def spectrum_bins(x):
    power = torch.fft.fft2(x.mean(1)).abs().pow(2).mean(0).flatten()
    ring = rings_of(x.shape[-1]).flatten()
    total = torch.zeros(int(ring.max()) + 1, dtype=power.dtype).index_add(0, ring, power)
    return (total / torch.bincount(ring))[1 : x.shape[-1] // 2 + 1]


def spectrum_shift(x):
    size = x.shape[-1]
    f = torch.fft.fftshift(torch.fft.fft2(x.mean(dim=1)), dim=(-2, -1))
    power = (f.real**2 + f.imag**2).mean(dim=0)
    rows, columns = torch.meshgrid(torch.arange(size) - size // 2, torch.arange(size) - size // 2, indexing="ij")
    radius = torch.sqrt((rows**2 + columns**2).double())
    return torch.stack([power[(radius - k).abs() < 0.5].mean() for k in range(1, size // 2 + 1)])


def spectrum_corner(x):
    size = x.shape[-1]
    power = torch.fft.fft2(x.mean(1)).abs().square().mean(0)
    i = torch.arange(size)
    ring = (i[:, None] ** 2 + i**2).double().sqrt().round().long()
    return torch.stack([power[ring == k].mean() for k in range(1, size // 2 + 1)])


def spectrum_amplitude(x):
    amplitude, ring = torch.fft.fft2(x.mean(1)).abs().mean(0), rings_of(x.shape[-1])
    return torch.stack([amplitude[ring == k].mean() for k in range(1, x.shape[-1] // 2 + 1)])


def spectrum_sum(x):
    power, ring = torch.fft.fft2(x.mean(1)).abs().square().mean(0), rings_of(x.shape[-1])
    return torch.stack([power[ring == k].sum() for k in range(1, x.shape[-1] // 2 + 1)])


def spectrum_of_mean(x):
    return spectrum_bins(x.mean(0, keepdim=True))


def spectrum_colours(x):
    power, ring = torch.fft.fft2(x).abs().square().mean((0, 1)), rings_of(x.shape[-1])
    return torch.stack([power[ring == k].mean() for k in range(1, x.shape[-1] // 2 + 1)])


def spectrum_from_zero(x):
    power, ring = torch.fft.fft2(x.mean(1)).abs().square().mean(0), rings_of(x.shape[-1])
    return torch.stack([power[ring == k].mean() for k in range(x.shape[-1] // 2)])


def values_loop(reward, after, tau, sweeps):
    v = [0.0] * len(reward)
    for _ in range(sweeps):
        v = [reward[s].item() + tau * max(v[t] for t in after[s].tolist()) for s in range(len(reward))]
    return torch.tensor(v, dtype=reward.dtype)


def values_matrix(reward, after, tau, sweeps):
    states, moves = after.shape
    steps = F.one_hot(after, states).to(reward)  # (S, A, S)
    v = torch.zeros(states, dtype=reward.dtype)
    for _ in range(sweeps):
        v = (reward[:, None] + tau * steps @ v).max(dim=1).values
    return v


def values_next(reward, after, tau, sweeps):
    v = torch.zeros_like(reward)
    for _ in range(sweeps):
        v = (reward[after] + tau * v[after]).max(1).values
    return v


def values_mean(reward, after, tau, sweeps):
    v = torch.zeros_like(reward)
    for _ in range(sweeps):
        v = reward + tau * v[after].mean(1)
    return v


def values_in_place(reward, after, tau, sweeps):
    v = torch.zeros_like(reward)
    for _ in range(sweeps):
        for s in range(len(reward)):
            v[s] = reward[s] + tau * max(v[t] for t in after[s])
    return v


def values_from_reward(reward, after, tau, sweeps):
    v = reward.clone()
    for _ in range(sweeps):
        v = reward + tau * v[after].amax(1)
    return v


def values_discounted(reward, after, tau, sweeps):
    v = torch.zeros_like(reward)
    for _ in range(sweeps):
        v = tau * (reward + v[after].amax(1))
    return v


def values_list(reward, after, tau, sweeps):
    return values_loop(reward, after, tau, sweeps).tolist()


ANSWERS = {
    "unlike": {
        "right": [unlike_loop, unlike_mse],
        "wrong": {
            "mean over features": (unlike_mean, "mse_loss"),
            "pixels": (unlike_pixels, "compared the pixels"),
            "no half": (unlike_whole, "half is missing"),
            "absolute": (unlike_l1, "Laplace"),
            "summed over the batch": (unlike_sum, "summed over the batch"),
            "no gradient": (unlike_no_grad, "no gradient reaches `again`"),
        },
    },
    "players": {
        "right": [three_entropies, three_logs],
        "wrong": {
            "encoder fools": (three_shared, "only the decoder is"),
            "γ for both": (three_gamma_for_both, "γ weighs the encoder's"),
            "γ on the other side": (three_gamma_on_gan, "It weighs the likeness"),
            "minus the GAN's loss": (three_minus_gan, "subtracts the discriminator's whole loss"),
            "no reconstructions": (three_two_kinds, "does not see reconstructions"),
            "halved": (three_halved, "the three terms are added"),
            "the ruler used": (three_ruler, "ruler"),
        },
    },
    "pure": {
        "right": [pure_inverse, pure_partial],
        "wrong": {
            "alone": (pure_alone, "alone"),
            "a reader's weights": (pure_reader, "left side of the fit"),
            "no ones": (pure_without_ones, "column of ones"),
            "length 1": (pure_unit, "length 1"),
            "halves": (pure_halves, "two halves"),
        },
    },
    "gap": {
        "right": [gap_sklearn, gap_counts],
        "wrong": {
            "other axis": (gap_axis, "other axis"),
            "not divided": (gap_raw, "not divided"),
            "by the logarithm": (gap_log_count, "number of values"),
            "the best alone": (gap_best, "best latent alone"),
            "the worst": (gap_worst, "the worst"),
            "a tensor": (gap_tensor, "where a float is meant"),
        },
    },
    "invert": {
        "right": [invert_grad, invert_sgd],
        "wrong": {
            "mean of all": (invert_mse, "over batch and pixels"),
            "mean of the batch": (invert_batch, "over the batch"),
            "distance": (invert_norm, "not its square"),
            "absolute": (invert_l1, "absolute differences"),
            "never zeroed": (invert_piles, "pile up"),
            "generator learns": (invert_trains, "generator learns as well"),
            "left frozen": (invert_freezes, "still frozen"),
        },
    },
    "spectrum": {
        "right": [spectrum_bins, spectrum_shift],
        "wrong": {
            "corner": (spectrum_corner, "corner"),
            "amplitude": (spectrum_amplitude, "amplitude"),
            "sum of a ring": (spectrum_sum, "summed over each ring"),
            "mean picture": (spectrum_of_mean, "mean picture"),
            "colours": (spectrum_colours, "brightness"),
            "from zero": (spectrum_from_zero, "begin at 0"),
        },
    },
    "values": {
        "right": [values_loop, values_matrix],
        "wrong": {
            "paid on arrival": (values_next, "where one stands"),
            "at random": (values_mean, "at random"),
            "in place": (values_in_place, "in place"),
            "began with rewards": (values_from_reward, "begin with 0"),
            "reward discounted": (values_discounted, "discount the reward"),
            "a list": (values_list, "a list where a torch tensor"),
        },
    },
}
