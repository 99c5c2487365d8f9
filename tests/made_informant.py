"""A small autoregressive generator with marked intervals, and the folder of its run."""

from pathlib import Path

import torch

from exuvia.checkpoint import save_tensors, write_config
from exuvia.config import to_dict
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


def run_folder(folder: Path, net: CausalGenerator | None = None) -> Path:
    net = net or causal_net()
    folder.mkdir()
    write_config(folder, "causal", {"model": to_dict(net.config)})
    save_tensors(folder / "weights.safetensors", net.state_dict())
    return folder
