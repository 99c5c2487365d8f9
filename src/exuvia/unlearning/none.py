"""No unlearning: the generator as it is, so that a comparison has a row to compare with."""

from typing import Any, ClassVar

from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.unlearning.base import Evidence
from exuvia.unlearning.settings import NoneConfig


class Nothing:
    """The method that changes nothing."""

    Config: ClassVar[type[NoneConfig]] = NoneConfig

    def __init__(self, config: NoneConfig) -> None:
        self.config = config

    def edit(self, pipe: MotionPipeline, evidence: Evidence) -> dict[str, Any]:
        """Leave `pipe` alone."""
        return {"changed": "nothing"}
