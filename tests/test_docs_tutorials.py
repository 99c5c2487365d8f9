"""The tutorials are true: every block runs, in order, and prints what the page shows."""

from collections.abc import Mapping
from pathlib import Path

import pytest

import exuvia
import exuvia_ssm
from official_layout import published_folder
from pages import DOCS, blocks, read_page, run_page
from tiny import tiny_pipeline

TUTORIALS = DOCS / "tutorials"
SMALL: Mapping[str, Mapping[str, str]] = {
    "researcher.md": {
        "--pipeline base": "--pipeline tiny",
        ": base without": ": tiny without",
        "--seeds 0 1 --limit 8": "--seeds 0 --limit 2",
    },
    "team.md": {"#80": "#60", "--text clip": "--text minilm", "encoder clip": "encoder minilm"},
    "sequence.md": {
        "steps = 512": "steps = 64",
        "512 steps": "64 steps",
        "--sizes 1x1024x256x16": "--sizes 1x32x16x4",
        "kernel chunked attention --rounds 3": "kernel --rounds 2",
    },
}
"""What the fast test changes: the generator, lengths, numbers of prompts; never a command or a block."""


def run(name: str, replace: Mapping[str, str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a tutorial in an empty folder that holds what its reader brings along."""
    monkeypatch.chdir(folder)
    tiny_pipeline().save_pretrained(folder / "tiny")
    published_folder(folder / "checkpoints" / "t2m", text=384)
    run_page(read_page(TUTORIALS / name), replace)


@pytest.mark.parametrize("name", SMALL)
def test_a_tutorial_runs_at_a_small_size(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(name, SMALL[name], tmp_path, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_a_tutorial_runs_as_it_stands(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = {old: new for old, new in SMALL[name].items() if "clip" in old}  # CLIP's weights are not installed
    run(name, clip, tmp_path, monkeypatch)


@pytest.mark.parametrize("name", SMALL)
def test_a_tutorial_says_who_what_and_how_long(name: str) -> None:
    page = read_page(TUTORIALS / name)
    for part in ("**For** ", "**Time:** ", "**You need** ", "**You will have** "):
        assert part in page
    assert any(block.language == "text" for block in blocks(page)), "the page shows no output"


def test_a_page_is_refused_whose_output_is_not_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = "```python\nprint('a 1.5 ± 2 b')\n```\n```text\n...\n{}\n```\n"
    run_page(page.format("**a 7 b**"), {})
    with pytest.raises(AssertionError, match="the output lacks"):
        run_page(page.format("a seven b"), {})
    with pytest.raises(AssertionError, match="the page has no"):
        run_page(page, {"gone": ""})
    with pytest.raises(AssertionError, match="no way to run"):
        run_page("```sh\nrm -rf x\n```\n", {})


def test_the_reference_runs_and_has_an_example_of_each_public_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = read_page(DOCS / "api.md")
    code = "".join(block.text for block in blocks(page) if block.language == "python")
    for package in (exuvia, exuvia_ssm):
        for name in package.__all__:
            assert f"{package.__name__}.{name}" in code, f"docs/api.md has no example of {package.__name__}.{name}"
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run_page(page, {})
