"""Reads a text in parallel streams, window after window, and carries the state from each window to the next.

The targets of a text of T tokens, which are tokens 1 to T - 1, are cut into B stretches of n = ceil((T - 1) / B).
Window w has targets w L + 1 to (w + 1) L of every stretch. Where a stretch ends early its targets are IGNORED, so that
a pass over all windows has every target exactly once. Gradients end at windows (truncated back-propagation).

The training loop owns the state: a checkpoint does not hold it, and `NextToken` of lab/lm/model.py, whose steps need
no past, stays the task of resumable runs.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from exuvia.errors import ConfigError, DataError
from lab.lm.model import LanguageModel, Tokens, nats_a_token

IGNORED = -100
"""A target that does not count, as PyTorch's cross entropy has it."""


@dataclass(frozen=True, eq=False)
class Window:
    """The next piece of every stream."""

    inputs: Tensor
    """int64 [B, L]; 0 beyond a stream's end."""
    targets: Tensor
    """int64 [B, L]: the token after each input, or IGNORED."""
    fresh: bool
    """Whether a pass begins here, so that the state before it is ignored."""


class Streams:
    """Parallel streams through one text; a window is a function of its number."""

    def __init__(self, tokens: Tokens, streams: int, length: int) -> None:
        """Cut a text.

        Args:
            tokens: a text [T]
            streams: B
            length: L, targets of a window; the last window of a pass may have fewer
        Raises:
            ConfigError: no stream, or windows of no token.
            DataError: a text with fewer targets than streams.
        """
        if streams < 1 or length < 1:
            raise ConfigError(f"found {streams} streams of windows of {length} tokens, expected at least 1 of each")
        if len(tokens) <= streams:
            raise DataError(f"found {len(tokens)} tokens for {streams} streams, expected more; take fewer streams")
        self.tokens, self.streams, self.length = tokens, streams, length
        self.stretch = -(-(len(tokens) - 1) // streams)

    def __len__(self) -> int:
        """Windows of a pass."""
        return -(-self.stretch // self.length)

    def window(self, number: int) -> Window:
        """Return a window; numbers beyond a pass continue with the next pass. Raises ConfigError below 0."""
        if number < 0:
            raise ConfigError(f"found window {number}, expected 0 or more")
        within = number % len(self)
        low, high = within * self.length, min((within + 1) * self.length, self.stretch)
        places = np.arange(self.streams)[:, None] * self.stretch + np.arange(low, high)  # of the inputs
        real, last = places < len(self.tokens) - 1, len(self.tokens) - 2
        inputs = np.where(real, self.tokens[np.minimum(places, last)], 0).astype(np.int64)
        targets = np.where(real, self.tokens[np.minimum(places, last) + 1], IGNORED).astype(np.int64)
        return Window(torch.from_numpy(inputs), torch.from_numpy(targets), within == 0)

    def once(self) -> Iterator[Window]:
        """The windows of one pass."""
        return (self.window(number) for number in range(len(self)))


def carried_loss(model: LanguageModel, window: Window, state: Any = None) -> tuple[Tensor, Any]:
    """Mean cross entropy of a window's targets in nats, and the state to give with the next window.

    Args:
        model: with a stack that carries a state
        window: on any device
        state: what the window before returned; not read where a pass begins
    Returns:
        a loss with gradient, 0 where no target counts; and a state without
    Raises:
        ConfigError: attention keeps no state.
    """
    nats, count, after = _read(model, window, state)
    return nats / max(1, count), detached(after)


def _read(model: LanguageModel, window: Window, state: Any) -> tuple[Tensor, int, Any]:
    """Sum of nats, targets that count, state after."""
    device = next(model.parameters()).device
    targets = window.targets.to(device)
    logits, after = model.carried(window.inputs.to(device), None if window.fresh else state)
    nats = cross_entropy(logits.float().flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="sum")
    return nats, int((targets != IGNORED).sum()), after


def detached(state: Any) -> Any:
    """A state, tensors in tuples and lists, from which no gradient flows back."""
    if isinstance(state, Tensor):
        return state.detach()
    if isinstance(state, tuple) and hasattr(state, "_fields"):
        return type(state)(*(detached(part) for part in state))
    if isinstance(state, tuple | list):
        return type(state)(detached(part) for part in state)
    return state


@dataclass(frozen=True)
class TextScore:
    """Evaluation of a language model on a text."""

    nats: float
    """Mean negative log-likelihood of a token."""
    perplexity: float
    """exp(nats)."""
    bits_a_byte: float
    """nats / ln 2 / bytes per token."""
    targets: int
    """Tokens that were counted: all but the first, each once."""


def evaluate(
    model: LanguageModel, tokens: Tokens, length: int, streams: int = 1, bytes_a_token: float = 1.0
) -> TextScore:
    """Read a whole text.

    One stream gives the published value. More are faster, but each begins with an empty past at its own place, which
    makes the value a little worse. Attention keeps no state and reads as `nats_a_token` says, in one stream.

    Args:
        model: it is put into evaluation mode meanwhile
        tokens: a text [T]
        length: tokens read at a time
        streams: read side by side
        bytes_a_token: of this text, as `Corpus` has it
    Raises:
        ConfigError: no stream, windows of no token, bytes per token not above 0, or several streams for attention.
        DataError: a text with fewer targets than streams.
    """
    if not bytes_a_token > 0:
        raise ConfigError(f"found {bytes_a_token} bytes a token, expected more than 0")
    cut = Streams(tokens, streams, length)
    if streams == 1:
        nats = nats_a_token(model, tokens, length)
    elif not model.stack.carries_state:
        raise ConfigError(f"found {streams} streams for a stack that keeps no state, expected 1")
    else:
        nats = _over(model, cut) / (len(tokens) - 1)
    return TextScore(nats, math.exp(nats), nats / math.log(2) / bytes_a_token, len(tokens) - 1)


@torch.no_grad()
def _over(model: LanguageModel, cut: Streams) -> float:
    """Nats of all targets together."""
    was_training, total, state = model.training, 0.0, None
    model.eval()
    for window in cut.once():
        nats, _, state = _read(model, window, state)
        total += float(nats)
    model.train(was_training)
    return total
