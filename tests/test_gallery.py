"""`exuvia gallery`: prompts of a file or of the package, as one page, alone or beside another generator."""

from pathlib import Path

import pytest

from exuvia.__main__ import main
from tiny import tiny_pipeline


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_pipeline().save_pretrained(tmp_path_factory.mktemp("pipe") / "tiny")


def test_prompts_of_a_file_stand_on_one_page(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("a person walks\n\n  a <b>person</b> waves\n", encoding="utf-8")
    page = tmp_path / "page.html"
    assert main(["gallery", "--pipeline", str(tiny), "--file", str(tmp_path / "prompts.txt"), "--out", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    assert text.count("<figure") == 2
    assert "a &lt;b&gt;person&lt;/b&gt; waves" in text


def test_two_generators_stand_side_by_side_with_kinds_of_prompts(tiny: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    options = ["--pipeline", str(tiny), "--beside", str(tiny), "--each", "1", "--out", str(page)]
    assert main(["gallery", *options]) == 0
    text = page.read_text(encoding="utf-8")
    assert text.count("<figure") == 8
    for kind in ("explicit", "implicit", "compositional", "lookalike"):
        assert f">{kind}<" in text


def test_a_file_without_prompts_is_refused(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for content, told in ((b"\n \n", "found no prompt"), (b"\xff\xfe\x00", "not a readable text file")):
        (tmp_path / "prompts.txt").write_bytes(content)
        page = tmp_path / "page.html"
        options = ["--pipeline", str(tiny), "--file", str(tmp_path / "prompts.txt"), "--out", str(page)]
        assert main(["gallery", *options]) == 2
        assert told in capsys.readouterr().err
        assert not page.exists()
