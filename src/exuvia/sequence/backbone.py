"""State-space layers between the embeddings and the head of a sequence model, in the place of attention as published.

In the place of the masked transformer's encoder stands a bidirectional `Stack`: every output sees the whole sequence,
as attention's does, in time and memory that grow with the length and not with its square. A causal one reads one code
after another. Heads, training, sampling and unlearning stay the same.
"""

import torch
from torch import Tensor, nn

from exuvia.sequence.settings import Backbone, StackConfig


class StackEncoder(nn.Module):
    """x [B, L, D] -> y [B, L, D], in the place of the published encoder."""

    def __init__(self, backbone: Backbone, width: int, layers: int, dropout: float, causal: bool = False) -> None:
        from exuvia.sequence.stack import Stack  # loads every layer of exuvia-ssm

        super().__init__()
        self.config = StackConfig(
            width, layers, backbone.mixer, causal=causal, dropout=dropout, serpent=backbone.serpent
        )
        self.stack = Stack(self.config)

    def forward(self, x: Tensor, valid: Tensor, packed: bool = False) -> Tensor:
        """valid bool [B, L], in any pattern; `packed` makes no difference: scans pass over padding anyway."""
        return self.stack(x, valid)

    def some(self, x: Tensor, valid: Tensor, wanted: Tensor) -> Tensor:
        """The elements `wanted`, bool [B, L], of what `forward` gives -> [wanted elements, D]."""
        return self.forward(x, valid)[wanted]

    def initialise(self, seed: int) -> None:
        """New weights, as the layers start, from a seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            fresh = type(self.stack)(self.config)
        self.stack.load_state_dict(fresh.state_dict())
