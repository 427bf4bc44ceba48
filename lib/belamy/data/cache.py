"""Where prepared and downloaded data are kept, how files come there, and what may go again."""

import functools
import os
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from belamy.errors import FileError

# All that this library writes below `cache_dir()`, and so all that `kept_files` finds.
PATTERNS = ("folders/*.safetensors", "folders/.*.part", "MNIST/raw/*-ubyte", "FashionMNIST/raw/*-ubyte")


def cache_dir() -> Path:
    """$BELAMY_CACHE if set, else the system's folder for this (Linux: ~/.cache/belamy).

    It may not exist yet. Where the user has no home, or may not write there, it is a temporary folder
    that lasts as long as this process, for this process and those that it starts, and one warning says
    so.

    Raises:
        FileError: a temporary folder was needed and there is no place for one.
    """
    given = os.environ.get("BELAMY_CACHE")
    try:
        if given:  # who names a folder wants this one, and is told if it cannot be written to
            return Path(given).expanduser()
        import pooch  # not needed by those who name a folder

        wanted = pooch.os_cache("belamy").expanduser()
        nearest = next(p for p in (wanted, *wanted.parents) if os.path.exists(p))
        if wanted.is_dir() or (nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)):
            return wanted  # where it is there already, perhaps only to be read, but filled
        return _temporary(f"{nearest} cannot be written to")
    except RuntimeError:  # ~ of nobody
        return _temporary("this user has no home")


@functools.cache
def _temporary(reason: str) -> Path:
    try:
        # Kept alive by the attribute below, and removed with it when the process ends.
        folder = tempfile.TemporaryDirectory(prefix="belamy-")
    except OSError as error:
        raise FileError(
            f"{reason}, nor is there a place for temporary folders: {error}. Set BELAMY_CACHE"
        ) from error
    _temporary.folder = folder
    os.environ["BELAMY_CACHE"] = folder.name  # kernels of a sweep use it, too
    warnings.warn(
        f"{reason}: data are kept in {folder.name} until this process ends. To keep them longer, set "
        "BELAMY_CACHE to a folder of yours",
        stacklevel=4,
    )
    return Path(folder.name)


def writable(folder: Path) -> Path:
    """The folder, if it can be made and written to; else a temporary one, with one line that says so.

    Args:
        folder: an absolute path.
    """
    existing = next(place for place in (folder, *folder.parents) if os.path.exists(place))
    if not existing.is_dir() or os.access(existing, os.W_OK | os.X_OK):
        return folder  # a file in its way is a mistake, and for those to tell who make the folder
    temporary = Path(tempfile.mkdtemp(prefix="belamy-"))
    print(
        f"{folder} cannot be written: {temporary} takes its place and may not last; BELAMY_CACHE, or an "
        "argument cache, names another"
    )
    return temporary


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """A path beside ``target`` to write to, which takes its name if the block succeeds.

    Readers, and writers beside this one, never see half a file.

    Raises:
        OSError: the folder cannot be made or written to.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{uuid.uuid4().hex}.part")
    try:
        yield part
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)


def kept_files() -> dict[Path, int]:
    """What the cache holds: bytes of each file, in the order of their names."""
    root = cache_dir()
    files = (file for pattern in PATTERNS for file in root.glob(pattern) if file.is_file())
    return {file: file.stat().st_size for file in sorted(files)}
