"""The exceptions: subclasses of ExuviaError for every error that a user can cause, each with exit code 2."""

from exuvia_ssm.errors import ConfigError, ExuviaError, ShapeError

__all__ = ["CheckpointError", "ConfigError", "DataError", "DivergedError", "ExuviaError", "OutputError", "ShapeError"]


class DataError(ExuviaError):
    """A file, folder or store cannot be read as what it claims to be."""


class CheckpointError(ExuviaError):
    """Weights are missing, corrupt or of another architecture."""


class DivergedError(ExuviaError):
    """A training's loss or weights are no longer finite numbers."""


class OutputError(ExuviaError):
    """A result could not be written (full disk, read-only folder)."""
