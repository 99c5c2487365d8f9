"""`BaseGenerator`: the interface of models of base codes that pipelines, training and unlearning use."""

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor

from exuvia.errors import ConfigError, ShapeError
from exuvia.sequence import sampling
from exuvia.sequence.sampling import OnStep, SamplingOptions, Seeds
from exuvia.sequence.trunk import Condition, Trunk

Text = tuple[Tensor, Tensor | None]
"""Embeddings of captions, and a mask of their real tokens."""
Range = tuple[int, int]


class BaseGenerator(Trunk):
    """A model of base codes: text in, codes of the tokenizer's first level out.

    It is a class and not a `typing.Protocol` because callers also need the features of an `nn.Module`: weights to
    save, a device, a training mode.
    """

    PREDICTS_LENGTH: ClassVar[bool]
    """Whether `generate` works without given lengths."""
    KEEP_SHARE: ClassVar[float] = 0.0
    """Default of `keep_share` in `generate`."""
    DRAWS: ClassVar[type[Any]]
    """The random draws of one training step; `draw(shape, num_codes, cond_drop, generator)` makes them."""
    ignored_id: int
    """Id in the targets for positions that do not count."""

    @abstractmethod
    def logits(
        self, ids: Tensor, cond: Tensor, places: Tensor, cond_valid: Tensor | None = None, drop: Tensor | None = None
    ) -> Tensor:
        """Logits [B, classes, N or N + 1] of ids, int64 [B, N]; `places` is that of `training_input`, bool [B, N];
        cond: [B, E] or [B, S, E]; cond_valid: bool [B, S]; drop: bool [B], True = without condition."""

    @abstractmethod
    def corrupt(self, codes: Tensor, lengths: Tensor, draws: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Network input, `places` for `logits`, and targets (`ignored_id` at ignored positions) of one training step,
        for base codes, int64 [B, T] with any value at padding, lengths [B], and an instance of `DRAWS`."""

    @abstractmethod
    def _generate(self, text: Text, lengths: Tensor | None, limits: Range, options: SamplingOptions) -> Tensor:
        """Implement `generate`."""

    def draw(self, codes: Tensor, cond_drop: float, generator: torch.Generator) -> Any:
        """Random draws for a batch. Raises ShapeError for codes of several levels."""
        return self.DRAWS.draw(check_base_codes(codes), self.config.num_codes, cond_drop, generator)

    def training_input(
        self, codes: Tensor, lengths: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The input of one training step, for custom objectives, from base codes, int64 [B, T], and lengths [B]: ids
        and places for `logits`, and a mask of the outputs that count, bool [B, N]."""
        ids, places, labels = self.corrupt(codes, lengths, self.draw(codes, 0.0, generator))
        return ids, places, labels != self.ignored_id

    def _loss(self, codes: Tensor, lengths: Tensor, condition: Condition, draws: Any) -> tuple[Tensor, Tensor]:
        check_base_codes(codes)
        cond, cond_valid, drop = condition
        ids, places, labels = self.corrupt(codes, lengths, draws)
        return self.score(self.training_logits(ids, cond, places, cond_valid, drop), labels)

    def training_logits(
        self, ids: Tensor, cond: Tensor, places: Tensor, cond_valid: Tensor | None, drop: Tensor | None
    ) -> Tensor:
        """Like `logits`, but values at padding are arbitrary."""
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
        seeds: Seeds = None,
        noise: Tensor | None = None,
        steps: int = 10,
        shortest: int = 1,
        longest: int = 49,
        cond_scale: float = 4.0,
        keep_share: float | None = None,
        temperature: float = 1.0,
        on_step: OnStep | None = None,
    ) -> Tensor:
        """Base codes from text.

        Args:
            cond: [B, E] or [B, S, E]; cond_valid: bool [B, S]
            lengths: int64 [B] in tokens; None = the model finds them, if it `PREDICTS_LENGTH`
            seeds: one per sample; a sample depends on its own seed only, not on its neighbours
            noise: uniforms [rows, B, N] to use instead of seeds, one row per step or pass
            steps: number of forward passes of a masked transformer; other models ignore it
            shortest, longest: limits of lengths that the model finds
            cond_scale: guidance scale
            keep_share: only the largest ceil((1 - keep_share) V) logits may be drawn; None = `KEEP_SHARE`
            temperature: 0 = the most likely code
            on_step: called after each forward pass of a masked transformer
        Returns:
            int64 [B, N], -1 beyond a sample's length
        Raises:
            ConfigError: lengths and limits that do not fit, or not one seed per sample.
        """
        share = self.KEEP_SHARE if keep_share is None else keep_share
        options = SamplingOptions(cond_scale, share, temperature, seeds, noise, steps, on_step)
        return self._generate((cond, cond_valid), lengths, (shortest, longest), options)


def check_base_codes(codes: Tensor) -> tuple[int, int]:
    """Shape [B, T] of base codes. Raises ShapeError for codes of several levels."""
    if codes.ndim != 2:
        raise ShapeError(f"codes have shape {list(codes.shape)}; a generator of base codes takes [B, T]")
    return codes.shape[0], codes.shape[1]


def max_tokens(cond: Tensor, lengths: Tensor | None, shortest: int, longest: int) -> int:
    """The maximum number of tokens to generate. Raises ConfigError or ShapeError for unfit lengths and limits."""
    if not 1 <= shortest <= longest or (lengths is not None and not 1 <= int(lengths.min())):
        raise ConfigError(f"found lengths from {shortest} to {longest}, expected at least 1 token for every sample")
    if lengths is not None and len(lengths) != len(cond):
        raise ShapeError(f"{len(cond)} conditions for {len(lengths)} lengths; expected one each")
    return longest if lengths is None else int(lengths.max())
