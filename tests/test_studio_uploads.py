"""Uploads that would exhaust memory or time: the studio refuses them and keeps running."""

import io
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from fastapi.testclient import TestClient

import exuvia.studio.reading
from exuvia.errors import DataError
from exuvia.studio.app import create_app
from exuvia.studio.reading import TooMuch, read_upload
from exuvia.studio.settings import Limits, Settings

MOTIONS = "/api/v1/motions"
WAITS = Limits(read_s=4.0)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    about = Settings(folder=tmp_path_factory.mktemp("studio"), limits=WAITS)
    with TestClient(create_app(about, workers=False), base_url="http://localhost") as client:
        yield client


def wide_bvh(frames: int, joints: int = 4050) -> bytes:
    """Thousands of joints without channels, and one channel that moves."""
    lines = ["HIERARCHY", "ROOT a", "{", "OFFSET 0 0 0", "CHANNELS 1 Yposition"]
    for number in range(joints):
        lines += [f"JOINT b{number}", "{", "OFFSET 0 0 1", "CHANNELS 0", "}"]
    return "\n".join([*lines, "}", "MOTION", f"Frames: {frames}", "Frame Time: 0.05", *["0"] * frames]).encode()


def slow_deepmimic() -> bytes:
    frame = [9.9, 0, 1, 0, *[1] * 40]  # any number is an angle or a part of a quaternion
    return json.dumps({"Loop": "wrap", "Frames": [frame] * 5000}, separators=(",", ":")).encode()


def npz(joints: np.ndarray, **more: float) -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, joints=joints, **more)  # type: ignore[arg-type]
    return out.getvalue()


def some(frames: int, kind: str = "f4") -> np.ndarray:
    return (0.19 * np.random.default_rng(0).standard_normal((frames, 22, 3))).astype(kind)


GREEDY: dict[str, tuple[str, Callable[[], bytes]]] = {
    "a BVH of 4,050 joints and 100,000 frames": (".bvh", lambda: wide_bvh(100_000)),
    "a BVH of 4,050 joints and 3,000 frames": (".bvh", lambda: wide_bvh(3_000)),
    "DeepMimic frames of 9.9 seconds": (".txt", slow_deepmimic),
    "an npz at 1 frame in 10,000 s": (".npz", lambda: npz(some(14), fps=1e-4)),
    "an npz at 1 frame in 10,000,000 s": (".npz", lambda: npz(some(3), fps=1e-7)),
    "an npz of 900,000 frames": (".npz", lambda: npz(np.zeros((900_000, 22, 3), "i1"))),
}


@pytest.mark.parametrize("name", GREEDY)
def test_a_greedy_upload_is_refused_and_the_server_stays_as_it_was(
    client: TestClient, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suffix, make = GREEDY[name]
    data = make()
    assert len(data) < 600_000
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    here = psutil.Process()
    before, began = here.memory_info().rss, time.monotonic()
    answer = client.post(MOTIONS, files={"file": (f"x{suffix}", data)})
    assert answer.status_code in (400, 422), answer.text
    assert 20 < len(answer.json()["detail"]) < 300
    assert str(tmp_path) not in answer.text
    assert here.memory_info().rss - before < 60e6
    assert time.monotonic() - began < WAITS.read_s + 90
    assert not list(tmp_path.iterdir())
    assert client.get("/api/v1/status").json()["motions"] == 0
    assert not [one for one in here.children() if "reading" in " ".join(one.cmdline())]


def test_the_limits_of_memory_and_time_are_told_and_another_upload_is_read_after_them() -> None:
    good = npz(some(40), fps=20.0)
    with pytest.raises(TooMuch, match="more than 300 MB and 20 s to read"):
        read_upload(npz(np.zeros((400_000, 22, 3), "i1")), ".npz", Limits(read_bytes=300_000_000))
    assert read_upload(good, ".npz", Limits()).frames == 40


def test_a_reader_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exuvia.studio.reading, "START_S", 0.0)
    with pytest.raises(TooMuch, match=r"0\.01 s to read"):
        read_upload(npz(some(40)), ".npz", Limits(read_s=0.01))


def test_a_file_that_its_reader_fails_at_is_no_limit_that_was_met() -> None:
    with pytest.raises(DataError, match=r"no \.mp3 file that can be read|unknown motion format"):
        read_upload(b"", ".mp3", Limits())
