"""`exuvia unlearn METHOD`: a pipeline in, a pipeline that has forgotten out."""

import time
from collections.abc import Sequence
from dataclasses import field, fields
from pathlib import Path
from typing import Annotated

import tyro

from exuvia.commands.switches import OverwriteSwitch
from exuvia.config import settings
from exuvia.errors import OutputError
from exuvia.files import check_folder
from exuvia.unlearning.settings import MethodSettings, NoneConfig, method_settings


@settings
class UnlearnConfig(OverwriteSwitch):
    """What every method needs to know."""

    out: Path
    """Folder of the edited pipeline."""
    pipeline: str = "base"
    """A shipped pipeline's name or a pipeline folder; it stays as it is."""
    forget: str = "violence"
    """Concept to forget (exuvia list --kind concepts); several joined by +, as in kick+jump."""
    data: Path | None = None
    """Folder made by `exuvia prepare` to learn the concept from; without it the counts that the pipeline ships."""
    rule: str = "auto"
    """Which clips of the data show the concept: label, words, released, or auto."""
    undo: Path | None = None
    """File to keep what `exuvia undo` needs to take the edit back; it brings the concept back, so keep it apart."""
    method: tyro.conf.Suppress[str] = "none"
    """The second word of the command."""
    settings: tyro.conf.Suppress[MethodSettings] = field(default_factory=NoneConfig)
    """The method's own settings."""


def unlearn(config: UnlearnConfig) -> None:
    """Edit a copy of a trained pipeline so that it no longer makes a concept, and save the copy.

    Args:
        config: of the class that `settings_type` makes for the method
    Raises:
        ConfigError: an unknown concept or setting.
        CheckpointError: the pipeline cannot be loaded.
        OutputError: the folder is not empty, or cannot be written.
    """
    from exuvia.pipeline.pipeline import MotionPipeline
    from exuvia.unlearning.base import unlearn as unlearn_concept
    from exuvia.unlearning.undo import save_undo

    sources = [read for read in (config.pipeline, config.data) if read]
    _refuse_taken(config.out, config.overwrite, sources)
    pipe = MotionPipeline.from_pretrained(config.pipeline)
    started = time.perf_counter()
    own = {f.name: getattr(config.settings, f.name) for f in fields(config.settings)}  # type: ignore[arg-type]
    safe = unlearn_concept(config.method, pipe, forget=config.forget, data=config.data, rule=config.rule, **own)
    seconds = time.perf_counter() - started
    if config.undo is not None:
        save_undo(config.undo, pipe, safe)
    safe.save_pretrained(config.out, overwrite=config.overwrite)
    print(f"{config.out}: {config.pipeline} without {config.forget}, by {config.method} in {seconds:.2f} s")


@settings
class UndoConfig(OverwriteSwitch):
    """What to take back."""

    pipeline: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="PIPELINE")]
    """The edited pipeline's folder; it stays as it is."""
    record: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RECORD")]
    """What `exuvia unlearn METHOD --undo FILE` kept."""
    out: Path
    """Folder of the restored pipeline."""


def undo(config: UndoConfig) -> None:
    """Save a copy of an edited pipeline as it was before the edit, bit for bit."""
    from exuvia.pipeline.pipeline import MotionPipeline
    from exuvia.unlearning.undo import undo as undo_edit

    _refuse_taken(config.out, config.overwrite, [config.pipeline, config.record])
    restored = undo_edit(MotionPipeline.from_pretrained(config.pipeline), config.record)
    restored.save_pretrained(config.out, overwrite=config.overwrite)
    print(f"{config.out}: {config.pipeline} before the edit")


def _refuse_taken(out: Path, overwrite: bool, sources: Sequence[str | Path]) -> None:
    """Raise OutputError for a folder that holds anything, a pipeline of the same kind included, without --overwrite."""
    target = check_folder(out, "pipeline", overwrite=overwrite, sources=sources)
    if not overwrite and target.exists() and any(target.iterdir()):
        raise OutputError(f"{out} already exists; choose another folder or add --overwrite")


def settings_type(command: str) -> type[UnlearnConfig]:
    """The configuration class of `unlearn METHOD`: `UnlearnConfig` with the method's own settings beside its fields."""
    method = command.split()[-1]
    own = method_settings(method)
    flat = Annotated[own, tyro.conf.arg(name="")]  # type: ignore[valid-type]
    fields = {"method": method, "settings": field(default_factory=own)}
    types = {"method": tyro.conf.Suppress[str], "settings": flat}
    return settings(type(f"{method.title()}Command", (UnlearnConfig,), {**fields, "__annotations__": types}))
