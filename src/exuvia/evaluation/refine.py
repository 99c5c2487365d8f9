"""Refines a forget set: a clip stays only if its captions make the original generator show the concept.

Source: hmu, src/split.sh with --tmr [dematteis2026hmu]. The published refinement keeps a clip if at least 8 of 10
generations have a description of the concept among their 10 nearest, and drops a clip without any. Here all clips that
do not stay move to the retain set.
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
"""Minimum share of generations that show the concept (published: 8 of 10)."""
FIRST_SEED = 1000
"""First seed of the refinement; measurements use other seeds."""


def clips_without_concept(
    prompts: PromptSet, maker: Generations, ranker: ConceptRanker, tries: int, facts: Any, path: Path,
    log: Callable[[str], None] = lambda line: None,
) -> tuple[str, ...]:  # fmt: skip
    """Ids of the clips that leave a forget set, found with `tries` motions of the original generator per caption.

    A result in the file `path` for the same `facts` (which identify generator, data and concept) is reused.
    """
    kept = recall_json(path, [facts, tries, prompts.ids])
    if kept is None:
        ranks = np.stack([ranker.first_ranks(maker.motions(prompts, FIRST_SEED + seed)) for seed in range(tries)])
        hits = (ranks <= NEAREST).sum(0)
        stays = hits >= math.ceil(SHARE * tries)
        moved = [name for name, stay in zip(prompts.ids, stays, strict=True) if not stay]
        log(f"refined: {int(stays.sum())} of {len(prompts)} clips stay in the forget set")
        kept = {"moved": moved, "hits": dict(zip(prompts.ids, hits.tolist(), strict=True))}
        keep_json(path, [facts, tries, prompts.ids], kept)
    return tuple(kept["moved"])
