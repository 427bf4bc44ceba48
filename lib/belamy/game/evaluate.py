"""A loss measured on data that nobody trains on."""

from collections.abc import Mapping

import torch

from belamy._checks import whole_number
from belamy.errors import InputError
from belamy.game.batches import Batch, Batches, Data, SeveralBatches
from belamy.game.players import Game, Loss
from belamy.losses import Term
from belamy.randomness import Noise


def evaluate(
    game: Game,
    loss: Loss,
    data: Data | Mapping[str, Data],
    draws: int = 1,
    seed: int = 0,
    batch_size: int = 256,
) -> dict[str, float]:
    """The mean of a loss over every row of the data, nets in evaluation mode.

    Parameters are frozen meanwhile, so that nothing is stored for a gradient that nobody takes; a loss
    that takes one itself, a gradient penalty, say, can, under ``torch.no_grad`` too.

    Args:
        loss: ``loss(nets, batch, noise)``, as a Player's; a mean over its batch.
        data: as in ``fit``; several sets must have equally many rows.
        draws: how many times each row is seen, each time with fresh noise.

    Returns:
        "total", and the terms where the loss names them.

    Raises:
        InputError: draws below 1, data that cannot be used, a loss that is not a scalar.
    """
    draws, batch_size = whole_number("draws", draws, 1), whole_number("batch_size", batch_size, 1)
    if not callable(loss):
        raise InputError(f"loss={loss!r} cannot be called; pass a function of nets, batch and noise")
    batches = Batches(data, 1, seed, game.device, game.dtype)
    lengths = {len(rows) for rows in batches.sets.values()}
    if len(lengths) > 1:
        raise InputError(f"sets of {sorted(lengths)} rows have no mean in common: pass equally many of each")
    count = lengths.pop()
    noise = Noise(game.device, dtype=game.dtype)
    game.nets.eval()
    moved = [parameter for parameter in game.nets.parameters() if parameter.requires_grad]
    sums: dict[str, float] = {}
    try:
        for parameter in moved:
            parameter.requires_grad = False
        with torch.enable_grad():
            for draw in range(draws):
                for number, index in enumerate(torch.arange(count, device=game.device).split(batch_size)):
                    drawn = {name: Batch(rows, index) for name, rows in batches.sets.items()}
                    batch = SeveralBatches(drawn) if batches.several else drawn[""]
                    value = loss(game.nets, batch, noise.at(seed, f"evaluate {draw}", number))
                    terms, parts = {}, [value]
                    if isinstance(value, Mapping):
                        named = {n: t if isinstance(t, Term) else Term(t) for n, t in value.items()}
                        terms = {n: t.value for n, t in named.items()}
                        weighted = [t for t in named.values() if isinstance(t.weight, torch.Tensor) or t.weight]
                        parts = [t.value if t.weight is Term.weight else t.weight * t.value for t in weighted]
                    terms["total"] = sum(parts)
                    for name, term in terms.items():
                        if isinstance(term, torch.Tensor) and term.dim():
                            raise InputError(f"{name} is of shape {tuple(term.shape)}; expected a scalar, a mean")
                        number_of = term.item() if isinstance(term, torch.Tensor) else float(term)
                        sums[name] = sums.get(name, 0.0) + number_of * len(index)
    finally:
        for parameter in moved:
            parameter.requires_grad = True
    return {name: total / (draws * count) for name, total in sums.items()}
