"""Who sits: the factors that are varied on purpose, and the nuisance that varies on top."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from belamy.data.painter.brush import blend
from belamy.data.painter.palette import CLOTH, GROUND, HAIR, IRIS, SKIN

FACTORS = (
    "yaw", "tilt", "light", "closeness", "face_width", "skin_tone", "hair_tone", "hair_length",
    "clothing_hue", "clothing_tone", "background_hue", "background_tone",
)  # fmt: skip

PHASES = 6  # waves in each noise field
FIELDS = ("warp_x", "warp_y", "strands", "folds", "scumble", "dabs", "edge", "lace")
CHANCES = (
    "sex", "age", "beard", "collar", "hat", "ground", "parting", "hairline", "volume", "curl",
    "gaze_x", "gaze_y", "eyes", "iris", "brow_height", "brow_weight", "nose_length", "nose_width",
    "mouth_width", "lips", "smile", "blush", "jaw", "chin", "neck", "shoulders", "offset",
    "cloak", "pearls", "ground_side", "weave", "varnish", "eye_distance", "bare_crown",
)  # fmt: skip
DRAWS = len(CHANCES) + PHASES * len(FIELDS)


def draw_factors(rows: int, seed: int) -> Tensor:
    """Factors (rows, d), uniform in [-1, 1]; the first rows do not depend on how many follow."""
    uniform = np.random.default_rng([seed, 0]).random((rows, len(FACTORS)), dtype=np.float32)
    return torch.from_numpy(2 * uniform - 1)


def draw_nuisance(rows: int, seed: int) -> Tensor:
    """Uniform draws (rows, DRAWS) in [0, 1], one row a sitter; prefix-stable like the factors."""
    uniform = np.random.default_rng([seed, 1]).random((rows, DRAWS), dtype=np.float32)
    return torch.from_numpy(uniform)


def between(draw: Tensor, low: float, high: float) -> Tensor:
    return low + (high - low) * draw


def chosen(draw: Tensor, low: float, high: float) -> Tensor:
    """1 where `draw` lies in [low, high), else 0."""
    return ((draw >= low) & (draw < high)).float()


@dataclass(frozen=True)
class Sitter:
    """All that the painter needs to know of N sitters at once.

    Numbers are (N, 1, 1), colours (N, 3, 1, 1) and linear in light, phases of noise (N, PHASES).
    What is worn, or grows, or hangs behind is 1 where it is there, else 0.
    """

    # How the head is held, and where
    cos_yaw: Tensor
    sin_yaw: Tensor
    cos_tilt: Tensor
    sin_tilt: Tensor
    scale: Tensor  # head units to picture units
    offset: Tensor  # of the figure from the middle, in picture units
    lamp: tuple[Tensor, Tensor, Tensor]  # unit vector to it: right, up, towards us
    picture_pixel: Tensor  # side of a pixel in picture units, ()
    pixel: Tensor  # and in head units

    # The head
    man: Tensor
    age: Tensor
    half_width: Tensor
    jaw: Tensor  # exponent of the face's lower outline
    chin: Tensor
    gaze_x: Tensor
    gaze_y: Tensor
    eye_open: Tensor
    eye_distance: Tensor
    brow_height: Tensor
    brow_weight: Tensor
    nose_length: Tensor
    nose_width: Tensor
    mouth_width: Tensor
    lips: Tensor
    smile: Tensor
    blush: Tensor
    neck: Tensor
    shoulders: Tensor

    # Hair
    hair_length: Tensor  # -1, cropped, to 1, down to the breast
    parting: Tensor
    hairline: Tensor
    volume: Tensor
    curl: Tensor
    bare_crown: Tensor
    moustache: Tensor
    goatee: Tensor
    beard: Tensor
    stubble: Tensor

    # Dress: one of five collars, and what goes over and above it
    ruff: Tensor
    falling_band: Tensor  # the wide linen collar of van Dyck's sitters
    cravat: Tensor
    low_neck: Tensor
    plain_band: Tensor
    cloak: Tensor  # over the right shoulder at 1, over the left at -1, none at 0
    pearls: Tensor
    hat: Tensor
    cap: Tensor

    # What stands behind, and what lies over all
    ground_side: Tensor  # -1 left to 1 right
    landscape: Tensor
    curtain: Tensor
    weave: Tensor
    varnish: Tensor

    # Colours
    skin_colour: Tensor
    hair_colour: Tensor
    iris_colour: Tensor
    cloth_colour: Tensor
    ground_colour: Tensor

    # Phases of the waves in each field of noise, named as in FIELDS
    warp_x: Tensor
    warp_y: Tensor
    strands: Tensor
    folds: Tensor
    scumble: Tensor
    dabs: Tensor
    edge: Tensor
    lace: Tensor


def sit(factors: Tensor, draws: Tensor, size: int) -> Sitter:
    """From factors (N, d) and nuisance draws (N, DRAWS) to the sitters of pictures `size` wide."""
    f = {name: factors[:, k, None, None] for k, name in enumerate(FACTORS)}  # each (N, 1, 1)
    d = {name: draws[:, k, None, None] for k, name in enumerate(CHANCES)}
    noise = draws[:, len(CHANCES) :].split(PHASES, 1)  # a field each

    yaw, tilt = 0.60 * f["yaw"], 0.24 * f["tilt"]
    scale = 0.49 * torch.exp(0.11 * f["closeness"])
    picture_pixel = torch.tensor(2.0 / size)
    azimuth, height = 1.22 * f["light"], 0.60  # the lamp: from the left at -1, always from above
    level = math.cos(height)
    up = torch.full_like(azimuth, math.sin(height))

    man = (d["sex"] < 0.5).float()
    age = d["age"] ** 1.5 * (0.45 + 0.55 * man)
    beard, collar = d["beard"], d["collar"]
    low_neck = (1 - man) * chosen(collar, 0.36, 0.80)

    cloth = torch.exp(1.15 * f["clothing_tone"] - 0.95).unsqueeze(1)
    bloom = 0.07 * torch.exp(2.2 * (f["clothing_tone"] - 1)).unsqueeze(1)  # light cloth is greyer
    ground = torch.exp(1.10 * f["background_tone"] - 0.80).unsqueeze(1)

    return Sitter(
        cos_yaw=yaw.cos(),
        sin_yaw=yaw.sin(),
        cos_tilt=tilt.cos(),
        sin_tilt=tilt.sin(),
        scale=scale,
        offset=between(d["offset"], -0.04, 0.04),
        lamp=(level * torch.sin(azimuth), up, level * torch.cos(azimuth)),
        picture_pixel=picture_pixel,
        pixel=picture_pixel / scale,
        man=man,
        age=age,
        half_width=0.68 * torch.exp(0.21 * f["face_width"]),
        jaw=between(d["jaw"], 1.85, 2.15) + 0.35 * man,
        chin=between(d["chin"], 0.96, 1.06) + 0.03 * man,
        gaze_x=between(d["gaze_x"], -0.022, 0.022),
        gaze_y=between(d["gaze_y"], -0.008, 0.012),
        eye_open=between(d["eyes"], 0.85, 1.12) * (1.06 - 0.14 * man) * (1 - 0.12 * age),
        eye_distance=between(d["eye_distance"], 0.285, 0.315),
        brow_height=between(d["brow_height"], 0.165, 0.20) - 0.015 * man + 0.015,
        brow_weight=between(d["brow_weight"], 0.75, 1.15) * (0.72 + 0.5 * man),
        nose_length=between(d["nose_length"], 0.40, 0.46),
        nose_width=between(d["nose_width"], 0.90, 1.12) * (0.94 + 0.14 * man),
        mouth_width=between(d["mouth_width"], 0.20, 0.25),
        lips=between(d["lips"], 0.85, 1.2) * (1.08 - 0.22 * man),
        smile=between(d["smile"], 0.012, 0.05),
        blush=between(d["blush"], 0.5, 1.1) * (1.1 - 0.35 * man),
        neck=between(d["neck"], 0.37, 0.41) + 0.07 * man,
        shoulders=between(d["shoulders"], 1.55, 1.75) + 0.2 * man,
        hair_length=f["hair_length"],
        parting=between(d["parting"], -0.35, 0.35),
        hairline=between(d["hairline"], 0.60, 0.72) + 0.05 * age,
        volume=between(d["volume"], 0.06, 0.17),
        curl=d["curl"],
        bare_crown=man * age * (d["bare_crown"] > 0.45).float(),
        moustache=man * chosen(beard, 0.45, 1.01),
        goatee=man * chosen(beard, 0.58, 0.78),
        beard=man * chosen(beard, 0.78, 1.01),
        stubble=man * 0.35,
        ruff=chosen(collar, 0.0, 0.14),
        falling_band=chosen(collar, 0.14, 0.36),
        cravat=man * chosen(collar, 0.36, 0.68),
        low_neck=low_neck,
        plain_band=chosen(collar, 0.80, 1.01) + man * chosen(collar, 0.68, 0.80),
        cloak=chosen(d["cloak"], 0.17, 0.35) - chosen(d["cloak"], 0.0, 0.17),
        pearls=low_neck * chosen(d["pearls"], 0.0, 0.6),
        hat=man * chosen(d["hat"], 0.0, 0.22),
        cap=(1 - man) * chosen(d["hat"], 0.0, 0.12),
        ground_side=2 * d["ground_side"] - 1,
        landscape=chosen(d["ground"], 0.0, 0.17),
        curtain=chosen(d["ground"], 0.17, 0.37),
        weave=between(d["weave"], 0.5, 1.0),
        varnish=d["varnish"],
        skin_colour=blend(SKIN, f["skin_tone"]),
        hair_colour=blend(HAIR, f["hair_tone"]),
        iris_colour=blend(IRIS, 2 * d["iris"] - 1),
        cloth_colour=blend(CLOTH, f["clothing_hue"]) * cloth + bloom,
        ground_colour=blend(GROUND, f["background_hue"]) * ground,
        **dict(zip(FIELDS, noise, strict=True)),
    )
