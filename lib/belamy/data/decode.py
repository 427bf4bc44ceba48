"""One picture file to bytes of a stated shape, and what is done to it on the way."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from belamy.errors import InputError

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")  # no others, whatever a file's suffix says
CROPS = ("centre", "error")
VERSION = 1  # of this file: raise it when pictures come out differently


@dataclass(frozen=True)
class Settings:
    """What decides how a file becomes (channels, size, size) bytes; see ``folder``.

    Raises:
        InputError: a setting out of its range.
    """

    size: int
    channels: int
    crop: str
    background: tuple[int, int, int]

    def __post_init__(self) -> None:
        if type(self.size) is not int or self.size < 1:
            raise InputError(f"size={self.size!r}: give a side in pixels, 1 or more")
        if self.channels not in (1, 3):
            raise InputError(f"channels={self.channels!r}: give 3 for RGB or 1 for grey")
        if self.crop not in CROPS:
            raise InputError(f"crop={self.crop!r} is not one of {CROPS}")
        if not _is_colour(self.background):
            raise InputError(f"background={self.background!r}: give (red, green, blue), 0 to 255")


def _is_colour(value: object) -> bool:
    return (
        isinstance(value, tuple | list)
        and len(value) == 3
        and all(type(part) is int and 0 <= part <= 255 for part in value)
    )


def try_decode(file: Path, settings: Settings) -> tuple[tuple[int, int], np.ndarray] | str:
    """The picture's size and pixels, or why there are none."""
    try:
        if not file.is_file():
            return "not a file, or a link to nothing"
        return _decode(file, settings)
    except UnidentifiedImageError:
        return "empty file" if file.stat().st_size == 0 else "not a picture, whatever its name"
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return f"more than {Image.MAX_IMAGE_PIXELS:,} pixels, refused as a decompression bomb"
    except Exception as error:  # decoders meet damage with errors of any kind
        return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _decode(file: Path, settings: Settings) -> tuple[tuple[int, int], np.ndarray]:
    side = settings.size
    with Image.open(file, formats=FORMATS) as picture:
        if settings.crop == "centre":  # a JPEG need not be decoded at more than about twice size
            picture.draft(None, (2 * side, 2 * side))
        picture.load()
        upright = _upright(picture)
    square = _flatten(_eight_bit(_middle(upright)), settings.background)
    mode = "RGB" if settings.channels == 3 else "L"
    square = square if square.mode == mode else square.convert(mode)
    pixels = np.array(square.resize((side, side), Image.Resampling.LANCZOS))
    return upright.size, np.atleast_3d(pixels).transpose(2, 0, 1)


def _upright(picture: Image.Image) -> Image.Image:
    """Turned as its EXIF says; without the copy that Pillow makes where there is nothing to turn."""
    turned = picture.getexif().get(ExifTags.Base.Orientation, 1) != 1
    return ImageOps.exif_transpose(picture) if turned else picture


def _middle(picture: Image.Image) -> Image.Image:
    """The largest square in the middle."""
    width, height = picture.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return picture.crop((left, top, left + side, top + side))


def _eight_bit(picture: Image.Image) -> Image.Image:
    """Scale what has more than 8 bits, which Pillow's ``convert`` would clip at 255."""
    if not picture.mode.startswith(("I", "F")):
        return picture
    values = np.asarray(picture, dtype=np.float64)
    top = 1 if picture.mode == "F" else 65535
    low, high = values.min(), values.max()
    if not (0 <= low and high <= top):
        raise ValueError(f"values from {low:g} to {high:g}, where 0 to {top} is understood")
    return Image.fromarray(np.rint(values * (255 / top)).astype(np.uint8))


def _flatten(picture: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    """Lay a picture with transparent pixels on the background."""
    if not picture.has_transparency_data:
        return picture
    canvas = Image.new("RGBA", picture.size, (*background, 255))
    return Image.alpha_composite(canvas, picture.convert("RGBA"))
