"""Prompt guards of a generator: prompts that a detector flags are rewritten, or use other weights.

A detector sees the prompt only. A guard is part of the generator: it is saved, loaded and copied with it, and anyone
who has the weights can remove it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NotRequired, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from typing_extensions import TypedDict

from exuvia.checkpoint import built, load_tensors, part_of, save_tensors
from exuvia.config import from_dict, to_dict
from exuvia.data.concepts import Concept, find_concept
from exuvia.errors import CheckpointError, ConfigError
from exuvia.pipeline.parts import renamed
from exuvia.readers import as_type
from exuvia.sequence.base import BaseGenerator
from exuvia.sequence.generators import build_generator, describe_generator
from exuvia.sequence.residual_transformer import ResidualTransformer
from exuvia.sequence.settings import ResidualTransformerConfig
from exuvia.text.words import judge

Module = TypeVar("Module", bound=nn.Module)
Embed = Callable[[Sequence[str]], Tensor]
"""Sentences -> one vector each [B, E]."""


class Detector(ABC):
    """Decides which prompts a guard treats."""

    kind: ClassVar[str]
    """Name of the kind of detector in files."""

    @abstractmethod
    def flags(self, prompts: Sequence[str], embed: Embed) -> NDArray[np.bool_]:
        """Whether each prompt is flagged [B]; results do not depend on other prompts."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Settings, JSON-ready."""

    def tensors(self) -> dict[str, Tensor]:
        """Weights, if it has any."""
        return {}


@dataclass(frozen=True)
class WordDetector(Detector):
    """Flags a prompt in which a concept's words are used in their own sense (text/words.py)."""

    concept: Concept
    keywords: str = "humanml3d"
    """Word list: humanml3d or motionx."""
    kind: ClassVar[str] = "words"

    def flags(self, prompts: Sequence[str], embed: Embed) -> NDArray[np.bool_]:
        """Whether each prompt names the concept [B]."""
        terms = self.concept.words(self.keywords)
        return np.asarray([judge(prompt, terms) == "yes" for prompt in prompts], np.bool_)

    def describe(self) -> dict[str, Any]:
        """The concept and the word list."""
        return {"concept": self.concept.name, "keywords": self.keywords}


@dataclass(frozen=True, eq=False)
class LearnedDetector(Detector):
    """Flags a prompt by a linear classifier of its sentence vector e: weight . e + bias >= threshold."""

    weight: Tensor
    """[E]"""
    bias: float
    threshold: float = 0.0
    """Smallest logit that is flagged."""
    kind: ClassVar[str] = "learned"

    def scores(self, prompts: Sequence[str], embed: Embed) -> NDArray[np.float64]:
        """The logit of each prompt [B]. Raises ConfigError for vectors of another size."""
        vectors = embed(prompts).double().cpu()
        if vectors.shape[1] != len(self.weight):
            given = f"vectors of width {vectors.shape[1]} from the text encoder"
            raise ConfigError(f"found {given}, expected width {len(self.weight)} for the detector")
        return np.asarray((vectors * self.weight.double()).sum(1) + self.bias)

    def flags(self, prompts: Sequence[str], embed: Embed) -> NDArray[np.bool_]:
        """Whether each prompt reaches the threshold [B]."""
        return self.scores(prompts, embed) >= self.threshold

    def describe(self) -> dict[str, Any]:
        """Bias and threshold."""
        return {"bias": self.bias, "threshold": self.threshold}

    def tensors(self) -> dict[str, Tensor]:
        """The weight."""
        return {"weight": self.weight}


@dataclass(frozen=True, eq=False)
class PromptGuard:
    """The treatment of prompts that a detector flags."""

    detector: Detector
    """Decides which prompts are flagged."""
    instead: str | None = None
    """Prompt that replaces them; None: they are not replaced."""
    base: BaseGenerator | None = None
    """Generator of base codes for these prompts; None: that of the pipeline."""
    residual: ResidualTransformer | None = None
    """Residual transformer for these prompts; None: that of the pipeline."""

    def modules(self) -> dict[str, nn.Module]:
        """The guard's own weights, by part."""
        return {k: v for k, v in (("base", self.base), ("residual", self.residual)) if v is not None}

    def describe(self) -> dict[str, Any]:
        """Describe everything except weights for `load_guards`, JSON-ready."""
        sizes = {} if self.base is None else {"base": describe_generator(self.base)}
        if self.residual is not None:
            sizes["residual"] = to_dict(self.residual.config)
        return {"detector": {"kind": self.detector.kind, **self.detector.describe()}, "instead": self.instead, **sizes}

    def tensors(self) -> dict[str, Tensor]:
        """All weights: `detector.*`, `base.*`, `residual.*`."""
        tensors = {f"detector.{name}": value for name, value in self.detector.tensors().items()}
        for part, module in self.modules().items():
            tensors |= {f"{part}.{name}": value for name, value in module.state_dict().items()}
        return tensors

    def to(self, device: str | torch.device) -> "PromptGuard":
        """Move the guard's models to a device."""
        for module in self.modules().values():
            module.to(device)
        return self


@dataclass(frozen=True)
class Route:
    """Prompts of a batch that use the same weights."""

    rows: list[int]
    """Their positions in the batch."""
    texts: list[str]
    """The prompts after rewriting."""
    base: BaseGenerator | None
    residual: ResidualTransformer | None


def routes(guards: Sequence[PromptGuard], prompts: Sequence[str], embed: Embed) -> list[Route]:
    """Group prompts by route. Guards rewrite in order; of several guards with weights, the last one counts."""
    texts, weights = list(prompts), np.full(len(prompts), -1)
    for number, guard in enumerate(guards):
        flagged = guard.detector.flags(texts, embed)
        if guard.modules():
            weights[flagged] = number
        if guard.instead is not None:
            texts = [guard.instead if flag else text for flag, text in zip(flagged, texts, strict=True)]
    grouped = []
    for number in np.unique(weights):
        rows = np.flatnonzero(weights == number).tolist()
        base, residual = (guards[number].base, guards[number].residual) if number >= 0 else (None, None)
        grouped.append(Route(rows, [texts[row] for row in rows], base, residual))
    return grouped


def save_guards(folder: Path, guards: Sequence[PromptGuard]) -> list[dict[str, Any]]:
    """Write `guardN.safetensors` for guards with weights; returns all descriptions for the configuration."""
    for number, guard in enumerate(guards):
        if tensors := guard.tensors():
            save_tensors(folder / f"guard{number}.safetensors", tensors)
    return [guard.describe() for guard in guards]


def load_guards(folder: Path, described: Sequence[dict[str, Any]]) -> list[PromptGuard]:
    """Read the files of `save_guards`. Raises CheckpointError for an unknown detector or weights that do not fit."""
    return [_load(folder / f"guard{number}.safetensors", about) for number, about in enumerate(described)]


def _load(path: Path, described: dict[str, Any]) -> PromptGuard:
    about = renamed(described)
    as_type(_Described, about, f"a guard in {path.parent}/config.json", CheckpointError)
    try:
        settings = dict(about["detector"])
        kind, instead = settings.pop("kind"), about.get("instead")
        tensors = renamed(load_tensors(path)) if path.exists() or kind == "learned" else {}
        if kind == "words":
            detector: Detector = WordDetector(find_concept(settings["concept"]), settings.get("keywords", "humanml3d"))
        elif kind == "learned":
            bias, threshold = float(settings["bias"]), float(settings["threshold"])
            detector = LearnedDetector(tensors["detector.weight"], bias, threshold)
            if detector.weight.ndim != 1 or not detector.weight.is_floating_point():
                shape = tuple(detector.weight.shape)
                raise CheckpointError(f"{path} holds {shape} weights of a detector, expected a vector")
        else:
            raise CheckpointError(f"{path.parent} has a detector of kind {kind!r}; known: learned, words")
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path.parent}/config.json describes a guard without {error}") from None

    def part(name: str, make: Callable[[Any], Module]) -> Module | None:
        if name not in about:
            return None
        module = built(lambda: make(about[name]), part_of(tensors, name), f"the {name} of {path}")
        return module.eval().requires_grad_(False)

    residual = part("residual", lambda sizes: ResidualTransformer(from_dict(ResidualTransformerConfig, sizes)))
    return PromptGuard(detector, instead, part("base", build_generator), residual)


class _Described(TypedDict):
    """Result of `PromptGuard.describe`."""

    detector: dict[str, Any]
    instead: NotRequired[str | None]
    base: NotRequired[dict[str, Any]]
    residual: NotRequired[dict[str, Any]]
