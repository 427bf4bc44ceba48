"""A loss measured on data that nobody trains on."""

import torch

from belamy.data.image_set import ImageSet
from belamy.errors import InputError
from belamy.game.batches import Batch, Batches
from belamy.game.players import Game, Loss
from belamy.randomness import Noise


@torch.no_grad()
def evaluate(
    game: Game,
    loss: Loss,
    data: ImageSet | torch.Tensor,
    draws: int = 1,
    seed: int = 0,
    batch_size: int = 256,
) -> dict[str, float]:
    """The mean of a loss over every row of the data, nets in evaluation mode.

    Args:
        loss: ``loss(nets, batch, noise)``, as a Player's; a mean over its batch.
        draws: how many times each row is seen, each time with fresh noise.

    Returns:
        "total", and the terms where the loss names them.

    Raises:
        InputError: draws below 1, or data that cannot be used.
    """
    if draws < 1:
        raise InputError(f"draws={draws!r} must be at least 1")
    batches = Batches(data, min(batch_size, len(data)), seed, game.device)
    noise = Noise(game.device)
    game.nets.eval()
    sums: dict[str, float] = {}
    rows = torch.arange(len(data), device=game.device)
    for draw in range(draws):
        for number, index in enumerate(rows.split(batches.batch_size)):
            value = loss(game.nets, Batch(batches, index), noise.at(seed, f"evaluate {draw}", number))
            terms = dict(value) if not isinstance(value, torch.Tensor) else {}
            terms["total"] = sum(terms.values()) if terms else value
            for name, term in terms.items():
                sums[name] = sums.get(name, 0.0) + term.item() * len(index)
    return {name: total / (draws * len(data)) for name, total in sums.items()}
