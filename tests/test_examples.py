"""Examples run: the code in docs/ssm, and the SeRpEnt classifier on a small store."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from exuvia.__main__ import main
from exuvia.errors import ExuviaError

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs" / "ssm").glob("*.md"))
RUNNABLE = [*PAGES, *(ROOT / "docs" / name for name in ("generators.md", "formats.md"))]


@pytest.mark.parametrize("page", RUNNABLE, ids=lambda page: page.name)
def test_the_code_of_a_page_runs(page: Path) -> None:
    blocks = re.findall(r"(?ms)^```python\n(.*?)^```", page.read_text(encoding="utf-8"))
    assert blocks
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(page), "exec"), names)


def test_every_link_of_the_front_pages_is_there() -> None:
    for page in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / page).read_text(encoding="utf-8")):
            assert (ROOT / target).exists(), f"{page}: {target}"


def test_the_readme_runs_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in re.findall(r"(?ms)^```python\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8")):
        exec(compile(block, "README.md", "exec"), names)
    assert (tmp_path / "no-kick.html").stat().st_size > 10_000


NUMBER = re.compile(r"\(([DMS]\d+)\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_equation_number_of_a_page_stands_in_the_source(page: Path) -> None:
    known = {
        n for path in (ROOT / "packages" / "ssm" / "src").rglob("*.py") for n in NUMBER.findall(path.read_text("utf-8"))
    }
    assert set(NUMBER.findall(page.read_text(encoding="utf-8"))) <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_pictures_of_a_page_are_there(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_option_tables_are_those_of_the_source() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "option_tables.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    for kind in ("S4DConfig", "S6Config", "MambaConfig", "SeRpEntConfig", "BidirectionalConfig"):
        assert f":{kind} -->" in text


def test_the_classifier_learns_and_refuses_a_folder_without_a_store(tmp_path: Path) -> None:
    assert main(["prepare", "synthetic", str(tmp_path / "store"), "--count", "150", "--no-mirror"]) == 0
    example = runpy.run_path(str(ROOT / "examples" / "serpent_classifier.py"))
    assert 0 <= example["main"](str(tmp_path / "store"), steps=2, least=1) <= 1
    with pytest.raises(ExuviaError):
        example["main"](str(tmp_path / "nothing"), steps=1)
