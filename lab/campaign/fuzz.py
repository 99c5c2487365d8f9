"""Feeds damaged files to readers in child processes, which may die or hang, and counts the outcomes."""

import contextlib
import faulthandler
import hashlib
import logging
import mmap
import os
import pickle
import random
import resource
import select
import shutil
import signal
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from exuvia.errors import ExuviaError
from lab.campaign.fixtures import Fixtures
from lab.campaign.mutate import CANARY, mutate
from lab.campaign.targets import Reader, Target

LATE_S = 20.0
"""Time limit of an input; a child that cannot be interrupted is killed soon after."""
MEMORY = 1_300_000_000
"""Bytes of address space that a child may use in addition to its initial size."""
CHUNK, LEAST, ROUNDS = 4000, 200, 8
"""Maximum and approximate minimum number of inputs per child, and rounds per reader."""
MOST_SEEDS, SEED_BYTES = 40, 300_000
OUTCOMES = ("read", "refused", "failed", "crashed", "hung", "executed")
FAILURES = OUTCOMES[2:]
ROOT = Path(__file__).resolve().parents[2]


class Late(BaseException):
    """An input exceeded its time limit."""


@dataclass(frozen=True)
class Bench:
    """A reader with its valid files in place."""

    target: Target
    folder: Path
    read: Reader
    seeds: dict[str, list[bytes]]
    """Valid files of each name; the first is the one in the folder."""

    def input(self, seed: int, number: int) -> tuple[str, bytes]:
        """Return name and bytes of an input; the first inputs are the unchanged valid files."""
        names = list(self.seeds)
        if number < len(names):
            return names[number], self.seeds[names[number]][0]
        rng = random.Random(f"{seed} {self.target.name} {number}")
        name = rng.choice(names)
        good = self.seeds[name]
        return name, mutate(rng.choice(good), self.target.kinds[name], rng, rng.choice(good))


class Failure(NamedTuple):
    """An input that a reader neither read nor refused."""

    target: str
    outcome: str
    place: str
    number: int
    size: int
    told: str
    """The traceback, or how the process ended."""


def prepared(target: Target, fixtures: Fixtures, more: Iterable[Path] = ()) -> Bench:
    """Return a reader with valid files: those of its maker, and those of the same name or suffix in other folders.

    The reader reads its valid files here, so that children start with all imports done.
    """
    folder = fixtures.root / "good" / target.name.replace(" ", "-")
    folder.mkdir(parents=True)
    read = target.make(fixtures, folder)
    seeds: dict[str, list[bytes]] = {}
    for name in target.kinds:
        paths = sorted(folder.glob("seed*")) if not name else [folder / name]
        paths += [path for path in more if name and _alike(path, name)][:MOST_SEEDS]
        seeds[name] = [path.read_bytes() for path in paths]
    if target.warm:
        for what in seeds.get("", [folder]):
            read(what)
    return Bench(target, folder, read, seeds)


def _alike(path: Path, name: str) -> bool:
    return path.name == Path(name).name or (name.startswith("m.") and path.suffix == Path(name).suffix)


def seeds_in(folders: Sequence[Path]) -> list[Path]:
    """Return files small enough to be damaged often, in a fixed order."""
    found = (path for folder in folders for path in sorted(folder.rglob("*")))
    return [path for path in found if path.is_file() and 0 < path.stat().st_size <= SEED_BYTES]


@dataclass
class Tally:
    """Counts the outcomes of the inputs."""

    counts: dict[str, Counter[str]]
    """Target -> outcome -> number."""
    seconds: Counter[str]
    failures: dict[tuple[str, str], Failure]
    """The smallest input for every target and place."""

    def add(self, failure: Failure) -> None:
        """Count a failure that its child cannot count, or keep a smaller one of the same place."""
        key = failure.target, failure.place
        if key not in self.failures or failure.size < self.failures[key].size:
            self.failures[key] = failure

    @property
    def inputs(self) -> int:
        """The number of all inputs."""
        return sum(sum(one.values()) for one in self.counts.values())

    @property
    def failed(self) -> int:
        """The number of inputs that were neither read nor refused."""
        return sum(one[kind] for one in self.counts.values() for kind in FAILURES)


def fuzz(
    benches: Sequence[Bench], inputs: int, seed: int, log: Callable[[str], None], kept: Path | None = None
) -> Tally:
    """Feed all readers; an input depends only on the seed, its reader and its number.

    After each round, the smallest input of every failure is written to the folder `kept`.
    """
    tally = Tally({bench.target.name: Counter() for bench in benches}, Counter(), {})
    whole = sum(bench.target.weight for bench in benches)
    began = time.monotonic()
    for turn in range(ROUNDS):
        for bench in benches:
            count = max(len(bench.seeds), round(inputs * bench.target.weight / whole))
            start, stop = (count * edge // ROUNDS for edge in (turn, turn + 1))
            _feed(bench, seed, start, stop, tally)
        if kept is not None:
            keep(kept, benches, tally, seed)
        rate = tally.inputs / (time.monotonic() - began)
        slow = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in tally.seconds.most_common(4))
        failed = f"{tally.failed:,} failures at {len(tally.failures)} places"
        log(f"{tally.inputs:,} inputs, {rate:,.0f} a second, {failed}; longest: {slow}")
    return tally


def _feed(bench: Bench, seed: int, start: int, stop: int, tally: Tally) -> None:
    """Feed inputs start to stop, in as many children as necessary."""
    name, began = bench.target.name, time.monotonic()
    while start < stop:
        state = mmap.mmap(-1, 64)
        end = min(stop, start + CHUNK)
        child, pipe = _child(bench, seed, start, end, state)
        fed = memoryview(state).cast("q")
        silent = _listen(child, pipe, fed, tally, name)
        _, status = os.waitpid(child, 0)
        counts = tally.counts[name]
        for place, outcome in enumerate(OUTCOMES, start=1):
            counts[outcome] += fed[place]
        start = fed[0]
        if status != 0 or silent:
            kind = "hung" if silent else "crashed"
            told = f"no answer for {LATE_S:g} s" if silent else f"the process ended with status {status}"
            signed = os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
            size = len(bench.input(seed, start)[1])
            tally.add(Failure(name, kind, f"{kind} {'' if silent else signed}".strip(), start, size, told))
            counts[kind] += 1
            start += 1
    tally.seconds[name] += time.monotonic() - began  # type: ignore[assignment]


def _listen(child: int, pipe: int, fed: memoryview, tally: Tally, name: str) -> bool:
    """Collect a child's reports until it ends; return True if it was killed because it made no progress."""
    last, since, silent, text = -1, time.monotonic(), False, b""
    while True:
        ready, _, _ = select.select([pipe], [], [], 1.0)
        if ready:
            piece = os.read(pipe, 1 << 20)
            if not piece:
                break
            text += piece
        if fed[0] != last:
            last, since = fed[0], time.monotonic()
        elif time.monotonic() - since > LATE_S + 3:
            os.kill(child, signal.SIGKILL)
            silent = True
    os.close(pipe)
    while len(text) >= 8 and len(text) >= 8 + (size := int.from_bytes(text[:8], "little")):
        tally.add(Failure(name, *pickle.loads(text[8 : 8 + size])))  # of our own child
        text = text[8 + size :]
    return silent


def _child(bench: Bench, seed: int, start: int, stop: int, state: mmap.mmap) -> tuple[int, int]:
    """Start a child that feeds inputs; return its process and pipe."""
    mine, theirs = os.pipe()
    child = os.fork()
    if child:
        os.close(theirs)
        return child, mine
    code = 99
    try:
        os.close(mine)
        _confine()
        _serve(bench, seed, range(start, stop), memoryview(state).cast("q"), theirs)
        code = 0
    except BaseException as error:  # of the campaign itself
        _report(theirs, {}, "crashed", error, memoryview(state).cast("q")[0], 0)
    finally:
        os._exit(code)


def _confine() -> None:
    """Disable output and core files, limit the memory, and turn the alarm into an exception."""
    quiet = os.open(os.devnull, os.O_RDWR)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    warnings.simplefilter("ignore")
    faulthandler.disable()
    logging.disable(logging.CRITICAL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    signal.signal(signal.SIGALRM, _too_late)


def _too_late(*_: object) -> None:
    raise Late(f"longer than {LATE_S:g} s")


def _serve(bench: Bench, seed: int, numbers: range, fed: memoryview, pipe: int) -> None:
    """Feed inputs, count outcomes, report the smallest failure of each place."""
    room = bench.folder.parent.parent / f"room-{os.getpid()}"
    here = room / "in"
    if "" not in bench.seeds:
        shutil.copytree(bench.folder, here)
    if not bench.target.warm:  # starting takes longer than the limit of an input
        with contextlib.suppress(ExuviaError):
            bench.read(here)
    canary, smallest, last = os.environ.get(CANARY, ""), dict[str, int](), ""
    try:
        for number in numbers:
            fed[0] = number
            name, data = bench.input(seed, number)
            what: Any = data
            if name:
                if last and last != name:
                    (here / last).write_bytes(bench.seeds[last][0])
                (here / name).write_bytes(data)
                last, what = name, here
            outcome, error = _outcome(bench.read, what)
            if canary and os.path.exists(canary):
                os.rmdir(canary)
                outcome, error = "executed", error or RuntimeError("code in a file was executed")
            fed[1 + OUTCOMES.index(outcome)] += 1
            if error is not None:
                _report(pipe, smallest, outcome, error, number, len(data))
        fed[0] = numbers.stop
    finally:
        shutil.rmtree(room, ignore_errors=True)


def _outcome(read: Reader, what: Any) -> tuple[str, BaseException | None]:
    signal.setitimer(signal.ITIMER_REAL, LATE_S)
    try:
        read(what)
        return "read", None
    except ExuviaError:
        return "refused", None
    except Late as error:
        return "hung", error
    except BaseException as error:  # any other exception of a reader is a failure
        return "failed", error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _report(pipe: int, smallest: dict[str, int], outcome: str, error: BaseException, number: int, size: int) -> None:
    where = f"{place(error.__traceback__)} {type(error).__name__}"
    if size < smallest.get(where, size + 1):
        smallest[where] = size
        lines = traceback.format_exception(error, limit=-12)
        data = pickle.dumps((outcome, where, number, size, "".join(lines)[-6000:]))
        os.write(pipe, len(data).to_bytes(8, "little") + data)


def place(trace: TracebackType | None) -> str:
    """Return file and line of the innermost frame in the project's code."""
    own = other = "?"
    while trace is not None:
        file, line = trace.tb_frame.f_code.co_filename, trace.tb_lineno
        other = f"{Path(file).name}:{line}"
        if file.startswith(f"{ROOT}/") and "/lab/campaign/" not in file and "/.venv/" not in file:
            own = f"{file.removeprefix(f'{ROOT}/')}:{line}"
        trace = trace.tb_next
    return own if own != "?" else other


def keep(folder: Path, benches: Sequence[Bench], tally: Tally, seed: int) -> None:
    """Write the smallest input of every place, with its traceback."""
    by_name = {bench.target.name: bench for bench in benches}
    for failure in tally.failures.values():
        mark = hashlib.sha256(failure.place.encode()).hexdigest()[:8]
        out = folder / f"{failure.target.replace(' ', '-')}-{mark}"
        name, data = by_name[failure.target].input(seed, failure.number)
        place = out / (name or "input")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        head = f"{failure.target}, input {failure.number} of seed {seed}: {failure.outcome} at {failure.place}\n\n"
        (out / "why.txt").write_text(head + failure.told, encoding="utf-8", errors="replace")


@contextlib.contextmanager
def canary(folder: Path) -> Iterator[None]:
    """Detect files that execute code inside the block."""
    os.environ[CANARY] = str(folder / "canary")
    try:
        yield
    finally:
        del os.environ[CANARY]
