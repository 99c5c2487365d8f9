"""The command line: help, examples, exit codes, and the commands around a pipeline that is not needed here."""

import errno
import os
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import options
import pytest

from exuvia import __main__ as cli
from exuvia.commands.table import COMMAND, Entry
from exuvia.errors import DataError
from exuvia.registry import UNLEARN

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Toy:
    """Settings of a command made for a test."""

    failure: str = ""
    """What goes wrong."""
    steps: int = 1
    """A number."""


def toy(config: Toy) -> int:
    """Do as told.

    Returns:
        the steps
    """
    failures: dict[str, BaseException] = {
        "data": DataError("found 3 joints, expected 22; check the skeleton"),
        "stop": KeyboardInterrupt(),
        "full": OSError(errno.ENOSPC, "No space left on device", "out.npy"),
        "locked": OSError(errno.EROFS, "Read-only file system", "out.npy"),
        "pipe": BrokenPipeError(errno.EPIPE, "Broken pipe"),
        "bug": ZeroDivisionError("division by zero"),
        "io": OSError(errno.EINVAL, "Invalid argument"),
    }
    if config.failure:
        raise failures[config.failure]
    return config.steps


@pytest.fixture
def toy_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """`exuvia toy` and the group `exuvia play` on the command line."""
    table = {name: Entry(f"{__name__}:toy", "a toy", ("exuvia toy --steps 3",)) for name in ("toy", "play one")}
    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])
    monkeypatch.setattr(cli, "COMMAND", table)


@pytest.mark.usefixtures("toy_command")
class TestExitCodes:
    """What the shell sees."""

    def test_command_returns_its_code(self) -> None:
        assert cli.main(["toy", "--steps", "0"]) == 0
        assert cli.main(["toy", "--steps", "1"]) == 1
        assert cli.main(["play", "one", "--steps", "0"]) == 0

    def test_bad_input_is_one_sentence_and_two(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["toy", "--failure", "data"]) == 2
        captured = capsys.readouterr()
        assert captured.err == "exuvia: found 3 joints, expected 22; check the skeleton\n"
        assert captured.out == ""

    def test_interruption(self) -> None:
        assert cli.main(["toy", "--failure", "stop"]) == 130

    @pytest.mark.parametrize("failure", ["full", "locked"])
    def test_full_or_locked_disk_is_one_sentence(self, failure: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["toy", "--failure", failure]) == 2
        error = capsys.readouterr().err
        assert "out.npy" in error
        assert error.count("\n") == 1

    @pytest.mark.parametrize(("failure", "kind"), [("bug", ZeroDivisionError), ("io", OSError)])
    def test_a_defect_keeps_its_traceback(self, failure: str, kind: type[Exception]) -> None:
        with pytest.raises(kind):
            cli.main(["toy", "--failure", failure])

    def test_usage_error_is_two_and_suggests(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["toy", "--step", "3"]) == 2
        assert "--steps" in capsys.readouterr().err

    def test_wrong_value_is_two(self) -> None:
        assert cli.main(["toy", "--steps", "many"]) == 2

    def test_unknown_command_suggests_the_nearest(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["toi"]) == 2
        assert "did you mean 'toy'?" in capsys.readouterr().err
        assert cli.main(["play", "two"]) == 2
        assert "unknown command 'play two'" in capsys.readouterr().err

    def test_help_is_zero_and_holds_docstring_and_examples(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["toy", "--help"]) == 0
        text = capsys.readouterr().out
        assert "Do as told." in text
        assert "exuvia toy --steps 3" in text
        assert "the steps" not in text

    def test_without_words_the_list_goes_to_stderr(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main([]) == 2
        assert "play one" in capsys.readouterr().err
        assert cli.main(["play"]) == 2
        assert cli.main(["play", "--help"]) == 0
        assert "play one" in capsys.readouterr().out


def test_a_closed_pipe_is_quiet() -> None:
    script = "import sys; from exuvia.__main__ import main; sys.exit(main(['list', '--kind', 'concepts']))"
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-c", script], stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


def test_help_is_fast_and_imports_nothing_heavy() -> None:
    script = (
        "import sys; from exuvia.__main__ import main; main(['--help']);"
        "sys.exit(bool({'torch', 'numpy', 'scipy', 'tyro', 'pydantic'} & set(sys.modules)))"
    )
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert time.perf_counter() - started < 5
    for name, entry in COMMAND.items():
        assert f"  {entry.family.name if entry.family else name} " in done.stdout


def test_help_of_no_command_loads_pytorch() -> None:
    script = (
        "import sys; from exuvia.__main__ import main\n"
        "for name in sys.argv[1:]:\n"
        "    code = main([*name.split(), '--help'])\n"
        "    if code or 'torch' in sys.modules: sys.exit(name)"
    )
    done = subprocess.run([sys.executable, "-c", script, *COMMAND], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_command_line_stays_small() -> None:
    assert options.count_commands() <= 30
    assert options.count_options() <= 400
    names = {name for name, _ in options.options_of("generate", COMMAND["generate"])}
    assert {"prompts", "--file", "--pipeline", "--seed"} <= names


@pytest.mark.parametrize("family", ["train", "unlearn"])
def test_a_family_lists_its_members_with_a_line_each(family: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([family, "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for name, entry in COMMAND.items():
        if name.split()[0] == family:
            assert entry.family is not None
            assert entry.family.example in {one for other in COMMAND.values() for one in other.examples}
            assert any(line.split()[:2] == name.split() and line.endswith(entry.line) for line in lines)
            assert len(entry.line.split()) > 2


def test_an_unknown_kind_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["list", "--kind", "goldens"]) == 2
    error = capsys.readouterr().err
    assert "unknown kind 'goldens'; known: concepts, " in error
    assert error.count("\n") == 1


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("exuvia 0.")


@pytest.mark.parametrize(
    ("name", "example"), [(name, example) for name, entry in COMMAND.items() for example in entry.examples]
)
def test_every_example_parses(name: str, example: str) -> None:
    words = shlex.split(example)
    assert words[: 1 + len(name.split())] == ["exuvia", *name.split()]
    cli.parse(name, COMMAND[name], words[1 + len(name.split()) :])


@pytest.mark.parametrize("name", COMMAND)
def test_every_command_has_help_with_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*name.split(), "--help"]) == 0
    assert f"exuvia {name}" in capsys.readouterr().out.split("xample", 1)[1]


def test_list_names_methods_and_concepts(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["list"]) == 0
    text = capsys.readouterr().out
    assert all(f"  {name} " in text for name in (*UNLEARN, "violence", ".bvh", ".html", "minilm", "humanml3d"))
    assert cli.main(["list", "--kind", "method"]) == 2


def test_ci_script_is_executable_and_reads_nothing() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", str(script)], check=True)
