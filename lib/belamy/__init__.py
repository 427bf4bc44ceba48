"""The thin library of Belamy, an executable textbook of deep generative models.

Rooms, from the ground up, each importing only rooms before it: ``errors``, ``randomness``,
``data``, ``runs``, ``claims``, ``nets``, ``divergences``, ``losses``, ``likelihood``, ``metrics``,
``features``, ``game``, ``ensemble``, ``ava``, ``plots``, ``spirals``, ``widgets``, ``sweep``,
``profiles``, ``check``.
"""

from belamy.profiles import Setup, setup

__all__ = ["Setup", "setup"]
__version__ = "0.1.0"
