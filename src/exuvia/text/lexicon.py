"""Words of motion captions by part of speech, and rules for their base forms; `tags.py` uses them."""

from pathlib import Path

from exuvia.readers import read_toml

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
