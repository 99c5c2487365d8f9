"""MoMask's masked transformer: predicts masked base codes from visible ones and text.   Sec. 3.2 [guo2024momask]

Ids: 0 .. V-1 codes, V = mask, V+1 = padding. Sequence = [condition tokens, motion tokens]; positions count the motion
tokens only. Facts: momask-codes, models/mask_transformer/transformer.py, MaskTransformer.
"""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from exuvia.errors import ConfigError, ShapeError
from exuvia.sequence import sampling
from exuvia.sequence.base import BaseGenerator, Range, Text
from exuvia.sequence.sampling import SamplingOptions
from exuvia.sequence.settings import MaskTransformerConfig
from exuvia.sequence.trunk import Guidance, Prefix, TransformerTrunk, evaluating, valid_from_lengths

RANDOM_SHARE = 0.1
"""Share of the masked positions that get a random code."""
MASK_SHARE = 0.88
"""Share of the other masked positions that get the mask id; the rest keep their code."""
FREE_EDIT_SHARE = 0.16
"""Share of the positions that an edit without a region masks at every step."""
KEPT = 1e5
"""Score of a position that must not be masked again."""


@dataclass(frozen=True)
class Corruption:
    """The random draws of one training step."""

    time: Tensor
    """float [B], uniform: the share of masked positions is cos(time π / 2)."""
    order: Tensor
    """float [B, T], uniform: its argsort is the permutation that selects positions."""
    to_random: Tensor
    """bool [B, T]: a masked position that gets a random code."""
    random_codes: Tensor
    """int64 [B, T] in [0, V)."""
    to_mask: Tensor
    """bool [B, T]: a masked position that gets the mask id unless it gets a random code."""
    drop: Tensor | None = None
    """bool [B]: the sample loses its condition; None = no sample does."""

    @classmethod
    def draw(cls, shape: tuple[int, int], num_codes: int, cond_drop: float, generator: torch.Generator) -> "Corruption":
        """Draw for a batch of shape [B, T] on the generator's device."""
        device = generator.device
        uniform = partial(torch.rand, generator=generator, device=device)
        time, order, to_random = uniform(shape[0]), uniform(*shape), uniform(*shape) < RANDOM_SHARE
        codes = torch.randint(num_codes, shape, generator=generator, device=device)
        return cls(time, order, to_random, codes, uniform(*shape) < MASK_SHARE, uniform(shape[0]) < cond_drop)


class MaskTransformer(TransformerTrunk, BaseGenerator):
    """Bidirectional transformer over base codes with a mask id."""

    PREDICTS_LENGTH, KEEP_SHARE, DRAWS = False, 0.9, Corruption
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
        """Logits [B, V, T] of every position, arbitrary at padding; see `BaseGenerator.logits`. ids: codes, mask id or
        padding id; valid: bool [B, T]; packed: skip padding."""
        return self.encode(self.token_emb(ids), valid, self.prefix(cond, cond_valid, drop), packed).transpose(1, 2)

    def training_logits(
        self, ids: Tensor, cond: Tensor, places: Tensor, cond_valid: Tensor | None, drop: Tensor | None
    ) -> Tensor:
        """The result of `logits`, computed without padding."""
        return self.logits(ids, cond, places, cond_valid, drop, packed=True)

    def corrupt(self, codes: Tensor, lengths: Tensor, draws: Corruption) -> tuple[Tensor, Tensor, Tensor]:
        """Network input, its real positions and targets of one training step, all [B, T]; see `BaseGenerator`.

        round(T cos(u π / 2)) positions (at least 1) of all T, padded ones included, are chosen. The real ones among
        them become targets: 10 % get random codes, 88 % of the others the mask id, and the rest stay unchanged.
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

    def _generate(self, text: Text, lengths: Tensor | None, limits: Range, options: SamplingOptions) -> Tensor:
        """Start fully masked, keep the most likely codes, mask the others again.   Sec. 3.3"""
        if lengths is None:
            raise ConfigError("the masked transformer does not find lengths itself; give one per sample")
        lengths = lengths.to(self.device)
        valid = valid_from_lengths(lengths, max(int(lengths.max()), 1))
        ids, scores = torch.where(valid, self.mask_id, self.pad_id), torch.where(valid, 0.0, KEPT)
        state = _DecodingState(ids, scores, sampling.masked_counts(lengths, options.steps), valid, hidden=True)
        return self._decode(state, text, options, options.noise_for(options.steps, *valid.shape))

    def edit(
        self,
        ids: Tensor,
        cond: Tensor,
        lengths: Tensor,
        cond_valid: Tensor | None = None,
        options: SamplingOptions | None = None,
        *,
        region: Tensor | None = None,
        first: Tensor | None = None,
    ) -> Tensor:
        """Rewrite codes [B, T] for another text in a region, bool [B, T], or everywhere; the result is -1 at padding.

        With a region, its positions are decoded as in `generate` while the others stay.
        Without, every step masks the 16 % least likely codes again, starting from a random choice
        (or `first`, bool [B, T]). The options' noise has one row more than steps unless a start is given.
        """
        options = options or SamplingOptions(keep_share=self.KEEP_SHARE)
        ids, lengths = ids.to(self.device), lengths.to(self.device)
        valid = valid_from_lengths(lengths, ids.shape[1])
        noise, order = options.noise, None
        if noise is None and (options.temperature > 0 or (region is None and first is None)):
            noise = sampling.noise_of(options.seeds, options.steps + 1, *valid.shape)
            order, noise = noise[0], noise[1:]
        if region is None:
            state = self._edit_everywhere(ids, valid, options.steps, order if first is None else ~first.bool())
        else:
            region = region.to(self.device).bool() & valid
            start = torch.where(region, self.mask_id, ids.masked_fill(ids < 0, self.pad_id))
            scores = torch.where(region, 0.0, KEPT)
            state = _DecodingState(start, scores, sampling.masked_counts(region.sum(1), options.steps), valid)
        return self._decode(state, (cond, cond_valid), options, noise)

    def _edit_everywhere(self, ids: Tensor, valid: Tensor, steps: int, order: Tensor | None) -> "_DecodingState":
        """Start of an edit without a region; the lowest values of `order` [B, T] are masked first."""
        counts = torch.round(FREE_EDIT_SHARE * valid.sum(1)).clamp(min=1).long().expand(steps, -1)
        scores = torch.zeros(valid.shape) if order is None else order.float()
        scores = scores.to(self.device).masked_fill(~valid, KEPT)
        return _DecodingState(torch.where(valid, ids, self.pad_id), scores, counts, valid, free=True)

    def _decode(self, state: "_DecodingState", text: Text, options: SamplingOptions, noise: Tensor | None) -> Tensor:
        if len(text[0]) != len(state.valid):
            raise ShapeError(f"{len(text[0])} conditions for {len(state.valid)} lengths; expected one each")
        ids, scores, valid = state.ids, state.scores, state.valid
        if noise is not None and noise.shape[1:3] != valid.shape:
            raise ShapeError(f"noise has shape {list(noise.shape)}; expected [steps, B, T] with {list(valid.shape)}")
        guidance, on_step = Guidance(options.cond_scale), options.on_step
        with evaluating(self), torch.inference_mode():
            prefix, everywhere = self.guided_prefix(*text, guidance), guidance.repeat(valid)
            for step, count in enumerate(state.counts):
                masked = sampling.lowest(scores, count) & valid
                ids = torch.where(masked, self.mask_id, ids)
                scored = masked if on_step is None and not state.free else valid
                embedded, places = guidance.repeat(self.token_emb(ids)), guidance.repeat(scored)
                if step == 0 and state.hidden and len(guidance.branches) == 2:
                    out = self._hidden_logits(embedded, everywhere, prefix, places)
                else:
                    out = self.encode_at(embedded, everywhere, prefix, places)
                logits = guidance.join(out).float()  # [scored positions, V]
                if on_step is not None:
                    on_step(step, ids, _scatter(logits, scored).transpose(1, 2))
                row = None if noise is None else noise[step].to(self.device)[scored]
                drawn = sampling.draw(sampling.top_share(logits, options.keep_share), options.temperature, row)
                likelihood = sampling.precise(logits).softmax(-1).gather(-1, drawn[:, None])[:, 0]
                ids = torch.where(masked, _scatter(drawn, scored), ids)
                scores = _scatter(likelihood, scored).masked_fill(~(valid if state.free else masked), KEPT)
            ids = torch.where(valid, ids, -1)
        return ids.clone()

    def _hidden_logits(self, embedded: Tensor, valid: Tensor, prefix: Prefix, wanted: Tensor) -> Tensor:
        """The result of `encode_at` for both branches when all codes are masked, as in the first step.

        Unconditional samples of equal length are then equal, so only one of each length is computed.
        """
        B = len(valid) // 2
        lengths, kind = valid[B:].sum(1).unique(return_inverse=True)
        one_of_each = torch.stack([(kind == k).nonzero()[0, 0] for k in range(len(lengths))])
        rows = torch.cat([torch.arange(B, device=self.device), B + one_of_each])
        chosen = Prefix(prefix.tokens[rows], prefix.valid[rows])
        logits = _scatter(self.encode_at(embedded[rows], valid[rows], chosen, wanted[rows]), wanted[rows])
        return torch.cat([logits[:B], logits[B:][kind]])[wanted]


def _scatter(values: Tensor, where: Tensor) -> Tensor:
    """Put values [n, ...] at the n True positions of bool [B, T], and 0 elsewhere."""
    result = values.new_zeros(*where.shape, *values.shape[1:])
    result[where] = values
    return result


@dataclass(frozen=True)
class _DecodingState:
    """Start of a decoding, and how many positions each step masks."""

    ids: Tensor
    scores: Tensor
    counts: Tensor
    valid: Tensor
    free: bool = False
    """Whether later steps may mask positions that were not masked before."""
    hidden: bool = False
    """Whether all codes are masked at the start."""
