"""The published post-norm encoder for padded batches. It can skip padding, and compute chosen positions only.

Parameter names are those of the published checkpoints (momask-codes, models/mask_transformer/transformer.py, which uses
torch.nn.TransformerEncoder). Attention runs through `scaled_dot_product_attention`.

State-space layers may replace the attention layers: a bidirectional stack sees the whole sequence, and its time and
memory grow linearly with the length; a causal stack reads one code after another.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from exuvia.sequence.settings import Backbone, StackConfig


class Dropout(nn.Module):
    """Dropout from 16 random bits per element on a CPU, about three times as fast as Bernoulli draws.

    The probability is rounded to 1/65536. As in torch.nn.Dropout, draws come from the device's default generator.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        """Any shape; the identity in evaluation mode."""
        if not self.training or self.probability == 0:
            return x
        if x.device.type != "cpu":
            return F.dropout(x, self.probability)
        drop = min(round(self.probability * 65536), 65535)
        bits = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None).view(torch.int16)
        kept = (bits[: x.numel()] >= drop - 32768).view(x.shape)
        return x * kept.to(x.dtype).mul_(65536 / (65536 - drop))


@dataclass(frozen=True)
class Layout:
    """Positions of the real elements of a padded batch; `rows` selects them to skip padding."""

    attend: Tensor
    """bool [B, 1, 1, L], True where a key may be attended to"""
    rows: Tensor | None
    """Indices of the real elements in [B L], or None if padding is kept"""
    places: Tensor | None = None
    """Index of each element of [B L] among the real ones; arbitrary at padding"""

    @classmethod
    def of(cls, valid: Tensor, packed: bool) -> "Layout":
        """Layout of bool [B, L]."""
        if not packed:
            return cls(valid[:, None, None, :], None)
        flat = valid.flatten()
        return cls(valid[:, None, None, :], flat.nonzero()[:, 0], (flat.cumsum(0) - 1).clamp(min=0))

    def pack(self, x: Tensor) -> Tensor:
        """[B, L, D] -> [real elements, D] (or unchanged)."""
        return x if self.rows is None else x.flatten(0, 1).index_select(0, self.rows)

    def spread(self, x: Tensor) -> Tensor:
        """Undo `pack`, with 0 at padding."""
        if self.rows is None:
            return x
        B, L = self.attend.shape[0], self.attend.shape[-1]
        return x.new_zeros(B * L, x.shape[-1]).index_copy(0, self.rows, x).view(B, L, -1)

    def spread_for_attention(self, x: Tensor) -> Tensor:
        """Undo `pack` in one pass, with arbitrary values at padding, to which no element attends."""
        if self.rows is None or self.places is None or torch.is_grad_enabled() or not len(x):
            return self.spread(x)
        return x.index_select(0, self.places).view(self.attend.shape[0], self.attend.shape[-1], -1)


def _attend(query: Tensor, key: Tensor, value: Tensor, attend: Tensor, dropout: float) -> Tensor:
    """Attention over [B, heads, L, D/heads]; always in float32 on a CPU.

    With a mask and dropout, PyTorch's CPU kernel takes 4 times as long in bfloat16 as in float32.
    """
    if query.device.type != "cpu" or query.dtype == torch.float32:
        return F.scaled_dot_product_attention(query, key, value, attn_mask=attend, dropout_p=dropout)
    with torch.autocast("cpu", enabled=False):
        q, k, v = query.float(), key.float(), value.float()
        return F.scaled_dot_product_attention(q, k, v, attn_mask=attend, dropout_p=dropout).to(query.dtype)


class SelfAttention(nn.Module):
    """Multi-head self-attention with one joint input projection (names of torch.nn.MultiheadAttention)."""

    def __init__(self, width: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.dropout = dropout
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)

    def heads(self, joint: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values [B, heads, L, D/heads] of joint projections [B, L, 3 D]."""
        B, L, width = joint.shape
        query, key, value = joint.view(B, L, 3, self.num_heads, width // (3 * self.num_heads)).permute(2, 0, 3, 1, 4)
        return query, key, value

    def forward(self, x: Tensor, layout: Layout, only: Tensor | None = None) -> Tensor:
        """x [B, L, D], or packed [real elements, D] -> the same shape, or the outputs of the elements `only`."""
        joint = layout.spread_for_attention(F.linear(x, self.in_proj_weight, self.in_proj_bias))
        dropout = self.dropout if self.training else 0.0
        mixed = _attend(*self.heads(joint), layout.attend, dropout).transpose(1, 2).flatten(2)
        return self.out_proj(layout.pack(mixed) if only is None else mixed.flatten(0, 1).index_select(0, only))


class EncoderLayer(nn.Module):
    """Post-norm layer: LayerNorm(x + attention), then LayerNorm(x + feed-forward); exact GELU."""

    def __init__(self, width: int, inner_width: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.self_attn = SelfAttention(width, num_heads, dropout)
        self.linear1 = nn.Linear(width, inner_width)
        self.linear2 = nn.Linear(inner_width, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, layout: Layout, only: Tensor | None = None) -> Tensor:
        """[B, L, D] or packed -> the same shape; packed with `only` (indices in [B L]) -> [len(only), D]."""
        mixed = self.self_attn(x, layout, only)
        if only is not None and layout.places is not None:
            x = x.index_select(0, layout.places.index_select(0, only))
        return self.finish(x, mixed)

    def finish(self, x: Tensor, mixed: Tensor) -> Tensor:
        """The layer's output for its input and the output of its attention."""
        x = self.norm1(x + self.dropout(mixed))
        inner = self.dropout(F.gelu(self.linear1(x)))
        return self.norm2(x + self.dropout(self.linear2(inner)))


class Encoder(nn.Module):
    """A stack of encoder layers."""

    def __init__(self, num_layers: int, width: int, inner_width: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        sizes = width, inner_width, num_heads, dropout
        self.layers = nn.ModuleList(EncoderLayer(*sizes) for _ in range(num_layers))

    def forward(self, x: Tensor, valid: Tensor, packed: bool = False) -> Tensor:
        """x [B, L, D], valid bool [B, L] (True = may be attended to) -> [B, L, D].

        With `packed`, the layers skip padded elements, whose outputs are 0; the other outputs are the same.
        """
        layout = Layout.of(valid, packed)
        x = layout.pack(x)
        for layer in self.layers:
            x = layer(x, layout)
        return layout.spread(x)

    def forward_at(self, x: Tensor, valid: Tensor, wanted: Tensor) -> Tensor:
        """The result of `forward` at the elements `wanted`, bool [B, L], all of them valid -> [wanted elements, D].

        After attention, the last layer computes these elements only.
        """
        layout, only = Layout.of(valid, packed=True), wanted.flatten().nonzero()[:, 0]
        x = layout.pack(x)
        for layer in self.layers[:-1]:
            x = layer(x, layout)
        result: Tensor = self.layers[-1](x, layout, only)
        return result


class StackEncoder(nn.Module):
    """Replaces the published encoder: x [B, L, D] -> y [B, L, D]."""

    def __init__(self, backbone: Backbone, width: int, layers: int, dropout: float, causal: bool = False) -> None:
        from exuvia.sequence.stack import Stack  # loads every layer of exuvia-ssm

        super().__init__()
        self.config = StackConfig(
            width, layers, backbone.mixer, causal=causal, dropout=dropout, serpent=backbone.serpent
        )
        self.stack = Stack(self.config)

    def forward(self, x: Tensor, valid: Tensor, packed: bool = False) -> Tensor:
        """valid bool [B, L], in any pattern; `packed` has no effect, because scans always skip padding."""
        return self.stack(x, valid)

    def forward_at(self, x: Tensor, valid: Tensor, wanted: Tensor) -> Tensor:
        """The result of `forward` at the elements `wanted`, bool [B, L] -> [wanted elements, D]."""
        return self.forward(x, valid)[wanted]

    def initialise(self, seed: int) -> None:
        """Reset the weights to the layers' own initial values, from a seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            fresh = type(self.stack)(self.config)
        self.stack.load_state_dict(fresh.state_dict())
