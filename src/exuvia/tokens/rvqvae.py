"""`RVQVAE`: MoMask's motion tokenizer, features <-> codes.   Sec. 3.1 [guo2024momask]

Encoder and decoder are strided and dilated 1-D convolutions, with the parameter names of models/vq/{encdec,resnet}.py.
Dilations decrease in both, as published.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from exuvia.errors import ShapeError
from exuvia.tokens.quantiser import Draws, Quantised, ResidualQuantiser
from exuvia.tokens.settings import RVQVAEConfig

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


VELOCITY_SCALE = 4.0
"""Standard deviation of a local position over that of its change per frame at 20 fps, measured on motion capture."""


@dataclass(frozen=True)
class Reconstruction:
    """Result of a forward pass."""

    features: Tensor
    """[B, F, C], normalised"""
    quantised: Quantised


class RVQVAE(nn.Module):
    """Residual vector-quantised autoencoder over normalised motion features."""

    def __init__(self, config: RVQVAEConfig) -> None:
        super().__init__()
        self.config = c = config

        def stack() -> ResidualStack:
            return ResidualStack(c.width, c.depth, c.dilation_growth, c.activation, c.norm, c.dropout)

        self.encoder = Encoder(c.input_dim, c.code_dim, c.width, c.down, stack)
        self.decoder = Decoder(c.input_dim, c.code_dim, c.width, c.down, stack)
        self.quantizer = ResidualQuantiser(
            c.num_quantizers, c.num_codes, c.code_dim, c.decay, c.shared_codebook, c.quantize_dropout
        )

    def latents(self, features: Tensor, valid: Tensor | None = None) -> Tensor:
        """Encoder output [B, D, F/stride] of normalised features [B, F, C]; `valid` [B, F] marks real frames.

        Raises ShapeError for a wrong number of channels, and for fewer frames than one code step.
        """
        if features.ndim != 3 or features.shape[-1] != self.config.input_dim:
            wanted = f"(batch, frames, {self.config.input_dim})"
            raise ShapeError(f"found features {tuple(features.shape)}, expected {wanted}")
        if features.shape[1] < self.config.stride:
            raise ShapeError(f"found {features.shape[1]} frame(s), expected at least {self.config.stride}")
        mask = None if valid is None else valid[:, None].to(features.dtype)
        return self.encoder(features.transpose(1, 2), mask)

    @torch.inference_mode()
    def encode(self, features: Tensor, valid: Tensor | None = None, levels: int | None = None) -> Tensor:
        """Codes [B, F // stride, levels] of normalised features [B, F, C] with real frames `valid` [B, F], int64; -1
        for steps with padding. `levels` counts quantiser levels from the first; None: all."""
        codes = self.quantizer.encode(self.latents(features, valid).float(), levels)
        if valid is not None:
            steps = valid[:, : codes.shape[1] * self.config.stride].unflatten(1, (-1, self.config.stride)).all(-1)
            codes = codes.masked_fill(~steps[..., None], -1)
        return codes

    @torch.inference_mode()
    def decode(self, codes: Tensor, added: Tensor | None = None) -> Tensor:
        """Normalised features [B, T · stride, C] of codes [B, T, q ≤ Q]; -1 marks an absent level.

        A step whose first level is -1 is padding and does not affect its neighbours. `added` [B, D, T] is added to the
        code vectors.
        """
        vectors = self.quantizer.lookup(codes).sum(0)
        vectors = vectors if added is None else vectors + added.to(vectors)
        real = codes[..., 0] >= 0
        valid = None if bool(real.all()) else real[:, None].to(vectors.dtype)
        return self.decoder(vectors, valid).transpose(1, 2)

    def forward(self, features: Tensor, draws: Draws | None = None, last_level: int | None = None) -> Reconstruction:
        """Encode, quantise (learning the codebooks when training with draws), decode.   [B, F, C] -> [B, F, C]"""
        latents = self.latents(features)
        with torch.autocast(latents.device.type, enabled=False):
            quantised = self.quantizer(latents.float(), draws, self.config.temperature, last_level)
        return Reconstruction(self.decoder(quantised.value).transpose(1, 2), quantised)

    def loss(
        self,
        features: Tensor,
        draws: Draws | None,
        *,
        joints: int,
        position: float = 0.5,
        commit: float = 0.02,
        path: float = 0.0,
        velocity: float = 0.0,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """SmoothL1 of all channels + position · that of local positions + commit · commitment.   Eq. 1 [guo2024momask]

        The published options call the middle term a velocity loss, but it covers the position channels. Two terms are
        ours. `path` > 0 adds SmoothL1 of the running sums of yaw and root velocity over the window: heading and path
        of a recovered motion are sums like these, and small errors of one sign add up. `velocity` > 0 adds SmoothL1 of
        the change of local positions between frames, so that fast motion stays fast and a still body does not tremble.
        """
        out = self(features, draws)
        local = slice(4, 4 + 3 * (joints - 1))
        total = F.smooth_l1_loss(out.features, features)
        parts = {"reconstruction": total, "position": F.smooth_l1_loss(out.features[..., local], features[..., local])}
        parts |= {"commit": out.quantised.commit, "perplexity": out.quantised.perplexity}
        if path:
            drift = torch.cumsum((out.features - features)[..., :3].float(), dim=1) / math.sqrt(features.shape[1])
            parts["path"] = F.smooth_l1_loss(drift, torch.zeros_like(drift))
        if velocity:
            change = VELOCITY_SCALE * torch.diff((out.features - features)[..., local].float(), dim=1)
            parts["velocity"] = F.smooth_l1_loss(change, torch.zeros_like(change))
        for name, weight in {"position": position, "commit": commit, "path": path, "velocity": velocity}.items():
            if name in parts:
                total = total + weight * parts[name]
        return total, {name: part.detach() for name, part in parts.items()}

    def load_published(self, state: dict[str, Tensor]) -> None:
        """Load a published state dict. It has no code statistics, so the moving averages start from the codes.

        Training then continues from these codebooks, while the published code would initialise them again. Raises
        RuntimeError with the names that differ if the architecture does not fit.
        """
        full = dict(state)
        for level in range(self.config.num_quantizers):
            name = f"quantizer.layers.{level}."
            if name + "codebook" in state:
                full.setdefault(name + "code_sum", state[name + "codebook"].clone())
                full.setdefault(name + "code_count", torch.ones(self.config.num_codes))
                full.setdefault(name + "initialised", torch.tensor(True))
        self.load_state_dict(full)
