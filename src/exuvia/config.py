"""Settings: frozen dataclasses that check their values, and their conversion to dictionaries, forms and tables.

A class is the only description of its settings: fields, types, limits, and the text under each field. The command line,
the studio's forms and the tables of the documentation are generated from it.
"""

import ast
import dataclasses
import functools
import inspect
import itertools
import json
import textwrap
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal, TypeVar, dataclass_transform, overload

import pydantic.dataclasses
from annotated_types import Ge, Gt, Le, Lt
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from exuvia.errors import ConfigError
from exuvia.registry import suggest

T = TypeVar("T")
HUGE = 10**9
"""Maximum of every number. This limit catches typing errors; messages mention it only when it is exceeded."""
Count = Annotated[int, Field(ge=1, le=HUGE)]
Natural = Annotated[int, Field(ge=0, le=HUGE)]
Layers = Annotated[int, Field(ge=1, le=256)]
"""Number of parts of a model."""
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, le=HUGE)]
NotNegative = Annotated[float, Field(ge=0, le=HUGE)]
FrameRate = Annotated[float, Field(gt=0, le=1000)]
Workers = Annotated[int, Field(ge=1, le=256)]
Below1 = Annotated[float, Field(ge=0, lt=1)]


@overload
def settings(cls: type[T]) -> type[T]: ...
@overload
def settings(*, kw_only: bool) -> Callable[[type[T]], type[T]]: ...
@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
def settings(cls: type[T] | None = None, *, kw_only: bool = False) -> type[T] | Callable[[type[T]], type[T]]:
    """Turn a class into a frozen dataclass whose values are checked against its annotations.

    `Literal` gives choices, `Annotated[int, Field(ge=1)]` limits, and the string under a field its description. Lists
    are accepted as tuples. `__post_init__` may raise ConfigError for conditions that annotations cannot express.

    Raises:
        ConfigError: when an instance is made with a value of another type, or outside the limits.
    """
    if cls is None:
        return functools.partial(settings, kw_only=kw_only)
    config = ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True, allow_inf_nan=False)
    made = pydantic.dataclasses.dataclass(config=config, frozen=True, kw_only=kw_only)(cls)
    checked = made.__init__

    @functools.wraps(checked)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            checked(self, *map(_tuples, args), **{name: _tuples(value) for name, value in kwargs.items()})
        except ValidationError as error:
            raise _refusal(made, error) from None

    made.__init__ = __init__  # type: ignore[method-assign]
    return typing.cast(type[T], made)


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def to_dict(config: Any) -> dict[str, Any]:
    """Convert a dataclass to a JSON-ready dictionary (tuples become lists, and paths become text)."""
    return {f.name: _plain(getattr(config, f.name)) for f in dataclasses.fields(config)}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_dict(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, PurePath) else value


def from_dict(cls: type[T], values: Mapping[str, Any]) -> T:
    """Build a settings class from a dictionary, such as one read from JSON.

    If a field is itself a settings class, a dictionary changes the named values of the field's default.

    Raises:
        ConfigError: a key that the class does not have, a missing one without a default, or a value of another type.
    """
    try:
        text = json.dumps(_complete(cls, values), default=_number)
        return TypeAdapter(cls).validate_json(text, strict=True)
    except ValidationError as error:
        raise _refusal(cls, error) from None
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(f"{cls.__name__}: {error}") from None


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Convert `{"tune.steps": 3}` to `{"tune": {"steps": 3}}`."""
    tree: dict[str, Any] = {}
    for name, value in values.items():
        first, dot, rest = name.partition(".")
        if not dot:
            tree[name] = value
        elif isinstance(tree.setdefault(first, {}), dict):
            tree[first] |= nested({rest: value})
    return tree


def _complete(cls: Any, values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Convert to plain values, and complete nested settings classes from the fields' defaults."""
    fields, hints, filled = {f.name: f for f in dataclasses.fields(cls)}, _hints(cls), {}
    if not isinstance(values, Mapping):
        known = ", ".join(fields)
        raise ConfigError(f"found {repr(values)[:60]} for {cls.__name__}, expected a dictionary of {known}")
    for name, value in values.items():
        if name not in fields:
            raise _no_setting(cls, name, prefix)
        filled[name] = value = _plain(value)
        if isinstance(value, dict) and hints[name].is_settings:
            default = _default(fields[name])
            usual = to_dict(default) if dataclasses.is_dataclass(default) else {}
            filled[name] = _complete(hints[name].kind, usual | value, f"{prefix}{name}.")
    return filled


def _number(value: Any) -> Any:
    """Convert a NumPy number to Python's. Raises TypeError for values that JSON cannot hold."""
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"found {value!r}, expected text, numbers, lists or a dictionary")


@dataclasses.dataclass(frozen=True)
class Setting:
    """One line of a form or of a table of options."""

    name: str
    """Name of the field; inside a nested class with a dot, as in `tune.steps`."""
    type: Literal["bool", "int", "float", "text", "path", "choice", "other"]
    text: str
    """Description: the string under the field in the source."""
    default: Any
    """`dataclasses.MISSING` if a value is required."""
    choices: tuple[Any, ...]
    many: bool
    """Whether the value is a list."""
    optional: bool
    """Whether it may be None."""
    minimum: float | None
    maximum: float | None


def describe(cls: Any, given: object = None, prefix: str = "") -> list[Setting]:
    """The settings of a dataclass, one per field, with names such as `tune.steps` for nested fields after `prefix`;
    values of the instance `given` replace the defaults of the class."""
    hints, texts, lines = _hints(cls), _texts(cls), []
    for field in dataclasses.fields(cls):
        hint, default = hints[field.name], getattr(given, field.name, _default(field))
        if hint.is_settings and not hint.many:
            lines += describe(hint.kind, default, f"{prefix}{field.name}.")
            continue
        low, high = (next((limit for _, limit in side), None) for side in hint.limits())
        kind: Any = "choice" if hint.choices else _TYPE.get(hint.kind, "other")
        about = (texts.get(field.name, ""), default, hint.choices, hint.many, hint.optional, low, high)
        lines.append(Setting(prefix + field.name, kind, *about))
    return lines


_TYPE = {bool: "bool", int: "int", float: "float", str: "text", Path: "path"}


def _default(field: Any) -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def _texts(cls: type) -> dict[str, str]:
    """The string under each field in the source, including fields of base classes."""
    texts: dict[str, str] = {}
    for part in reversed([kind for kind in cls.__mro__ if dataclasses.is_dataclass(kind)]):
        try:
            body = typing.cast(ast.ClassDef, ast.parse(textwrap.dedent(inspect.getsource(part))).body[0]).body
        except (OSError, TypeError):  # a class without a source file
            continue
        for line, below in itertools.pairwise(body):
            if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name) and isinstance(below, ast.Expr):
                if isinstance(below.value, ast.Constant):
                    texts[line.target.id] = " ".join(str(below.value.value).split())
    return texts


@dataclasses.dataclass(frozen=True)
class _Hint:
    """The content of an annotation."""

    kind: Any = None
    """The class of a value or of a list's items; the first class of a union."""
    choices: tuple[Any, ...] = ()
    many: bool = False
    optional: bool = False
    marks: tuple[Any, ...] = ()
    """Metadata of `Annotated`."""

    @classmethod
    def of(cls, hint: Any) -> "_Hint":
        """Read an annotation."""
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if origin is Annotated:
            inner = cls.of(arguments[0])
            marks = [m.metadata if isinstance(m, FieldInfo) else [m] for m in hint.__metadata__]
            return dataclasses.replace(inner, marks=(*inner.marks, *(mark for each in marks for mark in each)))
        if origin is Literal:
            return cls(choices=arguments)
        if origin in (tuple, list) and arguments:
            return dataclasses.replace(cls.of(arguments[0]), many=True)
        if origin not in (typing.Union, types.UnionType):
            return cls(origin or hint)
        parts = [cls.of(one) for one in arguments if one is not types.NoneType]
        first = next((part for part in parts if part.kind is not None), parts[0])
        choices = tuple(choice for part in parts for choice in part.choices)
        return dataclasses.replace(first, choices=choices, optional=types.NoneType in arguments)

    @property
    def is_settings(self) -> bool:
        """Whether values are instances of a dataclass."""
        return dataclasses.is_dataclass(self.kind)

    def limits(self, huge: bool = False) -> tuple[list[tuple[str, float]], list[tuple[str, float]]]:
        """Lower and upper limits in words: `[("at least", 0)], [("below", 1)]`; limits of `HUGE` only if `huge`."""
        words: dict[type, tuple[int, str, str]] = {
            Ge: (0, "at least", "ge"), Gt: (0, "above", "gt"), Le: (1, "at most", "le"), Lt: (1, "below", "lt")
        }  # fmt: skip
        sides: tuple[list[tuple[str, float]], list[tuple[str, float]]] = ([], [])
        for mark in self.marks:
            side, word, name = words.get(type(mark), (0, "", ""))
            if name and (huge or getattr(mark, name) < HUGE):
                sides[side].append((word, getattr(mark, name)))
        return sides

    def range(self, huge: bool = False) -> str:
        """The limits as a phrase."""
        low, high = self.limits(huge)
        if low and high and (low[0][0], high[0][0]) == ("at least", "at most"):
            return f"{low[0][1]} to {high[0][1]}"
        return " and ".join(f"{word} {limit}" for word, limit in [*low, *high])


@functools.cache
def _hints(cls: Any) -> dict[str, _Hint]:
    return {name: _Hint.of(hint) for name, hint in typing.get_type_hints(cls, include_extras=True).items()}


def _refusal(cls: type, error: ValidationError) -> ConfigError:
    """The first problem of a failed check, as one sentence."""
    problems = error.errors(include_url=False)
    name, hint, owner = _place(cls, problems[0]["loc"])
    kind, value = problems[0]["type"], problems[0]["input"]
    if kind in ("unexpected_keyword_argument", "extra_forbidden"):
        prefix, _, last = name.rpartition(".")
        return _no_setting(owner, last, f"{prefix}." if prefix else "")
    if kind in ("missing", "missing_argument"):
        return ConfigError(f"{cls.__name__} needs a value for {name!r}")
    alike = [problem for problem in problems if _place(cls, problem["loc"])[0] == name]  # one per part of a union
    words = dict.fromkeys(_expected(problem, hint) for problem in alike if problem["type"] != "literal_error")
    if len(alike) > len(words) and isinstance(value, str):
        also = "".join(f", or {word}" for word in words)
        return ConfigError(f"unknown {name} {value!r}; {suggest(value, map(str, hint.choices))}{also}")
    choices = map(repr, hint.choices if len(alike) > len(words) else ())
    return ConfigError(f"found {name} {value!r}, expected {' or '.join([*words, *choices])}")


def _no_setting(cls: Any, name: str, prefix: str) -> ConfigError:
    name, known = str(name), [prefix + field.name for field in dataclasses.fields(cls)]
    return ConfigError(f"{cls.__name__} has no setting {prefix + name!r}; {suggest(prefix + name, known)}")


def _place(cls: type, loc: tuple[int | str, ...]) -> tuple[str, _Hint, Any]:
    """The setting that an error concerns: its name, its annotation, and its class."""
    name, hint, owner = "", _Hint(cls), cls
    for part in loc:
        if isinstance(part, int) and name:
            name += f"[{part}]"
        elif isinstance(part, int):  # a positional argument
            name = dataclasses.fields(typing.cast(Any, cls))[part].name
            hint = _hints(cls)[name]
        elif hint.is_settings:
            owner = hint.kind
            name, hint = f"{name}.{part}" if name else part, _hints(owner).get(part, _Hint())
        elif hint.kind in (dict, Mapping) and "[" not in part:
            name += f".{part}"
    return name, hint, owner


_EXPECTED = {
    "bool": "true or false", "int": "a whole number", "float": "a number", "string": "text", "tuple": "a list",
    "list": "a list", "dict": "a dictionary", "mapping": "a dictionary", "finite": "a finite number", "path": "a path",
}  # fmt: skip


def _expected(problem: ErrorDetails, hint: _Hint) -> str:
    """The expected kind of value, in a user's words."""
    kind, context = problem["type"], problem.get("ctx", {})
    if kind.startswith(("greater_than", "less_than")):
        return hint.range(huge=kind.startswith("less_than"))
    if kind in ("too_short", "too_long"):
        word, count = ("at least", context["min_length"]) if kind == "too_short" else ("at most", context["max_length"])
        return f"{word} {count} {'entry' if count == 1 else 'entries'}"
    if kind.startswith("dataclass"):
        return f"a dictionary of {', '.join(field.name for field in dataclasses.fields(hint.kind))}"
    if kind == "is_instance_of":
        return "a path" if hint.kind is Path else f"a {context['class']}"
    return _EXPECTED.get(kind.split("_")[0]) or problem["msg"].removeprefix("Input should be ").removeprefix("a valid ")
