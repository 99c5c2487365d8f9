"""Converts rows of the tables to responses of the API."""

import hashlib
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request

from exuvia.studio.events import Broadcast
from exuvia.studio.library import Library
from exuvia.studio.queue import Job, Queue
from exuvia.studio.schemas import JobView, Motion, MotionView
from exuvia.studio.settings import Settings
from exuvia.studio.supervisor import Supervisor
from exuvia.view.page import pack_clip


@dataclass
class Context:
    """The parts of one studio."""

    settings: Settings
    queue: Queue
    library: Library
    broadcast: Broadcast
    supervisor: Supervisor | None


def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


Studio = Annotated[Context, Depends(_context)]


SHORT_KEYS = ("motions", "pipeline", "edit_s", "pipelines", "names", "threshold")
"""Short parts of a result, shown in lists of jobs."""
TITLE_CHARACTERS = 120


def job_view(job: Job, queue: Queue | None = None) -> JobView:
    """Return a job as the page shows it; with a queue, also the number of jobs before it."""
    shared = {name: getattr(job, name) for name in JobView.model_fields if hasattr(job, name)}
    short = None if job.result is None else {key: job.result[key] for key in SHORT_KEYS if key in job.result}
    try:
        title = _title(job)
    except (LookupError, TypeError):  # a request that this studio would have refused
        title = job.kind
    shared |= {"title": title, "result": short, "ahead": 0 if queue is None else queue.ahead(job)}
    request = {k: v[:16] if isinstance(v, list) and job.kind == "audit" else v for k, v in job.request.items()}
    return JobView(**shared | {"request": request})


def _title(job: Job) -> str:
    ask = job.request
    if job.kind == "generate":
        more = f" and {len(ask['prompts']) - 1} more" if len(ask["prompts"]) > 1 else ""
        return ask["prompts"][0][:TITLE_CHARACTERS] + more
    if job.kind == "unlearn":
        return f"forget {ask['concept']} by {ask['method']}"[:TITLE_CHARACTERS]
    if job.kind == "audit":
        own = [f"{len(ask['prompts'])} own prompts"] if ask["prompts"] else []
        return "audit: " + ", ".join([*own, *ask["kinds"]])
    return {"evaluate": "report", "look": "uploaded motion"}.get(job.kind, job.kind)


def motion_view(motion: Motion, library: Library) -> MotionView:
    """Return a motion with its joints."""
    return MotionView(**dict(motion), clip=pack_clip(library.clip(motion.id)))


def report_id(name: str) -> str:
    """Return an id that survives restarts."""
    return hashlib.sha256(name.encode()).hexdigest()[:32]


def audit_csv_rows(result: dict[str, Any], marks: dict[str, str | None]) -> list[dict[str, Any]]:
    """Return the lines of an audit for a table, each with the user's mark of its motion."""
    keys = ("id", "kind", "text", "violent", "seed", "score", "slipped")
    return [{k: line.get(k) for k in keys} | {"mark": marks.get(line.get("motion") or "")} for line in result["lines"]]
