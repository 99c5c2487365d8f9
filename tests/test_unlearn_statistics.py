"""Code statistics: counts against a slow count, padding, batches, cache, shipping."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from exuvia.codes.encode import encode_clips, length_batches
from exuvia.codes.statistics import CodeStatistics, count_codes, shipped_concepts
from exuvia.errors import ConfigError, ShapeError
from exuvia.features.normaliser import Normaliser
from exuvia.shapes import Features
from exuvia.tokens.settings import RVQVAEConfig
from lab.code_statistics import bench_statistics
from lab.packed import packed
from tiny import CODES, LEVELS, tiny_tokenizer

TOKENIZER = tiny_tokenizer()
NORMALISER = Normaliser(np.zeros(263, np.float32), np.full(263, 2.0, np.float32))


class Noise:
    """Clips of given lengths; counts how often it is read."""

    def __init__(self, lengths: list[int], data_hash: str = "noise") -> None:
        self.lengths, self.data_hash, self.reads = lengths, data_hash, 0

    def features(self, number: int) -> Features:
        self.reads += 1
        rng = np.random.default_rng(number)
        return rng.standard_normal((self.lengths[number], 263)).astype(np.float32)


@settings(max_examples=30, deadline=None)
@given(lengths=st.lists(st.integers(1, 12), min_size=2, max_size=9), seed=st.integers(0, 99))
def test_counts_are_those_of_a_slow_count(lengths: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    clips = [rng.integers(0, 7, (n, 2)) for n in lengths]
    flags = np.arange(len(clips)) % 2 == 0
    found = count_codes(packed(clips, 7), flags)
    for level in range(2):
        for code in range(7):
            forget = [clip[:, level] for clip, flag in zip(clips, flags, strict=True) if flag]
            retain = [clip[:, level] for clip, flag in zip(clips, flags, strict=True) if not flag]
            assert found.documents_forget[level, code] == sum(code in clip for clip in forget)
            assert found.documents_retain[level, code] == sum(code in clip for clip in retain)
            assert found.occurrences_forget[level, code] == sum((clip == code).sum() for clip in forget)
            assert found.occurrences_retain[level, code] == sum((clip == code).sum() for clip in retain)
    assert (found.clips_forget, found.clips_retain) == (flags.sum(), (~flags).sum())


def test_padding_never_counts() -> None:
    clips = np.full((2, 5, 1), -1)
    clips[0, :3], clips[1, :1] = 2, 1
    padded = count_codes(packed(list(clips), 4), [True, False])
    assert padded.occurrences_forget.tolist() == [[0, 0, 3, 0]]
    assert padded.occurrences_retain.tolist() == [[0, 1, 0, 0]]


def test_both_sets_are_needed_and_one_flag_a_clip() -> None:
    codes = packed([np.zeros((3, 1), int)] * 2, 4)
    with pytest.raises(ConfigError, match="2 of 2 clips show the concept"):
        count_codes(codes, [True, True])
    with pytest.raises(ShapeError, match="1 forget flags for 2 clips"):
        count_codes(codes, [True])
    with pytest.raises(ShapeError, match=r"expected 0\.\.3"):
        packed([np.full((3, 1), 4)], 4)


@settings(max_examples=10, deadline=None)
@given(lengths=st.lists(st.integers(0, 60), min_size=1, max_size=12))
def test_a_clip_gets_the_codes_it_would_get_alone(lengths: list[int]) -> None:
    store = Noise(lengths)
    packed = encode_clips(store, range(len(lengths)), TOKENIZER, NORMALISER)
    assert len(packed) == len(lengths)
    for number, frames in enumerate(lengths):
        whole = frames // 4 * 4
        assert packed[number].shape == (frames // 4, LEVELS)
        if whole:
            alone = TOKENIZER.encode(torch.from_numpy(store.features(number)[None, :whole] / 2.0))[0]
            assert np.array_equal(packed[number], alone.numpy())


def test_versions_of_a_clip_begin_a_frame_apart() -> None:
    store = Noise([40, 6, 2])
    packed = encode_clips(store, [0, 1, 2], TOKENIZER, NORMALISER, offsets=4)
    assert [len(packed[i]) for i in range(len(packed))] == [10, 9, 9, 9, 1, 1, 1, 0, 0, 0, 0, 0]
    late = TOKENIZER.encode(torch.from_numpy(store.features(0)[None, 3:39] / 2.0))[0]
    assert np.array_equal(packed[3], late.numpy())


@given(
    steps=st.lists(st.integers(0, 49), min_size=1, max_size=80).map(lambda x: np.asarray(x, np.int64)),
    size=st.integers(1, 300),
)
def test_batches_hold_every_clip_once_and_not_much_padding(steps: np.ndarray, size: int) -> None:
    batches = list(length_batches(steps, size))
    assert sorted(i for batch in batches for i in batch) == np.flatnonzero(steps > 0).tolist()
    for batch in batches:
        assert steps[batch].max() * (len(batch) - 1) <= size + 49


def test_many_clips_of_few_lengths_need_no_padding() -> None:
    steps = np.tile(np.arange(10, 50), 100)
    assert all(len(set(steps[batch])) == 1 for batch in length_batches(steps, 1024))


def test_fewer_levels_and_bfloat16() -> None:
    store = Noise([40, 44, 60, 64, 23] * 4)
    exact = encode_clips(store, range(20), TOKENIZER, NORMALISER)
    base = encode_clips(store, range(20), TOKENIZER, NORMALISER, levels=1)
    assert np.array_equal(base.codes, exact.codes[:, :1])
    rough = encode_clips(store, range(20), TOKENIZER, NORMALISER, levels=1, precision="bfloat16")
    assert (rough.codes == base.codes).mean() > 0.9
    with pytest.raises(ConfigError, match="expected 1 to 3"):
        encode_clips(store, range(20), TOKENIZER, NORMALISER, levels=4)
    with pytest.raises(ConfigError, match="unknown precision"):
        encode_clips(store, range(20), TOKENIZER, NORMALISER, precision="float8")  # type: ignore[arg-type]


def test_cached_codes_are_taken_only_for_the_same_tokenizer_data_and_settings(tmp_path: Path) -> None:
    store = Noise([40, 44])
    first = encode_clips(store, [0, 1], TOKENIZER, NORMALISER, cache=tmp_path)
    reads = store.reads
    again = encode_clips(store, [0, 1], TOKENIZER, NORMALISER, cache=tmp_path)
    assert store.reads == reads
    assert np.array_equal(first.codes, again.codes)
    assert np.array_equal(first.offsets, again.offsets)
    other = tiny_tokenizer()
    other.quantizer.layers[0].codebook += 1
    encode_clips(store, [0, 1], other, NORMALISER, cache=tmp_path)
    encode_clips(store, [0, 1], TOKENIZER, NORMALISER, levels=1, cache=tmp_path)
    encode_clips(store, [1], TOKENIZER, NORMALISER, cache=tmp_path)
    encode_clips(Noise([40, 44], "other"), [0, 1], TOKENIZER, NORMALISER, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 5


def test_a_damaged_cache_is_made_again(tmp_path: Path) -> None:
    store = Noise([40, 44])
    first = encode_clips(store, [0, 1], TOKENIZER, NORMALISER, cache=tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:50])
    assert np.array_equal(encode_clips(store, [0, 1], TOKENIZER, NORMALISER, cache=tmp_path).codes, first.codes)
    assert path.stat().st_size > 50


def test_shipped_statistics_come_back_and_others_are_named() -> None:
    codes = packed([np.asarray([[1, 2], [1, 0]]), np.asarray([[3, 2]])], CODES)
    counts = count_codes(codes, [True, False])
    tensors = counts.to_tensors("violence")
    assert shipped_concepts(tensors) == ["violence"]
    back = CodeStatistics.from_tensors(tensors, "violence")
    assert torch.equal(back.documents_forget, counts.documents_forget)
    assert torch.equal(back.occurrences_retain, counts.occurrences_retain)
    assert (back.clips_forget, back.clips_retain) == (1, 1)
    with pytest.raises(ConfigError, match="shipped: violence"):
        CodeStatistics.from_tensors(tensors, "jump_leap_hop")
    with pytest.raises(ConfigError, match="ships no code statistics; pass data="):
        CodeStatistics.from_tensors(None, "violence")


def test_bench_extends_its_rate_to_a_whole_corpus() -> None:
    row = bench_statistics(8, precision="float32", config=RVQVAEConfig(num_codes=8, code_dim=8, width=8, depth=1))
    assert row.clips_per_s > 0
    assert row.corpus_seconds > row.seconds
