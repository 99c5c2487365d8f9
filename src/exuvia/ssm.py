"""The layers of exuvia-ssm under the name they had in version 0.1: `from exuvia.ssm import Mamba`."""

from exuvia_ssm import S4D, S6, Bidirectional, Mamba, SeRpEnt, selective_scan

__all__ = ["S4D", "S6", "Bidirectional", "Mamba", "SeRpEnt", "selective_scan"]
