"""Warm key light from one side, cool dim surroundings, flesh that lets light seep past the edge."""

import torch
from torch import Tensor

from belamy.data.painter.brush import hue, soft_relu
from belamy.data.painter.sitter import Sitter

KEY = (1.56, 1.37, 1.11)  # warm, as from a high window onto a varnished canvas
FILL = (0.058, 0.056, 0.062)
BOUNCE = (0.075, 0.044, 0.026)  # what the warm ground throws back into the shadows
FLESH = (0.22, 0.11, 0.07)  # how far the light wraps round the form, red furthest
CLOTH = (0.12, 0.12, 0.12)
LINEN = hue(0.90, 0.87, 0.80)


def lit(
    albedo: Tensor,
    normal: tuple[Tensor, Tensor, Tensor],
    t: Sitter,
    shadow: Tensor,
    wrap: tuple[float, float, float] = FLESH,
) -> Tensor:
    """Shade an albedo (N, 3, S, S): key (cut off where `shadow` is 1), sky and bounce."""
    facing = normal[0] * t.lamp[0] + normal[1] * t.lamp[1] + normal[2] * t.lamp[2]
    below = 0.5 - 0.5 * normal[1]
    open_air = 0.35 + 0.65 * normal[2]
    shades = []
    for key, fill, bounce, w in zip(KEY, FILL, BOUNCE, wrap, strict=True):
        diffuse = soft_relu((facing + w) / (1 + w), 0.14) * (1 - shadow)
        shades.append(key * diffuse + fill * open_air + bounce * below)
    return albedo * torch.stack(shades, 1)


def gloss(normal: tuple[Tensor, Tensor, Tensor], t: Sitter, sharpness: float) -> Tensor:
    """Highlight of a smooth surface, 1 at its centre (half-vector between lamp and eye)."""
    lx, ly, lz = t.lamp
    size = torch.rsqrt(lx**2 + ly**2 + (lz + 1) ** 2)
    along = (normal[0] * lx + normal[1] * ly + normal[2] * (lz + 1)) * size
    return torch.exp2(1.4427 * sharpness * (along - 1))
