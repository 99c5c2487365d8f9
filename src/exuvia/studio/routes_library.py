"""What there is: generators, motions, marks, reports, and what one can ask for."""

import tempfile
from pathlib import Path
from typing import Annotated, Any, Literal

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import APIRouter, File, HTTPException, Query, UploadFile
from fastapi.responses import FileResponse, HTMLResponse, Response
from sqlalchemy import Connection

from exuvia import __version__
from exuvia.errors import ConfigError
from exuvia.evaluation.prompts.load import load_prompts
from exuvia.motion.foot_lock import lock_feet
from exuvia.registry import EXPORTER
from exuvia.studio.catalogue import CATALOGUE, ready
from exuvia.studio.context import Studio
from exuvia.studio.library import UNSEEN, Generator
from exuvia.studio.queue import Full, Unknown
from exuvia.studio.reading import read_upload
from exuvia.studio.schemas import GeneratorAsk, GeneratorView, Id, Kind, MarkAsk, MotionView, ReportView, Status
from exuvia.studio.views import motion_view, report_id
from exuvia.view.payload import pack_skeleton

routes = APIRouter(prefix="/api/v1", tags=["library"])
pages = APIRouter(tags=["pages"])

Form = Literal["npy", "npz", "bvh", "glb", "mp4", "gif", "png", "html"]
MEDIA = {"glb": "model/gltf-binary", "mp4": "video/mp4", "gif": "image/gif", "png": "image/png"}
"""Types of files that a browser may show; the others are kept as they are."""
TAKEN = (".bvh", ".npy", ".npz", ".txt")
READERS, LINE = CapacityLimiter(2), 16
"""Uploads that are read at a time, and those that may wait for it."""
REPORT_POLICY = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; frame-ancestors 'self'"
)


@routes.get("/status")
def status(studio: Studio) -> Status:
    """How the studio is."""
    facts: dict[str, Any] = {"version": __version__, "ready": ready(studio.library) is not None}
    facts["workers"] = studio.supervisor.alive() if studio.supervisor else {}
    facts |= {"jobs": studio.queue.counts(), "motions": studio.library.count_motions()}
    return Status(**facts, revision=studio.queue.revision())


@routes.get("/catalogue")
def catalogue(studio: Studio) -> dict[str, Any]:
    """What can be asked for: methods with their settings, concepts, sets of prompts, data sets, formats, examples."""
    found = ready(studio.library) or CATALOGUE
    formats = [suffix.removeprefix(".") for suffix in EXPORTER]
    return found | {"data": list(studio.settings.data), "formats": formats, "skeleton": pack_skeleton()}


@routes.get("/prompts")
def prompts(kind: Annotated[Kind, Query()]) -> list[dict[str, Any]]:
    """The shipped prompts of a kind."""
    return [{"id": one.id, "text": one.text, "violent": one.violent} for one in load_prompts(kind)]


@routes.get("/generators", response_model=list[GeneratorView])
def list_generators(studio: Studio) -> list[Generator]:
    """Generators on offer."""
    return studio.library.generators()


@routes.get("/generators/{generator}")
def show_generator(generator: Id, studio: Studio) -> GeneratorView:
    """One generator."""
    return studio.library.generator(generator)


@routes.patch("/generators/{generator}")
def change_generator(generator: Id, ask: GeneratorAsk, studio: Studio) -> GeneratorView:
    """Rename a generator or mark it as one to keep."""
    return studio.library.keep(generator, ask.name, ask.kept)


@routes.delete("/generators/{generator}", status_code=204)
def throw_generator_away(generator: Id, studio: Studio) -> None:
    """Delete an edited generator; its motions stay."""
    studio.library.throw_away(generator)


@routes.get("/generators/{generator}/file", response_class=FileResponse)
def download_generator(generator: Id, studio: Studio) -> FileResponse:
    """An edited generator's folder as a zip archive; unpacked, `MotionPipeline.from_pretrained` reads it."""
    one = studio.library.generator(generator)
    if one.origin != "edited":
        raise ConfigError(f"{one.name!r} was not made here; only edited generators can be downloaded")
    path = studio.library.archive(generator)
    return FileResponse(path, media_type="application/zip", filename=f"generator-{generator[:8]}.zip")


@routes.get("/motions/{motion}")
def show_motion(motion: Id, studio: Studio) -> MotionView:
    """A motion, ready to be drawn."""
    return motion_view(studio.library.motion(motion), studio.library)


@routes.get("/motions/{motion}/file", response_class=Response)
def download_motion(
    motion: Id,
    studio: Studio,
    form: Annotated[Form, Query(description="format of the file")] = "glb",
    foot_lock: Annotated[bool, Query(description="feet that stand, stand still")] = False,
) -> Response:
    """A motion as a file."""
    clip = studio.library.clip(motion)
    if foot_lock:
        clip = lock_feet(clip).clip
    with tempfile.TemporaryDirectory() as folder:
        data = clip.save(Path(folder) / f"motion.{form}").read_bytes()
    words = "".join(c if c.isascii() and c.isalnum() else "-" for c in clip.caption or "")
    name = words.strip("-")[:50] or "motion"
    headers = {"content-disposition": f'attachment; filename="{name}.{form}"'}
    return Response(data, media_type=MEDIA.get(form, "application/octet-stream"), headers=headers)


@routes.post("/motions", status_code=201)
async def upload_motion(
    file: Annotated[UploadFile, File(description=".bvh, .npy, .npz or .txt")], studio: Studio
) -> MotionView:
    """Bring a motion of one's own; the classifier looks at it soon after."""
    suffix = Path(file.filename or "").suffix.lower()
    if suffix not in TAKEN:
        raise ConfigError(f"found a file of the format {suffix[:12]!r}, expected one of {' '.join(TAKEN)}")
    if READERS.statistics().tasks_waiting >= LINE:
        raise Full(f"{LINE} uploads wait already; try again in a while")
    clip = await run_sync(read_upload, await file.read(), suffix, studio.settings.limits, limiter=READERS)
    title = Path(file.filename or "motion").stem[:120].encode("utf-8", "replace").decode().replace("\0", "")
    row = {"clip": clip, "prompt": title, "seed": None, "violence": None, "detail": UNSEEN}

    def keep(link: Connection, job: str) -> None:
        studio.library.add_motions(link, [row | {"job": job}])

    def submit() -> MotionView:
        job = studio.queue.submit("look", "quick", {"file": title}, 1, keep)
        return motion_view(studio.library.motions_of(job.id)[0], studio.library)

    return await run_sync(submit)


@routes.put("/motions/{motion}/mark")
def mark_motion(motion: Id, ask: MarkAsk, studio: Studio) -> MotionView:
    """Say what a motion shows, or that the classifier is wrong about it."""
    studio.library.mark(motion, ask.label, ask.note)
    return motion_view(studio.library.motion(motion), studio.library)


@routes.get("/reports")
def list_reports(studio: Studio) -> list[ReportView]:
    """Reports that the studio was started with; their ids do not tell where they lie."""
    return [ReportView(id=report_id(name), name=name) for name in studio.settings.reports]


@pages.get("/reports/{report}", response_class=Response, responses={200: {"content": {"text/html": {}}}})
def show_report(report: Id, studio: Studio) -> HTMLResponse:
    """A report's page, in a sandbox of its own."""
    for name, place in studio.settings.reports.items():
        if report_id(name) == report:
            try:
                page = next(p for p in (place, place / "report" / "index.html", place / "index.html") if p.is_file())
                text = page.read_text(encoding="utf-8")
            except (StopIteration, OSError, UnicodeDecodeError):
                raise HTTPException(404, f"the report {name!r} has no page") from None
            return HTMLResponse(text, headers={"content-security-policy": REPORT_POLICY})
    raise Unknown(f"there is no report {report[:40]!r} here")
