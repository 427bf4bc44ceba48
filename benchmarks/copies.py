"""Many copies of one game: the ensemble against training them one by one, in turns."""

import statistics
import time
from collections.abc import Callable

import torch

from belamy import ava, ensemble, nets
from belamy.game import Game
from benchmarks.contest import median_ratio

SHAPE, LATENT, HIDDEN = (3, 100, 64), 10, 16  # the chapter on the AVA experiment
MODELS, RATES, SEEDS, ROUNDS = 7, 19, 10, 36  # its whole sweep


class Judge(nets.MLP):
    """Images or codes to logits (B,)."""

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return super().forward(rows.flatten(1)).squeeze(1)


def game() -> Game:
    """AVA5, which has all the nets."""
    pixels = torch.Size(SHAPE).numel()
    return ava.game(
        "AVA5",
        nets.MLPEncoder(SHAPE, LATENT, (HIDDEN,)),
        nets.MLPDecoder(SHAPE, LATENT, (HIDDEN,)),
        Judge(pixels, HIDDEN, 1),
        Judge(LATENT, HIDDEN, 1),
    )


def versus(device: str, method: str, copies: int, rounds: int, repeats: int) -> tuple[float, float, float]:
    """Copies times rounds a second by the method and one by one, and the median ratio of turns.

    Seconds are those on the clock, since the processes' CPU time is not this process's.
    """
    data = torch.rand(ROUNDS, *SHAPE, generator=torch.Generator().manual_seed(0))
    settings = {"rates": [0.01 / (k + 1) for k in range(copies)], "rounds": rounds, "batch_size": 1}
    settings |= {"device": device, "progress": False}
    ways = (method, "one by one")
    torch.set_num_threads(1)  # as every process of the ensemble
    for way in ways:  # processes start, kernels are chosen
        ensemble.train(game(), data, method=way, **settings | {"rounds": 1})
    seconds = {way: [] for way in ways}
    for _ in range(repeats):
        for way in ways:
            seconds[way].append(_time(lambda: ensemble.train(game(), data, method=way, **settings)))  # noqa: B023
    ours, theirs = (copies * rounds / statistics.median(seconds[way]) for way in ways)
    return ours, theirs, median_ratio(seconds["one by one"], seconds[method])


def whole_sweep(steps_a_second: float) -> float:
    """Minutes that all models, rates and seeds take at one pass of the images."""
    return MODELS * RATES * SEEDS * ROUNDS / steps_a_second / 60


def _time(work: Callable[[], object]) -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    started = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started
