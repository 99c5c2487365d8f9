"""The probes have the answers they say, and tasks come by name with their presets."""

from pathlib import Path

import numpy as np
import pytest

from exuvia.bench.lra import problems
from exuvia.bench.lra.probes import BLANK, LETTERS, MARK, VOCABULARY, copying, events, induction
from exuvia.bench.lra.problems import FULL, PROBLEMS, Source, load_problem, recipe_of
from exuvia.bench.lra.run import model_config
from exuvia.errors import ConfigError, DataError
from exuvia.sequence.stack import parameters


def test_induction_is_answered_by_what_followed_the_mark() -> None:
    data = induction(200, 30, 0)
    for n in range(len(data)):
        x = data[n].tolist()
        assert x[-1] == MARK
        assert x[x.index(MARK) + 1] - 1 == data.labels[n]
        assert x.count(MARK) == 2
    assert set(data.labels.tolist()) == set(range(LETTERS))


def test_copying_is_answered_by_the_letter_that_was_asked_for() -> None:
    data = copying(200, 40, 0)
    for n in range(len(data)):
        x = data[n]
        letters = x[(x >= 1) & (x <= LETTERS)]
        assert len(letters) == 8
        assert letters[x[-1] - BLANK - 1] - 1 == data.labels[n]
    assert data.tokens.max() < VOCABULARY


def test_events_are_told_by_spikes_and_by_halves() -> None:
    data = events(400, 256, 0)
    x = data.batch(np.arange(400))[0].numpy()
    spikes = (x > 4.2).sum(1)
    half = x.clip(-3, 3)
    falling = half[:, :128].mean(1) < half[:, 128:].mean(1)
    right = (np.clip(spikes, 1, 2) - 1 + 2 * falling) == data.labels
    assert right.mean() > 0.9
    np.testing.assert_allclose(np.bincount(data.labels) / 400, 0.25, atol=0.08)


def test_sets_are_functions_of_their_seeds() -> None:
    for make in (induction, copying):
        assert np.array_equal(make(5, 20, 1).tokens, make(5, 20, 1).tokens)
        assert not np.array_equal(make(5, 20, 1).tokens, make(5, 20, 2).tokens)
        with pytest.raises(ConfigError, match="length 2"):
            make(5, 2, 0)


@pytest.mark.parametrize("name", ["induction", "copying", "events"])
def test_probes_come_by_name(name: str, tmp_path: Path) -> None:
    problem = load_problem(name, Source(None, tmp_path))
    assert problem.chance == pytest.approx(1 / problem.classes, abs=0.02)
    assert len(problem.splits.test) == 5000


@pytest.mark.parametrize("name", PROBLEMS)
def test_every_task_has_a_recipe_and_models_of_its_size(name: str, tmp_path: Path) -> None:
    recipe = recipe_of(name, "short")
    problem = load_problem("induction", Source(None, tmp_path))
    for mixer in ("transformer", "serpent-mamba"):
        assert parameters(model_config(problem, recipe, mixer).stack) == pytest.approx(recipe.parameters, rel=0.12)
    if name in FULL:
        assert recipe_of(name, "full").parameters > 500_000
    else:
        with pytest.raises(ConfigError, match="no preset 'full'"):
            recipe_of(name, "full")


def test_missing_data_and_unknown_tasks_are_named(tmp_path: Path) -> None:
    for data in (None, tmp_path):
        with pytest.raises(DataError, match="--data"):
            load_problem("image", Source(data, tmp_path))
    with pytest.raises(ConfigError, match="did you mean 'listops'"):
        load_problem("listop", Source(None, tmp_path))
    with pytest.raises(ConfigError, match="unknown task"):
        recipe_of("listop", "short")


def test_pathfinder_comes_by_name_and_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(problems.PATHFINDER_COUNTS, "short", (20, 4, 6))
    first = load_problem("pathfinder", Source(None, tmp_path))
    again = load_problem("pathfinder", Source(None, tmp_path))
    assert [len(part) for part in vars(first.splits).values()] == [20, 4, 6]
    x, mask, labels = first.splits.test.batch(np.arange(6))
    assert x.shape == (6, 1024)
    assert mask is None
    assert -1 <= x.min() < x.max() <= 1
    assert x.equal(again.splits.test.batch(np.arange(6))[0])
    assert labels.tolist() == again.splits.test.labels.tolist()  # type: ignore[attr-defined]
