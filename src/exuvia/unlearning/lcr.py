"""Latent code replacement (LCR): overwrites codebook rows of codes that are associated with a concept.

Source: [dematteis2026hmu]; hmu, src/methods/lcr.py.

LCR changes rows of `tokenizer.quantizer.layers[q].codebook` for the edited levels, and the moving averages from which
training would restore them. Nothing else changes: a caption still gets the same code sequence, but the replaced codes
decode to something else. As in the released method, `encode` uses the same codebook: the edited generator encodes real
motion differently. Generation from text never encodes.

There are two variants. "default" selects codes by two different criteria (see selection.py) and replaces them by safe
codes. "released" is the published arithmetic, bit for bit for the same random numbers:

    C[c] := C[d] + α σ ε,  ε ~ N(0, I),  σ = deviation over all entries of the level's codebook

Here alpha scales noise, not the edit: alpha = 0 replaces all codes by code d. `strength` blends old and new rows.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exuvia.codes.statistics import CodeStatistics
from exuvia.errors import ConfigError
from exuvia.pipeline.codebook_noise import CodeNoise
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.tokens.quantiser import EMAQuantiser
from exuvia.unlearning.base import Evidence, Method
from exuvia.unlearning.selection import released_selection, safe_codes, select_codes
from exuvia.unlearning.settings import LCRConfig

log = logging.getLogger(__name__)


class EditDraws:
    """Random numbers of an edit, from a seed; the noise of a level does not depend on other levels."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.indices = np.random.default_rng(seed)

    def noise(self, level: int, rows: int, dim: int) -> Tensor:
        """Standard normal numbers [rows, dim]."""
        return torch.randn(rows, dim, generator=torch.Generator().manual_seed(self.seed * 64 + level))

    def index(self, count: int) -> int:
        """A uniform integer in 0 .. count - 1."""
        return int(self.indices.integers(count))


@dataclass(frozen=True)
class LevelEdit:
    """New rows of one codebook."""

    level: int
    codes: NDArray[np.int64]
    """Replaced codes, sorted [k]"""
    rows: Tensor
    """Their new vectors [k, D]"""
    destination: list[int]
    """Code that replaces each of them; empty if it is not a single code."""


def plan_edit(
    codebooks: Sequence[Tensor], statistics: CodeStatistics, config: LCRConfig, draws: EditDraws | None = None
) -> list[LevelEdit]:
    """Select the rows of the codebooks [V, D] to replace and compute their new values, for every level of the settings;
    draws None: from the settings' seed.
    Raises ConfigError if a level or destination does not exist, or no code is associated with the concept."""
    draws = draws or EditDraws(config.seed)
    if max(config.levels) >= min(len(codebooks), statistics.levels):
        known = min(len(codebooks), statistics.levels)
        raise ConfigError(f"found level {max(config.levels)}, expected 0 to {known - 1}")
    if isinstance(config.destination, int) and not 0 <= config.destination < len(codebooks[0]):
        raise ConfigError(f"found destination {config.destination}, expected a code 0 to {len(codebooks[0]) - 1}")
    if config.variant == "released":
        return _released_plan(codebooks, statistics, config, draws)
    return [_plan_level(codebooks[level], statistics, level, config, draws) for level in config.levels]


def _released_plan(
    codebooks: Sequence[Tensor], statistics: CodeStatistics, config: LCRConfig, draws: EditDraws
) -> list[LevelEdit]:
    """One destination for all levels, redrawn only while it is among the codes of level 0, as published."""
    if not isinstance(config.destination, int):
        raise ConfigError(f"the released variant replaces codes by one index, found {config.destination!r}; set 0")
    destination = config.destination
    first = released_selection(statistics, 0, config.num_codes)
    while destination in first:
        destination = draws.index(len(codebooks[0]))
    edits = []
    for level in config.levels:
        book, codes = codebooks[level], released_selection(statistics, level, config.num_codes)
        index = torch.from_numpy(codes)
        if config.orthogonal:
            rows, where = _without_mean_direction(book[index], config.scale), []
        else:
            noise = draws.noise(level, len(codes), book.shape[1]).to(book)
            rows, where = book[destination] + config.scale * book.std() * noise, [destination] * len(codes)
        edits.append(LevelEdit(level, codes, torch.lerp(book[index], rows, config.strength), where))
    return edits


def _plan_level(book: Tensor, statistics: CodeStatistics, level: int, config: LCRConfig, draws: EditDraws) -> LevelEdit:
    codes = select_codes(statistics, level, config.num_codes, config.criterion, config.prior, config.min_count)
    if not len(codes):
        raise ConfigError(
            f"no code of level {level} occurs in {config.min_count} forget clips and more often than in retain clips; "
            "set a lower min_count or give more data"
        )
    if len(codes) < config.num_codes:
        log.warning("level %d: only %d of %d codes match the concept", level, len(codes), config.num_codes)
    old = book[torch.from_numpy(codes)]
    if config.orthogonal:
        rows = _without_mean_direction(old, config.scale)
        return LevelEdit(level, codes, torch.lerp(old, rows, config.strength), [])
    target, where = _destination(book, statistics, level, codes, config, draws)
    noise = draws.noise(level, len(codes), book.shape[1]).to(book)
    return LevelEdit(level, codes, torch.lerp(old, target + config.scale * book.std() * noise, config.strength), where)


def _without_mean_direction(rows: Tensor, alpha: float) -> Tensor:
    """Rows [k, D] minus alpha times their component along their mean."""
    mean = rows.mean(0)
    direction = mean / mean.norm()
    return rows - alpha * (rows @ direction)[:, None] * direction


def _destination(
    book: Tensor, statistics: CodeStatistics, level: int, codes: NDArray[np.int64], config: LCRConfig, draws: EditDraws
) -> tuple[Tensor, list[int]]:
    """Replacement vectors [k, D] of the codes before noise, and the codes of these vectors."""
    if isinstance(config.destination, int):
        if config.destination in codes:
            raise ConfigError(
                f"destination {config.destination} is itself among the codes to replace on level {level}: "
                f"{codes.tolist()}; choose another, or nearest_safe"
            )
        where = [config.destination] * len(codes)
        return book[where], where
    safe = safe_codes(statistics, level, codes, config.prior)
    if not len(safe):
        raise ConfigError(f"no code of level {level} is more frequent in retain clips; give a destination index")
    if config.destination == "mean_safe":
        weight = statistics.occurrences_retain[level][safe].to(book)
        return ((weight @ book[safe]) / weight.sum()).expand(len(codes), -1), []
    if config.destination == "random":
        where = [int(safe[draws.index(len(safe))]) for _ in codes]
    else:
        where = safe[torch.cdist(book[codes], book[safe]).argmin(1).cpu().numpy()].tolist()
    return book[where], where


class LCR(Method[LCRConfig]):
    """Latent code replacement as a method of `unlearn`."""

    Config = LCRConfig

    def edit(self, pipe: MotionPipeline, evidence: Evidence) -> dict[str, Any]:
        """Replace codebook rows of `pipe` in place.
        Raises ConfigError if no code is associated with the concept, or a setting does not fit the tokenizer."""
        layers = [cast(EMAQuantiser, layer) for layer in pipe.tokenizer.quantizer.layers]
        if layers[0] is layers[-1] and len(layers) > 1 and self.config.levels != (0,):
            raise ConfigError("all levels of this tokenizer share one codebook; edit levels (0,) only")
        if max(self.config.levels) >= len(layers):
            raise ConfigError(f"found level {max(self.config.levels)}, expected 0 to {len(layers) - 1}")
        statistics = evidence.statistics(max(self.config.levels) + 1)
        books = [layer.codebook for layer in layers]
        if statistics.num_codes != len(books[0]):
            raise ConfigError(f"found counts of {statistics.num_codes} codes, expected {len(books[0])}")
        later = self.config.noise == "generation"
        edits = plan_edit(books, statistics, replace(self.config, noise="once", alpha=0.0) if later else self.config)
        if later:
            spread = [float(self.config.strength * self.config.scale * books[edit.level].std()) for edit in edits]
            pipe.codebook_noise += [
                CodeNoise(e.level, tuple(e.codes.tolist()), s) for e, s in zip(edits, spread, strict=True)
            ]
        for edit in edits:
            set_rows(layers[edit.level], edit.codes, edit.rows)
        return {
            "replaced": {str(edit.level): edit.codes.tolist() for edit in edits},
            "destination": {str(edit.level): edit.destination for edit in edits},
            "clips": {"forget": statistics.clips_forget, "retain": statistics.clips_retain},
        }


def set_rows(layer: EMAQuantiser, codes: NDArray[np.int64], rows: Tensor) -> None:
    """Write new vectors into a codebook and into the sums of its moving averages, which would reveal the old ones."""
    index = torch.from_numpy(codes).to(layer.codebook.device)
    with torch.no_grad():
        layer.codebook[index] = rows.to(layer.codebook)
        layer.code_sum[index] = layer.codebook[index] * layer.code_count[index, None]
