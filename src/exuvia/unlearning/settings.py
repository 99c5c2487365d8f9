"""Settings and properties of the unlearning methods; importing this module does not load PyTorch."""

import ast
import re
from contextlib import suppress
from dataclasses import field
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from exuvia.config import (
    Count,
    Natural,
    NotNegative,
    Positive,
    Seed,
    Share,
    describe,
    from_dict,
    nested,
    settings,
)
from exuvia.device import Precision
from exuvia.errors import ConfigError, DataError
from exuvia.pipeline.settings import check_prompts
from exuvia.readers import parse_json
from exuvia.registry import UNLEARN, resolve

Criterion = Literal["both", "ratio", "frequency"]
RELEASED_SEED = 10107


class MethodSettings:
    """Base of every method's settings class, with properties of the method."""

    needs_data: ClassVar[bool] = False
    """Whether it needs a data set for training."""
    cost: ClassVar[Literal["seconds", "minutes", "hours"]] = "seconds"
    """Duration of an edit."""
    is_baseline: ClassVar[bool] = False
    """Whether it only serves comparisons; the studio does not offer it then."""


@settings
class NoneConfig(MethodSettings):
    """No settings."""

    is_baseline: ClassVar[bool] = True


@settings
class PromptFilterConfig(MethodSettings):
    """Settings of the prompt filter."""

    instead: str = "a person stands still"
    """Prompt that replaces a prompt that names the concept."""
    strength: Share = 1.0
    """Strength of the edit: 0 = no filter, 1 = filter; other values are refused."""

    def __post_init__(self) -> None:
        check_prompts([self.instead])
        if self.strength not in (0.0, 1.0):
            raise ConfigError(f"found strength {self.strength}, expected 0 (no filter) or 1 (filter)")


@settings
class RetrainConfig(MethodSettings):
    """Settings of retraining."""

    needs_data: ClassVar[bool] = True
    cost: ClassVar[Literal["seconds", "minutes", "hours"]] = "hours"

    weights: str | None = None
    """Generator trained without the concept, such as runs/retrain-violence/packed."""


@settings
class TuneConfig:
    """Settings of tuning a transformer."""

    steps: Count = 150
    """Number of optimiser steps."""
    lr: Positive = 2e-4
    """Peak learning rate."""
    batch_size: Count = 32
    """Clips of each kind per step."""
    warmup: Natural = 10
    """Number of steps of linear warm-up."""
    clip_norm: NotNegative = 1.0
    """Maximum norm of the gradients, which are scaled down to it."""
    precision: Precision = "auto"
    """Precision of autocast: no (float32), bf16, fp16, or auto (bf16 if the device supports it natively, else no)."""
    seed: Seed = 3407
    """Seed of all random choices."""


class TrainedSettings(MethodSettings):
    """Base of the settings of methods that tune transformers on motion data."""

    needs_data: ClassVar[bool] = True
    cost: ClassVar[Literal["seconds", "minutes", "hours"]] = "minutes"


@settings
class FineTuneConfig(TrainedSettings):
    """Settings of fine-tuning."""

    strength: Share = 1.0
    """Strength of the edit: 0 = old weights, 1 = tuned weights; values between interpolate."""
    tune: TuneConfig = field(default_factory=lambda: TuneConfig(steps=300))
    """Settings of tuning, for both the masked and the residual transformer."""


@settings
class ESDConfig(TrainedSettings):
    """Settings of ESD."""

    strength: Share = 1.0
    """Strength of the edit: 0 = old weights, 1 = tuned weights; values between interpolate."""
    eta: NotNegative = 1.0
    """Scale of the negative guidance (published: 1)."""
    retain: NotNegative = 1.0
    """Weight of the usual loss on other clips."""
    tune: TuneConfig = field(default_factory=lambda: TuneConfig(steps=200))
    """Settings of tuning."""


@settings
class NegationConfig(TrainedSettings):
    """Settings of task negation."""

    strength: Annotated[float, Field(ge=0, le=1000)] = 1.0
    """Strength of the edit (alpha): 0 = old weights, 1 = subtract the change of the training; may be larger."""
    gate: Literal["learned", "none"] = "learned"
    """Prompts that use the edited weights: those that a learned gate flags, or all (none)."""
    specificity: Annotated[float, Field(gt=0, lt=1)] = 0.98
    """Share of other training captions that the gate must pass."""
    tune: TuneConfig = field(default_factory=lambda: TuneConfig(steps=150))
    """Settings of the training on the concept."""


@settings
class UCEConfig(MethodSettings):
    """Settings of UCE."""

    strength: Share = 1.0
    """Strength of the edit: 0 = old weights, 1 = solved weights; values between interpolate."""
    forget_words: tuple[str, ...] = ()
    """Prompts to erase; empty: captions of the data that name the concept, or its keywords without data."""
    target: str = "a person walks forward"
    """Meaning that erased prompts get: an everyday motion, because a body at rest would also count as forgetting; "" as
    released."""
    retain_words: tuple[str, ...] = ()
    """Prompts to preserve; empty: captions of other clips of the data, or hmu's words without data."""
    max_prompts: Count = 256
    """Maximum number of captions of each kind from the data, evenly spaced."""
    erase_scale: NotNegative = 1.0
    """Weight e of an erased prompt, divided among its tokens."""
    preserve_scale: NotNegative = 1.0
    """Weight p of a preserved prompt, divided among its tokens."""
    lam: Positive = 0.1
    """Weight of the old weights, in units of prompts (released: 0.1)."""
    technique: Literal["replace", "tensor"] = "replace"
    """Output of erased prompts: replace (the target's output), or tensor (the same without its component along the
    erased output, as released)."""
    variant: Literal["default", "released"] = "default"
    """default, or the published arithmetic: single keywords, target "", scales 0.1 and 0.5, bias counted twice."""


@settings
class RECEConfig(UCEConfig):
    """Settings of RECE, in addition to those of UCE."""

    epochs: Annotated[int, Field(ge=0, le=1000)] = 3
    """Number of adversarial epochs after the first edit (released: 1 in the script)."""
    regular_scale: Positive = 0.1
    """Regularisation reg of (U4) (released for motion: 0.001)."""


@settings
class LCRConfig(MethodSettings):
    """Settings of latent code replacement."""

    num_codes: Count = 64
    """Number of codes to replace per level (k, published: 8 to 64); fewer if fewer match the concept."""
    strength: Share = 1.0
    """Strength of the edit: 0 = old rows, 1 = new rows; values between interpolate."""
    levels: tuple[Natural, ...] = (0,)
    """Quantiser levels to edit; 0 is the base."""
    alpha: Annotated[float, Field(ge=-1000, le=1000)] | None = None
    """Noise on the replaced rows in deviations of the codebook; with `orthogonal`, the share that is projected away.
    None: 1 for the released variant or `orthogonal`, else 0, because noise as strong as the codebook undoes the safe
    destination (measured on `base`: docs/results/unlearning.md)."""
    noise: Literal["once", "generation"] = "once"
    """Draw noise once, at the edit, as published (every replaced code has one fixed vector), or in every generation
    (codebook_noise.py), which hides the vectors of replaced codes from an observer of several motions."""
    criterion: Criterion = "both"
    """Ranking of codes: by frequency in forget clips, by the ratio to retain clips, or both."""
    destination: Natural | Literal["nearest_safe", "mean_safe", "random"] = "mean_safe"
    """Replacement of codes: a code by index, the nearest safe code of each, the mean of safe codes weighted by use, or
    random safe codes."""
    orthogonal: bool = False
    """Whether to remove the rows' component along the mean of the chosen codes instead of replacing rows."""
    min_count: Count = 3
    """Minimum number of forget clips with a code."""
    prior: Positive = 10.0
    """Number of pseudo-clips in either set, which shrink the ratio of rare codes."""
    seed: Seed = RELEASED_SEED
    """Seed of noise and random destinations."""
    variant: Literal["default", "released"] = "default"
    """default, or the published arithmetic (uses num_codes, levels, alpha, an index as destination, orthogonal)."""

    def __post_init__(self) -> None:
        if not self.levels or min(self.levels) < 0 or len(set(self.levels)) != len(self.levels):
            raise ConfigError(f"found levels {self.levels}, expected distinct level numbers from 0")
        if self.noise == "generation" and (self.orthogonal or self.scale <= 0):
            raise ConfigError("noise for every motion needs an alpha above 0, and replaced rather than projected rows")

    @property
    def scale(self) -> float:
        """Alpha, or its default."""
        if self.alpha is not None:
            return self.alpha
        return 1.0 if self.orthogonal or self.variant == "released" else 0.0


SETTINGS: dict[str, type[MethodSettings]] = {
    "none": NoneConfig,
    "prompt_filter": PromptFilterConfig,
    "retrain": RetrainConfig,
    "finetune": FineTuneConfig,
    "esd": ESDConfig,
    "negation": NegationConfig,
    "uce": UCEConfig,
    "rece": RECEConfig,
    "lcr": LCRConfig,
}
"""Settings classes of the methods in this file."""


def method_settings(name: str) -> type[MethodSettings]:
    """The settings class of a method, in this file or its own module; ConfigError with the nearest for another name."""
    if name in SETTINGS:
        return SETTINGS[name]
    kind: type[MethodSettings] = resolve(UNLEARN, name, "unlearning method").Config
    return kind


def parse_settings(method: str, text: str) -> dict[str, Any]:
    """Parse the settings of a method, such as `num_codes=16,levels=[0,1]` or `tune.steps=50`.
    Raises ConfigError for no such method or setting, or a value that does not fit."""
    kind = method_settings(method)
    lines, values = {line.name: line for line in describe(kind)}, {}
    for part in _parts(text):
        name, equals, value = part.partition("=")
        if not equals:
            raise ConfigError(f"found {part!r} in {text!r}, expected setting=value")
        is_text = name in lines and lines[name].type == "text" and not lines[name].optional
        if name in lines and lines[name].many:
            inside = value[1:-1] if value[:1] + value[-1:] in ("[]", "()") else value
            values[name] = [_value(item.strip(), is_text) for item in _parts(inside)]
        else:
            values[name] = _value(value, is_text)
    tree = nested(values)
    from_dict(kind, tree)
    return tree


def _parts(text: str) -> list[str]:
    """Split a text at commas outside brackets and quotation marks."""
    return re.findall(r"""(?:\[[^]]*]|\([^)]*\)|"[^"]*"|'[^']*'|[^,])+""", text)


def _value(text: str, is_text: bool) -> Any:
    """Parse a value of JSON or Python; anything else, and any value of a text setting, is returned as text."""
    if is_text and text[:1] not in ('"', "'"):
        return text
    for read in (lambda text: parse_json(text, "a setting"), ast.literal_eval):
        with suppress(DataError, ValueError, SyntaxError, RecursionError, MemoryError):
            return read(text)
    return text
