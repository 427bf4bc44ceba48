"""Checks for the exercises on what can be seen in samples alone."""

import math

import torch

from belamy.check import Check, Fresh

COUNTS, OTHERS, FEATURES = (60, 80), (30, 50), (3, 9)


def classified(fresh: Fresh) -> tuple:
    images, classes = fresh.sizes(COUNTS, FEATURES)
    return (fresh.normal(images, classes, scale=2).softmax(1),)


def certain(fresh: Fresh) -> tuple:
    """Classes without any doubt: a logarithm of 0 lurks."""
    return (torch.eye(6).repeat(5, 1),)


def entropy(p):
    return -torch.xlogy(p, p).sum(-1)


def information(p):
    return entropy(p.mean(0)) - entropy(p).mean()


inception_score = Check(
    reference=lambda p: information(p).exp(),
    draw=classified,
    extremes=certain,
    returns="a tensor without axes",
    mistakes={
        "This is the logarithm of the score: the exponential is missing.": information,
        "The difference of the two entropies is turned round: the score is below 1.": lambda p: (-information(p)).exp(),
        "You took the sum over the images where the mean is meant.": lambda p: (information(p) * len(p)).exp(),
        "You averaged over the classes; a divergence sums over them.": lambda p: (information(p) / p.shape[1]).exp(),
        "You compared with even classes; p(y) is the mean of the images' own probabilities.": lambda p: (
            math.log(p.shape[1]) - entropy(p).mean()
        ).exp(),
        "Only p(y) entered: the entropy of the single images is missing.": lambda p: entropy(p.mean(0)).exp(),
        "Only the single images entered: the entropy of p(y) is missing.": lambda p: (-entropy(p).mean()).exp(),
        "You averaged exponentials; the exponential of the mean is meant.": lambda p: (
            (torch.xlogy(p, p) - p * p.mean(0).log()).sum(1).exp().mean()
        ),
        "The divergence is taken the other way round: from p(y) to p(y | x).": lambda p: (
            (p.mean(0) * (p.mean(0).log() - p.log())).sum(1).mean().exp()
        ),
    },
)


def two_sets(fresh: Fresh) -> tuple:
    real, generated, features = fresh.sizes(COUNTS, OTHERS, FEATURES)
    turn = fresh.normal(features, features, dtype=torch.float64) / features**0.5
    shift = fresh.normal(features, dtype=torch.float64)
    return (
        fresh.normal(real, features, dtype=torch.float64) @ (turn + torch.eye(features).double()),
        fresh.normal(generated, features, scale=1.3, dtype=torch.float64) + shift,
    )


def moments(real, generated):
    return (real.mean(0) - generated.mean(0)).square().sum(), torch.cov(real.T), torch.cov(generated.T)


def roots(S, T):
    product = S @ T
    if not product.isfinite().all():  # LAPACK ends the process
        return product.new_tensor(torch.nan)
    return torch.linalg.eigvals(product).real.clamp(min=0).sqrt().sum()


def with_traces(real, generated, overlap=2.0, root=roots):
    shift, S, T = moments(real, generated)
    return shift + S.trace() + T.trace() - overlap * root(S, T)


def zero_at_itself(answer, fresh: Fresh) -> str | None:
    real, _ = two_sets(fresh)
    if abs(answer(real, real.clone())) > 1e-4:
        return "The distance of a set to itself must be 0, and yours is not."


def symmetric(answer, fresh: Fresh) -> str | None:
    real, generated = two_sets(fresh)
    if abs(answer(real, generated) - answer(generated, real)) > 1e-4:
        return "The distance must not change when the two sets are exchanged, and yours does."


frechet = Check(
    reference=with_traces,
    draw=two_sets,
    returns="a tensor without axes, float64",
    terms={
        "The squared distance of the means": lambda real, generated: moments(real, generated)[0],
        "The sum of the traces": lambda real, generated: sum(part.trace() for part in moments(real, generated)[1:]),
        "The overlap of the covariances": lambda real, generated: -2 * roots(*moments(real, generated)[1:]),
    },
    mistakes={
        "The squared distance of the means is missing.": lambda real, generated: (
            with_traces(real, generated) - moments(real, generated)[0]
        ),
        "You took the distance of the means; its square is meant.": lambda real, generated: (
            with_traces(real, generated) - moments(real, generated)[0] + moments(real, generated)[0].sqrt()
        ),
        "You took the mean of the squared shifts over the features where the sum is meant.": lambda real, generated: (
            with_traces(real, generated) - moments(real, generated)[0] * (1 - 1 / real.shape[1])
        ),
        "Only the means are compared: the covariances are missing.": lambda real, generated: (
            moments(real, generated)[0]
        ),
        "The overlap of the covariances is subtracted once; it is meant twice.": lambda real, generated: (
            with_traces(real, generated, 1.0)
        ),
        "You took the roots of the single entries of the product; the roots of its eigenvalues are meant.": lambda real,
        generated: with_traces(real, generated, root=lambda S, T: (S @ T).diagonal().clamp(min=0).sqrt().sum()),
        "You used the variances alone, as if the features were independent.": lambda real, generated: with_traces(
            real, generated, root=lambda S, T: (S.diagonal() * T.diagonal()).sqrt().sum()
        ),
        "The root of the product is missing: you took the trace of the product itself.": lambda real, generated: (
            with_traces(real, generated, root=lambda S, T: (S @ T).trace())
        ),
        "This is the root of the Fréchet distance; the squared one is the custom.": lambda real, generated: (
            with_traces(real, generated).sqrt()
        ),
        "You divided the covariances by n; n − 1 is meant.": lambda real, generated: (
            moments(real, generated)[0]
            + (S := torch.cov(real.T, correction=0)).trace()
            + (T := torch.cov(generated.T, correction=0)).trace()
            - 2 * roots(S, T)
        ),
    },
    laws={"0 at itself": zero_at_itself, "symmetric": symmetric},
)


def kernel(a, b, degree=3, offset=1.0):
    return (a @ b.T / a.shape[1] + offset) ** degree


def within(k):
    return (k.sum() - k.diagonal().sum()) / (len(k) * (len(k) - 1))


def discrepancy(real, generated, k=kernel, own=within, cross=2.0):
    return own(k(real, real)) + own(k(generated, generated)) - cross * k(real, generated).mean()


kernel_distance = Check(
    reference=discrepancy,
    draw=two_sets,
    returns="a tensor without axes, float64",
    terms={
        "The mean kernel between the sets": lambda real, generated: -2 * kernel(real, generated).mean(),
        "The mean kernel within the real set": lambda real, generated: within(kernel(real, real)),
        "The mean kernel within the generated set": lambda real, generated: within(kernel(generated, generated)),
    },
    mistakes={
        "Pairs of a sample with itself are in it: they bias the estimate upwards.": lambda real, generated: (
            discrepancy(real, generated, own=torch.mean)
        ),
        "You left out the pairs of a sample with itself, and divided by n² all the same.": lambda real, generated: (
            discrepancy(real, generated, own=lambda k: (k.sum() - k.diagonal().sum()) / k.numel())
        ),
        "The cross term is subtracted once; it is meant twice.": lambda real, generated: (
            discrepancy(real, generated, cross=1.0)
        ),
        "The cross term is added; it is to be subtracted.": lambda real, generated: (
            discrepancy(real, generated, cross=-2.0)
        ),
        "The product is not divided by the number of features.": lambda real, generated: discrepancy(
            real, generated, lambda a, b: (a @ b.T + 1) ** 3
        ),
        "The 1 in the kernel is missing: it brings in the lower moments.": lambda real, generated: discrepancy(
            real, generated, lambda a, b: kernel(a, b, offset=0.0)
        ),
        "The kernel is of the second degree; the third is meant.": lambda real, generated: discrepancy(
            real, generated, lambda a, b: kernel(a, b, 2)
        ),
        "This is the root of the squared discrepancy; an unbiased estimate may be negative, and has none.": lambda real,
        generated: discrepancy(real, generated).abs().sqrt(),
    },
    laws={"symmetric": symmetric},
)


def near_sets(fresh: Fresh) -> tuple:
    real, generated, features = fresh.sizes(COUNTS, OTHERS, (2, 4))
    draws = fresh.normal(generated, features, scale=0.8, dtype=torch.float64)
    return fresh.normal(real, features, dtype=torch.float64), draws + 0.9, fresh.integer(2, 5)


def radii(a, k):
    return torch.cdist(a, a).kthvalue(k + 1, 1).values


def balls(real, generated, k):
    """Which generated sample lies in which real ball: (generated, real)."""
    return torch.cdist(generated, real) <= radii(real, k)


def shares(real, generated, k, own=balls):
    return own(real, generated, k).any(1).double().mean(), own(generated, real, k).any(1).double().mean()


def boundary_counts(answer, fresh: Fresh) -> str | None:
    """Two generated samples that lie exactly on balls of real ones."""
    real, generated = (torch.tensor(row, dtype=torch.float64)[:, None] for row in ([0, 1, 3], [-1, 5]))
    if answer(real, generated, 1)[0] < 1:
        return "You leave out samples that lie on a ball's boundary, which belongs to it: ≤, not <."


precision_recall = Check(
    reference=shares,
    draw=near_sets,
    returns="two tensors without axes, float64: precision and recall",
    mistakes={
        "You returned recall first; precision is meant "
        "first.": lambda real, generated, k: shares(real, generated, k)[::-1],
        "Your balls reach one neighbour short: a sample is no neighbour of itself.": lambda real, generated, k: shares(
            real, generated, k - 1
        ),
        "Your balls reach one neighbour too far.": lambda real, generated, k: shares(real, generated, k + 1),
        "The second number is coverage, with balls around real samples; recall "
        "has them around generated ones.": lambda real,
        generated, k: (shares(real, generated, k)[0], balls(real, generated, k).any(0).double().mean()),
        "You put the balls around the samples that are tested; they "
        "belong to the other set.": lambda real, generated, k: (
            balls(generated, real, k).any(0).double().mean(),
            balls(real, generated, k).any(0).double().mean(),
        ),
        "You asked for the share of pairs; one ball is enough for a sample.": lambda real, generated, k: (
            balls(real, generated, k).double().mean(),
            balls(generated, real, k).double().mean(),
        ),
        "You ask a sample to lie in all balls; one is enough.": lambda real, generated, k: (
            balls(real, generated, k).all(1).double().mean(),
            balls(generated, real, k).all(1).double().mean(),
        ),
        "You gave every ball the same size, the mean radius; each has its own.": lambda real, generated, k: shares(
            real, generated, k, lambda a, b, k: torch.cdist(b, a) <= radii(a, k).mean()
        ),
        "You used squared distances on one side only.": lambda real, generated, k: shares(
            real, generated, k, lambda a, b, k: torch.cdist(b, a) ** 2 <= radii(a, k)
        ),
    },
    laws={"a ball's boundary": boundary_counts},
)


def near_and_fresh(fresh: Fresh) -> tuple:
    samples, held_out, train, features = fresh.sizes(OTHERS, (51, 70), (90, 120), FEATURES)
    return (
        0.8 * fresh.normal(samples, features),
        fresh.normal(held_out, features),
        fresh.normal(train, features),
    )


def nearest(a, b):
    return torch.cdist(a, b).amin(1)


def smaller(a, b):
    return (a[:, None] < b).double().mean()


def copies_found(answer, fresh: Fresh) -> str | None:
    _, held_out, train = near_and_fresh(fresh)
    if answer(train[:20] + 1e-4, held_out, train) < 0.99:
        return "For copies of training samples the share must be near 1, and yours is not."


copying = Check(
    reference=lambda samples, held_out, train: smaller(nearest(samples, train), nearest(held_out, train)),
    draw=near_and_fresh,
    returns="a tensor without axes, float64, from 0 to 1",
    mistakes={
        "The comparison is turned: you count how often a fresh example is closer.": lambda samples, held_out, train: (
            smaller(nearest(held_out, train), nearest(samples, train))
        ),
        "You compared with the mean distance of the fresh examples; compare with each of them.": lambda samples,
        held_out, train: (nearest(samples, train) < nearest(held_out, train).mean()).double().mean(),
        "You compared with the median of the fresh examples; "
        "compare with each of them.": lambda samples, held_out, train: (
            (nearest(samples, train) < nearest(held_out, train).median()).double().mean()
        ),
        "You compared two means, which gives 0 or 1; compare each sample with each fresh example.": lambda samples,
        held_out, train: (nearest(samples, train).mean() < nearest(held_out, train).mean()).double(),
        "You return how many pairs there are; their share is meant.": lambda samples, held_out, train: (
            smaller(nearest(samples, train), nearest(held_out, train)) * len(samples) * len(held_out)
        ),
        "You asked whether a sample is nearer to the training set than to the fresh examples; compare with how near "
        "these are to the training set.": lambda samples, held_out, train: (
            (nearest(samples, train) < nearest(samples, held_out)).double().mean()
        ),
        "You took the distances to the held-out examples; both are to be to the training set.": lambda samples,
        held_out, train: smaller(nearest(samples, held_out), nearest(held_out, train)),
        "You took the mean distance to the training set; the nearest counts.": lambda samples, held_out, train: smaller(
            torch.cdist(samples, train).mean(1), torch.cdist(held_out, train).mean(1)
        ),
        "You compared with the distance from the sample to the fresh example; compare with that example's own "
        "distance to the training set.": lambda samples, held_out, train: (
            (nearest(samples, train)[:, None] < torch.cdist(samples, held_out)).double().mean()
        ),
        "You asked each training example for its nearest sample; ask each sample for its nearest training "
        "example.": lambda samples,
        held_out, train: smaller(nearest(train, samples), nearest(train, held_out)),
        "You compared the samples one by one with the fresh examples; all pairs are "
        "meant.": lambda samples, held_out, train: (
            (nearest(samples, train) < nearest(held_out, train)[: len(samples)]).double().mean()
        ),
    },
    laws={"near 1 for copies": copies_found},
)
