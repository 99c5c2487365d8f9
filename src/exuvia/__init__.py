"""Human motion unlearning and selective state-space models."""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

__version__ = "0.1.0"

_LAZY = {
    "Clip": "exuvia.motion.clip:Clip",
    "MotionPipeline": "exuvia.pipeline:MotionPipeline",
    "load_clip": "exuvia.motion.load:load_clip",
    "unlearn": "exuvia.unlearn.base:unlearn",
    "evaluate": "exuvia.evaluate.suite:evaluate",
}
__all__ = ["Clip", "MotionPipeline", "__version__", "evaluate", "load_clip", "unlearn"]


def __getattr__(name: str) -> Any:
    """Public names are imported on first use, so that `import exuvia` stays instant."""
    if name not in _LAZY:
        raise AttributeError(f"module 'exuvia' has no attribute {name!r}")
    module, _, attribute = _LAZY[name].partition(":")
    return getattr(import_module(module), attribute)


class _CallableFolder(ModuleType):
    """The packages `exuvia.unlearn` and `exuvia.evaluate`, callable as the functions of these names."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return __getattr__(self.__name__.rpartition(".")[2])(*args, **kwargs)


class _Package(ModuleType):
    """Importing a sub-package sets it as an attribute here, where a function of the same name is promised."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _LAZY and type(value) is ModuleType:
            value.__class__ = _CallableFolder
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
