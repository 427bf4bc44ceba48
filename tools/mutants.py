"""Would the tests notice? ``python -m tools.mutants [FILE ...] [--sample N]``, or ``make mutants``.

mutmut makes small changes to the library (a sign, a bound, a number, an argument left out), one mutant
each. Every mutant meets the tests that execute its lines, the likeliest first, until one fails: caught.
Mutants that are left have survived: a test is missing, or the change makes no difference. Those of the
second kind stand with their reasons in ``tests/equivalent_mutants.toml``.

mutmut's own runner leaves decorated functions alone (all metrics are) and chooses tests by function.
Here mutants are whole modules, which a forked process imports in place of the file; torch has been
imported before. What is known about a mutant is kept in .cache/mutants until it, or the tests, change.
"""

import argparse
import collections
import contextlib
import hashlib
import importlib.machinery
import itertools
import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / ".cache" / "mutants"
TOOL = ("mutmut==3.8.1", "libcst==1.9.0")  # without what their screens and command line need
GAME = "game engine checkpoint models device adversarial mutants"
FILES = {  # and the tests that are to notice
    "losses.py": "losses adversarial engine mutants",
    "divergences.py": "divergences mutants",
    "likelihood.py": "likelihood mutants",
    "_annealing.py": "likelihood mutants",
    "metrics.py": "metrics mutants",
    "_devices.py": GAME,
    "game/*.py": GAME,
}
SECONDS = 30  # of tests that one mutant meets at most: all tests run `fit`
NOWHERE = "nowhere"  # where a test stands that executes no line of the library
SPOKEN = ("InputError", "warn", "bar", "TypeError", "ValueError")  # calls that make words
# Arguments that nothing tells apart on a machine with a CPU alone.
DEVICE = re.compile(r",? ?device=([\w.]+(\([^()]*\))?)?")
CHECKS = ("whole_number", "real_number", "check_")  # calls that check what they name
NO_WORD = re.compile(rf"\b({'|'.join(CHECKS)})\w*\(([^()]*, )?None[,)]")


@dataclass(frozen=True)
class Mutant:
    """A changed file, and the lines of the statement that was changed.

    Attributes:
        lines: who executes them may notice.
        early: whether the statement is executed at import: a default, a field. Tests that look at
            signatures alone may notice, too, or any that use the file.
    """

    path: Path
    line: int
    lines: range
    early: bool
    before: str
    after: str
    source: str = field(repr=False)

    @property
    def key(self) -> str:
        """What results are kept by: the whole file as changed."""
        return _hash(self.path.name.encode(), self.source.encode())

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}\n    - {self.before}\n    + {self.after}"


def mutants_of(path: Path) -> list[Mutant]:
    """All mutants of a file but those of words: messages, names of types, documentation."""
    import libcst as cst
    from libcst.metadata import MetadataWrapper, ParentNodeProvider, PositionProvider
    from libcst.metadata import WhitespaceInclusivePositionProvider
    from mutmut.mutation import file_mutation
    from mutmut.mutation.mutators import mutation_operators
    from mutmut.mutation.pragma_handling import IgnoredCode, get_ignored_lines

    def called(call: cst.Call) -> str:
        return cst.Module([]).code_for_node(call.func)

    class Visitor(file_mutation.MutationVisitor):
        METADATA_DEPENDENCIES = (*file_mutation.MutationVisitor.METADATA_DEPENDENCIES, ParentNodeProvider)

        def _skip_node_and_children(self, node: cst.CSTNode) -> bool:
            if isinstance(node, cst.FunctionDef) and node.decorators:
                return False
            if isinstance(node, cst.Raise):
                return True
            if isinstance(node, cst.Call) and called(node).endswith(SPOKEN):
                return True
            if isinstance(node, cst.SimpleString):  # what a check calls the thing that it checks
                call = self.get_metadata(ParentNodeProvider, self.get_metadata(ParentNodeProvider, node))
                if isinstance(call, cst.Call) and called(call).startswith(CHECKS):
                    return True
            return super()._skip_node_and_children(node)

    source = path.read_text(encoding="utf-8")
    wrapper = MetadataWrapper(cst.parse_module(source))
    ignored = get_ignored_lines(str(path), source, wrapper, None)
    assert isinstance(ignored, IgnoredCode)
    visitor = Visitor(mutation_operators, ignored)
    module = wrapper.visit(visitor)
    positions, parents = wrapper.resolve(PositionProvider), wrapper.resolve(ParentNodeProvider)
    inclusive = wrapper.resolve(WhitespaceInclusivePositionProvider)
    offsets = list(itertools.accumulate(map(len, source.splitlines(keepends=True)), initial=0))
    found = []
    for mutation in visitor.mutations:
        if mutation.contained_by_top_level_function is None:
            continue  # constants and names of types
        statement = mutation.original_node
        while not isinstance(statement, cst.BaseSmallStatement | cst.BaseCompoundStatement | cst.Param):
            statement = parents[statement]
        first, last = positions[statement].start.line, positions[statement].end.line
        around = statement  # what stands in no function is executed as its class is made
        while around in parents and not isinstance(around, cst.FunctionDef | cst.Lambda):
            around = parents[around]
        early = around is statement or isinstance(around, cst.Module)
        if isinstance(statement, cst.Param):  # or the function
            early, function = True, statement
            while not isinstance(function, cst.FunctionDef | cst.Lambda):
                function = parents[function]
            first, last = positions[function].start.line, positions[function].end.line
        elif isinstance(statement, cst.BaseCompoundStatement):  # its head, not all that it holds
            last = max(positions[mutation.original_node].end.line, first)
        span = inclusive[mutation.original_node]
        start, end = (offsets[at.line - 1] + at.column for at in (span.start, span.end))
        changed = source[:start] + module.code_for_node(mutation.mutated_node) + source[end:]
        try:
            compile(changed, str(path), "exec", dont_inherit=True)
        except SyntaxError:
            continue
        before, after = _difference(source, changed)
        if DEVICE.sub("", before) == DEVICE.sub("", after) or NO_WORD.search(after):
            continue
        line = positions[mutation.original_node].start.line
        found.append(Mutant(path, line, range(first, last + 1), early, before, after, changed))
    return found


def _hash(*parts: bytes) -> str:
    return hashlib.sha256(b"".join(parts)).hexdigest()[:20]


def _difference(old: str, new: str) -> tuple[str, str]:
    """The lines that differ, each on one line."""
    old, new = old.splitlines(), new.splitlines()
    start = next((i for i, (a, b) in enumerate(zip(old, new)) if a != b), 0)
    end = next((i for i, (a, b) in enumerate(zip(reversed(old), reversed(new))) if a != b), 0)
    end = min(end, len(old) - start, len(new) - start)
    before, after = (" ".join(" ".join(text[start : len(text) - end]).split()) for text in (old, new))
    return before, after


class Runner:
    """Tests in forked processes: first once under coverage, then against mutants."""

    def __init__(self, tests: set[str]) -> None:
        self.files = [f"tests/test_{name}.py" for name in sorted(tests)]
        self.files = [name for name in self.files if (ROOT / name).exists()]
        self.kept = KEPT / "results.json"
        self.results: dict[str, list[str]] = {}
        if self.kept.exists():
            self.results = json.loads(self.kept.read_text(encoding="utf-8"))
        self.kills: collections.Counter[tuple[Path, str]] = collections.Counter()
        self._import_once()

    def _import_once(self) -> None:
        """What tests import, but for the library and the tests, which each process imports anew."""
        self._pytest("--collect-only", *self.files)
        ours = ("belamy", "benchmarks", "conftest", "test_")
        for name in [name for name in sys.modules if name.startswith(ours)]:
            del sys.modules[name]

    @staticmethod
    def _pytest(*arguments: str, plugins: tuple = ()) -> int:
        import pytest

        with open(os.devnull, "w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere):
            with contextlib.redirect_stderr(nowhere):
                known = ("-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--tb=no")
                return int(pytest.main([*known, *arguments], plugins=plugins))

    def _state_of(self, name: str) -> str:
        """A hash of a file of tests and of all that its coverage depends on."""
        paths = [ROOT / name, ROOT / "tests/conftest.py", *sorted((ROOT / "lib").rglob("*.py"))]
        return _hash(*(path.read_bytes() for path in paths))

    @cache
    def covered(self) -> dict[str, dict[str, float]]:
        """"path:line" -> the tests that execute it, and their CPU seconds."""
        by_line: dict[str, dict[str, float]] = collections.defaultdict(dict)
        for name in self.files:
            kept = KEPT / f"covered-{Path(name).stem}-{self._state_of(name)}.json"
            if not kept.exists():
                for old in KEPT.glob(f"covered-{Path(name).stem}-*.json"):
                    old.unlink()
                started = time.perf_counter()
                self._in_fork(lambda: self._cover(name, kept), 900)
                if not kept.exists():
                    sys.exit(f"{name} fails as it is: mend that first")
                print(f"covered by {name}: {time.perf_counter() - started:.0f} s", flush=True)
            for test, (seconds, lines) in json.loads(kept.read_text(encoding="utf-8")).items():
                for line in lines:
                    by_line[line][test] = seconds
        return by_line

    def _cover(self, name: str, kept: Path) -> int:
        import coverage

        watch = coverage.Coverage(source=[str(ROOT / "lib" / "belamy")], data_file=None, config_file=False)
        seconds: dict[str, float] = {}

        class Contexts:
            def pytest_runtest_logstart(self, nodeid: str) -> None:
                watch.switch_context(nodeid)
                seconds[nodeid] = -time.process_time()

            def pytest_runtest_logfinish(self, nodeid: str) -> None:
                seconds[nodeid] += time.process_time()

        watch.start()
        status = self._pytest(name, plugins=(Contexts(),))
        watch.stop()
        if status:
            return status
        lines = collections.defaultdict(list)
        data = watch.get_data()
        for path in data.measured_files():
            for line, tests in data.contexts_by_lineno(path).items():
                for test in filter(None, tests):
                    lines[test].append(f"{Path(path).relative_to(ROOT)}:{line}")
        found = {test: (took, lines.get(test, [NOWHERE])) for test, took in seconds.items()}
        kept.write_text(json.dumps(found), encoding="utf-8")
        return 0

    def tests_for(self, mutant: Mutant) -> dict[str, float]:
        """Tests that execute the changed statement and their seconds: those that caught its neighbours
        first, then the quick."""
        place, seconds = mutant.path.relative_to(ROOT), {}
        lines = [f"{place}:{number}" for number in mutant.lines]
        if mutant.early:
            lines += [NOWHERE, *(line for line in self.covered() if line.startswith(f"{place}:"))]
        for line in lines:
            seconds |= self.covered().get(line, {})
        rate = {test: self.kills[mutant.path, test] / (0.1 + seconds[test]) for test in seconds}
        order = sorted(seconds, key=lambda test: (-rate[test], seconds[test]))
        chosen: dict[str, float] = {}
        for test in order:
            if not chosen or sum(chosen.values()) + seconds[test] < SECONDS:
                chosen[test] = seconds[test]
        return chosen

    def try_on(self, mutant: Mutant) -> str:
        """"caught" or "survived"; the latter is kept until the tests that it met change."""
        tests = self.tests_for(mutant)
        files = sorted({test.partition("::")[0] for test in tests})
        state = _hash(*((ROOT / name).read_bytes() for name in files))
        verdict, met = self.results.get(mutant.key, ("", ""))
        if verdict == "caught" or (verdict and met == state):
            return verdict
        verdict, note = "survived", KEPT / f"killer-{os.getpid()}"
        limit = 20 + 4 * sum(tests.values())
        if tests and self._in_fork(lambda: self._against(mutant, list(tests), note), limit):
            verdict = "caught"
            if note.exists():
                self.kills[mutant.path, note.read_text(encoding="utf-8")] += 1
                note.unlink()
        self.results[mutant.key] = [verdict, state]
        scratch = self.kept.with_suffix(f".{os.getpid()}")
        scratch.write_text(json.dumps(self.results), encoding="utf-8")
        scratch.replace(self.kept)
        return verdict

    def _against(self, mutant: Mutant, tests: list[str], note: Path) -> int:
        class Killer:
            def pytest_runtest_logreport(self, report: object) -> None:
                if report.failed:
                    note.write_text(report.nodeid, encoding="utf-8")

        loader = importlib.machinery.SourceFileLoader
        plain = loader.get_code

        def get_code(self: object, name: str) -> object:
            if self.path == str(mutant.path):
                return compile(mutant.source, str(mutant.path), "exec", dont_inherit=True)
            return plain(self, name)

        loader.get_code = get_code
        return self._pytest(*tests, plugins=(Killer(),))

    @staticmethod
    def _in_fork(work, seconds: float) -> int:
        """The status of work done in a process of its own, 1 where it takes too long."""
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.setpgid(0, 0)
                signal.alarm(int(6 * seconds))  # other work on the machine costs time, too
                resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 2))
                status = work()
            finally:
                os._exit(status)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def equivalent(name: str) -> Callable[[Mutant], bool]:
    """Whether a mutant of the file is on the list of those that make no difference."""
    path = ROOT / "tests" / "equivalent_mutants.toml"
    known = [one for one in tomllib.loads(path.read_text(encoding="utf-8"))["mutant"] if one["file"] == name]
    pairs = {(one["before"], one.get("after")) for one in known}
    return lambda mutant: bool(pairs & {(mutant.before, mutant.after), (mutant.before, None)})


def install() -> None:
    """mutmut in a folder of its own: no other command needs it."""
    tool = KEPT / "tool"
    if not (tool / "mutmut").exists():
        command = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", tool, *TOOL)
        subprocess.run([str(part) for part in command], check=True)
    sys.path.insert(0, str(tool))


def main() -> None:
    """Print how many mutants of each file are caught, and those that survive."""
    parser = argparse.ArgumentParser("python -m tools.mutants", description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", help="below lib/belamy; default: those that compute")
    parser.add_argument("--sample", type=int, help="mutants of each file, drawn at random; default: all")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    arguments = parser.parse_args()
    KEPT.mkdir(parents=True, exist_ok=True)
    os.environ |= {"OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1", "MPLBACKEND": "agg"}
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(KEPT / "hypothesis")
    os.chdir(ROOT)
    sys.path[:0] = [str(ROOT / "lib"), str(ROOT)]
    install()
    library = ROOT / "lib" / "belamy"
    paths = [path for name in arguments.files or FILES for path in sorted(library.glob(name))]
    tests = {test for path in paths for test in FILES.get(path.name, GAME).split()}
    runner, rows = Runner(tests), []
    for path in paths:
        every = mutants_of(path)
        name = str(path.relative_to(library))
        known = equivalent(name)
        chosen = [mutant for mutant in every if not known(mutant)]
        if arguments.sample:  # a larger sample holds the smaller one
            chosen = random.Random(arguments.seed).sample(chosen, len(chosen))[: arguments.sample]
        survivors = []
        for mutant in chosen:
            if runner.try_on(mutant) == "survived":
                survivors.append(mutant)
                print(f"survived: {mutant}", flush=True)
        caught = len(chosen) - len(survivors)
        share = f"{caught / len(chosen):4.0%}" if chosen else ""
        rows.append(f"{name:25}{len(every):9}{len(chosen):7}{caught:8}{len(survivors):10}  {share}")
        print(rows[-1], flush=True)
    print(f"\n{'':25}{'mutants':>9}{'tried':>7}{'caught':>8}{'survived':>10}", *rows, sep="\n")


if __name__ == "__main__":
    main()
