"""The functions of mamba-ssm and causal-conv1d, with their names, layouts and in-place updates, on this package's scan.

Signatures and shapes are those of mamba_ssm/ops/selective_scan_interface.py and ops/triton/selective_state_update.py
(state-spaces/mamba) and causal_conv1d/causal_conv1d_interface.py (Dao-AILab/causal-conv1d). These run on any device and
final states have gradients. B batch · D, E channels · L steps · N states · G groups · H heads of P channels · W width
of filters. Unsuitable arguments raise ShapeError or ConfigError.
"""

import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from exuvia_ssm.context import no_autocast
from exuvia_ssm.errors import ConfigError, ShapeError
from exuvia_ssm.mamba.causal_convolution import causal_convolution
from exuvia_ssm.mamba.mamba import Mamba
from exuvia_ssm.scan.arguments import ScanInput, check_shapes, checked
from exuvia_ssm.scan.reference import scan_reference
from exuvia_ssm.scan.selective_scan import selective_scan
from exuvia_ssm.scan.step import scan_step

Maybe = Tensor | None


def selective_scan_fn(
    u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Maybe = None, z: Maybe = None,
    delta_bias: Maybe = None, delta_softplus: bool = False, return_last_state: bool = False,
) -> Any:  # fmt: skip
    """Run the selective scan: y [B, D, L] in u's dtype, with `return_last_state` also the last state [B, D, N].

    Args:
        u, delta, z: input, step sizes before bias and softplus, gate before SiLU                             [B, D, L]
        A: decay rates; a complex A gives twice the real part, in a loop over steps (slow)                    [D, N]
        B, C: constant, one, or one per group of channels                     [D, N], [B, N, L] or [B, G, N, L]. With a
            complex A constant maps are complex, others real [..., 2 L]: both parts of each step side by side
        D, delta_bias: skip, and what is added to delta                                                       [D]
    """
    if any(t is not None and t.dim() != 3 for t in (u, delta, z)):
        raise ShapeError(f"found u {list(u.shape)} and delta {list(delta.shape)}; expected u, delta and z [B, D, L]")
    x, dt, gate = (None if t is None else t.transpose(1, 2) for t in (u, delta, z))
    B, C = (_steps_first(m, A.is_complex()) for m in (B, C))
    y, state = _scan(x, dt, A, B, C, D, gate, delta_bias, delta_softplus)
    y = y.transpose(1, 2).contiguous()
    return (y, state) if return_last_state else y


def selective_state_update(
    state: Tensor, x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Maybe = None, z: Maybe = None,
    dt_bias: Maybe = None, dt_softplus: bool = False,
) -> Tensor:  # fmt: skip
    """Process one step and update `state` in place; returns y in the shape and dtype of x.

    Args:
        state, A: state, and decay rates                                    [B, D, N], [D, N] or [B, H, P, N], [H, P, N]
        x, dt, z: input, step sizes before bias and softplus, gate before SiLU                       [B, D] or [B, H, P]
        B, C: maps: one, or one per group of heads                                                   [B, N] or [B, G, N]
        D, dt_bias: skip, and what is added to dt                                                     [D] or [H, P]
    """
    shapes = [list(t.shape) for t in (state, x, A, B, C)]
    heads, ranks = shapes[0][1] if len(shapes[0]) == 4 else 1, [len(shape) for shape in shapes]
    groups = [shape[1] if len(shape) == 3 else 1 for shape in shapes[3:]]
    if ranks[:3] not in ([3, 2, 2], [4, 3, 3]) or {*ranks[3:]} - {2, 3} or any(heads % max(1, g) for g in groups):
        raise ShapeError(
            f"found state, x, A, B, C {shapes}; expected [B, D, N], [B, D], [D, N], [B, N], [B, N], or with heads and "
            "groups that divide them [B, H, P, N], [B, H, P], [H, P, N], [B, G, N], [B, G, N]"
        )
    before = state.flatten(1, -2)
    before = before.clone() if torch.is_grad_enabled() else before  # the gradient needs it after the update
    B, C = (m.unsqueeze(1) if m.dim() == 2 else m for m in (B, C))
    gate = None if z is None else z.flatten(1)
    skip, bias = (None if t is None else t.flatten() for t in (D, dt_bias))
    y, after = scan_step(x.flatten(1), dt.flatten(1), A.flatten(0, -2), B, C, skip, gate, bias, dt_softplus, before)
    state.copy_(after.view(state.shape))
    return y.view(x.shape)


def mamba_inner_fn(
    xz: Tensor, conv1d_weight: Tensor, conv1d_bias: Maybe, x_proj_weight: Tensor, delta_proj_weight: Tensor,
    out_proj_weight: Tensor, out_proj_bias: Maybe, A: Tensor, B: Maybe = None, C: Maybe = None, D: Maybe = None,
    delta_bias: Maybe = None, B_proj_bias: Maybe = None, C_proj_bias: Maybe = None, delta_softplus: bool = True,
    checkpoint_lvl: int = 1, b_rms_weight: Maybe = None, c_rms_weight: Maybe = None, dt_rms_weight: Maybe = None,
    b_c_dt_rms_eps: float = 1e-6,
) -> Tensor:  # fmt: skip
    """Run a Mamba block after its input map, (M11): xz [B, 2 E, L], convolved half and gate -> [B, L, D].

    Args:
        conv1d_weight, conv1d_bias: filters                                                           [E, 1, W], [E]
        x_proj_weight: map to delta (R rows), B and C (N rows each, 2 N for a complex A)              [R + 2 N, E]
        delta_proj_weight, delta_bias: map of delta to step sizes, and what is added to them          [E, R], [E]
        out_proj_weight, out_proj_bias: output map                                                    [D, E], [D]
        A, D: decay rates, and skip                                                                   [E, N], [E]
        B, C: maps as in selective_scan_fn; None takes those of x_proj plus B_proj_bias, C_proj_bias [N]
        checkpoint_lvl: has no effect
        b_rms_weight, c_rms_weight, dt_rms_weight: weights of root-mean-square norms of B, C and step sizes
    """
    if xz.dim() != 3 or xz.shape[1] != 2 * len(conv1d_weight):
        raise ShapeError(f"found xz {list(xz.shape)}; expected [B, {2 * len(conv1d_weight)}, L]")
    u, z = xz.transpose(1, 2).chunk(2, -1)
    u = F.silu(causal_convolution(u, conv1d_weight.flatten(1), conv1d_bias)[0])
    rank, states = delta_proj_weight.shape[1], A.shape[-1] * (2 if A.is_complex() else 1)
    mixed, maps = F.linear(u, x_proj_weight), []
    dt = _normed(F.linear(mixed[..., :rank], delta_proj_weight), None, dt_rms_weight, b_c_dt_rms_eps)
    own = mixed[..., rank : rank + states], mixed[..., mixed.shape[-1] - states :]
    for given, m, bias, weight in ((B, own[0], B_proj_bias, b_rms_weight), (C, own[1], C_proj_bias, c_rms_weight)):
        if given is None:
            m = _normed(m, bias, weight, b_c_dt_rms_eps)
            maps.append(_complex(m) if A.is_complex() else m)
        else:
            maps.append(_steps_first(given, A.is_complex()))
    y, _ = _scan(u, dt, A, *maps, D, z, delta_bias, delta_softplus)
    return F.linear(y, out_proj_weight, out_proj_bias)


def causal_conv1d_fn(
    x: Tensor, weight: Tensor, bias: Maybe = None, seq_idx: Maybe = None, initial_states: Maybe = None,
    return_final_states: bool = False, final_states_out: Maybe = None, activation: str | None = None,
) -> Any:  # fmt: skip
    """Convolve every channel with its own filter: y [B, D, L] in x's dtype, and the final states if requested.

    Args:
        x, weight, bias: input, filters with the newest input's weight last           [B, D, L], [D, W], [D]
        seq_idx: number of each step's sequence, which sees no other; y is 0 where it is negative   [B, L] whole numbers
        initial_states, final_states_out: the W - 1 inputs before x; receives the last W - 1 inputs   [B, D, W - 1]
        activation: None, "silu" or "swish"
    """
    shape = (len(x), len(weight), _width(x, weight, activation) - 1)
    check_shapes({"initial_states": shape, "final_states_out": shape}, (initial_states, final_states_out))
    steps = x.transpose(1, 2).to(torch.promote_types(x.dtype, weight.dtype))
    last = None
    if seq_idx is None:
        before = None if initial_states is None else F.pad(initial_states, (1, 0))
        y, last = causal_convolution(steps, weight, bias, before, return_state=return_final_states)
    elif initial_states is not None or return_final_states or seq_idx.shape != steps.shape[:2]:
        raise ConfigError(
            f"found seq_idx {list(seq_idx.shape)}; expected {list(steps.shape[:2])}, and no states with it"
        )
    else:
        y = torch.zeros_like(steps) if bias is None else bias.to(steps.dtype).expand_as(steps)
        for back in range(min(weight.shape[1], steps.shape[1])):
            same = F.pad(seq_idx, (back, -back), value=-1) == seq_idx
            y = y + torch.where(same[..., None], F.pad(steps, (0, 0, back, -back)), 0) * weight[:, -1 - back]
        y = torch.where((seq_idx >= 0)[..., None], y, 0)
    y = (y if activation is None else F.silu(y)).to(x.dtype).transpose(1, 2).contiguous()
    if last is None:
        return y
    final = last[..., 1:].to(x.dtype)
    return y, final if final_states_out is None else final_states_out.copy_(final)


def causal_conv1d_update(
    x: Tensor, conv_state: Tensor, weight: Tensor, bias: Maybe = None, activation: str | None = None,
    cache_seqlens: Maybe = None, conv_state_indices: Maybe = None,
) -> Tensor:  # fmt: skip
    """Convolve the next inputs and update `conv_state` in place; returns y in the shape and dtype of x.

    Args:
        x: next input or inputs                                                                      [B, D] or [B, D, L]
        conv_state: the last S >= W - 1 inputs, newest last                                           [B, D, S]
        weight, bias, activation: as in causal_conv1d_fn                                              [D, W], [D]
        cache_seqlens: inputs so far; conv_state is then a ring with input i at i mod S               [B] whole numbers
        conv_state_indices: each row's entry of conv_state; negative: none, y is 0                    [B] whole numbers
    """
    steps = x if x.dim() == 3 else x[..., None]
    width, room, length = _width(steps, weight, activation), conv_state.shape[-1], steps.shape[-1]
    if conv_state.dim() != 3 or conv_state.shape[1] != len(weight) or room < max(1, width - 1):
        raise ShapeError(f"found conv_state {list(conv_state.shape)}; expected [B, {len(weight)}, {width - 1} or more]")
    rows = conv_state if conv_state_indices is None else conv_state[conv_state_indices.long().clamp(min=0)]
    places = torch.arange(1 - width, length, device=x.device).expand(len(rows), len(weight), -1)
    if cache_seqlens is None:
        before, after = rows[..., room - width + 1 :], torch.cat([rows, steps.to(rows.dtype)], -1)[..., -room:]
    else:
        places = (places + cache_seqlens.long()[:, None, None]) % room
        new = slice(max(0, length - room), None)
        before = rows.gather(2, places[..., : width - 1])
        after = rows.scatter(2, places[..., width - 1 :][..., new], steps[..., new].to(rows.dtype))
    given = steps.transpose(1, 2).to(torch.promote_types(x.dtype, weight.dtype))
    y = causal_convolution(given, weight, bias, F.pad(before, (1, 0)))[0].transpose(1, 2).to(x.dtype)
    y = y if activation is None else F.silu(y)
    if conv_state_indices is None:
        conv_state.copy_(after)
    else:
        real = conv_state_indices >= 0
        conv_state[conv_state_indices[real].long()] = after[real]
        y = torch.where(real[:, None, None], y, 0)
    return y.reshape(x.shape)


def _scan(x: Any, dt: Any, A: Tensor, B: Tensor, C: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    """`selective_scan` with maps complex like A; the rest is D, z, dt_bias and softplus -> y, state [B, D, N]."""
    if not A.is_complex():
        y, state = selective_scan(x, dt, A, B, C, *rest[:3], dt_softplus=rest[3], return_state=True)
        return y, state
    maps = [torch.view_as_real(t if t.is_complex() else torch.complex(t, torch.zeros_like(t))) for t in (A, B, C)]
    flags = (None, None, None, rest[3], False)  # initial state, lengths, cu_seqlens, softplus, reverse
    call, other = (checked(ScanInput._make([x, dt, *(t[..., k] for t in maps), *rest[:3], *flags])) for k in (0, 1))
    A, B, C = (torch.complex(one, two) for one, two in zip(call[2:5], other[2:5], strict=True))
    with no_autocast(x.device):
        dt = call.dt if call.dt_bias is None else call.dt + call.dt_bias
        y, state = scan_reference(call.x, F.softplus(dt) if call.softplus else dt, A, B, C)
        y = 2 * y.real if call.D is None else 2 * y.real + call.D * call.x
    return (y if call.z is None else y * F.silu(call.z)).to(x.dtype), state


def _steps_first(m: Tensor, paired: bool) -> Tensor:
    """[B, N, L] -> [B, L, N], [B, G, N, L] -> [B, L, G, N]; real [..., 2 L] become complex if `paired`."""
    m = _complex(m) if paired and m.dim() > 2 else m
    return m.movedim(-1, 1) if m.dim() > 2 else m


def _complex(m: Tensor) -> Tensor:
    if m.shape[-1] % 2 or m.is_complex():
        raise ShapeError(f"found {m.dtype} {list(m.shape)}; expected real and imaginary parts side by side")
    m = m if m.dtype == torch.float64 else m.float()
    return torch.view_as_complex(m.unflatten(-1, (-1, 2)).contiguous())


def _normed(x: Tensor, bias: Maybe, weight: Maybe, eps: float) -> Tensor:
    x = x if bias is None else x + bias.to(x.dtype)
    return x if weight is None else F.rms_norm(x, weight.shape, weight.to(x.dtype), eps)


def _width(x: Tensor, weight: Tensor, activation: str | None) -> int:
    """Return W of a convolution, after checks."""
    if x.dim() != 3 or weight.dim() != 2 or x.shape[1] != len(weight) or not x.is_floating_point():
        raise ShapeError(
            f"found x {list(x.shape)} of {x.dtype}, weight {list(weight.shape)}; expected [B, D, L], [D, W]"
        )
    if activation not in (None, "silu", "swish"):
        raise ConfigError(f"unknown activation {activation!r}; known: None, 'silu', 'swish'")
    return weight.shape[1]


class _Block(Mamba):
    """Mamba with the call of mamba_ssm.Mamba; two of its arguments have no effect."""

    def __init__(self, *args: Any, use_fast_path: bool = True, layer_idx: int | None = None, **options: Any) -> None:
        super().__init__(*args, **options)

    def forward(self, hidden_states: Tensor, inference_params: Any = None) -> Any:  # type: ignore[override]
        """[B, L, D] -> [B, L, D]. Raises ConfigError for inference_params."""
        if inference_params is not None:
            raise ConfigError("found inference_params; stream with exuvia_ssm.Mamba and its step()")
        return super().forward(hidden_states)


_SCANS = {"selective_scan_fn": selective_scan_fn, "mamba_inner_fn": mamba_inner_fn}
_CONVOLUTIONS = {"causal_conv1d_fn": causal_conv1d_fn, "causal_conv1d_update": causal_conv1d_update}
_SHIM: dict[str, dict[str, Any]] = {
    "mamba_ssm": {"Mamba": _Block, "__version__": "2.2.4+exuvia", **_SCANS},
    "mamba_ssm.modules": {},
    "mamba_ssm.modules.mamba_simple": {"Mamba": _Block},
    "mamba_ssm.ops": {},
    "mamba_ssm.ops.selective_scan_interface": _SCANS | {"selective_scan_ref": selective_scan_fn},
    "mamba_ssm.ops.triton": {},
    "mamba_ssm.ops.triton.selective_state_update": {"selective_state_update": selective_state_update},
    "causal_conv1d": {"__version__": "1.5.0+exuvia", **_CONVOLUTIONS},
    "causal_conv1d.causal_conv1d_interface": _CONVOLUTIONS,
}


def install_mamba_ssm_shim() -> list[str]:
    """Make `mamba_ssm` and `causal_conv1d`, unless they are installed, importable with what this package has of them.
    Returns the names of the added modules."""
    missing = [name for name in ("mamba_ssm", "causal_conv1d") if find_spec(name) is None]
    added = [name for name in _SHIM if name.split(".")[0] in missing]
    for name in added:
        sys.modules[name] = module = ModuleType(name, __doc__)
        module.__spec__, module.__path__ = ModuleSpec(name, None, is_package=True), []
        vars(module).update(_SHIM[name])
        above, _, last = name.rpartition(".")
        if above:
            setattr(sys.modules[above], last, module)
    return added
