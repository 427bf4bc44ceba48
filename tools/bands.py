"""Bands: the assertions of a chapter, watched while its kernel runs.

A band states in code what the text claims of a number: `assert held_out < trained`. On another
processor sums round differently, an adversarial training becomes another training, and a band that
was cut too close fails. `watch` runs inside a kernel: it rewrites every `assert` of the cells that
follow, so that a failed band is noted and the chapter goes on, and writes down how near each
comparison came to its edge. Nothing else of a cell changes, and an exception stays an exception.

This file is loaded by path in kernels that know nothing of `tools`: it imports what Python brings, and
numpy when there is a number to look at.
"""

import ast
import json
import operator
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BAND = "__band__"  # the name that rewritten cells call; no chapter has one like it
OPERATORS = {
    ast.Lt: ("<", operator.lt), ast.LtE: ("<=", operator.le), ast.Gt: (">", operator.gt),
    ast.GtE: (">=", operator.ge), ast.Eq: ("==", operator.eq), ast.NotEq: ("!=", operator.ne),
    ast.Is: ("is", operator.is_), ast.IsNot: ("is not", operator.is_not),
    ast.In: ("in", lambda a, b: a in b), ast.NotIn: ("not in", lambda a, b: a not in b),
}  # fmt: skip
MEANING = dict(OPERATORS.values())


@dataclass
class Band:
    """One assertion as it came out: of a loop's many rounds the worst.

    Attributes:
        cell: number of its cell among those executed, from 1.
        text: the assertion's test.
        passed: whether it held, every time.
        parts: its comparisons, each with `value`, `bound` and `slack` (the distance to the edge,
            negative beyond it), of the entry that comes nearest where tables are compared.
    """

    cell: int
    text: str
    passed: bool
    parts: list[dict[str, Any]] = field(default_factory=list)

    def told(self) -> str:
        """The test, and of the comparisons that do not hold what was compared."""
        beyond = [part for part in self.parts if part["slack"] <= 0] if not self.passed else self.parts
        found = "; ".join(
            f"{part['value']:.6g} against {part['bound']:.6g}"
            + (f" in {part['text']}" if part["text"] != self.text else "")
            for part in beyond
        )
        return f"{self.text}  (here {found})" if found else self.text


def read_log(path: Path) -> tuple[list[Band], dict[str, Any]]:
    """What a watched kernel wrote: its bands in order, and the machine that it ran on."""
    bands: dict[tuple[int, str], Band] = {}
    machine: dict[str, Any] = {}
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    for line in lines:
        entry = json.loads(line)
        machine = entry.get("machine", machine)
        if "machine" in entry:
            continue
        band = bands.setdefault((entry["cell"], entry["text"]), Band(entry["cell"], entry["text"], True))
        band.passed &= entry["passed"]
        for part in entry["parts"]:
            known = [p for p in band.parts if p["text"] == part["text"]]
            if not known:
                band.parts.append(part)
            elif part["slack"] < known[0]["slack"]:
                known[0].update(part)
    return list(bands.values()), machine


# --- inside the kernel ---------------------------------------------------------------------------


def watch(log: str) -> None:
    """Watch the assertions of this kernel's cells from now on; append what is found to `log`."""
    from IPython import get_ipython

    shell = get_ipython()
    watcher = Watcher(Path(log))
    shell.user_ns_hidden[BAND] = shell.user_ns[BAND] = watcher
    shell.ast_transformers.append(Rewrite())
    shell.events.register("pre_run_cell", watcher.count_cell)
    shell.events.register("post_run_cell", watcher.note_machine)


class Rewrite(ast.NodeTransformer):
    """`assert a < f(b)` becomes `__band__("a < f(b)", lambda: __band__.compare(…))`.

    Every operand stands in a function of its own and is computed once and in order, so that a
    chain still ends at its first comparison that does not hold.
    """

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        if any(isinstance(part, ast.NamedExpr | ast.Await | ast.Yield) for part in ast.walk(node)):
            return node  # these would mean something else in a function
        band = call(ast.Name(BAND, ast.Load()), ast.unparse(node.test), late(Parts().visit(node.test)))
        return ast.fix_missing_locations(ast.copy_location(ast.Expr(band), node))


class Parts(ast.NodeTransformer):
    """Hands what has a distance to its edge to the watcher, and leaves the rest of a test alone."""

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        operands = [node.left, *node.comparators]
        names = [ast.unparse(operand) for operand in operands]
        signs = [OPERATORS[type(sign)][0] for sign in node.ops]
        return ask("compare", names, signs, *(late(self.visit(operand)) for operand in operands))

    def visit_Call(self, node: ast.Call) -> ast.AST:
        text = ast.unparse(node)
        self.generic_visit(node)
        if isinstance(node.func, ast.Attribute) and node.func.attr in ("allclose", "isclose", "between"):
            asked = ask(f"of_{node.func.attr}", text, node.func)
            asked.args += node.args
            asked.keywords = node.keywords
            return asked
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        text = ast.unparse(node)
        self.generic_visit(node)
        if node.attr in ("is_monotonic_increasing", "is_monotonic_decreasing"):
            return ask("monotonic", text, node.attr, node.value)
        return node


def call(function: ast.expr, *arguments: object) -> ast.Call:
    given = [a if isinstance(a, ast.AST) else ast.parse(repr(a), mode="eval").body for a in arguments]
    return ast.Call(function, given, [])


def ask(method: str, *arguments: object) -> ast.Call:
    return call(ast.Attribute(ast.Name(BAND, ast.Load()), method, ast.Load()), *arguments)


def late(expression: ast.expr) -> ast.Lambda:
    nothing = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
    return ast.Lambda(nothing, expression)


class Watcher:
    """What rewritten cells call: does what the assertion did, and notes how near it was."""

    def __init__(self, log: Path):
        self.log, self.cell = log, 0
        self.parts: list[dict[str, Any]] = []
        self.machine: dict[str, Any] = {}

    def count_cell(self, *_: Any) -> None:
        self.cell += 1

    def __call__(self, text: str, test: Callable[[], Any]) -> None:
        self.parts = []
        passed = bool(test())
        self.write(cell=self.cell, text=text, passed=passed, parts=self.parts)

    def write(self, **entry: Any) -> None:
        with self.log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def note_machine(self, *_: Any) -> None:
        """Which kernels torch chose and how many threads it has, as soon as a cell has loaded it."""
        torch = sys.modules.get("torch")
        if torch is None or not hasattr(torch, "get_num_threads"):
            return
        now = {"instructions": torch.backends.cpu.get_cpu_capability(), "threads": torch.get_num_threads()}
        if now != self.machine:
            self.machine = now
            self.write(machine=now)

    def compare(self, names: list[str], signs: list[str], *operands: Callable[[], Any]) -> Any:
        """`a < b <= c`, as Python does it."""
        left = operands[0]()
        for n, sign in enumerate(signs):
            right = operands[n + 1]()
            outcome = MEANING[sign](left, right)
            if sign[0] in "<>":
                slack = (lambda a, b: b - a) if sign[0] == "<" else (lambda a, b: a - b)
                self.note(f"{names[n]} {sign} {names[n + 1]}", left, right, slack)
            if n + 1 < len(signs) and not outcome:
                return outcome
            left = right
        return outcome

    def of_allclose(self, text: str, function: Callable, a: Any, b: Any, *rest: Any, **options: Any) -> Any:
        names = ("rtol", "atol", "equal_nan")  # the same order in numpy and torch
        given = {"rtol": 1e-5, "atol": 1e-8, **dict(zip(names, rest)), **options}
        self.note(text, a, b, lambda x, y: given["atol"] + given["rtol"] * abs(y) - abs(x - y), distance=True)
        return function(a, b, *rest, **options)

    of_isclose = of_allclose

    def of_between(self, text: str, method: Callable, low: Any, high: Any, **options: Any) -> Any:
        self.note(f"{text} (low)", method.__self__, low, lambda a, b: a - b)
        self.note(f"{text} (high)", method.__self__, high, lambda a, b: b - a)
        return method(low, high, **options)

    def monotonic(self, text: str, way: str, series: Any) -> bool:
        values = series.to_numpy()
        before, after = values[:-1], values[1:]
        self.note(text, after, before, (lambda a, b: a - b) if way.endswith("increasing") else (lambda a, b: b - a))
        return getattr(series, way)

    def note(self, text: str, left: Any, right: Any, slack: Callable, distance: bool = False) -> None:
        """Keep value, bound and slack of the entry that is nearest its edge; nothing if no numbers."""
        import numpy as np

        try:
            a, b = (np.asarray(getattr(v, "detach", lambda v=v: v)(), dtype=float) for v in (left, right))
            a, b = np.broadcast_arrays(a, b)
            room = slack(a, b)
            at = np.unravel_index(np.nanargmin(room), room.shape)
        except (TypeError, ValueError, RuntimeError):
            return
        value, bound = (abs(a[at] - b[at]), room[at] + abs(a[at] - b[at])) if distance else (a[at], b[at])
        part = {"text": text, "value": float(value), "bound": float(bound), "slack": float(room[at])}
        if np.isfinite(list(part.values())[1:]).all():
            self.parts.append(part)
