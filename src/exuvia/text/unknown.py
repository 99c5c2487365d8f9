"""Detecting prompts that a caption encoder does not understand: it knows English, but accepts any text."""

import logging
import re
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

from exuvia.text.tags import verb_base

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from exuvia.text.base import TextEncoder

log = logging.getLogger(__name__)

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_NAMED = 8
"""Number of words that a warning names."""
_warned: set[str] = set()


def unknown_words(text: str, tokenizer: "Tokenizer | None" = None) -> list[str]:
    """Words of a text that an English encoder cannot know: other alphabets, symbols, and words of other languages.

    A tokenizer splits words outside its vocabulary into pieces. A single split word may be rare or misspelt; if two
    fifths of a sentence are split, it is in another language (this misjudges none of 6,736 captions of motion). Without
    a tokenizer only alphabets and symbols are checked.
    """
    plain = "".join(letter if ord(letter) < 128 or not _is_foreign(letter) else " " for letter in text)
    foreign = [word.strip(".,;:!?") for word in text.split() if any(map(_is_foreign, word))]
    words = _WORD.findall(plain)
    if tokenizer is None or not words:
        return foreign or ([] if words else [text.strip()])
    pieces = [len(encoded.tokens) for encoded in tokenizer.encode_batch(words, add_special_tokens=False)]
    split = [row for row, word in enumerate(words) if pieces[row] > 1 and verb_base(word.lower()) is None]
    letters = sum(len(words[row]) for row in split)
    other = 5 * len(split) >= 2 * len(words) and (len(words) > 2 or letters <= 2 * sum(pieces[row] for row in split))
    return foreign + [words[row] for row in split if other]


def _is_foreign(letter: str) -> bool:
    """Whether a character is a letter of another alphabet than Latin, or a symbol such as an emoji."""
    if letter.isalpha():
        return not unicodedata.name(letter, "").startswith(("LATIN", "FULLWIDTH LATIN", "FEMININE", "MASCULINE"))
    return ord(letter) > 255 and unicodedata.category(letter) in ("So", "Cn", "Cs", "Co")


def warn_of_unknown(prompts: Sequence[str], encoder: "TextEncoder") -> None:
    """Log one warning that names the unknown words of all prompts; each word is named once per process."""
    tokenizer = getattr(encoder, "tokenizer", None)
    words = dict.fromkeys(word for text in dict.fromkeys(prompts) for word in unknown_words(text, tokenizer))
    if new := [word for word in words if word not in _warned]:
        _warned.update(new)
        named = ", ".join(repr(word if len(word) < 40 else f"{word[:40]}...") for word in new[:_NAMED])
        more = f" and {len(new) - _NAMED} more" if len(new) > _NAMED else ""
        log.warning("the caption encoder %s knows English, not %s%s: expect any motion", encoder.name, named, more)
