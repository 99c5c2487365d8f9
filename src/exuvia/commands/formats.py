"""Formats of motion files, as they are typed."""

from exuvia.errors import ConfigError
from exuvia.registry import EXPORTER, suggest


def written_suffix(name: str) -> str:
    """The suffix of a format that can be written: ".npy" for "npy", ".npy" or "NPY". Raises ConfigError."""
    suffix = "." + name.lower().lstrip(".")
    if suffix not in EXPORTER:
        raise ConfigError(f"unknown motion format {suffix!r}; {suggest(suffix, EXPORTER)}")
    return suffix
