"""Sizes of the motion tokenizer; importing them does not load PyTorch."""

from typing import Annotated, Literal

from pydantic import Field

from exuvia.config import Below1, Count, Layers, NotNegative, Share, settings


@settings
class RVQVAEConfig:
    """Sizes of the tokenizer; the defaults are the published ones."""

    input_dim: Count = 263
    """Feature channels C."""
    num_codes: Count = 512
    """Codebook size V."""
    code_dim: Count = 512
    """Width D of a code."""
    num_quantizers: Layers = 6
    """Levels Q."""
    width: Count = 512
    """Channels inside encoder and decoder."""
    down: Annotated[int, Field(ge=0, le=16)] = 2
    """Halvings of the frame rate: one code step is 2^down frames."""
    depth: Annotated[int, Field(ge=0, le=64)] = 3
    """Residual blocks a stage."""
    dilation_growth: Count = 3
    """Ratio of neighbouring dilations."""
    activation: Literal["relu", "gelu", "silu"] = "relu"
    """Activation of the residual blocks."""
    norm: Literal["LN", "GN", "BN"] | None = None
    """Of the residual blocks, over channels, groups of them or batches."""
    dropout: Below1 = 0.2
    """In the residual blocks."""
    decay: Share = 0.99
    """Of the codebooks' moving averages."""
    shared_codebook: bool = False
    """One codebook for all levels."""
    quantize_dropout: Share = 0.2
    """Probability of using only the first levels in a training step."""
    temperature: NotNegative = 0.5
    """Temperature of the Gumbel choice of codes in training."""

    @property
    def stride(self) -> int:
        """Frames under one code step."""
        return int(2**self.down)
