"""The exception tree: every error that a user can cause, each with exit code 2.

ExuviaError
├── DataError           a file, folder or store that cannot be read as what it claims to be
├── ShapeError          an array of another shape, rate or value range than expected
├── ConfigError         a name or setting that does not exist, or does not fit
├── CheckpointError     weights that are missing, corrupt or of another architecture
├── DivergedError       a training whose loss or weights are no longer numbers
└── OutputError         a result that could not be written (full disk, read-only folder)
"""

from exuvia_ssm.errors import ConfigError, ExuviaError, ShapeError

__all__ = ["CheckpointError", "ConfigError", "DataError", "DivergedError", "ExuviaError", "OutputError", "ShapeError"]


class DataError(ExuviaError):
    """A file, folder or store cannot be read as what it claims to be."""


class CheckpointError(ExuviaError):
    """Weights are missing, corrupt or of another architecture."""


class DivergedError(ExuviaError):
    """A training's loss or weights are no longer finite numbers."""


class OutputError(ExuviaError):
    """A result could not be written."""
