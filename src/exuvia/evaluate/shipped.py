"""The evaluator and the detector that come with the package, for reports on any generator of HumanML3D features."""

from pathlib import Path

from exuvia.checkpoint import SHIPPED
from exuvia.errors import CheckpointError
from exuvia.evaluate.classifier import ViolenceDetector
from exuvia.evaluate.guo import MotionTextEvaluator
from exuvia.evaluate.retrieval import MotionTextRetrieval
from exuvia.evaluate.retrieval_task import load_retrieval
from exuvia.evaluate.tasks import load_detector, load_evaluator


def shipped_evaluator(folder: Path = SHIPPED / "evaluator") -> MotionTextEvaluator:
    """The shipped text-motion evaluator. Raises CheckpointError if this installation has none."""
    return load_evaluator(_there(folder))


def shipped_detector(folder: Path = SHIPPED / "classifier") -> ViolenceDetector:
    """The shipped violence detector with its threshold. Raises CheckpointError if this installation has none."""
    return load_detector(_there(folder))


def shipped_retrieval(folder: Path = SHIPPED / "retrieval") -> MotionTextRetrieval | None:
    """The shipped motion-text retrieval model, or None if this installation has none."""
    return load_retrieval(folder) if (folder / "config.json").is_file() else None


def _there(folder: Path) -> Path:
    if not (folder / "config.json").is_file():
        raise CheckpointError(f"this installation ships no {folder.name}; train one: exuvia train {folder.name} --help")
    return folder
