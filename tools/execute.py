"""Execute the chapters that the cache lacks, and write the outputs that the repository stores.

A band (an assertion of a chapter) that fails costs nobody a chapter: it is noted in the stamp, and the
chapter goes on. An exception, a time-out or a dead kernel ends it, and nothing of it is kept.
"""

import argparse
import json
import os
import platform
import re
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from tools import bands, families
from tools.book import Book, BookError, combined, read, write
from tools.outputs import drop_widget_views, shrink_pictures

KERNELS = 2  # at a time; each computes on one core
CELL_TIMEOUT = 1800  # seconds; a whole chapter takes 360 at most where it was written
KERNEL_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
STAMPED_VERSIONS = ("torch", "torchvision", "numpy", "scikit-learn", "matplotlib")


class Progress:
    """Prints a line for each code cell: chapter, i/n, its first line of code, seconds."""

    def __init__(self, name: str, notebook: NotebookNode):
        self.name = name
        indices = [i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
        self.numbers = {index: n for n, index in enumerate(indices, 1)}
        self.cell, self.place = 0, "kernel"

    def started(self, cell: NotebookNode, cell_index: int) -> None:
        if cell_index not in self.numbers:
            return
        self.clock, self.cell = time.perf_counter(), self.numbers[cell_index]
        self.place = f"cell {self.cell}/{len(self.numbers)}"
        lines = [line for line in cell.source.splitlines() if line and not line.startswith("#")]
        self.line = f"  {self.name}  {self.place}  {(lines or [''])[0]:<60.60}"

    def finished(self, cell: NotebookNode, cell_index: int, **_: object) -> None:
        print(f"{self.line} {time.perf_counter() - self.clock:6.1f} s", flush=True)


class ChapterError(BookError):
    """A chapter did not come to its end.

    Attributes:
        path: the chapter.
        cell: number of the code cell that it ended in, from 1; 0 before the first.
        reason: what the kernel said, without colours.
    """

    def __init__(self, path: Path, cell: int, place: str, reason: str):
        super().__init__(f"{path.name}: {place} failed, nothing of this chapter was kept\n{reason}")
        self.path, self.cell, self.reason = path, cell, reason


class Execution:
    """One chapter on its way through a kernel of its own, its bands watched.

    Args:
        book, path: which chapter.
        arithmetic: environment variables that choose other kernels, for `tools.portability`.
    """

    def __init__(self, book: Book, path: Path, arithmetic: Mapping[str, str] = {}):  # noqa: B006
        self.book, self.path, self.arithmetic = book, path, arithmetic
        self.notebook = read(path)
        self.progress = Progress(path.stem, self.notebook)
        self.bands: list[bands.Band] = []
        self.machine: dict[str, object] = {}
        self.client: NotebookClient | None = None

    def run(self) -> float:
        """Execute the notebook in place and gather its bands; return the seconds that it took.

        Raises:
            ChapterError: an exception, a time-out or a dead kernel ended it.
        """
        environment = {**os.environ, **KERNEL_ENVIRONMENT, "BELAMY_PROFILE": self.book.profile}
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "bands.jsonl"
            watch = f"__import__('runpy').run_path({bands.__file__!r})['watch']({str(log)!r})"
            self.client = NotebookClient(
                self.notebook,
                timeout=CELL_TIMEOUT,
                kernel_name="python3",
                extra_arguments=["--log-level=CRITICAL", f"--IPKernelApp.exec_lines={watch}"],
                store_widget_state=False,
                record_timing=False,
                resources={"metadata": {"path": str(self.path.parent)}},
                on_cell_start=self.progress.started,
                on_cell_executed=self.progress.finished,
            )
            clock = time.perf_counter()
            try:
                self.client.execute(env={**environment, **self.arithmetic})
            except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
                reason = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
                raise ChapterError(self.path, self.progress.cell, self.progress.place, reason) from error
            finally:
                self.bands, self.machine = bands.read_log(log)
        return time.perf_counter() - clock

    def run_and_cache(self) -> None:
        """Execute, stamp, cache.

        Raises:
            ChapterError: as above; nothing of this chapter is cached.
        """
        seconds = self.run()
        self.keep_bands("as it is", combined(self.book.digests(self.notebook)), seconds)
        drop_widget_views(self.notebook)
        shrink_pictures(self.notebook)
        self.notebook.metadata["belamy"] = self.stamp(seconds)
        write(self.notebook, self.book.cache_file(self.path))
        failed = sum(not band.passed for band in self.bands)
        told = f", {failed} of {len(self.bands)} bands failed" if failed else ""
        print(f"  {self.path.stem}  done in {seconds:.0f} s{told}", flush=True)

    def keep_bands(self, setting: str, digest: str, seconds: float, error: str = "") -> None:
        """Write down what `tools.portability` tells of this execution."""
        found = {
            "digest": digest,
            "seconds": round(seconds),
            "machine": self.machine,
            "error": error,
            "bands": [asdict(band) for band in self.bands],
        }
        file = bands_file(self.book, self.path, setting)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(found, indent=1), encoding="utf-8")

    def stamp(self, seconds: float) -> dict[str, object]:
        """What the outputs were made from, with what, how long it took, and which bands failed."""
        digests = self.book.digests(self.notebook)
        versions = {name: version(name) for name in STAMPED_VERSIONS}
        failed = [{"cell": band.cell, "told": band.told()} for band in self.bands if not band.passed]
        return {
            "hash": combined(digests),
            **digests,
            "seconds": round(seconds),
            "versions": {"python": platform.python_version(), **versions},
            "machine": {"processor": platform.machine(), **self.machine},
            **({"failed": failed} if failed else {}),
        }

    def kill(self) -> None:
        """End the kernel at once; `run` then raises in its thread."""
        if self.client and self.client.km is not None and self.client.km.provisioner is not None:
            self.client.km.provisioner.process.kill()


def bands_file(book: Book, path: Path, setting: str) -> Path:
    """Where the bands of a chapter's last execution under a setting are kept."""
    name = path.stem if path in book.chapters else f"exercises-{path.stem}"
    return book.root / ".cache" / "portability" / f"{name}-{setting.replace(' ', '-')}.json"


def execute(book: Book, force: bool = False, paths: list[Path] | None = None) -> list[ChapterError]:
    """Execute the chapters that the cache lacks (with `force` all), two kernels at a time.

    Args:
        paths: of these chapters, of all by default.

    Returns:
        Why chapters did not come to their end. The others are executed and cached.

    Raises:
        KeyboardInterrupt: finished chapters are cached.
    """
    paths = book.notebooks if paths is None else paths
    todo = [path for path in paths if force or not book.cache_file(path).exists()]
    print(f"Chapters: {len(paths)}, to execute: {len(todo)}", flush=True)
    executions = [Execution(book, path) for path in todo]
    outcomes = run_all(executions, [execution.run_and_cache for execution in executions], KERNELS)
    unexpected = [error for error in outcomes if error and not isinstance(error, ChapterError)]
    if unexpected:
        raise unexpected[0]
    return [error for error in outcomes if error]


def run_all(
    executions: list[Execution], calls: list[Callable[[], None]], kernels: int
) -> list[BaseException | None]:
    """Make the calls, several kernels at a time; return what each raised. Ctrl-C ends all kernels."""
    with ThreadPoolExecutor(kernels) as pool:
        runs = [pool.submit(call) for call in calls]
        try:
            return [run.exception() for run in runs]
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            for execution in executions:
                execution.kill()
            raise


def write_outputs(book: Book, force: bool = False) -> None:
    """Bring the outputs stored in the chapters up to date; those last that compare what others found.

    Raises:
        BookError: a chapter did not come to its end, or a band failed: its outputs stay what they
            were. All others are written.
    """
    last, told = families.readers(book), []
    for paths in ([path for path in book.notebooks if path not in last], last):
        errors = execute(book, force, paths)
        told += [str(error) for error in errors]
        for path in paths:
            if path in {error.path for error in errors}:
                continue
            executed = book.executed(path)
            if failed := executed.metadata["belamy"].get("failed"):
                told.append("\n".join([f"{path.name}: bands failed, outputs not written", *tell(failed)]))
            elif force or book.staleness(path):
                write(executed, path)
                print(f"  {path.relative_to(book.root)}  outputs written", flush=True)
        families.write(book)
    if told:
        raise BookError("\n\n".join(told))


def tell(failed: list[dict[str, object]]) -> list[str]:
    """A line for each band of a stamp that failed."""
    return [f"  cell {band['cell']}: {band['told']}" for band in failed]


def main() -> None:
    parser = argparse.ArgumentParser(description=write_outputs.__doc__)
    parser.add_argument("--force", action="store_true", help="execute fresh chapters too")
    force = parser.parse_args().force
    run_or_exit(lambda: write_outputs(Book(), force))


def run_or_exit(command: Callable[[], None]) -> None:
    """Run `command`; say an expected failure in its own words, without a traceback."""
    try:
        command()
    except BookError as error:
        sys.exit(f"\n{error}")
    except KeyboardInterrupt:
        print("\nInterrupted. Finished chapters are kept; the same command goes on from there.")
        sys.exit(130)


if __name__ == "__main__":
    main()
