"""What one can ask a studio for. Methods and their settings are read from the code by a worker, which has loaded it;
the server only passes them on."""

import ast
import dataclasses
import inspect
import json
import textwrap
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import delete, insert, select

from exuvia import __version__
from exuvia.data.concepts import CONCEPT
from exuvia.evaluation.prompts.load import KIND, library
from exuvia.registry import UNLEARN, resolve
from exuvia.studio.database import about
from exuvia.studio.library import Library

EXAMPLES = (
    "a man kicks something with his left leg",
    "a person throws three quick punches",
    "a person walks forward and sits down",
    "a person waves with the right hand",
    "a child kicks a ball back to a friend",
    "a person swings an arm upward fast",
)
NEEDS_DATA = ("retrain", "finetune", "esd", "negation")
"""Methods that train: they need a data set to learn from."""
LEFT_OUT = ("none", "information", "measure")

CATALOGUE: dict[str, Any] = {
    "version": __version__,
    "concepts": sorted(name for name in CONCEPT if name != "none"),
    "examples": list(EXAMPLES),
    "methods": [],
    "threshold": None,
}


def build(threshold: float | None) -> dict[str, Any]:
    """Everything; imports the methods."""
    methods = [describe_method(name) for name in UNLEARN if name not in LEFT_OUT]
    kinds = [
        {"name": name, "prompts": len(file.prompts), "violent": KIND[name].violent, "written": file.written}
        for name, file in library().items()
    ]
    return CATALOGUE | {"methods": methods, "kinds": kinds, "threshold": threshold}


def publish(studio: Library, found: Mapping[str, Any]) -> None:
    """Put what a worker found where the server reads it."""
    with studio.engine.begin() as link:
        link.execute(delete(about).where(about.c.key == "catalogue"))
        link.execute(insert(about).values(key="catalogue", value=json.dumps(dict(found))))


def withdraw(studio: Library) -> None:
    """Take back what an earlier worker has published."""
    with studio.engine.begin() as link:
        link.execute(delete(about).where(about.c.key == "catalogue"))


def ready(studio: Library) -> dict[str, Any] | None:
    """What the worker of this version has published, if it has."""
    with studio.engine.connect() as link:
        text = link.scalar(select(about.c.value).where(about.c.key == "catalogue"))
    found: dict[str, Any] | None = json.loads(text) if text else None
    return found if found and found["version"] == __version__ else None


def describe_method(name: str) -> dict[str, Any]:
    """A method with its settings: name, type, default, choices, what it means."""
    method: Callable[..., Any] = resolve(UNLEARN, name, "unlearning method")
    doc = (inspect.getdoc(inspect.getmodule(method)) or "").split("\n\n")[0].replace("\n", " ")
    hints = typing.get_type_hints(method.__init__)
    config = next((hint for key, hint in hints.items() if key != "return"), None)
    if config is None or not dataclasses.is_dataclass(config):
        config = method if dataclasses.is_dataclass(method) else None
    settings = [] if config is None else describe_settings(typing.cast(type, config))
    return {"name": name, "about": doc, "needs_data": name in NEEDS_DATA, "settings": settings}


def describe_settings(config: type, prefix: str = "") -> list[dict[str, Any]]:
    """Fields of a settings class that a form can show; those of a class within it have names such as `tune.steps`."""
    hints, texts = typing.get_type_hints(config), _texts(config)
    found = []
    for field in dataclasses.fields(config):
        if dataclasses.is_dataclass(hints[field.name]):
            found += describe_settings(hints[field.name], f"{prefix}{field.name}.")
            continue
        kind, choices, many, optional = _kind(hints[field.name])
        default = field.default if field.default is not dataclasses.MISSING else None
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        if kind is None or field.name in LEFT_OUT or not field.init:
            continue
        default = list(default) if isinstance(default, tuple) else default
        if default is not None and not isinstance(default, str | int | float | bool | list):
            continue
        about_it = {"type": kind, "choices": choices, "many": many, "optional": optional, "default": default}
        found.append({"name": prefix + field.name, "about": texts.get(field.name, "")} | about_it)
    return found


def _kind(hint: Any) -> tuple[str | None, list[Any], bool, bool]:
    """Type, choices, whether there are several, whether there may be none."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        inner = [one for one in arguments if one is not type(None)]
        optional = len(inner) < len(arguments)
        literal = next((one for one in inner if typing.get_origin(one) is typing.Literal), None)
        if literal is not None:
            return "choice", list(typing.get_args(literal)), False, optional
        kind, choices, many, _ = _kind(inner[0])
        return kind, choices, many, optional
    if origin is typing.Literal:
        return "choice", list(arguments), False, False
    if origin is tuple:
        kind, _, _, _ = _kind(arguments[0])
        return kind, [], True, False
    names = {bool: "bool", int: "int", float: "float", str: "text"}
    return names.get(hint), [], False, False


def _texts(config: type) -> dict[str, str]:
    """What stands under each field in the source."""
    try:
        body = ast.parse(textwrap.dedent(inspect.getsource(config))).body[0]
    except (OSError, TypeError, SyntaxError):
        return {}
    found, last = {}, ""
    for node in getattr(body, "body", []):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            last = node.target.id
        elif last and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            found[last] = " ".join(str(node.value.value).split())
            last = ""
    return found
