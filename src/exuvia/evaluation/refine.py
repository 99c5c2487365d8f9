"""Refines a forget set: a clip stays only if its captions make the untouched generator show the concept.

Source: hmu, src/split.sh with --tmr [dematteis2026hmu]. The published refinement keeps a clip of which at least 8 of 10
generations have a description of the concept among their 10 nearest, and drops a clip without any; here every clip
that does not stay moves to the retain set.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from exuvia.cache import keep_json, recall_json
from exuvia.evaluation.ncs import ConceptRanker
from exuvia.evaluation.prompt_sets import Generations, PromptSet

NEAREST = 10
SHARE = 0.8
"""Generations that must show the concept (published: 8 of 10)."""
FIRST_SEED = 1000
"""Seeds of the refinement are not those of any measurement."""


def moved_out(
    prompts: PromptSet, maker: Generations, ranker: ConceptRanker, tries: int, facts: Any, path: Path,
    tell: Callable[[str], None] = lambda line: None,
) -> tuple[str, ...]:  # fmt: skip
    """Ids of the clips that leave a forget set.

    Args:
        prompts: the forget set, with ids
        maker: motions of the untouched generator
        ranker: finds descriptions of the concept
        tries: motions generated for each caption (published: 10)
        facts: name generator, data and concept: an answer kept in `path` for the same facts is used again
        path: JSON file for the answer
        tell: called with a line when it is known
    """

    kept = recall_json(path, [facts, tries, prompts.ids])
    if kept is None:
        ranks = np.stack([ranker.first_ranks(maker.motions(prompts, FIRST_SEED + seed)) for seed in range(tries)])
        hits = (ranks <= NEAREST).sum(0)
        stays = hits >= math.ceil(SHARE * tries)
        moved = [name for name, stay in zip(prompts.ids, stays, strict=True) if not stay]
        tell(f"refined: {int(stays.sum())} of {len(prompts)} clips stay in the forget set")
        kept = {"moved": moved, "hits": dict(zip(prompts.ids, hits.tolist(), strict=True))}
        keep_json(path, [facts, tries, prompts.ids], kept)
    return tuple(kept["moved"])
