"""What one can ask a studio for. Methods and their settings are read from the code by a worker, which has loaded it;
the server only passes them on."""

import dataclasses
import inspect
import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete, insert, select

from exuvia import __version__
from exuvia.config import Setting, describe
from exuvia.data.concepts import CONCEPT
from exuvia.evaluation.prompts.load import KIND, library
from exuvia.readers import parse_as
from exuvia.registry import UNLEARN, resolve
from exuvia.studio.database import about
from exuvia.studio.library import Library
from exuvia.unlearning.settings import method_settings

EXAMPLES = (
    "a man kicks something with his left leg",
    "a person throws three quick punches",
    "a person walks forward and sits down",
    "a person waves with the right hand",
    "a child kicks a ball back to a friend",
    "a person swings an arm upward fast",
)

CATALOGUE: dict[str, Any] = {"version": __version__, "examples": list(EXAMPLES), "methods": [], "threshold": None}
CATALOGUE["concepts"] = sorted(name for name in CONCEPT if name != "none")


def build(threshold: float | None) -> dict[str, Any]:
    """Everything; imports the methods."""
    methods = [describe_method(name) for name in UNLEARN if not method_settings(name).is_baseline]
    kinds = [
        {"name": name, "prompts": len(file.prompts), "violent": KIND[name].violent, "written": file.written}
        for name, file in library().items()
    ]
    return CATALOGUE | {"methods": methods, "kinds": kinds, "threshold": threshold}


def publish(studio: Library, found: Mapping[str, Any]) -> None:
    """Put what a worker found where the server reads it."""
    withdraw(studio)
    with studio.engine.begin() as link:
        link.execute(insert(about).values(key="catalogue", value=json.dumps(dict(found))))


def withdraw(studio: Library) -> None:
    """Take back what an earlier worker has published."""
    with studio.engine.begin() as link:
        link.execute(delete(about).where(about.c.key == "catalogue"))


def ready(studio: Library) -> dict[str, Any] | None:
    """What the worker of this version has published, if it has."""
    with studio.engine.connect() as link:
        text = link.scalar(select(about.c.value).where(about.c.key == "catalogue"))
    found: dict[str, Any] | None = parse_as(dict[str, Any], text, "what the worker published") if text else None
    return found if found and found.get("version") == __version__ else None


def describe_method(name: str) -> dict[str, Any]:
    """A method with those of its settings that a form can show."""
    method, settings = resolve(UNLEARN, name, "unlearning method"), method_settings(name)
    doc = (inspect.getdoc(inspect.getmodule(method)) or "").split("\n\n")[0].replace("\n", " ")
    lines = [_line(one) for one in describe(settings) if one.type not in ("path", "other") and not one.hidden]
    return {"name": name, "about": doc, "needs_data": settings.needs_data, "settings": lines}


def _line(one: Setting) -> dict[str, Any]:
    """A setting as the form reads it."""
    default = None if one.default is dataclasses.MISSING else one.default
    line = {"name": one.name, "about": one.text, "type": one.type, "choices": list(one.choices), "many": one.many}
    limits = {"minimum": one.minimum, "maximum": one.maximum}
    return line | limits | {"optional": one.optional, "default": list(default or ()) if one.many else default}
