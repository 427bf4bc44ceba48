"""``python -m benchmarks [vae dcgan mlp inputs loop ensemble metrics]``: every figure of the book on speed.

Models: ``fit`` against a plain textbook loop, in turns. On the CPU the firm figure is images per
CPU-second on one thread, which other work on the machine hardly moves; images per second on two
threads stand beside it. On CUDA it is images per second. "ours" is ``fit``, "theirs" the textbook;
a share of the peak counts every FLOP spent against the best matrix product or convolution found.
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
from benchmarks.models import MODELS, Contender, Model
from benchmarks.peak import flops_per_image, peak
from benchmarks.report import Row, table


@dataclass(frozen=True)
class Budget:
    """How much to measure."""

    repeats: int = 5
    batch_size: int = 64
    scale: float = 1.0  # of the steps of a turn, and of the other counts
    seconds: float = 1.0  # for each of the two kinds of peak

    def scaled(self, count: int) -> int:
        """A count of things to do within the budget."""
        return max(1, round(count * self.scale))


TINY = Budget(repeats=1, batch_size=8, scale=0.01, seconds=0.02)


def cpu_has_bf16() -> bool:
    """Whether bf16 is fast on this processor: avx512_bf16 or amx."""
    known = torch.cpu.get_capabilities()
    return bool(known.get("avx512_bf16") or known.get("amx_bf16"))


def model_on_cpu(model: Model, budget: Budget) -> Iterator[Row]:
    """fp32, and bf16 where the processor has it; one thread, then two."""
    ways = ["textbook", "fp32", *(["bf16"] if cpu_has_bf16() else [])]
    steps = budget.scaled(model.steps)
    contenders = [Contender(model.name, way, "cpu", budget.batch_size, steps) for way in ways]
    with Contest(contenders) as contest:
        alone = contest.run(budget.repeats, threads=1)
        both = contest.run((budget.repeats + 1) // 2, threads=2)
    cpu = [[cpu for cpu, _ in turns] for turns in alone]
    wall = [[wall for _, wall in turns] for turns in both]
    count = contenders[0].images_a_turn
    flops = [flops_per_image(Contender(model.name, way, "cpu", 8, 1)) for way in ways[:2]]
    fp32 = peak("cpu", torch.float32, budget.seconds)
    for way, mine, mine2 in zip(ways[1:], cpu[1:], wall[1:]):
        top = fp32 if way == "fp32" else peak("cpu", torch.bfloat16, budget.seconds)
        rates = _rate(count, mine), _rate(count, cpu[0])
        yield Row(
            f"{model.name}, {way}, 1 thread",
            *rates,
            "img/cpu-s",
            ratio=median_ratio(cpu[0], mine),
            shares=(rates[0] * flops[1] / top, rates[1] * flops[0] / fp32),
            at_least=model.targets.get(way),
        )
        yield Row(
            f"{model.name}, {way}, 2 threads",
            _rate(count, mine2),
            _rate(count, wall[0]),
            "img/s",
            ratio=median_ratio(wall[0], mine2),
        )


def model_on_cuda(model: Model, budget: Budget) -> Iterator[Row]:
    """``precision="auto"`` against the recipe with two workers."""
    steps, name = budget.scaled(model.cuda_steps), model.name
    contenders = [
        Contender(name, "auto", "cuda", budget.batch_size, steps),
        Contender(name, "textbook", "cuda", budget.batch_size, steps, workers=2),
    ]
    with Contest(contenders) as contest:
        turns = contest.run(budget.repeats, threads=torch.get_num_threads())
    ours, theirs = ([wall for _, wall in mine] for mine in turns)
    count = contenders[0].images_a_turn
    flops = flops_per_image(Contender(name, "fp32", "cpu", 8, 1))
    dtype = torch.bfloat16 if torch.cuda.is_bf16_supported(False) else torch.float32
    top = peak("cuda", dtype, budget.seconds)
    rates = _rate(count, ours), _rate(count, theirs)
    yield Row(
        f"{name}, auto, cuda",
        *rates,
        "img/s",
        ratio=median_ratio(theirs, ours),
        shares=tuple(rate * flops / top for rate in rates),
        at_least=model.targets.get("cuda"),
    )


def model_rows(name: str, budget: Budget) -> Iterator[Row]:
    """One model on every device of this machine."""
    yield from model_on_cpu(MODELS[name], budget)
    if torch.cuda.is_available():
        yield from model_on_cuda(MODELS[name], budget)


def input_rows(budget: Budget) -> Iterator[Row]:
    """Batches, and folders of pictures."""
    count = max(64, budget.scaled(2048))
    ours, theirs, ratio = inputs.resident((1, 28, 28), count, budget.repeats)
    yield Row("batches 28x28x1, PIL items", ours, theirs, "img/cpu-s", ratio, at_least=50)
    ours, theirs, ratio = inputs.resident((3, 64, 64), count, budget.repeats)
    yield Row("batches 64x64x3, PIL items", ours, theirs, "img/cpu-s", ratio)
    ours, theirs, ratio = inputs.resident_faces(max(64, count // 8), budget.repeats)
    yield Row("batches 64x64x3, JPEGs of faces", ours, theirs, "img/cpu-s", ratio, at_least=50)
    first, again = inputs.folders(max(2, budget.scaled(64)), budget.repeats)
    for what, target, found in (("first", 2, first), ("second", None, again)):
        ours, theirs, ratio = found
        what = f"folder of JPEGs, {what} time; PIL Lanczos"
        yield Row(what, ours, theirs, "img/cpu-s", ratio, at_least=target)


def loop_rows(budget: Budget) -> Iterator[Row]:
    """Time of a step over bare torch; waits for the device."""
    for device in ("cpu", *(["cuda"] if torch.cuda.is_available() else [])):
        for game in loop.GAMES:
            rounds = budget.scaled(200)
            ours, theirs = loop.overhead(game, device, 3 * budget.repeats, rounds)
            yield Row(f"a step of a tiny {game}, {device}", ours, theirs, "us")
            yield Row("  fit over bare torch", ours - theirs, None, "us", at_most=50)
    if torch.cuda.is_available():
        waits = loop.synchronisations(rounds=200, log_every=50)
        yield Row("waits for the device in 200 rounds, 4 logs", waits, None, "", at_most=4)


def ensemble_rows(budget: Budget) -> Iterator[Row]:
    """Copies of AVA5 at once against one by one, and the time of the AVA sweep that follows."""
    ways = [("cpu", "processes", 16, None), ("cpu", "batched", 16, None)]
    if torch.cuda.is_available():
        ways = [*ways, ("cuda", "batched", 190, 30)]
    for device, method, count, target in ways:
        count, rounds = max(2, budget.scaled(count)), budget.scaled(36)
        ours, theirs, ratio = copies.versus(device, method, count, rounds, budget.repeats)
        what = f"{count} copies of AVA5, {method}, {device}"
        yield Row(what, ours, theirs, "rounds/s", ratio, at_least=target)
        whole = copies.whole_sweep(ours), copies.whole_sweep(theirs)
        yield Row("  whole sweep, 7 x 19 x 10 copies", *whole, "min", ratio)


def metric_rows(budget: Budget) -> Iterator[Row]:
    """Metrics of 10,000 images' features against the packages'."""
    from benchmarks import metrics  # the packages take seconds to import

    count, wide, narrow = (budget.scaled(full) for full in (10_000, 2048, 512))
    tasks = [
        metrics.frechet(count, wide),
        metrics.kernel(count, wide, budget.scaled(100), budget.scaled(1000)),
        metrics.coverage(count, narrow),
        metrics.all_four(count, narrow),
    ]
    for task in tasks:
        ours, others = metrics.versus(task, (budget.repeats + 1) // 2)
        for name, (theirs, ratio) in others.items():
            yield Row(f"{task.what}; {name}", ours, theirs, "cpu-s", ratio, at_least=task.at_least)


PARTS: dict[str, Callable[[Budget], Iterator[Row]]] = {
    "vae": lambda budget: model_rows("study's VAE 64x64x3", budget),
    "dcgan": lambda budget: model_rows("DCGAN 64x64x3", budget),
    "mlp": lambda budget: model_rows("MLP VAE 784-400-20", budget),
    "inputs": input_rows,
    "loop": loop_rows,
    "ensemble": ensemble_rows,
    "metrics": metric_rows,
}


def _rate(count: int, seconds: list[float]) -> float:
    return count / statistics.median(seconds)


def _machine() -> str:
    # Where others work, too, threads wait for each other: figures of two threads are not firm.
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    known = [f"torch {torch.__version__}", f"{os.cpu_count()} cores{load}"]
    if torch.cuda.is_available():
        known.append(torch.cuda.get_device_name())
    return "; ".join(known)


def main() -> None:
    """Run the parts that are asked for, print a table, and write JSON where told to."""
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
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
