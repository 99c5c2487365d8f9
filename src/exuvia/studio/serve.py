"""Runs the studio: one server process that starts its workers."""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from exuvia.errors import OutputError
from exuvia.studio.app import create_app
from exuvia.studio.settings import Limits, Settings

CONNECTIONS = 1000
"""Maximum number of open connections; more are answered with 503."""


def serve(settings: Settings, log: Callable[[str], None]) -> None:
    """Serve until interrupted; `log` receives the address once it answers. Raises ExuviaError."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        target, reason = f"{settings.host}:{settings.port}", error.strerror or str(error)
        raise OutputError(f"cannot listen at {target}: {reason}; choose another --port") from None
    settings = replace(settings, port=listener.getsockname()[1])
    app = create_app(settings)
    quiet: dict[str, Any] = {"log_level": "warning", "server_header": False, "timeout_graceful_shutdown": 3}
    config = uvicorn.Config(app, http=timed_protocol(settings.limits), limit_concurrency=CONNECTIONS, **quiet)
    with listener:
        _Server(config, lambda: log(address(settings))).run(sockets=[listener])


def address(settings: Settings) -> str:
    """Return the page's address with the token that opens it."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{settings.port}/" + (f"?token={quote(settings.token, safe='')}" if settings.token else "")


class _TimedProtocol(H11Protocol):
    """A connection with one time limit for the head of a request and one for its body."""

    limits: Limits
    phase: object = None
    clock: asyncio.TimerHandle | None = None

    def _time(self) -> None:
        """Restart the clock when the request reaches its next part."""
        if self.phase is self.conn.their_state:
            return
        self.phase = self.conn.their_state
        if self.clock is not None:
            self.clock.cancel()
        limit = {h11.IDLE: self.limits.head_s, h11.SEND_BODY: self.limits.body_s}.get(self.phase)
        self.clock = None if limit is None else self.loop.call_later(limit, self.transport.abort)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._time()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._time()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._time()


def timed_protocol(limits: Limits) -> type[H11Protocol]:
    """Return uvicorn's protocol, closing connections whose request takes longer to arrive than the limits allow."""
    return type("_Limited", (_TimedProtocol,), {"limits": limits})


class _Server(uvicorn.Server):
    """A server that calls a function when it is ready."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self.ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self.ready()
