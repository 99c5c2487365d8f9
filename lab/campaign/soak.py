"""Runs a real studio with users while its workers are killed, and counts what was lost."""

import http.client
import json
import os
import random
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from exuvia.errors import OutputError
from lab.experiments.studio import Seen, User, running_studio

SAMPLE_S = 5.0
OPEN = ("queued", "running")
BOUNDARY = "a-line-between-parts"
PROMPTS = ("a person walks forward", "a man kicks with the right leg", "she sits down", "someone waves and then jumps")
METHODS = ("prompt_filter", "uce", "lcr")


@dataclass
class Found:
    """Results of a soak."""

    submitted: set[str] = field(default_factory=set)
    kills: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    """State -> number of jobs."""
    requests: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """Beginning of an error response -> its count."""
    lost: list[str] = field(default_factory=list)
    """Jobs that failed, did not end or disappeared; unreadable motions; a damaged database."""
    samples: list[tuple[float, int, int]] = field(default_factory=list)
    """Seconds, resident bytes and open descriptors of the server and its workers."""


def soak(
    folder: Path, pipeline: Path, store: Path, upload: bytes, minutes: float, users: int, kill_s: float, seed: int,
    log: Callable[[str], None],
) -> Found:  # fmt: skip
    """Run a studio for some minutes, then wait for its jobs and check them.

    Args:
        folder: folder of the studio
        pipeline: a generator in addition to the shipped one
        store: prepared data that edits may use
        upload: bytes of an .npy motion
        kill_s: seconds between two kills of a worker
    """
    found, drain_s = Found(), max(300.0, 30 * minutes)
    with running_studio(folder, "--pipelines", "tiny", str(pipeline), "--data", "made", str(store)) as (
        host,
        port,
        process,
    ):
        watcher = User(host, port, Seen())
        generators = [one["id"] for one in watcher.call("/generators")]
        _wait(watcher, [watcher.call("/motion", {"prompts": [PROMPTS[0]], "seeds": [0]})["id"]], 300.0)
        end = time.monotonic() + 60 * minutes
        rngs = [random.Random(f"{seed} {number}") for number in range(users)]
        asks = [(User(host, port, Seen()), rng, generators, upload, end, found) for rng in rngs]
        crowd = [threading.Thread(target=_use, args=one) for one in asks]
        for one in crowd:
            one.start()
        _disturb(process, end, kill_s, random.Random(f"{seed} kills"), found, log)
        for one in crowd:
            one.join()
        left = _wait(watcher, sorted(found.submitted), drain_s)
        found.lost += [f"a job is still {state} after {drain_s:.0f} s" for state in left]
        _look(watcher, found)
        found.requests += len(watcher.seen.latencies_s)
    with sqlite3.connect(folder / "studio.sqlite") as link:
        told = link.execute("PRAGMA integrity_check").fetchone()[0]
    found.lost += [] if told == "ok" else [f"integrity_check says {told}"]
    return found


def _use(user: User, rng: random.Random, generators: list[str], upload: bytes, end: float, found: Found) -> None:
    """Send one user's random requests, one job at a time."""
    while time.monotonic() < end:
        try:
            job = _ask(user, rng, generators, upload)
            if job:
                found.submitted.add(job)
                if rng.random() < 0.15:
                    time.sleep(rng.random())
                    user.call(f"/jobs/{job}/cancel", method="POST")
                while time.monotonic() < end and user.call(f"/jobs/{job}")["state"] in OPEN:
                    time.sleep(0.3)
        except OutputError as error:
            found.refused[str(error)[:90]] += 1
            time.sleep(1)
        except (OSError, http.client.HTTPException) as error:
            found.refused[type(error).__name__] += 1
            user.link.close()
            time.sleep(1)
    found.requests += len(user.seen.latencies_s)


def _ask(user: User, rng: random.Random, generators: list[str], upload: bytes) -> str | None:
    """Send one request; return the id of its job, if any."""
    draw, generator = rng.random(), rng.choice(generators)
    if draw < 0.1:
        body = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="m.npy"\r\n\r\n'.encode()
        body += upload + f"\r\n--{BOUNDARY}--\r\n".encode()
        kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        return str(json.loads(user.send("POST", "/motions", body, kind))["job"])
    if draw < 0.2:
        edit = {"generator": generator, "method": rng.choice(METHODS), "concept": "violence", "data": "made"}
        return str(user.call("/edits", edit)["id"])
    if draw < 0.27:
        edited = [one for one in user.call("/generators") if one["origin"] == "edited"]
        if edited:
            user.call(f"/generators/{rng.choice(edited)['id']}", {"name": f"edit {rng.randrange(99)}"}, "PATCH")
        return None
    ask: dict[str, Any] = {"prompts": rng.sample(PROMPTS, rng.choice((1, 1, 2)))}
    ask |= {"seeds": [rng.randrange(99)], "generators": [generator]}
    return str(user.call("/motion", ask)["id"])


def _disturb(
    process: int, end: float, kill_s: float, rng: random.Random, found: Found, log: Callable[[str], None]
) -> None:
    """Kill one worker after another, and record memory and descriptors, until the time is over."""
    began, next_kill, next_look = time.monotonic(), time.monotonic() + kill_s, 0.0
    while (now := time.monotonic()) < end:
        if now >= next_look:
            family = [process, *children(process)]
            found.samples.append((now - began, sum(map(_resident, family)), sum(map(_descriptors, family))))
            next_look = now + SAMPLE_S
        if now >= next_kill:
            workers = [one for one in children(process) if b"exuvia.studio.worker" in _command(one)]
            if workers:
                with suppress(ProcessLookupError):
                    os.kill(rng.choice(workers), signal.SIGKILL)
                    found.kills += 1
            next_kill = now + kill_s * (0.5 + rng.random())
            log(f"{now - began:.0f} s: {len(found.submitted)} jobs, {found.kills} kills")
        time.sleep(0.2)


def _wait(user: User, jobs: Iterable[str], seconds: float) -> list[str]:
    """Wait until all jobs have ended; return the states of those that have not."""
    end, still = time.monotonic() + seconds, list(jobs)
    while True:
        states = {job: user.call(f"/jobs/{job}")["state"] for job in still}
        still = [job for job in still if states[job] in OPEN]
        if not still or time.monotonic() > end:
            return [states[job] for job in still]
        time.sleep(0.5)


def _look(user: User, found: Found) -> None:
    """Check the state of every job, and that the motions of finished jobs can be read."""
    for name in sorted(found.submitted):
        job = user.call(f"/jobs/{name}")
        found.ended[job["state"]] += 1
        if job["state"] not in ("done", "cancelled", *OPEN):
            found.lost.append(f"a {job['kind']} job {job['state']}: {job['message']} (attempt {job['attempt']})")
        if job["state"] != "done":
            continue
        for motion in user.call(f"/jobs/{name}/motions"):
            try:
                joints = np.load(
                    BytesIO(user.send("GET", f"/motions/{motion['id']}/file?form=npy")), allow_pickle=False
                )
                whole = joints.shape == (motion["frames"], 22, 3) and bool(np.isfinite(joints).all())
            except (OutputError, ValueError):
                whole = False
            found.lost += [] if whole else [f"a motion of a {job['kind']} job cannot be read"]
        if job["kind"] == "generate" and not job["result"]["motions"]:
            found.lost.append("a job that is done has no motion")


def children(process: int) -> list[int]:
    """Return the child processes of a process."""
    with suppress(OSError):
        tasks = Path(f"/proc/{process}/task").glob("*/children")
        return [int(word) for task in tasks for word in task.read_text(encoding="ascii").split()]
    return []


def _command(process: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_bytes()
    return b""


def _resident(process: int) -> int:
    with suppress(OSError, IndexError):
        return int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def _descriptors(process: int) -> int:
    with suppress(OSError):
        return len(os.listdir(f"/proc/{process}/fd"))
    return 0
