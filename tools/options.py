"""Counts what a reader of `exuvia --help` has to learn: commands and options. `python tools/options.py` prints them.

The parts of `train` are one command, and so are the methods of `unlearn`: within such a family a setting that several
members share, with the same name and text, is counted once.
"""

import re
import warnings
from functools import cache
from typing import NamedTuple

import tyro

from exuvia.__main__ import config_type
from exuvia.commands.table import COMMAND, Entry
from exuvia.registry import resolve


class Count(NamedTuple):
    """Figures of a command line."""

    commands: int
    """A family counts as one."""
    options: int
    """Settings to learn: those of every command, each setting of a family once."""
    leaves: int
    """Options of every command and every member of a family, added."""


@cache
def count() -> Count:
    """Figures of `exuvia`; imports every command."""
    options: dict[str, set[tuple[str, str]]] = {}
    leaves = 0
    for name, entry in COMMAND.items():
        own = options_of(name, entry)
        leaves += len(own)
        options.setdefault(entry.family.name if entry.family else name, set()).update(own)
    return Count(len(options), sum(map(len, options.values())), leaves)


def options_of(name: str, entry: Entry) -> list[tuple[str, str]]:
    """Name and text of every option and positional argument of a command, without --help."""
    function = resolve({name: entry.target}, name, "command")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        parser = tyro.extras.get_parser(config_type(name, entry, function) or function)
    actions = [action for action in parser._actions if "--help" not in action.option_strings]
    return [(" ".join(action.option_strings) or action.dest, _text(str(action.help))) for action in actions]


def _text(text: str) -> str:
    """Without what tyro adds, such as (default: 3)."""
    return re.sub(r"\s*\((?:default: |required|optional|repeatable).*", "", text, flags=re.DOTALL).strip()


def count_commands() -> int:
    """Commands of `exuvia`."""
    return count().commands


def count_options() -> int:
    """Options of `exuvia`."""
    return count().options


def main() -> None:
    """Print the figures, and the options of every command."""
    figures = count()
    for name, entry in COMMAND.items():
        print(f"{name:<24}{len(options_of(name, entry)):>4}")
    print(f"{figures.commands} commands, {figures.options} options; {figures.leaves} with all of a family's members")


if __name__ == "__main__":
    main()
