"""Prompt filter: prompts that name the concept are rewritten. What every user tries first; no weight changes.

The words rule reads a prompt as the splits read a caption (text/words.py), so explicit prompts never get through and
look-alikes ("a white box") pass. Whatever says the concept in other words passes as well.
"""

from dataclasses import dataclass
from typing import Any

from exuvia.errors import ConfigError
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.pipeline.prompt_guard import Detour, WordGuard
from exuvia.pipeline.prompts import check_prompts
from exuvia.unlearning.base import Evidence


@dataclass(frozen=True)
class PromptFilterConfig:
    """Settings of the prompt filter."""

    instead: str = "a person stands still"
    """What is generated in place of a prompt that names the concept."""
    strength: float = 1.0
    """0 = no filter; a filter is either there or not, so other values than 1 are refused."""

    def __post_init__(self) -> None:
        check_prompts([self.instead])
        if self.strength not in (0.0, 1.0):
            raise ConfigError(f"found strength {self.strength}, expected 0 (no filter) or 1: a filter has no halves")


class PromptFilter:
    """A word filter in front of the generator."""

    def __init__(self, config: PromptFilterConfig) -> None:
        self.config = config

    def edit(self, pipe: MotionPipeline, evidence: Evidence) -> dict[str, Any]:
        """Add a detour to `pipe`."""
        keywords = "humanml3d" if evidence.store is None else evidence.store.keywords
        pipe.detours.append(Detour(WordGuard(evidence.concept, keywords), self.config.instead))
        return {"filtered": evidence.concept.name, "instead": self.config.instead}
