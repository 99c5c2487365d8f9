"""S4D: a linear state-space layer with complex diagonal dynamics, run as a convolution, in chunks, or step by step.

Source: Gu, Gupta, Goel, Re [gu2022s4d]; parameter names and output of models/s4/s4d.py (state-spaces/s4), whose weights
load unchanged. With A = -exp(log_A_real) + i A_imag and dt = exp(log_dt), every channel is

    (D1)  h_t = exp(dt A) h_{t-1} + x_t,   y_t = 2 Re(sum_n C_n (exp(dt A_n) - 1) / A_n h_t,n) + D x_t   [gu2022s4d]
    (D2)  the same as a convolution:   y = k * x + D x,   k_l = 2 Re(sum_n C_n (exp(dt A_n) - 1) / A_n exp(l dt A_n))
    (D3)  out = GLU(W GELU(y) + b), dropout before W; output="none" leaves y
"""

import math
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from exuvia_ssm.context import autocasting, no_autocast, plain, transformed
from exuvia_ssm.errors import ConfigError, ShapeError
from exuvia_ssm.layer import Layer, RealSteps, check_sequence, configurable, working_dtype
from exuvia_ssm.s4d.diagonal_scan import diagonal_scan
from exuvia_ssm.s4d.diagonal_system import ChunkTables
from exuvia_ssm.s4d.dynamics import S4DConfig, S4DKernel
from exuvia_ssm.s4d.long_convolution import convolve

_FFT_STEPS_PER_MODE = 64
"""Up to this many steps per mode, one transform is cheaper than chunks (measured on CPU, float32)."""


class S4DState(NamedTuple):
    """State of an S4D layer between pieces of a sequence."""

    h: Tensor
    """complex modes after the last real step, for input matrix 1   [B, D, N/2]"""


class S4D(Layer):
    """x [B, L, D] -> y [B, L, D], causal, linear in time.

    Options are the fields of `S4DConfig`. Raises ConfigError for an unknown or unsuitable option. A value that is not
    finite affects its sequence and channel from the start of its chunk or transform.
    """

    @configurable(S4DConfig, "d_state dropout")
    def __init__(self, config: S4DConfig) -> None:
        super().__init__()
        self.config, d_model = config, config.d_model
        self.D = nn.Parameter(torch.empty(d_model))
        self._initialise()
        self.kernel = S4DKernel(config)
        if config.output == "glu":
            self.output_linear = nn.Sequential(nn.Conv1d(d_model, 2 * d_model, 1), nn.GLU(dim=-2))

    def _initialise(self) -> None:
        nn.init.normal_(self.D)

    def forward(
        self,
        x: Tensor,
        valid: Tensor | None = None,
        state: S4DState | None = None,
        return_state: bool = False,
        *,
        rate: float = 1.0,
    ) -> Any:
        """Process the whole sequence.

        Args:
            x: input   [B, L, D]
            valid: True where a step is real, in any pattern; other steps are skipped   [B, L] bool
            state: state before the first step; None is zero
            return_state: also return the state after each row's last real step
            rate: interval relative to training: 0.5 for a sequence sampled twice as often; constant within a stream
        Returns:
            y [B, L, D], 0 where not valid; or (y, state)
        Raises:
            ShapeError: unsuitable shapes or dtypes.
            ConfigError: a rate that is not positive.
        """
        check_sequence(x, self.config.d_model, valid)
        packing = None if valid is None else RealSteps.of(valid)
        steps, lengths = (x, None) if packing is None else (packing.pack(x), packing.lengths)
        work = working_dtype(x.dtype)
        with no_autocast(x.device):
            y, final = self._sequence(steps.to(work), lengths, self._entering(state, x), return_state, _checked(rate))
        y = self._output(y.to(x.dtype), drops=True)
        if packing is not None:
            y = packing.unpack(y)
        return (y, S4DState(cast(Tensor, final))) if return_state else y

    def _sequence(
        self, x: Tensor, lengths: Tensor | None, entering: Tensor | None, wants_state: bool, rate: float
    ) -> tuple[Tensor, Tensor | None]:
        """Return convolution plus skip of right-padded steps   [B, L, D], and the final state [B, D, N/2] if wanted."""
        length, method = x.shape[1], self.config.method
        if not isinstance(length, torch.SymInt) and (method == "auto" or transformed()):
            method = "fft" if transformed() or length <= _FFT_STEPS_PER_MODE * self.config.d_state // 2 else "chunked"
        if isinstance(length, torch.SymInt):  # exported for any length
            method = "chunked"
        skip = self.D.to(x.dtype)[:, None]
        if method == "fft" and entering is None and not wants_state:
            skip = F.pad(skip, (0, max(length, 1) - 1))[:, :length]
            return convolve(x, self.kernel(length, rate, x.dtype) + skip), None
        if transformed():
            return self._recurrence(x, lengths, entering, rate)
        modes, tables = self.kernel.tables(_chunk(length, x.device), rate, x.dtype)
        first = tables.kernel + F.pad(skip, (0, tables.kernel.shape[1] - 1))
        tables = ChunkTables(first, tables.write, tables.read, tables.decay)
        return diagonal_scan(x, modes, tables, entering, lengths)

    def _recurrence(
        self, x: Tensor, lengths: Tensor | None, entering: Tensor | None, rate: float
    ) -> tuple[Tensor, Tensor]:
        """Run (D1) step by step, for torch.func transforms: as `_sequence`, always with the state."""
        pole, factor = self.kernel.recurrence(rate, x.dtype)
        h = torch.zeros_like(pole).expand(x.shape[0], *pole.shape) if entering is None else entering
        outputs = []
        for t, now in enumerate(x.unbind(1)):
            following = pole * h + now[..., None]
            h = following if lengths is None else torch.where((t < lengths)[:, None, None], following, h)
            outputs.append(self._read(factor, following, now))
        return (torch.stack(outputs, 1) if outputs else x), h

    def _read(self, factor: Tensor, h: Tensor, now: Tensor) -> Tensor:
        """Return y of a state after the input `now` [B, D].   (D1)"""
        return 2 * (factor.real * h.real - factor.imag * h.imag).sum(-1) + self.D.to(now.dtype) * now

    def step(self, x_t: Tensor, state: S4DState, *, rate: float = 1.0) -> tuple[Tensor, S4DState]:
        """Process one step x_t [B, D] as `forward` at this `rate` would, without dropout; returns y_t and state."""
        check_sequence(x_t[:, None], self.config.d_model)
        work = working_dtype(x_t.dtype)
        before = self._entering(state, x_t)
        pole, factor = self.kernel.recurrence(_checked(rate), work)
        now = x_t.to(work)
        h = now[..., None] + (pole * before if before is not None else 0)
        y = self._read(factor, h, now)
        return self._output(y.to(x_t.dtype), drops=False), S4DState(h)

    def initial_state(
        self, batch: int, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> S4DState:
        """Return the zero state; complex128 for float64 layers, complex64 otherwise."""
        kind = dtype if dtype is not None and dtype.is_complex else working_dtype(dtype or self.D.dtype).to_complex()
        shape = (batch, self.config.d_model, self.config.d_state // 2)
        return S4DState(torch.zeros(shape, dtype=kind, device=device or self.D.device))

    def optim_groups(self, lr: float, weight_decay: float, ssm_lr: float = 0.001) -> list[dict[str, Any]]:
        """Return parameter groups for an optimiser; see the function of the same name."""
        return optim_groups(self, lr, weight_decay, ssm_lr)

    def _entering(self, state: S4DState | None, x: Tensor) -> Tensor | None:
        if state is None:
            return None
        h = state[0] if isinstance(state, tuple) and len(state) == 1 else None
        expected = (x.shape[0], self.config.d_model, self.config.d_state // 2)
        if not isinstance(h, Tensor) or tuple(h.shape) != expected or not h.is_complex():
            given = f"{list(h.shape)} of {h.dtype}" if isinstance(h, Tensor) else f"of type {type(state).__name__}"
            raise ShapeError(
                f"S4D was given a state {given}; expected one complex tensor {list(expected)}: "
                "take it from initial_state or from an earlier call of the same layer"
            )
        return h.to(working_dtype(x.dtype).to_complex())

    def _output(self, y: Tensor, drops: bool) -> Tensor:
        """Apply GELU, dropout of whole channels, and the gated linear map."""
        if self.config.output == "none":
            return y
        y = F.gelu(y)
        if drops and self.training and self.config.dropout:
            kept = torch.rand(y.shape[0], 1, y.shape[2], device=y.device) >= self.config.dropout
            y = y * kept.to(y.dtype) / (1 - self.config.dropout)
        maps, cast_later = self.output_linear, autocasting(y.device)
        if plain(maps, nn.Sequential) and plain(maps[0], nn.Conv1d) and plain(maps[1], nn.GLU):
            linear = cast(nn.Conv1d, maps[0])
            given = y if cast_later else y.to(linear.weight.dtype)
            out = F.glu(F.linear(given, linear.weight.squeeze(-1), linear.bias), -1)
        elif 0 in y.shape[1:]:
            out = y
        else:
            given = y if cast_later else y.to(self.D.dtype)
            out = maps((given if y.dim() == 3 else given[:, None]).transpose(1, 2)).transpose(1, 2).reshape(y.shape)
        return out if cast_later else out.to(y.dtype)


def optim_groups(model: nn.Module, lr: float, weight_decay: float, ssm_lr: float = 0.001) -> list[dict[str, Any]]:
    """Return parameter groups of a model: dt and A of every S4D layer with a small learning rate and no weight decay.

    The S4 authors train with at most 0.001 for log_dt, log_A_real and A_imag (configs/experiment/lra and example.py of
    state-spaces/s4); weight decay would pull the dynamics to arbitrary values.
    """
    slow = [p for module in model.modules() if isinstance(module, S4DKernel) for p in module.dynamics()]
    names = {id(p) for p in slow}
    rest = [p for p in model.parameters() if id(p) not in names]
    return [
        {"params": rest, "lr": lr, "weight_decay": weight_decay},
        {"params": slow, "lr": min(lr, ssm_lr), "weight_decay": 0.0},
    ]


def _checked(rate: float) -> float:
    if not 0 < rate < math.inf:
        raise ConfigError(f"S4D was given rate {rate}; it needs a positive number, 1 for the interval of training")
    return float(rate)


def _chunk(length: int, device: torch.device) -> int:
    """Return the steps of a chunk: 64; fewer for short sequences, more on devices where each chunk costs a launch."""
    if isinstance(length, torch.SymInt):
        return 64
    if device.type == "cpu" or length <= 4096:
        return next((size for size in (16, 32) if length <= size), 64)
    return min(512, 1 << (math.isqrt(length).bit_length() - 1))
