"""What every kind of job has in common: it is handed its requests and a desk, and says how far it is."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from exuvia.judges.classifier import ViolenceDetector
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.studio.library import Library
from exuvia.studio.queue import Job, Queue
from exuvia.studio.settings import Settings

PAUSE_S = 0.2
"""Progress is written this often at most."""
BATCH = 8
"""Motions made at a time; after each batch a job hears that nobody wants it any more."""


@dataclass
class Desk:
    """What a worker has at hand."""

    settings: Settings
    queue: Queue
    library: Library
    shelf: Callable[[str], MotionPipeline]
    """Id of a generator -> the generator, loaded once."""
    detector: Callable[[], ViolenceDetector | None]
    said: dict[str, float] = field(default_factory=dict)

    def progress(self, job: Job, done: int, total: int, message: str = "") -> None:
        """Say how far a job is, not too often. Raises Cancelled."""
        now = time.monotonic()
        if message or done >= total or now - self.said.get(job.id, 0.0) > PAUSE_S:
            self.said[job.id] = now
            self.queue.progress(job.id, done, total, message)
