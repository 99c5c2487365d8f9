"""R-precision of a generator in training, for held-out captions (Sec. 5.1 [guo2022humanml3d])."""

import numpy as np
import torch
from torch import Tensor

from exuvia.codes.corpus import CaptionedCodes
from exuvia.errors import ConfigError
from exuvia.features.normaliser import Normaliser
from exuvia.judges.guo import MotionTextEvaluator
from exuvia.judges.metrics import BATCH, r_precision
from exuvia.pipeline.settings import GenerationConfig
from exuvia.sequence.base import BaseGenerator
from exuvia.tokens.rvqvae import RVQVAE


class HeldCaptions:
    """Distinct captions of held-out clips, with the lengths of these clips."""

    def __init__(
        self,
        held: CaptionedCodes,
        tokenizer: RVQVAE,
        normaliser: Normaliser,
        judge: MotionTextEvaluator,
        batches: int = 4,
    ) -> None:
        """Draw `batches` times 32 captions by the shares of their stores, or fewer if there are not as many.
        Raises ConfigError for fewer than 32 captions."""
        self.tokenizer, self.normaliser, self.judge = tokenizer, normaliser, judge
        rng = np.random.default_rng(0)
        lengths: dict[int, int] = {}
        for pick in np.searchsorted(held.cumulative, rng.random(40 * batches * BATCH) * held.cumulative[-1]):
            sample = held.samples[pick]
            caption = sample.captions[int(rng.integers(len(sample.captions)))]
            lengths.setdefault(caption, min((sample.end - sample.start) // held.stride, held.rule.max_steps))
        count = min(batches, len(lengths) // BATCH) * BATCH
        if not count:
            raise ConfigError(f"found {len(lengths)} captions of held-out clips, expected at least {BATCH} for a judge")
        captions = list(lengths)[:count]
        self.lengths = torch.tensor([lengths[caption] for caption in captions])
        self.cond, valid = held.captions.gather(captions)
        self.valid: Tensor | None = valid
        if held.pooled:
            self.cond, self.valid = held.captions.pooled[captions][:, None], None
        self.text = judge.embed_text([held.captions.texts[caption] for caption in captions])

    def r3(self, model: BaseGenerator) -> float:
        """Share of captions whose generated motion, from base codes alone, is among the nearest 3 of 32."""
        device, sampling = next(model.parameters()).device, GenerationConfig()
        valid = None if self.valid is None else self.valid.to(device)
        codes = model.generate(
            self.cond.to(device), self.lengths.to(device), valid,
            seeds=range(len(self.lengths)), steps=sampling.steps, **sampling.of_base(),
        ).cpu()  # fmt: skip
        clips = [
            self.normaliser.denormalise(self.tokenizer.decode(row[None, :steps, None])[0].numpy())
            for row, steps in zip(codes, self.lengths.tolist(), strict=True)
        ]
        return float(r_precision(self.text.numpy(), self.judge.embed_clips(clips).numpy())[2])
