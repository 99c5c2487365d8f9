"""Sizes and choices of the models over codes; importing them does not load PyTorch."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from exuvia.config import Below1, Count, Layers, Natural, Share, from_dict, settings
from exuvia.errors import ConfigError
from exuvia.registry import suggest

Rate = Annotated[float, Field(gt=0, le=1)]


@settings
class SerpentSettings:
    """SeRpEnt as a residual layer: what it resamples for, and how; the defaults are those of `exuvia_ssm.SeRpEnt`."""

    over: Literal["mamba", "s4d"] = "mamba"
    """Layer of each branch."""
    rates: Annotated[tuple[Rate, ...], Field(min_length=1)] = (0.5, 0.3, 0.2)
    """Least share of the elements that each branch keeps."""
    K: Count = 3
    """Elements stacked at each grid time."""
    mix: Literal["full", "depthwise", "none"] = "full"
    """Linear map of the stack: full, one a channel, or none (K = 1)."""
    expansion: Literal["gaussian", "none"] = "gaussian"
    """Basis of the time differences."""
    intervals: Literal["learned", "uniform"] = "learned"
    """uniform: every interval is the rate, the ablation of selectivity."""
    interval_bias: Annotated[float, Field(ge=-100, le=100)] = -3.0
    """Where learned intervals start, before the sigmoid."""
    neighbours: Literal["trailing", "nearest"] | None = None
    """Elements that are stacked; None: trailing where the stack is causal, else nearest."""
    restore: Literal["hold", "linear", "blank"] | None = None
    """Back to the full rate; None: hold where the stack is causal, else linear."""
    branch_width: Count | None = None
    """Channels of each branch; None: the branches together have about one plain layer's parameters."""


@settings
class Backbone:
    """What stands between the embeddings and the head of a generator."""

    mixer: Literal["transformer", "mamba", "s4d", "serpent"] = "transformer"
    """transformer: attention, as published; others: state-space layers, a key of `sequence.stack.MIXER`."""
    serpent: SerpentSettings = SerpentSettings()
    """Settings of the mixer serpent; other mixers take none."""

    def __post_init__(self) -> None:
        if self.mixer != "serpent" and self.serpent != SerpentSettings():
            raise ConfigError(f"found settings of SeRpEnt for the mixer {self.mixer!r}; only 'serpent' has them")


def backbone_of_name(name: str) -> Backbone:
    """The backbone that a folder of version 0.1 names, as in `mamba` or `serpent-s4d@rates=1+0.5@mix=depthwise`.

    Raises:
        ConfigError: an unknown name or option.
    """
    kind, *options = name.split("@")
    mixer, _, over = kind.partition("-")
    words = dict(option.partition("=")[::2] for option in options)
    serpent: dict[str, object] = {"over": over} if over else {}
    try:
        for key, text in words.items():
            if key == "rates":
                serpent[key] = tuple(map(float, text.split("+")))
            else:
                serpent[key] = int(text) if key == "K" else float(text) if key == "interval_bias" else text
    except ValueError:
        raise ConfigError(f"found {name!r}, expected numbers after rates=, K= and interval_bias=") from None
    known = ("transformer", "mamba", "s4d", "serpent")
    if mixer not in known:
        raise ConfigError(f"unknown backbone {name!r}; {suggest(mixer, known)}")
    return Backbone(mixer, SerpentSettings(**serpent))  # type: ignore[arg-type]


def _structured(value: object) -> object:
    if isinstance(value, str):
        return backbone_of_name(value)
    return from_dict(Backbone, value) if isinstance(value, dict) else value


AnyBackbone = Annotated[Backbone, BeforeValidator(_structured)]
"""A backbone; the names of version 0.1 are read too."""


@settings
class StackConfig:
    """Size and kind of a stack of residual layers."""

    width: Count
    """Channels D."""
    layers: Layers = 4
    """Residual layers."""
    mixer: str = "mamba"
    """A key of `sequence.stack.MIXER`."""
    causal: bool = True
    """No output sees a later input; False: every output sees the whole sequence."""
    state: Count = 16
    """States a channel of Mamba; S4D has four times as many."""
    heads: Count = 4
    """Attention heads."""
    dropout: Below1 = 0.0
    """On what every part adds."""
    serpent: SerpentSettings = SerpentSettings()
    """Settings of SeRpEnt layers."""


@settings
class TrunkConfig:
    """Sizes that all models over codes have; the defaults are the published ones."""

    num_codes: Count = 512
    """Codes in one codebook (V)."""
    code_dim: Count = 512
    """Width of a token embedding, before its projection to `width`."""
    width: Count = 384
    """Width of the layers (D)."""
    num_layers: Layers = 8
    """Layers."""
    text_dim: Count = 512
    """Width of a condition vector (E)."""
    dropout: Below1 = 0.2
    """Of a transformer after the position table, on attention weights, and in and after both halves of a layer; of
    state-space layers on what every layer adds."""
    cond_drop: Share = 0.1
    """Probability that a whole training sample loses its condition (for classifier-free guidance)."""
    text_positions: Natural = 0
    """Rows of a learned position embedding for condition tokens; 0 = none, as published."""


@settings
class TransformerConfig(TrunkConfig):
    """Sizes of a transformer over codes; the defaults are the published ones."""

    inner_width: Count = 1024
    """Width between the two linear maps of a feed-forward block."""
    num_heads: Count = 6
    """Attention heads; must divide `width`."""
    table_length: Annotated[int, Field(ge=1, le=1_000_000)] = 5000
    """Rows of the fixed sinusoidal position table: the longest token sequence."""

    def __post_init__(self) -> None:
        if self.width % self.num_heads:
            raise ConfigError(f"num_heads {self.num_heads} does not divide width {self.width}")
        if self.width % 2:
            raise ConfigError(f"width is {self.width}; the position table needs an even number")


@settings
class MaskTransformerConfig(TransformerConfig):
    """The masked transformer; the defaults are the published ones (12,048,768 parameters)."""

    backbone: AnyBackbone = Backbone()
    """Its layers; state-space ones see the whole sequence, and have no use for `inner_width`."""


@settings
class ResidualTransformerConfig(TransformerConfig):
    """The residual transformer; the defaults are the published ones (13,364,224 parameters)."""

    cond_drop: Share = 0.2
    """Probability that a whole training sample loses its condition (for classifier-free guidance)."""
    num_quantizers: Annotated[int, Field(ge=2, le=256)] = 6
    """Code levels (Q); level 0 comes from the generator of base codes."""
    share_weight: bool = True
    """Whether level i is embedded with the table that also scores level i."""
    backbone: AnyBackbone = Backbone()
    """Its layers; state-space ones see the whole sequence, and have no use for `inner_width`."""


@settings
class BAMMConfig(TransformerConfig):
    """BAMM's decoder; the defaults are the published ones (12,049,665 parameters)."""

    blocks: Literal["official", "t2mgpt"] = "official"
    """official: the post-norm layers of the masked transformer; t2mgpt: pre-norm blocks."""


@settings
class CausalConfig(TrunkConfig):
    """The autoregressive generator over state-space layers that see the past only."""

    backbone: AnyBackbone = Backbone("mamba")
    """Its layers, any but the transformer."""

    def __post_init__(self) -> None:
        if self.backbone.mixer == "transformer":
            raise ConfigError("found a transformer, expected layers that carry a state; the causal transformer is BAMM")


@settings
class LengthEstimatorConfig:
    """The length estimator; the defaults are the published ones (435,122 parameters)."""

    text_dim: Count = 512
    """Width of the pooled condition vector (E)."""
    num_classes: Count = 50
    """Length classes: 0 .. num_classes - 1 code steps."""
    hidden: tuple[Count, ...] = (512, 256, 128)
    """Widths of the hidden layers."""
    dropout: Below1 = 0.2
    """Below1 after every hidden layer but the last."""


@settings
class OwnLengthConfig:
    """No length estimator: the generator of base codes finds its lengths."""

    kind: Literal["own"] = "own"
    """Tells it from an estimator in a configuration."""
