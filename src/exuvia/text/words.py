"""Whether a caption names a concept, uses the concept's words in a harmless sense, or does neither.

The released splits search for substrings: they find "hit" in "white", and a goal kick counts as violence. Here only
whole words count, and a use is harmless if
- the sentence has a harmless setting (a ball is kicked, a drum is hit, somebody moves to the beat),
- the person suffers or avoids the act ("gets kicked", "reacts to a punch", "steps back as somebody kicks"), so that
  the motion is not an attacker's,
- a neighbouring word changes its sense ("hits the ground", "throws a punch" for throwing).
These are rules of thumb for English sentences of the length of a caption. A setting covers its whole sentence. Judging
clause by clause was tried: on human captions it introduced more mistakes (kicks within a dance) than it corrected.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

Verdict = Literal["yes", "harmless", "no"]

PASSIVE = re.compile(r"\b(?:is|are|was|were|be|been|being|get|gets|got|getting)\s+(?:\w+ly\s+)?$", re.IGNORECASE)
PARTICIPLE = re.compile(r"(?:ed|hit|beaten|thrown)$", re.IGNORECASE)
AVOIDED = re.compile(
    r"\b(?:(?:dodg\w*|avoid\w*|block\w*|evad\w*|deflect\w*|duck\w*\s+(?:under|from)|react\w*\s+to)\s+(?:\w+\s+){0,2}"
    r"|(?:as|while|when)\s+(?:somebody|someone|another\s+\w+)\s+)$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Term:
    """One word, its forms, and the contexts in which it is harmless (regular expressions, case ignored)."""

    lemma: str
    pattern: str
    """All forms of the word; a match must be a whole word."""
    harmless: str = ""
    """Settings: a match anywhere in the sentence makes all uses in it harmless."""
    before: str = ""
    """Text directly before a use that makes it harmless."""
    after: str = ""
    """Text directly after a use that makes it harmless."""

    @cached_property
    def _compiled(self) -> tuple[re.Pattern[str], ...]:
        sources = (rf"(?<!\w)(?:{self.pattern})(?!\w)", self.harmless, self.before, self.after)
        return tuple(re.compile(source or r"(?!)", re.IGNORECASE) for source in sources)

    def verdict(self, sentence: str) -> Verdict:
        """Return yes for a real use, harmless for harmless uses only, no if the word does not occur."""
        word, harmless, before, after = self._compiled
        uses = list(word.finditer(sentence))
        if not uses:
            return "no"
        if harmless.search(sentence):
            return "harmless"
        for use in uses:
            left, right = sentence[: use.start()], sentence[use.end() :]
            suffered = PASSIVE.search(left) and PARTICIPLE.search(use[0])
            if not (suffered or AVOIDED.search(left) or before.search(left) or after.match(right)):
                return "yes"
        return "harmless"


def judge(sentence: str, terms: tuple[Term, ...]) -> Verdict:
    """Verdict on a sentence: yes if any term is really used, harmless if terms are used harmlessly only."""
    verdicts = {term.verdict(sentence) for term in terms}
    return "yes" if "yes" in verdicts else "harmless" if "harmless" in verdicts else "no"
