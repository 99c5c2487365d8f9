"""Concepts that a generator can be made to forget: `concepts.toml` lists their keywords, and what the words mean."""

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
    """One thing to forget."""

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
    """Label in a store that says, clip by clip, whether a person judged it to be the concept."""
    parts: tuple["Concept", ...] = ()
    """The concepts that this one joins: what shows any of them shows it."""

    def released_keywords(self, dataset: str = "humanml3d") -> tuple[str, ...]:
        """The released substrings for `humanml3d` or `motionx`. Raises ConfigError on another name."""
        return self.motionx_keywords or self.keywords if _is_motionx(dataset) else self.keywords

    def words(self, dataset: str = "humanml3d") -> tuple[Term, ...]:
        """The words for `humanml3d` or `motionx`. Raises ConfigError on another name."""
        return self.motionx_terms or self.terms if _is_motionx(dataset) else self.terms

    def as_in(self, dataset: str) -> "Concept":
        """The concept with the words of one data set for every data set. Raises ConfigError on another name."""
        keywords, terms = self.released_keywords(dataset), self.words(dataset)
        return replace(self, keywords=keywords, terms=terms, motionx_keywords=(), motionx_terms=())


def _is_motionx(dataset: str) -> bool:
    if dataset not in ("humanml3d", "motionx"):
        raise ConfigError(f"unknown keyword list {dataset!r}; {suggest(dataset, ('humanml3d', 'motionx'))}")
    return dataset == "motionx"


_FILE = read_toml(Path(__file__).with_name("concepts.toml"))


def _term(lemma: str, forms: str = "", joined: str = "", also: str = "", **harmless: str) -> Term:
    """A term of the file: its forms, what may stand before one without a gap ("side" in "sidekick"), a pattern more."""
    words = "|".join(map(re.escape, [lemma, *forms.split()]))
    pattern = f"(?:{joined}-?)?(?:{words})" if joined else words
    parts = {"pattern": f"{pattern}|{also}" if also else pattern, **harmless}
    for name, source in _FILE["patterns"].items():
        parts = {part: text.replace(f"<{name}>", source) for part, text in parts.items()}
    return Term(lemma, **parts)


_TERM = {lemma: _term(lemma, **facts) for lemma, facts in _FILE["terms"].items()}


def _concept(name: str, label: str | None = None, **lists: str) -> Concept:
    words = {kind: tuple(text.split()) for kind, text in lists.items()}
    terms, own = (tuple(_TERM[one] for one in words.get(kind, ())) for kind in ("terms", "motionx_terms"))
    return Concept(name, words.get("keywords", ()), terms, words.get("motionx_keywords", ()), own, label)


CONCEPT = {name: _concept(name, **facts) for name, facts in _FILE["concepts"].items()}
VIOLENCE, KICKS, PUNCHES = (CONCEPT[name] for name in ("violence", "kick", "punch_jab_box_hit_beat"))
ALIAS = {part: name for name in CONCEPT for part in name.split("_") if part not in ("kick", "throw", "none", "arts")}


def find_concept(name: str) -> Concept:
    """A concept by its name, or by one of the words of its name ("crawl", "jump"); several joined by "+".

    Raises:
        ConfigError: no such concept; the message suggests the nearest.
    """
    if "+" in name:
        return joined([find_concept(part.strip()) for part in name.split("+")])
    known = ALIAS.get(name, name)
    if known not in CONCEPT:
        raise ConfigError(f"unknown concept {name!r}; {suggest(name, (set(CONCEPT) | set(ALIAS)) - {'none'})}")
    return CONCEPT[known]


def joined(parts: Sequence[Concept]) -> Concept:
    """What shows any of several concepts, as one concept: "kick+throw"."""
    own = tuple(dict.fromkeys(parts))
    if len(own) == 1:
        return own[0]

    def union(name: str, *of: Any) -> Any:
        return tuple(dict.fromkeys(one for part in own for one in getattr(part, name)(*of)))

    lists = union("released_keywords"), union("words"), union("released_keywords", "motionx"), union("words", "motionx")
    return Concept("+".join(part.name for part in own), *lists, parts=own)
