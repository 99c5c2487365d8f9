"""Human motion unlearning and selective state-space models."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_LAZY = {
    "Clip": "exuvia.motion.clip:Clip",
    "MotionPipeline": "exuvia.pipeline:MotionPipeline",
    "unlearn": "exuvia.unlearn.base:unlearn",
    "evaluate": "exuvia.evaluate.suite:evaluate",
}
__all__ = ["Clip", "MotionPipeline", "__version__", "evaluate", "unlearn"]


def __getattr__(name: str) -> Any:
    """Public names are imported on first use, so that `import exuvia` stays instant."""
    if name not in _LAZY:
        raise AttributeError(f"module 'exuvia' has no attribute {name!r}")
    module, _, attribute = _LAZY[name].partition(":")
    return getattr(import_module(module), attribute)
