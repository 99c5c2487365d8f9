"""Concepts that a generator can forget, with the keywords and harmless senses listed in `concepts.toml`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from exuvia.errors import ConfigError
from exuvia.readers import read_toml
from exuvia.registry import suggest
from exuvia.text.words import Term


@dataclass(frozen=True)
class Concept:
    """One concept to forget."""

    name: str
    keywords: tuple[str, ...]
    """Substrings of the released HumanML3D split, case-sensitive."""
    terms: tuple[Term, ...]
    """Words with their inflections and harmless senses."""
    motionx_keywords: tuple[str, ...] = ()
    """Substrings of the released Motion-X split; empty: the same as `keywords`."""
    motionx_terms: tuple[Term, ...] = ()
    """Words for Motion-X; empty: the same as `terms`."""
    label: str | None = None
    """Name of the label with which a person marked clips that show the concept."""
    parts: tuple["Concept", ...] = ()
    """Concepts that this one joins: a clip that shows any of them shows it."""

    def released_keywords(self, dataset: str = "humanml3d") -> tuple[str, ...]:
        """Released substrings for `humanml3d` or `motionx`. Raises ConfigError for any other name."""
        return self.motionx_keywords or self.keywords if _is_motionx(dataset) else self.keywords

    def words(self, dataset: str = "humanml3d") -> tuple[Term, ...]:
        """Words for `humanml3d` or `motionx`. Raises ConfigError for any other name."""
        return self.motionx_terms or self.terms if _is_motionx(dataset) else self.terms

    def as_in(self, dataset: str) -> "Concept":
        """The concept with the words of one data set for all data sets. Raises ConfigError for an unknown name."""
        keywords, terms = self.released_keywords(dataset), self.words(dataset)
        return replace(self, keywords=keywords, terms=terms, motionx_keywords=(), motionx_terms=())


def _is_motionx(dataset: str) -> bool:
    if dataset not in ("humanml3d", "motionx"):
        raise ConfigError(f"unknown keyword list {dataset!r}; {suggest(dataset, ('humanml3d', 'motionx'))}")
    return dataset == "motionx"


_FILE = read_toml(Path(__file__).with_name("concepts.toml"))


def _term(lemma: str, forms: str = "", joined: str = "", also: str = "", **harmless: str) -> Term:
    """Build a term: its forms, a possible prefix ("side" in "sidekick"), and a further pattern."""
    words = "|".join(map(re.escape, [lemma, *forms.split()]))
    pattern = f"(?:{joined}-?)?(?:{words})" if joined else words
    parts = {"pattern": f"{pattern}|{also}" if also else pattern, **harmless}
    for name, source in _FILE["patterns"].items():
        parts = {part: text.replace(f"<{name}>", source) for part, text in parts.items()}
    return Term(lemma, **parts)


_TERM = {lemma: _term(lemma, **facts) for lemma, facts in _FILE["terms"].items()}


def _concept(name: str, label: str | None = None, **lists: str) -> Concept:
    words = {kind: tuple(text.split()) for kind, text in lists.items()}
    terms, motionx = (tuple(_TERM[lemma] for lemma in words.get(kind, ())) for kind in ("terms", "motionx_terms"))
    return Concept(name, words.get("keywords", ()), terms, words.get("motionx_keywords", ()), motionx, label)


CONCEPT = {name: _concept(name, **facts) for name, facts in _FILE["concepts"].items()}
VIOLENCE, KICKS, PUNCHES = (CONCEPT[name] for name in ("violence", "kick", "punch_jab_box_hit_beat"))
ALIAS = {part: name for name in CONCEPT for part in name.split("_") if part not in ("kick", "throw", "none", "arts")}


def find_concept(name: str) -> Concept:
    """Concept by its name or by a word of its name ("crawl", "jump"); "+" joins several. Raises ConfigError."""
    if "+" in name:
        return joined([find_concept(part.strip()) for part in name.split("+")])
    known = ALIAS.get(name, name)
    if known not in CONCEPT:
        raise ConfigError(f"unknown concept {name!r}; {suggest(name, (set(CONCEPT) | set(ALIAS)) - {'none'})}")
    return CONCEPT[known]


def joined(parts: Sequence[Concept]) -> Concept:
    """Join several concepts to one that covers clips of any of them: "kick+throw"."""
    concepts = tuple(dict.fromkeys(parts))
    if len(concepts) == 1:
        return concepts[0]

    def union(name: str, *of: Any) -> Any:
        return tuple(dict.fromkeys(word for concept in concepts for word in getattr(concept, name)(*of)))

    lists = union("released_keywords"), union("words"), union("released_keywords", "motionx"), union("words", "motionx")
    return Concept("+".join(concept.name for concept in concepts), *lists, parts=concepts)
