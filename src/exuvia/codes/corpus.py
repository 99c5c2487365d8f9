"""A corpus as code sequences with caption embeddings: what the sequence models learn from."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from exuvia.checkpoint import load_tensors, save_tensors
from exuvia.codes.stores import Corpus, Item
from exuvia.data.batches import pad_batch
from exuvia.errors import CheckpointError
from exuvia.features.normaliser import Normaliser
from exuvia.text.base import TextEncoder
from exuvia.tokens.rvqvae import RVQVAE

log = logging.getLogger(__name__)

FPS = 20.0


@dataclass(frozen=True)
class Sample:
    """One captioned stretch of one clip."""

    clip: int
    """Index into the clips."""
    captions: tuple[int, ...]
    """Indices into the caption table."""
    start: int
    """First frame."""
    end: int
    """Frame after the last."""


class CaptionTable:
    """Token states of every distinct caption, packed without padding, in half precision."""

    def __init__(self, texts: Sequence[str], encoder: TextEncoder, cache: Path | None = None) -> None:
        self.texts = sorted(set(texts))
        self.index = {text: number for number, text in enumerate(self.texts)}
        path = None if cache is None else cache / f"captions-{_key(encoder.fingerprint, self.texts)}.safetensors"
        kept = _load_kept(path)
        if kept is None:
            self._encode(encoder)
            sizes = torch.tensor([len(state) for state in self.states])
            kept = {"states": torch.cat(self.states), "sizes": sizes, "pooled": self.pooled}
            _keep(path, kept)
        self.pooled: Tensor = kept["pooled"]
        self.states: list[Tensor] = list(kept["states"].split(kept["sizes"].tolist()))

    def _encode(self, encoder: TextEncoder, batch: int = 64) -> None:
        order = sorted(range(len(self.texts)), key=lambda i: len(self.texts[i]))
        states: list[Tensor | None] = [None] * len(order)
        pooled = torch.zeros(len(order), encoder.dim)
        for low in tqdm(range(0, len(order), batch), desc="captions", mininterval=5.0, disable=None):
            part = order[low : low + batch]
            encoded = encoder.encode([self.texts[i] for i in part])
            for row, i in enumerate(part):
                states[i] = encoded.states[row, encoded.valid[row]].half()
                pooled[i] = encoded.pooled[row]
        self.pooled = pooled
        self.states = [state for state in states if state is not None]

    def gather(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """States [B, S, E] float32 and their mask [B, S] of some captions."""
        parts = [self.states[i] for i in indices]
        longest = max(len(part) for part in parts)
        states = torch.zeros(len(parts), longest, parts[0].shape[1])
        valid = torch.zeros(len(parts), longest, dtype=torch.bool)
        for row, part in enumerate(parts):
            states[row, : len(part)] = part.float()
            valid[row, : len(part)] = True
        return states, valid


class CodeCorpus:
    """Clips of one split as codes, at every frame offset under a code step, with their captions."""

    def __init__(
        self,
        corpus: Corpus,
        split: str,
        tokenizer: RVQVAE,
        normaliser: Normaliser,
        encoder: TextEncoder,
        *,
        max_steps: int = 49,
        min_steps: int = 5,
        offsets: int = 4,
        cache: Path | None = None,
    ) -> None:
        self.max_steps, self.min_steps, self.stride = max_steps, min_steps, tokenizer.config.stride
        items = [item for item in corpus.items(split) if item.record.captions]
        self.items: list[Item] = items
        self.codes = _kept_codes(cache, corpus, items, tokenizer, normaliser, offsets)
        texts = [caption.text for item in items for caption in item.record.captions]
        self.captions = CaptionTable(texts, encoder, cache)
        self.samples = [sample for number in range(len(items)) for sample in self._samples(number)]
        sizes = np.ones(len(self.samples))
        owners = [items[sample.clip] for sample in self.samples]
        self.cumulative = np.cumsum(corpus.weights(owners, sizes))

    def _samples(self, number: int) -> list[Sample]:
        """Whole-clip captions together; captions of a part of the clip each on their own."""
        frames = self.codes[number][0].shape[0] * self.stride
        whole: list[int] = []
        parts: list[Sample] = []
        for caption in self.items[number].record.captions:
            index = self.captions.index[caption.text]
            if not caption.end_s:
                whole.append(index)
                continue
            start, end = round(caption.start_s * FPS), min(frames, round(caption.end_s * FPS))
            if end - start >= self.min_steps * self.stride:
                parts.append(Sample(number, (index,), start, end))
        if whole and frames >= self.min_steps * self.stride:
            parts.append(Sample(number, tuple(whole), 0, frames))
        return parts

    def draw(self, count: int, rng: np.random.Generator) -> Mapping[str, Tensor]:
        """A batch: codes [B, T, Q] (-1 = padding), lengths [B] in steps, caption states, mask and pooled vectors.

        Each sample is a random crop of at most `max_steps` steps of its stretch, from a random frame offset.
        """
        picks = np.searchsorted(self.cumulative, rng.random(count) * self.cumulative[-1], side="right")
        crops, captions = [], []
        for pick in picks:
            sample = self.samples[pick]
            crops.append(self._crop(sample, rng))
            captions.append(sample.captions[int(rng.integers(len(sample.captions)))])
        return self._batch(crops, captions)

    def _crop(self, sample: Sample, rng: np.random.Generator) -> NDArray[np.int16]:
        versions = self.codes[sample.clip]
        codes = versions[int(rng.integers(len(versions)))]
        low, high = sample.start // self.stride, min(len(codes), sample.end // self.stride)
        steps = min(self.max_steps, high - low)
        if rng.random() < 1 / 3 and steps > self.min_steps:
            steps -= 1  # the published loader is one unit shorter a third of the time
        start = low + int(rng.integers(high - low - steps + 1))
        return codes[start : start + steps]

    def _batch(self, crops: Sequence[NDArray[np.int16]], captions: Sequence[int]) -> Mapping[str, Tensor]:
        longest = max(len(crop) for crop in crops)
        codes = torch.full((len(crops), longest, crops[0].shape[1]), -1, dtype=torch.long)
        for row, crop in enumerate(crops):
            codes[row, : len(crop)] = torch.from_numpy(crop.astype(np.int64))
        states, valid = self.captions.gather(captions)
        lengths = torch.tensor([len(crop) for crop in crops])
        pooled = self.captions.pooled[list(captions)]
        return {"codes": codes, "lengths": lengths, "cond": states, "cond_valid": valid, "pooled": pooled}

    def fixed(self, count: int, seed: int = 0) -> list[Mapping[str, Tensor]]:
        """The same batches every time, for validation."""
        rng = np.random.default_rng(seed)
        return [self.draw(min(64, count - low), rng) for low in range(0, count, 64)]


def _key(*facts: object) -> str:
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:32]


def _load_kept(path: Path | None) -> dict[str, Tensor] | None:
    """What an earlier run kept, or None if there is nothing whole."""
    if path is None or not path.exists():
        return None
    try:
        return load_tensors(path)
    except CheckpointError:
        log.warning("%s is damaged; made again", path)
        return None


def _keep(path: Path | None, tensors: Mapping[str, Tensor]) -> None:
    if path is not None:
        save_tensors(path, tensors)


def _kept_codes(
    cache: Path | None,
    corpus: Corpus,
    items: Sequence[Item],
    tokenizer: RVQVAE,
    normaliser: Normaliser,
    offsets: int,
) -> list[list[NDArray[np.int16]]]:
    """Codes of every clip from each frame offset, from the cache where an earlier run left them."""
    weights = [hashlib.sha256(t.numpy().tobytes()).hexdigest() for t in tokenizer.state_dict().values()]
    data = [store.data_hash for store in corpus.stores]
    facts = (weights, normaliser.mean.tobytes(), normaliser.std.tobytes(), data, offsets)
    path = None if cache is None else cache / f"codes-{_key(*facts, [(i.store, i.index) for i in items])}.safetensors"
    kept = _load_kept(path)
    if kept is None:
        made = _encode_all(corpus, items, tokenizer, normaliser, offsets)
        flat = [torch.from_numpy(codes) for versions in made for codes in versions]
        counts = torch.tensor([len(versions) for versions in made])
        kept = {"codes": torch.cat(flat), "steps": torch.tensor([len(c) for c in flat]), "versions": counts}
        _keep(path, kept)
    flat_codes = iter(kept["codes"].split(kept["steps"].tolist()))
    return [[next(flat_codes).numpy() for _ in range(count)] for count in kept["versions"].tolist()]


def _encode_all(
    corpus: Corpus, items: Sequence[Item], tokenizer: RVQVAE, normaliser: Normaliser, offsets: int, batch: int = 16
) -> list[list[NDArray[np.int16]]]:
    """Codes [T, Q] of every clip from each of the first frame offsets; clips of like length are encoded together."""
    stride = tokenizer.config.stride
    rows = [corpus.features(item) for item in items]
    jobs = [
        (number, start) for number, clip in enumerate(rows) for start in range(offsets) if len(clip) >= start + stride
    ]
    jobs.sort(key=lambda job: len(rows[job[0]]) - job[1])
    made: list[dict[int, NDArray[np.int16]]] = [{} for _ in items]
    for low in tqdm(range(0, len(jobs), batch), desc="codes", mininterval=5.0, disable=None):
        part = jobs[low : low + batch]
        clips = [normaliser.normalise(rows[number][start:]) for number, start in part]
        x, valid = pad_batch([clip[: len(clip) // stride * stride] for clip in clips])
        codes = tokenizer.encode(torch.as_tensor(x), torch.as_tensor(valid)).numpy().astype(np.int16)
        for (number, start), clip, found in zip(part, clips, codes, strict=True):
            made[number][start] = found[: len(clip) // stride]
    return [[versions[start] for start in sorted(versions)] for versions in made]
