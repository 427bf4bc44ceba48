"""Flesh and features, painted in the head frame so that they turn and foreshorten with it."""

from types import SimpleNamespace

import torch
from torch import Tensor

from belamy.data.painter.brush import bell, blend, inside, mix, normal, pigment, soft_abs, waves
from belamy.data.painter.head import nose
from belamy.data.painter.light import gloss, lit

SKIN = pigment((0.89, 0.735, 0.62), (0.86, 0.655, 0.515), (0.80, 0.57, 0.42), (0.62, 0.41, 0.29), (0.46, 0.30, 0.21))
IRIS = pigment((0.20, 0.11, 0.06), (0.30, 0.22, 0.12), (0.24, 0.22, 0.15), (0.21, 0.26, 0.30))
HAIR = pigment((0.10, 0.08, 0.07), (0.24, 0.15, 0.10), (0.42, 0.27, 0.16), (0.64, 0.47, 0.29), (0.80, 0.75, 0.67))
RED, DARK, SCLERA = (pigment(c)[0][None, :, None, None] for c in ((0.72, 0.26, 0.20), (0.13, 0.07, 0.05), (0.70, 0.64, 0.57)))


def stroke(distance: Tensor, width: Tensor | float, pixel: Tensor) -> Tensor:
    """A soft line; below the pixel it grows wider and fainter by the same measure."""
    width = torch.as_tensor(width)
    seen = torch.sqrt(width**2 + (0.5 * pixel) ** 2)
    return bell(distance, seen) * width / seen


def paint_face(canvas: Tensor, f: SimpleNamespace, y: Tensor, t: SimpleNamespace, shadow: Tensor) -> Tensor:
    """Lay the lit head over the canvas. `f` is `head.surface`, `shadow` what hair and hat throw."""
    x, px = f.x, t.pixel
    shape = normal(f.z, px)
    albedo = _complexion(x, y, t)
    albedo, eye, catch = _eyes(albedo, x, y, t)
    albedo = _mouth(albedo, x, y, t)
    brow = _brows(x, y, t)
    albedo = mix(albedo, 0.55 * t.hair_colour + 0.3 * DARK, brow * 0.85)
    shadow = 1 - (1 - shadow) * (1 - _nose_shadow(x, y, t))
    flesh = lit(albedo, shape, t, shadow)
    shine = gloss(shape, t, 34.0) * (1 - shadow) * (1 - 0.8 * brow) * (1 - 0.95 * eye)
    flesh = flesh + (0.10 * shine).unsqueeze(1) * pigment((1.0, 0.94, 0.84))[0][None, :, None, None]
    flesh = flesh + catch.unsqueeze(1) * 0.8
    return mix(canvas, flesh, inside(f.distance, 0.02 + 1.2 * px))


def _complexion(x: Tensor, y: Tensor, t: SimpleNamespace) -> Tensor:
    xa = soft_abs(x)
    tip = -t.nose_length
    blush = 0.30 * bell(xa - 0.40, 0.15) * bell(y + 0.33, 0.14) + 0.20 * bell(x, 0.13) * bell(y - tip - 0.04, 0.08)
    blush = blush + 0.10 * bell(x, 0.2) * bell(y + 0.95, 0.12)
    albedo = mix(t.skin_colour.expand(-1, -1, *x.shape[1:]), RED * (0.35 + 0.65 * t.skin_colour / 0.5), blush * t.blush)
    socket = bell(xa - t.eye_distance + 0.02, 0.16) * bell(y - 0.02, 0.10)
    cool = 0.16 * socket + t.stubble * 0.55 * bell(x, 0.5) * bell(y + 0.85, 0.20) * inside(-0.42 - y, 0.1)
    albedo = albedo * (1 - cool.unsqueeze(1) * torch.tensor([1.0, 1.05, 0.95])[None, :, None, None])
    nostril = stroke(xa - 0.068 * t.nose_width, 0.022, t.pixel) * stroke(y - tip + 0.040, 0.013, t.pixel)
    wing = stroke(xa - 0.165 * t.nose_width, 0.014, t.pixel) * bell(y - tip, 0.05)
    return mix(albedo, DARK, 0.7 * nostril + 0.22 * wing)


def _eyes(albedo: Tensor, x: Tensor, y: Tensor, t: SimpleNamespace) -> tuple[Tensor, Tensor, Tensor]:
    px, half = t.pixel, 0.158
    side = torch.tanh(x / 0.05)
    e = (soft_abs(x) - t.eye_distance) / half  # -1 at the inner corner, 1 at the outer
    span = 1 - e**2
    tilt = 0.012 * e
    upper = 0.074 * t.eye_open * (span - 0.12 * e * span) + tilt
    lower = -0.050 * t.eye_open * (span + 0.15 * e * span) + tilt
    width = 0.012 + 0.6 * px
    opening = inside(upper - y, width) * inside(y - lower, width) * inside(span, 0.12)
    ball = SCLERA * (0.5 + 0.9 * t.skin_colour.mean(1, keepdim=True)) * (1 - 0.35 * e**2 - 0.40 * inside(y - upper + 0.03, 0.04)).unsqueeze(1)
    ix, iy = soft_abs(x) - t.eye_distance - side * t.gaze_x, y - 0.008 - t.gaze_y
    radius = torch.sqrt(ix**2 + iy**2 + 1e-5)
    iris = inside(0.073 - radius, 0.014 + 0.6 * px)
    pupil = inside(0.034 - radius, 0.014 + 0.5 * px)
    glow = 0.6 + 0.7 * bell(ix + side * 0.02 * t.lamp[0], 0.03) * bell(iy + 0.025, 0.025)
    ball = mix(ball, 0.7 * t.iris_colour * glow.unsqueeze(1), iris)
    ball = mix(ball, 0.25 * DARK.expand_as(ball), torch.clamp(pupil + 0.55 * stroke(radius - 0.070, 0.010, px), max=1.0))
    albedo = mix(albedo, ball, opening)
    within = inside(span + 0.10, 0.15)
    lash = stroke(y - upper - 0.004, 0.013, px) * within
    lower_line = stroke(y - lower + 0.006, 0.010, px) * within
    crease = stroke(y - upper - 0.042 - 0.012 * e, 0.013, px) * within
    corner = bell(e + 1.0, 0.13) * bell(y + 0.008, 0.02)
    albedo = mix(albedo, DARK, torch.clamp(0.92 * lash + 0.32 * lower_line + 0.42 * crease, max=0.95))
    albedo = mix(albedo, RED, 0.4 * corner)
    spot = stroke(ix - side * 0.022 * t.lamp[0], 0.0085, px) * stroke(iy - 0.024, 0.0085, px)
    return albedo, opening, spot * opening


def _brows(x: Tensor, y: Tensor, t: SimpleNamespace) -> Tensor:
    e = (soft_abs(x) - t.eye_distance) / 0.2
    middle = t.brow_height + 0.028 - 0.045 * (e - 0.35) ** 2 - 0.006 * e
    thick = 0.030 * t.brow_weight * (1 - 0.32 * e)
    hairs = 0.8 + 0.2 * waves(3 * x + 1.5 * y, y, 6.0, t.strands, t.pixel * 3)
    return stroke(y - middle, thick, t.pixel) * inside(1 - soft_abs(e - 0.05, 0.1), 0.3) * hairs.clamp(0.3, 1.2) * 0.85


def _mouth(albedo: Tensor, x: Tensor, y: Tensor, t: SimpleNamespace) -> Tensor:
    px = t.pixel
    e = x / t.mouth_width
    span = 1 - e**2
    line = -0.63 + t.smile * e**2 - 0.008 * bell(e, 0.25) + 0.006 * bell(soft_abs(e) - 0.4, 0.2)
    upper = line + 0.064 * t.lips * span * (1 - 0.25 * bell(e, 0.14))
    lower = line - 0.088 * t.lips * span
    width = 0.022 + 0.6 * px
    lip_red = 0.55 * RED + 0.30 * t.skin_colour * torch.tensor([1.0, 0.6, 0.55])[None, :, None, None]
    within = inside(span + 0.05, 0.25)
    top = inside(upper - y, width) * inside(y - line, width) * within
    bottom = inside(line - y, width) * inside(y - lower, width) * within
    albedo = mix(albedo, 0.66 * lip_red, 0.85 * top)
    albedo = mix(albedo, lip_red, 0.80 * bottom)
    corner = bell(soft_abs(e) - 1.0, 0.12) * bell(y - line, 0.022)
    return mix(albedo, DARK, torch.clamp(0.72 * stroke(y - line, 0.012, px) * within * (0.6 + 0.4 * span) + 0.30 * corner, max=0.9))


def _nose_shadow(x: Tensor, y: Tensor, t: SimpleNamespace) -> Tensor:
    """What the nose throws: march from the face to the lamp, and see how far the nose rises above."""
    lx, ly, lz = t.lamp
    here = nose(x, y, t)
    blocked = torch.zeros_like(x)
    for step in (0.06, 0.12, 0.18, 0.26):
        # The face itself falls back sideways, by about x^2 / 2 over its half-width.
        sx = x + step * (lx * t.cos_yaw - lz * t.sin_yaw)
        rise = nose(sx, y + step * ly, t) - here - 0.45 * (sx**2 - x**2)
        gap = rise - step * (lz * t.cos_yaw + lx * t.sin_yaw)
        blocked = blocked + 0.5 * inside(gap - 0.005, 0.07)
    return 0.38 * (1 - torch.exp(-0.9 * blocked))


def complexion(t: SimpleNamespace) -> None:
    """Fix the sitter's colours."""
    t.skin_colour = blend(SKIN, t.skin_tone)
    t.hair_colour = blend(HAIR, t.hair_tone)
    t.iris_colour = blend(IRIS, t.iris)
