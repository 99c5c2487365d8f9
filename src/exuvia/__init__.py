"""Human motion unlearning and selective state-space models."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from exuvia.evaluation.suite import evaluate
    from exuvia.motion.clip import Clip
    from exuvia.motion.load import load_clip
    from exuvia.pipeline.pipeline import MotionPipeline
    from exuvia.unlearning.base import unlearn

__version__ = "0.2.0.dev0"
__all__ = ["Clip", "MotionPipeline", "__version__", "evaluate", "load_clip", "unlearn"]
_MODULE = {
    "Clip": "motion.clip",
    "MotionPipeline": "pipeline.pipeline",
    "evaluate": "evaluation.suite",
    "load_clip": "motion.load",
    "unlearn": "unlearning.base",
}

if not TYPE_CHECKING:  # type checkers read the imports above

    def __getattr__(name: str) -> object:
        """Import a public name when it is first used, so that `import exuvia` stays instant."""
        if name not in _MODULE:
            raise AttributeError(f"module 'exuvia' has no attribute {name!r}")
        return getattr(import_module(f"exuvia.{_MODULE[name]}"), name)
