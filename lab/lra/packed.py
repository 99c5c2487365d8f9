"""Labelled sequences of small integers, end to end in one array."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exuvia.errors import ShapeError

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Packed:
    """Sequence i is `tokens[offsets[i]:offsets[i + 1]]`. Token 0 is padding and stands in no sequence."""

    tokens: Bytes
    """[sum of lengths]"""
    offsets: NDArray[np.int64]
    """[N + 1]"""
    labels: NDArray[np.int64]
    """[N]"""
    longest: int = 0
    """Maximum number of tokens of a sequence in a batch, from its start; 0: all."""

    def __post_init__(self) -> None:
        ends = self.offsets[-1] if len(self.offsets) else -1
        if len(self.offsets) != len(self.labels) + 1 or ends != len(self.tokens) or (np.diff(self.offsets) < 0).any():
            found = f"{len(self.tokens)} tokens, {len(self.offsets)} offsets, {len(self.labels)} labels"
            raise ShapeError(
                f"found {found}; expected ascending offsets, one more than labels, that end with the tokens"
            )

    @classmethod
    def of(cls, sequences: Sequence[Bytes], labels: Sequence[int], longest: int = 0) -> "Packed":
        """Pack sequences [L] of any lengths."""
        offsets = np.concatenate([[0], np.cumsum([len(one) for one in sequences])]).astype(np.int64)
        tokens = np.concatenate(sequences) if len(sequences) else np.zeros(0, np.uint8)
        if wrong := [label for label in labels if abs(label) >= 2**63]:
            raise ShapeError(f"found the label {str(wrong[0])[:20]}..., expected the number of a class")
        return cls(tokens.astype(np.uint8), offsets, np.asarray(labels, np.int64), longest)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, number: int) -> Bytes:
        """One sequence, whole [L]."""
        return self.tokens[self.offsets[number] : self.offsets[number + 1]]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each sequence that a batch shows [N]."""
        lengths = np.diff(self.offsets)
        return np.minimum(lengths, self.longest) if self.longest else lengths

    def batch(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor | None, Tensor]:
        """Tokens int64 [B, L] padded with 0 to the longest, which are real bool [B, L], labels int64 [B]."""
        lengths = self.lengths[rows]
        x = np.zeros((len(rows), max(1, int(lengths.max(initial=0)))), np.int64)
        for line, row, length in zip(x, rows, lengths, strict=True):
            line[:length] = self.tokens[self.offsets[row] : self.offsets[row] + length]
        valid = np.arange(x.shape[1]) < lengths[:, None]
        return torch.from_numpy(x), torch.from_numpy(valid), torch.from_numpy(self.labels[rows])

    def part(self, low: int, high: int) -> "Packed":
        """Sequences low .. high - 1."""
        offsets = self.offsets[low : high + 1]
        tokens = self.tokens[offsets[0] : offsets[-1]]
        return Packed(tokens, offsets - offsets[0], self.labels[low:high], self.longest)
