"""The job queue. Every change of a job gets a new revision, which listeners follow.

    queued -> running -> done | failed | cancelled         failed, cancelled -> queued (run again)

A worker claims jobs of its lane. If it dies, its jobs stay `running` until the supervisor returns them to the queue; a
job whose worker died LIVES times fails. A job that runs twice leaves the same result as one that runs once.
"""

import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Connection, Engine, Row, Select, func, insert, select, update

from exuvia.errors import ConfigError
from exuvia.studio.database import clock, jobs
from exuvia.studio.schemas import JobFacts

QUEUED, RUNNING, DONE, FAILED, CANCELLED = "queued", "running", "done", "failed", "cancelled"
OPEN, ENDED = (QUEUED, RUNNING), (DONE, FAILED, CANCELLED)
LIVES = 3
LOST = f"the worker died {LIVES} times during this job, perhaps for lack of memory; run a smaller job"
DAMAGED = "the database entry of this job is damaged; delete it and submit the job again"


class Cancelled(Exception):
    """Raised inside a running job that has been cancelled."""


class Unknown(ConfigError):
    """Raised when nothing has the given id."""


class Refused(ConfigError):
    """Raised for a well-formed request outside the generator's range."""


class Full(ConfigError):
    """Raised when the queue is full."""


class Job(JobFacts):
    """One row of the table at the time of reading."""

    lane: str
    result: dict[str, Any] | None
    cancel: bool
    lost: int

    @property
    def left_s(self) -> float | None:
        """Seconds that a running job still needs at its present speed; None if unknown."""
        if self.state != RUNNING or not self.started or not 0 < self.done < self.total:
            return None
        return (time.time() - self.started) * (self.total - self.done) / self.done


Writer = Callable[[Connection, str], None]
_COLUMNS = [jobs.c[name] for name in Job.model_fields]


def new_id() -> str:
    """Return a unique id that cannot be guessed."""
    return uuid.uuid4().hex


class Queue:
    """The jobs table."""

    def __init__(self, engine: Engine, waiting: int = 500) -> None:
        self.engine, self.waiting = engine, waiting

    def _jobs(self, query: Select[Any]) -> list[Job]:
        with self.engine.connect() as link:
            return [_read(row) for row in link.execute(query)]

    # called by the server

    def submit(self, kind: str, lane: str, request: dict[str, Any], total: int = 0, also: Writer | None = None) -> Job:
        """Append a job; `also(link, id)` writes related rows in the same transaction. Raises Full."""
        with self.engine.begin() as link:
            revision, name = _next(link), new_id()
            count = link.scalar(select(func.count()).select_from(jobs).where(jobs.c.state == QUEUED)) or 0
            if count >= self.waiting:
                raise Full(f"{count} jobs are waiting, expected fewer than {self.waiting}; try again in a while")
            values = {"kind": kind, "lane": lane, "state": QUEUED, "request": request, "total": total}
            link.execute(insert(jobs).values(id=name, created=time.time(), revision=revision, **values))
            if also is not None:
                also(link, name)
        return self.get(name)

    def get(self, job: str) -> Job:
        """Return a job by its id. Raises Unknown."""
        rows = self._jobs(select(*_COLUMNS).where(jobs.c.id == job))
        if not rows:
            raise Unknown(f"there is no job {job[:40]!r}")
        return rows[0]

    def newest(self, limit: int = 50, kinds: Sequence[str] = (), before: float | None = None) -> list[Job]:
        """Return jobs, newest first."""
        query = select(*_COLUMNS).order_by(jobs.c.created.desc()).limit(limit)
        if kinds:
            query = query.where(jobs.c.kind.in_(kinds))
        if before is not None:
            query = query.where(jobs.c.created < before)
        return self._jobs(query)

    def since(self, revision: int, limit: int = 500) -> list[Job]:
        """Return jobs that changed after a revision, in the order of their changes."""
        return self._jobs(select(*_COLUMNS).where(jobs.c.revision > revision).order_by(jobs.c.revision).limit(limit))

    def revision(self) -> int:
        """Return the revision of the last change."""
        with self.engine.connect() as link:
            return int(link.scalar(select(clock.c.revision)) or 0)

    def counts(self) -> dict[str, int]:
        """Return the number of jobs in each state."""
        with self.engine.connect() as link:
            rows = link.execute(select(jobs.c.state, func.count()).group_by(jobs.c.state)).all()
        return {str(state): int(number) for state, number in rows}

    def ahead(self, job: Job) -> int:
        """Return the number of jobs in the same lane that come before a waiting job."""
        if job.state != QUEUED:
            return 0
        earlier = (jobs.c.state.in_(OPEN)) & (jobs.c.lane == job.lane) & (jobs.c.created < job.created)
        with self.engine.connect() as link:
            return int(link.scalar(select(func.count()).select_from(jobs).where(earlier)) or 0)

    def ask_to_cancel(self, job: str) -> Job:
        """Cancel a waiting job at once and ask a running job to stop; an ended job stays unchanged."""
        self.get(job)
        with self.engine.begin() as link:
            here = jobs.c.id == job
            ended = {"state": CANCELLED, "finished": time.time(), "message": "cancelled before it began"}
            link.execute(update(jobs).where(here, jobs.c.state == QUEUED).values(revision=_next(link), **ended))
            running = update(jobs).where(here, jobs.c.state == RUNNING, jobs.c.cancel.is_(False))
            link.execute(running.values(cancel=True, message="stopping", revision=_next(link)))
        return self.get(job)

    def again(self, job: str) -> Job:
        """Return a failed or cancelled job to the queue. Raises ConfigError for any other job."""
        now = self.get(job)
        if now.state not in (FAILED, CANCELLED):
            raise ConfigError(f"this job is {now.state}; only a failed or cancelled one can be run again")
        fresh = {"state": QUEUED, "cancel": False, "message": "", "result": None, "started": None, "finished": None}
        fresh |= {"done": 0, "lost": 0, "attempt": now.attempt + 1}
        with self.engine.begin() as link:
            here = update(jobs).where(jobs.c.id == job, jobs.c.state.in_((FAILED, CANCELLED)))
            link.execute(here.values(revision=_next(link), **fresh))
        return self.get(job)

    # called by workers

    def claim(self, lane: str, worker: str, limit: int = 1, kinds: Iterable[str] = ()) -> list[Job]:
        """Give a worker the oldest waiting jobs of a lane and return them; several only if their kind is in `kinds`.

        A job whose worker died before runs alone, so that it cannot take other jobs down with it.
        """
        waiting = (jobs.c.state == QUEUED) & (jobs.c.lane == lane)
        with self.engine.connect() as link:
            if link.execute(select(jobs.c.id).where(waiting).limit(1)).one_or_none() is None:
                return []
        with self.engine.begin() as link:
            revision = _next(link)
            query = select(jobs.c.id, jobs.c.kind, jobs.c.lost).where(waiting).order_by(jobs.c.created).limit(limit)
            rows = [(str(name), str(kind), lost) for name, kind, lost in link.execute(query)]
            if rows and (rows[0][1] not in set(kinds) or rows[0][2]):
                rows = rows[:1]
            names = [name for n, (name, kind, lost) in enumerate(rows) if kind == rows[0][1] and not (n and lost)]
            taken = []
            for name in names:  # another worker may have been faster
                began = {"state": RUNNING, "worker": worker, "started": time.time(), "revision": revision}
                done = link.execute(update(jobs).where(jobs.c.id == name, jobs.c.state == QUEUED).values(**began))
                taken += [name] if done.rowcount else []
        claimed = [self.get(name) for name in taken]
        for job in claimed:
            if job.message == DAMAGED:
                self.finish(job.id, FAILED, message=DAMAGED)
        return [job for job in claimed if job.message != DAMAGED]

    def progress(self, job: str, done: int, total: int, message: str = "") -> None:
        """Record the progress of a running job. Raises Cancelled if it has been cancelled."""
        with self.engine.begin() as link:
            here = (jobs.c.id == job) & (jobs.c.state == RUNNING)
            values = {"done": done, "total": total, "revision": _next(link)} | ({"message": message} if message else {})
            link.execute(update(jobs).where(here, jobs.c.cancel.is_(False)).values(**values))
            if link.scalar(select(jobs.c.cancel).where(here)) is not False:
                raise Cancelled

    def finish(
        self, job: str, state: str, result: Any = None, message: str = "", link: Connection | None = None
    ) -> None:
        """End a running job; with a `link`, in the transaction of that connection.

        Raises Cancelled if the job is done but was ended before; the transaction must be rolled back.
        """
        if link is None:
            with self.engine.begin() as new_link:
                return self.finish(job, state, result, message, new_link)
        end = {"state": state, "result": result, "message": message, "finished": time.time()}
        full = {"done": jobs.c.total} if state == DONE else {}
        here = update(jobs).where(jobs.c.id == job, jobs.c.state == RUNNING)
        if not link.execute(here.values(revision=_next(link), **end, **full)).rowcount and state == DONE:
            raise Cancelled

    def running(self, worker: str | None = None) -> list[Job]:
        """Return running jobs of one worker, or of all."""
        query = select(*_COLUMNS).where(jobs.c.state == RUNNING)
        return self._jobs(query if worker is None else query.where(jobs.c.worker == worker))

    def take_back(self, worker: str | None = None, lost: int = 1) -> list[Job]:
        """Return the jobs of a dead worker (None: of all workers) after putting them back into the queue.

        Jobs with a pending cancellation are cancelled. With `lost` = 0 the worker was stopped on purpose; else a job
        fails when its worker died for the last permitted time.
        """
        running = self.running(worker)
        for job in running:
            if job.cancel:
                self.finish(job.id, CANCELLED, message="cancelled")
            elif job.message == DAMAGED or job.lost + lost >= LIVES:
                self.finish(job.id, FAILED, message=DAMAGED if job.message == DAMAGED else LOST)
            else:
                fresh = {"state": QUEUED, "started": None, "done": 0, "message": "", "lost": job.lost + lost}
                with self.engine.begin() as link:
                    here = update(jobs).where(jobs.c.id == job.id, jobs.c.state == RUNNING)
                    link.execute(here.values(attempt=job.attempt + lost, revision=_next(link), **fresh))
        return running


def _read(row: Row[Any]) -> Job:
    """Return a row as a job; a damaged row becomes a failed job that says so."""
    try:
        return Job(**row._mapping)
    except ValidationError:
        kept = {key: value for key in ("created", "revision") if isinstance(value := row._mapping[key], int | float)}
        facts: dict[str, Any] = {name: str(row._mapping[name]) for name in ("id", "kind", "lane")}
        facts |= {"state": FAILED, "message": DAMAGED, "request": {}}
        facts |= dict.fromkeys(("done", "total", "attempt", "revision", "created", "cancel", "lost"), 0)
        facts |= dict.fromkeys(("started", "finished", "result"))
        return Job(**facts | kept)


def _next(link: Connection) -> int:
    """Return the next revision. The counter's row stays locked until the change is committed, so revisions follow the
    order in which changes become visible."""
    increment = update(clock).values(revision=clock.c.revision + 1).returning(clock.c.revision)
    return int(link.execute(increment).scalar_one())
