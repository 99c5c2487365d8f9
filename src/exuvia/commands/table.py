"""The commands of the command line, read from table.toml; functions are imported when they are called.

This module imports no heavy library, because `exuvia --help` must answer at once. Commands raise children of
ExuviaError, whose message `__main__` prints.
"""

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from exuvia.readers import read_toml
from exuvia.registry import UNLEARN


class Family(NamedTuple):
    """Commands that differ in their second word; the list shows them as one."""

    name: str
    line: str
    example: str


class Entry(NamedTuple):
    """One command: its function, its line in the list, and examples, which a test parses."""

    target: str
    """`module:function`; the function takes one configuration dataclass."""
    line: str
    examples: tuple[str, ...] = ()
    group: str = ""
    """Heading in the list of commands."""
    config: str = ""
    """`module:function` that makes the configuration class from the command's name; "": the annotated class."""
    family: Family | None = None


def _entries(group: str, name: str, about: Mapping[str, Any]) -> Iterator[tuple[str, Entry]]:
    """A command of the file with its name, or all commands of a family."""
    target, config = (f"{__package__}.{about[key]}" if key in about else "" for key in ("run", "config"))
    entry = Entry(target, about["line"], tuple(about["examples"]), group, config)
    if "members" not in about:
        yield name, entry
        return
    family, verb = Family(name, entry.line, entry.examples[0]), name.split()[0]
    for name, member in (about["members"] or _methods()).items():
        yield f"{verb} {name}", entry._replace(line=member["line"], examples=tuple(member["examples"]), family=family)


def _methods() -> dict[str, dict[str, Any]]:
    """The unlearning methods, with the first sentence of each module, read without importing it."""
    methods = {}
    for name, target in UNLEARN.items():
        spec = find_spec(target.partition(":")[0])
        assert spec is not None
        assert spec.origin is not None
        with Path(spec.origin).open(encoding="utf-8") as file:
            line = file.readline().strip().strip('"').partition("   ")[0].partition(". ")[0].rstrip(".")
        example = f"exuvia unlearn {name} --pipeline base-free --forget violence --out runs/safe"
        methods[name] = {"line": line, "examples": [example]}
    return methods


_TABLE = read_toml(Path(__file__).with_suffix(".toml"))
_ALL = ((group, name, about) for group, commands in _TABLE.items() for name, about in commands.items())
COMMAND = dict(pair for one in _ALL for pair in _entries(*one))
"""The command line. A name of two words is a command of a group."""
