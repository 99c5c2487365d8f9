"""Work: asking for it, following it, stopping it."""

import math
from collections.abc import AsyncIterable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from exuvia.errors import ConfigError
from exuvia.files import csv_text
from exuvia.studio.context import Context, Studio
from exuvia.studio.queue import ENDED, Refused, Unknown
from exuvia.studio.schemas import AuditAsk, EditAsk, EvaluationAsk, Id, JobKind, JobView, Motion, MotionAsk, MotionLine
from exuvia.studio.views import audit_csv_rows, job_view

routes = APIRouter(prefix="/api/v1", tags=["jobs"])


@routes.post("/motion", status_code=202)
def ask_for_motion(ask: MotionAsk, studio: Studio) -> JobView:
    """Motion for prompts; the job's `result.motions` has their ids, a motion a prompt, seed and generator."""
    limits = studio.settings.limits
    if len(ask.prompts) > limits.prompts:
        most = f"at most {limits.prompts}; ask for the rest later"
        raise ConfigError(f"found {len(ask.prompts)} prompts, expected {most}")
    names = ask.generators or [studio.library.generators()[0].id]
    for one in map(studio.library.generator, names):
        low, high = one.facts.get("frames") or (1, math.inf)
        if ask.frames is not None and not low <= ask.frames <= high:
            raise Refused(f"frames: found {ask.frames}, expected {low} to {high} for the generator {one.name!r}")
    total = len(ask.prompts) * len(ask.seeds) * len(names)
    if total > limits.motions:
        raise ConfigError(f"found {total} motions, expected at most {limits.motions} at a time")
    request = {"prompts": ask.prompts, "seeds": ask.seeds, "pipelines": names, "frames": ask.frames}
    return job_view(studio.queue.submit("generate", "quick", request, total), studio.queue)


@routes.post("/edits", status_code=202)
def ask_for_edit(ask: EditAsk, studio: Studio) -> JobView:
    """A copy of a generator that forgets a concept; the job's `result.pipeline` is its id."""
    studio.library.generator(ask.generator)
    studio.settings.data_set(ask.data)
    request = ask.model_dump(exclude={"generator"}) | {"pipeline": ask.generator}
    return job_view(studio.queue.submit("unlearn", "long", request), studio.queue)


@routes.post("/audits", status_code=202)
def ask_for_audit(ask: AuditAsk, studio: Studio) -> JobView:
    """Many prompts through a generator, and which of them slip through; see `/jobs/{id}/audit`."""
    studio.library.generator(ask.generator)
    if not ask.prompts and not ask.kinds:
        raise ConfigError("found no prompt and no set of prompts, expected at least one of either")
    found, most = len(ask.prompts) * len(ask.seeds), studio.settings.limits.audit_prompts
    if found > most:
        raise ConfigError(f"found {found} prompts times seeds, expected at most {most}")
    request = ask.model_dump(exclude={"generator"}) | {"pipeline": ask.generator}
    return job_view(studio.queue.submit("audit", "long", request), studio.queue)


@routes.post("/evaluations", status_code=202)
def ask_for_evaluation(ask: EvaluationAsk, studio: Studio) -> JobView:
    """A report on an edited generator beside its original; see `/jobs/{id}/report`."""
    one = studio.library.generator(ask.generator)
    if one.parent is None:
        raise ConfigError(f"{one.name!r} was not edited here; a report needs an original to compare it with")
    studio.library.generator(one.parent)
    studio.settings.data_set(ask.data)
    request = ask.model_dump(exclude={"generator"}) | {"pipeline": ask.generator}
    return job_view(studio.queue.submit("evaluate", "long", request), studio.queue)


@routes.get("/jobs")
def list_jobs(
    studio: Studio,
    kind: Annotated[list[JobKind], Query()] = [],  # noqa: B006 - FastAPI copies it
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Annotated[float | None, Query(description="only jobs made before this time", allow_inf_nan=False)] = None,
) -> list[JobView]:
    """Jobs, the newest first."""
    return [job_view(job) for job in studio.queue.newest(limit, kind, before)]


@routes.get("/events", response_class=EventSourceResponse)
async def follow(
    studio: Studio,
    since: Annotated[int | None, Query(ge=0, le=2**31 - 1, description="tell changes after this revision")] = None,
    last_event_id: Annotated[str | None, Header()] = None,
) -> AsyncIterable[ServerSentEvent]:
    """Every change of a job as a server-sent event `job`, its id the revision; a connection that was lost goes on."""
    if last_event_id is not None and last_event_id.isdecimal() and len(last_event_id) < 10:
        since = int(last_event_id)
    yield ServerSentEvent(comment="the studio tells of its jobs", retry=1000)
    async for job in studio.broadcast.listen(since):
        yield ServerSentEvent(data=job_view(job).model_dump(mode="json"), event="job", id=str(job.revision))


@routes.get("/jobs/{job}")
def show_job(job: Id, studio: Studio) -> JobView:
    """One job."""
    return job_view(studio.queue.get(job), studio.queue)


@routes.post("/jobs/{job}/cancel")
def cancel_job(job: Id, studio: Studio) -> JobView:
    """Stop a job; one that has ended stays as it is, so that two may ask at once."""
    return job_view(studio.queue.ask_to_cancel(job), studio.queue)


@routes.post("/jobs/{job}/again")
def run_again(job: Id, studio: Studio) -> JobView:
    """Put a failed or cancelled job back into the queue."""
    return job_view(studio.queue.again(job), studio.queue)


@routes.delete("/jobs/{job}", status_code=204)
def forget_job(job: Id, studio: Studio) -> None:
    """Delete an ended job with its motions."""
    found = studio.queue.get(job)
    if found.state not in ENDED:
        raise ConfigError(f"this job is {found.state}; cancel it first")
    studio.library.forget_job(job)


@routes.get("/jobs/{job}/motions", response_model=list[MotionLine])
def motions_of_job(job: Id, studio: Studio) -> list[Motion]:
    """The motions that a job has made, in the order in which they were asked for."""
    studio.queue.get(job)
    return studio.library.motions_of(job)


@routes.get("/jobs/{job}/audit")
def audit_of_job(job: Id, studio: Studio, form: Annotated[Literal["json", "csv"], Query()] = "json") -> Any:
    """What an audit found, a line a prompt and seed, with the marks set since; as JSON or as a table to keep."""
    result = _result(studio, job, "audit")
    marks: dict[str, str | None] = {one.id: one.label for one in studio.library.motions_of(job)}
    if form == "json":
        return result | {"lines": [line | {"mark": marks.get(line.get("motion") or "")} for line in result["lines"]]}
    headers = {"content-disposition": f'attachment; filename="audit-{job[:8]}.csv"'}
    return Response(csv_text(audit_csv_rows(result, marks)), media_type="text/csv", headers=headers)


@routes.get("/jobs/{job}/report")
def report_of_job(job: Id, studio: Studio) -> dict[str, Any]:
    """What an evaluation found: `report` as in report.json, `table` as Markdown, `names` of its methods."""
    return _result(studio, job, "evaluate")


def _result(studio: Context, job: str, kind: str) -> dict[str, Any]:
    found = studio.queue.get(job)
    if found.kind != kind:
        raise Unknown(f"there is no {kind} {job[:40]!r}")
    if found.result is None:
        raise Unknown(f"this job is {found.state} and has no result")
    return dict(found.result)
