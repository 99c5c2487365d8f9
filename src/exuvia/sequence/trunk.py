"""The transformer that MoMask's two sequence models share: prefix tokens, position table, encoder, head.

Parameter names are those of the published checkpoints (momask-codes, models/mask_transformer/transformer.py), so that
their weights load by name.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from exuvia.errors import ConfigError, ShapeError
from exuvia.sequence.backbone import StackEncoder, backbone_variant
from exuvia.sequence.encoder import Dropout, Encoder
from exuvia.sequence.sampling import seeded_noise


@dataclass(frozen=True)
class TrunkConfig:
    """Sizes shared by the masked and the residual transformer; the defaults are the published ones."""

    num_codes: int = 512
    """Codes in one codebook (V)."""
    code_dim: int = 512
    """Width of a token embedding, before its projection to `width`."""
    width: int = 384
    """Width of the transformer (D)."""
    inner_width: int = 1024
    """Width between the two linear maps of a feed-forward block."""
    num_layers: int = 8
    """Encoder layers."""
    num_heads: int = 6
    """Attention heads; must divide `width`."""
    text_dim: int = 512
    """Width of a condition vector (E)."""
    dropout: float = 0.2
    """Dropout after the position table, on attention weights, and in and after both halves of a layer."""
    cond_drop: float = 0.1
    """Probability that a whole training sample loses its condition (for classifier-free guidance)."""
    text_positions: int = 0
    """Rows of a learned position embedding for condition tokens; 0 = none, as published."""
    table_length: int = 5000
    """Rows of the fixed sinusoidal position table: the longest token sequence."""
    backbone: str = "transformer"
    """transformer, as published, or state-space layers that see the whole sequence: mamba, s4d, serpent (over Mamba),
    serpent-s4d; SeRpEnt's options may follow, as in serpent@rates=1+0.5+0.3@mix=depthwise. Of `inner_width` and the
    places of dropout these have no use."""

    def __post_init__(self) -> None:
        if self.backbone != "transformer":
            backbone_variant(self.backbone, ("transformer",))
        if self.width % self.num_heads:
            raise ConfigError(f"num_heads {self.num_heads} does not divide width {self.width}")
        if self.width % 2:
            raise ConfigError(f"width is {self.width}; the position table needs an even number")
        if not (0 <= self.dropout < 1 and 0 <= self.cond_drop <= 1):
            told = f"dropout is {self.dropout}, cond_drop {self.cond_drop}"
            raise ConfigError(f"{told}; expected probabilities, dropout below 1")


class PositionTable(nn.Module):
    """Adds a fixed sinusoidal table to token t = 0, 1, ..., then drops out.   Sec. 3.5 [vaswani2017attention]

    The table is saved under the published name `pe` [length, 1, D]. Since it is fixed, a state dict need not have it,
    and a stored one of the same shape, rounded or not, does not replace it.
    """

    pe: Tensor

    def __init__(self, width: int, dropout: float, length: int) -> None:
        super().__init__()
        self.dropout = Dropout(dropout)
        position = torch.arange(length, dtype=torch.float32)[:, None]
        rate = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * (-math.log(10000.0) / width))
        table = torch.zeros(length, width)
        table[:, 0::2] = torch.sin(position * rate)
        table[:, 1::2] = torch.cos(position * rate)
        self.register_buffer("pe", table[:, None])

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


class Trunk(nn.Module):
    """Prefix tokens and motion tokens through the encoder and its head; base of the two sequence models."""

    def __init__(self, config: TrunkConfig, out: int) -> None:
        super().__init__()
        self.input_process = InputProcess(config.code_dim, config.width)
        self.position_enc = PositionTable(config.width, config.dropout, config.table_length)
        if config.backbone == "transformer":
            inner = config.inner_width, config.num_heads, config.dropout
            self.seqTransEncoder: nn.Module = Encoder(config.num_layers, config.width, *inner)
        else:
            sizes = config.width, config.num_layers, config.num_heads, config.dropout
            self.seqTransEncoder = StackEncoder(config.backbone, *sizes)
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

    def guided_prefix(self, cond: Tensor, cond_valid: Tensor | None, branches: tuple[bool, ...]) -> Prefix:
        """Prefixes of several branches stacked along the batch; `branches` says which are unconditional."""
        parts = []
        for unconditional in branches:
            drop = torch.full((len(cond),), unconditional, device=cond.device)
            parts.append(self.prefix(cond, cond_valid, drop))
        return Prefix(torch.cat([p.tokens for p in parts]), torch.cat([p.valid for p in parts]))

    def encode(self, embedded: Tensor, valid: Tensor, prefix: Prefix, packed: bool = False) -> Tensor:
        """Run the encoder and the head.

        Args:
            embedded: token embeddings [B, T, code_dim]; valid: bool [B, T]; packed: do no work on padding
        Returns:
            head output at the token positions [B, T, out]; padded positions hold values without meaning
        """
        sequence, real = self._sequence(embedded, valid, prefix)
        hidden = self.seqTransEncoder(sequence, real, packed)
        return self.output_process(hidden[:, prefix.tokens.shape[1] :])

    def encode_some(self, embedded: Tensor, valid: Tensor, prefix: Prefix, wanted: Tensor) -> Tensor:
        """What `encode` gives at some positions, without the work that only the others need.

        Args:
            wanted: bool [B, T], all of them valid; others: see `encode`
        Returns:
            [wanted positions, out], sample by sample
        """
        sequence, real = self._sequence(embedded, valid, prefix)
        places = F.pad(wanted, (prefix.tokens.shape[1], 0))
        encoder: Any = self.seqTransEncoder
        return self.output_process(encoder.some(sequence, real, places))

    def _sequence(self, embedded: Tensor, valid: Tensor, prefix: Prefix) -> tuple[Tensor, Tensor]:
        """Condition and motion tokens in one row, and which are real."""
        if valid.shape != embedded.shape[:2]:
            raise ShapeError(f"valid has shape {list(valid.shape)}; expected {list(embedded.shape[:2])}")
        tokens = self.position_enc(self.input_process(embedded))
        sequence = torch.cat([prefix.tokens.to(tokens.dtype), tokens], dim=1)
        return sequence, torch.cat([prefix.valid, valid.bool()], dim=1)


def branches_of(cond_scale: float, unconditional: bool = False) -> tuple[bool, ...]:
    """Which forwards a guidance scale needs: unconditional only, conditional only (scale 1), or both."""
    if unconditional:
        return (True,)
    return (False,) if cond_scale == 1 else (False, True)


def guide(logits: Tensor, branches: tuple[bool, ...], cond_scale: float) -> Tensor:
    """Classifier-free guidance: uncond + scale (cond - uncond).   [ho2022cfg]; logits stacked as `branches` says."""
    if len(branches) == 1:
        return logits
    cond, uncond = logits.chunk(2)
    return uncond + (cond - uncond) * cond_scale


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
