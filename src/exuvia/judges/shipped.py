"""The evaluator, the detector and the retrieval model of exuvia-base, for generators of HumanML3D features."""

from exuvia.checkpoint import shipped
from exuvia.judges.classifier import ViolenceDetector
from exuvia.judges.guo import MotionTextEvaluator
from exuvia.judges.retrieval import MotionTextRetrieval
from exuvia.judges.retrieval_task import load_retrieval
from exuvia.judges.tasks import load_detector, load_evaluator


def shipped_evaluator() -> MotionTextEvaluator:
    """The shipped text-motion evaluator. Raises CheckpointError if exuvia-base is not installed."""
    return load_evaluator(shipped("evaluator"))


def shipped_detector() -> ViolenceDetector:
    """The shipped violence detector with its threshold. Raises CheckpointError if exuvia-base is not installed."""
    return load_detector(shipped("classifier"))


def shipped_retrieval() -> MotionTextRetrieval:
    """The shipped motion-text retrieval model. Raises CheckpointError if exuvia-base is not installed."""
    return load_retrieval(shipped("retrieval"))
