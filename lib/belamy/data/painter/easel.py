"""The whole picture: from sitters to canvases, one pure function."""

import math

import torch
from torch import Tensor

from belamy.data.painter import dress, face, ground, hair, head
from belamy.data.painter.brush import GAMMA, bell, hue, inside, tint, waves
from belamy.data.painter.head import Surface
from belamy.data.painter.sitter import Sitter, sit

VARNISH = hue(1.0, 0.965, 0.87)
GLAZE = tint(0.0040, 0.0026, 0.0016)  # no black is darker than old umber
NECK_PIT = -0.36  # height of the figure's origin in the picture
EYE_LEVEL = 1.14  # height of the eyes over it, in head units


def picture(factors: Tensor, draws: Tensor, size: int) -> Tensor:
    """Paint rows of factors (N, d) with nuisance draws (N, DRAWS): (N, 3, size, size) in [0, 1].

    Back to front: ground, hair, neck, dress, front locks, ears, face, hair on the head, headgear.
    """
    t = sit(factors, draws, size)
    u, v = _canvas(t, size)
    fu, fv = (u - t.offset) / t.scale, (v - NECK_PIT) / t.scale  # figure frame
    x = t.cos_tilt * fu + t.sin_tilt * fv - 0.10 * t.sin_yaw  # head frame, as seen
    y = t.cos_tilt * fv - t.sin_tilt * fu - EYE_LEVEL
    surface = head.surface(x, y, t)
    canvas = _figure(ground.paint_ground(u, v, t), fu, fv, x, y, surface, t)
    return _finish(canvas, u, v, t)


def _figure(
    canvas: Tensor, fu: Tensor, fv: Tensor, x: Tensor, y: Tensor, surface: Surface, t: Sitter
) -> Tensor:
    """The sitter on the ground; fu, fv in the figure's frame, x, y in the head's."""
    bulk, flow = hair.mass(x, y, t), hair.strands(x, y, t)
    under = _head_shadow(fu, fv, t)
    behind = 0.45 * inside(-0.2 - y, 0.4) + 0.4 * bell(surface.distance, 0.10)
    canvas = hair.paint_hair(canvas, bulk.cover, bulk.height, flow, t, behind)
    canvas = dress.paint_neck(canvas, fu, fv, t, under)
    canvas = dress.paint_dress(canvas, fu, fv, t, 0.75 * under)
    front = bulk.cover * hair.in_front(x, y, t)
    canvas = hair.paint_hair(canvas, front, bulk.height, flow, t, 0.3 * under)
    canvas = face.paint_ears(canvas, x, y, t)
    canvas = face.paint_face(canvas, surface, y, t, _brow_shadow(surface, y, t))
    skull = bulk.cover * hair.on_head(surface, x, y, t)
    canvas = hair.paint_hair(canvas, skull, bulk.height, flow, t, torch.zeros_like(x))
    whiskers = hair.beard(x, y, t)
    chin = -0.9 * (x**2 + (y + 0.75) ** 2)
    canvas = hair.paint_hair(canvas, 0.9 * whiskers, chin, flow, t, 0.25 * whiskers)
    return hair.paint_cap(hair.paint_hat(canvas, x, y, t), x, y, t)


def _canvas(t: Sitter, size: int) -> tuple[Tensor, Tensor]:
    """Picture coordinates in [-1, 1], v up, shaken a little by the brush: no edge is ruled."""
    ticks = (2 * torch.arange(size) + 1) / size - 1
    u, v = ticks.expand(1, size, size), -ticks[:, None].expand(1, size, size)
    px = t.picture_pixel
    du = waves(u, v, 3.0, t.warp_x, px) + 0.5 * waves(u, v, 9.0, t.warp_y, px)
    dv = waves(u, v, 3.0, t.warp_y, px) + 0.5 * waves(u, v, 9.0, t.warp_x, px)
    return u + 0.0034 * du, v + 0.0034 * dv


def _head_shadow(fu: Tensor, fv: Tensor, t: Sitter) -> Tensor:
    """The head's shadow on neck and collar: its outline, moved away from the lamp."""
    lx, ly, lz = t.lamp
    reach = 0.55 / (lz + 0.35)
    du = (fu + 0.8 * reach * lx - 0.25 * t.sin_yaw) / (0.92 * t.half_width)
    dv = (fv + 0.95 * reach * ly - 0.58) / 0.62
    return 0.90 * inside(1 - du**2 - dv**2, 0.75) * inside(0.5 - fv, 0.2)


def _brow_shadow(surface: Surface, y: Tensor, t: Sitter) -> Tensor:
    """Hair and hat on the brow: a soft band under the hairline, deeper under a brim."""
    line = t.hairline - 1.2 * surface.x**2
    fringe = 0.7 * inside(y - line + 0.09, 0.16) * (1 - t.bare_crown)
    brim = t.hat * inside(y - 0.26 + 0.1 * surface.x, 0.22)
    return 0.45 * (fringe + brim)


def _finish(canvas: Tensor, u: Tensor, v: Tensor, t: Sitter) -> Tensor:
    """Brush marks, weave, tone curve and varnish; linear light in, display values out."""
    px = t.picture_pixel
    marks = torch.tanh(1.5 * waves(u + 0.4 * v, 0.3 * v - 0.1 * u, 7.0, t.dabs, px))
    ridge = waves(u - 0.5 * v, 0.4 * u + 0.5 * v, 13.0, t.warp_x, px)
    threads = 2 * math.pi * 60
    weave = torch.sin(threads * u) * torch.sin(threads * v) * torch.exp(-((60 * px) ** 2))
    value = 1 + 0.07 * marks + 0.035 * ridge + 0.03 * t.weave * weave
    value = value * (1 - 0.30 * inside(-0.55 - v, 0.9))  # the light dies away below
    broken = 0.05 * waves(u, v, 5.0, t.edge, px)  # warm beside cool, as a loaded brush leaves it
    paint = canvas * torch.stack([value * (1 + broken), value, value * (1 - broken)], 1)
    paint = 1.12 * paint / (1 + 0.28 * paint)
    paint = paint * (1 + (VARNISH - 1) * (0.4 + 0.8 * t.varnish).unsqueeze(1)) + GLAZE
    return paint.clamp(1e-6, 1.0) ** (1 / GAMMA)
