"""Any folder of pictures as an image set, decoded once and kept ready for the next time."""

import hashlib
import itertools
import json
import os
import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import torch
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from tqdm.auto import tqdm

from belamy.data.cache import cache_dir, whole_file
from belamy.data.decode import SUFFIXES, VERSION, Settings, try_decode
from belamy.data.image_set import ImageSet
from belamy.errors import FileError, InputError

Listing = list[tuple[str, int, int]]  # path below the folder, bytes, time of change in ns


def folder(
    path: str | os.PathLike,
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

    JPEG, PNG, WebP, BMP, TIFF or GIF (its first frame), of any size and mode, turned upright as
    EXIF says; 16-bit values and floats in [0, 1] are scaled to 0..255; colour profiles are not
    applied. Hidden files and folders are passed over. Files that cannot be read are left out,
    listed in the set's ``report`` and in one warning.

    Args:
        size: side of the result in pixels (Lanczos resampling).
        channels: 3 for RGB, 1 for grey.
        crop: "centre" takes the middle square of each picture before it is resized; "error"
            refuses pictures that are not square and all of one size.
        background: RGB, 0 to 255, seen through transparent pixels.
        max_bad: the largest share of unreadable files to put up with.
        cache: keep the result in $BELAMY_CACHE (else ~/.cache/belamy) until names, sizes or
            times of the files change.
        recursive: include sub-folders.

    Returns:
        (N, channels, size, size).

    Raises:
        FileError: no such folder, no picture in it, or more unreadable files than ``max_bad``.
        InputError: an unknown setting, or sizes that ``crop="error"`` refuses.
    """
    settings = Settings(size, channels, crop, background)
    if not 0 <= max_bad <= 1:
        raise InputError(f"max_bad={max_bad!r} is a share: give 0 to 1")
    root = _existing(Path(path).expanduser())
    listing = _list(root, recursive)
    kept = cache_dir() / "folders" / f"{_key(root, listing, settings)}.safetensors"
    images = _load(kept) if cache else None
    if images is None:
        images = _decode_all(root, listing, settings)
        if cache:
            _keep(images, kept)
    _judge(images.report, len(listing), root, max_bad)
    return images


def _existing(root: Path) -> Path:
    if root.is_dir():
        return root.resolve()
    if root.exists():
        raise FileError(f"{root} is a file: give the folder that holds the pictures")
    parent = next(p for p in root.absolute().parents if p.is_dir())
    raise FileError(
        f"no such folder: {root}. The working folder is {Path.cwd()}; of the path given, "
        f"{parent} exists. Check the spelling, or give an absolute path"
    )


def _list(root: Path, recursive: bool) -> Listing:
    """Candidates, sorted by the NFC form of their names, so that every system agrees."""
    names = list(_names(root, recursive))
    chosen = [name for name in names if Path(name).suffix.lower() in SUFFIXES]
    if not chosen:
        suffixes = Counter(Path(name).suffix.lower() or "no suffix" for name in names)
        found = ", ".join(f"{count} of {key}" for key, count in suffixes.most_common(5))
        raise FileError(
            f"no picture in {root}{' and below' if recursive else ''}: accepted are "
            f"{' '.join(SUFFIXES)}; found {found or 'no file at all'}"
        )
    chosen.sort(key=lambda name: (unicodedata.normalize("NFC", name), name))
    return [(name, *_size_and_time(root / name)) for name in chosen]


def _names(root: Path, recursive: bool) -> Iterator[str]:
    """Paths below root of all files that are not hidden; each folder once, linked or not."""
    seen = {os.path.realpath(root)}
    for folder, subfolders, files in os.walk(root, onerror=_unreadable, followlinks=True):
        yield from (
            (Path(folder) / file).relative_to(root).as_posix()
            for file in files
            if not file.startswith(".")
        )
        below = []
        for name in sorted(subfolders if recursive else ()):
            real = os.path.realpath(os.path.join(folder, name))
            if real not in seen and not name.startswith("."):
                seen.add(real)  # a link back up would otherwise be walked for ever
                below.append(name)
        subfolders[:] = below


def _unreadable(error: OSError) -> None:
    raise FileError(f"cannot read {error.filename}: {error.strerror}") from error


def _size_and_time(file: Path) -> tuple[int, int]:
    try:
        stat = file.stat()
        return stat.st_size, stat.st_mtime_ns
    except OSError:  # a link to nothing; decoding will report it
        return -1, 0


def _decode_all(root: Path, listing: Listing, settings: Settings) -> ImageSet:
    """Decode in a few threads (Pillow frees the interpreter's lock) and leave out what fails."""
    side, sizes, report = settings.size, {}, []
    images = torch.empty(len(listing), settings.channels, side, side, dtype=torch.uint8)
    names = [name for name, _, _ in listing]
    pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            few = [names[i : i + 8] for i in range(0, len(names), 8)]  # a task each: fewer handovers
            tasks = pool.map(lambda some: [try_decode(root / n, settings) for n in some], few)
            results = itertools.chain.from_iterable(tasks)
            bar = tqdm(results, "decoding pictures", len(names), leave=False)
            for row, (result, name) in enumerate(zip(bar, names)):
                if isinstance(result, str):
                    report.append(f"{name}: {result}")
                else:
                    sizes[row], pixels = result
                    images[row] = torch.from_numpy(pixels)
        finally:
            pool.shutdown(cancel_futures=True)  # an interrupt does not wait for the rest
    if not sizes:
        raise FileError(f"no readable picture in {root}: {_first(report)}")
    if settings.crop == "error":
        _check_sizes({names[row]: seen for row, seen in sizes.items()})
    return ImageSet(
        images=images[list(sizes)] if report else images,
        name=f"folder {root.name} {side}x{side}",
        report=tuple(report),
    )


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


def _judge(report: tuple[str, ...], count: int, root: Path, max_bad: float) -> None:
    if not report:
        return
    summary = f"{len(report)} of {count} files in {root} could not be read: {_first(report)}"
    if len(report) > max_bad * count:
        raise FileError(f"{summary}. Repair or remove them, or pass a max_bad above {max_bad:g}")
    warnings.warn(f"{summary}. They were left out; see .report", stacklevel=3)


def _first(report: list[str] | tuple[str, ...], shown: int = 5) -> str:
    more = f"; and {len(report) - shown} more" if len(report) > shown else ""
    return "; ".join(report[:shown]) + more


def _key(root: Path, listing: Listing, settings: Settings) -> str:
    # The folder counts too: files of equal names, sizes and (zeroed) times may differ in content.
    known = [VERSION, Image.__version__, str(root), listing, asdict(settings)]
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
