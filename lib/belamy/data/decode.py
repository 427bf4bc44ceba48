"""One picture file to bytes of a stated shape, and what is done to it on the way."""

import io
import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from belamy._checks import whole_number
from belamy.errors import InputError

# What a file may hold whatever its suffix says: pictures are often renamed, and rarely to these.
COMMON = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
# Registered with Pillow, but no pictures that it decodes: left to other programs, films, tables.
ELSEWHERE = ("BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "PDF", "WMF")
# Pictures by their suffix that Pillow may not read: they are told of, not passed over.
PICTURES = (
    ".apng", ".arw", ".avif", ".bmp", ".cr2", ".cr3", ".dng", ".emf", ".eps", ".exr", ".gif", ".hdr",
    ".heic", ".heif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".jxl", ".nef", ".orf", ".png", ".ps",
    ".raf", ".raw", ".rw2", ".svg", ".tif", ".tiff", ".webp", ".wmf",
)  # fmt: skip
CROPS = ("centre", "error")
VERSION = 2  # of this file: raise it when pictures come out differently

TURNS = {  # by EXIF orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


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
        object.__setattr__(self, "size", whole_number("size", self.size, 1))
        object.__setattr__(self, "channels", whole_number("channels", self.channels, 1))
        if self.channels not in (1, 3):
            raise InputError(f"channels={self.channels!r}: give 3 for RGB or 1 for grey")
        if self.crop not in CROPS:
            raise InputError(f"crop={self.crop!r} is not one of {CROPS}")
        try:
            red, green, blue = (whole_number("background", part, 0, 255) for part in self.background)
        except (TypeError, ValueError) as error:  # InputError is a ValueError
            raise InputError(
                f"background={self.background!r}: give (red, green, blue), 0 to 255"
            ) from error
        object.__setattr__(self, "background", (red, green, blue))


def readable() -> dict[str, str]:
    """Which suffixes are read, and as what format: all pictures that this Pillow decodes itself.

    Plug-ins count, too: after ``pillow_heif.register_heif_opener()`` the suffix .heic is read.
    """
    Image.init()
    known = {suffix.lower(): format for suffix, format in Image.registered_extensions().items()}
    opened = (Image.OPEN.keys() | {"MPO"}) - set(ELSEWHERE)  # MPO is opened as JPEG
    return {suffix: format for suffix, format in sorted(known.items()) if format in opened}


def try_decode(file: Path, settings: Settings) -> tuple[tuple[int, int], np.ndarray] | str:
    """The picture's size and pixels, or why there are none."""
    try:
        if not file.is_file():  # a pipe would be waited for
            return "not a file, or a link to nothing"
        with file.open("rb") as stream:
            if os.fstat(stream.fileno()).st_size == 0:
                return "empty file"
            try:
                return _decode(stream, file.suffix.lower(), settings)
            except (Image.DecompressionBombError, Image.DecompressionBombWarning):
                raise
            except Exception:
                # Damaged metadata must not cost a picture: once more, without. If that was not it,
                # what was said the first time stands.
                stream.seek(0)
                if (bare := _without_metadata(stream.read())) is None:
                    raise
                try:
                    return _decode(io.BytesIO(bare), file.suffix.lower(), settings)
                except Exception:
                    pass
                raise
    except UnidentifiedImageError:
        return "not a picture, whatever its name"
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return f"more than {Image.MAX_IMAGE_PIXELS:,} pixels, refused as a decompression bomb"
    except Exception as error:  # decoders meet damage with errors of any kind
        return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _decode(stream: io.IOBase, suffix: str, settings: Settings) -> tuple[tuple[int, int], np.ndarray]:
    side = settings.size
    formats = {*COMMON, readable().get(suffix, "JPEG")} & Image.OPEN.keys()
    with Image.open(stream, formats=sorted(formats)) as picture:
        if settings.crop == "centre":  # a JPEG need not be decoded at more than about twice size
            picture.draft(None, (2 * side, 2 * side))
        picture.load()
        # Pillow's own `exif_transpose` also writes the rest of the EXIF anew, and fails where a single
        # entry of it is bad.
        try:
            turn = TURNS.get(picture.getexif().get(ExifTags.Base.Orientation))
        except Exception:  # rubbish, which says nothing about the picture
            turn = None
        upright = picture if turn is None else picture.transpose(turn)
    square = _flatten(_eight_bit(_middle(upright)), settings.background)
    mode = "RGB" if settings.channels == 3 else "L"
    square = square if square.mode == mode else square.convert(mode)
    pixels = np.array(square.resize((side, side), Image.Resampling.LANCZOS))
    return upright.size, np.atleast_3d(pixels).transpose(2, 0, 1)


def _without_metadata(data: bytes) -> bytes | None:
    """A PNG or JPEG with nothing but its picture and the whole parts of its EXIF; None for others."""
    kept = []
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        kept.append(data[:8])
        start = 8
        while start + 12 <= len(data):
            length, kind = struct.unpack(">I4s", data[start : start + 8])
            end = start + 12 + length
            is_whole = data[end - 4 : end] == struct.pack(">I", zlib.crc32(data[start + 4 : end - 4]))
            # A capital begins the names of the chunks without which there is no picture.
            if kind[:1].isupper() or (kind in (b"tRNS", b"eXIf") and is_whole):
                kept.append(data[start:end])
            start = end
        return b"".join(kept)
    if data.startswith(b"\xff\xd8"):
        kept.append(data[:2])
        start = 2
        while start + 4 <= len(data) and data[start] == 0xFF and data[start + 1] != 0xDA:
            marker, length = struct.unpack(">xBH", data[start : start + 4])
            is_note = 0xE0 <= marker <= 0xEF or marker == 0xFE
            # EXIF; and Adobe's note, if it is whole, says how four inks and YCC are to be read.
            if not is_note or marker == 0xE1 or (marker == 0xEE and length >= 14):
                kept.append(data[start : start + 2 + length])
            start += 2 + length
        return b"".join([*kept, data[start:]])  # from the start of the scan on, as it is
    return None


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
