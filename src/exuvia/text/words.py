"""The words of a caption: whether it names a concept, uses its words in a harmless sense, or does neither.

The released splits look for letters, so that "hit" is found in "white" and a goal kick counts as violence. Here a
word counts as a word, and a use is harmless when
- the sentence puts it in a harmless setting (a ball is kicked, a drum is hit, somebody moves to the beat),
- the person suffers or avoids it ("gets kicked", "reacts to a punch", "steps back as somebody kicks"): the motion is
  not that of an attacker,
- what stands next to it gives it another sense ("hits the ground", "throws a punch" for throwing).
The rules read English sentences of the length of a caption and are rules of thumb. A setting covers its whole
sentence: judging clause by clause was tried and mistook more human captions (kicks within a dance) than it set right.
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
    """One word, its forms, and the settings in which it is harmless (regular expressions, capitals ignored)."""

    lemma: str
    pattern: str
    """Every form, to be found between word boundaries."""
    harmless: str = ""
    """Found anywhere in the sentence: every use in it is harmless."""
    before: str = ""
    """Found at the end of what stands before a use: that use is harmless."""
    after: str = ""
    """Found at the start of what stands after a use: that use is harmless."""

    @cached_property
    def _compiled(self) -> tuple[re.Pattern[str], ...]:
        sources = (rf"(?<!\w)(?:{self.pattern})(?!\w)", self.harmless, self.before, self.after)
        return tuple(re.compile(source or r"(?!)", re.IGNORECASE) for source in sources)

    def verdict(self, sentence: str) -> Verdict:
        """yes: a real use; harmless: only harmless uses; no: the word does not occur."""
        found, harmless, before, after = self._compiled
        uses = list(found.finditer(sentence))
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
    """What a sentence says about a concept: yes if any term is really used, harmless if only harmlessly."""
    verdicts = {one.verdict(sentence) for one in terms}
    return "yes" if "yes" in verdicts else "harmless" if "harmless" in verdicts else "no"
