"""A small autoregressive generator with marked intervals."""

import torch

from exuvia.sequence.causal import CausalGenerator
from exuvia.sequence.settings import CausalConfig
from tiny import BACKBONES, CODES


def causal_net(backbone: str = "mamba", num_codes: int = CODES, text_dim: int = 8) -> CausalGenerator:
    net = CausalGenerator(
        CausalConfig(num_codes, code_dim=16, width=16, num_layers=2, text_dim=text_dim, backbone=BACKBONES[backbone])
    )
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.ndim > 1:
                parameter.mul_(5)
    return net.eval()
