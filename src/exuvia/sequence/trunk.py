"""The common base of all models over codes: text projection, guidance, training loss, input and head.

Published weights load by name: parameters are named as in momask-codes, models/mask_transformer/transformer.py.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from exuvia.errors import ConfigError, ShapeError
from exuvia.sequence.encoder import Dropout, Encoder, StackEncoder
from exuvia.sequence.settings import Backbone, TransformerConfig, TrunkConfig

Condition = tuple[Tensor, Tensor | None, Tensor | None]
"""Embeddings of captions, a mask of their real tokens, and a mask of the samples that lose them."""


class InputProcess(nn.Module):
    """Maps token embeddings to the width of the transformer."""

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
    """Projected condition tokens, which precede the motion tokens."""

    tokens: Tensor
    """float [B, S, D]"""
    valid: Tensor
    """bool [B, S], True where real"""


@dataclass(frozen=True)
class Guidance:
    """Classifier-free guidance: uncond + scale (cond - uncond).   [ho2022cfg]; both branches in one batch."""

    scale: float
    """0 = unconditional, 1 = conditional."""

    @property
    def branches(self) -> tuple[bool, ...]:
        """The necessary forward passes, True = unconditional; a scale of 1 needs the conditional one only."""
        return (False,) if self.scale == 1 else (False, True)

    def repeat(self, x: Tensor) -> Tensor:
        """Repeat x [B, ...] for every branch [n B, ...]."""
        return x.repeat(len(self.branches), *([1] * (x.ndim - 1)))

    def join(self, logits: Tensor) -> Tensor:
        """Combine the logits of all branches [n B, ...] to guided logits [B, ...]."""
        if len(self.branches) == 1:
            return logits
        cond, uncond = logits.chunk(2)
        return uncond + (cond - uncond) * self.scale


class Trunk(nn.Module, ABC):
    """Input projections, layers, a head of width `out`; subclasses define how condition tokens and codes are joined."""

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
        is_stack = isinstance(encoder, StackEncoder)
        if isinstance(encoder, StackEncoder):
            encoder.initialise(seed)
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if parameter.is_meta or "norm" in name.lower() or (is_stack and name.startswith("seqTransEncoder.")):
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
        """Project condition vectors, pooled [B, E] or token states [B, S, E], to prefix tokens.

        `cond_valid` [B, S] is True where a state is real, None = all. Where `drop` [B] is True, the sample is
        unconditional: its vectors become zero before the projection, and only the first one is kept, which also hides
        the length of the text. Raises ShapeError for widths or sizes that do not fit.
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
        """Prefixes of the branches of guidance, stacked along the batch, on the model's device."""
        cond, parts = cond.to(self.device), []
        known = None if cond_valid is None else cond_valid.to(self.device)
        for unconditional in guidance.branches:
            drop = torch.full((len(cond),), unconditional, device=cond.device)
            parts.append(self.prefix(cond, known, drop))
        return Prefix(torch.cat([p.tokens for p in parts]), torch.cat([p.valid for p in parts]))

    def loss(
        self,
        codes: Tensor,
        lengths: Tensor,
        cond: Tensor,
        cond_valid: Tensor | None = None,
        *,
        generator: torch.Generator | None = None,
        draws: Any = None,
    ) -> tuple[Tensor, Tensor]:
        """Training loss and accuracy of a batch, scalars. No condition is dropped in evaluation mode.

        Codes: base codes [B, T], or for a residual transformer all levels [B, T, Q] (else ShapeError), any value at
        padding; lengths [B] in tokens; cond: [B, E] or [B, S, E]; cond_valid: bool [B, S].
        Draws come from the generator unless given; ConfigError without either.
        """
        if draws is None:
            if generator is None:
                raise ConfigError("the training loss needs a torch.Generator (generator=) or its draws (draws=)")
            draws = self.draw(codes, self.config.cond_drop if self.training else 0.0, generator)
        drop = None if draws.drop is None else draws.drop.to(self.device)
        return self._loss(codes, lengths, (cond, cond_valid, drop), draws)

    @abstractmethod
    def draw(self, codes: Tensor, cond_drop: float, generator: torch.Generator) -> Any:
        """Make the random draws of one training step; `drop` names the samples that lose their condition."""

    @abstractmethod
    def _loss(self, codes: Tensor, lengths: Tensor, condition: Condition, draws: Any) -> tuple[Tensor, Tensor]:
        """Implement `loss` for given draws."""


def valid_from_lengths(lengths: Tensor, size: int) -> Tensor:
    """Mask [B, size], True at positions before the length. Raises ShapeError if a length is below 0 or above size."""
    if lengths.ndim != 1 or (lengths.numel() and not (0 <= int(lengths.min()) and int(lengths.max()) <= size)):
        raise ShapeError(f"lengths {lengths.tolist()} do not fit {size} tokens")
    return torch.arange(size, device=lengths.device)[None] < lengths[:, None]


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Set evaluation mode inside the block, and restore the previous mode afterwards."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def position_table(length: int, width: int) -> Tensor:
    """Sines and cosines of positions 0, 1, ... [length, width].   Sec. 3.5 [vaswani2017attention]"""
    rate = torch.exp(torch.arange(0, width, 2) * (-math.log(10000.0) / width))
    angle = torch.arange(length)[:, None] * rate
    return torch.stack([angle.sin(), angle.cos()], dim=-1).reshape(length, width)


class PositionTable(nn.Module):
    """Adds a fixed sinusoidal table to token t = 0, 1, ..., then applies dropout.   Sec. 3.5 [vaswani2017attention]

    The table is saved under the published name `pe` [length, 1, D]. It is fixed: a state dict may lack it, and a
    stored table of the same shape does not replace it.
    """

    pe: Tensor

    def __init__(self, width: int, dropout: float, length: int) -> None:
        super().__init__()
        self.dropout = Dropout(dropout)
        self.register_buffer("pe", position_table(length, width)[:, None])

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, D] -> [B, T, D]. Raises ShapeError if T exceeds the table."""
        if x.shape[1] > len(self.pe):
            raise ShapeError(f"{x.shape[1]} tokens; the position table holds {len(self.pe)}: raise table_length")
        return self.dropout(x + self.pe[: x.shape[1], 0])

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        stored = state_dict.get(prefix + "pe")
        if stored is None or stored.shape == self.pe.shape:
            state_dict[prefix + "pe"] = self.pe
        super()._load_from_state_dict(state_dict, prefix, *rest)


class TransformerTrunk(Trunk):
    """Passes prefix and motion tokens through the encoder and its head; base of both sequence models."""

    config: TransformerConfig
    seqTransEncoder: Encoder | StackEncoder

    def __init__(self, config: TransformerConfig, out: int, backbone: Backbone) -> None:
        layers, width = config.num_layers, config.width
        encoder: Encoder | StackEncoder
        if backbone.mixer == "transformer":
            encoder = Encoder(layers, width, config.inner_width, config.num_heads, config.dropout)
        else:
            encoder = StackEncoder(backbone, width, layers, config.dropout)
        super().__init__(config, out, encoder)
        self.position_enc = PositionTable(width, config.dropout, config.table_length)

    def encode(self, embedded: Tensor, valid: Tensor, prefix: Prefix, packed: bool = False) -> Tensor:
        """Run the encoder and the head on token embeddings [B, T, code_dim] with `valid` [B, T] -> [B, T, out],
        arbitrary at padding; `packed` skips padding."""
        sequence, real = self._sequence(embedded, valid, prefix)
        hidden = self.seqTransEncoder(sequence, real, packed)
        return self.output_process(hidden[:, prefix.tokens.shape[1] :])

    def encode_at(self, embedded: Tensor, valid: Tensor, prefix: Prefix, wanted: Tensor) -> Tensor:
        """The result of `encode` at the valid positions `wanted`, bool [B, T] -> [wanted positions, out], sample by
        sample, without computing the other outputs."""
        sequence, real = self._sequence(embedded, valid, prefix)
        places = F.pad(wanted, (prefix.tokens.shape[1], 0))
        return self.output_process(self.seqTransEncoder.forward_at(sequence, real, places))

    def _sequence(self, embedded: Tensor, valid: Tensor, prefix: Prefix) -> tuple[Tensor, Tensor]:
        """Condition and motion tokens as one sequence, and a mask of the real ones."""
        if valid.shape != embedded.shape[:2]:
            raise ShapeError(f"valid has shape {list(valid.shape)}; expected {list(embedded.shape[:2])}")
        tokens = self.position_enc(self.input_process(embedded))
        sequence = torch.cat([prefix.tokens.to(tokens.dtype), tokens], dim=1)
        return sequence, torch.cat([prefix.valid, valid.bool()], dim=1)
