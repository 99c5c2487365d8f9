"""An autoregressive generator over state-space layers: one code after another, each from a state of fixed size.

Ids: 0 .. V-1 codes, V = start and end, V+1 = padding; the head has V+1 classes. Sequence = [condition tokens, start,
codes]; the output at the start predicts the first code, that at a code the one after it, the last one the end. A
recurrence knows its place, so that there is no position table and no longest motion: a code costs the same time and
memory after a minute as after a second. Codes of the past are partly replaced by random ones in training, so that the
model keeps its way after a poor draw (as in BAMM's training [pinyo2024bamm]).
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from exuvia.sequence import sampling
from exuvia.sequence.backbone import StackEncoder
from exuvia.sequence.base import BaseGenerator, Range, Seeds, Text, tokens_to_write
from exuvia.sequence.sampling import Drawing
from exuvia.sequence.settings import CausalConfig
from exuvia.sequence.trunk import Guidance, Prefix, evaluating, noise_of

RANDOM_SHARE = 0.5
"""A training sample's share of random codes is uniform up to this."""


@dataclass(frozen=True)
class Noise:
    """The random draws of one training step."""

    to_random: Tensor
    """bool [B, T]: if real, the network reads a random code there."""
    random_codes: Tensor
    """int64 [B, T] in [0, V)."""
    drop: Tensor | None = None
    """bool [B]: loses its condition; None = none does."""

    @classmethod
    def draw(cls, shape: tuple[int, int], num_codes: int, cond_drop: float, generator: torch.Generator) -> "Noise":
        """Draw for codes of shape [B, T] on the generator's device."""
        uniform = partial(torch.rand, generator=generator, device=generator.device)
        to_random = RANDOM_SHARE * uniform(shape[0], 1) > uniform(*shape)
        codes = torch.randint(num_codes, shape, generator=generator, device=generator.device)
        return cls(to_random, codes, uniform(shape[0]) < cond_drop)


class CausalGenerator(BaseGenerator):
    """Writes base codes from left to right until the end token, from a carried state."""

    PREDICTS_LENGTH, DRAWS = True, Noise
    config: CausalConfig
    seqTransEncoder: StackEncoder

    def __init__(self, config: CausalConfig, seed: int = 0) -> None:
        layers = StackEncoder(config.backbone, config.width, config.num_layers, config.dropout, causal=True)
        super().__init__(config, config.num_codes + 1, layers)
        self.end_id, self.pad_id = config.num_codes, config.num_codes + 1
        self.ignored_id = self.pad_id
        self.token_emb = nn.Embedding(config.num_codes + 2, config.code_dim)
        self.initialise(seed)

    def sequence(self, ids: Tensor, prefix: Prefix) -> Tensor:
        """Input of the layers [B, S + N, D] for ids [B, N], the start among them."""
        motion = self.input_process(self.token_emb(ids))
        return torch.cat([prefix.tokens.to(motion.dtype), motion], dim=1)

    def logits(
        self, ids: Tensor, cond: Tensor, places: Tensor, cond_valid: Tensor | None = None, drop: Tensor | None = None
    ) -> Tensor:
        """Logits of what follows every token.

        Args:
            ids: int64 [B, N], the start first; cond: [B, E] or [B, S, E]; places: bool [B, N], real ones
            cond_valid: bool [B, S]; drop: bool [B], True = without condition
        Returns:
            [B, V + 1, N]; padded positions hold values without meaning
        """
        prefix = self.prefix(cond, cond_valid, drop)
        real = torch.cat([prefix.valid, places.bool()], dim=1)
        hidden = self.seqTransEncoder(self.sequence(ids, prefix), real)
        return self.output_process(hidden[:, prefix.tokens.shape[1] :]).transpose(1, 2)

    def corrupt(self, codes: Tensor, lengths: Tensor, draws: Noise) -> tuple[Tensor, Tensor, Tensor]:
        """Network input, its real places and the targets of one training step, [B, T + 1]; see `BaseGenerator`."""
        where, (batch, size) = codes.device, codes.shape
        place, until = torch.arange(size + 1, device=where)[None], lengths[:, None]
        noisy = torch.where(draws.to_random.to(where), draws.random_codes.to(where), codes)
        ids = F.pad(noisy, (1, 0), value=self.end_id).masked_fill(place > until, self.pad_id)
        labels = F.pad(codes, (0, 1), value=self.end_id).masked_fill(place > until, self.pad_id)
        return ids, (place <= until).expand(batch, -1), labels.masked_fill(place == until, self.end_id)

    def _written(self, text: Text, lengths: Tensor | None, seeds: Seeds, limits: Range, how: Drawing) -> Tensor:
        """Until the end token where no lengths are given."""
        size = tokens_to_write(text[0], lengths, *limits)
        noise = noise_of(seeds, 1, torch.ones(len(text[0]), size), None)[0] if how.temperature > 0 else None
        ids = Writer(self, *text, how).write(size, noise, limits[0] if lengths is None else None)
        over = (ids >= self.end_id).cumsum(1) > 0
        if lengths is not None:
            over = torch.arange(ids.shape[1], device=ids.device)[None] >= lengths.to(ids.device)[:, None]
        return ids.masked_fill(over, -1)[:, : int((~over).sum(1).max())]


class Writer:
    """Motions under way: the state after what was read and written, both branches of guidance in one batch.

    Args:
        model: the generator, in evaluation mode while it writes
        cond: [B, E] or [B, S, E]; cond_valid: bool [B, S]
        how: how codes are drawn
    """

    def __init__(
        self, model: CausalGenerator, cond: Tensor, cond_valid: Tensor | None = None, how: Drawing | None = None
    ) -> None:
        self.model, self.how = model, how or Drawing()
        self.guidance = Guidance(self.how.cond_scale)
        self.state: list[Any] | None = None
        with evaluating(model), torch.inference_mode():
            prefix = model.guided_prefix(cond, cond_valid, self.guidance)
            start = torch.full((len(prefix.valid), 1), model.end_id, device=model.device)
            real = torch.cat([prefix.valid, torch.ones_like(start, dtype=torch.bool)], dim=1)
            self._next = self._carried(model.sequence(start, prefix), real)

    def read(self, ids: Tensor) -> None:
        """Go on after given codes, int64 [B, N]."""
        if ids.shape[1]:
            model = self.model
            with evaluating(model), torch.inference_mode():
                several = self.guidance.repeat(ids.to(model.device))
                self._next = self._carried(model.input_process(model.token_emb(several)), None)

    def write(self, count: int, noise: Tensor | None = None, shortest: int | None = None) -> Tensor:
        """Draw up to `count` more codes; the end may come after `shortest` of them, or never if that is None.

        Args:
            noise: uniforms [B, count]; may be None at temperature 0
        Returns:
            int64 [B, n], n = count unless every sample has ended; the end id from its place on
        """
        model, how, rows = self.model, self.how, []
        with evaluating(model), torch.inference_mode():
            over = torch.zeros(len(self._next) // len(self.guidance.branches), dtype=torch.bool, device=model.device)
            for k in range(count):
                logits = self.guidance.join(self._next)
                uniform = None if noise is None else noise[:, k]
                ends = shortest is not None and k >= shortest
                drawn, _ = sampling.draw_or_end(logits, how.keep_share, how.temperature, uniform, ends)
                over = over | (drawn == model.end_id)
                rows.append(drawn.masked_fill(over, model.end_id))
                if bool(over.all()):
                    break
                x = model.input_process(model.token_emb(self.guidance.repeat(drawn)))
                assert self.state is not None
                hidden, self.state = model.seqTransEncoder.stack.step(x, self.state)
                self._next = model.output_process(hidden)
        return torch.stack(rows, dim=1)

    def _carried(self, x: Tensor, valid: Tensor | None) -> Tensor:
        """Read x [n B, L, D] and give the logits after its last element [n B, V + 1]."""
        hidden, self.state = self.model.seqTransEncoder.stack.carried(x, self.state, valid)
        return self.model.output_process(hidden[:, -1])
