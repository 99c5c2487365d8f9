"""Noise on codebook rows, redrawn for every generated motion; part of the generator, like its weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from exuvia.errors import CheckpointError


@dataclass(frozen=True)
class CodeNoise:
    """Noise on rows of one codebook. A code has one vector within a motion, and another one in the next motion."""

    level: int
    codes: tuple[int, ...]
    """Codes whose rows get noise."""
    scale: float
    """Standard deviation of every component."""

    def rows(self, seed: int, dim: int) -> Tensor:
        """Noise of each code's row [k, dim] for the motion of a seed."""
        drawn = np.random.default_rng((abs(seed), self.level)).standard_normal((len(self.codes), dim))
        return torch.from_numpy(self.scale * drawn).float()

    def describe(self) -> dict[str, Any]:
        """Describe the noise for `load_noise`, JSON-ready."""
        return {"level": self.level, "codes": list(self.codes), "scale": self.scale}


def added(noise: Sequence[CodeNoise], codes: Tensor, seeds: Sequence[int], dim: int) -> Tensor:
    """Sum of the noise on the decoded vectors of codes [B, T, Q], with one seed per row -> [B, dim, T]."""
    total = torch.zeros(*codes.shape[:2], dim)
    for level_noise in noise:
        index, listed = codes[..., level_noise.level], torch.tensor(level_noise.codes)
        for row, seed in enumerate(seeds):
            hit = index[row][:, None] == listed  # [T, k]
            if hit.any():
                total[row] += hit.float() @ level_noise.rows(seed, dim)
    return total.transpose(1, 2)


def load_noise(described: Sequence[dict[str, Any]], levels: int, num_codes: int) -> list[CodeNoise]:
    """Read descriptions of noise. Raises CheckpointError for levels, codes or a scale that do not fit."""
    try:
        noise = [CodeNoise(int(d["level"]), tuple(map(int, d["codes"])), float(d["scale"])) for d in described]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise CheckpointError(f"config.json describes noise without {error}") from None
    for n in noise:
        inside = 0 <= n.level < levels and all(0 <= code < num_codes for code in n.codes)
        if not inside or not (np.isfinite(n.scale) and n.scale >= 0):
            raise CheckpointError(f"config.json describes noise on level {n.level} that does not fit the tokenizer")
    return noise
