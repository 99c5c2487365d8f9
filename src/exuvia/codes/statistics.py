"""Code statistics of a concept: the clips of the forget and the retain set in which each code occurs, and how often.

A document is a clip; N_f(c) = number of forget clips in which code c occurs, N_r(c) = number of retain clips. Only
real frames count. The released statistics encode 20 random crops of every clip, padded to 196 frames, and also count
the codes of padding (hmu, src/methods/lcr.py); here every clip is encoded once, whole and unpadded.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exuvia.errors import ConfigError, ShapeError
from exuvia.registry import suggest

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class CodeStatistics:
    """Counts of every code on every quantiser level, for the forget and the retain set."""

    documents_forget: Tensor
    """Number of forget clips with the code [Q, V], int64"""
    documents_retain: Tensor
    """Number of retain clips with the code [Q, V], int64"""
    occurrences_forget: Tensor
    """Number of code steps of forget clips with the code [Q, V], int64"""
    occurrences_retain: Tensor
    """Number of code steps of retain clips with the code [Q, V], int64"""
    clips_forget: int
    """Number of forget clips."""
    clips_retain: int
    """Number of retain clips."""

    @property
    def levels(self) -> int:
        """Number of counted quantiser levels Q."""
        return self.documents_forget.shape[0]

    @property
    def num_codes(self) -> int:
        """Codebook size V."""
        return self.documents_forget.shape[1]

    def to_tensors(self, concept: str) -> dict[str, Tensor]:
        """Convert to named tensors for a pipeline's `code_statistics.safetensors`."""
        counts = {f"{concept}.{name}": getattr(self, name) for name in _COUNTS}
        return counts | {f"{concept}.clips": torch.tensor([self.clips_forget, self.clips_retain])}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor] | None, concept: str) -> "CodeStatistics":
        """Read the statistics of one concept from a pipeline's `statistics`.
        Raises ConfigError with the shipped concepts if there are none."""
        known = shipped_concepts(tensors)
        if tensors is None or not known:
            raise ConfigError("the generator ships no code statistics; pass data=, a data set made by `exuvia prepare`")
        if concept not in known:
            raise ConfigError(
                f"the generator ships no code statistics for {concept!r}; {suggest(concept, known)} "
                f"(shipped: {', '.join(known)}), or pass data=, a data set made by `exuvia prepare`"
            )
        forget, retain = (int(n) for n in tensors[f"{concept}.clips"])
        counts: dict[str, Any] = {name: tensors[f"{concept}.{name}"].long() for name in _COUNTS}
        return cls(**counts, clips_forget=forget, clips_retain=retain)


_COUNTS = tuple(f.name for f in fields(CodeStatistics) if not f.name.startswith("clips"))


def shipped_concepts(tensors: Mapping[str, Tensor] | None) -> list[str]:
    """Concepts with complete counts in a pipeline's `statistics`."""
    names = {name.rpartition(".")[0] for name in tensors or {} if name.endswith(".clips")}
    return sorted(n for n in names if tensors is not None and all(f"{n}.{c}" in tensors for c in _COUNTS))


@dataclass(frozen=True)
class PackedCodes:
    """Code sequences of many clips, concatenated."""

    codes: NDArray[np.int16]
    """[sum of T, Q]"""
    offsets: NDArray[np.int64]
    """Clip i is `codes[offsets[i]:offsets[i+1]]`; [clips + 1]"""
    num_codes: int
    """Codebook size V."""

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, number: int) -> NDArray[np.int16]:
        """Codes of one clip [T, Q]."""
        return self.codes[self.offsets[number] : self.offsets[number + 1]]


def count_codes(codes: PackedCodes, forget: Iterable[bool], levels: int | None = None) -> CodeStatistics:
    """Count clips and steps for every code, on the first `levels` levels; `forget` has one flag per clip.

    Raises ShapeError without one flag per clip, ConfigError if the forget or the retain set is empty.
    """
    flags = np.asarray(list(forget), bool)
    if flags.shape != (len(codes),):
        raise ShapeError(f"found {flags.size} forget flags for {len(codes)} clips, expected one each")
    if not flags.any() or flags.all():
        raise ConfigError(f"{int(flags.sum())} of {len(flags)} clips show the concept; both kinds are needed")
    clip = np.repeat(np.arange(len(codes)), np.diff(codes.offsets))
    columns = codes.codes[:, :levels].T.astype(np.int64)
    counts = [_count_level(column, clip, flags, codes.num_codes) for column in columns]
    tables = (torch.from_numpy(np.stack(part)) for part in zip(*counts, strict=True))
    named: dict[str, Any] = dict(zip(_COUNTS, tables, strict=True))
    return CodeStatistics(**named, clips_forget=int(flags.sum()), clips_retain=int((~flags).sum()))


def _count_level(
    column: Numbers, clip: Numbers, flags: NDArray[np.bool_], num_codes: int
) -> tuple[NDArray[np.int64], ...]:
    """Documents (forget, retain) and occurrences (forget, retain) of one level, [V] each."""
    place = (clip * num_codes + column)[column >= 0]
    steps = np.bincount(place, minlength=len(flags) * num_codes).reshape(len(flags), num_codes)
    seen = steps > 0
    return seen[flags].sum(0), seen[~flags].sum(0), steps[flags].sum(0), steps[~flags].sum(0)
