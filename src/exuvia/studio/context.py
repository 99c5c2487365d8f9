"""What every route needs: the settings, the queue, the library; kept on the application."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from exuvia.studio.events import Broadcast
from exuvia.studio.library import Library
from exuvia.studio.queue import Queue
from exuvia.studio.settings import Settings
from exuvia.studio.supervisor import Supervisor


@dataclass
class Context:
    """One studio."""

    settings: Settings
    queue: Queue
    library: Library
    broadcast: Broadcast
    supervisor: Supervisor | None


def _context(request: Request) -> Context:
    found: Context = request.app.state.context
    return found


Studio = Annotated[Context, Depends(_context)]
