"""Names of motion formats."""

from exuvia.errors import ConfigError
from exuvia.registry import EXPORTER, suggest


def written_suffix(name: str) -> str:
    """Suffix of a format for output: ".npy" for "npy", ".npy" or "NPY". Raises ConfigError for an unknown format."""
    suffix = "." + name.lower().lstrip(".")
    if suffix not in EXPORTER:
        raise ConfigError(f"unknown motion format {suffix!r}; {suggest(suffix, EXPORTER)}")
    return suffix
