"""The painter's elements: soft edges, summed waves instead of noise, pigment, relief.

Every element is smooth in its inputs, so that a picture stays differentiable in the factors.
Fields are float32 (N, S, S), traits (N, 1, 1), colours (N, 3, S, S) or (N, 3, 1, 1), linear in
light.
"""

import math

import torch
from torch import Tensor

GAMMA = 2.2


def inside(distance: Tensor, width: Tensor | float) -> Tensor:
    """Soft indicator of distance > 0; `width` is where the edge has risen from 12 % to 88 %."""
    return torch.sigmoid(4.0 * distance / width)


def bell(x: Tensor, width: Tensor | float) -> Tensor:
    """Unnormalised Gaussian of standard deviation `width`."""
    return torch.exp2(-0.7213475 * (x / width) ** 2)  # exp is ten times slower where it underflows


def soft_abs(x: Tensor, corner: float = 0.03) -> Tensor:
    """|x| with its corner rounded."""
    return torch.sqrt(x * x + corner * corner)


def soft_relu(x: Tensor, corner: float = 0.05) -> Tensor:
    """(x + sqrt(x^2 + corner^2)) / 2: max(x, 0) with its corner rounded; never below 0."""
    size = x.abs()
    return 0.5 * (x + size + corner**2 / (size + torch.sqrt(x * x + corner * corner)))


def mix(ground: Tensor, paint: Tensor, cover: Tensor) -> Tensor:
    """Lay `paint` over `ground` with opacity `cover` (N, S, S) in [0, 1]."""
    return ground + (paint - ground) * cover.unsqueeze(1)


def waves(x: Tensor, y: Tensor, frequency: float, phase: Tensor, pixel: Tensor) -> Tensor:
    """Smooth noise of unit variance: plane waves in many directions, none finer than the pixel.

    Args:
        x, y: coordinates (N, S, S).
        frequency: cycles per unit of length, about.
        phase: (N, K) in [0, 1], one wave per column.
        pixel: side of a pixel in the units of x; waves that it cannot carry fade out.
    """
    total = torch.zeros((), dtype=x.dtype)
    count = phase.shape[1]
    for k in range(count):
        angle = 2.39996 * k  # the golden angle: directions never line up
        cycles = frequency * (0.6 + 0.9 * ((k * 0.61803) % 1.0))
        fade = torch.exp(-6.0 * cycles**2 * pixel**2)
        kx, ky = 2 * math.pi * cycles * math.cos(angle), 2 * math.pi * cycles * math.sin(angle)
        shift = (2 * math.pi * phase[:, k])[:, None, None]
        total = total + fade * torch.sin(torch.add(kx * x + shift, y, alpha=ky))
    return total * math.sqrt(2.0 / count)


def pigment(*stops: tuple[float, float, float]) -> Tensor:
    """Palette (K, 3) in linear light from display colours in [0, 1]."""
    return torch.tensor(stops, dtype=torch.float32) ** GAMMA


def tint(red: float, green: float, blue: float) -> Tensor:
    """Three factors (1, 3, 1, 1) to multiply a colour by."""
    return torch.tensor([red, green, blue])[None, :, None, None]


def hue(red: float, green: float, blue: float) -> Tensor:
    """One colour (1, 3, 1, 1) in linear light from display values in [0, 1]."""
    return tint(red, green, blue) ** GAMMA


def blend(palette: Tensor, position: Tensor) -> Tensor:
    """Colour (N, 3, 1, 1) at `position` (N, 1, 1) in [-1, 1] on a palette with K equal steps.

    Weights are overlapping bells, so the path is smooth and passes near each stop.
    """
    stops = torch.linspace(-1, 1, len(palette))
    weight = bell(position - stops, 1.1 / (len(palette) - 1))  # (N, 1, K)
    weight = weight / weight.sum(-1, keepdim=True)
    return (weight @ palette).transpose(1, 2).unsqueeze(-1)


def normal(height: Tensor, pixel: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Unit normal (x, y, z) of a height field by central differences; y points up."""
    down, right = torch.gradient(height, dim=(1, 2))
    slope_x, slope_y = right / pixel, -down / pixel
    length = torch.rsqrt(1 + slope_x**2 + slope_y**2)
    return -slope_x * length, -slope_y * length, length
