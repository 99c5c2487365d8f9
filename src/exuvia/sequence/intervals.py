"""The intervals that selective layers learned: how far each one moves its clock at every element it reads.

SeRpEnt's Delta_l is the mean over its branches, in grid units; Mamba's the mean over its channels, after the softplus.
A long interval is an element that the layer takes more of [rando2025serpent].
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from exuvia.errors import ConfigError
from exuvia.ssm.mamba import Mamba
from exuvia.ssm.serpent import SeRpEnt


@torch.no_grad()
def learned_intervals(model: nn.Module, run: Callable[[], Any]) -> list[Tensor]:
    """Intervals of every outermost selective layer while `run` calls the model, in the order of the layers.

    Args:
        model: holds Mamba or SeRpEnt layers; of a SeRpEnt layer the ones inside it are left out
        run: forwards the model once
    Returns:
        a float tensor [B, L] a layer, 0 where not valid
    Raises:
        ConfigError: no layer of the model selects.
    """
    found: list[Tensor] = []

    def look(layer: nn.Module, args: tuple[Any, ...]) -> None:
        x, valid = args[0], args[1] if len(args) > 1 else None
        if isinstance(layer, SeRpEnt):
            found.append(torch.stack([branch.steps for branch in layer.resampling(x, valid)]).mean(0))
        elif isinstance(layer, Mamba):
            found.append(layer.step_sizes(x, valid).mean(-1))

    layers = list(_outermost(model))
    if not layers:
        raise ConfigError("found no Mamba or SeRpEnt layer in this model; only these have learned intervals")
    hooks = [layer.register_forward_pre_hook(look) for layer in layers]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _outermost(module: nn.Module) -> list[nn.Module]:
    """Selective layers that stand in no other."""
    if isinstance(module, SeRpEnt | Mamba):
        return [module]
    return [layer for child in module.children() for layer in _outermost(child)]
