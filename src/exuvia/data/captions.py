"""Captions: reading, writing and mirroring HumanML3D's lines `text#tokens#start#end`.

Line format: HumanML3D repository, README (texts). A time of NaN means 0, and 0#0 means the whole clip (momask-codes,
data/t2m_dataset.py). Tokens are `word/POS` separated by spaces, with lemmatised words.
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path

from pydantic import FiniteFloat

from exuvia.errors import DataError
from exuvia.readers import read_utf8


@dataclass(frozen=True)
class Caption:
    """One sentence about a clip, or about a part of it."""

    text: str
    """The sentence as written."""
    tokens: str | None = None
    """`word/POS word/POS ...`, or None if the sentence is not tagged."""
    start_s: FiniteFloat = 0.0
    """Start of the described part in seconds; 0 together with `end_s` = 0 means the whole clip."""
    end_s: FiniteFloat = 0.0
    """End of the described part in seconds."""

    @property
    def is_whole(self) -> bool:
        """Whether the sentence is about the whole clip."""
        return self.start_s == 0.0 and self.end_s == 0.0

    @property
    def line(self) -> str:
        """The caption in HumanML3D's file format, without a newline."""
        return f"{self.text}#{self.tokens or ''}#{self.start_s}#{self.end_s}"

    def mirrored(self) -> "Caption":
        """The caption of the mirrored motion."""
        tokens = None if self.tokens is None else mirror_tokens(self.tokens)
        return Caption(mirror_text(self.text), tokens, self.start_s, self.end_s)


def parse_caption(line: str) -> Caption:
    """Read one line `text#tokens#start#end`; a time of NaN becomes 0. Raises DataError for any other line."""
    parts = line.rstrip("\r\n").split("#")
    if len(parts) != 4 or not parts[0].strip():
        raise DataError(f"found {line[:80]!r}, expected a caption line 'text#word/POS ...#start#end'")
    try:
        start, end = (0.0 if math.isnan(value) else value for value in (float(parts[2]), float(parts[3])))
    except ValueError:
        raise DataError(f"found times {parts[2]!r} and {parts[3]!r} in a caption line, expected seconds") from None
    return Caption(parts[0].strip(), parts[1].strip() or None, start, end)


def read_captions(path: str | Path, strict: bool = True) -> tuple[Caption, ...]:
    """Read all captions of a file of HumanML3D's `texts/`, without empty lines; not `strict`: lines may be sentences.

    Raises DataError if the file cannot be read, or a line is malformed (the message names file and line).
    """
    lines = read_utf8(path, "caption file").splitlines()
    captions = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            captions.append(parse_caption(line))
        except DataError as error:
            if strict:
                raise DataError(f"{path}, line {number}: {error}") from None
            captions.append(Caption(line.strip()))
    return tuple(captions)


_ENDS = "s|ward|wards|most|hand|handed|foot|footed|arm|leg|knee|side"
_SIDE = re.compile(rf"(?<![A-Za-z])(left|right)(?=(?:{_ENDS})?(?![A-Za-z]))", re.IGNORECASE)
_TURN = re.compile(r"(?<![A-Za-z])((?:counter|anti)[ -]?)?(clock-?wise)(?![A-Za-z])", re.IGNORECASE)
_TURN_TOKEN = re.compile(r"(?<!\S)(?:((?:counter|anti)(?:/\S+ |-)?))?clock-?wise(/\S+)(?!\S)", re.IGNORECASE)


def mirror_text(text: str) -> str:
    """A sentence with left and right, clockwise and counterclockwise exchanged, word by word, with capitals kept.

    Whole words and their compounds (leftward, right-handed, lefts) are exchanged. HumanML3D replaced substrings, hence
    the "upleft" and "fleftened" in its captions. All spellings of counterclockwise are read, but only one is written;
    otherwise mirroring twice returns the original sentence.
    """
    sided = _SIDE.sub(_other_side, text)
    return _TURN.sub(lambda match: _like(match[0], "clockwise" if match[1] else "counterclockwise"), sided)


def mirror_tokens(tokens: str) -> str:
    """Tokens `word/POS` with the sides exchanged; tags do not change."""
    sided = _SIDE.sub(_other_side, tokens)
    return _TURN_TOKEN.sub(lambda match: ("" if match[1] else "counter") + "clockwise" + match[2], sided)


def _other_side(match: re.Match[str]) -> str:
    return _like(match[1], "right" if match[1].lower() == "left" else "left")


def _like(model: str, word: str) -> str:
    """`word` with the capitals of `model`."""
    if model.isupper():
        return word.upper()
    return word.capitalize() if model[0].isupper() else word
