"""How a chapter begins: which profile, seed, device and settings are in force here.

"cpu" is real training at small size, on one thread, so that the outputs repeat. "gpu" is the sources'
own scale, on the reader's GPU.
"""

import ast
import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from belamy.errors import BelamyError, InputError

PROFILES = ("cpu", "gpu")
CPU_FOR_GPU = 50  # times as long: an H100 trains these nets as fast as 50 to 1,000 cores


@dataclass(frozen=True)
class Setup:
    """What is in force in a chapter; its settings are attributes: ``run.epochs``.

    Attributes:
        profile: "cpu" or "gpu".
        seed: of all that the chapter draws.
        device: a ``torch.device``, where its games are trained.
        settings: the chapter's settings by name, as the profile and the reader have chosen them.
    """

    profile: str
    seed: int
    device: Any
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Any:
        settings = object.__getattribute__(self, "settings") if name != "settings" else {}
        if name not in settings:
            raise AttributeError(f"no setting is called {name!r}; there are {', '.join(settings) or 'none'}")
        return settings[name]


def setup(
    profile: str = "auto",
    seed: int = 0,
    *,
    cpu: Mapping[str, Any] | None = None,
    gpu: Mapping[str, Any] | None = None,
    override: Mapping[str, Any] | None = None,
    confirmed: bool = False,
) -> Setup:
    """Prepare a chapter's kernel, seed torch, say what is in force, and show the chapter's settings.

    The cpu profile trains on the CPU, on one thread (or $BELAMY_THREADS). The gpu profile trains on
    $BELAMY_DEVICE, else on the GPU that the machine has, and there the book's assertions, whose numbers
    are those of the cpu profile, are printed where they differ instead of raised.

    Args:
        profile: "auto" is $BELAMY_PROFILE if set, else "cpu".
        cpu, gpu: the chapter's settings at either scale: the same names, ``minutes`` among them, how
            long the chapter takes there.
        override: the reader's own values of single settings, ``{"epochs": 2}``.
        confirmed: train at the sources' scale even where there is no GPU.

    Raises:
        BelamyError: Python or torch is too old.
        InputError: the profile, a setting or the device is unknown, the two columns of settings differ in
            their names, or the machine has no GPU and nobody has confirmed the hours that it would take.
    """
    import warnings

    import torch

    from belamy import __version__, plots
    from belamy._checks import MAX_SEED, whole_number
    from belamy.game.device import pick_device

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
    seed = whole_number("seed", seed, 0, MAX_SEED - 1)
    scales = {"cpu": dict(cpu or {}), "gpu": dict(gpu or {})}
    if scales["cpu"].keys() != scales["gpu"].keys():
        odd = sorted(scales["cpu"].keys() ^ scales["gpu"].keys())
        raise InputError(f"setting {odd[0]!r} stands in one profile only: give it in cpu=... and gpu=...")
    if scales["cpu"] and "minutes" not in scales["cpu"]:
        raise InputError("the settings lack 'minutes', how long the chapter takes")
    if unknown := sorted(set(override or {}) - set(scales[profile])):
        raise InputError(f"no setting is called {unknown[0]!r}; there are {', '.join(scales[profile]) or 'none'}")
    settings = scales[profile] | dict(override or {})

    device = pick_device(None if profile == "gpu" else os.environ.get("BELAMY_DEVICE", "cpu"))
    if profile == "gpu" and device.type == "cpu" and not confirmed:
        hours = settings.get("minutes", 0) * CPU_FOR_GPU / 60
        raise InputError(
            "profile='gpu' is the sources' own scale, and this machine has no GPU that torch can use: it would "
            f"take about {hours:,.0f} hours. Set confirmed = True to begin all the same, or profile = 'cpu'"
        )
    if profile == "cpu":
        torch.set_num_threads(int(os.environ.get("BELAMY_THREADS", "1")))
    torch.manual_seed(seed)  # what nets are built with; all else draws by (seed, purpose)
    # torch.func still uses torch.jit inside and warns its users about it.
    warnings.filterwarnings("ignore", "`torch.jit", FutureWarning)
    plots.style()
    report_bands(profile == "gpu")
    minutes = settings.get("minutes")
    time = "" if minutes is None else f"; about {minutes:g} minute{'s' * (minutes != 1)}"
    print(
        f"belamy {__version__}, Python {platform.python_version()}, torch {torch.__version__}, "
        f"profile {profile}, device {device}, seed {seed}{time}"
    )
    if settings:
        _show(scales, profile, settings)
    return Setup(profile, seed, device, settings)


def _show(scales: dict[str, dict], profile: str, settings: dict) -> None:
    """The table of settings: both scales, and the reader's own where they differ from either."""
    import pandas as pd
    from IPython.display import display

    columns = {f"{name}, in force" if name == profile else name: scale for name, scale in scales.items()}
    if settings != scales[profile]:
        columns = {**scales, "here, in force": settings}
    told = {name: [_told(scale[key]) for key in settings] for name, scale in columns.items()}
    table = pd.DataFrame({"setting": list(settings), **told})
    style = table.style.hide(axis="index").set_uuid("settings")
    style.set_properties(subset=[c for c in table if "in force" in c], **{"font-weight": "bold"})
    display(style)


def _told(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


class _Reporting(ast.NodeTransformer):
    """``assert test`` becomes: say so where the test does not hold, and go on."""

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        told = f"differs from the cpu setting: {ast.unparse(node.test)}"
        new = ast.parse(f"if not __test__: print({told!r})").body[0]
        new.test = ast.UnaryOp(ast.Not(), node.test)
        return ast.fix_missing_locations(ast.copy_location(new, node))


def report_bands(wanted: bool) -> None:
    """Print, or no longer print, failed assertions of the notebook's following cells instead of raising."""
    from IPython import get_ipython

    shell = get_ipython()
    if shell is None:  # a plain program
        return
    shell.ast_transformers[:] = [t for t in shell.ast_transformers if not isinstance(t, _Reporting)]
    if wanted:
        shell.ast_transformers.append(_Reporting())
