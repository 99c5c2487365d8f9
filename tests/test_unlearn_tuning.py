"""Methods that train: fine-tuning, ESD, task negation with a learned gate, and the retrained yardstick."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import exuvia
from exuvia.data.concepts import VIOLENCE
from exuvia.data.prepare import prepare
from exuvia.data.store import Store
from exuvia.errors import CheckpointError, ConfigError, DivergedError
from exuvia.pipeline.identity import pipeline_hash
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.unlearning.base import Evidence
from exuvia.unlearning.negation import learned_detector, logistic_regression
from exuvia.unlearning.tuning import captioned, own_loss
from tiny import tiny_pipeline

FEW = {"steps": 4, "batch_size": 8, "lr": 1e-3, "warmup": 1, "precision": "no"}
METHODS = ("finetune", "esd", "negation")


@pytest.fixture(scope="module")
def pipe() -> MotionPipeline:
    """A tiny generator."""
    return tiny_pipeline()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Synthetic motion, a third of it violent."""
    return prepare("synthetic", tmp_path_factory.mktemp("tune") / "store", count=140)


def forget_loss(pipe: MotionPipeline, evidence: Evidence, part: str = "base") -> float:
    """Training loss on clips of the concept, with fixed draws."""
    data = captioned(evidence, evidence.forget)
    batch = {"forget": data.draw(32, np.random.default_rng(0))}
    loss, _ = own_loss(getattr(pipe, part), "forget")(batch, torch.Generator().manual_seed(0))
    return float(loss)


@pytest.mark.parametrize("method", METHODS)
def test_an_edit_leaves_the_parent_and_the_tokenizer_alone(pipe: MotionPipeline, store: Store, method: str) -> None:
    before = pipeline_hash(pipe)
    safe = exuvia.unlearn(method, pipe, data=store, tune=FEW)
    assert pipeline_hash(pipe) == before != pipeline_hash(safe)
    for name, value in pipe.tokenizer.state_dict().items():
        assert torch.equal(value, safe.tokenizer.state_dict()[name])
    assert not any(weight.requires_grad for weight in safe.base.parameters())
    assert safe("a person kicks", seed=0, frames=40).joints.shape == (40, 22, 3)
    assert safe.provenance["edits"][-1]["settings"]["tune"]["steps"] == 4


@pytest.mark.parametrize("method", METHODS)
def test_no_strength_no_change(pipe: MotionPipeline, store: Store, method: str) -> None:
    assert pipeline_hash(exuvia.unlearn(method, pipe, data=store, strength=0.0)) == pipeline_hash(pipe)


def test_half_the_strength_is_half_the_way(pipe: MotionPipeline, store: Store, tmp_path: Path) -> None:
    whole = exuvia.unlearn("finetune", pipe, data=store, tune=FEW, cache=tmp_path)
    half = exuvia.unlearn("finetune", pipe, data=store, tune=FEW, cache=tmp_path, strength=0.5)
    for name, value in pipe.base.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(half.base.state_dict()[name], (value + whole.base.state_dict()[name]) / 2)


def test_a_run_in_a_cache_is_read_and_one_that_stopped_goes_on(
    pipe: MotionPipeline, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = exuvia.unlearn("esd", pipe, data=store, tune=FEW, cache=tmp_path / "whole")
    again = exuvia.unlearn("esd", pipe, data=store, tune=FEW, cache=tmp_path / "whole")
    assert pipeline_hash(again) == pipeline_hash(whole)
    from exuvia import train

    advance, made = train.Trainer._advance, []

    def stopping(self: Any) -> Any:
        if len(made) == 2:
            self.save()
            raise KeyboardInterrupt
        made.append(1)
        return advance(self)

    monkeypatch.setattr(train.Trainer, "_advance", stopping)
    with pytest.raises(KeyboardInterrupt):
        exuvia.unlearn("esd", pipe, data=store, tune=FEW, cache=tmp_path / "cut")
    monkeypatch.setattr(train.Trainer, "_advance", advance)
    resumed = exuvia.unlearn("esd", pipe, data=store, tune=FEW, cache=tmp_path / "cut")
    assert pipeline_hash(resumed) == pipeline_hash(whole)


@pytest.mark.parametrize(("method", "how"), [("negation", {"gate": "none"}), ("esd", {"retain": 0.0})])
def test_the_concept_becomes_less_likely(pipe: MotionPipeline, store: Store, method: str, how: dict[str, Any]) -> None:
    evidence = Evidence(pipe, VIOLENCE, store)
    safe = exuvia.unlearn(method, pipe, data=store, tune=FEW | {"steps": 15}, **how)
    assert forget_loss(safe, evidence) > forget_loss(pipe, evidence)


def test_the_gate_flags_the_concept_and_lets_the_rest_through(pipe: MotionPipeline, store: Store) -> None:
    safe = exuvia.unlearn("negation", pipe, data=store, tune=FEW)
    gate = safe.provenance["edits"][-1]["gate"]
    assert gate["train_hit_rate"] > 0.5
    assert gate["train_false_rate"] <= 0.05
    (guard,) = safe.guards
    walk, kick = guard.detector.flags(["a person walks forward", "a man kicks with his right leg"], safe._embed)
    assert (walk, kick) == (False, True)
    for prompt, same in (("a person walks forward", True), ("a man kicks with his right leg", False)):
        old, new = (one(prompt, seed=1, frames=40).joints for one in (pipe, safe))
        assert np.array_equal(old, new) is same


def test_the_gate_is_learned_from_training_captions_alone(pipe: MotionPipeline, store: Store) -> None:
    evidence = Evidence(pipe, VIOLENCE, store)
    assert set(evidence.clips) == set(store.select(split="train"))
    _, loose = learned_detector(pipe, evidence, 0.5)
    _, strict = learned_detector(pipe, evidence, 0.99)
    assert loose["train_false_rate"] > strict["train_false_rate"]


def test_logistic_regression_finds_the_plane() -> None:
    rng = torch.Generator().manual_seed(0)
    yes = torch.randn(200, 5, generator=rng) + torch.tensor([2.0, 0, 0, 0, 0])
    no = torch.randn(50, 5, generator=rng) - torch.tensor([2.0, 0, 0, 0, 0])
    weight, bias = logistic_regression(yes, no)
    assert weight.abs().argmax() == 0
    assert float(((yes.double() @ weight + bias) > 0).double().mean()) > 0.95
    assert float(((no.double() @ weight + bias) < 0).double().mean()) > 0.95


def test_divergence_is_named(pipe: MotionPipeline, store: Store) -> None:
    with pytest.raises(DivergedError, match="lower the learning rate"):
        exuvia.unlearn("negation", pipe, data=store, gate="none", tune=FEW | {"lr": 1e9, "steps": 12})


def test_settings_are_checked(pipe: MotionPipeline, store: Store) -> None:
    for method, wrong, message in (
        ("finetune", {"strength": 1.5}, "strength 1.5"),
        ("esd", {"eta": -1.0}, "eta -1.0"),
        ("negation", {"gate": "oracle"}, "gate 'oracle'"),
        ("negation", {"tune": {"steps": 0}}, "steps 0"),
    ):
        with pytest.raises(ConfigError, match=message):
            exuvia.unlearn(method, pipe, data=store, **wrong)
    with pytest.raises(ConfigError, match="needs motion data"):
        exuvia.unlearn("finetune", pipe)


def test_the_yardstick_must_not_have_seen_the_concept(pipe: MotionPipeline, tmp_path: Path) -> None:
    other = tiny_pipeline()
    with torch.no_grad():
        other.base.output_process.poseFinal.bias.add_(1)
    parts = {part: {"without": ["violence"]} for part in ("tokenizer", "base", "residual", "length")}
    other.provenance["parts"] = parts
    other.save_pretrained(tmp_path / "clean")
    yard = exuvia.unlearn("retrain", pipe, weights=str(tmp_path / "clean"))
    assert np.array_equal(yard("a walk", seed=0, frames=40).joints, other("a walk", seed=0, frames=40).joints)
    yard.save_pretrained(tmp_path / "yard")
    with pytest.raises(CheckpointError, match="trained without violence, expected without kick"):
        exuvia.unlearn("retrain", pipe, forget="kick", weights=str(tmp_path / "clean"))
    other.provenance["parts"] = parts | {"base": {}}
    other.save_pretrained(tmp_path / "half")
    with pytest.raises(CheckpointError, match="trained on all concepts"):
        exuvia.unlearn("retrain", pipe, weights=str(tmp_path / "half"))
    with pytest.raises(ConfigError, match="needs weights="):
        exuvia.unlearn("retrain", pipe)
