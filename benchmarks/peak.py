"""What the machine can do, and what a model asks of it."""

import time
from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.models import Contender


def peak(device: str, dtype: torch.dtype, seconds: float = 1.0) -> float:
    """Best FLOP/s of a matrix product and of a 4x4 stride-2 convolution, one thread on a CPU.

    Counted per CPU-second on the CPU, per second elsewhere.
    """
    side, batch = (1024, 16) if device == "cpu" else (8192, 1024)
    a = torch.randn(side, side, device=device, dtype=dtype)
    x = torch.randn(batch, 64, 32, 32, device=device, dtype=dtype)
    x = x.to(memory_format=torch.channels_last)
    net = torch.nn.Conv2d(64, 128, 4, 2, 1, device=device, dtype=dtype)
    net = net.to(memory_format=torch.channels_last)
    convolution_flops = 2 * batch * 64 * 128 * 16 * 16 * 16
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            return max(
                _rate(lambda: a @ a, 2 * side**3, device, seconds),
                _rate(lambda: net(x), convolution_flops, device, seconds),
            )
    finally:
        torch.set_num_threads(threads)


def _rate(work: Callable[[], object], flops: int, device: str, seconds: float) -> float:
    """The best of the spells of about a tenth of the given time."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    synchronise = torch.cuda.synchronize if device == "cuda" else lambda: None
    work()
    synchronise()
    best, end = 0.0, time.perf_counter() + seconds
    while time.perf_counter() < end or not best:
        start, count = clock(), 0
        while clock() - start < seconds / 10:
            for _ in range(4):
                work()
            count += 4
            synchronise()
        best = max(best, flops * count / (clock() - start))
    return best


class _Enough(Exception):
    pass


def flops_per_image(contender: Contender) -> float:
    """FLOPs of matrix products and convolutions that a contender spends on one image."""

    def epoch_end() -> None:
        raise _Enough

    counter = FlopCounterMode(display=False)
    try:
        with counter:
            contender(epoch_end)
    except _Enough:
        return counter.get_total_flops() / contender.images_a_turn
    raise AssertionError("a contender trains until it is told that it is enough")
