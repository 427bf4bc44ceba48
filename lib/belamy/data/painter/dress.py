"""Neck, dress and collars.

Figure frame: u to the right, v up, in the units of the head frame, upright, origin at the pit of
the neck. Each garment has its own relief, so that the lamp models it.
"""

import torch
from torch import Tensor

from belamy.data.painter.brush import bell, inside, mix, normal, soft_abs, soft_relu, waves
from belamy.data.painter.light import CLOTH, LINEN, lit
from belamy.data.painter.sitter import Sitter


def paint_neck(canvas: Tensor, u: Tensor, v: Tensor, t: Sitter, shadow: Tensor) -> Tensor:
    """Neck and the upper chest, in flesh; the neck leans with the head."""
    axis = u - (0.32 * t.sin_yaw + 0.6 * t.sin_tilt) * soft_relu(v + 0.1, 0.1)
    half = t.neck * (1 + 0.18 * inside(-v, 0.35)) + 0.55 * soft_relu(-0.16 - v, 0.12)
    room = 1 - (axis / half) ** 2
    cords = bell(soft_abs(axis) - 0.20 - 0.25 * v, 0.06) * bell(v + 0.05, 0.18)
    cords = cords - 1.3 * bell(axis, 0.07) * bell(v + 0.24, 0.05)
    height = t.neck * torch.sqrt(soft_relu(room, 0.2)) + 0.02 * cords - 0.25 * soft_relu(v, 0.2)
    flesh = lit(0.92 * t.skin_colour, normal(height, t.pixel), t, shadow)
    cover = inside(0.5 * half * room, 0.02 + 1.2 * t.pixel) * inside(0.45 - v, 0.1)
    return mix(canvas, flesh, cover)


def paint_dress(canvas: Tensor, u: Tensor, v: Tensor, t: Sitter, shadow: Tensor) -> Tensor:
    """Shoulders in their folds, then cloak, linen, pearls and ruff where the sitter wears them."""
    side = soft_abs(u, 0.15)
    fall = (0.31 - 0.05 * t.man) * side + 1.6 * soft_relu(side - t.shoulders, 0.22)
    room = 0.02 - fall - v  # > 0 below the line of the shoulders
    depth = 0.26 + 0.50 * t.low_neck + 0.35 * t.cravat
    reach = 0.61 + 0.30 * t.low_neck + 0.05 * t.cravat
    open_by = v + depth - (0.9 - 0.2 * t.low_neck) * depth * (side / reach) ** 2.2
    closed = 1 - inside(open_by, 0.03 + t.pixel) * (1 - t.ruff)
    shape = normal(_folds(u, v, side, room, t), t.pixel)
    satin = bell(shape[0] - 0.55 * t.lamp[0], 0.16) * bell(shape[1] - 0.35, 0.2) * (1 - shadow)
    cloth = lit(t.cloth_colour, shape, t, shadow, CLOTH)
    cloth = cloth + (0.35 * t.cloth_colour + 0.01) * satin.unsqueeze(1)
    canvas = mix(canvas, cloth, inside(room, 0.03 + t.pixel) * closed)
    canvas = _cloak(canvas, u, v, room, t, shadow)
    canvas = _linen(canvas, u, v, side, room, open_by, t, shadow)
    canvas = _pearls(canvas, u, v, side, t, shadow)
    return _ruff(canvas, u, v, t, shadow)


def _folds(u: Tensor, v: Tensor, side: Tensor, room: Tensor, t: Sitter) -> Tensor:
    """Relief of the dress: round shoulders, folds, sleeve seams and the placket down the front."""
    bend = u + 0.25 * torch.sin(2.2 * v)
    folds = waves(bend, 0.45 * v + 0.35 * side, 0.75, t.folds, t.pixel)
    creases = waves(1.2 * bend, 0.5 * v - 0.5 * side, 1.6, t.warp_x, t.pixel)
    seam = bell(side - 1.12 - 0.30 * (v + 0.9), 0.03)
    placket = bell(u - 0.03 * torch.sin(3 * v), 0.02) * (1 - t.low_neck)
    shoulders = 0.75 * (1 - torch.exp(-soft_relu(room, 0.05) / 0.42)) - 0.16 * u**2
    return shoulders + 0.085 * folds + 0.028 * creases - 0.02 * seam - 0.04 * placket


def _cloak(
    canvas: Tensor, u: Tensor, v: Tensor, room: Tensor, t: Sitter, shadow: Tensor
) -> Tensor:
    """A cloak in a deeper tone over one shoulder, in broad folds."""
    side = torch.sign(t.cloak)
    across = side * u - 0.42 - 0.62 * (v + 0.35) - 0.05 * torch.sin(4 * v)
    flow = 9.0 * across / (1.25 + 0.5 * soft_relu(-v, 0.3)) + 1.2 * torch.sin(1.7 * v + 2 * side)
    height = 0.10 * torch.sin(flow) + 0.05 * waves(across, 0.3 * v, 1.1, t.folds, t.pixel)
    height = height - 0.12 * u**2 + 0.12 * inside(across, 0.12)
    height = height + 0.5 * (1 - torch.exp(-soft_relu(room + 0.08, 0.05) / 0.35))
    tone = 0.42 * t.cloth_colour + 0.10 * t.ground_colour
    cover = inside(across, 0.04 + t.pixel) * inside(room + 0.08, 0.03 + t.pixel)
    cloak = lit(tone, normal(height, t.pixel), t, shadow, CLOTH)
    return mix(canvas, cloak, t.cloak.abs() * cover)


def _linen(
    canvas: Tensor,
    u: Tensor,
    v: Tensor,
    side: Tensor,
    room: Tensor,
    open_by: Tensor,
    t: Sitter,
    shadow: Tensor,
) -> Tensor:
    """White at the neck: the rim of a shirt or chemise, stock and jabot, or a falling band."""
    px = t.pixel
    pleat = waves(u, 0.3 * v, 2.2, t.lace, px)
    rim = (t.low_neck + t.plain_band) * bell(open_by - 0.02, 0.045 + 0.03 * t.low_neck)
    rim = rim * inside(room + 0.05, 0.05)
    stock = t.cravat * inside(0.40 - side - 0.1 * v, 0.03 + px)
    stock = stock * inside(v + 0.30, 0.06) * inside(0.06 - v, 0.06 + px)
    flare = 0.10 + 0.22 * bell(v + 0.62, 0.25) - soft_abs(u - 0.03 * torch.sin(14 * v))
    jabot = t.cravat * inside(flare, 0.05 + px) * inside(-0.12 - v, 0.05) * inside(v + 0.92, 0.06)
    hem = -0.46 + 0.10 * bell(u, 0.10) - 0.10 * side + 0.02 * torch.cos(26 * u)
    band = t.falling_band * inside(v - hem, 0.03 + px) * inside(1.08 - side, 0.06 + px)
    band = band * inside(room + 0.07, 0.04 + px)
    band = band * inside(-0.05 - v + 0.55 * (side - 0.32).clamp(min=-0.2), 0.05)
    band = band * (1 - 0.8 * bell(u, 0.025) * inside(-0.2 - v, 0.1))
    white = torch.clamp(rim + stock + jabot + band, max=1.0)
    height = -0.35 * torch.exp(-soft_relu(room, 0.05) / 0.35) - 0.12 * u**2
    height = height + 0.03 * pleat + 0.05 * stock * bell(v + 0.1, 0.15)
    linen = lit(0.80 * LINEN, normal(height, px), t, shadow, CLOTH)
    return mix(canvas, linen, white * (0.88 + 0.10 * pleat.clamp(-1, 1)))


def _pearls(
    canvas: Tensor, u: Tensor, v: Tensor, side: Tensor, t: Sitter, shadow: Tensor
) -> Tensor:
    """A string of pearls; where pixels are too large for beads, a plain band."""
    beads = 0.55 + 0.45 * torch.cos(95 * u) * torch.exp(-30 * t.pixel**2)
    string = bell(v + 0.20 - 0.55 * side**2, 0.022) * inside(t.neck + 0.06 - side, 0.05) * beads
    return mix(canvas, 0.95 * LINEN * (1 - 0.6 * shadow).unsqueeze(1), 0.85 * t.pearls * string)


def _ruff(canvas: Tensor, u: Tensor, v: Tensor, t: Sitter, shadow: Tensor) -> Tensor:
    """A millstone ruff, pleated all round."""
    lift = v - 0.02
    disc = 1 - (u / 1.02) ** 2 - (lift / 0.40) ** 2
    angle = torch.atan2(lift / 0.40, u / 1.02 + 1e-3)
    ripple = torch.sin(34 * angle) * soft_relu(1 - disc, 0.2) * torch.exp(-20 * t.pixel**2)
    shape = normal(0.02 * ripple - 0.50 * lift - 0.05 * disc, t.pixel)
    ruff = lit(0.80 * LINEN * (0.85 + 0.15 * ripple).unsqueeze(1), shape, t, shadow, CLOTH)
    return mix(canvas, ruff, t.ruff * inside(disc + 0.03 * ripple, 0.10 + 2 * t.pixel))
