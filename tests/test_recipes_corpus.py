"""A corpus leaves out what it is told to leave out, in every split, and says so."""

from pathlib import Path

import pytest

from exuvia.codes.stores import Corpus, CorpusConfig
from exuvia.data.prepare import prepare
from exuvia.data.store import Store
from exuvia.errors import ConfigError


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A hundred synthetic clips."""
    return prepare("synthetic", tmp_path_factory.mktemp("corpus") / "store", count=100)


def test_a_corpus_without_a_concept_shows_it_nowhere(store: Store) -> None:
    folder = str(store.folder)
    whole, less = Corpus(CorpusConfig((folder,))), Corpus(CorpusConfig((folder,), without=("violence",)))
    for split in ("train", "test"):
        kept = {item.record.id for item in less.items(split)}
        violent = {item.record.id for item in whole.items(split) if item.record.labels["violent"]}
        assert violent
        assert kept == {item.record.id for item in whole.items(split)} - violent
    assert less.facts()["without"] == ("violence",)
    assert less.facts()["data"][0]["left_out"] == sum(bool(clip.labels["violent"]) for clip in store.clips)
    assert whole.facts()["data"][0]["left_out"] == 0


def test_an_unknown_concept_is_named(store: Store) -> None:
    with pytest.raises(ConfigError, match="unknown concept 'violense'"):
        Corpus(CorpusConfig((str(Path(store.folder)),), without=("violense",)))
