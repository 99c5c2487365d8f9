"""Generators of base codes by kind, the name that run and pipeline folders record; add a new one here."""

from collections.abc import Callable, Mapping
from typing import Any

from exuvia.config import from_dict, to_dict
from exuvia.errors import ConfigError
from exuvia.registry import suggest
from exuvia.sequence.bamm import BAMM
from exuvia.sequence.base import BaseGenerator
from exuvia.sequence.causal import CausalGenerator
from exuvia.sequence.mask_transformer import MaskTransformer
from exuvia.sequence.settings import BAMMConfig, CausalConfig, MaskTransformerConfig

GENERATOR: dict[str, tuple[Callable[[Any], BaseGenerator], type]] = {
    "mask": (MaskTransformer, MaskTransformerConfig),
    "bamm": (BAMM, BAMMConfig),
    "causal": (CausalGenerator, CausalConfig),
}
"""Kind -> model and its configuration."""


def build_generator(about: Mapping[str, Any]) -> BaseGenerator:
    """Make a model with new weights from the result of `describe_generator`; without a kind, a masked transformer.
    Raises ConfigError for an unknown kind or setting."""
    kind = str(about.get("kind", "mask"))[:60]
    if kind not in GENERATOR:
        raise ConfigError(f"unknown kind of generator {kind!r}; {suggest(kind, GENERATOR)}")
    model, config = GENERATOR[kind]
    settings = {name: value for name, value in about.items() if name != "kind"}
    return model(from_dict(config, settings))


def describe_generator(model: BaseGenerator) -> dict[str, Any]:
    """Kind and configuration, JSON-ready."""
    kind = next(name for name, (cls, _) in GENERATOR.items() if type(model) is cls)
    return {"kind": kind, **to_dict(model.config)}
