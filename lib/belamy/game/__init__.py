"""Games: players that train nets against or beside each other, and the loop that plays them."""

from belamy.game.batches import Batch
from belamy.game.evaluate import evaluate
from belamy.game.fit import fit
from belamy.game.history import History
from belamy.game.players import Game, Group, Player
from belamy.randomness import Noise, latents

__all__ = ["Batch", "Game", "Group", "History", "Noise", "Player", "evaluate", "fit", "latents"]
