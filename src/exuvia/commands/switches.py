"""Switches that say what a motion file does not, and errors of the Python interface in words of the command line."""

import re
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from exuvia.config import FrameRate, Positive, settings

if TYPE_CHECKING:
    from exuvia.motion.source import Source


@settings(kw_only=True)
class OverwriteSwitch:
    """Of every command that makes a folder of one kind."""

    overwrite: bool = False
    """Replace the folder, whatever it holds."""


@settings(kw_only=True)
class SourceSwitches:
    """What motion files do not say themselves."""

    source_fps: FrameRate | None = None
    """Frames a second of the files, where they do not say so or say it wrongly."""
    source_unit_m: Positive | None = None
    """Metres in one unit of the files; without it found from the length of the legs."""
    source_up: Literal["y", "z"] = "y"
    """Upward axis of array files."""
    asf: Path | None = None
    """Skeleton of .amc files that lies elsewhere."""
    body_models: Path | None = None
    """Folder of the licensed body models that AMASS files need."""

    def as_source(self) -> "Source":
        """For the readers of motion files."""
        from exuvia.motion.source import Source

        return Source(self.source_fps, self.source_unit_m, self.source_up, self.asf, self.body_models)


def in_switches(sentence: str, config: Any) -> str:
    """A sentence with `Source(fps=...)` and `pass data=` as switches; of another command where this one has none."""
    known = {field.name for field in fields(config)} if config is not None else set()

    def source(match: re.Match[str]) -> str:
        name = match[1] if match[1] in ("asf", "body_models") else f"source_{match[1]}"
        switch = f"--{name.replace('_', '-')}"
        return switch if name in known else f"{switch} (of exuvia import motion)"

    def argument(match: re.Match[str]) -> str:
        return f"{'give' if match[1] == 'pass' else match[1]} --{match[2]}" if match[2] in known else match[0]

    return re.sub(r"\b(pass|or) (\w+)=(?!\w)", argument, re.sub(r"Source\((\w+)=\.\.\.\)", source, sentence))
