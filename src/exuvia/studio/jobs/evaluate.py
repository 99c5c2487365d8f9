"""A report on an edited generator beside its original, on the built-in prompts or a data set's captions."""

from functools import partial
from typing import Any

from exuvia.evaluation.suite import evaluate as measure
from exuvia.studio.jobs.base import Desk
from exuvia.studio.queue import DONE, Job


def evaluate(jobs: list[Job], desk: Desk) -> None:
    """Measure what a generator forgot and kept. Raises Cancelled, ExuviaError."""
    for job in jobs:
        ask: dict[str, Any] = job.request
        edited = desk.library.generator(ask["pipeline"])
        assert edited.parent is not None, "a report is asked for edited generators only"
        original = desk.library.generator(edited.parent)
        own: dict[str, Any] = {"seeds": tuple(ask["seeds"]), "limit": ask["limit"]}
        own |= {"benchmark": edited.facts.get("concept", "violence"), "progress": partial(desk.progress, job)}
        own |= {"data": desk.settings.data_set(ask.get("data")), "cache": desk.settings.folder / "cache" / "motions"}
        report = measure(desk.shelf(edited.id), original=desk.shelf(original.id), **own)
        names = {"edited": edited.name, "original": original.name}
        desk.queue.finish(job.id, DONE, {"report": report.to_dict(), "table": str(report), "names": names})
