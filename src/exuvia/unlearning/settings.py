"""Settings of the unlearning methods, and what each declares of itself; nothing here imports PyTorch."""

import ast
import re
from contextlib import suppress
from dataclasses import field
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from exuvia.config import (
    HIDDEN,
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
from exuvia.pipeline.prompts import check_prompts
from exuvia.readers import parse_json
from exuvia.registry import UNLEARN, resolve

Criterion = Literal["both", "ratio", "frequency"]
Measure = Literal["intervals", "surprisal", "shuffled"]
RELEASED_SEED = 10107


class MethodSettings:
    """Base of every method's settings class: facts about the method that need none of its code."""

    needs_data: ClassVar[bool] = False
    """Whether it trains, and so needs a data set to learn from."""
    cost: ClassVar[Literal["seconds", "minutes", "hours"]] = "seconds"
    """How long an edit takes."""
    is_baseline: ClassVar[bool] = False
    """Whether it only serves comparisons, so that the studio does not offer it."""


@settings
class NoneConfig(MethodSettings):
    """There is nothing to set."""

    is_baseline: ClassVar[bool] = True


@settings
class PromptFilterConfig(MethodSettings):
    """Settings of the prompt filter."""

    instead: str = "a person stands still"
    """What is generated in place of a prompt that names the concept."""
    strength: Share = 1.0
    """0 = no filter; a filter is either there or not, so other values than 1 are refused."""

    def __post_init__(self) -> None:
        check_prompts([self.instead])
        if self.strength not in (0.0, 1.0):
            raise ConfigError(f"found strength {self.strength}, expected 0 (no filter) or 1: a filter has no halves")


@settings
class RetrainConfig(MethodSettings):
    """Settings of retraining."""

    needs_data: ClassVar[bool] = True
    cost: ClassVar[Literal["seconds", "minutes", "hours"]] = "hours"

    weights: str | None = None
    """Generator trained without the concept, such as runs/retrain-violence/packed."""


@settings
class TuneConfig:
    """How long and how fast a transformer is tuned."""

    steps: Count = 150
    """Optimiser steps."""
    lr: Positive = 2e-4
    """Peak learning rate."""
    batch_size: Count = 32
    """Clips of each kind a step."""
    warmup: Natural = 10
    """Steps of linear warm-up."""
    clip_norm: NotNegative = 1.0
    """Gradients are scaled down to this norm."""
    precision: Precision = "auto"
    """no (float32), bf16 or fp16: autocast; auto: bf16 where the device has arithmetic for it, else no."""
    seed: Seed = 3407
    """Seed of everything random."""


class TrainedSettings(MethodSettings):
    """Base of the settings of methods that tune transformers on motion data."""

    needs_data: ClassVar[bool] = True
    cost: ClassVar[Literal["seconds", "minutes", "hours"]] = "minutes"


@settings
class FineTuneConfig(TrainedSettings):
    """Settings of fine-tuning."""

    strength: Share = 1.0
    """0 = weights stay, 1 = tuned weights, between = on the way."""
    tune: TuneConfig = field(default_factory=lambda: TuneConfig(steps=300))
    """How long and how fast; the masked and the residual transformer alike."""


@settings
class ESDConfig(TrainedSettings):
    """Settings of ESD."""

    strength: Share = 1.0
    """0 = weights stay, 1 = tuned weights, between = on the way."""
    eta: NotNegative = 1.0
    """Negative guidance (published: 1)."""
    retain: NotNegative = 1.0
    """Weight of the usual loss on other clips."""
    tune: TuneConfig = field(default_factory=lambda: TuneConfig(steps=200))
    """How long and how fast."""


@settings
class NegationConfig(TrainedSettings):
    """Settings of task negation."""

    strength: Annotated[float, Field(ge=0, le=1000)] = 1.0
    """alpha: 0 = weights stay; 1 = as much is subtracted as the training added; more is allowed."""
    gate: Literal["learned", "none"] = "learned"
    """Prompts for which the subtracted weights serve: those that a learned gate flags, or all."""
    specificity: Annotated[float, Field(gt=0, lt=1)] = 0.98
    """Share of other training captions that the gate must let through."""
    tune: TuneConfig = field(default_factory=lambda: TuneConfig(steps=150))
    """How long and how fast the concept is absorbed."""


@settings
class UCEConfig(MethodSettings):
    """Settings of UCE."""

    strength: Share = 1.0
    """0 = weights stay, 1 = solved weights, between = on the way."""
    forget_words: tuple[str, ...] = ()
    """Prompts to erase; empty: captions of the data that name the concept, or its keywords without data."""
    target: str = "a person walks forward"
    """What the erased prompts are to read as: an everyday motion, since a body that stands still would count as
    forgetting too; "" as released."""
    retain_words: tuple[str, ...] = ()
    """Prompts to preserve; empty: captions of other clips of the data, or hmu's words without data."""
    max_prompts: Count = 256
    """Captions of each kind taken from the data, evenly spread."""
    erase_scale: NotNegative = 1.0
    """Weight e of an erased prompt, shared by its tokens."""
    preserve_scale: NotNegative = 1.0
    """Weight p of a preserved prompt, shared by its tokens."""
    lam: Positive = 0.1
    """Pull to the old weights, in prompts (released: 0.1)."""
    technique: Literal["replace", "tensor"] = "replace"
    """replace: give the target's output; tensor: the same less its part along the erased output (released)."""
    variant: Literal["default", "released"] = "default"
    """default, or the published arithmetic: single keywords, target "", scales 0.1 and 0.5, bias counted twice."""


@settings
class RECEConfig(UCEConfig):
    """Settings of RECE: those of UCE and of its epochs."""

    epochs: Annotated[int, Field(ge=0, le=1000)] = 3
    """Adversarial rounds after the first edit (released: 1 in the script)."""
    regular_scale: Positive = 0.1
    """reg of (U4); the released motion code has 0.001."""


@settings
class LCRConfig(MethodSettings):
    """Settings of latent code replacement."""

    num_codes: Count = 64
    """Codes to replace a level (k, published: 8 to 64); fewer where fewer are tied to the concept."""
    strength: Share = 1.0
    """0 = rows stay as they are, 1 = rows are replaced, between = on the way."""
    levels: tuple[Natural, ...] = (0,)
    """Quantiser levels to edit; 0 is the base."""
    alpha: Annotated[float, Field(ge=-1000, le=1000)] | None = None
    """Noise on the replaced rows in deviations of the codebook; with `orthogonal` the share that is projected away.
    None: 1 where the variant is released or `orthogonal` is set, else 0, because noise as strong as the codebook undoes
    the safe destination (measured on `base`: docs/results/unlearning.md)."""
    noise: Literal["once", "generation"] = "once"
    """once, as published: drawn with the edit; every replaced code has one fixed vector. generation: drawn again for
    every motion (codebook_noise.py), so several motions do not reveal what replaced codes decode to."""
    criterion: Criterion = "both"
    """Rank codes by frequency in forget clips, by the ratio to retain clips, or both."""
    destination: Natural | Literal["nearest_safe", "mean_safe", "random"] = "mean_safe"
    """What replaced codes turn into: a code by index, each the nearest safe one, the mean of the safe ones weighted by
    use, or random safe ones."""
    orthogonal: bool = False
    """Instead of replacing rows, remove their component along the mean of the chosen codes."""
    min_count: Count = 3
    """A code in fewer forget clips than this is left alone."""
    prior: Positive = 10.0
    """Imagined clips on either side that shrink the ratio of rare codes."""
    information: Annotated[str, HIDDEN] = ""
    """Count every code by the information it carries where it occurs (information.py): the folder of a run of `exuvia
    train causal` on the same tokenizer, or "own". Empty, as published: every occurrence counts the same."""
    measure: Annotated[Measure, HIDDEN] = "intervals"
    """Of that information: the model's learned intervals, its surprisal, or, as a control, the intervals shuffled."""
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
        """Alpha, with its default filled in."""
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
"""Settings classes of the methods that keep them in this file."""


def method_settings(name: str) -> type[MethodSettings]:
    """The settings class of a method by name; one that is not of this file is read from the method's own module.

    Raises:
        ConfigError: no such method; the message suggests the nearest.
    """
    if name in SETTINGS:
        return SETTINGS[name]
    kind: type[MethodSettings] = resolve(UNLEARN, name, "unlearning method").Config
    return kind


def parse_settings(method: str, text: str) -> dict[str, Any]:
    """Settings of a method written in one word, such as `num_codes=16,levels=[0,1]` or `tune.steps=50`.

    Raises:
        ConfigError: no such method or setting, or a value that does not fit.
    """
    kind = method_settings(method)
    lines, values = {line.name: line for line in describe(kind)}, {}
    for part in _parts(text):
        name, equals, value = part.partition("=")
        if not equals:
            raise ConfigError(f"found {part!r} in {text!r}, expected setting=value")
        is_text = name in lines and lines[name].type == "text" and not lines[name].optional
        if name in lines and lines[name].many:
            inside = value[1:-1] if value[:1] + value[-1:] in ("[]", "()") else value
            values[name] = [_value(one.strip(), is_text) for one in _parts(inside)]
        else:
            values[name] = _value(value, is_text)
    tree = nested(values)
    from_dict(kind, tree)
    return tree


def _parts(text: str) -> list[str]:
    """What stands between the commas of a text, but for those in brackets and quotation marks."""
    return re.findall(r"""(?:\[[^]]*]|\([^)]*\)|"[^"]*"|'[^']*'|[^,])+""", text)


def _value(text: str, is_text: bool) -> Any:
    """A value of JSON or Python; where text is wanted, and where it is neither, the text itself."""
    if is_text and text[:1] not in ('"', "'"):
        return text
    for read in (lambda text: parse_json(text, "a setting"), ast.literal_eval):
        with suppress(DataError, ValueError, SyntaxError, RecursionError, MemoryError):
            return read(text)
    return text
