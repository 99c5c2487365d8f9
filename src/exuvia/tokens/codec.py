"""Encoder and decoder of the motion tokenizer: strided and dilated 1-D convolutions.

Source: Sec. 3.1 [guo2024momask]; momask-codes, models/vq/{encdec,resnet}.py, whose parameter names are kept. Dilations
decrease in both encoder and decoder, as published.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU}


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of [B, D, T]."""

    def forward(self, x: Tensor) -> Tensor:
        """[B, D, T] -> [B, D, T]"""
        return super().forward(x.transpose(-2, -1)).transpose(-2, -1)


NORM: dict[str | None, Callable[[int], nn.Module]] = {
    None: lambda dim: nn.Identity(),
    "LN": ChannelNorm,
    "GN": lambda dim: nn.GroupNorm(num_groups=32, num_channels=dim, eps=1e-6),
    "BN": lambda dim: nn.BatchNorm1d(dim, eps=1e-6),
}


def _masked(x: Tensor, valid: Tensor | None) -> Tensor:
    return x if valid is None else x * valid


class ResidualBlock(nn.Module):
    """x + conv1(act(conv3(act(x)))), pre-activation, dropout after the last convolution."""

    def __init__(self, dim: int, dilation: int, activation: str, norm: str | None, dropout: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = NORM[norm](dim), NORM[norm](dim)
        self.activation1, self.activation2 = ACTIVATIONS[activation](), ACTIVATIONS[activation]()
        self.conv1 = nn.Conv1d(dim, dim, 3, padding=dilation, dilation=dilation)
        self.conv2 = nn.Conv1d(dim, dim, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """[B, D, T] -> [B, D, T]; `valid` [B, 1, T] keeps padding out of the convolution."""
        hidden = self.conv1(_masked(self.activation1(self.norm1(x)), valid))
        return x + self.dropout(self.conv2(self.activation2(self.norm2(hidden))))


class ResidualStack(nn.Module):
    """Residual blocks with dilations growth^(depth-1) ... 1."""

    def __init__(self, dim: int, depth: int, growth: int, activation: str, norm: str | None, dropout: float) -> None:
        super().__init__()
        dilations = [growth**i for i in reversed(range(depth))]
        self.model = nn.Sequential(*(ResidualBlock(dim, d, activation, norm, dropout) for d in dilations))

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """[B, D, T] -> [B, D, T]"""
        for block in self.model:
            x = block(x, valid)
        return x


def _coarser(valid: Tensor | None, times: int) -> Tensor | None:
    """A mask after halving the rate `times` times: true where all frames of a step are real."""
    if valid is None or times == 0:
        return valid
    return -F.max_pool1d(-valid, 2**times)


def _conv3(inputs: int, outputs: int) -> nn.Module:
    return nn.Conv1d(inputs, outputs, 3, padding=1)


class Encoder(nn.Module):
    """Features [B, C, F] -> latents [B, D, F / 2^down]."""

    def __init__(self, channels: int, code_dim: int, width: int, down: int, stack: Callable[[], ResidualStack]) -> None:
        super().__init__()
        stages = [nn.Sequential(nn.Conv1d(width, width, 4, stride=2, padding=1), stack()) for _ in range(down)]
        self.model = nn.Sequential(_conv3(channels, width), nn.ReLU(), *stages, _conv3(width, code_dim))

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """Encode a batch; with `valid` [B, 1, F] the latents of a clip do not depend on its padding."""
        first, relu, *stages, last = self.model
        x = relu(first(_masked(x, valid)))
        for number, stage in enumerate(stages):
            down, stack = stage.children()
            x = down(_masked(x, _coarser(valid, number)))
            x = stack(x, _coarser(valid, number + 1))
        return last(_masked(x, _coarser(valid, len(stages))))


class Decoder(nn.Module):
    """Latents [B, D, T] -> features [B, C, T · 2^down]."""

    def __init__(self, channels: int, code_dim: int, width: int, down: int, stack: Callable[[], ResidualStack]) -> None:
        super().__init__()
        stages = [nn.Sequential(stack(), nn.Upsample(scale_factor=2), _conv3(width, width)) for _ in range(down)]
        first, wide, last = _conv3(code_dim, width), _conv3(width, width), _conv3(width, channels)
        self.model = nn.Sequential(first, nn.ReLU(), *stages, wide, nn.ReLU(), last)

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """Decode a batch; with `valid` [B, 1, T] the features of a clip do not depend on its padding."""
        first, relu, *stages, wide, relu_last, last = self.model
        x = relu(first(_masked(x, valid)))
        for stage in stages:
            stack, up, conv = stage.children()
            x = stack(x, valid)
            valid = None if valid is None else torch.repeat_interleave(valid, 2, dim=-1)
            x = conv(_masked(up(x), valid))
        return last(_masked(relu_last(wide(_masked(x, valid))), valid))
