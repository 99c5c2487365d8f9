"""Jobs: who waits, who runs, what became of them. Every change counts up a job's revision, which listeners follow.

    queued -> running -> done | failed | cancelled         failed, cancelled -> queued (run again)

A worker claims jobs of its lane. One that dies leaves its jobs `running`; whoever watches the workers puts them back
into the queue, and gives up those that lost a worker LIVES times. A job that is run twice leaves what one run leaves.
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
LOST = f"the worker was lost {LIVES} times in the middle of this job, perhaps for want of memory; run a smaller one"
DAMAGED = "the entry of this job in the database is damaged; delete it and ask again"


class Cancelled(Exception):
    """Raised inside a running job whose owner no longer wants it."""


class Unknown(ConfigError):
    """Nothing has this id."""


class Refused(ConfigError):
    """Well-formed, but more or less than can be done."""


class Full(ConfigError):
    """As many jobs wait as may wait."""


class Job(JobFacts):
    """One row of the table, as it was when it was read."""

    lane: str
    result: dict[str, Any] | None
    cancel: bool
    lost: int

    @property
    def left_s(self) -> float | None:
        """Seconds that a running job still needs if it goes on as until now; None where nothing is known yet."""
        if self.state != RUNNING or not self.started or not 0 < self.done < self.total:
            return None
        return (time.time() - self.started) * (self.total - self.done) / self.done


Also = Callable[[Connection, str], None]
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
            return [_read(row) for row in link.execute(wanted)]

    # asked by the server

    def submit(self, kind: str, lane: str, request: dict[str, Any], total: int = 0, also: Also | None = None) -> Job:
        """Put a job at the end; `also(link, id)` writes what belongs to it with it. Raises Full."""
        with self.engine.begin() as link:
            revision, name = _next(link), new_id()
            count = link.scalar(select(func.count()).select_from(jobs).where(jobs.c.state == QUEUED)) or 0
            if count >= self.waiting:
                raise Full(f"{count} jobs wait already, expected fewer than {self.waiting}; try again in a while")
            values = {"kind": kind, "lane": lane, "state": QUEUED, "request": request, "total": total}
            link.execute(insert(jobs).values(id=name, created=time.time(), revision=revision, **values))
            if also is not None:
                also(link, name)
        return self.get(name)

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
        fresh = {"state": QUEUED, "cancel": False, "message": "", "result": None, "started": None, "finished": None}
        fresh |= {"done": 0, "lost": 0, "attempt": now.attempt + 1}
        with self.engine.begin() as link:
            here = update(jobs).where(jobs.c.id == job, jobs.c.state.in_((FAILED, CANCELLED)))
            link.execute(here.values(revision=_next(link), **fresh))
        return self.get(job)

    # asked by workers

    def claim(self, lane: str, worker: str, limit: int = 1, kinds: Iterable[str] = ()) -> list[Job]:
        """The oldest waiting jobs of a lane, now running under this worker; more than one only of the given kinds.

        A job that lost its worker runs alone: if it is to blame, it takes no other with it.
        """
        waiting = (jobs.c.state == QUEUED) & (jobs.c.lane == lane)
        with self.engine.connect() as link:
            if link.execute(select(jobs.c.id).where(waiting).limit(1)).one_or_none() is None:
                return []
        with self.engine.begin() as link:
            revision = _next(link)
            wanted = select(jobs.c.id, jobs.c.kind, jobs.c.lost).where(waiting).order_by(jobs.c.created).limit(limit)
            found = [(str(name), str(kind), lost) for name, kind, lost in link.execute(wanted)]
            if found and (found[0][1] not in set(kinds) or found[0][2]):
                found = found[:1]
            mine = [name for n, (name, kind, lost) in enumerate(found) if kind == found[0][1] and not (n and lost)]
            taken = []
            for name in mine:  # somebody else may have been quicker
                began = {"state": RUNNING, "worker": worker, "started": time.time(), "revision": revision}
                done = link.execute(update(jobs).where(jobs.c.id == name, jobs.c.state == QUEUED).values(**began))
                taken += [name] if done.rowcount else []
        claimed = [self.get(name) for name in taken]
        for job in claimed:
            if job.message == DAMAGED:
                self.finish(job.id, FAILED, message=DAMAGED)
        return [job for job in claimed if job.message != DAMAGED]

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
        """End a running job; with a `link` as part of what else is written there.

        Raises:
            Cancelled: it is done, but somebody has ended it before; what is written with it must not stay.
        """
        if link is None:
            with self.engine.begin() as own:
                return self.finish(job, state, result, message, own)
        end = {"state": state, "result": result, "message": message, "finished": time.time()}
        full = {"done": jobs.c.total} if state == DONE else {}
        here = update(jobs).where(jobs.c.id == job, jobs.c.state == RUNNING)
        if not link.execute(here.values(revision=_next(link), **end, **full)).rowcount and state == DONE:
            raise Cancelled

    def running(self, worker: str | None = None) -> list[Job]:
        """Jobs that run, under one worker or any."""
        wanted = select(*_COLUMNS).where(jobs.c.state == RUNNING)
        return self._jobs(wanted if worker is None else wanted.where(jobs.c.worker == worker))

    def take_back(self, worker: str | None = None, lost: int = 1) -> list[Job]:
        """Jobs of a worker that is gone (None: of all) wait again, and are returned; cancelled ones are cancelled.

        With `lost` = 0 its end was wanted; else a job fails when this was the last of its lives.
        """
        found = self.running(worker)
        for job in found:
            if job.cancel:
                self.finish(job.id, CANCELLED, message="cancelled")
            elif job.message == DAMAGED or job.lost + lost >= LIVES:
                self.finish(job.id, FAILED, message=DAMAGED if job.message == DAMAGED else LOST)
            else:
                fresh = {"state": QUEUED, "started": None, "done": 0, "message": "", "lost": job.lost + lost}
                with self.engine.begin() as link:
                    here = update(jobs).where(jobs.c.id == job.id, jobs.c.state == RUNNING)
                    link.execute(here.values(attempt=job.attempt + lost, revision=_next(link), **fresh))
        return found


def _read(row: Row[Any]) -> Job:
    """A row; one that is damaged as a failed job that says so."""
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
    """The next revision. The counter's row stays locked until the change is written, so that numbers follow one another
    in the order in which changes can be seen."""
    counted = update(clock).values(revision=clock.c.revision + 1).returning(clock.c.revision)
    return int(link.execute(counted).scalar_one())
