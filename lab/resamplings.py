"""Records how the SeRpEnt layers of a model resample their inputs."""

from collections.abc import Callable
from typing import Any

from torch import nn

from exuvia.errors import ConfigError
from exuvia.sequence.intervals import outermost, watched
from exuvia_ssm import Resampling, SeRpEnt


def resamplings(model: nn.Module, run: Callable[[], Any]) -> list[tuple[Resampling, ...]]:
    """Return how every SeRpEnt layer resamples its input while `run` calls the model, layer by layer.

    Raises:
        ConfigError: no layer resamples.
    """
    layers = outermost(model, (SeRpEnt,))
    if not layers:
        raise ConfigError("found no SeRpEnt layer in this model; only serpent-... and uniform-... resample")
    return watched(layers, run, lambda layer, x, valid: layer.resampling(x, valid))
