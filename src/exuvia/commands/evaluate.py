"""`exuvia evaluate`: an edited pipeline against its original, as a JSON file and a table."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from exuvia.commands.report import table_of
from exuvia.commands.table import part
from exuvia.errors import ConfigError
from exuvia.files import write_json


@dataclass(frozen=True)
class EvaluateConfig:
    """What to compare, and by which benchmark."""

    pipeline: tyro.conf.Positional[str]
    """Edited pipeline: a folder or a shipped name."""
    original: str = "base"
    """The pipeline before the edit."""
    benchmark: str = "violence"
    """Concept whose forgetting is measured."""
    out: Path = Path("report.json")
    """Where the numbers go (.json)."""
    device: str = "cpu"
    """Where the models run: cpu, cuda, cuda:1, mps."""


def evaluate(config: EvaluateConfig) -> None:
    """Measure how far an edited pipeline forgot a concept and kept everything else, beside the original.

    Raises:
        ConfigError: an output that is not .json, or an unknown benchmark.
        CheckpointError: a pipeline cannot be loaded.
        OutputError: the report cannot be written.
    """
    if config.out.suffix.lower() != ".json":
        raise ConfigError(f"found the output {config.out}, expected a .json file")
    load = part("pipeline").from_pretrained
    edited, original = (load(name, device=config.device) for name in (config.pipeline, config.original))
    result = part("evaluate")(edited, original=original, benchmark=config.benchmark).to_dict()
    write_json(config.out, result)
    print(table_of({config.out.stem: result}))
    print(f"\n{config.out}")
