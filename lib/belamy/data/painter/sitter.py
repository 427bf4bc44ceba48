"""Who sits: the factors that are varied on purpose, and the nuisance that varies on top."""

from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor

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


def traits(factors: Tensor, draws: Tensor) -> SimpleNamespace:
    """All that the painter needs to know of each row, as (N, 1, 1); noise phases as (N, PHASES)."""
    t = SimpleNamespace()
    for k, name in enumerate(FACTORS):
        setattr(t, name, factors[:, k, None, None])
    d = {name: draws[:, k, None, None] for k, name in enumerate(CHANCES)}
    for k, name in enumerate(FIELDS):
        first = len(CHANCES) + PHASES * k
        setattr(t, name, draws[:, first : first + PHASES])
    _features(t, d)
    _styles(t, d)
    return t


def _features(t: SimpleNamespace, d: dict[str, Tensor]) -> None:
    man = t.man = (d["sex"] < 0.5).float()
    t.age = d["age"] ** 1.5 * (0.45 + 0.55 * man)
    t.jaw = between(d["jaw"], 1.85, 2.15) + 0.35 * man  # exponent of the face's lower outline
    t.chin = between(d["chin"], 0.96, 1.06) + 0.03 * man
    t.gaze_x, t.gaze_y = between(d["gaze_x"], -0.022, 0.022), between(d["gaze_y"], -0.008, 0.012)
    t.eye_open = between(d["eyes"], 0.85, 1.12) * (1.06 - 0.14 * man) * (1 - 0.12 * t.age)
    t.eye_distance = between(d["eye_distance"], 0.285, 0.315)
    t.iris = 2 * d["iris"] - 1
    t.brow_height = between(d["brow_height"], 0.165, 0.20) - 0.015 * man + 0.015
    t.brow_weight = between(d["brow_weight"], 0.75, 1.15) * (0.72 + 0.5 * man)
    t.nose_length = between(d["nose_length"], 0.40, 0.46)
    t.nose_width = between(d["nose_width"], 0.90, 1.12) * (0.94 + 0.14 * man)
    t.mouth_width = between(d["mouth_width"], 0.20, 0.25)
    t.lips = between(d["lips"], 0.85, 1.2) * (1.08 - 0.22 * man)
    t.smile = between(d["smile"], 0.012, 0.05)
    t.blush = between(d["blush"], 0.5, 1.1) * (1.1 - 0.35 * man)
    t.neck = between(d["neck"], 0.37, 0.41) + 0.07 * man
    t.shoulders = between(d["shoulders"], 1.55, 1.75) + 0.2 * man
    t.offset = between(d["offset"], -0.04, 0.04)


def _styles(t: SimpleNamespace, d: dict[str, Tensor]) -> None:
    man, beard, collar = t.man, d["beard"], d["collar"]
    t.moustache = man * chosen(beard, 0.45, 1.01)
    t.goatee = man * chosen(beard, 0.58, 0.78)
    t.beard = man * chosen(beard, 0.78, 1.01)
    t.stubble = man * 0.35
    t.ruff = chosen(collar, 0.0, 0.14)
    t.falling_band = chosen(collar, 0.14, 0.36)  # the wide linen collar of van Dyck's sitters
    t.cravat = man * chosen(collar, 0.36, 0.68)
    t.low_neck = (1 - man) * chosen(collar, 0.36, 0.80)
    t.plain_band = chosen(collar, 0.80, 1.01) + man * chosen(collar, 0.68, 0.80)
    t.cloak = chosen(d["cloak"], 0.17, 0.35) - chosen(d["cloak"], 0.0, 0.17)
    t.pearls = t.low_neck * chosen(d["pearls"], 0.0, 0.6)
    t.hat = man * chosen(d["hat"], 0.0, 0.22)
    t.cap = (1 - man) * chosen(d["hat"], 0.0, 0.12)
    t.parting = between(d["parting"], -0.35, 0.35)
    t.hairline = between(d["hairline"], 0.60, 0.72) + 0.05 * t.age
    t.volume = between(d["volume"], 0.06, 0.17)
    t.curl = d["curl"]
    t.bare_crown = man * t.age * (d["bare_crown"] > 0.45).float()
    t.ground_side = 2 * d["ground_side"] - 1
    t.landscape = chosen(d["ground"], 0.0, 0.17)
    t.curtain = chosen(d["ground"], 0.17, 0.37)
    t.weave, t.varnish = between(d["weave"], 0.5, 1.0), d["varnish"]
