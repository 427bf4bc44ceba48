"""Where prepared and downloaded data are kept, and how files come there: whole or not at all."""

import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_dir() -> Path:
    """$BELAMY_CACHE if set, else ~/.cache/belamy; it may not exist yet.

    Where that cannot be made, a temporary folder takes its place, here and in the processes that this
    one starts.
    """
    given = os.environ.get("BELAMY_CACHE")
    if given:
        return Path(given).expanduser()
    folder = Path(os.path.expanduser("~/.cache/belamy"))  # the ~ stays where the user has no home
    if folder.is_absolute() and folder.is_dir():  # perhaps only to be read, but filled
        return folder
    found = writable(folder)
    if found != folder:
        os.environ["BELAMY_CACHE"] = str(found)
    return found


def writable(folder: Path) -> Path:
    """The folder, if it can be made and written to; else a temporary one, with one line that says so.

    Args:
        folder: an absolute path.
    """
    existing = next(place for place in (folder, *folder.parents) if os.path.exists(place))
    if folder.is_absolute() and os.path.isdir(existing) and os.access(existing, os.W_OK | os.X_OK):
        return folder
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
