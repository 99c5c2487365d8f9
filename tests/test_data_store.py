"""A prepared store: clips come out as they went in, even after interruptions, and damage is reported."""

import errno
import json
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import exuvia.data.prepare as module
from exuvia.data import shards
from exuvia.data.prepare import prepare
from exuvia.data.store import Store
from exuvia.errors import ConfigError, DataError, OutputError
from exuvia.features.humanml3d import HUMANML3D
from made_mocap import body, mocap_folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mocap_folder(tmp_path_factory.mktemp("made") / "mocap", 14)


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHARD_CLIPS", 4)


def test_clips_come_out_as_they_went_in(source: Path, tmp_path: Path, small_shards: None) -> None:
    store = prepare(source, tmp_path / "out")
    joints = np.load(source / "clips.npz")["joints"]
    offsets = np.load(source / "clips.npz")["offsets"]
    for k in range(14):
        number = store.index_of[f"{k:06d}"]
        expected = joints[offsets[k] : offsets[k + 1]]
        np.testing.assert_array_equal(store.joints(number), expected)
        np.testing.assert_allclose(store.features(number), HUMANML3D.encode([expected])[0], atol=2e-6)
        assert store.clips[number].labels["violent"] == (k % 4 == 0)
        assert store.frame_labels(number) is None
    assert store.manifest["skipped"] == []
    assert store.manifest["by_licence"] == {"CC0": len(store)}


def test_only_train_clips_get_mirrored_twins(source: Path, tmp_path: Path) -> None:
    store = prepare(source, tmp_path / "out")
    twins = [clip for clip in store.clips if clip.labels["mirrored"]]
    assert {clip.split for clip in twins} == {"train"}
    assert len(twins) == len(store.select(split="train", mirrored=False))
    left, right = store.index_of["000000"], store.index_of["M000000"]
    np.testing.assert_array_equal(store.joints(left)[:, 1] * [-1, 1, 1], store.joints(right)[:, 2])
    assert store.clips[right].captions[0].text == "a person kicks with the right leg"
    assert store.clips[right].labels["side"] == "right"
    assert len(prepare(source, tmp_path / "plain", mirror=False)) == 14


def test_select_filters_by_split_sensor_and_label(source: Path, tmp_path: Path) -> None:
    store = prepare(source, tmp_path / "out", mirror=False)
    violent = store.select(split="train", violent=True)
    assert [store.clips[k].id for k in violent] == ["000000", "000004", "000008"]
    assert len(store.select(sensor=["kinect", "optical"])) == 14
    with pytest.raises(ConfigError, match="did you mean 'violent'"):
        store.select(violence=True)


def test_rerun_is_a_no_op_and_other_settings_are_refused(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare(source, out)
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    prepare(source, out, progress=lambda done, total: pytest.fail("worked again"))
    copied = shutil.copytree(source, tmp_path / "copied", copy_function=shutil.copyfile)
    prepare(copied, out)
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before
    with pytest.raises(ConfigError, match="mirror True, not False"):
        prepare(source, out, mirror=False)
    with pytest.raises(ConfigError, match="another source"):
        prepare(mocap_folder(tmp_path / "other", 5), out)


def test_an_interrupted_run_continues_and_gives_the_same_bytes(
    source: Path, tmp_path: Path, small_shards: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = contents(prepare(source, tmp_path / "whole").folder)

    def stop(done: int, total: int) -> None:
        if done == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(source, tmp_path / "out", progress=stop)
    assert not (tmp_path / "out").exists()
    counts: list[int] = []
    make_ready = module.make_ready
    monkeypatch.setattr(
        module, "make_ready", lambda items, layout: counts.append(len(items)) or make_ready(items, layout)
    )
    assert contents(prepare(source, tmp_path / "out").folder) == expected
    assert counts == [4, 2]  # the two finished shards were not made again
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "whole"]


def test_a_link_to_an_empty_folder_is_filled_and_stays(source: Path, tmp_path: Path, small_shards: None) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk")
    store = prepare(source, tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert len(Store.open(tmp_path / "disk")) == len(store)
    assert sorted(path.name for path in tmp_path.glob("[.a-z]*")) == ["disk", "link"]


def test_a_killed_process_leaves_nothing_half_written(source: Path, tmp_path: Path, small_shards: None) -> None:
    expected = contents(prepare(source, tmp_path / "whole").folder)
    code = (
        "import sys, time, exuvia.data.prepare as m; m.SHARD_CLIPS = 4\n"
        "m.prepare(sys.argv[1], sys.argv[2], progress=lambda done, total: done >= 8 and time.sleep(60))"
    )
    out, shard = tmp_path / "out", "*/shard-00001.npz"
    process = subprocess.Popen([sys.executable, "-c", code, source, out])
    try:
        deadline = time.monotonic() + 60
        while not list((tmp_path / ".out.work").glob(shard)):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.05)
        with pytest.raises(OutputError, match="another process"):
            prepare(source, out)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not out.exists()
    assert contents(prepare(source, out).folder) == expected


@pytest.mark.parametrize("step", ["write_json", "_fill", "_facts"])
def test_a_full_disk_leaves_nothing_half_written(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(shards, step, full)
        with pytest.raises(OutputError, match="No space left on device"):
            prepare(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    Store.open(prepare(source, tmp_path / "out").folder, verify=True)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_damaged_shard_is_written_again(source: Path, tmp_path: Path, small_shards: None) -> None:
    def stop(done: int, total: int) -> None:
        if done == total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(source, tmp_path / "out", progress=stop)
    shard = next((tmp_path / ".out.work").glob("*/shard-00000.npz"))
    data = bytearray(shard.read_bytes())
    data[3000] ^= 255
    shard.write_bytes(data)
    with pytest.raises(DataError, match="run the same command again"):
        prepare(source, tmp_path / "out")
    assert len(prepare(source, tmp_path / "out", progress=None)) > 14


@pytest.mark.parametrize("name", ["joints.npy", "features.npy", "clips.jsonl"])
def test_a_truncated_column_is_named(source: Path, tmp_path: Path, name: str) -> None:
    out = prepare(source, tmp_path / "out").folder
    data = (out / name).read_bytes()
    (out / name).write_bytes(data[:-7])
    with pytest.raises(DataError, match=f"{name} is damaged.*{len(data) - 7} bytes.*exuvia prepare"):
        Store.open(out)
    (out / name).unlink()
    with pytest.raises(DataError, match=f"{name} is missing"):
        Store.open(out)


def test_a_flipped_bit_is_found_by_verify(source: Path, tmp_path: Path) -> None:
    out = prepare(source, tmp_path / "out").folder
    Store.open(out, verify=True)
    data = bytearray((out / "features.npy").read_bytes())
    data[-100] ^= 1
    (out / "features.npy").write_bytes(data)
    Store.open(out)
    with pytest.raises(DataError, match=r"features\.npy is damaged: its contents"):
        Store.open(out, verify=True)


def test_a_column_with_another_header_is_named(source: Path, tmp_path: Path) -> None:
    out = prepare(source, tmp_path / "out").folder
    data = bytearray((out / "joints.npy").read_bytes())
    data[:6] = b"garbag"
    (out / "joints.npy").write_bytes(data)
    with pytest.raises(DataError, match="joints column is damaged"):
        Store.open(out)


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no manifest\.json"):
        Store.open(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps({"format": "exuvia-store", "version": 99}))
    with pytest.raises(DataError, match="format version 99"):
        Store.open(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps({"format": "exuvia-store", "version": 1, "columns": {}}))
    with pytest.raises(DataError, match=r"manifest\.json is damaged"):
        Store.open(tmp_path)
    (tmp_path / "manifest.json").write_text("[1]")
    with pytest.raises(DataError, match="does not describe"):
        Store.open(tmp_path)


def test_bad_clips_are_skipped_and_listed(tmp_path: Path) -> None:
    holed = body(40)
    holed[3, 2] = np.nan
    source = mocap_folder(tmp_path / "mocap", 8, spoil={1: holed, 2: body(1)})
    store = prepare(source, tmp_path / "out", mirror=False)
    assert len(store) == 6
    reasons = {clip["id"]: clip["reason"] for clip in store.manifest["skipped"]}
    assert reasons.keys() == {"000001", "000002"}
    assert "NaN" in reasons["000001"]
    assert "1 frame" in reasons["000002"]
    only_bad = mocap_folder(tmp_path / "bad", 1, spoil={0: holed})
    with pytest.raises(DataError, match=r"none of the clips could be used.*NaN"):
        prepare(only_bad, tmp_path / "none")


def test_limit_spreads_over_the_source_and_sources_join(source: Path, tmp_path: Path) -> None:
    store = prepare(source, tmp_path / "few", limit=3, mirror=False)
    assert [clip.id for clip in store.clips] == ["000000", "000004", "000009"]
    both = prepare([source, mocap_folder(tmp_path / "more", 16)], tmp_path / "both", mirror=False)
    assert len(both) == 16
    assert both.manifest["skipped"][0]["reason"] == "its id is already taken by an earlier clip"


def test_bad_arguments_raise_one_sentence(source: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        prepare(tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(ConfigError, match="did you mean 'humanml3d'"):
        prepare(source, tmp_path / "out", representation="humanml")
    with pytest.raises(OutputError, match="exists and is not a prepared data set"):
        prepare(source, source)
    with pytest.raises(ConfigError, match="limit 0"):
        prepare(source, tmp_path / "out", limit=0)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        prepare(source, tmp_path / "file" / "out")
    (tmp_path / "broken").mkdir()
    shutil.copy(source / "clips.jsonl", tmp_path / "broken")
    (tmp_path / "broken" / "clips.npz").write_bytes(b"PK not really")
    with pytest.raises(DataError, match="not a readable archive"):
        prepare(tmp_path / "broken", tmp_path / "out")


def test_several_readers_share_one_store(source: Path, tmp_path: Path) -> None:
    store = prepare(source, tmp_path / "out")
    again = pickle.loads(pickle.dumps(store))
    assert again.data_hash == store.data_hash
    np.testing.assert_array_equal(again.features(3), store.features(3))
    with pytest.raises(ValueError, match="read-only"):
        store.joints(0)[0] = 0


def test_shared_mocap_prepares(shared_data: Path, tmp_path: Path) -> None:
    store = prepare(shared_data / "mocap", tmp_path / "out", limit=60)
    assert store.manifest["skipped"] == []
    assert {"train", "test"} <= set(store.manifest["by_split"])
    assert all(np.isfinite(store.features(k)).all() for k in range(len(store)))
