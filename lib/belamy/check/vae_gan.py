"""Checks of the exercises on VAE-GAN: a learnt likeness, three losses, directions, a gap, an inversion, values."""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from belamy.check import Check, Fresh

# --- a likeness that is learnt -----------------------------------------------------------------


def half_square(features: nn.Module, x: Tensor, again: Tensor) -> Tensor:
    return (features(x) - features(again)).square().flatten(1).sum(1).mean() / 2


def draw_features(fresh: Fresh) -> tuple:
    batch, channels, side, maps = fresh.sizes((4, 9), (2, 3), (5, 7), (3, 8))
    features = nn.Sequential(nn.Conv2d(channels, maps, 3, stride=2), nn.LeakyReLU(0.2)).double()
    with torch.no_grad():
        for parameter in features.parameters():
            parameter.copy_(fresh.normal(*parameter.shape, dtype=torch.float64))
    return features, *(fresh.uniform(batch, channels, side, side, dtype=torch.float64) for _ in range(2))


def of_maps(rule):
    """A mistaken likeness, from the difference of the features, maps (B, C, h, w)."""
    return lambda features, x, again: rule(features(x) - features(again))


unlike = Check(
    half_square,
    draw_features,
    "a tensor (): a sum over the features of a picture, a mean over the batch",
    {
        "You average over the features of a picture. The logarithm of a density of independent numbers is a *sum* over "
        "them: beside a prior in nats, a mean weighs next to nothing.": of_maps(lambda gap: gap.square().mean() / 2),
        "You average over the features of a picture, and the half is missing: that is `mse_loss`. A log-density is a "
        "sum over the numbers.": of_maps(lambda gap: gap.square().mean()),
        "You compared the pixels. What is compared are the features of both pictures.":
            lambda features, x, again: (x - again).square().flatten(1).sum(1).mean() / 2,
        "The half is missing: a Gaussian of variance 1 has the square of the distance over 2 in its exponent.":
            of_maps(lambda gap: gap.square().flatten(1).sum(1).mean()),
        "You took absolute values, which is the exponent of a Laplace density. For a Gaussian, square.":
            of_maps(lambda gap: gap.abs().flatten(1).sum(1).mean()),
        "The root is taken: the distance itself, where half its square is meant.":
            of_maps(lambda gap: gap.flatten(1).norm(dim=1).mean()),
        "You summed over the batch as well. A player's loss is a mean over the pictures.":
            of_maps(lambda gap: gap.square().sum() / 2),
        "You averaged every map over its places first. Then it does not matter *where* in the picture something is.":
            of_maps(lambda gap: gap.mean((2, 3)).square().sum(1).mean() / 2),
        "The mean over the batch is taken before the square: pictures that are wrong in opposite ways would cancel.":
            of_maps(lambda gap: gap.mean(0).square().sum() / 2),
        "The sign is that of the log-density, which is maximised. A loss is minus it.":
            of_maps(lambda gap: -gap.square().flatten(1).sum(1).mean() / 2),
    },
    gradients=("again",),
)  # fmt: skip

# --- three players -------------------------------------------------------------------------------


def table(prior, unlike, real, again, drawn, gamma, **changed):
    """The three losses; `changed` puts another in the place of a right one."""
    fooled = F.softplus(-again).mean() + F.softplus(-drawn).mean()
    caught = F.softplus(again).mean() + F.softplus(drawn).mean()
    right = {
        "encoder": prior.mean() + unlike.mean(),
        "decoder": gamma * unlike.mean() + fooled,
        "discriminator": F.softplus(-real).mean() + caught,
    }
    return right | changed


def three_losses(
    prior: Tensor, unlike: Tensor, real: Tensor, again: Tensor, drawn: Tensor, gamma: float
) -> dict[str, Tensor]:  # fmt: skip
    return table(prior, unlike, real, again, drawn, gamma)


def draw_terms(fresh: Fresh) -> tuple:
    batch = fresh.integer(5, 20)
    positive = (fresh.normal(batch, scale=2).square() + 1 for _ in range(2))
    return *positive, *(fresh.normal(batch, scale=1.5) for _ in range(3)), fresh.number(0.05, 0.6)


def instead(player: str, loss):
    """A table in which one player minimises another loss."""
    def losses(prior, unlike, real, again, drawn, gamma):
        other = {player: loss(prior, unlike, real, again, drawn, gamma)}
        return table(prior, unlike, real, again, drawn, gamma, **other)

    return losses


plus = F.softplus
players = Check(
    three_losses,
    draw_terms,
    "a dict with the losses of encoder, decoder and discriminator, each a tensor ()",
    {
        "The encoder is paid for fooling the discriminator, too. In this game only the decoder is: the encoder's loss "
        "is prior plus likeness.":
            instead("encoder", lambda p, u, r, a, d, g: p.mean() + u.mean() + plus(-a).mean() + plus(-d).mean()),
        "The encoder is paid for fooling the discriminator with its reconstructions. Only the decoder is: the "
        "encoder's loss is prior plus likeness.":
            instead("encoder", lambda p, u, r, a, d, g: p.mean() + u.mean() + plus(-a).mean()),
        "γ weighs the encoder's likeness as well. It belongs to the decoder alone; for the encoder it would be a "
        "weight of the prior.": instead("encoder", lambda p, u, r, a, d, g: p.mean() + g * u.mean()),
        "The encoder has no prior: without it, it is an autoencoder's, and draws from the prior mean nothing to the "
        "decoder.": instead("encoder", lambda p, u, r, a, d, g: u.mean()),
        "The encoder does not learn to reconstruct: its likeness is missing.":
            instead("encoder", lambda p, u, r, a, d, g: p.mean()),
        "γ is missing: the decoder's likeness counts in full.":
            instead("decoder", lambda p, u, r, a, d, g: u.mean() + plus(-a).mean() + plus(-d).mean()),
        "γ weighs the decoder's adversarial terms. It weighs the likeness.":
            instead("decoder", lambda p, u, r, a, d, g: u.mean() + g * (plus(-a).mean() + plus(-d).mean())),
        "The decoder's γ weighs everything, and so nothing: it is a balance between likeness and fooling.":
            instead("decoder", lambda p, u, r, a, d, g: g * (u.mean() + plus(-a).mean() + plus(-d).mean())),
        "The decoder is not judged by its reconstructions: both kinds of its pictures go to the discriminator.":
            instead("decoder", lambda p, u, r, a, d, g: g * u.mean() + plus(-d).mean()),
        "The decoder is not judged by its pictures of latents from the prior: both kinds go to the discriminator.":
            instead("decoder", lambda p, u, r, a, d, g: g * u.mean() + plus(-a).mean()),
        "The decoder has the saturating loss, log(1 − D). Where the discriminator is ahead its slope vanishes; asked "
        "is −log D.": instead("decoder", lambda p, u, r, a, d, g: g * u.mean() - plus(a).mean() - plus(d).mean()),
        "The decoder subtracts the discriminator's whole loss. That is the saturating form, and it holds the real "
        "pictures' term, which the decoder cannot change: asked is −log D of its own pictures.":
            instead("decoder", lambda p, u, r, a, d, g: (
                g * u.mean() - plus(-r).mean() - plus(a).mean() - plus(d).mean()
            )),
        "The decoder's labels are turned: it would help the discriminator to catch its pictures.":
            instead("decoder", lambda p, u, r, a, d, g: g * u.mean() + plus(a).mean() + plus(d).mean()),
        "The prior stands in the decoder's loss. Nothing of the decoder is in it: leave it out.":
            instead("decoder", lambda p, u, r, a, d, g: g * u.mean() + plus(-a).mean() + plus(-d).mean() + p.mean()),
        "The discriminator does not see reconstructions.":
            instead("discriminator", lambda p, u, r, a, d, g: plus(-r).mean() + plus(d).mean()),
        "The discriminator does not see pictures of latents from the prior.":
            instead("discriminator", lambda p, u, r, a, d, g: plus(-r).mean() + plus(a).mean()),
        "You halved the two kinds of generated pictures in the discriminator's loss. Here, as in the paper, the three "
        "terms are added.":
            instead("discriminator", lambda p, u, r, a, d, g: plus(-r).mean() + (plus(a).mean() + plus(d).mean()) / 2),
        "The discriminator's labels are turned: real is 1, generated is 0.":
            instead("discriminator", lambda p, u, r, a, d, g: plus(r).mean() + plus(-a).mean() + plus(-d).mean()),
        "The discriminator is paid for likeness, too. Then it would make its features small, so that all pictures "
        "are alike: it owns the ruler and must not use it.": instead(
            "discriminator", lambda p, u, r, a, d, g: plus(-r).mean() + plus(a).mean() + plus(d).mean() + u.mean()
        ),
    },
    gradients=("prior", "unlike", "real", "again", "drawn"),
)  # fmt: skip

# --- a direction that turns nothing else ---------------------------------------------------------


def with_ones(factors: Tensor) -> Tensor:
    return torch.cat([factors, torch.ones_like(factors[:, :1])], 1)


def of_least_squares(z: Tensor, factors: Tensor, which: int) -> Tensor:
    return torch.linalg.lstsq(with_ones(factors), z).solution[which]


def draw_codes(fresh: Fresh) -> tuple:
    count, kinds, latent_dim = fresh.sizes((15, 30), (3, 5), (2, 7))
    numbers = partial(fresh.normal, dtype=torch.float64)
    mixed = numbers(count, kinds) @ (torch.eye(kinds) + 0.6 * numbers(kinds, kinds)) + numbers(kinds)
    z = mixed @ numbers(kinds, latent_dim) + 0.3 * numbers(count, latent_dim) + 2
    return z, mixed, fresh.integer(0, kinds - 1)


def alone(z: Tensor, factors: Tensor, which: int) -> Tensor:
    return of_least_squares(z, factors[:, which : which + 1], 0)


def reader(z: Tensor, factors: Tensor, which: int) -> Tensor:
    return torch.linalg.lstsq(with_ones(z), factors[:, which]).solution[:-1]


def halves(z: Tensor, factors: Tensor, which: int) -> Tensor:
    above = factors[:, which] > factors[:, which].median()
    return z[above].mean(0) - z[~above].mean(0)


pure = Check(
    of_least_squares,
    draw_codes,
    "a tensor (d_z,): the change of the code for one unit of the factor",
    {
        "You fitted this factor alone. Whatever goes along with it in the data is then part of its direction: fit all "
        "factors together.": alone,
        "You fitted the factor from the code. Those are the weights by which a reader would *tell* the factor; asked "
        "is how the code *changes* with it. The code stands on the left side of the fit.": reader,
        "The column of ones is missing: the codes need not be 0 where all factors are.":
            lambda z, factors, which: torch.linalg.lstsq(factors, z).solution[which],
        "You brought the direction to length 1. Its length is the size of the change.":
            lambda z, factors, which: F.normalize(of_least_squares(z, factors, which), dim=0),
        "You divided the factors by their standard deviations: asked is the change for one unit.":
            lambda z, factors, which: of_least_squares(z, factors, which) * factors[:, which].std(),
        "That is the difference between the mean codes of two halves. What goes along with the factor in the data is "
        "part of it.": halves,
        "You returned the covariances of code and factor, without the fit.": lambda z, factors, which: (
            ((factors[:, which] - factors[:, which].mean())[:, None] * (z - z.mean(0))).mean(0)
        ),
        "You returned the direction of the next factor: counts begin at 0.":
            lambda z, factors, which: torch.linalg.lstsq(with_ones(factors), z).solution[which + 1],
        "You returned the codes' offset, the row of the ones.":
            lambda z, factors, which: torch.linalg.lstsq(with_ones(factors), z).solution[-1],
    },
    rtol=1e-3,
)  # fmt: skip

# --- the mutual information gap ------------------------------------------------------------------


def entropy(values: Tensor) -> Tensor:
    """Of whole numbers (N,), in nats."""
    share = values.bincount().double() / len(values)
    return -torch.xlogy(share, share).sum()


def informations(codes: Tensor, factors: Tensor) -> tuple[Tensor, Tensor]:
    """I (d_z, F) in nats, and the entropies of the factors (F,)."""
    base = int(factors.max()) + 1  # c · base + f names a pair
    found = [[entropy(c) + entropy(f) - entropy(c * base + f) for f in factors.T] for c in codes.T]
    return torch.stack([torch.stack(row) for row in found]), torch.stack([entropy(f) for f in factors.T])


def gap_of(rule):
    """A gap, as a float, from the informations (d_z, F), the factors' entropies (F,) and the data."""
    return lambda codes, factors: float(rule(*informations(codes, factors), codes, factors))


def first_two(found: Tensor) -> Tensor:
    best = found.sort(0, descending=True).values
    return best[0] - best[1]


def draw_values(fresh: Fresh) -> tuple:
    count, latent_dim, kinds = fresh.sizes((80, 120), (3, 5), (2, 3))
    factors = torch.stack(
        [(fresh.uniform(count).square() * (k + 2)).long() for k in range(kinds)], 1
    )  # uneven, and as many values as they like
    which = torch.tensor([fresh.integer(0, kinds - 1) for _ in range(latent_dim)])
    noise = (fresh.uniform(count, latent_dim) < 0.4) * (fresh.uniform(count, latent_dim) * 3).long()
    return factors[:, which] + noise, factors


mutual_gap = gap_of(lambda found, own, codes, factors: (first_two(found) / own).mean())


def mig(codes: Tensor, factors: Tensor) -> float:
    return mutual_gap(codes, factors)


gap = Check(
    mig,
    draw_values,
    "a float between 0 and 1",
    {
        "You looked for each latent's two best factors. The gap is between a factor's two best *latents*: along the "
        "other axis.": gap_of(lambda found, own, codes, factors: (
            first_two((found / own).T).mean()
        )),
        "The gaps are not divided by the factors' entropies: a factor with many values would count for more.":
            gap_of(lambda found, own, codes, factors: first_two(found).mean()),
        "You divided by the logarithm of the number of values. A factor whose values are not equally frequent has a "
        "smaller entropy than that.": gap_of(lambda found, own, codes, factors: (
            first_two(found) / torch.tensor([len(f.unique()) for f in factors.T]).double().log()
        ).mean()),
        "You took the best latent alone. Without the second best taken off, two latents that share a factor look as "
        "good as one that has it for itself.": gap_of(lambda found, own, codes, factors: (found.amax(0) / own).mean()),
        "From the best latent you took off the mean of all: it is the *second best* that counts.":
            gap_of(lambda found, own, codes, factors: ((found.amax(0) - found.mean(0)) / own).mean()),
        "From the best latent you took off the worst: it is the *second best* that counts.":
            gap_of(lambda found, own, codes, factors: ((found.amax(0) - found.amin(0)) / own).mean()),
        "You took the quotient of best and second best, where their difference is meant.":
            gap_of(lambda found, own, codes, factors: (
                found.sort(0).values[-2] / found.amax(0)
            ).mean()),
        "You summed over the factors; the gap is their mean.":
            gap_of(lambda found, own, codes, factors: (first_two(found) / own).sum()),
        "You divided the sum of the gaps by the sum of the entropies: each factor's gap has its own.":
            gap_of(lambda found, own, codes, factors: first_two(found).sum() / own.sum()),
        "You divided by the entropies of the best latents, not by those of the factors.":
            gap_of(lambda found, own, codes, factors: (
                first_two(found) / torch.stack([entropy(codes[:, j]) for j in found.argmax(0)])
            ).mean()),
    },
)  # fmt: skip

# --- the nearest picture of a generator ----------------------------------------------------------


def descent(
    generator, x, z, rate, steps, over=lambda apart: apart.square().sum(), start=None, sign=1, pile=False, moved=False
):  # fmt: skip
    z = z if start is None else start(z)
    total = torch.zeros_like(z)
    for _ in range(steps):
        z = z.detach().requires_grad_()
        weights = list(generator.parameters()) if moved else []
        slope, *others = torch.autograd.grad(over(generator(z) - x), [z, *weights])
        total = total + slope if pile else slope
        z = z - sign * rate * total
        with torch.no_grad():
            for weight, other in zip(weights, others):
                weight -= rate * other
    return z.detach()


def inverted(generator: nn.Module, x: Tensor, z: Tensor, rate: float, steps: int) -> Tensor:
    return descent(generator, x, z, rate, steps)


def draw_inversion(fresh: Fresh) -> tuple:
    batch, latent_dim, pixels = fresh.sizes((4, 9), (2, 3), (4, 9))
    generator = nn.Sequential(nn.Linear(latent_dim, 6), nn.Tanh(), nn.Linear(6, pixels)).double()
    numbers = partial(fresh.normal, dtype=torch.float64)
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.copy_(numbers(*parameter.shape, scale=0.6))
    return generator, numbers(batch, pixels), numbers(batch, latent_dim), fresh.number(0.02, 0.06), fresh.integer(3, 6)


def untouched(answer, fresh: Fresh) -> str | None:
    generator, x, z, rate, steps = draw_inversion(fresh)
    before = [parameter.detach().clone() for parameter in generator.parameters()]
    answer(generator, x, z, rate, steps)
    if not all(torch.equal(a, b) for a, b in zip(before, generator.parameters())):
        return "After your function the generator is another one. Only the latents may move."
    if not all(parameter.requires_grad for parameter in generator.parameters()):
        return "After your function the generator is still frozen: whoever trains it next would wonder."


invert = Check(
    inverted,
    draw_inversion,
    "latents like z, without a graph",
    {
        "You average the squares over batch and pixels. Then each picture's step depends on how many others there are: "
        "sum over the pixels of each, and over the pictures.":
            partial(descent, over=lambda apart: apart.square().mean()),
        "You average over the batch. Then the step of a picture gets the smaller, the more others there are: the "
        "pictures have nothing to do with each other.":
            partial(descent, over=lambda apart: apart.square().sum(1).mean()),
        "You average over the pixels of a picture, where the squares are summed.":
            partial(descent, over=lambda apart: apart.square().mean(1).sum()),
        "You halved the square: asked is the squared distance.":
            partial(descent, over=lambda apart: apart.square().sum() / 2),
        "You went along the distance itself, not its square: then the steps do not get smaller near the goal.":
            partial(descent, over=lambda apart: apart.norm(dim=1).sum()),
        "You took absolute differences, not squares.": partial(descent, over=lambda apart: apart.abs().sum()),
        "You climb: the distance grows with every step.": partial(descent, sign=-1),
        "The gradients pile up from step to step: set them to zero before each.": partial(descent, pile=True),
        "You began at 0. The start is given: from another one, another latent is found.":
            partial(descent, start=torch.zeros_like),
        "Your generator learns as well: it is the latents that are looked for, for a generator that stands still.":
            partial(descent, moved=True),
        "You took one step too few.": lambda generator, x, z, rate, steps: descent(generator, x, z, rate, steps - 1),
        "You took one step too many.": lambda generator, x, z, rate, steps: descent(generator, x, z, rate, steps + 1),
    },
    laws={"the generator stays as it was": untouched},
)  # fmt: skip

# --- how fine a picture is -----------------------------------------------------------------------


def rings(size: int, nearest=torch.round, corner: bool = False) -> Tensor:
    """The distance from frequency zero (S, S), as a whole number."""
    cycles = torch.arange(size).double() if corner else torch.fft.fftfreq(size, 1 / size, dtype=torch.float64)
    return nearest((cycles[:, None] ** 2 + cycles**2).sqrt()).long()


def power_by_ring(x, power=lambda f: f.abs().square().mean(0), grey=lambda x: x.mean(1), of_ring=torch.mean, **options):
    found = power(torch.fft.fft2(grey(x)))
    ring = rings(x.shape[-1], **options)
    return torch.stack([of_ring(found[ring == k]) for k in range(1, x.shape[-1] // 2 + 1)])


def spectrum_of(x: Tensor) -> Tensor:
    return power_by_ring(x)


def draw_portraits(fresh: Fresh) -> tuple:
    batch, side = fresh.integer(3, 6), 2 * fresh.integer(4, 7)
    return (fresh.uniform(batch, 3, side, side, dtype=torch.float64),)


spectrum = Check(
    spectrum_of,
    draw_portraits,
    "a tensor (S / 2,): the mean power at 1, 2, …, S / 2 cycles a picture",
    {
        "You measure frequencies from the corner of the transform. Its second half holds the negative ones, so that "
        "the last row is as low as the second: `fftfreq` knows, or `fftshift` puts zero into the middle.":
            partial(power_by_ring, corner=True),
        "That is the amplitude. The power is its square.": partial(power_by_ring, power=lambda f: f.abs().mean(0)),
        "You squared the mean amplitude. The power of each picture is squared first, and the mean comes last.":
            partial(power_by_ring, power=lambda f: f.abs().mean(0).square()),
        "You took the spectrum of the mean picture, which is blurred. The mean is taken of the pictures' spectra.":
            partial(power_by_ring, power=lambda f: f.mean(0).abs().square()),
        "You summed over each ring. A wide ring has more frequencies, and so more power, by its size alone: take the "
        "mean.": partial(power_by_ring, of_ring=torch.sum),
        "You summed over the pictures where the mean is meant.":
            partial(power_by_ring, power=lambda f: f.abs().square().sum(0)),
        "Your rings are cut down to whole numbers, not rounded to the nearest.":
            partial(power_by_ring, nearest=torch.floor),
        "You took the mean of the spectra of red, green and blue. Asked is the spectrum of the brightness, their mean.":
            lambda x: power_by_ring(x, power=lambda f: f.abs().square().mean((0, 1)), grey=lambda x: x),
        "You used the first colour alone.": partial(power_by_ring, grey=lambda x: x[:, 0]),
        "You summed the colours; the brightness is their mean.": partial(power_by_ring, grey=lambda x: x.sum(1)),
        "You divided by the number of pixels: the transform is meant as `fft2` gives it.":
            partial(power_by_ring, power=lambda f: f.abs().square().mean(0) / f.shape[-1] ** 2),
        "You took the logarithm.": lambda x: power_by_ring(x).log(),
        "Your rings begin at 0: the power there is the mean brightness, not detail.": lambda x: torch.cat(
            [torch.fft.fft2(x.mean(1)).abs().square().mean(0)[:1, 0], power_by_ring(x)[:-1]]
        ),
    },
)  # fmt: skip

# --- what a place is worth -----------------------------------------------------------------------


def worth(reward: Tensor, after: Tensor, tau: float, sweeps: int) -> Tensor:
    value = torch.zeros_like(reward)
    for _ in range(sweeps):
        value = reward + tau * value[after].amax(1)
    return value


def draw_world(fresh: Fresh) -> tuple:
    states, actions = fresh.sizes((5, 9), (2, 4))
    after = torch.tensor([[fresh.integer(0, states - 1) for _ in range(actions)] for _ in range(states)])
    return fresh.normal(states, dtype=torch.float64), after, fresh.number(0.5, 0.95), fresh.integer(3, 6)


def sweeping(update, start=torch.zeros_like, more=0):
    def found(reward, after, tau, sweeps):
        value = start(reward)
        for _ in range(sweeps + more):
            value = update(reward, value[after], reward[after], tau)
        return value

    return found


def in_place(reward, after, tau, sweeps):
    value = torch.zeros_like(reward)
    for _ in range(sweeps):
        for state in range(len(reward)):
            value[state] = reward[state] + tau * value[after[state]].max()
    return value


values = Check(
    worth,
    draw_world,
    "a tensor (S,): what each place is worth after so many sweeps",
    {
        "You average over the moves: that is what a place is worth to one who moves at random. The best move counts.":
            sweeping(lambda r, v, n, g: r + g * v.mean(1)),
        "You took the worst move.": sweeping(lambda r, v, n, g: r + g * v.amin(1)),
        "You sum over the moves; only the best one is made.": sweeping(lambda r, v, n, g: r + g * v.sum(1)),
        "The discount τ is missing.": sweeping(lambda r, v, n, g: r + v.amax(1)),
        "You discount the reward of the place itself as well: τ stands before what comes after.":
            sweeping(lambda r, v, n, g: g * (r + v.amax(1))),
        "You are paid at the place to which a move leads. Here one is paid where one stands.":
            sweeping(lambda r, v, n, g: (n + g * v).amax(1)),
        "You change the values in place, so that the later places of a sweep already see the new ones. It comes to the "
        "same end, but asked are the values after so many sweeps.": in_place,
        "You began with the rewards; begin with 0. That is one sweep too many.":
            sweeping(lambda r, v, n, g: r + g * v.amax(1), start=torch.clone),
        "You made one sweep too few.": sweeping(lambda r, v, n, g: r + g * v.amax(1), more=-1),
        "You look only at the largest reward next door: what comes after it counts, too.":
            sweeping(lambda r, v, n, g: r + g * n.amax(1)),
    },
)  # fmt: skip
