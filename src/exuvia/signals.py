"""Signals that end a process: SIGTERM and SIGHUP end a command like Ctrl-C, and never in the middle of a step."""

import multiprocessing
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_ENDING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Ended(KeyboardInterrupt):
    """A signal asked the process to end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.code = 128 + number
        """Exit code, as shells count."""


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Make SIGTERM and SIGHUP raise `Ended` in the block; ignored signals, as under nohup, stay ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with _handled({number: _end for number in _ENDING[1:] if signal.getsignal(number) == signal.SIG_DFL}):
        yield


@contextmanager
def _handled(handlers: dict[int, Any]) -> Iterator[None]:
    """Install handlers inside the block, and restore the earlier ones afterwards."""
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(number: int, _: FrameType | None) -> None:
    for child in multiprocessing.active_children():  # Ctrl-C reaches children too, other signals do not
        child.terminate()
    raise Ended(number)


@contextmanager
def held() -> Iterator[None]:
    """Delay signals that would raise an exception until the block ends."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []
    before = {number: handler for number in _ENDING if callable(handler := signal.getsignal(number))}
    try:
        with _handled(dict.fromkeys(before, lambda number, _: received.append(number))):
            yield
    finally:
        if received:
            before[received[0]](received[0], None)
