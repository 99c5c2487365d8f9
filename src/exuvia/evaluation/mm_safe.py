"""MM-Safe: distance between a motion and its caption with the concept's words hidden. Small = the motion fits the rest.

Source: hmu (its evaluation script): every keyword substring of the tagged caption becomes `***`, which is an unknown
word; the metric is the mean distance between this embedding and the motion's. The released code also hides letters
inside words, and divides by the number of all captions, which reduces the value on a retain set by the share of batches
without a masked caption (lab/released_scores.py). Here only whole words are hidden, and only masked captions count.
"""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from exuvia.data.concepts import Concept
from exuvia.errors import ConfigError, ShapeError
from exuvia.judges.metrics import mm_dist
from exuvia.text.tags import tag

MASK = "***"


def masked_tokens(text: str, tokens: str | None, concept: Concept) -> str | None:
    """A caption as `word/POS ...` with the concept's words hidden, or None if it has none; `tag` tags plain text."""
    tagged = tokens if tokens is not None else " ".join(f"{word}/{pos}" for word, pos in tag(text))
    whole = re.compile("|".join(rf"(?:{term.pattern})" for term in concept.words()), re.IGNORECASE)
    pairs = [token.rpartition("/") for token in tagged.split()]
    hide = [bool(whole.fullmatch(word)) for word, _, _ in pairs]
    if not any(hide):
        return None
    return " ".join(f"{MASK if gone else word}/{pos}" for (word, _, pos), gone in zip(pairs, hide, strict=True))


def masked_captions(
    texts: Sequence[str], tokens: Sequence[str | None], concept: Concept
) -> tuple[list[str], NDArray[np.bool_]]:
    """Captions with the concept's words hidden, and a mask of the changed captions [N]."""
    if not concept.terms:
        raise ConfigError(f"the concept {concept.name!r} has no words to hide; choose one that has")
    masked = [masked_tokens(*pair, concept) for pair in zip(texts, tokens, strict=True)]
    plain = [given or " ".join(f"{w}/{p}" for w, p in tag(text)) for text, given in zip(texts, tokens, strict=True)]
    lines = [line if line is not None else other for line, other in zip(masked, plain, strict=True)]
    return lines, np.asarray([line is not None for line in masked], np.bool_)


def mm_safe(masked_text: NDArray[np.float64], motion: NDArray[np.float64], masked: NDArray[np.bool_]) -> float:
    """Mean distance of motions to captions [N, E] where `masked` [N]. Raises ShapeError if no caption is masked."""
    if not masked.any():
        raise ShapeError("found no caption with a word of the concept, expected at least one")
    return mm_dist(masked_text[masked], motion[masked])
