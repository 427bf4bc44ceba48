"""MNIST and Fashion-MNIST: found at hand or downloaded, verified, kept where torchvision looks.

MNIST: LeCun, Cortes & Burges 1998 (CC BY-SA 3.0). Fashion-MNIST: Xiao, Rasul & Vollgraf 2017
(MIT). Mirrors pack the same files differently, so what is verified is the unpacked content. The
SHA-256 below are those of the files whose published MD5 are, in the same order, for MNIST
6bbc9ace898e44ae57da46a324031adb, a25bea736e30d166cdddb491f175f624,
2646ac647ad5339dbf082846283269ea, 27ae3e4e09519cfbb04c329615203637, and for Fashion-MNIST
f4a8712d7a061bf5bd6d2ca38dc4d50a, 9018921c3c673c538a1fc5bad174d6f9,
8181f5470baa50b63fa0f6fddb340f0a, 15d484375f8d13e6eb1aabb0c3f46965.
"""

import gzip
import hashlib
import math
import os
import tempfile
import zlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from belamy.data.cache import cache_dir
from belamy.data.image_set import ImageSet
from belamy.errors import FileError, InputError

GZIP = b"\x1f\x8b"
LARGEST = 50_000_000  # bytes unpacked; the largest of the files has 47,040,016
SECONDS = 30  # without an answer, after which the next mirror is tried


@dataclass(frozen=True)
class Source:
    """A data set in MNIST's format.

    Attributes:
        name: torchvision's class, which is also its folder.
        mirrors: addresses of folders, in the order in which they are tried.
        sha256: of the four unpacked files, by file name.
    """

    name: str
    mirrors: tuple[str, ...]
    sha256: dict[str, str]


MNIST = Source(
    "MNIST",
    (
        "https://ossci-datasets.s3.amazonaws.com/mnist",
        "https://storage.googleapis.com/cvdf-datasets/mnist",
    ),
    {
        "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
)
FASHION = Source(
    "FashionMNIST",
    (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",
    ),
    {
        "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    },
)


def mnist(
    split: str = "train", root: str | os.PathLike | None = None, download: bool = True
) -> ImageSet:
    """Handwritten digits: 60,000 to train on or 10,000 to test on, grey 28 x 28, labels 0 to 9.

    Args:
        split: "train" or "test".
        root: a folder that holds the four IDX files, packed (.gz) or not, itself or in
            ``MNIST/raw`` as torchvision has them; it is only read, and nothing is downloaded.
        download: fetch what the cache ($BELAMY_CACHE, else the user's) lacks; about 11 MB.

    Returns:
        (N, 1, 28, 28), verified by SHA-256.

    Raises:
        InputError: unknown split, or a root that is no path.
        FileError: files are missing, damaged, or cannot be downloaded or stored.
    """
    return _read(MNIST, split, root, download)


def fashion_mnist(
    split: str = "train", root: str | os.PathLike | None = None, download: bool = True
) -> ImageSet:
    """Photographs of clothes in MNIST's format, labels 0 to 9; about 30 MB. As ``mnist``.

    Labels: T-shirt, trouser, pullover, dress, coat, sandal, shirt, sneaker, bag, ankle boot.
    """
    return _read(FASHION, split, root, download)


def _read(source: Source, split: str, root: str | os.PathLike | None, download: bool) -> ImageSet:
    if split not in ("train", "test"):
        raise InputError(f"split={split!r} is neither 'train' nor 'test'")
    folder = cache_dir() / source.name / "raw"
    _install(source, folder, root, download)
    part = "train" if split == "train" else "t10k"
    pixels = np.fromfile(folder / f"{part}-images-idx3-ubyte", np.uint8, offset=16)
    labels = np.fromfile(folder / f"{part}-labels-idx1-ubyte", np.uint8, offset=8)
    images = torch.from_numpy(pixels).view(-1, 1, 28, 28)
    return ImageSet(images, f"{source.name} {split}", torch.from_numpy(labels).long())


def _install(source: Source, folder: Path, root: str | os.PathLike | None, download: bool) -> None:
    """See to it that all four files lie in the folder, unpacked and verified."""
    import pooch  # slow to import, and needed here only

    places = {name: [f"{mirror}/{name}.gz" for mirror in source.mirrors] for name in source.sha256}
    if root is not None:
        try:
            root = Path(os.fsdecode(root)).expanduser()
        except (TypeError, RuntimeError) as error:  # no path; ~ of nobody
            raise InputError(f"root={root!r} is no path of a folder: {error}") from error
        for name in places:
            files = [root / below / name for below in (".", "raw", f"{source.name}/raw")]
            packed = [file.with_name(f"{name}.gz") for file in files]
            at_hand = [file for pair in zip(files, packed) for file in pair if os.path.isfile(file)]
            places[name] = [str(file) for file in at_hand[:1]]
        if lacking := [f"{name}[.gz]" for name, found in places.items() if not found]:
            raise FileError(
                f"{root} lacks {', '.join(lacking)} (also looked in raw and {source.name}/raw). Put "
                "them there, or leave root out to download them"
            )
    missing = []
    for name, sha256 in source.sha256.items():
        file = folder / name
        if not (os.access(file, os.R_OK) and file.is_file() and pooch.file_hash(str(file)) == sha256):
            missing.append(name)
    if missing and root is None and not download:
        raise FileError(
            f"{folder} lacks, or has damaged: {', '.join(missing)}. Pass download=True, or a root "
            "that holds them"
        )
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel("WARNING")  # it would print addresses and paths into every notebook
    try:
        for name in missing:
            problems = []
            for place in places[name]:
                try:  # the file gets its name there once its SHA-256 is right, and not before
                    folder.mkdir(parents=True, exist_ok=True)
                    fetch = partial(_fetch, name=name, sha256=source.sha256[name])
                    pooch.retrieve(place, source.sha256[name], name, folder, downloader=fetch)
                    break
                except ValueError as error:  # what is wrong with this place; is the next one better?
                    mirror = place.rpartition("/")[0]
                    problems.append(f"{place} {error}" if root is not None else f"{mirror} ({error})")
                except OSError as error:
                    raise FileError(
                        f"{name} cannot be stored in {folder}: {error}. Make room or set BELAMY_CACHE "
                        "to another folder"
                    ) from error
            else:
                told = "; ".join(problems)
                raise FileError(
                    f"{told}. Replace it, or leave root out to download it"
                    if root is not None
                    else f"{name}.gz could not be downloaded from {told}. Try again later, or get the "
                    "four files by other means and pass their folder as root"
                )
    finally:
        logger.setLevel(level)


def _fetch(place: str, target: str, _: object, *, name: str, sha256: str) -> None:
    """Leave the unpacked content of an address or a file in ``target``: pooch's way to download.

    Raises:
        ValueError: what is wrong with it.
        OSError: it cannot be stored.
    """
    import pooch

    with tempfile.TemporaryDirectory() as folder:
        packed = Path(place)
        try:
            if "://" in place:
                packed = Path(folder) / "packed"
                pooch.HTTPDownloader(progressbar=True, timeout=SECONDS)(place, str(packed), None)
        except OSError as error:  # what requests raises is one
            raise ValueError(str(error)) from error
        try:
            with packed.open("rb") as stream:
                is_packed = stream.read(2) == GZIP  # a server may have unpacked it on the way
                stream.seek(0)
                content = (gzip.open(stream) if is_packed else stream).read(LARGEST)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"cannot be read: {error}") from error

    # What kind of a wrong file it is says more than its checksum.
    magic, dimensions = (2051, 3) if "images" in name else (2049, 1)
    start = 4 + 4 * dimensions
    numbers = np.frombuffer(content[: min(start, len(content) // 4 * 4)], ">u4").tolist()
    announced, held = math.prod(numbers[1:]), len(content) - start
    if numbers[:1] != [magic]:
        raise ValueError(f"is no IDX file of magic number {magic}: it begins with {content[:16]!r}")
    if announced != held:
        raise ValueError(f"announces {announced:,} bytes ({numbers[1:]}) and holds {held:,}")
    if dimensions == 1 and held and (label := max(content[start:])) > 9:
        raise ValueError(f"has the label {label}, where 0 to 9 are known")
    if (found := hashlib.sha256(content).hexdigest()) != sha256:
        raise ValueError(f"has sha256 {found} unpacked, which should be {sha256}")
    os.unlink(target)  # pooch made it for this user's eyes; a cache may be shared
    Path(target).write_bytes(content)
