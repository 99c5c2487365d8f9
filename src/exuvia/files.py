"""Files that appear whole or not at all: write beside the target, then rename."""

import csv
import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from exuvia.errors import OutputError


@contextmanager
def as_output_error(path: Path) -> Iterator[None]:
    """An OSError inside becomes an OutputError that names the path."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"cannot write {path}: {reason}; nothing was changed there") from error


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """A temporary path in the target's folder that takes the target's place when the block ends without an error.

    Args:
        path: the target; its folder is made if need be.
    Raises:
        OutputError: the folder cannot be written, or the disk is full.
    """
    target = Path(path)
    with as_output_error(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.stem}-", suffix=target.suffix, dir=target.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            os.chmod(temporary, 0o644)  # after writing: some writers put a private file in its place
            with open(temporary, "rb") as done:
                os.fsync(done.fileno())
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: str | Path) -> Iterator[Path]:
    """A temporary sibling folder that becomes `path` when the block ends without an error; an older one is replaced.

    Raises:
        OutputError: the parent cannot be written, or the disk is full.
    """
    target = Path(path)
    with as_output_error(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        os.chmod(temporary, 0o755)
        try:
            yield temporary
            old = temporary.with_name(temporary.name + "-old")
            if target.exists():
                os.replace(target, old)
            os.replace(temporary, target)
            shutil.rmtree(old, ignore_errors=True)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file whole (UTF-8). Raises OutputError."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Write a JSON file whole, indented, keys in the given order. Raises OutputError."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def csv_text(rows: Sequence[Mapping[str, object]]) -> str:
    """Rows with equal keys as comma-separated values; no cell is one that a table program takes for a formula."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)
    return out.getvalue()


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" else value


def sha256_file(path: str | Path) -> str:
    """Hex SHA-256 of a file's bytes, read in pieces."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
