"""What is kept of downloaded and decoded data: ``python -m belamy.data``; ``--clear`` removes it."""

import argparse
import sys

from safetensors import SafetensorError, safe_open

from belamy.data.cache import cache_dir, kept_files
from belamy.errors import BelamyError


def main(arguments: list[str] | None = None) -> int:
    """List the cache with sizes, or clear it; the status that the shell sees."""
    parser = argparse.ArgumentParser(prog="python -m belamy.data", description=__doc__)
    parser.add_argument("--clear", action="store_true", help="remove all that is listed, nothing else")
    options = parser.parse_args(arguments)
    try:
        files, failed = kept_files(), 0
        for file, size in files.items():
            name = file.relative_to(cache_dir()).as_posix()
            if file.suffix == ".safetensors":  # a decoded folder, which knows its name
                try:
                    with safe_open(file, framework="pt") as stored:
                        name = (stored.metadata() or {}).get("name", name)
                except (OSError, SafetensorError):
                    name += " (damaged)"
            if options.clear:
                try:
                    file.unlink()
                except OSError as error:
                    print(f"{name} cannot be removed: {error.strerror}", file=sys.stderr)
                    failed += 1
                    continue
            print(f"{size / 1e6:10.2f} MB  {name}")
        verb = "removed from" if options.clear else "kept in"
        total = sum(size for file, size in files.items() if file.exists() is not options.clear)
        print(f"{total / 1e6:10.2f} MB  in {len(files) - failed} files {verb} {cache_dir()}")
        return 1 if failed else 0
    except (BelamyError, OSError) as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
