"""`python -m lab backbones`: generators of base codes side by side, their quality and what they cost."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch

from exuvia.config import settings
from exuvia.errors import ConfigError, DataError
from exuvia.evaluation.benchmark import MethodSpec, Plan, run_benchmark
from exuvia.files import read_json
from exuvia.judges.metrics import interval
from exuvia.pipeline.older import renamed
from exuvia.pipeline.pipeline import MotionPipeline
from lab import backbones
from lab.ledger.document import check_place, fill_file
from lab.ledger.numbers import record_number

QUALITY = {
    "fid": ("FID ↓", "fid", 2), "kid": ("KID ↓", "kid", 4), "r3": ("R@3 ↑", "r_precision@3", 3),
    "speed_m_per_s": ("speed, m/s", "mean_joint_speed_m_per_s", 2), "jerk": ("jerk, m/s³", "mean_jerk_m_per_s3", 0),
    "foot_skate": ("skating ↓", "foot_skate_rate", 3),
}  # fmt: skip
"""Name in the ledger -> heading, metric of the benchmark and decimals."""
PLACE = "backbones"


class Measured(NamedTuple):
    """A number; what was made with several seeds has an interval over them."""

    value: float
    unit: str
    low: float | None = None
    high: float | None = None


Found = Mapping[str, Mapping[str, Measured]]
"""For every generator its numbers by their names in the ledger."""


@settings(kw_only=True)
class BackbonesBench:
    """Which generators, on what."""

    pipelines: tuple[Path, ...]
    """Pipeline folders `NAME/packed` or `NAME`, as configs/backbones.sh makes them."""
    data: Path = Path("stores/mocap")
    """Folder made by `exuvia prepare`."""
    sensors: tuple[str, ...] = ("optical",)
    """Of the test clips whose captions are prompts."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Of generation, for quality."""
    frames: tuple[int, ...] = (196, 1000, 5000, 20000)
    """Lengths whose time and memory are measured."""
    workers: int = 2
    """Processes that evaluate; times are taken afterwards."""
    threads: int = 2
    """Threads of torch while times are taken."""
    quality: bool = True
    """Whether motions are generated and judged, too."""
    out: Path = Path("runs/backbones/bench")
    """Folder of the evaluations; a call that was stopped goes on there."""
    record: Path | None = None
    """Ledger to append the results to."""
    document: Path | None = None
    """Markdown file whose part between <!--table:backbones--> and <!--/table--> gets the table."""


def bench_backbones(config: BackbonesBench) -> None:
    """Judge each generator on the captions of the test clips, then time them in turn.

    Training time is that of a step, measured side by side, times the steps of the run that the generator came from.

    Examples:
        python -m lab backbones --pipelines runs/backbones/mamba runs/backbones/transformer

    Raises:
        ConfigError: the same name twice, or lengths of less than a code step.
        CheckpointError: a pipeline cannot be loaded.
        DataError: the data cannot be read.
        OutputError: the ledger, the document or the runs cannot be written.
    """
    if config.document is not None:
        check_place(config.document, PLACE)
    folders = named(config.pipelines)
    found: dict[str, dict[str, Measured]] = {name: {} for name in folders}
    if config.quality:
        for name, folder in folders.items():
            found[name] |= _quality(config, name, folder)
    torch.set_num_threads(config.threads)
    pipes = {name: MotionPipeline.from_pretrained(folder) for name, folder in folders.items()}
    costs = backbones.generation_costs({name: pipe.base for name, pipe in pipes.items()}, config.frames)
    for name, some in costs.items():
        for frames, cost in zip(config.frames, some, strict=True):
            found[name][f"generate_s.{frames}"] = Measured(cost.seconds, "s")
            if cost.peak_mb is not None:
                found[name][f"peak_mb.{frames}"] = Measured(cost.peak_mb, "MB")
    for model in (pipe.base for pipe in pipes.values()):
        model.requires_grad_(True)
    speeds = backbones.training_steps({name: pipe.base for name, pipe in pipes.items()})
    for name, pipe in pipes.items():
        steps = _steps(folders[name])
        found[name]["parameters"] = Measured(float(backbones.parameters(pipe.base)), "1")
        found[name]["step_ms"] = Measured(speeds[name].step_ms, "ms")
        if steps:
            found[name]["train_s"] = Measured(speeds[name].step_ms * steps / 1000, "s")
    for name, values in found.items():
        print(f"{name}: " + ", ".join(f"{key} {one.value:.4g} {one.unit}" for key, one in values.items()))
    if config.record is not None:
        _record(config, found)
    if config.document is not None:
        fill_file(config.document, PLACE, table(found, config.frames))


def _record(config: BackbonesBench, found: Found) -> None:
    assert config.record is not None
    words = ["python", "-m", "lab", "backbones", "--pipelines", *map(str, config.pipelines), "--data", str(config.data)]
    words += ["--sensors", *config.sensors, "--seeds", *map(str, config.seeds)]
    line = shlex.join([*words, "--threads", str(config.threads), "--record", str(config.record)])
    for name, values in found.items():
        for key, (value, unit, low, high) in values.items():
            place = f"backbone.{name}.{key}"
            record_number(config.record, place, value, unit=unit, command=line, low=low, high=high)


def named(folders: tuple[Path, ...]) -> dict[str, Path]:
    """Generators by the name of their run: the folder above `packed`, else the folder itself. Raises ConfigError."""
    found: dict[str, Path] = {}
    for folder in folders:
        packed = folder if (folder / "config.json").is_file() else folder / "packed"
        name = packed.parent.name if packed.name == "packed" else packed.name
        if name in found:
            raise ConfigError(f"found two generators named {name!r}, expected each name once")
        found[name] = packed
    if not found:
        raise ConfigError("found no generator; name folders with --pipelines")
    return found


def _quality(config: BackbonesBench, name: str, folder: Path) -> dict[str, Measured]:
    """Means and intervals over seeds of the unedited generator on all test captions."""
    plan = Plan(
        concept="violence", data=str(config.data), methods=(MethodSpec("none", "none", {}),),
        pipeline=str(folder), sensors=config.sensors, seeds=config.seeds,
    )  # fmt: skip
    path = run_benchmark(plan, config.out / name, config.workers, tell=lambda line: print(line, flush=True))
    results = read_json(path)
    rows = {row["metric"]: row["values"] for row in results["rows"] if (row["method"], row["set"]) == ("none", "all")}
    if not rows:
        raise DataError(f"{path} holds no values for all captions; delete {config.out / name} and run again")
    units = {metric: about["unit"] for metric, about in results["metrics"].items()}
    found = {}
    for key, (_, metric, _) in QUALITY.items():
        if metric in rows:
            some = interval(rows[metric])
            found[key] = Measured(some.mean, units[metric], some.low, some.high)
    return found


def _steps(folder: Path) -> int:
    """Training steps of the model of base codes, from the pipeline's history; 0 where it does not say."""
    parts = read_json(folder / "provenance.json").get("parts", {})
    return int(renamed(parts).get("base", {}).get("step", 0))


def table(found: Found, frames: tuple[int, ...]) -> str:
    """Markdown: what the generators make and what they cost, a line each; every number quotes its row of the ledger."""
    quality = {key: (head, digits) for key, (head, _, digits) in QUALITY.items()}
    cost = {"parameters": ("parameters", 0), "train_s": ("training, s", 0)}
    cost |= {f"generate_s.{n}": (f"{n:,} frames, s", 2) for n in frames}
    cost |= {f"peak_mb.{n}": (f"{n:,} frames, MB", 1) for n in frames}
    return "\n\n".join(part for part in (_lines(found, quality), _lines(found, cost)) if part)


def _lines(found: Found, columns: Mapping[str, tuple[str, int]]) -> str:
    columns = {key: column for key, column in columns.items() if any(key in values for values in found.values())}
    if not columns:
        return ""
    lines = [f"| generator | {' | '.join(head for head, _ in columns.values())} |", "|---" * (len(columns) + 1) + "|"]
    for name, values in found.items():
        cells = [_cell(name, key, values, digits) for key, (_, digits) in columns.items()]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(name: str, key: str, values: Mapping[str, Measured], digits: int) -> str:
    if key not in values:
        return ""
    return f"<!--n:backbone.{name}.{key}-->{values[key].value:.{digits}f}<!--/n-->"
