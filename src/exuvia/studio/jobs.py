"""The work of each kind of job: generate motions, edit, audit and evaluate generators, look at uploaded motions.

Generating jobs share batches, because a prompt and seed give the same motion in any batch. An edit is stored as a copy
under a separate name. The result of an audit has one line per prompt and seed: the fields of
`evaluation.audit.AuditLine`, and the id of the `motion`.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import product
from typing import Any

from sqlalchemy import update

from exuvia.config import nested
from exuvia.errors import CheckpointError, ExuviaError
from exuvia.evaluation.audit import audit_lines
from exuvia.evaluation.prompts.load import fingerprint
from exuvia.evaluation.suite import evaluate as measure
from exuvia.judges.classifier import ViolenceDetector
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.studio.analysis import generated_rows, uploaded_row
from exuvia.studio.database import motions
from exuvia.studio.library import ABOUT, Library
from exuvia.studio.queue import CANCELLED, DONE, FAILED, Cancelled, Job, Queue
from exuvia.studio.settings import Settings
from exuvia.train import watched
from exuvia.unlearning.base import unlearn as edit_generator

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


def generate(jobs: list[Job], context: JobContext) -> None:
    """Generate the motions of several jobs; each job is finished as soon as all its motions exist."""
    groups: dict[tuple[str, bool], list[MotionRequest]] = defaultdict(list)
    open_jobs = {job.id: _OpenJob(job, context) for job in jobs}
    for job in jobs:
        each = list(product(job.request["prompts"], job.request["seeds"], job.request["pipelines"]))
        open_jobs[job.id].total, frames = len(each), job.request.get("frames")
        for number, (text, seed, pipe) in enumerate(each):
            groups[pipe, frames is None].append(MotionRequest(job, number, pipe, text, seed, frames))
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


def unlearn(jobs: list[Job], context: JobContext) -> None:
    """Edit a copy of a generator and store it; the original stays unchanged. Raises Cancelled, ExuviaError."""
    for job in jobs:
        ask: dict[str, Any] = job.request
        parent = context.library.generator(ask["pipeline"])
        context.progress(job, 0, 100, "loading the generator")
        pipe = context.load(parent.id)
        store = context.settings.data_set(ask.get("data"))
        context.progress(job, 0, 100, "editing")
        cache = context.settings.folder / "cache"
        began = time.perf_counter()
        seen: list[tuple[int, int]] = []

        def follow(step: int, steps: int, job: Job = job, seen: list[tuple[int, int]] = seen) -> None:
            """Report the steps of a method's trainings, whose number is not known in advance."""
            if step == 1:
                seen.append((0, steps))
            message = f"training {len(seen)}: step {step} of {steps}" if step % 10 == 0 else ""
            context.progress(job, step, steps, message)

        with watched(follow):
            options = nested(ask["settings"])
            safe = edit_generator(ask["method"], pipe, forget=ask["concept"], data=store, cache=cache, **options)
        seconds = round(time.perf_counter() - began, 3)
        name, edit = job.id, safe.provenance["edits"][-1]  # a job that runs twice leaves one generator
        context.progress(job, 99, 100, "saving")
        context.library.discard(name)
        safe.save_pretrained(context.library.place_for(name))
        facts = {"method": ask["method"], "concept": edit["forget"], "settings": edit["settings"]}
        facts |= {"data": ask.get("data"), "replaced": edit.get("replaced"), "clips": edit.get("clips")}
        title = f"{parent.name} without {edit['forget']} ({ask['method']})"
        title = ask.get("name") or context.library.free_name(title)
        try:
            context.queue.progress(job.id, 99, 100)
        except Cancelled:
            context.library.discard(name)
            raise
        with context.library.engine.begin() as link:
            context.library.add_edited(link, name, title, parent.id, job.id, facts | {"edit_s": seconds})
            context.queue.finish(job.id, DONE, {"pipeline": name, "edit_s": seconds}, link=link)


def audit(jobs: list[Job], context: JobContext) -> None:
    """Run the user's prompts and shipped sets through a generator. Raises Cancelled, ExuviaError."""
    detector = context.detector()
    if detector is None:
        raise CheckpointError("this installation has no classifier, which an audit needs; install exuvia-base")
    for job in jobs:
        context.library.forget_motions(job.id)  # left by an unfinished run
        ask: dict[str, Any] = job.request
        lines = audit_lines(ask["prompts"], ask["kinds"], ask["seeds"])
        stored: list[str | None] = [None] * len(lines)
        todo = [number for number, line in enumerate(lines) if line.error is None]
        for low in range(0, len(todo), BATCH):
            context.progress(job, low, len(todo))
            part = todo[low : low + BATCH]
            batch = [MotionRequest(job, n, ask["pipeline"], lines[n].text, lines[n].seed, None) for n in part]
            rows = make_motions(context, batch)
            with context.library.engine.begin() as link:
                names = context.library.add_motions(link, rows)
            for number, row, name in zip(part, rows, names, strict=True):
                lines[number] = lines[number].judged(row["violence"], detector.point.threshold)
                stored[number] = name
        facts = {"pipeline": ask["pipeline"], "threshold": detector.point.threshold, "prompts": fingerprint()}
        shown = [asdict(line) | {"motion": name} for line, name in zip(lines, stored, strict=True)]
        context.queue.finish(job.id, DONE, {"lines": shown, **facts})


def evaluate(jobs: list[Job], context: JobContext) -> None:
    """Measure what generators forgot and kept. Raises Cancelled, ExuviaError."""
    for job in jobs:
        ask: dict[str, Any] = job.request
        edited = context.library.generator(ask["pipeline"])
        assert edited.parent is not None, "only edited generators have a report"
        original = context.library.generator(edited.parent)
        options: dict[str, Any] = {"seeds": tuple(ask["seeds"]), "limit": ask["limit"]}
        options |= {"benchmark": edited.facts.get("concept", "violence"), "progress": partial(context.progress, job)}
        options["data"] = context.settings.data_set(ask.get("data"))
        options["cache"] = context.settings.folder / "cache" / "motions"
        report = measure(context.load(edited.id), original=context.load(original.id), **options)
        names = {"edited": edited.name, "original": original.name}
        context.queue.finish(job.id, DONE, {"report": report.to_dict(), "table": str(report), "names": names})
