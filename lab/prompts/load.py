"""The everyday prompts with their checks, read from everyday.toml."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from exuvia.config import Count, from_dict, settings
from exuvia.errors import DataError, ExuviaError
from exuvia.motion.clip import Clip
from exuvia.readers import read_toml
from exuvia.registry import suggest
from lab.prompts.checks import KINDS, Spec, check, in_order, validate
from lab.prompts.verdict import Verdict

FILE = Path(__file__).with_name("everyday.toml")
Given = tuple[str | dict[str, Any], ...]
"""Checks as a file gives them: names or tables."""


class Result(NamedTuple):
    """What one check of a prompt found: the check's name, its unit, the verdict."""

    check: str
    unit: str
    verdict: Verdict


@settings
class _Entry:
    text: str
    checks: Given = ()
    first: Given = ()
    then: Given = ()


@settings
class _Group:
    name: str
    prompts: tuple[_Entry, ...]
    always: Given = ()
    platforms: bool = False


@settings
class _File:
    version: Count
    checks: dict[str, dict[str, Any]]
    groups: tuple[_Group, ...]


@dataclass(frozen=True)
class Prompt:
    """One prompt with its checks by name; those of `first` must hold before those of `then`."""

    id: str
    """GROUP-NN"""
    group: str
    text: str
    platforms: bool
    """Whether feet may stand above the floor, as on stairs."""
    checks: Mapping[str, Spec]
    first: Mapping[str, Spec]
    then: Mapping[str, Spec]

    def results(self, clip: Clip) -> list[Result]:
        """Apply all checks to a clip; two parts in order are one check."""
        found = [Result(name, KINDS[spec["kind"]][1], check(clip, spec)) for name, spec in self.checks.items()]
        if self.first:
            name = f"{' + '.join(self.first)}, then {' + '.join(self.then)}"
            found.append(Result(name, "s", in_order(clip, list(self.first.values()), list(self.then.values()))))
        return found


@cache
def load_prompts(path: Path = FILE) -> tuple[Prompt, ...]:
    """Read the prompts. Raises DataError for unknown or unfitting checks, a text that is there twice, and no check."""
    try:
        file = from_dict(_File, read_toml(path))
    except ExuviaError as error:
        raise DataError(f"{path.name}: {error}") from None
    prompts: dict[str, Prompt] = {}
    for group in file.groups:
        for number, entry in enumerate(group.prompts, 1):
            where = f"{group.name}-{number:02d}"
            parts = [named(each, file.checks, where) for each in (entry.checks, entry.first, entry.then)]
            if entry.text in prompts or bool(entry.first) != bool(entry.then) or not any(parts):
                raise DataError(f"{where} of {path.name} repeats a text or lacks checks: {entry.text!r}")
            parts[0] = named(group.always, file.checks, where) | parts[0]
            prompts[entry.text] = Prompt(where, group.name, entry.text, group.platforms, *parts)
    return tuple(prompts.values())


def named(specs: Sequence[str | Spec], known: Mapping[str, Spec], where: str) -> dict[str, Spec]:
    """Checks by name, given as names of `known` ones or tables. Raises DataError."""
    found = {}
    for spec in specs:
        if isinstance(spec, str) and spec not in known:
            raise DataError(f"{where} has the check {spec!r}; {suggest(spec, known)}")
        name, table = (spec, known[spec]) if isinstance(spec, str) else (" ".join(map(str, spec.values())), spec)
        validate(table, f"{name!r} of {where}")
        found[name] = table
    return found
