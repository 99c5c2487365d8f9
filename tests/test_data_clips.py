"""Clips of several stores: selected by split, sensor and length, drawn by shares, without excluded concepts."""

import json
from pathlib import Path

import numpy as np
import pytest

from exuvia.data.clips import ClipSet, open_corpus
from exuvia.data.prepare import prepare
from exuvia.data.settings import CorpusConfig
from exuvia.data.store import Store
from exuvia.errors import ConfigError
from made_mocap import mocap_folder


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A hundred synthetic clips."""
    return prepare("synthetic", tmp_path_factory.mktemp("clips") / "store", count=100)


@pytest.fixture(scope="module")
def mocap(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Clips of several sensors."""
    folder = tmp_path_factory.mktemp("made")
    return prepare(mocap_folder(folder / "source", clips=80), folder / "store", mirror=False)


def ids(clips: ClipSet) -> set[str]:
    return {clips.record(number).id for number in range(len(clips))}


def test_clips_are_chosen_by_split_sensor_and_length(mocap: Store) -> None:
    train = ClipSet.of(mocap).choose("train")
    assert ids(train) == {mocap.clips[n].id for n in mocap.select(split="train")}
    kinect = ClipSet.of(mocap).choose("train", sensors=["kinect"])
    assert {kinect.record(n).sensor for n in range(len(kinect))} == {"kinect"}
    long = ClipSet.of(mocap, mocap).choose("train", rows=60)
    assert all(len(long.features(n)) == long.record(n).rows >= 60 for n in range(len(long)))
    with pytest.raises(ConfigError, match="no train clip of at least 900 rows"):
        ClipSet.of(mocap).choose("train", rows=900)


def test_selected_clips_have_a_different_hash(mocap: Store) -> None:
    everything = ClipSet.of(mocap)
    assert everything.data_hash == ClipSet.of(mocap).data_hash
    assert len({everything.data_hash, everything.choose("train").data_hash, everything.choose("val").data_hash}) == 3


def test_synthetic_clips_do_not_affect_the_scale_of_real_ones(store: Store, mocap: Store) -> None:
    both, real = ClipSet.of(mocap, store).normaliser(), ClipSet.of(mocap).normaliser()
    np.testing.assert_array_equal(both.mean, real.mean)
    np.testing.assert_array_equal(both.std, real.std)


def test_stores_are_drawn_by_their_shares(store: Store, mocap: Store) -> None:
    config = CorpusConfig((str(store.folder), str(mocap.folder)), shares=(0.25, 0.75))
    clips, _ = open_corpus(config)
    weights = clips.weights(range(len(clips)), np.ones(len(clips)))
    np.testing.assert_array_equal(clips.chances, weights)
    drawn = [clips.sample(8, np.random.default_rng(seed)) for seed in range(50)]
    assert all(len(set(numbers)) == 8 for numbers in drawn)
    assert 0.6 < np.mean([clips.places[number][0] for numbers in drawn for number in numbers]) < 0.85
    first = np.asarray([number == 0 for number, _ in clips.places])
    assert weights[first].sum() == pytest.approx(0.25)
    assert len(set(weights[first])) == 1
    with pytest.raises(ConfigError, match="found 1 shares for 2 stores"):
        open_corpus(CorpusConfig(config.data, shares=(1.0,)))
    with pytest.raises(ConfigError, match="no data given"):
        open_corpus(CorpusConfig())


def test_a_corpus_without_a_concept_shows_it_nowhere(store: Store) -> None:
    corpus, facts = open_corpus(CorpusConfig((str(store.folder),)))
    less, less_facts = open_corpus(CorpusConfig((str(store.folder),), without=("violence",)))
    for split in ("train", "test"):
        part = corpus.choose(split)
        violent = {part.record(n).id for n in range(len(part)) if part.record(n).labels["violent"]}
        assert violent
        assert ids(less.choose(split)) == ids(part) - violent
    assert less_facts["without"] == ("violence",)
    assert less_facts["data"][0]["left_out"] == sum(bool(clip.labels["violent"]) for clip in store.clips)
    assert facts["data"][0]["left_out"] == 0


def test_an_unknown_concept_is_named(store: Store) -> None:
    with pytest.raises(ConfigError, match="unknown concept 'violense'"):
        open_corpus(CorpusConfig((str(Path(store.folder)),), without=("violense",)))


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_large_sources_can_be_drawn_less(tmp_path: Path, power: float) -> None:
    source = mocap_folder(tmp_path / "source", clips=40)
    lines = [json.loads(line) for line in (source / "clips.jsonl").read_text().splitlines()]
    for number, line in enumerate(lines):
        line["source"] = "small" if number % 4 == 0 else "large"
    (source / "clips.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    prepare(source, tmp_path / "store", mirror=False)
    clips, _ = open_corpus(CorpusConfig((str(tmp_path / "store"),), source_power=power))
    weights = clips.weights(range(len(clips)), np.ones(len(clips)))
    small = np.asarray([clips.record(number).source == "small" for number in range(len(clips))])
    assert weights.sum() == pytest.approx(1.0)
    assert weights[~small].sum() / weights[small].sum() == pytest.approx(3.0**power)
    assert np.ptp(weights[small]) == pytest.approx(0.0)
