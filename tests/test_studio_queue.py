"""The studio's queue, on SQLite and on a PostgreSQL server where one can be started."""

import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from exuvia.errors import ConfigError, DataError, OutputError
from exuvia.studio.database import open_database
from exuvia.studio.queue import CANCELLED, DONE, ENDED, FAILED, QUEUED, RUNNING, Cancelled, Full, Queue, Unknown


@pytest.fixture(params=["sqlite", "postgresql"])
def queue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Queue]:
    if request.param == "sqlite":
        engine = open_database(f"sqlite:///{tmp_path / 'jobs.sqlite'}")
    else:
        engine = open_database(request.getfixturevalue("postgres"))
        with engine.begin() as link:
            link.execute(text("TRUNCATE jobs CASCADE"))
    yield Queue(engine, waiting=5)
    engine.dispose()


def test_a_job_goes_from_the_queue_to_its_result(queue: Queue) -> None:
    job = queue.submit("generate", "quick", {"prompts": ["a person walks"]}, 2)
    assert (job.state, job.total, job.left_s) == (QUEUED, 2, None)
    assert queue.claim("long", "w") == []
    (mine,) = queue.claim("quick", "w")
    assert (mine.id, mine.state) == (job.id, RUNNING)
    assert queue.claim("quick", "other") == []
    queue.progress(job.id, 1, 2, "half")
    half = queue.get(job.id)
    assert (half.done, half.message) == (1, "half")
    assert half.left_s is not None
    queue.finish(job.id, DONE, {"motions": ["x"]})
    ended = queue.get(job.id)
    assert (ended.state, ended.result, ended.done) == (DONE, {"motions": ["x"]}, 2)
    assert ended.revision > half.revision > mine.revision > job.revision


def test_only_kinds_that_share_work_are_claimed_together(queue: Queue) -> None:
    first, second = (queue.submit("generate", "quick", {}) for _ in range(2))
    queue.submit("look", "quick", {})
    assert [job.id for job in queue.claim("quick", "w", 8, ("generate",))] == [first.id, second.id]
    assert [job.kind for job in queue.claim("quick", "w", 8, ("generate",))] == ["look"]


def test_a_waiting_job_is_cancelled_at_once_and_a_running_one_is_asked(queue: Queue) -> None:
    waiting = queue.submit("generate", "quick", {})
    assert queue.ask_to_cancel(waiting.id).state == CANCELLED
    assert queue.claim("quick", "w") == []
    running = queue.submit("generate", "quick", {})
    queue.claim("quick", "w")
    assert queue.ask_to_cancel(running.id).cancel
    revision = queue.ask_to_cancel(running.id).revision  # a second tab asks, too
    assert queue.ask_to_cancel(running.id).state == RUNNING
    assert queue.get(running.id).revision == revision
    with pytest.raises(Cancelled):
        queue.progress(running.id, 1, 2)


def test_the_jobs_of_a_dead_worker_wait_again_and_fail_with_the_third_death(queue: Queue) -> None:
    lost, unwanted, other = (queue.submit("generate", "quick", {}) for _ in range(3))
    queue.claim("quick", "dead")
    queue.claim("quick", "dead")
    queue.claim("quick", "alive")
    queue.ask_to_cancel(unwanted.id)
    queue.take_back("dead")
    assert [queue.get(job.id).state for job in (lost, unwanted, other)] == [QUEUED, CANCELLED, RUNNING]
    assert queue.get(lost.id).attempt == 2
    queue.claim("quick", "stopped")
    queue.take_back("stopped", lost=0)  # the studio was stopped: no fault of the job
    for name in ("dead 2", "dead 3"):
        assert queue.get(lost.id).state == QUEUED
        queue.claim("quick", name)
        queue.take_back(name)
    assert (queue.get(lost.id).state, queue.get(lost.id).attempt) == (FAILED, 3)
    assert "worker died 3 times" in queue.get(lost.id).message
    again = queue.again(lost.id)
    assert (again.state, again.attempt, again.message) == (QUEUED, 4, "")
    queue.claim("quick", "dead 4")
    queue.take_back("dead 4")
    assert queue.get(lost.id).state == QUEUED, "running it again resets its lives"
    with pytest.raises(ConfigError, match="is running"):
        queue.again(other.id)


def test_a_job_that_takes_its_worker_down_does_not_take_others_with_it(queue: Queue) -> None:
    names = [queue.submit("generate", "quick", {"name": n}).id for n in range(3)]
    ended: list[str] = []
    for turn in range(20):
        jobs = [job.id for job in queue.claim("quick", f"w{turn}", 8, ("generate",))]
        if names[1] in jobs:
            queue.take_back(f"w{turn}")
        for job in jobs:
            if names[1] not in jobs:
                queue.finish(job, DONE)
                ended.append(job)
    assert sorted(ended) == sorted([names[0], names[2]])
    assert [queue.get(name).state for name in names] == [DONE, FAILED, DONE]


def test_what_is_written_with_a_job_that_somebody_ended_does_not_stay(queue: Queue) -> None:
    job = queue.submit("generate", "quick", {})
    queue.claim("quick", "w")
    queue.finish(job.id, CANCELLED)

    def write() -> None:
        with queue.engine.begin() as link:
            link.execute(text("UPDATE jobs SET message = 'written with it'"))
            queue.finish(job.id, DONE, link=link)

    with pytest.raises(Cancelled):
        write()
    assert (queue.get(job.id).state, queue.get(job.id).message) == (CANCELLED, "")


DAMAGE = ("request = '{'", "request = '[1]'", "request = 'null'", "result = '3'", "state = 'asleep'")


@pytest.mark.parametrize("damage", [*DAMAGE, "created = 'x'", f"request = '{'[' * 9000}'"])
def test_a_damaged_row_is_a_failed_job_and_the_others_stay(tmp_path: Path, damage: str) -> None:
    queue = Queue(open_database(f"sqlite:///{tmp_path / 'jobs.sqlite'}"))
    bad, good = (queue.submit("generate", "quick", {}) for _ in range(2))
    with queue.engine.begin() as link:
        link.execute(text(f"UPDATE jobs SET {damage} WHERE id = '{bad.id}'"))
    found = {job.id: job for job in queue.newest()}
    assert found[good.id].state == QUEUED
    assert (found[bad.id].state, "is damaged; delete it" in found[bad.id].message) == (FAILED, True)
    taken = [job.id for _ in range(3) for job in queue.claim("quick", "w")]
    assert taken == [good.id]
    queue.engine.dispose()


def test_a_full_queue_and_an_unknown_job_are_refused(queue: Queue) -> None:
    for _ in range(5):
        queue.submit("generate", "quick", {})
    with pytest.raises(Full, match="5 jobs are waiting"):
        queue.submit("generate", "quick", {})
    with pytest.raises(Unknown, match="there is no job"):
        queue.get("0" * 32)


def test_two_workers_never_get_the_same_job(queue: Queue) -> None:
    queue.waiting = 100
    names = {queue.submit("generate", "quick", {}).id for _ in range(24)}
    taken: list[str] = []
    lock = threading.Lock()

    def work(name: str) -> None:
        while jobs := queue.claim("quick", name):
            with lock:
                taken.extend(job.id for job in jobs)

    threads = [threading.Thread(target=work, args=(f"w{n}",)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len(set(taken))
    assert set(taken) == names


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.sampled_from(["submit", "claim", "cancel", "finish", "fail", "again", "die"]), max_size=30))
def test_no_sequence_of_events_loses_a_job_or_revives_a_finished_one(tmp_path: Path, steps: list[str]) -> None:
    with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
        queue = Queue(open_database(f"sqlite:///{folder}/jobs.sqlite"))
        made, done, seen = [], set(), 0
        for step in steps:
            running = queue.running()
            if step == "submit":
                made.append(queue.submit("generate", "quick", {}).id)
            elif step == "claim":
                queue.claim("quick", "w")
            elif step == "die":
                queue.take_back("w")
            elif step in ("finish", "fail") and running:
                queue.finish(running[0].id, DONE if step == "finish" else FAILED)
                done |= {running[0].id} if step == "finish" else set()
            elif step in ("cancel", "again") and made:
                try:
                    (queue.ask_to_cancel if step == "cancel" else queue.again)(made[-1])
                except ConfigError:
                    assert step == "again"
            assert queue.revision() >= seen
            seen = queue.revision()
        states = {job.id: job.state for job in queue.newest(100)}
        assert set(states) == set(made)
        assert all(states[name] == DONE for name in done)
        assert all(queue.get(name).finished for name in made if states[name] in ENDED)
        queue.engine.dispose()


def test_a_database_of_another_version_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'old.sqlite'}"
    engine = open_database(url)
    with engine.begin() as link:
        link.execute(text("UPDATE about SET value = '99' WHERE key = 'schema'"))
    engine.dispose()
    with pytest.raises(DataError, match="version 99, expected 2"):
        open_database(url)


@pytest.mark.parametrize(
    ("url", "error", "told"),
    [
        ("nonsense", ConfigError, "is not a usable database"),
        ("oracle9://x/y", ConfigError, "is not a usable database"),
        ("postgresql+psycopg://u:secret@127.0.0.1:1/x", OutputError, "cannot be used"),
    ],
)
def test_a_database_that_is_none_is_told_without_its_password(url: str, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told) as found:
        open_database(url)
    assert "secret" not in str(found.value)
