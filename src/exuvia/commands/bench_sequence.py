"""`exuvia bench lra` and `exuvia bench lm`: does selective resampling help, at equal parameters and equal steps?"""

import dataclasses
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tyro

from exuvia.bench.lm.corpus import read_corpus
from exuvia.bench.lm.run import Recipe as TextRecipe
from exuvia.bench.lm.run import run_text
from exuvia.bench.lra.problems import Source, load_problem, recipe_of
from exuvia.bench.lra.run import run_problem, table, write_table
from exuvia.commands.numbers import record_number
from exuvia.commands.table import part
from exuvia.files import write_json

MIXERS = ("transformer", "s4d", "mamba", "serpent-s4d", "serpent-mamba", "uniform-s4d", "uniform-mamba")


@dataclass(frozen=True, kw_only=True)
class _Common:
    mixers: tuple[str, ...] = MIXERS
    """Kinds of layers; `uniform` is SeRpEnt with unlearned intervals, the ablation of its selectivity."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """A model each."""
    budget_s: float = 0.0
    """Seconds of training a model, in place of the preset's steps; 0: the steps count."""
    threads: int = 2
    """Threads of torch."""
    record: Path | None = None
    """Ledger to append the results to."""


@dataclass(frozen=True, kw_only=True)
class LRABench(_Common):
    """Which tasks, which models."""

    tasks: tuple[str, ...] = ("listops", "text", "image")
    """listops, text, image, retrieval, pathfinder, pathx; and the probes induction, copying, events."""
    preset: Literal["short", "full"] = "short"
    """short: for two cores; full: the published sizes and steps."""
    data: Path | None = None
    """Folder with aclImdb (or its archive) and cifar10; the folder of EXUVIA_DATA without it."""
    out: Path = Path("runs/lra")
    """Folder of the runs; a call that was stopped goes on there."""


@dataclass(frozen=True, kw_only=True)
class LMBench(_Common):
    """Which text, which models."""

    text: tyro.conf.Positional[Path]
    """A folder or archive of WikiText-103 or the Penn Treebank, enwik8, or any file."""
    level: Literal["bytes", "words"] = "bytes"
    """What a token is."""
    recipe: TextRecipe = dataclasses.field(default_factory=TextRecipe)
    """Sizes and rates."""
    out: Path = Path("runs/lm")
    """Folder of the runs; a call that was stopped goes on there."""


def bench_lra(config: LRABench) -> None:
    """Train classifiers of equal size on tasks of the Long Range Arena and on probes, and test them.

    Examples:
        exuvia bench lra --tasks listops --mixers mamba serpent-mamba --data ../data

    Raises:
        ConfigError: an unknown task or mixer.
        DataError: data that are not there.
        OutputError: the folder cannot be written.
    """
    part("set_threads")(config.threads)
    found = []
    for task in config.tasks:
        recipe = dataclasses.replace(recipe_of(task, config.preset), budget_s=config.budget_s)
        problem = load_problem(task, Source(config.data or _data(), config.out / "data", config.preset))
        found += run_problem(problem, recipe, config.mixers, config.seeds, config.out / config.preset, _tell)
    rows = table(found)
    _show(
        rows, ("task", "mixer", "parameters", "steps", "accuracy", "deviation", "chance", "step_ms", "times_backbone")
    )
    for path in write_table(found, config.out):
        print(f"wrote {path}")
    if config.record is not None:
        words = [
            "exuvia",
            "bench",
            "lra",
            "--tasks",
            *config.tasks,
            "--preset",
            config.preset,
            "--mixers",
            *config.mixers,
        ]
        line = shlex.join(
            [*words, "--seeds", *map(str, config.seeds), *_budget(config), "--record", str(config.record)]
        )
        for row in rows:
            half = 1.96 * (row["deviation"] or 0.0) / row["seeds"] ** 0.5
            name, value = f"lra.{row['task']}.{row['mixer']}.{config.preset}", row["accuracy"]
            record_number(
                config.record,
                f"{name}.accuracy",
                value,
                unit="share",
                command=line,
                low=value - half,
                high=value + half,
            )
            record_number(config.record, f"{name}.step_ms", row["step_ms"], unit="ms", command=line)


def bench_lm(config: LMBench) -> None:
    """Train language models of equal size on a text, and test them on all of its test part.

    Examples:
        exuvia bench lm enwik8 --mixers mamba serpent-mamba --recipe.train.steps 4000

    Raises:
        ConfigError: an unknown mixer.
        DataError: a text that cannot be read, or is too short.
        OutputError: the folder cannot be written.
    """
    part("set_threads")(config.threads)
    corpus = read_corpus(config.text, config.level)
    recipe = dataclasses.replace(config.recipe, budget_s=config.budget_s)
    found = run_text(corpus, recipe, config.mixers, config.seeds, config.out, _tell)
    rows = [vars(one) for one in found]
    _show(rows, ("text", "mixer", "seed", "parameters", "steps", "perplexity", "bits_a_byte", "step_ms"))
    write_json(config.out / "results.json", {"runs": rows})
    if config.record is not None:
        words = ["exuvia", "bench", "lm", str(config.text), "--level", config.level, "--mixers", *config.mixers]
        line = shlex.join(
            [*words, "--seeds", *map(str, config.seeds), *_budget(config), "--record", str(config.record)]
        )
        for mixer in config.mixers:
            for metric, unit in (("bits_a_byte", "bit"), ("perplexity", "1"), ("step_ms", "ms")):
                interval = part("interval")([row[metric] for row in rows if row["mixer"] == mixer])
                limits = {} if len(config.seeds) == 1 else {"low": interval.low, "high": interval.high}
                name = f"lm.{corpus.name}.{config.level}.{mixer}.{metric}"
                record_number(config.record, name, interval.mean, unit=unit, command=line, **limits)


def _data() -> Path | None:
    """The data folder that the environment names, or the usual one where it is there."""
    place = Path(os.environ.get("EXUVIA_DATA", "../shared/data"))
    return place if place.is_dir() else None


def _budget(config: _Common) -> list[str]:
    return ["--budget-s", f"{config.budget_s:g}"] if config.budget_s else []


def _tell(line: str) -> None:
    print(line, flush=True)


def _show(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    """Aligned columns."""
    lines = [list(columns), *([_text(row[name]) for name in columns] for row in rows)]
    wide = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    for line in lines:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, wide, strict=True)))


def _text(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
