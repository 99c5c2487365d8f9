"""State-space layers that replace the attention layers of a sequence model.

A bidirectional `Stack` replaces the masked transformer's encoder: every output sees the whole sequence, and time and
memory grow linearly with the length, not quadratically. A causal stack reads one code after another. Heads, training,
sampling and unlearning stay the same.
"""

import torch
from torch import Tensor, nn

from exuvia.sequence.settings import Backbone, StackConfig


class StackEncoder(nn.Module):
    """Replaces the published encoder: x [B, L, D] -> y [B, L, D]."""

    def __init__(self, backbone: Backbone, width: int, layers: int, dropout: float, causal: bool = False) -> None:
        from exuvia.sequence.stack import Stack  # loads every layer of exuvia-ssm

        super().__init__()
        self.config = StackConfig(
            width, layers, backbone.mixer, causal=causal, dropout=dropout, serpent=backbone.serpent
        )
        self.stack = Stack(self.config)

    def forward(self, x: Tensor, valid: Tensor, packed: bool = False) -> Tensor:
        """valid bool [B, L], in any pattern; `packed` has no effect, because scans always skip padding."""
        return self.stack(x, valid)

    def forward_at(self, x: Tensor, valid: Tensor, wanted: Tensor) -> Tensor:
        """The result of `forward` at the elements `wanted`, bool [B, L] -> [wanted elements, D]."""
        return self.forward(x, valid)[wanted]

    def initialise(self, seed: int) -> None:
        """Reset the weights to the layers' own initial values, from a seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            fresh = type(self.stack)(self.config)
        self.stack.load_state_dict(fresh.state_dict())
