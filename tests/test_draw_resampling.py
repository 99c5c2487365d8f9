"""The pictures of a resampling: what is drawn as kept is what the layer keeps, and the same seed draws the same."""

from pathlib import Path

import numpy as np
import pytest

from exuvia.errors import DataError
from lab.__main__ import main
from lab.draw_resampling import KEPT, Strip, draw_sentence
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


def test_kept_characters_are_filled() -> None:
    kept = np.asarray([True, False, False, True])
    picture = draw_sentence("a<b>", [Strip(0.5, np.full(4, 0.75), kept)])
    assert picture.count(f'rx="3" fill="{KEPT}"') == 2
    assert "2 of 4 kept" in picture
    assert "&lt;" in picture
    assert "<b>" not in picture


def test_a_sentence_is_drawn_and_drawn_again(text: Path, tmp_path: Path) -> None:
    first = draw("sentence", tmp_path / "a.svg", "--text", str(text))
    assert first == draw("sentence", tmp_path / "b.svg", "--text", str(text))
    assert first.decode().count("κ = ") == 3


def test_a_motion_is_drawn_with_a_pose_for_every_kept_frame(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    few = resampling.synthesise
    monkeypatch.setattr(resampling, "synthesise", lambda count, *a, **k: few(min(count, 12), *a, **k))
    picture = draw("motion", tmp_path / "a.svg").decode()
    notes = [line.split(" kept")[0].split(">")[-1] for line in picture.splitlines() if " kept</text>" in line]
    kept = [int(note.split(" of ")[0]) for note in notes]
    assert len(kept) == 3
    assert picture.count("<circle") == sum(kept)
    assert "kept 0.5.fast_half" in capsys.readouterr().out


def test_a_text_without_the_sentence_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("nothing here " * 200, encoding="utf-8")
    config = resampling.ResamplingConfig("sentence", text=tmp_path / "t.txt", steps=1)
    with pytest.raises(DataError, match="does not hold the sentence"):
        resampling.resampling(config)
