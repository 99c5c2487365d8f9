"""The origin of a motion, as exported files state it, so that an edited generator's motion can be recognised."""

from typing import Any
from urllib.parse import quote

from exuvia.motion.clip import Clip

ORIGIN = ("prompt", "seed", "generator", "edits", "concept", "licence", "file")
"""Keys of `Clip.meta` that files state."""


def origin_of(clip: Clip) -> dict[str, Any]:
    """Return the known facts: prompt, seed, generator, edits, concept, licence, source file."""
    return {key: clip.meta[key] for key in ORIGIN if clip.meta.get(key) not in (None, "", [])}


def as_comment(clip: Clip) -> str:
    """Return the facts as ` # exuvia key=value; ...` in ASCII, or nothing; values are percent-encoded (RFC 3986)."""
    facts = origin_of(clip)
    pairs = [f"{key}={quote(str(value), safe=' ,.')}" for key, value in facts.items()]
    return f" # exuvia {'; '.join(pairs)}" if pairs else ""
