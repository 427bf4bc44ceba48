"""Errors of the library: every one says what went wrong, where, and what to do about it."""


class BelamyError(Exception):
    """Base class of every error that belamy raises on purpose."""


class InputError(BelamyError, ValueError):
    """An argument or a tensor that cannot be used as given."""


class FileError(BelamyError, OSError):
    """A file or folder that is missing, damaged or cannot be written."""


class NonFiniteLoss(BelamyError, ArithmeticError):
    """A player's loss became NaN or infinite; parameters are as before the bad step."""


class CheckpointError(BelamyError, ValueError):
    """A checkpoint that is damaged or belongs to another game or another setting."""
