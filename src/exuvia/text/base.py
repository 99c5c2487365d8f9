"""Interface of caption encoders: texts -> one vector per sentence and one state per token."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from json import dumps
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

MAX_TOKENS = 32
"""Most token states that an encoder returns per text, including start and end marks."""


@dataclass(frozen=True)
class TextStates:
    """Embedded captions, float32."""

    pooled: Tensor
    """One vector per sentence [B, E]."""
    states: Tensor
    """One state per token [B, S, E]; zero where not valid."""
    valid: Tensor
    """True where a token is real [B, S], bool; every row has at least one real token."""

    def __len__(self) -> int:
        return len(self.pooled)


@runtime_checkable
class TextEncoder(Protocol):
    """Captions -> embeddings. The result for a text does not depend on the other texts in the call."""

    name: str
    """Name in the registry."""

    @property
    def dim(self) -> int:
        """Width E."""

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that change with the weights or the architecture."""

    def encode(self, texts: Sequence[str], max_tokens: int = MAX_TOKENS) -> TextStates:
        """Embed captions, in the order given: any strings, the empty one included; control characters count as blanks.

        Each text has at most `max_tokens` states; later words affect neither `states` nor `pooled`.
        """


def truncated(text: str, max_tokens: int) -> str:
    """Beginning of a text that is enough for `max_tokens`, as valid UTF-8, so that long texts cost no more."""
    return text[: 64 * max_tokens].encode("utf-8", "replace").decode("utf-8")


Embed = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Function from padded ids [b, s] and their mask [b, s] to sentence vectors [b, E] and states [b, s, E]."""


def encode_by_length(ids: Sequence[Sequence[int]], dim: int, size: int, pad: int, embed: Embed) -> TextStates:
    """States of token ids, at least one per text, in batches of texts of similar length, which need little padding.

    A batch has at most `size` texts and is filled with the id `pad`; `embed` computes its states of width `dim`.
    """
    longest = max(map(len, ids), default=1)
    pooled, states = torch.zeros(len(ids), dim), torch.zeros(len(ids), longest, dim)
    valid = torch.arange(longest)[None] < torch.tensor(list(map(len, ids)))[:, None]
    order = sorted(range(len(ids)), key=lambda row: len(ids[row]))
    for low in range(0, len(order), size):
        rows = order[low : low + size]
        width = len(ids[rows[-1]])
        real = valid[rows, :width]
        padded = torch.full(real.shape, pad, dtype=torch.long)
        padded[real] = torch.tensor([token for row in rows for token in ids[row]])
        vectors, batch_states = embed(padded, real)
        pooled[rows] = vectors.cpu()
        states[rows, :width] = batch_states.cpu() * real[..., None]
    return TextStates(pooled, states, valid)


def encode_alone(encoder: TextEncoder, texts: Sequence[str]) -> TextStates:
    """States of texts, computed one by one, so that each is bit-identical whatever the other texts are."""
    known = {text: encoder.encode([text]) for text in dict.fromkeys(texts)}
    rows = [known[text] for text in texts]
    states, valid = (pad_sequence([getattr(row, name)[0] for row in rows], True) for name in ("states", "valid"))
    return TextStates(torch.cat([row.pooled for row in rows]), states, valid)


def fingerprint_of(tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> str:
    """Sixteen hexadecimal digits of the SHA-256 of settings and weights, in the order of the weights' names."""
    digest = sha256(dumps(about, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().float().contiguous()
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()[:16]
