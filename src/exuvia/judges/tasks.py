"""Training of the evaluator and the classifier (tasks for `train.fit`), and loading of finished runs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from exuvia.checkpoint import ScaledRun, load_run
from exuvia.config import to_dict
from exuvia.data.clips import ClipSet
from exuvia.errors import CheckpointError, ConfigError
from exuvia.features.normaliser import Normaliser
from exuvia.judges.classifier import MotionClassifier, ViolenceDetector, action_groups
from exuvia.judges.clips import binary_labels, distinct_batches, judged_clips, kinds_of, negatives, padded, random_crop
from exuvia.judges.guo import GuoEvaluator, MotionTextEvaluator, contrastive_loss, info_nce_loss
from exuvia.judges.metrics import BATCH, mm_dist, r_precision
from exuvia.judges.roc import OperatingPoint, operating_point, roc_auc
from exuvia.judges.settings import VIOLENT, ClassifierConfig, ClassifierTaskConfig, EvaluatorConfig, GuoConfig
from exuvia.readers import as_type, read_json
from exuvia.text.tags import tag
from exuvia.text.word_vectors import GloVeWords, MiniLMWords, Words, WordTable, WordVectors


class EvaluatorTask:
    """Embeds captions and motions in one space."""

    kind = "evaluator"

    def __init__(self, clips: ClipSet, vectors: WordVectors, config: EvaluatorConfig) -> None:
        self.config = config
        self.model = GuoEvaluator(config.model)
        self.table = WordTable(vectors)
        self.clips, self.held = judged_clips(clips, captioned=True)
        fitted = self.clips.normaliser()
        self.normaliser = fitted.evaluator() if config.published_std else fitted
        self.kinds = kinds_of(self.clips)

    def batch(self, step: int, rng: np.random.Generator) -> Mapping[str, Tensor]:
        """Random crops of different clips, each with one of its captions, and a mask of wrong pairs."""
        numbers = self.clips.sample(self.config.batch_size, rng)
        return {**self._pairs(self.clips, numbers, rng), "negative": negatives([self.kinds[n] for n in numbers])}

    def _pairs(self, clips: ClipSet, numbers: Sequence[int], rng: np.random.Generator) -> dict[str, Tensor]:
        crops, captions = [], []
        for number in numbers:
            record = clips.record(number)
            caption = record.captions[int(rng.integers(len(record.captions)))]
            captions.append(self._heard(self.table.caption(caption.text, caption.tokens), clips is self.clips, rng))
            crops.append(random_crop(clips, number, self.config.model.max_frames, rng, caption))
        features, lengths = padded(clips, numbers, crops, self.normaliser)
        words, pos, sizes = self.table.gather(captions)
        return {"features": features, "lengths": lengths, "words": words, "pos": pos, "sizes": sizes}

    def _heard(self, words: Words, training: bool, rng: np.random.Generator) -> Words:
        """In training, the caption without some of its words."""
        if not training or not self.config.word_dropout:
            return words
        keep = rng.random(len(words)) >= self.config.word_dropout
        keep[[0, -1]] = True
        pairs = [pair for pair, kept in zip(zip(words.words, words.classes, strict=True), keep, strict=True) if kept]
        return Words(tuple(w for w, _ in pairs), tuple(c for _, c in pairs))

    def embed(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Caption and motion embeddings [B, E] of a batch."""
        text = self.model.embed_text(batch["words"], batch["pos"], batch["sizes"])
        return text, self.model.embed_motion(batch["features"], batch["lengths"])

    def loss(self, batch: Mapping[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The chosen loss, and the mean distances of right and wrong pairs."""
        text, motion = self.embed(batch)
        negative = batch["negative"]
        if self.config.loss == "published":
            negative = negative & _shifted(len(text), generator).to(negative.device)
        loss = contrastive_loss(text, motion, negative, self.config.margin)
        if self.config.loss == "nce":
            loss = info_nce_loss(text, motion, batch["negative"], self.config.scale) + 0.01 * loss
        with torch.no_grad():
            apart = torch.cdist(text.float(), motion.float())
            right, wrong = apart.diagonal().mean(), apart[batch["negative"]].mean()
        return loss, {"right": right, "wrong": wrong}

    @torch.no_grad()
    def validate(self) -> Mapping[str, float]:
        """R-precision and matching distance on held-out clips, in batches of 32 clips of different kinds."""
        rng = np.random.default_rng(0)
        device = next(self.model.parameters()).device
        size = min(BATCH, max(2, len(self.held) // 4))
        texts, motions = [], []
        for _ in range(5):
            for numbers in distinct_batches(self.held, size, rng):
                batch = {k: v.to(device) for k, v in self._pairs(self.held, numbers, rng).items()}
                text, motion = self.embed(batch)
                texts.append(text.float().cpu())
                motions.append(motion.float().cpu())
        if not texts:
            raise ConfigError(f"the {len(self.held)} validation clips are too few or too alike for a batch of {size}")
        pairs = torch.cat(texts).numpy(), torch.cat(motions).numpy()
        shares = r_precision(*pairs, 3, size)
        precision = {f"r_precision@{k + 1}": float(share) for k, share in enumerate(shares)}
        return {**precision, "mm_dist": mm_dist(*pairs), "pool": float(size)}

    def describe(self) -> dict[str, Any]:
        """Configuration of the run."""
        words = {"name": self.table.vectors.name, "fingerprint": self.table.vectors.fingerprint}
        return {"kind": self.kind, **to_dict(self.config), "words": words, **self.normaliser.listed()}


class ClassifierTask:
    """Detects violence and action groups in motions."""

    kind = "classifier"

    def __init__(self, clips: ClipSet, config: ClassifierTaskConfig) -> None:
        self.config = config
        self.model = MotionClassifier(config.model)
        self.clips, self.held = judged_clips(clips)
        self.normaliser = self.clips.normaliser()
        self.targets, self.known = _targets(self.clips, config.model.outputs)
        violent = self.targets[:, 0] > 0
        if not violent.any() or violent.all():
            raise ConfigError(f"{int(violent.sum())} of {len(violent)} train clips are violent, expected both kinds")
        chances = self.clips.chances
        self.pools = [chances * kind / (chances * kind).sum() for kind in (violent, ~violent)]

    def batch(self, step: int, rng: np.random.Generator) -> Mapping[str, Tensor]:
        """Random crops with noise, a quarter of them from violent clips."""
        quarter = self.config.batch_size // 4
        counts = (quarter, self.config.batch_size - quarter)
        drawn = [rng.choice(len(pool), count, p=pool) for pool, count in zip(self.pools, counts, strict=True)]
        numbers = [int(number) for part in drawn for number in part]
        crops = [random_crop(self.clips, n, self.config.max_frames, rng) for n in numbers]
        features, lengths = padded(self.clips, numbers, crops, self.normaliser)
        for row in np.flatnonzero(rng.random(len(numbers)) < self.config.smoothing):
            real, reach = features[row, : int(lengths[row])], int(rng.integers(1, 4))
            padded_row = F.pad(real.T[None], (reach, reach), mode="replicate")
            real.copy_(F.avg_pool1d(padded_row, 2 * reach + 1, stride=1)[0].T)  # a moving average
        size = self.config.noise * rng.random((len(numbers), 1, 1))
        noise = (rng.standard_normal(features.shape) * size).astype(np.float32)
        return {
            "features": features + torch.from_numpy(noise),
            "lengths": lengths,
            "targets": torch.from_numpy(self.targets[numbers]),
            "known": torch.from_numpy(self.known[numbers]),
        }

    def loss(self, batch: Mapping[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Cross-entropy of violence, and of the action groups of captioned clips."""
        logits = self.model(batch["features"], batch["lengths"])
        smooth = self.config.label_smoothing
        targets = batch["targets"] * (1 - 2 * smooth) + smooth
        each = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
        violence = each[:, 0].mean()
        known = batch["known"][:, None]
        actions = (each[:, 1:] * known).sum() / (known.sum() * max(1, each.shape[1] - 1)).clamp(min=1)
        right = ((logits[:, 0] > 0) == (batch["targets"][:, 0] > 0.5)).float().mean()
        return violence + self.config.action_weight * actions, {"violence": violence.detach(), "accuracy": right}

    def validate(self) -> Mapping[str, float]:
        """Areas under the ROC curve on held-out clips (over all, and within sources), and the threshold."""
        scores = self.detector().violence_probability([self.held.features(n) for n in range(len(self.held))])
        labels = binary_labels(self.held, VIOLENT)
        sources = [self.held.record(n).source for n in range(len(self.held))]
        point = operating_point(scores, labels, self.config.false_rate)
        areas = {"auc": roc_auc(scores, labels), "auc_within_sources": auc_within(scores, labels, sources)}
        return areas | asdict(point)

    def detector(self) -> ViolenceDetector:
        """A detector with the current weights and without a threshold; sets the model to evaluation mode."""
        return ViolenceDetector(self.model, self.normaliser, OperatingPoint(0.5, np.nan, np.nan))

    def describe(self) -> dict[str, Any]:
        """Configuration of the run."""
        return {"kind": self.kind, **to_dict(self.config), **self.normaliser.listed()}


def auc_within(scores: Any, labels: Any, sources: Sequence[str]) -> float:
    """Area under the curve over pairs from the same source: knowing the source does not help. NaN without pairs."""
    x, y, names = np.asarray(scores), np.asarray(labels, bool), np.asarray(sources)
    right = pairs = 0.0
    for name in sorted(set(sources)):
        mine = names == name
        weight = float(y[mine].sum() * (~y[mine]).sum())
        if weight:
            right += weight * roc_auc(x[mine], y[mine])
            pairs += weight
    return right / pairs if pairs else float("nan")


GLOVE_FOLDER = "glove"
"""Sub-folder with the word vectors of an imported evaluator."""


class _EvaluatorRun(ScaledRun):
    words: dict[str, str]


def load_evaluator(folder: str | Path, vectors: WordVectors | None = None) -> MotionTextEvaluator:
    """Load the evaluator of a finished run, with its statistics; vectors default to those in the folder or MiniLM's.
    Raises CheckpointError for no such run, weights that do not fit, or word vectors other than in the training."""
    model, config = load_run(folder, EvaluatorTask.kind, GuoEvaluator, GuoConfig, _EvaluatorRun)
    glove = Path(folder) / GLOVE_FOLDER
    vectors = vectors or (GloVeWords(glove) if glove.is_dir() else MiniLMWords())
    trained = config["words"]
    if trained != {"name": vectors.name, "fingerprint": vectors.fingerprint}:
        raise CheckpointError(f"{folder} was trained with word vectors {trained}, found {vectors.name!r}; use those")
    return MotionTextEvaluator(model, vectors, Normaliser.of_run(config, folder))


def load_detector(folder: str | Path) -> ViolenceDetector:
    """Load the violence detector of a finished run, with the threshold chosen on its validation clips.
    Raises CheckpointError for no such run, or weights that do not fit."""
    model, config = load_run(folder, ClassifierTask.kind, MotionClassifier, ClassifierConfig, ScaledRun)
    path = Path(folder) / "metrics.json"
    metrics = as_type(dict[str, float], read_json(path, CheckpointError), path, CheckpointError)
    try:
        point = OperatingPoint(metrics["val/threshold"], metrics["val/hit_rate"], metrics["val/false_rate"])
    except KeyError:
        raise CheckpointError(f"{path} has no threshold; train the classifier again") from None
    return ViolenceDetector(model, Normaliser.of_run(config, folder), point)


def _shifted(count: int, generator: torch.Generator) -> Tensor:
    """True at one other column per row, with the same random shift for all rows."""
    shift = int(torch.randint(1, max(2, count), (1,), generator=generator, device=generator.device))
    return torch.roll(torch.eye(count, dtype=torch.bool), shift, dims=1)


def _targets(clips: ClipSet, outputs: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Targets [N, outputs], 0 or 1, and whether the action groups of a clip are known from captions [N]."""
    targets = np.zeros((len(clips), len(outputs)), np.float32)
    known = np.zeros(len(clips), np.float32)
    targets[:, 0] = binary_labels(clips, VIOLENT)
    for number in range(len(clips)):
        captions = clips.record(number).captions
        known[number] = bool(captions)
        groups = {g for caption in captions for g in action_groups([word for word, _ in tag(caption.text)])}
        targets[number, 1:] = [name in groups for name in outputs[1:]]
    return targets, known
