"""MoMask's residual transformer: finer code levels from the coarser ones and the text.   Sec. 3.3 [guo2024momask]

Ids: 0 .. V-1 codes, V = padding, which the model can also predict. Sequence = [condition tokens, level token, motion
tokens]; a motion token is the sum of its embeddings at all coarser levels.
Facts: momask-codes, models/mask_transformer/transformer.py, ResidualTransformer.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from exuvia.errors import ShapeError
from exuvia.sequence import sampling
from exuvia.sequence.sampling import SamplingOptions, Seeds
from exuvia.sequence.settings import ResidualTransformerConfig
from exuvia.sequence.trunk import Condition, Guidance, Prefix, TransformerTrunk, evaluating, valid_from_lengths


@dataclass(frozen=True)
class ResidualDraws:
    """The random draws of one training step."""

    level: Tensor
    """int64 [B], 1 .. Q-1: the level to predict."""
    drop: Tensor | None = None
    """bool [B]: the sample loses its condition; None = no sample does."""

    @classmethod
    def draw(cls, size: int, num_quantizers: int, cond_drop: float, generator: torch.Generator) -> "ResidualDraws":
        """Draw for a batch on the generator's device."""
        uniform = torch.rand(2, size, generator=generator, device=generator.device)
        return cls(sampling.q_schedule(uniform[0], 1, num_quantizers), uniform[1] < cond_drop)


class ResidualTransformer(TransformerTrunk):
    """One transformer for all residual levels; a token names the level to predict."""

    config: ResidualTransformerConfig

    def __init__(self, config: ResidualTransformerConfig, seed: int = 0) -> None:
        super().__init__(config, config.code_dim, config.backbone)
        self.pad_id = config.num_codes
        levels, rows, dim = config.num_quantizers, config.num_codes + 1, config.code_dim
        self.quant_emb = nn.Linear(levels, config.width)
        if config.share_weight:
            self.embed_proj_shared_weight = nn.Parameter(torch.empty(levels - 2, rows, dim))
            self.token_embed_weight_ = nn.Parameter(torch.empty(1, rows, dim))
            self.output_proj_weight_ = nn.Parameter(torch.empty(1, rows, dim))
        else:
            self.token_embed_weight = nn.Parameter(torch.empty(levels - 1, rows, dim))
            self.output_proj_weight = nn.Parameter(torch.empty(levels - 1, rows, dim))
            self.output_proj_bias = nn.Parameter(torch.zeros(levels, rows))
        self.initialise(seed)

    def embedding_tables(self) -> Tensor:
        """Token embeddings of levels 0 .. Q-2: [Q-1, V+1, code_dim]."""
        if self.config.share_weight:
            return torch.cat([self.token_embed_weight_, self.embed_proj_shared_weight])
        return self.token_embed_weight

    def projection_tables(self) -> Tensor:
        """Scoring tables of levels 1 .. Q-1: [Q-1, V+1, code_dim]."""
        if self.config.share_weight:
            return torch.cat([self.embed_proj_shared_weight, self.output_proj_weight_])
        return self.output_proj_weight

    def history(self, codes: Tensor, level: Tensor) -> Tensor:
        """Sum [B, T, code_dim] of the embeddings of codes [B, T, Q] (the padding id at padding) below `level` [B]."""
        tables = self.embedding_tables()
        B, T, _ = codes.shape
        coarse = torch.arange(len(tables), device=codes.device)
        rows = (codes[..., : len(tables)] + coarse * tables.shape[1]).flatten(0, 1)
        counted = (coarse < level[:, None])[:, None].expand(B, T, -1).flatten(0, 1)
        summed = F.embedding_bag(
            rows, tables.flatten(0, 1), mode="sum", per_sample_weights=counted.to(tables.dtype).contiguous()
        )
        return summed.view(B, T, -1)

    def hidden(self, embedded: Tensor, level: Tensor, prefix: Prefix, valid: Tensor, packed: bool = False) -> Tensor:
        """Head output before the scoring table, like the summed embeddings [B, T, code_dim]; `packed` skips padding."""
        one_hot = F.one_hot(level, self.config.num_quantizers).to(self.quant_emb.weight.dtype)
        level_token = self.quant_emb(one_hot)[:, None]
        tokens = torch.cat([prefix.tokens, level_token.to(prefix.tokens.dtype)], dim=1)
        known = torch.cat([prefix.valid, prefix.valid.new_ones(len(level), 1)], dim=1)
        return self.encode(embedded, valid, Prefix(tokens, known), packed)

    def project(self, hidden: Tensor, level: Tensor) -> Tensor:
        """Score the codes of each sample's level: hidden [B, T, code_dim], level [B] -> [B, T, V+1].

        Without shared weights the published code computes 2 W h + b, because it adds the scores twice; so does this.
        """
        tables = self.projection_tables()
        logits = torch.bmm(hidden, tables[level - 1].to(hidden.dtype).transpose(1, 2))
        if self.config.share_weight:
            return logits
        return 2 * logits + self.output_proj_bias[level - 1][:, None]

    def logits(
        self,
        embedded: Tensor,
        level: Tensor,
        cond: Tensor,
        valid: Tensor,
        cond_valid: Tensor | None = None,
        drop: Tensor | None = None,
        *,
        packed: bool = False,
    ) -> Tensor:
        """Logits [B, V+1, T], arbitrary at padding, of one level [B], 1 .. Q-1, per sample, from summed embeddings of
        the coarser levels [B, T, code_dim]; others: see `MaskTransformer.logits`."""
        hidden = self.hidden(embedded, level, self.prefix(cond, cond_valid, drop), valid, packed)
        return self.project(hidden, level).transpose(1, 2)

    def _guided(
        self, embedded: Tensor, level: Tensor, prefix: Prefix, valid: Tensor, guidance: Guidance, packed: bool = False
    ) -> Tensor:
        levels = guidance.repeat(level)
        hidden = self.hidden(guidance.repeat(embedded), levels, prefix, guidance.repeat(valid), packed)
        return guidance.join(self.project(hidden, levels))

    def targets(self, codes: Tensor, valid: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        """Codes with the padding id at padding [B, T, Q], and those of each sample's level [B, T].
        Raises ShapeError for codes of another number of levels."""
        if codes.ndim != 3 or codes.shape[2] != self.config.num_quantizers:
            expected = f"[B, T, {self.config.num_quantizers}]"
            raise ShapeError(f"codes have shape {list(codes.shape)}; expected {expected}, all levels of the tokenizer")
        clean = torch.where(valid[..., None], codes, self.pad_id)
        return clean, clean.gather(2, level[:, None, None].expand(-1, codes.shape[1], 1))[..., 0]

    def draw(self, codes: Tensor, cond_drop: float, generator: torch.Generator) -> ResidualDraws:
        """Random draws for a batch."""
        return ResidualDraws.draw(len(codes), self.config.num_quantizers, cond_drop, generator)

    def _loss(
        self, codes: Tensor, lengths: Tensor, condition: Condition, draws: ResidualDraws
    ) -> tuple[Tensor, Tensor]:
        """Cross entropy and accuracy of one random level per sample.   Sec. 3.3 [guo2024momask]"""
        cond, cond_valid, drop = condition
        level = draws.level.to(codes.device)
        valid = valid_from_lengths(lengths, codes.shape[1])
        clean, labels = self.targets(codes, valid, level)
        logits = self.logits(self.history(clean, level), level, cond, valid, cond_valid, drop, packed=True)
        accuracy = sampling.token_accuracy(logits.detach(), labels, self.pad_id)
        return sampling.token_loss(logits, labels, self.pad_id), accuracy

    def generate(
        self,
        base_codes: Tensor,
        cond: Tensor,
        lengths: Tensor,
        cond_valid: Tensor | None = None,
        *,
        seeds: Seeds = None,
        cond_scale: float = 5.0,
        keep_share: float = 0.9,
        temperature: float = 1.0,
        noise: Tensor | None = None,
    ) -> Tensor:
        """Residual codes for given base codes, level by level.   Sec. 3.4 [guo2024momask]

        Args:
            base_codes: int64 [B, T], any value at padding; cond: [B, E] or [B, S, E]; lengths: int64 [B] in tokens
            seeds: one per sample; a sample depends on its own seed only, not on its neighbours or the padding
            cond_scale, keep_share, temperature: as in `BaseGenerator.generate`
            noise: uniforms [Q - 1, B, T] or Gumbel noise [Q - 1, B, T, V+1] instead of seeds
        Returns:
            int64 [B, T, Q], -1 at padding and wherever the model predicts its padding class (no residual)
        """
        levels = self.config.num_quantizers
        lengths = lengths.to(self.device)
        valid = valid_from_lengths(lengths, base_codes.shape[1])
        noise = SamplingOptions(temperature=temperature, seeds=seeds, noise=noise).noise_for(levels - 1, *valid.shape)
        guidance = Guidance(cond_scale)
        with evaluating(self), torch.inference_mode():
            prefix = self.guided_prefix(cond, cond_valid, guidance)
            tables, codes = self.embedding_tables(), [torch.where(valid, base_codes.to(self.device), self.pad_id)]
            embedded = torch.zeros((), device=self.device)
            for step in range(levels - 1):
                embedded = embedded + F.embedding(codes[-1], tables[step])
                level = torch.full((len(valid),), step + 1, device=self.device)
                logits = self._guided(embedded, level, prefix, valid, guidance, packed=True).float()
                row = None if noise is None else noise[step]
                drawn = sampling.draw(sampling.top_share(logits, keep_share), temperature, row)
                codes.append(torch.where(valid, drawn, self.pad_id))
            stacked = torch.stack(codes, dim=-1)
            stacked = stacked.masked_fill(stacked == self.pad_id, -1)
        return stacked.clone()
