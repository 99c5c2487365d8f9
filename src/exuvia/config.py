"""Settings: frozen dataclasses that check their values, and their way to dictionaries, forms and tables.

One class is the single description of what can be set: its fields, types, limits and the text under each field. The
command line, the studio's forms and the tables of the documentation are made from it.
"""

import dataclasses
import functools
import json
import typing
from collections.abc import Mapping
from typing import Any, TypeVar, dataclass_transform

import pydantic.dataclasses
from pydantic import ConfigDict, TypeAdapter, ValidationError

from exuvia.errors import ConfigError
from exuvia.registry import suggest

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
def settings(cls: type[T]) -> type[T]:
    """Make a class a frozen dataclass whose values are checked against its annotations.

    `Literal` gives choices, `Annotated[int, Field(ge=1)]` limits, and the string under a field its description. A list
    is taken where a tuple is expected. `__post_init__` may raise ConfigError for what one annotation cannot say.

    Raises:
        ConfigError: when an instance is made with a value of another type, or outside the limits.
    """
    config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True, arbitrary_types_allowed=True)
    made = pydantic.dataclasses.dataclass(config=config, frozen=True)(cls)
    checked = made.__init__

    @functools.wraps(checked)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        values = {name: tuple(value) if isinstance(value, list) else value for name, value in kwargs.items()}
        try:
            checked(self, *args, **values)
        except ValidationError as error:
            raise ConfigError(_sentence(cls, error)) from None

    made.__init__ = __init__  # type: ignore[method-assign]
    return typing.cast(type[T], made)


def _sentence(cls: type, error: ValidationError) -> str:
    """The first problem of a failed check, as one sentence."""
    first = error.errors(include_url=False)[0]
    name = ".".join(str(part) for part in first["loc"] if not str(part).startswith("function-"))
    if first["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        return f"{cls.__name__} has no setting {name!r}; {suggest(name, [f.name for f in dataclasses.fields(cls)])}"
    if first["type"] in ("missing", "missing_argument"):
        return f"{cls.__name__} needs a value for {name!r}"
    expected = first["msg"].replace("Input should be ", "expected ").replace("Input should ", "expected it to ")
    return f"found {first['input']!r} for {name}, {expected}"


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
    """Build a settings class from a dictionary, such as one read from JSON.

    Raises:
        ConfigError: a key that the class does not have, a missing one without a default, or a value of another type.
    """
    try:
        return TypeAdapter(cls).validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        raise ConfigError(_sentence(cls, error)) from None
    except TypeError as error:
        raise ConfigError(f"{cls.__name__}: {error}") from None
