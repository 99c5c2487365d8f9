"""Prompt filter: rewrites prompts that name the concept. This is the simplest method; no weight changes.

The words rule treats a prompt like the splits treat a caption (text/words.py): it blocks explicit prompts and passes
look-alikes ("a white box"). Prompts that describe the concept in other words also pass.
"""

from typing import Any

from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.pipeline.prompt_guard import PromptGuard, WordDetector
from exuvia.unlearning.base import Evidence, Method
from exuvia.unlearning.settings import PromptFilterConfig


class PromptFilter(Method[PromptFilterConfig]):
    """A word filter in front of the generator."""

    Config = PromptFilterConfig

    def edit(self, pipe: MotionPipeline, evidence: Evidence) -> dict[str, Any]:
        """Add a guard to `pipe`."""
        keywords = "humanml3d" if evidence.store is None else evidence.store.keywords
        pipe.guards.append(PromptGuard(WordDetector(evidence.concept, keywords), self.config.instead))
        return {"filtered": evidence.concept.name, "instead": self.config.instead}
