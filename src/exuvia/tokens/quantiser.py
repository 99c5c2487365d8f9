"""Residual vector quantisation with moving-average codebooks and dead-code reset.

Glossary: x = encoder output, or its residual after earlier levels; n, m = moving count and sum of a code; μ = 0.99.
Sources: Sec. 3.1 [guo2024momask]; momask-codes, models/vq/{quantizer,residual_vq}.py. Unlike the published code, n, m
and the initialised flag are saved with the weights, so a resumed training does not draw new codebooks.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.distributed as dist
from torch import Tensor, nn


class Draws(Protocol):
    """A source of the random numbers that quantiser training needs."""

    def gumbel(self, rows: int, codes: int, like: Tensor) -> Tensor:
        """Standard Gumbel noise, [rows, codes]."""

    def normal(self, rows: int, dim: int, like: Tensor) -> Tensor:
        """Standard normal noise, [rows, dim]."""

    def dropped_above(self, levels: int, probability: float) -> int:
        """The highest quantiser level kept in this forward pass."""


class SeededDraws:
    """Random numbers from a torch generator on the CPU, so that every device and process gets the same ones."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def _uniform(self, *shape: int) -> Tensor:
        return torch.rand(*shape, generator=self.generator)

    def gumbel(self, rows: int, codes: int, like: Tensor) -> Tensor:
        """-log(-log u), each logarithm's argument at least 1e-20."""
        inner = -self._uniform(rows, codes).clamp_min_(1e-20).log_()
        return -inner.clamp_min_(1e-20).log_().to(like.device)

    def normal(self, rows: int, dim: int, like: Tensor) -> Tensor:
        """Standard normal numbers."""
        return torch.randn(rows, dim, generator=self.generator).to(like.device)

    def dropped_above(self, levels: int, probability: float) -> int:
        """A level from U{0..levels-1} with the given probability, otherwise the last level."""
        u = float(self._uniform(1))
        if u >= probability:
            return levels - 1
        return kept_level(u, int(torch.randint(levels, (1,), generator=self.generator)), levels, probability)


def kept_level(u: float, start: int, levels: int, probability: float) -> int:
    """Quantise-dropout: levels above `start` are dropped if u < probability.   Sec. 3.1 [guo2024momask]"""
    return start if u < probability else levels - 1


@dataclass(frozen=True)
class Quantised:
    """Result of a residual quantisation."""

    value: Tensor
    """Sum of the chosen codes, with a straight-through gradient to the input [B, D, T]."""
    codes: Tensor
    """Chosen indices [B, T, Q]; -1 where a level was dropped."""
    commit: Tensor
    """Mean squared distance to the chosen codes, averaged over the levels used."""
    perplexity: Tensor
    """Exponential of the code entropy, averaged over the levels used."""


def _sum_over_processes(x: Tensor) -> Tensor:
    if dist.is_available() and dist.is_initialized():
        dist.all_reduce(x)
    return x


def _from_first_process(x: Tensor) -> Tensor:
    if dist.is_available() and dist.is_initialized():
        x = x.contiguous()
        dist.broadcast(x, src=0)
    return x


class EMAQuantiser(nn.Module):
    """One codebook, learnt with moving averages."""

    codebook: Tensor
    code_sum: Tensor
    code_count: Tensor
    initialised: Tensor

    def __init__(self, num_codes: int, dim: int, decay: float) -> None:
        super().__init__()
        self.num_codes, self.dim, self.decay = num_codes, dim, decay
        self.register_buffer("codebook", torch.zeros(num_codes, dim))
        self.register_buffer("code_sum", torch.zeros(num_codes, dim))
        self.register_buffer("code_count", torch.ones(num_codes))
        self.register_buffer("initialised", torch.zeros((), dtype=torch.bool))

    def nearest(self, rows: Tensor, noise: Tensor | None = None, temperature: float = 0.0) -> Tensor:
        """Index of the nearest code of each row [N, D]; with noise, argmax(-distance²/temperature + noise)."""
        score = 2 * rows @ self.codebook.t() - rows.square().sum(1, keepdim=True) - self.codebook.square().sum(1)
        if noise is not None and temperature > 0:
            score = score / temperature + noise
        return score.argmax(dim=-1)

    def _candidates(self, rows: Tensor, draws: Draws) -> Tensor:
        """First V rows of the batch, unshuffled as published; a short batch is repeated with a little noise."""
        if len(rows) < self.num_codes:
            repeats = math.ceil(self.num_codes / len(rows))
            rows = rows.repeat(repeats, 1)
            rows = rows + draws.normal(len(rows), self.dim, rows) * (0.01 / math.sqrt(self.dim))
        return _from_first_process(rows[: self.num_codes].clone())

    @torch.no_grad()
    def initialise(self, rows: Tensor, draws: Draws) -> None:
        """Set the codes to rows of the first training batch [N, D]."""
        self.codebook.copy_(self._candidates(rows, draws))
        self.code_sum.copy_(self.codebook)
        self.code_count.fill_(1.0)
        self.initialised.fill_(True)

    @torch.no_grad()
    def update(self, rows: Tensor, index: Tensor, draws: Draws) -> None:
        """Update the moving averages, and replace every code whose moving count is below 1.

        The count of a replaced code is not reset, so the code is replaced at every step until its count reaches 1.
        """
        counts = torch.bincount(index, minlength=self.num_codes).to(rows.dtype)
        sums = torch.zeros_like(self.code_sum).index_add_(0, index, rows)
        counts, sums = _sum_over_processes(counts), _sum_over_processes(sums)
        self.code_sum.mul_(self.decay).add_((1 - self.decay) * sums)
        self.code_count.copy_(self.decay * self.code_count + (1 - self.decay) * counts)
        used = (self.code_count >= 1.0)[:, None]
        averages = self.code_sum / self.code_count[:, None]
        self.codebook.copy_(torch.where(used, averages, self._candidates(rows, draws)))

    def forward(self, x: Tensor, draws: Draws | None, temperature: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Quantise x [B, D, T] -> value [B, D, T], codes [B, T], commitment, perplexity; learns in training mode."""
        batch, dim, steps = x.shape
        rows = x.detach().transpose(1, 2).reshape(-1, dim)
        learner = draws if self.training else None
        if learner is not None and not bool(self.initialised):
            self.initialise(rows, learner)
        noise = learner.gumbel(len(rows), self.num_codes, rows) if learner is not None and temperature > 0 else None
        index = self.nearest(rows, noise, temperature)
        code = self.codebook[index].view(batch, steps, dim).transpose(1, 2)
        share = torch.bincount(index, minlength=self.num_codes).to(x.dtype) / len(index)
        perplexity = torch.exp(-(share * torch.log(share + 1e-7)).sum())
        if learner is not None:
            self.update(rows, index, learner)
        commit = torch.mean((x - code) ** 2)
        return x + (code - x).detach(), index.view(batch, steps), commit, perplexity


class ResidualQuantiser(nn.Module):
    """Q codebooks in sequence, each of which quantises the residual of the previous ones."""

    def __init__(self, levels: int, num_codes: int, dim: int, decay: float, shared: bool, dropout: float) -> None:
        super().__init__()
        self.num_levels, self.dropout = levels, dropout
        first = EMAQuantiser(num_codes, dim, decay)
        rest = [first if shared else EMAQuantiser(num_codes, dim, decay) for _ in range(levels - 1)]
        self.layers = nn.ModuleList([first, *rest])

    def level(self, number: int) -> EMAQuantiser:
        """The quantiser of one level."""
        layer = self.layers[number]
        assert isinstance(layer, EMAQuantiser)
        return layer

    def forward(
        self, x: Tensor, draws: Draws | None = None, temperature: float = 0.0, last_level: int | None = None
    ) -> Quantised:
        """Quantise x [B, D, T] with levels up to `last_level` (None: quantise-dropout in training, else all).

        Without `draws` nothing is learnt; `temperature` is that of the Gumbel choice in training.
        As published, the gradient of the sum of codes with respect to x is (levels used) times the identity, because
        every level passes its gradient straight through to the encoder output.
        """
        if last_level is None:
            last_level = self.num_levels - 1
            if self.training and draws is not None:
                drawn = torch.tensor(draws.dropped_above(self.num_levels, self.dropout), device=x.device)
                last_level = int(_from_first_process(drawn))  # all processes must make the same choice
        residual, total = x, torch.zeros_like(x)
        results: list[list[Tensor]] = []
        for _, layer in zip(range(last_level + 1), self.layers, strict=False):
            value, *rest = layer(residual, draws, temperature)
            residual, total = residual - value.detach(), total + value
            results.append(rest)
        used, commits, perplexities = zip(*results, strict=True)
        codes = [*used, *[torch.full_like(used[0], -1)] * (self.num_levels - len(used))]
        return Quantised(total, torch.stack(codes, -1), torch.stack(commits).mean(), torch.stack(perplexities).mean())

    def encode(self, x: Tensor, levels: int | None = None) -> Tensor:
        """Codes [B, T, levels] of x [B, D, T], without noise; None: all levels."""
        rows = x.transpose(1, 2).reshape(-1, x.shape[1])
        codes = []
        for number in range(levels or self.num_levels):
            layer = self.level(number)
            index = layer.nearest(rows)
            rows = rows - layer.codebook[index]
            codes.append(index.view(x.shape[0], x.shape[2]))
        return torch.stack(codes, dim=-1)

    def lookup(self, codes: Tensor) -> Tensor:
        """Code vectors of every level: codes [B, T, q ≤ Q] -> [q, B, D, T]; -1 gives zeros."""
        vectors = []
        for level in range(codes.shape[-1]):
            index = codes[..., level]
            vector = self.level(level).codebook[index.clamp_min(0)] * (index >= 0).unsqueeze(-1)
            vectors.append(vector.transpose(1, 2))
        return torch.stack(vectors)
