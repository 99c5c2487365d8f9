"""BAMM: one causal decoder that also fills gaps, and says by an end token how long a motion is.   [pinyo2024bamm]

The decoder is in bamm_decoder.py, its two passes in bamm_generate.py; here is how it learns. Facts: BAMM,
models/mask_transformer/transformer.py, MaskTransformer.forward, commit c9c6be0.
"""

from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from exuvia.sequence import bamm_generate
from exuvia.sequence.bamm_decoder import BAMMDecoder
from exuvia.sequence.base import Range, Seeds, Text
from exuvia.sequence.sampling import Drawing
from exuvia.sequence.trunk import valid_from_lengths

REVEAL_SHARE = 0.5
"""Of the training batches reveal places; a batch's rate is uniform up to this too, and so is that of random codes."""


@dataclass(frozen=True)
class Reveal:
    """The random draws of one training step."""

    given: Tensor
    """bool [B, T + 1]: revealed if before the end or at it."""
    to_random: Tensor
    """bool [B, T + 1]: if before the end, the network reads a random code there."""
    random_codes: Tensor
    """int64 [B, T + 1] in [0, V)."""
    drop: Tensor | None = None
    """bool [B]: loses its condition; None = none does."""

    @classmethod
    def draw(cls, shape: tuple[int, int], num_codes: int, cond_drop: float, generator: torch.Generator) -> "Reveal":
        """Draw for codes of shape [B, T] on the generator's device: one rate of each kind a batch."""
        size, where = (shape[0], shape[1] + 1), generator.device
        uniform = partial(torch.rand, generator=generator, device=where)
        reveals, rate, noise = uniform(3).tolist()
        share = REVEAL_SHARE * rate if reveals < REVEAL_SHARE else 0.0
        given, to_random = uniform(*size) < share, uniform(*size) < REVEAL_SHARE * noise
        codes = torch.randint(num_codes, size, generator=generator, device=where)
        return cls(given, to_random, codes, uniform(shape[0]) < cond_drop)


class BAMM(BAMMDecoder):
    """A generator of base codes that finds its own lengths."""

    PREDICTS_LENGTH, DRAWS = True, Reveal

    def corrupt(self, codes: Tensor, lengths: Tensor, draws: Reveal) -> tuple[Tensor, Tensor, Tensor]:
        """Network input, given places and targets [B, T + 1] of one training step; see `BaseGenerator`.

        The end stands at `lengths`, padding after it; some codes before it are random in the input.
        """
        valid_from_lengths(lengths, codes.shape[1])
        where, size = codes.device, codes.shape[1] + 1
        place, until = torch.arange(size, device=where)[None], lengths[:, None]
        labels = F.pad(codes, (0, 1), value=self.pad_id).masked_fill(place > until, self.pad_id)
        labels = labels.masked_fill(place == until, self.end_id)
        noisy = draws.to_random.to(where) & (place < until)
        ids = torch.where(noisy, draws.random_codes.to(where), labels)
        return ids, draws.given.to(where) & (place <= until), labels

    def score(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Cross entropy, a mean over samples of the mean over their tokens, and accuracy.

        Args:
            logits: [B, V + 1, N + 1 or more]; labels: [B, N + 1], of codes and end; padding does not count
        """
        logits, counted = logits[..., : labels.shape[1]].float(), labels != self.pad_id
        target = labels.masked_fill(~counted, 0)
        nats = F.cross_entropy(logits, target, reduction="none") * counted
        right = (logits.detach().argmax(1) == labels) & counted
        accuracy = right.sum().float() / counted.sum().clamp(min=1)
        return (nats.sum(1) / counted.sum(1).clamp(min=1)).mean(), accuracy

    def _written(self, text: Text, lengths: Tensor | None, seeds: Seeds, limits: Range, how: Drawing) -> Tensor:
        run = partial(bamm_generate.generate, seeds=seeds, shortest=limits[0], longest=limits[1])
        writing = bamm_generate.Writing(how.cond_scale, how.keep_share, how.temperature)
        return run(self, text[0], lengths, text[1], writing=writing)
