"""What may interrupt training from outside: signals, and torch's complaints in words that help."""

import contextlib
import signal
import threading
from collections.abc import Iterator

from belamy.errors import InputError

ADVICE = {
    "more than 1 value per channel": "batch normalisation needs two examples or more: pass a larger batch_size",
    "view size is not compatible": (
        "images come channels last in memory, where .view cannot merge dimensions: write "
        "x.reshape(len(x), -1) or x.flatten(1) in the net"
    ),
}


def explained(error: Exception, player: str) -> Exception:
    """The error with advice, where torch's own words do not say what to do; else itself."""
    for words, advice in ADVICE.items():
        if words in str(error):
            return InputError(f"the loss of player {player!r} failed: {advice} ({error})")
    return error


@contextlib.contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM, so that a round is never cut in two; a second one is not held."""
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    caught = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in caught}

    def remember(number, _frame):
        received.append(number)
        for caught_number, handler in before.items():
            signal.signal(caught_number, handler)

    for number in caught:
        signal.signal(number, remember)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
