"""The face of a caption encoder: texts in, one vector a sentence and one state a token out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from json import dumps
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

MAX_TOKENS = 32
"""Token states an encoder returns at most, its own marks (start, end) included."""


@dataclass(frozen=True)
class TextStates:
    """Embedded captions, float32."""

    pooled: Tensor
    """One vector a sentence [B, E]."""
    states: Tensor
    """One state a token [B, S, E]; zero where not valid."""
    valid: Tensor
    """True where a token is real [B, S], bool; every row has at least one."""

    def __len__(self) -> int:
        return len(self.pooled)


@runtime_checkable
class TextEncoder(Protocol):
    """Captions to embeddings. The result for a text does not depend on its neighbours in the call."""

    name: str
    """Its name in the registry."""

    @property
    def dim(self) -> int:
        """Width E."""

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that change with the weights or the architecture."""

    def encode(self, texts: Sequence[str], max_tokens: int = MAX_TOKENS) -> TextStates:
        """Embed captions, in the order given.

        Args:
            texts: any strings; an empty one is embedded as such, control characters count as blanks
            max_tokens: at most that many states a text; words beyond are left out of `states` and `pooled` alike
        """


def beginning(text: str, max_tokens: int) -> str:
    """As much of a text as `max_tokens` can need, so that a book costs no more than a sentence; always valid UTF-8."""
    return text[: 64 * max_tokens].encode("utf-8", "replace").decode("utf-8")


Embed = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Padded ids [b, s] and where they are real -> sentence vectors [b, E] and states [b, s, E]."""


def encode_by_length(ids: Sequence[Sequence[int]], dim: int, size: int, pad: int, embed: Embed) -> TextStates:
    """States of token ids, computed in batches of at most `size` texts of like length, on little padding.

    Args:
        ids: of every text, at least one token each
        dim: width E
        size: texts at a time
        pad: id that fills a batch
        embed: computes a batch
    """
    longest = max(map(len, ids), default=1)
    pooled, states = torch.zeros(len(ids), dim), torch.zeros(len(ids), longest, dim)
    valid = torch.arange(longest)[None] < torch.tensor([len(one) for one in ids])[:, None]
    order = sorted(range(len(ids)), key=lambda row: len(ids[row]))
    for low in range(0, len(order), size):
        rows = order[low : low + size]
        width = len(ids[rows[-1]])
        real = valid[rows, :width]
        padded = torch.full(real.shape, pad, dtype=torch.long)
        padded[real] = torch.tensor([token for row in rows for token in ids[row]])
        vectors, found = embed(padded, real)
        pooled[rows] = vectors.cpu()
        states[rows, :width] = found.cpu() * real[..., None]
    return TextStates(pooled, states, valid)


def encode_alone(encoder: TextEncoder, texts: Sequence[str]) -> TextStates:
    """States of texts, each computed by itself: not even their last bits depend on the neighbours."""
    known = {text: encoder.encode([text]) for text in dict.fromkeys(texts)}
    found = [known[text] for text in texts]
    states, valid = (pad_sequence([getattr(one, name)[0] for one in found], True) for name in ("states", "valid"))
    return TextStates(torch.cat([one.pooled for one in found]), states, valid)


def fingerprint_of(tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> str:
    """Sixteen hexadecimal digits of the SHA-256 over weights (by name, independent of the file format) and settings."""
    digest = sha256(dumps(about, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().float().contiguous()
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()[:16]
