"""Routes for generators, motions, marks, reports and the catalogue."""

import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, File, Form, HTTPException, Query, UploadFile
from fastapi.responses import FileResponse, HTMLResponse, Response
from sqlalchemy import Connection

from exuvia import __version__
from exuvia.config import FrameRate, Positive, describe
from exuvia.errors import ConfigError
from exuvia.evaluation.prompts.load import load_prompts
from exuvia.motion.foot_lock import lock_feet
from exuvia.motion.output import Output
from exuvia.registry import COMPANIONS, EXPORTER, IMPORTER
from exuvia.studio.catalogue import CATALOGUE, form_line, ready
from exuvia.studio.library import EMPTY_DETAIL, Generator
from exuvia.studio.queue import Full, Refused, Unknown
from exuvia.studio.reading import FIELDS, read_upload
from exuvia.studio.schemas import GeneratorAsk, GeneratorView, Id, Kind, MarkAsk, MotionView, ReportView, Status
from exuvia.studio.views import Studio, motion_view, report_id
from exuvia.view.page import pack_skeleton

routes = APIRouter(prefix="/api/v1", tags=["library"])
pages = APIRouter(tags=["pages"])

Format = Literal["npy", "npz", "bvh", "glb", "mp4", "gif", "png", "html"]
MEDIA = {"glb": "model/gltf-binary", "mp4": "video/mp4", "gif": "image/gif", "png": "image/png"}
"""Media types of files that a browser can show; other formats are sent as plain bytes."""
UPLOAD_SUFFIXES = tuple(suffix for suffix in IMPORTER if suffix not in COMPANIONS)
READERS, MAX_WAITING = CapacityLimiter(2), 16
"""Number of uploads that are read at the same time, and of those that may wait."""
REPORT_POLICY = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; frame-ancestors 'self'"
)


@routes.get("/status")
def status(studio: Studio) -> Status:
    """Return the state of the studio."""
    facts: dict[str, Any] = {"version": __version__, "ready": ready(studio.library) is not None}
    facts["workers"] = studio.supervisor.alive() if studio.supervisor else {}
    facts |= {"jobs": studio.queue.counts(), "motions": studio.library.count_motions()}
    return Status(**facts, revision=studio.queue.revision())


@routes.get("/catalogue")
def catalogue(studio: Studio) -> dict[str, Any]:
    """Return what the studio offers: methods, their settings, concepts, prompt sets, data sets, formats, examples."""
    published = ready(studio.library) or CATALOGUE
    formats = [suffix.removeprefix(".") for suffix in EXPORTER]
    here: dict[str, Any] = {"data": list(studio.settings.data), "formats": formats, "uploads": list(UPLOAD_SUFFIXES)}
    here |= {"output": [form_line(setting) for setting in describe(Output)], "source": FIELDS}
    return published | here | {"skeleton": pack_skeleton()}


@routes.get("/prompts")
def prompts(kind: Annotated[Kind, Query()]) -> list[dict[str, Any]]:
    """Return the shipped prompts of a kind."""
    return [{"id": prompt.id, "text": prompt.text, "violent": prompt.violent} for prompt in load_prompts(kind)]


@routes.get("/generators", response_model=list[GeneratorView])
def list_generators(studio: Studio) -> list[Generator]:
    """Return the available generators."""
    return studio.library.generators()


@routes.get("/generators/{generator}")
def show_generator(generator: Id, studio: Studio) -> GeneratorView:
    """Return one generator."""
    return studio.library.generator(generator)


@routes.patch("/generators/{generator}")
def change_generator(generator: Id, ask: GeneratorAsk, studio: Studio) -> GeneratorView:
    """Rename a generator or mark it as a favourite to keep."""
    return studio.library.keep(generator, ask.name, ask.kept)


@routes.delete("/generators/{generator}", status_code=204)
def delete_generator(generator: Id, studio: Studio) -> None:
    """Delete an edited generator; its motions stay."""
    studio.library.delete_generator(generator)


@routes.get("/generators/{generator}/file", response_class=FileResponse)
def download_generator(generator: Id, studio: Studio) -> FileResponse:
    """Return an edited generator's folder as a zip archive; `MotionPipeline.from_pretrained` reads it unpacked."""
    entry = studio.library.generator(generator)
    if entry.origin != "edited":
        raise ConfigError(f"{entry.name!r} was not made here; only edited generators can be downloaded")
    path = studio.library.archive(generator)
    return FileResponse(path, media_type="application/zip", filename=f"generator-{generator[:8]}.zip")


@routes.get("/motions/{motion}")
def show_motion(motion: Id, studio: Studio) -> MotionView:
    """Return a motion with its joints."""
    return motion_view(studio.library.motion(motion), studio.library)


@routes.get("/motions/{motion}/file", response_class=Response)
def download_motion(
    motion: Id,
    studio: Studio,
    output: Annotated[Output, Depends()],
    form: Annotated[Format, Query(description="format of the file")] = "glb",
    foot_lock: Annotated[bool, Query(description="keep standing feet still")] = False,
) -> Response:
    """Return a motion as a file; the other switches are those of `exuvia convert`."""
    try:
        output.check([f".{form}"])
    except ConfigError as error:
        raise Refused(str(error)) from None
    clip, most = studio.library.clip(motion), studio.settings.limits.frames
    if output.fps and (frames := clip.duration_s * output.fps) > most:
        raise Refused(f"fps: found {output.fps:g}, which makes {frames:.0f} frames, expected at most {most} frames")
    clip = output.finished(lock_feet(clip).clip if foot_lock else clip)
    with tempfile.TemporaryDirectory() as folder:
        data = output.save(clip, Path(folder) / f"motion.{form}").read_bytes()
    caption, concept = (clip.caption or "")[:50], clip.meta.get("concept")
    words = f"{caption} without {concept}"[:90] if concept else caption
    name = "".join(c if c.isascii() and c.isalnum() else "-" for c in words).strip("-") or "motion"
    headers = {"content-disposition": f'attachment; filename="{name}.{form}"'}
    return Response(data, media_type=MEDIA.get(form, "application/octet-stream"), headers=headers)


@routes.post("/motions", status_code=201)
async def upload_motion(
    file: Annotated[UploadFile, File(description=" ".join(UPLOAD_SUFFIXES))],
    studio: Studio,
    source_up: Annotated[Literal["y", "z"] | None, Form(description="upward axis of the file")] = None,
    source_unit_m: Annotated[Positive | None, Form(description="metres per unit of the file")] = None,
    source_fps: Annotated[FrameRate | None, Form(description="frames per second of the file")] = None,
) -> MotionView:
    """Upload a motion; the classifier scores it soon after. What a file does not state is inferred, or given here."""
    suffix = Path(file.filename or "").suffix.lower()
    if suffix not in UPLOAD_SUFFIXES:
        raise ConfigError(f"found a file of the format {suffix[:12]!r}, expected one of {' '.join(UPLOAD_SUFFIXES)}")
    if READERS.statistics().tasks_waiting >= MAX_WAITING:
        raise Full(f"{MAX_WAITING} uploads are waiting; try again in a while")
    source = {"up": source_up, "unit_m": source_unit_m, "fps": source_fps}
    read = partial(read_upload, await file.read(), suffix, studio.settings.limits, **source)
    clip = await run_sync(read, limiter=READERS)
    title = Path(file.filename or "motion").stem[:120].encode("utf-8", "replace").decode().replace("\0", "")
    detail = EMPTY_DETAIL | clip.meta | {"origin": clip.meta["origin"] | {"file": f"{title}{suffix}"}}
    row = {"clip": clip, "prompt": title, "seed": None, "violence": None, "detail": detail}

    def keep(link: Connection, job: str) -> None:
        studio.library.add_motions(link, [row | {"job": job}])

    def submit() -> MotionView:
        job = studio.queue.submit("look", "quick", {"file": title}, 1, keep)
        return motion_view(studio.library.motions_of(job.id)[0], studio.library)

    return await run_sync(submit)


@routes.put("/motions/{motion}/mark")
def mark_motion(motion: Id, ask: MarkAsk, studio: Studio) -> MotionView:
    """Label what a motion shows, or mark that the classifier is wrong about it."""
    studio.library.mark(motion, ask.label, ask.note)
    return motion_view(studio.library.motion(motion), studio.library)


@routes.get("/reports")
def list_reports(studio: Studio) -> list[ReportView]:
    """Return the reports given at start-up; their ids do not reveal where they are stored."""
    return [ReportView(id=report_id(name), name=name) for name in studio.settings.reports]


@pages.get("/reports/{report}", response_class=Response, responses={200: {"content": {"text/html": {}}}})
def show_report(report: Id, studio: Studio) -> HTMLResponse:
    """Return a report's page, isolated in a sandbox."""
    for name, place in studio.settings.reports.items():
        if report_id(name) == report:
            try:
                page = next(p for p in (place, place / "report" / "index.html", place / "index.html") if p.is_file())
                text = page.read_text(encoding="utf-8")
            except (StopIteration, OSError, UnicodeDecodeError):
                raise HTTPException(404, f"the report {name!r} has no page") from None
            return HTMLResponse(text, headers={"content-security-policy": REPORT_POLICY})
    raise Unknown(f"there is no report {report[:40]!r} here")
