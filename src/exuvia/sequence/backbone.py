"""What stands between the embeddings and the head of a sequence model: attention as published, or state-space layers.

In the place of the masked transformer's encoder stands a bidirectional `Stack`: every output sees the whole sequence,
as attention's does, in time and memory that grow with the length and not with its square. A causal one reads one code
after another. Heads, training, sampling and unlearning stay the same.
"""

import torch
from torch import Tensor, nn

from exuvia.errors import ConfigError
from exuvia.registry import suggest
from exuvia.sequence.stack import Stack, StackConfig
from exuvia.sequence.variant import Variant, parse_variant

MIXER_OF = {"mamba": "mamba", "s4d": "s4d", "serpent": "serpent-mamba", "serpent-s4d": "serpent-s4d"}
"""Backbone -> mixer of its stack."""


def backbone_variant(name: str, others: tuple[str, ...] = ()) -> Variant:
    """What a state-space backbone is made of; SeRpEnt's options follow its name, as in `serpent@rates=1+0.5+0.3`.

    Args:
        name: as in a model's settings
        others: names that are also known where it stands
    Raises:
        ConfigError: an unknown backbone or option.
    """
    kind, at, options = name.partition("@")
    if kind not in MIXER_OF:
        raise ConfigError(f"unknown backbone {kind!r}; {suggest(kind, (*others, *MIXER_OF))}")
    return parse_variant(MIXER_OF[kind] + at + options)


class StackEncoder(nn.Module):
    """x [B, L, D] -> y [B, L, D], in the place of the published encoder."""

    def __init__(
        self, backbone: str, width: int, layers: int, heads: int, dropout: float, causal: bool = False
    ) -> None:
        super().__init__()
        variant = backbone_variant(backbone)
        self.config = StackConfig(
            width, layers, variant.mixer, causal=causal, heads=heads, dropout=dropout, serpent=variant.serpent
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
            fresh = Stack(self.config)
        self.stack.load_state_dict(fresh.state_dict())
