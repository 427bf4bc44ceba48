"""Answers to the exercises on samples, right and wrong, as students write them."""

import numpy as np
import torch
from torch.distributions import Categorical, kl_divergence

# --- inception score -----------------------------------------------------------------------------


def score_by_torch(p):
    marginal = Categorical(probs=p.mean(0))
    return (marginal.entropy() - Categorical(probs=p).entropy().mean()).exp()


def score_by_loop(p):
    q, total = p.mean(0), torch.zeros(())
    for row in p:
        for a, b in zip(row, q):
            if a > 0:
                total = total + a * (a / b).log()
    return (total / len(p)).exp()


def score_of_tutorials(p):  # 0 log 0
    return (p * (p.log() - p.mean(0).log())).sum(1).mean().exp()


def score_in_logarithms(p):
    return kl_divergence(Categorical(p), Categorical(p.mean(0))).mean()


def score_reversed(p):
    return kl_divergence(Categorical(p.mean(0)), Categorical(p)).mean().exp()


def score_of_sums(p):
    return kl_divergence(Categorical(p), Categorical(p.mean(0))).sum().exp()


def score_mean_of_classes(p):
    return (p * (p / p.mean(0)).log()).mean().exp()


def score_each(p):
    return kl_divergence(Categorical(p), Categorical(p.mean(0))).exp()


# --- frechet -------------------------------------------------------------------------------------


def frechet_by_roots(real, generated):
    def root(S):
        values, vectors = torch.linalg.eigh(S)
        return vectors @ torch.diag(values.clamp(min=0).sqrt()) @ vectors.T

    S, T = real.T.cov(), generated.T.cov()
    half = root(S)
    shift = real.mean(0) - generated.mean(0)
    return shift @ shift + torch.trace(S + T - 2 * root(half @ T @ half))


def frechet_by_singular_values(real, generated):
    a, b = real - real.mean(0), generated - generated.mean(0)
    a, b = a / (len(a) - 1) ** 0.5, b / (len(b) - 1) ** 0.5
    overlap = torch.linalg.svdvals(a @ b.T).sum()
    return (real.mean(0) - generated.mean(0)).pow(2).sum() + a.pow(2).sum() + b.pow(2).sum() - 2 * overlap


def frechet_root(real, generated):
    return frechet_by_roots(real, generated) ** 0.5


def frechet_norm(real, generated):
    shift = torch.dist(real.mean(0), generated.mean(0))
    return frechet_by_roots(real, generated) - shift**2 + shift


def frechet_entries(real, generated):
    S, T = real.T.cov(), generated.T.cov()
    shift = (real.mean(0) - generated.mean(0)).pow(2).sum()
    return shift + torch.trace(S + T - 2 * (S @ T).clamp(min=0) ** 0.5)


def frechet_of_variances(real, generated):
    shift = (real.mean(0) - generated.mean(0)).pow(2).sum()
    return shift + (real.std(0) - generated.std(0)).pow(2).sum()


def frechet_without_2(real, generated):
    S, T = real.T.cov(), generated.T.cov()
    shift = (real.mean(0) - generated.mean(0)).pow(2).sum()
    return shift + torch.trace(S + T) - torch.linalg.eigvals(S @ T).real.clamp(min=0).sqrt().sum()


def frechet_in_numpy(real, generated):
    return float(frechet_by_roots(real, generated))


def frechet_of_second_moments(real, generated):
    return frechet_by_roots(real, generated) + real.mean(0).pow(2).sum()


# --- kernel distance -----------------------------------------------------------------------------


def kernel_by_mask(real, generated):
    def mean(a, b, off):
        k = (1 + torch.einsum("if,jf->ij", a, b) / a.shape[-1]).pow(3)
        return k[~torch.eye(len(a), dtype=torch.bool)].mean() if off else k.mean()

    return mean(real, real, True) + mean(generated, generated, True) - 2 * mean(real, generated, False)


def kernel_by_loop(real, generated):
    k = lambda a, b: (a.dot(b) / len(a) + 1) ** 3
    both = []
    for s in (real, generated):
        both.append(sum(k(a, b) for i, a in enumerate(s) for b in s[:i]) / (len(s) * (len(s) - 1) / 2))
    return both[0] + both[1] - 2 * sum(k(a, b) for a in real for b in generated) / (len(real) * len(generated))


def poly(a, b):
    return (a.matmul(b.t()) / a.size(1) + 1).pow(3)


def kernel_with_diagonal(real, generated):
    return poly(real, real).mean() + poly(generated, generated).mean() - 2 * poly(real, generated).mean()


def kernel_one_cross(real, generated):
    return kernel_by_mask(real, generated) + poly(real, generated).mean()


def kernel_not_divided(real, generated):
    d = real.shape[1] ** 0.5
    return kernel_by_mask(real * d, generated * d)


def kernel_zeroed_diagonal(real, generated):
    own = lambda a: poly(a, a).fill_diagonal_(0).mean()
    return own(real) + own(generated) - 2 * poly(real, generated).mean()


def kernel_thousand(real, generated):
    return 1000 * kernel_by_mask(real, generated)


# --- precision and recall ------------------------------------------------------------------------


def pr_by_topk(real, generated, k):
    def inside(x, y):
        r = torch.cdist(y, y).topk(k + 1, largest=False).values.amax(1)
        return ((torch.cdist(x, y) - r) <= 0).sum(1).gt(0).double().mean()

    return inside(generated, real), inside(real, generated)


def pr_by_loop(real, generated, k):
    def inside(x, y):
        r = [torch.sort(torch.cdist(c[None], y)[0]).values[k] for c in y]
        hits = [any((torch.cdist(a[None], c[None])[0, 0] <= s) for c, s in zip(y, r)) for a in x]
        return torch.tensor(hits).double().mean()

    return inside(generated, real), inside(real, generated)


def pr_swapped(real, generated, k):
    return pr_by_topk(generated, real, k)


def pr_counts_itself(real, generated, k):
    return pr_by_topk(real, generated, k - 1)


def pr_recall_is_coverage(real, generated, k):
    r = torch.cdist(real, real).sort().values[:, k]
    inside = torch.cdist(real, generated) <= r[:, None]
    return inside.any(0).double().mean(), inside.any(1).double().mean()


def pr_as_list_of_floats(real, generated, k):
    return [float(v) for v in pr_by_topk(real, generated, k)]


def pr_in_float32(real, generated, k):
    return tuple(v.float() for v in pr_by_topk(real, generated, k))


def balls_without_boundary(real, generated, k):
    def share(inside, centres):
        radii = torch.cdist(centres, centres).kthvalue(k + 1, dim=1).values
        return (torch.cdist(inside, centres) < radii).any(dim=1).double().mean()

    return share(generated, real), share(real, generated)


# --- copying -------------------------------------------------------------------------------------


def copying_by_loop(samples, held_out, train):
    fresh = torch.stack([(x - train).norm(dim=1).min() for x in held_out])
    return torch.stack([((x - train).norm(dim=1).min() < fresh).double().mean() for x in samples]).mean()


def copying_sorted(samples, held_out, train):
    fresh = torch.cdist(held_out, train).min(1).values.sort().values
    mine = torch.cdist(samples, train).min(1).values
    return (len(fresh) - torch.searchsorted(fresh, mine, right=True)).double().mean() / len(fresh)


def copying_turned(samples, held_out, train):
    return copying_by_loop(held_out, samples, train)


def copying_below_mean(samples, held_out, train):
    limit = torch.cdist(held_out, train).min(dim=1).values.mean()
    return torch.cdist(samples, train).min(dim=1).values.lt(limit).double().mean()


def copying_mean_distance(samples, held_out, train):
    mine, fresh = torch.cdist(samples, train).mean(1), torch.cdist(held_out, train).mean(1)
    return (mine.unsqueeze(1) < fresh.unsqueeze(0)).double().mean()


def copying_counted(samples, held_out, train):
    return copying_by_loop(samples, held_out, train) * len(samples)


def copying_in_numpy(samples, held_out, train):
    return np.mean([float(copying_by_loop(samples, held_out, train))])


def closer_than_to_the_stranger(samples, held_out, train):
    own = torch.cdist(samples, train).min(1).values
    return (own.unsqueeze(1) < torch.cdist(samples, held_out)).double().mean()


def precision_in_all(real, generated, k):
    inside = lambda x, o: torch.cdist(x, o) <= torch.cdist(o, o).sort(1).values[:, k]
    return inside(generated, real).all(1).double().mean(), inside(real, generated).all(1).double().mean()


def copying_of_means(samples, held_out, train):
    mine, fresh = (torch.cdist(x, train).amin(1).mean() for x in (samples, held_out))
    return (mine < fresh).double()


def copying_pairs_counted(samples, held_out, train):
    mine, fresh = (torch.cdist(x, train).amin(1) for x in (samples, held_out))
    return (mine[:, None] < fresh).sum().double()


ANSWERS = {
    "inception-score": {
        "right": [score_by_torch, score_by_loop],
        "wrong": {
            "0 log 0": (score_of_tutorials, "inf or nan"),
            "a logarithm": (score_in_logarithms, "exponential is missing"),
            "the other way round": (score_reversed, "other way round"),
            "sum over the images": (score_of_sums, "sum over the images"),
            "mean over the classes": (score_mean_of_classes, "averaged over the classes"),
            "one an image": (score_each, "shape"),
        },
    },
    "frechet": {
        "right": [frechet_by_roots, frechet_by_singular_values],
        "wrong": {
            "its root": (frechet_root, "root of the Fréchet distance"),
            "the norm, not its square": (frechet_norm, "its square is meant"),
            "roots of entries": (frechet_entries, "single entries"),
            "variances alone": (frechet_of_variances, "variances alone"),
            "one overlap": (frechet_without_2, "meant twice"),
            "a plain number": (frechet_in_numpy, "torch tensor is meant"),
            "a mean too many": (frechet_of_second_moments, "differ"),
        },
    },
    "kernel-distance": {
        "right": [kernel_by_mask, kernel_by_loop],
        "wrong": {
            "with the diagonal": (kernel_with_diagonal, "with itself"),
            "one cross term": (kernel_one_cross, "meant twice"),
            "not divided": (kernel_not_divided, "number of features"),
            "zeroed diagonal": (kernel_zeroed_diagonal, "n²"),
            "times a thousand, as papers print it": (kernel_thousand, "1000"),
        },
    },
    "precision-recall": {
        "right": [pr_by_topk, pr_by_loop],
        "wrong": {
            "swapped": (pr_swapped, "precision is meant first"),
            "itself a neighbour": (pr_counts_itself, "no neighbour of itself"),
            "coverage for recall": (pr_recall_is_coverage, "coverage"),
            "plain numbers": (pr_as_list_of_floats, "torch tensor is meant"),
            "float32": (pr_in_float32, "float32"),
            "boundary left out": (balls_without_boundary, "boundary"),
            "all balls": (precision_in_all, "all balls"),
        },
    },
    "copying": {
        "right": [copying_by_loop, copying_sorted],
        "wrong": {
            "turned": (copying_turned, "turned"),
            "against the mean": (copying_below_mean, "mean distance of the fresh"),
            "mean distances": (copying_mean_distance, "nearest counts"),
            "a count": (copying_counted, "right value"),
            "numpy": (copying_in_numpy, "numpy"),
            "distance to the stranger": (closer_than_to_the_stranger, "from the sample to the fresh example"),
            "means compared": (copying_of_means, "two means"),
            "pairs counted": (copying_pairs_counted, "how many pairs"),
        },
    },
}
