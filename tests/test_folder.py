"""Folders of pictures: what comes out, what is left out, what is refused, and what is kept.

F01 to F13 are the rows of the project's table of faults; F14 is ``fit``'s.
"""

import importlib
import io
import os
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from belamy.data import folder
from belamy.errors import FileError, InputError

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BELAMY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def root(tmp_path):
    (tmp_path / "pictures").mkdir()
    return tmp_path / "pictures"


def picture(colour=RED, size=(16, 16), mode="RGB"):
    return Image.new(mode, size, colour)


def noise(size=(64, 64), seed=0):
    values = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return Image.fromarray(values)


def fill(root, count, colour=RED):
    for i in range(count):
        picture(colour).save(root / f"good{i:03}.png")


def encoded(image, format):
    buffer = io.BytesIO()
    image.save(buffer, format)
    return buffer.getvalue()


def colours(images):
    """The colour of each (plain) picture."""
    return [tuple(x.flatten(1).float().mean(1).round().int().tolist()) for x in images.images]


def only(root, size=8, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return folder(root, size, **settings)


# What comes out


def test_pictures_come_in_the_order_of_their_names_at_any_depth(root):
    (root / "b").mkdir()
    picture(BLUE).save(root / "b" / "1.png")
    picture(GREEN, (30, 40)).save(root / "a.png")
    picture(RED).save(root / "c.bmp")
    images = only(root)
    assert images.images.shape == (3, 3, 8, 8) and images.images.dtype == torch.uint8
    assert colours(images) == [GREEN, BLUE, RED]
    assert images.name == "folder pictures 8x8" and images.report == ()
    assert colours(only(root, recursive=False)) == [GREEN, RED]


@pytest.mark.parametrize("suffix", ["bmp", "gif", "jpeg", "jpg", "png", "tif", "tiff", "webp"])
def test_every_accepted_suffix_is_read(root, suffix):
    picture((200, 100, 50)).save(root / f"x.{suffix}")
    (got,) = colours(only(root))
    assert np.allclose(got, (200, 100, 50), atol=3)


def test_an_animated_gif_gives_its_first_frame(root):
    picture(RED).save(root / "x.gif", save_all=True, append_images=[picture(BLUE)])
    assert colours(only(root)) == [RED]


def test_large_jpegs_decoded_at_reduced_size_look_as_if_they_were_not(root):
    smooth = noise((24, 32)).resize((1500, 2000), Image.Resampling.BICUBIC)
    smooth.save(root / "x.jpg", quality=95)
    square = smooth.crop((0, 250, 1500, 1750)).resize((64, 64), Image.Resampling.LANCZOS)
    got = only(root, 64).images[0].permute(1, 2, 0).numpy().astype(float)
    assert np.abs(got - np.asarray(square)).mean() < 4  # of colours that range over 0 to 255


def test_grey_is_the_usual_weighted_sum(root):
    picture(GREEN).save(root / "x.png")
    images = only(root, channels=1)
    assert images.channels == 1 and images.images.unique().tolist() == [150]


# F01-F03: nothing there


def test_f01_a_missing_folder_names_where_it_was_looked_for(tmp_path):
    with pytest.raises(FileError, match="no such folder") as error:
        folder(tmp_path / "no" / "such", 8)
    assert str(Path.cwd()) in str(error.value)
    assert f"{tmp_path} exists" in str(error.value)


def test_f01_a_file_in_place_of_a_folder(root):
    fill(root, 1)
    with pytest.raises(FileError, match="good000.png is a file"):
        folder(root / "good000.png", 8)


def test_f02_an_empty_folder_is_an_error(root):
    with pytest.raises(FileError, match="found no file at all"):
        folder(root, 8)


def test_f03_a_folder_without_pictures_says_what_is_there_and_what_is_wanted(root):
    for name in ("a.txt", "b.TXT", "README"):
        (root / name).write_text("words", encoding="utf-8")
    with pytest.raises(FileError, match=r"\.jpeg \.jpg \.png.*found 2 of \.txt, 1 of no suffix"):
        folder(root, 8)


# F04-F08: damaged files


@pytest.fixture
def many(root):
    fill(root, 100)
    return root


def half(data):
    return data[: len(data) // 2]


def png_header(width, height):
    """A PNG that announces a size and holds next to nothing."""

    def chunk(kind, body):
        crc = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + crc

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 64))


DAMAGED = {
    "f04 empty": ("x.png", b"", "empty file"),
    "f05 cut JPEG": ("x.jpg", half(encoded(noise(), "JPEG")), "truncated"),
    "f06 cut PNG": ("x.png", half(encoded(noise(), "PNG")), "truncated"),
    "f07 text as JPEG": ("x.jpg", b"<html>not found</html>", "not a picture, whatever its name"),
    "f08 bomb": ("x.png", png_header(50_000, 50_000), "pixels, refused as a decompression bomb"),
    "f08 bomb of 90 Mpx": ("x.png", png_header(9_500, 9_500), "refused as a decompression bomb"),
    "other format": ("x.png", encoded(picture(), "PPM"), "not a picture, whatever its name"),
    "32 bit": ("x.tif", encoded(Image.new("I", (4, 4), 70_000), "TIFF"), "0 to 65535 is underst"),
    "floats": ("x.tif", encoded(Image.new("F", (4, 4), -3.0), "TIFF"), "values from -3 to -3"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_f04_to_f08_a_damaged_file_is_left_out_and_reported(many, case):
    name, content, reason = DAMAGED[case]
    (many / name).write_bytes(content)
    says = f"1 of 101 files in .*{reason}.*They were left out"
    with pytest.warns(UserWarning, match=says) as seen:
        images = folder(many, 8)
    assert len(seen) == 1
    assert len(images) == 100 and colours(images) == [RED] * 100
    (line,) = images.report
    assert line.startswith(f"{name}: ") and reason in line
    assert str(many) not in line


@pytest.mark.parametrize("cached", [True, False])
def test_f04_too_many_damaged_files_are_an_error_cached_or_not(root, cached):
    fill(root, 8)
    for name in ("y.png", "z.png"):
        (root / name).write_bytes(b"")
    if cached:
        with pytest.warns(UserWarning, match="2 of 10"):
            folder(root, 8, max_bad=0.2)
    with pytest.raises(FileError, match=r"2 of 10 files .*y\.png: empty file; z\.png.* max_bad"):
        folder(root, 8, max_bad=0.19)


def test_a_folder_without_one_usable_picture_is_an_error_whatever_is_tolerated(root):
    for i in range(7):
        (root / f"{i}.png").write_bytes(b"")
    with pytest.raises(FileError, match=r"no readable picture .*4\.png: empty file; and 2 more"):
        folder(root, 8, max_bad=1)


def test_f08_no_global_setting_of_pillow_or_of_warnings_is_changed(root):
    fill(root, 1)
    before = Image.MAX_IMAGE_PIXELS, list(warnings.filters)
    folder(root, 8)
    assert (Image.MAX_IMAGE_PIXELS, list(warnings.filters)) == before


# F09-F11: modes


def alpha(mode, colour, opacity):
    image = picture(colour)
    image.putalpha(opacity)
    return image.convert(mode)


def transparent_palette():
    image = picture(RED).convert("P", palette=Image.Palette.ADAPTIVE)
    image.info["transparency"] = image.getpixel((0, 0))
    return image


MODES = {
    "L": (picture(90, mode="L"), "png", (90, 90, 90)),
    "1": (picture(1, mode="1"), "png", WHITE),
    "P": (picture(BLUE).convert("P", palette=Image.Palette.ADAPTIVE), "png", BLUE),
    "CMYK": (picture((0, 255, 255, 0), mode="CMYK"), "tif", RED),
    "RGBA opaque": (alpha("RGBA", RED, 255), "png", RED),
    "RGBA clear": (alpha("RGBA", RED, 0), "png", (10, 20, 30)),
    "RGBA half": (alpha("RGBA", RED, 102), "png", (108, 12, 18)),
    "LA clear": (alpha("LA", WHITE, 0), "png", (10, 20, 30)),
    "P clear": (transparent_palette(), "gif", (10, 20, 30)),
    "I;16": (Image.fromarray(np.full((16, 16), 40_000, np.uint16)), "png", (156, 156, 156)),
    "I": (picture(40_000, mode="I"), "tif", (156, 156, 156)),
    "F": (picture(0.5, mode="F"), "tif", (128, 128, 128)),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mode", MODES)
def test_f09_f10_every_mode_comes_out_in_the_channels_asked_for(root, mode, channels):
    image, suffix, colour = MODES[mode]
    image.save(root / f"x.{suffix}")
    images = only(root, channels=channels, background=(10, 20, 30))
    (got,) = colours(images)
    grey = (0.299, 0.587, 0.114) @ np.array(colour)
    assert images.channels == channels
    assert np.allclose(got, colour if channels == 3 else grey, atol=1.01)


def test_f09_a_folder_of_all_modes(root):
    for name, (image, suffix, _) in MODES.items():
        image.save(root / f"{name.replace(';', '')}.{suffix}")
    assert only(root).images.shape == (len(MODES), 3, 8, 8)


def test_f09_the_background_is_white_unless_told(root):
    alpha("RGBA", RED, 0).save(root / "x.png")
    assert colours(only(root)) == [WHITE]


def test_f10_sixteen_bits_are_scaled_not_clipped(root):
    ramp = np.linspace(0, 65535, 256).round().astype(np.uint16)
    Image.fromarray(np.tile(ramp, (256, 1))).save(root / "x.png")
    got = only(root, 256, channels=1).images[0, 0, 0]
    assert got.tolist() == list(range(256))


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
@pytest.mark.parametrize("crop", ["centre", "error"])
def test_f11_exif_orientation_is_obeyed(root, suffix, crop):
    stored = Image.new("RGB", (64, 64), BLUE)
    stored.paste(RED, (0, 0, 64, 32))  # red above; orientation 6 turns the top to the right
    exif = Image.Exif()
    exif[0x0112] = 6
    stored.save(root / f"x.{suffix}", exif=exif)
    image = only(root, 16, crop=crop).images[0].float()
    assert image[0, :, 10:].min() > 200 and image[2, :, 10:].max() < 60
    assert image[0, :, :6].max() < 60 and image[2, :, :6].min() > 200


# F12: sizes


@pytest.mark.parametrize("turned", [False, True])
def test_f12_the_middle_square_is_taken(root, turned):
    stripes = Image.new("RGB", (96, 32), RED)
    stripes.paste(GREEN, (32, 0, 64, 32))
    (stripes.transpose(Image.Transpose.ROTATE_90) if turned else stripes).save(root / "x.png")
    assert colours(only(root)) == [GREEN]


def test_f12_crop_error_names_two_files_and_their_sizes(root):
    fill(root, 2)
    picture(size=(16, 20)).save(root / "other.png")
    with pytest.raises(InputError, match="good000.png has 16x16 pixels, other.png 16x20") as error:
        folder(root, 8, crop="error")
    assert 'crop="centre"' in str(error.value)


def test_f12_crop_error_refuses_oblong_pictures_and_accepts_squares_of_one_size(root):
    fill(root, 2)
    assert len(only(root, crop="error")) == 2
    for file in root.iterdir():
        picture(size=(16, 20)).save(file)
    with pytest.raises(InputError, match="16x20 pixels, which is not square"):
        folder(root, 8, crop="error")


def test_f12_crop_error_names_the_true_sizes_of_large_jpegs(root):
    picture(size=(1000, 1000)).save(root / "a.jpg")
    picture(size=(1000, 1200)).save(root / "b.jpg")
    with pytest.raises(InputError, match="a.jpg has 1000x1000 pixels, b.jpg 1000x1200"):
        folder(root, 8, crop="error")


# F13: names


def test_f13_names_that_are_unusual_or_not_meant(root):
    deep = root / "Ölbilder und mehr" / "b"
    deep.mkdir(parents=True)
    picture(GREEN).save(deep / "Prés du soir.JPG", quality=95)
    picture(BLUE).save(root / "肖像.PNG")
    (root / "._肖像.PNG").write_bytes(b"a shadow of the file, left by another system")
    (root / "Thumbs.db").write_bytes(b"previews")
    (root / ".hidden").mkdir()
    picture().save(root / ".hidden" / "x.png")
    (deep / "back").symlink_to(root, target_is_directory=True)
    assert len(only(root).report) == 0
    assert [max(range(3), key=c.__getitem__) for c in colours(only(root))] == [1, 2]


def test_f13_links_are_followed_once_and_dead_ones_reported(tmp_path, root):
    fill(root, 1)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    picture(BLUE).save(elsewhere / "x.png")
    (root / "linked").symlink_to(elsewhere, target_is_directory=True)
    (root / "linked again").symlink_to(elsewhere, target_is_directory=True)
    (root / "nowhere.png").symlink_to(root / "gone.png")
    with pytest.warns(UserWarning, match="nowhere.png: not a file, or a link to nothing"):
        images = folder(root, 8, max_bad=0.5)
    assert colours(images) == [RED, BLUE]


def test_f13_order_does_not_depend_on_how_accents_are_stored(root):
    names = ["e\u0301.png", "\u00e8.png", "f.png"]  # e-acute decomposed; e-grave composed; f
    for name, colour in zip(names, (RED, GREEN, BLUE)):
        picture(colour).save(root / name)
    assert colours(only(root)) == [BLUE, GREEN, RED]  # f, e-grave, e-acute: by code point, composed


def test_decoding_keeps_one_copy_of_the_pictures_also_where_some_are_left_out(root):
    fill(root, 200)
    (root / "x.png").write_bytes(b"")
    program = (
        "import resource, warnings; warnings.simplefilter('ignore')\nfrom belamy.data import folder\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024\n"
        f"folder({str(root)!r}, 8)\nbefore = peak()\n"
        f"images = folder({str(root)!r}, 512).images\n"
        "print(images.numel() // 2**20, peak() - before)"
    )
    run = [sys.executable, "-c", program]
    size, grown = map(int, subprocess.check_output(run, text=True).split())
    assert size == 150 and grown < 220  # MB


# Kinds of pictures


@pytest.mark.parametrize(
    "suffix", ["apng", "avif", "dib", "jfif", "jp2", "jpe", "mpo", "ppm", "qoi", "tga"]
)
def test_what_this_pillow_reads_is_read(root, suffix):
    picture((200, 100, 50)).save(root / f"x.{suffix}")
    (got,) = colours(only(root))
    assert np.allclose(got, (200, 100, 50), atol=4)


def test_pictures_of_kinds_that_are_not_read_are_told_of_and_do_not_count_as_damaged(root):
    picture().save(root / "a.jpg")
    picture().save(root / "b.jfif")
    picture().save(root / "c.avif")
    unread = ["d.heic", "e.JXL", "f.cr2", "g.svg", "h.eps"]
    for name in (*unread, "notes.txt", "table.h5", "film.mpg", "i.pdf"):
        (root / name).write_bytes(b"something")
    for _ in range(2):  # decoded, then from the cache
        with pytest.warns(UserWarning, match="5 of 8 files .* d.heic: .heic is not read by this Pillow"):
            images = folder(root, 8, max_bad=0)
        assert len(images) == 3
        assert [line.split(":")[0] for line in images.report] == unread


def test_a_folder_of_pictures_that_are_not_read_names_them(root):
    (root / "a.heic").write_bytes(b"something")
    with pytest.raises(FileError, match="found 1 of .heic; a.heic: .heic is not read"):
        folder(root, 8)


def test_a_kind_that_a_plug_in_reads_is_read_from_then_on(root, monkeypatch):
    picture(BLUE).save(root / "a.png")
    (root / "a.png").rename(root / "a.heic")
    monkeypatch.setitem(Image.EXTENSION, ".heic", "PNG")
    assert colours(only(root)) == [BLUE]


def test_a_rare_format_is_decoded_only_where_the_suffix_says_so(root):
    picture().save(root / "a.psd.png")
    (root / "x.jpg").write_bytes(encoded(picture(), "TGA"))
    (root / "y.tga").write_bytes(encoded(picture(BLUE), "TGA"))
    with pytest.warns(UserWarning, match="x.jpg: not a picture"):
        images = folder(root, 8, max_bad=0.5)
    assert colours(images) == [RED, BLUE]


def test_the_first_of_several_pages_or_frames_is_taken(root):
    for suffix in ("tif", "webp", "png", "avif", "gif"):
        first, more = picture((0, 0, 255)), [picture((255, 0, 0))] * 2
        first.save(root / f"x.{suffix}", save_all=True, append_images=more)
    assert np.allclose(colours(only(root)), BLUE, atol=4)


def test_a_jpeg_in_four_inks_and_one_with_a_damaged_profile(root):
    picture((0, 255, 255, 0), mode="CMYK").save(root / "a.jpg")
    picture().save(root / "b.jpg", icc_profile=b"no profile")
    picture().save(root / "c.png", icc_profile=b"no profile")
    assert np.allclose(colours(only(root)), RED, atol=4)


# Metadata that is broken


def exif(*entries):
    """EXIF with orientation 6 and further entries of (tag, type, count, value)."""
    parts = sorted([(0x0112, 3, 1, b"\6\0\0\0"), *entries])
    body = b"".join(struct.pack("<HHI", *entry[:3]) + entry[3] for entry in parts)
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(parts)) + body + b"\0" * 4


FAR = struct.pack("<I", 70_000)  # an offset far behind the end
BROKEN_TAGS = {
    "text that lies nowhere": (0x010E, 2, 99_999, FAR),
    "a fraction that lies nowhere": (0x011A, 5, 1, FAR),
    "a table that lies nowhere": (0x8769, 4, 1, FAR),
    "a type that is none": (0x0132, 77, 1, b"abcd"),
    "text for a table": (0x8825, 2, 4, b"abc\0"),
    "a number for text": (0x010F, 3, 1, b"\1\0\0\0"),
    "a maker's note of zeros": (0x927C, 7, 4, b"\0\0\0\0"),
}


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "avif"])
@pytest.mark.parametrize("case", BROKEN_TAGS)
def test_one_bad_tag_costs_neither_the_picture_nor_its_orientation(root, suffix, case):
    stored = Image.new("RGB", (64, 64), BLUE)
    stored.paste(RED, (0, 0, 64, 32))  # red above; orientation 6 turns the top to the right
    stored.save(root / f"x.{suffix}", exif=exif(BROKEN_TAGS[case]))
    image = only(root, 16).images[0].float()
    assert image[0, :, 10:].min() > 190 and image[2, :, 10:].max() < 60


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
@pytest.mark.parametrize(
    "rubbish",
    [
        b"Exif\0\0" + b"garbage!" * 4,
        b"Exif\0\0",
        b"Exif\0\0II*\0\xff\xff\xff\x7f",
        b"Exif\0\0MM\0*\0\0\0\x08" + b"\xff" * 40,
        exif()[:-10],
        exif().replace(struct.pack("<HHI", 0x0112, 3, 1), struct.pack("<HHI", 0x0112, 2, 1)),
        exif().replace(b"\6\0\0\0", b"\77\0\0\0"),
    ],
    ids=["words", "nothing", "far", "ones", "cut", "text", "orientation 63"],
)
def test_exif_that_is_rubbish_costs_no_picture(root, suffix, rubbish):
    picture().save(root / f"x.{suffix}", exif=rubbish)
    assert np.allclose(colours(only(root)), RED, atol=4)


def png_with(kind, body, crc=0):
    """A red PNG with one more chunk, whose checksum may be off."""
    plain = encoded(picture(), "PNG")
    sum_ = struct.pack(">I", zlib.crc32(kind + body) ^ crc)
    return plain[:33] + struct.pack(">I", len(body)) + kind + body + sum_ + plain[33:]


def jpeg_with(marker, body):
    plain = encoded(picture(), "JPEG")
    return plain[:2] + b"\xff" + struct.pack(">BH", marker, len(body) + 2) + body + plain[2:]


BOMB = b"a\0\0" + zlib.compress(b"x" * 3_000_000)
BROKEN_NOTES = {
    "checksum of a text": ("png", png_with(b"tEXt", b"a\0b", 1)),
    "text that unpacks to megabytes": ("png", png_with(b"zTXt", BOMB)),
    "checksum of EXIF": ("png", png_with(b"eXIf", exif()[6:], 1)),
    "checksum of a profile": ("png", png_with(b"iCCP", b"icc\0\0garbage", 1)),
    "half a scale": ("png", png_with(b"pHYs", b"\0\0")),
    "half an animation": ("png", png_with(b"acTL", b"\0")),
    "half a profile": ("jpg", jpeg_with(0xE2, b"ICC_PROFILE\0")),
    "half of Photoshop's note": ("jpg", jpeg_with(0xED, b"Photoshop 3.0\x008BIM\4\4")),
    "half of Adobe's note": ("jpg", jpeg_with(0xEE, b"Adobe")),
    "half of JFIF's note": ("jpg", jpeg_with(0xE0, b"JFIF\0")),
    "a table of pictures that is none": ("jpg", jpeg_with(0xE2, b"MPF\0garbage")),
}


@pytest.mark.parametrize("case", BROKEN_NOTES)
def test_broken_metadata_costs_no_picture(root, case):
    suffix, data = BROKEN_NOTES[case]
    (root / f"x.{suffix}").write_bytes(data)
    assert np.allclose(colours(only(root)), RED, atol=4)


def test_a_turned_jpeg_with_another_broken_note_is_turned(root):
    stored = Image.new("RGB", (64, 64), BLUE)
    stored.paste(RED, (0, 0, 64, 32))
    stored.save(root / "x.jpg", exif=exif())
    data = (root / "x.jpg").read_bytes()
    (root / "x.jpg").write_bytes(data[:2] + b"\xff\xe2\0\x0eICC_PROFILE\0" + data[2:])
    image = only(root, 16).images[0].float()
    assert image[0, :, 10:].min() > 190 and image[2, :, 10:].max() < 60


# Names, permissions, and files that change meanwhile


@pytest.mark.parametrize("form", [str, os.fsencode, Path], ids=["text", "bytes", "Path"])
def test_a_folder_may_be_given_in_any_form(root, form):
    fill(root, 1)
    assert len(only(form(root))) == 1


def test_a_tilde_is_ones_home(root, monkeypatch):
    monkeypatch.setenv("HOME", str(root.parent))
    fill(root, 1)
    assert len(only("~/pictures")) == 1


@pytest.mark.parametrize("path", [None, 3, ["a"], "~nobody-of-this-name/x"], ids=repr)
def test_what_is_no_path_is_refused(path):
    with pytest.raises(InputError, match="is no path of a folder"):
        folder(path, 8)


@pytest.mark.parametrize("path", ["x" * 5000, "a\0b", ""], ids=["long", "zero", "empty"])
def test_paths_that_no_system_has_are_file_errors(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileError):
        folder(path, 8)


def test_names_that_are_not_utf8_are_read_shown_and_kept(tmp_path):
    root = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(root)
    for name in (b"/a\xff.png", b"/b\xff.png", b"/c\xff.heic"):
        (Path(os.fsdecode(root + name))).write_bytes(encoded(picture(), "PNG"))
    Path(os.fsdecode(root + b"/b\xff.png")).write_bytes(b"x")
    for _ in range(2):  # decoded, then from the cache
        with pytest.warns(UserWarning) as seen:
            images = folder(root, 8, max_bad=0.5)
        assert len(seen) == 1, "it could be kept"
        assert images.name == "folder caf\\xe9 8x8"
        assert [line[:6] for line in images.report] == ["b\\xff.", "c\\xff."]
        "".join([images.name, *images.report]).encode()  # can be printed


def test_links_that_lead_to_themselves_are_reported(root):
    fill(root, 1)
    (root / "x.png").symlink_to(root / "x.png")
    (root / "y").symlink_to(root / "y")
    with pytest.warns(UserWarning, match="x.png: not a file, or a link to nothing"):
        assert len(folder(root, 8, max_bad=0.5)) == 1


def test_a_pipe_is_not_waited_for(root):
    fill(root, 1)
    os.mkfifo(root / "x.png")
    with pytest.warns(UserWarning, match="x.png: not a file"):
        folder(root, 8, max_bad=0.5)


def test_what_may_not_be_read_is_reported(root, as_nobody):
    fill(root, 2)
    (root / "good001.png").chmod(0)
    (root / "locked").mkdir()
    picture().save(root / "locked" / "x.png")
    (root / "locked").chmod(0)
    said = as_nobody(
        "import warnings; warnings.simplefilter('ignore')\n"
        "from belamy.data import folder\n"
        f"print(folder({str(root)!r}, 8, max_bad=0.5, cache=False).report)"
    )
    assert "('good001.png: Permission denied', 'locked/: Permission denied')" in said


@pytest.mark.parametrize("change", ["replaced", "removed"])
def test_a_file_that_changes_meanwhile_is_left_out_and_nothing_is_kept(root, cache, monkeypatch, change):
    fill(root, 3)
    module = importlib.import_module("belamy.data.folder")
    decode = module.try_decode

    def change_then_decode(file, settings):
        if file.name == "good001.png":
            picture(BLUE, (50, 50)).save(file) if change == "replaced" else file.unlink()
        return decode(file, settings)

    monkeypatch.setattr(module, "try_decode", change_then_decode)
    with pytest.warns(UserWarning, match="good001.png: changed while the folder was read"):
        assert colours(folder(root, 8, max_bad=0.5)) == [RED, RED]
    assert not cache.exists()
    monkeypatch.setattr(module, "try_decode", decode)
    assert colours(only(root)) == ([RED, BLUE, RED] if change == "replaced" else [RED, RED])


def test_numbers_may_be_numpys(root):
    fill(root, 1)
    given = {"channels": np.int32(3), "background": np.array([1, 2, 3]), "max_bad": np.float32(0)}
    images = only(root, np.int64(8), **given)
    assert images.checksum == only(root, 8, background=(1, 2, 3)).checksum


# The cache


def test_the_second_time_nothing_is_decoded(root, monkeypatch):
    fill(root, 3)
    (root / "x.png").write_bytes(b"")
    with pytest.warns(UserWarning, match="x.png: empty file"):
        first = folder(root, 8, max_bad=0.5)
    monkeypatch.setattr(Image, "open", None)
    with pytest.warns(UserWarning, match="x.png: empty file"):
        second = folder(root, 8, max_bad=0.5)
    assert second.checksum == first.checksum
    assert (second.report, second.name) == (first.report, first.name)


def test_a_changed_added_or_removed_file_is_seen(root):
    fill(root, 2)
    assert colours(only(root)) == [RED, RED]
    picture(BLUE, (17, 17)).save(root / "good001.png")
    assert colours(only(root)) == [RED, BLUE]
    picture(GREEN).save(root / "new.png")
    assert colours(only(root)) == [RED, BLUE, GREEN]
    (root / "good000.png").unlink()
    assert colours(only(root)) == [BLUE, GREEN]


def test_every_setting_has_its_own_place(root):
    alpha("RGBA", RED, 0).save(root / "x.png")
    assert only(root).images.shape == (1, 3, 8, 8)
    assert only(root, 9).images.shape == (1, 3, 9, 9)
    assert only(root, channels=1).images.shape == (1, 1, 8, 8)
    assert colours(only(root, background=BLUE)) == [BLUE]


def test_another_folder_with_the_same_listing_is_another_set(tmp_path):
    for name, colour in (("a", RED), ("b", BLUE)):
        (tmp_path / name).mkdir()
        picture(colour).save(tmp_path / name / "x.bmp")
        os.utime(tmp_path / name / "x.bmp", (0, 0))
    assert [colours(only(tmp_path / name)) for name in "ab"] == [[RED], [BLUE]]


def flip_last_byte(data):
    return data[:-1] + bytes([data[-1] ^ 1])


@pytest.mark.parametrize(
    "damage",
    [half, flip_last_byte, lambda data: b"", lambda data: b"<html>", lambda data: data[::-1]],
    ids=["half", "bit", "empty", "html", "reversed"],
)
def test_a_damaged_cache_is_rebuilt(root, cache, damage, monkeypatch):
    fill(root, 2)
    first = only(root)
    (file,) = (cache / "folders").iterdir()
    file.write_bytes(damage(file.read_bytes()))
    assert only(root).checksum == first.checksum
    monkeypatch.setattr(Image, "open", None)
    assert only(root).checksum == first.checksum


def test_cache_false_writes_and_reads_nothing(root, cache):
    fill(root, 1)
    only(root, cache=False)
    assert not cache.exists()
    only(root)
    (file,) = (cache / "folders").iterdir()
    assert load_file(file)["images"].shape == (1, 3, 8, 8)
    file.write_bytes(b"damaged")
    only(root, cache=False)
    assert file.read_bytes() == b"damaged"


def test_a_cache_that_cannot_be_written_costs_a_warning_not_the_pictures(root, cache):
    fill(root, 2)
    cache.write_text("a file where the folder should be", encoding="utf-8")
    with pytest.warns(UserWarning, match="could not be kept .* set BELAMY_CACHE"):
        assert len(folder(root, 8)) == 2


def test_an_interrupted_write_leaves_no_file(root, cache, monkeypatch):
    def full_disk(tensors, path, metadata):
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    module = importlib.import_module("belamy.data.folder")  # the package's `folder` is a function
    monkeypatch.setattr(module, "save_file", full_disk)
    fill(root, 1)
    with pytest.warns(UserWarning, match="No space left"):
        folder(root, 8)
    assert list((cache / "folders").iterdir()) == []


# Arguments


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"size": 0}, "size=0"),
        ({"size": 8.0}, "size=8.0"),
        ({"size": True}, "size=True must be a whole number of at least 1"),
        ({"size": None}, "size=None must be"),
        ({"size": "64"}, "size='64' must be"),
        ({"size": np.float64(8)}, "size=.*8.0.* must be"),
        ({"size": 10**7}, "GiB of memory"),
        ({"size": 10**30}, "GiB of memory"),
        ({"channels": None}, "channels=None"),
        ({"crop": ["centre"]}, "crop="),
        ({"background": "white"}, "background='white'"),
        ({"background": None}, "background=None"),
        ({"max_bad": "1"}, "max_bad='1'"),
        ({"channels": 4}, "channels=4"),
        ({"crop": "center"}, "crop='center' is not one of"),
        ({"background": 255}, "background=255"),
        ({"background": (0, 0, 256)}, "256"),
        ({"background": (0.5, 0.5, 0.5)}, "0.5"),
        ({"max_bad": 5}, "max_bad=5 must be a finite number of at least 0 and of at most 1"),
        ({"max_bad": float("nan")}, "max_bad=nan"),
    ],
)
def test_wrong_settings_are_named(root, wrong, says):
    fill(root, 1)
    with pytest.raises(InputError, match=says):
        folder(root, **{"size": 8, **wrong})
