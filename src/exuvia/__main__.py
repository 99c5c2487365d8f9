"""The command line: finds the command, fills its settings, turns errors into one sentence and an exit code.

Exit codes: 0 success, 1 a check failed, 2 bad input or settings, too little memory or a full disk, 130 interrupted, 143
and 129 ended by SIGTERM and SIGHUP, 141 the reader of a pipe is gone.
Any other error is a defect of this program and shows its traceback.
"""

import contextlib
import dataclasses
import errno
import gc
import inspect
import logging
import os
import re
import sys
import typing
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from typing import Any

from exuvia import __version__
from exuvia.commands.table import COMMAND, Entry
from exuvia.errors import ConfigError, ExuviaError
from exuvia.registry import resolve, suggest
from exuvia.signals import Ended, ended_by_signals

_FULL_OR_LOCKED = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG}
_UNUSABLE = {*_FULL_OR_LOCKED, errno.ENAMETOOLONG, errno.ELOOP}
_NO_MEMORY = re.compile("can't allocate memory|out of memory|not enough memory|bad_alloc|can't start new thread")
_HELP = {"-h", "--help", "help"}


def main(
    argv: Sequence[str] | None = None, *, commands: Mapping[str, Entry] | None = None, program: str = "exuvia"
) -> int:
    """Run one command line (None: this process's words) with the given commands (None: those of `exuvia`), and return
    its exit code; `program` is the name in help texts and messages."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # waiting threads do not occupy a processor
    gc.set_threshold(50_000)  # loading creates many permanent objects
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for chatty in ("httpx", "httpx2"):  # a line for every request to the hub
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        args = list(sys.argv[1:] if argv is None else argv)
        with ended_by_signals():
            code = run(args, commands or COMMAND, program)
            sys.stdout.flush()
        return code
    except ExuviaError as error:
        return _refuse(str(error))
    except KeyboardInterrupt as end:
        print("exuvia: " + (f"ended by {end}" if isinstance(end, Ended) else "interrupted"), file=sys.stderr)
        return end.code if isinstance(end, Ended) else 130
    except BrokenPipeError:
        with contextlib.suppress(OSError, ValueError):  # nobody reads: silence the interpreter's flush at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        if error.errno not in _UNUSABLE:
            raise
        where = f" {str(error.filename)[:80]}" if error.filename else ""
        return _refuse(f"cannot write or read{where}: {error.strerror}; free some space or choose another place")
    except BrokenExecutor:
        return _refuse("the system ended a worker process, probably for lack of memory; run again to continue")
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not _NO_MEMORY.search(str(error)):
            raise
        return _refuse("there is not enough memory for this; free some memory or use a smaller batch")


def run(args: list[str], commands: Mapping[str, Entry], program: str = "exuvia") -> int:
    """Parse the rest of a command line for the command that it names, and call it. Raises ConfigError if none is."""
    if args[:1] == ["--version"]:
        print(f"exuvia {__version__}")
        return 0
    if not args or args[0] in _HELP:
        print(_overview(commands, program), file=sys.stdout if args else sys.stderr)
        return 0 if args else 2
    name = next((words for words in (" ".join(args[:2]), args[0]) if words in commands), None)
    if name is not None:
        return _call(name, commands[name], args[len(name.split()) :], program)
    group = {key: entry for key, entry in commands.items() if key.startswith(args[0] + " ")}
    if not group:
        tops = dict.fromkeys(key.split()[0] for key in commands)
        raise ConfigError(f"unknown command {args[0]!r}; {suggest(args[0], tops)}; run: {program} --help")
    if len(args) > 1 and args[1] not in _HELP:
        seconds = [key.split()[1] for key in group]
        raise ConfigError(f"unknown command '{args[0]} {args[1]}'; {suggest(args[1], seconds)}")
    print(_group_overview(group, program), file=sys.stdout if len(args) > 1 else sys.stderr)
    return 0 if len(args) > 1 else 2


def parse(name: str, entry: Entry, args: Sequence[str], program: str = "exuvia") -> Callable[[], Any]:
    """Return the command's call with settings read from `args`; usage errors exit with code 2, help with 0."""
    import tyro

    function = resolve({name: entry.target}, name, "command")
    about = description(function, entry)
    options: dict[str, Any] = {"prog": f"{program} {name}", "args": list(args), "description": about}
    kind = config_type(name, entry, function)
    if kind is not None:
        config = tyro.cli(kind, **options)
        return lambda: function(config)
    return lambda: tyro.cli(function, **options)


def description(function: Callable[..., Any], entry: Entry) -> str:
    """Help text of a command: its line if it belongs to a family, its docstring up to the first section, examples."""
    text = re.split(r"(?m)^\s*(?:Args|Returns|Raises|Yields):\s*$", inspect.getdoc(function) or entry.line)[0].strip()
    which = [f"{entry.line}.", ""] if entry.family else []
    return "\n".join([*which, text, "", "Examples:", *(f"    {example}" for example in entry.examples)])


def config_type(name: str, entry: Entry, function: Callable[..., Any]) -> Any:
    """The dataclass that a command takes, or None if it takes plain arguments."""
    if entry.config:
        return resolve({name: entry.config}, name, "command")(name)
    parameters = list(inspect.signature(function).parameters)
    kind = typing.get_type_hints(function).get(parameters[0]) if len(parameters) == 1 else None
    return kind if dataclasses.is_dataclass(kind) else None


def _call(name: str, entry: Entry, args: Sequence[str], program: str) -> int:
    try:
        code = parse(name, entry, args, program)()
    except ExuviaError as error:
        from exuvia.commands.switches import in_switches

        kind = config_type(name, entry, resolve({name: entry.target}, name, "command"))
        raise type(error)(in_switches(str(error), kind)) from error
    except SystemExit as leave:
        return leave.code if isinstance(leave.code, int) else 2 if leave.code else 0
    return code if isinstance(code, int) else 0


def _overview(commands: Mapping[str, Entry], program: str) -> str:
    """One line per command or family of commands, under the headings of the groups."""
    shown: dict[str, dict[str, str]] = {}
    examples: dict[str, str] = {}
    for name, entry in commands.items():
        row, line, example = entry.family or (name, entry.line, entry.examples[0])
        shown.setdefault(entry.group, {})[row] = line
        examples.setdefault(entry.group, example)
    width = max(len(row) for rows in shown.values() for row in rows)
    lines = [f"usage: {program} COMMAND [options]        ({program} COMMAND --help: settings and examples)"]
    for group, rows in shown.items():
        lines += ["", *([f"{group}:"] if group else []), *_rows(rows, width)]
    return "\n".join([*lines, "", "examples:", *(f"  {example}" for example in examples.values())])


def _group_overview(commands: Mapping[str, Entry], program: str) -> str:
    """One line per command that begins with the same word."""
    name, first = next(iter(commands.items()))
    family, line, _ = first.family or (f"{name.split()[0]} COMMAND", "", "")
    usage = f"usage: {program} {family} [options]        ({program} {family} --help: settings and examples)"
    rows = {name: entry.line for name, entry in commands.items()}
    return "\n".join([usage, "", *([f"{line}:"] if line else []), *_rows(rows, max(map(len, rows)))])


def _rows(lines: Mapping[str, str], width: int) -> list[str]:
    return [f"  {name:<{width}}  {line}" for name, line in lines.items()]


def _refuse(sentence: str) -> int:
    print(f"exuvia: {sentence}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
