"""Questions about the context of a call: torch.func transforms, tensors without values, autocast, wrapped modules."""

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
    """Mark a function like torch.compiler.assume_constant_result, whose import would load the compiler (a second)."""
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    # PyTorch 2.4 stores the result under this name in the module it compiles, where the function itself may stand.
    function.__code__ = function.__code__.replace(co_name=f"{function.__name__}_result")
    return function


@constant
def transformed() -> bool:
    """Return whether a torch.func transform or forward-mode AD is active; only PyTorch's operators support them."""
    return bool(torch._C._are_functorch_transforms_active()) or forward_ad._current_level >= 0


def exporting() -> bool:
    """Return whether torch.export is active (in old versions of PyTorch also torch.compile)."""
    return bool(getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)())


def hidden(tensor: Tensor) -> bool:
    """Return whether a tensor's values are inaccessible: transformed, exported, fake, or on the meta device."""
    return tensor.is_meta or transformed() or exporting() or type(tensor) not in (Tensor, nn.Parameter)


def readable(tensor: Tensor) -> bool:
    """Return whether control flow may depend on a tensor's values: on the CPU and not being compiled."""
    return tensor.device.type == "cpu" and not torch.compiler.is_compiling() and not hidden(tensor)


def autocasting(device: torch.device) -> bool:
    """Return whether torch.autocast is enabled for a device."""
    return device.type != "meta" and torch.is_autocast_enabled(device.type)


def no_autocast(device: torch.device) -> AbstractContextManager[Any]:
    """Return a context that disables autocast, so that operations keep the dtypes of their inputs."""
    return nullcontext() if device.type == "meta" else torch.autocast(device.type, enabled=False)


def plain(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Return whether `module` computes from its plain weight: exactly this class, no hooks, no tensor subclasses."""
    hooked = any(getattr(module, name) for name in _HOOKS) or any(getattr(hooks, "_global" + name) for name in _HOOKS)
    if type(module) is not kind or hooked or "forward" in module.__dict__:
        return False
    tensors = (*module._parameters.values(), *module._buffers.values())
    return all(tensor is None or type(tensor) in (Tensor, nn.Parameter) for tensor in tensors)
