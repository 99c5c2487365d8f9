"""A stack of residual layers over any mixer: attention, S4D, Mamba, or SeRpEnt over either.

    x <- x + dropout(mixer(norm(x)))          for every part of every layer, then a last norm

A transformer layer has two parts (attention, feed-forward), the others one. Bidirectional layers are for
classification and masked generation, causal ones for language models; of these only state-space stacks carry a state.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from torch import Tensor, nn

from exuvia.config import to_dict
from exuvia.errors import ConfigError
from exuvia.registry import suggest
from exuvia.sequence.attention import FeedForward, RotaryAttention
from exuvia.sequence.settings import StackConfig
from exuvia_ssm import S4D, Bidirectional, Mamba, SeRpEnt, SeRpEntConfig, optim_groups

Layer = Callable[[int], nn.Module]


def _transformer(c: StackConfig) -> list[nn.Module]:
    return [RotaryAttention(c.width, c.heads, c.causal), FeedForward(c.width, 4 * c.width)]


def _ssm(build: Layer, c: StackConfig) -> list[nn.Module]:
    return [build(c.width) if c.causal else Bidirectional(c.width, ssm=build, merge="add")]


def _mamba(c: StackConfig) -> Layer:
    return partial(Mamba, d_state=c.state)


def _s4d(c: StackConfig) -> Layer:
    return partial(S4D, d_state=4 * c.state)


def _serpent(c: StackConfig) -> list[nn.Module]:
    """Bidirectional: resampled once, then read both ways."""
    build = BRANCH[c.serpent.over](c)
    ssm = build if c.causal else partial(Bidirectional, ssm=build, merge="add")
    return [SeRpEnt(c.width, ssm=ssm, **_serpent_options(c))]


def _serpent_options(c: StackConfig) -> dict[str, Any]:
    options = {name: value for name, value in to_dict(c.serpent).items() if name != "over"}
    options["neighbours"] = c.serpent.neighbours or ("trailing" if c.causal else "nearest")
    options["restore"] = c.serpent.restore or ("hold" if c.causal else "linear")
    return {**options, "rates": c.serpent.rates, "causal": c.causal, "skip": False}


BRANCH: dict[str, Callable[[StackConfig], Layer]] = {"s4d": _s4d, "mamba": _mamba}
"""What SeRpEnt resamples for."""
MIXER: dict[str, Callable[[StackConfig], list[nn.Module]]] = {
    "transformer": _transformer,
    "s4d": lambda c: _ssm(_s4d(c), c),
    "mamba": lambda c: _ssm(_mamba(c), c),
    "serpent": _serpent,
}
"""What a residual layer is made of."""


class Part(nn.Module):
    """x + dropout(mixer(norm(x))).   [B, L, D] -> [B, L, D]"""

    def __init__(self, mixer: nn.Module, width: int, dropout: float) -> None:
        super().__init__()
        self.norm, self.mixer, self.dropout = nn.LayerNorm(width), mixer, nn.Dropout(dropout)

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """valid bool [B, L]; what stands at other places has no meaning."""
        return x + self.dropout(self.mixer(self.norm(x), valid))

    def carried(self, x: Tensor, state: Any, valid: Tensor | None = None) -> tuple[Tensor, Any]:
        """The same from a state on; returns the state after."""
        y, after = self.mixer(self.norm(x), valid, state, return_state=True)
        return x + self.dropout(y), after

    def step(self, x_t: Tensor, state: Any) -> tuple[Tensor, Any]:
        """One element x_t [B, D] from a state on."""
        y, after = self.mixer.step(self.norm(x_t), state)  # type: ignore[operator]
        return x_t + self.dropout(y), after


class Stack(nn.Module):
    """x [B, L, D] -> y [B, L, D]."""

    def __init__(self, config: StackConfig) -> None:
        super().__init__()
        if config.mixer not in MIXER:
            raise ConfigError(f"unknown mixer {config.mixer!r}; {suggest(config.mixer, MIXER)}")
        self.config = config
        every = [part for _ in range(config.layers) for part in MIXER[config.mixer](config)]
        self.parts = nn.ModuleList(Part(mixer, config.width, config.dropout) for mixer in every)
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
        """A piece of a longer sequence: output, and the state to give with the next piece.

        Args:
            x: [B, L, D]; valid: bool [B, L], real steps, the others are passed over; None = all
            state: what the piece before left; None = nothing came before
        Raises:
            ConfigError: attention or bidirectional layers keep no state.
        """
        self._need_state()
        after = []
        for part, before in zip(self.parts, state or [None] * len(self.parts), strict=True):
            assert isinstance(part, Part)
            x, kept = part.carried(x, before, valid)
            after.append(kept)
        return self.norm(x), after

    def step(self, x_t: Tensor, state: Sequence[Any]) -> tuple[Tensor, list[Any]]:
        """One element [B, D] of a stream after what `carried` or an earlier step left; equal to `carried` over it.

        Raises:
            ConfigError: attention or bidirectional layers keep no state.
        """
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

    def step_groups(self, lr: float, weight_decay: float) -> list[dict[str, Any]]:
        """Parameter groups for an optimiser: S4D's dynamics slower and without decay."""
        return optim_groups(self, lr, weight_decay)


def parameters(config: StackConfig) -> int:
    """Number of parameters of a stack."""
    return sum(p.numel() for p in Stack(config).parameters())


def of_equal_size(config: StackConfig, budget: int) -> StackConfig:
    """The config with the width whose stack comes nearest to a number of parameters.

    Widths are multiples of 4; of twice the heads for attention. Branches of SeRpEnt, whose own widths go in steps of 8,
    are made up to 4 wider or narrower where that comes nearer.
    """
    unit = 2 * config.heads if config.mixer == "transformer" else 4

    def size(units: int) -> int:
        return parameters(replace(config, width=unit * units))

    high = 1
    while size(high) < budget:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if size(middle) < budget else (low, middle)
    near = [replace(config, width=unit * n) for n in (low, high) if n]
    if config.mixer == "serpent":
        near += [_branches(one, more) for one in near for more in (-4, 4)]
    return min(near, key=lambda one: abs(parameters(one) - budget))


def _branches(config: StackConfig, more: int) -> StackConfig:
    """The config with wider or narrower branches."""
    width = SeRpEntConfig(config.width, **_serpent_options(config)).width
    return replace(config, serpent=replace(config.serpent, branch_width=max(4, width + more)))
