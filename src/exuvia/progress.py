"""How far something is, and how long it will still take: a bar on a terminal, else a line of the log now and then."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

log = logging.getLogger(__name__)

FIRST_S, EVERY_S = 2.0, 10.0
"""Seconds until the first line, and between lines."""


@contextmanager
def progress_bar(name: str, unit: str, done: int = 0) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error if that is a terminal, else lines such as `evaluate: 48 of 300 motions, 95 s left`.

    Args:
        done: how much is done already, of a run that continues
    Yields:
        what is to be called with how much is done, and how much there is in all
    """
    begun, started, told = done, time.monotonic(), time.monotonic() + FIRST_S - EVERY_S
    with tqdm(unit=f" {unit}", desc=name, initial=done, file=sys.stderr, mininterval=0.5, disable=None) as bar:

        def progress(done: int, total: int) -> None:
            nonlocal told
            bar.total = total
            bar.update(done - bar.n)
            now = time.monotonic()
            if bar.disable and done > begun and now - told >= EVERY_S:
                told, left = now, (total - done) * (now - started) / (done - begun)
                log.info("%s: %d of %d %s, %.0f s left", name, done, total, unit, left)

        yield progress
