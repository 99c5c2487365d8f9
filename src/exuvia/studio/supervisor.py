"""Starts one worker per lane, replaces workers that die, and stops jobs that exceed their time."""

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

logger = logging.getLogger(__name__)

GRACE_S = {"quick": 10.0, "long": 4.0}
"""Time for a cancelled job to stop; then it is ended, and its worker too if that runs nothing else."""
CRASH_PAUSE_S = 2.0
PATIENCE_S = 30.0


@dataclass
class WorkerSlot:
    """A lane and the process that serves it."""

    lane: str
    name: str
    process: subprocess.Popen[bytes]
    began: float


class Supervisor:
    """The worker processes of a studio."""

    def __init__(self, settings: Settings, queue: Queue, ready: Callable[[], bool]) -> None:
        self.settings, self.queue, self.ready = settings, queue, ready
        self.slots: dict[str, WorkerSlot] = {}
        self.stopping = threading.Event()
        self.asked: dict[str, float] = {}
        self.thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def start(self) -> None:
        """Start the workers; jobs that an earlier studio left running return to the queue."""
        for job in self.queue.take_back():
            logger.warning("job %s was running when the studio stopped", job.id)
        self._start_worker(LANES[0])  # the others start when it is ready, because the page waits for this one
        self.thread.start()

    def stop(self) -> None:
        """End all workers; their jobs wait for the next start."""
        self.stopping.set()
        if self.thread.is_alive():
            self.thread.join(10)
        for slot in self.slots.values():
            slot.process.terminate()
        for slot in self.slots.values():
            try:
                slot.process.wait(5)
            except subprocess.TimeoutExpired:
                slot.process.kill()
                slot.process.wait()
            self.queue.take_back(slot.name, lost=0)

    def alive(self) -> dict[str, bool]:
        """Return whether the worker of each lane runs."""
        return {lane: slot.process.poll() is None for lane, slot in self.slots.items()}

    def _start_worker(self, lane: str) -> None:
        name = f"{lane}-{uuid.uuid4().hex[:8]}"
        process = subprocess.Popen([sys.executable, "-m", "exuvia.studio.worker"], stdin=subprocess.PIPE)
        assert process.stdin is not None
        options = {"settings": to_dict(self.settings), "lane": lane, "name": name}
        process.stdin.write((json.dumps(options) + "\n").encode())
        process.stdin.flush()
        self.slots[lane] = WorkerSlot(lane, name, process, time.monotonic())

    def _watch(self) -> None:
        while not self.stopping.wait(0.25):
            try:
                for slot in list(self.slots.values()):
                    self.check(slot)
                self._start_other_workers()
            except DBAPIError:
                logger.exception("the database did not answer")
            except OSError:
                logger.exception("a worker could not be started")

    def _start_other_workers(self) -> None:
        first = self.slots[LANES[0]]
        if len(self.slots) < len(LANES) and (self.ready() or time.monotonic() - first.began > PATIENCE_S):
            for lane in LANES[1:]:
                self._start_worker(lane)

    def check(self, slot: WorkerSlot) -> None:
        """Replace a dead worker; stop jobs that should have stopped."""
        if slot.process.poll() is None:
            self._stop_late_jobs(slot)
            return
        for job in self.queue.take_back(slot.name):
            logger.warning("the %s worker ended with %s during job %s", slot.lane, slot.process.returncode, job.id)
        if time.monotonic() - slot.began < CRASH_PAUSE_S:
            time.sleep(CRASH_PAUSE_S)  # a worker that fails at start-up is not restarted many times per second
        self._start_worker(slot.lane)

    def _stop_late_jobs(self, slot: WorkerSlot) -> None:
        """End jobs that ignore cancellation or exceed their time limit.

        The worker is killed and its other jobs wait again, except if it only has to drop a cancelled job of its batch.
        """
        longest = self.settings.limits.quick_s if slot.lane == "quick" else self.settings.limits.long_s
        own, now = self.queue.running(slot.name), time.monotonic()
        running = {job.id for job in self.queue.running()}
        self.asked = {name: since for name, since in self.asked.items() if name in running}
        late = [job for job in own if job.cancel and now - self.asked.setdefault(job.id, now) > GRACE_S[slot.lane]]
        over = [job for job in own if job.started and time.time() - job.started > longest]
        if not late and not over:
            return
        if over or len(late) == len(own):
            slot.process.kill()
            slot.process.wait()
        for job in over:
            message = f"stopped after {longest:.0f} s, the time limit of this kind of job"
            self.queue.finish(job.id, "failed", message=message)
        for job in late:
            self.queue.finish(job.id, "cancelled", message="cancelled")
        if slot.process.poll() is not None:
            self.queue.take_back(slot.name, lost=0)
            self._start_worker(slot.lane)
