"""Checks of the exercises to 'Adversarial VAEs: as intended': losses, blocks and comparisons."""

import math

import torch
from scipy import stats
from torch import Tensor, nn
from torch.nn import functional as F

from belamy.check import Check, Fresh

# --- the best variance of pixels -----------------------------------------------------------------


def pictures_and_kl(fresh: Fresh) -> tuple:
    batch, side = fresh.sizes((5, 12), (2, 4))
    x = fresh.uniform(batch, 1, side, side)
    # some pictures are reconstructed better than others
    x1 = x + fresh.normal(*x.shape) * fresh.uniform(batch, 1, 1, 1, low=0.05, high=0.4)
    return x, x1, fresh.uniform(batch, low=1.0, high=9.0)


def with_variance(variance, sign=-1, pixels=lambda x: x[0].numel()):
    """The Gaussian ELBO for a variance that is a function of the squared differences."""

    def elbo(x, x1, kl):
        squares = (x - x1).square()
        v = variance(squares)
        middle = (squares.mean(0).mean() / v) if v.ndim == 0 else squares.flatten(1).mean(1) / v
        return (-pixels(x) / 2 * (torch.log(2 * math.pi * v) + middle)).mean() + sign * kl.mean()

    return elbo


def without_middle(x, x1, kl):
    mse = (x - x1).square().mean()
    return -x[0].numel() / 2 * torch.log(2 * math.pi * mse) - kl.mean()


best_elbo = Check(
    reference=with_variance(torch.mean),
    draw=pictures_and_kl,
    returns="a tensor (), nats a picture",
    terms={
        "The term of the pixels, d/2 times a logarithm,": with_variance(torch.mean, sign=0),
        "The KL term": lambda x, x1, kl: -kl.mean(),
    },
    mistakes={
        "You left the term of the squared error out: at the best variance it is not 0.": without_middle,
        "You left the variance at 1; asked is the ELBO with the variance that suits the model best.": with_variance(
            lambda squares: torch.ones(())
        ),
        "You gave every picture a variance of its own; a model has one for all pictures.": with_variance(
            lambda squares: squares.flatten(1).mean(1)
        ),
        "The KL term is added; it is what the code costs.": with_variance(torch.mean, sign=1),
        "You took the error of a whole picture for the variance of one pixel: average over the pixels, too.": (
            with_variance(lambda squares: squares.flatten(1).sum(1).mean())
        ),
        "You counted the pixels of the whole batch; a picture's density has as many factors as it has pixels.": (
            with_variance(torch.mean, pixels=torch.numel)
        ),
        "You used the root mean squared error, a standard deviation, where the variance is meant.": with_variance(
            lambda squares: squares.mean().sqrt()
        ),
        "You forgot the KL term.": with_variance(torch.mean, sign=0),
    },
)

# --- AVA1's table --------------------------------------------------------------------------------


def terms_and_scores(fresh: Fresh, scale: float = 2.0) -> tuple:
    batch = fresh.integer(5, 9)
    parts = fresh.uniform(2, low=1.0, high=9.0)
    return parts[0], parts[1], fresh.normal(batch, scale=scale), fresh.normal(batch, scale=scale)


def ava1(error, kl, real, fake, **other):
    charge, tell = -F.softplus(fake).mean(), (F.softplus(-real) + F.softplus(fake)).mean()
    return {"encoder": error + kl, "decoder": error + charge, "discriminator": tell, **other}


ava1_losses = Check(
    reference=lambda error, kl, real, fake: ava1(error, kl, real, fake),
    draw=terms_and_scores,
    extremes=lambda fresh: terms_and_scores(fresh, scale=300.0),
    returns="a dict with the losses of encoder, decoder and discriminator, each a tensor ()",
    mistakes={
        "The decoder's charge is the non-saturating −log D; the table has log(1 − D).": lambda error, kl, real, fake: (
            ava1(error, kl, real, fake, decoder=error + F.softplus(-fake).mean())
        ),
        "Your decoder is paid for being found out: the sign of its charge is turned.": lambda error, kl, real, fake: (
            ava1(error, kl, real, fake, decoder=error + F.softplus(fake).mean())
        ),
        "Your encoder answers to the discriminator, too; in AVA1 only the decoder "
        "does.": lambda error, kl, real, fake: (
            ava1(error, kl, real, fake, encoder=error + kl - F.softplus(fake).mean())
        ),
        "Your encoder has lost the error that its codes cause: this is the paper's encoder, which forgets.": (
            lambda error, kl, real, fake: ava1(error, kl, real, fake, encoder=kl)
        ),
        "Your discriminator maximises what it should minimise: it learns to be "
        "deceived.": lambda error, kl, real, fake: (
            ava1(error, kl, real, fake, discriminator=-(F.softplus(-real) + F.softplus(fake)).mean())
        ),
        "Your discriminator takes real pictures for reconstructions, and the other way round.": (
            lambda error, kl, real, fake: (
                ava1(error, kl, real, fake, discriminator=(F.softplus(real) + F.softplus(-fake)).mean())
            )
        ),
        "The decoder's loss has the KL term, in which there is none of its parameters.": lambda error, kl, real, fake: (
            ava1(error, kl, real, fake, decoder=error + kl - F.softplus(fake).mean())
        ),
        "Your discriminator sees no reconstructions: their term is missing.": lambda error, kl, real, fake: (
            ava1(error, kl, real, fake, discriminator=F.softplus(-real).mean())
        ),
        "Your decoder has lost the error of its reconstructions.": lambda error, kl, real, fake: (
            ava1(error, kl, real, fake, decoder=-F.softplus(fake).mean())
        ),
        "You averaged the discriminator's two terms; its loss is their sum.": lambda error, kl, real, fake: (
            ava1(error, kl, real, fake, discriminator=(F.softplus(-real) + F.softplus(fake)).mean() / 2)
        ),
    },
)

# --- cutting a picture into blocks ---------------------------------------------------------------


def picture_and_size(fresh: Fresh) -> tuple:
    size = fresh.integer(2, 4)
    rows, columns, batch = fresh.sizes((2, 6), (2, 6), (2, 6))
    return fresh.uniform(batch, 1, rows * size, columns * size), size


def cut(x: Tensor, size: int) -> Tensor:
    return F.unfold(x, size, stride=size).transpose(1, 2)


blocks = Check(
    reference=cut,
    draw=picture_and_size,
    returns="a tensor (batch, blocks, size²)",
    mistakes={
        "You cut the rows of the picture into pieces: a block holds `size` pixels of each of `size` rows, and a plain "
        "reshape cannot gather them.": lambda x, size: x.reshape(len(x), -1, size * size),
        "You number the blocks column by column; they go row by row.": lambda x, size: (
            cut(x.transpose(2, 3), size).unflatten(2, (size, size)).transpose(2, 3).flatten(2)
        ),
        "Within a block you list the pixels column by column; they go row by row.": lambda x, size: (
            cut(x, size).unflatten(2, (size, size)).transpose(2, 3).flatten(2)
        ),
        "You turned the picture before cutting: blocks and pixels both go column by column.": lambda x, size: (
            cut(x.transpose(2, 3), size)
        ),
        "Blocks and pixels are mixed up: two axes that change places are transposed, not reshaped.": lambda x, size: (
            F.unfold(x, size, stride=size).reshape(len(x), -1, size * size)
        ),
        "Your blocks overlap: the next one begins where the last one ends.": lambda x, size: (
            F.unfold(x, size).transpose(1, 2)
        ),
    },
)

# --- AVA3's encoder ------------------------------------------------------------------------------


class Coder(nn.Module):
    """An encoder: pictures (batch, pixels) -> means and log-variances (batch, latents)."""

    def __init__(self, pixels: int, latents: int):
        super().__init__()
        self.mean, self.log_variance = nn.Linear(pixels, latents), nn.Linear(pixels, latents)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return torch.tanh(self.mean(x)) * 2, self.log_variance(x)


def three_nets(fresh: Fresh) -> tuple:
    batch, pixels, latents = fresh.sizes((3, 7), (8, 12), (2, 5))
    decoder = nn.Sequential(nn.Linear(latents, pixels), nn.Sigmoid())
    judge = nn.Sequential(nn.Linear(latents, 6), nn.Tanh(), nn.Linear(6, 1), nn.Flatten(0))
    nets = Coder(pixels, latents), decoder, judge
    with torch.no_grad():
        for net in nets:
            for weights in net.parameters():
                weights.copy_(fresh.normal(*weights.shape, scale=0.8))
    return *nets, fresh.uniform(batch, pixels), fresh.normal(batch, latents)


def supervised(
    code=lambda mean, log_variance, eps: mean + (0.5 * log_variance).exp() * eps,
    seen=lambda x1: x1,
    judged=lambda mean, again, z: again,
    charge=lambda score: -F.softplus(score).mean(),
    reduce=torch.sum,
    parts=(1, 1, 1),
):
    """AVA3's encoder loss; each argument is a step that a mistake replaces."""

    def loss(encoder, decoder, judge, x, eps):
        mean, log_variance = encoder(x)
        z = code(mean, log_variance, eps)
        x1 = decoder(z)
        error = 0.5 * reduce((x - x1).square(), 1).mean()
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()
        told = charge(judge(judged(mean, encoder(seen(x1))[0], z)))
        return parts[0] * error + parts[1] * kl + parts[2] * told

    return loss


encoder_loss = Check(
    reference=supervised(),
    draw=three_nets,
    returns="a tensor (), the mean over the batch",
    mistakes={
        "The code is detached, so the encoder does not feel the error that it causes: this is the paper's encoder.": (
            supervised(code=lambda mean, log_variance, eps: (mean + (0.5 * log_variance).exp() * eps).detach())
        ),
        "The reconstruction is detached before it is encoded again: of the two ways from the encoder to μ(x′) one "
        "is cut.": supervised(seen=lambda x1: x1.detach()),
        "The code of the reconstruction is detached: then the charge moves nobody.": supervised(
            judged=lambda mean, again, z: again.detach()
        ),
        "The judge sees the code of the picture itself; the charge is for the code of its reconstruction.": supervised(
            judged=lambda mean, again, z: mean
        ),
        "The judge sees the drawn code z; AVA's judge compares means.": supervised(judged=lambda mean, again, z: z),
        "You multiplied the noise by the variance; the standard deviation is its root.": supervised(
            code=lambda mean, log_variance, eps: mean + log_variance.exp() * eps
        ),
        "You reconstructed from the mean: the noise of the code is missing.": supervised(
            code=lambda mean, log_variance, eps: mean
        ),
        "The charge is the non-saturating −log D; asked is log(1 − D).": supervised(
            charge=lambda score: F.softplus(-score).mean()
        ),
        "Your encoder is paid for being found out: the sign of the charge is turned.": supervised(
            charge=lambda score: F.softplus(score).mean()
        ),
        "The charge for being found out is missing: this is the VAE's loss.": supervised(
            charge=lambda score: torch.zeros(())
        ),
        "You averaged the squared error over the pixels; it is summed over a picture.": supervised(reduce=torch.mean),
    },
    terms={
        "The squared error": supervised(parts=(1, 0, 0)),
        "The KL term": supervised(parts=(0, 1, 0)),
        "The charge": supervised(parts=(0, 0, 1)),
    },
    gradients=("encoder",),
)

# --- a paired comparison -------------------------------------------------------------------------


def two_models(fresh: Fresh) -> tuple:
    seeds = fresh.integer(4, 8)
    luck = fresh.normal(seeds, scale=0.5, dtype=torch.float64)
    own = lambda: fresh.normal(seeds, scale=0.2, dtype=torch.float64)
    return (3 + luck + own()).exp(), (2.5 + luck + own()).exp()


def compared(
    logs=lambda vae, model: (model / vae).log(), spread=torch.std, quantile=None, root=True, tail=0.975, less=1
):
    def ratio(vae, model):
        values, n = logs(vae, model), len(vae)
        half = (quantile or stats.t.ppf(tail, n - less)) * spread(values) / (n**0.5 if root else 1)
        return tuple(float(torch.exp(value)) for value in (values.mean(), values.mean() - half, values.mean() + half))

    return ratio


def of_ratios(vae, model):
    ratios, n = model / vae, len(vae)
    half = stats.t.ppf(0.975, n - 1) * ratios.std() / n**0.5
    return tuple(float(value) for value in (ratios.mean(), ratios.mean() - half, ratios.mean() + half))


def unpaired(vae, model):
    a, b, n = vae.log(), model.log(), len(vae)
    middle, half = (b - a).mean(), stats.t.ppf(0.975, 2 * n - 2) * ((a.var() + b.var()) / n) ** 0.5
    return tuple(float(torch.exp(value)) for value in (middle, middle - half, middle + half))


gain = Check(
    reference=compared(),
    draw=two_models,
    returns="three floats: the ratio and the two ends of its interval",
    mistakes={
        "You took the normal quantile 1.96; with few seeds it is Student's t that counts.": compared(quantile=1.96),
        "Your standard deviation divides by n; the sample's divides by n − 1.": compared(
            spread=lambda values: values.std(correction=0)
        ),
        "You took the spread of single seeds; the mean of n seeds spreads less by the root of n.": compared(root=False),
        "You took the quantile of a 90 % interval; two sides of 2.5 % make 95 %.": compared(tail=0.95),
        "Student's t has n − 1 degrees of freedom here, not n.": compared(less=0),
        "You averaged the ratios themselves; ratios are averaged by their logarithms.": of_ratios,
        "You treated the seeds of the two models as unrelated; a seed gives both models the same luck, so pair "
        "them.": unpaired,
        "You divided the VAE's distance by the model's; asked is the model's as a multiple of the VAE's.": compared(
            logs=lambda vae, model: (vae / model).log()
        ),
    },
)
