"""`python -m lab studio`: many users at once request motion, follow their jobs and fetch the results."""

import http.client
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from exuvia.config import settings
from exuvia.errors import ConfigError, OutputError
from exuvia.evaluation.prompts.load import load_prompts
from exuvia.readers import parse_json
from lab.ledger.numbers import Number, record_numbers

START_S = 180.0
PAUSE_S = 0.5
"""Seconds between two requests of a user for the state of a job."""


@settings(kw_only=True)
class StudioBench:
    """Number of users, and duration."""

    users: int = 20
    """Number of users; each has one job at a time."""
    seconds: float = 60.0
    """Time during which users request new motion; then they wait for their jobs."""
    record: Path | None = None
    """Ledger to append the results to."""


@dataclass
class Seen:
    """Results of one user."""

    latencies_s: list[float] = field(default_factory=list)
    asked: int = 0
    done: int = 0
    waits_s: list[float] = field(default_factory=list)
    problem: str = ""


def bench_studio(config: StudioBench) -> None:
    """Start a separate studio with users, and measure how fast it answers and whether it loses jobs.

    All requests count except the generation itself: submitting, following, listing, fetching the motion.

    Examples:
        python -m lab studio --users 4 --seconds 5

    Raises:
        ConfigError: no user, no time.
        OutputError: the studio does not start, or the ledger cannot be written.
    """
    if config.users < 1 or not config.seconds > 0:
        raise ConfigError(f"found {config.users} users for {config.seconds:g} s, expected at least one of each")
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        with running_studio(Path(folder)) as (host, port, _):
            first = _first_motion(host, port)
            first_s = time.perf_counter() - started
            seen = _crowd(host, port, config, first)
    problems = [one.problem for one in seen if one.problem]
    if problems:
        raise OutputError(f"{len(problems)} of {config.users} users met a failure: {problems[0]}")
    latencies = np.array([value for one in seen for value in one.latencies_s]) * 1000
    asked, done = sum(one.asked for one in seen), sum(one.done for one in seen)
    p50, p95 = np.percentile(latencies, (50, 95))
    wait = float(np.median([value for one in seen for value in one.waits_s]))
    print(f"{config.users} users, {len(latencies)} requests: median {p50:.1f} ms, 95 % within {p95:.1f} ms")
    text = f"{asked} jobs asked for, {done} done, {asked - done} lost; median wait {wait:.2f} s; "
    print(f"{text}first motion {first_s:.1f} s")
    tag = f"{config.users}_users"
    numbers = {
        f"studio.api_p95_ms.{tag}": Number(float(p95), "ms"),
        "studio.lost_jobs": Number(asked - done),
        "studio.first_motion_s": Number(first_s, "s"),
        f"studio.jobs.{tag}": Number(asked),
        f"studio.wait_s.{tag}": Number(wait, "s"),
    }
    record_numbers(config.record, numbers)


@contextmanager
def running_studio(folder: Path, *options: str) -> Iterator[tuple[str, int, int]]:
    """Start a studio in a separate process; yield host, port and process once it answers."""
    command = [sys.executable, "-m", "exuvia", "studio", "--folder", str(folder), "--port", "0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        address = urlsplit(line.split()[-1] if line else "")
        if not address.hostname or not address.port:
            raise OutputError("the studio did not start; try: exuvia studio")
        yield address.hostname, address.port, process.pid
    finally:
        process.terminate()
        process.wait(30)


class User:
    """One connection."""

    def __init__(self, host: str, port: int, seen: Seen) -> None:
        self.link = http.client.HTTPConnection(host, port, timeout=60)
        self.seen = seen

    def call(self, path: str, body: Any = None, method: str = "") -> Any:
        """Return the answer as JSON, and record its time."""
        text = None if body is None else json.dumps(body).encode()
        headers = {} if text is None else {"Content-Type": "application/json"}
        return parse_json(
            self.send(method or ("GET" if text is None else "POST"), path, text, headers), f"the answer to {path}"
        )

    def send(self, method: str, path: str, data: bytes | None = None, headers: dict[str, str] | None = None) -> bytes:
        """Return the bytes of an answer, and record its time. Raises OutputError for a refusal."""
        began = time.perf_counter()
        try:
            self.link.request(method, f"/api/v1{path}", data, headers or {})
            answer = self.link.getresponse()
        except http.client.RemoteDisconnected:  # the server closes a connection that is idle for some seconds
            if method != "GET":
                raise
            self.link.close()
            self.link.request(method, f"/api/v1{path}", data, headers or {})
            answer = self.link.getresponse()
        found = answer.read()
        self.seen.latencies_s.append(time.perf_counter() - began)
        if answer.status >= 400:
            raise OutputError(f"{path} was answered with {answer.status}: {found[:200]!r}")
        return found

    def motion(self, prompt: str, seed: int) -> str:
        """Submit, follow and fetch one motion; return its id."""
        began = time.perf_counter()
        job = self.call("/motion", {"prompts": [prompt], "seeds": [seed]})
        self.seen.asked += 1
        while job["state"] in ("queued", "running"):
            time.sleep(PAUSE_S)
            job = self.call(f"/jobs/{job['id']}")
        if job["state"] != "done":
            raise OutputError(f"a job ended as {job['state']}: {job['message']}")
        self.seen.waits_s.append(time.perf_counter() - began)
        name = str(job["result"]["motions"][0])
        self.call(f"/motions/{name}")
        self.call("/jobs?limit=20")
        self.seen.done += 1
        return name


def _first_motion(host: str, port: int) -> str:
    return User(host, port, Seen()).motion("a person walks forward", 0)


def _crowd(host: str, port: int, config: StudioBench, first: str) -> list[Seen]:
    """Run all users at once; each submits again as soon as it has its motion."""
    prompts = [prompt.text for prompt in load_prompts("explicit")]
    seen = [Seen() for _ in range(config.users)]
    end = time.monotonic() + config.seconds

    def use(number: int) -> None:
        user, turn = User(host, port, seen[number]), 0
        try:
            while time.monotonic() < end:
                user.motion(prompts[(number + turn * config.users) % len(prompts)], number)
                turn += 1
        except (ConfigError, OutputError, OSError, http.client.HTTPException) as error:
            seen[number].problem = str(error) or type(error).__name__

    threads = [threading.Thread(target=use, args=(number,)) for number in range(config.users)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seen
