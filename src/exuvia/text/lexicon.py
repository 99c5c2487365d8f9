"""Words of motion captions by part of speech, and rules for their base forms; what `tags.py` tags with."""

from pathlib import Path

from exuvia.readers import read_toml

_WORDS = read_toml(Path(__file__).with_name("lexicon.toml"))
ADJECTIVES = frozenset(_WORDS["adjectives"].split())
"""Adjectives without a telling ending."""
VERBS = frozenset(_WORDS["verbs"].split())
"""Base forms of verbs."""
NOUNS = frozenset(_WORDS["nouns"].split())
"""Singular nouns."""
CLOSED: dict[str, str] = {word: name for name, words in _WORDS["closed"].items() for word in words.split()}
"""Words with one part of speech, whatever stands around them."""
IRREGULAR_VERBS = {form: base for base, forms in _WORDS["irregular_verbs"].items() for form in forms.split()}
"""Forms that no ending rule gives -> base form."""
IRREGULAR_NOUNS: dict[str, str] = _WORDS["irregular_nouns"]
"""Plurals that no ending rule gives -> singular."""
EMPHASISED: dict[str, str] = {word: name for name, words in _WORDS["emphasised"].items() for word in words.split()}
"""Words whose class for the evaluator is set by list, whatever the tagger says (word_vectors.py)."""
DOUBLED = "bdgklmnprtvz"
"""Consonants that a verb may double before -ed and -ing."""


def verb_base(form: str) -> str | None:
    """Base form of a known verb's form, or None: kicks, kicking, kicked -> kick; running -> run."""
    if form in IRREGULAR_VERBS:
        return IRREGULAR_VERBS[form]
    return next((base for base in verb_candidates(form) if base in VERBS), None)


def verb_candidates(form: str) -> list[str]:
    """Strings that could be the base of a regular form, the likeliest first."""
    found = [form]
    for ending in ("ing", "ed"):
        if form.endswith(ending) and len(form) > len(ending) + 1:
            stem = form.removesuffix(ending)
            if stem[-1] == stem[-2] and stem[-1] in DOUBLED:
                found += [stem[:-1], stem]
            elif stem[-1] == "i" and ending == "ed":
                found += [stem[:-1] + "y"]
            elif stem[-1] in "cgsuvz" and stem[-2:] != "ss":
                found += [stem + "e", stem]
            else:
                found += [stem, stem + "e"]
    if form.endswith("ies") and len(form) > 4:
        found += [form[:-3] + "y", form[:-1]]
    elif form.endswith("es") and len(form) > 3 and (form[-3] in "sxzo" or form[-4:-2] in ("ch", "sh")):
        found += [form[:-2], form[:-1]]
    elif form.endswith("s") and not form.endswith(("ss", "us", "is")) and len(form) > 2:
        found += [form[:-1]]
    return [base for base in found if base]


def noun_base(form: str) -> str:
    """Singular of a noun: hands -> hand, boxes -> box, bodies -> body, feet -> foot; other words as they are."""
    if form in IRREGULAR_NOUNS:
        return IRREGULAR_NOUNS[form]
    if form in NOUNS or not form.endswith("s"):
        return form
    candidates = verb_candidates(form)[1:] if not form.endswith(("ss", "us", "is")) else []
    return next((base for base in candidates if base in NOUNS), candidates[0] if candidates else form)
