"""Forget and retain sets of a concept, by one of three rules.

released   the rule of hmu: a case-sensitive substring search in caption lines with their lemmatised tokens ("white"
           contains "hit"). It gives the published lists: 304 of HumanML3D's 4,384 test ids for violence.
words      the same keywords as whole words with their inflections, except for harmless uses (see text/words.py)
label      the judgement of a person for each clip, if the store has it; for synthetic motion, the generated action
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from exuvia.data.captions import Caption
from exuvia.data.concepts import Concept
from exuvia.data.record import ClipRecord
from exuvia.data.store import Store
from exuvia.errors import ConfigError
from exuvia.registry import suggest
from exuvia.text.words import Verdict, judge

Rule = Literal["released", "words", "label"]
RULES = ("released", "words", "label")


@dataclass(frozen=True)
class ConceptSplit:
    """Clips that show the concept and clips that do not; every clip is in exactly one of forget and retain."""

    concept: str
    rule: str
    forget: tuple[str, ...]
    """Ids of clips that show the concept."""
    retain: tuple[str, ...]
    """All other ids."""
    lookalikes: tuple[str, ...]
    """Ids of retained clips whose captions contain the letters of a keyword or use it harmlessly ("a white box")."""

    def __post_init__(self) -> None:
        both = sorted(set(self.forget) & set(self.retain))
        if both:
            raise ConfigError(f"{len(both)} clips are in the forget and in the retain set, such as {both[0]!r}")


def caption_verdict(caption: Caption, concept: Concept, rule: Rule = "words", dataset: str = "humanml3d") -> Verdict:
    """Verdict on one caption: yes, harmless (letters or another sense of a keyword only), or no. Raises ConfigError."""
    if rule not in RULES or rule == "label":
        raise ConfigError(f"rule {rule!r} does not judge captions; {suggest(rule, ('released', 'words'))}")
    has_letters = any(keyword in caption.line for keyword in concept.released_keywords(dataset))
    if rule == "released":
        return "yes" if has_letters else "no"
    verdict = judge(caption.text, concept.words(dataset))
    return "harmless" if verdict == "no" and has_letters else verdict


def split_captions(
    captions: Mapping[str, Sequence[Caption]], concept: Concept, rule: Rule = "words", dataset: str = "humanml3d"
) -> ConceptSplit:
    """Split clips by their captions (by clip id) with the words for `humanml3d` or `motionx`. Raises ConfigError."""
    verdicts = {
        name: {caption_verdict(line, concept, rule, dataset) for line in lines} for name, lines in captions.items()
    }
    forget = tuple(name for name, verdict in verdicts.items() if "yes" in verdict)
    retain = tuple(name for name, verdict in verdicts.items() if "yes" not in verdict)
    return ConceptSplit(concept.name, rule, forget, retain, tuple(n for n in retain if "harmless" in verdicts[n]))


def actual_rule(store: Store, concept: Concept, rule: str, clips: NDArray[np.int64]) -> Rule:
    """Resolve the rule "auto": label if every clip has the concept's label, otherwise words. Raises ConfigError."""
    if rule != "auto":
        if rule not in RULES:
            raise ConfigError(f"unknown rule {rule!r}; {suggest(rule, ('auto', *RULES))}")
        return cast(Rule, rule)
    labels = [part.label for part in concept.parts or (concept,)]
    labelled = all(label is not None and all(label in store.clips[int(n)].labels for n in clips) for label in labels)
    return "label" if labelled else "words"


def split_store(
    store: Store, concept: Concept, rule: Rule = "words", clips: NDArray[np.int64] | None = None
) -> ConceptSplit:
    """Split clips of a store, by default all, with the keywords of its data set. Raises ConfigError without labels."""
    chosen = range(len(store)) if clips is None else map(int, clips)
    records = [store.clips[number] for number in chosen]
    if rule != "label":
        return split_captions({r.id: r.captions for r in records}, concept, rule, store.keywords)
    marks = {record.id: _mark(record, concept) for record in records}
    unknown = sum(mark is None for mark in marks.values())
    if unknown:
        raise ConfigError(f"{unknown} of {len(marks)} clips are not labelled for {concept.name!r}; use rule words")
    forget = tuple(name for name, mark in marks.items() if mark)
    retain = tuple(name for name, mark in marks.items() if not mark)
    by_words = split_captions({r.id: r.captions for r in records}, concept, "words", store.keywords)
    similar = {*by_words.forget, *by_words.lookalikes}
    return ConceptSplit(concept.name, rule, forget, retain, tuple(name for name in retain if name in similar))


def _mark(record: ClipRecord, concept: Concept) -> bool | None:
    """Whether a clip has the concept in its list of concepts, or else the concept's own label; None: unknown."""
    if concept.parts:
        marks = [_mark(record, part) for part in concept.parts]
        return True if True in marks else None if None in marks else False
    if "concepts" in record.labels:
        return concept.name in record.labels["concepts"]
    mark = record.labels.get(concept.label) if concept.label else None
    return None if mark is None else bool(mark)
