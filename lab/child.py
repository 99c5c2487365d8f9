"""A child process for one method: it builds, times and measures on request, and is killed at a time limit."""

import multiprocessing
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any, Literal, NamedTuple

import torch

from exuvia.errors import ExuviaError
from lab.memory import give_freed_pages_back, peak_extra_bytes
from lab.roofline import Pass, Size
from lab.timing import Burst, burst
from lab.workload import Method, caller, difference

TINY = Size(2, 96, 64, 4)
"""Size of the first call, which loads libraries and starts threads, and of the comparison with the reference."""
START_LIMIT_S = 300.0
"""Time for a child to import, build and compare."""


@dataclass(frozen=True)
class Job:
    """What a child is for."""

    table: str
    """"module:ATTRIBUTE", a dictionary of `Method`"""
    method: str
    size: Size
    device: str = "cpu"
    threads: int = 2


class Ready(NamedTuple):
    """A child's first answer."""

    facts: dict[str, float]
    """of the work"""
    difference: float | None
    """difference from the reference, at a tiny size"""


class Refused(Exception):
    """The method cannot run here; the message says why."""


class Broken(Exception):
    """The child raised an error or died; the message says how."""


class Expired(Exception):
    """The child was killed at its time limit."""


class Child:
    """A process that holds one method's tensors, as a context manager.

    A request after the process was killed starts a new one.
    """

    def __init__(self, job: Job, *, for_memory: bool = False) -> None:
        self.job = job
        self._for_memory = for_memory
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None
        self.ready: Ready | None = None

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def start(self) -> Ready:
        """Build the method's work if necessary.

        Raises:
            Refused: the method cannot run here.
            Broken: an error.
            Expired: it took longer than START_LIMIT_S.
        """
        if self.ready is None:
            context = _context()
            self._pipe, theirs = context.Pipe()
            self._process = context.Process(target=_serve, args=(theirs, self.job, self._for_memory), daemon=True)
            self._process.start()
            theirs.close()
            self.ready = self._receive(START_LIMIT_S)
        return self.ready

    def burst(self, which: Pass, seconds: float, limit_s: float) -> Burst:
        """Time calls for some seconds. Raises what `start` raises; Expired after limit_s seconds."""
        found: Burst = self._ask(("burst", which, seconds), limit_s)
        return found

    def peak_extra_bytes(self, which: Pass, limit_s: float) -> int | None:
        """Peak memory of one call. Raises what `start` raises; Expired after limit_s seconds."""
        found: int | None = self._ask(("memory", which, 0.0), limit_s)
        return found

    def end(self) -> None:
        """Kill the process, if there is one."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
        if self._pipe is not None:
            self._pipe.close()
        self._process = self._pipe = self.ready = None

    def _ask(self, request: tuple[str, Pass, float], limit_s: float) -> Any:
        self.start()
        if self._pipe is None:
            raise Broken("the process ended")
        try:
            self._pipe.send(request)
        except OSError as error:
            self.end()
            raise Broken(f"the process ended ({error})") from None
        return self._receive(limit_s)

    def _receive(self, limit_s: float) -> Any:
        if self._pipe is None:
            raise Broken("the process ended")
        try:
            if not self._pipe.poll(limit_s):
                self.end()
                raise Expired(f"took longer than {limit_s:g} s")
            kind, answer = self._pipe.recv()
        except (EOFError, OSError) as error:
            code = None if self._process is None else self._process.exitcode
            self.end()
            raise Broken(f"the process ended (exit code {code}; {type(error).__name__})") from None
        if kind == "done":
            return answer
        self.end()
        raise {"refused": Refused, "broken": Broken}[kind](answer)


def _context() -> Any:
    """Return children forked from a process that has only imported torch; without fork, each starts separately."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def _serve(pipe: Connection, job: Job, for_memory: bool) -> None:
    """Run the child: build, answer, then answer one request at a time until the pipe closes."""
    try:
        torch.set_num_threads(job.threads)
        method: Method = getattr(import_module(job.table.partition(":")[0]), job.table.partition(":")[2])[job.method]
        apart = _warm_up(method, job.device)
        if for_memory:
            give_freed_pages_back()
        work = method.build(job.size, job.device)
        pipe.send(("done", Ready(dict(work.facts), apart)))
        calls = {}
        while True:
            what, which, seconds = pipe.recv()
            if which not in calls:
                calls[which] = caller(work, which)
            pipe.send(("done", _answer(what, calls[which], seconds, job.device)))
    except EOFError:
        return
    except Exception as error:  # any exception of a method is an answer, not a crash
        kind: Literal["refused", "broken"] = "refused" if isinstance(error, ExuviaError | ImportError) else "broken"
        name = "" if kind == "refused" else f"{type(error).__name__}: "
        pipe.send((kind, f"{name}{str(error).strip().splitlines()[0] if str(error).strip() else ''}"))


def _warm_up(method: Method, device: str) -> float | None:
    work = method.build(TINY, device)
    for which in ("forward", "fwd_bwd"):
        caller(work, which)()
    return None if work.expected is None else difference(work, work.expected())


def _answer(what: str, call: Any, seconds: float, device: str) -> Any:
    if what == "memory":
        return peak_extra_bytes(call, device)
    return burst(call, seconds, finish=torch.cuda.synchronize if device.startswith("cuda") else None)
