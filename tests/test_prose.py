"""The list of refused phrases finds them across lines and in any kind of text file, and the project has none."""

import subprocess
import sys
from pathlib import Path

import prose
import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    ("text", "phrase"),
    [("Read it anew.", "anew"), ("The time is to be\nhad", "is to be had"), ("# Whoever asks", "Whoever")],
)
def test_a_refused_phrase_is_named_with_its_line(text: str, phrase: str, tmp_path: Path) -> None:
    for name in ("a.md", "b.py", "c.tsx"):
        (tmp_path / name).write_text(f"fine\n{text}\n", encoding="utf-8")
        (line,) = prose.problems(tmp_path, [name])
        assert line.startswith(f"{name}:2: {phrase!r}; write: ")


def test_code_and_other_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("if x is None:\n    canewood = 1\n")
    (tmp_path / "b.png").write_bytes(b"anew")
    assert prose.problems(tmp_path, ["a.py", "b.png", "gone.md"]) == []


def test_the_project_uses_none_of_them() -> None:
    done = subprocess.run([sys.executable, str(ROOT / "tools" / "prose.py")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]
