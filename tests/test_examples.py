"""Examples run: the code in docs/ssm, and the SeRpEnt classifier on a small store."""

import re
import runpy
from pathlib import Path

import pytest

from exuvia.__main__ import main
from exuvia.errors import ExuviaError

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs" / "ssm").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_code_of_a_page_runs(page: Path) -> None:
    blocks = re.findall(r"(?ms)^```python\n(.*?)^```", page.read_text(encoding="utf-8"))
    assert blocks
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(page), "exec"), names)


def test_the_classifier_learns_and_refuses_a_folder_without_a_store(tmp_path: Path) -> None:
    assert main(["prepare", "synthetic", str(tmp_path / "store"), "--count", "150", "--no-mirror"]) == 0
    example = runpy.run_path(str(ROOT / "examples" / "serpent_classifier.py"))
    assert 0 <= example["main"](str(tmp_path / "store"), steps=2, least=1) <= 1
    with pytest.raises(ExuviaError):
        example["main"](str(tmp_path / "nothing"), steps=1)
