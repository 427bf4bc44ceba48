"""The whole picture: from sitters to canvases, one pure function."""

import math
from types import SimpleNamespace

import torch
from torch import Tensor

from belamy.data.painter import face, hair, head, scene
from belamy.data.painter.brush import GAMMA, bell, inside, mix, normal, pigment, soft_relu, waves
from belamy.data.painter.light import direction
from belamy.data.painter.sitter import traits

VARNISH = pigment((1.0, 0.965, 0.87))[0][None, :, None, None]


def picture(factors: Tensor, draws: Tensor, size: int) -> Tensor:
    """Paint rows of factors (N, d) with nuisance draws (N, DRAWS): (N, 3, size, size) in [0, 1]."""
    t = traits(factors, draws)
    _pose(t, size)
    face.complexion(t)
    scene.dress_up(t)
    u, v = _canvas(t, size)
    U, V = (u - t.offset) / t.scale, (v + 0.36) / t.scale  # figure frame
    x = t.cos_tilt * U + t.sin_tilt * V
    y = -t.sin_tilt * U + t.cos_tilt * V - 1.14  # head frame before the yaw
    x = x - 0.10 * t.sin_yaw
    f = head.surface(x, y, t)
    bulk, flow = hair.mass(x, y, t), hair.strands(x, y, t)
    under = _head_shadow(U, V, t)
    canvas = scene.paint_ground(u, v, t)
    canvas = hair.paint_hair(canvas, bulk.cover, bulk.height, flow, t, 0.45 * inside(-0.2 - y, 0.4) + 0.4 * bell(f.distance, 0.10))
    canvas = scene.paint_neck(canvas, U, V, t, under)
    canvas = scene.paint_dress(canvas, U, V, t, 0.75 * under)
    front = bulk.cover * hair.locks(x, y, t) * inside(-0.55 - y, 0.2)
    canvas = hair.paint_hair(canvas, front, bulk.height, flow, t, 0.3 * under)
    canvas = _ears(canvas, x, y, t)
    cap = hair.on_head(f, x, y, t)
    fringe = 0.45 * _hair_shadow(f, y, t)
    canvas = face.paint_face(canvas, f, y, t, fringe)
    skull = cap * bulk.cover * inside(f.distance + 0.07, 0.06 + t.pixel)
    canvas = hair.paint_hair(canvas, skull, bulk.height, flow, t, 0.0 * y)
    whiskers = hair.beard(f, x, y, t)
    canvas = hair.paint_hair(canvas, 0.9 * whiskers, -0.9 * x**2 - 0.9 * (y + 0.75) ** 2, flow, t, 0.25 * whiskers)
    canvas = hair.paint_headgear(canvas, x, y, t)
    return _finish(canvas, u, v, t)


def _pose(t: SimpleNamespace, size: int) -> None:
    t.picture_pixel = torch.tensor(2.0 / size)
    t.scale = 0.49 * torch.exp(0.11 * t.closeness)
    t.pixel = t.picture_pixel / t.scale
    yaw, tilt = 0.60 * t.yaw, 0.24 * t.tilt
    t.cos_yaw, t.sin_yaw, t.cos_tilt, t.sin_tilt = yaw.cos(), yaw.sin(), tilt.cos(), tilt.sin()
    t.half_width = 0.68 * torch.exp(0.21 * t.face_width)
    t.lamp = direction(t.light)


def _canvas(t: SimpleNamespace, size: int) -> tuple[Tensor, Tensor]:
    """Picture coordinates in [-1, 1], v up, shaken a little by the brush: edges are never ruled."""
    ticks = (2 * torch.arange(size) + 1) / size - 1
    u, v = ticks.expand(1, size, size), -ticks[:, None].expand(1, size, size)
    du = waves(u, v, 3.0, t.warp_x, t.picture_pixel) + 0.5 * waves(u, v, 9.0, t.warp_y, t.picture_pixel)
    dv = waves(u, v, 3.0, t.warp_y, t.picture_pixel) + 0.5 * waves(u, v, 9.0, t.warp_x, t.picture_pixel)
    return u + 0.0034 * du, v + 0.0034 * dv


def _head_shadow(U: Tensor, V: Tensor, t: SimpleNamespace) -> Tensor:
    """The head's shadow on neck and collar: its outline, moved away from the lamp."""
    lx, ly, lz = t.lamp
    reach = 0.55 / (lz + 0.35)
    du, dv = U + reach * lx * 0.8 - 0.25 * t.sin_yaw, V + 0.95 * reach * ly - 0.58
    return 0.90 * inside(1 - (du / (0.92 * t.half_width)) ** 2 - (dv / 0.62) ** 2, 0.75) * inside(0.5 - V, 0.2)


def _hair_shadow(f: SimpleNamespace, y: Tensor, t: SimpleNamespace) -> Tensor:
    """Hair and hat on the brow: a soft band under the hairline, deeper under a brim."""
    line = t.hairline - 1.2 * f.x**2
    brim = t.hat * inside(y - 0.26 + 0.1 * f.x, 0.22)
    return torch.clamp(0.7 * inside(y - line + 0.09, 0.16) * (1 - t.bare_crown) + brim, max=2.0)


def _ears(canvas: Tensor, x: Tensor, y: Tensor, t: SimpleNamespace) -> Tensor:
    shown = 1 - 0.95 * inside(t.hair_length - 0.1, 1.2)  # longer hair falls over them
    for side in (-1.0, 1.0):
        centre = side * (t.half_width + 0.015) * t.cos_yaw - 0.14 * t.sin_yaw
        du = x - centre
        room = 1 - (du / 0.11) ** 2 - ((y + 0.17 - 0.3 * side * du) / 0.21) ** 2
        height = 0.12 * torch.sqrt(soft_relu(room, 0.2)) - 0.05 * bell(room - 0.55, 0.15) + side * 0.3 * du
        skin = t.skin_colour * torch.tensor([1.0, 0.88, 0.85])[None, :, None, None]
        flesh = face.lit(0.85 * skin, normal(height, t.pixel), t, torch.full_like(du, 0.25))
        canvas = mix(canvas, flesh, shown * inside(0.1 * room, 0.02 + 1.2 * t.pixel))
    return canvas


def _finish(canvas: Tensor, u: Tensor, v: Tensor, t: SimpleNamespace) -> Tensor:
    """Brush marks, canvas weave, tone curve and varnish; linear light in, display values out."""
    px = t.picture_pixel
    marks = torch.tanh(1.5 * waves(u + 0.4 * v, 0.3 * v - 0.1 * u, 7.0, t.dabs, px))
    ridge = waves(u - 0.5 * v, 0.4 * u + 0.5 * v, 13.0, t.warp_x, px)
    weave = torch.sin(2 * math.pi * 60 * u) * torch.sin(2 * math.pi * 60 * v) * torch.exp(-((60 * px) ** 2))
    fall = 1 - 0.30 * inside(-0.55 - v, 0.9)
    value = fall * (1 + 0.07 * marks + 0.035 * ridge + 0.03 * t.weave * weave)
    broken = 0.05 * waves(u, v, 5.0, t.edge, px)  # warm beside cool, as a loaded brush leaves it
    paint = canvas * torch.stack([value * (1 + broken), value, value * (1 - broken)], 1)
    paint = 1.12 * paint / (1 + 0.28 * paint)
    glaze = 1 + (VARNISH - 1) * (0.4 + 0.8 * t.varnish).unsqueeze(1)
    paint = paint * glaze + torch.tensor([0.0040, 0.0026, 0.0016])[None, :, None, None]
    return paint.clamp(1e-6, 1.0) ** (1 / GAMMA)
