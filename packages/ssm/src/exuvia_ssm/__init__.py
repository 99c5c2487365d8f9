"""Selective state-space models: layers x [B, L, D] -> y [B, L, D] with states, masks and streaming steps."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from exuvia_ssm.bidirectional import Bidirectional as Bidirectional
    from exuvia_ssm.mamba.language_model import MambaLM as MambaLM
    from exuvia_ssm.mamba.mamba import S6 as S6
    from exuvia_ssm.mamba.mamba import Mamba as Mamba
    from exuvia_ssm.s4d.s4d import S4D as S4D
    from exuvia_ssm.s4d.s4d import optim_groups as optim_groups
    from exuvia_ssm.scan.selective_scan import selective_scan as selective_scan
    from exuvia_ssm.scan.step import scan_step as scan_step
    from exuvia_ssm.serpent.config import SeRpEntConfig as SeRpEntConfig
    from exuvia_ssm.serpent.serpent import SeRpEnt as SeRpEnt
    from exuvia_ssm.serpent.state import Resampling as Resampling
    from exuvia_ssm.transformers_patch import patch_transformers as patch_transformers
    from exuvia_ssm.transformers_patch import unpatch_transformers as unpatch_transformers

__version__ = "0.2.0.dev0"
_MODULE = {
    "Bidirectional": "bidirectional",
    "Mamba": "mamba.mamba",
    "MambaLM": "mamba.language_model",
    "Resampling": "serpent.state",
    "S4D": "s4d.s4d",
    "S6": "mamba.mamba",
    "SeRpEnt": "serpent.serpent",
    "SeRpEntConfig": "serpent.config",
    "optim_groups": "s4d.s4d",
    "patch_transformers": "transformers_patch",
    "scan_step": "scan.step",
    "selective_scan": "scan.selective_scan",
    "unpatch_transformers": "transformers_patch",
}

__all__ = [*_MODULE]

if not TYPE_CHECKING:  # type checkers read the imports above

    def __getattr__(name: str) -> object:
        """Import a public name at its first use, so that importing the package does not load PyTorch."""
        if name not in _MODULE:
            raise AttributeError(f"module 'exuvia_ssm' has no attribute {name!r}")
        return getattr(import_module(f"exuvia_ssm.{_MODULE[name]}"), name)
