"""An autoregressive generator over state-space layers: one code after another from a state of fixed size.

Ids: 0 .. V-1 codes, V = start and end, V+1 = padding; the head has V+1 classes. Sequence = [condition tokens, start,
codes]; the output at the start predicts the first code, the output at a code the next one, and the last output the end.
A recurrence needs no position table, and motions have no maximum length: a code costs the same time and memory after a
minute as after a second. Training replaces a part of the past codes by random ones, which makes the model robust
against poor draws (as in BAMM's training [pinyo2024bamm]).
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from exuvia.sequence import sampling
from exuvia.sequence.base import BaseGenerator, Range, Text, max_tokens
from exuvia.sequence.encoder import StackEncoder
from exuvia.sequence.sampling import SamplingOptions
from exuvia.sequence.settings import CausalConfig
from exuvia.sequence.trunk import Guidance, Prefix, evaluating

RANDOM_SHARE = 0.5
"""Maximum share of random codes in a training sample; the share is drawn uniformly."""


@dataclass(frozen=True)
class Noise:
    """The random draws of one training step."""

    to_random: Tensor
    """bool [B, T]: real positions at which the network reads a random code."""
    random_codes: Tensor
    """int64 [B, T] in [0, V)."""
    drop: Tensor | None = None
    """bool [B]: the sample loses its condition; None = no sample does."""

    @classmethod
    def draw(cls, shape: tuple[int, int], num_codes: int, cond_drop: float, generator: torch.Generator) -> "Noise":
        """Draw for codes of shape [B, T] on the generator's device."""
        uniform = partial(torch.rand, generator=generator, device=generator.device)
        to_random = RANDOM_SHARE * uniform(shape[0], 1) > uniform(*shape)
        codes = torch.randint(num_codes, shape, generator=generator, device=generator.device)
        return cls(to_random, codes, uniform(shape[0]) < cond_drop)


class CausalGenerator(BaseGenerator):
    """Generates base codes from left to right, up to the end token, from a carried state."""

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
        """Input of the layers [B, S + N, D] for ids [B, N], which include the start."""
        motion = self.input_process(self.token_emb(ids))
        return torch.cat([prefix.tokens.to(motion.dtype), motion], dim=1)

    def logits(
        self, ids: Tensor, cond: Tensor, places: Tensor, cond_valid: Tensor | None = None, drop: Tensor | None = None
    ) -> Tensor:
        """Logits [B, V + 1, N] of the successor of every token, arbitrary at padding; see `BaseGenerator.logits`.
        The start comes first in ids [B, N]; places [B, N] are the real tokens."""
        prefix = self.prefix(cond, cond_valid, drop)
        real = torch.cat([prefix.valid, places.bool()], dim=1)
        hidden = self.seqTransEncoder(self.sequence(ids, prefix), real)
        return self.output_process(hidden[:, prefix.tokens.shape[1] :]).transpose(1, 2)

    def corrupt(self, codes: Tensor, lengths: Tensor, draws: Noise) -> tuple[Tensor, Tensor, Tensor]:
        """Network input, its real positions and the targets of one training step, [B, T + 1]; see `BaseGenerator`."""
        device, (batch, size) = codes.device, codes.shape
        place, until = torch.arange(size + 1, device=device)[None], lengths[:, None]
        noisy = torch.where(draws.to_random.to(device), draws.random_codes.to(device), codes)
        ids = F.pad(noisy, (1, 0), value=self.end_id).masked_fill(place > until, self.pad_id)
        labels = F.pad(codes, (0, 1), value=self.end_id).masked_fill(place > until, self.pad_id)
        return ids, (place <= until).expand(batch, -1), labels.masked_fill(place == until, self.end_id)

    def _generate(self, text: Text, lengths: Tensor | None, limits: Range, options: SamplingOptions) -> Tensor:
        """Generate up to the end token if no lengths are given."""
        size = max_tokens(text[0], lengths, *limits)
        noise = options.noise_for(1, len(text[0]), size)
        state = CausalState(self, *text, options)
        ids = state.write(size, None if noise is None else noise[0], limits[0] if lengths is None else None)
        over = (ids >= self.end_id).cumsum(1) > 0
        if lengths is not None:
            over = torch.arange(ids.shape[1], device=ids.device)[None] >= lengths.to(ids.device)[:, None]
        return ids.masked_fill(over, -1)[:, : int((~over).sum(1).max())]


class CausalState:
    """The generator's state after the caption and all codes read or written so far, for both branches of guidance.
    The model is in evaluation mode while it writes; cond: [B, E] or [B, S, E]; cond_valid: bool [B, S]."""

    def __init__(
        self,
        model: CausalGenerator,
        cond: Tensor,
        cond_valid: Tensor | None = None,
        options: SamplingOptions | None = None,
    ) -> None:
        self.model, self.options = model, options or SamplingOptions()
        self.guidance = Guidance(self.options.cond_scale)
        self.state: list[Any] | None = None
        with evaluating(model), torch.inference_mode():
            prefix = model.guided_prefix(cond, cond_valid, self.guidance)
            start = torch.full((len(prefix.valid), 1), model.end_id, device=model.device)
            real = torch.cat([prefix.valid, torch.ones_like(start, dtype=torch.bool)], dim=1)
            self._next = self._carried(model.sequence(start, prefix), real)

    def read(self, ids: Tensor) -> None:
        """Advance the state by given codes, int64 [B, N]."""
        if ids.shape[1]:
            model = self.model
            with evaluating(model), torch.inference_mode():
                several = self.guidance.repeat(ids.to(model.device))
                self._next = self._carried(model.input_process(model.token_emb(several)), None)

    def write(self, count: int, noise: Tensor | None = None, shortest: int | None = None) -> Tensor:
        """Draw up to `count` more codes; the end token may follow `shortest` of them, or never if that is None.
        Noise: uniforms [B, count], or None at temperature 0. Returns int64 [B, n], n = count unless all samples end
        earlier; the end id fills the rest of an ended sample."""
        model, options, columns = self.model, self.options, []
        with evaluating(model), torch.inference_mode():
            over = torch.zeros(len(self._next) // len(self.guidance.branches), dtype=torch.bool, device=model.device)
            for k in range(count):
                logits = self.guidance.join(self._next)
                uniform = None if noise is None else noise[:, k]
                ends = shortest is not None and k >= shortest
                drawn, _ = sampling.draw_or_end(logits, options.keep_share, options.temperature, uniform, ends)
                over = over | (drawn == model.end_id)
                columns.append(drawn.masked_fill(over, model.end_id))
                if bool(over.all()):
                    break
                x = model.input_process(model.token_emb(self.guidance.repeat(drawn)))
                assert self.state is not None
                hidden, self.state = model.seqTransEncoder.stack.step(x, self.state)
                self._next = model.output_process(hidden)
        return torch.stack(columns, dim=1)

    def _carried(self, x: Tensor, valid: Tensor | None) -> Tensor:
        """Read x [n B, L, D]; returns the logits after its last element [n B, V + 1]."""
        hidden, self.state = self.model.seqTransEncoder.stack.carried(x, self.state, valid)
        return self.model.output_process(hidden[:, -1])
