"""Hair, beard and headgear."""

from types import SimpleNamespace

import torch
from torch import Tensor

from belamy.data.painter.brush import bell, inside, mix, normal, pigment, soft_abs, soft_relu, waves
from belamy.data.painter.head import CROWN, DEPTH
from belamy.data.painter.light import CLOTH, lit

LINEN = pigment((0.90, 0.87, 0.80))[0][None, :, None, None]
FELT = pigment((0.18, 0.14, 0.12))[0][None, :, None, None]


def strands(u: Tensor, y: Tensor, t: SimpleNamespace) -> Tensor:
    """Locks that fall from the parting and wave on their way down: unit variance."""
    fall = soft_relu(1.25 - y, 0.3)
    across = (u - t.parting) / (0.55 + 0.55 * fall)
    wavy = across + (0.01 + 0.045 * t.curl) * torch.sin(5.5 * fall + 9 * across + 6.28 * t.volume * 9)
    locks = waves(wavy * 1.0, 0.10 * fall, 2.6, t.strands, t.pixel)
    hairs = waves(wavy * 1.0, 0.05 * fall, 7.0, t.edge, t.pixel)
    return 0.75 * locks + 0.5 * hairs


def mass(u: Tensor, y: Tensor, t: SimpleNamespace) -> SimpleNamespace:
    """The hair's volume as seen: soft cover behind the head, and a height for the light to model."""
    length = 0.5 + 0.5 * t.hair_length
    swell = t.volume + 0.02
    span = torch.sqrt(((t.half_width + swell) * t.cos_yaw) ** 2 + ((DEPTH + swell) * t.sin_yaw) ** 2)
    span = span * (1 - (0.03 + 0.12 * inside(y - 0.15, 0.4)) * t.bare_crown)
    up = soft_relu(y, 0.05) / (CROWN + swell * (1 - 1.25 * t.bare_crown))
    down = soft_relu(-y, 0.2)
    end = -0.28 - 1.5 * length + 0.06 * waves(u, 0 * y, 1.2, t.edge, t.pixel)
    fuller = 1 + (0.22 * length - 0.32 * (1 - length)) * down + 0.03 * t.curl * torch.sin(7 * y + 3 * u)
    centre = -0.12 * t.sin_yaw
    frizz = (0.006 + 0.012 * t.curl) * waves(u, y, 2.5, t.edge, t.pixel)
    room = 1 - up**2.6 - ((u - centre) / (span * fuller)) ** 2 + 2 * frizz
    soft = 0.05 + 1.2 * t.pixel
    cover = inside(0.5 * room, soft) * inside(y - end, 0.10 + 0.06 * length + t.pixel)
    height = 0.8 * torch.sqrt(soft_relu(room, 0.15))
    return SimpleNamespace(cover=cover, height=height)


def locks(u: Tensor, y: Tensor, t: SimpleNamespace) -> Tensor:
    """Where the hair hangs before the shoulders: outside the neck, below the jaw."""
    return inside(soft_abs(u - 0.15 * t.sin_yaw) - 0.50 - 0.10 * inside(-1.2 - y, 0.4), 0.16)


def paint_hair(canvas: Tensor, cover: Tensor, height: Tensor, flow: Tensor, t: SimpleNamespace, shadow: Tensor) -> Tensor:
    """Lay lit hair: form from `height`, a broad sheen broken into locks by `flow`."""
    relief = height + 0.014 * flow
    shape = normal(relief, t.pixel)
    tone = t.hair_colour * (0.72 + 0.19 * flow).clamp(0.25, 1.4).unsqueeze(1)
    sheen = bell(shape[0] - 0.62 * t.lamp[0], 0.30) * bell(shape[1] - 0.40, 0.26) * (1 + 0.6 * flow).clamp(0, 2)
    colour = lit(tone, shape, t, shadow, CLOTH)
    colour = colour + (0.30 * t.hair_colour + 0.018) * (sheen * (1 - shadow)).unsqueeze(1)
    return mix(canvas, colour, cover)


def on_head(f: SimpleNamespace, u: Tensor, y: Tensor, t: SimpleNamespace) -> Tensor:
    """Cover of the hair that grows on the visible skull: above the hairline, and behind the ear."""
    length = 0.5 + 0.5 * t.hair_length
    uneven = 0.02 * waves(u, y, 3.0, t.edge, t.pixel)
    line = t.hairline + 0.03 * bell(f.x - 0.8 * t.parting, 0.12) - (1.15 + 0.35 * length) * soft_abs(f.x) ** 2.3
    line = line + t.bare_crown * 0.5 * bell(f.x, 0.42)
    top = inside(y - line + uneven, 0.07 + t.pixel)
    nape = -0.45 - 0.6 * length
    side = inside(-0.02 + 0.10 * length - f.depth + uneven, 0.12) * inside(y - nape, 0.15)
    return 1 - (1 - top) * (1 - side)


def beard(f: SimpleNamespace, u: Tensor, y: Tensor, t: SimpleNamespace) -> Tensor:
    """Cover of moustache and beard; the beard hangs from the chin, so it may leave the face."""
    x = (u - 0.66 * t.sin_yaw) / t.cos_yaw
    xa = soft_abs(x)
    ragged = 0.05 * waves(u, 0.22 * y, 5.0, t.edge, t.pixel)
    lip = inside(0.045 - soft_abs(y + 0.552 + 2.6 * xa**2 * xa, 0.02) + 0.12 * ragged, 0.035) * inside(0.27 - xa, 0.08)
    low = y + 0.98
    full = 1 - (xa / 0.60) ** 2 - (low / torch.where(low > 0, 0.52, 0.40)) ** 2
    full = inside(full + 2 * ragged - 1.2 * bell(x, 0.17) * inside(y + 0.74, 0.05), 0.4)
    full = full * inside(-0.20 - y - 0.62 * (0.62 - xa) + ragged, 0.16)
    tuft = inside(1 - (xa / (0.13 + 0.10 * inside(-0.86 - y, 0.1))) ** 2 - ((y + 0.99) / 0.26) ** 2 + 4 * ragged, 1.2)
    return 1 - (1 - t.moustache * lip) * (1 - t.beard * full) * (1 - t.goatee * tuft)


def paint_headgear(canvas: Tensor, u: Tensor, y: Tensor, t: SimpleNamespace) -> Tensor:
    """A dark felt hat for some men, a linen cap for some women."""
    slant = y - 0.08 * u
    brim = 1 - ((u - 0.05) / 1.34) ** 2 - ((slant - 0.68 + 0.05 * u**2) / 0.19) ** 2
    crown = 1 - (u / 0.84) ** 2 * (u / 0.84) ** 2 - ((slant - 0.78) / 0.44) ** 2 * soft_abs((slant - 0.78) / 0.44)
    edge = 0.12 + 2 * t.pixel
    dome = torch.sqrt(soft_relu(crown, 0.2)) * 0.5
    folds = 0.03 * waves(u, y, 1.6, t.folds, t.pixel)
    over = inside(slant - 0.64 + 0.12 * (1 - soft_abs(u)), 0.05 + t.pixel)
    canvas = mix(canvas, lit(FELT, normal(dome + folds, t.pixel), t, torch.zeros_like(u), CLOTH), t.hat * inside(crown, edge) * over)
    tilted = 0.45 * (slant - 0.60) + 0.03 * waves(u, y, 1.0, t.folds, t.pixel)
    canvas = mix(canvas, lit(1.25 * FELT, normal(tilted, t.pixel), t, torch.zeros_like(u), CLOTH), t.hat * inside(brim, edge))
    span = torch.sqrt(((t.half_width + 0.16) * t.cos_yaw) ** 2 + ((DEPTH + 0.1) * t.sin_yaw) ** 2)
    linen = 1 - (soft_relu(y, 0.05) / 1.14) ** 2.3 - ((u + 0.15 * t.sin_yaw) / span) ** 2
    rim = y - 0.62 + 1.15 * soft_abs(u - 0.55 * t.sin_yaw) ** 2.2
    pleats = waves(u, 0.2 * y, 3.0, t.lace, t.pixel)
    height = 0.8 * torch.sqrt(soft_relu(linen, 0.15)) + 0.02 * pleats + 0.05 * bell(rim - 0.05, 0.05)
    cover = t.cap * inside(linen, edge) * inside(rim, 0.05 + t.pixel) * inside(y + 0.45, 0.2)
    return mix(canvas, lit(0.85 * LINEN, normal(height, t.pixel), t, torch.zeros_like(u), CLOTH), cover)
