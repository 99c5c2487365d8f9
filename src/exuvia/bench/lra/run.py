"""Models of equal size, trained alike on one task, several seeds each: one tidy table.

A run is a folder `TASK-MIXER-seedN` under the output folder, resumable as every training is; `result.json` in it is
what one line of the table comes from. Several processes may share an output folder.
"""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from exuvia.bench.budget import planned_steps
from exuvia.bench.lra.model import ClassifierConfig, SequenceClassifier
from exuvia.bench.lra.task import ClassifyTask, Splits, score
from exuvia.checkpoint import load_into, load_tensors, provenance
from exuvia.config import to_dict
from exuvia.errors import ConfigError
from exuvia.files import read_json, write_json, write_text
from exuvia.registry import suggest
from exuvia.sequence.stack import MIXER, StackConfig, of_equal_size
from exuvia.train import WEIGHTS, TrainConfig, fit


@dataclass(frozen=True)
class Problem:
    """A task with its data: what every model is trained on."""

    name: str
    splits: Splits
    classes: int
    vocabulary: int = 0
    """Tokens; 0: numbers."""
    pair: bool = False
    chance: float = 0.0
    """Share of right answers of the best constant answer, on the test set."""


@dataclass(frozen=True)
class Recipe:
    """How every model is built and trained."""

    parameters: int
    """Of the stack; every mixer gets the width that comes nearest."""
    layers: int
    batch_size: int
    train: TrainConfig
    state: int = 16
    """States a channel of Mamba; S4D has four times as many."""
    heads: int = 4
    dropout: float = 0.0
    causal: bool = False
    budget_s: float = 0.0
    """Seconds of training in place of `train.steps`; 0: the steps count."""


@dataclass(frozen=True)
class Result:
    """One trained model."""

    task: str
    mixer: str
    seed: int
    width: int
    parameters: int
    steps: int
    step_ms: float
    """Mean over the timed steps of a fresh model."""
    train_s: float
    """Steps times that."""
    accuracy: float
    """Share of right answers on the test set."""
    loss: float
    """Mean cross entropy there, nats."""
    chance: float
    commit: str


def run_problem(
    problem: Problem, recipe: Recipe, mixers: Sequence[str], seeds: Sequence[int], out: Path,
    tell: Callable[[str], None] = lambda line: None,
) -> list[Result]:  # fmt: skip
    """Train what is not trained yet, seed by seed, and test everything.

    Args:
        problem: the data
        recipe: sizes and rates
        mixers: keys of sequence.stack.MIXER
        seeds: of initial weights and batches
        out: folder of the runs
        tell: called with a line whenever a model is done
    Raises:
        ConfigError: an unknown mixer, no seed, or a run of other settings in a folder.
        DivergedError: a loss is no longer a finite number.
    """
    for mixer in mixers:
        if mixer not in MIXER:
            raise ConfigError(f"unknown mixer {mixer!r}; {suggest(mixer, MIXER)}")
    if not seeds or not mixers:
        raise ConfigError("found no seed or no mixer, expected at least one of each")
    found = []
    for seed in seeds:
        for mixer in mixers:
            result = _run_one(problem, recipe, mixer, seed, out / f"{problem.name}-{mixer}-seed{seed}")
            tell(f"{problem.name} {mixer} seed {seed}: accuracy {result.accuracy:.4f} after {result.steps} steps")
            found.append(result)
    return found


def model_config(problem: Problem, recipe: Recipe, mixer: str) -> ClassifierConfig:
    """The classifier of one mixer at the recipe's size."""
    stack = StackConfig(
        8 * recipe.heads, recipe.layers, mixer, recipe.causal, recipe.state, recipe.heads, recipe.dropout
    )
    stack = of_equal_size(stack, recipe.parameters)
    return ClassifierConfig(stack, problem.classes, problem.vocabulary, problem.pair)


def _run_one(problem: Problem, recipe: Recipe, mixer: str, seed: int, out: Path) -> Result:
    if (out / "result.json").is_file():
        return Result(**read_json(out / "result.json"))
    config = model_config(problem, recipe, mixer)
    fresh = _task(problem, recipe, config, 0)
    steps, step_ms = planned_steps(fresh, recipe.train.steps, recipe.budget_s, out / "plan.json")
    task = _task(problem, recipe, config, seed)
    train = replace(recipe.train, steps=steps, seed=recipe.train.seed + seed)
    fit(task, train, out, {"task": problem.name, "recipe": to_dict(recipe)})
    model = SequenceClassifier(config)
    load_into(model, load_tensors(out / WEIGHTS), f"the model of {out}")
    answers = score(model.to(next(task.model.parameters()).device), problem.splits.test, recipe.batch_size)
    result = Result(
        problem.name, mixer, seed, config.stack.width, sum(p.numel() for p in model.parameters()),
        steps, step_ms, step_ms * steps / 1000, answers.accuracy, answers.loss,
        problem.chance, str(provenance()["commit"]),
    )  # fmt: skip
    write_json(out / "result.json", vars(result))
    return result


def _task(problem: Problem, recipe: Recipe, config: ClassifierConfig, seed: int) -> ClassifyTask:
    task = ClassifyTask(config, problem.splits, recipe.batch_size)
    torch.manual_seed(seed)
    task.model = SequenceClassifier(config)
    return task


def table(results: Sequence[Result]) -> list[dict[str, Any]]:
    """A row a task and mixer: mean accuracy, its deviation over seeds, and time beside that of its backbone."""
    rows = []
    for task, mixer in dict.fromkeys((one.task, one.mixer) for one in results):
        same = [one for one in results if (one.task, one.mixer) == (task, mixer)]
        base = mixer.partition("-")[2] or mixer
        backbone = [one.step_ms for one in results if (one.task, one.mixer) == (task, base)]
        accuracy = [one.accuracy for one in same]
        step_ms = float(np.median([one.step_ms for one in same]))
        rows.append({
            "task": task, "mixer": mixer, "seeds": len(same), "parameters": same[0].parameters, "steps": same[0].steps,
            "accuracy": float(np.mean(accuracy)),
            "deviation": float(np.std(accuracy, ddof=1)) if len(same) > 1 else None,
            "step_ms": step_ms,
            "times_backbone": step_ms / float(np.median(backbone)) if backbone else None,
            "chance": same[0].chance,
        })  # fmt: skip
    return rows


def write_table(results: Sequence[Result], out: Path) -> tuple[Path, Path]:
    """results.json and results.csv, a line a trained model."""
    rows = [vars(one) for one in results]
    write_json(out / "results.json", {"runs": rows, "table": table(results)})
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(out / "results.csv", stream.getvalue())
    return out / "results.json", out / "results.csv"
