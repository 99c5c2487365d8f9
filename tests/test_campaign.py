"""The campaigns themselves: planted faults are found, counts are right, and the same seed gives the same inputs."""

import json
import os
import random
import shutil
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exuvia.errors import DataError
from exuvia.files import write_json
from lab.campaign import fuzz
from lab.campaign.compare import broken, hidden, snapshot
from lab.campaign.fixtures import Fixtures
from lab.campaign.kill import Job, Result, campaign
from lab.campaign.mutate import CANARY, STRUCTURE, harmful, mutate
from lab.campaign.targets import Target


def planted(data: bytes) -> int:
    """Reads digits; falls over, hangs, dies and obeys on some of them."""
    if b"1" in data:
        raise KeyError("planted")
    if b"2" in data:
        time.sleep(60)
    if b"3" in data:
        os.abort()
    if b"4" in data:
        os.mkdir(os.environ[CANARY])
    if b"5" in data:
        raise DataError("found 5, expected another digit")
    return len(data)


def bench(fixtures: Fixtures, monkeypatch: pytest.MonkeyPatch, name: str = "planted") -> fuzz.Bench:
    """Input number n is the digit n."""

    def make(_: Fixtures, folder: Path) -> Any:
        (folder / "seed0").write_bytes(b"0")
        return planted

    made = fuzz.prepared(Target(name, 1, make, {"": "bytes"}), fixtures)
    monkeypatch.setattr(fuzz.Bench, "input", lambda self, seed, number: ("", str(number).encode()))
    return made


def test_faults_of_a_reader_are_found_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz, "LATE_S", 0.2)
    with fuzz.canary(tmp_path):
        benches = [bench(Fixtures(tmp_path), monkeypatch)]
        tally = fuzz.fuzz(benches, 10, 0, lambda line: None)
        fuzz.keep(tmp_path / "kept", benches, tally, 0)
    wanted = {"failed": 1, "hung": 1, "crashed": 1, "executed": 1, "refused": 1, "read": 5}
    assert tally.counts["planted"] == Counter(wanted)
    assert (tally.inputs, tally.failed) == (10, 4)
    found = {failure.outcome: failure for failure in tally.failures.values()}
    assert {name: failure.number for name, failure in found.items()} == {
        "failed": 1,
        "hung": 2,
        "crashed": 3,
        "executed": 4,
    }
    assert found["failed"].place.startswith("tests/test_campaign.py:")
    kept = {path.read_bytes() for path in (tmp_path / "kept").glob("*/input")}
    assert kept == {b"1", b"2", b"3", b"4"}
    assert any("KeyError: 'planted'" in path.read_text() for path in (tmp_path / "kept").glob("*/why.txt"))


def test_a_child_that_cannot_be_interrupted_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import signal

    def stuck(data: bytes) -> None:
        if data == b"2":
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
            time.sleep(60)

    monkeypatch.setattr(fuzz, "LATE_S", -2.0)
    made = bench(Fixtures(tmp_path), monkeypatch)
    monkeypatch.setattr(fuzz, "_outcome", lambda read, what: (stuck(what), ("read", None))[1])
    tally = fuzz.fuzz([made], 5, 0, lambda line: None)
    assert tally.counts["planted"] == Counter({"read": 4, "hung": 1})


@pytest.mark.parametrize("kind", [*STRUCTURE, "text", "bytes"])
def test_inputs_follow_from_their_number(kind: str, tmp_path: Path) -> None:
    good = {
        "json": b'{"a": [1, {"b": null}]}', "npy": b"\x93NUMPY\x01\x00\x10\x00{'shape': (3,)}\n\0\0\0\0",
        "safetensors": (2).to_bytes(8, "little") + b"{}",
    }.get(kind, b"words = 12 and more\n" * 3)  # fmt: skip
    made = [mutate(good, kind, random.Random(f"{n}"), good) for n in range(60)]
    assert made == [mutate(good, kind, random.Random(f"{n}"), good) for n in range(60)]
    assert len(set(made)) > 30


@pytest.mark.parametrize("kind", [*STRUCTURE, "text", "bytes"])
def test_any_bytes_can_be_damaged(kind: str) -> None:
    for data in (b"", b"\0", bytes(8), bytes(9), bytes(200), b"PK\x03\x04", b"{"):
        for n in range(300):
            assert isinstance(mutate(data, kind, random.Random(n), data), bytes)


def test_the_harmful_pickle_does_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pickle

    monkeypatch.setenv(CANARY, str(tmp_path / "canary"))
    harmful.cache_clear()
    pickle.loads(harmful())
    harmful.cache_clear()
    assert (tmp_path / "canary").is_dir()


def test_readers_of_the_project_take_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lab.campaign.readers import TARGET

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # fixtures set it where it is missing
    fixtures = Fixtures(tmp_path)
    names = ("npy", "npz", "captions", "store", "record", "word list", "cache")
    benches = [fuzz.prepared(TARGET[name], fixtures) for name in names]
    tally = fuzz.fuzz(benches, 400, 0, lambda line: None)
    for name in names:
        assert tally.counts[name]["read"] >= 1, name
        assert tally.counts[name]["crashed"] == tally.counts[name]["executed"] == 0
    again = fuzz.fuzz(benches, 400, 0, lambda line: None)
    assert again.counts == tally.counts


def pause() -> None:
    time.sleep(0.02)


def careful(place: Path) -> int:
    """Writes two files into a folder that appears whole, and tidies up what it left before."""
    for left in place.glob(".work*"):
        shutil.rmtree(left)
    if (place / "out").exists():
        return 0
    made = place / f".work{os.getpid()}"
    made.mkdir()
    for name in ("a", "b"):
        pause()
        (made / f"{name}.json").write_text(json.dumps({"name": name, "date": time.time()}))
    made.rename(place / "out")
    return 0


def careless(place: Path) -> int:
    """Writes in place, slowly."""
    (place / "out").mkdir(exist_ok=True)
    with open(place / "out" / "a.json", "w") as file:
        file.write('{"name": ')
        file.flush()
        pause()
        file.write('"a"}')
    return 0


def forgetful(place: Path) -> int:
    """Leaves what it began, and gives another result each time it is interrupted."""
    count = len(list(place.glob(".part*")))
    (place / f".part{count}").touch()
    pause()
    (place / "a.json").write_text(json.dumps({"interrupted": count}))
    if count == 0:
        (place / ".part0").unlink()
    return 0


def killed(run: Any, tmp_path: Path, *whole: str) -> Result:
    return campaign(Job("job", run, whole), tmp_path, 25, 0, log=lambda line: None)


def test_a_careful_command_loses_nothing(tmp_path: Path) -> None:
    found = killed(careful, tmp_path, "out")
    assert found.kills >= 25
    assert 0 < found.gentle < found.kills
    assert (found.half, found.differs, found.failed, found.left) == ([], [], [], [])


def test_a_half_written_file_is_seen(tmp_path: Path) -> None:
    found = killed(careless, tmp_path)
    assert any(line.startswith("out/a.json (JSONDecodeError") for line in found.half)
    assert found.lost >= len(found.half) > 0
    assert found.differs == found.failed == []


def test_leftovers_and_other_results_are_seen(tmp_path: Path) -> None:
    found = killed(forgetful, tmp_path)
    assert "a.json differs" in found.differs
    assert any(line.startswith(".part") for line in found.left)


def test_a_target_that_is_replaced_in_two_steps_is_seen(tmp_path: Path) -> None:
    def moved(place: Path) -> int:
        write_json(place / "new.json", 1)
        (place / "out").unlink(missing_ok=True)
        pause()
        (place / "new.json").rename(place / "out")
        return 0

    assert any(line.startswith("out is gone") for line in killed(moved, tmp_path, "out").half)


def test_a_command_that_fails_is_no_proof(tmp_path: Path) -> None:
    found = killed(lambda place: 2, tmp_path)
    assert found.kills == 0
    assert found.lost == 1


def test_comparing_folders(tmp_path: Path) -> None:
    write_json(tmp_path / "a" / "x.json", {"date": "2026-01-01", "value": [1, {"seconds": 3.0}]})
    write_json(tmp_path / "b" / "x.json", {"date": "2027-01-01", "value": [1, {"seconds": 4.0}]})
    write_json(tmp_path / "c" / "x.json", {"date": "2027-01-01", "value": [2, {"seconds": 4.0}]})
    first, second, third = (snapshot(tmp_path / name) for name in "abc")
    assert first == second != third
    np.save(tmp_path / "a" / "y.npy", np.zeros(9))
    whole = (tmp_path / "a" / "y.npy").read_bytes()
    assert broken(tmp_path / "a") == []
    (tmp_path / "a" / "y.npy").write_bytes(whole[:-1])
    assert [line.split()[0] for line in broken(tmp_path / "a")] == ["y.npy"]
    (tmp_path / "a" / ".hidden" / ".deeper").mkdir(parents=True)
    (tmp_path / "a" / ".exuvia.json").touch()
    assert hidden(tmp_path / "a") == [".hidden"]
    assert set(snapshot(tmp_path / "a")) == {"x.json", "y.npy"}
