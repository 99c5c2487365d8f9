"""Batches: padding keeps what is real, windows are even, and every draw is a function of seed and step."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exuvia.data.batches import TextItem, WindowSampler, crop, pad_batch, pick_caption, step_rng, text_items
from exuvia.data.captions import Caption
from exuvia.data.prepare import prepare
from exuvia.data.store import Store
from exuvia.errors import ConfigError, ShapeError
from made_mocap import mocap_folder


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("made")
    return prepare(mocap_folder(folder / "mocap", 12), folder / "store")


@given(st.lists(st.integers(1, 20), min_size=1, max_size=6))
def test_padding_keeps_what_is_real(lengths: list[int]) -> None:
    clips = [np.full((n, 3), k + 1, np.float32) for k, n in enumerate(lengths)]
    x, valid = pad_batch(clips)
    assert x.shape == (len(clips), max(lengths), 3)
    assert valid.sum(1).tolist() == lengths
    assert (x[~valid] == 0).all()
    for row, mask, clip in zip(x, valid, clips, strict=True):
        np.testing.assert_array_equal(row[mask], clip)


def test_padding_refuses_what_does_not_fit() -> None:
    with pytest.raises(ShapeError, match="empty batch"):
        pad_batch([])
    with pytest.raises(ShapeError, match="clip of 5 frames, expected at most 4"):
        pad_batch([np.zeros((5, 2), np.float32)], frames=4)
    with pytest.raises(ShapeError, match="different channels"):
        pad_batch([np.zeros((5, 2), np.float32), np.zeros((5, 3), np.float32)])


def test_windows_are_those_of_the_clips(store: Store) -> None:
    train = store.select(split="train")
    sampler = WindowSampler(store, train, batch=200, frames=32, seed=1)
    allowed = {store.clips[k].row_start + offset for k in train for offset in range(max(0, store.clips[k].rows - 31))}
    assert sampler.windows == len(allowed)
    drawn = [int(start) for step in range(30) for start in sampler.draw(step)]
    assert set(drawn) <= allowed
    assert len(set(drawn)) > 0.95 * len(allowed)  # all offsets are reached
    windows = sampler.windows_at(0)
    assert windows.shape == (200, 32, 263)
    start = sampler.draw(0)[5]
    np.testing.assert_array_equal(windows[5], store.columns["features"][start : start + 32])


def test_windows_are_a_function_of_seed_and_step_whatever_the_number_of_processes(store: Store) -> None:
    clips = store.select(split="train")
    one = WindowSampler(store, clips, batch=8, frames=16, seed=3)
    two = WindowSampler(store, clips, batch=4, frames=16, seed=3, world=2)
    for step in (0, 7):
        np.testing.assert_array_equal(one.draw(step), np.concatenate([two.draw(step, 0), two.draw(step, 1)]))
    assert not np.array_equal(one.draw(0), one.draw(1))
    assert not np.array_equal(one.draw(0), WindowSampler(store, clips, 8, 16, seed=4).draw(0))
    with pytest.raises(ConfigError, match="has 5000 frames"):
        WindowSampler(store, clips, 8, 5000)


def test_text_items_follow_the_published_limits(store: Store) -> None:
    items = text_items(store, store.select(split="train"), min_frames=40)
    assert items
    assert all(40 <= store.clips[item.clip].rows <= 199 and item.rows == store.clips[item.clip].rows for item in items)


def test_a_timed_caption_is_an_item_of_its_own(tmp_path: Path) -> None:
    source = mocap_folder(tmp_path / "mocap", 8)
    lines = [json.loads(line) for line in (source / "clips.jsonl").read_text().splitlines()]
    lines[5]["captions"].append({"text": "turns", "tokens": None, "start_s": 0.5, "end_s": 1.5})
    (source / "clips.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    store = prepare(source, tmp_path / "out", mirror=False)
    items = text_items(store, np.asarray([5]), min_frames=20)
    assert [(item.start, item.rows) for item in items] == [(0, store.clips[5].rows), (10, 20)]
    assert items[1].captions[0].text == "turns"


@given(st.integers(4, 250), st.integers(0, 1000))
def test_crops_are_multiples_of_four_inside_the_clip(rows: int, seed: int) -> None:
    start, length = crop(rows, np.random.default_rng(seed))
    assert length % 4 == 0
    assert 0 <= start <= rows - length
    assert rows // 4 - 1 <= length // 4 <= rows // 4


def test_every_caption_is_picked_and_none_is_none() -> None:
    item = TextItem(0, 0, 40, (Caption("a"), Caption("b")))
    assert {pick_caption(item, step_rng(0, step)).text for step in range(20)} == {"a", "b"}  # type: ignore[union-attr]
    assert pick_caption(TextItem(0, 0, 40, ()), step_rng(0, 0)) is None
