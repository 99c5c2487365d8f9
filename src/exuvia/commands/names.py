"""`exuvia list`: lists methods, concepts, encoders and formats."""

from exuvia import registry
from exuvia.config import settings
from exuvia.errors import ConfigError

KINDS = {
    "methods": ("unlearning methods", registry.UNLEARN),
    "concepts": ("concepts that can be forgotten, with the words of their published lists", None),
    "encoders": ("caption encoders", registry.TEXT_ENCODER),
    "representations": ("motion features", registry.REPRESENTATION),
    "importers": ("motion files that can be read", registry.IMPORTER),
    "exporters": ("motion files that can be written", registry.EXPORTER),
}
"""Kind -> heading and table of names."""


@settings
class ListConfig:
    """Kind of names to list."""

    kind: str | None = None
    """methods, concepts, encoders, representations, importers or exporters; without it, all."""


def list_names(config: ListConfig) -> None:
    """Print all names that other commands accept, with their modules."""
    from exuvia.data.concepts import CONCEPT

    if config.kind is not None and config.kind not in KINDS:
        raise ConfigError(f"unknown kind {config.kind!r}; {registry.suggest(config.kind, KINDS)}")
    sections = []
    for kind in [config.kind] if config.kind else KINDS:
        heading, table = KINDS[kind]
        rows = table or {name: ", ".join(concept.keywords) for name, concept in CONCEPT.items()}
        width = max(map(len, rows))
        lines = [f"  {name:<{width}}  {about}".rstrip() for name, about in rows.items()]
        sections.append("\n".join([f"{kind}: {heading}", *lines]))
    print("\n\n".join(sections))
