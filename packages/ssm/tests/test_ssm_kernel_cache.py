"""The cache of the compiled scan: building, sharing, damage, killed builds, and places where nothing can be written."""

import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from exuvia_ssm.cpu import build, native

needs_compiler = pytest.mark.skipif(native.unavailable_reason() is not None, reason=str(native.unavailable_reason()))
FACE = 'extern "C" __attribute__((visibility("default"))) '
RUN = """
import sys, pathlib, ctypes
from exuvia_ssm.cpu import build
build.SOURCES = pathlib.Path(sys.argv[1])
print(ctypes.CDLL(str(build.library(None))).exuvia())
"""
SCAN = """
import sys, pathlib, torch
from exuvia_ssm import Mamba
from exuvia_ssm.cpu import build
if sys.argv[1:]:
    build.SOURCES = pathlib.Path(sys.argv[1])
layer = Mamba(8)
for _ in range(3):
    layer(torch.randn(2, 20, 8)).sum().backward()
"""


def test_a_missing_or_failing_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXUVIA_CACHE", str(tmp_path))
    monkeypatch.delenv("EXUVIA_NO_COMPILER", raising=False)
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(build.BuildError, match="CXX=no-such-compiler"):
        build.library()
    broken = tmp_path / "broken"
    broken.write_text('#!/bin/sh\n[ "$1" = --version ] && echo broken 1 && exit 0\necho "error: no luck" >&2\nexit 1\n')
    broken.chmod(0o755)
    monkeypatch.setenv("CXX", str(broken))
    with pytest.raises(build.BuildError, match="failed: error: no luck"):
        build.library()
    assert not list(tmp_path.glob("kernels/*.so"))
    assert not list(tmp_path.glob("kernels/*.part"))


def _tiny(folder: Path) -> Path:
    """Sources that build in no time."""
    sources = folder / "sources"
    sources.mkdir()
    (sources / "scan.cpp").write_text(FACE + "int exuvia() { return 1; }\n")
    return sources


@needs_compiler
def test_a_cache_that_others_can_write_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXUVIA_CACHE", str(tmp_path))
    (tmp_path / "kernels").mkdir()
    (tmp_path / "kernels").chmod(0o777)
    with pytest.raises(build.BuildError, match="can be written by another user"):
        build.library(None)


@needs_compiler
def test_a_cached_library_is_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXUVIA_CACHE", str(tmp_path))
    monkeypatch.setattr(build, "SOURCES", _tiny(tmp_path))
    first = build.library(None)
    stamp = first.stat().st_mtime_ns
    assert build.library(None) == first
    assert first.stat().st_mtime_ns == stamp
    assert first.stat().st_mode & 0o022 == 0
    (build.SOURCES / "scan.cpp").write_text(FACE + "int exuvia() { return 2; }\n")
    assert build.library(None) != first


@needs_compiler
def test_processes_that_build_at_once_share_one_library(tmp_path: Path) -> None:
    code = "import sys, pathlib; from exuvia_ssm.cpu import build; build.SOURCES = pathlib.Path(sys.argv[1]); "
    command = [sys.executable, "-c", code + "print(build.library(None))", str(_tiny(tmp_path))]
    env = {**os.environ, "EXUVIA_CACHE": str(tmp_path)}
    running = [subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    names = {process.communicate()[0] for process in running}
    assert len(names) == 1
    assert [path.suffix for path in (tmp_path / "kernels").iterdir() if path.suffix != ".lock"] == [".so"]


def child(code: str, *arguments: object, preexec: Any = None, **variables: str | None) -> "subprocess.Popen[str]":
    env = {name: value for name, value in {**os.environ, **variables}.items() if value is not None}
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=preexec,
        start_new_session=True,
    )


def outcome(process: "subprocess.Popen[str]") -> tuple[str, str]:
    out, told = process.communicate(timeout=300)
    assert process.returncode == 0, told
    return out.strip(), told


@needs_compiler
def test_a_damaged_library_is_built_anew(tmp_path: Path) -> None:
    """Cut anywhere, overwritten, emptied, or that of other sources: loading one ended the process."""
    sources, draw = _tiny(tmp_path), random.Random(0)
    out, told = outcome(child(RUN, sources, EXUVIA_CACHE=str(tmp_path)))
    assert (out, told.count("building the compiled scan")) == ("1", 1)
    (library,) = (tmp_path / "kernels").glob("*.so")
    whole = library.read_bytes()
    (sources / "scan.cpp").write_text(FACE + "int exuvia() { return 2; }\n")
    assert outcome(child(RUN, sources, EXUVIA_CACHE=str(tmp_path)))[0] == "2"
    (other,) = (path for path in (tmp_path / "kernels").glob("*.so") if path != library)
    flipped = bytearray(whole)
    flipped[draw.randrange(len(whole))] ^= 1
    damages = [b"", draw.randbytes(len(whole)), whole + b"\0", bytes(flipped), other.read_bytes()]
    damages += [whole[: draw.randrange(1, len(whole))] for _ in range(4)]
    (sources / "scan.cpp").write_text(FACE + "int exuvia() { return 1; }\n")
    for damage in damages:
        library.write_bytes(damage)
        out, told = outcome(child(RUN, sources, EXUVIA_CACHE=str(tmp_path)))
        assert (out, told.count("is damaged; it is rebuilt")) == ("1", 1)
        assert library.read_bytes() == whole
    library.rename(library.with_name(other.name.replace(other.stem[-16:], library.stem[-16:])))
    other.unlink()
    assert outcome(child(RUN, sources, EXUVIA_CACHE=str(tmp_path)))[0] == "1"


@needs_compiler
def test_killed_builds_leave_nothing_behind(tmp_path: Path) -> None:
    sources, draw = _tiny(tmp_path), random.Random(1)
    folder = tmp_path / "kernels"
    slow = tmp_path / "slow"
    slow.write_text('#!/bin/sh\n[ "$1" = --version ] || sleep 0.5\nexec c++ "$@"\n')
    slow.chmod(0o755)
    found = []
    for _ in range(4):
        running = child(RUN, sources, EXUVIA_CACHE=str(tmp_path), CXX=str(slow))
        before = time.monotonic()
        while not list(folder.glob(".*.part")) and running.poll() is None and time.monotonic() < before + 60:
            time.sleep(0.01)
        time.sleep(draw.random() * 0.5)
        kill = os.kill if draw.random() < 0.5 else os.killpg  # it alone, so that the compiler lives on, or both
        kill(running.pid, signal.SIGKILL)
        running.communicate()
        found.append(list(folder.glob(".*.part")))
    assert any(found)
    old, young = folder / ".scan-of-another-version.part", folder / ".scan-being-built.part"
    for part in (old, young):
        part.touch()
    os.utime(old, (1, 1))
    assert outcome(child(RUN, sources, EXUVIA_CACHE=str(tmp_path), CXX=str(slow)))[0] == "1"
    assert list(folder.glob(".*.part")) == [young]
    assert len(list(folder.glob("*.so"))) == 1


def test_without_a_compiler_one_warning_says_so(tmp_path: Path) -> None:
    _, told = outcome(child(SCAN, EXUVIA_CACHE=str(tmp_path), PATH=str(tmp_path), CXX=None, EXUVIA_NO_COMPILER=None))
    assert told.count("RuntimeWarning") == 1
    assert told.count("many times slower: no C++ compiler was found (c++, g++ or clang++); install one") == 1


@needs_compiler
def test_where_nothing_can_be_written_one_warning_says_so(tmp_path: Path) -> None:
    sources = _tiny(tmp_path)
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", Path("/proc/no")):
        out, told = outcome(child(RUN, sources, EXUVIA_CACHE=str(place)))
        assert out == "1"
        assert told.count("is not writable, so each process builds the scan") == 1


@needs_compiler
def test_without_a_home_no_folder_is_made_here(tmp_path: Path) -> None:
    code = "import os, pwd, tempfile; pwd.getpwuid = lambda number: {}[number]; os.chdir(tempfile.mkdtemp())\n"
    out, told = outcome(
        child(
            code + RUN + "print(os.listdir())",
            _tiny(tmp_path),
            EXUVIA_CACHE=None,
            XDG_CACHE_HOME=None,
            HOME=None,
            TMPDIR=str(tmp_path),
        )
    )
    assert out.split() == ["1", "[]"]
    assert told.count("is not writable") == 1


@needs_compiler
def test_a_full_disk_gives_the_slow_scan_and_one_warning(tmp_path: Path) -> None:
    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    _, told = outcome(child(SCAN, _tiny(tmp_path), EXUVIA_CACHE=str(tmp_path), preexec=full))
    assert told.count("many times slower") == 1
    assert not [path for path in (tmp_path / "kernels").glob("*") if path.suffix != ".lock"]


@needs_compiler
def test_a_good_library_is_used_where_nothing_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXUVIA_CACHE", str(tmp_path))
    sources = _tiny(tmp_path) / "scan.cpp"
    built = build.library(None, sources)
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK and access(path, mode))
    assert build.library(None, sources) == built
