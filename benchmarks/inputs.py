"""What it costs to be ready: the engine imported, a batch as a tensor."""

import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median

import torch

from belamy.data import ImageSet
from belamy.game.batches import Batches
from benchmarks.contest import median_ratio
from benchmarks.textbook import pil_items

IMPORTS = ("import belamy.game", "import torch")
_PROGRAM = "{}; import time; print(time.process_time())"


def start_up(repeats: int) -> tuple[float, float, float]:
    """CPU-seconds of a Python that imports the engine, and one that imports torch; the median difference."""
    seconds = {program: [] for program in IMPORTS}
    for program in IMPORTS * (repeats + 1):  # the first turn reads the files from disk
        command = (sys.executable, "-c", _PROGRAM.format(program))
        seconds[program].append(float(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))
    ours, theirs = (seconds[program][1:] for program in IMPORTS)
    more = median(mine - other for mine, other in zip(ours, theirs))
    return median(ours), median(theirs), more


def resident(shape: tuple[int, int, int], count: int, repeats: int) -> tuple[float, float, float]:
    """Batches of 64 from one uint8 tensor against a DataLoader of PIL images with ToTensor.

    Returns our images per CPU-second, theirs, our ratio to theirs.
    """
    torch.set_num_threads(1)
    images = torch.randint(0, 256, (count, *shape), dtype=torch.uint8)
    items = pil_items(images, 64)
    batches = Batches(ImageSet(images, "random"), 64, 0, torch.device("cpu"))

    def ours() -> None:
        for step in range(batches.per_epoch):
            _ = batches.draw("inputs", step).x  # gathered when it is asked for

    def theirs() -> None:
        for _ in items:
            pass

    _seconds(ours), _seconds(theirs)
    mine, other = zip(*((_seconds(ours), _seconds(theirs)) for _ in range(repeats)))
    seen = batches.per_epoch * 64
    return seen / median(mine), seen / median(other), median_ratio(other, mine)


def _seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return max(time.process_time() - start, 1e-9)
