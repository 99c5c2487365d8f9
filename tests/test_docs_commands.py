"""Every command that the documentation quotes exists, with its switches and the kinds of their values."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from exuvia.__main__ import _HELP, parse
from exuvia.commands.table import COMMAND
from lab.table import COMMAND as EXPERIMENT
from pages import DOCS, ROOT, command_lines, read_page

PAGES = sorted([*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])
EXAMPLES = {"directional": "lcr", "deaf": "lcr", "mean": "mamba"}
"""Methods and layers that a reader of a page adds, and something that is there."""
PROGRAM = re.compile(r"^(?:exuvia|python -m lab|python directional\.py) ")


def quoted(page: str) -> Iterator[str]:
    """Command lines of a page: in indented and fenced blocks, and between backticks."""
    page = re.sub(r"\\\n\s*", " ", page)
    indented = [line.strip() for line in page.splitlines() if line.startswith("    ")]
    fenced = [line.strip() for block in re.findall(r"(?ms)^```sh\n(.*?)^```", page) for line in block.splitlines()]
    inline = [re.sub(r"\s+", " ", code) for code in re.findall(r"(?<!`)`([^`]+)`(?!`)", page)]
    for line in [*indented, *fenced, *inline]:
        command = re.sub(r"^(?:[A-Z_]+=(?:\$\([^)]*\)|\S*) )+", "", line.removeprefix("$ "))
        if PROGRAM.match(command):
            yield command


def is_pattern(words: list[str]) -> bool:
    """Whether a quotation leaves something open: a place holder in capitals, or dots."""
    return any(re.fullmatch(r"[A-Z][A-Z_]+|.*\.\.\..*", word) for word in words)


def check(line: str) -> None:
    """Raise what the command line would raise; dots and place holders are checked as far as their command's name."""
    words = shlex.split(line, comments=True)
    table, program, rest = (EXPERIMENT, "python -m lab", words[3:])
    if words[0] == "exuvia" or words[1] == "directional.py":
        table, program, rest = COMMAND, "exuvia", words[1:] if words[0] == "exuvia" else words[2:]
    rest = [EXAMPLES.get(word, word) for word in rest]
    name = next((text for text in (" ".join(rest[:2]), *rest[:1]) if text in table), None)
    if name is None:
        group = [key for key in table if key.startswith(f"{rest[0]} ")] if rest else []
        assert rest, f"no command: {line}"
        assert rest[0].startswith("-") or group or is_pattern(rest[:1]), f"no command: {line}"
        assert not group or len(rest) == 1 or is_pattern(rest[1:2]) or rest[1] in _HELP, f"no command: {line}"
        return
    given = rest[len(name.split()) :]
    if is_pattern(given) or not given or set(given) & _HELP or "`" in line:
        return
    code: object = 0
    try:
        parse(name, table[name], given, program)
    except SystemExit as end:
        code = end.code
    assert not code, f"the command line refuses: {line}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_quoted_command_parses(page: Path) -> None:
    for line in quoted(read_page(page)):
        check(line)


def test_a_command_that_is_wrong_is_refused() -> None:
    for line in (
        "exuvia generat x",
        "exuvia generate x --sed 3",
        "python -m lab scan --size 1",
        "exuvia unlearn lrc --out x",
    ):
        with pytest.raises(AssertionError, match=re.escape(line)):
            check(line)
    assert list(quoted("    $ exuvia list  # all\n`exuvia demo\n--out d` and `x`\n")) == [
        "exuvia list  # all", "exuvia demo --out d",
    ]  # fmt: skip


def test_pages_quote_commands() -> None:
    counts = {page.name: len(list(quoted(read_page(page)))) for page in PAGES}
    assert counts["faq.md"] >= 25
    assert sum(counts.values()) >= 80
    assert [list(command_lines("A=1 exuvia x \\\n  y # z"))] == [[["exuvia", "x", "y"]]]
