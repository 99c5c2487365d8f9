"""Output files and folders that appear whole or not at all, and never take the place of something of the user's.

What is written stands in a temporary folder `.exuvia-XXXXXXXX` beside the target, which a lock marks as in use. Then
one rename, or one exchange of two folders, puts it in place. Temporary folders without a lock were left by killed
processes; the next write into the same parent removes them.
"""

import contextlib
import csv
import ctypes
import errno
import glob
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
except ImportError:  # Windows has no such locks: nothing is cleaned there, and two writers do not notice each other
    fcntl = None  # type: ignore[assignment]

MARKER = ".exuvia.json"
"""File in every folder that `whole_folder` makes: the kind of the folder and the names of what was written there."""
_PREFIX = ".exuvia-"
_REPORT = {"report.json", "report.csv", "report.md", "report.tex"}
_EXCHANGE = 2  # RENAME_EXCHANGE of renameat2(2)
_HERE = -100  # AT_FDCWD
_scanned: dict[Path, float] = {}
"""Parents of targets, and when to look for leftovers there again."""


@contextmanager
def as_output_error(path: Path) -> Iterator[None]:
    """An OSError inside, or one that safetensors reports, becomes an OutputError that names the path."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise OutputError(f"cannot write {path}: {reason}; nothing was changed there") from error


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """A temporary path of the same name that takes the target's place when the block ends without an error.

    A symbolic link stays, and what it points to is replaced. Permissions are those of the file that was there, else
    those that the umask gives.

    Args:
        path: the target; its folder is made if need be.
    Raises:
        OutputError: the folder cannot be written, or the disk is full.
    """
    target = Path(os.path.realpath(path))
    with as_output_error(target), _beside(target) as place:
        temporary = place / target.name
        temporary.touch()
        mode = (target if target.exists() else temporary).stat().st_mode & 0o777
        yield temporary
        temporary.chmod(mode)  # after writing: some writers put a private file in its place
        with open(temporary, "rb") as done:
            os.fsync(done.fileno())
        os.replace(temporary, target)


@contextmanager
def whole_folder(
    path: str | Path, kind: str, *, overwrite: bool = False, sources: Iterable[str | Path] = ()
) -> Iterator[Path]:
    """A temporary folder that becomes `path` when the block ends without an error.

    Args:
        path: the target; of a symbolic link, what it points to
        kind: of the folder, in the reader's words; an older folder of this kind is replaced
        overwrite, sources: see `check_folder`
    Raises:
        OutputError: as `check_folder` says, the parent cannot be written, or the disk is full.
    """
    rules: dict[str, Any] = {"overwrite": overwrite, "sources": list(sources)}
    target = check_folder(path, kind, **rules)
    with as_output_error(target), _beside(target) as place:
        made = place / target.name
        made.mkdir()
        yield made
        write_json(made / MARKER, {"kind": kind, "files": sorted(one.name for one in made.iterdir())})
        check_folder(path, kind, **rules)
        if target.exists():
            _exchange(made, target, place)
        else:
            os.rename(made, target)


def check_folder(path: str | Path, kind: str, *, overwrite: bool = False, sources: Iterable[str | Path] = ()) -> Path:
    """The real path of a folder that may be written, or replaced whole.

    A folder that exists is replaced if it is empty, or carries this package's mark of the same kind and nothing else.

    Args:
        overwrite: replace it whatever it holds
        sources: what is read meanwhile; a folder that holds one of these is never replaced, and neither is the working
            directory, the home directory, or a folder above one of them
    Raises:
        OutputError: it may not be replaced.
    """
    target = Path(os.path.realpath(path))
    recover(target)
    if not target.exists():
        return target
    if not target.is_dir():
        raise OutputError(f"{path} is a file, expected a folder for the {kind}; choose another name")
    for name, place in (("working", Path.cwd), ("home", Path.home)):
        with contextlib.suppress(OSError, RuntimeError):  # a working directory that is gone, a user without a home
            if target in (here := Path(os.path.realpath(place())), *here.parents):
                raise OutputError(f"{path} is the {name} directory, or holds it; choose another folder")
    for source in sources:
        inside = Path(os.path.realpath(source))
        if inside.exists() and target in (inside, *inside.parents):
            raise OutputError(f"{path} holds {source}, which is read for the {kind}; choose another folder")
    found = {one.name for one in target.iterdir() if not one.name.startswith(_PREFIX)}
    if overwrite or not found:
        return target
    own, names = _mark(target, found)
    if own != kind:
        what = f"a {own}" if own else ", ".join(sorted(found)[:3])
        raise OutputError(f"{path} holds {what}, not a {kind}; {_ADVICE}")
    if foreign := sorted(found - names - {MARKER}):
        raise OutputError(f"{path} holds {', '.join(foreign[:3])}, which is no part of the {kind}; {_ADVICE}")
    return target


_ADVICE = "choose another folder, or replace it whole with --overwrite (in Python: overwrite=True)"


def _mark(folder: Path, found: set[str]) -> tuple[str | None, set[str]]:
    """Kind of a folder and the names that were written there; folders of version 0.1 are known by their content."""
    for name in (MARKER, "config.json"):
        try:
            about = read_json(folder / name)
        except DataError:
            continue
        if isinstance(about, dict) and isinstance(about.get("kind"), str):
            if name == MARKER and isinstance(about.get("files"), list):
                return about["kind"], set(map(str, about["files"]))
            if str(about.get("format")).startswith("exuvia/"):
                return about["kind"], found
    known = "report.json" in found and found <= {*_REPORT, "index.html"}
    return ("report page" if "index.html" in found else "report") if known else None, found


def recover(path: str | Path) -> None:
    """Put a folder back that a killed process had moved aside.

    Only version 0.1, and file systems that cannot exchange two folders, leave anything to put back.
    """
    target = Path(os.path.realpath(path))
    _tidy(target.parent)
    if target.exists():
        return
    with contextlib.suppress(OSError):
        older = target.parent.glob(f".{glob.escape(target.name)}-????????-old")  # as version 0.1 named it
        for aside in sorted(older, key=lambda one: one.stat().st_mtime)[-1:]:
            os.rename(aside, target)
            shutil.rmtree(aside.with_name(aside.name.removesuffix("-old")), ignore_errors=True)


@contextmanager
def locked(folder: str | Path) -> Iterator[None]:
    """Hold a folder, which is made if need be, against other processes that ask for it in the same way.

    Raises:
        OutputError: another process holds it, or it cannot be made.
    """
    place = Path(folder)
    with as_output_error(place):
        place.mkdir(parents=True, exist_ok=True)
    with _lock(place) as held:
        if held is False:
            raise OutputError(f"another process is writing {folder}; wait for it or choose another folder")
        yield


@contextmanager
def _lock(folder: Path) -> Iterator[bool | None]:
    """Hold a folder inside the block; gives False if another process holds it, None where there are no locks."""
    if fcntl is None:
        yield None
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        held: bool | None = True
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:  # another one than BlockingIOError: a network drive without locks
            held = False if isinstance(error, BlockingIOError) else None
        yield held
    finally:
        os.close(handle)


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A private folder beside the target, locked, and removed in the end."""
    target.parent.mkdir(parents=True, exist_ok=True)
    _tidy(target.parent)
    with contextlib.ExitStack() as stack:
        while True:
            place = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=target.parent))
            with contextlib.suppress(FileNotFoundError):  # another process took it for a leftover before the lock
                if stack.enter_context(_lock(place)) is not False and place.exists():
                    break
        stack.callback(_remove, place)
        yield place


def _tidy(parent: Path) -> None:
    """Remove what killed processes left in a folder; large folders are looked through less often."""
    started = time.monotonic()
    if fcntl is None or started < _scanned.get(parent, 0.0):
        return
    with contextlib.suppress(OSError), os.scandir(parent) as entries:
        for name in [one.name for one in entries if one.name.startswith(_PREFIX)]:
            with contextlib.suppress(OSError), _lock(parent / name) as held:
                if held:
                    _remove(parent / name)
    ended = time.monotonic()
    _scanned[parent] = ended + 50 * (ended - started)


def _remove(place: Path) -> None:
    """Remove a temporary folder; what was moved aside into it and not replaced goes back first."""
    aside = place / "aside"
    for one in aside.iterdir() if aside.is_dir() else ():
        if not (home := place.parent / one.name).exists():
            os.rename(one, home)
    shutil.rmtree(place, ignore_errors=True)


def _exchange(made: Path, target: Path, place: Path) -> None:
    """Put `made` where `target` is, and what was there into `place`, at one stroke where the system can."""
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
