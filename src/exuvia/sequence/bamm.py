"""BAMM: a causal decoder that also fills gaps, and ends a motion by an end token.   [pinyo2024bamm]

The decoder and its two passes are in bamm_decoder.py; this file holds its training. Facts: BAMM,
models/mask_transformer/transformer.py, MaskTransformer.forward, commit c9c6be0.
"""

from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from exuvia.sequence.bamm_decoder import BAMMDecoder, BAMMOptions, generate
from exuvia.sequence.base import Range, Text
from exuvia.sequence.sampling import SamplingOptions, token_accuracy
from exuvia.sequence.trunk import valid_from_lengths

REVEAL_SHARE = 0.5
"""Share of training batches that reveal positions. It is also the maximum rate of revealed positions and of random
codes in a batch; rates are drawn uniformly."""


@dataclass(frozen=True)
class Reveal:
    """The random draws of one training step."""

    given: Tensor
    """bool [B, T + 1]: revealed positions, up to the end."""
    to_random: Tensor
    """bool [B, T + 1]: positions before the end at which the network reads a random code."""
    random_codes: Tensor
    """int64 [B, T + 1] in [0, V)."""
    drop: Tensor | None = None
    """bool [B]: the sample loses its condition; None = no sample does."""

    @classmethod
    def draw(cls, shape: tuple[int, int], num_codes: int, cond_drop: float, generator: torch.Generator) -> "Reveal":
        """Draw for codes of shape [B, T] on the generator's device, with one rate of each kind per batch."""
        size, device = (shape[0], shape[1] + 1), generator.device
        uniform = partial(torch.rand, generator=generator, device=device)
        reveals, rate, noise = uniform(3).tolist()
        share = REVEAL_SHARE * rate if reveals < REVEAL_SHARE else 0.0
        given, to_random = uniform(*size) < share, uniform(*size) < REVEAL_SHARE * noise
        codes = torch.randint(num_codes, size, generator=generator, device=device)
        return cls(given, to_random, codes, uniform(shape[0]) < cond_drop)


class BAMM(BAMMDecoder):
    """A generator of base codes that finds its own lengths."""

    PREDICTS_LENGTH, DRAWS = True, Reveal

    def corrupt(self, codes: Tensor, lengths: Tensor, draws: Reveal) -> tuple[Tensor, Tensor, Tensor]:
        """Network input, given positions and targets [B, T + 1] of one training step; see `BaseGenerator`.

        The end token is at `lengths`, with padding after it; some codes before it are random in the input.
        """
        valid_from_lengths(lengths, codes.shape[1])
        device, size = codes.device, codes.shape[1] + 1
        place, until = torch.arange(size, device=device)[None], lengths[:, None]
        labels = F.pad(codes, (0, 1), value=self.pad_id).masked_fill(place > until, self.pad_id)
        labels = labels.masked_fill(place == until, self.end_id)
        noisy = draws.to_random.to(device) & (place < until)
        ids = torch.where(noisy, draws.random_codes.to(device), labels)
        return ids, draws.given.to(device) & (place <= until), labels

    def score(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Cross entropy, averaged over the tokens of each sample and then over samples, and accuracy, of logits
        [B, V + 1, N + 1 or more] for labels [B, N + 1], codes and end; padding does not count."""
        logits, counted = logits[..., : labels.shape[1]].float(), labels != self.pad_id
        target = labels.masked_fill(~counted, 0)
        nats = F.cross_entropy(logits, target, reduction="none") * counted
        accuracy = token_accuracy(logits.detach(), labels, self.pad_id)
        return (nats.sum(1) / counted.sum(1).clamp(min=1)).mean(), accuracy

    def _generate(self, text: Text, lengths: Tensor | None, limits: Range, options: SamplingOptions) -> Tensor:
        return generate(self, text, lengths, limits, BAMMOptions(**vars(options)))
