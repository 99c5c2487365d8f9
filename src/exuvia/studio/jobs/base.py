"""What all kinds of jobs share: the context in which a worker runs them, and progress reports."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from exuvia.judges.classifier import ViolenceDetector
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.studio.library import Library
from exuvia.studio.queue import Job, Queue
from exuvia.studio.settings import Settings

PAUSE_S = 0.2
"""Minimum interval between two progress reports of a job."""
BATCH = 8
"""Number of motions generated at a time; cancellation takes effect after each batch."""


@dataclass
class JobContext:
    """Settings, storage and loaded models of a worker."""

    settings: Settings
    queue: Queue
    library: Library
    load: Callable[[str], MotionPipeline]
    """Returns a generator by its id, and keeps it loaded."""
    detector: Callable[[], ViolenceDetector | None]
    reported: dict[str, float] = field(default_factory=dict)

    def progress(self, job: Job, done: int, total: int, message: str = "") -> None:
        """Report the progress of a job, at most every PAUSE_S. Raises Cancelled."""
        now = time.monotonic()
        if message or done >= total or now - self.reported.get(job.id, 0.0) > PAUSE_S:
            self.reported[job.id] = now
            self.queue.progress(job.id, done, total, message)
