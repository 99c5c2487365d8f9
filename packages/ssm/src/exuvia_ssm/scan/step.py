"""`scan_step`: one step of the selective scan for streaming; same equations as `selective_scan`."""

import torch
import torch.nn.functional as F
from torch import Tensor

from exuvia_ssm.context import no_autocast
from exuvia_ssm.errors import ShapeError
from exuvia_ssm.scan.arguments import check_dense, check_shapes


def scan_step(
    x_t: Tensor,
    dt_t: Tensor,
    A: Tensor,
    B_t: Tensor,
    C_t: Tensor,
    D: Tensor | None = None,
    z_t: Tensor | None = None,
    dt_bias: Tensor | None = None,
    softplus: bool = False,
    state: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the output of one step and the state after it, (M1) to (M3) of reference.py.

    Args:
        x_t: input                                                       [B, D]
        dt_t: step sizes, before bias and softplus                       [B, D]
        A: decay rates, real, negative                                   [D, N]
        B_t, C_t: input and output maps: one, per group, or constant     [B, N], [B, G, N] or [D, N]
        D: skip                                                          [D]
        z_t: gate, before SiLU                                           [B, D]
        dt_bias: added to dt_t                                           [D]
        softplus: step sizes are softplus(dt_t + dt_bias)
        state: state before the step; None is zero                       [B, D, N]
    Returns:
        y_t [B, D] in x_t's dtype, state [B, D, N], float32, or float64 if an input is
    Raises:
        ShapeError: unsuitable shapes. If B = D, maps [B, N] are read as one per row.
    """
    work = check_dense((x_t, dt_t, A, B_t, C_t), (D, z_t, dt_bias, state))
    if x_t.dim() != 2 or A.dim() != 2 or A.shape[0] != x_t.shape[1]:
        raise ShapeError(f"found x_t {list(x_t.shape)} and A {list(A.shape)}; expected [B, D] and [D, N]")
    batch, width = x_t.shape
    shapes = {"dt_t": x_t.shape, "z_t": x_t.shape, "D": (width,), "dt_bias": (width,), "state": (batch, *A.shape)}
    check_shapes(shapes, (dt_t, z_t, D, dt_bias, state))
    if not (x_t.is_floating_point() and B_t.is_floating_point() and C_t.is_floating_point()) or A.is_complex():
        raise ShapeError(f"found {x_t.dtype}, {A.dtype}, {B_t.dtype}, {C_t.dtype}; expected floating point tensors")
    with no_autocast(x_t.device):
        B, C = (_per_channel(name, t.to(work), batch, A.shape) for name, t in (("B_t", B_t), ("C_t", C_t)))
        x, dt, rates = x_t.to(work), dt_t.to(work), A.to(work)
        dt = dt if dt_bias is None else dt + dt_bias.to(work)
        dt = F.softplus(dt) if softplus else dt
        h = (dt * x)[..., None] * B
        if state is not None:
            h = h + torch.exp(dt[..., None] * rates) * state.to(work)
        y = (h * C).sum(-1)
        y = y if D is None else y + D.to(work) * x
        y = y if z_t is None else y * F.silu(z_t.to(work))
    return y.to(x_t.dtype), h


def _per_channel(name: str, given: Tensor, batch: int, shape: torch.Size) -> Tensor:
    """Return B_t or C_t in a shape that broadcasts to [B, D, N]."""
    width, states = shape
    size = tuple(given.shape)
    if size == (batch, states):
        return given[:, None]
    if size == (width, states):
        return given[None]
    if len(size) == 3 and size[0] == batch and size[2] == states and size[1] and width % size[1] == 0:
        return given.repeat_interleave(width // size[1], 1)
    raise ShapeError(
        f"found {name} {list(size)}; expected [{batch}, {states}], [{batch}, groups that divide {width}, {states}] "
        f"or [{width}, {states}]"
    )
