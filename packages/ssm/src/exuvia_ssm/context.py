"""What surrounds a call: transforms of torch.func, tensors without values, autocast, and wrapped submodules."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.modules import module as hooks

_Function = TypeVar("_Function", bound=Callable[..., Any])
_HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")


def constant(function: _Function) -> _Function:
    """The mark of torch.compiler.assume_constant_result, which itself imports the whole compiler (a second)."""
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    # PyTorch 2.4 stores the result under this name in the module it compiles, where the function itself may stand.
    function.__code__ = function.__code__.replace(co_name=f"{function.__name__}_result")
    return function


@constant
def transformed() -> bool:
    """Whether a transform of torch.func or forward mode is under way, which only PyTorch's own operators know."""
    return bool(torch._C._are_functorch_transforms_active()) or forward_ad._current_level >= 0


def exporting() -> bool:
    """Whether torch.export runs (in old versions of PyTorch: or torch.compile)."""
    return bool(getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)())


def hidden(tensor: Tensor) -> bool:
    """Whether the values of a tensor cannot be looked at: transformed, exported, fake, or on the meta device."""
    return tensor.is_meta or transformed() or exporting() or type(tensor) not in (Tensor, nn.Parameter)


def readable(tensor: Tensor) -> bool:
    """Whether values may decide what is done: at hand without a wait for a device, and not while compiling."""
    return tensor.device.type == "cpu" and not torch.compiler.is_compiling() and not hidden(tensor)


def autocasting(device: torch.device) -> bool:
    """Whether torch.autocast is on for a device."""
    return device.type != "meta" and torch.is_autocast_enabled(device.type)


def no_autocast(device: torch.device) -> AbstractContextManager[Any]:
    """What is inside computes in the dtypes that it is given."""
    return nullcontext() if device.type == "meta" else torch.autocast(device.type, enabled=False)


def plain(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether a call of `module` does what its weight says: of exactly this class, without hooks or special weights."""
    watched = any(getattr(module, name) for name in _HOOKS) or any(getattr(hooks, "_global" + name) for name in _HOOKS)
    if type(module) is not kind or watched or "forward" in module.__dict__:
        return False
    tensors = (*module._parameters.values(), *module._buffers.values())
    return all(tensor is None or type(tensor) in (Tensor, nn.Parameter) for tensor in tensors)
