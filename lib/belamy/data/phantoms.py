"""Abdominal CT slices painted by formulas: organs known to the pixel, with and without contrast agent.

`ct_phantoms` returns an aligned `ImageSet`: the slice in a soft-tissue window, its Hounsfield units
and the organ of every pixel. A slice of one seed shows the same person in every phase, so that the
true effect of the contrast agent is known, which no clinical data set offers.

Each tissue has a range of native Hounsfield units and two of enhancement; a person has one place in
each. What is painted was chosen to lie within these ranges:

| tissue | native HU | source |
| --- | --- | --- |
| liver; the spleen about 8 lower | 50 to 65 | Piekarski et al. 1980 |
| fat | -115 to -90 | Yoshizumi et al. 1999: -190 to -30 |
| marrow of a lumbar vertebra | 110 to 220 | Pickhardt et al. 2013 |
| kidney; blood; muscle | 28 to 38; 36 to 46; 48 to 60 | custom, no one study |
| bile and cysts | 0 to 16 | custom, no one study |

The agent lifts the aorta to about 300 HU in the arterial phase, and the liver by about 50 in the
portal venous one (Bae 2010); kidneys have a bright cortex first and an even nephrogram later (Yuh &
Cohan 1999). A haemangioma fills from its rim; a metastasis stays behind the liver; a cyst takes up
nothing.

What they are not: no anatomy in three dimensions, no disease but the lesions, one scanner. Anatomy
is arranged to be learnt from, and says nothing about patients.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from belamy._checks import MAX_SEED, real_number, whole_number
from belamy.data.image_set import ImageSet
from belamy.errors import InputError

PHASES = ("native", "arterial", "portal")
ORGANS = ("other", "liver", "spleen", "kidney", "aorta", "bone", "fat", "lesion")
LESIONS = ("none", "cyst", "metastasis", "haemangioma")
WINDOW = (-160.0, 240.0)  # HU of black and white: the window of the abdomen
SIZES = (16, 256)
FINER = 3  # points along a pixel's side; the middle one says whose the pixel is
FIELD = 1.10  # half the picture's side, in half-widths of an average body
NOISE_WIDTH = 0.6  # pixels: noise of a reconstructed slice is not white

Range = tuple[float, float]
Field = np.ndarray  # (S, S), at the finer grid's points


class Tissue(NamedTuple):
    """Ranges of Hounsfield units, native, and of what the agent adds in the other two phases."""

    organ: str
    native: Range
    arterial: Range = (0.0, 0.0)
    portal: Range = (0.0, 0.0)


TISSUES = {
    "air": Tissue("other", (-1000, -1000)),
    "couch": Tissue("other", (-70, -40)),
    "subcutaneous fat": Tissue("fat", (-115, -100)),
    "visceral fat": Tissue("fat", (-105, -90)),
    "muscle": Tissue("other", (48, 60), (2, 8), (6, 14)),
    "lung": Tissue("other", (-880, -800)),
    "heart": Tissue("other", (38, 46), (50, 80), (60, 80)),
    "heart's blood": Tissue("other", (36, 46), (170, 230), (95, 125)),
    "liver": Tissue("liver", (50, 65), (10, 22), (45, 60)),
    "liver's veins": Tissue("liver", (36, 46), (15, 40), (115, 145)),
    "spleen": Tissue("spleen", (42, 55), (65, 95), (60, 80)),
    "cortex": Tissue("kidney", (28, 38), (125, 165), (120, 155)),
    "medulla": Tissue("kidney", (28, 38), (35, 60), (105, 135)),
    "sinus": Tissue("kidney", (-70, -30), (5, 10), (5, 15)),
    "aorta": Tissue("aorta", (36, 46), (230, 290), (100, 130)),
    "vena cava": Tissue("other", (36, 46), (40, 80), (85, 115)),
    "pancreas": Tissue("other", (32, 44), (50, 70), (45, 60)),
    "gut": Tissue("other", (28, 42), (20, 40), (30, 50)),
    "content": Tissue("other", (5, 30)),
    "gas": Tissue("other", (-950, -850)),
    "gall": Tissue("other", (4, 16)),
    "marrow": Tissue("bone", (110, 220)),
    "compact bone": Tissue("bone", (550, 900)),
    "canal": Tissue("other", (10, 30)),
    "cyst": Tissue("lesion", (0, 14)),
    "metastasis": Tissue("lesion", (32, 44), (5, 15), (20, 35)),
    "haemangioma": Tissue("lesion", (34, 46), (5, 15), (25, 45)),
    "haemangioma's rim": Tissue("lesion", (34, 46), (120, 190), (100, 130)),
}  # fmt: skip
NAMES = tuple(TISSUES)
ORGAN_OF = np.array([ORGANS.index(tissue.organ) for tissue in TISSUES.values()])


def ct_phantoms(
    n: int,
    size: int = 64,
    seed: int = 0,
    *,
    phase: str = "native",
    lesions: Sequence[str] = (),
    noise: float = 12.0,
) -> ImageSet:
    """A set of n painted axial slices of the upper abdomen, from the liver's dome to the kidneys.

    Slices depend on the arguments alone, `ct_phantoms(10, ...)` are the first ten of
    `ct_phantoms(20, ...)`, and slice i of one seed and size has the same anatomy in every phase. The
    patient's right is at the picture's left, the back below, as radiologists look at it.

    Args:
        n: how many, at least 1; each shows another person.
        size: side in pixels, 16 to 256.
        seed: draws people, agent and noise.
        phase: "native" (no contrast agent), "arterial" (about 35 s after) or "portal" (about 70 s).
        lesions: kinds from LESIONS; each slice gets one of them by chance, in the liver.
        noise: standard deviation in HU in an even region, at every size.

    Returns:
        Pictures (n, 1, size, size) of Hounsfield units, from WINDOW's first number, black, to its second, white.
        Beside them stand ``others["hu"]``, float32 (n, 1, size, size), before windowing, ``others["mask"]``,
        int64 (n, size, size), indices into ORGANS of what lies at a pixel's middle, and with lesions ``labels``,
        indices into LESIONS.

    Raises:
        InputError: an argument that cannot be used.
    """
    n, size = whole_number("n", n, 1), whole_number("size", size, *SIZES)
    seed, noise = whole_number("seed", seed, 0, MAX_SEED - 1), real_number("noise", noise, 0)
    if phase not in PHASES:
        raise InputError(f"phase={phase!r}: choose one of {', '.join(PHASES)}")
    kinds = _kinds(lesions)
    hu, masks, labels = zip(*(_slice(i, size, seed, phase, kinds, noise) for i in range(n)))
    hu = torch.from_numpy(np.stack(hu)).unsqueeze(1)
    return ImageSet(
        images=windowed(hu),
        name=f"ct-phantoms-{phase}-{size}-seed{seed}",
        labels=torch.tensor(labels) if kinds else None,
        others={"hu": hu, "mask": torch.from_numpy(np.stack(masks))},
    )


def windowed(hu: torch.Tensor, window: tuple[float, float] = WINDOW) -> torch.Tensor:
    """Hounsfield units of any shape to bytes, black at the window's lower end and white at its upper."""
    low, high = window
    return ((hu - low) / (high - low) * 255 + 0.5).clamp(0, 255).to(torch.uint8)


def _kinds(lesions: Sequence[str]) -> tuple[int, ...]:
    is_sequence = isinstance(lesions, Sequence) and not isinstance(lesions, str | bytes)
    unknown = [kind for kind in lesions if kind not in LESIONS] if is_sequence else [lesions]
    if unknown:
        raise InputError(f"lesions must be a sequence of kinds from {', '.join(LESIONS)}; got {unknown}")
    return tuple(LESIONS.index(kind) for kind in lesions)


def _slice(
    i: int, size: int, seed: int, phase: str, kinds: tuple[int, ...], noise: float
) -> tuple[np.ndarray, np.ndarray, int]:
    """Slice i: HU (size, size), float32; organs (size, size); what lesion it has."""
    person, agent = (np.random.default_rng([seed, i, k]) for k in (0, 1))
    grain = np.random.default_rng([seed, i, 2 + PHASES.index(phase)])  # each scan has its own noise
    which = person.random()  # drawn with lesions and without: the anatomy stays the same
    lesion = kinds[int(which * len(kinds))] if kinds else 0
    tissue = _Anatomy(person, size).paint(lesion)
    values = _hounsfield(agent, phase)
    fine = values[tissue]
    if phase == "arterial":  # the spleen's pulp is perfused in bands at first
        fine = np.where(tissue == NAMES.index("spleen"), fine + _bands(agent, len(fine)), fine)
    hu = fine.reshape(size, FINER, size, FINER).mean((1, 3))
    middle = tissue[FINER // 2 :: FINER, FINER // 2 :: FINER]
    return (hu + noise * _noise(grain, size)).astype(np.float32), ORGAN_OF[middle], lesion


def _hounsfield(agent: np.random.Generator, phase: str) -> np.ndarray:
    """A person's HU of each tissue; arteries, veins and organs share how much agent there is."""
    places, much = agent.random(len(TISSUES)), agent.random()
    values = [low + place * (high - low) for place, (_, (low, high), *_) in zip(places, TISSUES.values())]
    if phase != "native":
        added = [getattr(tissue, phase) for tissue in TISSUES.values()]
        values = [value + low + much * (high - low) for value, (low, high) in zip(values, added)]
    return np.array(values)


def _bands(agent: np.random.Generator, side: int) -> Field:
    x, y = np.meshgrid(*[np.arange(side) / side] * 2)
    turn = agent.random() * 2 * math.pi
    return 18 * np.sin(55 * (x * math.cos(turn) + y * math.sin(turn)) + 3 * np.sin(20 * (x - y)))


def _noise(grain: np.random.Generator, size: int) -> np.ndarray:
    """Noise (size, size) of unit variance, its neighbours alike as after a soft reconstruction."""
    weight = np.exp(-(np.arange(-2, 3) ** 2) / (2 * NOISE_WIDTH**2))
    weight /= np.sqrt(np.square(weight).sum())
    white = grain.standard_normal((size + 4, size + 4))
    rows = sum(w * white[k : k + size] for k, w in enumerate(weight))
    return sum(w * rows[:, k : k + size] for k, w in enumerate(weight))


class _Anatomy:
    """One person's slice, painted from back to front into a map of tissues.

    Coordinates: x to the picture's right (the patient's left), y to the back, both 1 at the body's
    edge. They are bent a little, so that no outline is an ellipse.
    """

    def __init__(self, person: np.random.Generator, size: int) -> None:
        self.draw = person.uniform
        side = size * FINER
        ticks = (FIELD * ((2 * np.arange(side) + 1) / side - 1)).astype(np.float32)
        self.width, self.height = self.draw(0.90, 1.04), self.draw(0.68, 0.80)
        self.plain_x, self.plain_y = ticks[None] / self.width, (ticks[:, None] + 0.06) / self.height
        phases = self.draw(0, 2 * math.pi, 8).astype(np.float32)
        self.x = self.plain_x + self._bend(self.plain_y, self.plain_x, phases[:4])
        self.y = self.plain_y + self._bend(self.plain_x, self.plain_y, phases[4:])
        self.level = self.draw(0, 1)  # 0 the liver's dome, 1 the middle of the kidneys
        self.tissue = np.zeros((side, side), dtype=np.int64)

    @staticmethod
    def _bend(along: Field, across: Field, phase: np.ndarray) -> Field:
        return (
            0.025 * np.sin(2.6 * along + phase[0])
            + 0.015 * np.sin(5.3 * along + 1.7 * across + phase[1])
            + 0.008 * np.sin(9.1 * along - 3.2 * across + phase[2])
        )

    def paint(self, lesion: int) -> Field:
        """Tissue of every point: indices into NAMES."""
        self._trunk()
        cavity = self.inside
        if self.level < 0.22:
            self._chest(cavity)
        else:
            self._gut(cavity)
        self._liver(cavity, lesion)
        self._spleen(cavity)
        if self.level > 0.5:
            self._kidneys(cavity)
        self._spine()
        self._vessels()
        self._ribs()
        return self.tissue

    def put(self, name: str, where: Field) -> None:
        self.tissue[where] = NAMES.index(name)

    def blob(self, x: float, y: float, a: float, b: float, turn: float = 0.0) -> Field:
        """Radius in an ellipse with half-axes a and b, turned by degrees: below 1 inside."""
        c, s = math.cos(math.radians(turn)), math.sin(math.radians(turn))
        dx, dy = self.x - x, self.y - y
        return np.sqrt(np.square(c / a * dx + s / a * dy) + np.square(c / b * dy - s / b * dx))

    def near(self, value: float, spread: float = 0.03) -> float:
        return value + self.draw(-spread, spread)

    def _trunk(self) -> None:
        """Couch, skin fat, wall of muscles; `inside` is the cavity, filled with fat."""
        dip = 1.16 + 0.10 * self.plain_x**2  # the couch lies under the back and curves up
        couch = (np.abs(self.plain_y - (2.32 - dip)) < 0.022) & (np.abs(self.plain_x) < 0.85)
        self.put("couch", couch)
        outline = _outline(self.x, self.y)
        self.put("subcutaneous fat", outline < 1)
        self.fat = self.draw(0.06, 0.17)
        self.depth = 1 - self._padding(self.x, self.y) - outline  # inwards from the muscles' outside
        self.put("muscle", self.depth > 0)
        self.inside = (self.depth > 0.065) & (self.blob(0, 0.95, 0.62, 0.42) > 1)
        self.put("visceral fat", self.inside)

    def _chest(self, cavity: Field) -> None:
        """At the dome: lungs at the sides, the heart in front and to the left, the stomach's fundus."""
        self.put("lung", cavity & (self.depth > 0.075))
        stomach = self.blob(self.near(0.42), self.near(0.12), 0.27, 0.3, 20)
        self.put("gut", cavity & (stomach < 1))
        self.put("content", cavity & (stomach < 0.86))
        self.put("gas", cavity & (stomach < 0.84) & (self.y < self.near(0.0)))
        heart = self.blob(self.near(0.17), self.near(-0.40), 0.44, 0.33, self.draw(10, 30))
        self.put("visceral fat", cavity & (heart < 1.07))
        self.put("heart", cavity & (heart < 1))
        left = self.blob(0.30, -0.36, 0.17, 0.16, 25)
        right = self.blob(0.02, -0.45, 0.15, 0.13, 25)
        self.put("heart's blood", cavity & ((left < 1) | (right < 1)) & (heart < 0.9))

    def _gut(self, cavity: Field) -> None:
        """Stomach above, loops of bowel below, the pancreas between."""
        low = (self.level - 0.22) / 0.78
        if low < 0.55:
            x, y = self.near(0.33), self.near(-0.34)
            stomach = self.blob(x, y, 0.36 - 0.1 * low, 0.27, self.draw(-25, 5))
            self.put("gut", cavity & (stomach < 1))
            self.put("content", cavity & (stomach < 0.84))
            self.put("gas", cavity & (stomach < 0.82) & (self.y < y - self.draw(0.0, 0.12)))
        for _ in range(int(3 + 9 * low)):
            x, y = self.draw(-0.35, 0.68), self.draw(-0.72, -0.12)
            a, gas = self.draw(0.08, 0.15), self.draw(0, 1) < 0.35
            loop = self.blob(x, y, a, 1.3 * a, self.draw(0, 180))
            room = cavity & (self.tissue == NAMES.index("visceral fat"))
            self.put("gut", room & (loop < 1))
            self.put("gas" if gas else "content", room & (loop < 0.72) & (self.y < y + (0 if gas else 1)))
        pancreas = self.blob(self.near(0.1), self.near(-0.06), 0.30, 0.075, self.draw(-25, -5))
        if 0.2 < low < 0.75:
            self.put("pancreas", cavity & (pancreas < 1))

    def _liver(self, cavity: Field, lesion: int) -> None:
        high = max(0.0, 1 - self.level)
        shrunk = 0.60 + 0.40 * min(1.0, 1.6 * high)  # of the right lobe, downwards
        cx, cy = self.near(-0.50), self.near(0.02)
        right = self.blob(cx - 0.12 * (1 - shrunk), cy, 0.44 * shrunk, 0.66 * shrunk, self.draw(-8, 8))
        left = self.blob(self.near(-0.12), self.near(-0.36), 0.50 * shrunk, 0.27, self.draw(-18, -6))
        notch = self.blob(-0.02, 0.16, 0.27, 0.36) < 1
        liver = right < 1
        if 0.12 < self.level < 0.72:
            liver = liver | (left < 1)
        heart = np.isin(self.tissue, [NAMES.index("heart"), NAMES.index("heart's blood")])
        liver = liver & (self.depth > 0.085) & cavity & ~notch & ~heart
        self.put("liver", liver)
        for middle in (2.4, 3.0, 3.6, 4.4):
            turn = middle + self.draw(-1.2, 1.2)
            reach = self.draw(0.25, 0.5)
            ax, ay = cx + 0.16, cy - 0.05
            along = np.clip((self.x - ax) * math.cos(turn) + (self.y - ay) * math.sin(turn), 0, reach)
            off = np.hypot(self.x - ax - along * math.cos(turn), self.y - ay - along * math.sin(turn))
            self.put("liver's veins", liver & (off < 0.034 * (1 - 0.6 * along / reach)))
        if 0.35 < self.level < 0.8:
            gall = self.blob(self.near(-0.34), self.near(-0.34), 0.09, 0.12, 20)
            self.put("gall", cavity & (gall < 1))
        place = cx - 0.10 + self.draw(-0.1, 0.1), cy + self.draw(-0.2, 0.2)
        size = self.draw(0.07, 0.15)  # drawn for everybody: a lesion changes nothing else
        if lesion:
            spot = self.blob(*place, size, 1.3 * size)
            self.put(LESIONS[lesion], liver & (spot < 1))
            if LESIONS[lesion] == "haemangioma":
                patches = np.cos(5 * np.arctan2(self.y - place[1], self.x - place[0])) > -0.2
                self.put("haemangioma's rim", liver & (spot < 1) & (spot > 0.6) & patches)

    def _spleen(self, cavity: Field) -> None:
        large = max(0.45, 1 - 1.1 * abs(self.level - 0.4))
        x, y = self.near(0.64), self.near(0.26)
        spleen = self.blob(x, y, 0.21 * large**0.5, 0.42 * large, self.draw(12, 30))
        hollow = self.blob(x - 0.2, y - 0.08, 0.14, 0.27)
        if self.level < 0.85:
            self.put("spleen", cavity & (self.depth > 0.085) & (spleen < 1) & (hollow > 1))

    def _kidneys(self, cavity: Field) -> None:
        for side in (-1, 1):
            x, y, turn = side * self.near(0.40), self.near(0.34), side * self.draw(15, 35)
            a, b = self.draw(0.15, 0.18), self.draw(0.22, 0.27)
            kidney, bed = self.blob(x, y, a, b, turn), self.blob(x, y, a + 0.05, b + 0.06, turn)
            self.put("visceral fat", cavity & (bed < 1))
            self.put("cortex", kidney < 1)
            angle = np.arctan2(self.y - y, self.x - x)
            self.put("medulla", (kidney < 0.72) & (np.cos(7 * angle) > -0.3))
            hilum = self.blob(x - side * 0.07, y - 0.02, 0.085, 0.085)
            self.put("sinus", (kidney < 0.98) & (hilum < 1))

    def _spine(self) -> None:
        for side in (-1, 1):
            self.put("muscle", self.blob(side * 0.25, 0.66, 0.22, 0.19) < 1)
            if self.level > 0.5:
                self.put("muscle", self.blob(side * 0.20, 0.40, 0.09, 0.15) < 1)
        arch = (self.blob(0, 0.66, 0.15, 0.14) < 1) | (self.blob(0, 0.80, 0.032, 0.13) < 1)
        wings = self.blob(0, 0.62, 0.30, 0.035) < 1
        self.put("compact bone", arch | wings)
        body = self.blob(0, 0.42, 0.155, 0.19)
        self.put("compact bone", body < 1)
        self.put("marrow", body < 0.88)
        self.put("canal", self.blob(0, 0.645, 0.075, 0.075) < 1)

    def _vessels(self) -> None:
        r = self.draw(0.062, 0.078)
        y = self.near(0.15, 0.02)
        self.put("visceral fat", self.blob(0.06, y, r + 0.02, 1.4 * r + 0.03) < 1)
        self.put("aorta", self.blob(0.06, y, r, 1.4 * r) < 1)
        self.put("vena cava", self.blob(self.near(-0.13, 0.02), self.near(0.11, 0.02), 0.085, 0.085) < 1)

    def _ribs(self) -> None:
        """Cut obliquely, along the wall of muscles; their number and places differ."""
        start = self.draw(0, 1)
        for side in (-1, 1):
            for k in range(5 if self.level < 0.6 else 3):
                angle = math.radians(65 - 33 * (k + start) + self.draw(-5, 5))  # from the back forwards
                cosine, sine = math.cos(angle), math.sin(angle)
                reach = (0.965 - self._padding(cosine, sine)) / _outline(cosine, sine)
                rib = self.blob(side * reach * cosine, reach * sine, 0.03, 0.085, side * math.degrees(angle))
                self.put("compact bone", rib < 1)
                self.put("marrow", rib < 0.6)

    def _padding(self, x: Field | float, y: Field | float) -> Field | float:
        """How thick the fat under the skin is: more at the sides, less in front."""
        return self.fat * (1 + 0.3 * np.minimum(y, 0) + 0.25 * abs(x))


def _outline(x: Field | float, y: Field | float) -> Field | float:
    """A superellipse: 1 on the skin."""
    return (np.abs(x) ** 2.3 + np.abs(y) ** 2.3) ** (1 / 2.3)
