"""`patch_transformers`: Mamba, Falcon-Mamba and Jamba models of Hugging Face transformers run on these kernels.

Source of the computation: `forward` of MambaMixer, FalconMambaMixer and JambaMambaMixer in transformers 5.24
(models/*/modeling_*.py) and LinearAttentionLayer in its cache_utils.py.
"""

import inspect
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from functools import cache, wraps
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from exuvia_ssm.context import plain
from exuvia_ssm.errors import ConfigError
from exuvia_ssm.layer import working_dtype
from exuvia_ssm.mamba.causal_convolution import causal_convolution
from exuvia_ssm.scan.selective_scan import selective_scan
from exuvia_ssm.scan.step import scan_step

MIXER = {"mamba": "MambaMixer", "falcon_mamba": "FalconMambaMixer", "jamba": "JambaMambaMixer"}
"""Folder of transformers.models -> class."""
_READ = {
    *("in_proj", "conv1d", "x_proj", "dt_proj", "out_proj", "A_log", "D", "time_step_rank", "ssm_state_size"),
    *("conv_kernel_size", "layer_idx", "activation", "update_conv_state", "update_recurrent_state"),
}
"""What the original forward must read of a mixer and its cache if ours is to replace it."""
_original: dict[type[nn.Module], Callable[..., Tensor]] = {}
_depth = 0


def patch_transformers() -> AbstractContextManager[object]:
    """Replace `forward` of transformers' Mamba mixers, for existing models too, until `unpatch_transformers`.

    Returns a context manager that undoes the replacement on exit; nested calls need as many undone. Values, gradients,
    masks and caches are those of the original, with one exception: several tokens after a cached beginning continue its
    recurrent state, which transformers 5.24 sets to zero there. Options without support run the original forward and
    cause one RuntimeWarning.

    Raises:
        ConfigError: transformers is not installed, or its mixers are built differently (before 5.16).
    """
    global _depth
    if _depth == 0:
        _original.update(_mixers())
        for mixer, original in _original.items():
            mixer.forward = _replacement(original)
        _warn.cache_clear()
    _depth += 1
    undo = ExitStack()
    undo.callback(unpatch_transformers)
    return undo


def unpatch_transformers() -> None:
    """Undo one call of `patch_transformers`; the last one restores the original methods. Without a call: no effect."""
    global _depth
    _depth = max(0, _depth - 1)
    while _depth == 0 and _original:
        mixer, original = _original.popitem()
        mixer.forward = original


def _mixers() -> dict[type[nn.Module], Callable[..., Tensor]]:
    """Return the classes of the installed transformers and their forward. Raises ConfigError."""
    found = {}
    try:
        version = import_module("transformers").__version__
    except ImportError:
        raise ConfigError("patch_transformers needs the package transformers: pip install transformers") from None
    for folder, name in MIXER.items():
        mixer = getattr(import_module(f"transformers.models.{folder}.modeling_{folder}"), name)
        found[mixer] = forward = vars(mixer)["forward"]
        if lacking := sorted(_READ.difference(inspect.unwrap(forward).__code__.co_names)):
            raise ConfigError(
                f"{name}.forward of transformers {version} does not use {', '.join(lacking)}; patch_transformers was "
                "written for transformers 5.16 to 5.24: install one of these"
            )
    return found


def _replacement(original: Callable[..., Tensor]) -> Callable[..., Tensor]:
    @wraps(original)
    def forward(
        mixer: Any, hidden_states: Tensor, cache: Any = None, attention_mask: Any = None, **rest: Any
    ) -> Tensor:
        cache = rest.pop("cache_params", cache)  # its name before transformers 5.24
        if mixer.activation not in ("silu", "swish"):
            _warn(f"the activation is {mixer.activation}, not silu")
        elif rest.get("seq_idx") is not None:
            _warn("packed sequences (seq_idx) have no support")
        elif cache is not None and not hasattr(cache.layers[mixer.layer_idx], "recurrent_states"):
            _warn(f"the cache has a {type(cache.layers[mixer.layer_idx]).__name__}")
        else:
            return _mixed(mixer, hidden_states, cache, attention_mask)
        return original(mixer, hidden_states, cache, attention_mask, **rest)

    return forward


@cache
def _warn(reason: str) -> None:
    warnings.warn(f"a Mamba mixer runs the original forward of transformers: {reason}", RuntimeWarning, stacklevel=3)


def _mixed(mixer: Any, x: Tensor, cache: Any, mask: Tensor | None) -> Tensor:
    """x [B, L, D], mask [B, L] -> [B, L, D]; the cache is updated.   (M9) to (M11) of exuvia_ssm.mamba"""
    layer, width, states = mixer.layer_idx, mixer.conv_kernel_size, mixer.ssm_state_size
    real = (lambda t: t) if mask is None else (lambda t: (t * mask[:, :, None]).to(t.dtype))  # padding becomes 0
    before = h = None
    if cache is not None and cache.layers[layer].has_previous_state[0]:
        before, h = cache.layers[layer].conv_states[0], cache.layers[layer].recurrent_states[0]
        before = F.pad(before, (width - before.shape[-1], 0))  # the last W inputs [B, E, W]
    inner, z = mixer.in_proj(real(x)).chunk(2, dim=-1)
    if plain(mixer.conv1d, nn.Conv1d):
        u, _ = causal_convolution(inner, mixer.conv1d.weight.squeeze(1), mixer.conv1d.bias, before)
    else:  # wrapped by an adapter or a hook: called, without the padding of W - 1 that it adds to both ends
        u, _ = causal_convolution(inner, (lambda t: mixer.conv1d(t)[..., width - 1 : t.shape[-1]], width), None, before)
    u = real(F.silu(u))
    dt, B, C = mixer.x_proj(u).split([mixer.time_step_rank, states, states], dim=-1)
    if hasattr(mixer, "dt_layernorm"):
        dt, B, C = mixer.dt_layernorm(dt), mixer.b_layernorm(B), mixer.c_layernorm(C)
    dt, work = mixer.dt_proj(dt), working_dtype(u.dtype)
    rates, skip = -torch.exp(mixer.A_log.to(work)), mixer.D.to(work)
    if h is not None and x.shape[1] == 1:
        u_t, dt_t, B_t, C_t, z_t = (t[:, 0] for t in (u, dt, B, C, z))
        y, h = scan_step(u_t, dt_t, rates, B_t, C_t, skip, z_t, softplus=True, state=h)
    else:
        y, h = selective_scan(u, dt, rates, B, C, skip, z, dt_softplus=True, initial_state=h, return_state=True)
    if cache is not None:
        cache.update_conv_state(inner.transpose(1, 2), layer, conv_kernel_size=width)
        cache.update_recurrent_state(h, layer)
    return mixer.out_proj(y.view(u.shape).to(x.dtype))
