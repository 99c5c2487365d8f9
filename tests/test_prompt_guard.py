"""Guards: flagged prompts are rewritten or go through other weights, saved and loaded with the generator."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

import exuvia
from exuvia.data.concepts import KICKS, VIOLENCE
from exuvia.errors import CheckpointError, ConfigError
from exuvia.files import write_json
from exuvia.pipeline.identity import pipeline_hash
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.pipeline.prompt_guard import LearnedDetector, PromptGuard, WordDetector
from exuvia.readers import read_json
from exuvia.sequence.base import BaseGenerator
from tiny import tiny_pipeline

KICK, WALK, BOX = "a man kicks with his left leg", "a man walks forward", "a person lifts a white box"


@pytest.fixture(scope="module")
def pipe() -> MotionPipeline:
    """A tiny generator."""
    return tiny_pipeline()


def joints(pipe: MotionPipeline, prompt: str, seed: int = 3) -> np.ndarray:
    """What it makes of a prompt."""
    made: np.ndarray = pipe(prompt, seed=seed, frames=40).joints
    return made


def other_base(pipe: MotionPipeline) -> BaseGenerator:
    """A masked transformer with other weights."""
    base = copy.deepcopy(pipe.base)
    with torch.no_grad():
        for weight in base.parameters():
            weight.add_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(5)))
    return base


def all_flagged(pipe: MotionPipeline, threshold: float = -1e9) -> LearnedDetector:
    """A detector that flags everything, or nothing with a high threshold."""
    return LearnedDetector(torch.zeros(pipe.text.dim), 0.0, threshold)


def test_a_filtered_prompt_becomes_the_neutral_one_and_others_do_not_change(pipe: MotionPipeline) -> None:
    safe = exuvia.unlearn("prompt_filter", pipe, forget="violence", instead="a person stands")
    assert np.array_equal(joints(safe, KICK), joints(pipe, "a person stands"))
    for prompt in (WALK, BOX):
        assert np.array_equal(joints(safe, prompt), joints(pipe, prompt))
    assert safe(KICK, seed=0, frames=40).caption == KICK
    assert not pipe.guards
    assert safe.provenance["edits"][-1]["method"] == "prompt_filter"


def test_a_prompt_and_seed_give_the_same_motion_in_any_batch(pipe: MotionPipeline) -> None:
    safe = exuvia.unlearn("prompt_filter", pipe)
    safe.guards.append(PromptGuard(WordDetector(KICKS), base=other_base(pipe)))
    together = safe([WALK, KICK, BOX, KICK], seed=[1, 2, 3, 4], frames=[40, 60, 20, 40])
    for prompt, seed, frames, clip in zip(
        [WALK, KICK, BOX, KICK], [1, 2, 3, 4], [40, 60, 20, 40], together, strict=True
    ):
        np.testing.assert_array_equal(clip.joints, safe(prompt, seed=seed, frames=frames).joints)


def test_weights_of_a_guard_serve_flagged_prompts_only(pipe: MotionPipeline) -> None:
    swapped = pipe.clone()
    swapped.base = other_base(pipe)
    guarded = pipe.clone()
    guarded.guards.append(PromptGuard(WordDetector(VIOLENCE), base=swapped.base))
    assert np.array_equal(joints(guarded, KICK), joints(swapped, KICK))
    assert np.array_equal(joints(guarded, WALK), joints(pipe, WALK))
    assert not np.array_equal(joints(swapped, KICK), joints(pipe, KICK))


def test_of_two_guards_with_weights_the_later_counts(pipe: MotionPipeline) -> None:
    guarded = pipe.clone()
    guarded.guards = [
        PromptGuard(all_flagged(pipe), base=other_base(pipe)),
        PromptGuard(all_flagged(pipe), base=pipe.base),
    ]
    assert np.array_equal(joints(guarded, KICK), joints(pipe, KICK))
    guarded.guards[1] = PromptGuard(all_flagged(pipe, 1e9), base=pipe.base)
    assert not np.array_equal(joints(guarded, KICK), joints(pipe, KICK))


def test_saved_and_loaded_it_makes_the_same(pipe: MotionPipeline, tmp_path: Path) -> None:
    guarded = exuvia.unlearn("prompt_filter", pipe, forget="kick")
    detector = LearnedDetector(torch.randn(pipe.text.dim), 0.25, 0.5)
    guarded.guards.append(PromptGuard(detector, base=other_base(pipe)))
    guarded.save_pretrained(tmp_path / "safe")
    again = MotionPipeline.from_pretrained(tmp_path / "safe", text=pipe.text)
    assert pipeline_hash(again) == pipeline_hash(guarded) != pipeline_hash(pipe)
    for prompt in (KICK, WALK, BOX):
        assert np.array_equal(joints(again, prompt), joints(guarded, prompt))
    assert (again.guards[1].detector.describe(), again.guards[0].instead) == (
        detector.describe(),
        guarded.guards[0].instead,
    )


def test_an_unknown_guard_is_refused(pipe: MotionPipeline, tmp_path: Path) -> None:
    exuvia.unlearn("prompt_filter", pipe).save_pretrained(tmp_path / "safe")
    config = read_json(tmp_path / "safe" / "config.json")
    config["guards"][0]["detector"]["kind"] = "oracle"
    write_json(tmp_path / "safe" / "config.json", config)
    with pytest.raises(CheckpointError, match="detector of kind 'oracle'; known: learned, words"):
        MotionPipeline.from_pretrained(tmp_path / "safe", text=pipe.text)


def test_a_guard_of_another_text_encoder_is_refused(pipe: MotionPipeline) -> None:
    guarded = pipe.clone()
    guarded.guards.append(PromptGuard(LearnedDetector(torch.zeros(7), 0.0), "a person stands"))
    with pytest.raises(ConfigError, match="from the text encoder, expected width 7 for the detector"):
        guarded(WALK, seed=0, frames=40)


def test_no_half_filters_and_no_empty_replacement(pipe: MotionPipeline) -> None:
    with pytest.raises(ConfigError, match=r"expected 0 \(no filter\) or 1 \(filter\)"):
        exuvia.unlearn("prompt_filter", pipe, strength=0.5)
    with pytest.raises(ConfigError, match="empty prompt"):
        exuvia.unlearn("prompt_filter", pipe, instead=" ")
    same = exuvia.unlearn("prompt_filter", pipe, strength=0.0)
    assert not same.guards


def test_none_changes_nothing_but_says_so(pipe: MotionPipeline) -> None:
    same = exuvia.unlearn("none", pipe)
    assert pipeline_hash(same) == pipeline_hash(pipe)
    assert same.provenance["edits"][-1]["changed"] == "nothing"
