"""Copies docs/ for the site: `python tools/stage_docs.py build/docs`. Links to files outside docs/ get copies of these
files, as plain text under source/, so that no link leaves the site."""

import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"(\]\()([^)\s#]+)((?:#[^)]*)?\))")


def stage(docs: Path, target: Path, root: Path = ROOT) -> None:
    """Write a copy of `docs` at `target`, which is replaced."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(docs, target, ignore=shutil.ignore_patterns("*.md.in"))
    for page in sorted(target.rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        origin = docs / page.relative_to(target)

        def moved(found: re.Match[str], page: Path = page, origin: Path = origin) -> str:
            link = found[2]
            linked = (origin.parent / link).resolve()
            outside = "://" not in link and linked.is_relative_to(root) and not linked.is_relative_to(docs.resolve())
            if not outside or not linked.is_file():
                return found[0]
            copy = target / "source" / (str(linked.relative_to(root)) + ".txt")
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(linked, copy)
            up = "../" * len(page.relative_to(target).parent.parts)
            return f"{found[1]}{up}{copy.relative_to(target)})"

        page.write_text(LINK.sub(moved, text), encoding="utf-8")


if __name__ == "__main__":
    stage(ROOT / "docs", Path(sys.argv[1] if len(sys.argv) > 1 else "build/docs").resolve())
