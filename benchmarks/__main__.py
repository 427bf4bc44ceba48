"""``python -m benchmarks [PART ...]``: every figure of the book on speed and memory.

"ours" is ``fit``, "theirs" a plain loop of the public recipe, in turns: as shipped, where a batch is made
of PIL images, and with ready batches. On the CPU the firm figure is images per CPU-second on one thread,
which other work on the machine hardly moves; on CUDA it is images per second. The plain loop of Keras'
shape stands for Keras itself, which is no part of the book's environment.
"""

import argparse
import json
import os
import statistics
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from benchmarks import copies, inputs, loop
from benchmarks.contest import Contest, median_ratio
from benchmarks.models import MODELS, Contender
from benchmarks.report import Row, table


@dataclass(frozen=True)
class Budget:
    """How much to measure."""

    repeats: int = 5
    batch_size: int = 64
    scale: float = 1.0  # of the steps of a turn, and of the other counts

    def scaled(self, count: int) -> int:
        """A count of things to do within the budget."""
        return max(1, round(count * self.scale))


TINY = Budget(repeats=1, batch_size=4, scale=0.01)


def model_rows(name: str, budget: Budget) -> Iterator[Row]:
    """One model on the CPU, in bf16, too, where the processor has it; and on CUDA where there is one."""
    known = torch.cpu.get_capabilities()
    bf16 = ["bf16"] if known.get("avx512_bf16") or known.get("amx_bf16") else []
    yield from _model_on("cpu", ["fp32", *bf16], 0, name, budget)
    if torch.cuda.is_available():
        yield from _model_on("cuda", ["auto"], 2, name, budget)


def _model_on(device: str, precisions: list[str], workers: int, name: str, budget: Budget) -> Iterator[Row]:
    model = MODELS[name]
    steps = budget.scaled(model.steps if device == "cpu" else model.cuda_steps)
    peers = ("as shipped", "ready batches")
    ways = [
        Contender(name, way, device, budget.batch_size, steps, workers) for way in (*peers, *precisions)
    ]
    with Contest(ways) as contest:
        turns = contest.run(budget.repeats, threads=1 if device == "cpu" else torch.get_num_threads())
    clock = "cpu" if device == "cpu" else "wall"
    seconds = {way.way: [getattr(turn, clock) for turn in mine] for way, mine in zip(ways, turns)}
    peaks = {way.way: mine[-1].peak for way, mine in zip(ways, turns)}
    rates = {way: ways[0].images_a_turn / statistics.median(own) for way, own in seconds.items()}
    unit = "img/cpu-s" if device == "cpu" else "img/s"
    for ours in precisions:
        for peer in peers:
            target = model.targets.get(ours if device == "cpu" else device) if peer == "as shipped" else None
            ratio = median_ratio(seconds[peer], seconds[ours])
            what = f"{name}, {ours}, {device}; {peer}"
            yield Row(what, rates[ours], rates[peer], unit, ratio, at_least=target)
        memory = peaks[ours], peaks["ready batches"]
        yield Row("  peak memory; ready batches", *memory, "MB", memory[1] / memory[0], at_least=1.0)


def start_rows(budget: Budget) -> Iterator[Row]:
    """CPU-seconds until the engine is there."""
    ours, theirs, more = inputs.start_up(budget.repeats)
    yield Row("import belamy.game; import torch", ours, theirs, "cpu-s")
    yield Row("  the engine's own share", more, None, "cpu-s", at_most=0.3)


def input_rows(budget: Budget) -> Iterator[Row]:
    """Batches from memory."""
    ours, theirs, ratio = inputs.resident((1, 28, 28), max(64, budget.scaled(2048)), budget.repeats)
    yield Row("batches 28x28x1; PIL items", ours, theirs, "img/cpu-s", ratio, at_least=50)


def loop_rows(budget: Budget) -> Iterator[Row]:
    """Time of a step over bare torch."""
    for device in ("cpu", *(["cuda"] if torch.cuda.is_available() else [])):
        for game in loop.GAMES:
            ours, theirs = loop.overhead(game, device, 3 * budget.repeats, budget.scaled(200))
            yield Row(f"a step of a tiny {game}, {device}; bare torch", ours, theirs, "us")
            yield Row("  fit's own share", ours - theirs, None, "us", at_most=50)


def ensemble_rows(budget: Budget) -> Iterator[Row]:
    """Copies of AVA5 at once against one by one, and the time of the AVA sweep that follows."""
    ways = [("cpu", "processes", 16, None), ("cpu", "batched", 16, None)]
    if torch.cuda.is_available():
        ways = [*ways, ("cuda", "batched", 190, 30)]
    for device, method, count, target in ways:
        count, rounds = max(2, budget.scaled(count)), budget.scaled(36)
        ours, theirs, ratio = copies.versus(device, method, count, rounds, budget.repeats)
        what = f"{count} copies of AVA5, {method}, {device}; one by one"
        yield Row(what, ours, theirs, "rounds/s", ratio, at_least=target)
        yield Row("  whole sweep", copies.SWEEP / ours / 60, copies.SWEEP / theirs / 60, "min", ratio)


def metric_rows(budget: Budget) -> Iterator[Row]:
    """Metrics of 10,000 images' features against the packages'."""
    from benchmarks import metrics  # the packages take seconds to import

    count, wide, narrow = (budget.scaled(full) for full in (10_000, 2048, 512))
    kernel = (wide, budget.scaled(100), budget.scaled(1000))
    tasks = {
        f"Fréchet distance, {wide} features": metrics.frechet(count, wide),
        f"kernel distance, {wide} features": metrics.kernel(count, *kernel),
        f"density and coverage, {narrow} features": metrics.coverage(count, narrow),
    }
    for what, ways in tasks.items():
        ours, others = metrics.versus(ways, (budget.repeats + 1) // 2)
        for name, (theirs, ratio) in others.items():
            yield Row(f"{what}; {name}", ours, theirs, "cpu-s", ratio, at_least=1)


def _model(name: str) -> Callable[[Budget], Iterator[Row]]:
    return lambda budget: model_rows(name, budget)


TRAINED = ("vae", "dcgan", "mlp", "keras", "wgan", "vaegan", "cyclegan")
PARTS: dict[str, Callable[[Budget], Iterator[Row]]] = {
    **{part: _model(name) for part, name in zip(TRAINED, MODELS, strict=True)},
    "start": start_rows,
    "loop": loop_rows,
    "inputs": input_rows,
    "ensemble": ensemble_rows,
    "metrics": metric_rows,
}


def _machine() -> str:
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    known = [f"torch {torch.__version__}", f"{os.cpu_count()} cores{load}"]
    if torch.cuda.is_available():
        known.append(torch.cuda.get_device_name())
    return "; ".join(known)


def main() -> None:
    """Run the parts that are asked for, print a table, and write JSON where told to."""
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{' '.join(PARTS)}; default: all")
    parser.add_argument("--repeats", type=int, default=5, help="turns of every contender")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"no such part: {min(unknown)}; there are {', '.join(PARTS)}")
    if arguments.repeats < 1:
        parser.error("--repeats must be at least 1")
    rows = []
    for part in arguments.parts or PARTS:
        print(f"measuring: {part} ...", flush=True)
        rows += PARTS[part](Budget(repeats=arguments.repeats))
    print(f"\n{_machine()}\n{table(rows)}")
    if arguments.json:
        figures = [asdict(row) | {"verdict": row.verdict} for row in rows]
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
