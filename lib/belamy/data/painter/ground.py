"""The ground behind the sitter. Picture frame: u to the right, v up, both in [-1, 1]."""

import torch
from torch import Tensor

from belamy.data.painter.brush import bell, inside, mix, soft_relu, tint, waves
from belamy.data.painter.sitter import Sitter

DRAPE = tint(1.35, 0.62, 0.50)  # a curtain is the ground's colour, redder
GLEAM = tint(1.10, 0.95, 0.70)  # light low over the hills


def paint_ground(u: Tensor, v: Tensor, t: Sitter) -> Tensor:
    """The ground (N, 3, S, S): scumbled, lighter away from the lamp; some curtains, landscapes."""
    px = t.picture_pixel
    scumble = 0.6 * waves(u, v, 0.7, t.scumble, px) + 0.4 * waves(u, 0.5 * v, 3.0, t.dabs, px)
    glow = 0.78 - 0.45 * u * t.lamp[0] + 0.75 * bell(u, 0.75) * bell(v + 0.05, 0.65)
    vignette = 1 - 0.42 * soft_relu(u**2 + v**2 - 0.45, 0.4)
    value = soft_relu(glow * vignette * (1 + 0.16 * scumble), 0.1)
    colour = t.ground_colour * value.unsqueeze(1)
    colour = _curtain(colour, u, v, t)
    return mix(colour, _landscape(u, v, t), t.landscape.expand_as(v))


def _curtain(colour: Tensor, u: Tensor, v: Tensor, t: Sitter) -> Tensor:
    """A curtain at one side of the picture."""
    fold = torch.sin(9 * u + 1.6 * v + 1.3 * torch.sin(2.3 * v + 4 * u) + 6 * t.ground_side)
    hem = u * torch.sign(t.ground_side) - 0.52 - 0.10 * v - 0.05 * torch.sin(5 * v)
    drape = t.ground_colour * DRAPE * (0.45 + 0.35 * fold).unsqueeze(1)
    return mix(colour, drape, t.curtain * inside(hem, 0.06 + t.picture_pixel))


def _landscape(u: Tensor, v: Tensor, t: Sitter) -> Tensor:
    """Evening sky over low hills, in the ground's own hue and tone."""
    px = t.picture_pixel
    cloud = waves(0.6 * u, 1.6 * v, 0.9, t.scumble, px)
    hills = 0.05 * torch.sin(2.5 * u + 5 * t.ground_side) + 0.02 * waves(u, 0 * v, 2.5, t.dabs, px)
    horizon = hills - 0.10
    sky = t.ground_colour * (1.0 + 0.25 * cloud - 0.5 * v).clamp(min=0.3).unsqueeze(1)
    sky = sky + t.ground_colour * GLEAM * bell(v - horizon, 0.22).unsqueeze(1)
    grass = 0.42 + 0.14 * waves(u, 2.5 * v, 2.0, t.dabs, px)
    land = t.ground_colour * grass.clamp(min=0.1).unsqueeze(1)
    return mix(sky, land, inside(horizon - v, 0.03 + px))
