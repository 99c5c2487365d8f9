"""A worker process: takes jobs of one lane from the database, batch after batch, until it is stopped.

The supervisor starts it as `python -m exuvia.studio.worker` and sends the settings to its standard input as JSON. When
the parent process ends, the worker stops at once, even during a job.
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
from exuvia.studio.jobs import JobContext
from exuvia.studio.library import Library, weights_of
from exuvia.studio.queue import CANCELLED, FAILED, Cancelled, Job, Queue
from exuvia.studio.settings import LANES, Settings

logger = logging.getLogger(__name__)

BATCHED = ("generate",)
"""Kinds of jobs that run several at a time."""
BATCH_JOBS = 8
PAUSE_S = 0.05
MAX_LOADED = 4
"""Number of generators that stay loaded."""


class LoadedGenerators:
    """Loads generators and keeps the most recently used ones."""

    def __init__(self, library: Library, device: str) -> None:
        self.library, self.device = library, device
        self.loaded: OrderedDict[str, MotionPipeline] = OrderedDict()

    def __call__(self, name: str) -> MotionPipeline:
        """Return a generator by its id. Raises ConfigError, CheckpointError."""
        entry = self.library.generator(name)
        if name not in self.loaded:
            text = next((pipe.text for pipe in self.loaded.values()), None)  # the caption encoder is never edited
            try:
                pipe = MotionPipeline.from_pretrained(entry.place, device=self.device)
            except CheckpointError as error:  # only the operator may see the paths in the message
                logger.error("generator %s: %s", name, error)
                raise CheckpointError(f"the generator {entry.name!r} cannot be loaded; see the studio's log") from None
            if weights_of(entry.place) != entry.weights:  # earlier motions belong to the earlier weights
                logger.error("generator %s: the files in %s changed", name, entry.place)
                hint = "" if entry.origin == "edited" else "; restart the studio to use them under a new id"
                raise CheckpointError(f"the files of the generator {entry.name!r} have changed{hint}")
            if text is not None and text.fingerprint == pipe.text.fingerprint:
                pipe.text = text
            self.loaded[name] = pipe
        self.loaded.move_to_end(name)
        while len(self.loaded) > MAX_LOADED:
            self.loaded.popitem(last=False)
        return self.loaded[name]


class Worker:
    """Claims jobs, runs them and stores the outcome."""

    def __init__(self, settings: Settings, lane: str, name: str) -> None:
        engine = open_database(settings.url)
        self.lane, self.name = lane, name
        self.queue = Queue(engine)
        library = Library(engine, settings)
        self.context = JobContext(
            settings, self.queue, library, LoadedGenerators(library, settings.device), self.detector
        )
        self._detector: ViolenceDetector | None = None

    def detector(self) -> ViolenceDetector | None:
        """Return the shipped classifier, or None if there is none."""
        if self._detector is None:
            with contextlib.suppress(CheckpointError):
                self._detector = shipped_detector()
        return self._detector

    def warm_up(self) -> None:
        """Load what the first job needs, and publish the catalogue for the server."""
        if self.lane != LANES[0]:
            return
        detector, first = self.detector(), self.context.library.generators()
        try:
            self.context.load(first[0].id)("a person walks", frames=40)
        except ExuviaError as error:
            logger.error("the first generator cannot be used: %s", error)
        publish(self.context.library, build(detector.point.threshold if detector else None))

    def turn(self) -> bool:
        """Run one batch of jobs. Returns whether there was one."""
        jobs = self.queue.claim(self.lane, self.name, BATCH_JOBS, BATCHED)
        if not jobs:
            return False
        try:
            resolve(STUDIO_JOB, jobs[0].kind, "kind of job")(jobs, self.context)
        except Cancelled:
            self._end(jobs, CANCELLED, "cancelled")
        except ExuviaError as error:
            self._end(jobs, FAILED, str(error))
        except (OSError, DBAPIError) as error:
            logger.exception("job %s", jobs[0].id)
            reason = str(getattr(error, "orig", None) or getattr(error, "strerror", None) or type(error).__name__)
            self._end(jobs, FAILED, f"the result could not be stored: {reason}; free some space and run the job again")
        except Exception:  # a bug must not stop the other jobs; the log has the traceback
            logger.exception("job %s", jobs[0].id)
            self._end(jobs, FAILED, "this failed because of a bug in the studio; see the studio's log")
        return True

    def _end(self, jobs: list[Job], state: str, message: str) -> None:
        for job in jobs:
            if self.queue.get(job.id).state == "running":
                self.queue.finish(job.id, state, message=message)


def main() -> None:
    """Work until the parent process ends."""
    options = parse_as(dict[str, Any], sys.stdin.readline(), "what the server sent")
    logging.basicConfig(level=logging.INFO, format=f"%(asctime)s {options['lane']} %(levelname)s %(name)s: %(message)s")
    settings = from_dict(Settings, options["settings"])
    torch.set_num_threads(settings.threads)
    if hasattr(os, "nice"):  # not on Windows
        os.nice(5)  # the server has priority
    threading.Thread(target=_end_with_parent, daemon=True).start()
    worker = Worker(settings, options["lane"], options["name"])
    worker.warm_up()
    while True:
        try:
            if not worker.turn():
                time.sleep(PAUSE_S)
        except DBAPIError:  # temporary, such as a full disk or a database that restarts
            logger.exception("the database did not answer")
            time.sleep(1.0)


def _end_with_parent() -> None:
    """Exit when standard input closes, which happens as soon as the parent process ends."""
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    main()
