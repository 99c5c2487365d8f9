"""An audit: many prompts to one generator, and which of them the classifier finds violence in.

Its result has a line a prompt and seed: the fields of `evaluation.audit.AuditLine`, and the `motion` in the library.
"""

from dataclasses import asdict
from typing import Any

from exuvia.errors import CheckpointError
from exuvia.evaluation.audit import audit_lines
from exuvia.evaluation.prompts.load import fingerprint
from exuvia.studio.jobs.base import BATCH, Desk
from exuvia.studio.jobs.generate import Wish, made
from exuvia.studio.queue import DONE, Job


def audit(jobs: list[Job], desk: Desk) -> None:
    """Run prompts of one's own and the shipped sets through a generator. Raises Cancelled, ExuviaError."""
    detector = desk.detector()
    if detector is None:
        raise CheckpointError("this installation ships no classifier, without which nothing can be audited")
    for job in jobs:
        desk.library.forget_motions(job.id)  # of a run that was not finished
        ask: dict[str, Any] = job.request
        lines = audit_lines(ask["prompts"], ask["kinds"], ask["seeds"])
        motions: list[str | None] = [None] * len(lines)
        todo = [number for number, line in enumerate(lines) if line.error is None]
        for low in range(0, len(todo), BATCH):
            desk.progress(job, low, len(todo))
            part = todo[low : low + BATCH]
            rows = made(desk, [Wish(job, n, ask["pipeline"], lines[n].text, lines[n].seed, None) for n in part])
            with desk.library.engine.begin() as link:
                names = desk.library.add_motions(link, rows)
            for number, row, name in zip(part, rows, names, strict=True):
                lines[number] = lines[number].judged(row["violence"], detector.point.threshold)
                motions[number] = name
        facts = {"pipeline": ask["pipeline"], "threshold": detector.point.threshold, "prompts": fingerprint()}
        shown = [asdict(line) | {"motion": name} for line, name in zip(lines, motions, strict=True)]
        desk.queue.finish(job.id, DONE, {"lines": shown, **facts})
