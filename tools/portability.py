"""Execute chapters under other arithmetics and seeds, and say which bands hold, and how narrowly.

Another processor adds in another order. What selects other kernels on this one: ATen's, oneDNN's,
MKL's and OpenBLAS's own switches, and the number of threads. Two other seeds stand for all that these
do not reach. The report tells which bands failed where, and of the others how much room they have: the
distance to the edge in units of how far their value moved between the runs. A band whose room is
below one fails next.
"""

import argparse
import json
import re
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.bands import Band
from tools.book import Book, BookError, code_cells, combined, read, write
from tools.execute import KERNELS, ChapterError, Execution, bands_file, run_all, run_or_exit


@dataclass(frozen=True)
class Setting:
    """How to run a chapter differently."""

    environment: Mapping[str, str]
    seed: int | None = None
    kernels: int = KERNELS  # at a time


SETTINGS = {
    "as it is": Setting({}),
    "avx2": Setting(
        {
            "ATEN_CPU_CAPABILITY": "avx2",
            "DNNL_MAX_CPU_ISA": "AVX2",
            "MKL_CBWR": "AVX2",
            "OPENBLAS_CORETYPE": "Haswell",
        }
    ),
    "sse41": Setting(
        {
            "ATEN_CPU_CAPABILITY": "default",
            "DNNL_MAX_CPU_ISA": "SSE41",
            "MKL_CBWR": "COMPATIBLE",
            "OPENBLAS_CORETYPE": "Nehalem",
        }
    ),
    "two threads": Setting({"OMP_NUM_THREADS": "2", "BELAMY_THREADS": "2"}, kernels=1),
    "seed 10": Setting({}, seed=10),
    "seed 20": Setting({}, seed=20),
}
NARROW = 1.0  # room below which a band is listed


class Trial(Execution):
    """A chapter executed under one setting; its result is one JSON file, kept for the next report.

    What `make book` and `make outputs` execute is the setting "as it is", and is not run again.
    """

    def __init__(self, book: Book, path: Path, name: str):
        super().__init__(book, path, SETTINGS[name].environment)
        self.name = name
        self.progress.name = f"{path.stem} ({name})"
        self.digest = combined(book.digests(self.notebook))
        self.result = bands_file(book, path, name)
        if SETTINGS[name].seed is not None:
            with_seed(self)

    def done(self) -> bool:
        return self.result.exists() and self.read()["digest"] == self.digest

    def read(self) -> dict:
        return json.loads(self.result.read_text(encoding="utf-8"))

    def try_out(self) -> None:
        """Execute and write the result, also when an exception ends the chapter early."""
        error, clock = "", time.perf_counter()
        try:
            self.run()
        except ChapterError as ended:
            error = f"cell {ended.cell}: {ended.reason.strip().splitlines()[-1]}"
        self.keep_bands(self.name, self.digest, time.perf_counter() - clock, error)
        write(self.notebook, self.result.with_suffix(".ipynb"))  # to look at


def with_seed(trial: Trial) -> None:
    """Set the seed in the trial's parameters cell."""
    for cell in code_cells(trial.notebook):
        if "parameters" in cell.metadata.get("tags", []):
            text, count = re.subn(r"(?m)^seed = \d+", f"seed = {SETTINGS[trial.name].seed}", cell.source)
            if count == 1:
                cell.source = text
                return
    raise BookError(f"{trial.path.name} has no parameters cell with a line `seed = …`")


def report(trials: list[Trial]) -> str:
    """The tables: runs, failures, narrow bands."""
    runs = "| chapter | arithmetic | kernels, threads | s | bands | failed |\n| --- | --- | --- | --- | --- | --- |"
    failures, narrow = [], []
    for path in dict.fromkeys(trial.path for trial in trials):
        bands: dict[tuple[int, str], dict[str, Band]] = defaultdict(dict)
        for trial in (trial for trial in trials if trial.path == path and trial.done()):
            found = trial.read()
            own = [Band(**band) for band in found["bands"]]
            bad = [band for band in own if not band.passed]
            machine = f"{found['machine'].get('instructions')}, {found['machine'].get('threads')}"
            told = f"{len(bad)}" + (f", ended by {found['error']}" if found["error"] else "")
            runs += f"\n| {path.stem} | {trial.name} | {machine} | {found['seconds']} | {len(own)} | {told} |"
            failures += [f"  {path.stem}, {trial.name}, cell {b.cell}: {b.told()}" for b in bad]
            for band in own:
                bands[band.cell, band.text][trial.name] = band
        for (cell, _), by_name in bands.items():
            narrow += [(room, f"  {path.stem}, cell {cell}: {line}") for room, line in rooms(by_name)]
    narrow = sorted((entry for entry in narrow if entry[0] < NARROW), key=lambda entry: entry[0])
    lines = [f"{line}  [room {room:.2f}]" for room, line in narrow]
    return "\n".join(
        [runs, "", f"Failed: {len(failures)}", *failures, "", f"Narrow (room below {NARROW:g}): {len(lines)}", *lines]
    )


def rooms(band: dict[str, Band]) -> list[tuple[float, str]]:
    """(room, what was compared where it came nearest) of a band's comparisons that moved and held."""
    found = []
    by_text: dict[str, dict[str, dict]] = defaultdict(dict)
    for name, one in band.items():
        for part in one.parts if one.passed else []:
            by_text[part["text"]][name] = part
    for text, parts in by_text.items():
        slacks = {name: part["slack"] for name, part in parts.items()}
        nearest, moved = min(slacks, key=slacks.get), max(slacks.values()) - min(slacks.values())
        if moved > 0 and slacks[nearest] >= 0:  # negative where a test does without this comparison
            value, bound = parts[nearest]["value"], parts[nearest]["bound"]
            found.append((slacks[nearest] / moved, f"{text}: {value:.6g} against {bound:.6g} ({nearest})"))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("chapters", nargs="*", help="names of chapters; by default all")
    parser.add_argument("--only", nargs="*", default=list(SETTINGS), choices=list(SETTINGS), metavar="ARITHMETIC")
    parser.add_argument("--report", action="store_true", help="execute nothing: tell what is there")
    arguments = parser.parse_args()
    run_or_exit(lambda: try_all(Book(), arguments.chapters, arguments.only, arguments.report))


def try_all(book: Book, chapters: list[str], names: list[str], only_report: bool) -> None:
    """Run what has not been run since the chapter or the library changed, and print the report.

    Raises:
        BookError: a chapter of that name is not there, or bands failed.
    """
    stems = {path.stem: path for path in book.chapters}
    if unknown := [name for name in chapters if name not in stems]:
        raise BookError(f"no chapter {unknown[0]!r}; there are {', '.join(stems)}")
    paths = [stems[name] for name in chapters] or book.chapters
    trials = [Trial(book, path, name) for name in names for path in paths]
    for name in names if not only_report else []:
        todo = [trial for trial in trials if trial.name == name and not trial.done()]
        outcomes = run_all(todo, [trial.try_out for trial in todo], SETTINGS[name].kernels)
        if unexpected := [error for error in outcomes if error]:
            raise unexpected[0]
    text = report(trials)
    print(f"\n{text}")
    if "\nFailed: 0\n" not in text or "ended by" in text:
        raise BookError("bands failed: see above")


if __name__ == "__main__":
    main()
