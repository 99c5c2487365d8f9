"""Captioned clips as codes: what a batch holds, which crops the rules allow, and that the cache spares the encoders."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from exuvia.codes.corpus import CaptionedCodes, CaptionTable, DrawRule
from exuvia.codes.encode import encode_clips
from exuvia.data.captions import Caption
from exuvia.data.clips import ClipSet
from exuvia.data.prepare import prepare
from exuvia.data.store import Store
from exuvia.errors import ConfigError
from exuvia.features.normaliser import Normaliser
from exuvia.text.hashed import HashedText
from tiny import LEVELS, tiny_tokenizer

TOKENIZER = tiny_tokenizer()
NORMALISER = Normaliser(np.zeros(263, np.float32), np.ones(263, np.float32))


class CountedText(HashedText):
    """Knows how many captions it has read."""

    read = 0

    def encode(self, texts: list[str]):  # type: ignore[no-untyped-def]
        self.read += len(texts)
        return super().encode(texts)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Forty synthetic clips."""
    return prepare("synthetic", tmp_path / "store", count=40)


def corpus(store: Store, rule: DrawRule, **more: object) -> CaptionedCodes:
    return CaptionedCodes(ClipSet.of(store), TOKENIZER, NORMALISER, HashedText(), rule, **more)  # type: ignore[arg-type]


def is_inside(crop: np.ndarray, codes: np.ndarray) -> bool:
    """Whether a crop is a stretch of some codes."""
    return any(np.array_equal(crop, codes[low : low + len(crop)]) for low in range(len(codes) - len(crop) + 1))


@pytest.mark.parametrize("rule", [DrawRule(20), DrawRule.training(20)])
def test_every_crop_is_a_stretch_of_a_captioned_clip(store: Store, rule: DrawRule) -> None:
    data = corpus(store, rule)
    batch = data.draw(32, np.random.default_rng(0))
    again = data.draw(32, np.random.default_rng(0))
    assert all(torch.equal(batch[name], again[name]) for name in batch)
    assert batch["codes"].shape == (32, int(batch["lengths"].max()), LEVELS)
    assert batch["lengths"].min() >= rule.min_steps
    assert batch["lengths"].max() == 20
    assert batch["cond"].shape[:2] == batch["cond_valid"].shape
    for row, length in zip(batch["codes"], batch["lengths"].tolist(), strict=True):
        assert (row[length:] == -1).all()
        assert any(is_inside(row[:length].numpy(), data.codes[i]) for i in range(len(data.codes)))


def test_the_published_rule_makes_a_third_of_the_crops_a_step_shorter(store: Store) -> None:
    rng = np.random.default_rng(0)
    lengths = corpus(store, DrawRule.training(8)).draw(600, rng)["lengths"]
    assert set(lengths.tolist()) == {7, 8}
    assert float((lengths == 7).double().mean()) == pytest.approx(1 / 3, abs=0.07)
    assert set(corpus(store, DrawRule(8)).draw(600, rng)["lengths"].tolist()) == {8}


def test_captions_of_a_part_of_a_clip_are_about_that_part_where_times_count(store: Store) -> None:
    first = next(n for n, clip in enumerate(store.clips) if clip.rows >= 60)
    store.clips[first] = replace(store.clips[first], captions=(Caption("bows", None, 1.0, 2.0),))
    clips = replace(ClipSet.of(store), places=((0, first),))
    timed = CaptionedCodes(clips, TOKENIZER, NORMALISER, HashedText(), DrawRule(timed=True))
    assert [(sample.start, sample.end) for sample in timed.samples] == [(20, 40)]
    assert timed.draw(1, np.random.default_rng(0))["lengths"].tolist() == [5]
    whole = CaptionedCodes(clips, TOKENIZER, NORMALISER, HashedText(), DrawRule())
    assert [(sample.start, sample.end) for sample in whole.samples] == [(0, store.clips[first].rows // 4 * 4)]


def test_a_pooled_condition_is_the_sentence_vector(store: Store) -> None:
    batch = corpus(store, DrawRule(), pooled=True).draw(4, np.random.default_rng(0))
    assert "cond_valid" not in batch
    assert torch.equal(batch["cond"], batch["pooled"][:, None])


def test_clips_without_a_caption_or_too_short_are_refused(store: Store) -> None:
    with pytest.raises(ConfigError, match="has a caption and 4000 frames to learn from"):
        corpus(store, DrawRule(min_steps=1000))
    for number, clip in enumerate(store.clips):
        store.clips[number] = replace(clip, captions=())
    with pytest.raises(ConfigError, match="no captioned clip in"):
        corpus(store, DrawRule())


def test_a_second_time_nothing_is_encoded(store: Store, tmp_path: Path) -> None:
    text, texts = CountedText(), ["walks", "kicks high", "walks"]
    first = CaptionTable(texts, text, cache=tmp_path / "cache")
    assert text.read == 2
    again = CaptionTable(texts, text, cache=tmp_path / "cache")
    assert text.read == 2
    assert all(torch.equal(a, b) for a, b in zip(first.states, again.states, strict=True))
    rough = CaptionTable(texts, text, compact=True, cache=tmp_path / "cache")
    assert text.read == 4
    states, valid = rough.gather([rough.index["kicks high"]])
    torch.testing.assert_close(states[0, valid[0]], first.states[first.index["kicks high"]], atol=1e-3, rtol=1e-3)


def test_a_choice_of_clips_has_the_codes_of_its_store(store: Store, tmp_path: Path) -> None:
    train = ClipSet.of(store).choose("train")
    ours = encode_clips(train, range(len(train)), TOKENIZER, NORMALISER, cache=tmp_path)
    theirs = encode_clips(store, [number for _, number in train.places], TOKENIZER, NORMALISER, cache=tmp_path)
    assert np.array_equal(ours.codes, theirs.codes)
