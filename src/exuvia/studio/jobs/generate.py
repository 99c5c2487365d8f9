"""Generates motions. Jobs share batches, because a prompt and seed give the same motion in any batch."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from exuvia.errors import ExuviaError
from exuvia.studio.analysis import generated_rows
from exuvia.studio.jobs.base import BATCH, JobContext
from exuvia.studio.queue import CANCELLED, DONE, FAILED, Cancelled, Job


@dataclass(frozen=True)
class MotionRequest:
    """One motion that a job asks for."""

    job: Job
    number: int
    """Index among the job's motions."""
    pipeline: str
    prompt: str
    seed: int
    frames: int | None


def motion_requests(job: Job) -> list[MotionRequest]:
    """Return the motions that a job asks for: one per prompt, seed and generator."""
    ask: dict[str, Any] = job.request
    each = product(ask["prompts"], ask["seeds"], ask["pipelines"])
    return [MotionRequest(job, n, pipe, text, seed, ask.get("frames")) for n, (text, seed, pipe) in enumerate(each)]


def generate(jobs: list[Job], context: JobContext) -> None:
    """Generate the motions of several jobs; each job is finished as soon as all its motions exist."""
    groups: dict[tuple[str, bool], list[MotionRequest]] = defaultdict(list)
    open_jobs = {job.id: _OpenJob(job, context) for job in jobs}
    for job in jobs:
        for request in motion_requests(job):
            open_jobs[job.id].total += 1
            groups[request.pipeline, request.frames is None].append(request)
    for group in groups.values():
        for low in range(0, len(group), BATCH):
            batch = [request for request in group[low : low + BATCH] if not open_jobs[request.job.id].ended]
            try:
                rows = make_motions(context, batch)
            except ExuviaError as error:
                if len({request.job.id for request in batch}) == 1:
                    open_jobs[batch[0].job.id].fail(str(error))
                else:  # one of the requests is impossible, so run each job alone
                    for name in dict.fromkeys(request.job.id for request in batch):
                        generate([open_jobs[name].restart()], context)
                continue
            for request, row in zip(batch, rows, strict=True):
                open_jobs[request.job.id].rows[request.number] = row
            for name in dict.fromkeys(request.job.id for request in batch):
                open_jobs[name].report()


class _OpenJob:
    """A job that is being run."""

    def __init__(self, job: Job, context: JobContext) -> None:
        self.job, self.context, self.total, self.ended = job, context, 0, False
        self.rows: dict[int, dict[str, Any]] = {}

    def report(self) -> None:
        try:
            self.context.progress(self.job, len(self.rows), self.total)
            if len(self.rows) == self.total:
                self.ended = True
                with self.context.library.engine.begin() as link:
                    names = self.context.library.add_motions(link, [self.rows[n] for n in range(self.total)])
                    self.context.queue.finish(self.job.id, DONE, {"motions": names}, link=link)
        except Cancelled:
            self.ended = True
            self.context.queue.finish(self.job.id, CANCELLED, message="cancelled")

    def fail(self, message: str) -> None:
        self.ended = True
        self.context.queue.finish(self.job.id, FAILED, message=message)

    def restart(self) -> Job:
        self.ended = True
        return self.job


def make_motions(context: JobContext, batch: Sequence[MotionRequest]) -> list[dict[str, Any]]:
    """Return table rows for requests to one generator; all requests have a length, or none has."""
    if not batch:
        return []
    pipe = context.load(batch[0].pipeline)
    texts, seeds = [request.prompt for request in batch], [request.seed for request in batch]
    frames = None if batch[0].frames is None else [int(request.frames or 0) for request in batch]
    done = pipe.generate(texts, seed=seeds, frames=frames, batch_size=BATCH)
    rows = generated_rows(pipe, done, texts, seeds, context.detector())
    about = [{"pipeline": request.pipeline, "job": request.job.id, "number": request.number} for request in batch]
    return [row | facts for row, facts in zip(rows, about, strict=True)]
