"""Noise on codebook rows, drawn again for every generated motion: a part of the generator, like its weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from exuvia.errors import CheckpointError


@dataclass(frozen=True)
class CodeNoise:
    """Within one motion every code has one fixed vector; the next motion has another."""

    level: int
    codes: tuple[int, ...]
    """Whose rows the noise is added to."""
    scale: float
    """Standard deviation of every component."""

    def rows(self, seed: int, dim: int) -> Tensor:
        """The noise that the motion of a seed adds to each code's row [k, dim]."""
        drawn = np.random.default_rng((abs(seed), self.level)).standard_normal((len(self.codes), dim))
        return torch.from_numpy(self.scale * drawn).float()

    def describe(self) -> dict[str, Any]:
        """JSON-ready; `load_noise` reads it."""
        return {"level": self.level, "codes": list(self.codes), "scale": self.scale}


def added(noise: Sequence[CodeNoise], codes: Tensor, seeds: Sequence[int], dim: int) -> Tensor:
    """What noise adds to the decoded vectors of codes [B, T, Q], row b with its own seed -> [B, dim, T]."""
    total = torch.zeros(*codes.shape[:2], dim)
    for one in noise:
        index, listed = codes[..., one.level], torch.tensor(one.codes)
        for row, seed in enumerate(seeds):
            hit = index[row][:, None] == listed  # [T, k]
            if hit.any():
                total[row] += hit.float() @ one.rows(seed, dim)
    return total.transpose(1, 2)


def load_noise(described: Sequence[dict[str, Any]], levels: int, num_codes: int) -> list[CodeNoise]:
    """Read what `describe` wrote. Raises CheckpointError for levels, codes or a scale that do not fit."""
    try:
        found = [CodeNoise(int(d["level"]), tuple(map(int, d["codes"])), float(d["scale"])) for d in described]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise CheckpointError(f"config.json describes noise without {error}") from None
    for one in found:
        inside = 0 <= one.level < levels and all(0 <= code < num_codes for code in one.codes)
        if not inside or not (np.isfinite(one.scale) and one.scale >= 0):
            raise CheckpointError(f"config.json describes noise on level {one.level} that does not fit the tokenizer")
    return found
