"""Builds the studio's ASGI application: JSON under /api/v1, the web page elsewhere."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from sqlalchemy.exc import DBAPIError
from starlette.routing import Route

from exuvia import __version__
from exuvia.errors import ExuviaError, OutputError
from exuvia.studio.catalogue import TEXTS, ready, withdraw
from exuvia.studio.context import Context
from exuvia.studio.database import open_database
from exuvia.studio.events import Broadcast
from exuvia.studio.guard import Guard
from exuvia.studio.library import Library
from exuvia.studio.queue import Full, Queue, Refused, Unknown
from exuvia.studio.reading import TooMuch
from exuvia.studio.routes_jobs import routes as job_routes
from exuvia.studio.routes_library import pages
from exuvia.studio.routes_library import routes as library_routes
from exuvia.studio.schemas import Problem
from exuvia.studio.settings import Settings
from exuvia.studio.supervisor import Supervisor
from exuvia.view.page import ASSETS as PLAYER

HERE = Path(__file__).parent / "assets"
ASSETS = {"player.js": (PLAYER, "text/javascript"), "studio.js": (HERE, "text/javascript")}
ASSETS |= {"studio.css": (HERE, "text/css"), "icon.svg": (HERE, "image/svg+xml")}
"""Files of the page -> (folder, media type)."""
PROBLEMS: dict[int | str, dict[str, Any]] = {
    int(code): {"model": Problem, "description": text} for code, text in TEXTS["problems"].items()
}


def create_app(settings: Settings, workers: bool = True) -> FastAPI:
    """Return a studio; without `workers` no worker process is started, and the caller runs the jobs.

    Raises ConfigError, DataError or OutputError if the database cannot be used.
    """
    engine = open_database(settings.url)
    queue, library = Queue(engine, settings.limits.waiting), Library(engine, settings)
    library.offer()
    if workers:
        withdraw(library)  # until a new worker is ready
    supervisor = Supervisor(settings, queue, lambda: ready(library) is not None) if workers else None
    context = Context(settings, queue, library, Broadcast(queue), supervisor)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if context.supervisor is not None:
            context.supervisor.start()
        await context.broadcast.start()
        yield
        await context.broadcast.stop()
        if context.supervisor is not None:
            context.supervisor.stop()
        engine.dispose()

    about: dict[str, Any] = {"title": "Exuvia Studio", "version": __version__, "openapi_url": "/api/v1/openapi.json"}
    about["description"] = "Generate motion from text, make generators forget concepts, and audit the result."
    app = FastAPI(**about, lifespan=lifespan, docs_url=None, redoc_url=None, responses=PROBLEMS)
    app.state.context = context
    for routes in (job_routes, library_routes, pages):
        app.include_router(routes)
    _add_page(app)
    _add_handlers(app)
    app.add_middleware(Guard, settings=settings)
    return app


def _add_page(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    def page() -> HTMLResponse:
        text = (HERE / "index.html").read_text(encoding="utf-8")
        return HTMLResponse(text.replace("{version}", __version__), headers={"cache-control": "no-store"})

    @app.get("/assets/{name}", include_in_schema=False)
    def asset(name: str) -> Response:
        if name not in ASSETS:
            return JSONResponse({"detail": "there is no such file"}, 404)
        folder, kind = ASSETS[name]
        return Response((folder / name).read_bytes(), media_type=kind, headers={"cache-control": "no-cache"})


def _add_handlers(app: FastAPI) -> None:
    """Answer every failure with one sentence and a fitting status."""

    @app.exception_handler(ExuviaError)
    async def refused(_: Request, error: ExuviaError) -> JSONResponse:
        status = {Unknown: 404, Full: 429, OutputError: 507, Refused: 422, TooMuch: 422}.get(type(error), 400)
        return JSONResponse({"detail": str(error)}, status)

    @app.exception_handler(405)
    async def wrong_method(request: Request, _: Exception) -> JSONResponse:
        routes = (*job_routes.routes, *library_routes.routes, *pages.routes, *app.routes)
        here = [route for route in routes if isinstance(route, Route) and route.path_regex.match(request.url.path)]
        allowed = ", ".join(sorted({method for route in here for method in route.methods or ()}))
        text = f"found {request.method}, expected one of {allowed}"
        return JSONResponse({"detail": text}, 405, {"allow": allowed})

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path", "header"))
        text = f"{where or 'the request'}: {first['msg'].removeprefix('Value error, ')}"
        return JSONResponse({"detail": text}, 422)

    @app.exception_handler(DBAPIError)
    async def no_database(_: Request, error: DBAPIError) -> JSONResponse:
        reason = str(error.orig).splitlines()[0] if error.orig else "it does not answer"
        full = "full" in reason or "No space" in reason
        hint = "free some space and try again" if full else "try again in a while"
        text = f"the database could not store this ({reason[:120]}); {hint}"
        return JSONResponse({"detail": text}, 507 if full else 503)
