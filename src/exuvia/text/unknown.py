"""Words of a prompt that a caption encoder does not know: it knows English, and makes something of anything."""

import logging
import re
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

from exuvia.text.lexicon import verb_base

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from exuvia.text.base import TextEncoder

log = logging.getLogger(__name__)

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_NAMED = 8
"""How many words a warning names."""
_told: set[str] = set()


def unknown_words(text: str, tokenizer: "Tokenizer | None" = None) -> list[str]:
    """What an English encoder cannot know of a text: words in other letters, symbols, and words of another language.

    A tokenizer cuts a word that its vocabulary lacks into pieces. A single one of these may be a rare word or a slip;
    two fifths of a sentence are another language (none of 6,736 captions of motion is taken for one).

    Args:
        tokenizer: of the encoder; without it letters alone count
    """
    plain = "".join(letter if ord(letter) < 128 or not _is_foreign(letter) else " " for letter in text)
    foreign = [word.strip(".,;:!?") for word in text.split() if any(map(_is_foreign, word))]
    words = _WORD.findall(plain)
    if tokenizer is None or not words:
        return foreign or ([] if words else [text.strip()])
    pieces = [len(one.tokens) for one in tokenizer.encode_batch(words, add_special_tokens=False)]
    cut = [row for row, word in enumerate(words) if pieces[row] > 1 and verb_base(word.lower()) is None]
    letters = sum(len(words[row]) for row in cut)
    none = 5 * len(cut) >= 2 * len(words) and (len(words) > 2 or letters <= 2 * sum(pieces[row] for row in cut))
    return foreign + [words[row] for row in cut if none]


def _is_foreign(letter: str) -> bool:
    """A letter that is not Latin, or a symbol such as an emoji."""
    if letter.isalpha():
        return not unicodedata.name(letter, "").startswith(("LATIN", "FULLWIDTH LATIN", "FEMININE", "MASCULINE"))
    return ord(letter) > 255 and unicodedata.category(letter) in ("So", "Cn", "Cs", "Co")


def warn_of_unknown(prompts: Sequence[str], encoder: "TextEncoder") -> None:
    """Log one warning that names the words of all prompts that the encoder does not know; each word once a process."""
    tokenizer = getattr(encoder, "tokenizer", None)
    words = dict.fromkeys(word for text in dict.fromkeys(prompts) for word in unknown_words(text, tokenizer))
    if new := [word for word in words if word not in _told]:
        _told.update(new)
        named = ", ".join(repr(word if len(word) < 40 else f"{word[:40]}...") for word in new[:_NAMED])
        more = f" and {len(new) - _NAMED} more" if len(new) > _NAMED else ""
        log.warning("the caption encoder %s knows English, not %s%s: expect any motion", encoder.name, named, more)
