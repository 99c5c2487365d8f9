"""The product works where POSIX ends: on Windows `fcntl`, `resource` and their like do not exist.

Only imports by our own modules are refused, since the libraries have Windows builds of their own.
"""

import subprocess
import sys
from pathlib import Path

import pytest

HIDDEN = """
import builtins, importlib, os, pkgutil, signal, sys

MODULES = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
NAMES = {
    "os": "O_DIRECTORY O_NOFOLLOW chown fork forkpty getegid geteuid getgid getpgid getpgrp getuid initgroups killpg"
    " lchown mkfifo nice openpty posix_spawn pwrite pread sched_getaffinity sched_setaffinity setgid setpgid setsid"
    " setuid statvfs sysconf tcsetpgrp uname wait waitid WEXITSTATUS".split(),
    "signal": "SIGALRM SIGCHLD SIGHUP SIGKILL SIGPIPE SIGQUIT SIGUSR1 SIGUSR2 alarm setitimer sigwait".split(),
}
asked = set()


class Without:
    def __init__(self, module):
        self.module = module

    def __getattr__(self, name):
        if name in NAMES[self.module.__name__]:
            raise AttributeError(f"module {self.module.__name__!r} has no attribute {name!r} on Windows")
        return getattr(self.module, name)


WITHOUT = {"os": Without(os), "signal": Without(signal)}
real = builtins.__import__


def windows_import(name, globals=None, locals=None, fromlist=(), level=0):
    if (globals or {}).get("__name__", "").startswith("exuvia"):
        if name in MODULES:
            asked.add(name)
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        if name in WITHOUT:
            return WITHOUT[name]
    return real(name, globals, locals, fromlist, level)


builtins.__import__ = windows_import
"""
EVERYTHING = """
import exuvia, exuvia_base, exuvia_research, exuvia_ssm

def imported(package):
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not found.name.endswith(".__main__") and not found.name.startswith("exuvia_ssm.gpu."):
            importlib.import_module(found.name)
            yield found.name

count = sum(1 for package in (exuvia, exuvia_ssm, exuvia_base, exuvia_research) for _ in imported(package))
print(count, *sorted(asked))
"""
COMMANDS = """
from exuvia.__main__ import main

assert main(["generate", "a person walks", "--frames", "20", "--out", "walk.bvh"]) == 0
assert main(["convert", "walk.bvh", "walk.npy"]) == 0
assert main(["prepare", "synthetic", "store", "--count", "3"]) == 0
print(*sorted(asked))
"""


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A child whose own modules see no POSIX."""
    return subprocess.run([sys.executable, "-c", HIDDEN + code], cwd=folder, capture_output=True, text=True)


def last_line(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Words of the last line of a child that succeeded and had something hidden from it."""
    assert done.returncode == 0, done.stderr
    words = done.stdout.splitlines()[-1].split()
    assert "fcntl" in words, "nothing was hidden"
    return words


def test_every_module_is_imported(tmp_path: Path) -> None:
    assert int(last_line(run(EVERYTHING, tmp_path))[0]) > 200


@pytest.mark.slow
def test_commands_run(tmp_path: Path) -> None:
    last_line(run(COMMANDS, tmp_path))
    assert (tmp_path / "walk.npy").is_file()


@pytest.mark.parametrize("line", ["import resource", "import os; os.geteuid()", "from signal import SIGKILL"])
def test_an_unguarded_use_is_found(tmp_path: Path, line: str) -> None:
    (tmp_path / "exuvia_base").mkdir()
    (tmp_path / "exuvia_base" / "__init__.py").write_text(line, encoding="utf-8")
    done = run("sys.path.insert(0, os.getcwd()); import exuvia_base", tmp_path)
    assert done.returncode == 1
    assert line.split()[-1].split(".")[-1].strip("()") in done.stderr
