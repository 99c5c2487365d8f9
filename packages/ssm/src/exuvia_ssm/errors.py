"""The errors that a user can cause: one sentence that says what was found, what was expected and what to do."""


class ExuviaError(Exception):
    """Base of all errors that are shown to a user as one sentence."""


class ShapeError(ExuviaError):
    """An array has another shape, rate or value range than expected."""


class ConfigError(ExuviaError):
    """A name or setting does not exist or does not fit."""
