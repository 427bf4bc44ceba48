"""Contenders side by side: one process each, that take turns of one epoch each."""

import contextlib
import multiprocessing
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import NamedTuple

import torch

Trains = Callable[[Callable[[], None]], None]  # trains until the callback it is given raises


class Turn(NamedTuple):
    """What one epoch took, and the most megabytes that its process has held until its end."""

    cpu: float
    wall: float
    peak: float


class Contest:
    """Contenders in processes of their own, warmed up and waiting.

    A process each, since what one does to the allocator outlives its turn, and for its peak of memory;
    turns, since other work on the machine should meet all of them alike.
    """

    def __init__(self, contenders: Sequence[Trains]) -> None:
        context = _processes()
        self._pipes, self._processes = [], []
        for contender in contenders:
            pipe, far_end = context.Pipe()
            process = context.Process(target=_serve, args=(far_end, contender), daemon=True)
            process.start()
            far_end.close()
            self._pipes.append(pipe)
            self._processes.append(process)

    def __enter__(self) -> "Contest":
        for pipe in self._pipes:
            pipe.recv()  # end of the first epoch, which nobody times
        return self

    def __exit__(self, *_error) -> None:
        for process, pipe in zip(self._processes, self._pipes):
            pipe.close()  # who waits for a turn goes home
            process.join(timeout=5)
            process.terminate()  # who does not, after an error here, is sent
            process.join()

    def run(self, repeats: int, threads: int) -> list[list[Turn]]:
        """Every turn of every contender."""
        turns: list[list[Turn]] = [[] for _ in self._pipes]
        for _ in range(repeats):
            for pipe, mine in zip(self._pipes, turns):
                pipe.send(threads)
                mine.append(pipe.recv())
        return turns


def _processes() -> multiprocessing.context.BaseContext:
    """Processes that are born clean, from a server that has done the imports once for all.

    Their threads sleep rather than spin where they wait for each other: on a machine that is not
    idle, spinning makes two threads ten times as slow as one, and the figures worthless.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["belamy.game", "torchvision", "torch.optim"])
    return context


def median_ratio(theirs: Sequence[float], ours: Sequence[float]) -> float:
    """How many times as fast we are: the median over pairs of neighbouring turns."""
    return statistics.median(a / b for a, b in zip(theirs, ours, strict=True))


def _serve(pipe: Connection, contender: Trains) -> None:
    torch.set_num_threads(1)
    started: tuple[float, float] | None = None

    def epoch_end() -> None:
        nonlocal started
        if torch.cuda.is_initialized():
            torch.cuda.synchronize()
        cpu, wall = time.process_time(), time.perf_counter()
        pipe.send(Turn(cpu - started[0], wall - started[1], peak_memory()) if started else None)
        torch.set_num_threads(pipe.recv())
        started = time.process_time(), time.perf_counter()

    with contextlib.suppress(EOFError, BrokenPipeError):  # the contest is over
        contender(epoch_end)


def peak_memory() -> float:
    """Megabytes of this process; on Linux without what the parent held, which getrusage counts."""
    try:
        with open("/proc/self/status", encoding="utf-8") as status:
            return next(int(line.split()[1]) / 1e3 for line in status if line.startswith("VmHWM"))
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
