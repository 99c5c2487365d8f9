"""The weights that Exuvia uses by default, as data: generator `base-free`, evaluator, classifier and retrieval model."""

from pathlib import Path

__version__ = "0.2.0.dev0"
FOLDER = Path(__file__).parent
"""A folder a checkpoint: `base-free`, `evaluator`, `classifier`, `retrieval`."""
