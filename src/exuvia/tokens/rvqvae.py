"""`RVQVAE`: MoMask's motion tokenizer, features <-> codes.   Sec. 3.1 [guo2024momask]"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from exuvia.errors import ShapeError
from exuvia.tokens.codec import Decoder, Encoder, ResidualStack
from exuvia.tokens.draws import Draws
from exuvia.tokens.motion_losses import MotionLoss
from exuvia.tokens.quantiser import Quantised, ResidualQuantiser
from exuvia.tokens.settings import RVQVAEConfig


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
        motion: MotionLoss | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """SmoothL1 of all channels + position · that of local positions + commit · commitment.   Eq. 1 [guo2024momask]

        The published options call the middle term a velocity loss, but it covers the position channels. The losses of
        `motion` are ours, and are added.
        """
        out = self(features, draws)
        local = slice(4, 4 + 3 * (joints - 1))
        total = F.smooth_l1_loss(out.features, features)
        parts = {"reconstruction": total, "position": F.smooth_l1_loss(out.features[..., local], features[..., local])}
        total = total + position * parts["position"] + commit * out.quantised.commit
        parts |= {"commit": out.quantised.commit, "perplexity": out.quantised.perplexity}
        if motion is not None:
            losses = motion(out.features, features)
            total, parts = total + sum(losses.values()), parts | losses
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
