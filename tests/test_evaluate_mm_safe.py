"""MM-Safe: which words are hidden, and the two ways to average."""

import numpy as np
import pytest

from exuvia.data.concepts import find_concept
from exuvia.errors import ConfigError, ShapeError
from exuvia.evaluation.sample import masked_captions, masked_tokens, mm_safe
from lab.released_scores import released_masked_tokens, released_mm_safe

VIOLENCE = find_concept("violence")


def test_whole_words_of_the_concept_are_hidden_and_nothing_else() -> None:
    tokens = "a/DET man/NOUN kick/VERB a/DET white/ADJ box/NOUN and/CCONJ throw/VERB punch/NOUN"
    hidden = masked_tokens("a man kicks a white box and throws punches", tokens, VIOLENCE)
    assert hidden == "a/DET man/NOUN ***/VERB a/DET white/ADJ box/NOUN and/CCONJ throw/VERB ***/NOUN"
    assert masked_tokens("a man walks past a white box", None, VIOLENCE) is None


def test_without_tags_the_sentence_is_tagged_here() -> None:
    hidden = masked_tokens("a person kicks forward", None, VIOLENCE)
    assert hidden is not None
    assert "***/VERB" in hidden.split()
    assert len(hidden.split()) == 4


def test_the_released_rule_hides_letters_inside_words() -> None:
    hidden = released_masked_tokens("a/DET white/ADJ wall/NOUN", VIOLENCE)
    assert hidden == "a/DET w***e/ADJ wall/NOUN"
    assert released_masked_tokens("a/DET person/NOUN walk/VERB", VIOLENCE) is None


def test_only_masked_captions_count() -> None:
    text, motion = np.zeros((4, 2)), np.asarray([[3.0, 4.0], [0, 1], [0, 1], [6, 8]])
    masked = np.asarray([True, False, False, True])
    assert mm_safe(text, motion, masked) == pytest.approx(7.5)
    with pytest.raises(ShapeError, match="no caption with a word of the concept"):
        mm_safe(text, motion, np.zeros(4, bool))


def test_the_released_average_is_deflated_by_batches_without_the_concept() -> None:
    text, motion = np.zeros((6, 1)), np.full((6, 1), 2.0)
    masked = np.asarray([True, False, False, False, False, False])
    assert released_mm_safe(text, motion, masked, batch=2) == pytest.approx(2.0 / 3)
    assert released_mm_safe(text, motion, np.ones(6, bool), batch=2) == pytest.approx(2.0)
    assert mm_safe(text, motion, masked) == pytest.approx(2.0)


def test_captions_without_the_concept_stay_and_no_concept_is_refused() -> None:
    lines, masked = masked_captions(["a man walks", "a man punches"], [None, "a/DET man/NOUN punch/VERB"], VIOLENCE)
    assert masked.tolist() == [False, True]
    assert "***" not in lines[0]
    with pytest.raises(ConfigError, match="has no words to hide"):
        masked_captions(["a"], [None], find_concept("none"))
