"""A pair of layers over the same sequence, one per direction; for classification, not for streaming."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from exuvia_ssm.errors import ConfigError, ShapeError
from exuvia_ssm.layer import Layer, RealSteps, check_sequence, configurable
from exuvia_ssm.registry import layer_builder, suggest

MERGES = ("add", "mean", "concat", "linear")


class BidirectionalState(NamedTuple):
    """States of both layers, each in its own direction."""

    forward: Any
    backward: Any


@dataclass(frozen=True)
class BidirectionalConfig:
    """Settings of a bidirectional layer. Raises ConfigError for invalid or incompatible values."""

    d_model: int
    """channels D"""
    ssm: str | Callable[[int], nn.Module] = "mamba"
    """layer of each direction: a name of registry.LAYER, or a function width -> layer"""
    ssm_options: Mapping[str, Any] = field(default_factory=dict)
    """settings of the named layer, such as {"d_state": 16}"""
    merge: str = "add"
    """"add" or "mean" of both outputs; "concat": 2 D channels; "linear": a learned map from 2 D back to D"""
    share: bool = False
    """use one layer with one set of weights for both directions"""

    def __post_init__(self) -> None:
        if self.d_model < 1:
            raise ConfigError(f"found d_model = {self.d_model}; expected at least 1")
        if self.merge not in MERGES:
            raise ConfigError(f"unknown merge {self.merge!r}; {suggest(str(self.merge), MERGES)}")


class Bidirectional(Layer):
    """x [B, L, D] -> y [B, L, D], or [B, L, 2 D] for merge="concat"; every output depends on the whole sequence.

    Options are the fields of `BidirectionalConfig`. Raises ConfigError for an unknown or unsuitable option.
    """

    @configurable(BidirectionalConfig, "ssm")
    def __init__(self, config: BidirectionalConfig) -> None:
        super().__init__()
        self.config, d_model = config, config.d_model
        build = layer_builder(config.ssm, config.ssm_options)
        self.forward_layer = build(d_model)
        self.backward_layer = self.forward_layer if self.config.share else build(d_model)
        self.output = nn.Linear(2 * d_model, d_model) if self.config.merge == "linear" else None

    def forward(
        self,
        x: Tensor,
        valid: Tensor | None = None,
        state: BidirectionalState | None = None,
        return_state: bool = False,
    ) -> Tensor | tuple[Tensor, BidirectionalState]:
        """Process the whole sequence; arguments as in exuvia_ssm.layer. Raises ShapeError.

        The backward layer starts at each row's last real step with `state.backward`, and ends at the first real step.
        Therefore a sequence cannot be processed in pieces.
        """
        check_sequence(x, self.config.d_model, valid)
        if state is not None and not (isinstance(state, tuple) and len(state) == 2):
            raise ShapeError(
                f"the layer was given a {type(state).__name__} as its state; expected a pair, one for each direction: "
                f"take it from initial_state({x.shape[0]})"
            )
        first, second = (None, None) if state is None else state
        if valid is None:
            ahead, end = self._run(self.forward_layer, x, None, first, return_state)
            back, start = self._run(self.backward_layer, x.flip(1), None, second, return_state)
            y = self._merged(ahead, back.flip(1))
        else:
            forwards, backwards = RealSteps.of(valid), RealSteps.of(valid, reverse=True)
            ahead, end = self._run(self.forward_layer, forwards.pack(x), forwards.packed, first, return_state)
            back, start = self._run(self.backward_layer, backwards.pack(x), backwards.packed, second, return_state)
            y = self._merged(forwards.unpack(ahead), backwards.unpack(back))
            y = torch.where(valid[..., None], y, 0)
        return (y, BidirectionalState(end, start)) if return_state else y

    def step(self, x_t: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Raise ConfigError, because an output depends on later steps."""
        raise ConfigError(
            "a bidirectional layer sees later steps, so it has no step(); use the layer itself, without Bidirectional"
        )

    def initial_state(
        self, batch: int, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> BidirectionalState:
        """Return the states before the first step of each direction."""
        layers: list[Any] = [self.forward_layer, self.backward_layer]
        return BidirectionalState(*(layer.initial_state(batch, device=device, dtype=dtype) for layer in layers))

    def _run(
        self, layer: nn.Module, x: Tensor, valid: Tensor | None, state: Any, return_state: bool
    ) -> tuple[Tensor, Any]:
        """Run one direction."""
        result = layer(x, valid, state=state, return_state=return_state)
        return result if return_state else (result, None)

    def _merged(self, ahead: Tensor, back: Tensor) -> Tensor:
        if self.config.merge == "add":
            return ahead + back
        if self.config.merge == "mean":
            return (ahead + back) / 2
        both = torch.cat([ahead, back], dim=-1)
        return both if self.output is None else self.output(both)
