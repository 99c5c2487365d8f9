"""Compares an edited generator with its original, on the built-in prompts or a data set's captions."""

from functools import partial
from typing import Any

from exuvia.evaluation.suite import evaluate as measure
from exuvia.studio.jobs.base import JobContext
from exuvia.studio.queue import DONE, Job


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
