"""Base of S6 and Mamba: selective parameters (B, C and step sizes from the input), the scan and single steps.

Source: Gu and Dao [gu2023mamba], Sec. 3.2 (Algorithm 2) and 3.6; names and initial values of parameters as in
mamba_simple.py of state-spaces/mamba. With A = -exp(A_log) [E, N] and u [B, L, E]:

    (M9)   (delta, B, C) = x_proj u,   Delta = softplus(dt_proj delta + bias)
    (M10)  h_t = exp(Delta_t A) h_{t-1} + Delta_t u_t B_t,   y_t = C_t . h_t + D u_t,   times SiLU(z_t) with a gate
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from exuvia_ssm.context import autocasting, no_autocast, plain
from exuvia_ssm.errors import ConfigError, ShapeError
from exuvia_ssm.layer import Layer, RealSteps, check_sequence, check_state, check_step, working_dtype
from exuvia_ssm.registry import suggest
from exuvia_ssm.scan.selective_scan import selective_scan


@dataclass(frozen=True)
class S6Config:
    """Settings of a selective layer. Raises ConfigError for invalid values."""

    d_model: int
    """channels D"""
    d_state: int = 16
    """number of states N per channel"""
    dt_rank: int | str = "auto"
    """rank of the map to step sizes; "auto" is d_model / 16, rounded up (Sec. 3.6)"""
    dt_min: float = 0.001
    """smallest initial step size; step sizes start log-uniform (Sec. 3.6)"""
    dt_max: float = 0.1
    """largest initial step size"""
    dt_init: str = "random"
    """initial weight of dt_proj: "random", uniform in +- dt_scale / sqrt(rank), or "constant" """
    dt_scale: float = 1.0
    """scale of dt_proj's initial weight"""
    dt_init_floor: float = 1e-4
    """lower bound of initial step sizes"""
    backend: str | None = None
    """backend of the scan: None = the fastest suitable one, or "reference", "chunked", "cpu", "triton" """

    def __post_init__(self) -> None:
        if min(self.d_model, self.d_state, self.rank) < 1:
            raise ConfigError(
                f"found d_model = {self.d_model}, d_state = {self.d_state}, dt_rank = {self.dt_rank}; "
                "expected at least 1"
            )
        if self.dt_init not in ("random", "constant"):
            raise ConfigError(f"unknown dt_init {self.dt_init!r}; {suggest(self.dt_init, ('random', 'constant'))}")
        if not (0 < self.dt_min <= self.dt_max < math.inf and self.dt_init_floor > 0):
            raise ConfigError(
                f"found dt_min = {self.dt_min}, dt_max = {self.dt_max}, dt_init_floor = {self.dt_init_floor}; "
                "expected 0 < dt_min <= dt_max and a positive floor"
            )

    @property
    def rank(self) -> int:
        """Rank of the map to step sizes."""
        if self.dt_rank == "auto":
            return -(-self.d_model // 16)
        if not isinstance(self.dt_rank, int):
            raise ConfigError(f'found dt_rank = {self.dt_rank!r}; expected "auto" or a positive whole number')
        return self.dt_rank


class SelectiveLayer(Layer):
    """The calling convention around `_sequence` and `_single`, which S6 and Mamba define."""

    x_proj: nn.Linear
    dt_proj: nn.Linear
    A_log: nn.Parameter
    D: nn.Parameter

    def __init__(self, config: S6Config) -> None:
        super().__init__()
        self.config = config

    def forward(
        self, x: Tensor, valid: Tensor | None = None, state: Any = None, return_state: bool = False
    ) -> Tensor | tuple[Tensor, Any]:
        """Process the whole sequence; arguments as in exuvia_ssm.layer. Raises ShapeError.

        Values that are not finite spread to later steps of their row; in masked steps they have no effect.
        """
        steps = self._checked(x, valid, state)
        packed, lengths = (x, None) if steps is None else (steps.pack(x), steps.lengths)
        y, final = self._sequence(packed, lengths, state, return_state)
        y = y if steps is None else steps.unpack(y)
        return (y, final) if return_state else y

    def step(self, x_t: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Process one step, x_t [B, D] -> (y_t [B, D], state), as the same step of `forward`. Raises ShapeError."""
        check_step(x_t, self.config.d_model)
        self._check_dtype(x_t)
        check_state(state, self._state_shapes(x_t.shape[0]))
        return self._single(x_t, state)

    def step_sizes(self, x: Tensor, valid: Tensor | None = None, state: Any = None) -> Tensor:
        """Return Delta after the softplus, as the scan uses it: [B, L, E] float32 (float64), 0 where not valid."""
        steps = self._checked(x, valid, state)
        dt, bias, _, _ = self._selection(self._scanned(x if steps is None else steps.pack(x), state))
        sizes = F.softplus(dt.to(working_dtype(dt.dtype)) + bias)
        return sizes if steps is None else steps.unpack(sizes)

    def _checked(self, x: Tensor, valid: Tensor | None, state: Any) -> RealSteps | None:
        check_sequence(x, self.config.d_model, valid)
        self._check_dtype(x)
        if state is not None:
            check_state(state, self._state_shapes(x.shape[0]))
        return None if valid is None else RealSteps.of(valid)

    def _sequence(self, x: Tensor, lengths: Tensor | None, state: Any, return_state: bool) -> tuple[Tensor, Any]:
        """x [B, L, D], right-padded -> y, state or None."""
        raise NotImplementedError

    def _single(self, x_t: Tensor, state: Any) -> tuple[Tensor, Any]:
        raise NotImplementedError

    def _scanned(self, x: Tensor, state: Any) -> Tensor:
        """Return the input of the scan, u [B, L, E]."""
        raise NotImplementedError

    def _state_shapes(self, batch: int) -> list[tuple[int, ...]]:
        raise NotImplementedError

    def _check_dtype(self, x: Tensor) -> None:
        if autocasting(x.device) or not plain(self.x_proj, nn.Linear):
            return
        if x.dtype != self.x_proj.weight.dtype:
            raise ShapeError(
                f"the layer's weights are {self.x_proj.weight.dtype} and x is {x.dtype}; convert one of them "
                "with .to(...), or run under torch.autocast"
            )

    def _make_selection(self, width: int) -> None:
        """Create the parameters for E = width channels."""
        config = self.config
        self.x_proj = nn.Linear(width, config.rank + 2 * config.d_state, bias=False)
        self.dt_proj = nn.Linear(config.rank, width)
        self.A_log = nn.Parameter(torch.empty(width, config.d_state))
        self.D = nn.Parameter(torch.empty(width))
        self._initialise()

    def _initialise(self) -> None:
        """Set the initial values of Sec. 3.6 [gu2023mamba]."""
        config, width, device = self.config, len(self.D), self.D.device
        scale = config.dt_scale * config.rank**-0.5
        with torch.no_grad():
            if config.dt_init == "constant":
                self.dt_proj.weight.fill_(scale)
            else:
                self.dt_proj.weight.uniform_(-scale, scale)
            low, high = math.log(config.dt_min), math.log(config.dt_max)
            sizes = torch.exp(torch.rand(width, device=device) * (high - low) + low).clamp(min=config.dt_init_floor)
            self.dt_proj.bias.copy_(sizes + torch.log(-torch.expm1(-sizes)))  # the inverse of softplus
            self.A_log.copy_(torch.arange(1, config.d_state + 1, dtype=torch.float32, device=device).log())
            self.D.fill_(1)

    def _selection(self, u: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """u [..., E] -> dt before bias and softplus [..., E], its bias [E] float32 (float64), B and C [..., N]"""
        delta, B, C = self.x_proj(u).split([self.config.rank, self.config.d_state, self.config.d_state], dim=-1)
        if plain(self.dt_proj, nn.Linear) and self.dt_proj.bias is not None:
            return F.linear(delta, self.dt_proj.weight), self.dt_proj.bias.to(working_dtype(u.dtype)), B, C
        return self.dt_proj(delta), torch.zeros_like(self.D, dtype=working_dtype(u.dtype)), B, C

    def _scan(
        self, u: Tensor, z: Tensor | None, h: Tensor | None, lengths: Tensor | None, return_state: bool
    ) -> tuple[Tensor, Tensor | None]:
        """u, z [B, L, E] -> y [B, L, E] in u's dtype, final state [B, E, N] or None."""
        dt, bias, B, C = self._selection(u)
        work = working_dtype(u.dtype)
        with no_autocast(u.device):
            run = partial(selective_scan, dt_softplus=True, return_state=return_state, backend=self.config.backend)
            rates, skip = -torch.exp(self.A_log.to(work)), self.D.to(work)
            result = run(u, dt, rates, B, C, skip, z, bias, initial_state=h, lengths=lengths)
        return (result[0], result[1]) if isinstance(result, tuple) else (result, None)

    def _advance(self, u: Tensor, z: Tensor | None, h: Tensor) -> tuple[Tensor, Tensor]:
        """One step of the scan: u, z [B, E], h [B, E, N] -> y [B, E], h."""
        raw, bias, B, C = self._selection(u)
        work = working_dtype(u.dtype)
        with no_autocast(u.device):
            now, B, C, h = u.to(work), B.to(work), C.to(work), h.to(work)
            dt = F.softplus(raw.to(work) + bias)
            decay = torch.exp(dt[..., None] * -torch.exp(self.A_log.to(work)))
            h = decay * h + (dt * now)[..., None] * B[:, None]
            y = (h @ C[..., None]).squeeze(-1) + self.D.to(work) * now
            if z is not None:
                y = y * F.silu(z.to(work))
        return y.to(u.dtype), h
