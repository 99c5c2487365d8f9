"""Logits with classifier-free guidance of any model over codes, one branch after the other."""

from collections.abc import Callable

import torch
from torch import Tensor

from exuvia.sequence.base import BaseGenerator
from exuvia.sequence.residual_transformer import ResidualTransformer
from exuvia.sequence.trunk import Guidance


def guided_logits(
    model: BaseGenerator | ResidualTransformer,
    *inputs: Tensor | None,
    cond_scale: float,
    unconditional: bool = False,
) -> Tensor:
    """What `model.logits(*inputs)` gives, guided; `inputs` begin with ids or embeddings [B, ...]."""
    guidance, first = Guidance(0.0 if unconditional else cond_scale), inputs[0]
    logits: Callable[..., Tensor] = model.logits
    assert first is not None
    drops = [torch.full((len(first),), without) for without in guidance.branches]
    return guidance.join(torch.cat([logits(*inputs, drop=drop) for drop in drops]))
