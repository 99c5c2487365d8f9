"""An audit: many prompts for one generator, and in which of the motions the classifier sees violence.

The result has one line per prompt and seed: the fields of `evaluation.audit.AuditLine`, and the id of the `motion`.
"""

from dataclasses import asdict
from typing import Any

from exuvia.errors import CheckpointError
from exuvia.evaluation.audit import audit_lines
from exuvia.evaluation.prompts.load import fingerprint
from exuvia.studio.jobs.base import BATCH, JobContext
from exuvia.studio.jobs.generate import MotionRequest, make_motions
from exuvia.studio.queue import DONE, Job


def audit(jobs: list[Job], context: JobContext) -> None:
    """Run the user's prompts and shipped sets through a generator. Raises Cancelled, ExuviaError."""
    detector = context.detector()
    if detector is None:
        raise CheckpointError("this installation has no classifier, which an audit needs; install exuvia-base")
    for job in jobs:
        context.library.forget_motions(job.id)  # left by an unfinished run
        ask: dict[str, Any] = job.request
        lines = audit_lines(ask["prompts"], ask["kinds"], ask["seeds"])
        motions: list[str | None] = [None] * len(lines)
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
                motions[number] = name
        facts = {"pipeline": ask["pipeline"], "threshold": detector.point.threshold, "prompts": fingerprint()}
        shown = [asdict(line) | {"motion": name} for line, name in zip(lines, motions, strict=True)]
        context.queue.finish(job.id, DONE, {"lines": shown, **facts})
