"""BAMM's decoder: every sample has its own attention mask.   [pinyo2024bamm]

Ids: 0 .. V-1 codes, V = end, V+1 = padding, V+2 = mask; the head has V+1 classes. Sequence = [condition tokens, motion
tokens]; the output before token k predicts token k, and the condition predicts the first. Every row sees its past, all
rows see the *given* positions (the condition and revealed tokens), and rows of given positions see only these. Facts:
BAMM, models/mask_transformer/transformer.py, commit c9c6be0.

The other decoder, `t2mgpt`, has pre-norm blocks with separate projections (names of its checkpoints; option trans:
t2mgpt, blocks as in T2M-GPT).

It generates from left to right, then draws half of the codes again with the others revealed. Keys and values of earlier
tokens are cached, and a token costs one row of the decoder. In the second pass, the rows of revealed positions see only
each other: they are computed once, all together, and the other rows follow one by one. `released=True` decodes like the
published code: every step reads the whole sequence again, and in the second pass the code drawn at a revealed position
replaces it in later steps and is restored at the end (generate and gen_one of the same file).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from exuvia.sequence import sampling
from exuvia.sequence.base import BaseGenerator, Range, Text, max_tokens
from exuvia.sequence.encoder import Encoder, EncoderLayer, Layout
from exuvia.sequence.sampling import SamplingOptions
from exuvia.sequence.settings import BAMMConfig
from exuvia.sequence.trunk import Guidance, PositionTable, Prefix, evaluating

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


FILL_SCALE = 3.0
"""Guidance scale of the second pass, fixed in the published code."""
REFILL_SHARE = 0.5
"""Share of the codes that the second pass rewrites."""


@dataclass(frozen=True)
class BAMMOptions(SamplingOptions):
    """How codes are drawn in both passes."""

    fill_scale: float = FILL_SCALE
    """Guidance scale of the second pass."""
    released: bool = False
    """Decode like the published code."""


def generate(
    model: BAMMDecoder,
    text: Text,
    lengths: Tensor | None,
    limits: Range,
    options: BAMMOptions,
    refill: Tensor | None = None,
) -> Tensor:
    """Base codes from text; see `BaseGenerator.generate`. Lengths: int64 [B] in tokens, None = up to the end token,
    within `limits`; noise of the options: uniforms [2, B, N] of the two passes; refill: bool [B, N], positions that the
    second pass rewrites, None = the less likely half, at least 1."""
    size = max_tokens(text[0], lengths, *limits)
    noise = options.noise_for(2, len(text[0]), size)
    with evaluating(model), torch.inference_mode():
        ids, likelihood = first_pass(model, text, options, size, lengths, limits[0], noise)
        if lengths is None:
            ids, lengths = cut_at_end(ids, model.end_id)
        lengths = lengths.to(model.device)
        place = torch.arange(size + 1, device=model.device)[None]
        ids = F.pad(ids, (0, 1), value=model.pad_id)
        ids = ids.masked_fill(place == lengths[:, None], model.end_id)
        ids = torch.where(place > lengths[:, None], model.pad_id, ids)
        inside = place < lengths[:, None]
        if refill is None:
            count = torch.round(REFILL_SHARE * lengths.float()).long().clamp(min=1)
            scores = F.pad(likelihood, (0, 1), value=1.0).masked_fill(~inside, 2.0)
            rewrite = sampling.lowest(scores, count) & inside
        else:
            rewrite = F.pad(refill.to(model.device).bool()[:, :size], (0, size + 1 - min(size, refill.shape[1])))
        given = (place <= lengths[:, None]) & ~(rewrite & inside)
        ids = _second_pass(model, text, options, ids, given, noise)
        return torch.where(inside, ids, -1)[:, :size].clone()


def cut_at_end(ids: Tensor, end_id: int) -> tuple[Tensor, Tensor]:
    """Lengths [B] by the first id [B, N] that is not a code, at least 1; a row of codes keeps its whole length.
    Also returns the ids, with 0 as first code in rows that end at once."""
    over = ids >= end_id
    lengths = torch.where(over.any(1), over.int().argmax(1), ids.shape[1])
    ids = ids.clone()
    ids[:, 0] = torch.where(lengths == 0, 0, ids[:, 0])
    return ids, lengths.clamp(min=1)


def first_pass(
    model: BAMMDecoder,
    text: Text,
    options: BAMMOptions,
    size: int,
    lengths: Tensor | None,
    shortest: int,
    noise: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Tokens [B, size], with padding after every row's end, and their probabilities."""
    reader, count = _Reader(model, text, options.cond_scale, size), len(text[0])
    ids = torch.full((count, size), model.pad_id, device=model.device)
    likelihood = torch.zeros(count, size, device=model.device)
    open_rows = torch.ones(count, dtype=torch.bool, device=model.device)
    logits = reader.begin()
    for k in range(size):
        ends = lengths is None and k >= (0 if options.released else shortest)
        ids[:, k], likelihood[:, k] = _draw(logits, options, noise, 0, k, ends)
        open_rows &= ids[:, k] != model.end_id
        if k + 1 == size or (lengths is None and not options.released and not bool(open_rows.any())):
            break
        logits = reader.read(ids[:, k], k)
    return ids, likelihood


def _second_pass(
    model: BAMMDecoder, text: Text, options: BAMMOptions, ids: Tensor, given: Tensor, noise: Tensor | None
) -> Tensor:
    """Ids [B, N + 1] with new draws at all positions that are not given."""
    size, kept = ids.shape[1] - 1, ids.clone()
    reader = _Reader(model, text, options.fill_scale, size + 1)
    if options.released:
        for k in range(size):
            ids[:, k], _ = _draw(reader.whole(ids, given)[:, k], options, noise, 1, k, ends=False)
        return torch.where(given, kept, ids)
    logits = reader.whole(ids, given, keep=True)[:, 0]
    for k in range(size):
        fresh, _ = _draw(logits, options, noise, 1, k, ends=False)
        ids[:, k] = torch.where(given[:, k], ids[:, k], fresh)
        if k + 1 < size:
            logits = reader.read(ids[:, k], k, given)
    return ids


def _draw(
    logits: Tensor, options: BAMMOptions, noise: Tensor | None, row: int, k: int, ends: bool
) -> tuple[Tensor, Tensor]:
    """Draw token k of every sample from logits [B, V + 1]; returns it with its probability."""
    uniform = None if noise is None else noise[row, :, k]
    return sampling.draw_or_end(logits, options.keep_share, options.temperature, uniform, ends)


class _Reader:
    """The decoder with a cache, for both branches of guidance in one batch; start with `begin` or `whole`."""

    def __init__(self, model: BAMMDecoder, text: Text, scale: float, size: int) -> None:
        self.model, self.guidance = model, Guidance(scale)
        self.prefix: Prefix = model.guided_prefix(*text, self.guidance)
        self.start = self.prefix.tokens.shape[1]
        self.total = self.start + size
        self.cache: list[tuple[Tensor, Tensor]] = []
        self.known = F.pad(self.prefix.valid, (0, size))
        """Positions that later tokens may attend to [n B, total]: the condition, earlier tokens and given ones."""

    def begin(self) -> Tensor:
        """Read the condition alone; returns the logits of token 0 [B, V + 1]."""
        none = torch.empty(len(self.known), 0, dtype=torch.long, device=self.model.device)
        x = self.model.sequence(none, self.prefix)
        table = self.prefix.valid[:, None].expand(-1, self.start, -1)
        hidden = self._extend(x, slice(0, self.start), F.pad(table, (0, self.total - self.start)))
        return self._logits(hidden[:, 0])

    def whole(self, ids: Tensor, given: Tensor, keep: bool = False) -> Tensor:
        """Read a sequence [B, N] with revealed positions; returns the logits of all tokens [B, N + 1, V + 1]."""
        several = self.guidance.repeat(given)
        x = self.model.sequence(self.guidance.repeat(ids), self.prefix)
        table = attention_table(several, self.prefix.valid)
        if keep:
            self.known = torch.cat([self.prefix.valid, several], dim=1)
            hidden = self._extend(x, slice(0, self.total), table)
        else:
            hidden = self.model.decode_hidden(x, table)
        rows = torch.cat([hidden[:, :1], hidden[:, self.start :]], dim=1)
        return self.guidance.join(self.model.output_process(rows))

    def read(self, token: Tensor, k: int, given: Tensor | None = None) -> Tensor:
        """Read token k [B]; returns the logits of token k + 1 [B, V + 1]. Given positions see given ones only."""
        place = self.start + k
        embedded = self.model.input_process(self.model.token_emb(self.guidance.repeat(token)[:, None]))
        x = embedded + self.model.position_enc.pe[k + 1, 0]
        seen = self.known.clone()
        seen[:, place] = True
        if given is not None:
            here = self.guidance.repeat(given[:, k])[:, None]
            fixed = torch.cat([self.prefix.valid, self.guidance.repeat(given)], dim=1)
            seen = torch.where(here, fixed, seen)
        self.known[:, place] = True
        return self._logits(self._extend(x, slice(place, place + 1), seen[:, None])[:, 0])

    def _logits(self, hidden: Tensor) -> Tensor:
        return self.guidance.join(self.model.output_process(hidden))

    def _extend(self, x: Tensor, where: slice, table: Tensor) -> Tensor:
        """Process rows x [n B, m, D] at the positions `where`; `table` [n B, m, total] is their attention mask."""
        encoder = self.model.seqTransEncoder
        layers = encoder.blocks if isinstance(encoder, GPTDecoder) else encoder.layers
        for number, layer in enumerate(layers):

            def attention(query: Tensor, key: Tensor, value: Tensor, number: int = number) -> Tensor:
                if number == len(self.cache):
                    shape = (*key.shape[:2], self.total, key.shape[3])
                    self.cache.append((key.new_zeros(shape), key.new_zeros(shape)))
                keys, values = self.cache[number]
                keys[:, :, where], values[:, :, where] = key, value
                return F.scaled_dot_product_attention(query, keys, values, table[:, None])

            x = _post_norm(layer, x, attention) if isinstance(layer, EncoderLayer) else layer(x, attention)
        return x


def _post_norm(layer: EncoderLayer, x: Tensor, attention: Attention) -> Tensor:
    """The published layer with another attention function, in evaluation mode."""
    inner = layer.self_attn
    mixed = attention(*inner.heads(F.linear(x, inner.in_proj_weight, inner.in_proj_bias)))
    return layer.finish(x, inner.out_proj(mixed.transpose(1, 2).flatten(2)))
