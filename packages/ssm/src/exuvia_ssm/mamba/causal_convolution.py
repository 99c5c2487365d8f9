"""Causal depthwise convolution over [B, L, D], with states for pieces of a sequence and for single steps.

    y_t[d] = bias[d] + sum_k weight[d, k] x_{t-W+1+k}[d],   k = 0 .. W-1

The state holds the last W inputs, newest last, [B, D, W], as in mamba_simple.py of state-spaces/mamba; its oldest
column is never read. If the module of the filters is wrapped, the wrapper is called instead.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from exuvia_ssm.context import no_autocast, transformed

Filters = Tensor | tuple[Callable[[Tensor], Tensor], int]
"""Weight [D, W], or a function or module [B, D, W - 1 + L] -> [B, D, L] and W."""


def causal_convolution(
    x: Tensor,
    weight: Filters,
    bias: Tensor | None = None,
    state: Tensor | None = None,
    lengths: Tensor | None = None,
    return_state: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Convolve every channel of x [B, L, D] with its own filter [D, W], whose last weight is that of the newest input.

    `state` [B, D, W] holds the last W inputs before x (None: zeros); the real steps `lengths` [B] of right-padded rows
    affect the returned state, not y. Returns y [B, L, D] in x's dtype, and the last W inputs if requested.
    """
    width = weight[1] if isinstance(weight, tuple) else weight.shape[1]
    before = None if state is None else state.to(x.dtype).transpose(1, 2)
    extended = F.pad(x, (0, 0, width - 1, 0)) if before is None else torch.cat([before[:, 1:], x], dim=1)
    if isinstance(weight, tuple):
        y = weight[0](extended.transpose(1, 2)).transpose(1, 2).to(x.dtype) if x.shape[1] else x
    else:
        y = _convolve(extended, weight.to(x.dtype), None if bias is None else bias.to(x.dtype))
    return y, _last_inputs(x, before, width, lengths) if return_state else None


def convolution_step(x_t: Tensor, weight: Filters, bias: Tensor | None, state: Tensor) -> tuple[Tensor, Tensor]:
    """Process one step: x_t [B, D], state [B, D, W] -> y_t [B, D], state."""
    state = torch.cat([state[:, :, 1:].to(x_t.dtype), x_t[:, :, None]], dim=2)
    if isinstance(weight, tuple):
        return weight[0](state).squeeze(-1).to(x_t.dtype), state
    y = (state * weight.to(x_t.dtype)).sum(-1)
    return (y if bias is None else y + bias.to(x_t.dtype)), state


def _convolve(extended: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """extended [B, W - 1 + L, D], weight [D, W] -> [B, L, D].

    torch.compile fuses the sum of shifted products into one pass, and torch.func supports it. Otherwise PyTorch's
    channels-last image kernel reads this layout directly (on CPU in a third of the time of the alternatives).
    """
    width = weight.shape[1]
    length = extended.shape[1] - width + 1
    if torch.compiler.is_compiling() or transformed() or length == 0 or extended.shape[0] == 0:
        y = extended[:, :length] * weight[:, 0]
        for k in range(1, width):
            y = y + extended[:, k : k + length] * weight[:, k]
        return y if bias is None else y + bias
    with no_autocast(extended.device):
        return _Depthwise.apply(extended, weight, bias)


def _as_image(x: Tensor) -> Tensor:
    """[B, L, D] -> [B, D, 1, L], a view: an image of one line, channels last."""
    return x.transpose(1, 2).unsqueeze(2)


class _Depthwise(torch.autograd.Function):
    """Correlates every channel with its filter; both gradients use the same layout. Twice differentiable.

    The input's gradient is a convolution with the flipped filter; PyTorch's own takes ten times as long on CPU.
    """

    @staticmethod
    def forward(ctx: Any, extended: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """extended [B, W - 1 + L, D], weight [D, W], bias [D] -> [B, L, D]."""
        ctx.save_for_backward(extended, weight)
        image = F.conv2d(_as_image(extended), weight[:, None, None], bias, groups=weight.shape[0])
        return image.squeeze(2).transpose(1, 2)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Return the gradients of all three inputs."""
        extended, weight = ctx.saved_tensors
        grad = grads[0].contiguous()
        grad_input = grad_weight = None
        if ctx.needs_input_grad[0]:
            edge = weight.shape[1] - 1
            grad_input = _Depthwise.apply(F.pad(grad, (0, 0, edge, edge)), weight.flip(1), None)
        if ctx.needs_input_grad[1]:
            images = (_as_image(grad), _as_image(extended), weight[:, None, None], None)
            settings = ([1, 1], [0, 0], [1, 1], False, [0, 0])  # stride, padding, dilation, transposed, output padding
            grads_of = torch.ops.aten.convolution_backward(*images, *settings, weight.shape[0], [False, True, False])
            grad_weight = grads_of[1].view_as(weight)
        return grad_input, grad_weight, grad.sum((0, 1)) if ctx.needs_input_grad[2] else None


def _last_inputs(x: Tensor, before: Tensor | None, width: int, lengths: Tensor | None) -> Tensor:
    """Return the last W real inputs of each row [B, D, W], newest last; those `before` x are [B, W, D] or zeros."""
    batch, length, channels = x.shape
    if before is None:
        before = x.new_zeros(batch, width, channels)
    if lengths is None:
        recent = x[:, -width:] if length >= width else torch.cat([before[:, length:], x], dim=1)
        return recent.transpose(1, 2)
    place = lengths[:, None] + torch.arange(width, device=x.device)
    old = before.gather(1, place.clamp(max=width - 1)[..., None].expand(-1, -1, channels))
    if length == 0:
        return old.transpose(1, 2)
    new = x.gather(1, (place - width).clamp(min=0)[..., None].expand(-1, -1, channels))
    return torch.where((place < width)[..., None], old, new).transpose(1, 2)
