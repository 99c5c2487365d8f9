"""Encodes clips as codes, in batches and with a cache. Only real frames are encoded.

A clip of F frames gives F // stride code steps; remaining frames are dropped. Clips of equal length share a batch
without padding; clips of rare lengths are padded under a mask. In both cases a clip gets the same codes as alone: the
convolutions see zeros outside it, as they do beyond the edges of a crop in training. The first and last steps of a
clip therefore depend on fewer real frames; the published encoder reaches about 22 steps to either side.
"""

import copy
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from exuvia.cache import Arrays, keep_arrays, recall_arrays
from exuvia.checkpoint import hash_tensors
from exuvia.codes.statistics import PackedCodes
from exuvia.config import to_dict
from exuvia.data.batches import pad_batch
from exuvia.errors import ConfigError
from exuvia.features.normaliser import Normaliser
from exuvia.progress import progress_bar
from exuvia.shapes import Features
from exuvia.tokens.rvqvae import RVQVAE

Precision = Literal["float32", "bfloat16"]
STEPS_A_BATCH = 1024
"""Number of code steps in a batch: it keeps two cores busy and fits into their caches."""


class Clips(Protocol):
    """A data set that can be encoded, such as `data.store.Store` or `data.clips.ClipSet`."""

    @property
    def data_hash(self) -> str:
        """Hash of the data."""

    def features(self, number: int) -> Features:
        """Un-normalised features of one clip [F, C]."""


def encode_clips(
    clips: Clips,
    numbers: Sequence[int] | NDArray[np.int64],
    tokenizer: RVQVAE,
    normaliser: Normaliser,
    *,
    offsets: int = 1,
    levels: int | None = None,
    precision: Precision = "float32",
    cache: str | Path | None = None,
) -> PackedCodes:
    """Encode clips, in the given order.

    Args:
        clips: source of the features
        numbers: numbers of the clips; a clip shorter than a code step gets no codes
        tokenizer, normaliser: parts of the generator
        offsets: number of encodings of every clip, from its first, second, ... frame, which the result holds in a row
        levels: number of quantiser levels to encode, from the first; LCR needs level 0 only
        precision: precision of the encoder's convolutions; "bfloat16" is about twice as fast on processors that support
            it, and replaces a few per cent of the codes by neighbours. Distances to codes are always float32.
        cache: folder for codes; they are reused for the same tokenizer, data and settings
    Raises:
        ConfigError: unknown precision, or more levels than the tokenizer has.
        OutputError: the cache cannot be written.
    """
    depth = levels or tokenizer.config.num_quantizers
    if not 1 <= depth <= tokenizer.config.num_quantizers:
        raise ConfigError(f"found {depth} levels, expected 1 to {tokenizer.config.num_quantizers}")
    if precision not in ("float32", "bfloat16"):
        raise ConfigError(f"unknown precision {precision!r}; known: float32, bfloat16")
    jobs = [(int(number), start) for number in numbers for start in range(offsets)]

    weights = {f"encoder.{k}": v for k, v in tokenizer.encoder.state_dict().items()}
    weights |= {f"codebook.{n}": layer.codebook for n, layer in enumerate(tokenizer.quantizer.layers)}
    scale = {"mean": torch.from_numpy(normaliser.mean), "std": torch.from_numpy(normaliser.std)}
    facts = [hash_tensors(weights | scale), to_dict(tokenizer.config), clips.data_hash, jobs, depth, precision]
    folder = None if cache is None else Path(cache)
    kept = recall_arrays(folder, "codes", facts)
    if kept is None:
        kept = keep_arrays(folder, "codes", facts, _encode(clips, jobs, tokenizer, normaliser, depth, precision))
    return PackedCodes(kept["codes"], kept["offsets"], tokenizer.config.num_codes)


def _encode(
    clips: Clips,
    jobs: list[tuple[int, int]],
    tokenizer: RVQVAE,
    normaliser: Normaliser,
    levels: int,
    precision: Precision,
) -> Arrays:
    """Encode one batch per thread, with as many threads as torch uses."""
    stride = tokenizer.config.stride
    steps = np.asarray([max(0, len(clips.features(n)) - start) // stride for n, start in jobs], np.int64)
    bounds = np.concatenate([[0], np.cumsum(steps)]).astype(np.int64)
    codes = np.full((int(bounds[-1]), levels), -1, np.int16)
    encoder = tokenizer.encoder
    if precision == "bfloat16":
        encoder = copy.deepcopy(encoder).to(torch.bfloat16)

    def encode(batch: NDArray[np.int64]) -> None:
        rows = [clips.features(n)[start : start + stride * steps[i]] for i in batch for n, start in [jobs[i]]]
        encoded = _encode_batch([normaliser.normalise(clip) for clip in rows], encoder, tokenizer, levels)
        for row, i in enumerate(batch):
            codes[bounds[i] : bounds[i + 1]] = encoded[row, : steps[i]]

    threads = torch.get_num_threads()
    on_cpu = next(tokenizer.parameters()).device.type == "cpu"
    try:
        with ThreadPoolExecutor(threads if on_cpu else 1, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            batches = list(length_batches(steps))
            with progress_bar("encode", "batches of clips") as progress:
                for done, _ in enumerate(pool.map(encode, batches), 1):  # raises errors of batches
                    progress(done, len(batches))
    finally:
        torch.set_num_threads(threads)
    return {"codes": codes, "offsets": bounds}


@torch.inference_mode()
def _encode_batch(clips: Sequence[Features], encoder: nn.Module, tokenizer: RVQVAE, levels: int) -> NDArray[np.int64]:
    """Codes [B, T, levels] of normalised clips of whole code steps; clips of different lengths are masked."""
    rows, real = map(torch.from_numpy, pad_batch(clips))
    weight = next(encoder.parameters())
    valid = None if bool(real.all()) else real[:, None].to(weight)
    latents = encoder(rows.to(weight).transpose(1, 2), valid)
    return tokenizer.quantizer.encode(latents.float(), levels).cpu().numpy()


def length_batches(steps: NDArray[np.int64], size: int = STEPS_A_BATCH) -> Iterator[NDArray[np.int64]]:
    """Yield indices of clips in batches of about `size` code steps at most, shorter clips first, without empty clips.

    If the clips of one length fill at least half a batch, they get their own batches of even size. Clips of rarer
    lengths share batches with similar lengths, and are padded.
    """
    pending = np.zeros(0, np.int64)
    for length in np.unique(steps[steps > 0]):
        group = np.flatnonzero(steps == length)
        if len(pending) and (len(group) * length * 2 >= size or (len(pending) + len(group)) * length > size):
            yield pending
            pending = pending[:0]
        if len(group) * length * 2 >= size:
            parts = min(len(group), -(-len(group) * int(length) // size))
            yield from np.array_split(group, parts)
        else:
            pending = np.concatenate([pending, group])
    if len(pending):
        yield pending
