"""Errors of the library: every one says what went wrong, where, and what to do about it."""

import importlib
from types import ModuleType


class BelamyError(Exception):
    """Base class of every error that belamy raises on purpose."""


class InputError(BelamyError, ValueError):
    """An argument or a tensor that cannot be used as given."""


class FileError(BelamyError, OSError):
    """A file or folder that is missing, damaged or cannot be written."""


class MissingPackage(BelamyError, ImportError):
    """A package that only part of the library needs is not installed."""


class NonFiniteLoss(BelamyError, ArithmeticError):
    """A player's loss became NaN or infinite; parameters are as before the bad step."""


class CheckpointError(BelamyError, ValueError):
    """A checkpoint that is damaged or belongs to another game or another setting."""


def optional(package: str, purpose: str) -> ModuleType:
    """Import a package that only ``purpose`` needs.

    Raises:
        MissingPackage: it is not installed; the message has the command that installs it.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise MissingPackage(
            f"{purpose} needs {package}, which is not installed here: pip install {package}"
        ) from error
