"""A worker: one process that takes jobs of one lane from the database, batch after batch, until it is told to stop.

It is started by the supervisor as `python -m exuvia.studio.worker`, its settings on standard input as JSON. When its
parent is gone it stops at once, in the middle of a job, too.
"""

import contextlib
import logging
import os
import sys
import threading
import time
from collections import OrderedDict
from typing import Any

import torch
from sqlalchemy.exc import DBAPIError

from exuvia.config import from_dict
from exuvia.errors import CheckpointError, ExuviaError
from exuvia.judges.classifier import ViolenceDetector
from exuvia.judges.shipped import shipped_detector
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.readers import parse_as
from exuvia.registry import STUDIO_JOB, resolve
from exuvia.studio.catalogue import build, publish
from exuvia.studio.database import open_database
from exuvia.studio.jobs.base import Desk
from exuvia.studio.library import Library, weights_of
from exuvia.studio.queue import CANCELLED, FAILED, Cancelled, Job, Queue
from exuvia.studio.settings import LANES, Settings

log = logging.getLogger(__name__)

SHARED = ("generate",)
"""Kinds of which several jobs are done together."""
TOGETHER = 8
PAUSE_S = 0.05
ON_SHELF = 4
"""Generators that stay loaded."""


class Shelf:
    """Loaded generators, the least used one put away first."""

    def __init__(self, library: Library, device: str) -> None:
        self.library, self.device = library, device
        self.loaded: OrderedDict[str, MotionPipeline] = OrderedDict()

    def __call__(self, name: str) -> MotionPipeline:
        """A generator by its id. Raises ConfigError, CheckpointError."""
        one = self.library.generator(name)
        if name not in self.loaded:
            text = next((pipe.text for pipe in self.loaded.values()), None)  # the caption encoder is never edited
            try:
                pipe = MotionPipeline.from_pretrained(one.place, device=self.device)
            except CheckpointError as error:  # the message names files; whoever runs the studio may read them
                log.error("generator %s: %s", name, error)
                told = "the files of this generator cannot be loaded; the studio's log says why"
                raise CheckpointError(told) from None
            if weights_of(one.place) != one.weights:  # motions that others made must not change their author
                log.error("generator %s: the files in %s changed", name, one.place)
                hint = "" if one.origin == "edited" else "; start the studio anew to use them under an id of their own"
                raise CheckpointError(f"the files of the generator {one.name!r} are not those that it had{hint}")
            if text is not None and text.fingerprint == pipe.text.fingerprint:
                pipe.text = text
            self.loaded[name] = pipe
        self.loaded.move_to_end(name)
        while len(self.loaded) > ON_SHELF:
            self.loaded.popitem(last=False)
        return self.loaded[name]


class Worker:
    """Takes jobs, runs them, writes what became of them."""

    def __init__(self, settings: Settings, lane: str, name: str) -> None:
        engine = open_database(settings.url)
        self.lane, self.name = lane, name
        self.queue = Queue(engine)
        library = Library(engine, settings)
        self.desk = Desk(settings, self.queue, library, Shelf(library, settings.device), self.detector)
        self._detector: ViolenceDetector | None = None

    def detector(self) -> ViolenceDetector | None:
        """The shipped classifier, or None where there is none."""
        if self._detector is None:
            with contextlib.suppress(CheckpointError):
                self._detector = shipped_detector()
        return self._detector

    def warm_up(self) -> None:
        """Load what the first job will need, and tell the server what can be asked for."""
        if self.lane != LANES[0]:
            return
        detector, first = self.detector(), self.desk.library.generators()
        try:
            self.desk.shelf(first[0].id)("a person walks", frames=40)
        except ExuviaError as error:
            log.error("the first generator cannot be used: %s", error)
        publish(self.desk.library, build(detector.point.threshold if detector else None))

    def turn(self) -> bool:
        """Do one batch of jobs. Returns whether there was one."""
        jobs = self.queue.claim(self.lane, self.name, TOGETHER, SHARED)
        if not jobs:
            return False
        try:
            resolve(STUDIO_JOB, jobs[0].kind, "kind of job")(jobs, self.desk)
        except Cancelled:
            self._end(jobs, CANCELLED, "cancelled")
        except ExuviaError as error:
            self._end(jobs, FAILED, str(error))
        except (OSError, DBAPIError) as error:
            log.exception("job %s", jobs[0].id)
            reason = str(getattr(error, "orig", None) or getattr(error, "strerror", None) or type(error).__name__)
            self._end(jobs, FAILED, f"the result could not be kept: {reason}; make room and run it again")
        except Exception:  # a fault of ours must not take the other jobs down; the log has it
            log.exception("job %s", jobs[0].id)
            self._end(jobs, FAILED, "this failed for a reason of our own; the studio's log has it")
        return True

    def _end(self, jobs: list[Job], state: str, message: str) -> None:
        for job in jobs:
            if self.queue.get(job.id).state == "running":
                self.queue.finish(job.id, state, message=message)


def main() -> None:
    """Work until the parent is gone."""
    given = parse_as(dict[str, Any], sys.stdin.readline(), "what the server sent")
    logging.basicConfig(level=logging.INFO, format=f"%(asctime)s {given['lane']} %(levelname)s %(name)s: %(message)s")
    settings = from_dict(Settings, given["settings"])
    torch.set_num_threads(settings.threads)
    if hasattr(os, "nice"):  # not on Windows
        os.nice(5)  # the server answers first
    threading.Thread(target=_end_with_parent, daemon=True).start()
    worker = Worker(settings, given["lane"], given["name"])
    worker.warm_up()
    while True:
        try:
            if not worker.turn():
                time.sleep(PAUSE_S)
        except DBAPIError:  # a full disk, a database that restarts: it may come back
            log.exception("the database did not answer")
            time.sleep(1.0)


def _end_with_parent() -> None:
    """Standard input stays open as long as the parent lives, and says at once when it is gone."""
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    main()
