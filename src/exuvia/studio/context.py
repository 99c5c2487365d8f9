"""What every route needs: settings, queue and library, stored on the application."""

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
