"""The thin library of Belamy, an executable textbook of deep generative models.

Rooms, from the ground up, each importing only rooms before it: ``errors``, ``randomness``,
``data``, ``runs``, ``claims``, ``nets``, ``divergences``, ``losses``, ``likelihood``, ``metrics``,
``features``, ``game``, ``ensemble``, ``ava``, ``plots``, ``widgets``, ``sweep``.
"""

import os
import platform
import sys

__version__ = "0.1.0"

PROFILES = ("cpu", "gpu")


def setup(profile: str = "auto", seed: int = 0) -> str:
    """Prepare a chapter's kernel, seed torch, print one line on it, and return the profile in force.

    "auto" is $BELAMY_PROFILE if set, else "cpu": real training at small size on one thread, so
    that the outputs repeat. "gpu" is the sources' own scale and is only used when asked for.

    Raises:
        BelamyError: Python or torch is too old, or the profile is unknown.
    """
    import warnings

    import torch

    from belamy import plots
    from belamy.errors import BelamyError, InputError

    if sys.version_info < (3, 11):
        raise BelamyError(f"Python {platform.python_version()} is too old; use 3.11 to 3.13")
    if tuple(int(part) for part in torch.__version__.split(".")[:2]) < (2, 10):
        raise BelamyError(
            f"torch {torch.__version__} is too old; install torch>=2.10, or choose a newer runtime"
        )
    if profile == "auto":
        profile = os.environ.get("BELAMY_PROFILE", "cpu")
    if profile not in PROFILES:
        raise InputError(f"profile={profile!r} is not one of 'auto', {PROFILES}")
    if profile == "cpu":
        torch.set_num_threads(int(os.environ.get("BELAMY_THREADS", "1")))
    torch.manual_seed(seed)  # what nets are built with; all else draws by (seed, purpose)
    # torch.func still uses torch.jit inside and warns its users about it.
    warnings.filterwarnings("ignore", "`torch.jit", FutureWarning)
    plots.style()
    print(
        f"belamy {__version__}, Python {platform.python_version()}, torch {torch.__version__}, "
        f"profile {profile}, seed {seed}"
    )
    return profile
