"""The weights of Exuvia's research generator `base`, as data. Non-commercial use only."""

from pathlib import Path

__version__ = "0.2.0.dev0"
FOLDER = Path(__file__).parent
"""A folder a checkpoint: `base`."""
