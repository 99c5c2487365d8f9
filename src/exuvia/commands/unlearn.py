"""`exuvia unlearn METHOD`: a pipeline in, a pipeline that has forgotten out."""

import dataclasses
import inspect
import time
import typing
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from exuvia.errors import OutputError
from exuvia.registry import UNLEARN, resolve


@dataclass(frozen=True)
class UnlearnConfig:
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
    overwrite: bool = False
    """Replace a pipeline that is already in the folder."""
    undo: Path | None = None
    """File to keep what `exuvia undo` needs to take the edit back; it brings the concept back, so keep it apart."""


def unlearn(config: Any) -> None:
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

    _refuse_taken(config.out, config.overwrite)
    pipe = MotionPipeline.from_pretrained(config.pipeline)
    started = time.perf_counter()
    safe = unlearn_concept(
        config.method, pipe, forget=config.forget, data=config.data, rule=config.rule, **_settings(config)
    )
    seconds = time.perf_counter() - started
    if config.undo is not None:
        save_undo(config.undo, pipe, safe)
    safe.save_pretrained(config.out)
    print(f"{config.out}: {config.pipeline} without {config.forget}, by {config.method} in {seconds:.2f} s")


@dataclass(frozen=True)
class UndoConfig:
    """What to take back."""

    pipeline: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="PIPELINE")]
    """The edited pipeline's folder; it stays as it is."""
    record: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RECORD")]
    """What `exuvia unlearn METHOD --undo FILE` kept."""
    out: Path
    """Folder of the restored pipeline."""
    overwrite: bool = False
    """Replace a pipeline that is already in the folder."""


def undo(config: UndoConfig) -> None:
    """Save a copy of an edited pipeline as it was before the edit, bit for bit.

    Raises:
        CheckpointError: the pipeline or the record cannot be loaded, or do not belong together.
        OutputError: the folder is not empty, or cannot be written.
    """
    from exuvia.pipeline.pipeline import MotionPipeline
    from exuvia.unlearning.undo import undo as undo_edit

    _refuse_taken(config.out, config.overwrite)
    restored = undo_edit(MotionPipeline.from_pretrained(config.pipeline), config.record)
    restored.save_pretrained(config.out)
    print(f"{config.out}: {config.pipeline} before the edit")


def _refuse_taken(out: Path, overwrite: bool) -> None:
    if out.exists() and not overwrite and (out.is_file() or any(out.iterdir())):
        raise OutputError(f"{out} already exists; choose another folder or add --overwrite")


def settings_type(command: str) -> type:
    """The configuration class of `unlearn METHOD`: `UnlearnConfig` and the method's own settings, side by side."""
    method = command.split()[-1]
    own = method_settings(resolve(UNLEARN, method, "unlearning method"))
    fields: list[Any] = [("method", tyro.conf.Suppress[str], field(default=method))]
    if own is not None:
        flat = Annotated[own, tyro.conf.arg(name="")]  # type: ignore[valid-type]
        fields.append(("settings", flat, field(default_factory=own)))
    return make_dataclass(f"{method.title()}Command", fields, bases=(UnlearnConfig,), frozen=True)


def method_settings(method: Any) -> type | None:
    """The dataclass that holds a method's settings: the method itself, or what its constructor takes first."""
    if dataclasses.is_dataclass(method):
        return typing.cast(type, method)
    parameters = list(inspect.signature(method).parameters)
    kind = typing.get_type_hints(method.__init__).get(parameters[0]) if parameters else None
    return typing.cast(type, kind) if dataclasses.is_dataclass(kind) else None


def _settings(config: Any) -> dict[str, Any]:
    own = getattr(config, "settings", None)
    return {f.name: getattr(own, f.name) for f in dataclasses.fields(own) if f.init} if own is not None else {}
