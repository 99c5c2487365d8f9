"""Measures the cost of generators of base codes: a training step, and motions of growing length.

Captions and codes are random, because the cost does not depend on what a model has learned; lengths are given.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from exuvia.errors import ConfigError
from exuvia.sequence.base import BaseGenerator
from exuvia.sequence.trunk import PositionTable
from exuvia.tokens.settings import RVQVAEConfig
from lab.memory import give_freed_pages_back, peak_extra_bytes
from lab.speed import Speed, step_speeds

WORDS = 12
"""Number of condition tokens of a synthetic caption."""
BATCH, TOKENS = 64, 49
"""Clips per training step, and the longest clip in code steps, as in training."""
MARKS = 4
"""Special tokens of a sequence, such as start and end, in addition to the codes."""
STRIDE = RVQVAEConfig().stride
"""Frames per code step."""


@dataclass(frozen=True)
class Cost:
    """Cost of one motion of one length."""

    seconds: float
    """Seconds of the fastest repeat."""
    peak_mb: float | None
    """Memory in addition to the weights, in 10^6 bytes; None if it cannot be measured."""


def parameters(model: BaseGenerator) -> int:
    """Return the number of trained parameters of a generator."""
    return sum(parameter.numel() for parameter in model.parameters())


def training_steps(models: Mapping[str, BaseGenerator]) -> dict[str, Speed]:
    """Measure time and memory of a training step of every model, in turn; changes their weights."""
    for model in models.values():
        lengthen(model, TOKENS + MARKS)
    return step_speeds({name: MadeCodes(model) for name, model in models.items()})


def generation_costs(
    models: Mapping[str, BaseGenerator], frames: Sequence[int], repeats: int = 2
) -> dict[str, list[Cost]]:
    """Measure seconds and memory of one motion of every length with every model; models take turns at each length.

    Args:
        models: models in evaluation mode; position tables are extended as needed
        frames: lengths at 20 frames per second, ascending
    Returns:
        one cost per length, for every model
    Raises:
        ConfigError: lengths of less than a code step, or no repeat.
    """
    if not frames or min(frames) < STRIDE or repeats < 1:
        raise ConfigError(f"found lengths {list(frames)} and {repeats} repeats, expected {STRIDE} frames or more, once")
    found: dict[str, list[Cost]] = {name: [] for name in models}
    give_freed_pages_back()
    for model in models.values():
        lengthen(model, max(frames) // STRIDE + MARKS)
        _write(model, 4)  # loads libraries
    for count in frames:
        times: dict[str, list[float]] = {name: [] for name in models}
        peaks = {name: peak_extra_bytes(partial(_write, model, count)) for name, model in models.items()}
        for _ in range(repeats):
            for name, model in models.items():
                started = time.perf_counter()
                _write(model, count)
                times[name].append(time.perf_counter() - started)
        for name in models:
            peak = peaks[name]
            found[name].append(Cost(min(times[name]), None if peak is None else peak / 1e6))
    return found


def lengthen(model: torch.nn.Module, tokens: int) -> None:
    """Extend every position table of a model to this many tokens; the tables are fixed, so nothing is retrained."""
    for module in model.modules():
        if isinstance(module, PositionTable) and len(module.pe) < tokens:
            module.pe = PositionTable(module.pe.shape[-1], 0.0, tokens).pe.to(module.pe)


def _write(model: BaseGenerator, frames: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    cond = torch.randn(1, WORDS, model.config.text_dim, generator=generator)
    return model.generate(cond, torch.tensor([frames // STRIDE]), seeds=[0])


class MadeCodes:
    """A task for `step_speeds`: random codes and captions in the shapes of training."""

    def __init__(self, model: BaseGenerator) -> None:
        self.model = model

    def batch(self, step: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """Return random codes, lengths and captions of a step."""
        codes = rng.integers(0, self.model.config.num_codes, (BATCH, TOKENS))
        cond = rng.standard_normal((BATCH, WORDS, self.model.config.text_dim), dtype=np.float32)
        lengths = rng.integers(TOKENS // 2, TOKENS + 1, BATCH)
        return {"codes": torch.from_numpy(codes), "lengths": torch.from_numpy(lengths), "cond": torch.from_numpy(cond)}

    def loss(self, batch: Mapping[str, Tensor], generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """The generator's own loss."""
        self.model.train()
        loss, _ = self.model.loss(batch["codes"], batch["lengths"], batch["cond"], generator=generator)
        return loss, {}

    def validate(self) -> dict[str, float]:
        """Return no metrics, because nothing is learned."""
        return {}

    def describe(self) -> dict[str, Any]:
        """Store nothing."""
        return {}
