"""Captioned clips as codes, drawn in batches, for training and tuning sequence models."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from exuvia.cache import Arrays, keep_arrays, recall_arrays
from exuvia.codes.encode import Precision, encode_clips
from exuvia.data.clips import ClipSet
from exuvia.errors import ConfigError
from exuvia.features.normaliser import Normaliser
from exuvia.progress import progress_bar
from exuvia.sequence.base import BaseGenerator
from exuvia.sequence.residual_transformer import ResidualTransformer
from exuvia.text.base import TextEncoder
from exuvia.tokens.rvqvae import RVQVAE


@dataclass(frozen=True)
class DrawRule:
    """Rules for drawing samples from clips."""

    max_steps: int = 49
    """Longest crop, in code steps."""
    min_steps: int = 5
    """Minimum length of a sample, in code steps."""
    offsets: int = 1
    """Number of encodings of every clip, each starting one frame later; a sample uses one of them."""
    shorter: float = 0.0
    """Share of crops that are one step shorter than possible."""
    timed: bool = False
    """Whether a caption with times belongs to that part of its clip only."""
    by_share: bool = False
    """Whether to draw clips by the shares of their stores; otherwise all clips are equally likely."""

    @classmethod
    def training(cls, max_steps: int = 49, offsets: int = 4) -> "DrawRule":
        """The published rule: a third of the crops is one step shorter.   momask-codes, data/t2m_dataset.py"""
        return cls(max_steps, offsets=offsets, shorter=1 / 3, timed=True, by_share=True)


@dataclass(frozen=True)
class Sample:
    """One captioned part of one clip."""

    clip: int
    """Number of the clip."""
    captions: tuple[int, ...]
    """Numbers of its captions in the caption table."""
    start: int
    """First frame."""
    end: int
    """Frame after the last."""


class CaptionTable:
    """Token states of every distinct caption, packed without padding."""

    def __init__(
        self, texts: Sequence[str], encoder: TextEncoder, *, compact: bool = False, cache: Path | None = None
    ) -> None:
        """Encode captions, equal ones once. `compact`, for many captions, encodes those of similar length together and
        stores half precision; `cache` is a folder for the table."""
        self.texts = list(dict.fromkeys(texts))
        if compact:
            self.texts.sort(key=lambda text: (len(text), text))
        self.index = {text: number for number, text in enumerate(self.texts)}
        kind = torch.float16 if compact else torch.float32

        facts = [encoder.fingerprint, self.texts, compact]
        kept = recall_arrays(cache, "captions", facts)
        if kept is None:
            kept = keep_arrays(cache, "captions", facts, _encoded(self.texts, encoder, kind))
        self.pooled = torch.from_numpy(kept["pooled"])
        """[N, E]"""
        self.states = torch.from_numpy(kept["states"]).split(kept["sizes"].tolist())
        """[S, E] of every caption"""

    def gather(self, numbers: Sequence[int]) -> tuple[Tensor, Tensor]:
        """States [B, S, E] of captions, float32, zero at padding, and their mask [B, S]."""
        states = [self.states[number].float() for number in numbers]
        sizes = torch.tensor([len(state) for state in states])
        return pad_sequence(states, batch_first=True), torch.arange(int(sizes.max())) < sizes[:, None]


def _encoded(texts: Sequence[str], encoder: TextEncoder, kind: torch.dtype, batch: int = 64) -> Arrays:
    states: list[Tensor] = []
    pooled = []
    with progress_bar("encode", "captions") as progress:
        for low in range(0, len(texts), batch):
            encoded = encoder.encode(list(texts[low : low + batch]))
            states += [row[real].to(kind) for row, real in zip(encoded.states, encoded.valid, strict=True)]
            pooled.append(encoded.pooled)
            progress(len(states), len(texts))
    sizes = np.asarray([len(state) for state in states], np.int64)
    return {"states": torch.cat(states).cpu().numpy(), "sizes": sizes, "pooled": torch.cat(pooled).cpu().numpy()}


class CaptionedCodes:
    """Captioned clips as code sequences, with the embeddings of their captions."""

    def __init__(
        self,
        clips: ClipSet,
        tokenizer: RVQVAE,
        normaliser: Normaliser,
        encoder: TextEncoder,
        rule: DrawRule,
        *,
        pooled: bool = False,
        compact: bool = False,
        precision: Precision = "float32",
        cache: Path | None = None,
    ) -> None:
        """Encode clips and captions.

        Args:
            clips: clips; those without a caption are ignored
            tokenizer, normaliser, encoder: parts of the generator to train
            rule: how samples are drawn
            pooled: use captions' sentence vectors, as published, instead of token states
            compact: see `CaptionTable`
            precision: precision of the tokenizer's convolutions, see `encode_clips`
            cache: folder for codes and captions
        Raises:
            ConfigError: no clip has a caption and enough steps.
        """
        self.clips = clips.choose(captioned=True)
        self.rule, self.pooled, self.stride = rule, pooled, tokenizer.config.stride
        self.codes = encode_clips(
            self.clips, range(len(self.clips)), tokenizer, normaliser,
            offsets=rule.offsets, precision=precision, cache=cache,
        )  # fmt: skip
        texts = [caption.text for number in range(len(self.clips)) for caption in self.clips.record(number).captions]
        self.captions = CaptionTable(texts, encoder, compact=compact, cache=cache)
        self.samples = [sample for number in range(len(self.clips)) for sample in self._samples(number)]
        if not self.samples:
            frames = rule.min_steps * self.stride
            raise ConfigError(f"none of {len(clips)} clips has a caption and {frames} frames to learn from")
        owners = [sample.clip for sample in self.samples]
        self.cumulative = np.cumsum(self.clips.weights(owners, np.ones(len(owners))))

    def __len__(self) -> int:
        return len(self.samples)

    def _samples(self, number: int) -> list[Sample]:
        """One sample for all captions of the whole clip; one per caption with times, if the rule respects times."""
        record, fewest = self.clips.record(number), self.rule.min_steps * self.stride
        frames = len(self.codes[number * self.rule.offsets]) * self.stride
        whole: list[int] = []
        samples: list[Sample] = []
        for caption in record.captions:
            index = self.captions.index[caption.text]
            if not (self.rule.timed and caption.end_s):
                whole.append(index)
                continue
            start, end = round(caption.start_s * record.fps), min(frames, round(caption.end_s * record.fps))
            if end - start >= fewest:
                samples.append(Sample(number, (index,), start, end))
        if whole and frames >= fewest:
            samples.append(Sample(number, tuple(whole), 0, frames))
        return samples

    def draw(self, count: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """Random crops of random samples, each with one of its captions: codes [B, T, Q], -1 at padding; lengths [B] in
        steps; pooled [B, E]; cond [B, S, E] and, for token states, cond_valid [B, S]."""
        if self.rule.by_share:
            picks = np.searchsorted(self.cumulative, rng.random(count) * self.cumulative[-1], side="right")
        else:
            picks = rng.integers(len(self.samples), size=count)
        crops, captions = [], []
        for sample in (self.samples[pick] for pick in picks):
            crops.append(torch.from_numpy(self._crop(sample, rng).astype(np.int64)))
            captions.append(sample.captions[int(rng.integers(len(sample.captions)))])
        batch = {
            "codes": pad_sequence(crops, batch_first=True, padding_value=-1),
            "lengths": torch.tensor([len(crop) for crop in crops]),
            "pooled": self.captions.pooled[captions],
        }
        if self.pooled:
            return batch | {"cond": batch["pooled"][:, None]}
        states, valid = self.captions.gather(captions)
        return batch | {"cond": states, "cond_valid": valid}

    def _crop(self, sample: Sample, rng: np.random.Generator) -> NDArray[np.int16]:
        first, rule = sample.clip * self.rule.offsets, self.rule
        versions = [number for number in range(first, first + rule.offsets) if len(self.codes[number])]
        codes = self.codes[versions[int(rng.integers(len(versions)))]]
        low, high = sample.start // self.stride, min(len(codes), sample.end // self.stride)
        steps = min(rule.max_steps, high - low)
        if rule.shorter and rng.random() < rule.shorter and steps > rule.min_steps:
            steps -= 1
        start = low + int(rng.integers(high - low - steps + 1))
        return codes[start : start + steps]

    def fixed(self, count: int, seed: int = 0) -> list[Mapping[str, Tensor]]:
        """Fixed batches for validation."""
        rng = np.random.default_rng(seed)
        return [self.draw(min(64, count - low), rng) for low in range(0, count, 64)]


def training_loss(
    model: BaseGenerator | ResidualTransformer, batch: Mapping[str, Tensor], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Training loss and accuracy of a model over codes on a batch of `draw`."""
    codes = batch["codes"] if isinstance(model, ResidualTransformer) else batch["codes"][..., 0]
    given = batch["lengths"], batch["cond"], batch.get("cond_valid")
    return model.loss(codes, *given, generator=generator)
