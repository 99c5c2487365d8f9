"""Reads documentation pages: their blocks, the command lines in them; and runs what a page tells its reader to run."""

import contextlib
import io
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from exuvia.__main__ import main
from lab.__main__ import main as lab_main

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
FENCE = re.compile(r'(?ms)^```(\w+)(?: title="([^"]+)")?\n(.*?)^```')
NUMBER = re.compile(r"[-+]?\d[\d.,]*(?:e[-+]?\d+)?")


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    title: str
    """Name of the file that the block is, or ""."""
    text: str


def read_page(path: Path) -> str:
    """The text of a page."""
    return path.read_text(encoding="utf-8")


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page."""
    return [Block(*found) for found in FENCE.findall(page)]


def command_lines(text: str) -> Iterator[list[str]]:
    """The words of each command of a shell block; comments, prompts and variables before a command are dropped."""
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        words = shlex.split(line.strip().removeprefix("$ "), comments=True)
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words = words[1:]
        if words:
            yield words


def run_page(page: str, replace: Mapping[str, str]) -> str:
    """Run every block of a page in the current folder, in order, and return what it printed.

    Args:
        page: the text of the page
        replace: text of the page -> text to run in its place; each must occur in the page
    Raises:
        AssertionError: a command fails, or the output lacks a line that the page shows.
    """
    for old, new in replace.items():
        assert old in page, f"the page has no {old!r}"
        page = page.replace(old, new)
    names: dict[str, object] = {}
    printed = io.StringIO()
    for block in blocks(page):
        if block.language == "text":
            _compare(block.text, printed.getvalue())
        elif block.title:
            Path(block.title).write_text(block.text, encoding="utf-8")
        else:
            with contextlib.redirect_stdout(printed):
                if block.language == "python":
                    exec(compile(block.text, "page", "exec"), names)
                elif block.language == "sh":
                    for words in command_lines(block.text):
                        _run(words)
                else:
                    raise AssertionError(f"no way to run a block of {block.language!r}")
    return printed.getvalue()


def _run(words: list[str]) -> None:
    """Run one command in this process: `exuvia`, `python -m lab` or `python FILE`."""
    program, *rest = words
    if program == "exuvia":
        code: object = main(rest)
    elif words[:3] == ["python", "-m", "lab"]:
        code = lab_main(words[3:])
    elif program == "python" and rest[0].endswith(".py"):  # a separate process, as for a reader
        done = subprocess.run([sys.executable, *rest], capture_output=True, text=True, check=False)
        print(done.stdout)
        assert not done.returncode, done.stderr
        code = 0
    else:
        raise AssertionError(f"no way to run {shlex.join(words)!r}")
    assert not code, f"{shlex.join(words)} ended with {code}"


def _compare(shown: str, printed: str) -> None:
    """Every line that a page shows was printed, whatever its numbers; `...` stands for what is left out."""
    lines = {_form(line) for line in printed.splitlines()}
    missing = [line for line in shown.splitlines() if line.strip() not in ("", "...") and _form(line) not in lines]
    assert not missing, f"the output lacks: {missing}"


def _form(line: str) -> str:
    """A line without what differs between machines: numbers, intervals, bold, widths of columns."""
    text = NUMBER.sub("#", line.replace("**", ""))
    return re.sub(r"[\s:-]+", " ", re.sub(r"# ± #", "#", text)).strip()
