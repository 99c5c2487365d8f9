"""`exuvia gallery`: prompts of a file or of the package, as one page, alone or next to another generator."""

from pathlib import Path

import pytest
from PIL import Image, ImageSequence

from exuvia.__main__ import main
from exuvia.errors import ConfigError
from exuvia.view.video import write_side_by_side
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


def test_an_animated_picture_shows_one_prompt_after_the_other(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("a person walks#40\na man kicks#60\n", encoding="utf-8")
    words = ["--pipeline", str(tiny), "--beside", str(tiny), "--file", str(tmp_path / "prompts.txt")]
    gif = tmp_path / "both.gif"
    assert main(["gallery", *words, "--out", str(tmp_path / "page.html"), "--gif", str(gif)]) == 0
    with Image.open(gif) as picture:
        length_ms = sum(frame.info["duration"] for frame in ImageSequence.Iterator(picture))
        assert picture.info["loop"] == 0
        assert picture.width == 2 * 320
    assert length_ms == 2000 + 3000 + 2 * 800, "two motions at their speed, each with a pause"
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "a man kicks" in text


def test_what_no_picture_can_show_is_refused_before_work(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "prompts.txt").write_text("a person walks#40\na man kicks\n", encoding="utf-8")
    words = [
        "gallery",
        "--pipeline",
        str(tiny),
        "--file",
        str(tmp_path / "prompts.txt"),
        "--out",
        str(tmp_path / "p.html"),
    ]
    assert main(words) == 2
    assert "lengths after some prompts" in capsys.readouterr().err
    assert main(["gallery", "--pipeline", str(tiny), "--out", str(tmp_path / "p.html"), "--gif", "a.mp4"]) == 2
    assert "that ends in .gif" in capsys.readouterr().err
    assert not (tmp_path / "p.html").exists()
    with pytest.raises(ConfigError, match="that does not have 2 clips"):
        write_side_by_side([("x", [])], ["before", "after"], tmp_path / "x.gif")
