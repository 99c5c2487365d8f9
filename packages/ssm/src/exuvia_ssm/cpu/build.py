"""Builds the C++ scan at first use and stores the library in the user's cache folder.

The library has a plain C interface, so a build needs only a C++17 compiler (GCC or Clang) and takes seconds. Its name
contains a hash of the sources, the compiler and the processor's features, so a change of any of them causes a rebuild,
and different machines can share a cache folder. Parallel processes wait for each other. The file is written atomically,
and its name ends in a digest of its bytes, which is checked before loading; a damaged file is rebuilt.

Environment: CXX names the compiler, EXUVIA_CACHE the cache folder (default XDG_CACHE_HOME or ~/.cache, `exuvia/`),
EXUVIA_NO_COMPILER=1 disables building.
"""

import atexit
import functools
import hashlib
import logging
import os
import platform
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from exuvia_ssm.errors import ExuviaError

try:
    import fcntl
except ImportError:  # on Windows, only the atomic rename protects the cache
    fcntl = None  # type: ignore[assignment]

SOURCES = Path(__file__).parent
BASE_FLAGS = ("-std=c++17", "-O3", "-fPIC", "-shared", "-fvisibility=hidden", "-fno-math-errno", "-ffp-contract=fast")
TIMEOUT_S = 300
STALE_S = 3600
"""Age after which a temporary file was left by a build that was killed."""

log = logging.getLogger(__name__)


class BuildError(ExuviaError):
    """The kernel cannot be built here; the message says why."""


def library(arch: str | None = "native", source: Path | None = None) -> Path:
    """Return the shared library of a source file and the headers in its folder, built unless it is in the cache.
    `arch` is "native" for this processor (generic code if the compiler lacks the flag), None for generic code, or a
    value of -march; the default source is that of the scan.
    Raises BuildError without a working compiler or a folder that only this user can write to."""
    compiler = _compiler()
    source = source or SOURCES / "scan.cpp"
    stem = f"{source.stem}-{_key(compiler, arch, source)}"
    folder = _cache_folder()
    path = _intact(folder, stem)
    if path is None:
        if not os.access(folder, os.W_OK):
            folder = _private_folder(folder)
        with _locked(folder / f"{stem}.lock") as lock:
            path = _intact(folder, stem, removes=True) or _build(
                compiler, source, _attempts(compiler, arch), folder, stem, lock
            )
    _check_owner(path)
    return path


def _digest(stem: str, path: Path) -> str:
    return hashlib.sha256(stem.encode() + path.read_bytes()).hexdigest()[:16]


def _intact(folder: Path, stem: str, removes: bool = False) -> Path | None:
    """Return the library if its bytes match its digest; with `removes`, delete damaged files with a warning."""
    for path in folder.glob(f"{stem}-*.so"):
        if path.is_file() and path.stem == f"{stem}-{_digest(stem, path)}":
            return path
        if removes:
            log.warning("the compiled scan %s is damaged; it is rebuilt", path)
            path.unlink()
    return None


def _build(
    compiler: tuple[str, ...], source: Path, attempts: list[tuple[str, ...]], folder: Path, stem: str, lock: int | None
) -> Path:
    """Build the library into the cache, and remove what killed builds left there."""
    for part in folder.glob(".*.part"):
        with suppress(OSError):  # another process was faster
            if (lock is not None and part.name.startswith(f".{stem}-")) or time.time() - part.stat().st_mtime > STALE_S:
                part.unlink()
    log.warning("building the compiled scan with %s; this takes seconds, once per machine", compiler[0])
    handle, name = tempfile.mkstemp(prefix=f".{stem}-", suffix=".part", dir=folder)
    os.close(handle)
    part = Path(name)
    try:
        _compile(compiler, source, attempts, part, lock)
        part.chmod(0o700)
        return part.replace(folder / f"{stem}-{_digest(stem, part)}.so")
    finally:
        part.unlink(missing_ok=True)


def _compiler() -> tuple[str, ...]:
    if os.environ.get("EXUVIA_NO_COMPILER", "") not in ("", "0"):
        raise BuildError("the compiled scan is switched off by EXUVIA_NO_COMPILER; unset it to use a C++ compiler")
    wanted = os.environ.get("CXX")
    for candidate in [wanted] if wanted else ["c++", "g++", "clang++"]:
        command = shlex.split(candidate)
        path = shutil.which(command[0]) if command else None
        if path:
            return (path, *command[1:])
    looked = f"CXX={wanted}" if wanted else "c++, g++ or clang++"
    raise BuildError(f"no C++ compiler was found ({looked}); install one, e.g. the package g++, for the fast scan")


@functools.cache
def _version(compiler: tuple[str, ...]) -> str:
    try:
        done = subprocess.run([*compiler, "--version"], capture_output=True, text=True, timeout=TIMEOUT_S)
    except (OSError, subprocess.SubprocessError) as error:
        raise BuildError(f"the C++ compiler {compiler[0]} does not run: {error}; set CXX to one that does") from error
    return done.stdout


@functools.cache
def _processor() -> str:
    """Return what determines -march=native: the processor's feature flags if available."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith(("flags", "Features")):
                return line
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _key(compiler: tuple[str, ...], arch: str | None, source: Path) -> str:
    digest = hashlib.sha256()
    for path in [*sorted(source.parent.glob("*.h")), source]:
        digest.update(path.read_bytes() + b"\0")
    facts = (compiler, _version(compiler), _attempts(compiler, arch), platform.machine(), sys.platform)
    digest.update(repr(facts).encode() + (_processor().encode() if arch == "native" else b""))
    return digest.hexdigest()[:24]


def _arch_flag(arch: str) -> str:
    arm = platform.machine().lower() in ("aarch64", "arm64")
    return f"-mcpu={arch}" if arm else f"-march={arch}"


def _attempts(compiler: tuple[str, ...], arch: str | None) -> list[tuple[str, ...]]:
    """Return flags to try, best first. OpenMP only with GCC, whose runtime torch shares; another adds a second pool."""
    threads: list[tuple[str, ...]] = [("-pthread",)]
    if "clang" not in _version(compiler).lower():
        threads.insert(0, ("-fopenmp",))
    marches: list[tuple[str, ...]] = [()] if arch is None else [(_arch_flag(arch),)]
    if arch == "native":
        marches.append(())
    return [(*BASE_FLAGS, *march, *thread) for march in marches for thread in threads]


def _compile(
    compiler: tuple[str, ...], source: Path, attempts: list[tuple[str, ...]], target: Path, lock: int | None = None
) -> None:
    """Compile with the first flags that work; else raise BuildError with the first error of the last attempt.

    The compiler inherits the lock: if this process is killed, the next one waits until the compiler has ended.
    """
    message = ""
    kept = () if lock is None else (lock,)
    for flags in attempts:
        command = [*compiler, *flags, str(source), "-o", str(target)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, pass_fds=kept)
        except (OSError, subprocess.SubprocessError) as error:
            message = str(error)
            continue
        if done.returncode == 0:
            return
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        message = next((line for line in lines if "error" in line), lines[0])
    raise BuildError(f"the C++ compiler {compiler[0]} failed: {message.strip()}; set CXX to another one (GCC or Clang)")


@functools.cache
def _private_folder(instead: Path) -> Path:
    """Return a temporary folder for this process, used if the cache is read-only; removed at exit."""
    log.warning("%s is not writable, so each process builds the scan; set EXUVIA_CACHE to a writable folder", instead)
    folder = Path(tempfile.mkdtemp(prefix="exuvia-"))
    atexit.register(shutil.rmtree, folder, True)
    return folder


def _cache_folder() -> Path:
    named = os.environ.get("EXUVIA_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = Path(named) if named else Path(base) / "exuvia"
    folder = folder / "kernels"
    if not named and base.startswith("~"):  # neither HOME nor an entry in the list of users
        return _private_folder(folder)
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if folder.is_dir():
        _check_owner(folder)
    return folder


def _check_owner(path: Path) -> None:
    """Refuse to load code from a place to which another user can write."""
    if not hasattr(os, "geteuid"):
        return
    facts = path.stat()
    if facts.st_uid not in (os.geteuid(), 0) or facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise BuildError(
            f"{path} belongs to or can be written by another user, so no code is loaded from it; "
            "set EXUVIA_CACHE to a folder of your own (chmod 700)"
        )


@contextmanager
def _locked(path: Path) -> Iterator[int | None]:
    """Let one process build at a time; without working locks (some network folders: None), two builds are harmless."""
    with open(path, "wb") as file:
        lock = None
        with suppress(OSError):
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX)
                lock = file.fileno()
        try:
            yield lock
        finally:
            if lock is not None:  # also if a compiler that timed out still holds it
                fcntl.flock(file, fcntl.LOCK_UN)
