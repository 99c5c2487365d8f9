"""BAMM's decoder: every sample has its own attention mask.   [pinyo2024bamm]

Ids: 0 .. V-1 codes, V = end, V+1 = padding, V+2 = mask; the head has V+1 classes. Sequence = [condition tokens, motion
tokens]; the output before token k predicts token k, and the condition predicts the first. Every row sees its past, all
rows see the *given* positions (the condition and revealed tokens), and rows of given positions see only these. Facts:
BAMM, models/mask_transformer/transformer.py, commit c9c6be0.

The other decoder, `t2mgpt`, has pre-norm blocks with separate projections (names of its checkpoints; option trans:
t2mgpt, blocks as in T2M-GPT).
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from exuvia.sequence.base import BaseGenerator
from exuvia.sequence.encoder import Encoder, Layout
from exuvia.sequence.settings import BAMMConfig
from exuvia.sequence.transformer import PositionTable
from exuvia.sequence.trunk import Prefix

Attention = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(query, key, value), each [B, heads, L, D/heads] -> mixed values of the same shape."""


class GPTAttention(nn.Module):
    """Multi-head attention with separate linear maps for queries, keys and values."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.key, self.query = nn.Linear(width, width), nn.Linear(width, width)
        self.value, self.proj = nn.Linear(width, width), nn.Linear(width, width)

    def projections(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values [B, heads, L, D/heads] of x [B, L, D]."""
        B, L, D = x.shape

        def heads(layer: nn.Module) -> Tensor:
            return layer(x).view(B, L, self.num_heads, D // self.num_heads).transpose(1, 2)

        return heads(self.query), heads(self.key), heads(self.value)


class GPTBlock(nn.Module):
    """x + attention(norm(x)), then x + feed-forward(norm(x)); exact GELU."""

    def __init__(self, width: int, inner_width: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = GPTAttention(width, num_heads)
        self.mlp = nn.Sequential(nn.Linear(width, inner_width), nn.GELU(), nn.Linear(inner_width, width))
        self.dropout = dropout

    def forward(self, x: Tensor, attention: Attention) -> Tensor:
        """[B, L, D] -> [B, L, D]; `attention` mixes the values under the caller's mask."""
        query, key, value = self.attn.projections(self.ln1(x))
        mixed = attention(query, key, value).transpose(1, 2).flatten(2)
        x = x + F.dropout(self.attn.proj(mixed), self.dropout, self.training)
        return x + F.dropout(self.mlp(self.ln2(x)), self.dropout, self.training)


class GPTDecoder(nn.Module):
    """A stack of blocks."""

    def __init__(self, width: int, inner_width: int, num_layers: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(GPTBlock(width, inner_width, num_heads, dropout) for _ in range(num_layers))


class BAMMDecoder(BaseGenerator):
    """Causal decoder over base codes with an end token and revealed positions."""

    config: BAMMConfig
    seqTransEncoder: Encoder | GPTDecoder

    def __init__(self, config: BAMMConfig, seed: int = 0) -> None:
        width, inner, heads = config.width, config.inner_width, config.num_heads
        decoder: Encoder | GPTDecoder
        if config.blocks == "t2mgpt":
            decoder = GPTDecoder(width, inner, config.num_layers, heads, config.dropout)
        else:
            decoder = Encoder(config.num_layers, width, inner, heads, config.dropout)
        super().__init__(config, config.num_codes + 1, decoder)
        self.position_enc = PositionTable(width, config.dropout, config.table_length)
        self.end_id, self.pad_id, self.mask_id = (config.num_codes + n for n in range(3))
        self.ignored_id = self.pad_id
        self.token_emb = nn.Embedding(config.num_codes + 3, config.code_dim)
        self.initialise(seed)

    def sequence(self, ids: Tensor, prefix: Prefix) -> Tensor:
        """Input of the decoder [B, S + N, D]: condition tokens at position 0, ids [B, N] at 1, 2, ..."""
        motion = self.input_process(self.token_emb(ids))
        blank = motion.new_zeros(len(ids), 1, motion.shape[-1])
        placed = self.position_enc(torch.cat([blank, motion], dim=1))
        first = self.position_enc.pe[:1, 0] + prefix.tokens.to(motion.dtype)
        return torch.cat([self.position_enc.dropout(first), placed[:, 1:]], dim=1)

    def logits(
        self,
        ids: Tensor,
        cond: Tensor,
        places: Tensor | None = None,
        cond_valid: Tensor | None = None,
        drop: Tensor | None = None,
    ) -> Tensor:
        """Logits [B, V + 1, N + 1] of every token and of the one after the last; column k holds the logits of token k.

        ids: int64 [B, N], any ids; cond: [B, E] or [B, S, E]; places: bool [B, N], revealed positions, None = purely
        causal; cond_valid: bool [B, S]; drop: bool [B], True = without condition.
        """
        prefix = self.prefix(cond, cond_valid, drop)
        return self._logits(ids, prefix, places).transpose(1, 2)

    def _logits(self, ids: Tensor, prefix: Prefix, given: Tensor | None) -> Tensor:
        """[B, N + 1, V + 1]."""
        table = attention_table(ids.new_zeros(ids.shape, dtype=torch.bool) if given is None else given, prefix.valid)
        hidden = self.decode_hidden(self.sequence(ids, prefix), table)
        size = prefix.tokens.shape[1]
        return self.output_process(torch.cat([hidden[:, :1], hidden[:, size:]], dim=1))

    def decode_hidden(self, x: Tensor, table: Tensor) -> Tensor:
        """Pass x [B, L, D] through the layers with the attention mask `table` [B, L, L] -> [B, L, D]."""
        if isinstance(self.seqTransEncoder, GPTDecoder):
            dropout = self.config.dropout if self.training else 0.0
            for block in self.seqTransEncoder.blocks:
                x = block(x, lambda q, k, v: F.scaled_dot_product_attention(q, k, v, table[:, None], dropout))
            return x
        layout = Layout(table[:, None], None)
        for layer in self.seqTransEncoder.layers:
            x = layer(x, layout)
        return x


def attention_table(given: Tensor, prefix_valid: Tensor) -> Tensor:
    """The attention mask, bool [B, S + N, S + N], True where a row may attend to a column.
    The revealed positions `given` [B, N] and the real condition tokens `prefix_valid` [B, S] are known to all rows."""
    known = torch.cat([prefix_valid, given], dim=1)
    L, S = known.shape[1], prefix_valid.shape[1]
    past = torch.ones(L, L, dtype=torch.bool, device=given.device).tril()
    past = past[None] & torch.cat([prefix_valid, torch.ones_like(given)], dim=1)[:, None]
    rows = known.clone()
    rows[:, :S] = True  # padded condition tokens see the condition only
    return torch.where(rows[:, :, None], known[:, None], past | known[:, None])
