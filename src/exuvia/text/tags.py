"""`tag`: words of a caption with their parts of speech, from word lists and a few rules about neighbouring words.

The output follows HumanML3D (text_process of its repository): hyphens removed, only words of letters, nouns and verbs
in their base form. HumanML3D uses spaCy's statistical tagger; this one needs no model and is made for motion captions.
Prompts that a caption encoder does not understand are detected with the same words: it knows English, but accepts any
text.
"""

import logging
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from exuvia.readers import read_toml

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from exuvia.text.base import TextEncoder


_WORDS = read_toml(Path(__file__).with_name("lexicon.toml"))
ADJECTIVES = frozenset(_WORDS["adjectives"].split())
"""Adjectives that cannot be recognised by their ending."""
VERBS = frozenset(_WORDS["verbs"].split())
"""Base forms of verbs."""
NOUNS = frozenset(_WORDS["nouns"].split())
"""Singular nouns."""
CLOSED: dict[str, str] = {word: name for name, words in _WORDS["closed"].items() for word in words.split()}
"""Words whose part of speech does not depend on their neighbours."""
IRREGULAR_VERBS = {form: base for base, forms in _WORDS["irregular_verbs"].items() for form in forms.split()}
"""Irregular verb form -> base form."""
IRREGULAR_NOUNS: dict[str, str] = _WORDS["irregular_nouns"]
"""Irregular plural -> singular."""
EMPHASISED: dict[str, str] = {word: name for name, words in _WORDS["emphasised"].items() for word in words.split()}
"""Words whose class for the evaluator comes from a list instead of the tagger (word_vectors.py)."""
DOUBLED = "bdgklmnprtvz"
"""Consonants that a verb can double before -ed and -ing."""


def verb_base(form: str) -> str | None:
    """Base form of a known verb, or None: kicks, kicking, kicked -> kick; running -> run."""
    if form in IRREGULAR_VERBS:
        return IRREGULAR_VERBS[form]
    return next((base for base in verb_candidates(form) if base in VERBS), None)


def verb_candidates(form: str) -> list[str]:
    """Possible base forms of a regular verb form, likeliest first."""
    bases = [form]
    for ending in ("ing", "ed"):
        if form.endswith(ending) and len(form) > len(ending) + 1:
            stem = form.removesuffix(ending)
            if stem[-1] == stem[-2] and stem[-1] in DOUBLED:
                bases += [stem[:-1], stem]
            elif stem[-1] == "i" and ending == "ed":
                bases += [stem[:-1] + "y"]
            elif stem[-1] in "cgsuvz" and stem[-2:] != "ss":
                bases += [stem + "e", stem]
            else:
                bases += [stem, stem + "e"]
    if form.endswith("ies") and len(form) > 4:
        bases += [form[:-3] + "y", form[:-1]]
    elif form.endswith("es") and len(form) > 3 and (form[-3] in "sxzo" or form[-4:-2] in ("ch", "sh")):
        bases += [form[:-2], form[:-1]]
    elif form.endswith("s") and not form.endswith(("ss", "us", "is")) and len(form) > 2:
        bases += [form[:-1]]
    return [base for base in bases if base]


def noun_base(form: str) -> str:
    """Singular of a noun: hands -> hand, boxes -> box, bodies -> body, feet -> foot; other words are unchanged."""
    if form in IRREGULAR_NOUNS:
        return IRREGULAR_NOUNS[form]
    if form in NOUNS or not form.endswith("s"):
        return form
    candidates = verb_candidates(form)[1:] if not form.endswith(("ss", "us", "is")) else []
    return next((base for base in candidates if base in NOUNS), candidates[0] if candidates else form)


_WORD = re.compile(r"([^\W\d_]+)(?:['’][^\W\d_]*)?")
_NOT = re.compile(r"n['’]t\b")
_PLACES = {"side", "place", "front", "face", "head", "center", "position"}
_ADJECTIVE_END = ("ful", "ous", "ive", "able", "ible", "less", "ish", "ical", "like", "wise")
_NOUN_FOLLOWS = {"DET", "ADJ", "NUM", "ADP"}


def tag(text: str) -> list[tuple[str, str]]:
    """Pairs (word, part of speech) of a sentence, in order; words are in lower case, nouns and verbs in base form.

    Parts of speech are VERB NOUN DET ADP NUM AUX PRON ADJ ADV CCONJ SCONJ PART. Only words of letters are returned.
    """
    plain = _NOT.sub("", text.lower().replace("-", ""))
    words = [match[1] for match in _WORD.finditer(plain)]
    pairs: list[tuple[str, str]] = []
    for place, word in enumerate(words):
        before = pairs[-1][1] if pairs else ""
        after = words[place + 1] if place + 1 < len(words) else ""
        pairs.append(_tagged(word, before, after))
    return pairs


def _tagged(word: str, before: str, after: str) -> tuple[str, str]:
    """Tag one word, given the previous tag ("" at the start) and the next word."""
    if word == "to":
        verb = verb_base(after) == after and after not in CLOSED and after not in _PLACES
        return word, "PART" if verb or after in ("be", "do", "have") else "ADP"
    if word in CLOSED:
        return word, _closed(word, before, after)
    base = verb_base(word)
    if word in ADJECTIVES and not (base and before in ("PART", "NOUN", "PRON")):
        return word, "ADJ"
    if base is None:
        return _unknown(word, before)
    if word.endswith("ing") and word not in NOUNS and base != word:
        return (word, "NOUN") if before == "DET" and (after in ("of", "and", "") or after in CLOSED) else (base, "VERB")
    singular = noun_base(word)
    if singular in NOUNS and _reads_as_noun(word, before, after):
        return singular, "NOUN"
    return base, "VERB"


def _closed(word: str, before: str, after: str) -> str:
    if word in ("up", "down"):
        return "ADV" if after in ("", "and", "then", "to") or CLOSED.get(after) == "ADV" else "ADP"
    if word == "that":
        return "DET" if after not in ("is", "are", "was") else "SCONJ"
    if word in ("left", "right") and (after == "" or after in CLOSED) and before in ("DET", "ADP"):
        return "NOUN"
    if word == "left" and before in ("NOUN", "PRON") and after in ("the", "a", "his", "their"):
        return "VERB"
    if word in ("straight", "fast") and before == "DET":
        return "ADJ"
    if word == "around" and CLOSED.get(after) == "DET":
        return "ADP"
    if word == "back" and before == "DET":
        return "NOUN"
    return CLOSED[word]


def _reads_as_noun(word: str, before: str, after: str) -> bool:
    """Whether a word that can be a noun or a verb is a noun here."""
    if before in _NOUN_FOLLOWS:
        return True
    if before == "NOUN":
        known = word in ("steps", "jacks", "stairs") and after in ("", "of", "in", "on", "and")
        return known or not word.endswith("s")
    return before == "VERB"


def _unknown(word: str, before: str) -> tuple[str, str]:
    """Tag a word outside the lists by its ending and the previous tag."""
    if word.endswith("ly") and len(word) > 4:
        return word, "ADV"
    if word.endswith(("wards", "ward")):
        return word, "ADV"
    if word.endswith(_ADJECTIVE_END) and word not in NOUNS:
        return word, "ADJ"
    singular = noun_base(word)
    if singular in NOUNS:
        return singular, "NOUN"
    if len(word) > 5 and word.endswith(("ing", "ed")) and before != "DET":
        return verb_candidates(word)[1], "VERB"
    if word.endswith("s") and before in ("NOUN", "PRON") and not word.endswith("ss"):
        return verb_candidates(word)[-1], "VERB"
    return singular, "NOUN"


log = logging.getLogger(__name__)

_ANY_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
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
    words = _ANY_WORD.findall(plain)
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
