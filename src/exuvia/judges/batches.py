"""Runs networks on clips of different lengths, in batches of similar length."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from exuvia.data.batches import pad_batch
from exuvia.features.normaliser import Normaliser
from exuvia.shapes import Features


def by_length(lengths: Sequence[int], size: int) -> list[NDArray[np.int64]]:
    """Split indices into batches, from short to long."""
    order = np.argsort(lengths, kind="stable")
    return [order[low : low + size] for low in range(0, len(order), size)]


@torch.no_grad()
def run_on_clips(
    model: nn.Module,
    forward: Callable[[Tensor, Tensor], Tensor],
    clips: Sequence[Features],
    normaliser: Normaliser,
    size: int,
) -> Tensor:
    """Outputs [N, ...] of a model for un-normalised features [F, C] of clips, `size` in a batch, float32 on the CPU.
    `forward` maps normalised features [B, F, C], zero at padding, and their mask [B, F] to outputs [B, ...]."""
    device = next(model.parameters()).device
    outputs: list[Tensor] = [torch.empty(0)] * len(clips)
    for rows in by_length(list(map(len, clips)), size):
        x, valid = map(torch.from_numpy, pad_batch([normaliser.normalise(np.asarray(clips[i])) for i in rows]))
        for row, output in zip(rows, forward(x.to(device), valid.to(device)).float().cpu(), strict=True):
            outputs[row] = output
    return torch.stack(outputs) if outputs else torch.empty(0, 1)
