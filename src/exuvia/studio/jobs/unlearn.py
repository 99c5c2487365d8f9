"""Making a generator forget: a copy of it, edited by a method, is kept under a name of its own."""

import time
from typing import Any

from exuvia.config import nested
from exuvia.studio.jobs.base import Desk
from exuvia.studio.queue import DONE, Cancelled, Job
from exuvia.train import watched
from exuvia.unlearning.base import unlearn as edit_generator


def unlearn(jobs: list[Job], desk: Desk) -> None:
    """Edit a copy of a generator and offer it. The original stays as it is. Raises Cancelled, ExuviaError."""
    for job in jobs:
        ask: dict[str, Any] = job.request
        parent = desk.library.generator(ask["pipeline"])
        desk.progress(job, 0, 100, "loading the generator")
        pipe = desk.shelf(parent.id)
        store = desk.settings.data_set(ask.get("data"))
        desk.progress(job, 0, 100, "editing")
        cache = desk.settings.folder / "cache"
        began = time.perf_counter()
        seen: list[tuple[int, int]] = []

        def follow(step: int, steps: int, job: Job = job, seen: list[tuple[int, int]] = seen) -> None:
            """Trainings of a method come one after another; how many is not known before."""
            if step == 1:
                seen.append((0, steps))
            desk.progress(job, step, steps, f"training {len(seen)}: step {step} of {steps}" if step % 10 == 0 else "")

        with watched(follow):
            own = nested(ask["settings"])
            safe = edit_generator(ask["method"], pipe, forget=ask["concept"], data=store, cache=cache, **own)
        seconds = round(time.perf_counter() - began, 3)
        name, edit = job.id, safe.provenance["edits"][-1]  # run twice, a job leaves one generator
        desk.progress(job, 99, 100, "saving")
        desk.library.discard(name)
        safe.save_pretrained(desk.library.place_for(name))
        facts = {"method": ask["method"], "concept": edit["forget"], "settings": edit["settings"]}
        facts |= {"data": ask.get("data"), "replaced": edit.get("replaced"), "clips": edit.get("clips")}
        title = ask.get("name") or desk.library.free_name(f"{parent.name} without {edit['forget']} ({ask['method']})")
        try:
            desk.queue.progress(job.id, 99, 100)
        except Cancelled:
            desk.library.discard(name)
            raise
        with desk.library.engine.begin() as link:
            desk.library.add_edited(link, name, title, parent.id, job.id, facts | {"edit_s": seconds})
            desk.queue.finish(job.id, DONE, {"pipeline": name, "edit_s": seconds}, link=link)
