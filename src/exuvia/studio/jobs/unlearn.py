"""Makes a generator forget: stores a copy that a method has edited, under a separate name."""

import time
from typing import Any

from exuvia.config import nested
from exuvia.studio.jobs.base import JobContext
from exuvia.studio.queue import DONE, Cancelled, Job
from exuvia.train import watched
from exuvia.unlearning.base import unlearn as edit_generator


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
