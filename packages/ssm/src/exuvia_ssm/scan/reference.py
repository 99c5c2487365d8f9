"""The selective scan, written like its equations, step by step: slow, any precision, twice differentiable.

With step sizes dt_t after the softplus, for every channel d and state n   (Eq. 2a, Sec. 3.2 [gu2023mamba])

    (M1)  a_t[d, n] = exp(dt_t[d] A[d, n])
    (M2)  h_t[d, n] = a_t[d, n] h_{t-1}[d, n] + dt_t[d] x_t[d] B_t[n]
    (M3)  y_t[d]    = sum_n C_t[n] h_t[d, n]

B is discretised as dt B, not by zero-order hold, as in the published code (selective_scan_ref of state-spaces/mamba).
A step of size 0 leaves the state unchanged; padding uses this.

Backward, with g_t = dL/dh_t and v_t = dL/dy_t, from the last step to the first:

    (M4)  g_t[d, n] = C_t[n] v_t[d] + a_{t+1}[d, n] g_{t+1}[d, n]
    (M5)  dC_t[n] = sum_d v_t[d] h_t[d, n],    dB_t[n] = sum_d g_t[d, n] dt_t[d] x_t[d]
    (M6)  dx_t[d] = dt_t[d] sum_n g_t[d, n] B_t[n]
    (M7)  d(dt_t)[d] = x_t[d] sum_n g_t[d, n] B_t[n] + sum_n g_t[d, n] A[d, n] a_t[d, n] h_{t-1}[d, n]
    (M8)  dA[d, n] = sum_t g_t[d, n] dt_t[d] a_t[d, n] h_{t-1}[d, n]
"""

import torch
from torch import Tensor


def scan_reference(
    x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, initial: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return outputs y [B, L, D] and the final state [B, D, N] for x and step sizes dt [B, L, D], dt 0 at masked steps.

    The rates A [D, N] are negative; B and C are [B, L, G, N], and channel d reads group d // (D // G).
    No `initial` means zero.
    """
    batch, _, width = x.shape
    share = width // B.shape[2]
    h = x.new_zeros(batch, *A.shape) if initial is None else initial
    out = []
    # unbind, not x[:, t]: the gradient of a slice is a zero tensor of the whole length, for every step
    for x_t, dt_t, B_t, C_t in zip(x.unbind(1), dt.unbind(1), B.unbind(1), C.unbind(1), strict=True):
        a_t = torch.exp(dt_t[..., None] * A)  # (M1)
        h = a_t * h + (dt_t * x_t)[..., None] * B_t.repeat_interleave(share, 1)  # (M2)
        out.append((h * C_t.repeat_interleave(share, 1)).sum(-1))  # (M3)
    return (torch.stack(out, 1) if out else x * dt * (A.sum() + B.sum() + C.sum())), h  # no steps: zero gradients
