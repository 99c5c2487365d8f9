"""`python -m lab backbones`: compares the quality and cost of generators of base codes."""

from pathlib import Path

import torch

from exuvia.config import settings
from exuvia.errors import ConfigError, DataError
from exuvia.evaluation.benchmark import MethodSpec, Plan
from exuvia.pipeline.parts import renamed
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.readers import read_json
from lab import backbones
from lab.benchmark import benchmark_report
from lab.ledger.numbers import Number, record_numbers

QUALITY = {
    "fid": "fid", "kid": "kid", "r3": "r_precision@3", "speed_m_per_s": "mean_joint_speed_m_per_s",
    "jerk": "mean_jerk_m_per_s3", "foot_skate": "foot_skate_rate",
}  # fmt: skip
"""Name in the ledger -> metric of the benchmark."""


@settings(kw_only=True)
class BackbonesBench:
    """The generators to compare, and the data."""

    pipelines: tuple[Path, ...]
    """Pipeline folders `NAME/packed` or `NAME`, as configs/backbones.sh makes them."""
    data: Path = Path("stores/mocap")
    """Folder made by `exuvia prepare`."""
    sensors: tuple[str, ...] = ("optical",)
    """Sensors of the test clips whose captions are prompts."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Seeds of generation for the quality metrics."""
    frames: tuple[int, ...] = (196, 1000, 5000, 20000)
    """Lengths whose time and memory are measured."""
    workers: int = 2
    """Number of evaluation processes; times are measured afterwards."""
    threads: int = 2
    """Threads of torch while times are measured."""
    quality: bool = True
    """Also generate and judge motions."""
    out: Path = Path("runs/backbones/bench")
    """Folder of the evaluations; an interrupted call continues there."""
    record: Path | None = None
    """Ledger to append the results to."""


def bench_backbones(config: BackbonesBench) -> None:
    """Judge each generator on the captions of the test clips, then time them in turn.

    Training time is that of a step, measured side by side, times the steps of the run that the generator came from.

    Examples:
        python -m lab backbones --pipelines runs/backbones/mamba runs/backbones/transformer

    Raises:
        ConfigError: the same name twice, or lengths of less than a code step.
        CheckpointError: a pipeline cannot be loaded.
        DataError: the data cannot be read.
        OutputError: the ledger or the runs cannot be written.
    """
    folders = named(config.pipelines)
    found: dict[str, dict[str, Number]] = {name: {} for name in folders}
    if config.quality:
        for name, folder in folders.items():
            found[name] |= _quality(config, name, folder)
    torch.set_num_threads(config.threads)
    pipes = {name: MotionPipeline.from_pretrained(folder) for name, folder in folders.items()}
    costs = backbones.generation_costs({name: pipe.base for name, pipe in pipes.items()}, config.frames)
    for name, some in costs.items():
        for frames, cost in zip(config.frames, some, strict=True):
            found[name][f"generate_s.{frames}"] = Number(cost.seconds, "s")
            if cost.peak_mb is not None:
                found[name][f"peak_mb.{frames}"] = Number(cost.peak_mb, "MB")
    for model in (pipe.base for pipe in pipes.values()):
        model.requires_grad_(True)
    speeds = backbones.training_steps({name: pipe.base for name, pipe in pipes.items()})
    for name, pipe in pipes.items():
        steps = _steps(folders[name])
        found[name]["parameters"] = Number(float(backbones.parameters(pipe.base)), "1")
        found[name]["step_ms"] = Number(speeds[name].step_ms, "ms")
        if steps:
            found[name]["train_s"] = Number(speeds[name].step_ms * steps / 1000, "s")
    for name, values in found.items():
        print(f"{name}: " + ", ".join(f"{key} {one.value:.4g} {one.unit}" for key, one in values.items()))
    numbers = {f"backbone.{name}.{key}": number for name, values in found.items() for key, number in values.items()}
    record_numbers(config.record, numbers)


def named(folders: tuple[Path, ...]) -> dict[str, Path]:
    """Return generators by the name of their run: the folder above `packed`, else the folder. Raises ConfigError."""
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


def _quality(config: BackbonesBench, name: str, folder: Path) -> dict[str, Number]:
    """Return means and intervals over seeds of the unedited generator on all test captions."""
    plan = Plan(
        concept="violence", data=str(config.data), methods=(MethodSpec("none", "none", {}),),
        pipeline=str(folder), sensors=config.sensors, seeds=config.seeds,
    )  # fmt: skip
    report = benchmark_report(plan, config.out / name, config.workers)
    rows = {row.metric: row.values for row in report.rows if (row.method, row.set) == ("none", "all")}
    if not rows:
        raise DataError(f"{config.out / name} holds no values for all captions; delete it and run again")
    named_rows = {key: metric for key, metric in QUALITY.items() if metric in rows}
    return {key: Number.over(rows[metric], report.metrics[metric].unit) for key, metric in named_rows.items()}


def _steps(folder: Path) -> int:
    """Return the training steps of the model of base codes, from the pipeline's provenance; 0 if unknown."""
    parts = read_json(folder / "provenance.json").get("parts", {})
    return int(renamed(parts).get("base", {}).get("step", 0))
