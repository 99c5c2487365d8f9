"""Scores uploaded motions with the classifier."""

from sqlalchemy import update

from exuvia.studio.analysis import uploaded_row
from exuvia.studio.database import motions
from exuvia.studio.jobs.base import JobContext
from exuvia.studio.library import ABOUT
from exuvia.studio.queue import DONE, Job


def look(jobs: list[Job], context: JobContext) -> None:
    """Score the motions of these jobs and store the result with each."""
    for job in jobs:
        motions_of_job = context.library.motions_of(job.id)
        for motion in motions_of_job:
            row = uploaded_row(context.library.clip(motion.id), context.detector())
            with context.library.engine.begin() as link:
                here = update(motions).where(motions.c.id == motion.id)
                detail = row["detail"] | motion.model_dump(include=set(ABOUT))
                link.execute(here.values(violence=row["violence"], detail=detail))
        context.queue.finish(job.id, DONE, {"motions": [motion.id for motion in motions_of_job]})
