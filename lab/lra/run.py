"""Trains models of equal size on one task with equal settings and several seeds, and tabulates the results.

A run is a resumable folder `TASK-VARIANT-lrRATE-seedN` under the output folder; its `result.json` gives one line of
the table. Several processes can share an output folder. Times are measured separately from the runs, with all models
in turn (`speed-TASK.json`), so that other load on the machine affects all of them equally.
"""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from exuvia.checkpoint import load_into, load_tensors, provenance
from exuvia.config import to_dict
from exuvia.files import write_json, write_text
from exuvia.readers import as_type, read_json
from exuvia.sequence.settings import StackConfig
from exuvia.train import WEIGHTS, TrainConfig, fit, seeded
from lab.budget import planned_steps
from lab.lra.model import ClassifierConfig, SequenceClassifier
from lab.lra.task import ClassifyTask, Splits, score
from lab.run_settings import check_settings
from lab.speed import Speed, kept_speeds, training_device
from lab.stack import of_equal_size
from lab.variant import Variant, parse_variant, parse_variants


@dataclass(frozen=True)
class Problem:
    """A task with its data: what every model is trained on."""

    name: str
    splits: Splits
    classes: int
    vocabulary: int = 0
    """Number of tokens; 0: inputs are numbers."""
    pair: bool = False
    chance: float = 0.0
    """Share of right answers of the best constant answer, on the test set."""


@dataclass(frozen=True)
class Recipe:
    """How every model is built and trained."""

    parameters: int
    """Parameters of the stack; every mixer gets the width that comes nearest."""
    layers: int
    batch_size: int
    train: TrainConfig
    state: int = 16
    """States per channel of Mamba; S4D has four times as many."""
    heads: int = 4
    dropout: float = 0.0
    causal: bool = False
    budget_s: float = 0.0
    """Training time in seconds, in place of `train.steps`; 0: use the steps."""
    rates: tuple[float, ...] = ()
    """Learning rates in place of `train.lr`: with the first seed every variant tries all of them, and keeps the one
    with the best accuracy on the validation set."""
    test_limit: int = 0
    """Maximum number of test examples, the first of a shuffle; 0: all."""


@dataclass(frozen=True)
class Result:
    """One trained model."""

    task: str
    variant: str
    seed: int
    width: int
    parameters: int
    steps: int
    lr: float
    """Peak learning rate."""
    valid_accuracy: float
    """Share of right answers on the validation set, by which a learning rate is chosen."""
    accuracy: float
    """Share of right answers on the test set."""
    loss: float
    """Mean cross entropy there, nats."""
    chance: float
    commit: str


def run_problem(
    problem: Problem, recipe: Recipe, variants: Sequence[str], seeds: Sequence[int], out: Path,
    log: Callable[[str], None] = lambda line: None,
) -> list[Result]:  # fmt: skip
    """Train the missing models, seed by seed, and test all.

    Args:
        problem: the data
        recipe: sizes and rates
        variants: names as lab/variant.py has them
        seeds: of initial weights and batches
        out: folder of the runs
        log: receives a line when a model is done
    Raises:
        ConfigError: an unknown variant, no seed, or a run of other settings in a folder.
        DivergedError: a loss is no longer a finite number.
    """
    lines = parse_variants(variants, seeds)
    found: list[Result] = []
    chosen: dict[str, float] = {}
    for seed in seeds:
        for variant in lines:
            rates = [chosen[variant.name]] if variant.name in chosen else list(recipe.rates) or [recipe.train.lr]
            tried = [_run_one(problem, with_rate(recipe, rate), variant, seed, out) for rate in rates]
            best = max(tried, key=lambda one: one.valid_accuracy)
            chosen[variant.name] = best.lr
            log(f"{problem.name} {variant.name} seed {seed}: {best.accuracy:.4f} at a rate of {best.lr:g}")
            found.append(best)
    return found


def with_rate(recipe: Recipe, lr: float) -> Recipe:
    """The recipe of one learning rate."""
    return replace(recipe, rates=(), train=replace(recipe.train, lr=lr))


def run_folder(out: Path, task: str, variant: str, lr: float, seed: int) -> Path:
    """Return the folder of a run."""
    return out / f"{task}-{variant}-lr{lr:g}-seed{seed}"


def measure_speeds(problem: Problem, recipe: Recipe, variants: Sequence[str], out: Path) -> dict[str, Speed]:
    """Measure time and memory of a training step of every model, in turn; cached in `out` for the same models."""

    def task(name: str) -> ClassifyTask:
        return _task(problem, recipe, model_config(problem, recipe, parse_variant(name)), 0)

    return kept_speeds(out / f"speed-{problem.name}.json", variants, task)


def model_config(problem: Problem, recipe: Recipe, variant: Variant) -> ClassifierConfig:
    """The classifier of one variant at the recipe's size."""
    stack = StackConfig(
        8 * recipe.heads, recipe.layers, variant.mixer, recipe.causal, recipe.state, recipe.heads, recipe.dropout,
        variant.serpent,
    )  # fmt: skip
    stack = of_equal_size(stack, recipe.parameters)
    return ClassifierConfig(stack, problem.classes, problem.vocabulary, problem.pair)


def _run_one(problem: Problem, recipe: Recipe, variant: Variant, seed: int, runs: Path) -> Result:
    config, out = (
        model_config(problem, recipe, variant),
        run_folder(runs, problem.name, variant.name, recipe.train.lr, seed),
    )
    check_settings(out, {"recipe": to_dict(recipe), "model": to_dict(config), "examples": len(problem.splits.train)})
    if (out / "result.json").is_file():
        return as_type(Result, read_json(out / "result.json"), out / "result.json")
    steps = recipe.train.steps
    if recipe.budget_s:
        steps, _ = planned_steps(_task(problem, recipe, config, 0), steps, recipe.budget_s, out / "plan.json")
    train = replace(recipe.train, steps=steps, seed=recipe.train.seed + seed)
    facts = {"task": problem.name, "recipe": to_dict(recipe)}
    last = fit(lambda: _task(problem, recipe, config, seed), train, out, facts)
    model = trained(out, config).to(training_device())
    answers = score(model, problem.splits.test, recipe.batch_size, recipe.test_limit or None)
    result = Result(
        problem.name, variant.name, seed, config.stack.width, sum(p.numel() for p in model.parameters()),
        steps, recipe.train.lr, last["val/accuracy"], answers.accuracy, answers.loss, problem.chance,
        str(provenance()["commit"]),
    )  # fmt: skip
    write_json(out / "result.json", vars(result))
    return result


def trained(folder: Path, config: ClassifierConfig) -> SequenceClassifier:
    """The model of a finished run."""
    model = SequenceClassifier(config)
    load_into(model, load_tensors(folder / WEIGHTS), f"the model of {folder}")
    return model


def _task(problem: Problem, recipe: Recipe, config: ClassifierConfig, seed: int) -> ClassifyTask:
    with seeded(seed):
        return ClassifyTask(config, problem.splits, recipe.batch_size)


def table(results: Sequence[Result], speeds: Mapping[str, Mapping[str, Speed]]) -> list[dict[str, Any]]:
    """Return a row per task and variant: mean accuracy, its deviation over seeds, and time relative to its backbone.

    Args:
        results: of any tasks, variants and seeds
        speeds: task -> variant -> one training step
    """
    rows = []
    for task, name in dict.fromkeys((one.task, one.variant) for one in results):
        same = [one for one in results if (one.task, one.variant) == (task, name)]
        base, speed = speeds[task].get(parse_variant(name).backbone), speeds[task][name]
        accuracy = [one.accuracy for one in same]
        rows.append({
            "task": task, "variant": name, "seeds": len(same), "parameters": same[0].parameters,
            "steps": same[0].steps, "lr": same[0].lr, "accuracy": float(np.mean(accuracy)),
            "deviation": float(np.std(accuracy, ddof=1)) if len(same) > 1 else None,
            "step_ms": speed.step_ms, "train_s": speed.step_ms * same[0].steps / 1000,
            "times_backbone": speed.fastest_ms / base.fastest_ms if base else None,
            "kept_mb": speed.kept_mb, "chance": same[0].chance,
        })  # fmt: skip
    return rows


def write_table(results: Sequence[Result], rows: Sequence[dict[str, Any]], out: Path) -> tuple[Path, Path]:
    """Write results.json with runs and table, and results.csv with a line per trained model."""
    runs = [vars(one) for one in results]
    write_json(out / "results.json", {"runs": runs, "table": list(rows)})
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(runs[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(runs)
    write_text(out / "results.csv", stream.getvalue())
    return out / "results.json", out / "results.csv"
