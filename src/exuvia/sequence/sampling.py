"""Schedules, filters, draws and token scores of masked and residual generation.

Every function is a pure map of tensors: noise is an argument, or comes from one seeded generator per sample.
Facts: Sec. 3.2-3.3 [guo2024momask]; momask-codes, models/mask_transformer/tools.py.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from exuvia.errors import ConfigError, ShapeError

Seeds = Sequence[int] | None
OnStep = Callable[[int, Tensor, Tensor], None]
"""Called after each step's forward pass with (step, ids fed to the network [B, T], guided logits [B, V, T])."""
NOISE_BLOCK = 64
"""Number of positions drawn at a time. It makes the noise at a position independent of the batch's length."""


@dataclass(frozen=True)
class SamplingOptions:
    """How the codes of a batch are drawn from logits."""

    cond_scale: float = 4.0
    """Guidance scale."""
    keep_share: float = 0.0
    """Argument of `top_share`; 0 = every code may be drawn."""
    temperature: float = 1.0
    """0 = the most likely code."""
    seeds: Seeds = None
    """One seed per sample."""
    noise: Tensor | None = None
    """Noise to use instead of seeds."""
    steps: int = 10
    """Number of forward passes of a masked transformer."""
    on_step: OnStep | None = None
    """Called after each forward pass of a masked transformer."""

    def noise_for(self, rows: int, samples: int, length: int) -> Tensor | None:
        """The given noise, or uniforms [rows, samples, length] from the seeds; None at temperature 0.
        Raises ConfigError if noise is needed, and there is not one seed per sample."""
        if self.noise is not None or self.temperature <= 0:
            return self.noise
        return noise_of(self.seeds, rows, samples, length)


def cosine_schedule(time: Tensor) -> Tensor:
    """Share of tokens masked at a time in [0, 1]: cos(time π / 2).   Sec. 3.2 [guo2024momask]"""
    return torch.cos(time * math.pi * 0.5)


def masked_counts(lengths: Tensor, steps: int) -> Tensor:
    """Masked tokens [steps, B] at times t = linspace(0, 1, steps); 0 for an empty sample.

    Elsewhere max(1, round_half_even(cos(t π / 2) length)), int64.
    """
    if steps < 1:
        raise ConfigError(f"steps is {steps}; generation needs at least one step")
    share = cosine_schedule(torch.linspace(0, 1, steps, device=lengths.device))
    counts = torch.round(share[:, None] * lengths[None]).clamp(min=1).long()
    return torch.where(lengths > 0, counts, 0)


def q_schedule(uniform: Tensor, low: int, high: int) -> Tensor:
    """Level in [low, high) to train on, for u in [0, 1): low + round((1 - cos(u π / 2)) (high - low - 1)), int64."""
    share = 1 - cosine_schedule(uniform)
    return torch.round(share * (high - low - 1)).long() + low


def top_share(logits: Tensor, keep_share: float) -> Tensor:
    """Keep the largest ceil((1 - keep_share) V) logits of the last axis, at least one; the others become -inf.
    As published, `keep_share` is the share to drop: 0.9 of 512 classes keeps 52. Raises ConfigError outside [0, 1)."""
    if not 0.0 <= keep_share < 1.0:
        raise ConfigError(f"keep_share is {keep_share}; expected a number in [0, 1), 0.9 keeps a tenth of the codes")
    keep = max(1, math.ceil((1 - keep_share) * logits.shape[-1]))
    values, indices = logits.topk(keep, dim=-1)
    return torch.full_like(logits, -math.inf).scatter(-1, indices, values)


def precise(x: Tensor) -> Tensor:
    """Convert to double precision if the device supports it."""
    return x.float() if x.device.type == "mps" else x.double()


def draw(logits: Tensor, temperature: float, noise: Tensor | None) -> Tensor:
    """Draw ids [...] from softmax(logits / temperature) with given noise; excluded classes of logits [..., V] are -inf.

    Noise, on any device: uniforms [...] (inverse of the cumulative distribution in id order, in double precision) or
    Gumbel noise [..., V] (largest noisy logit). Temperature 0 takes the largest logit and needs none.
    Raises ShapeError for noise of another shape, ConfigError for none at a temperature above 0.
    """
    if temperature <= 0 and (noise is None or noise.shape != logits.shape):
        return logits.argmax(-1)
    if noise is None:
        raise ConfigError(f"temperature {temperature} needs seeds or noise; pass seeds=[...] or temperature=0")
    noise = (noise.float() if logits.device.type == "mps" else noise).to(logits.device)
    if noise.shape == logits.shape:
        return (logits / max(temperature, 1e-10) + noise).argmax(-1)
    if noise.shape != logits.shape[:-1]:
        expected = f"{list(logits.shape[:-1])} uniforms or {list(logits.shape)} Gumbel noise"
        raise ShapeError(f"noise has shape {list(noise.shape)}; expected {expected}")
    cumulative = (precise(logits) / temperature).softmax(-1).cumsum(-1)
    level = noise.to(cumulative.dtype).clamp(min=1e-12) * cumulative[..., -1]
    ids = (cumulative < level[..., None]).sum(-1)
    return ids.clamp(max=logits.shape[-1] - 1)


def draw_or_end(
    logits: Tensor, keep_share: float, temperature: float, noise: Tensor | None, ends: bool
) -> tuple[Tensor, Tensor]:
    """Draw a code or, if `ends`, the end token, the last of logits [B, V + 1], whose probability `keep_share` does not
    change, with uniforms [B]. Returns ids [B] and their probabilities [B] before codes were excluded."""
    V = logits.shape[-1] - 1
    logits = (logits if ends else logits[:, :V]).float()
    codes = logits[:, :V]
    kept = top_share(codes, keep_share)
    kept = kept + (codes.logsumexp(-1, keepdim=True) - kept.logsumexp(-1, keepdim=True))
    drawn = draw(torch.cat([kept, logits[:, V:]], dim=-1), temperature, noise)
    return drawn, logits.softmax(-1).gather(-1, drawn[:, None])[:, 0]


def noise_of(seeds: Seeds, rows: int, samples: int, length: int) -> Tensor:
    """The result of `seeded_noise`. Raises ConfigError unless there is one seed per sample."""
    if seeds is None or len(seeds) != samples:
        count = "no" if seeds is None else len(seeds)
        raise ConfigError(f"{count} seeds for {samples} samples; pass one integer seed per sample")
    return seeded_noise(seeds, rows, length)


def seeded_noise(seeds: Sequence[int], steps: int, length: int) -> Tensor:
    """Float64 uniforms [steps, B, length] on the CPU for one generation; one seed, 0 to 2**63 - 1, per sample.

    The value at (step, sample, position) depends only on that sample's seed, `steps` and the position: a sample gets
    the same noise alone and in any batch, at any padded length, on any device.
    """
    samples = []
    for seed in seeds:
        if not 0 <= seed < 2**63:  # other seeds would give the motions of seeds in this range
            raise ConfigError(f"found the seed {seed}, expected 0 to 2**63 - 1")
        generator = torch.Generator().manual_seed(int(seed))
        count = -(-length // NOISE_BLOCK)
        blocks = [torch.rand(NOISE_BLOCK, steps, generator=generator, dtype=torch.float64) for _ in range(count)]
        samples.append(torch.cat(blocks)[:length] if blocks else torch.empty(0, steps, dtype=torch.float64))
    return torch.stack(samples).movedim(2, 0)


def lowest(scores: Tensor, counts: Tensor) -> Tensor:
    """Mark the `counts[b]` lowest scores of each row [B, T]; equal scores are taken in order of position."""
    ranks = scores.argsort(dim=1, stable=True).argsort(dim=1)
    return ranks < counts[:, None]


def token_loss(logits: Tensor, labels: Tensor, ignore: int) -> Tensor:
    """Mean cross entropy of logits [B, V, T] over labels [B, T] other than `ignore`; 0, with gradient 0, if none is."""
    counted = labels != ignore
    target = labels.masked_fill(~counted, 0)
    logs = F.log_softmax(logits.float(), dim=1)
    picked = logs.gather(1, target[:, None])[:, 0]
    return -(picked * counted).sum() / counted.sum().clamp(min=1)


def token_accuracy(logits: Tensor, labels: Tensor, ignore: int) -> Tensor:
    """Share of the labels [B, T] other than `ignore` with the largest of logits [B, V, T], float32; 0 without any."""
    counted = labels != ignore
    hits = (logits.argmax(1) == labels) & counted
    return hits.sum().float() / counted.sum().clamp(min=1)
