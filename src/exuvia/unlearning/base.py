"""`unlearn` returns a copy of a generator that has forgotten a concept; `Method` is the interface of all methods."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from exuvia.codes.encode import Precision, encode_clips
from exuvia.codes.statistics import CodeStatistics, count_codes, shipped_concepts
from exuvia.config import from_dict, to_dict
from exuvia.data.concepts import Concept, find_concept
from exuvia.data.splits import actual_rule, split_store
from exuvia.data.store import Store
from exuvia.device import choose_precision
from exuvia.errors import ConfigError
from exuvia.pipeline.identity import pipeline_hash
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.registry import UNLEARN, resolve, suggest
from exuvia.unlearning.settings import MethodSettings

log = logging.getLogger(__name__)

Settings = TypeVar("Settings", bound=MethodSettings)


class Method(ABC, Generic[Settings]):
    """An unlearning method with its settings; `config.strength` controls the edit, 0 = no change."""

    Config: ClassVar[type[MethodSettings]]
    """The settings class (settings.py)."""

    def __init__(self, config: Settings) -> None:
        self.config = config

    @abstractmethod
    def edit(self, pipe: MotionPipeline, evidence: "Evidence") -> dict[str, Any]:
        """Change `pipe`, a copy, in place, and return facts for the provenance.

        `replaced` maps levels to codes with new codebook rows.
        """


@dataclass(frozen=True)
class Evidence:
    """Data about the concept: clips of a data set, or counts that the generator ships."""

    pipe: MotionPipeline
    """The generator before the edit."""
    concept: Concept
    """The concept to forget."""
    store: Store | None = None
    """Captioned motion, if given."""
    rule: str = "auto"
    """Rule that decides which clips show the concept: auto, label, words or released (data/splits.py)."""
    split: str = "train"
    """Split of the data set to use."""
    precision: Precision = "float32"
    """Precision of the encoder when codes are counted."""
    cache: Path | None = None
    """Folder for codes, to reuse in later edits."""

    @cached_property
    def clips(self) -> NDArray[np.int64]:
        """Numbers of the clips of the split."""
        return self.need_store().select(split=self.split)

    @cached_property
    def forget(self) -> NDArray[np.int64]:
        """Numbers of the clips that show the concept."""
        return forget_indices(self.need_store(), self.concept, self.rule, self.clips)

    @cached_property
    def retain(self) -> NDArray[np.int64]:
        """Numbers of the other clips."""
        return np.setdiff1d(self.clips, self.forget)

    def need_store(self) -> Store:
        """Return the data set. Raises ConfigError if none was given."""
        if self.store is None:
            raise ConfigError("this needs motion data; pass data=, a data set made by `exuvia prepare`")
        return self.store

    def statistics(self, levels: int) -> CodeStatistics:
        """Code counts of the first `levels` levels: of the data, or without data the shipped counts.

        Encoding also uses the codebook: counts from a generator with an edited codebook differ from the original ones.
        Raises ConfigError without data or shipped counts of the concept, or for counts of fewer levels.
        """
        if self.store is None:
            counts = CodeStatistics.from_tensors(self.pipe.statistics, self.concept.name)
            if counts.levels < levels:
                raise ConfigError(f"the shipped statistics cover {counts.levels} levels, expected {levels}; pass data=")
            return counts
        pipe = self.pipe
        if any("replaced" in edit for edit in pipe.provenance.get("edits", [])):
            log.warning("this generator's codebook was edited before; codes are counted with the edited one")
        parts = (self.clips, pipe.tokenizer, pipe.normaliser)
        codes = encode_clips(self.store, *parts, levels=levels, precision=self.precision, cache=self.cache)
        return count_codes(codes, np.isin(self.clips, self.forget))

    def captions(self, clips: NDArray[np.int64]) -> list[str]:
        """Captions of clips without duplicates, in order."""
        records = self.need_store().clips
        return list(dict.fromkeys(caption.text for number in clips for caption in records[int(number)].captions))

    def facts(self) -> dict[str, Any]:
        """Facts for the provenance."""
        if self.store is None:
            return {"statistics": "shipped with the generator"}
        facts = {"data": self.store.name, "data_hash": self.store.data_hash, "split": self.split}
        return facts | {"rule": actual_rule(self.store, self.concept, self.rule, self.clips)}


EDIT_HEAD = "\n## Edit: "
"""Beginning of the section of a model card that describes an edit."""


def unlearn(
    name: str,
    pipe: MotionPipeline,
    *,
    forget: str = "violence",
    data: Store | str | Path | None = None,
    rule: str = "auto",
    split: str = "train",
    precision: Precision = "float32",
    cache: str | Path | None = None,
    **settings: object,
) -> MotionPipeline:
    """Return a copy of a generator that has forgotten a concept; the generator itself is not changed.

    Args:
        name: the method, e.g. "lcr"
        pipe: the generator
        forget: the concept, e.g. "violence"
        data: data set with and without the concept; None: use the counts that the generator ships
        rule: rule that decides which clips show the concept: "label", "words", "released", or "auto" (labels if all
            clips have them, else words)
        split: split of the data set to use
        precision: precision of the encoder when codes are counted: "float32", or "bfloat16" for speed
        cache: folder for codes of the data, to reuse in later edits
        settings: settings of the method; `strength=0` returns the same weights, bit for bit
    Returns:
        the copy; the last entry of `provenance["edits"]` holds method, settings, concept, data and changes
    Raises:
        ConfigError: unknown method, concept or setting, or nothing to learn the concept from.
        DataError: the data set cannot be opened.
    """
    method = make_method(name, settings)
    if hasattr(method.config, "tune"):  # the provenance records the meaning of `auto` on this machine
        precision_here = choose_precision(method.config.tune.precision)
        method.config = replace(method.config, tune=replace(method.config.tune, precision=precision_here))
    concept = _concept(forget, pipe, data is not None)
    store = Store.open(data) if isinstance(data, str | Path) else data
    if store is not None and store.representation.name != pipe.representation.name:
        layouts = f"{store.representation.name} in {store.folder}, {pipe.representation.name} in the generator"
        raise ConfigError(f"found features of two layouts ({layouts}); prepare the data with the generator's")
    evidence = Evidence(pipe, concept, store, rule, split, precision, None if cache is None else Path(cache))
    edited = pipe.clone()
    entry: dict[str, Any] = {"method": name, "forget": concept.name, "settings": to_dict(method.config)}
    entry["parent"] = pipeline_hash(pipe)
    if getattr(method.config, "strength", 1.0) == 0:
        entry["changed"] = "nothing, at strength 0"
    else:
        entry |= evidence.facts() | method.edit(edited, evidence)
    edited.provenance["edits"] = [*edited.provenance.get("edits", []), entry]
    edited.card += (
        f"{EDIT_HEAD}{name}\n\nThis copy was edited to forget {concept.name}. What is above describes it before.\n"
    )
    return edited


def make_method(name: str, settings: Mapping[str, object]) -> Method[Any]:
    """Make a method by name. Raises ConfigError with the nearest known name."""
    kind: type[Method[Any]] = resolve(UNLEARN, name, "unlearning method")
    return kind(from_dict(kind.Config, settings))


def _concept(name: str, pipe: MotionPipeline, has_data: bool) -> Concept:
    """Find a concept of data/concepts.py, or else one for which the generator ships counts."""
    shipped = shipped_concepts(pipe.statistics)
    try:
        return find_concept(name)
    except ConfigError:
        if has_data or not shipped:
            raise
        if name in shipped:
            return Concept(name, (), ())
        listed = ", ".join(shipped)
        raise ConfigError(f"unknown concept {name!r}; {suggest(name, shipped)} (shipped: {listed})") from None


def forget_indices(
    store: Store, concept: Concept, rule: str = "auto", clips: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Numbers of the clips that show a concept, ascending. Raises ConfigError if there are none."""
    chosen = np.arange(len(store)) if clips is None else clips
    split = split_store(store, concept, actual_rule(store, concept, rule, chosen), chosen)
    if not split.forget:
        raise ConfigError(f"none of {len(chosen)} clips of {store.folder} shows {concept.name!r} (rule {split.rule!r})")
    return np.sort(np.asarray([store.index_of[name] for name in split.forget], np.int64))


def ship_statistics(
    pipe: MotionPipeline,
    data: Store,
    concepts: tuple[str, ...] = ("violence",),
    *,
    rule: str = "auto",
    split: str = "train",
    precision: Precision = "float32",
) -> dict[str, Tensor]:
    """Count codes of several concepts on all levels, to ship as a generator's `statistics`.

    The result contains counts only, no motion and no caption.
    """
    shipped: dict[str, Tensor] = {}
    numbers = data.select(split=split)
    codes = encode_clips(data, numbers, pipe.tokenizer, pipe.normaliser, precision=precision)
    for concept in map(find_concept, concepts):
        flags = np.isin(numbers, forget_indices(data, concept, rule, numbers))
        shipped |= count_codes(codes, flags).to_tensors(concept.name)
    return shipped
