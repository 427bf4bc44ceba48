"""The head as a surface in space: elliptic cross-sections, relief of the features, true rotation.

Head frame, in units of about half a head's height: x to the picture's right, y up from the eyes,
z out of the face. Chin near y = -1.05, crown near y = 1. Seen orthographically.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from belamy.data.painter.brush import bell, inside, soft_abs, soft_relu
from belamy.data.painter.sitter import Sitter

CROWN, DEPTH = 0.96, 0.93


class Surface(NamedTuple):
    """The head as seen at each pixel, (N, S, S)."""

    distance: Tensor  # inside its edge
    z: Tensor  # towards us
    x: Tensor  # in the frame of the head: to its side,
    depth: Tensor  # and out of its face


def nose(x: Tensor, y: Tensor, t: Sitter) -> Tensor:
    """Height of the nose over the face: a ridge rising to the tip, undercut below, and wings."""
    tip = -t.nose_length
    along = inside(0.06 - y, 0.30) * (0.42 + 0.58 * inside(tip + 0.17 - y, 0.24))
    along = along * inside(y - tip + 0.05, 0.14)
    ridge = bell(x, t.nose_width * (0.075 + 0.032 * bell(y - tip, 0.09)))
    wings = bell(soft_abs(x) - 0.118 * t.nose_width, 0.045) * bell(y - tip - 0.015, 0.05)
    return 0.25 * along * ridge + 0.06 * wings


def relief(x: Tensor, y: Tensor, t: Sitter) -> Tensor:
    """Height of all other features over the plain head."""
    xa = soft_abs(x)
    ex = xa - t.eye_distance
    total = -0.105 * bell(ex + 0.03, 0.15) * bell(y - 0.03, 0.105)  # eye sockets
    total = total + 0.06 * bell(ex, 0.105) * bell(y, 0.085)  # the ball under its lids
    total = total + (0.03 + 0.025 * t.man) * bell(ex + 0.02, 0.20) * bell(y - 0.20, 0.065)  # brows
    total = total + 0.055 * bell(xa - 0.43, 0.16) * bell(y + 0.27, 0.15)  # cheekbones
    total = total - 0.035 * bell(xa - 0.46, 0.12) * bell(y + 0.66, 0.17) * (0.6 + 0.6 * t.age)
    fold = xa - 0.20 - 0.30 * (-y - t.nose_length)  # from the wing of the nose past the mouth
    total = total - (0.012 + 0.022 * t.age) * bell(fold, 0.035) * bell(y + 0.52, 0.11)
    total = total - (0.004 + 0.03 * t.age) * bell(ex + 0.03, 0.11) * bell(y + 0.145, 0.028)  # bags
    mouth = y + 0.63
    total = total + 0.06 * bell(x, 0.22) * bell(mouth, 0.14)
    lips = bell(x, 0.14)
    total = total + lips * (0.035 * bell(mouth - 0.045, 0.032) + 0.04 * bell(mouth + 0.052, 0.036))
    total = total - 0.03 * (lips * bell(mouth, 0.016) + bell(x, 0.16) * bell(mouth + 0.13, 0.035))
    total = total - 0.012 * bell(x, 0.022) * bell(mouth - 0.12, 0.035)  # philtrum
    return total + 0.085 * bell(x, 0.17) * bell(y + 0.93 * t.chin, 0.105)


def span(t: Sitter, swell: Tensor | float = 0.0) -> Tensor:
    """Half-width of the turned head at the height of the eyes, `swell` wider all round."""
    wide, deep = (t.half_width + swell) * t.cos_yaw, (DEPTH + swell) * t.sin_yaw
    return torch.sqrt(wide**2 + deep**2)


def outline(u: Tensor, y: Tensor, t: Sitter) -> tuple[Tensor, Tensor]:
    """The plain head without relief, as seen: distance inside its edge, and depth z.

    At each height the head is an ellipse with half-width a and half-depth b about (0, centre), both
    shrinking from the eyes to crown and chin. The ray through u meets it where `room` is positive;
    beyond the edge the surface falls away smoothly, so that its normals stay sound there.
    """
    cos, sin = t.cos_yaw, t.sin_yaw
    up, down = soft_relu(y, 0.02) / CROWN, soft_relu(-y, 0.02) / (1.07 * t.chin)
    profile = up**2.3 + down**t.jaw  # 0 at the eyes, 1 at crown and chin
    centre = -0.15 + 0.30 * torch.tanh(down**2)
    reach = span(t)
    du = u - centre * sin
    room = 1 - profile - (du / reach) ** 2
    slope = torch.sqrt((2 * du / reach**2) ** 2 + (2.4 * (up + down)) ** 2 + 0.02)
    scale = soft_relu(1 - profile, 0.03) + 1e-3
    a2, b2 = t.half_width**2 * scale, DEPTH**2 * scale
    quad = sin**2 / a2 + cos**2 / b2
    cross = du * sin * cos * (1 / b2 - 1 / a2)
    bulge = torch.sqrt(soft_relu(quad * room / scale, 0.03))
    z = centre * cos + (bulge - cross) / quad - 1.4 * soft_relu(-room, 0.04)
    return room / slope, z


def surface(u: Tensor, y: Tensor, t: Sitter) -> Surface:
    """The head with all relief.

    The relief stands where the displaced surface is, not the plain one: a fixed point, reached in a
    few steps, which is what makes the nose slide over the far cheek when the head turns.
    """
    distance, plain = outline(u, y, t)
    cos, sin = t.cos_yaw, t.sin_yaw
    front = inside(u * sin + plain * cos - 0.15, 0.35)
    z = plain
    for _ in range(4):
        x = u * cos - z * sin
        z = 0.5 * (z + plain + front * nose(x, y, t))
    x = u * cos - z * sin
    z = plain + front * (nose(x, y, t) + relief(x, y, t))
    return Surface(distance=distance, z=z, x=u * cos - z * sin, depth=u * sin + z * cos)
