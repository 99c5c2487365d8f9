"""Motion for prompts: those of several waiting jobs are made together, since a prompt and seed give the same motion in
any company."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from exuvia.errors import ExuviaError
from exuvia.studio.analysis import generated
from exuvia.studio.jobs.base import BATCH, Desk
from exuvia.studio.queue import CANCELLED, DONE, FAILED, Cancelled, Job


@dataclass(frozen=True)
class Wish:
    """One motion that a job asks for."""

    job: Job
    number: int
    """Its place among the job's motions."""
    pipeline: str
    prompt: str
    seed: int
    frames: int | None


def wishes(job: Job) -> list[Wish]:
    """The motions that a job asks for: for every prompt and seed one by each generator."""
    ask: dict[str, Any] = job.request
    each = [(text, seed, one) for text in ask["prompts"] for seed in ask["seeds"] for one in ask["pipelines"]]
    return [Wish(job, n, one, text, seed, ask.get("frames")) for n, (text, seed, one) in enumerate(each)]


def generate(jobs: list[Job], desk: Desk) -> None:
    """Make the motions of several jobs; each is finished as soon as it has all of its own."""
    groups: dict[tuple[str, bool], list[Wish]] = defaultdict(list)
    open_jobs = {job.id: _Open(job, desk) for job in jobs}
    for job in jobs:
        for wish in wishes(job):
            open_jobs[job.id].total += 1
            groups[wish.pipeline, wish.frames is None].append(wish)
    for group in groups.values():
        for low in range(0, len(group), BATCH):
            some = [wish for wish in group[low : low + BATCH] if not open_jobs[wish.job.id].ended]
            try:
                rows = made(desk, some)
            except ExuviaError as error:
                if len({wish.job.id for wish in some}) == 1:
                    open_jobs[some[0].job.id].fail(str(error))
                else:  # one of them asks for what cannot be: each by itself
                    for name in dict.fromkeys(wish.job.id for wish in some):
                        generate([open_jobs[name].restart()], desk)
                continue
            for wish, row in zip(some, rows, strict=True):
                open_jobs[wish.job.id].rows[wish.number] = row
            for name in dict.fromkeys(wish.job.id for wish in some):
                open_jobs[name].tell()


class _Open:
    """A job on its way."""

    def __init__(self, job: Job, desk: Desk) -> None:
        self.job, self.desk, self.total, self.ended = job, desk, 0, False
        self.rows: dict[int, dict[str, Any]] = {}

    def tell(self) -> None:
        try:
            self.desk.progress(self.job, len(self.rows), self.total)
            if len(self.rows) == self.total:
                self.ended = True
                with self.desk.library.engine.begin() as link:
                    names = self.desk.library.add_motions(link, [self.rows[n] for n in range(self.total)])
                    self.desk.queue.finish(self.job.id, DONE, {"motions": names}, link=link)
        except Cancelled:
            self.ended = True
            self.desk.queue.finish(self.job.id, CANCELLED, message="cancelled")

    def fail(self, message: str) -> None:
        self.ended = True
        self.desk.queue.finish(self.job.id, FAILED, message=message)

    def restart(self) -> Job:
        self.ended = True
        return self.job


def made(desk: Desk, some: Sequence[Wish]) -> list[dict[str, Any]]:
    """Rows for the table of motions for wishes to one generator, all with a length or all without."""
    if not some:
        return []
    pipe = desk.shelf(some[0].pipeline)
    texts, seeds = [wish.prompt for wish in some], [wish.seed for wish in some]
    frames = None if some[0].frames is None else [int(wish.frames or 0) for wish in some]
    done = pipe.generate(texts, seed=seeds, frames=frames, batch_size=BATCH)
    rows = generated(pipe, done, texts, seeds, desk.detector())
    about = [{"pipeline": wish.pipeline, "job": wish.job.id, "number": wish.number} for wish in some]
    return [row | facts for row, facts in zip(rows, about, strict=True)]
