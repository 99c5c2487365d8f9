"""The files of a training's run folder: its checkpoint, and what a finished run holds."""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from torch import Tensor
from typing_extensions import TypedDict

from exuvia.checkpoint import WEIGHTS, load_metadata, load_tensors, part_of, provenance, save_tensors, write_config
from exuvia.errors import CheckpointError, ConfigError, DataError, OutputError
from exuvia.files import write_json
from exuvia.readers import as_type, parse_json, read_json

log = logging.getLogger(__name__)

CHECKPOINT = "checkpoint.safetensors"
RUN_FILES = ("config.json", WEIGHTS, CHECKPOINT, "provenance.json", "metrics.json", "metrics.jsonl")
"""Files that a training writes in addition to run.json."""


def finish_now(out: str | Path) -> dict[str, float]:
    """Turn the last checkpoint of a stopped run into a finished run, and return the metrics of its last or best
    validation. The best or averaged weights are used if there are any; the provenance records the step.
    Raises CheckpointError without a checkpoint, or if that is from before the first validation."""
    out = Path(out)
    tensors, facts = load_tensors(out / CHECKPOINT), load_metadata(out / CHECKPOINT)
    saved = saved_facts(out / CHECKPOINT, facts)
    validations = validations_of(saved["metrics"])
    if not validations:
        raise CheckpointError(f"{out} was stopped before its first validation; let it run longer")
    validated = validations[best_of(validations, saved["signature"]["train"].get("best", ""))]
    weights = part_of(tensors, "best") or part_of(tensors, "average") or part_of(tensors, "model")
    write_run(out, weights, saved["signature"], {"step": saved["step"], **saved["facts"]}, validated)
    return validated


def validations_of(lines: Iterable[Mapping[str, float]]) -> list[dict[str, float]]:
    """The metrics of every validation among the lines of a run."""
    metrics = ({k: v for k, v in line.items() if k.startswith("val/")} for line in lines)
    return [line for line in metrics if line]


def best_of(validations: Sequence[Mapping[str, float]], name: str) -> int:
    """Index of the validation with the best value of a metric, or of the last one if no metric is named.
    Raises ConfigError if validations do not have the metric."""
    if not name:
        return len(validations) - 1
    if f"val/{name}" not in validations[-1]:
        known = ", ".join(key.removeprefix("val/") for key in validations[-1])
        raise ConfigError(f"found no validation metric {name!r} to keep the best of; expected one of {known}")
    values = [line[f"val/{name}"] for line in validations]
    return values.index(min(values) if name == "loss" else max(values))


class About(TypedDict):
    """Everything that determines a run."""

    train: dict[str, Any]
    task: dict[str, Any]


class Saved(TypedDict):
    """Metadata of a checkpoint."""

    step: Annotated[int, Field(ge=0)]
    signature: About
    metrics: list[dict[str, int | float]]
    facts: dict[str, Any]


def saved_facts(path: Path, facts: Mapping[str, str]) -> Saved:
    """The facts in a checkpoint's metadata. Raises CheckpointError if they are damaged."""
    values = {name: parse_json(facts.get(name, "{}"), path, CheckpointError) for name in Saved.__annotations__}
    return as_type(Saved, values, path, CheckpointError)


def write_run(
    out: Path, weights: Mapping[str, Tensor], about: About, facts: Mapping[str, Any], validated: Mapping[str, float]
) -> None:
    """Write the files of a finished run, and delete its checkpoint. Raises OutputError."""
    save_tensors(out / WEIGHTS, weights)
    write_json(out / "provenance.json", provenance(seed=about["train"]["seed"], train=about["train"], **facts))
    write_json(out / "metrics.json", dict(validated))
    write_config(out, about["task"]["kind"], {k: v for k, v in about["task"].items() if k != "kind"})
    (out / CHECKPOINT).unlink(missing_ok=True)


def finished(out: Path, about: About) -> dict[str, float] | None:
    """Metrics of the finished run in a folder, or None if the training is not finished.
    Raises ConfigError for a run with other settings, OutputError or CheckpointError for other files."""
    if not (out / "run.json").exists():
        if taken := [name for name in RUN_FILES if (out / name).exists()]:
            raise OutputError(f"{out} holds {taken[0]}, but no run.json of a training; choose another folder")
        return None
    if not (out / "config.json").exists() or not (out / WEIGHTS).exists():
        return None
    try:
        run = read_json(out / "run.json")
    except DataError as error:
        raise CheckpointError(f"{out} holds weights but no run.json; choose another folder ({error})") from None
    if run != parse_json(json.dumps(about), "this training"):
        raise ConfigError(f"{out} holds a finished run with other settings; choose another folder or remove it")
    log.info("%s is finished already", out)
    path = out / "metrics.json"
    return as_type(dict[str, float], read_json(path, CheckpointError), path, CheckpointError)
