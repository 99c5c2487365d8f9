"""Captions: a small grammar that describes a script of actions in several ways."""

import re
from collections.abc import Callable, Sequence

import numpy as np

from exuvia.synthetic.actor import Part
from exuvia.synthetic.body import TABLES
from exuvia.synthetic.catalogue import ACTION
from exuvia.synthetic.style import Style

_SUBJECTS = TABLES["subjects"]
_SHARES = np.asarray([subject[3] for subject in _SUBJECTS]) / sum(subject[3] for subject in _SUBJECTS)
_NUMBERS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen".split()
)

_TURNING = {"left": ("counterclockwise", "counter clockwise", "anticlockwise"), "right": ("clockwise",)}
"""Words for a circle to a side, seen from above."""


def third(verb: str) -> str:
    """Third person singular of a regular verb: kick -> kicks, punch -> punches, carry -> carries."""
    if re.search(r"(s|sh|ch|x|z|o)$", verb):
        return verb + "es"
    return verb[:-1] + "ies" if re.search(r"[^aeiou]y$", verb) else verb + "s"


def gerund(verb: str) -> str:
    """The -ing form: wave -> waving, sit -> sitting, kick -> kicking, lie -> lying."""
    if verb.endswith("ie"):
        return verb[:-2] + "ying"
    if verb.endswith("e") and not verb.endswith(("ee", "oe")):
        return verb[:-1] + "ing"
    if verb == "squat" or re.fullmatch(r"[^aeiou]*[aeiou][^aeiouwxy]", verb) or verb.endswith("step"):
        return verb + verb[-1] + "ing"
    return verb + "ing"


_FORM: dict[str, Callable[[str], str]] = {"third": third, "gerund": gerund, "base": str}


def _times(count: int, rng: np.random.Generator, exact: bool) -> str:
    """Number of repetitions in words; unless it must be exact, empty for one, and sometimes vague or empty for more."""
    if not exact and (count < 2 or rng.random() < 0.3):
        return ""
    words = {1: ("once", "once", "one time", "a single time"), 2: ("twice", "twice", "two times", "2 times")}
    named = words.get(count, (f"{_NUMBERS[count]} times", f"{count} times"))
    vague = ("several times", "repeatedly", "multiple times") if count > 2 and not exact else ()
    return str(rng.choice([*named, *named, *named, *vague]))


def _phrase(part: Part, their: str, form: str, adverb: str, rng: np.random.Generator, exact: bool) -> str:
    """One action as a verb phrase; an exact one names the number of repetitions."""
    action = ACTION[part.action]
    choices = action.phrases
    if part.side and action.side_phrases and rng.random() < 0.8:
        choices = action.side_phrases
    if exact:
        choices = tuple(choice for choice in action.counted if part.side or "{side}" not in choice)
    if part.count < 2:
        choices = tuple(choice for choice in choices if "{n}" not in choice)
    text = choices[int(rng.integers(len(choices)))]
    level = action.levels[part.level]
    number = _NUMBERS[part.count] if rng.random() < 0.8 else str(part.count)
    word, times = level[int(rng.integers(len(level)))], _times(part.count, rng, exact)
    whose = their if rng.random() < 0.75 else "the"
    ways = _TURNING.get(part.side, ("",))
    turning = ways[int(rng.integers(len(ways)))] if "{turning}" in text else ""
    known = ("once", "a single time") if part.count < 2 else ("twice",) if part.count == 2 else (f"{number} times",)
    exactly = known[int(rng.integers(len(known)))] if "{exactly}" in text and part.count else ""
    text = text.format(side=part.side, level=word, n=number, times=times, exactly=exactly, their=whose, turning=turning)
    before = adverb.endswith("ly") and " " not in adverb and rng.random() < 0.4
    text = f"{adverb} {text}" if before else f"{text} {adverb}"
    text = re.sub(r"\[(\w+)\]", lambda match: _FORM[form](match[1]), text)
    return " ".join(text.split())


def _sentence(parts: Sequence[Part], style: Style, rng: np.random.Generator, exact: bool) -> str:
    subject, their, pronoun, _ = _SUBJECTS[int(rng.choice(len(_SUBJECTS), p=_SHARES))]
    adverbs = [""] * len(parts)
    if style.adverbs and rng.random() < 0.6:
        adverbs[int(rng.integers(len(parts)))] = style.adverbs[int(rng.integers(len(style.adverbs)))]

    def phrase(number: int, form: str) -> str:
        return _phrase(parts[number], their, form, adverbs[number], rng, exact)

    progressive = rng.random() < 0.22
    if len(parts) == 1:
        return f"{subject} is {phrase(0, 'gerund')}" if progressive else f"{subject} {phrase(0, 'third')}"
    if len(parts) == 2:
        if progressive:
            return f"{subject} is {phrase(0, 'gerund')} and then {phrase(1, 'gerund')}"
        if parts[0].action == parts[1].action and rng.random() < 0.6:
            first = phrase(0, "third")
            found = re.search(rf"(with |to )?(\w+ )?{parts[0].side}( arm| hand| leg| foot| fist| side)?\b", first)
            if found and " and " not in first:
                return f"{subject} {first} and then {found[0].replace(parts[0].side, parts[1].side)}"
        template, one, two = TABLES["pairs"][int(rng.integers(len(TABLES["pairs"])))]
        two = ("base" if pronoun == "they" else "third") if two == "pronoun" else two
        return str(template.format(who=subject, pronoun=pronoun, first=phrase(0, one), second=phrase(1, two)))
    links = (", then ", ", and then "), (", ", ", and "), (" and then ", ", and finally "), (", then ", " before ")
    first, second = links[int(rng.integers(len(links)))]
    last = phrase(2, "gerund" if second == " before " else "third")
    return f"{subject} {phrase(0, 'third')}{first}{phrase(1, 'third')}{second}{last}"


def captions(
    parts: Sequence[Part], style: Style, rng: np.random.Generator, count: int = 4, *, exact: bool = False
) -> tuple[str, ...]:
    """One to `count` different lower-case sentences about one to three actions in sequence.

    Some sentences mention the style. A part with a count of 0 is described without its number of repetitions; with
    `exact`, every sentence names that of the only part.
    """
    sentences: list[str] = []
    for _ in range(4 * count):
        text = _sentence(parts, style, rng, exact)
        text = text + ("." if rng.random() < 0.5 else "")
        if text.rstrip(".") not in [other.rstrip(".") for other in sentences]:
            sentences.append(text)
        if len(sentences) == count:
            break
    return tuple(sentences)
