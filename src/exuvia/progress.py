"""Progress and remaining time of long work: a bar on a terminal, else occasional lines in the log."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

log = logging.getLogger(__name__)

FIRST_S, EVERY_S = 2.0, 10.0
"""Seconds before the first line, and between lines."""


@contextmanager
def progress_bar(name: str, unit: str, done: int = 0) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on a terminal's standard error, else log lines such as `evaluate: 48 of 300 motions, 95 s left`.
    Yields a function of the number of finished units and their total; an earlier run finished `done` of them."""
    begun, started, logged = done, time.monotonic(), time.monotonic() + FIRST_S - EVERY_S
    with tqdm(unit=f" {unit}", desc=name, initial=done, file=sys.stderr, mininterval=0.5, disable=None) as bar:

        def progress(done: int, total: int) -> None:
            nonlocal logged
            bar.total = total
            bar.update(done - bar.n)
            now = time.monotonic()
            if bar.disable and done > begun and now - logged >= EVERY_S:
                logged, left = now, (total - done) * (now - started) / (done - begun)
                log.info("%s: %d of %d %s, %.0f s left", name, done, total, unit, left)

        yield progress
