"""Broadcasts changes of jobs. The database is polled once per interval, regardless of the number of listeners."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

from sqlalchemy.exc import DBAPIError
from starlette.concurrency import run_in_threadpool

from exuvia.studio.queue import Job, Queue

logger = logging.getLogger(__name__)

PAUSE_S = 0.15
QUEUE_SIZE = 2000
"""Changes that may wait for a slow listener before it is disconnected; its browser reconnects."""


class Broadcast:
    """Follows the jobs table."""

    def __init__(self, queue: Queue) -> None:
        self.queue = queue
        self.listeners: set[asyncio.Queue[Job | None]] = set()
        self.task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start to follow the table."""
        self.task = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """Disconnect every listener."""
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
        for listener in self.listeners:
            listener.put_nowait(None)

    async def listen(self, since: int | None = None) -> AsyncIterator[Job]:
        """Yield jobs as they change, from now on or after a revision."""
        changes: asyncio.Queue[Job | None] = asyncio.Queue(QUEUE_SIZE)
        self.listeners.add(changes)
        try:
            last = since
            if since is not None:
                for missed in await run_in_threadpool(self.queue.since, since):
                    last = missed.revision
                    yield missed
            while (job := await changes.get()) is not None:
                if last is None or job.revision > last:
                    yield job
        finally:
            self.listeners.discard(changes)

    async def _follow(self) -> None:
        seen: int | None = None
        while True:
            await asyncio.sleep(PAUSE_S)
            if not self.listeners:
                seen = None
                continue
            try:
                if seen is None:
                    seen = max(0, await run_in_threadpool(self.queue.revision) - 1)
                changed: list[Any] = await run_in_threadpool(self.queue.since, seen)
            except DBAPIError:
                logger.warning("the database did not answer")
                continue
            for job in changed:
                seen = job.revision
                for listener in list(self.listeners):
                    try:
                        listener.put_nowait(job)
                    except asyncio.QueueFull:
                        self.listeners.discard(listener)
