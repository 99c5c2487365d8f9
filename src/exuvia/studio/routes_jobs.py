"""Routes that submit, follow and stop jobs."""

import math
from collections.abc import AsyncIterable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from exuvia.config import from_dict, nested
from exuvia.errors import ConfigError
from exuvia.files import csv_text
from exuvia.studio.queue import ENDED, Refused, Unknown
from exuvia.studio.schemas import AuditAsk, EditAsk, EvaluationAsk, Id, JobKind, JobView, Motion, MotionAsk, MotionLine
from exuvia.studio.views import Context, Studio, audit_csv_rows, job_view
from exuvia.unlearning.settings import method_settings

routes = APIRouter(prefix="/api/v1", tags=["jobs"])


@routes.post("/motion", status_code=202)
def ask_for_motion(ask: MotionAsk, studio: Studio) -> JobView:
    """Generate one motion per prompt, seed and generator; the job's `result.motions` has their ids."""
    limits = studio.settings.limits
    if len(ask.prompts) > limits.prompts:
        most = f"at most {limits.prompts}; ask for the rest later"
        raise ConfigError(f"found {len(ask.prompts)} prompts, expected {most}")
    names = ask.generators or [studio.library.generators()[0].id]
    for generator in map(studio.library.generator, names):
        low, high = generator.facts.get("frames") or (1, math.inf)
        if ask.frames is not None and not low <= ask.frames <= high:
            raise Refused(f"frames: found {ask.frames}, expected {low} to {high} for the generator {generator.name!r}")
    total = len(ask.prompts) * len(ask.seeds) * len(names)
    if total > limits.motions:
        raise ConfigError(f"found {total} motions, expected at most {limits.motions} at a time")
    request = {"prompts": ask.prompts, "seeds": ask.seeds, "pipelines": names, "frames": ask.frames}
    return job_view(studio.queue.submit("generate", "quick", request, total), studio.queue)


@routes.post("/edits", status_code=202)
def ask_for_edit(ask: EditAsk, studio: Studio) -> JobView:
    """Make a copy of a generator that forgets a concept; the job's `result.pipeline` is its id."""
    try:
        from_dict(method_settings(ask.method), nested(ask.settings))
    except ConfigError as error:
        raise Refused(str(error)) from None
    return _submit_long(studio, "unlearn", ask)


@routes.post("/audits", status_code=202)
def ask_for_audit(ask: AuditAsk, studio: Studio) -> JobView:
    """Run many prompts through a generator and report which are still violent; see `/jobs/{id}/audit`."""
    if not ask.prompts and not ask.kinds:
        raise ConfigError("found no prompt and no set of prompts, expected at least one of either")
    total, most = len(ask.prompts) * len(ask.seeds), studio.settings.limits.audit_prompts
    if total > most:
        raise ConfigError(f"found {total} prompts times seeds, expected at most {most}")
    return _submit_long(studio, "audit", ask)


@routes.post("/evaluations", status_code=202)
def ask_for_evaluation(ask: EvaluationAsk, studio: Studio) -> JobView:
    """Compare an edited generator with its original; see `/jobs/{id}/report`."""
    generator = studio.library.generator(ask.generator)
    if generator.parent is None:
        raise ConfigError(f"{generator.name!r} was not edited here; a report needs an original to compare it with")
    studio.library.generator(generator.parent)
    return _submit_long(studio, "evaluate", ask)


def _submit_long(studio: Context, kind: str, ask: EditAsk | AuditAsk | EvaluationAsk) -> JobView:
    """Submit a job of the long lane on one generator."""
    studio.library.generator(ask.generator)
    studio.settings.data_set(getattr(ask, "data", None))
    request = ask.model_dump(exclude={"generator"}) | {"pipeline": ask.generator}
    return job_view(studio.queue.submit(kind, "long", request), studio.queue)


@routes.get("/jobs")
def list_jobs(
    studio: Studio,
    kind: Annotated[list[JobKind], Query()] = [],  # noqa: B006 - FastAPI copies it
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Annotated[float | None, Query(description="only jobs created before this", allow_inf_nan=False)] = None,
) -> list[JobView]:
    """Return jobs, newest first."""
    return [job_view(job) for job in studio.queue.newest(limit, kind, before)]


@routes.get("/events", response_class=EventSourceResponse)
async def follow(
    studio: Studio,
    since: Annotated[int | None, Query(ge=0, le=2**31 - 1, description="send changes after this revision")] = None,
    last_event_id: Annotated[str | None, Header()] = None,
) -> AsyncIterable[ServerSentEvent]:
    """Send every change of a job as a server-sent event `job` with the revision as id; lost connections can resume."""
    if last_event_id is not None and last_event_id.isdecimal() and len(last_event_id) < 10:
        since = int(last_event_id)
    yield ServerSentEvent(comment="changes of jobs follow", retry=1000)
    async for job in studio.broadcast.listen(since):
        yield ServerSentEvent(data=job_view(job).model_dump(mode="json"), event="job", id=str(job.revision))


@routes.get("/jobs/{job}")
def show_job(job: Id, studio: Studio) -> JobView:
    """Return one job."""
    return job_view(studio.queue.get(job), studio.queue)


@routes.post("/jobs/{job}/cancel")
def cancel_job(job: Id, studio: Studio) -> JobView:
    """Stop a job; an ended job stays unchanged, so repeated requests are harmless."""
    return job_view(studio.queue.ask_to_cancel(job), studio.queue)


@routes.post("/jobs/{job}/again")
def run_again(job: Id, studio: Studio) -> JobView:
    """Return a failed or cancelled job to the queue."""
    return job_view(studio.queue.again(job), studio.queue)


@routes.delete("/jobs/{job}", status_code=204)
def forget_job(job: Id, studio: Studio) -> None:
    """Delete an ended job with its motions."""
    state = studio.queue.get(job).state
    if state not in ENDED:
        raise ConfigError(f"this job is {state}; cancel it first")
    studio.library.forget_job(job)


@routes.get("/jobs/{job}/motions", response_model=list[MotionLine])
def motions_of_job(job: Id, studio: Studio) -> list[Motion]:
    """Return the motions of a job in the order of its request."""
    studio.queue.get(job)
    return studio.library.motions_of(job)


@routes.get("/jobs/{job}/audit")
def audit_of_job(job: Id, studio: Studio, form: Annotated[Literal["json", "csv"], Query()] = "json") -> Any:
    """Return an audit, one line per prompt and seed, with the marks set since; as JSON or as a CSV file."""
    result = _result(studio, job, "audit")
    marks: dict[str, str | None] = {motion.id: motion.label for motion in studio.library.motions_of(job)}
    if form == "json":
        return result | {"lines": [line | {"mark": marks.get(line.get("motion") or "")} for line in result["lines"]]}
    headers = {"content-disposition": f'attachment; filename="audit-{job[:8]}.csv"'}
    return Response(csv_text(audit_csv_rows(result, marks)), media_type="text/csv", headers=headers)


@routes.get("/jobs/{job}/report")
def report_of_job(job: Id, studio: Studio) -> dict[str, Any]:
    """Return an evaluation: `report` as in report.json, `table` as Markdown, `names` of its methods."""
    return _result(studio, job, "evaluate")


def _result(studio: Context, name: str, kind: str) -> dict[str, Any]:
    job = studio.queue.get(name)
    if job.kind != kind:
        raise Unknown(f"there is no {kind} {name[:40]!r}")
    if job.result is None:
        raise Unknown(f"this job is {job.state} and has no result")
    return dict(job.result)
