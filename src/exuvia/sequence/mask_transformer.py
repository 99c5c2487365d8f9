"""MoMask's masked transformer: predicts hidden base codes from visible ones and text.   Sec. 3.2 [guo2024momask]

Ids: 0 .. V-1 codes, V = mask, V+1 = padding. Sequence = [condition tokens, motion tokens]; positions count the motion
tokens only. Facts: momask-codes, models/mask_transformer/transformer.py, MaskTransformer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from exuvia.errors import ConfigError, ShapeError
from exuvia.sequence import sampling
from exuvia.sequence.base import BaseGenerator
from exuvia.sequence.sampling import Drawing
from exuvia.sequence.settings import MaskTransformerConfig
from exuvia.sequence.transformer import TransformerTrunk
from exuvia.sequence.trunk import Guidance, Prefix, evaluating, noise_of, valid_from_lengths

RANDOM_SHARE = 0.1
"""Share of the masked positions that get a random code."""
MASK_SHARE = 0.88
"""Share of the other masked positions that get the mask id; the rest keeps its code."""
FREE_EDIT_SHARE = 0.16
"""Share of the positions that an edit without a region re-masks at every step."""
KEPT = 1e5
"""Score of a position that is not to be masked again."""

OnStep = Callable[[int, Tensor, Tensor], None]
"""Called after each step's forward with (step, ids fed to the network [B, T], guided logits [B, V, T])."""


@dataclass(frozen=True)
class Corruption:
    """The random draws of one training step."""

    time: Tensor
    """float [B], uniform: share masked is cos(time π / 2)."""
    order: Tensor
    """float [B, T], uniform: its argsort is the permutation that selects positions."""
    to_random: Tensor
    """bool [B, T]: if masked, becomes a random code."""
    random_codes: Tensor
    """int64 [B, T] in [0, V)."""
    to_mask: Tensor
    """bool [B, T]: if masked and not random, becomes the mask id."""
    drop: Tensor | None = None
    """bool [B]: loses its condition; None = none does."""

    @classmethod
    def draw(cls, shape: tuple[int, int], num_codes: int, cond_drop: float, generator: torch.Generator) -> "Corruption":
        """Draw for a batch of shape [B, T] on the generator's device."""
        where = generator.device
        uniform = partial(torch.rand, generator=generator, device=where)
        time, order, to_random = uniform(shape[0]), uniform(*shape), uniform(*shape) < RANDOM_SHARE
        codes = torch.randint(num_codes, shape, generator=generator, device=where)
        return cls(time, order, to_random, codes, uniform(*shape) < MASK_SHARE, uniform(shape[0]) < cond_drop)


class MaskTransformer(TransformerTrunk, BaseGenerator):
    """Bidirectional transformer over base codes with a mask id."""

    PREDICTS_LENGTH, DRAWS = False, Corruption
    config: MaskTransformerConfig

    def __init__(self, config: MaskTransformerConfig, seed: int = 0) -> None:
        super().__init__(config, config.num_codes, config.backbone)
        self.mask_id = self.ignored_id = config.num_codes
        self.pad_id = config.num_codes + 1
        self.token_emb = nn.Embedding(config.num_codes + 2, config.code_dim)
        self.initialise(seed)

    def logits(
        self,
        ids: Tensor,
        cond: Tensor,
        valid: Tensor,
        cond_valid: Tensor | None = None,
        drop: Tensor | None = None,
        *,
        packed: bool = False,
    ) -> Tensor:
        """Logits of every position.

        Args:
            ids: int64 [B, T], codes, mask id or padding id; cond: [B, E] or [B, S, E]; valid: bool [B, T]
            cond_valid: bool [B, S]; drop: bool [B], True = without condition; packed: do no work on padding
        Returns:
            [B, V, T]; padded positions hold values without meaning
        """
        return self.encode(self.token_emb(ids), valid, self.prefix(cond, cond_valid, drop), packed).transpose(1, 2)

    def training_logits(
        self, ids: Tensor, cond: Tensor, places: Tensor, cond_valid: Tensor | None, drop: Tensor | None
    ) -> Tensor:
        """What `logits` gives, without work on padding."""
        return self.logits(ids, cond, places, cond_valid, drop, packed=True)

    def corrupt(self, codes: Tensor, lengths: Tensor, draws: Corruption) -> tuple[Tensor, Tensor, Tensor]:
        """Network input, its real places and targets of one training step, all [B, T]; see `BaseGenerator`.

        round(T cos(u π / 2)) positions (at least 1) of all T, padded ones included, are chosen; those that are real
        become targets: 10 % of them random codes, 88 % of the others the mask id, the rest stays as it is.
        """
        device, valid = codes.device, valid_from_lengths(lengths, codes.shape[1])
        count = torch.round(codes.shape[1] * sampling.cosine_schedule(draws.time.to(device))).clamp(min=1)
        chosen = (draws.order.to(device).argsort(dim=-1) < count[:, None]) & valid
        clean = torch.where(valid, codes, self.pad_id)
        labels = torch.where(chosen, clean, self.mask_id)
        to_random = chosen & draws.to_random.to(device)
        to_mask = chosen & ~to_random & draws.to_mask.to(device)
        ids = torch.where(to_random, draws.random_codes.to(device), clean)
        return torch.where(to_mask, self.mask_id, ids), valid, labels

    def generate(
        self,
        cond: Tensor,
        lengths: Tensor | None = None,
        cond_valid: Tensor | None = None,
        *,
        seeds: Sequence[int] | None = None,
        steps: int = 10,
        shortest: int = 1,
        longest: int = 49,
        cond_scale: float = 4.0,
        keep_share: float = 0.9,
        temperature: float = 1.0,
        gumbel: bool = False,
        unconditional: bool = False,
        noise: Tensor | None = None,
        on_step: OnStep | None = None,
    ) -> Tensor:
        """Base codes from text: start fully masked, keep the most likely codes, mask the others again.   Sec. 3.3

        Args:
            lengths: int64 [B] in tokens; they must be given, so that `shortest` and `longest` have no part in it
            gumbel: draw by Gumbel noise instead of the inverse distribution
            noise: uniforms [steps, B, T] or Gumbel noise [steps, B, T, V] instead of seeds
            others: see `BaseGenerator`
        Returns:
            int64 [B, T] with T = max(lengths), -1 at padding
        """
        if lengths is None:
            raise ConfigError("the masked transformer does not find lengths itself; give one a sample")
        lengths = lengths.to(self.device)
        valid = valid_from_lengths(lengths, max(int(lengths.max()), 1))
        ids, scores = torch.where(valid, self.mask_id, self.pad_id), torch.where(valid, 0.0, KEPT)
        state = _Decoding(ids, scores, sampling.masked_counts(lengths, steps), valid, hidden=True)
        if noise is None and temperature > 0:
            noise = noise_of(seeds, steps, valid, self.config.num_codes if gumbel else None)
        how, guidance = Drawing(cond_scale, keep_share, temperature), Guidance(cond_scale, unconditional)
        return self._decode(state, how, guidance, cond, cond_valid, noise, on_step)

    def edit(
        self,
        ids: Tensor,
        cond: Tensor,
        lengths: Tensor,
        cond_valid: Tensor | None = None,
        *,
        region: Tensor | None = None,
        seeds: Sequence[int] | None = None,
        steps: int = 10,
        cond_scale: float = 4.0,
        keep_share: float = 0.9,
        temperature: float = 1.0,
        gumbel: bool = False,
        unconditional: bool = False,
        noise: Tensor | None = None,
        first: Tensor | None = None,
        on_step: OnStep | None = None,
    ) -> Tensor:
        """Re-write given codes for another text, in a region or everywhere.

        With a region, its positions are decoded as in `generate` while the others stay. Without, every step re-masks
        the 16 % least likely codes, beginning with a random choice (or `first`).

        Args:
            ids: int64 [B, T] base codes; region: bool [B, T], True = to be rewritten; first: bool [B, T]
            others: see `generate`
        Returns:
            int64 [B, T], -1 at padding
        """
        ids, lengths = ids.to(self.device), lengths.to(self.device)
        valid = valid_from_lengths(lengths, ids.shape[1])
        order = None
        if noise is None and (temperature > 0 or (region is None and first is None)):
            noise = noise_of(seeds, steps + 1, valid, self.config.num_codes if gumbel else None)
            order, noise = noise[0, ..., 0] if gumbel else noise[0], noise[1:]
        if region is None:
            state = self._edit_everywhere(ids, valid, steps, order if first is None else ~first.bool())
        else:
            region = region.to(self.device).bool() & valid
            start = torch.where(region, self.mask_id, ids.masked_fill(ids < 0, self.pad_id))
            scores = torch.where(region, 0.0, KEPT)
            state = _Decoding(start, scores, sampling.masked_counts(region.sum(1), steps), valid)
        how, guidance = Drawing(cond_scale, keep_share, temperature), Guidance(cond_scale, unconditional)
        return self._decode(state, how, guidance, cond, cond_valid, noise, on_step)

    def _edit_everywhere(self, ids: Tensor, valid: Tensor, steps: int, order: Tensor | None) -> "_Decoding":
        """Start of an edit without a region; the lowest values of `order` [B, T] are masked first."""
        counts = torch.round(FREE_EDIT_SHARE * valid.sum(1)).clamp(min=1).long().expand(steps, -1)
        scores = torch.zeros(valid.shape) if order is None else order.float()
        scores = scores.to(self.device).masked_fill(~valid, KEPT)
        return _Decoding(torch.where(valid, ids, self.pad_id), scores, counts, valid, free=True)

    def _decode(
        self,
        state: "_Decoding",
        how: Drawing,
        guidance: Guidance,
        cond: Tensor,
        cond_valid: Tensor | None,
        noise: Tensor | None,
        on_step: OnStep | None,
    ) -> Tensor:
        if len(cond) != len(state.valid):
            raise ShapeError(f"{len(cond)} conditions for {len(state.valid)} lengths; expected one each")
        ids, scores, valid = state.ids, state.scores, state.valid
        if noise is not None and noise.shape[1:3] != valid.shape:
            raise ShapeError(f"noise has shape {list(noise.shape)}; expected [steps, B, T] with {list(valid.shape)}")
        with evaluating(self), torch.inference_mode():
            prefix, everywhere = self.guided_prefix(cond, cond_valid, guidance), guidance.repeat(valid)
            for step, count in enumerate(state.counts):
                masked = sampling.lowest(scores, count) & valid
                ids = torch.where(masked, self.mask_id, ids)
                judged = masked if on_step is None and not state.free else valid
                embedded, places = guidance.repeat(self.token_emb(ids)), guidance.repeat(judged)
                if step == 0 and state.hidden and len(guidance.branches) == 2:
                    out = self._hidden_logits(embedded, everywhere, prefix, places)
                else:
                    out = self.encode_some(embedded, everywhere, prefix, places)
                logits = guidance.join(out).float()  # [judged positions, V]
                if on_step is not None:
                    on_step(step, ids, _placed(logits, judged).transpose(1, 2))
                row = None if noise is None else noise[step].to(self.device)[judged]
                drawn = sampling.draw(sampling.top_share(logits, how.keep_share), how.temperature, row)
                sure = sampling.precise(logits).softmax(-1).gather(-1, drawn[:, None])[:, 0]
                ids = torch.where(masked, _placed(drawn, judged), ids)
                scores = _placed(sure, judged).masked_fill(~(valid if state.free else masked), KEPT)
            ids = torch.where(valid, ids, -1)
        return ids.clone()

    def _hidden_logits(self, embedded: Tensor, valid: Tensor, prefix: Prefix, wanted: Tensor) -> Tensor:
        """What `encode_some` gives for both branches where all codes are hidden, as they are in the first step.

        Without its condition such a sample is known by its length: one of each length is worked on.
        """
        B = len(valid) // 2
        lengths, kind = valid[B:].sum(1).unique(return_inverse=True)
        one_of_each = torch.stack([(kind == k).nonzero()[0, 0] for k in range(len(lengths))])
        rows = torch.cat([torch.arange(B, device=self.device), B + one_of_each])
        some = Prefix(prefix.tokens[rows], prefix.valid[rows])
        found = _placed(self.encode_some(embedded[rows], valid[rows], some, wanted[rows]), wanted[rows])
        return torch.cat([found[:B], found[B:][kind]])[wanted]


def _placed(values: Tensor, where: Tensor) -> Tensor:
    """Values [n, ...] at the n places of bool [B, T], 0 elsewhere."""
    found = values.new_zeros(*where.shape, *values.shape[1:])
    found[where] = values
    return found


@dataclass(frozen=True)
class _Decoding:
    """Where a decoding starts and how many positions each step masks."""

    ids: Tensor
    scores: Tensor
    counts: Tensor
    valid: Tensor
    free: bool = False
    """Whether later steps may mask again what was not masked before."""
    hidden: bool = False
    """Whether all codes are masked at the start."""
