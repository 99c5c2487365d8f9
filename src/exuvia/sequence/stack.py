"""A stack of residual layers over any mixer: S4D, Mamba, or SeRpEnt over either.

    x <- x + dropout(mixer(norm(x)))          for every part of every layer, then a final norm

Bidirectional layers are for classification and masked generation. Causal layers are for language models; they carry a
state.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn

from exuvia.config import to_dict
from exuvia.errors import ConfigError
from exuvia.registry import suggest
from exuvia.sequence.settings import StackConfig
from exuvia_ssm import S4D, Bidirectional, Mamba, SeRpEnt

Layer = Callable[[int], nn.Module]
Parts = Callable[[StackConfig], list[nn.Module]]


def _ssm(build: Layer, c: StackConfig) -> list[nn.Module]:
    return [build(c.width) if c.causal else Bidirectional(c.width, ssm=build, merge="add")]


def _serpent(c: StackConfig) -> list[nn.Module]:
    """SeRpEnt layers; a bidirectional one resamples once, then reads both ways."""
    build = BRANCH[c.serpent.over](c)
    ssm = build if c.causal else partial(Bidirectional, ssm=build, merge="add")
    return [SeRpEnt(c.width, ssm=ssm, **serpent_options(c))]


def serpent_options(c: StackConfig) -> dict[str, Any]:
    """The settings of `exuvia_ssm.SeRpEntConfig` in a stack of this configuration."""
    options = {name: value for name, value in to_dict(c.serpent).items() if name != "over"}
    options["neighbours"] = c.serpent.neighbours or ("trailing" if c.causal else "nearest")
    options["restore"] = c.serpent.restore or ("hold" if c.causal else "linear")
    return {**options, "rates": c.serpent.rates, "causal": c.causal, "skip": False}


BRANCH: dict[str, Callable[[StackConfig], Layer]] = {
    "s4d": lambda c: partial(S4D, d_state=4 * c.state),
    "mamba": lambda c: partial(Mamba, d_state=c.state),
}
"""Layers that SeRpEnt can resample for."""
MIXER: dict[str, Parts] = {
    "s4d": lambda c: _ssm(BRANCH["s4d"](c), c),
    "mamba": lambda c: _ssm(BRANCH["mamba"](c), c),
    "serpent": _serpent,
}
"""Name -> the consecutive parts of one residual layer."""


class Part(nn.Module):
    """x + dropout(mixer(norm(x))).   [B, L, D] -> [B, L, D]"""

    def __init__(self, mixer: nn.Module, width: int, dropout: float) -> None:
        super().__init__()
        self.norm, self.mixer, self.dropout = nn.LayerNorm(width), mixer, nn.Dropout(dropout)

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """valid bool [B, L]; values at other positions are arbitrary."""
        return x + self.dropout(self.mixer(self.norm(x), valid))

    def carried(self, x: Tensor, state: Any, valid: Tensor | None = None) -> tuple[Tensor, Any]:
        """Continue from a state; returns the output and the new state."""
        y, after = self.mixer(self.norm(x), valid, state, return_state=True)
        return x + self.dropout(y), after

    def step(self, x_t: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Process one element x_t [B, D] from a state."""
        y, after = self.mixer.step(self.norm(x_t), state)  # type: ignore[operator]
        return x_t + self.dropout(y), after


class Stack(nn.Module):
    """x [B, L, D] -> y [B, L, D]."""

    def __init__(self, config: StackConfig, mixers: Mapping[str, Parts] = MIXER) -> None:
        super().__init__()
        if config.mixer not in mixers:
            raise ConfigError(f"unknown mixer {config.mixer!r}; {suggest(config.mixer, mixers)}")
        self.config = config
        layers = [part for _ in range(config.layers) for part in mixers[config.mixer](config)]
        self.parts = nn.ModuleList(Part(mixer, config.width, config.dropout) for mixer in layers)
        self.norm = nn.LayerNorm(config.width)

    @property
    def carries_state(self) -> bool:
        """Whether the stack supports streaming: `carried` and `step`."""
        return self.config.causal and self.config.mixer != "transformer"

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """valid bool [B, L]: real steps, in any pattern; None = all."""
        for part in self.parts:
            x = part(x, valid)
        return self.norm(x)

    def carried(
        self, x: Tensor, state: Sequence[Any] | None = None, valid: Tensor | None = None
    ) -> tuple[Tensor, list[Any]]:
        """Process one piece of a longer sequence, x [B, L, D] with real steps `valid` (None = all), from the state
        after the previous piece (None = none); returns output and state.
        Raises ConfigError for attention or bidirectional layers, which keep no state."""
        self._need_state()
        after = []
        for part, before in zip(self.parts, state or [None] * len(self.parts), strict=True):
            assert isinstance(part, Part)
            x, kept = part.carried(x, before, valid)
            after.append(kept)
        return self.norm(x), after

    def step(self, x_t: Tensor, state: Sequence[Any]) -> tuple[Tensor, list[Any]]:
        """Process one element [B, D] of a stream, from a state of `carried` or `step`; equal to `carried` over it."""
        self._need_state()
        after = []
        for part, before in zip(self.parts, state, strict=True):
            assert isinstance(part, Part)
            x_t, kept = part.step(x_t, before)
            after.append(kept)
        return self.norm(x_t), after

    def _need_state(self) -> None:
        if not self.carries_state:
            raise ConfigError(f"a stack of {self.config.mixer} layers, causal={self.config.causal}, keeps no state")
