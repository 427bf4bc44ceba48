"""Where prepared and downloaded data are kept, and how files come there: whole or not at all."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_dir() -> Path:
    """$BELAMY_CACHE if set, else ~/.cache/belamy; it may not exist yet."""
    given = os.environ.get("BELAMY_CACHE")
    return Path(given).expanduser() if given else Path.home() / ".cache" / "belamy"


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
