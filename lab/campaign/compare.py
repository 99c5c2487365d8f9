"""Inspects a folder: hashes that are equal for equal results, incomplete files, and leftovers."""

import hashlib
import json
import re
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open

from exuvia.files import MARKER

MARKERS = frozenset({MARKER})
"""Hidden files of a finished folder that are expected: markers of the command that made it."""
CHANGING = (
    "date", "seconds", "edit_s", "edit_peak_mb", "evaluation_s", "evaluation_peak_mb", "seconds_last_session",
    "command", "commit",
)  # fmt: skip
"""JSON keys that differ from run to run: dates, measured seconds and megabytes, and the command line."""
NOT_COMPARED = ("tensorboard/",)
"""Beginnings of names of files with the time of every step."""
TIMES = re.compile(rb"\d{4}-\d\d-\d\d(?:T[\d:+]+)?|\b\d+(?:\.\d+)? ?(?:s|ms|MB)\b")
"""Dates, seconds and megabytes in pages and tables."""

Snapshot = Mapping[str, str]
"""Name below a folder -> hash."""


def snapshot(root: Path, names: Iterable[str] = ("",), measured: Iterable[str] = ()) -> dict[str, str]:
    """Hash the visible files of a folder, or of some places in it; of `measured` files, only their existence."""
    found = {}
    for place in (root / name for name in names):
        for path in [place] if place.is_file() else sorted(place.rglob("*")):
            name = path.relative_to(root).as_posix()
            if path.is_file() and not _is_hidden(name) and not any(f"/{part}" in f"/{name}" for part in NOT_COMPARED):
                found[name] = "there" if name in measured else digest(path)
    return found


def digest(path: Path) -> str:
    """Hash a file's contents, without the parts that differ from run to run."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return "gone"
    if path.suffix in (".json", ".jsonl"):
        try:
            lines = [data] if path.suffix == ".json" else data.splitlines()
            data = json.dumps([_steady(json.loads(line)) for line in lines]).encode()
        except ValueError:
            pass
    elif path.suffix in (".md", ".csv", ".tex", ".html"):
        data = TIMES.sub(b"T", data)
    return hashlib.sha256(data).hexdigest()


def _steady(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _steady(value) for key, value in tree.items() if key not in CHANGING}
    return [_steady(value) for value in tree] if isinstance(tree, list) else tree


def hidden(root: Path) -> list[str]:
    """Return hidden files and folders that are not markers, the outermost of each."""
    names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.name.startswith("."))
    names = [name for name in names if Path(name).name not in MARKERS]
    return [name for name in names if not any(name.startswith(f"{other}/") for other in names)]


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


def broken(root: Path) -> list[str]:
    """Return visible files that are incomplete."""
    bad = []
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_file() and not _is_hidden(name):
            try:
                _read_whole(path)
            except Exception as error:  # any exception of a reader of a truncated file
                bad.append(f"{name} ({type(error).__name__}: {str(error)[:60]})")
    return bad


def _read_whole(path: Path) -> None:
    """Raise an exception for a file that its format shows to be incomplete."""
    kind = path.suffix
    if kind == ".json":
        json.loads(path.read_bytes())
    elif kind == ".jsonl":
        for line in path.read_bytes().splitlines():
            json.loads(line)
    elif kind == ".safetensors":
        with safe_open(path, "numpy") as stream:
            list(stream.keys())
    elif kind == ".npy":
        np.load(path, allow_pickle=False)
    elif kind in (".npz", ".zip", ".tar") and zipfile.ZipFile(path).testzip():
        raise ValueError("a member is damaged")
    elif kind == ".html" and not path.read_bytes().rstrip().endswith(b"</html>"):
        raise ValueError("no end")
    elif kind == ".so" and path.read_bytes()[:4] != b"\x7fELF":
        raise ValueError("no library")
    elif kind not in (".txt", ".lock", "") and path.stat().st_size == 0:
        raise ValueError("empty")
