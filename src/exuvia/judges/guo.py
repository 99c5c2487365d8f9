"""The text-motion evaluator of Guo et al.: three small networks that place captions and motions in one space.

Architecture: Sec. 5.1 and supplement [guo2022humanml3d]; text-to-motion, networks/modules.py (parameter names kept).
Distances between embeddings are Euclidean; nothing is normalised.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from exuvia.errors import ConfigError, ShapeError
from exuvia.features.normaliser import Normaliser
from exuvia.judges.settings import GuoConfig
from exuvia.shapes import Features
from exuvia.text.word_vectors import WordTable, WordVectors

CONTACTS = 4
"""Feature channels at the end that the evaluator does not see."""
UNIT = 4
"""Frames of one movement: two convolutions of stride 2."""


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
    """Last states of a two-directional GRU with learned first states, projected to the common space."""

    def __init__(self, width_in: int, hidden: int, embedding: int) -> None:
        super().__init__()
        self.input_emb = nn.Linear(width_in, hidden)
        self.gru = nn.GRU(hidden, hidden, batch_first=True, bidirectional=True)
        self.output_net = nn.Sequential(
            nn.Linear(2 * hidden, hidden), nn.LayerNorm(hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, embedding)
        )
        self.hidden = nn.Parameter(torch.randn(2, 1, hidden))

    def summary(self, x: Tensor, lengths: Tensor) -> Tensor:
        """x [B, L, width_in], lengths [B] >= 1 in any order -> [B, E] in the same order."""
        x = x[:, : int(lengths.max())]
        packed = pack_padded_sequence(self.input_emb(x), lengths.cpu(), batch_first=True, enforce_sorted=False)
        first = self.hidden.expand(-1, len(x), -1).contiguous()
        _, last = self.gru(packed, first)
        return self.output_net(torch.cat([last[0], last[1]], dim=-1))


class MotionEncoder(BiGRU):
    """Movements [B, M, E] and their numbers [B] -> embedding [B, E]."""

    def __init__(self, config: GuoConfig) -> None:
        super().__init__(config.movement_dim, config.motion_hidden, config.embedding)

    def forward(self, movements: Tensor, lengths: Tensor) -> Tensor:
        return self.summary(movements, lengths)


class CaptionEncoder(BiGRU):
    """Word vectors [B, S, 300], word classes [B, S, 15] (one-hot) and lengths [B] -> embedding [B, E]."""

    def __init__(self, config: GuoConfig) -> None:
        super().__init__(config.word_dim, config.text_hidden, config.embedding)
        self.pos_emb = nn.Linear(config.pos_dim, config.word_dim)

    def forward(self, words: Tensor, pos: Tensor, lengths: Tensor) -> Tensor:
        return self.summary(words + self.pos_emb(pos), lengths)


class GuoEvaluator(nn.Module):
    """The three networks; sub-modules carry the names of the official checkpoint's parts."""

    def __init__(self, config: GuoConfig | None = None) -> None:
        super().__init__()
        self.config = config or GuoConfig()
        self.movement_encoder = MovementEncoder(self.config)
        self.motion_encoder = MotionEncoder(self.config)
        self.text_encoder = CaptionEncoder(self.config)

    def embed_motion(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Motion embeddings in the caller's order, independent of the other rows.

        Args:
            features: normalised; what stands past a row's length is ignored      [B, F, C]
            lengths: frames of each row, at least 4                               [B]
        Returns:
            embeddings                                                            [B, E]
        Raises:
            ShapeError: a motion shorter than 4 frames, or another number of channels.
        """
        if features.ndim != 3 or features.shape[-1] != self.config.dim_pose:
            raise ShapeError(f"found features {tuple(features.shape)}, expected [B, F, {self.config.dim_pose}]")
        if len(lengths) and int(lengths.min()) < UNIT:
            raise ShapeError(f"found a motion of {int(lengths.min())} frames, expected at least {UNIT}")
        lengths = lengths.clamp(max=min(self.config.max_frames, features.shape[1]))
        movements = self.movement_encoder(self._padded(features[..., :-CONTACTS], lengths))
        return self.motion_encoder(movements, lengths // UNIT)

    def _padded(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Zeros past each length, as far as the last movement can see.

        The official loader pads every motion to 196 frames, and the second convolution's bias-driven response to that
        padding leaks into the last movement; two zero movements more than the longest row give the same values.
        """
        frames = min(self.config.max_frames, (int(lengths.max()) // UNIT + 2) * UNIT)
        x = F.pad(features[:, :frames], (0, 0, 0, max(0, frames - features.shape[1])))
        real = torch.arange(frames, device=x.device)[None] < lengths.to(x.device)[:, None]
        return x * real[..., None]

    def embed_text(self, words: Tensor, pos: Tensor, lengths: Tensor) -> Tensor:
        """Caption embeddings [B, E] in the caller's order, from word vectors, classes and lengths."""
        return self.text_encoder(words, pos, lengths)


class MotionTextEvaluator:
    """Embeds captions and motions of any number for the metrics, in the caller's order, on any device.

    The official wrapper returns both sorted by motion length, ties arbitrary; pairs stay pairs there too, but
    captions and motions that were embedded in different calls do not. Here row i is always what was given as row i.
    """

    def __init__(
        self, model: GuoEvaluator, vectors: WordVectors, normaliser: Normaliser | None = None, batch: int = 64
    ) -> None:
        """Join the parts.

        Args:
            model: trained networks
            vectors: the word vectors it was trained with
            normaliser: the statistics it was trained with; needed by `embed_clips` only
            batch: rows computed at a time
        """
        self.model, self.normaliser, self.batch = model.eval(), normaliser, batch
        self.table = WordTable(vectors)

    @property
    def device(self) -> torch.device:
        """Where the networks lie."""
        return next(self.model.parameters()).device

    @torch.no_grad()
    def embed_motion(self, features: Tensor, lengths: Tensor | Sequence[int]) -> Tensor:
        """Normalised features [N, F, C] (the evaluator's statistics) and frames [N] -> embeddings [N, E], float32."""
        frames = torch.as_tensor(lengths, dtype=torch.long)
        found = torch.zeros(len(features), self.model.config.embedding)
        for rows in _by_length(frames, self.batch):
            longest = int(frames[rows].max())
            part = features[rows, :longest].to(self.device)
            found[rows] = self.model.embed_motion(part, frames[rows].to(self.device)).float().cpu()
        return found

    def embed_clips(self, clips: Sequence[Features]) -> Tensor:
        """Un-normalised features [rows, C] of clips of any length -> embeddings [N, E], float32."""
        if self.normaliser is None:
            raise ConfigError("this evaluator has no statistics to normalise features with; give it a normaliser")
        lengths = [min(len(clip), self.model.config.max_frames) for clip in clips]
        x = np.zeros((len(clips), max(lengths, default=UNIT), self.model.config.dim_pose), np.float32)
        for row, (clip, length) in enumerate(zip(clips, lengths, strict=True)):
            x[row, :length] = self.normaliser.normalise(np.asarray(clip[:length]))
        return self.embed_motion(torch.from_numpy(x), lengths)

    @torch.no_grad()
    def embed_text(self, texts: Sequence[str], tokens: Sequence[str | None] | None = None) -> Tensor:
        """Captions -> embeddings [N, E], float32.

        Args:
            texts: sentences
            tokens: `word/POS ...` of each, or None where untagged; without them our own tagger reads the sentence
        """
        given = tokens if tokens is not None else [None] * len(texts)
        captions = [self.table.caption(text, tagged) for text, tagged in zip(texts, given, strict=True)]
        found = torch.zeros(len(texts), self.model.config.embedding)
        for rows in _by_length(torch.tensor([len(c) for c in captions], dtype=torch.long), self.batch):
            words, pos, sizes = (t.to(self.device) for t in self.table.gather([captions[i] for i in rows.tolist()]))
            found[rows] = self.model.embed_text(words, pos, sizes).float().cpu()
        return found


def _by_length(lengths: Tensor, batch: int) -> list[Tensor]:
    return list(torch.argsort(lengths, stable=True).split(batch)) if len(lengths) else []


def contrastive_loss(text: Tensor, motion: Tensor, negative: Tensor | None = None, margin: float = 10.0) -> Tensor:
    """Pull a caption and its motion together, push other pairs `margin` apart.   Eq. 1 [hadsell2006contrastive]

    Used for the evaluator in text-to-motion, networks/trainers.py, with margin 10; there each caption is pushed from
    one other motion of the batch (by a random shift, which can be 0), here from all that are not described by it.

    Args:
        text, motion: embeddings of pairs                                              [B, E]
        negative: True where row's caption does not describe column's motion           [B, B]; default: off-diagonal
        margin: distance beyond which a wrong pair costs nothing
    """
    squares = squared_distances(text, motion)
    negative = ~torch.eye(len(text), dtype=torch.bool, device=text.device) if negative is None else negative
    apart = (margin - (squares + 1e-8).sqrt()).clamp(min=0).square()
    return squares.diagonal().mean() + (apart * negative).sum() / negative.sum().clamp(min=1)


def info_nce_loss(text: Tensor, motion: Tensor, negative: Tensor | None = None, scale: float = 1.0) -> Tensor:
    """Symmetric cross-entropy over negative squared distances.   Eq. 4 [oord2018cpc], both ways as [radford2021clip]

    Args:
        text, motion: embeddings of pairs                                              [B, E]
        negative: as in `contrastive_loss`; pairs that are neither negative nor on the diagonal are left out
        scale: multiplies the distances; larger is sharper
    """
    logits = -scale * squared_distances(text, motion)
    own = torch.eye(len(text), dtype=torch.bool, device=text.device)
    keep = own if negative is None else negative | own
    logits = logits if negative is None else logits.masked_fill(~keep, float("-inf"))
    right = torch.arange(len(text), device=text.device)
    return 0.5 * (F.cross_entropy(logits, right) + F.cross_entropy(logits.T, right))


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """Squared Euclidean distances [N, M] of rows a [N, E] and b [M, E], never negative."""
    return (a.square().sum(1)[:, None] + b.square().sum(1)[None] - 2 * a @ b.T).clamp(min=0)
