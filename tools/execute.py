"""Execute the chapters that the cache lacks, and write the outputs that the repository stores."""

import argparse
import os
import platform
import re
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

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
        self.places = {index: f"cell {n}/{len(indices)}" for n, index in enumerate(indices, 1)}
        self.place = "kernel"

    def started(self, cell: NotebookNode, cell_index: int) -> None:
        if cell_index not in self.places:
            return
        self.clock, self.place = time.perf_counter(), self.places[cell_index]
        lines = [line for line in cell.source.splitlines() if line and not line.startswith("#")]
        self.line = f"  {self.name}  {self.place}  {(lines or [''])[0]:<60.60}"

    def finished(self, cell: NotebookNode, cell_index: int, **_: object) -> None:
        print(f"{self.line} {time.perf_counter() - self.clock:6.1f} s", flush=True)


class Execution:
    """One chapter on its way through a kernel of its own."""

    def __init__(self, book: Book, path: Path):
        self.book, self.path, self.file = book, path, book.cache_file(path)
        self.notebook = read(path)
        self.progress = Progress(path.stem, self.notebook)
        self.client = NotebookClient(
            self.notebook,
            timeout=CELL_TIMEOUT,
            kernel_name="python3",
            extra_arguments=["--log-level=CRITICAL"],
            store_widget_state=False,
            record_timing=False,
            resources={"metadata": {"path": str(path.parent)}},
            on_cell_start=self.progress.started,
            on_cell_executed=self.progress.finished,
        )

    def run(self) -> None:
        """Execute, stamp, cache.

        Raises:
            BookError: a cell failed; nothing of this chapter is cached.
        """
        environment = {**os.environ, **KERNEL_ENVIRONMENT, "BELAMY_PROFILE": self.book.profile}
        clock = time.perf_counter()
        try:
            self.client.execute(env=environment)
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            where = f"{self.path.name}: {self.progress.place} failed"
            trace = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
            raise BookError(f"{where}, nothing of this chapter was kept\n{trace}") from error
        seconds = time.perf_counter() - clock
        drop_widget_views(self.notebook)
        shrink_pictures(self.notebook)
        self.notebook.metadata["belamy"] = self.stamp(seconds)
        write(self.notebook, self.file)
        print(f"  {self.path.stem}  done in {seconds:.0f} s", flush=True)

    def stamp(self, seconds: float) -> dict[str, object]:
        """What the outputs were made from, with what, and how long it took."""
        digests = self.book.digests(self.notebook)
        versions = {name: version(name) for name in STAMPED_VERSIONS}
        return {
            "hash": combined(digests),
            **digests,
            "seconds": round(seconds),
            "versions": {"python": platform.python_version(), **versions},
        }

    def kill(self) -> None:
        """End the kernel at once; `run` then raises in its thread."""
        if self.client.km is not None and self.client.km.provisioner is not None:
            self.client.km.provisioner.process.kill()


def execute(book: Book, force: bool = False) -> None:
    """Execute the chapters that the cache lacks (with `force` all), two kernels at a time.

    Raises:
        BookError: a chapter failed. The others are executed and cached all the same.
        KeyboardInterrupt: finished chapters are cached.
    """
    todo = [path for path in book.chapters if force or not book.cache_file(path).exists()]
    print(f"Chapters: {len(book.chapters)}, to execute: {len(todo)}", flush=True)
    executions = [Execution(book, path) for path in todo]
    with ThreadPoolExecutor(KERNELS) as pool:
        runs = [pool.submit(execution.run) for execution in executions]
        try:
            errors = [run.exception() for run in runs]
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            for execution in executions:
                execution.kill()
            raise
    failures = [error for error in errors if error is not None]
    if failures:
        raise BookError("\n\n".join(str(error) for error in failures))


def write_outputs(book: Book, force: bool = False) -> None:
    """Bring the outputs stored in the chapters up to date."""
    execute(book, force)
    for path in book.chapters:
        if force or book.staleness(path):
            write(book.executed(path), path)
            print(f"  {path.relative_to(book.root)}  outputs written", flush=True)


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
