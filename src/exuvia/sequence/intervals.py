"""The intervals that selective layers learned: how far each one moves its clock at every element it reads.

SeRpEnt's Delta_l is the mean over its branches, in grid units; Mamba's the mean over its channels, after the softplus.
A long interval is an element that the layer takes more of [rando2025serpent].
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from exuvia.errors import ConfigError
from exuvia_ssm import Mamba, SeRpEnt


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

    def look(layer: Any, x: Tensor, valid: Tensor | None) -> Tensor:
        if isinstance(layer, SeRpEnt):
            return torch.stack([branch.steps for branch in layer.resampling(x, valid)]).mean(0)
        return layer.step_sizes(x, valid).mean(-1)

    layers = outermost(model, (SeRpEnt, Mamba))
    if not layers:
        raise ConfigError("found no Mamba or SeRpEnt layer in this model; only these have learned intervals")
    return watched(layers, run, look)


@torch.no_grad()
def watched(
    layers: list[nn.Module], run: Callable[[], Any], look: Callable[[Any, Tensor, Tensor | None], Any]
) -> list[Any]:
    """What `look` says of each layer and its input, in the order of their calls."""
    found: list[Any] = []

    def before(layer: nn.Module, args: tuple[Any, ...]) -> None:
        found.append(look(layer, args[0], args[1] if len(args) > 1 else None))

    hooks = [layer.register_forward_pre_hook(before) for layer in layers]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    return found


def outermost(module: nn.Module, kinds: tuple[type[nn.Module], ...]) -> list[nn.Module]:
    """Layers of some kinds that stand in no other such layer."""
    if isinstance(module, kinds):
        return [module]
    return [layer for child in module.children() for layer in outermost(child, kinds)]
