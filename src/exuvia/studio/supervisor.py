"""Watches over the workers: starts one a lane, a new one where one died, and stops jobs that do not stop themselves."""

import json
import logging
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.exc import DBAPIError

from exuvia.config import to_dict
from exuvia.studio.queue import Queue
from exuvia.studio.settings import LANES, Settings

log = logging.getLogger(__name__)

GRACE_S = {"quick": 10.0, "long": 4.0}
"""A job that was asked to stop and has not after this long is stopped, with its worker if that does nothing else."""
CRASH_PAUSE_S = 2.0
PATIENCE_S = 30.0


@dataclass
class Seat:
    """A lane with the process that serves it."""

    lane: str
    name: str
    process: subprocess.Popen[bytes]
    began: float


class Supervisor:
    """The worker processes of a studio."""

    def __init__(self, settings: Settings, queue: Queue, ready: Callable[[], bool]) -> None:
        self.settings, self.queue, self.ready = settings, queue, ready
        self.seats: dict[str, Seat] = {}
        self.stopping = threading.Event()
        self.asked: dict[str, float] = {}
        self.thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def start(self) -> None:
        """Begin: jobs that an earlier studio left running wait again."""
        for job in self.queue.take_back():
            log.warning("job %s was running when the studio stopped", job.id)
        self._hire(LANES[0])  # the others once it is ready: whoever opens the page waits for this one
        self.thread.start()

    def stop(self) -> None:
        """End all workers; what they were at waits for the next start."""
        self.stopping.set()
        if self.thread.is_alive():
            self.thread.join(10)
        for seat in self.seats.values():
            seat.process.terminate()
        for seat in self.seats.values():
            try:
                seat.process.wait(5)
            except subprocess.TimeoutExpired:
                seat.process.kill()
                seat.process.wait()
            self.queue.take_back(seat.name, lost=0)

    def alive(self) -> dict[str, bool]:
        """Lane -> whether its worker runs."""
        return {lane: seat.process.poll() is None for lane, seat in self.seats.items()}

    def _hire(self, lane: str) -> None:
        name = f"{lane}-{uuid.uuid4().hex[:8]}"
        process = subprocess.Popen([sys.executable, "-m", "exuvia.studio.worker"], stdin=subprocess.PIPE)
        assert process.stdin is not None
        order = {"settings": to_dict(self.settings), "lane": lane, "name": name}
        process.stdin.write((json.dumps(order) + "\n").encode())
        process.stdin.flush()
        self.seats[lane] = Seat(lane, name, process, time.monotonic())

    def _watch(self) -> None:
        while not self.stopping.wait(0.25):
            try:
                for seat in list(self.seats.values()):
                    self.check(seat)
                self._hire_the_rest()
            except DBAPIError:
                log.exception("the database did not answer")
            except OSError:
                log.exception("a worker could not be started")

    def _hire_the_rest(self) -> None:
        first = self.seats[LANES[0]]
        if len(self.seats) < len(LANES) and (self.ready() or time.monotonic() - first.began > PATIENCE_S):
            for lane in LANES[1:]:
                self._hire(lane)

    def check(self, seat: Seat) -> None:
        """Replace a worker that died; stop what should have stopped."""
        if seat.process.poll() is None:
            self._stop_late_jobs(seat)
            return
        for job in self.queue.take_back(seat.name):
            log.warning("the %s worker ended with %s during job %s", seat.lane, seat.process.returncode, job.id)
        if time.monotonic() - seat.began < CRASH_PAUSE_S:
            time.sleep(CRASH_PAUSE_S)  # one that dies at birth is not started many times a second
        self._hire(seat.lane)

    def _stop_late_jobs(self, seat: Seat) -> None:
        """Cancelled jobs that go on, and jobs past their time, end with their worker; others of it wait again.

        A worker that has more to do is left alive: it drops a cancelled job after the batch.
        """
        longest = self.settings.limits.quick_s if seat.lane == "quick" else self.settings.limits.long_s
        mine, now = self.queue.running(seat.name), time.monotonic()
        running = {job.id for job in self.queue.running()}
        self.asked = {name: since for name, since in self.asked.items() if name in running}
        late = [job for job in mine if job.cancel and now - self.asked.setdefault(job.id, now) > GRACE_S[seat.lane]]
        over = [job for job in mine if job.started and time.time() - job.started > longest]
        if not late and not over:
            return
        if over or len(late) == len(mine):
            seat.process.kill()
            seat.process.wait()
        for job in over:
            told = f"stopped after {longest:.0f} s, the longest that such a job may run"
            self.queue.finish(job.id, "failed", message=told)
        for job in late:
            self.queue.finish(job.id, "cancelled", message="cancelled")
        if seat.process.poll() is not None:
            self.queue.take_back(seat.name, lost=0)
            self._hire(seat.lane)
