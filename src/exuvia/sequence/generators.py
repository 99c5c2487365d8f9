"""The models that write base codes, by the kind that run and pipeline folders name: one line for another one."""

from collections.abc import Mapping
from typing import Any

from exuvia.config import from_dict, to_dict
from exuvia.errors import ConfigError
from exuvia.registry import suggest
from exuvia.sequence.bamm import BAMM, BAMMConfig
from exuvia.sequence.causal import CausalConfig, CausalGenerator
from exuvia.sequence.mask_transformer import MaskTransformer, MaskTransformerConfig

BaseCodes = MaskTransformer | BAMM | CausalGenerator
"""What a generator of base codes can be."""
GENERATOR: dict[str, tuple[type[BaseCodes], type]] = {
    "mask": (MaskTransformer, MaskTransformerConfig),
    "bamm": (BAMM, BAMMConfig),
    "causal": (CausalGenerator, CausalConfig),
}
"""Kind -> model and its configuration."""


def build_generator(about: Mapping[str, Any]) -> BaseCodes:
    """A model with new weights from what `describe_generator` gave; without a kind, a masked transformer.

    Raises:
        ConfigError: an unknown kind or setting.
    """
    settings = dict(about)
    kind = str(settings.pop("kind", "mask"))
    if kind not in GENERATOR:
        raise ConfigError(f"unknown kind of generator {kind!r}; {suggest(kind, GENERATOR)}")
    model, config = GENERATOR[kind]
    return model(from_dict(config, settings))


def describe_generator(model: BaseCodes) -> dict[str, Any]:
    """Kind and configuration, JSON-ready."""
    kind = next(name for name, (cls, _) in GENERATOR.items() if type(model) is cls)
    return {**({} if kind == "mask" else {"kind": kind}), **to_dict(model.config)}
