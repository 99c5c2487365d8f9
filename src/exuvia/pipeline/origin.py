"""What a generator tells about itself in the `meta` of its clips, which exported files state."""

import re
from collections.abc import Mapping
from typing import Any

_LICENCE = re.compile(r"^(license_name|license):[ \t]*(\S+)", re.MULTILINE)


def origin_of_weights(provenance: Mapping[str, Any], card: str) -> dict[str, Any]:
    """Return generator, edits, concept and licence, where provenance and model card name them."""
    version, commit = provenance.get("exuvia"), provenance.get("commit")
    edits = provenance.get("edits", [])
    terms = dict(_LICENCE.findall(card.partition("\n---")[0]))
    facts = {
        "generator": f"exuvia {version}, weights of commit {commit}" if version and commit else "",
        "edits": ", ".join(str(edit.get("method")) for edit in edits),
        "concept": ", ".join(dict.fromkeys(str(edit["forget"]) for edit in edits if "forget" in edit)),
        "licence": terms.get("license_name") or terms.get("license", ""),
    }
    return {key: value for key, value in facts.items() if value}
