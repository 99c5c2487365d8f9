"""TMR: motions and captions in one space, for retrieval in both directions.   [petrovich2023tmr]

Facts: TMR, src/model/actor.py and tmr.py. Two encoders of equal shape read motion features and caption tokens; two
learned tokens in front of them become mean and log-variance of a latent, from which a decoder reconstructs the motion.
Here captions are token states of our own frozen caption encoder instead of DistilBERT's, and the default sizes are
smaller.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from exuvia.errors import ConfigError
from exuvia.features.normaliser import Normaliser
from exuvia.judges.batches import run_on_clips
from exuvia.judges.settings import RetrievalConfig
from exuvia.sequence.trunk import position_table
from exuvia.shapes import Features
from exuvia.text.base import TextEncoder


class ActorEncoder(nn.Module):
    """x [B, F, C], valid [B, F] -> outputs of the learned tokens [B, tokens, E]; all tokens have positions."""

    def __init__(
        self, features: int, width: int, inner: int, layers: int, heads: int, *, tokens: int = 2, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.tokens = nn.Parameter(torch.randn(tokens, width))
        self.projection = nn.Linear(features, width)
        self.dropout = nn.Dropout(dropout)
        layer = nn.TransformerEncoderLayer(width, heads, inner, dropout, "gelu", batch_first=True)
        self.seqTransEncoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        count = len(self.tokens)
        rows = torch.cat([self.tokens.expand(len(x), -1, -1), self.projection(x)], 1)
        rows = self.dropout(rows + position_table(rows.shape[1], rows.shape[2]).to(rows))
        real = torch.cat([valid.new_ones(len(x), count), valid], 1)
        outputs: Tensor = self.seqTransEncoder(rows, src_key_padding_mask=~real)[:, :count]
        return outputs


class ActorDecoder(nn.Module):
    """z [B, E], valid [B, F] -> motion [B, F, C], 0 at padding; the queries are positions only."""

    def __init__(self, features: int, width: int, inner: int, layers: int, heads: int, *, dropout: float = 0.1) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        layer = nn.TransformerDecoderLayer(width, heads, inner, dropout, "gelu", batch_first=True)
        self.seqTransDecoder = nn.TransformerDecoder(layer, layers)
        self.final_layer = nn.Linear(width, features)

    def forward(self, z: Tensor, valid: Tensor) -> Tensor:
        queries = position_table(valid.shape[1], z.shape[1]).to(z).expand(len(z), -1, -1)
        rows = self.seqTransDecoder(self.dropout(queries), z[:, None], tgt_key_padding_mask=~valid)
        return torch.where(valid[..., None], self.final_layer(rows), 0.0)


class RetrievalModel(nn.Module):
    """Both encoders and the decoder."""

    def __init__(self, config: RetrievalConfig) -> None:
        super().__init__()
        c = self.config = config
        sizes = (c.latent_dim, c.inner_width, c.num_layers, c.num_heads)
        self.motion = ActorEncoder(c.dim_pose, *sizes, dropout=c.dropout)
        self.text = ActorEncoder(c.text_dim, *sizes, dropout=c.dropout)
        sizes = (c.latent_dim, c.inner_width, c.decoder_layers, c.num_heads)
        self.decoder = ActorDecoder(c.dim_pose, *sizes, dropout=c.dropout)


class MotionTextRetrieval:
    """A trained retrieval model with its caption encoder and feature statistics."""

    def __init__(self, model: RetrievalModel, text: TextEncoder, normaliser: Normaliser, batch: int = 64) -> None:
        if text.dim != model.config.text_dim:
            raise ConfigError(f"the retrieval model reads width {model.config.text_dim}, {text.name} has {text.dim}")
        self.model, self.text, self.normaliser, self.batch = model.eval(), text, normaliser, batch

    def embed_clips(self, clips: Sequence[Features]) -> Tensor:
        """Un-normalised features [F, C] of clips -> means of their latents [N, E], float32."""
        cut = [np.asarray(clip)[: self.model.config.max_frames] for clip in clips]
        return run_on_clips(
            self.model, lambda x, valid: self.model.motion(x, valid)[:, 0], cut, self.normaliser, self.batch
        )

    @torch.no_grad()
    def embed_text(self, texts: Sequence[str]) -> Tensor:
        """Captions -> means of their latents [N, E], float32."""
        means = [torch.zeros(0, self.model.config.latent_dim)]
        for low in range(0, len(texts), self.batch):
            states = self.text.encode(list(texts[low : low + self.batch]))
            means.append(self.model.text(states.states, states.valid)[:, 0])
        return torch.cat(means)
