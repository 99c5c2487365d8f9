"""A studio for tests: the application in this process, workers that take a turn when they are told to."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from exuvia.studio.app import create_app
from exuvia.studio.settings import LANES, Settings
from exuvia.studio.worker import Worker

API = "/api/v1"


@dataclass
class Made:
    """A studio whose workers wait for `work`."""

    client: TestClient
    workers: dict[str, Worker]
    settings: Settings

    def ask(self, path: str, body: dict[str, Any], status: int = 202) -> dict[str, Any]:
        answer = self.client.post(API + path, json=body)
        assert answer.status_code == status, answer.text
        return dict(answer.json())

    def get(self, path: str, status: int = 200) -> Any:
        answer = self.client.get(API + path)
        assert answer.status_code == status, answer.text
        return answer.json()

    def work(self) -> None:
        """Until no job waits."""
        while sum(worker.turn() for worker in self.workers.values()):
            pass

    def done(self, job: dict[str, Any]) -> dict[str, Any]:
        self.work()
        found = dict(self.get(f"/jobs/{job['id']}"))
        assert found["state"] == "done", found["message"]
        return found

    @property
    def base(self) -> str:
        return str(self.get("/generators")[0]["id"])


@contextmanager
def made_studio(folder: Path, **settings: Any) -> Iterator[Made]:
    """A studio over a folder; opened again over the same folder it is the same studio."""
    about = Settings(folder=folder, **settings)
    headers = {"authorization": f"Bearer {about.token}"} if about.token else {}
    with TestClient(create_app(about, workers=False), base_url="http://localhost", headers=headers) as client:
        workers = {lane: Worker(about, lane, f"{lane}-test") for lane in LANES}
        workers["quick"].warm_up()
        yield Made(client, workers, about)


def until(true: Any, seconds: float = 240.0) -> Any:
    """What `true()` gives as soon as it gives something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := true():
            return found
        time.sleep(0.1)
    raise AssertionError("waited in vain")
