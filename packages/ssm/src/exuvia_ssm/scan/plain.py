"""The scan in plain PyTorch: pads packed sequences, reverses reversed scans, adds skip and gate."""

import torch
import torch.nn.functional as F
from torch import Tensor

from exuvia_ssm.context import hidden
from exuvia_ssm.scan.arguments import ScanInput
from exuvia_ssm.scan.chunked import scan_chunked
from exuvia_ssm.scan.reference import scan_reference

PLAIN = {"reference": scan_reference, "chunked": scan_chunked}
"""Backends that run anywhere."""


def plain_scan(call: ScanInput, name: str) -> tuple[Tensor, Tensor]:
    """Return y [B, L, D] and final states, computed by one of `PLAIN`."""
    given_x, dt, z = call.x, call.dt, call.z
    if call.lengths is not None:  # first, because 0 x NaN of padding would reach shared gradients
        ours = (torch.arange(given_x.shape[1], device=dt.device) < call.lengths.to(dt.device)[:, None])[..., None]
        given_x, dt = torch.where(ours, given_x, 0), torch.where(ours, dt, 0)
        z = None if z is None else torch.where(ours, z, 0)
    dt = dt if call.dt_bias is None else dt + call.dt_bias
    dt = F.softplus(dt) if call.softplus else dt
    places, real = _places(call)
    core = [given_x, dt, call.B, call.C]
    if places is not None:
        core = [t.flatten(0, 1)[places] for t in core]
    x, dt, B, C = core
    if real is not None:  # a masked step has size 0 and input 0
        x, dt = (torch.where(real[..., None], t, 0) for t in (x, dt))
        B, C = (torch.where(real[..., None, None], t, 0) for t in (B, C))
    y, state = PLAIN[name](x, dt, call.A, B, C, call.initial)
    if places is not None:
        rows = call.x.shape[0] * call.x.shape[1]
        back = call.x.new_zeros(rows + 1, call.x.shape[2])  # the last row receives masked steps
        at = places if real is None else torch.where(real, places, rows)
        y = back.index_put((at,), y)[:-1].view(call.x.shape)
    if call.D is not None:
        y = y + call.D * given_x
    if z is not None:
        y = y * F.silu(z)
    if call.lengths is not None:
        y = torch.where(ours, y, 0)
    return y, state


def _places(call: ScanInput) -> tuple[Tensor | None, Tensor | None]:
    """Return the row of each step in the order of the scan, and whether it is real; None: the order of x, all real."""
    batch, length, _ = call.x.shape
    device = call.x.device
    if call.cu_seqlens is not None:
        first, lengths = call.cu_seqlens[:-1].to(device), call.cu_seqlens.diff().to(device)
        longest = length if hidden(lengths) else int(lengths.max()) if len(lengths) else 0
    else:
        first, longest = torch.arange(batch, device=device) * length, length
        if call.lengths is None and not call.reverse:
            return None, None
        lengths = torch.full_like(first, length) if call.lengths is None else call.lengths.to(device)
    step = torch.arange(longest, device=device)
    real = step < lengths[:, None]
    if call.cu_seqlens is None and not call.reverse:
        return None, real
    at = lengths[:, None] - 1 - step if call.reverse else step.expand_as(real)
    return (first[:, None] + at).masked_fill(~real, 0), real
