"""What all models over codes share: text projection, guidance, training draws, input and head.

Parameter names are those of the published checkpoints (momask-codes, models/mask_transformer/transformer.py), so that
their weights load by name.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from exuvia.errors import ConfigError, ShapeError
from exuvia.sequence.backbone import StackEncoder
from exuvia.sequence.sampling import seeded_noise
from exuvia.sequence.settings import TrunkConfig


class InputProcess(nn.Module):
    """Token embedding -> width of the transformer."""

    def __init__(self, code_dim: int, width: int) -> None:
        super().__init__()
        self.poseEmbedding = nn.Linear(code_dim, width)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, code_dim] -> [B, T, D]."""
        return self.poseEmbedding(x)


class OutputProcess(nn.Module):
    """Head: linear, GELU, LayerNorm (eps 1e-12), linear."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, width)
        self.LayerNorm = nn.LayerNorm(width, eps=1e-12)
        self.poseFinal = nn.Linear(width, out)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, D] -> [B, T, out]."""
        return self.poseFinal(self.LayerNorm(F.gelu(self.dense(x))))


@dataclass(frozen=True)
class Prefix:
    """Condition tokens, projected and ready to stand before the motion tokens."""

    tokens: Tensor
    """float [B, S, D]"""
    valid: Tensor
    """bool [B, S], True where real"""


@dataclass(frozen=True)
class Guidance:
    """Classifier-free guidance: uncond + scale (cond - uncond).   [ho2022cfg]; both branches in one batch."""

    scale: float
    unconditional: bool = False
    """Without the condition at all."""

    @property
    def branches(self) -> tuple[bool, ...]:
        """The forwards that are needed, True = unconditional; a scale of 1 needs the conditional one only."""
        if self.unconditional:
            return (True,)
        return (False,) if self.scale == 1 else (False, True)

    def repeat(self, x: Tensor) -> Tensor:
        """x [B, ...] for every branch [n B, ...]."""
        return x.repeat(len(self.branches), *([1] * (x.ndim - 1)))

    def join(self, logits: Tensor) -> Tensor:
        """Guided logits [B, ...] of those of all branches [n B, ...]."""
        if len(self.branches) == 1:
            return logits
        cond, uncond = logits.chunk(2)
        return uncond + (cond - uncond) * self.scale


class Draws(Protocol):
    """The random draws of one training step."""

    @property
    def drop(self) -> Tensor | None:
        """bool [B]: loses its condition; None = none does."""


D = TypeVar("D", bound=Draws)


class Trunk(nn.Module):
    """Condition tokens and codes into layers, and a head on what comes out; subclasses say how they are joined.

    Args:
        config: sizes
        out: width of the head's output
        encoder: the layers
    """

    config: TrunkConfig

    def __init__(self, config: TrunkConfig, out: int, encoder: nn.Module) -> None:
        super().__init__()
        self.config = config
        self.input_process = InputProcess(config.code_dim, config.width)
        self.seqTransEncoder = encoder
        self.cond_emb = nn.Linear(config.text_dim, config.width)
        self.output_process = OutputProcess(config.width, out)
        if config.text_positions:
            self.text_position = nn.Embedding(config.text_positions, config.width)
        self._text_positions = config.text_positions

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.cond_emb.weight.device

    def initialise(self, seed: int) -> None:
        """Published initialisation: linear maps, embeddings and tables N(0, 0.02), biases 0, attention input Xavier."""
        generator, encoder = torch.Generator().manual_seed(seed), self.seqTransEncoder
        own = isinstance(encoder, StackEncoder)
        if isinstance(encoder, StackEncoder):
            encoder.initialise(seed)
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if parameter.is_meta or "norm" in name.lower() or (own and name.startswith("seqTransEncoder.")):
                    continue
                if name.endswith("bias"):
                    parameter.zero_()
                    continue
                start = torch.empty(parameter.shape)
                if name.endswith("in_proj_weight"):
                    nn.init.xavier_uniform_(start, generator=generator)
                else:
                    start.normal_(0.0, 0.02, generator=generator)
                parameter.copy_(start)

    def prefix(self, cond: Tensor, cond_valid: Tensor | None = None, drop: Tensor | None = None) -> Prefix:
        """Project condition vectors to prefix tokens.

        Args:
            cond: one pooled vector [B, E], or token states [B, S, E]
            cond_valid: bool [B, S], True where a state is real; None = all
            drop: bool [B], True where the sample is unconditional: its vectors become zero before the projection and
                only the first of them stays, so that nothing of the text is left, not even its length
        Raises:
            ShapeError: widths or sizes that do not fit.
        """
        cond = cond[:, None] if cond.ndim == 2 else cond
        if cond.ndim != 3 or cond.shape[-1] != self.cond_emb.in_features:
            expected = f"[B, S, {self.cond_emb.in_features}]"
            raise ShapeError(f"condition has shape {list(cond.shape)}; expected {expected}: is it the right encoder?")
        valid = cond.new_ones(cond.shape[:2], dtype=torch.bool) if cond_valid is None else cond_valid.bool()
        if valid.shape != cond.shape[:2]:
            raise ShapeError(f"cond_valid has shape {list(valid.shape)}; expected {list(cond.shape[:2])}")
        if drop is not None:
            cond = cond.masked_fill(drop[:, None, None], 0.0)
            first = torch.arange(cond.shape[1], device=cond.device) == 0
            valid = torch.where(drop[:, None], first, valid)
        tokens = self.cond_emb(cond.to(self.cond_emb.weight.dtype))
        if self._text_positions:
            if cond.shape[1] > self._text_positions:
                raise ShapeError(f"{cond.shape[1]} text tokens; text_positions holds {self._text_positions}")
            tokens = tokens + self.text_position.weight[: cond.shape[1]]
        return Prefix(tokens, valid)

    def guided_prefix(self, cond: Tensor, cond_valid: Tensor | None, guidance: Guidance) -> Prefix:
        """Prefixes of the branches of guidance, stacked along the batch; on any device."""
        cond, parts = cond.to(self.device), []
        known = None if cond_valid is None else cond_valid.to(self.device)
        for unconditional in guidance.branches:
            drop = torch.full((len(cond),), unconditional, device=cond.device)
            parts.append(self.prefix(cond, known, drop))
        return Prefix(torch.cat([p.tokens for p in parts]), torch.cat([p.valid for p in parts]))

    def training_draws(
        self, draws: D | None, generator: torch.Generator | None, draw: Callable[[float, torch.Generator], D]
    ) -> tuple[D, Tensor | None]:
        """The draws of a training step, and which samples lose their condition.

        Args:
            draws: given ones; None = `draw(cond_drop, generator)`, in evaluation mode with a `cond_drop` of 0
        Raises:
            ConfigError: neither draws nor a generator.
        """
        if draws is None:
            if generator is None:
                raise ConfigError("the training loss needs a torch.Generator (generator=) or its draws (draws=)")
            draws = draw(self.config.cond_drop if self.training else 0.0, generator)
        return draws, None if draws.drop is None else draws.drop.to(self.device)


def valid_from_lengths(lengths: Tensor, size: int) -> Tensor:
    """bool [B, size], True at positions before the length. Raises ShapeError if a length is below 0 or above size."""
    if lengths.ndim != 1 or (lengths.numel() and not (0 <= int(lengths.min()) and int(lengths.max()) <= size)):
        raise ShapeError(f"lengths {lengths.tolist()} do not fit {size} tokens")
    return torch.arange(size, device=lengths.device)[None] < lengths[:, None]


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside the block; the mode before it comes back afterwards."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def noise_of(seeds: Sequence[int] | None, steps: int, valid: Tensor, classes: int | None) -> Tensor:
    """Seeded noise for a batch [B, T]: see `sampling.seeded_noise`. Raises ConfigError unless there is a seed each."""
    if seeds is None or len(seeds) != len(valid):
        found = "no" if seeds is None else len(seeds)
        raise ConfigError(f"{found} seeds for {len(valid)} samples; pass one integer seed per sample")
    return seeded_noise(seeds, steps, valid.shape[1], classes)
