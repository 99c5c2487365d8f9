"""Captions: lines are read like HumanML3D's loader does, and mirroring exchanges sides and nothing else."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exuvia.data.captions import Caption, mirror_text, mirror_tokens, parse_caption, read_captions
from exuvia.errors import DataError


def test_a_line_is_text_tokens_and_seconds() -> None:
    caption = parse_caption("a man turns left.#a/DET man/NOUN turn/VERB left/ADV#1.5#4.0\n")
    assert caption == Caption("a man turns left.", "a/DET man/NOUN turn/VERB left/ADV", 1.5, 4.0)
    assert not caption.is_whole
    assert parse_caption(caption.line) == caption


def test_nan_times_mean_the_whole_clip() -> None:
    assert parse_caption("a man#a/DET man/NOUN#nan#nan").is_whole


@pytest.mark.parametrize("line", ["a man", "a#b#c#d", "#a/DET#0.0#0.0", "a#b/X#0#0#0"])
def test_a_malformed_line_is_refused(line: str) -> None:
    with pytest.raises(DataError, match="found"):
        parse_caption(line)


def test_a_malformed_file_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "000001.txt"
    path.write_text("fine#fine/ADJ#0.0#0.0\n\nbroken\n")
    with pytest.raises(DataError, match=r"000001\.txt, line 3"):
        read_captions(path)
    assert [caption.text for caption in read_captions(path, strict=False)] == ["fine", "broken"]
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="not a readable caption file"):
        read_captions(path)


@pytest.mark.parametrize(
    ("text", "mirrored"),
    [
        ("He raises his Left hand.", "He raises his Right hand."),
        ("stands upright, frightened", "stands upright, frightened"),
        ("a lefthanded person moves rightward", "a righthanded person moves leftward"),
        ("left-handed; two lefts and a right", "right-handed; two rights and a left"),
        ("walks counter-clockwise", "walks clockwise"),
        ("walks anticlockwise", "walks clockwise"),
        ("walks clock-wise", "walks counterclockwise"),
        ("he alright copyright", "he alright copyright"),
    ],
)
def test_mirroring_exchanges_whole_words(text: str, mirrored: str) -> None:
    assert mirror_text(text) == mirrored


def test_tokens_are_mirrored_with_their_tags() -> None:
    assert mirror_tokens("left/ADJ hand/NOUN clockwise/ADV") == "right/ADJ hand/NOUN counterclockwise/ADV"
    assert mirror_tokens("counter/NOUN clockwise/ADV upright/ADV") == "clockwise/ADV upright/ADV"
    assert mirror_tokens("kitchen/NOUN counter/NOUN") == "kitchen/NOUN counter/NOUN"


WORDS = st.sampled_from(
    "left right Left RIGHT lefts rightward clockwise counterclockwise Clockwise upright copyright leftover "
    "a person's hand, kicks. (left) right-handed left/right".split()
)
SENTENCES = st.one_of(st.text(max_size=60), st.lists(WORDS, max_size=12).map(" ".join))


@given(SENTENCES)
def test_mirroring_twice_returns_the_sentence(text: str) -> None:
    once = mirror_text(text)
    plain = mirror_text(once)
    assert mirror_text(plain) == once
    assert plain == text


@given(SENTENCES)
def test_mirroring_keeps_every_other_word(text: str) -> None:
    def others(sentence: str) -> list[str]:
        return [word for word in sentence.split() if not any(s in word.lower() for s in ("left", "right", "clock"))]

    assert [w for w in others(mirror_text(text)) if "counter" not in w.lower()] == [
        w for w in others(text) if "counter" not in w.lower()
    ]
