"""`python -m lab lra` and `lm`: test whether selective resampling helps at equal parameters and equal steps."""

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
import tyro
from scipy.stats import t

from exuvia.config import settings
from exuvia.files import write_json
from lab import figures
from lab.ledger.numbers import Number, record_numbers
from lab.lm import run as lm
from lab.lm.corpus import read_corpus
from lab.lra import run as lra
from lab.lra.problems import Source, load_problem, recipe_of

MIXERS = ("transformer", "s4d", "mamba", "serpent-s4d", "serpent-mamba", "uniform-s4d", "uniform-mamba")


@settings(kw_only=True)
class _Common:
    mixers: tuple[str, ...] = MIXERS
    """Kinds of layers; `uniform` is SeRpEnt with fixed intervals, the ablation of its selectivity. Options of SeRpEnt
    follow an @, as in serpent-s4d@K=5@rates=0.5+0.25."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds, with one model each."""
    parameters: int = 0
    """Layers of every stack; 0: the preset's."""
    steps: int = 0
    """Steps of every training; 0: the preset's."""
    budget_s: float = 0.0
    """Training time per model in seconds, in place of steps; 0: use the steps."""
    threads: int = 2
    """Threads of torch."""
    tag: str = ""
    """Suffix in the names of recorded rows, such as .ablation, which separates them from rows of other models and
    seeds."""
    draw: Path | None = None
    """SVG file for accuracy against training time."""
    record: Path | None = None
    """Ledger to append the results to."""


@settings(kw_only=True)
class LRABench(_Common):
    """The tasks and models."""

    tasks: tuple[str, ...] = ("listops", "text", "image")
    """listops, text, image, retrieval, pathfinder, pathx; and the probes induction, copying, events."""
    preset: Literal["short", "full"] = "short"
    """short: short sequences, for two cores; full: the published sizes and steps."""
    data: Path | None = None
    """Folder with aclImdb (or its archive) and cifar10; default: the folder of EXUVIA_DATA."""
    out: Path = Path("runs/lra")
    """Folder of the runs; an interrupted call continues there."""


@settings(kw_only=True)
class LMBench(_Common):
    """The text and models."""

    text: tyro.conf.Positional[Path]
    """A folder or archive of WikiText-103 or the Penn Treebank, enwik8, or any file."""
    level: Literal["bytes", "words", "bpe"] = "bytes"
    """Unit of a token; bpe: byte pairs learned on the training part."""
    recipe: lm.Recipe = dataclasses.field(default_factory=lm.Recipe)
    """Sizes and rates."""
    out: Path = Path("runs/lm")
    """Folder of the runs; an interrupted call continues there."""


def bench_lra(config: LRABench) -> None:
    """Train classifiers of equal size on tasks of the Long Range Arena and on probes, and test them.

    Examples:
        python -m lab lra --tasks listops --mixers mamba serpent-mamba --data ../data

    Raises:
        ConfigError: an unknown task or mixer, no seed, or a folder with runs of other settings.
        DataError: the data are missing.
        OutputError: the folder cannot be written.
    """
    torch.set_num_threads(config.threads)
    found, speeds, out = [], {}, config.out / config.preset
    if config.parameters:
        out = out / str(config.parameters)
    for task in config.tasks:
        recipe = _sized(recipe_of(task, config.preset), config)
        problem = load_problem(task, Source(config.data or data_folder(), config.out / "data", config.preset))
        found += lra.run_problem(problem, recipe, config.mixers, config.seeds, out, _tell)
        speeds[task] = lra.measure_speeds(problem, recipe, config.mixers, out)
    rows = lra.table(found, speeds)
    shown = (
        "task",
        "variant",
        "parameters",
        "steps",
        "lr",
        "accuracy",
        "deviation",
        "chance",
        "step_ms",
        "times_backbone",
    )
    _show(rows, shown)
    for path in lra.write_table(found, rows, out):
        print(f"wrote {path}")
    if config.draw is not None:
        print(f"wrote {figures.draw_accuracy(rows, config.draw)}")
    sized = f"{config.preset}{config.tag}" + (f".{config.parameters}" if config.parameters else "")
    for row in rows:
        name = f"lra.{row['task']}.{sized}.{row['variant']}"
        record_numbers(config.record, dict(_numbers(row, name, {"accuracy": ("accuracy", "share")})))


def bench_lm(config: LMBench) -> None:
    """Train language models of equal size on a text, and test them on all of its test part.

    Examples:
        python -m lab lm enwik8 --mixers mamba serpent-mamba --steps 4000

    Raises:
        ConfigError: an unknown mixer, no seed, or a folder with runs of other settings.
        DataError: a text that cannot be read, or is too short.
        OutputError: the folder cannot be written.
    """
    torch.set_num_threads(config.threads)
    corpus = read_corpus(config.text, config.level)
    recipe, out = _sized(config.recipe, config), config.out / config.level
    found = lm.run_text(corpus, recipe, config.mixers, config.seeds, out, _tell)
    rows = lm.table(found, lm.measure_speeds(corpus, recipe, config.mixers, out))
    _show(rows, ("text", "variant", "parameters", "steps", "bits_a_byte", "deviation", "perplexity", "times_backbone"))
    write_json(out / f"results-{corpus.name}.json", {"runs": [vars(one) for one in found], "table": rows})
    if config.draw is not None:
        print(f"wrote {figures.draw_accuracy(rows, config.draw, metric='bits_a_byte', label='bits a byte')}")
    metrics = {"bpb": ("bits_a_byte", "bit"), "ppl": ("perplexity", "1")}
    for row in rows:
        name = f"lm.{row['text']}.{config.level}{config.tag}.{row['variant']}"
        record_numbers(config.record, dict(_numbers(row, name, metrics)))


def _sized(recipe: Any, config: _Common) -> Any:
    """Return a recipe with the changes of the command line."""
    recipe = dataclasses.replace(recipe, budget_s=config.budget_s)
    if config.parameters:
        recipe = dataclasses.replace(recipe, parameters=config.parameters)
    if config.steps:
        train = dataclasses.replace(recipe.train, steps=config.steps, warmup=max(1, config.steps // 10))
        recipe = dataclasses.replace(recipe, train=train)
    return recipe


def _half_interval(deviation: float, seeds: int) -> float:
    """Return half of the 95 % interval of a mean over seeds, by Student's t; 0 for one seed."""
    return float(t.ppf(0.975, seeds - 1)) * deviation / seeds**0.5 if seeds > 1 else 0.0


def _numbers(row: Mapping[str, Any], name: str, metrics: Mapping[str, tuple[str, str]]) -> Iterator[tuple[str, Number]]:
    """Return the ledger rows of one line of a table: metrics, the first with its interval, and costs."""
    for number, (short, (key, unit)) in enumerate(metrics.items()):
        half = _half_interval(row["deviation"] or 0.0, row["seeds"])
        limits = {"low": row[key] - half, "high": row[key] + half} if number == 0 and row["seeds"] > 1 else {}
        yield f"{name}.{short}", Number(row[key], unit, **limits)
    if row["deviation"] is not None:
        short, (_, unit) = next(iter(metrics.items()))
        yield f"{name}.{short}_deviation", Number(row["deviation"], unit)
    for key, unit in {"train_s": "s", "times_backbone": "1", "kept_mb": "MB", "parameters": "1"}.items():
        if row[key] is not None:
            yield f"{name}.{'params' if key == 'parameters' else key}", Number(row[key], unit)


def data_folder() -> Path | None:
    """Return the data folder of the environment, or the usual one if it exists."""
    place = Path(os.environ.get("EXUVIA_DATA", "../shared/data"))
    return place if place.is_dir() else None


def _tell(line: str) -> None:
    print(line, flush=True)


def _show(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    """Print aligned columns."""
    lines = [list(columns), *([_text(row[name]) for name in columns] for row in rows)]
    wide = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    for line in lines:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, wide, strict=True)))


def _text(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
