"""Metrics: parity, ideal values, invariances, and the confidence intervals."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exuvia.errors import ShapeError
from exuvia.evaluation.metric_table import METRICS
from exuvia.judges import metrics as m
from exuvia.tables import Interval
from lab.parity.evaluators import mpjpe, multimodality
from lab.parity.run import check_folder


def draw(seed: int, count: int, width: int = 16, scale: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, width)) * scale


def test_equal_to_the_official_metrics(goldens: Path) -> None:
    (result,) = check_folder(goldens, only=["07_metrics"])
    assert result.passed, result
    assert len(result.comparisons) >= 17


def test_a_set_compared_with_itself_has_the_ideal_value() -> None:
    x = draw(0, 200)
    assert m.fid(x, x) == pytest.approx(0, abs=1e-9)
    assert m.mm_dist(x, x) == 0
    assert m.r_precision(x, x).tolist() == [1, 1, 1]
    assert m.distances(x, x).diagonal().max() == 0  # the reference's float32 formula gives NaN here
    assert mpjpe(x.reshape(4, 50, 16)[..., :3], x.reshape(4, 50, 16)[..., :3]).max() == 0


def test_fid_is_the_closed_form_for_shifted_and_scaled_gaussians() -> None:
    x = draw(1, 4000, 4)
    x = (x - x.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T))).T  # exactly white
    assert m.fid(x, x + 3.0) == pytest.approx(4 * 9.0)
    assert m.fid(x, 2 * x) == pytest.approx(4 * (2 - 1) ** 2)


def test_fid_takes_fewer_motions_than_dimensions() -> None:
    x, y = draw(2, 12, 64), draw(3, 9, 64) + 1
    assert np.isfinite(m.fid(x, y))
    assert m.fid(x, y) == pytest.approx(m.fid(y, x), rel=1e-8)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_fid_does_not_change_under_rotation(seed: int) -> None:
    x, y = draw(seed, 60, 6), draw(seed + 1, 50, 6, 1.5)
    turn, _ = np.linalg.qr(draw(seed + 2, 6, 6))
    assert m.fid(x @ turn, y @ turn) == pytest.approx(m.fid(x, y), rel=1e-6)


def test_kid_is_unbiased_for_small_sets_where_fid_is_not() -> None:
    kids = [m.kid(draw(seed, 20), draw(seed + 500, 20)) for seed in range(200)]
    fids = [m.fid(draw(seed, 20), draw(seed + 500, 20)) for seed in range(50)]
    assert abs(np.mean(kids)) < 3 * np.std(kids) / np.sqrt(len(kids))
    assert np.mean(fids) > 5
    assert m.kid(draw(0, 200), draw(1, 200) + 1) > 10 * np.std(kids) / np.sqrt(10)


def test_r_precision_of_unrelated_pairs_is_chance() -> None:
    hits = m.r_precision(draw(0, 3200), draw(1, 3200))
    np.testing.assert_allclose(hits, np.arange(1, 4) / 32, atol=0.012)


def test_r_precision_of_a_collapsed_generator_is_chance() -> None:
    text, motion = draw(0, 320), np.ones((320, 16))
    np.testing.assert_allclose(m.r_precision(text, motion), np.arange(1, 4) / 32)


def test_a_rest_smaller_than_a_batch_is_left_out() -> None:
    x, y = draw(0, 40), draw(1, 40)
    np.testing.assert_array_equal(m.r_precision(x, y), m.r_precision(x[:32], y[:32]))
    with pytest.raises(ShapeError, match="at least one batch of 32"):
        m.r_precision(x[:31], y[:31])


def test_diversity_and_multimodality_measure_spread() -> None:
    rng = np.random.default_rng(0)
    first, second = m.diversity_pairs(500, rng)
    assert len(first) == len(second) == 300
    assert len(set(first)) == 300
    assert [len(m.diversity_pairs(n, rng)[0]) for n in (301, 300, 100, 20)] == [300, 100, 100, 20]
    x = draw(0, 500)
    assert m.diversity(2 * x, first, second) == pytest.approx(2 * m.diversity(x, first, second))
    many = x[:300].reshape(10, 30, 16)
    assert multimodality(many, range(10), range(10, 20)) > 0
    assert multimodality(np.repeat(x[:10, None], 30, 1), range(10), range(10, 20)) == 0


def test_mpjpe_is_in_millimetres_and_ignores_the_place() -> None:
    joints = draw(0, 22 * 5, 3).reshape(5, 22, 3)
    moved = joints + np.asarray([1.0, 2.0, 3.0])
    assert mpjpe(joints, moved) == pytest.approx(np.zeros(5), abs=1e-9)
    moved[:, 1:] += np.asarray([0.0, 0.1, 0.0])
    assert mpjpe(joints, moved) == pytest.approx(np.full(5, 100 * 21 / 22))


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    trials = [rng.standard_normal(5) for _ in range(2000)]
    covered = np.mean([(i := m.interval(x)).low <= 0 <= i.high for x in trials])
    published = np.mean([abs(x.mean()) <= 1.96 * x.std() / np.sqrt(len(x)) for x in trials])
    assert 0.935 < covered < 0.965
    assert published < 0.90  # the published rule promises too much for five repeats
    assert m.interval([3.0]) == Interval(3.0, 3.0, 3.0)


def test_bad_embeddings_are_refused_in_a_sentence() -> None:
    x = draw(0, 40)
    bad = x.copy()
    bad[3, 3] = np.nan
    with pytest.raises(ShapeError, match="NaN"):
        m.fid(x, bad)
    with pytest.raises(ShapeError, match="expected pairs"):
        m.mm_dist(x, x[:-1])
    with pytest.raises(ShapeError, match="at least 2"):
        m.fid(x, x[:1])
    with pytest.raises(ShapeError, match="one number per repeat"):
        m.interval([])


def test_every_metric_says_how_to_read_it() -> None:
    for name, metric in METRICS.items():
        assert metric.name == name
        assert metric.better in ("higher", "lower", "closer")
        assert metric.unit
        assert metric.meaning
