"""Times methods in turn at one size, each in a separate process; every result is a cell of a table."""

import dataclasses
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lab.child import Broken, Child, Expired, Job, Refused
from lab.roofline import PASSES, Pass, Size
from lab.timing import Burst, summary

_LOG = logging.getLogger(__name__)

MEASURED, LIMIT, SKIPPED, FAILED = "measured", "limit", "skipped", "failed"
"""Status of a cell: measured; stopped at the limit; the method cannot run here; it raised an error."""


@dataclass(frozen=True)
class Protocol:
    """How cells are measured."""

    threads: int = 2
    """Number of threads of torch and of the kernels."""
    device: str = "cpu"
    """"cpu" or "cuda"."""
    rounds: int = 10
    """Times that every method gets its turn; the first warms up."""
    seconds: float = 0.35
    """Seconds of a turn; a single call may take longer."""
    limit: float = 120.0
    """Seconds after which a call is stopped by ending its process; the cell records this."""
    budget: float = 15.0
    """Total seconds after which a cell gets no more turns."""
    memory: bool = True
    """Also measure peak memory, in new processes."""


@dataclass(frozen=True)
class Cell:
    """The result of one method, size and pass."""

    method: str
    size: Size
    which: Pass
    status: str
    reason: str = ""
    """Why there is no number, in one sentence."""
    best_ms: float | None = None
    """Time of the fastest counted call; the limit if it was reached."""
    median_ms: float | None = None
    """Median over the undisturbed bursts; None if there were too few."""
    bursts: int = 0
    clean: int = 0
    """Number of bursts in which other processes used little."""
    calls: int = 0
    extra_bytes: int | None = None
    """Peak memory of one call in addition to its inputs; None if not measured."""
    difference: float | None = None
    """Difference from the reference at a tiny size; None without a reference."""
    facts: Mapping[str, float] = field(default_factory=dict)

    @property
    def ms(self) -> float | None:
        """The median of undisturbed bursts if available, else the best call."""
        return self.best_ms if self.median_ms is None else self.median_ms

    @property
    def at_least(self) -> bool:
        """Whether `ms` is only a lower bound."""
        return self.status == LIMIT


def ratio(numerator: Cell, denominator: Cell) -> float | None:
    """Return how many times longer the first took, by medians if both have one, else by best calls; None without."""
    if denominator.status != MEASURED or numerator.best_ms is None or denominator.best_ms is None:
        return None
    if numerator.median_ms is not None and denominator.median_ms is not None:
        return numerator.median_ms / denominator.median_ms
    return numerator.best_ms / denominator.best_ms


def measure_cells(
    table: str,
    methods: Sequence[str],
    size: Size,
    protocol: Protocol,
    passes: Sequence[Pass] = PASSES,
    without: Mapping[str, str] | None = None,
) -> list[Cell]:
    """Measure all methods at one size: every method and pass takes its turn, repeatedly.

    Args:
        table: "module:ATTRIBUTE", a dictionary of `Method`
        methods: names in it
        size: size of the tensors
        protocol: duration and number of measurements
        passes: passes of each method
        without: methods known not to run here, with the reason
    Returns:
        one cell per method and pass, in that order
    """
    known = dict(without or {})
    jobs = {name: Job(table, name, size, protocol.device, protocol.threads) for name in methods}
    children = {name: Child(job) for name, job in jobs.items() if name not in known}
    try:
        turns = [_Turns(name, which, children.get(name), known.get(name)) for name in methods for which in passes]
        for number in range(protocol.rounds):
            for turn in turns:
                turn.take(protocol, last=number == protocol.rounds - 1)
    finally:
        for child in children.values():
            child.end()
    extra = {}
    if protocol.memory:
        for name, job in jobs.items():
            extra.update(_memory(job, [t for t in turns if t.name == name and t.affordable(protocol)], protocol))
    return [turn.cell(size, protocol, extra.get((turn.name, turn.which))) for turn in turns]


class _Turns:
    """Collects the bursts of one cell."""

    def __init__(self, name: str, which: Pass, child: Child | None, reason: str | None) -> None:
        self.name, self.which, self.child = name, which, child
        self.bursts: list[Burst] = []
        self.status = MEASURED if reason is None else SKIPPED
        self.reason = reason or ""
        self.ready: Any = None

    def take(self, protocol: Protocol, last: bool) -> None:
        """Run one burst, unless the cell is done."""
        spent = sum(sum(b.seconds) for b in self.bursts)
        if self.status != MEASURED or self.child is None or spent > protocol.budget:
            return
        try:
            self.ready = self.child.start()
            self.bursts.append(self.child.burst(self.which, protocol.seconds, protocol.limit + protocol.seconds))
        except Expired as error:
            self.status, self.reason = (LIMIT if self.ready else FAILED), str(error)
        except Refused as error:
            self.status, self.reason = SKIPPED, str(error)
        except Broken as error:
            self.status, self.reason = FAILED, str(error)
        if self.status in (LIMIT, FAILED):
            _LOG.info("%s, %s: %s", self.name, self.which, self.reason)

    def affordable(self, protocol: Protocol) -> bool:
        """Return whether another call, to measure memory, would stay far below the limit."""
        return self.status == MEASURED and min(min(b.seconds) for b in self.bursts) < protocol.limit / 4

    def cell(self, size: Size, protocol: Protocol, extra: int | None) -> Cell:
        """Return the result."""
        cell = Cell(self.name, size, self.which, self.status, self.reason)
        if self.status == LIMIT:
            cell = dataclasses.replace(cell, best_ms=1e3 * protocol.limit)
        elif self.status == MEASURED:
            times = summary(self.bursts)
            cell = dataclasses.replace(
                cell,
                best_ms=1e3 * times.best,
                median_ms=None if times.median is None else 1e3 * times.median,
                bursts=times.bursts,
                clean=times.clean,
                calls=times.calls,
                extra_bytes=extra,
            )
        if self.ready is None:
            return cell
        return dataclasses.replace(cell, difference=self.ready.difference, facts=self.ready.facts)


def _memory(job: Job, turns: Iterable[_Turns], protocol: Protocol) -> dict[tuple[str, Pass], int | None]:
    """Measure the peak memory of a method's cells, forward first, in one new process."""
    found: dict[tuple[str, Pass], int | None] = {}
    with Child(job, for_memory=True) as child:
        for turn in turns:
            try:
                found[job.method, turn.which] = child.peak_extra_bytes(turn.which, protocol.limit)
            except (Refused, Broken, Expired) as error:
                _LOG.info("memory of %s, %s: %s", job.method, turn.which, error)
    return found
