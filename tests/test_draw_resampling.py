"""The pictures of a resampling: what is drawn as kept is what the layer keeps, and the same seed draws the same."""

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from exuvia.errors import DataError
from lab.__main__ import main
from lab.draw_resampling import Strip, draw_sentence
from lab.experiments import resampling


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up text whose end holds the sentence."""
    path = tmp_path_factory.mktemp("text") / "text.txt"
    words = np.random.default_rng(0).choice(["sea", "wind", "a", "dream", "of", "bound"], 6000)
    path.write_text(" ".join(words) + " " + resampling.SENTENCE + " " + " ".join(words[:200]), encoding="utf-8")
    return path


def draw(what: str, out: Path, *more: str) -> bytes:
    """The picture after two steps of training."""
    assert main(["resampling", what, "--steps", "2", "--out", str(out), *more]) == 0
    return out.read_bytes()


def texts_of(svg: str) -> list[str]:
    """What an SVG says."""
    return ["".join(text.itertext()) for text in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_kept_characters_are_marked() -> None:
    kept = np.asarray([True, False, False, True])
    texts = texts_of(draw_sentence("a<b>", [Strip(0.5, np.full(4, 0.75), kept)]))
    assert "κ = 0.5: 2 of 4 kept" in texts
    assert {"a", "<", "b", ">"} <= set(texts)


def test_a_sentence_is_drawn_and_drawn_again(text: Path, tmp_path: Path) -> None:
    first = draw("sentence", tmp_path / "a.svg", "--text", str(text))
    assert first == draw("sentence", tmp_path / "b.svg", "--text", str(text))
    assert sum(text.startswith("κ = ") for text in texts_of(first.decode())) == 3


def test_a_motion_is_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    few = resampling.synthesise
    monkeypatch.setattr(resampling, "synthesise", lambda count, *a, **k: few(min(count, 12), *a, **k))
    texts = texts_of(draw("motion", tmp_path / "a.svg").decode())
    assert sum(" kept" in text and text.startswith("κ = ") for text in texts) == 3
    assert "joint speed, m/s" in texts
    assert "kept 0.5.fast_half" in capsys.readouterr().out


def test_a_text_without_the_sentence_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("nothing here " * 200, encoding="utf-8")
    config = resampling.ResamplingConfig("sentence", text=tmp_path / "t.txt", steps=1)
    with pytest.raises(DataError, match="does not contain the sentence"):
        resampling.resampling(config)
