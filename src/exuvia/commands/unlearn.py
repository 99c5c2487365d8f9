"""`exuvia unlearn METHOD` and `undo`: edits a pipeline to forget a concept, and restores it."""

import time
from collections.abc import Sequence
from dataclasses import field, fields
from pathlib import Path
from typing import Annotated

import tyro

from exuvia.commands.switches import OverwriteSwitch
from exuvia.config import settings
from exuvia.errors import ConfigError, OutputError
from exuvia.files import check_folder
from exuvia.registry import DEFAULT_GENERATOR
from exuvia.unlearning.settings import MethodSettings, NoneConfig, method_settings


@settings
class UnlearnConfig(OverwriteSwitch):
    """Settings of every method."""

    out: Path
    """Folder of the edited pipeline."""
    pipeline: str = DEFAULT_GENERATOR
    """A shipped pipeline's name or a pipeline folder; it is not changed."""
    forget: str = "violence"
    """Concept to forget (exuvia list --kind concepts); several joined by +, as in kick+jump."""
    data: Path | None = None
    """Data set made by `exuvia prepare` from which to learn the concept; without it, the counts that the pipeline
    ships."""
    rule: str = "auto"
    """Rule that decides which clips show the concept: label, words, released, or auto."""
    undo: Path | None = None
    """File for the record that `exuvia undo` needs; it restores the concept: do not distribute it."""
    method: tyro.conf.Suppress[str] = "none"
    """The second word of the command."""
    settings: tyro.conf.Suppress[MethodSettings] = field(default_factory=NoneConfig)
    """The method's own settings."""


def unlearn(config: UnlearnConfig) -> None:
    """Make a copy of a trained pipeline forget a concept, and save the copy."""
    from exuvia.pipeline.pipeline import MotionPipeline
    from exuvia.unlearning.base import unlearn as unlearn_concept
    from exuvia.unlearning.undo import save_undo

    sources = [read for read in (config.pipeline, config.data) if read]
    _refuse_taken(config.out, config.overwrite, sources)
    if config.undo is not None and config.out.resolve() in config.undo.resolve().parents:
        raise ConfigError(
            f"--undo {config.undo} lies inside --out {config.out}; keep the record apart from the weights"
        )
    pipe = MotionPipeline.from_pretrained(config.pipeline)
    started = time.perf_counter()
    options = {f.name: getattr(config.settings, f.name) for f in fields(config.settings)}  # type: ignore[arg-type]
    safe = unlearn_concept(config.method, pipe, forget=config.forget, data=config.data, rule=config.rule, **options)
    seconds = time.perf_counter() - started
    if config.undo is not None:
        save_undo(config.undo, pipe, safe)
    safe.save_pretrained(config.out, overwrite=config.overwrite)
    print(f"{config.out}: {config.pipeline} without {config.forget}, by {config.method} in {seconds:.2f} s")


@settings
class UndoConfig(OverwriteSwitch):
    """Edit to undo."""

    pipeline: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="PIPELINE")]
    """The edited pipeline's folder; it is not changed."""
    record: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RECORD")]
    """Record of `exuvia unlearn METHOD --undo FILE`."""
    out: Path
    """Folder of the restored pipeline."""


def undo(config: UndoConfig) -> None:
    """Save a copy of an edited pipeline in its state before the edit, bit for bit."""
    from exuvia.pipeline.pipeline import MotionPipeline
    from exuvia.unlearning.undo import undo as undo_edit

    _refuse_taken(config.out, config.overwrite, [config.pipeline, config.record])
    restored = undo_edit(MotionPipeline.from_pretrained(config.pipeline), config.record)
    restored.save_pretrained(config.out, overwrite=config.overwrite)
    print(f"{config.out}: {config.pipeline} before the edit")


def _refuse_taken(out: Path, overwrite: bool, sources: Sequence[str | Path]) -> None:
    """Raise OutputError for a folder that is not empty, even if it holds a pipeline, without --overwrite."""
    target = check_folder(out, "pipeline", overwrite=overwrite, sources=sources)
    if not overwrite and target.exists() and any(target.iterdir()):
        raise OutputError(f"{out} already exists; choose another folder or add --overwrite")


def settings_type(command: str) -> type[UnlearnConfig]:
    """The configuration class of `unlearn METHOD`: `UnlearnConfig` and the method's own settings as one class."""
    method = command.split()[-1]
    options = method_settings(method)
    flat = Annotated[options, tyro.conf.arg(name="")]  # type: ignore[valid-type]
    fields = {"method": method, "settings": field(default_factory=options)}
    types = {"method": tyro.conf.Suppress[str], "settings": flat}
    return settings(type(f"{method.title()}Command", (UnlearnConfig,), {**fields, "__annotations__": types}))
