"""Classifiers of whole sequences: tokens or numbers, a stack of any mixer, the mean over real steps, a class.

A pair of sequences (Retrieval) goes through one stack; the head reads [u, v, u v, u - v], as google-research's
long-range-arena has it for matching ("nli" interaction).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from exuvia.errors import ConfigError, ShapeError
from exuvia.sequence.settings import StackConfig
from lab.stack import build_stack


@dataclass(frozen=True)
class ClassifierConfig:
    """What is read, and the stack that reads it."""

    stack: StackConfig
    """Size and kind."""
    classes: int
    """Answers."""
    vocabulary: int = 0
    """Tokens; 0: every step is one number."""
    pair: bool = False
    """Two sequences are compared."""

    def __post_init__(self) -> None:
        if self.classes < 2 or self.vocabulary < 0:
            raise ConfigError(
                f"found {self.classes} classes and a vocabulary of {self.vocabulary}; expected 2 or more, 0 up"
            )


class SequenceClassifier(nn.Module):
    """tokens int64 [B, L] or numbers float [B, L] -> logits [B, classes]; pairs are [2 B, L], firsts before seconds."""

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.config, width = config, config.stack.width
        self.enter = nn.Embedding(config.vocabulary, width) if config.vocabulary else nn.Linear(1, width)
        self.stack = build_stack(config.stack)
        joined = 4 * width if config.pair else width
        self.head = nn.Sequential(nn.Linear(joined, width), nn.GELU(), nn.Linear(width, config.classes))

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """valid bool [B, L]: real steps; None = all. Raises ShapeError for another shape, or an odd number of pairs."""
        if x.ndim != 2 or (self.config.pair and len(x) % 2):
            raise ShapeError(f"found an input {list(x.shape)}, expected [B, L]{', B even' * self.config.pair}")
        entered = self.enter(x) if self.config.vocabulary else self.enter(x[..., None])
        y = self.stack(entered, valid)
        if valid is None:
            pooled = y.mean(1)
        else:
            real = valid[..., None].to(y.dtype)
            pooled = (y * real).sum(1) / real.sum(1).clamp(min=1)
        if self.config.pair:
            one, other = pooled.chunk(2)
            pooled = torch.cat([one, other, one * other, one - other], dim=-1)
        return self.head(pooled)
