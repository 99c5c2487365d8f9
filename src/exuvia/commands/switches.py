"""Switches that several commands share, and the translation of Python arguments in messages to switches."""

import logging
import re
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

from exuvia.config import FrameRate, Positive, settings
from exuvia.errors import ConfigError
from exuvia.motion.source import ARGUMENT, Source
from exuvia.registry import EXPORTER, suggest


@settings(kw_only=True)
class OverwriteSwitch:
    """Switch of all commands that write a folder."""

    overwrite: bool = False
    """Whether to replace the folder whatever it contains."""


@settings(kw_only=True)
class SourceSwitches:
    """Facts that motion files do not state."""

    source_fps: FrameRate | None = None
    """Frames per second of the files, if they state none or a wrong value."""
    source_unit_m: Positive | None = None
    """Metres per unit of the files; without it, derived from the length of the legs."""
    source_up: Literal["y", "z"] | None = None
    """Upward axis of the files; without it, the one along which the body stands."""
    names: Path | None = None
    """TOML file with the joint names of an unknown rig: lines such as left_hip = "Thigh_L"."""
    asf: Path | None = None
    """Skeleton file of .amc files, if it is in another folder."""
    body_models: Path | None = None
    """Folder of the licensed body models that AMASS files need."""

    def as_source(self) -> Source:
        """Convert to the argument of motion readers."""
        return Source(self.source_fps, self.source_unit_m, self.source_up, self.asf, self.body_models, self.names)


def in_switches(sentence: str, config: Any) -> str:
    """Replace `Source(fps=...)` and `pass data=` in a sentence by switches."""
    known = {field.name for field in fields(config)} if config is not None else set()

    def source(match: re.Match[str]) -> str:
        name = match[1] if match[1] in ("asf", "body_models", "names") else f"source_{match[1]}"
        switch = f"--{name.replace('_', '-')}"
        return switch if name in known else f"{switch} (of exuvia import motion)"

    def argument(match: re.Match[str]) -> str:
        switch = f"--{match[2].replace('_', '-')}"
        return f"{'give' if match[1] == 'pass' else match[1]} {switch}" if match[2] in known else match[0]

    return re.sub(r"\b(pass|or) (\w+)=(?!\w)", argument, ARGUMENT.sub(source, sentence))


def show_warnings_in_switches(config: Any) -> None:
    """Let the warnings of motion readers name the command's switches."""
    from exuvia.motion.load import logger

    def translate(record: logging.LogRecord) -> bool:
        record.msg, record.args = in_switches(record.getMessage(), config), ()
        return True

    logger.filters[:] = [translate]


def written_suffix(name: str) -> str:
    """Suffix of a format for output: ".npy" for "npy", ".npy" or "NPY". Raises ConfigError for an unknown format."""
    suffix = "." + name.lower().lstrip(".")
    if suffix not in EXPORTER:
        raise ConfigError(f"unknown motion format {suffix!r}; {suggest(suffix, EXPORTER)}")
    return suffix
