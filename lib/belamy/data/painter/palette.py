"""The palette: the paths of colour that the factors walk, given in display values."""

from types import SimpleNamespace

import torch

from belamy.data.painter.brush import blend, pigment

SKIN = pigment(
    (0.89, 0.735, 0.62),
    (0.86, 0.655, 0.515),
    (0.80, 0.57, 0.42),
    (0.62, 0.41, 0.29),
    (0.46, 0.30, 0.21),
)
HAIR = pigment(
    (0.10, 0.08, 0.07),
    (0.24, 0.15, 0.10),
    (0.42, 0.27, 0.16),
    (0.64, 0.47, 0.29),
    (0.80, 0.75, 0.67),
)
IRIS = pigment((0.20, 0.11, 0.06), (0.30, 0.22, 0.12), (0.24, 0.22, 0.15), (0.21, 0.26, 0.30))
CLOTH = pigment(
    (0.60, 0.13, 0.12),
    (0.56, 0.36, 0.17),
    (0.36, 0.37, 0.18),
    (0.16, 0.34, 0.37),
    (0.19, 0.24, 0.47),
)
GROUND = pigment((0.48, 0.26, 0.16), (0.42, 0.33, 0.19), (0.33, 0.35, 0.25), (0.26, 0.35, 0.37))


def choose_colours(t: SimpleNamespace) -> None:
    """Fix the sitter's colours, (N, 3, 1, 1): hue along a path, tone as brightness."""
    t.skin_colour = blend(SKIN, t.skin_tone)
    t.hair_colour = blend(HAIR, t.hair_tone)
    t.iris_colour = blend(IRIS, t.iris)
    brightness = torch.exp(1.15 * t.clothing_tone - 0.95).unsqueeze(1)
    bloom = 0.07 * torch.exp(2.2 * (t.clothing_tone - 1)).unsqueeze(1)  # light cloth is greyer
    t.cloth_colour = blend(CLOTH, t.clothing_hue) * brightness + bloom
    brightness = torch.exp(1.10 * t.background_tone - 0.80).unsqueeze(1)
    t.ground_colour = blend(GROUND, t.background_hue) * brightness
