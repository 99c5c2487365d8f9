"""Times the code statistics of a corpus with a tokenizer of the published size."""

import time
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch

from exuvia.codes.encode import Precision, encode_clips
from exuvia.codes.statistics import count_codes
from exuvia.features.normaliser import Normaliser
from exuvia.shapes import Features
from exuvia.tokens.quantiser import EMAQuantiser
from exuvia.tokens.rvqvae import RVQVAE
from exuvia.tokens.settings import RVQVAEConfig


@dataclass(frozen=True)
class StatisticsBench:
    """Speed of the statistics of a corpus with a tokenizer of the published size."""

    clips: int
    """Number of clips encoded and counted."""
    seconds: float
    """Seconds for reading, encoding and counting them."""
    precision: str
    """Precision of the encoder."""
    levels: int
    """Quantiser levels."""
    threads: int
    """Threads of torch."""
    corpus_seconds: float
    """The same rate on 25,000 clips of 7.1 s."""

    @property
    def clips_per_s(self) -> float:
        """Clips per second."""
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
