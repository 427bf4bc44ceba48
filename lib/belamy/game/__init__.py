"""Games: players that train nets against or beside each other, and the loop that plays them."""

from belamy.game.batches import Batch
from belamy.game.evaluate import evaluate
from belamy.game.fit import fit
from belamy.game.history import History
from belamy.game.optimizers import linear_to_zero
from belamy.game.players import Average, Game, Group, Player
from belamy.game.pool import Pool
from belamy.randomness import Noise, latents

__all__ = [
    "Average", "Batch", "Game", "Group", "History", "Noise", "Player", "Pool", "evaluate", "fit", "latents",
    "linear_to_zero",
]  # fmt: skip
