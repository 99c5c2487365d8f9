"""No unlearning: the unchanged generator, as a reference in comparisons."""

from typing import Any

from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.unlearning.base import Evidence, Method
from exuvia.unlearning.settings import NoneConfig


class Nothing(Method[NoneConfig]):
    """The method that changes nothing."""

    Config = NoneConfig

    def edit(self, pipe: MotionPipeline, evidence: Evidence) -> dict[str, Any]:
        """Leave `pipe` unchanged."""
        return {"changed": "nothing"}
