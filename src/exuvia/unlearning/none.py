"""No unlearning: the generator as it is, so that a comparison has a row to compare with."""

from typing import Any

from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.unlearning.base import Evidence, Method
from exuvia.unlearning.settings import NoneConfig


class Nothing(Method[NoneConfig]):
    """The method that changes nothing."""

    Config = NoneConfig

    def edit(self, pipe: MotionPipeline, evidence: Evidence) -> dict[str, Any]:
        """Leave `pipe` alone."""
        return {"changed": "nothing"}
