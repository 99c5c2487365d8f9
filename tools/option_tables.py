"""Fills the option tables of docs/ssm from the layers' configurations, the one place of names, defaults and meanings.

A page holds `<!-- options: module:Config -->` and `<!-- /options -->`; between them goes one line per field, with the
text that follows the field in the source. `--check` only compares and exits with 1 if a page is not current.
"""

import argparse
import dataclasses
import re
import sys
from importlib import import_module
from pathlib import Path

from exuvia.config import describe

PAGES = Path(__file__).resolve().parents[1] / "docs" / "ssm"
BLOCK = re.compile(r"(<!-- options: ([\w.]+):(\w+) -->\n).*?(<!-- /options -->)", re.DOTALL)


def table(kind: type) -> str:
    """A Markdown table of a configuration's fields."""
    lines = ["| option | default | what |", "|---|---|---|"]
    for one in describe(kind):
        default = "(needed)" if one.default is dataclasses.MISSING else f"`{one.default!r}`"
        lines.append(f"| `{one.name}` | {default} | {one.text.replace('|', chr(92) + '|')} |")
    return "\n".join(lines) + "\n"


def filled(page: str) -> str:
    """A page with its tables rendered again."""

    def fill(match: re.Match[str]) -> str:
        kind = getattr(import_module(match[2]), match[3])
        return match[1] + table(kind) + match[4]

    return BLOCK.sub(fill, page)


def main() -> int:
    """Fill all pages, or compare them."""
    parser = argparse.ArgumentParser(description="option tables of docs/ssm")
    parser.add_argument("--check", action="store_true", help="compare only")
    check, stale = parser.parse_args().check, []
    for page in sorted(PAGES.glob("*.md")):
        template = page.with_suffix(".md.in")
        path = template if template.is_file() else page
        text = path.read_text(encoding="utf-8")
        if filled(text) != text:
            stale.append(path.name)
            if not check:
                path.write_text(filled(text), encoding="utf-8")
    if check and stale:
        sys.stderr.write(f"option tables of {', '.join(stale)} do not match the source; run: make docs-options\n")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
