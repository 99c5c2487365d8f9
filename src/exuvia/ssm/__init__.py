"""Selective state-space models: layers x [B, L, D] -> y [B, L, D] with states, masks and streaming steps."""

from importlib import import_module
from typing import Any

_LAZY = {
    "S4D": "exuvia.ssm.s4d:S4D",
    "S6": "exuvia.ssm.mamba:S6",
    "Mamba": "exuvia.ssm.mamba:Mamba",
    "SeRpEnt": "exuvia.ssm.serpent:SeRpEnt",
    "Bidirectional": "exuvia.ssm.bidirectional:Bidirectional",
    "selective_scan": "exuvia.ssm.scan:selective_scan",
}
__all__ = ["S4D", "S6", "Bidirectional", "Mamba", "SeRpEnt", "selective_scan"]


def __getattr__(name: str) -> Any:
    """Public names are imported on first use."""
    if name not in _LAZY:
        raise AttributeError(f"module 'exuvia.ssm' has no attribute {name!r}")
    module, _, attribute = _LAZY[name].partition(":")
    return getattr(import_module(module), attribute)
