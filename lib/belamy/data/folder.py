"""Any folder of pictures as an image set, decoded once and kept ready for the next time."""

import hashlib
import itertools
import json
import math
import os
import unicodedata
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import torch
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from belamy._checks import real_number
from belamy._progress import bar
from belamy.data.cache import cache_dir, whole_file
from belamy.data.decode import PICTURES, VERSION, Settings, readable, try_decode
from belamy.data.image_set import ImageSet
from belamy.errors import FileError, InputError

Listing = list[tuple[str, int, int]]  # path below the folder, bytes, time of change in ns


def folder(
    path: str | bytes | os.PathLike,
    size: int,
    *,
    channels: int = 3,
    crop: str = "centre",
    background: tuple[int, int, int] = (255, 255, 255),
    max_bad: float = 0.01,
    cache: bool = True,
    recursive: bool = True,
) -> ImageSet:
    """Read every picture of a folder, in the order of their names.

    All formats that the installed Pillow decodes itself, JPEG, PNG, WebP, AVIF, TIFF, GIF and BMP
    among them, of any size and mode, turned upright as EXIF says; of several pages or frames the
    first; 16-bit values and floats in [0, 1] are scaled to 0..255; colour profiles are not applied.
    Hidden files and folders are passed over. Files that cannot be read, or change meanwhile, are
    left out, listed in the set's ``report`` and in one warning; so are pictures of kinds that this
    Pillow does not read (.heic, say), which ``max_bad`` does not count.

    Args:
        path: the folder; ``~`` is one's home.
        size: side of the result in pixels (Lanczos resampling).
        channels: 3 for RGB, 1 for grey.
        crop: "centre" takes the middle square of each picture before it is resized; "error"
            refuses pictures that are not square and all of one size.
        background: RGB, 0 to 255, seen through transparent pixels.
        max_bad: the largest share of unreadable files to put up with.
        cache: keep the result in $BELAMY_CACHE (else the user's cache folder) until names, sizes or
            times of the files change. ``python -m belamy.data`` lists what is kept, and with
            ``--clear`` removes it.
        recursive: include sub-folders.

    Returns:
        (N, channels, size, size).

    Raises:
        FileError: no such folder, no picture in it, or more unreadable files than ``max_bad``.
        InputError: an unknown setting, or sizes that ``crop="error"`` refuses.
    """
    settings = Settings(size, channels, crop, background)
    max_bad = real_number("max_bad", max_bad, 0, 1)
    root = _existing(path)
    listing, passed_over = _list(root, recursive)
    if cache:
        kept = cache_dir() / "folders" / f"{_key(root, listing, passed_over, settings)}.safetensors"
        images = _load(kept)
    else:
        images = None
    if images is None:
        images, is_settled = _decode_all(root, listing, passed_over, settings)
        if cache and is_settled:
            _keep(images, kept)
    if images.report:
        bad, count = len(images.report), len(listing) + len(passed_over)
        summary = f"{bad} of {count} files in {root} could not be read: {_first(images.report)}"
        if bad - len(passed_over) > max_bad * len(listing):
            raise FileError(f"{summary}. Repair or remove them, or pass a max_bad above {max_bad:g}")
        warnings.warn(f"{summary}. They were left out; see .report", stacklevel=2)
    return images


def _existing(path: str | bytes | os.PathLike) -> Path:
    try:
        root = Path(os.fsdecode(path)).expanduser()
    except (TypeError, RuntimeError) as error:  # no path; ~ of nobody
        raise InputError(f"path={path!r} is no path of a folder: {error}") from error
    try:
        if root.is_dir():
            return root.resolve()
        if root.exists():
            raise FileError(f"{root} is a file: give the folder that holds the pictures")
        parent = next(p for p in root.absolute().parents if p.is_dir())
        raise FileError(
            f"no such folder: {root}. The working folder is {Path.cwd()}; of the path given, "
            f"{parent} exists. Check the spelling, or give an absolute path"
        )
    except FileError:
        raise
    except OSError as error:  # a name too long, a folder above it that may not be entered
        raise FileError(f"cannot look for {root}: {error.strerror or error}") from error


def _list(root: Path, recursive: bool) -> tuple[Listing, list[str]]:
    """What to read, and lines on what else is a picture, or a folder that cannot be listed.

    Sorted by the NFC form of their names, so that every system agrees.
    """
    names, passed_over = [], []

    def complain(error: OSError) -> None:
        if Path(error.filename) == root:
            raise FileError(f"cannot read {root}: {error.strerror}") from error
        below = Path(error.filename).relative_to(root).as_posix()
        passed_over.append(f"{_shown(below)}/: {error.strerror}")

    seen = {os.path.realpath(root)}
    for folder, subfolders, files in os.walk(root, onerror=complain, followlinks=True):
        here = Path(folder).relative_to(root)
        names += [(here / file).as_posix() for file in files if not file.startswith(".")]
        below = []
        for name in sorted(subfolders if recursive else ()):
            real = os.path.realpath(os.path.join(folder, name))
            if real not in seen and not name.startswith("."):
                seen.add(real)  # a link back up would otherwise be walked for ever
                below.append(name)
        subfolders[:] = below

    names.sort(key=lambda name: (unicodedata.normalize("NFC", name), name))
    chosen = []
    for name in names:
        suffix = Path(name).suffix.lower()
        if suffix in readable():
            chosen.append(name)
        elif suffix in PICTURES:
            why = f"{suffix} is not read by this Pillow: save it as PNG, say"
            passed_over.append(f"{_shown(name)}: {why}")
    if not chosen:
        suffixes = Counter(Path(name).suffix.lower() or "no suffix" for name in names)
        found = ", ".join(f"{count} of {_shown(key)}" for key, count in suffixes.most_common(5))
        usual = " ".join(suffix for suffix in PICTURES if suffix in readable())
        raise FileError(
            f"no picture in {root}{' and below' if recursive else ''}: accepted are {usual} and what "
            f"else this Pillow reads; found {found or 'no file at all'}"
            f"{'; ' + _first(passed_over) if passed_over else ''}"
        )
    return [(name, *_size_and_time(root / name)) for name in chosen], passed_over


def _size_and_time(file: Path) -> tuple[int, int]:
    try:
        stat = file.stat()
        return stat.st_size, stat.st_mtime_ns
    except OSError:  # a link to nothing; decoding will report it
        return -1, 0


def _decode_all(
    root: Path, listing: Listing, passed_over: list[str], settings: Settings
) -> tuple[ImageSet, bool]:
    """Decode in a few threads (Pillow frees the interpreter's lock) and leave out what fails.

    Returns:
        The pictures, and whether all files stayed as they were listed.
    """
    side, sizes, report, is_settled = settings.size, {}, [], True
    shape = (len(listing), settings.channels, side, side)
    try:
        images = torch.empty(shape, dtype=torch.uint8)  # the one copy there is
    except (RuntimeError, TypeError) as error:  # more than there is; more than a number for torch
        raise InputError(
            f"{len(listing)} pictures of size={side} need {math.prod(shape) / 2**30:.3g} GiB of memory: "
            "choose a smaller size"
        ) from error
    pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd metadata
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            few = [listing[i : i + 8] for i in range(0, len(listing), 8)]  # a task each: fewer handovers
            tasks = pool.map(lambda some: [try_decode(root / n, settings) for n, _, _ in some], few)
            results = itertools.chain.from_iterable(tasks)
            told = bar(results, desc="decoding pictures", total=len(listing), leave=False)
            for result, (name, *listed) in zip(told, listing):
                if listed != [*_size_and_time(root / name)]:
                    result, is_settled = "changed while the folder was read; read it again", False
                if isinstance(result, str):
                    report.append(f"{_shown(name)}: {result}")
                else:
                    images[len(sizes)] = torch.from_numpy(result[1])
                    sizes[name] = result[0]
        finally:
            pool.shutdown(cancel_futures=True)  # an interrupt does not wait for the rest
    if not sizes:
        raise FileError(f"no readable picture in {root}: {_first(report)}")
    if settings.crop == "error":
        _check_sizes(sizes)
    name = f"folder {_shown(root.name)} {side}x{side}"
    return ImageSet(images[: len(sizes)], name, report=(*report, *passed_over)), is_settled


def _check_sizes(sizes: dict[str, tuple[int, int]]) -> None:
    first_name, first = next(iter(sizes.items()))
    for name, (width, height) in sizes.items():
        if (width, height) != first:
            raise InputError(
                f"pictures differ in size: {first_name} has {first[0]}x{first[1]} pixels, {name} "
                f'{width}x{height}. Make them alike, or pass crop="centre"'
            )
    if first[0] != first[1]:
        raise InputError(
            f"pictures have {first[0]}x{first[1]} pixels, which is not square. Cut them, or pass "
            'crop="centre"'
        )


def _first(report: list[str] | tuple[str, ...], shown: int = 5) -> str:
    more = f"; and {len(report) - shown} more" if len(report) > shown else ""
    return "; ".join(report[:shown]) + more


def _shown(name: str) -> str:
    """A name that can be printed and stored: bytes that are not UTF-8 appear as \\xe9."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _key(root: Path, listing: Listing, passed_over: list[str], settings: Settings) -> str:
    # The folder counts too: files of equal names, sizes and (zeroed) times may differ in content.
    known = [VERSION, Image.__version__, str(root), listing, passed_over, asdict(settings)]
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()


def _keep(images: ImageSet, file: Path) -> None:
    """Write a decoded folder; a full or forbidden disk costs the cache, not the pictures."""
    metadata = {"name": images.name, "report": json.dumps(images.report)}
    metadata["checksum"] = images.checksum
    try:
        with whole_file(file) as part:
            save_file({"images": images.images}, part, metadata)
    except (OSError, SafetensorError) as error:
        warnings.warn(
            f"decoded pictures could not be kept in {file.parent}: {error}. They will be decoded "
            "again next time; set BELAMY_CACHE to a folder with space",
            stacklevel=3,
        )


def _load(file: Path) -> ImageSet | None:
    """A folder decoded before, or None if it was not, or the file is damaged."""
    try:
        with safe_open(file, framework="pt") as stored:
            known = stored.metadata()
            report = tuple(json.loads(known["report"]))
            images = ImageSet(stored.get_tensor("images"), known["name"], report=report)
        return images if images.checksum == known["checksum"] else None
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return None
