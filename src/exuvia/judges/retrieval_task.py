"""Training of the retrieval model (a task for `train.fit`), and loading of a finished run.   [petrovich2023tmr]"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from exuvia.checkpoint import ScaledRun, load_run
from exuvia.config import to_dict
from exuvia.data.clips import ClipSet
from exuvia.errors import CheckpointError
from exuvia.features.normaliser import Normaliser
from exuvia.judges.clips import judged_clips, padded, random_crop
from exuvia.judges.retrieval import MotionTextRetrieval, RetrievalModel
from exuvia.judges.retrieval_losses import info_nce, kl_divergence, ranks, recalls, similarity
from exuvia.judges.settings import RetrievalConfig, RetrievalTaskConfig
from exuvia.registry import TEXT_ENCODER, resolve
from exuvia.text.base import TextEncoder


class RetrievalTask:
    """Embeds motions and captions in one space."""

    kind = "retrieval"

    def __init__(self, clips: ClipSet, config: RetrievalTaskConfig, text: TextEncoder | None = None) -> None:
        self.config = config
        self.model = RetrievalModel(config.model)
        self.text = text or resolve(TEXT_ENCODER, config.text, "text encoder")()
        self.clips, self.held = judged_clips(clips, captioned=True)
        self.normaliser = self.clips.normaliser()
        self._sentences: dict[str, tuple[Tensor, Tensor]] = {}

    def batch(self, step: int, rng: np.random.Generator) -> Mapping[str, Tensor]:
        """A batch of different clips, each with one of its captions."""
        return self._pairs(self.clips, self.clips.sample(self.config.batch_size, rng), rng)

    def _pairs(self, clips: ClipSet, numbers: Sequence[int], rng: np.random.Generator) -> dict[str, Tensor]:
        crops, texts = [], []
        for number in numbers:
            captions = clips.record(number).captions
            caption = captions[int(rng.integers(len(captions)))]
            texts.append(caption.text)
            crops.append(random_crop(clips, number, self.config.model.max_frames, rng, caption))
        motion, lengths = padded(clips, numbers, crops, self.normaliser)
        states, pooled = zip(*(self._sentence(text) for text in texts), strict=True)
        tokens = torch.tensor([len(state) for state in states])
        return {
            "motion": motion,
            "valid": torch.arange(motion.shape[1]) < lengths[:, None],
            "states": pad_sequence(list(states), batch_first=True),
            "text_valid": torch.arange(int(tokens.max())) < tokens[:, None],
            "sentences": torch.stack(list(pooled)),
        }

    def _sentence(self, text: str) -> tuple[Tensor, Tensor]:
        """Token states [S, E] and unit vector [E] of a sentence, cached."""
        if text not in self._sentences:
            encoded = self.text.encode([text])
            self._sentences[text] = encoded.states[0, encoded.valid[0]], F.normalize(encoded.pooled[0], dim=0)
        return self._sentences[text]

    def loss(self, batch: Mapping[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The weighted sum of the published losses."""
        c, model, valid = self.config, self.model, batch["valid"]
        motion, text = model.motion(batch["motion"], valid), model.text(batch["states"], batch["text_valid"])
        (mean_m, var_m), (mean_t, var_t) = (tokens.float().unbind(1) for tokens in (motion, text))
        drawn = [_draw(mean, var, generator) for mean, var in ((mean_m, var_m), (mean_t, var_t))]
        both = torch.cat([valid, valid])
        motions = model.decoder(torch.cat(drawn), both).float()
        decoded = F.smooth_l1_loss(motions[both], torch.cat([batch["motion"], batch["motion"]])[both])
        zero = torch.zeros_like(mean_m)
        pairs = [(mean_t, var_t, mean_m, var_m), (mean_m, var_m, mean_t, var_t)]
        pairs += [(mean_m, var_m, zero, zero), (mean_t, var_t, zero, zero)]
        divergence = torch.stack([kl_divergence(*pair) for pair in pairs]).sum()
        contrast = info_nce(drawn[1], drawn[0], batch["sentences"], c.temperature, c.threshold)
        near = F.smooth_l1_loss(drawn[1], drawn[0])
        total = c.reconstruction * decoded + c.kl * divergence + c.latent * near + c.contrast * contrast
        return total, {"decoded": decoded.detach(), "contrast": contrast.detach()}

    @torch.no_grad()
    def validate(self) -> Mapping[str, float]:
        """Recall of captions and motions among all held-out clips, and among batches of 32."""
        rng, batches = np.random.default_rng(0), []
        device = next(self.model.parameters()).device
        for low in range(0, len(self.held), 32):
            numbers = list(range(low, min(len(self.held), low + 32)))
            batch = {k: v.to(device) for k, v in self._pairs(self.held, numbers, rng).items()}
            text = self.model.text(batch["states"], batch["text_valid"])[:, 0]
            motion = self.model.motion(batch["motion"], batch["valid"])[:, 0]
            batches.append((text.float().cpu(), motion.float().cpu()))
        text, motion = (torch.cat(rows) for rows in zip(*batches, strict=True))
        scores = similarity(text, motion).double().numpy()
        values = recalls(ranks(scores), "t2m") | recalls(ranks(scores.T), "m2t")
        small = [ranks(similarity(a, b).double().numpy()) for a, b in batches if len(a) == 32] or [ranks(scores)]
        return values | recalls(np.concatenate(small), "t2m_of_32")

    def describe(self) -> dict[str, Any]:
        """Configuration of the run."""
        about = {"kind": self.kind, **to_dict(self.config), "text_fingerprint": self.text.fingerprint}
        return about | self.normaliser.listed()


def _draw(mean: Tensor, logvar: Tensor, generator: torch.Generator) -> Tensor:
    noise = torch.randn(mean.shape, generator=generator, device=generator.device).to(mean)
    return mean + noise * (logvar / 2).exp()


class _Run(ScaledRun):
    text: str
    text_fingerprint: str


def load_retrieval(folder: str | Path, text: TextEncoder | None = None) -> MotionTextRetrieval:
    """Load the retrieval model of a finished run.
    Raises CheckpointError for no such run, weights that do not fit, or a caption encoder other than in the training."""
    model, config = load_run(folder, RetrievalTask.kind, RetrievalModel, RetrievalConfig, _Run)
    text = text or resolve(TEXT_ENCODER, config["text"], "text encoder")()
    if text.fingerprint != config["text_fingerprint"]:
        raise CheckpointError(f"{folder} was trained with a caption encoder other than the installed {text.name!r}")
    return MotionTextRetrieval(model, text, Normaliser.of_run(config, folder))
