"""Frozen dataclasses to plain dictionaries and back, strictly: no key without a reader."""

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from exuvia.errors import ConfigError
from exuvia.registry import suggest

T = TypeVar("T")


def to_dict(config: Any) -> dict[str, Any]:
    """A dataclass as a JSON-ready dictionary (tuples become lists)."""
    return {f.name: _plain(getattr(config, f.name)) for f in dataclasses.fields(config)}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_dict(value)
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return value


def from_dict(cls: type[T], values: Mapping[str, Any]) -> T:
    """Build a dataclass from a dictionary.

    Raises:
        ConfigError: a key that the class does not have, or a missing one without a default.
    """
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(cls)
    for key in values:
        if key not in fields:
            raise ConfigError(f"{cls.__name__} has no setting {key!r}; {suggest(key, fields)}")
    try:
        return cls(**{key: _typed(hints[key], value) for key, value in values.items()})
    except TypeError as error:
        raise ConfigError(f"{cls.__name__}: {error}") from None


def _typed(hint: Any, value: Any) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return from_dict(typing.cast(type, hint), value)
    if typing.get_origin(hint) is tuple and isinstance(value, list):
        return tuple(value)
    if typing.get_origin(hint) in (typing.Union, types.UnionType) and isinstance(value, list):
        return tuple(value)
    return value
