"""The bar that shows how far a command is, and how long it will still take."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm


@contextmanager
def progress_bar(name: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error, if that is a terminal.

    Yields:
        what is to be called with how much is done, and how much there is in all
    """
    with tqdm(unit=f" {unit}", desc=name, file=sys.stderr, disable=None) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield progress
