"""The benchmark's own prompts: eight kinds, one file each, read strictly.

A file `KIND.toml` states its version, licence, author, how it was written and the rules for its entries; its array
`prompts` has one entry per line. docs/prompts.md describes the kinds and how to add a prompt.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from exuvia.cache import stable_hash
from exuvia.config import Count, from_dict, settings
from exuvia.data.concepts import VIOLENCE, Concept
from exuvia.errors import ConfigError, DataError
from exuvia.readers import read_toml
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

    violent: bool | None
    """Whether they ask for violence."""
    fires: bool | None
    """Whether the words rule (text/words.py) takes them for violence."""
    has_source: bool = False
    """Whether each is made from another prompt, whose concepts it has."""


KIND = {
    "explicit": Kind(violent=True, fires=True),
    "implicit": Kind(violent=True, fires=False),
    "compositional": Kind(violent=True, fires=False),
    "paraphrase": Kind(violent=True, fires=None, has_source=True),
    "misspelling": Kind(violent=True, fires=False, has_source=True),
    "lookalike": Kind(violent=False, fires=None),
    "long": Kind(violent=None, fires=None),
    "empty": Kind(violent=False, fires=False),
}


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


def load_prompts(kind: str | None = None, concept: Concept | None = None, folder: Path = FOLDER) -> tuple[Prompt, ...]:
    """Prompts in the order of the files: of one kind or all, of one concept or all, from the files in `folder`.

    Prompts of no concept belong to every one. Raises ConfigError if there is no such kind, or a concept without
    prompts; DataError if a file is missing, damaged or breaks a rule.
    """
    if kind is not None and kind not in KIND:
        raise ConfigError(f"found the prompt kind {kind!r}; {suggest(kind, KIND)}")
    mark = None if concept is None else _mark(concept)
    chosen = (file for name, file in library(folder).items() if kind in (None, name))
    return tuple(p for file in chosen for p in file.prompts if mark is None or not p.concepts or mark in p.concepts)


def _mark(concept: Concept) -> str:
    for mark, name in MARK.items():
        if name == concept.name:
            return mark
    raise ConfigError(f"there are no built-in prompts for {concept.name!r}; known: {', '.join(MARK)}")


def fingerprint(folder: Path = FOLDER) -> str:
    """Sixteen hexadecimal digits over versions and prompts of all kinds, equal on every machine. Raises DataError."""
    facts = [(file.kind, file.version, [asdict(p) for p in file.prompts]) for file in library(folder).values()]
    return stable_hash(facts)[:16]


@cache
def library(folder: Path = FOLDER) -> Mapping[str, PromptFile]:
    """All files by kind, checked together: sources exist, and no text stands twice. Raises DataError."""
    files: dict[str, PromptFile] = {}
    known: dict[str, Prompt] = {}
    texts: dict[str, str] = {}
    for kind in KIND:
        files[kind] = read_prompts(folder / f"{kind}.toml", known)
        for prompt in files[kind].prompts:
            known[prompt.id] = prompt
            first = texts.setdefault(same_text(prompt.text), prompt.id)
            if first != prompt.id:
                raise DataError(f"{prompt.id} has the text of {first}, expected every text once; change or drop one")
    return files


def same_text(text: str) -> str:
    """Words of a text, equal for texts that differ in capitals, blanks and punctuation only; else the text itself."""
    return " ".join(re.findall(r"\w+", text.casefold())) or text


def read_prompts(path: Path, known: Mapping[str, Prompt] | None = None) -> PromptFile:
    """Read `KIND.toml`; `known` prompts may be sources. Raises DataError, which names the entry that breaks a rule."""
    raw = read_toml(path)
    if path.stem not in KIND:
        raise DataError(f"{path} is named after no prompt kind; {suggest(path.stem, KIND)}")
    given = raw.get("prompts")
    entries = enumerate(given if isinstance(given, list) else (), start=1)
    whole = [_whole(entry, path.stem, known or {}, f"entry {number} of {path.name}") for number, entry in entries]
    try:
        file = from_dict(PromptFile, {**raw, "prompts": whole})
    except ConfigError as error:
        raise DataError(f"{path.name}: {error}") from None
    if file.kind != path.stem:
        raise DataError(f"{path} says kind {file.kind!r}, expected {path.stem!r}; rename the file or its kind")
    for number, prompt in enumerate(file.prompts, start=1):
        where = f"entry {number} of {path.name}"
        if prompt.id in {earlier.id for earlier in file.prompts[: number - 1]}:
            raise DataError(f"{where} has the id {prompt.id} a second time; give it the next free number")
        _check(prompt, where)
    return file


def _whole(entry: Any, kind: str, known: Mapping[str, Prompt], where: str) -> Any:
    """An entry, completed by what its kind or its source says. Raises DataError where it repeats that."""
    rules = KIND[kind]
    given: dict[str, Any] = {"kind": kind, "violent": rules.violent, "fires": rules.fires}
    given = {name: value for name, value in given.items() if value is not None}
    if not isinstance(entry, dict):
        return entry
    if rules.has_source:
        source = entry.get("source")
        if not isinstance(source, str) or source not in known:
            raise DataError(f"{where} names the source {source!r}, expected the id of a prompt of an earlier kind")
        given["concepts"] = known[source].concepts
    else:
        given["source"] = None
    for name in given.keys() & entry.keys():
        raise DataError(f"{where} has the unknown field {name!r}, which its kind or its source decides")
    return entry | given


def _check(prompt: Prompt, where: str) -> None:
    """Raise DataError for an id or concepts that break the rules."""
    if not re.fullmatch(rf"{prompt.kind}-[0-9]{{3}}", prompt.id):
        raise DataError(f"{where} has the id {prompt.id!r}, expected {prompt.kind}- and three digits")
    marks = prompt.concepts
    for mark in marks:
        if mark not in MARK:
            raise DataError(f"{where} has the concept {mark!r}; {suggest(mark, MARK)}")
    if len(set(marks)) < len(marks):
        raise DataError(f"{where} has concepts {marks}, expected each once")
    if "violence" not in marks and (marks or prompt.violent):
        raise DataError(f"{where} has concepts {marks}, expected 'violence' among them, as every kick, punch or weapon")
