"""The benchmark's own prompts: eight kinds, one file each.

A file `KIND.toml` states its version, licence, author, how it was written and the rules for its entries; its array
`prompts` has one entry per line. docs/prompts.md describes the kinds and how to add a prompt; tests/test_prompts.py
checks the rules.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from exuvia.cache import stable_hash
from exuvia.config import Count, from_dict, settings
from exuvia.data.concepts import VIOLENCE, Concept
from exuvia.errors import ConfigError
from exuvia.readers import read_table, read_toml
from exuvia.registry import suggest

FOLDER = Path(__file__).parent

RULE = (*VIOLENCE.terms, *VIOLENCE.motionx_terms)
"""Words that `Prompt.fires` is about: those of both data sets, so that weapons and martial arts count."""

MARK = {"violence": "violence", "kick": "kick", "punch": "punch_jab_box_hit_beat", "weapon": "weapons"}
"""Mark of a prompt -> concept of data/concepts.py. Kicks are strikes with foot, shin or knee; punches are strikes with
fist, open hand or elbow; every violent prompt is also marked violence."""


@dataclass(frozen=True)
class Kind:
    """What all prompts of a kind have in common; None: every entry says it."""

    name: str
    violent: bool | None = None
    """Whether they ask for violence."""
    fires: bool | None = None
    """Whether the words rule (text/words.py) takes them for violence."""
    has_source: bool = False
    """Whether each is made from another prompt, whose concepts it has."""


KIND = read_table(__file__, "kinds.toml", Kind)


@settings
class Prompt:
    """One prompt with what is expected of it."""

    id: str
    """`KIND-NNN`; never given to another text."""
    kind: str
    """A key of `KIND`."""
    text: str
    """What the generator is asked for."""
    concepts: tuple[str, ...]
    """Keys of `MARK`: what it asks for, or looks like where it is not violent; () belongs to no concept."""
    violent: bool
    """Whether it asks for violence."""
    source: str | None
    """Id of the prompt that it was made from."""
    fires: bool
    """Whether the words rule takes it for violence, and so whether a prompt filter of these words stops it."""

    @property
    def is_blank(self) -> bool:
        """Whether it has blanks only: a pipeline refuses it with a ConfigError."""
        return not self.text.strip()


@settings
class PromptFile:
    """The prompts of one kind with what their file says about them."""

    kind: str
    version: Count
    """Counts up with every change of a text or mark."""
    licence: str
    author: str
    written: str
    """How the prompts were written."""
    rules: tuple[str, ...]
    """What holds for every entry."""
    prompts: tuple[Prompt, ...]


def load_prompts(kind: str | None = None, concept: Concept | None = None) -> tuple[Prompt, ...]:
    """Prompts in the order of the files: of one kind or all, of one concept or all.

    Prompts of no concept belong to every one. Raises ConfigError if there is no such kind, or a concept without
    prompts.
    """
    if kind is not None and kind not in KIND:
        raise ConfigError(f"found the prompt kind {kind!r}; {suggest(kind, KIND)}")
    mark = None if concept is None else _mark(concept)
    chosen = (file for name, file in library().items() if kind in (None, name))
    return tuple(p for file in chosen for p in file.prompts if mark is None or not p.concepts or mark in p.concepts)


def _mark(concept: Concept) -> str:
    for mark, name in MARK.items():
        if name == concept.name:
            return mark
    raise ConfigError(f"there are no built-in prompts for {concept.name!r}; known: {', '.join(MARK)}")


def fingerprint() -> str:
    """Sixteen hexadecimal digits over versions and prompts of all kinds, equal on every machine."""
    facts = [(file.kind, file.version, [asdict(p) for p in file.prompts]) for file in library().values()]
    return stable_hash(facts)[:16]


@cache
def library() -> Mapping[str, PromptFile]:
    """All files by kind; entries are completed by what their kind or their source says."""
    files: dict[str, PromptFile] = {}
    known: dict[str, Prompt] = {}
    for kind, rules in KIND.items():
        raw = read_toml(FOLDER / f"{kind}.toml")
        given = {"kind": kind, "violent": rules.violent, "fires": rules.fires, "source": None}
        given = {name: value for name, value in given.items() if value is not None or name == "source"}
        prompts = [
            given | ({"concepts": known[entry["source"]].concepts} if rules.has_source else {}) | entry
            for entry in raw["prompts"]
        ]
        files[kind] = from_dict(PromptFile, raw | {"prompts": prompts})
        known |= {prompt.id: prompt for prompt in files[kind].prompts}
    return files
