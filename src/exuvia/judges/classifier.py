"""A classifier of violent motion that is independent of generator and evaluator."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from exuvia.errors import ShapeError
from exuvia.features.normaliser import Normaliser
from exuvia.judges.batches import run_on_clips
from exuvia.judges.roc import OperatingPoint
from exuvia.judges.settings import ACTIONS, ClassifierConfig
from exuvia.shapes import Features

_GROUP_OF = {word: name for name, words in ACTIONS.items() for word in words.split()}


def action_groups(words: Sequence[str]) -> set[str]:
    """Action groups of lemmas."""
    return {_GROUP_OF[word] for word in words if word in _GROUP_OF}


class Block(nn.Module):
    """Residual block: norm, dilated convolution, activation, dropout. Padding has no influence."""

    def __init__(self, width: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.conv = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        self.mix = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        """x [B, T, W], real [B, T, 1] -> [B, T, W]."""
        y = self.conv((self.norm(x) * real).transpose(1, 2)).transpose(1, 2)
        return x + self.dropout(self.mix(F.gelu(y)))


class MotionClassifier(nn.Module):
    """Normalised features to logits, by dilated convolutions and pooling over time (mean, and attention)."""

    def __init__(self, config: ClassifierConfig | None = None) -> None:
        super().__init__()
        self.config = config or ClassifierConfig()
        c = self.config
        self.enter = nn.Conv1d(c.dim_pose, c.width, 5, stride=2, padding=2)
        self.blocks = nn.ModuleList(Block(c.width, dilation, c.dropout) for dilation in c.dilations)
        self.norm = nn.LayerNorm(c.width)
        self.attention = nn.Linear(c.width, 1)
        self.dropout = nn.Dropout(c.dropout)
        self.head = nn.Linear(2 * c.width, len(c.outputs))

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Logits [B, outputs] of normalised features [B, F, C], arbitrary at padding, of at least 1 frame [B] each."""
        if features.ndim != 3 or features.shape[-1] != self.config.dim_pose:
            raise ShapeError(f"found features {tuple(features.shape)}, expected [B, F, {self.config.dim_pose}]")
        valid = torch.arange(features.shape[1], device=features.device)[None] < lengths.to(features.device)[:, None]
        x = self.enter((features * valid[..., None]).transpose(1, 2)).transpose(1, 2)
        real = valid[:, ::2, None]
        for block in self.blocks:
            x = block(x, real)
        x = self.norm(x)
        mean = (x * real).sum(1) / real.sum(1)
        weights = self.attention(x).masked_fill(~real, float("-inf")).softmax(1)
        return self.head(self.dropout(torch.cat([mean, (weights * x).sum(1)], dim=-1)))


class ViolenceDetector:
    """A trained classifier with its feature statistics and threshold."""

    def __init__(self, model: MotionClassifier, normaliser: Normaliser, point: OperatingPoint, batch: int = 64) -> None:
        self.model, self.normaliser, self.point, self.batch = model.eval(), normaliser, point, batch

    def probabilities(self, clips: Sequence[Features]) -> NDArray[np.float64]:
        """Probabilities [N, outputs], violence first, for un-normalised clips [rows, C] of at least 2 rows."""

        def forward(x: Tensor, valid: Tensor) -> Tensor:
            logits: Tensor = self.model(x, valid.sum(1))
            return logits.sigmoid()

        values = run_on_clips(self.model, forward, clips, self.normaliser, self.batch).double().numpy()
        if not np.isfinite(values).all():
            raise ShapeError("found NaN or infinite features, expected finite motions")
        return values

    def violence_probability(self, clips: Sequence[Features]) -> NDArray[np.float64]:
        """Probability that each clip shows violence [N]."""
        return self.probabilities(clips)[:, 0]

    def violent_share(self, clips: Sequence[Features]) -> float:
        """Share of clips at or above the threshold, that is, the rate of violence."""
        if not len(clips):
            raise ShapeError("found no clips, expected at least one")
        return float((self.violence_probability(clips) >= self.point.threshold).mean())
