"""What is asked of numbers, images, features and probabilities before anything is computed on them."""

import math
import numbers

import torch
from torch import Tensor

from belamy.errors import InputError

MASS_TOLERANCE = 1e-3
LARGEST_FEATURE = 1e40  # beyond float32; sixth powers of it, and their sums, are within float64
MAX_SEED = 2**63  # a seed lies in [0, MAX_SEED): what torch and numpy both take


def whole_number(name: str, value: object, least: int, most: int | None = None) -> int:
    """The value as an ``int``: Python's and numpy's integers are taken, True and 64.0 are not.

    Raises:
        InputError: no whole number, below ``least``, or above ``most``.
    """
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        whole = int(value)
        if least <= whole and (most is None or whole <= most):
            return whole
    wanted = f"of at least {least}" if most is None else f"from {least} to {most}"
    raise InputError(f"{name}={value!r} must be a whole number {wanted}")


def real_number(
    name: str, value: object, least: float = -math.inf, most: float = math.inf, above: float = -math.inf
) -> float:
    """The value as a ``float``: any finite number of Python's or numpy's, but not True.

    Raises:
        InputError: no number, not finite, below ``least``, above ``most``, or not above ``above``.
    """
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        try:
            real = float(value)
        except OverflowError:  # a whole number beyond every float
            real = math.inf
        if math.isfinite(real) and least <= real <= most and above < real:
            return real
    bounds = [("above", above), ("of at least", least), ("of at most", most)]
    wanted = " and ".join(f"{word} {bound:g}" for word, bound in bounds if math.isfinite(bound))
    raise InputError(f"{name}={value!r} must be a finite number {wanted}".rstrip())


def check_images(name: str, images: Tensor) -> None:
    """Refuse what is not (N, C, H, W), uint8, or floating point in [0, 1] up to rounding.

    Raises:
        InputError: another shape or type, no image at all, values outside [0, 1] or NaN.
    """
    _check_tensor(name, images, "an ImageSet's .images")
    if images.ndim != 4 or images.numel() == 0:
        raise InputError(f"{name} of shape {tuple(images.shape)}; expected (N, C, H, W), not empty")
    if images.dtype == torch.uint8:
        return
    if not images.is_floating_point():
        raise InputError(f"{name} is {images.dtype}; expected torch.uint8 or floating point in [0, 1]")
    low, high = (value.item() for value in images.aminmax())
    slack = max(1e-5, torch.finfo(images.dtype).eps)  # an interpolation may round across the border
    if not (-slack <= low and high <= 1 + slack):  # false for NaN, too
        found = f"{name} lie in [{low:.4g}, {high:.4g}]; expected [0, 1]"
        if not low <= high:
            bad = images.isnan().flatten(1).any(1).nonzero()[0, 0]
            raise InputError(f"{found}: {name}[{bad}] holds NaN, remove or repair it")
        raise InputError(f"{found}: (x + 1) / 2 or x / 255 leads there, .clamp(0, 1) cuts off the rest")


def check_finite(name: str, values: Tensor, advice: str) -> None:
    """Refuse what is not floating point (N, ...), a row an example, and finite.

    Raises:
        InputError: another type or shape, no row at all, or one that holds NaN or infinity.
    """
    if not isinstance(values, Tensor) or not values.is_floating_point():
        kind = values.dtype if isinstance(values, Tensor) else type(values).__name__
        raise InputError(f"{name} are {kind}; expected a floating point tensor: {advice}")
    if values.ndim < 2 or values.numel() == 0:
        raise InputError(f"{name} of shape {tuple(values.shape)}; expected (N, ...), not empty")
    if not (finite := values.isfinite().flatten(1).all(1)).all():
        row = int((~finite).nonzero()[0, 0])
        raise InputError(f"{name}[{row}] holds NaN or infinity: remove or repair it")


def unit(images: Tensor) -> Tensor:
    """Images in [0, 1], of at least float32, in which alone a mean is precise; bytes divided by 255."""
    if images.dtype == torch.uint8:
        return images.float() / 255
    return images.to(torch.promote_types(images.dtype, torch.float32))


def check_features(real: Tensor, generated: Tensor) -> tuple[Tensor, Tensor]:
    """Two sets of features, checked, of one type of at least float32, on one device with float64.

    Raises:
        InputError: not floating point (N, D), another D, NaN, infinity or beyond 1e40, fewer than two
            rows.
    """
    for name, samples in (("real", real), ("generated", generated)):
        _check_matrix(name, samples, "features (N, D), a row an image")
        if len(samples) < 2:
            raise InputError(f"{name} holds one sample: two or more have a spread, thousands a metric")
        low, high = (value.item() for value in samples.aminmax())  # NaN if any number is
        if not -LARGEST_FEATURE <= low <= high <= LARGEST_FEATURE:
            if bad := int((~samples.isfinite().all(1)).sum()):
                raise InputError(
                    f"{bad} of {len(samples)} rows of {name} hold NaN or infinity: repair the net, or "
                    "drop them"
                )
            raise InputError(
                f"{name} reach from {low:.4g} to {high:.4g}, and powers of what is beyond "
                f"{LARGEST_FEATURE:.0e} overflow: divide both sets by one number"
            )
    if real.shape[1] != generated.shape[1]:
        raise InputError(
            f"real has {real.shape[1]} features, generated {generated.shape[1]}: take both from one "
            "layer of one net"
        )
    dtype = torch.promote_types(torch.promote_types(real.dtype, generated.dtype), torch.float32)
    real = _where_float64_is(real).to(dtype)
    return real, generated.to(real)


def check_probabilities(values: Tensor) -> Tensor:
    """Class probabilities, checked, on a device with float64.

    Raises:
        InputError: not floating point (N, C), an entry below 0 or NaN, a row's sum off 1.
    """
    _check_matrix("probabilities", values, "a softmax (N, C), a row an image")
    if not (low := values.min().item()) >= 0:
        raise InputError(f"probabilities go down to {low:.4g}: pass a softmax, not logits, without NaN")
    sums = values.sum(1, dtype=torch.promote_types(values.dtype, torch.float32))
    off = (sums - 1).abs()
    if not (off <= MASS_TOLERANCE).all():
        raise InputError(f"a row of probabilities sums to {sums[off.argmax()]:.4g}: pass a softmax")
    return _where_float64_is(values)


def _check_matrix(name: str, values: Tensor, expected: str) -> None:
    _check_tensor(name, values, expected)
    if values.ndim != 2 or values.numel() == 0 or not values.is_floating_point():
        found = f"{values.dtype} of shape {tuple(values.shape)}"
        raise InputError(f"{name} is {found}; expected floating point, {expected}")


def _check_tensor(name: str, values: Tensor, expected: str) -> None:
    if not isinstance(values, Tensor):
        raise InputError(f"{name} is a {type(values).__name__}; expected a tensor ({expected})")


def _where_float64_is(values: Tensor) -> Tensor:
    return values.cpu() if values.device.type == "mps" else values
