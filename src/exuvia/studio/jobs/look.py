"""The classifier's look at a motion that somebody brought."""

from sqlalchemy import update

from exuvia.studio.analysis import uploaded
from exuvia.studio.database import motions
from exuvia.studio.jobs.base import Desk
from exuvia.studio.queue import DONE, Job


def look(jobs: list[Job], desk: Desk) -> None:
    """Score the motions of these jobs and keep what was found beside them."""
    for job in jobs:
        found = desk.library.motions_of(job.id)
        for motion in found:
            row = uploaded(desk.library.clip(motion.id), desk.detector())
            with desk.library.engine.begin() as link:
                here = update(motions).where(motions.c.id == motion.id)
                link.execute(here.values(violence=row["violence"], detail=row["detail"]))
        desk.queue.finish(job.id, DONE, {"motions": [motion.id for motion in found]})
