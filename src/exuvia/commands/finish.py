"""`exuvia checkpoint finish`: a finished run from the last checkpoint of one that was stopped."""

from pathlib import Path
from typing import Annotated

import tyro

from exuvia.config import settings


@settings
class FinishConfig:
    """Which run to finish."""

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Run folder with a checkpoint; no training may be writing to it."""


def finish(config: FinishConfig) -> None:
    """Take the last checkpoint as the result: weights, configuration, provenance (with the step) and metrics.

    Raises:
        CheckpointError: there is no checkpoint, or none with a validation before it.
        OutputError: the folder cannot be written.
    """
    from exuvia.train import finish_now

    metrics = finish_now(config.run)
    print(f"{config.run}: finished; {', '.join(f'{k} {v:.4g}' for k, v in metrics.items())}")
