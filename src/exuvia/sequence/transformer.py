"""The transformer of both MoMask sequence models: condition tokens before codes, a position table, an encoder.

Parameter names are those of the published checkpoints (momask-codes, models/mask_transformer/transformer.py).
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from exuvia.errors import ShapeError
from exuvia.sequence.encoder import Dropout, Encoder, StackEncoder
from exuvia.sequence.settings import Backbone, TransformerConfig
from exuvia.sequence.trunk import Prefix, Trunk


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
