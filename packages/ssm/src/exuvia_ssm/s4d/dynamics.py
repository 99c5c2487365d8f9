"""The dynamics of an S4D layer: settings, initial poles, parameters, and tables computed from them."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from exuvia_ssm.context import hidden
from exuvia_ssm.errors import ConfigError
from exuvia_ssm.registry import suggest
from exuvia_ssm.s4d.diagonal_system import ChunkTables, Modes, chunk_tables, discretise, kernel, powers

INITIALISATIONS = ("lin", "legs", "inv", "real")
DISCRETISATIONS = ("zoh", "bilinear")
OUTPUTS = ("glu", "none")
METHODS = ("auto", "fft", "chunked")
CHOICES = {"init": INITIALISATIONS, "discretization": DISCRETISATIONS, "output": OUTPUTS, "method": METHODS}


@dataclass(frozen=True)
class S4DConfig:
    """Settings of an S4D layer."""

    d_model: int
    """channels D"""
    d_state: int = 64
    """number of real states N per channel, even; stored as N/2 complex modes"""
    dropout: float = 0.0
    """probability of dropping a channel before the output map, for all steps of a sequence"""
    init: str = "lin"
    """initial imaginary parts: "lin", "legs", "inv", or "real" (poles -1, -2, ... that stay real)"""
    dt_min: float = 0.001
    """smallest initial interval; intervals start log-uniform"""
    dt_max: float = 0.1
    """largest initial interval"""
    discretization: str = "zoh"
    """"zoh" (zero-order hold, as published) or "bilinear" """
    output: str = "glu"
    """"glu": GELU, dropout, linear map to 2D, gate; "none": the bare state-space output"""
    method: str = "auto"
    """"fft", "chunked", or "auto": the cheaper one; with a state, always "chunked" """

    def __post_init__(self) -> None:
        for name, known in CHOICES.items():
            if (value := getattr(self, name)) not in known:
                raise ConfigError(f"S4D has no {name} {value!r}; {suggest(str(value), known)}")
        if self.d_model < 1:
            raise ConfigError(f"S4D has d_model {self.d_model}; it needs at least 1 channel")
        if self.d_state < 2 or self.d_state % 2:
            raise ConfigError(f"S4D has d_state {self.d_state}; it needs an even number, 2 or more (conjugate pairs)")
        if not 0 < self.dt_min <= self.dt_max < math.inf:
            raise ConfigError(f"S4D has dt_min {self.dt_min} and dt_max {self.dt_max}; it needs 0 < dt_min <= dt_max")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"S4D has dropout {self.dropout}; it needs a share in [0, 1)")


def initial_poles(init: str, d_state: int) -> tuple[Tensor, Tensor]:
    """Return the real and imaginary parts of the initial A, N/2 each, float64.   Sec. 4 [gu2022s4d]

    lin: -1/2 + i pi n; inv: -1/2 + i N/pi (N/(2n+1) - 1); legs: -1/2 + i times the positive eigenfrequencies of the
    skew-symmetric part of HiPPO-LegS, S_nk = -sqrt((2n+1)(2k+1))/2 for n > k; real: -(n+1).
    """
    n = torch.arange(d_state // 2, dtype=torch.float64)
    half = torch.full_like(n, 0.5)
    if init == "real":
        return -(n + 1), torch.zeros_like(n)
    if init == "lin":
        return -half, math.pi * n
    if init == "inv":
        return -half, d_state / math.pi * (d_state / (2 * n + 1) - 1)
    root = torch.sqrt(2 * torch.arange(d_state, dtype=torch.float64) + 1)
    lower = torch.tril(root[:, None] * root, -1) / 2
    return -half, torch.linalg.eigvalsh(1j * (lower.T - lower))[d_state // 2 :]


class S4DKernel(nn.Module):
    """C [D, N/2, 2], log_dt [D], log_A_real and A_imag [D, N/2], named as in models/s4/s4d.py (state-spaces/s4)."""

    def __init__(self, config: S4DConfig) -> None:
        super().__init__()
        self.config, self.rule = config, config.discretization
        channels, modes = config.d_model, config.d_state // 2
        self.C = nn.Parameter(torch.empty(channels, modes, 2))
        self.log_dt = nn.Parameter(torch.empty(channels))
        self.log_A_real = nn.Parameter(torch.empty(channels, modes))
        if config.init == "real":
            self.register_buffer("A_imag", torch.empty(channels, modes))
        else:
            self.A_imag = nn.Parameter(torch.empty(channels, modes))
        self._kept: dict[str, tuple[Any, Any, Any]] = {}
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the initial values of Sec. 4 [gu2022s4d]."""
        config, (real, imag) = self.config, initial_poles(self.config.init, self.config.d_state)
        low, high = math.log(config.dt_min), math.log(config.dt_max)
        with torch.no_grad():
            self.C.normal_().mul_(math.sqrt(0.5))
            self.log_dt.uniform_().mul_(high - low).add_(low)
            self.log_A_real.copy_(torch.log(-real))
            self.A_imag.copy_(imag)

    def dynamics(self) -> list[Tensor]:
        """Return the parameters that need a small learning rate and no weight decay."""
        return [p for p in (self.log_dt, self.log_A_real, self.A_imag) if isinstance(p, nn.Parameter)]

    def modes(self, rate: float = 1.0) -> Modes:
        """Return the discretised system at `rate` times the learned interval."""
        imag = self.get_buffer("A_imag") if "A_imag" in self._buffers else self.A_imag
        dt = self.log_dt.double().exp() * rate
        return discretise(-self.log_A_real.double().exp(), imag, self.C[..., 0], self.C[..., 1], dt, self.rule)

    def forward(self, length: int, rate: float = 1.0, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return the convolution kernel, without D   [D, L]."""
        return self._keep("kernel", (length, rate, dtype), lambda: kernel(self.modes(rate), length, dtype))

    def tables(self, chunk: int, rate: float, dtype: torch.dtype) -> tuple[Modes, ChunkTables]:
        """Return the discretised system and the tables of a chunk."""
        key = (chunk, rate, dtype)
        return self._keep("tables", key, lambda: (modes := self.modes(rate), chunk_tables(modes, chunk, dtype)))

    def recurrence(self, rate: float, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Return pole and output factor of one step, complex   two of [D, N/2]."""

        def build() -> tuple[Tensor, Tensor]:
            modes = self.modes(rate)
            real, imag = powers(modes, modes.turns.new_ones(1), dtype)
            return torch.complex(real, imag)[..., 0], torch.complex(modes.c_real.to(dtype), modes.c_imag.to(dtype))

        return self._keep("recurrence", (rate, dtype), build)

    def _keep(self, kind: str, key: Any, build: Callable[[], Any]) -> Any:
        """Cache the last value of a kind until a parameter changes; only in evaluation mode without gradients."""
        tensors = (self.C, self.log_dt, self.log_A_real, self.A_imag)
        if self.training or torch.is_grad_enabled() or torch.compiler.is_compiling():
            return build()
        if any(hidden(t) or t.is_inference() for t in tensors):
            return build()
        key = (key, *((t.data_ptr(), t._version, t.dtype, t.device) for t in tensors))
        if kind not in self._kept or self._kept[kind][0] != key:
            held = [t.detach() for t in tensors]  # keeps the addresses from being reused
            self._kept[kind] = (key, build(), held)
        return self._kept[kind][1]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": {}}
