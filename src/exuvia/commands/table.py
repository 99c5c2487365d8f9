"""What the command line offers, read from table.toml; functions are imported when they are called.

Nothing here imports anything heavy, so that `exuvia --help` answers at once.
"""

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from exuvia.readers import read_toml
from exuvia.registry import UNLEARN


class Family(NamedTuple):
    """Commands that differ in their second word and that the list shows as one."""

    name: str
    line: str
    example: str


class Entry(NamedTuple):
    """One command: its function, its line in the list, and examples that a test parses."""

    target: str
    """`module:function`; the function takes one configuration dataclass."""
    line: str
    examples: tuple[str, ...] = ()
    group: str = ""
    """Heading under which the list shows it."""
    config: str = ""
    """`module:function` that makes the configuration class from the command's name; "": the annotated one."""
    family: Family | None = None
    gone: Mapping[str, str] = {}
    """Options of earlier versions, each with a sentence that says what to do instead."""


def _entries(group: str, name: str, about: Mapping[str, Any]) -> Iterator[tuple[str, Entry]]:
    """A command of the file by its name, or all of a family."""
    target, config = (f"{__package__}.{about[key]}" if key in about else "" for key in ("run", "config"))
    entry = Entry(target, about["line"], tuple(about["examples"]), group, config, gone=about.get("gone", {}))
    if "members" not in about:
        yield name, entry
        return
    family, verb = Family(name, entry.line, entry.examples[0]), name.split()[0]
    for member, own in (about["members"] or _methods()).items():
        one = entry._replace(line=own["line"], examples=tuple(own["examples"]), family=family)
        yield f"{verb} {member}", one


def _methods() -> dict[str, dict[str, Any]]:
    """The unlearning methods, each with the first sentence of its module, read without importing it."""
    methods = {}
    for name, target in UNLEARN.items():
        spec = find_spec(target.partition(":")[0])
        assert spec is not None
        assert spec.origin is not None
        with Path(spec.origin).open(encoding="utf-8") as file:
            line = file.readline().strip().strip('"').partition("   ")[0].partition(". ")[0].rstrip(".")
        example = f"exuvia unlearn {name} --pipeline base --forget violence --out runs/safe"
        methods[name] = {"line": line, "examples": [example]}
    return methods


_TABLE = read_toml(Path(__file__).with_suffix(".toml"))
RENAMED: dict[str, str] = _TABLE.pop("renamed")
"""First word of a command of 0.1 -> what is typed for `exuvia` and this word now."""
_ALL = ((group, name, about) for group, commands in _TABLE.items() for name, about in commands.items())
COMMAND = dict(pair for one in _ALL for pair in _entries(*one))
"""The command line. A name of two words is a command of a group."""
