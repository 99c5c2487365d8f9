"""Closed-form edits: what the equations promise, what UCE and RECE change, and the released defects in numbers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import exuvia
from exuvia.data.prepare import prepare
from exuvia.data.store import Store
from exuvia.errors import ConfigError
from exuvia.pipeline.identity import pipeline_hash
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.unlearning.closed_form import Constraint, adversarial, replaced, solve, without_direction
from exuvia.unlearning.uce import embedded, projections
from tiny import tiny_pipeline


@pytest.fixture(scope="module")
def pipe() -> MotionPipeline:
    """A tiny generator."""
    return tiny_pipeline()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Synthetic motion, some of it violent."""
    return prepare("synthetic", tmp_path_factory.mktemp("uce") / "store", count=60)


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    """Normal numbers, double precision."""
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 4), st.integers(1, 5), st.integers(0, 999))
def test_few_strong_constraints_are_met(count: int, rows: int, seed: int) -> None:
    weight = draw(7, 24, seed=seed)
    wanted = [Constraint(draw(rows, 24, seed=seed + i), draw(rows, 7, seed=seed + 9 + i), 1e6) for i in range(count)]
    if count * rows > 16:
        return
    new = solve(weight, wanted, 1e-3)
    for one in wanted:
        torch.testing.assert_close(one.inputs @ new.T, one.outputs, atol=1e-3, rtol=1e-3)


def test_no_constraint_and_satisfied_ones_leave_the_map() -> None:
    weight, c = draw(7, 24), draw(5, 24, seed=1)
    torch.testing.assert_close(solve(weight, [], 0.1), weight)
    torch.testing.assert_close(solve(weight, [Constraint(c, c @ weight.T, 3.0)], 0.1), weight)


def test_bad_equations_are_one_sentence() -> None:
    with pytest.raises(ConfigError, match="lam = 0"):
        solve(draw(2, 3), [], 0.0)
    with pytest.raises(ConfigError, match="no finite solution"):
        solve(draw(2, 3), [Constraint(torch.full((1, 3), torch.inf), draw(1, 2), 1.0)], 0.1)


def test_targets() -> None:
    target, forget = draw(3, 6), draw(3, 6, seed=1)
    left = without_direction(target, forget)
    assert float((left * forget).sum()) == pytest.approx(0, abs=1e-9)
    assert replaced(target, 3) is target
    torch.testing.assert_close(replaced(target, 5), target.mean(0).expand(5, -1))


def test_the_attack_finds_what_the_edited_maps_still_answer_to() -> None:
    old = [draw(40, 12, seed=i) for i in range(2)]
    change = draw(12, 12, seed=9) * 0.1 + torch.eye(12)
    edited = [w @ change for w in old]  # what used to be c is now reached by change^-1 c
    c = draw(1, 12, seed=5)
    attack = adversarial(c, edited, old, reg=1e-9)
    torch.testing.assert_close(attack @ edited[0].T, c @ old[0].T, atol=1e-5, rtol=1e-5)
    own = adversarial(c, edited, edited, reg=1e-9)  # the released code: edited maps in both places
    torch.testing.assert_close(own, c, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("method", ["uce", "rece"])
@pytest.mark.parametrize("how", [{}, {"variant": "released"}, {"technique": "tensor"}])
def test_an_edit_changes_the_projections_alone(
    pipe: MotionPipeline, store: Store, method: str, how: Mapping[str, Any]
) -> None:
    before = pipeline_hash(pipe)
    safe = exuvia.unlearn(method, pipe, forget="violence", data=store, **how)
    assert pipeline_hash(pipe) == before
    for part in ("base", "residual", "tokenizer", "length"):
        old, new = getattr(pipe, part).state_dict(), getattr(safe, part).state_dict()
        changed = {name for name in old if not torch.equal(old[name], new[name])}
        assert changed == ({"cond_emb.weight"} if part in ("base", "residual") else set())
        assert all(value.isfinite().all() for value in new.values() if value.is_floating_point())
    facts = safe.provenance["edits"][-1]
    assert facts["erased"] > 0
    assert facts["preserved"] > 0
    assert min(facts["moved"]) > 0


def test_strength_is_a_dial(pipe: MotionPipeline) -> None:
    whole = projections(exuvia.unlearn("uce", pipe))[0].weight
    half = projections(exuvia.unlearn("uce", pipe, strength=0.5))[0].weight
    torch.testing.assert_close(half, (whole + projections(pipe)[0].weight) / 2)
    assert pipeline_hash(exuvia.unlearn("uce", pipe, strength=0.0)) == pipeline_hash(pipe)


def test_erased_prompts_read_as_the_target_and_preserved_ones_as_before(pipe: MotionPipeline) -> None:
    settings_of = {"erase_scale": 1e4, "preserve_scale": 1e4, "lam": 1e-3}
    kept, target = "a person waves", "a person stands"
    safe = exuvia.unlearn("uce", pipe, forget_words=("kick",), retain_words=(kept,), target=target, **settings_of)
    old, new = projections(pipe)[0].weight, projections(safe)[0].weight
    kick, wave, stand = (embedded(pipe, [text])[0] for text in ("kick", kept, target))
    goal = (stand @ old.T).mean(0)
    assert (kick @ new.T - goal).norm() < 0.7 * (kick @ old.T - goal).norm()
    assert (wave @ new.T - wave @ old.T).norm() < 0.7 * (kick @ new.T - kick @ old.T).norm()


def test_released_uce_drifts_by_the_bias_and_ours_does_not(pipe: MotionPipeline) -> None:
    biased = pipe.clone()
    layer = projections(biased)[0]
    with torch.no_grad():
        layer.bias.normal_(generator=torch.Generator().manual_seed(0)).mul_(3)
    walk = embedded(biased, ["walk"])[0]

    def drift(**how: Any) -> float:
        new = projections(exuvia.unlearn("uce", biased, **how))[0]
        return float((new(walk) - layer(walk)).norm() / layer.bias.norm() / len(walk) ** 0.5)

    assert drift(variant="released") > 5 * drift(forget_words=("kick",), lam=0.01)


def test_settings_are_checked(pipe: MotionPipeline, tmp_path: Path) -> None:
    for wrong, message in (
        ({"strength": 2.0}, "strength 2.0"),
        ({"lam": 0.0}, "lam 0.0"),
        ({"technique": "replac"}, "did you mean 'replace'"),
        ({"variant": "old"}, "unknown variant"),
    ):
        with pytest.raises(ConfigError, match=message):
            exuvia.unlearn("uce", pipe, **wrong)
    with pytest.raises(ConfigError, match="epochs -1"):
        exuvia.unlearn("rece", pipe, epochs=-1)
