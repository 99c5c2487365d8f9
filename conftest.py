"""Shared fixtures: locations of the development data and the golden vectors, if available."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent

# torch's inductor imports setuptools, which refuses to load after the standard library's distutils.
os.environ.setdefault("SETUPTOOLS_USE_DISTUTILS", "stdlib")

# The same examples in every run: a change passes or fails by what it changed. `make test-random` draws new ones.
# No test is timed: a loaded machine must not decide.
_UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fixed", _UNTIMED, derandomize=True)
settings.register_profile("untimed", _UNTIMED)
settings.load_profile("untimed")


def _folder(variable: str, default: str) -> Path:
    path = Path(os.environ.get(variable) or ROOT.parent / "shared" / default)
    if not path.is_dir():
        pytest.skip(f"{variable} names no folder and ../shared/{default} does not exist")
    return path


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The development data (licence-bound, never part of the project)."""
    return _folder("EXUVIA_DATA", "data")


@pytest.fixture(scope="session")
def goldens() -> Path:
    """Golden vectors of the official implementations."""
    return _folder("EXUVIA_GOLDENS", "goldens")


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of a PostgreSQL server started for the tests."""
    tools = shutil.which("initdb"), shutil.which("pg_ctl")
    if None in tools:
        pytest.skip("no PostgreSQL server is installed here (initdb, pg_ctl)")
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    other = {}
    if hasattr(os, "geteuid") and os.geteuid() == 0:  # PostgreSQL refuses to run as root
        import pwd  # not on Windows

        try:
            other = {"user": pwd.getpwnam("postgres").pw_uid, "cwd": "/"}
        except KeyError:
            pytest.skip("PostgreSQL does not run as root, and there is no user named postgres")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="pg") as folder:
        if other:
            os.chown(folder, int(str(other["user"])), -1)
        where, quiet = f"{folder}/data", {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.STDOUT}
        subprocess.run([str(tools[0]), "-D", where, "-U", "exuvia", "-A", "trust"], **quiet, **other)  # type: ignore[call-overload]
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        start = [str(tools[1]), "-D", where, "-w", "-o", options, "-l", f"{folder}/log", "start"]
        subprocess.run(start, **quiet, **other)  # type: ignore[call-overload]
        yield f"postgresql+psycopg://exuvia@127.0.0.1:{port}/postgres"
        subprocess.run([str(tools[1]), "-D", where, "-m", "immediate", "stop"], **quiet, **other)  # type: ignore[call-overload]
