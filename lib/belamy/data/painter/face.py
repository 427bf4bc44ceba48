"""Flesh and features, painted in the head frame so that they turn and foreshorten with it."""

import torch
from torch import Tensor

from belamy.data.painter.brush import (
    bell,
    hue,
    inside,
    mix,
    normal,
    soft_abs,
    soft_relu,
    tint,
    waves,
)
from belamy.data.painter.head import Surface, nose
from belamy.data.painter.light import gloss, lit
from belamy.data.painter.sitter import Sitter

RED, DARK, SCLERA = hue(0.72, 0.26, 0.20), hue(0.13, 0.07, 0.05), hue(0.70, 0.64, 0.57)
SHINE = hue(1.0, 0.94, 0.84)
COOL, EAR, LIP = tint(1.0, 1.05, 0.95), tint(1.0, 0.88, 0.85), tint(1.0, 0.6, 0.55)


def stroke(distance: Tensor, width: Tensor | float, pixel: Tensor) -> Tensor:
    """A soft line; below the pixel it grows wider and fainter by the same measure."""
    seen = torch.sqrt(width**2 + (0.5 * pixel) ** 2)
    return bell(distance, seen) * (width / seen)


def paint_face(
    canvas: Tensor, f: Surface, y: Tensor, t: Sitter, shadow: Tensor
) -> Tensor:
    """Lay the lit head over the canvas. `f` is `head.surface`, `shadow` what hair and hat throw."""
    x, shape = f.x, normal(f.z, t.pixel)
    albedo, eye, catch = _eyes(_complexion(x, y, t), x, y, t)
    albedo = _mouth(albedo, x, y, t)
    brow = _brows(x, y, t)
    albedo = mix(albedo, 0.55 * t.hair_colour + 0.3 * DARK, 0.85 * brow)
    shadow = 1 - (1 - shadow) * (1 - _nose_shadow(x, y, t))
    shine = gloss(shape, t, 34.0) * (1 - shadow) * (1 - 0.8 * brow) * (1 - 0.95 * eye)
    flesh = lit(albedo, shape, t, shadow)
    flesh = flesh + 0.10 * shine.unsqueeze(1) * SHINE + 0.8 * catch.unsqueeze(1)
    return mix(canvas, flesh, inside(f.distance, 0.02 + 1.2 * t.pixel))


def paint_ears(canvas: Tensor, u: Tensor, y: Tensor, t: Sitter) -> Tensor:
    """Both ears, behind the face; long hair falls over them."""
    shown = 1 - 0.95 * inside(t.hair_length - 0.1, 1.2)
    for side in (-1.0, 1.0):
        du = u - side * (t.half_width + 0.015) * t.cos_yaw + 0.14 * t.sin_yaw
        room = 1 - (du / 0.11) ** 2 - ((y + 0.17 - 0.3 * side * du) / 0.21) ** 2
        height = 0.12 * torch.sqrt(soft_relu(room, 0.2)) - 0.05 * bell(room - 0.55, 0.15)
        shape = normal(height + 0.3 * side * du, t.pixel)
        flesh = lit(0.85 * EAR * t.skin_colour, shape, t, torch.full_like(du, 0.25))
        canvas = mix(canvas, flesh, shown * inside(0.1 * room, 0.02 + 1.2 * t.pixel))
    return canvas


def _complexion(x: Tensor, y: Tensor, t: Sitter) -> Tensor:
    """Skin: rosy cheeks, nose and chin, cool sockets and jaw, dark nostrils."""
    xa, tip = soft_abs(x), y + t.nose_length
    blush = 0.30 * bell(xa - 0.40, 0.15) * bell(y + 0.33, 0.14)
    blush = blush + 0.20 * bell(x, 0.13) * bell(tip - 0.04, 0.08)
    blush = blush + 0.10 * bell(x, 0.2) * bell(y + 0.95, 0.12)
    skin = t.skin_colour.expand(-1, -1, *x.shape[1:])
    albedo = mix(skin, RED * (0.35 + 1.3 * t.skin_colour), blush * t.blush)
    socket = bell(xa - t.eye_distance + 0.02, 0.16) * bell(y - 0.02, 0.10)
    stubble = t.stubble * bell(x, 0.5) * bell(y + 0.85, 0.20) * inside(-0.42 - y, 0.1)
    albedo = albedo * (1 - (0.16 * socket + 0.55 * stubble).unsqueeze(1) * COOL)
    nostril = stroke(xa - 0.068 * t.nose_width, 0.022, t.pixel) * stroke(tip + 0.04, 0.013, t.pixel)
    wing = stroke(xa - 0.165 * t.nose_width, 0.014, t.pixel) * bell(tip, 0.05)
    return mix(albedo, DARK, 0.7 * nostril + 0.22 * wing)


def _eyes(
    albedo: Tensor, x: Tensor, y: Tensor, t: Sitter
) -> tuple[Tensor, Tensor, Tensor]:
    """Both eyes at once, by |x|: albedo with eyes and lids, their opening, the catch of light."""
    px = t.pixel
    e = (soft_abs(x) - t.eye_distance) / 0.158  # -1 at the inner corner, 1 at the outer
    arch = 1 - e**2
    upper = 0.074 * t.eye_open * arch * (1 - 0.12 * e) + 0.012 * e
    lower = -0.050 * t.eye_open * arch * (1 + 0.15 * e) + 0.012 * e
    width = 0.012 + 0.6 * px
    opening = inside(upper - y, width) * inside(y - lower, width) * inside(arch, 0.12)
    ball, catch = _eyeball(x, y, e, y - upper, t)
    albedo = mix(albedo, ball, opening)
    lines = 0.92 * stroke(y - upper - 0.004, 0.013, px)  # lashes, lower lid, crease
    lines = lines + 0.32 * stroke(y - lower + 0.006, 0.010, px)
    lines = lines + 0.42 * stroke(y - upper - 0.042 - 0.012 * e, 0.013, px)
    albedo = mix(albedo, DARK, torch.clamp(lines * inside(arch + 0.10, 0.15), max=0.95))
    albedo = mix(albedo, RED, 0.4 * bell(e + 1.0, 0.13) * bell(y + 0.008, 0.02))
    return albedo, opening, catch * opening


def _eyeball(
    x: Tensor, y: Tensor, e: Tensor, over: Tensor, t: Sitter
) -> tuple[Tensor, Tensor]:
    """White under the shadow of the lid, iris and pupil; and the spot that the lamp leaves."""
    px, side = t.pixel, torch.tanh(x / 0.05)
    shade = 1 - 0.35 * e**2 - 0.40 * inside(over + 0.03, 0.04)
    ball = SCLERA * (0.5 + 0.9 * t.skin_colour.mean(1, keepdim=True)) * shade.unsqueeze(1)
    ix, iy = soft_abs(x) - t.eye_distance - side * t.gaze_x, y - 0.008 - t.gaze_y
    radius = torch.sqrt(ix**2 + iy**2 + 1e-5)
    glow = bell(ix + 0.02 * side * t.lamp[0], 0.03) * bell(iy + 0.025, 0.025)
    iris = t.iris_colour * (0.42 + 0.49 * glow).unsqueeze(1)
    ball = mix(ball, iris, inside(0.073 - radius, 0.014 + 0.6 * px))
    dark = inside(0.034 - radius, 0.014 + 0.5 * px) + 0.55 * stroke(radius - 0.070, 0.010, px)
    ball = mix(ball, 0.25 * DARK, torch.clamp(dark, max=1.0))
    spot = stroke(ix - 0.022 * side * t.lamp[0], 0.0085, px) * stroke(iy - 0.024, 0.0085, px)
    return ball, spot


def _brows(x: Tensor, y: Tensor, t: Sitter) -> Tensor:
    e = (soft_abs(x) - t.eye_distance) / 0.2
    middle = t.brow_height + 0.028 - 0.045 * (e - 0.35) ** 2 - 0.006 * e
    thick = 0.030 * t.brow_weight * (1 - 0.32 * e)
    hairs = 0.76 + 0.07 * waves(3 * x + 1.5 * y, y, 6.0, t.strands, 3 * t.pixel)
    return stroke(y - middle, thick, t.pixel) * inside(1 - soft_abs(e - 0.05, 0.1), 0.3) * hairs


def _mouth(albedo: Tensor, x: Tensor, y: Tensor, t: Sitter) -> Tensor:
    px, e = t.pixel, x / t.mouth_width
    arch = 1 - e**2
    bow = 0.006 * bell(soft_abs(e) - 0.4, 0.2) - 0.008 * bell(e, 0.25)
    line = t.smile * e**2 - 0.63 + bow
    upper = line + 0.064 * t.lips * arch * (1 - 0.25 * bell(e, 0.14))
    lower = line - 0.088 * t.lips * arch
    width, within = 0.022 + 0.6 * px, inside(arch + 0.05, 0.25)
    red = 0.55 * RED + 0.30 * LIP * t.skin_colour
    top = inside(upper - y, width) * inside(y - line, width) * within
    bottom = inside(line - y, width) * inside(y - lower, width) * within
    albedo = mix(mix(albedo, 0.66 * red, 0.85 * top), red, 0.80 * bottom)
    parting = 0.72 * stroke(y - line, 0.012, px) * within * (0.6 + 0.4 * arch)
    corner = 0.30 * bell(soft_abs(e) - 1.0, 0.12) * bell(y - line, 0.022)
    return mix(albedo, DARK, torch.clamp(parting + corner, max=0.9))


def _nose_shadow(x: Tensor, y: Tensor, t: Sitter) -> Tensor:
    """What the nose throws: march from the face to the lamp; how far does the nose rise above?"""
    lx, ly, lz = t.lamp
    aside, ahead = lx * t.cos_yaw - lz * t.sin_yaw, lz * t.cos_yaw + lx * t.sin_yaw  # head frame
    here = nose(x, y, t)
    blocked = torch.zeros_like(x)
    for step in (0.06, 0.12, 0.18, 0.26):
        sx = x + step * aside
        rise = nose(sx, y + step * ly, t) - here - 0.45 * (sx**2 - x**2)  # the face falls back
        blocked = blocked + 0.5 * inside(rise - step * ahead - 0.005, 0.07)
    return 0.38 * (1 - torch.exp(-0.9 * blocked))
