"""Kills commands at random moments until they end, and compares their output with an undisturbed run."""

import contextlib
import logging
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from lab.campaign.compare import Snapshot, broken, hidden, snapshot

MOST = 6
"""Number of consecutive kills, after which a run may end."""
BEYOND = 1.2
"""Kills happen up to this many times the length of the undisturbed run, so that some runs end."""
GENTLE = 0.25
"""Share of kills by SIGTERM, as service managers send it; the others are SIGKILL."""
GRACE_S = 20.0
LIMIT_S = 300.0
"""Time limit of an undisturbed run."""


@dataclass(frozen=True)
class Job:
    """A command to kill."""

    name: str
    run: Callable[[Path], int]
    """Runs in a child with a separate folder for all its output. Returns the exit code."""
    whole: tuple[str, ...] = ()
    """Files and folders that change atomically: they are old or new, never in between."""
    refuses: bool = False
    """Whether it never replaces output: it refuses complete output with exit code 2, or keeps it."""
    measured: tuple[str, ...] = ()
    """Files with measured seconds and megabytes, which must be complete but are not compared."""
    share: float = 1.0
    """Relative share of the kills; slow commands get fewer."""


@dataclass
class Result:
    """Outcome of a job's kills."""

    kills: int = 0
    """Number of kills that hit a live process."""
    gentle: int = 0
    """Number of these by SIGTERM."""
    chains: int = 0
    seconds: float = 0.0
    """Duration of the undisturbed run."""
    half: list[str] = field(default_factory=list)
    """Incomplete visible files, or targets that were neither old nor new, after a kill."""
    differs: list[str] = field(default_factory=list)
    """Files of a completed run that differ from those of the undisturbed run."""
    failed: list[str] = field(default_factory=list)
    """Runs that failed."""
    left: list[str] = field(default_factory=list)
    """Hidden files left by a completed run."""

    @property
    def lost(self) -> int:
        """The number of losses, without leftovers."""
        return len(self.half) + len(self.differs) + len(self.failed)


def campaign(
    job: Job, room: Path, kills: int, seed: int, *, old: bool = True, log: Callable[[str], None] = print
) -> Result:
    """Run chains of killed runs until `kills` kills have hit a live process.

    Args:
        job: the command
        room: an empty folder
        kills: number of kills
        seed: seed of moments and signals
        old: start every second chain with older output that has other content in the targets of `whole`
    """
    result, rng = Result(), random.Random(f"{seed} {job.name}")
    code, result.seconds, output = _undisturbed(job, room / "reference")
    if code:
        result.failed.append(f"the undisturbed run ended with {code}: {output}")
        return result
    wanted = snapshot(room / "reference", measured=job.measured)
    while result.kills < kills and result.chains < 4 * kills + 4:
        place = room / f"chain{result.chains}"
        place.mkdir()
        before = _older(job, room / "reference", place) if old and result.chains % 2 else {}
        _chain(job, place, rng, wanted, before, result)
        result.chains += 1
        shutil.rmtree(place)
        if result.lost > 20:
            log(f"{job.name}: stopped after {result.lost} losses")
            break
    return result


def _undisturbed(job: Job, place: Path) -> tuple[int, float, str]:
    place.mkdir()
    began = time.monotonic()
    child = _start(job, place)
    code = _ended(child, LIMIT_S)
    if code is None:
        _end(child, signal.SIGKILL)
        code = -1
    return code, time.monotonic() - began, _log(place)


def _older(job: Job, reference: Path, place: Path) -> dict[str, str]:
    """Create modified outputs of an earlier run; return their snapshot."""
    for name in job.whole if not job.refuses else ():
        source, target = reference / name, place / name
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        for path in [target] if target.is_file() else target.rglob("*"):
            if path.suffix in (".md", ".html", ".txt", ".csv"):
                path.write_bytes(b"older " + path.read_bytes())
    return snapshot(place)


def _chain(job: Job, place: Path, rng: random.Random, wanted: Snapshot, before: Snapshot, result: Result) -> None:
    """Run and kill the job repeatedly, until one run ends."""
    number = 0
    while True:
        number += 1
        moment = LIMIT_S if number > MOST else rng.random() * result.seconds * BEYOND
        how = signal.SIGTERM if rng.random() < GENTLE else signal.SIGKILL
        child = _start(job, place)
        code = _ended(child, moment)
        if code is None:
            result.kills += 1
            result.gentle += how == signal.SIGTERM
            _end(child, how)
            result.half += [f"{name} after {how.name}" for name in broken(place)]
            result.half += [f"{name} after {how.name}" for name in _between(job, place, wanted, before)]
            continue
        now = snapshot(place, measured=job.measured)
        if code and not (job.refuses and code == 2 and now == wanted):
            result.failed.append(f"run {number} of a chain ended with {code}: {_log(place)}")
            return
        result.differs += sorted(
            f"{name} {'is missing' if name not in now else 'differs' if name in wanted else 'is too many'}"
            for name in now.keys() | wanted.keys()
            if now.get(name) != wanted.get(name)
        )
        result.left += hidden(place)
        return


def _between(job: Job, place: Path, wanted: Snapshot, before: Snapshot) -> list[str]:
    """Return targets that equal neither the old output nor that of the undisturbed run."""
    bad = []
    for name in job.whole:
        parts = [
            {key: value for key, value in one.items() if key == name or key.startswith(f"{name}/")}
            for one in (snapshot(place, (name,)), wanted, before)
        ]
        if parts[0] not in parts[1:]:
            bad.append(f"{name} {'is gone' if not parts[0] else 'is neither old nor new'}")
    return bad


def _start(job: Job, place: Path) -> int:
    """Start a child in a new session that runs the job, with newly seeded random numbers as in a new process."""
    child = os.fork()
    if child:
        return child
    code = 99
    try:
        os.setsid()
        log = os.open(f"{place}.log", os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        for handler in list(logging.getLogger().handlers):
            logging.getLogger().removeHandler(handler)
        torch.manual_seed(os.getpid())
        np.random.seed(os.getpid())  # noqa: NPY002  a new seed for code that uses the global generator
        code = job.run(place)
    except BaseException as error:
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(code)


def _ended(child: int, seconds: float) -> int | None:
    """Return the exit code of a child that ends within a time, else None."""
    end = time.monotonic() + seconds
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= end:
            return None
        time.sleep(min(0.002, max(0.0, end - time.monotonic())))


def _end(child: int, how: signal.Signals) -> None:
    """Send a signal to a child and its children; kill those that remain after a while."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, how)
    if how == signal.SIGKILL:
        os.waitpid(child, 0)
    elif _ended(child, GRACE_S) is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
    with contextlib.suppress(ProcessLookupError):  # its children, whose parent is gone
        os.killpg(child, signal.SIGKILL)


def _log(place: Path) -> str:
    """Return the last line that a run printed."""
    lines = Path(f"{place}.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1][:200] if lines else "nothing printed"
