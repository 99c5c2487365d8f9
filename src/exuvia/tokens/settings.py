"""Sizes of the motion tokenizer. This module does not import PyTorch."""

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
    """Number of times the frame rate is halved: one code step is 2^down frames."""
    depth: Annotated[int, Field(ge=0, le=64)] = 3
    """Residual blocks per stage."""
    dilation_growth: Count = 3
    """Ratio of neighbouring dilations."""
    activation: Literal["relu", "gelu", "silu"] = "relu"
    """Activation of the residual blocks."""
    norm: Literal["LN", "GN", "BN"] | None = None
    """Normalisation of the residual blocks: LayerNorm, GroupNorm or BatchNorm."""
    dropout: Below1 = 0.2
    """Dropout probability in the residual blocks."""
    decay: Share = 0.99
    """Decay of the codebooks' moving averages."""
    shared_codebook: bool = False
    """Use one codebook for all levels."""
    quantize_dropout: Share = 0.2
    """Probability of using only the first levels in a training step."""
    temperature: NotNegative = 0.5
    """Temperature of the Gumbel choice of codes in training."""

    @property
    def stride(self) -> int:
        """Frames per code step."""
        return int(2**self.down)


@settings
class MotionWeights:
    """Weights of the losses in metres, added to the published loss."""

    joints: NotNegative = 2.0
    """Distance of joints, relative to the root."""
    path: NotNegative = 0.3
    """Distance of the root over a window, which begins at the same place and heading."""
    speed: NotNegative = 6.0
    """Error of the joints' movement from one frame to the next."""
    bones: NotNegative = 4.0
    """Error of bone lengths."""
    contact: NotNegative = 3.0
    """Movement of feet that stand, from one frame to the next."""
    floor: NotNegative = 1.0
    """Depth of joints below the floor."""
    turning: NotNegative = 0.2
    """Error of the change of the 6-D rotations from one frame to the next."""
