"""Phrases that no text of the project may use, each with what to write instead. `make check` runs it.

They stand for habits that made earlier text hard to read: riddles, inverted sentences, old-fashioned words. Text is
every line of documents, docstrings, comments and messages. Names that other projects chose are left alone.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
KINDS = {".md", ".in", ".py", ".ts", ".tsx", ".h", ".cpp", ".toml", ".cff", ".yml", ".yaml", ".sh", ".ipynb"}
OWN = ("tools/prose.py", "tests/test_prose.py")
EXEMPT = (*OWN, "docs/papers.bib", "docs/results/history", "src/exuvia/evaluation/prompts/")
"""The list itself, its test, titles of papers, and prompts, which are data."""

REFUSED = {
    r"\banew\b": "again",
    r"\bas ever\b": "as before",
    r"\bof everything random\b": "of every random choice",
    r"\b(is|are|was) to be had\b": "is available",
    r"\btake (it|them) off again\b": "undo it",
    r"\bwere it to\b": "if it",
    r"\bwhoever\b": "users who, anyone who",
    r"\bof (its|their|his) own kind\b": "of the same kind",
    r"\bthat nobody\b": "that no one, unused",
    r"\bnot they\b": "others",
    r"\bas wished\b": "as requested",
    r"\bwished for\b": "wanted, the target",
    r"\bdetours?\b": "prompt guard",
    r"\bin its stead\b": "instead",
    r"\btheir kin\b": "similar projects",
    r"\bis said,? too\b": "is stated as well",
    r"\bmade[- ]up (motion|clip|caption)s?\b": "synthetic",
    r"\bthe like of\b": "such as",
    r"\bby (itself|themselves) alone\b": "alone",
    r"\bmuch the same\b": "similar",
    r"\bstands? beside (it|them)\b": "is next to it",
    r"\bbeside (the|it|its|them|their|these|that|each|a|an|one|which)\b": "next to, in addition to",
    r"\bso many\b": "this many",
    r"\bgoes on\b": "continues",
}
"""Phrase, without regard to capitals -> what to write instead."""


def refused(text: str) -> Iterator[tuple[int, str, str]]:
    """Line numbers, phrases and what to write instead."""
    for pattern, instead in REFUSED.items():
        for match in re.finditer(pattern.replace(" ", r"\s+"), text, re.IGNORECASE):
            yield text.count("\n", 0, match.start()) + 1, " ".join(match[0].split()), instead


def problems(root: Path, names: list[str]) -> list[str]:
    """One line for each refused phrase in the text files among `names`, paths relative to `root`."""
    found = []
    for name in names:
        path = root / name
        if path.suffix in KINDS and not name.startswith(EXEMPT) and path.is_file():
            lines = sorted(refused(path.read_text(encoding="utf-8")))
            found += [f"{name}:{line}: {phrase!r}; write: {instead}" for line, phrase, instead in lines]
    return found


def main() -> int:
    """Check every file that git tracks; returns 1 if a phrase is refused."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    found = problems(ROOT, listed.stdout.splitlines())
    print("\n".join(found) or f"no refused phrase of {len(REFUSED)}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
