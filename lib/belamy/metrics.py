"""Numbers that judge generated images.

Source: Nguyen, Abdalla & Amer 2024 (*Adversarial Variational Autoencoders*), equation (17), and the
publicly available program of its first author, for the balance metric.
"""

import torch
from torch import Tensor

from belamy.errors import InputError

READINGS = ("as printed", "as coded", "normalised")
PIXELS_AT_ONCE = 2**16  # keeps a chunk within a core's cache, and memory bounded


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
    images, generated = _unit("images", images), _unit("generated", generated)
    if images.shape[1:] != generated.shape[1:]:
        raise InputError(
            f"images are of shape {tuple(images.shape[1:])}, generated ones of "
            f"{tuple(generated.shape[1:])}: give both the same channels, height and width"
        )
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


def _unit(name: str, images: Tensor) -> Tensor:
    """Images as floating point in [0, 1], checked."""
    if not isinstance(images, Tensor):
        raise InputError(f"{name} is a {type(images).__name__}; expected a tensor (an ImageSet's .images)")
    if images.ndim != 4 or images.numel() == 0:
        raise InputError(f"{name} of shape {tuple(images.shape)}; expected (N, C, H, W), not empty")
    if images.dtype == torch.uint8:
        return images.float() / 255
    if not images.is_floating_point():
        raise InputError(f"{name} is {images.dtype}; expected torch.uint8 or floating point in [0, 1]")
    low, high = images.min().item(), images.max().item()
    if not (0 <= low and high <= 1):  # false for NaN, too
        raise InputError(f"{name} lie in [{low:.4g}, {high:.4g}]; expected [0, 1]")
    return images
