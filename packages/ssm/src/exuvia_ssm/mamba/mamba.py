"""S6, the selective state-space model, and Mamba, the block around it; official weights load unchanged.

Source: Gu and Dao [gu2023mamba], Sec. 3.2 (Algorithm 2) and Fig. 3; mamba_simple.py of state-spaces/mamba.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from exuvia_ssm.context import plain
from exuvia_ssm.errors import ConfigError
from exuvia_ssm.layer import configurable
from exuvia_ssm.mamba.causal_convolution import Filters, causal_convolution, convolution_step
from exuvia_ssm.mamba.selective_layer import S6Config, SelectiveLayer


class S6State(NamedTuple):
    """State of S6 between pieces of a sequence."""

    ssm: Tensor
    """[B, D, N] float32 (float64)"""


class MambaState(NamedTuple):
    """State of Mamba between pieces of a sequence, as in the official step()."""

    conv: Tensor
    """last inputs of the convolution, newest last   [B, E, W]"""
    ssm: Tensor
    """[B, E, N] float32 (float64)"""


@dataclass(frozen=True)
class MambaConfig(S6Config):
    """Settings of a Mamba block. Raises ConfigError for invalid values."""

    d_conv: int = 4
    """width W of the convolution"""
    expand: float = 2
    """inner channels E = expand d_model"""
    conv_bias: bool = True
    """bias of the convolution"""
    bias: bool = False
    """biases of in_proj and out_proj"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.d_conv < 1 or self.d_inner < 1:
            raise ConfigError(f"found d_conv = {self.d_conv}, expand = {self.expand}; expected at least one each")

    @property
    def d_inner(self) -> int:
        """Inner channels E."""
        return int(self.expand * self.d_model)


class S6(SelectiveLayer):
    """The selective SSM, x [B, L, D] -> y [B, L, D], without gate and convolution.   Algorithm 2 [gu2023mamba]

    Options are the fields of `S6Config`. Raises ConfigError for an unknown or unsuitable option.
    """

    @configurable(S6Config, "d_state")
    def __init__(self, config: S6Config) -> None:
        super().__init__(config)
        self._make_selection(config.d_model)

    def initial_state(
        self, batch: int, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> S6State:
        """Return a zero state."""
        return S6State(_zeros(self, self._state_shapes(batch)[0], device, dtype or self.D.dtype, held=True))

    def _state_shapes(self, batch: int) -> list[tuple[int, ...]]:
        return [(batch, self.config.d_model, self.config.d_state)]

    def _scanned(self, x: Tensor, state: Any) -> Tensor:
        return x

    def _sequence(self, x: Tensor, lengths: Tensor | None, state: Any, return_state: bool) -> tuple[Tensor, Any]:
        y, h = self._scan(x, None, None if state is None else state[0], lengths, return_state)
        return y, S6State(h) if h is not None else None

    def _single(self, x_t: Tensor, state: Any) -> tuple[Tensor, S6State]:
        y, h = self._advance(x_t, None, state[0])
        return y, S6State(h)


class Mamba(SelectiveLayer):
    """The Mamba block, x [B, L, D] -> y [B, L, D], without norm and residual.   Fig. 3 [gu2023mamba]

        (M11)  u, z = in_proj x;   u = SiLU(conv1d u);   y = out_proj (S6(u) * SiLU(z))

    Options are the fields of `MambaConfig`. Raises ConfigError for an unknown or unsuitable option. Under
    torch.autocast the projections follow it and the scan computes in float32. The official code trains A_log and D
    without weight decay (mamba_simple.py).
    """

    config: MambaConfig

    @configurable(
        MambaConfig, "d_state d_conv expand dt_rank dt_min dt_max dt_init dt_scale dt_init_floor conv_bias bias"
    )
    def __init__(self, config: MambaConfig) -> None:
        super().__init__(config)
        d_model, inner = config.d_model, config.d_inner
        self.in_proj = nn.Linear(d_model, 2 * inner, bias=config.bias)
        self.conv1d = nn.Conv1d(inner, inner, config.d_conv, groups=inner, bias=config.conv_bias)
        self._make_selection(inner)
        self.out_proj = nn.Linear(inner, d_model, bias=config.bias)

    def initial_state(
        self, batch: int, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> MambaState:
        """Return a zero state; the convolution's part in `dtype`, by default that of its weights."""
        conv, ssm = self._state_shapes(batch)
        kind = dtype or next((p.dtype for p in self.conv1d.parameters() if p.is_floating_point()), self.D.dtype)
        return MambaState(_zeros(self, conv, device, kind), _zeros(self, ssm, device, kind, held=True))

    def _state_shapes(self, batch: int) -> list[tuple[int, ...]]:
        inner = self.config.d_inner
        return [(batch, inner, self.config.d_conv), (batch, inner, self.config.d_state)]

    def _sequence(self, x: Tensor, lengths: Tensor | None, state: Any, return_state: bool) -> tuple[Tensor, Any]:
        u, z = self._split_input(x)
        before = None if state is None else state[0]
        u, conv = causal_convolution(u, *self._filters, before, lengths, return_state)
        y, h = self._scan(F.silu(u), z, None if state is None else state[1], lengths, return_state)
        return self.out_proj(y), MambaState(cast(Tensor, conv), cast(Tensor, h)) if return_state else None

    def _single(self, x_t: Tensor, state: Any) -> tuple[Tensor, MambaState]:
        u, z = self._split_input(x_t)
        u, conv = convolution_step(u, *self._filters, state[0])
        y, h = self._advance(F.silu(u), z, state[1])
        return self.out_proj(y), MambaState(conv, h)

    def _scanned(self, x: Tensor, state: Any) -> Tensor:
        before = None if state is None else state[0]
        return F.silu(causal_convolution(self._split_input(x)[0], *self._filters, before)[0])

    @property
    def _filters(self) -> tuple[Filters, Tensor | None]:
        """Filters of the convolution, and their bias."""
        if plain(self.conv1d, nn.Conv1d):
            return self.conv1d.weight.squeeze(1), self.conv1d.bias
        return (self.conv1d, self.config.d_conv), None

    def _split_input(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the two halves of in_proj, [..., E] each."""
        u, z = self.in_proj(x).chunk(2, dim=-1)
        return u, z


def _zeros(
    layer: SelectiveLayer,
    shape: tuple[int, ...],
    device: torch.device | str | None,
    dtype: torch.dtype,
    held: bool = False,
) -> Tensor:
    """Return a zero state on the layer's device; with `held` (the scan's state) in at least float32."""
    if held and dtype != torch.float64:
        dtype = torch.float32
    return torch.zeros(shape, device=device or layer.D.device, dtype=dtype)
