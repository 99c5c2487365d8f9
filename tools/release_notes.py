"""The part of CHANGELOG.md for a tag, if the tag is the version of the packages: `make ci-notes TAG=v1.2.3`."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VERSION_FILES = (
    "src/exuvia/__init__.py",
    "packages/ssm/src/exuvia_ssm/__init__.py",
    "packages/base/src/exuvia_base/__init__.py",
    "packages/research/src/exuvia_research/__init__.py",
)


def versions(root: Path = ROOT) -> dict[str, str]:
    """The version that each package states, by file."""
    found = {}
    for name in VERSION_FILES:
        text = (root / name).read_text(encoding="utf-8")
        found[name] = re.findall(r'(?m)^__version__ = "(.+)"$', text)[0]
    return found


def section(changelog: str, version: str) -> str:
    """The entries under a version's heading. Raises ValueError if there are none."""
    parts = re.split(r"(?m)^## \[(.+?)\].*$", changelog)
    entries = dict(zip(parts[1::2], parts[2::2], strict=True))
    text = entries.get(version, "").strip()
    if not text:
        raise ValueError(f"found no entries under ## [{version}] in CHANGELOG.md, expected those of the release")
    return text + "\n"


def notes(tag: str, root: Path = ROOT) -> str:
    """Release notes of a tag. Raises ValueError if tag, versions and changelog disagree."""
    stated = versions(root)
    if set(stated.values()) != {tag.removeprefix("v")} or not re.fullmatch(r"v\d+\.\d+\.\d+((a|b|rc)\d+)?", tag):
        raise ValueError(f"found the tag {tag!r}, expected v and the version of every package: {stated}")
    return section((root / "CHANGELOG.md").read_text(encoding="utf-8"), tag.removeprefix("v"))


def main() -> int:
    """Write the notes, or say what disagrees and return 1."""
    if len(sys.argv) != 3:
        print("usage: release_notes.py TAG FILE", file=sys.stderr)
        return 2
    try:
        text = notes(sys.argv[1])
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    out = Path(sys.argv[2])
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
