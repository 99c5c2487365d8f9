"""The violence classifier and its curves: independence of padding, known areas, thresholds, a short training."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from exuvia.errors import CheckpointError, ShapeError
from exuvia.features.normaliser import Normaliser
from exuvia.judges.classifier import ClassifierConfig, MotionClassifier, ViolenceDetector, action_groups
from exuvia.judges.roc import OperatingPoint, operating_point, roc_auc, roc_curve
from exuvia.judges.tasks import auc_within, load_detector

PLAIN = Normaliser(np.zeros(263, np.float32), np.ones(263, np.float32))
SMALL = ClassifierConfig(width=16)


def detector(point: OperatingPoint | None = None) -> ViolenceDetector:
    torch.manual_seed(0)
    return ViolenceDetector(MotionClassifier(SMALL), PLAIN, point or OperatingPoint(0.5, 1.0, 0.0), batch=3)


def test_a_motion_is_judged_alike_in_any_company_and_padding() -> None:
    judge = detector()
    rng = np.random.default_rng(0)
    clips = [rng.standard_normal((rows, 263)).astype(np.float32) for rows in (40, 7, 2, 196, 61, 250)]
    together = judge.probabilities(clips)
    assert together.shape == (6, len(SMALL.outputs))
    for row, clip in enumerate(clips):
        np.testing.assert_allclose(judge.probabilities([clip])[0], together[row], atol=1e-6)
    model = judge.model
    x = torch.from_numpy(clips[0])[None]
    dirty = torch.cat([x, torch.full((1, 30, 263), 1e4)], 1)
    lengths = torch.tensor([40])
    torch.testing.assert_close(model(dirty, lengths), model(x, lengths), atol=1e-5, rtol=1e-5)


def test_probabilities_are_between_0_and_1_and_the_share_uses_the_threshold() -> None:
    clips = [np.random.default_rng(k).standard_normal((30, 263)).astype(np.float32) for k in range(8)]
    scores = detector().violence_probability(clips)
    assert ((scores > 0) & (scores < 1)).all()
    middle = detector(OperatingPoint(float(np.sort(scores)[5]), 1.0, 0.0))
    assert middle.violent_share(clips) == 3 / 8
    with pytest.raises(ShapeError, match="no clips"):
        middle.violent_share([])
    clips[2][3, 3] = np.nan
    with pytest.raises(ShapeError, match="NaN"):
        middle.violent_share(clips)
    with pytest.raises(ShapeError, match="263"):
        middle.model(torch.zeros(1, 8, 251), torch.tensor([8]))


def test_captions_tell_the_group_of_an_action() -> None:
    assert action_groups(["a", "man", "kick", "and", "walk"]) == {"kick", "travel"}
    assert action_groups([]) == set()


scores_and_labels = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=40).filter(
    lambda pairs: len({label for _, label in pairs}) == 2
)


@settings(max_examples=60, deadline=None)
@given(scores_and_labels)
def test_the_area_is_the_chance_of_a_right_order(pairs: Sequence[tuple[int, bool]]) -> None:
    scores, labels = np.asarray([s for s, _ in pairs], float), np.asarray([y for _, y in pairs])
    gaps = scores[labels][:, None] - scores[~labels][None]
    assert roc_auc(scores, labels) == pytest.approx(((gaps > 0) + 0.5 * (gaps == 0)).mean())
    assert roc_auc(-scores, labels) == pytest.approx(1 - roc_auc(scores, labels))


@settings(max_examples=60, deadline=None)
@given(scores_and_labels, st.floats(0, 1))
def test_the_operating_point_does_what_it_says(pairs: Sequence[tuple[int, bool]], allowed: float) -> None:
    scores, labels = np.asarray([s for s, _ in pairs], float), np.asarray([y for _, y in pairs])
    point = operating_point(scores, labels, allowed)
    taken = scores >= point.threshold
    assert taken[~labels].mean() == pytest.approx(point.false_rate)
    assert taken[labels].mean() == pytest.approx(point.hit_rate)
    assert point.false_rate <= allowed
    for other in np.unique(scores):  # no threshold does better
        if (scores >= other)[~labels].mean() <= allowed:
            assert (scores >= other)[labels].mean() <= point.hit_rate + 1e-12


def test_the_curve_starts_at_nothing_and_ends_at_everything() -> None:
    curve = roc_curve([0.9, 0.8, 0.3], [True, False, True])
    assert (curve.hit_rate[0], curve.false_rate[0]) == (0, 0)
    assert (curve.hit_rate[-1], curve.false_rate[-1]) == (1, 1)
    assert curve.thresholds[0] == np.inf


def test_curves_refuse_what_they_cannot_judge() -> None:
    with pytest.raises(ShapeError, match="both classes"):
        roc_auc([0.1, 0.2], [True, True])
    with pytest.raises(ShapeError, match="finite"):
        roc_auc([0.1, np.nan], [True, False])
    with pytest.raises(ShapeError, match="one of each"):
        roc_auc([0.1], [True, False])


def test_knowing_the_source_does_not_count_within_sources() -> None:
    sources = ["a"] * 10 + ["b"] * 10
    labels = np.asarray([True] * 8 + [False] * 2 + [True] * 2 + [False] * 8)
    only_source = np.asarray([1.0] * 10 + [0.0] * 10)
    assert roc_auc(only_source, labels) == pytest.approx(0.8)
    assert auc_within(only_source, labels, sources) == pytest.approx(0.5)
    assert np.isnan(auc_within(only_source[:10], labels[:10] * 0 + 1, sources[:10]))


def test_errors_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="not a run folder"):
        load_detector(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"format": "exuvia/1", "kind": "evaluator"}))
    with pytest.raises(CheckpointError, match="expected 'classifier'"):
        load_detector(tmp_path)
