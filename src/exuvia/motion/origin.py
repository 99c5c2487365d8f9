"""The origin of a motion, as exported files state it, so that an edited generator's motion can be recognised."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

from exuvia.motion.clip import Clip

ORIGIN = ("prompt", "seed", "generator", "edits", "concept", "licence", "file")
"""Keys of `Clip.meta` that files state."""
_LICENCE = re.compile(r"^(license_name|license):[ \t]*(\S+)", re.MULTILINE)
_COMMENT = re.compile(r"# exuvia ([^\r\n]*)")


def origin_of_weights(provenance: Mapping[str, Any], card: str) -> dict[str, str]:
    """Return generator, edits, concept and licence, where a pipeline's provenance and model card name them."""
    version, commit, edits = (provenance.get(key) for key in ("exuvia", "commit", "edits"))
    terms = dict(_LICENCE.findall(card.partition("\n---")[0]))
    facts = {
        "generator": f"exuvia {version}, weights of commit {commit}" if version and commit else "",
        "edits": ", ".join(str(edit.get("method")) for edit in edits or []),
        "concept": ", ".join(dict.fromkeys(str(edit["forget"]) for edit in edits or [] if "forget" in edit)),
        "licence": terms.get("license_name") or terms.get("license", ""),
    }
    return {key: value for key, value in facts.items() if value}


def origin_of(clip: Clip) -> dict[str, Any]:
    """Return the known facts: prompt, seed, generator, edits, concept, licence, source file."""
    return {key: clip.meta[key] for key in ORIGIN if clip.meta.get(key) not in (None, "", [])}


def as_comment(clip: Clip) -> str:
    """Return the facts as ` # exuvia key=value; ...` in ASCII, or nothing; values are percent-encoded (RFC 3986)."""
    pairs = [f"{key}={quote(str(value), safe=',.')}" for key, value in origin_of(clip).items()]
    return f" # exuvia {'; '.join(pairs)}" if pairs else ""


def from_comment(text: str) -> dict[str, str]:
    """Return the facts that `as_comment` wrote into a text, as strings."""
    comment = _COMMENT.search(text)
    pairs = [pair.partition("=") for pair in comment[1].split(";")] if comment else []
    return {key.strip(): unquote(value) for key, _, value in pairs if key.strip() in ORIGIN}
