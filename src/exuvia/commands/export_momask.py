"""`exuvia export momask`: a pipeline as folders that MoMask's own scripts load."""

from dataclasses import dataclass
from pathlib import Path

import tyro


@dataclass(frozen=True)
class ExportMomaskConfig:
    """Which pipeline, and where to."""

    pipeline: tyro.conf.Positional[str]
    """A pipeline folder, such as one of `exuvia unlearn`."""
    out: tyro.conf.Positional[Path]
    """Folder of the checkpoints, such as checkpoints/t2m; an older one there is replaced."""


def export_momask(config: ExportMomaskConfig) -> None:
    """Write tokenizer, masked and residual transformer and length estimator in MoMask's released layout.

    A generator that came by `exuvia import momask` gets its folder names and options back, so that what loads the
    original loads the edited one.

    Raises:
        CheckpointError: no pipeline there, or one with parts that MoMask does not have.
        OutputError: the folder cannot be written.
    """
    from exuvia.pipeline.pipeline import MotionPipeline
    from exuvia.published.export import save_momask

    folder = save_momask(MotionPipeline.from_pretrained(config.pipeline), config.out)
    for path in sorted(folder.rglob("*.tar")):
        print(f"wrote {path}")
