"""The length estimator: text -> number of code steps of the motion.

Facts: momask-codes, models/vq/model.py, LengthEstimator, whose parameter names are kept; class c = c code steps
= 4 c frames at the published rates.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from exuvia.config import from_dict
from exuvia.errors import ConfigError, ShapeError
from exuvia.sequence import sampling
from exuvia.sequence.settings import LengthEstimatorConfig, OwnLengthConfig
from exuvia.sequence.trunk import evaluating


class LengthEstimator(nn.Module):
    """Linear, LayerNorm, LeakyReLU(0.2) for each hidden width, then a linear map to the classes."""

    def __init__(self, config: LengthEstimatorConfig, seed: int = 0) -> None:
        super().__init__()
        self.config = config
        layers: list[nn.Module] = []
        width = config.text_dim
        for position, hidden in enumerate(config.hidden):
            layers += [nn.Linear(width, hidden), nn.LayerNorm(hidden), nn.LeakyReLU(0.2)]
            if position < len(config.hidden) - 1:
                layers.append(nn.Dropout(config.dropout))
            width = hidden
        layers.append(nn.Linear(width, config.num_classes))
        self.output = nn.Sequential(*layers)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for layer in layers:
                if isinstance(layer, nn.Linear) and not layer.weight.is_meta:
                    layer.weight.copy_(torch.empty(layer.weight.shape).normal_(0.0, 0.02, generator=generator))
                    layer.bias.zero_()

    def logits(self, pooled: Tensor) -> Tensor:
        """Pooled text vectors [B, E] -> logits [B, classes]. Raises ShapeError for another width."""
        if pooled.ndim != 2 or pooled.shape[1] != self.config.text_dim:
            raise ShapeError(f"pooled text has shape {list(pooled.shape)}; expected [B, {self.config.text_dim}]")
        return self.output(pooled)

    def loss(self, pooled: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Cross entropy and accuracy of lengths in code steps, int64 [B] (longer ones count as the last class)."""
        target = lengths.clamp(0, self.config.num_classes - 1)
        logits = self.logits(pooled)
        return F.cross_entropy(logits, target), (logits.argmax(1) == target).float().mean()

    def sample(
        self,
        pooled: Tensor,
        *,
        seeds: Sequence[int] | None = None,
        temperature: float = 1.0,
        low: int = 1,
        high: int | None = None,
    ) -> Tensor:
        """Draw a length in code steps, int64 [B], for pooled vectors [B, E] from the softmax over classes `low` to
        `high` (None = the last class), with one seed per text; temperature 0 takes the most likely length."""
        noise = None if temperature <= 0 else sampling.noise_of(seeds, 1, len(pooled), 1)[0, :, 0]
        with evaluating(self), torch.inference_mode():
            logits = self.logits(pooled).float()
            logits[:, :low] = -torch.inf
            if high is not None:
                logits[:, high + 1 :] = -torch.inf
            drawn = sampling.draw(logits, temperature, noise)
        return drawn.clone()


class OwnLength(nn.Module):
    """Replaces the estimator of generators that find their lengths themselves; it has no weights."""

    def __init__(self) -> None:
        super().__init__()
        self.config = OwnLengthConfig()

    def sample(self, pooled: Tensor, **settings: Any) -> Tensor:
        """Raise ConfigError: there is no estimator."""
        raise ConfigError("this generator has no length estimator; give every prompt its frames")


def build_length(about: Mapping[str, Any]) -> LengthEstimator | OwnLength:
    """An estimator with new weights from its configuration, or none. Raises ConfigError for unknown settings."""
    return OwnLength() if about.get("kind") == "own" else LengthEstimator(from_dict(LengthEstimatorConfig, about))
