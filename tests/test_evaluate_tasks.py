"""Training of evaluator and classifier on synthetic clips: batches, wrong pairs, a run written and read again."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from exuvia.data.captions import Caption
from exuvia.data.clips import ClipSet
from exuvia.data.prepare import prepare
from exuvia.data.settings import CorpusConfig
from exuvia.data.store import Store
from exuvia.errors import CheckpointError, ConfigError
from exuvia.judges.classifier import ClassifierConfig
from exuvia.judges.clips import distinct_batches, judged_clips, kinds_of, negatives, random_crop
from exuvia.judges.tasks import (
    ClassifierTask,
    ClassifierTaskConfig,
    EvaluatorConfig,
    EvaluatorTask,
    load_detector,
    load_evaluator,
)
from exuvia.recipes.judges import train_judge
from exuvia.recipes.settings import ClassifierRecipe, EvaluatorRecipe
from exuvia.train import TrainConfig, fit
from made_mocap import mocap_folder
from test_evaluate_guo import SMALL, LetterWords

SHORT = TrainConfig(steps=8, lr=3e-3, warmup=2, log_every=4, validate_every=8, ema=0.5)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("made")
    return prepare(mocap_folder(folder / "source", clips=80), folder / "store", mirror=False)


def test_crops_are_whole_units_inside_the_clip_or_the_captions_stretch(store: Store) -> None:
    clips = ClipSet.of(store).choose("train", rows=60)
    rng = np.random.default_rng(0)
    crops = [random_crop(clips, 0, 40, rng) for _ in range(100)]
    assert all(len(crop) in (36, 40) and 0 <= crop.start and crop.stop <= clips.record(0).rows for crop in crops)
    assert {len(crop) for crop in crops} == {36, 40}
    timed = Caption("kicks", None, 1.0, 2.0)
    assert all(20 <= (crop := random_crop(clips, 0, 196, rng, timed)).start and crop.stop <= 40 for _ in range(30))


def test_equal_captions_are_not_wrong_pairs(store: Store) -> None:
    clips = judged_clips(ClipSet.of(store))[0]
    kinds = kinds_of(clips)
    wrong = negatives(kinds[:8])
    texts = [clips.record(n).captions[0].text for n in range(8)]
    assert wrong.tolist() == [[a != b for b in texts] for a in texts]
    batches = distinct_batches(clips, 4, np.random.default_rng(0))
    assert batches
    for batch in batches:
        assert len({clips.record(n).captions[0].text for n in batch}) == 4


def test_labels_and_sides_make_a_kind(store: Store) -> None:
    clips = judged_clips(ClipSet.of(store))[0]
    first = clips.record(0)
    clips.stores[0].clips[clips.places[0][1]] = replace(first, labels={**first.labels, "label": "kick"})
    try:
        assert any(name.startswith("label:made:kick:left") for name in kinds_of(clips)[0])
    finally:
        clips.stores[0].clips[clips.places[0][1]] = first


@pytest.mark.parametrize("loss", ["nce", "margin", "published"])
def test_an_evaluator_batch_is_a_function_of_its_generator(store: Store, loss: str) -> None:
    task = EvaluatorTask(ClipSet.of(store), LetterWords(), EvaluatorConfig(model=SMALL, batch_size=6, loss=loss))
    one, two = (task.batch(3, np.random.default_rng(5)) for _ in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert one["features"].shape[2] == 263
    value, metrics = task.loss(one, torch.Generator().manual_seed(0))
    assert torch.isfinite(value)
    assert metrics.keys() == {"right", "wrong"}


def test_an_evaluator_run_is_read_back_as_it_was_trained(store: Store, tmp_path: Path) -> None:
    words = LetterWords()
    task = EvaluatorTask(ClipSet.of(store), words, EvaluatorConfig(model=SMALL, batch_size=8))
    found = fit(lambda: task, SHORT, tmp_path / "run")
    assert 0 <= found["val/r_precision@1"] <= found["val/r_precision@3"] <= 1
    evaluator = load_evaluator(tmp_path / "run", words)
    clips = [store.features(n) for n in range(5)]
    embedded = evaluator.embed_clips(clips)
    assert embedded.shape == (5, SMALL.embedding)
    torch.testing.assert_close(evaluator.embed_clips(clips[3:4])[0], embedded[3], atol=1e-5, rtol=1e-5)
    assert evaluator.normaliser is not None
    fitted = judged_clips(ClipSet.of(store))[0].normaliser()
    np.testing.assert_allclose(evaluator.normaliser.std[0], fitted.std[0] / 25, rtol=1e-6)
    np.testing.assert_allclose(evaluator.normaliser.std[10], fitted.std[10], rtol=1e-6)
    words.fingerprint = "1"
    with pytest.raises(CheckpointError, match="word vectors"):
        load_evaluator(tmp_path / "run", words)


def test_a_classifier_run_is_read_back_with_its_threshold(store: Store, tmp_path: Path) -> None:
    config = ClassifierTaskConfig(model=ClassifierConfig(width=16), batch_size=16)
    task = ClassifierTask(ClipSet.of(store), config)
    batch = task.batch(0, np.random.default_rng(0))
    assert batch["targets"][:, 0].sum() == 4  # a quarter is violent
    assert batch["targets"][0, list(config.model.outputs).index("kick")] == 1  # their caption says so
    found = fit(lambda: task, SHORT, tmp_path / "run")
    judge = load_detector(tmp_path / "run")
    assert judge.point.threshold == found["val/threshold"]
    held = [store.features(int(n)) for n in store.select(split="val")]
    np.testing.assert_allclose(judge.violence_probability(held), task.detector().violence_probability(held), atol=0.2)
    assert 0 <= judge.violent_share(held) <= 1


def test_impossible_settings_are_refused(store: Store) -> None:
    with pytest.raises(ConfigError, match="unknown loss"):
        EvaluatorConfig(loss="triplet")
    with pytest.raises(ConfigError, match="no data given"):
        train_judge(EvaluatorRecipe())
    with pytest.raises(ConfigError, match="sensors: radar"):
        train_judge(ClassifierRecipe(corpus=CorpusConfig(data=(str(store.folder),), sensors=("radar",))))
