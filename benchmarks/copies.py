"""Many copies of one game: the ensemble against training them one by one, in turns."""

import statistics
import time

import torch

from belamy import ava, ensemble, nets
from belamy.game import Game
from benchmarks.contest import median_ratio

SHAPE, LATENT, HIDDEN, IMAGES = (3, 100, 64), 10, 16, 36  # the chapter on the AVA experiment
SWEEP = 7 * 19 * 10 * IMAGES  # steps of its whole sweep: models, rates, seeds


def game() -> Game:
    """AVA5, which has all the nets."""
    pixels = torch.Size(SHAPE).numel()
    return ava.game(
        "AVA5",
        nets.MLPEncoder(SHAPE, LATENT, (HIDDEN,)),
        nets.MLPDecoder(SHAPE, LATENT, (HIDDEN,)),
        torch.nn.Sequential(torch.nn.Flatten(), nets.MLP(pixels, HIDDEN, 1), torch.nn.Flatten(0)),
        torch.nn.Sequential(nets.MLP(LATENT, HIDDEN, 1), torch.nn.Flatten(0)),
    )


def versus(device: str, method: str, copies: int, rounds: int, repeats: int) -> tuple[float, float, float]:
    """Copies times rounds a second by the method and one by one, and the median ratio of turns.

    Seconds are those on the clock, since the processes' CPU time is not this process's.
    """
    data = torch.rand(IMAGES, *SHAPE, generator=torch.Generator().manual_seed(0))
    settings = {"rates": [0.01 / (k + 1) for k in range(copies)], "rounds": rounds, "batch_size": 1}
    settings |= {"device": device, "progress": False}
    ways = (method, "one by one")
    torch.set_num_threads(1)  # as every process of the ensemble
    for way in ways:  # processes start, kernels are chosen
        ensemble.train(game(), data, method=way, **settings | {"rounds": 1})
    seconds = {way: [] for way in ways}
    for way in ways * repeats:
        started = _now()
        ensemble.train(game(), data, method=way, **settings)
        seconds[way].append(_now() - started)
    ours, theirs = (copies * rounds / statistics.median(seconds[way]) for way in ways)
    return ours, theirs, median_ratio(seconds["one by one"], seconds[method])


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
