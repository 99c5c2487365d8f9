"""No unlearning: the generator as it is, so that a comparison has a row to compare with."""

from dataclasses import dataclass
from typing import Any

from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.unlearning.base import Evidence


@dataclass(frozen=True)
class NoneConfig:
    """There is nothing to set."""


class Nothing:
    """The method that changes nothing."""

    def __init__(self, config: NoneConfig) -> None:
        self.config = config

    def edit(self, pipe: MotionPipeline, evidence: Evidence) -> dict[str, Any]:
        """Leave `pipe` alone."""
        return {"changed": "nothing"}
