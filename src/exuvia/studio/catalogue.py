"""Describes what the studio offers. A worker, which has loaded the methods, reads their settings from the code and
publishes the catalogue; the server only passes it on."""

import dataclasses
import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import delete, insert, select

from exuvia import __version__
from exuvia.config import Setting, describe
from exuvia.data.concepts import CONCEPT
from exuvia.evaluation.prompts.load import KIND, library
from exuvia.readers import parse_as, read_toml
from exuvia.registry import UNLEARN, resolve
from exuvia.studio.database import about
from exuvia.studio.library import Library
from exuvia.unlearning.settings import method_settings

TEXTS = read_toml(Path(__file__).with_name("texts.toml"))
CATALOGUE: dict[str, Any] = {"version": __version__, "examples": TEXTS["examples"], "methods": [], "threshold": None}
CATALOGUE["concepts"] = sorted(name for name in CONCEPT if name != "none")


def build(threshold: float | None) -> dict[str, Any]:
    """Return the complete catalogue; imports the methods."""
    methods = [describe_method(name) for name in UNLEARN if not method_settings(name).is_baseline]
    kinds = [
        {"name": name, "prompts": len(file.prompts), "violent": KIND[name].violent, "written": file.written}
        for name, file in library().items()
    ]
    return CATALOGUE | {"methods": methods, "kinds": kinds, "threshold": threshold}


def publish(studio: Library, catalogue: Mapping[str, Any]) -> None:
    """Put what a worker found where the server reads it."""
    withdraw(studio)
    with studio.engine.begin() as link:
        link.execute(insert(about).values(key="catalogue", value=json.dumps(dict(catalogue))))


def withdraw(studio: Library) -> None:
    """Remove the catalogue that an earlier worker published."""
    with studio.engine.begin() as link:
        link.execute(delete(about).where(about.c.key == "catalogue"))


def ready(studio: Library) -> dict[str, Any] | None:
    """Return the catalogue if a worker of this version has published one."""
    with studio.engine.connect() as link:
        text = link.scalar(select(about.c.value).where(about.c.key == "catalogue"))
    catalogue: dict[str, Any] | None = parse_as(dict[str, Any], text, "what the worker published") if text else None
    return catalogue if catalogue and catalogue.get("version") == __version__ else None


def describe_method(name: str) -> dict[str, Any]:
    """Return a method with the settings that a form can show."""
    method, settings = resolve(UNLEARN, name, "unlearning method"), method_settings(name)
    doc = (inspect.getdoc(inspect.getmodule(method)) or "").split("\n\n")[0].replace("\n", " ")
    shown = [setting for setting in describe(settings) if setting.type not in ("path", "other")]
    lines = [form_line(setting) for setting in shown]
    return {"name": name, "about": doc, "needs_data": settings.needs_data, "settings": lines}


def form_line(setting: Setting) -> dict[str, Any]:
    """Return a setting as the form reads it."""
    default = None if setting.default is dataclasses.MISSING else setting.default
    line = {name: getattr(setting, name) for name in ("name", "type", "many", "minimum", "maximum", "optional")}
    line |= {"about": setting.text, "choices": list(setting.choices)}
    return line | {"default": list(default or ()) if setting.many else default}
