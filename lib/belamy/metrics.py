"""Numbers that judge generated images: by features, class probabilities, colours; and label maps.

Features are what one fixed net sees in an image, (N, D), floating point, a row an image, from
``belamy.features``; the net is part of the metric. Sets may differ in size, need not be in any
order, and may lie on any device; memory stays bounded by blocks of rows. Sources: Salimans et al.
2016 (Inception Score); Heusel et al. 2017 (Fréchet distance); Bińkowski et al. 2018 (kernel
distance); Kynkäänniemi et al. 2019 (precision and recall); Naeem et al. 2020 (density and
coverage); Székely & Rizzo 2013 (energy distance); Dice 1945 (overlap); Nguyen, Abdalla & Amer 2024
(*Adversarial Variational Autoencoders*), equation (17), and the publicly available program of its
first author (balance metric).
"""

import math
from itertools import pairwise

import torch
from torch import Tensor

from belamy import _pairs
from belamy._checks import (
    MAX_SEED,
    check_features,
    check_images,
    check_probabilities,
    unit,
    whole_number,
)
from belamy.errors import InputError

READINGS = ("as printed", "as coded", "normalised")
PIXELS_AT_ONCE = 2**16  # keeps a chunk within a core's cache, and memory bounded
ROWS_AT_ONCE = 1024  # of features that become float64


@torch.no_grad()
def frechet_distance(real: Tensor, generated: Tensor) -> float:
    """Squared Fréchet distance of the Gaussians fitted to two sets of features; FID on Inception's.

    The squared distance of the means, plus tr(S1 + S2 - 2 sqrt(S1 S2)) of the covariances, whose
    divisor is N - 1 (Heusel et al. 2017, equation 6). In float64; symmetric, from 0. Biased
    upwards, by about c / N: compare at equal N, and show two halves of the real set beside it.

    Args:
        real, generated: features (N, D) and (M, D); N and M may be less than D.

    Raises:
        InputError: here and below, if features are no such tensors, differ in D, hold NaN, infinity
            or numbers beyond 1e40, whose powers overflow, or there are fewer than two rows.
    """
    real, generated = check_features(real, generated)
    (mean, root), (other_mean, other_root) = _fit(real), _fit(generated)
    overlap = root.mT @ other_root
    # tr sqrt(S1 S2) = tr sqrt(S1^.5 S2 S1^.5): the singular values of R1' R2 for any roots R R' = S.
    if min(overlap.shape) < real.shape[1]:
        shared = torch.linalg.svdvals(overlap)
    else:  # their squares by a symmetric matrix: four times as fast at D = 2048
        shared = torch.linalg.eigvalsh(overlap @ overlap.mT).clamp_(min=0).sqrt_()
    spread = root.square().sum() + other_root.square().sum() - 2 * shared.sum()
    return ((mean - other_mean).square().sum() + spread).clamp(min=0).item()


@torch.no_grad()
def kernel_distance(real: Tensor, generated: Tensor) -> float:
    """Squared maximum mean discrepancy with the kernel (x.y / D + 1)^3; KID on Inception's features.

    The unbiased estimate from all pairs at once (Bińkowski et al. 2018): the mean kernel of two real
    samples, plus that of two generated ones, less twice that of one of each. Around 0, and so often
    below, where the distributions agree. Kernels are computed in the precision of the features, at
    least float32, and in float64 where float32 would overflow; they are added in float64. Features
    whose mean is huge beside their spread lose the difference to rounding: take the real mean off both.

    Args:
        real, generated: features (N, D) and (M, D).

    Raises:
        InputError: as for ``frechet_distance``.
    """
    return _discrepancy(*_kernel_features(real, generated))


@torch.no_grad()
def kernel_distance_subsets(
    real: Tensor, generated: Tensor, subsets: int = 100, subset_size: int = 1000, seed: int = 0
) -> Tensor:
    """``kernel_distance`` of random subsets, drawn without replacement: (subsets,), float64.

    Packages report their mean and standard deviation. The latter says how much one subset
    scatters, which is no standard error of the mean: subsets overlap.

    Raises:
        InputError: as for ``frechet_distance``, no subset, or a size that is not from 2 to the number
            of samples.
    """
    real, generated = _kernel_features(real, generated)
    most = min(len(real), len(generated))
    subsets = whole_number("subsets", subsets, 1)
    subset_size = whole_number(f"of {most} samples, subset_size", subset_size, 2, most)
    rng = torch.Generator().manual_seed(whole_number("seed", seed, 0, MAX_SEED - 1))

    def draw(samples: Tensor) -> Tensor:
        rows = torch.randperm(len(samples), generator=rng)[:subset_size]
        return samples.index_select(0, rows.to(samples.device))

    values = [_discrepancy(draw(real), draw(generated)) for _ in range(subsets)]
    return torch.tensor(values, dtype=torch.float64)


@torch.no_grad()
def energy_distance(real: Tensor, generated: Tensor) -> float:
    """``2 E|x - y| - E|x - x'| - E|y - y'|``, distances Euclidean; zero only where both laws agree.

    The unbiased estimate: means over pairs of different rows (Székely & Rizzo 2013). Around 0, and so often
    below, where the distributions agree. In float64; its unit is that of the features.

    Args:
        real, generated: features, or points, (N, D) and (M, D).

    Raises:
        InputError: as for ``frechet_distance``.
    """
    real, generated = (samples.double() for samples in check_features(real, generated))

    def total(samples: Tensor, others: Tensor) -> float:
        parts = (torch.cdist(part, others).sum().item() for part in samples.split(_pairs.ROWS_AT_ONCE))
        return math.fsum(parts)

    across = total(real, generated) / (len(real) * len(generated))
    within = [total(samples, samples) / (len(samples) * (len(samples) - 1)) for samples in (real, generated)]
    return 2 * across - sum(within)


@torch.no_grad()
def dice(truth: Tensor, found: Tensor, classes: int) -> Tensor:
    """Overlap of two maps of labels, a number a class: ``2 |A & B| / (|A| + |B|)``, in [0, 1].

    Pixels of all images are counted together, so that an image without a class neither helps nor
    harms; for a number an image, pass one at a time (Dice 1945; Sandfort et al. 2019).

    Args:
        truth, found: whole numbers from 0 to ``classes`` - 1, alike in shape, (N, H, W), say.
        classes: how many there are.

    Returns:
        (classes,), float64; NaN for a class that is in neither map.

    Raises:
        InputError: shapes differ, nothing to compare, no whole numbers, or labels out of range.
    """
    classes = whole_number("classes", classes, 1)
    for name, labels in (("truth", truth), ("found", found)):
        if not isinstance(labels, Tensor) or labels.is_floating_point() or labels.is_complex():
            kind = labels.dtype if isinstance(labels, Tensor) else type(labels).__name__
            raise InputError(f"{name} are {kind}; expected labels, int64: take the argmax of scores")
        if labels.shape != truth.shape or labels.numel() == 0:
            raise InputError(
                f"truth of shape {tuple(truth.shape)}, {name} of {tuple(labels.shape)}: expected one "
                "label a pixel in both, and at least one pixel"
            )
        low, high = (int(value) for value in labels.long().aminmax())
        if low < 0 or high >= classes:
            raise InputError(f"{name} lie in {low} to {high}; expected labels from 0 to {classes - 1}")
    truth, found = truth.long().flatten(), found.to(truth.device).long().flatten()
    both = torch.bincount(truth[truth == found], minlength=classes)
    each = torch.bincount(truth, minlength=classes) + torch.bincount(found, minlength=classes)
    return 2 * both.cpu().double() / each.cpu()


@torch.no_grad()
def precision_recall(real: Tensor, generated: Tensor, k: int = 3) -> tuple[float, float]:
    """Shares of the generated samples near real ones, and of the real near generated: in [0, 1].

    Near is within the ball around a sample of the other set that reaches to its k-th neighbour in
    that set, itself not counted; the boundary belongs to it (Kynkäänniemi et al. 2019, section 2).
    The first is how much of what is generated is plausible, the second how much of what is real can
    be generated; an outlier has a large ball, and flatters both. Swapped arguments swap the two.

    Args:
        real, generated: features (N, D) and (M, D).
        k: which neighbour, from 1 to one less than the smaller of N and M.

    Raises:
        InputError: as for ``frechet_distance``, or k neighbours are not there.
    """
    real, generated = check_features(real, generated)
    count = min(len(real), len(generated))
    k = whole_number(f"of {count} samples, neighbours k", k, 1, count - 1)
    real, generated = _pairs.centred(real, generated)
    real_radii, generated_radii = _pairs.radii(real, k), _pairs.radii(generated, k)
    plausible = torch.zeros(len(generated), dtype=torch.bool, device=real.device)
    reached = 0
    for rows, distances in _pairs.squared_distances(real, generated, -_pairs.TIE):
        plausible |= (distances <= real_radii[rows, None]).any(0)
        reached += (distances <= generated_radii).any(1).sum().item()
    return plausible.sum().item() / len(generated), reached / len(real)


@torch.no_grad()
def density_coverage(real: Tensor, generated: Tensor, k: int = 5) -> tuple[float, float]:
    """How many real samples' balls hold a generated one, and the share of balls that hold any.

    A ball reaches from a real sample to its k-th neighbour among the real, itself not counted; the
    boundary does not belong to it. Density is the mean number of balls a generated sample lies in,
    over k: from 0, may exceed 1, is 1 for a copy of the real set. Coverage is in [0, 1]. (Naeem et
    al. 2020, section 3.)

    Args:
        real, generated: features (N, D) and (M, D).
        k: which neighbour, from 1 to N - 1.

    Raises:
        InputError: as for ``frechet_distance``, or k neighbours are not there.
    """
    real, generated = check_features(real, generated)
    k = whole_number(f"of {len(real)} samples, neighbours k", k, 1, len(real) - 1)
    real, generated = _pairs.centred(real, generated)
    radii = _pairs.radii(real, k)
    inside = covered = 0
    for rows, distances in _pairs.squared_distances(real, generated, _pairs.TIE):
        within = distances < radii[rows, None]
        inside += within.sum().item()
        covered += within.any(1).sum().item()
    return inside / (k * len(generated)), covered / len(real)


@torch.no_grad()
def inception_score(probabilities: Tensor, splits: int = 1) -> float:
    """exp of the mean KL(p(y|x) || p(y)), from 1 to C: the mean over splits (Salimans et al. 2016).

    High where each image has one clear class and all classes come up: in nats, the logarithm is the
    information that an image holds on its class. Splits are equal parts in the order given, not
    shuffled, and p(y) is a split's own: images sorted by class score less. For the spread, score
    the parts one by one.

    Args:
        probabilities: of the classes (N, C), rows of sum 1: a softmax, not logits.
        splits: from 1 to N; papers take 10 of 5,000 images.

    Raises:
        InputError: no such tensor, an entry is negative or NaN, a row's sum is off 1 by over 1e-3,
            or there are more splits than rows.
    """
    probabilities = check_probabilities(probabilities)
    count = len(probabilities)
    splits = whole_number(f"of {count} rows, splits", splits, 1, count)
    edges = [part * count // splits for part in range(splits + 1)]
    scores = [_score(probabilities[start:end]) for start, end in pairwise(edges)]
    return sum(scores) / splits


@torch.no_grad()
def balance_metric(images: Tensor, generated: Tensor, reading: str = "normalised") -> float:
    """The balance metric of generated images against a set of images: the mean of d(1 - d).

    d is the distance of two colours: the Euclidean norm of the difference of a generated image and an
    image of the set at one pixel. The mean is over pixels, images and generated images, which is
    equation (17) for one generated image. It has three readings:

    - ``"as printed"``: d(1 - d) with d in [0, sqrt(C)], C channels; from sqrt(3)(1 - sqrt(3)) = -1.268
      to 1/4 for RGB;
    - ``"as coded"``: the absolute value of d(1 - d) at each pixel, as the public program computes;
      from 0 to 1.268 for RGB;
    - ``"normalised"``: d divided by sqrt(C), so that black against white is at distance 1; from 0 to 1/4.

    Neither end is good: a perfect copy scores 0, and an image at distance 1/2 from everything 1/4.
    Show controls (black, white, the mean image) beside every value.

    Args:
        images: (N, C, H, W), uint8, or floating point in [0, 1].
        generated: (M, C, H, W), alike.
        reading: one of the three.

    Raises:
        InputError: another shape or type, values outside [0, 1], or an unknown reading.
    """
    if reading not in READINGS:
        raise InputError(f"reading={reading!r} is not one of {', '.join(map(repr, READINGS))}")
    check_images("images", images)
    check_images("generated", generated)
    if images.shape[1:] != generated.shape[1:]:
        raise InputError(
            f"images are of shape {tuple(images.shape[1:])}, generated ones of "
            f"{tuple(generated.shape[1:])}: give both the same channels, height and width"
        )
    images, generated = unit(images), unit(generated)
    scale = images.shape[1] ** -0.5 if reading == "normalised" else 1.0
    rows = max(1, PIXELS_AT_ONCE // (images.shape[-2] * images.shape[-1]))
    total = torch.zeros((), dtype=torch.float64, device=generated.device)
    for picture in generated:
        for part in images.split(rows):
            d = (part.to(picture) - picture).square_().sum(1).sqrt_() * scale  # (n, H, W)
            balance = d * (1 - d)
            balance = balance if reading == "as printed" else balance.abs()
            total += balance.sum(dtype=torch.float64)
    return total.item() / (len(images) * len(generated) * images.shape[-2] * images.shape[-1])


def _fit(samples: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (D,) and a root R (D, r) of the covariance R R', in float64; r = N or D, the lesser."""
    count, dimensions = samples.shape
    mean = samples.mean(0, dtype=torch.float64)
    if count < dimensions:  # the data are a root
        return mean, (samples.double() - mean).mT / (count - 1) ** 0.5
    covariance = torch.zeros(dimensions, dimensions, dtype=torch.float64, device=samples.device)
    for part in samples.split(ROWS_AT_ONCE):
        centred = part.double() - mean
        covariance.addmm_(centred.mT, centred, alpha=1 / (count - 1))
    root, fault = torch.linalg.cholesky_ex(covariance)
    if fault:  # of less than full rank, as where a feature never changes
        values, vectors = torch.linalg.eigh(covariance)
        root = vectors * values.clamp_(min=0).sqrt_()
    return mean, root


def _kernel_features(real: Tensor, generated: Tensor) -> tuple[Tensor, Tensor]:
    """Both sets, checked; in float64 where a sum of float32 kernels might overflow."""
    real, generated = check_features(real, generated)
    largest = max(value.abs().item() for samples in (real, generated) for value in samples.aminmax())
    bound = (largest**2 + 1) ** 3 * max(len(real), len(generated))  # of a row's sum, x.y <= D largest^2
    if bound > torch.finfo(real.dtype).max:
        real, generated = real.double(), generated.double()
    return real, generated


def _discrepancy(real: Tensor, generated: Tensor) -> float:
    within = _pairs.mean_kernel_within(real) + _pairs.mean_kernel_within(generated)
    return (within - 2 * _pairs.mean_kernel_across(real, generated)).item()


def _score(probabilities: Tensor) -> float:
    """exp of the entropy of the mean less the mean entropy."""
    mean = probabilities.mean(0, dtype=torch.float64)
    parts = probabilities.split(ROWS_AT_ONCE)
    own = sum(_information(part.double()) for part in parts) / len(probabilities)
    return (own - _information(mean)).exp().item()


def _information(probabilities: Tensor) -> Tensor:
    return torch.xlogy(probabilities, probabilities).sum()
