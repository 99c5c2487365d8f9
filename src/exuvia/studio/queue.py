"""Jobs: who waits, who runs, what became of them. Every change counts up a job's revision, which listeners follow.

    queued -> running -> done | failed | cancelled         failed, cancelled -> queued (run again)

A worker claims jobs of its lane. One that dies leaves its jobs `running`; whoever watches the workers then marks them.
"""

import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, Select, func, insert, select, update

from exuvia.errors import ConfigError
from exuvia.studio.database import clock, jobs
from exuvia.studio.schemas import JobFacts

QUEUED, RUNNING, DONE, FAILED, CANCELLED = "queued", "running", "done", "failed", "cancelled"
OPEN, ENDED = (QUEUED, RUNNING), (DONE, FAILED, CANCELLED)
LOST = "the worker stopped in the middle of this job; run it again"


class Cancelled(Exception):
    """Raised inside a running job whose owner no longer wants it."""


class Unknown(ConfigError):
    """Nothing has this id."""


class Full(ConfigError):
    """As many jobs wait as may wait."""


class Job(JobFacts):
    """One row of the table, as it was when it was read."""

    lane: str
    result: Any
    cancel: bool

    @property
    def left_s(self) -> float | None:
        """Seconds that a running job still needs if it goes on as until now; None where nothing is known yet."""
        if self.state != RUNNING or not self.started or not 0 < self.done < self.total:
            return None
        return (time.time() - self.started) * (self.total - self.done) / self.done


_COLUMNS = [jobs.c[name] for name in Job.model_fields]


def new_id() -> str:
    """A name that nobody can guess and nothing else has."""
    return uuid.uuid4().hex


class Queue:
    """The table of jobs."""

    def __init__(self, engine: Engine, waiting: int = 500) -> None:
        self.engine, self.waiting = engine, waiting

    def _jobs(self, wanted: Select[Any]) -> list[Job]:
        with self.engine.connect() as link:
            return [Job(**row._mapping) for row in link.execute(wanted)]

    # asked by the server

    def submit(
        self,
        kind: str,
        lane: str,
        request: dict[str, Any],
        total: int = 0,
        also: Callable[[Connection, str], None] | None = None,
    ) -> Job:
        """Put a job at the end; `also(link, id)` writes what belongs to it with it. Raises Full."""
        with self.engine.begin() as link:
            revision = _next(link)
            count = link.scalar(select(func.count()).select_from(jobs).where(jobs.c.state == QUEUED)) or 0
            if count >= self.waiting:
                raise Full(f"{count} jobs wait already, expected fewer than {self.waiting}; try again in a while")
            values = {"id": new_id(), "kind": kind, "lane": lane, "state": QUEUED, "request": request, "total": total}
            link.execute(insert(jobs).values(created=time.time(), revision=revision, **values))
            if also is not None:
                also(link, str(values["id"]))
        return self.get(str(values["id"]))

    def get(self, job: str) -> Job:
        """A job by its id. Raises Unknown."""
        rows = self._jobs(select(*_COLUMNS).where(jobs.c.id == job))
        if not rows:
            raise Unknown(f"there is no job {job[:40]!r}")
        return rows[0]

    def newest(self, limit: int = 50, kinds: Sequence[str] = (), before: float | None = None) -> list[Job]:
        """Jobs, the newest first."""
        wanted = select(*_COLUMNS).order_by(jobs.c.created.desc()).limit(limit)
        if kinds:
            wanted = wanted.where(jobs.c.kind.in_(kinds))
        if before is not None:
            wanted = wanted.where(jobs.c.created < before)
        return self._jobs(wanted)

    def since(self, revision: int, limit: int = 500) -> list[Job]:
        """Jobs that changed after a revision, in the order of their changes."""
        wanted = select(*_COLUMNS).where(jobs.c.revision > revision).order_by(jobs.c.revision).limit(limit)
        return self._jobs(wanted)

    def revision(self) -> int:
        """Revision of the last change."""
        with self.engine.connect() as link:
            return int(link.scalar(select(clock.c.revision)) or 0)

    def counts(self) -> dict[str, int]:
        """How many jobs are in each state."""
        with self.engine.connect() as link:
            rows = link.execute(select(jobs.c.state, func.count()).group_by(jobs.c.state)).all()
        return {str(state): int(number) for state, number in rows}

    def ahead(self, job: Job) -> int:
        """Jobs of the same lane that come before a waiting one."""
        if job.state != QUEUED:
            return 0
        earlier = (jobs.c.state.in_(OPEN)) & (jobs.c.lane == job.lane) & (jobs.c.created < job.created)
        with self.engine.connect() as link:
            return int(link.scalar(select(func.count()).select_from(jobs).where(earlier)) or 0)

    def ask_to_cancel(self, job: str) -> Job:
        """A waiting job is cancelled at once, a running one is asked to stop; an ended one stays as it is."""
        self.get(job)
        with self.engine.begin() as link:
            here = jobs.c.id == job
            ended = {"state": CANCELLED, "finished": time.time(), "message": "cancelled before it began"}
            link.execute(update(jobs).where(here, jobs.c.state == QUEUED).values(revision=_next(link), **ended))
            running = update(jobs).where(here, jobs.c.state == RUNNING, jobs.c.cancel.is_(False))
            link.execute(running.values(cancel=True, message="stopping", revision=_next(link)))
        return self.get(job)

    def again(self, job: str) -> Job:
        """Put a failed or cancelled job back into the queue. Raises ConfigError for any other."""
        now = self.get(job)
        if now.state not in (FAILED, CANCELLED):
            raise ConfigError(f"this job is {now.state}; only a failed or cancelled one can be run again")
        fresh = {"state": QUEUED, "cancel": False, "message": "", "done": 0, "result": None, "started": None}
        with self.engine.begin() as link:
            here = update(jobs).where(jobs.c.id == job, jobs.c.state.in_((FAILED, CANCELLED)))
            link.execute(here.values(attempt=now.attempt + 1, finished=None, revision=_next(link), **fresh))
        return self.get(job)

    # asked by workers

    def claim(self, lane: str, worker: str, limit: int = 1, kinds: Iterable[str] = ()) -> list[Job]:
        """The oldest waiting jobs of a lane, now running under this worker; more than one only of the given kinds."""
        waiting = (jobs.c.state == QUEUED) & (jobs.c.lane == lane)
        with self.engine.connect() as link:
            if link.execute(select(jobs.c.id).where(waiting).limit(1)).one_or_none() is None:
                return []
        with self.engine.begin() as link:
            revision = _next(link)
            rows = link.execute(select(jobs.c.id, jobs.c.kind).where(waiting).order_by(jobs.c.created).limit(limit))
            found = [(str(name), str(kind)) for name, kind in rows]
            if found and found[0][1] not in set(kinds):
                found = found[:1]
            mine = [name for name, kind in found if kind == found[0][1]]
            taken = []
            for name in mine:  # somebody else may have been quicker
                began = {"state": RUNNING, "worker": worker, "started": time.time(), "revision": revision}
                done = link.execute(update(jobs).where(jobs.c.id == name, jobs.c.state == QUEUED).values(**began))
                taken += [name] if done.rowcount else []
        return [self.get(name) for name in taken]

    def progress(self, job: str, done: int, total: int, message: str = "") -> None:
        """Say how far a running job is. Raises Cancelled where its owner no longer wants it."""
        with self.engine.begin() as link:
            here = (jobs.c.id == job) & (jobs.c.state == RUNNING)
            far = {"done": done, "total": total, "revision": _next(link)} | ({"message": message} if message else {})
            link.execute(update(jobs).where(here, jobs.c.cancel.is_(False)).values(**far))
            if link.scalar(select(jobs.c.cancel).where(here)) is not False:
                raise Cancelled

    def finish(
        self, job: str, state: str, result: Any = None, message: str = "", link: Connection | None = None
    ) -> None:
        """End a running job; with a `link` as part of what else is written there."""
        if link is None:
            with self.engine.begin() as own:
                return self.finish(job, state, result, message, own)
        end = {"state": state, "result": result, "message": message, "finished": time.time()}
        full = {"done": jobs.c.total} if state == DONE else {}
        here = update(jobs).where(jobs.c.id == job, jobs.c.state == RUNNING)
        link.execute(here.values(revision=_next(link), **end, **full))

    def requeue(self, names: Iterable[str]) -> None:
        """Running jobs back to the end of the wait: what they shared a worker with took it down, not they."""
        with self.engine.begin() as link:
            for name in names:
                here = update(jobs).where(jobs.c.id == name, jobs.c.state == RUNNING)
                link.execute(here.values(state=QUEUED, started=None, done=0, message="", revision=_next(link)))

    def running(self, worker: str | None = None) -> list[Job]:
        """Jobs that run, under one worker or any."""
        wanted = select(*_COLUMNS).where(jobs.c.state == RUNNING)
        wanted = wanted if worker is None else wanted.where(jobs.c.worker == worker)
        return self._jobs(wanted)

    def give_up(self, worker: str | None = None, message: str = LOST) -> list[Job]:
        """Mark the jobs of a dead worker (None: of all) as failed, cancelled ones as cancelled, and return them."""
        lost = self.running(worker)
        for job in lost:
            self.finish(job.id, CANCELLED if job.cancel else FAILED, message="cancelled" if job.cancel else message)
        return lost


def _next(link: Connection) -> int:
    """The next revision. The counter's row stays locked until the change is written, so that numbers follow one another
    in the order in which changes can be seen."""
    return int(
        link.execute(update(clock).values(revision=clock.c.revision + 1).returning(clock.c.revision)).scalar_one()
    )
