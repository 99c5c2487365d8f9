"""Layers by name, and the lookup of names in tables of `module:attribute` entries."""

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from exuvia_ssm.errors import ConfigError

LAYER = {
    "s6": "exuvia_ssm.mamba.mamba:S6",
    "mamba": "exuvia_ssm.mamba.mamba:Mamba",
    "s4d": "exuvia_ssm.s4d.s4d:S4D",
    "serpent": "exuvia_ssm.serpent.serpent:SeRpEnt",
}


def suggest(name: str, known: Iterable[str]) -> str:
    """Return a hint with the most similar known name, or with all of them."""
    names = sorted(known)
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"


def resolve(table: Mapping[str, str], name: str, kind: str) -> Any:
    """Import the object "module:attribute" that a table names.
    Raises ConfigError for an unknown name, with a similar one; `kind` says in the message what the table contains."""
    if name not in table:
        raise ConfigError(f"unknown {kind} {name!r}; {suggest(name, table)}")
    module, _, attribute = table[name].partition(":")
    return getattr(import_module(module), attribute)


def layer_builder(ssm: str | Callable[[int], Any], options: Mapping[str, Any]) -> Callable[[int], Any]:
    """Return a function width -> layer for a name of `LAYER` with its options, or the given function.

    Raises ConfigError for an unknown name, or for options in addition to a function.
    """
    if isinstance(ssm, str):
        cls = resolve(LAYER, ssm, "state-space layer")
        return lambda width: cls(width, **options)
    if options:
        raise ConfigError("ssm_options belong to a named layer; build them into the function given as ssm")
    return ssm
