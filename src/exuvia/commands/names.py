"""`exuvia list`: methods, encoders, formats and concepts by name."""

from collections.abc import Iterable
from dataclasses import dataclass

from exuvia import registry
from exuvia.errors import ConfigError

KINDS = {
    "methods": ("UNLEARN", "unlearning methods"),
    "concepts": ("CONCEPT", "concepts that can be forgotten"),
    "encoders": ("TEXT_ENCODER", "text encoders"),
    "representations": ("REPRESENTATION", "motion features"),
    "importers": ("IMPORTER", "files that can be read"),
    "exporters": ("EXPORTER", "files that can be written"),
    "goldens": ("GOLDEN", "parity cases"),
}
"""Kind -> its table in registry.py, and a heading."""


@dataclass(frozen=True)
class ListConfig:
    """What to list."""

    kind: str | None = None
    """methods, concepts, encoders, representations, importers, exporters or goldens; without it, all but goldens."""


def list_names(config: ListConfig) -> None:
    """Print every name that other commands accept, with the module that it stands for.

    Raises:
        ConfigError: no such kind.
    """
    if config.kind is not None and config.kind not in KINDS:
        raise ConfigError(f"unknown kind {config.kind!r}; {registry.suggest(config.kind, KINDS)}")
    wanted = [config.kind] if config.kind else [kind for kind in KINDS if kind != "goldens"]
    print("\n\n".join(text for kind in wanted if (text := _section(kind))))


def _section(kind: str) -> str:
    variable, heading = KINDS[kind]
    table = getattr(registry, variable, {})
    return "\n".join([f"{kind}: {heading}", *_rows(table.items())]) if table else ""


def _rows(items: Iterable[tuple[str, str]]) -> list[str]:
    rows = list(items)
    width = max(len(name) for name, _ in rows)
    return [f"  {name:<{width}}  {target}" for name, target in rows]
