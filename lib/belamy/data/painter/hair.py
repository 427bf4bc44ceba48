"""Hair, beard and headgear, in the head frame as seen: u to the right, y up from the eyes."""

from typing import NamedTuple

import torch
from torch import Tensor

from belamy.data.painter.brush import bell, hue, inside, mix, normal, soft_abs, soft_relu, waves
from belamy.data.painter.head import CROWN, Surface, span
from belamy.data.painter.light import CLOTH, LINEN, lit
from belamy.data.painter.sitter import Sitter

FELT = hue(0.18, 0.14, 0.12)


class Mass(NamedTuple):
    """The hair's volume at each pixel, (N, S, S)."""

    cover: Tensor  # soft, behind the head
    height: Tensor  # for the light to model


def strands(u: Tensor, y: Tensor, t: Sitter) -> Tensor:
    """Noise along locks that fall from the parting and wave on their way down."""
    fall = soft_relu(1.25 - y, 0.3)
    across = (u - t.parting) / (0.55 + 0.55 * fall)
    wave = torch.sin(5.5 * fall + 9 * across + 56.52 * t.volume)
    across = across + (0.01 + 0.045 * t.curl) * wave
    locks = waves(across, 0.10 * fall, 2.6, t.strands, t.pixel)
    hairs = waves(across, 0.05 * fall, 7.0, t.edge, t.pixel)
    return 0.75 * locks + 0.5 * hairs


def mass(u: Tensor, y: Tensor, t: Sitter) -> Mass:
    """The hair's volume, from its length, its curl and the turn of the head."""
    length = 0.5 + 0.5 * t.hair_length
    swell = t.volume + 0.03 + 0.045 * t.hair_length
    reach = span(t, swell) * (1 - (0.03 + 0.12 * inside(y - 0.15, 0.4)) * t.bare_crown)
    up = soft_relu(y, 0.05) / (CROWN + swell * (1 - 1.25 * t.bare_crown))
    down = soft_relu(-y, 0.2)
    end = -0.28 - 1.5 * length + 0.06 * waves(u, 0 * y, 1.2, t.edge, t.pixel)
    fuller = 1 + (0.62 * length - 0.36) * down + 0.03 * t.curl * torch.sin(7 * y + 3 * u)
    frizz = (0.006 + 0.012 * t.curl) * waves(u, y, 2.5, t.edge, t.pixel)
    room = 1 - up**2.6 - ((u + 0.12 * t.sin_yaw) / (reach * fuller)) ** 2 + 2 * frizz
    cover = inside(0.5 * room, 0.05 + 1.2 * t.pixel)
    cover = cover * inside(y - end, 0.10 + 0.06 * length + t.pixel)
    return Mass(cover=cover, height=0.8 * torch.sqrt(soft_relu(room, 0.15)))


def in_front(u: Tensor, y: Tensor, t: Sitter) -> Tensor:
    """Where the hair hangs before the shoulders: outside the neck, below the jaw."""
    aside = soft_abs(u - 0.15 * t.sin_yaw) - 0.50 - 0.10 * inside(-1.2 - y, 0.4)
    return inside(aside, 0.16) * inside(-0.55 - y, 0.2)


def on_head(f: Surface, u: Tensor, y: Tensor, t: Sitter) -> Tensor:
    """Cover of the hair that grows on the visible skull: above the hairline, behind the ear."""
    length = 0.5 + 0.5 * t.hair_length
    uneven = 0.02 * waves(u, y, 3.0, t.edge, t.pixel)
    line = t.hairline + 0.03 * bell(f.x - 0.8 * t.parting, 0.12)
    line = line - (1.15 + 0.35 * length) * soft_abs(f.x) ** 2.3
    line = line + 0.5 * t.bare_crown * bell(f.x, 0.42)
    top = inside(y - line + uneven, 0.07 + t.pixel)
    behind = inside(0.10 * length - 0.02 - f.depth + uneven, 0.12)
    behind = behind * inside(y + 0.45 + 0.6 * length, 0.15)
    near = inside(f.distance + 0.07, 0.06 + t.pixel)
    return near * (1 - (1 - top) * (1 - behind))


def beard(u: Tensor, y: Tensor, t: Sitter) -> Tensor:
    """Cover of moustache and beard; the beard hangs from the chin, so it may leave the face."""
    x = (u - 0.66 * t.sin_yaw) / t.cos_yaw
    xa = soft_abs(x)
    ragged = 0.05 * waves(u, 0.22 * y, 5.0, t.edge, t.pixel)
    droop = soft_abs(y + 0.552 + 2.6 * xa**2 * xa, 0.02)
    lip = inside(0.045 - droop + 0.12 * ragged, 0.035) * inside(0.27 - xa, 0.08)
    low = y + 0.98
    full = 1 - (xa / 0.60) ** 2 - (low / torch.where(low > 0, 0.52, 0.40)) ** 2 + 2 * ragged
    full = inside(full - 1.2 * bell(x, 0.17) * inside(y + 0.74, 0.05), 0.4)
    full = full * inside(-0.20 - y - 0.62 * (0.62 - xa) + ragged, 0.16)
    width = 0.13 + 0.10 * inside(-0.86 - y, 0.1)
    tuft = inside(1 - (xa / width) ** 2 - ((y + 0.99) / 0.26) ** 2 + 4 * ragged, 1.2)
    return 1 - (1 - t.moustache * lip) * (1 - t.beard * full) * (1 - t.goatee * tuft)


def paint_hair(
    canvas: Tensor,
    cover: Tensor,
    height: Tensor,
    flow: Tensor,
    t: Sitter,
    shadow: Tensor,
) -> Tensor:
    """Lay lit hair: form from `height`, a broad sheen broken into locks by `flow`."""
    shape = normal(height + 0.014 * flow, t.pixel)
    tone = t.hair_colour * (0.72 + 0.19 * flow).clamp(0.25, 1.4).unsqueeze(1)
    sheen = bell(shape[0] - 0.62 * t.lamp[0], 0.30) * bell(shape[1] - 0.40, 0.26)
    sheen = sheen * (1 + 0.6 * flow).clamp(0, 2) * (1 - shadow)
    colour = lit(tone, shape, t, shadow, CLOTH)
    return mix(canvas, colour + (0.30 * t.hair_colour + 0.018) * sheen.unsqueeze(1), cover)


def paint_hat(canvas: Tensor, u: Tensor, y: Tensor, t: Sitter) -> Tensor:
    """A broad dark felt hat."""
    none, edge = torch.zeros_like(u), 0.12 + 2 * t.pixel
    slant = y - 0.08 * u
    rise = (slant - 0.78) / 0.44
    crown = 1 - (u / 0.84) ** 2 * (u / 0.84) ** 2 - rise**2 * soft_abs(rise)
    dome = 0.5 * torch.sqrt(soft_relu(crown, 0.2)) + 0.03 * waves(u, y, 1.6, t.folds, t.pixel)
    felt = lit(FELT, normal(dome, t.pixel), t, none, CLOTH)
    over = inside(slant - 0.64 + 0.12 * (1 - soft_abs(u)), 0.05 + t.pixel)
    canvas = mix(canvas, felt, t.hat * inside(crown, edge) * over)
    brim = 1 - ((u - 0.05) / 1.34) ** 2 - ((slant - 0.68 + 0.05 * u**2) / 0.19) ** 2
    plane = 0.45 * slant + 0.03 * waves(u, y, 1.0, t.folds, t.pixel)
    felt = lit(1.25 * FELT, normal(plane, t.pixel), t, none, CLOTH)
    return mix(canvas, felt, t.hat * inside(brim, edge))


def paint_cap(canvas: Tensor, u: Tensor, y: Tensor, t: Sitter) -> Tensor:
    """A close linen cap."""
    reach = span(t, 0.15)
    room = 1 - (soft_relu(y, 0.05) / 1.14) ** 2.3 - ((u + 0.15 * t.sin_yaw) / reach) ** 2
    rim = y - 0.62 + 1.15 * soft_abs(u - 0.55 * t.sin_yaw) ** 2.2
    height = 0.8 * torch.sqrt(soft_relu(room, 0.15)) + 0.05 * bell(rim - 0.05, 0.05)
    height = height + 0.02 * waves(u, 0.2 * y, 3.0, t.lace, t.pixel)
    cover = inside(room, 0.12 + 2 * t.pixel) * inside(rim, 0.05 + t.pixel) * inside(y + 0.45, 0.2)
    linen = lit(0.85 * LINEN, normal(height, t.pixel), t, torch.zeros_like(u), CLOTH)
    return mix(canvas, linen, t.cap * cover)
