"""The probes have the answers they say, and tasks come by name with their presets."""

from pathlib import Path

import numpy as np
import pytest

from exuvia.errors import ConfigError, DataError, ShapeError
from lab.lra import problems
from lab.lra.image import PixelSequences, shrunk
from lab.lra.probes import BLANK, LETTERS, MARK, VOCABULARY, copying, events, induction
from lab.lra.problems import FULL, PROBLEMS, Size, Source, load_problem, recipe_of
from lab.lra.run import model_config
from lab.stack import parameters
from lab.variant import parse_variant


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
        assert parameters(model_config(problem, recipe, parse_variant(mixer)).stack) == pytest.approx(
            recipe.parameters, rel=0.12
        )
    if name in FULL:
        assert recipe_of(name, "full").parameters > 500_000
    else:
        with pytest.raises(ConfigError, match="no preset 'full'"):
            recipe_of(name, "full")


def test_short_tasks_ask_the_same_of_shorter_sequences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(problems.LISTOPS_COUNTS, "short", (60, 10, 20))
    data = load_problem("listops", Source(None, tmp_path)).splits
    assert 20 < data.train.lengths.min() <= data.train.lengths.max() < 100
    pictures = PixelSequences(np.arange(2 * 1024).reshape(2, 1024).astype(np.uint8), np.zeros(2, np.int64))
    small = shrunk(pictures, 16)
    assert small.pixels.shape == (2, 256)
    assert small.pixels[0, 0] == round(np.mean([0, 1, 32, 33]))
    assert shrunk(pictures, 32) is pictures
    for side in (0, 5):
        with pytest.raises(ShapeError, match="divides"):
            shrunk(pictures, side)


def test_missing_data_and_unknown_tasks_are_named(tmp_path: Path) -> None:
    for data in (None, tmp_path):
        with pytest.raises(DataError, match="--data"):
            load_problem("image", Source(data, tmp_path))
    with pytest.raises(ConfigError, match="did you mean 'listops'"):
        load_problem("listop", Source(None, tmp_path))
    with pytest.raises(ConfigError, match="unknown task"):
        recipe_of("listop", "short")


@pytest.mark.parametrize(("size", "steps"), [("short", 256), ("full", 1024)])
def test_pathfinder_comes_by_name_and_is_kept(
    size: Size, steps: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(problems.PATHFINDER_COUNTS, size, (20, 4, 6))
    first = load_problem("pathfinder", Source(None, tmp_path, size))
    again = load_problem("pathfinder", Source(None, tmp_path, size))
    assert [len(part) for part in vars(first.splits).values()] == [20, 4, 6]
    x, mask, labels = first.splits.test.batch(np.arange(6))
    assert x.shape == (6, steps)
    assert mask is None
    assert -1 <= x.min() < x.max() <= 1
    assert x.equal(again.splits.test.batch(np.arange(6))[0])
    assert labels.tolist() == again.splits.test.labels.tolist()  # type: ignore[attr-defined]
