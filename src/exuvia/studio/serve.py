"""Running the studio: one server process, its workers beside it."""

import socket
from collections.abc import Callable
from dataclasses import replace

import uvicorn

from exuvia.errors import OutputError
from exuvia.studio.app import create_app
from exuvia.studio.settings import Settings


def serve(settings: Settings, tell: Callable[[str], None]) -> None:
    """Serve until interrupted; `tell` hears the address as soon as it answers.

    Raises:
        OutputError: the address cannot be listened at.
        ConfigError, DataError: the database cannot be used.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    door = socket.socket(family, socket.SOCK_STREAM)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        door.bind((settings.host, settings.port))
    except OSError as error:
        door.close()
        reason = error.strerror or str(error)
        raise OutputError(
            f"cannot listen at {settings.host}:{settings.port}: {reason}; choose another --port"
        ) from None
    settings = replace(settings, port=door.getsockname()[1])
    app = create_app(settings)
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    secret = f"?token={settings.token}" if settings.token else ""
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=3, server_header=False)
    server = _Server(config, lambda: tell(f"http://{host}:{settings.port}/{secret}"))
    try:
        server.run(sockets=[door])
    finally:
        door.close()


class _Server(uvicorn.Server):
    """A server that says when it is ready."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self.ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self.ready()
