"""What surrounds the head: ground, neck, dress and collar.

Figure frame (U, V): units of the head frame, upright, origin at the pit of the neck.
"""

from types import SimpleNamespace

import torch
from torch import Tensor

from belamy.data.painter.brush import bell, blend, inside, mix, normal, pigment, soft_abs, soft_relu, waves
from belamy.data.painter.hair import LINEN
from belamy.data.painter.light import CLOTH, lit

CLOTH_HUES = pigment((0.60, 0.13, 0.12), (0.56, 0.36, 0.17), (0.36, 0.37, 0.18), (0.16, 0.34, 0.37), (0.19, 0.24, 0.47))
GROUND_HUES = pigment((0.48, 0.26, 0.16), (0.42, 0.33, 0.19), (0.33, 0.35, 0.25), (0.26, 0.35, 0.37))


def dress_up(t: SimpleNamespace) -> None:
    """Fix the colours of dress and ground: hue along a palette, tone as its brightness."""
    t.cloth_colour = blend(CLOTH_HUES, t.clothing_hue) * torch.exp(1.15 * t.clothing_tone - 0.95).unsqueeze(1)
    t.cloth_colour = t.cloth_colour + 0.07 * torch.exp(2.2 * (t.clothing_tone - 1)).unsqueeze(1)
    t.ground_colour = blend(GROUND_HUES, t.background_hue) * torch.exp(1.10 * t.background_tone - 0.80).unsqueeze(1)


def paint_ground(u: Tensor, v: Tensor, t: SimpleNamespace) -> Tensor:
    """The ground (N, 3, S, S): scumbled, lighter opposite the lamp; some with curtain or landscape."""
    pixel = t.picture_pixel
    scumble = 0.6 * waves(u, v, 0.7, t.scumble, pixel) + 0.4 * waves(u, 0.5 * v, 3.0, t.dabs, pixel)
    aside = u * t.lamp[0]
    glow = 0.78 - 0.45 * aside + 0.75 * bell(u - 0.35 * torch.sign(-t.lamp[0]) * 0, 0.75) * bell(v + 0.05, 0.65)
    vignette = 1 - 0.42 * soft_relu(u**2 + v**2 - 0.45, 0.4)
    value = glow * vignette * (1 + 0.16 * scumble)
    colour = t.ground_colour * soft_relu(value, 0.1).unsqueeze(1)
    fold = torch.sin(9 * u + 1.6 * v + 1.3 * torch.sin(2.3 * v + 4 * u) + 6 * t.ground_side)
    hang = t.curtain * inside(u * torch.sign(t.ground_side) - 0.52 - 0.10 * v - 0.05 * torch.sin(5 * v), 0.06 + pixel)
    drape = t.ground_colour * torch.tensor([1.35, 0.62, 0.5])[None, :, None, None] * (0.45 + 0.35 * fold).unsqueeze(1)
    colour = mix(colour, drape, hang)
    return _landscape(colour, u, v, t)


def _landscape(colour: Tensor, u: Tensor, v: Tensor, t: SimpleNamespace) -> Tensor:
    """Evening sky over low hills, in the ground's own hue and tone."""
    pixel = t.picture_pixel
    cloud = waves(0.6 * u, 1.6 * v, 0.9, t.scumble, pixel)
    horizon = -0.10 + 0.05 * torch.sin(2.5 * u + 5 * t.ground_side) + 0.02 * waves(u, 0 * v, 2.5, t.dabs, pixel)
    sky = t.ground_colour * (1.0 + 0.25 * cloud - 0.5 * v).clamp(min=0.3).unsqueeze(1)
    sky = sky + t.ground_colour * bell(v - horizon, 0.22).unsqueeze(1) * torch.tensor([1.10, 0.95, 0.70])[None, :, None, None]
    land = t.ground_colour * (0.42 + 0.14 * waves(u, 2.5 * v, 2.0, t.dabs, pixel)).clamp(min=0.1).unsqueeze(1)
    view = mix(sky, land, inside(horizon - v, 0.03 + pixel))
    return mix(colour, view, t.landscape.expand_as(v))


def paint_neck(canvas: Tensor, U: Tensor, V: Tensor, t: SimpleNamespace, shadow: Tensor) -> Tensor:
    """Neck and the upper chest, in flesh."""
    lean = 0.32 * t.sin_yaw + 0.6 * t.sin_tilt
    axis = U - lean * soft_relu(V + 0.1, 0.1)
    half = t.neck * (1 + 0.18 * inside(-V, 0.35)) + 0.55 * soft_relu(-0.16 - V, 0.12)
    room = 1 - (axis / half) ** 2
    cords = bell(soft_abs(axis) - 0.20 - 0.25 * V, 0.06) * bell(V + 0.05, 0.18) - 1.3 * bell(axis, 0.07) * bell(V + 0.24, 0.05)
    height = t.neck * torch.sqrt(soft_relu(room, 0.2)) + 0.02 * cords - 0.25 * soft_relu(V, 0.2)
    flesh = lit(0.92 * t.skin_colour, normal(height, t.pixel), t, shadow)
    return mix(canvas, flesh, inside(0.5 * half * room, 0.02 + 1.2 * t.pixel) * inside(0.45 - V, 0.1))


def paint_dress(canvas: Tensor, U: Tensor, V: Tensor, t: SimpleNamespace, shadow: Tensor) -> Tensor:
    """Shoulders, folds, and one of five collars."""
    Ua = soft_abs(U, 0.15)
    slope = 0.31 - 0.05 * t.man
    top = 0.02 - slope * Ua - 1.6 * soft_relu(Ua - t.shoulders, 0.22)
    room = top - V
    opening = 0.36 + 0.30 * t.low_neck + 0.05 * t.cravat
    depth = 0.26 + 0.50 * t.low_neck + 0.35 * t.cravat
    neckline = V + depth - (0.9 - 0.2 * t.low_neck) * depth * (Ua / (opening + 0.25)) ** 2.2  # > 0 where the dress is open
    cover = inside(room, 0.03 + t.pixel) * (1 - inside(neckline, 0.03 + t.pixel) * (1 - t.ruff))
    bend = U + 0.25 * torch.sin(2.2 * V)
    folds = waves(bend, 0.45 * V + 0.35 * Ua, 0.75, t.folds, t.pixel)
    creases = waves(1.2 * bend, 0.5 * V - 0.5 * Ua, 1.6, t.warp_x, t.pixel)
    seam = stroke_like(Ua - 1.12 - 0.30 * (V + 0.9), 0.03)
    height = 0.75 * (1 - torch.exp(-soft_relu(room, 0.05) / 0.42)) - 0.16 * U**2 + 0.085 * folds + 0.028 * creases - 0.02 * seam
    placket = stroke_like(U - 0.03 * torch.sin(3 * V), 0.02) * (1 - t.low_neck)
    shape = normal(height - 0.04 * placket, t.pixel)
    satin = bell(shape[0] - 0.55 * t.lamp[0], 0.16) * bell(shape[1] - 0.35, 0.2)
    cloth = lit(t.cloth_colour, shape, t, shadow, CLOTH) + (0.35 * t.cloth_colour + 0.01) * (satin * (1 - shadow)).unsqueeze(1)
    canvas = mix(canvas, cloth, cover)
    canvas = _mantle(canvas, U, V, room, t, shadow)
    return _collar(canvas, U, V, Ua, room, neckline, t, shadow)


def _mantle(canvas: Tensor, U: Tensor, V: Tensor, room: Tensor, t: SimpleNamespace, shadow: Tensor) -> Tensor:
    """A cloak in a deeper tone over one shoulder, falling in broad folds."""
    side = torch.sign(t.mantle)
    across = side * U - 0.42 - 0.62 * (V + 0.35) - 0.05 * torch.sin(4 * V)
    flow = 9.0 * across / (1.25 + 0.5 * soft_relu(-V, 0.3)) + 1.2 * torch.sin(1.7 * V + 2 * side)
    height = 0.10 * torch.sin(flow) + 0.05 * waves(across, 0.3 * V, 1.1, t.folds, t.pixel) - 0.12 * U**2
    height = height + 0.5 * (1 - torch.exp(-soft_relu(room + 0.08, 0.05) / 0.35)) + 0.12 * inside(across, 0.12)
    tone = 0.42 * t.cloth_colour + 0.10 * t.ground_colour
    cloak = lit(tone, normal(height, t.pixel), t, shadow, CLOTH)
    return mix(canvas, cloak, t.mantle.abs() * inside(across, 0.04 + t.pixel) * inside(room + 0.08, 0.03 + t.pixel))


def stroke_like(distance: Tensor, width: float) -> Tensor:
    return bell(distance, width)


def _collar(canvas, U, V, Ua, room, neckline, t, shadow):
    px = t.pixel
    pleat = waves(U, 0.3 * V, 2.2, t.lace, px)
    # Chemise or shirt: a white rim inside the neckline.
    rim = bell(neckline - 0.02, 0.045 + 0.03 * t.low_neck) * inside(room + 0.05, 0.05) * (t.low_neck + t.plain_band)
    # Stock and jabot.
    stock = t.cravat * inside(0.40 - Ua - 0.1 * V, 0.03 + px) * inside(V + 0.30, 0.06) * inside(0.06 - V, 0.06 + px)
    jabot = t.cravat * inside(0.10 + 0.22 * bell(V + 0.62, 0.25) - soft_abs(U - 0.03 * torch.sin(14 * V)), 0.05 + px)
    jabot = jabot * inside(-0.12 - V, 0.05) * inside(V + 0.92, 0.06)
    # Falling band: out over the shoulders, open at the throat, scalloped at the hem.
    hem = -0.46 + 0.10 * bell(U, 0.10) - 0.10 * Ua + 0.02 * torch.cos(26 * U)
    band = t.falling_band * inside(V - hem, 0.03 + px) * inside(1.08 - Ua, 0.06 + px) * inside(room + 0.07, 0.04 + px)
    band = band * inside(-0.05 - V + 0.55 * (Ua - 0.32).clamp(min=-0.2), 0.05) * (1 - 0.8 * bell(U, 0.025) * inside(-0.2 - V, 0.1))
    white = torch.clamp(rim + stock + jabot + band, max=1.0)
    height = 0.35 * torch.exp(-soft_relu(room, 0.05) / 0.35) * -1 - 0.12 * U**2 + 0.03 * pleat + 0.05 * stock * bell(V + 0.1, 0.15)
    linen = lit(0.80 * LINEN, normal(height, px), t, shadow, CLOTH)
    canvas = mix(canvas, linen, white * (0.88 + 0.10 * pleat.clamp(-1, 1)))
    # A string of pearls at the base of the neck.
    bead = V + 0.20 - 0.55 * Ua**2
    string = bell(bead, 0.022) * inside(t.neck + 0.06 - Ua, 0.05) * (0.55 + 0.45 * torch.cos(95 * U) * torch.exp(-30 * px**2))
    canvas = mix(canvas, (0.95 * LINEN * (1 - 0.6 * shadow).unsqueeze(1)), t.pearls * 0.85 * string)
    # Millstone ruff.
    lift = V - 0.02
    disc = 1 - (U / 1.02) ** 2 - (lift / 0.40) ** 2
    angle = torch.atan2(lift / 0.40, U / 1.02 + 1e-3)
    ripple = torch.sin(34 * angle) * soft_relu(1 - disc, 0.2) * torch.exp(-20 * px**2)
    height = -0.50 * lift + 0.02 * ripple - 0.05 * disc
    ruff = lit(0.80 * LINEN * (0.85 + 0.15 * ripple).unsqueeze(1), normal(height, px), t, shadow, CLOTH)
    return mix(canvas, ruff, t.ruff * inside(disc + 0.03 * ripple, 0.10 + 2 * px))
