"""Classifiers of sequences, their task, and the runner: padding, pairs, learning, resuming, one table."""

import csv
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from exuvia.errors import ConfigError, ShapeError
from exuvia.sequence.settings import SerpentSettings, StackConfig
from exuvia.train import TrainConfig
from lab.__main__ import main
from lab.experiments import sequence as bench_sequence
from lab.ledger.numbers import read_rows
from lab.ledger.quotes import Quotes
from lab.ledger.tables import sequence_table
from lab.lra.model import ClassifierConfig, SequenceClassifier
from lab.lra.run import Problem, Recipe, measure_speeds, model_config, run_folder, run_problem, table, write_table
from lab.lra.task import ClassifyTask, Splits, score
from lab.memory import kept_bytes
from lab.stack import parameters
from lab.variant import NAMES, parse_variant


@dataclass(frozen=True)
class Toy:
    """Does a sequence of 0 and 1 hold a 2?"""

    count: int
    seed: int

    def __len__(self) -> int:
        return self.count

    @property
    def lengths(self) -> NDArray[np.int64]:
        return np.random.default_rng(self.seed).integers(6, 20, self.count)

    def batch(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor | None, Tensor]:
        lengths = self.lengths[rows]
        x = np.zeros((len(rows), lengths.max()), np.int64)
        for i, row in enumerate(rows):
            rng = np.random.default_rng([self.seed, int(row)])
            x[i, : lengths[i]] = rng.integers(0, 2, lengths[i])
            if row % 2:
                x[i, rng.integers(lengths[i])] = 2
        valid = np.arange(x.shape[1]) < lengths[:, None]
        return torch.from_numpy(x), torch.from_numpy(valid), torch.from_numpy(rows % 2)


def problem() -> Problem:
    return Problem("toy", Splits(Toy(200, 0), Toy(40, 1), Toy(60, 2)), classes=2, vocabulary=3, chance=0.5)


RECIPE = Recipe(6000, 1, 16, TrainConfig(steps=60, lr=2e-2, warmup=5, validate_every=60), state=4)


def classifier(**more: object) -> SequenceClassifier:
    torch.manual_seed(0)
    return SequenceClassifier(ClassifierConfig(StackConfig(16, 1, causal=False, state=4), classes=3, **more)).eval()  # type: ignore[arg-type]


def test_padding_does_not_change_an_answer() -> None:
    model, x = classifier(vocabulary=5), torch.randint(5, (2, 12), generator=torch.Generator().manual_seed(0))
    valid = torch.arange(12)[None] < torch.tensor([12, 7])[:, None]
    torch.testing.assert_close(model(x, valid)[1], model(x[1:, :7])[0], atol=1e-5, rtol=1e-4)


def test_numbers_and_pairs() -> None:
    assert classifier()(torch.rand(4, 9)).shape == (4, 3)
    pair = classifier(vocabulary=5, pair=True)
    x = torch.randint(5, (6, 9), generator=torch.Generator().manual_seed(0))
    assert pair(x).shape == (3, 3)
    alone = pair(x[[0, 3]])
    torch.testing.assert_close(pair(x)[:1], alone, atol=1e-5, rtol=1e-4)
    with pytest.raises(ShapeError, match="B even"):
        pair(x[:5])
    with pytest.raises(ShapeError, match=r"expected \[B, L\]"):
        classifier()(torch.rand(4, 9, 2))


def test_batches_hold_like_lengths_and_every_example_comes_up() -> None:
    task = ClassifyTask(model_config(problem(), RECIPE, parse_variant("mamba")), problem().splits, 16)
    seen, spread = set(), []
    for step in range(120):
        batch = task.batch(step, np.random.default_rng(step))
        lengths = batch["valid"].sum(1)
        spread.append(int(lengths.max() - lengths.min()))
        seen.update(map(tuple, batch["x"].tolist()))
    assert np.mean(spread) < 5
    assert len(seen) > 150


@pytest.mark.parametrize("mixer", NAMES)
def test_models_are_of_equal_size(mixer: str) -> None:
    recipe = Recipe(60_000, 2, 8, TrainConfig())
    assert parameters(model_config(problem(), recipe, parse_variant(mixer)).stack) == pytest.approx(60_000, rel=0.12)


def test_a_run_learns_resumes_and_is_one_table(tmp_path: Path) -> None:
    lines: list[str] = []
    found = run_problem(problem(), RECIPE, ["mamba", "serpent-mamba"], [0, 1], tmp_path, lines.append)
    assert len(found) == len(lines) == 4
    assert max(one.accuracy for one in found) > 0.8
    again = run_problem(problem(), RECIPE, ["mamba", "serpent-mamba"], [0, 1], tmp_path)
    assert again == found
    first, second = rows = table(
        found, {"toy": measure_speeds(problem(), RECIPE, ["mamba", "serpent-mamba"], tmp_path)}
    )
    assert (first["variant"], second["variant"]) == ("mamba", "serpent-mamba")
    assert first["times_backbone"] == 1
    assert second["times_backbone"] > 0
    assert first["train_s"] == pytest.approx(first["step_ms"] * RECIPE.train.steps / 1000)
    assert first["accuracy"] == pytest.approx(np.mean([one.accuracy for one in found if one.variant == "mamba"]))
    _, path = write_table(found, rows, tmp_path)
    lines = list(csv.DictReader(path.open(encoding="utf-8")))
    assert [float(line["accuracy"]) for line in lines] == [one.accuracy for one in found]


def test_a_folder_belongs_to_its_settings(tmp_path: Path) -> None:
    short = replace(RECIPE, train=replace(RECIPE.train, steps=2))
    run_problem(problem(), short, ["s4d"], [0], tmp_path)
    with pytest.raises(ConfigError, match=r"recipe\.train\.steps 2 there and 60 here"):
        run_problem(problem(), RECIPE, ["s4d"], [0], tmp_path)
    assert len(run_problem(problem(), short, ["s4d"], [0], tmp_path)) == 1


def test_a_budget_in_seconds_becomes_steps_that_are_kept(tmp_path: Path) -> None:
    recipe = Recipe(6000, 1, 16, RECIPE.train, state=4, budget_s=0.5)
    (one,) = run_problem(problem(), recipe, ["s4d"], [0], tmp_path)
    plan = json.loads(
        (run_folder(tmp_path, "toy", "s4d", RECIPE.train.lr, 0) / "plan.json").read_text(encoding="utf-8")
    )
    assert one.steps == plan["steps"] == max(1, int(500 / plan["step_ms"]))


def test_the_first_seed_tries_every_rate_and_all_seeds_keep_the_best(tmp_path: Path) -> None:
    recipe = replace(RECIPE, rates=(1e-6, 2e-2))
    found = run_problem(problem(), recipe, ["mamba"], [3, 4], tmp_path)
    assert [one.lr for one in found] == [2e-2, 2e-2]
    assert {path.name for path in tmp_path.iterdir()} == {
        "toy-mamba-lr1e-06-seed3", "toy-mamba-lr0.02-seed3", "toy-mamba-lr0.02-seed4",
    }  # fmt: skip
    assert found[0].valid_accuracy > 0.7


def test_speeds_are_kept_until_another_model_is_asked_for(tmp_path: Path) -> None:
    first = measure_speeds(problem(), RECIPE, ["s4d"], tmp_path)
    assert measure_speeds(problem(), RECIPE, ["s4d"], tmp_path) == first
    both = measure_speeds(problem(), RECIPE, ["s4d", "uniform-s4d@rates=0.25"], tmp_path)
    assert set(both) == {"s4d", "uniform-s4d@rates=0.25"}
    assert all(0 < one.fastest_ms <= one.step_ms for one in both.values())


def test_variants_say_what_resamples_and_how() -> None:
    variant = parse_variant("serpent-s4d@K=5@rates=0.5+0.25")
    assert variant.mixer == "serpent"
    assert variant.backbone == "s4d"
    assert variant.serpent == SerpentSettings(over="s4d", K=5, rates=(0.5, 0.25))
    stack = model_config(problem(), RECIPE, variant).stack
    assert stack.serpent.K == 5
    for name, words in {
        "serpent-s4": "did you mean 'serpent-s4d'",
        "s4d@K=3": "options for s4d",
        "serpent-s4d@k=3": "unknown option 'k'",
        "serpent-s4d@K=three": "expected a number",
        "serpent-s4d@rates=2": "rates",
    }.items():
        with pytest.raises(ConfigError, match=words):
            parse_variant(name)


def test_scores_are_those_of_all_examples() -> None:
    model = classifier(vocabulary=3)
    whole = score(model, Toy(50, 3), 50)
    parts = score(model, Toy(50, 3), 7)
    assert whole.accuracy == parts.accuracy
    assert whole.loss == pytest.approx(parts.loss, rel=1e-4)
    assert 0 <= score(model, Toy(50, 3), 7, limit=10).accuracy <= 1


def test_bad_settings_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'mamba'"):
        run_problem(problem(), RECIPE, ["mambo"], [0], tmp_path)
    with pytest.raises(ConfigError, match="no seed"):
        run_problem(problem(), RECIPE, ["mamba"], [], tmp_path)
    with pytest.raises(ConfigError, match="1 classes"):
        ClassifierConfig(StackConfig(16), classes=1)


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    small = Recipe(4000, 1, 8, TrainConfig(steps=3, warmup=1), state=4)
    monkeypatch.setattr(bench_sequence, "recipe_of", lambda name, preset: small)
    monkeypatch.setattr(bench_sequence, "load_problem", lambda name, source: problem())
    ledger = tmp_path / "numbers.jsonl"
    line = f"lra --tasks toy --mixers mamba serpent-mamba --seeds 0 1 --out {tmp_path / 'lra'} --record {ledger}"
    line += f" --draw {tmp_path / 'accuracy.svg'}"
    assert main(line.split()) == 0
    assert "times_backbone" in capsys.readouterr().out
    picture = (tmp_path / "accuracy.svg").read_text(encoding="utf-8")
    assert "serpent-mamba" in picture or picture.count("<path") > 20
    text = tmp_path / "text"
    text.write_bytes(b"to be or not to be, " * 400)
    more = "--recipe.train.steps 3 --recipe.train.warmup 1 --recipe.parameters 4000 --recipe.length 32 --mixers s4d"
    assert main(f"lm {text} {more} --seeds 0 --out {tmp_path / 'lm'} --record {ledger}".split()) == 0
    recorded = ledger.read_text(encoding="utf-8")
    quotes = Quotes(read_rows(ledger)[0])
    sequence_table(quotes, "lra.{}.short", "toy", "mamba serpent-mamba", "accuracy")
    sequence_table(quotes, "lm.{}.bytes", "text", "s4d", "bpb")
    assert not quotes.problems
    for name in (
        "lra.toy.short.serpent-mamba.accuracy",
        "lra.toy.short.mamba.train_s",
        "lra.toy.short.mamba.params",
        "lm.text.bytes.s4d.bpb",
        "lm.text.bytes.s4d.ppl",
    ):
        assert f'"{name}"' in recorded
    assert main(f"lm {tmp_path / 'missing'}".split()) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_memory_of_a_step_is_what_autograd_keeps() -> None:
    layer = torch.nn.Linear(64, 32)
    x = torch.randn(10, 64, requires_grad=True)
    assert kept_bytes(lambda: layer(x), layer) == 10 * 64 * 4
    assert kept_bytes(lambda: layer(x).tanh(), layer) == 10 * (64 + 32) * 4
    assert kept_bytes(lambda: (layer(x), layer(x)), layer) == 10 * 64 * 4, "one storage counts once"
    with torch.no_grad():
        assert kept_bytes(lambda: layer(x), layer) == 0
