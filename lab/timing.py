"""Times short bursts of calls and records the load of other processes."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.ledger.numbers import Number

TOLERANCE = 0.15
"""Number of cores that other processes may use before a burst is dropped."""
TICKS_PER_SECOND = 100.0
"""Resolution of the counters in /proc/stat."""
_BUSY = (0, 1, 2, 5, 6, 7)
"""user, nice, system, irq, softirq, steal: fields of the first line of /proc/stat (proc_stat(5))."""


@dataclass(frozen=True)
class Burst:
    """Consecutive calls."""

    seconds: tuple[float, ...]
    """wall time of each call"""
    others: float
    """mean number of cores that other processes used at the same time; 0 if the system does not report it"""


@dataclass(frozen=True)
class Times:
    """Summary of several bursts."""

    best: float
    """seconds of the fastest call"""
    median: float | None
    """seconds: median over the undisturbed bursts of their median call; None if too few were undisturbed"""
    bursts: int
    """number of bursts"""
    clean: int
    """number of bursts with others <= TOLERANCE"""
    calls: int
    """number of calls"""


def burst(call: Callable[[], Any], seconds: float, *, finish: Callable[[], Any] | None = None) -> Burst:
    """Repeat a call until `seconds` have passed, at least once.

    Args:
        call: the function to time
        seconds: total wall time
        finish: waits for asynchronous work, such as torch.cuda.synchronize; then calls are timed in groups of at least
            one millisecond, and every call of a group gets the group's mean
    """
    times: list[float] = []
    group = 1
    busy, own, start = busy_seconds(), time.process_time(), time.perf_counter()
    now = start
    while not times or now - start < seconds:
        for _ in range(group):
            call()
        if finish is not None:
            finish()
        before, now = now, time.perf_counter()
        times += [(now - before) / group] * group
        if finish is not None and now - before < 1e-3:
            group *= 2
    own, wall = time.process_time() - own, now - start
    total = busy_seconds() - busy
    return Burst(tuple(times), max(0.0, (total - own) / wall) if total > 0 else 0.0)


def summary(bursts: Sequence[Burst]) -> Times:
    """Return the best call, and the median if at least three bursts, or all, were undisturbed.

    The first burst is a warm-up and counts only if it is the only one.
    """
    counted = bursts[1:] or bursts
    clean = [b for b in counted if b.others <= TOLERANCE]
    enough = len(clean) >= min(3, len(counted))
    return Times(
        best=min(min(b.seconds) for b in counted),
        median=statistics.median(statistics.median(b.seconds) for b in clean) if enough else None,
        bursts=len(counted),
        clean=len(clean),
        calls=sum(len(b.seconds) for b in counted),
    )


def busy_seconds(stat: Path = Path("/proc/stat")) -> float:
    """Return the CPU seconds of all processes since the machine started; 0 if the system does not report them."""
    try:
        fields = stat.read_text(encoding="ascii").split("\n", 1)[0].split()[1:]
        return sum(int(fields[i]) for i in _BUSY) / TICKS_PER_SECOND
    except (OSError, ValueError, IndexError):
        return 0.0


@dataclass(frozen=True)
class Runs:
    """Seconds of several runs of one action."""

    seconds: tuple[float, ...]

    @classmethod
    def of(cls, action: Callable[[], Any], repeats: int) -> "Runs":
        """Time an action `repeats` times, after one run that is not counted."""
        action()
        seconds = []
        for _ in range(repeats):
            started = time.perf_counter()
            action()
            seconds.append(time.perf_counter() - started)
        return cls(tuple(seconds))

    @property
    def number(self) -> Number:
        """The fastest run, which other work disturbed least; low and high are the range."""
        return Number(min(self.seconds), "s", min(self.seconds), max(self.seconds))

    def __str__(self) -> str:
        median = statistics.median(self.seconds)
        return f"best {min(self.seconds):.3f} s, median {median:.3f} s of {len(self.seconds)}"
