"""Learned intervals of selective layers: the time step that a layer assigns to each element of its input.

SeRpEnt's Delta_l is the mean over its branches, in grid units; Mamba's is the mean over its channels, after the
softplus. A long interval means that the layer takes in more of an element [rando2025serpent].
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from exuvia.errors import ConfigError
from exuvia_ssm import Mamba, SeRpEnt


def learned_intervals(model: nn.Module, run: Callable[[], Any]) -> list[Tensor]:
    """Intervals [B, L], 0 where not valid, of every outermost selective layer (Mamba or SeRpEnt) during `run`, which
    runs one forward pass, in the order of the layers. Raises ConfigError if the model has none."""

    def intervals(layer: Any, x: Tensor, valid: Tensor | None) -> Tensor:
        if isinstance(layer, SeRpEnt):
            return torch.stack([branch.steps for branch in layer.resampling(x, valid)]).mean(0)
        return layer.step_sizes(x, valid).mean(-1)

    layers = outermost(model, (SeRpEnt, Mamba))
    if not layers:
        raise ConfigError("found no Mamba or SeRpEnt layer in this model; only these have learned intervals")
    return watched(layers, run, intervals)


@torch.no_grad()
def watched(
    layers: list[nn.Module], run: Callable[[], Any], measure: Callable[[Any, Tensor, Tensor | None], Any]
) -> list[Any]:
    """The results of `measure` for each layer and its input during `run`, in the order of the calls."""
    results: list[Any] = []

    def before(layer: nn.Module, args: tuple[Any, ...]) -> None:
        results.append(measure(layer, args[0], args[1] if len(args) > 1 else None))

    hooks = [layer.register_forward_pre_hook(before) for layer in layers]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    return results


def outermost(module: nn.Module, kinds: tuple[type[nn.Module], ...]) -> list[nn.Module]:
    """Layers of the given kinds that are not inside another one of them."""
    if isinstance(module, kinds):
        return [module]
    return [layer for child in module.children() for layer in outermost(child, kinds)]
