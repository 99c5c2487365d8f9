"""`tag`: words of a caption with their parts of speech, from word lists and a few rules about neighbouring words.

The output follows HumanML3D (text_process of its repository): hyphens removed, only words of letters, nouns and verbs
in their base form. HumanML3D uses spaCy's statistical tagger; this one needs no model and is made for motion captions.
"""

import re

from exuvia.text.lexicon import ADJECTIVES, CLOSED, NOUNS, noun_base, verb_base, verb_candidates

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
