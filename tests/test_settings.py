"""The settings classes of the package: read without PyTorch, and explained by the command line at once."""

import subprocess
import sys
from pathlib import Path

import pytest

from exuvia import __main__ as cli
from exuvia.commands.table import COMMAND
from exuvia.config import settings
from exuvia.errors import ConfigError
from exuvia.registry import UNLEARN, resolve
from exuvia.unlearning.settings import SETTINGS, MethodSettings, method_settings

SOURCE = Path(__file__).parents[1] / "src"
LIGHT = [".".join(path.relative_to(SOURCE).with_suffix("").parts) for path in SOURCE.rglob("*settings.py")]
TRAINED = [name for name in COMMAND if name.split()[0] in ("unlearn", "train")]


@pytest.mark.parametrize("each", [
    [f"import {module}" for module in LIGHT],
    [f"assert main({[*name.split(), '--help']!r}) == 0" for name in TRAINED],
], ids=["settings", "help"])  # fmt: skip
def test_settings_are_read_and_explained_without_torch(each: list[str]) -> None:
    assert len(each) > 6
    lines = ["import sys", "from exuvia.__main__ import main"]
    for line in each:
        lines += [line, f"assert 'torch' not in sys.modules, {line!r}"]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", UNLEARN)
def test_a_method_and_the_light_table_name_the_same_settings(name: str) -> None:
    assert resolve(UNLEARN, name, "unlearning method").Config is method_settings(name)
    assert set(SETTINGS) <= set(UNLEARN)


@settings
class FadeConfig(MethodSettings):
    """Settings of a method made for a test."""

    strength: float = 0.5
    """How much of it."""
    layers: tuple[int, ...] = (0,)
    """Which."""


class Fade:
    """A method whose settings stand in its own file."""

    Config = FadeConfig


def test_a_method_of_ones_own_needs_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(UNLEARN, "fade", f"{__name__}:Fade")
    assert method_settings("fade") is FadeConfig
    with pytest.raises(SystemExit):
        cli.parse("unlearn fade", COMMAND["unlearn lcr"], ["--help"])
    assert "How much of it." in capsys.readouterr().out


def test_an_unknown_method_is_named() -> None:
    with pytest.raises(ConfigError, match="did you mean 'lcr'"):
        method_settings("lrc")


def test_a_value_outside_its_limits_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["unlearn", "lcr", "--out", str(tmp_path / "safe"), "--strength", "2"]) == 2
    assert capsys.readouterr().err == "exuvia: found strength 2.0, expected 0 to 1\n"
    assert not (tmp_path / "safe").exists()
