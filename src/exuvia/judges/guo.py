"""The text-motion evaluator of Guo et al.: three small networks that embed captions and motions in one space.

Architecture: Sec. 5.1 and supplement [guo2022humanml3d]; text-to-motion, networks/modules.py (parameter names kept).
Distances between embeddings are Euclidean; nothing is normalised.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from exuvia.errors import ShapeError
from exuvia.features.normaliser import Normaliser
from exuvia.judges.batches import by_length, run_on_clips
from exuvia.judges.settings import GuoConfig
from exuvia.shapes import Features
from exuvia.text.word_vectors import WordTable, WordVectors

CONTACTS = 4
"""Number of feature channels at the end that the evaluator ignores."""
UNIT = 4
"""Number of frames of one movement (two convolutions of stride 2)."""


class MovementEncoder(nn.Module):
    """Normalised features [B, F, C - 4] -> movements [B, F // 4, E]."""

    def __init__(self, config: GuoConfig) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv1d(config.dim_pose - CONTACTS, config.movement_hidden, 4, 2, 1),
            nn.Dropout(config.dropout),
            nn.LeakyReLU(0.2),
            nn.Conv1d(config.movement_hidden, config.movement_dim, 4, 2, 1),
            nn.Dropout(config.dropout),
            nn.LeakyReLU(0.2),
        )
        self.out_net = nn.Linear(config.movement_dim, config.movement_dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.out_net(self.main(x.transpose(1, 2)).transpose(1, 2))


class BiGRU(nn.Module):
    """Final states of a bidirectional GRU with learned initial states, projected to the common space."""

    pos_emb: nn.Linear
    """Map of word classes, in the text encoder only."""

    def __init__(self, width_in: int, hidden: int, embedding: int) -> None:
        super().__init__()
        self.input_emb = nn.Linear(width_in, hidden)
        self.gru = nn.GRU(hidden, hidden, batch_first=True, bidirectional=True)
        self.output_net = nn.Sequential(
            nn.Linear(2 * hidden, hidden), nn.LayerNorm(hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, embedding)
        )
        self.hidden = nn.Parameter(torch.randn(2, 1, hidden))

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """x [B, L, width_in], lengths [B] >= 1 in any order -> [B, E] in the same order."""
        x = x[:, : int(lengths.max())]
        packed = pack_padded_sequence(self.input_emb(x), lengths.cpu(), batch_first=True, enforce_sorted=False)
        first = self.hidden.expand(-1, len(x), -1).contiguous()
        _, last = self.gru(packed, first)
        return self.output_net(torch.cat([last[0], last[1]], dim=-1))


class GuoEvaluator(nn.Module):
    """The three networks; sub-modules are named as in the official checkpoint."""

    def __init__(self, config: GuoConfig | None = None) -> None:
        super().__init__()
        self.config = config or GuoConfig()
        self.movement_encoder = MovementEncoder(self.config)
        c = self.config
        self.motion_encoder = BiGRU(c.movement_dim, c.motion_hidden, c.embedding)
        self.text_encoder = BiGRU(c.word_dim, c.text_hidden, c.embedding)
        self.text_encoder.pos_emb = nn.Linear(c.pos_dim, c.word_dim)

    def embed_motion(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Motion embeddings [B, E] of normalised features [B, F, C], arbitrary at padding; a row does not depend on
        other rows. Raises ShapeError for lengths [B] below 4 frames, or another number of channels."""
        if features.ndim != 3 or features.shape[-1] != self.config.dim_pose:
            raise ShapeError(f"found features {tuple(features.shape)}, expected [B, F, {self.config.dim_pose}]")
        if len(lengths) and int(lengths.min()) < UNIT:
            raise ShapeError(f"found a motion of {int(lengths.min())} frames, expected at least {UNIT}")
        lengths = lengths.clamp(max=min(self.config.max_frames, features.shape[1]))
        movements = self.movement_encoder(self._padded(features[..., :-CONTACTS], lengths))
        return self.motion_encoder(movements, lengths // UNIT)

    def _padded(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Set padding to zero, and extend it as far as the last movement can see.

        The official loader pads every motion to 196 frames, and the second convolution's response to that padding
        affects the last movement; two zero movements after the longest row give the same values.
        """
        frames = min(self.config.max_frames, (int(lengths.max()) // UNIT + 2) * UNIT)
        x = F.pad(features[:, :frames], (0, 0, 0, max(0, frames - features.shape[1])))
        real = torch.arange(frames, device=x.device)[None] < lengths.to(x.device)[:, None]
        return x * real[..., None]

    def embed_text(self, words: Tensor, pos: Tensor, lengths: Tensor) -> Tensor:
        """Caption embeddings [B, E] in the given order, from word vectors, classes and lengths."""
        return self.text_encoder(words + self.text_encoder.pos_emb(pos), lengths)


class MotionTextEvaluator:
    """Embeds any number of captions and motions for the metrics, on any device, and keeps their order.

    The official wrapper returns both sorted by motion length; captions and motions of different calls then do not
    correspond.
    """

    def __init__(self, model: GuoEvaluator, vectors: WordVectors, normaliser: Normaliser, batch: int = 64) -> None:
        """Join trained networks with the word vectors and feature statistics of their training."""
        self.model, self.normaliser, self.batch = model.eval(), normaliser, batch
        self.table = WordTable(vectors)

    @property
    def device(self) -> torch.device:
        """Device of the networks."""
        return next(self.model.parameters()).device

    def embed_clips(self, clips: Sequence[Features]) -> Tensor:
        """Un-normalised features [rows, C] of clips of any length -> embeddings [N, E], float32."""
        cut = [clip[: self.model.config.max_frames] for clip in clips]
        return run_on_clips(
            self.model, lambda x, valid: self.model.embed_motion(x, valid.sum(1)), cut, self.normaliser, self.batch
        )

    @torch.no_grad()
    def embed_text(self, texts: Sequence[str], tokens: Sequence[str | None] | None = None) -> Tensor:
        """Captions -> embeddings [N, E], float32. `tokens` are the `word/POS ...` of sentences; None: our tagger's."""
        given = tokens if tokens is not None else [None] * len(texts)
        captions = [self.table.caption(text, tagged) for text, tagged in zip(texts, given, strict=True)]
        embeddings = torch.zeros(len(texts), self.model.config.embedding)
        for rows in by_length([len(c) for c in captions], self.batch):
            words, pos, sizes = (t.to(self.device) for t in self.table.gather([captions[i] for i in rows]))
            embeddings[rows] = self.model.embed_text(words, pos, sizes).float().cpu()
        return embeddings


def contrastive_loss(text: Tensor, motion: Tensor, negative: Tensor | None = None, margin: float = 10.0) -> Tensor:
    """Pull a caption and its motion [B, E] together, push other pairs `margin` apart.   Eq. 1 [hadsell2006contrastive]

    text-to-motion, networks/trainers.py, trains the evaluator with it, with margin 10.
    There each caption is pushed from one other motion of the batch (by a random shift, which can be 0), here from all
    that it does not describe: `negative` [B, B], rows are captions; the default is off-diagonal.
    """
    squares = squared_distances(text, motion)
    negative = ~torch.eye(len(text), dtype=torch.bool, device=text.device) if negative is None else negative
    apart = (margin - (squares + 1e-8).sqrt()).clamp(min=0).square()
    return squares.diagonal().mean() + (apart * negative).sum() / negative.sum().clamp(min=1)


def info_nce_loss(text: Tensor, motion: Tensor, negative: Tensor | None = None, scale: float = 1.0) -> Tensor:
    """Symmetric cross-entropy over negative squared distances.   Eq. 4 [oord2018cpc], both ways as [radford2021clip]

    The distances of pairs [B, E] are multiplied by `scale`.
    Pairs neither on the diagonal nor `negative` (see `contrastive_loss`) are ignored.
    """
    logits = -scale * squared_distances(text, motion)
    if negative is not None:
        diagonal = torch.eye(len(text), dtype=torch.bool, device=text.device)
        logits = logits.masked_fill(~(negative | diagonal), float("-inf"))
    right = torch.arange(len(text), device=text.device)
    return 0.5 * (F.cross_entropy(logits, right) + F.cross_entropy(logits.T, right))


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """Squared Euclidean distances [N, M] of rows a [N, E] and b [M, E], never negative."""
    return (a.square().sum(1)[:, None] + b.square().sum(1)[None] - 2 * a @ b.T).clamp(min=0)
