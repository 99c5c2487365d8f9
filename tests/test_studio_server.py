"""The studio as it is started: real processes, a killed worker, a job that is stopped, a restart, and its page."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import uvicorn

from exuvia.data.prepare import prepare
from exuvia.studio.app import create_app
from exuvia.studio.database import open_database
from exuvia.studio.queue import Queue
from exuvia.studio.serve import timed_protocol
from exuvia.studio.settings import Limits, Settings
from exuvia.studio.supervisor import Supervisor, WorkerSlot
from lab.__main__ import main as lab_main
from made_studio import until

START_S = 120


class Running:
    """A studio in a separate process."""

    def __init__(self, folder: Path, *options: str) -> None:
        command = [sys.executable, "-m", "exuvia", "studio", "--folder", str(folder), "--port", "0", *options]
        quiet = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | quiet)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("the studio is at http://127.0.0.1:"), line
        self.address = line.split()[-1].rstrip("/")
        self.client = httpx.Client(base_url=f"{self.address}/api/v1", timeout=30)

    def get(self, path: str) -> Any:
        return self.client.get(path).raise_for_status().json()

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        return self.client.post(path, json=body).raise_for_status().json()

    def job(self, job: dict[str, Any], *states: str, seconds: float = START_S) -> dict[str, Any]:
        """The job as soon as it is in one of these states."""

        def there() -> dict[str, Any] | None:
            found = dict(self.get(f"/jobs/{job['id']}"))
            return found if found["state"] in states else None

        return dict(until(there, seconds))

    def workers(self) -> list[psutil.Process]:
        """Its worker processes, in the order in which they were started."""
        children = psutil.Process(self.process.pid).children()
        return sorted((one for one in children if "exuvia.studio.worker" in " ".join(one.cmdline())), key=_birth)

    def stop(self, how: int = signal.SIGINT) -> None:
        self.process.send_signal(how)
        self.process.wait(30)
        self.client.close()


def _birth(process: psutil.Process) -> float:
    return float(process.create_time())


@contextmanager
def running(folder: Path, *options: str) -> Iterator[Running]:
    studio = Running(folder, *options)
    try:
        yield studio
    finally:
        if studio.process.poll() is None:
            studio.stop()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set that methods can train on."""
    return prepare("synthetic", tmp_path_factory.mktemp("data") / "store", count=60).folder


@pytest.mark.slow
def test_killed_workers_cancelled_jobs_and_a_restart_lose_nothing(tmp_path: Path, store: Path) -> None:
    folder = tmp_path / "studio"
    with running(folder, "--data", "made", str(store)) as studio:
        until(lambda: studio.get("/status")["ready"], START_S)
        base = studio.get("/generators")[0]["id"]
        long = {"generator": base, "method": "finetune", "concept": "violence", "data": "made"}
        slow = studio.ask("/edits", long | {"settings": {"tune.steps": 100_000, "tune.batch_size": 4}})
        told = studio.job(slow, "running")

        # a motion is generated during the long job, and every listener receives both
        heard: list[dict[str, Any]] = []
        ears = threading.Thread(target=listen, args=(studio.address, heard), daemon=True)
        ears.start()
        quick = studio.ask("/motion", {"prompts": ["a person walks"], "frames": 40})
        motion = studio.job(quick, "done")["result"]["motions"][0]
        until(lambda: {"running", "done"} <= {one["state"] for one in heard if one["id"] == quick["id"]})

        # its worker is killed in the middle: a new worker comes and does it from the beginning
        until(lambda: "training 1" in studio.get(f"/jobs/{slow['id']}")["message"], START_S)
        for worker in studio.workers():
            worker.kill()
        until(lambda: studio.get(f"/jobs/{slow['id']}")["attempt"] == told["attempt"] + 1)
        until(lambda: all(studio.get("/status")["workers"].values()))
        studio.job(slow, "running")
        until(lambda: "training 1" in studio.get(f"/jobs/{slow['id']}")["message"], START_S)
        assert studio.get(f"/jobs/{slow['id']}")["left_s"] is not None

        # two tabs cancel it at once
        answers = [studio.client.post(f"/jobs/{slow['id']}/cancel") for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 200]
        assert studio.job(slow, "cancelled")["message"] == "cancelled"
        assert not [one for one in studio.get("/generators") if one["origin"] == "edited"]
        waiting = studio.ask("/edits", {"generator": base, "method": "lcr", "concept": "violence"})
        studio.stop(signal.SIGKILL)

    until(lambda: not _orphans(folder), 30)
    with running(folder) as studio:
        assert studio.get(f"/motions/{motion}")["prompt"] == "a person walks"
        edited = studio.job(waiting, "done")["result"]["pipeline"]
        assert edited in [one["id"] for one in studio.get("/generators")]
        workers = studio.workers()
        studio.stop(signal.SIGTERM)
        assert not [one for one in workers if one.is_running()]


def _orphans(folder: Path) -> list[psutil.Process]:
    """Workers of a studio that is gone."""
    found = []
    for process in psutil.process_iter(["cmdline", "ppid"]):
        line = " ".join(process.info["cmdline"] or [])
        if "exuvia.studio.worker" in line and process.info["ppid"] == 1:
            found.append(process)
    return found


def listen(address: str, heard: list[dict[str, Any]]) -> None:
    """Follow the studio's events."""
    gone = contextlib.suppress(httpx.RemoteProtocolError)  # the studio is killed in the end
    with gone, httpx.stream("GET", f"{address}/api/v1/events", timeout=60) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: "):
                heard.append(json.loads(line.removeprefix("data: ")))


def test_a_job_that_takes_too_long_is_stopped_and_the_others_of_its_worker_wait_again(tmp_path: Path) -> None:
    settings = Settings(folder=tmp_path, limits=Limits(quick_s=0.1))
    engine = open_database(settings.url)
    queue = Queue(engine)
    supervisor = Supervisor(settings, queue, lambda: False)
    slow, other = (queue.submit("generate", "quick", {}) for _ in range(2))
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    supervisor.slots["quick"] = slot = WorkerSlot("quick", "old", sleeper, 0.0)
    queue.claim("quick", "old")
    time.sleep(0.2)
    queue.claim("quick", "old")
    supervisor.check(slot)
    supervisor.stop()
    assert sleeper.poll() is not None
    assert (queue.get(slow.id).state, queue.get(other.id).state) == ("failed", "queued")
    assert "the time limit of this kind of job" in queue.get(slow.id).message
    engine.dispose()


def test_a_killed_worker_is_replaced_and_its_job_waits_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(folder=tmp_path)
    engine = open_database(settings.url)
    queue = Queue(engine)
    supervisor = Supervisor(settings, queue, lambda: False)
    started: list[str] = []
    monkeypatch.setattr(supervisor, "_start_worker", started.append)
    job = queue.submit("generate", "quick", {})
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    supervisor.slots["quick"] = slot = WorkerSlot("quick", "old", sleeper, began=-1000.0)
    queue.claim("quick", "old")
    supervisor.check(slot)
    assert (queue.get(job.id).state, started) == ("running", [])
    sleeper.kill()
    sleeper.wait()
    supervisor.check(slot)
    assert (queue.get(job.id).state, started) == ("queued", ["quick"])
    assert queue.get(job.id).attempt == job.attempt + 1
    engine.dispose()


def test_a_cancelled_job_does_not_take_the_worker_that_it_shares(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exuvia.studio.supervisor.GRACE_S", {"quick": 0.1})
    settings = Settings(folder=tmp_path)
    engine = open_database(settings.url)
    queue = Queue(engine)
    supervisor = Supervisor(settings, queue, lambda: False)
    monkeypatch.setattr(supervisor, "_start_worker", lambda lane: None)
    unwanted, wanted, waiting = (queue.submit("generate", "quick", {}) for _ in range(3))
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    slot = WorkerSlot("quick", "w", sleeper, 0.0)
    queue.claim("quick", "w", 2, ("generate",))
    queue.ask_to_cancel(unwanted.id)
    for _ in range(2):
        supervisor.check(slot)
        time.sleep(0.2)
    states = [queue.get(job.id).state for job in (unwanted, wanted, waiting)]
    assert (states, sleeper.poll()) == (["cancelled", "running", "queued"], None)
    queue.ask_to_cancel(wanted.id)
    for _ in range(2):
        supervisor.check(slot)
        time.sleep(0.2)
    states = [queue.get(job.id).state for job in (unwanted, wanted, waiting)]
    assert (states, sleeper.poll() is None) == (["cancelled", "cancelled", "queued"], False)
    engine.dispose()


def test_the_load_bench_loses_no_job(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ledger = tmp_path / "numbers.jsonl"
    assert lab_main(["studio", "--users", "3", "--seconds", "2", "--record", str(ledger)]) == 0
    rows = {row["name"]: row["value"] for row in map(json.loads, ledger.read_text().splitlines())}
    assert rows["studio.lost_jobs"] == 0
    assert rows["studio.jobs.3_users"] >= 3
    assert 0 < rows["studio.api_p95_ms.3_users"]
    assert "0 lost" in capsys.readouterr().out
    assert lab_main(["studio", "--users", "0"]) == 2


@contextmanager
def served(folder: Path, limits: Limits) -> Iterator[int]:
    """Port of a server in this process, without workers."""
    about = Settings(folder=folder, limits=limits)
    config = uvicorn.Config(
        create_app(about, workers=False), http=timed_protocol(limits), log_level="critical", port=0, lifespan="off"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started, 30)
        yield int(server.servers[0].sockets[0].getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(30)


HALF = (b"", b"GET /api/v1/sta", b"POST /api/v1/motion HTTP/1.1\r\nhost: localhost\r\ncontent-length: 50\r\n\r\n{")


def test_requests_that_are_never_finished_are_closed_and_others_are_answered(tmp_path: Path) -> None:
    with served(tmp_path, Limits(head_s=1.0, body_s=1.0)) as port:
        half = [socket.create_connection(("127.0.0.1", port)) for _ in range(51)]
        for number, link in enumerate(half):
            link.settimeout(20)
            link.sendall(HALF[number % 3])
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"host": "localhost"}) as client:
            for _ in range(3):  # one connection, idle between its requests
                assert client.get("/api/v1/status").status_code == 200
                time.sleep(0.4)
        for number, link in enumerate(half):
            with contextlib.suppress(ConnectionResetError):
                for _ in iter(lambda: link.recv(4096), b""):  # noqa: B023 - read at once
                    assert number % 3 == 2, "an answer to half a head"
            link.close()


def test_a_client_that_drips_a_byte_now_and_then_is_closed_too(tmp_path: Path) -> None:
    with served(tmp_path, Limits(head_s=1.0, body_s=1.0)) as port:
        for start in (b"GET / HTTP/1.1\r\nx: ", HALF[2], b"GET /nothing HTTP/1.1\r\nhost: localhost\r\n\r\nGET"):
            link = socket.create_connection(("127.0.0.1", port))
            link.sendall(start)
            until(lambda: not _still_takes(link), 20)  # noqa: B023 - called at once
            link.close()


def _still_takes(link: socket.socket) -> bool:
    try:
        link.sendall(b"x")
    except (BrokenPipeError, ConnectionResetError):
        return False
    return True
