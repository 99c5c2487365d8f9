"""Output files and folders that appear whole or not at all, and never replace a user's own files.

Output is first written to a temporary folder `.exuvia-XXXXXXXX` next to the target, and a lock marks it as in use. Then
one rename, or one exchange of two folders, puts the output in place. Temporary folders without a lock were left by
killed processes; the next write into the same parent removes them.
"""

import contextlib
import csv
import ctypes
import errno
import hashlib
import io
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from exuvia.errors import DataError, OutputError
from exuvia.readers import read_json

try:
    import fcntl
except ImportError:  # Windows has no such locks: nothing is cleaned up, and two writers do not notice each other
    fcntl = None  # type: ignore[assignment]

MARKER = ".exuvia.json"
"""File in every folder that `whole_folder` makes: the kind of the folder and the names of its content."""
_PREFIX = ".exuvia-"
_EXCHANGE = 2  # RENAME_EXCHANGE of renameat2(2)
_HERE = -100  # AT_FDCWD
_scanned: dict[Path, float] = {}
"""Parent folder of a target -> time of the next clean-up."""


@contextmanager
def as_output_error(path: Path) -> Iterator[None]:
    """Turn an OSError in the block, or an error of safetensors, into an OutputError that names the path."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise OutputError(f"cannot write {path}: {reason}; nothing was changed there") from error


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path of the same name, which replaces the target if the block ends without an error.

    A symbolic link stays, and its target is replaced. A new file has the permissions of the old one, or those of the
    umask. The folder is made if necessary. Raises OutputError if it cannot be written, or the disk is full.
    """
    target = Path(os.path.realpath(path))
    with as_output_error(target), _private_folder(target) as place:
        temporary = place / target.name
        temporary.touch()
        mode = (target if target.exists() else temporary).stat().st_mode & 0o777
        yield temporary
        temporary.chmod(mode)  # after writing: some writers replace it by a private file
        with open(temporary, "rb") as done:
            os.fsync(done.fileno())
        os.replace(temporary, target)


@contextmanager
def whole_folder(
    path: str | Path, kind: str, *, overwrite: bool = False, sources: Iterable[str | Path] = ()
) -> Iterator[Path]:
    """Yield a temporary folder, which replaces `path` (or its target, for a link) if the block ends without an error;
    an older folder of this kind is replaced, others as `check_folder` says.
    Raises OutputError if it cannot be written."""
    rules: dict[str, Any] = {"overwrite": overwrite, "sources": list(sources)}
    target = check_folder(path, kind, **rules)
    with as_output_error(target), _private_folder(target) as place:
        folder = place / target.name
        folder.mkdir()
        yield folder
        write_json(folder / MARKER, {"kind": kind, "files": sorted(file.name for file in folder.iterdir())})
        check_folder(path, kind, **rules)
        if target.exists():
            _exchange(folder, target, place)
        else:
            os.rename(folder, target)


def check_folder(path: str | Path, kind: str, *, overwrite: bool = False, sources: Iterable[str | Path] = ()) -> Path:
    """Return the real path of a folder that may be written or replaced.

    An existing folder may be replaced if it is empty, or has this package's marker of the same kind and no other files.

    Args:
        overwrite: allow replacing any content
        sources: inputs of the command; a folder that contains one of them is never replaced, and neither is the
            working directory, the home directory, or a folder above them
    Raises:
        OutputError: it may not be replaced.
    """
    target = Path(os.path.realpath(path))
    _clean_up(target.parent)
    if not target.exists():
        return target
    if not target.is_dir():
        raise OutputError(f"{path} is a file, expected a folder for the {kind}; choose another name")
    for name, place in (("working", Path.cwd), ("home", Path.home)):
        with contextlib.suppress(OSError, RuntimeError):  # a deleted working directory, a user without a home
            if target in (here := Path(os.path.realpath(place())), *here.parents):
                raise OutputError(f"{path} is the {name} directory, or holds it; choose another folder")
    for source in sources:
        inside = Path(os.path.realpath(source))
        if inside.exists() and target in (inside, *inside.parents):
            raise OutputError(f"{path} holds {source}, which is read for the {kind}; choose another folder")
    content = {file.name for file in target.iterdir() if not file.name.startswith(_PREFIX)}
    if overwrite or not content:
        return target
    present, names = _marker(target)
    if present != kind:
        what = f"a {present}" if present else ", ".join(sorted(content)[:3])
        raise OutputError(f"{path} holds {what}, not a {kind}; {_ADVICE}")
    if foreign := sorted(content - names - {MARKER}):
        raise OutputError(f"{path} holds {', '.join(foreign[:3])}, which is no part of the {kind}; {_ADVICE}")
    return target


_ADVICE = "choose another folder, or replace it whole with --overwrite (in Python: overwrite=True)"


def _marker(folder: Path) -> tuple[str | None, set[str]]:
    """Kind of a folder and the names of its content, according to its marker."""
    with contextlib.suppress(DataError):
        about = read_json(folder / MARKER)
        if isinstance(about, dict) and isinstance(about.get("kind"), str) and isinstance(about.get("files"), list):
            return about["kind"], set(map(str, about["files"]))
    return None, set()


@contextmanager
def locked(folder: str | Path) -> Iterator[None]:
    """Lock a folder, made if necessary, inside the block. Raises OutputError if it cannot, or another process does."""
    place = Path(folder)
    with as_output_error(place):
        place.mkdir(parents=True, exist_ok=True)
    with _lock(place) as held:
        if held is False:
            raise OutputError(f"another process is writing {folder}; wait for it or choose another folder")
        yield


@contextmanager
def _lock(folder: Path) -> Iterator[bool | None]:
    """Lock a folder inside the block; yields False if another process holds the lock, None if there are no locks."""
    if fcntl is None:
        yield None
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        held: bool | None = True
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:  # an error other than BlockingIOError: a network drive without locks
            held = False if isinstance(error, BlockingIOError) else None
        yield held
    finally:
        os.close(handle)


@contextmanager
def _private_folder(target: Path) -> Iterator[Path]:
    """A private, locked folder next to the target, which is removed at the end."""
    target.parent.mkdir(parents=True, exist_ok=True)
    _clean_up(target.parent)
    with contextlib.ExitStack() as stack:
        while True:
            place = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=target.parent))
            with contextlib.suppress(FileNotFoundError):  # another process removed it before it was locked
                if stack.enter_context(_lock(place)) is not False and place.exists():
                    break
        stack.callback(_remove, place)
        yield place


def _clean_up(parent: Path) -> None:
    """Remove temporary folders of killed processes; large folders are searched less often."""
    started = time.monotonic()
    if fcntl is None or started < _scanned.get(parent, 0.0):
        return
    with contextlib.suppress(OSError), os.scandir(parent) as entries:
        for name in [entry.name for entry in entries if entry.name.startswith(_PREFIX)]:
            with contextlib.suppress(OSError), _lock(parent / name) as held:
                if held:
                    _remove(parent / name)
    ended = time.monotonic()
    _scanned[parent] = ended + 50 * (ended - started)


def _remove(place: Path) -> None:
    """Remove a temporary folder, and first put back a folder that was moved into it and not replaced."""
    aside = place / "aside"
    for folder in aside.iterdir() if aside.is_dir() else ():
        if not (home := place.parent / folder.name).exists():
            os.rename(folder, home)
    shutil.rmtree(place, ignore_errors=True)


def _exchange(made: Path, target: Path, place: Path) -> None:
    """Put `made` at `target`, and the old target into `place`, atomically if the system supports it."""
    with contextlib.suppress(AttributeError):  # a system without renameat2
        rename = ctypes.CDLL(None, use_errno=True).renameat2
        if rename(_HERE, os.fsencode(made), _HERE, os.fsencode(target), _EXCHANGE) == 0:
            return
        if (code := ctypes.get_errno()) not in (errno.ENOSYS, errno.EINVAL):
            raise OSError(code, os.strerror(code))
    (place / "aside").mkdir()
    os.rename(target, place / "aside" / target.name)
    os.rename(made, target)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file whole (UTF-8). Raises OutputError."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Write a JSON file whole, indented, keys in the given order. Raises OutputError."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def csv_text(rows: Sequence[Mapping[str, object]]) -> str:
    """Rows with equal keys as comma-separated values; cells that spreadsheets would read as formulas are quoted."""
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
