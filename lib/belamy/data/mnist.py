"""MNIST and Fashion-MNIST: found at hand or downloaded, verified, read by torchvision.

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
from pathlib import Path

import numpy as np

from belamy.data.cache import cache_dir, whole_file
from belamy.data.image_set import ImageSet
from belamy.errors import FileError, InputError, optional

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
        download: fetch what $BELAMY_CACHE (else ~/.cache/belamy) lacks; about 11 MB.

    Returns:
        (N, 1, 28, 28), verified by SHA-256.

    Raises:
        InputError: unknown split.
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
    _install(source, None if root is None else Path(root).expanduser(), download)
    from torchvision import datasets  # slow to import, and needed here only

    files = getattr(datasets, source.name)(cache_dir(), train=split == "train", download=False)
    return ImageSet(files.data[:, None], f"{source.name} {split}", files.targets)


def _install(source: Source, root: Path | None, download: bool) -> None:
    """See to it that all four files, unpacked and verified, lie where torchvision looks."""
    folder = cache_dir() / source.name / "raw"
    at_hand = None if root is None else _find(source, root)
    missing = [n for n, sha256 in source.sha256.items() if not _is_whole(folder / n, sha256)]
    if missing and root is None and not download:
        raise FileError(
            f"{folder} lacks, or has damaged: {', '.join(missing)}. Pass download=True, or a root "
            "that holds them"
        )
    for name in missing:
        content = _take(source, name, at_hand[name]) if at_hand else _download(source, name)
        try:
            with whole_file(folder / name) as part:
                part.write_bytes(content)
        except OSError as error:
            raise FileError(
                f"{name} ({len(content):,} bytes) cannot be stored in {folder}: {error}. Make room "
                "or set BELAMY_CACHE to another folder"
            ) from error


def _find(source: Source, root: Path) -> dict[str, Path]:
    """The four files below root, packed or not.

    Raises:
        FileError: some are missing.
    """
    folders = (root, root / "raw", root / source.name / "raw")
    found = {}
    for name in source.sha256:
        candidates = [folder / f"{name}{suffix}" for folder in folders for suffix in ("", ".gz")]
        found |= {name: file for file in candidates[::-1] if file.is_file()}
    missing = [f"{name}[.gz]" for name in source.sha256 if name not in found]
    if missing:
        raise FileError(
            f"{root} lacks {', '.join(missing)} (also looked in raw and {source.name}/raw). Put "
            "them there, or leave root out to download them"
        )
    return found


def _take(source: Source, name: str, file: Path) -> bytes:
    content, fault = _read_checked(file, name, source.sha256[name])
    if fault:
        raise FileError(f"{file} {fault}. Replace it, or leave root out to download it")
    return content


def _download(source: Source, name: str) -> bytes:
    """The verified content of one file, from the first mirror that has it."""
    pooch = optional("pooch", "a download")
    fetch = pooch.HTTPDownloader(progressbar=True, timeout=SECONDS)
    problems = []
    for mirror in source.mirrors:
        with tempfile.TemporaryDirectory() as folder:
            packed = Path(folder) / f"{name}.gz"
            try:
                fetch(f"{mirror}/{name}.gz", str(packed), None)
                content, fault = _read_checked(packed, name, source.sha256[name])
            except OSError as error:  # what requests raises is one
                fault = str(error)
        if not fault:
            return content
        problems.append(f"{mirror} ({fault})")
    raise FileError(
        f"{name}.gz could not be downloaded from {'; '.join(problems)}. Try again later, or get "
        "the four files by other means and pass their folder as root"
    )


def _read_checked(file: Path, name: str, sha256: str) -> tuple[bytes, str | None]:
    """The content of a file, unpacked if need be, and what is wrong with it, if anything."""
    try:
        with file.open("rb") as stream:
            is_packed = stream.read(2) == GZIP
            stream.seek(0)
            content = (gzip.open(stream) if is_packed else stream).read(LARGEST)
    except (OSError, EOFError, zlib.error) as error:
        return b"", f"cannot be read: {error}"
    return content, _fault(content, name, sha256)


def _fault(content: bytes, name: str, sha256: str) -> str | None:
    """What is wrong with an IDX file: magic number, counts, labels, at last any byte of it."""
    magic, dimensions = (2051, 3) if "images" in name else (2049, 1)
    start = 4 + 4 * dimensions
    numbers = np.frombuffer(content[: min(start, len(content) // 4 * 4)], ">u4").tolist()
    if numbers[:1] != [magic]:
        return f"is no IDX file of magic number {magic}: it begins with {content[:16]!r}"
    announced, held = math.prod(numbers[1:]), len(content) - start
    if announced != held:
        return f"announces {announced:,} bytes ({numbers[1:]}) and holds {held:,}"
    if dimensions == 1 and held and max(content[start:]) > 9:
        return f"has the label {max(content[start:])}, where 0 to 9 are known"
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        return f"has sha256 {found} unpacked, which should be {sha256}"
    return None


def _is_whole(file: Path, sha256: str) -> bool:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest() == sha256
    except OSError:
        return False
