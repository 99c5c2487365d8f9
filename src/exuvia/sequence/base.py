"""`BaseGenerator`: what every model that writes base codes offers to pipelines, training and unlearning."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from exuvia.errors import ConfigError, ShapeError
from exuvia.sequence import sampling
from exuvia.sequence.sampling import Drawing
from exuvia.sequence.trunk import Trunk

Text = tuple[Tensor, Tensor | None]
"""Embeddings of captions, and which of their tokens are real."""
Seeds = Sequence[int] | None
Range = tuple[int, int]


class BaseGenerator(Trunk, ABC):
    """A model of base codes: text in, the codes of the tokenizer's first level out.

    It is a class and not a `typing.Protocol` because callers also need what every `nn.Module` has: weights to save, a
    device, a mode.
    """

    PREDICTS_LENGTH: ClassVar[bool]
    """Whether `generate` can do without lengths."""
    DRAWS: ClassVar[type[Any]]
    """The random draws of one training step; `draw(shape, num_codes, cond_drop, generator)` makes them."""
    ignored_id: int
    """Stands in targets that do not count."""

    @abstractmethod
    def logits(
        self, ids: Tensor, cond: Tensor, places: Tensor, cond_valid: Tensor | None = None, drop: Tensor | None = None
    ) -> Tensor:
        """Logits [B, classes, N or N + 1] of tokens.

        Args:
            ids: int64 [B, N]; cond: [B, E] or [B, S, E]; cond_valid: bool [B, S]
            places: bool [B, N], as `training_input` gives them
            drop: bool [B], True = without condition
        """

    @abstractmethod
    def corrupt(self, codes: Tensor, lengths: Tensor, draws: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Network input, `places` for `logits`, and targets (`ignored_id` where none) of one training step.

        Args:
            codes: int64 [B, T] base codes, anything at padding; lengths: int64 [B]; draws: one of `DRAWS`
        """

    def training_input(
        self, codes: Tensor, lengths: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The input of one training step, for your own objectives.

        Args:
            codes: int64 [B, T] base codes; lengths: int64 [B]
            generator: source of the draws
        Returns:
            ids and places that `logits` takes, and which outputs count, bool [B, N]
        """
        draws = self.DRAWS.draw(check_base_codes(codes), self.config.num_codes, 0.0, generator)
        ids, places, labels = self.corrupt(codes, lengths, draws)
        return ids, places, labels != self.ignored_id

    def loss(
        self,
        codes: Tensor,
        lengths: Tensor,
        cond: Tensor,
        cond_valid: Tensor | None = None,
        *,
        generator: torch.Generator | None = None,
        draws: Any = None,
    ) -> tuple[Tensor, Tensor]:
        """Training loss and accuracy, scalars. In evaluation mode no condition is dropped.

        Args:
            codes: int64 [B, T] base codes, anything at padding; lengths: int64 [B] in tokens
            cond: [B, E] or [B, S, E]; cond_valid: bool [B, S]
            generator: source of the random draws; draws: one of `DRAWS` in its place
        Raises:
            ShapeError: codes of several levels; ConfigError: no source of draws.
        """
        make = partial(self.DRAWS.draw, check_base_codes(codes), self.config.num_codes)
        draws, drop = self.training_draws(draws, generator, make)
        ids, places, labels = self.corrupt(codes, lengths, draws)
        return self.score(self.training_logits(ids, cond, places, cond_valid, drop), labels)

    def training_logits(
        self, ids: Tensor, cond: Tensor, places: Tensor, cond_valid: Tensor | None, drop: Tensor | None
    ) -> Tensor:
        """Like `logits`, but those of padding may have any value."""
        return self.logits(ids, cond, places, cond_valid, drop)

    def score(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Cross entropy and accuracy of logits [B, classes, N] for labels [B, N], means over all targets."""
        accuracy = sampling.token_accuracy(logits.detach(), labels, self.ignored_id)
        return sampling.token_loss(logits, labels, self.ignored_id), accuracy

    def generate(
        self,
        cond: Tensor,
        lengths: Tensor | None = None,
        cond_valid: Tensor | None = None,
        *,
        seeds: Sequence[int] | None = None,
        steps: int = 10,
        shortest: int = 1,
        longest: int = 49,
        cond_scale: float = 4.0,
        keep_share: float = 0.0,
        temperature: float = 1.0,
    ) -> Tensor:
        """Base codes from text.

        Args:
            cond: [B, E] or [B, S, E]; cond_valid: bool [B, S]
            lengths: int64 [B] in tokens; None = the model finds them, where it `PREDICTS_LENGTH`
            seeds: one a sample; a sample depends on its own seed only, not on its neighbours
            steps: forwards, of a model that fills many places at once; others have no use for it
            shortest, longest: limits of a length that is not given
            cond_scale: guidance
            keep_share: the largest ceil((1 - keep_share) V) logits may be drawn
            temperature: 0 = the most likely code
        Returns:
            int64 [B, N], -1 beyond a sample's length
        Raises:
            ConfigError: lengths and limits that do not fit, or not one seed a sample.
        """
        how = Drawing(cond_scale, keep_share, temperature)
        return self._written((cond, cond_valid), lengths, seeds, (shortest, longest), how)

    def _written(self, text: Text, lengths: Tensor | None, seeds: Seeds, limits: Range, how: Drawing) -> Tensor:
        """What `generate` gives, where a model does not define it itself."""
        raise NotImplementedError


def check_base_codes(codes: Tensor) -> tuple[int, int]:
    """Shape [B, T] of base codes. Raises ShapeError for codes of several levels."""
    if codes.ndim != 2:
        raise ShapeError(f"codes have shape {list(codes.shape)}; a generator of base codes takes [B, T]")
    return codes.shape[0], codes.shape[1]


def tokens_to_write(cond: Tensor, lengths: Tensor | None, shortest: int, longest: int) -> int:
    """How many tokens are written at most. Raises ConfigError or ShapeError for lengths and limits that do not fit."""
    if not 1 <= shortest <= longest or (lengths is not None and not 1 <= int(lengths.min())):
        raise ConfigError(f"found lengths from {shortest} to {longest}, expected 1 or more, and no sample without any")
    if lengths is not None and len(lengths) != len(cond):
        raise ShapeError(f"{len(cond)} conditions for {len(lengths)} lengths; expected one each")
    return longest if lengths is None else int(lengths.max())
