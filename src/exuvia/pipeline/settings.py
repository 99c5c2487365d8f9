"""How a pipeline samples: settings that need no model to be read."""

from dataclasses import dataclass


@dataclass(frozen=True)
class GenerationConfig:
    """How codes are sampled; the defaults are MoMask's evaluation settings."""

    steps: int = 10
    """Rounds of unmasking."""
    cond_scale: float = 4.0
    """Classifier-free guidance of the base codes."""
    residual_scale: float = 5.0
    """Classifier-free guidance of the residual codes."""
    keep_share: float = 0.9
    """Top-k: the share (1 - keep_share) of the vocabulary that may be sampled."""
    temperature: float = 1.0
    """Of the base codes' distribution."""
    residual_temperature: float = 1.0
    """Of the residual codes' distribution."""
    smoothing: float = 0.0
    """Standard deviation, in frames, of a Gaussian over the decoded features; 0, as published, leaves them. Small
    tokenizers decode with jitter: about one frame removes most of it."""
    min_steps: int = 5
    """Shortest motion, in code steps of 4 frames."""
    max_steps: int = 49
    """Longest motion, in code steps of 4 frames."""
