"""How BAMM writes: from left to right, then half of the codes again, with the others revealed.   [pinyo2024bamm]

Keys and values of what was written stay in a cache, so that a token costs one row of the decoder. In the second pass
the rows of revealed places see each other only: they are computed once, all together, and the rest follows one by one.

`released=True` decodes as the published code does: every step reads the whole sequence again, and in the second pass
what is drawn at a revealed place replaces it for the steps after, until the end puts it back (BAMM,
models/mask_transformer/transformer.py, generate and gen_one).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from exuvia.sequence import sampling
from exuvia.sequence.bamm_decoder import BAMMDecoder, attention_table
from exuvia.sequence.base import tokens_to_write
from exuvia.sequence.encoder import EncoderLayer
from exuvia.sequence.gpt_blocks import Attention, GPTDecoder
from exuvia.sequence.trunk import Guidance, Prefix, evaluating, noise_of

FILL_SCALE = 3.0
"""Guidance of the second pass, fixed in the published code."""
REFILL_SHARE = 0.5
"""Share of the codes that is rewritten."""


@dataclass(frozen=True)
class Writing(sampling.Drawing):
    """How codes are drawn in both passes."""

    fill_scale: float = FILL_SCALE
    """Guidance of the second pass."""
    released: bool = False
    """As the published code does."""


def generate(
    model: BAMMDecoder,
    cond: Tensor,
    lengths: Tensor | None = None,
    cond_valid: Tensor | None = None,
    *,
    seeds: Sequence[int] | None = None,
    shortest: int = 1,
    longest: int = 49,
    noise: Tensor | None = None,
    refill: Tensor | None = None,
    writing: Writing | None = None,
) -> Tensor:
    """Base codes from text.

    Args:
        model: the decoder
        cond: [B, E] or [B, S, E]; cond_valid: bool [B, S]
        lengths: int64 [B] in tokens; None = until the end token comes
        seeds: one a sample; a sample depends on its own seed only, not on its neighbours
        shortest, longest: limits of a length that is not given
        noise: uniforms [2, B, N] of the two passes instead of seeds
        refill: bool [B, N], what the second pass rewrites; None = the half that was least likely, at least 1
        writing: how codes are drawn
    Returns:
        int64 [B, N], -1 beyond a sample's length
    Raises:
        ConfigError: lengths and limits that do not fit, or not one seed a sample.
    """
    how, size = writing or Writing(), tokens_to_write(cond, lengths, shortest, longest)
    if noise is None and how.temperature > 0:
        noise = noise_of(seeds, 2, torch.ones(len(cond), size, dtype=torch.bool), None)
    with evaluating(model), torch.inference_mode():
        ids, sure = first_pass(model, cond, cond_valid, how, size, lengths, shortest, noise)
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
            anew = sampling.lowest(F.pad(sure, (0, 1), value=1.0).masked_fill(~inside, 2.0), count) & inside
        else:
            anew = F.pad(refill.to(model.device).bool()[:, :size], (0, size + 1 - min(size, refill.shape[1]))) & inside
        given = (place <= lengths[:, None]) & ~anew
        second = None if noise is None else noise[1]
        ids = _second_pass(model, cond, cond_valid, how, ids, given, second)
        return torch.where(inside, ids, -1)[:, :size].clone()


def cut_at_end(ids: Tensor, end_id: int) -> tuple[Tensor, Tensor]:
    """Lengths by the first id that is no code: the whole row where there is none; at least 1.

    Args:
        ids: int64 [B, N]
    Returns:
        ids with 0 as first code where the end came at once, and lengths [B]
    """
    over = ids >= end_id
    lengths = torch.where(over.any(1), over.int().argmax(1), ids.shape[1])
    ids = ids.clone()
    ids[:, 0] = torch.where(lengths == 0, 0, ids[:, 0])
    return ids, lengths.clamp(min=1)


def first_pass(
    model: BAMMDecoder, cond: Tensor, known: Tensor | None, how: Writing, size: int, lengths: Tensor | None,
    shortest: int, noise: Tensor | None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Tokens [B, size], padding after every row's end, and how likely each was."""
    reader = _Reader(model, cond, known, how.cond_scale, size)
    ids = torch.full((len(cond), size), model.pad_id, device=model.device)
    sure = torch.zeros(len(cond), size, device=model.device)
    open_rows = torch.ones(len(cond), dtype=torch.bool, device=model.device)
    logits = reader.begin()
    for k in range(size):
        ends = lengths is None and k >= (0 if how.released else shortest)
        ids[:, k], sure[:, k] = _drawn(logits, how, noise, 0, k, ends)
        open_rows &= ids[:, k] != model.end_id
        if k + 1 == size or (lengths is None and not how.released and not bool(open_rows.any())):
            break
        logits = reader.read(ids[:, k], k)
    return ids, sure


def _second_pass(
    model: BAMMDecoder,
    cond: Tensor,
    known: Tensor | None,
    how: Writing,
    ids: Tensor,
    given: Tensor,
    noise: Tensor | None,
) -> Tensor:
    """Ids [B, N + 1] in which everything that is not given is drawn again."""
    size, kept = ids.shape[1] - 1, ids.clone()
    reader = _Reader(model, cond, known, how.fill_scale, size + 1)
    level = None if noise is None else noise[None]
    if how.released:
        for k in range(size):
            ids[:, k], _ = _drawn(reader.whole(ids, given)[:, k], how, level, 0, k, ends=False)
        return torch.where(given, kept, ids)
    every = reader.whole(ids, given, keep=True)
    logits = every[:, 0]
    for k in range(size):
        fresh, _ = _drawn(logits, how, level, 0, k, ends=False)
        ids[:, k] = torch.where(given[:, k], ids[:, k], fresh)
        if k + 1 < size:
            logits = reader.read(ids[:, k], k, given)
    return ids


def _drawn(logits: Tensor, how: Writing, noise: Tensor | None, row: int, k: int, ends: bool) -> tuple[Tensor, Tensor]:
    """Token k of every sample from logits [B, V + 1], and its probability."""
    uniform = None if noise is None else noise[row, :, k]
    return sampling.draw_or_end(logits, how.keep_share, how.temperature, uniform, ends)


class _Reader:
    """The decoder with a cache, both branches of guidance in one batch; the condition is read by `begin` or `whole`."""

    def __init__(self, model: BAMMDecoder, cond: Tensor, known: Tensor | None, scale: float, size: int) -> None:
        self.model, self.guidance = model, Guidance(scale)
        self.prefix: Prefix = model.guided_prefix(cond, known, self.guidance)
        self.start = self.prefix.tokens.shape[1]
        self.total = self.start + size
        self.cache: list[tuple[Tensor, Tensor]] = []
        self.known = F.pad(self.prefix.valid, (0, size))
        """Places that every later token may attend to [n B, total]: the condition, what was written, what is given."""

    def begin(self) -> Tensor:
        """Read the condition alone: logits of token 0 [B, V + 1]."""
        none = torch.empty(len(self.known), 0, dtype=torch.long, device=self.model.device)
        x = self.model.sequence(none, self.prefix)
        table = self.prefix.valid[:, None].expand(-1, self.start, -1)
        hidden = self._extend(x, slice(0, self.start), F.pad(table, (0, self.total - self.start)))
        return self._logits(hidden[:, 0])

    def whole(self, ids: Tensor, given: Tensor, keep: bool = False) -> Tensor:
        """Read a whole sequence [B, N] with revealed places; logits of every token [B, N + 1, V + 1]."""
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
        """Read token k [B]; logits of token k + 1 [B, V + 1]. Rows of given places keep to what is given."""
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
        """Rows x [n B, m, D] at some places, attending to the cache as table [n B, m, total] says."""
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
    """The published layer with another attention, in evaluation mode."""
    inner = layer.self_attn
    B, L, D = x.shape
    joint = F.linear(x, inner.in_proj_weight, inner.in_proj_bias)
    query, key, value = joint.view(B, L, 3, inner.num_heads, D // inner.num_heads).permute(2, 0, 3, 1, 4)
    mixed = attention(query, key, value)
    x = layer.norm1(x + inner.out_proj(mixed.transpose(1, 2).reshape(B, L, D)))
    return layer.norm2(x + layer.linear2(F.gelu(layer.linear1(x))))
