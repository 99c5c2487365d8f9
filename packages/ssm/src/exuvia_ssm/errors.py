"""Errors that a user can cause. Each message is one sentence: what was found, what was expected, what to do."""


class ExuviaError(Exception):
    """Base class of all errors whose message is meant for the user."""


class ShapeError(ExuviaError):
    """An array has an unexpected shape, rate or value range."""


class ConfigError(ExuviaError):
    """A name or setting does not exist or is not suitable."""
