"""A data set as codes, for counting: real frames only, cached under the hash of tokenizer and data.

A clip of F frames gives F // 4 code steps; the last F % 4 frames are left out. Clips of one length share a batch and
need no padding; clips of rare lengths are padded under a mask. Either way a clip gets the codes it would get alone:
the convolutions see zeros outside it, as they do in training beyond the edges of a crop. So the first and last steps of
a clip rest on fewer real frames than the others; the published encoder reaches about 22 steps to either side.
"""

import copy
import hashlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from torch import nn

from exuvia.checkpoint import hash_tensors
from exuvia.codes.statistics import PackedCodes, count_codes
from exuvia.errors import ConfigError
from exuvia.features.normaliser import Normaliser
from exuvia.files import whole_file
from exuvia.shapes import Features
from exuvia.tokens.quantiser import EMAQuantiser
from exuvia.tokens.rvqvae import RVQVAE
from exuvia.tokens.settings import RVQVAEConfig

log = logging.getLogger(__name__)

Precision = Literal["float32", "bfloat16"]
Progress = Callable[[int, int], None]
STEPS_A_BATCH = 1024
"""Code steps encoded together: enough to fill two cores, few enough to stay in their caches."""


class Clips(Protocol):
    """What is needed of a data set; `data.store.Store` has it."""

    @property
    def data_hash(self) -> str:
        """Which data this is."""

    def features(self, number: int) -> Features:
        """Un-normalised features of one clip [F, C]."""


def encode_clips(
    store: Clips,
    numbers: Sequence[int] | NDArray[np.int64],
    tokenizer: RVQVAE,
    normaliser: Normaliser,
    *,
    levels: int | None = None,
    precision: Precision = "float32",
    cache: str | Path | None = None,
    progress: Progress | None = None,
) -> PackedCodes:
    """Codes of some clips of a store, in the given order.

    Args:
        store: where the features are
        numbers: which clips; one shorter than a code step gets no codes
        tokenizer, normaliser: of the generator
        levels: only the first so many quantiser levels; level 0 alone is what LCR needs
        precision: of the encoder's convolutions; "bfloat16" is about twice as fast where the processor has it, and
            moves a few codes in a hundred to a neighbour. Distances to codes are float32 always.
        cache: folder to keep the codes in, and to take them from when tokenizer, data and settings are the same
        progress: called with (clips done, clips) after every batch
    Raises:
        ConfigError: unknown precision, or more levels than the tokenizer has.
        OutputError: the cache cannot be written.
    """
    depth = levels or tokenizer.config.num_quantizers
    if not 1 <= depth <= tokenizer.config.num_quantizers:
        raise ConfigError(f"found {depth} levels, expected 1 to {tokenizer.config.num_quantizers}")
    if precision not in ("float32", "bfloat16"):
        raise ConfigError(f"unknown precision {precision!r}; known: float32, bfloat16")
    chosen = [int(n) for n in numbers]
    path = None
    if cache is not None:
        name = _cache_key(store, chosen, tokenizer, normaliser, depth, precision)
        path = Path(cache) / f"codes-{name[:24]}.safetensors"
        if path.is_file() and (kept := _read_cache(path, tokenizer.config.num_codes)) is not None:
            return kept
    packed = _encode(store, chosen, tokenizer, normaliser, depth, precision, progress)
    if path is not None:
        with whole_file(path) as temporary:
            save_file({"codes": packed.codes, "offsets": packed.offsets}, temporary)
    return packed


def _encode(
    store: Clips,
    chosen: Sequence[int],
    tokenizer: RVQVAE,
    normaliser: Normaliser,
    levels: int,
    precision: Precision,
    progress: Progress | None,
) -> PackedCodes:
    """Every batch on one thread, as many batches at a time as torch has threads: nothing waits for a slower thread."""
    steps = np.asarray([len(store.features(n)) // tokenizer.config.stride for n in chosen], np.int64)
    offsets = np.concatenate([[0], np.cumsum(steps)]).astype(np.int64)
    codes = np.full((int(offsets[-1]), levels), -1, np.int16)
    encoder = _encoder(tokenizer, precision)

    def encode(batch: NDArray[np.int64]) -> int:
        features = [store.features(chosen[i]) for i in batch]
        found = _encode_batch(features, steps[batch], encoder, tokenizer, normaliser, levels)
        for row, i in enumerate(batch):
            codes[offsets[i] : offsets[i + 1]] = found[row, : steps[i]]
        return len(batch)

    done = int((steps == 0).sum())
    threads = torch.get_num_threads()
    on_cpu = next(tokenizer.parameters()).device.type == "cpu"
    try:
        with ThreadPoolExecutor(threads if on_cpu else 1, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            for count in pool.map(encode, length_batches(steps)):
                done += count
                if progress is not None:
                    progress(done, len(chosen))
    finally:
        torch.set_num_threads(threads)
    return PackedCodes(codes, offsets, tokenizer.config.num_codes)


@torch.inference_mode()
def _encode_batch(
    features: Sequence[Features],
    steps: NDArray[np.int64],
    encoder: nn.Module,
    tokenizer: RVQVAE,
    normaliser: Normaliser,
    levels: int,
) -> NDArray[np.int64]:
    """Codes [B, T, levels] of clips of so many code steps each; under a mask where they are not of one length."""
    stride, longest = tokenizer.config.stride, int(steps.max())
    weight = next(encoder.parameters())
    rows = np.zeros((len(steps), longest * stride, tokenizer.config.input_dim), np.float32)
    for row, (clip, count) in enumerate(zip(features, steps * stride, strict=True)):
        rows[row, :count] = normaliser.normalise(clip[:count])
    valid = None
    if (steps != longest).any():
        real = torch.from_numpy(steps * stride)[:, None] > torch.arange(longest * stride)
        valid = real[:, None].to(weight)
    latents = encoder(torch.from_numpy(rows).to(weight).transpose(1, 2), valid)
    return tokenizer.quantizer.encode(latents.float(), levels).cpu().numpy()


def length_batches(steps: NDArray[np.int64], size: int = STEPS_A_BATCH) -> Iterator[NDArray[np.int64]]:
    """Indices of clips in batches of about `size` code steps at most, shorter clips first; none of 0 steps.

    Clips of a length that fills half a batch or more stay among themselves, in batches of even size; rarer lengths
    share batches with their neighbours, and are padded.
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


def _encoder(tokenizer: RVQVAE, precision: Precision) -> nn.Module:
    if precision == "float32":
        return tokenizer.encoder
    return copy.deepcopy(tokenizer.encoder).to(torch.bfloat16)


def _cache_key(
    store: Clips, chosen: Sequence[int], tokenizer: RVQVAE, normaliser: Normaliser, levels: int, precision: Precision
) -> str:
    weights = {f"encoder.{k}": v for k, v in tokenizer.encoder.state_dict().items()}
    weights |= {f"codebook.{n}": layer.codebook for n, layer in enumerate(tokenizer.quantizer.layers)}
    scale = {"mean": torch.from_numpy(normaliser.mean), "std": torch.from_numpy(normaliser.std)}
    facts = [hash_tensors(weights | scale), store.data_hash, repr(tokenizer.config), levels, precision, chosen]
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def _read_cache(path: Path, num_codes: int) -> PackedCodes | None:
    try:
        kept = load_file(path)
        return PackedCodes(kept["codes"], kept["offsets"], num_codes)
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        log.warning("%s is damaged (%s); counting the codes again", path, error)
        return None


@dataclass(frozen=True)
class StatisticsBench:
    """How fast the statistics of a corpus of the published tokenizer's size are."""

    clips: int
    """Clips that were encoded and counted."""
    seconds: float
    """For reading, encoding and counting them."""
    precision: str
    """Of the encoder."""
    levels: int
    """Quantiser levels."""
    threads: int
    """Threads of torch."""
    corpus_seconds: float
    """The same rate on 25,000 clips of 7.1 s."""

    @property
    def clips_per_s(self) -> float:
        """Clips a second."""
        return self.clips / self.seconds


class MadeUpClips:
    """Noise in place of features, with the lengths of HumanML3D: 40 to 196 frames, 142 (7.1 s) on average."""

    def __init__(self, count: int, channels: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.lengths = 40 + np.round(156 * rng.beta(1.9, 1.0, count)).astype(int)
        self.noise = rng.standard_normal((1024, channels)).astype(np.float32)
        self.data_hash = f"noise {count} {seed}"

    def features(self, number: int) -> Features:
        """Un-normalised features of one clip [F, C]."""
        start = (37 * number) % (1024 - 196)
        return self.noise[start : start + self.lengths[number]]


def bench_statistics(
    clips: int = 400, *, precision: Precision = "bfloat16", levels: int = 1, config: RVQVAEConfig | None = None
) -> StatisticsBench:
    """Time encoding and counting with random weights at the published size, after a warm-up.

    The speed of encoding does not depend on the values of weights and features.
    """
    sizes = config or RVQVAEConfig()
    torch.manual_seed(0)
    tokenizer = RVQVAE(sizes).eval().requires_grad_(False)
    for layer in tokenizer.quantizer.layers:
        cast(EMAQuantiser, layer).codebook.normal_()
    store = MadeUpClips(clips, sizes.input_dim, 0)
    normaliser = Normaliser(np.zeros(sizes.input_dim, np.float32), np.ones(sizes.input_dim, np.float32))
    encode_clips(store, range(min(64, clips)), tokenizer, normaliser, levels=levels, precision=precision)
    started = time.perf_counter()
    codes = encode_clips(store, range(clips), tokenizer, normaliser, levels=levels, precision=precision)
    count_codes(codes, np.arange(clips) % 13 == 0)
    seconds = time.perf_counter() - started
    frames = float(store.lengths[:clips].sum())
    corpus = seconds * 25_000 * 142 / frames
    return StatisticsBench(clips, seconds, precision, levels, torch.get_num_threads(), corpus)
