"""Sizes and options of the models over codes; importing this module does not load PyTorch."""

from typing import Annotated, Literal

from pydantic import Field

from exuvia.config import Below1, Count, Layers, Natural, Share, settings
from exuvia.errors import ConfigError

Rate = Annotated[float, Field(gt=0, le=1)]


@settings
class SerpentSettings:
    """Options of a SeRpEnt residual layer; the defaults are those of `exuvia_ssm.SeRpEnt`."""

    over: Literal["mamba", "s4d"] = "mamba"
    """Layer of each branch."""
    rates: Annotated[tuple[Rate, ...], Field(min_length=1)] = (0.5, 0.3, 0.2)
    """Minimum share of the elements that each branch keeps."""
    K: Count = 3
    """Elements stacked at each grid time."""
    mix: Literal["full", "depthwise", "none"] = "full"
    """Linear map of the stacked elements: full, one per channel, or none (K = 1)."""
    expansion: Literal["gaussian", "none"] = "gaussian"
    """Basis of the time differences."""
    intervals: Literal["learned", "uniform"] = "learned"
    """Intervals between elements; uniform (every interval equals the rate) is the ablation of selectivity."""
    interval_bias: Annotated[float, Field(ge=-100, le=100)] = -3.0
    """Initial value of learned intervals, before the sigmoid."""
    neighbours: Literal["trailing", "nearest"] | None = None
    """Elements to stack; None: trailing in a causal stack, else nearest."""
    restore: Literal["hold", "linear", "blank"] | None = None
    """How outputs return to the full rate; None: hold in a causal stack, else linear."""
    branch_width: Count | None = None
    """Channels of each branch; None: all branches together have about as many parameters as one plain layer."""


@settings
class Backbone:
    """The layers between the embeddings and the head of a generator."""

    mixer: Literal["transformer", "mamba", "s4d", "serpent"] = "transformer"
    """Kind of layer: transformer is attention, as published; the others are state-space layers."""
    serpent: SerpentSettings = SerpentSettings()
    """Settings of the mixer serpent; other mixers have none."""

    def __post_init__(self) -> None:
        if self.mixer != "serpent" and self.serpent != SerpentSettings():
            raise ConfigError(f"found settings of SeRpEnt for the mixer {self.mixer!r}; only 'serpent' has them")


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
    """Whether outputs see earlier inputs only; otherwise every output sees the whole sequence."""
    state: Count = 16
    """States per channel of Mamba; S4D has four times as many."""
    heads: Count = 4
    """Attention heads."""
    dropout: Below1 = 0.0
    """Dropout rate of every part's output."""
    serpent: SerpentSettings = SerpentSettings()
    """Settings of SeRpEnt layers."""


@settings
class TrunkConfig:
    """Sizes of all models over codes; the defaults are the published ones."""

    num_codes: Count = 512
    """Codes in one codebook (V)."""
    code_dim: Count = 512
    """Width of a token embedding, before its projection to `width`."""
    width: Count = 384
    """Width of the layers (D)."""
    num_layers: Layers = 8
    """Number of layers."""
    text_dim: Count = 512
    """Width of a condition vector (E)."""
    dropout: Below1 = 0.2
    """Dropout rate. In a transformer it applies after the position table, to attention weights, and in and after both
    halves of a layer; in a stack of state-space layers to every layer's output."""
    cond_drop: Share = 0.1
    """Probability that a whole training sample loses its condition (for classifier-free guidance)."""
    text_positions: Natural = 0
    """Rows of a learned position embedding for condition tokens; 0 = no embedding, as published."""


@settings
class TransformerConfig(TrunkConfig):
    """Sizes of a transformer over codes; the defaults are the published ones."""

    inner_width: Count = 1024
    """Width between the two linear maps of a feed-forward block."""
    num_heads: Count = 6
    """Attention heads; must divide `width`."""
    table_length: Annotated[int, Field(ge=1, le=1_000_000)] = 5000
    """Rows of the fixed sinusoidal position table, which limit the token sequence."""

    def __post_init__(self) -> None:
        if self.width % self.num_heads:
            raise ConfigError(f"num_heads {self.num_heads} does not divide width {self.width}")
        if self.width % 2:
            raise ConfigError(f"width is {self.width}; the position table needs an even number")


@settings
class MaskTransformerConfig(TransformerConfig):
    """The masked transformer; the defaults are the published ones (12,048,768 parameters)."""

    backbone: Backbone = Backbone()
    """Its layers; state-space layers see the whole sequence and ignore `inner_width`."""


@settings
class ResidualTransformerConfig(TransformerConfig):
    """The residual transformer; the defaults are the published ones (13,364,224 parameters)."""

    cond_drop: Share = 0.2
    """Probability that a whole training sample loses its condition (for classifier-free guidance)."""
    num_quantizers: Annotated[int, Field(ge=2, le=256)] = 6
    """Number of code levels (Q); level 0 comes from the generator of base codes."""
    share_weight: bool = True
    """Whether one table both embeds and scores the codes of a level."""
    backbone: Backbone = Backbone()
    """Its layers; state-space layers see the whole sequence and ignore `inner_width`."""


@settings
class BAMMConfig(TransformerConfig):
    """BAMM's decoder; the defaults are the published ones (12,049,665 parameters)."""

    blocks: Literal["official", "t2mgpt"] = "official"
    """Kind of layer: official has the post-norm layers of the masked transformer, t2mgpt has pre-norm blocks."""


@settings
class CausalConfig(TrunkConfig):
    """The autoregressive generator over causal state-space layers."""

    backbone: Backbone = Backbone("mamba")
    """Its layers; any mixer except the transformer."""

    def __post_init__(self) -> None:
        if self.backbone.mixer == "transformer":
            raise ConfigError("found a transformer, expected layers that carry a state; the causal transformer is BAMM")


@settings
class LengthEstimatorConfig:
    """The length estimator; the defaults are the published ones (435,122 parameters)."""

    text_dim: Count = 512
    """Width of the pooled condition vector (E)."""
    num_classes: Count = 50
    """Number of length classes: 0 .. num_classes - 1 code steps."""
    hidden: tuple[Count, ...] = (512, 256, 128)
    """Widths of the hidden layers."""
    dropout: Below1 = 0.2
    """Dropout rate after every hidden layer except the last."""


@settings
class OwnLengthConfig:
    """No length estimator: the generator of base codes finds its lengths."""

    kind: Literal["own"] = "own"
    """Distinguishes this class from an estimator's configuration."""
