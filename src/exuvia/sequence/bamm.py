"""BAMM: one causal decoder that also fills gaps, and says by an end token how long a motion is.   [pinyo2024bamm]

Ids: 0 .. V-1 codes, V = end, V+1 = padding, V+2 = mask; the head has V+1 classes. Sequence = [condition tokens, motion
tokens]; the output before token k predicts token k, so that the condition predicts the first. What may attend to what
is a table a sample: every row its past, all rows the *given* places (the condition and revealed tokens), and rows of
given places nothing but these. Facts: BAMM, models/mask_transformer/transformer.py, commit c9c6be0.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from exuvia.errors import ConfigError, ShapeError
from exuvia.sequence.gpt_blocks import GPTDecoder
from exuvia.sequence.trunk import Encoder, Layout, Prefix, Trunk, TrunkConfig, branches_of, guide, valid_from_lengths

REVEAL_SHARE = 0.5
"""Of the training batches reveal places; a batch's rate is uniform up to this too, and so is that of random codes."""


@dataclass(frozen=True)
class BAMMConfig(TrunkConfig):
    """BAMM's decoder; the defaults are the published ones (12,049,665 parameters)."""

    blocks: str = "official"
    """official: the post-norm layers of the masked transformer; t2mgpt: pre-norm blocks."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.blocks not in ("official", "t2mgpt"):
            raise ConfigError(f"unknown blocks {self.blocks!r}; known: official, t2mgpt")
        if self.backbone != "transformer":
            raise ConfigError(f"BAMM attends through a table of its own; found the backbone {self.backbone!r}")


@dataclass(frozen=True)
class Reveal:
    """The random draws of one training step."""

    given: Tensor
    """bool [B, T + 1]: revealed if before the end or at it."""
    to_random: Tensor
    """bool [B, T + 1]: if before the end, the network reads a random code there."""
    random_codes: Tensor
    """int64 [B, T + 1] in [0, V)."""
    drop: Tensor | None = None
    """bool [B]: loses its condition; None = none does."""

    @classmethod
    def draw(cls, shape: tuple[int, int], num_codes: int, cond_drop: float, generator: torch.Generator) -> "Reveal":
        """Draw for codes of shape [B, T] on the generator's device: one rate of each kind a batch."""
        size, where = (shape[0], shape[1] + 1), generator.device

        def uniform(*size: int) -> Tensor:
            return torch.rand(size, generator=generator, device=where)

        reveals, rate, noise = uniform(3).tolist()
        share = REVEAL_SHARE * rate if reveals < REVEAL_SHARE else 0.0
        return cls(
            given=uniform(*size) < share,
            to_random=uniform(*size) < REVEAL_SHARE * noise,
            random_codes=torch.randint(num_codes, size, generator=generator, device=where),
            drop=uniform(shape[0]) < cond_drop,
        )


class BAMM(Trunk):
    """Causal decoder over base codes with an end token and revealed places."""

    def __init__(self, config: BAMMConfig, seed: int = 0) -> None:
        super().__init__(config, config.num_codes + 1)
        self.config = config
        self.end_id, self.pad_id, self.mask_id = (config.num_codes + n for n in range(3))
        self.token_emb = nn.Embedding(config.num_codes + 3, config.code_dim)
        if config.blocks == "t2mgpt":
            sizes = config.width, config.inner_width, config.num_layers, config.num_heads
            self.seqTransEncoder = GPTDecoder(*sizes, config.dropout)
        self.initialise(seed)

    def sequence(self, ids: Tensor, prefix: Prefix) -> Tensor:
        """Input of the decoder [B, S + N, D]: condition tokens at position 0, ids [B, N] at 1, 2, ..."""
        motion = self.input_process(self.token_emb(ids))
        blank = motion.new_zeros(len(ids), 1, motion.shape[-1])
        placed = self.position_enc(torch.cat([blank, motion], dim=1))
        first = self.position_enc.pe[:1, 0] + prefix.tokens.to(motion.dtype)
        return torch.cat([self.position_enc.dropout(first), placed[:, 1:]], dim=1)

    def logits(
        self,
        ids: Tensor,
        cond: Tensor,
        given: Tensor | None = None,
        cond_valid: Tensor | None = None,
        drop: Tensor | None = None,
    ) -> Tensor:
        """Logits of every token and of the one after the last.

        Args:
            ids: int64 [B, N], any ids; cond: [B, E] or [B, S, E]
            given: bool [B, N], revealed places; None = none, purely causal
            cond_valid: bool [B, S]; drop: bool [B], True = without condition
        Returns:
            [B, V + 1, N + 1]; column k holds the logits of token k
        """
        prefix = self.prefix(cond, cond_valid, drop)
        return self._logits(ids, prefix, given).transpose(1, 2)

    def guided_logits(
        self,
        ids: Tensor,
        cond: Tensor,
        given: Tensor | None = None,
        cond_valid: Tensor | None = None,
        *,
        cond_scale: float,
        unconditional: bool = False,
    ) -> Tensor:
        """Logits with classifier-free guidance [B, V + 1, N + 1], both branches in one forward."""
        branches = branches_of(cond_scale, unconditional)
        n, prefix = len(branches), self.guided_prefix(cond, cond_valid, branches)
        several = None if given is None else given.repeat(n, 1)
        return guide(self._logits(ids.repeat(n, 1), prefix, several).transpose(1, 2), branches, cond_scale)

    def _logits(self, ids: Tensor, prefix: Prefix, given: Tensor | None) -> Tensor:
        """[B, N + 1, V + 1]."""
        table = attention_table(ids.new_zeros(ids.shape, dtype=torch.bool) if given is None else given, prefix.valid)
        hidden = self.decode_hidden(self.sequence(ids, prefix), table)
        size = prefix.tokens.shape[1]
        return self.output_process(torch.cat([hidden[:, :1], hidden[:, size:]], dim=1))

    def decode_hidden(self, x: Tensor, table: Tensor) -> Tensor:
        """x [B, L, D] through the layers, attending as table [B, L, L] says -> [B, L, D]."""
        if isinstance(self.seqTransEncoder, GPTDecoder):
            dropout = self.config.dropout if self.training else 0.0
            for block in self.seqTransEncoder.blocks:
                x = block(x, lambda q, k, v: F.scaled_dot_product_attention(q, k, v, table[:, None], dropout))
            return x
        assert isinstance(self.seqTransEncoder, Encoder)
        layout = Layout(table[:, None], None)
        for layer in self.seqTransEncoder.layers:
            x = layer(x, layout)
        return x

    def corrupt(self, codes: Tensor, lengths: Tensor, draws: Reveal) -> tuple[Tensor, Tensor, Tensor]:
        """Network input and targets [B, T + 1] of one training step, and the given places: the end stands at `lengths`,
        padding after it; some codes before it are random in the input."""
        where, size = codes.device, codes.shape[1] + 1
        place, until = torch.arange(size, device=where)[None], lengths[:, None]
        labels = F.pad(codes, (0, 1), value=self.pad_id).masked_fill(place > until, self.pad_id)
        labels = labels.masked_fill(place == until, self.end_id)
        noisy = draws.to_random.to(where) & (place < until)
        ids = torch.where(noisy, draws.random_codes.to(where), labels)
        return ids, labels, draws.given.to(where) & (place <= until)

    def loss(
        self,
        codes: Tensor,
        lengths: Tensor,
        cond: Tensor,
        cond_valid: Tensor | None = None,
        *,
        generator: torch.Generator | None = None,
        draws: Reveal | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Cross entropy of codes and end, a mean over samples of the mean over their tokens; and the accuracy.

        Args:
            codes: int64 [B, T] base codes, anything at padding; lengths: int64 [B] in tokens
            cond: [B, E] or [B, S, E]; cond_valid: bool [B, S]
            generator: source of the draws; draws: the draws themselves (one of the two is needed)
        """
        if codes.ndim != 2:
            raise ShapeError(f"codes have shape {list(codes.shape)}; BAMM takes base codes [B, T]")
        if draws is None:
            if generator is None:
                raise ConfigError("the training loss needs a torch.Generator (generator=) or its draws (draws=)")
            cond_drop = self.config.cond_drop if self.training else 0.0
            draws = Reveal.draw((codes.shape[0], codes.shape[1]), self.config.num_codes, cond_drop, generator)
        valid_from_lengths(lengths, codes.shape[1])
        ids, labels, given = self.corrupt(codes, lengths, draws)
        drop = None if draws.drop is None else draws.drop.to(codes.device)
        return self.score(self.logits(ids, cond, given, cond_valid, drop), labels)

    def score(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Loss and accuracy of logits [B, V + 1, N + 1 or more] for labels [B, N + 1]; padding does not count."""
        logits, counted = logits[..., : labels.shape[1]].float(), labels != self.pad_id
        target = labels.masked_fill(~counted, 0)
        nats = F.cross_entropy(logits, target, reduction="none") * counted
        right = (logits.detach().argmax(1) == labels) & counted
        accuracy = right.sum().float() / counted.sum().clamp(min=1)
        return (nats.sum(1) / counted.sum(1).clamp(min=1)).mean(), accuracy


def attention_table(given: Tensor, prefix_valid: Tensor) -> Tensor:
    """What may attend to what, bool [B, S + N, S + N].

    Args:
        given: bool [B, N], revealed places
        prefix_valid: bool [B, S], real condition tokens, which are given too
    """
    known = torch.cat([prefix_valid, given], dim=1)
    L, S = known.shape[1], prefix_valid.shape[1]
    past = torch.ones(L, L, dtype=torch.bool, device=given.device).tril()
    past = past[None] & torch.cat([prefix_valid, torch.ones_like(given)], dim=1)[:, None]
    rows = known.clone()
    rows[:, :S] = True  # padded condition tokens see the condition only
    return torch.where(rows[:, :, None], known[:, None], past | known[:, None])


def cut_at_end(ids: Tensor, end_id: int) -> tuple[Tensor, Tensor]:
    """Lengths by the first id that is no code: the whole row where there is none; at least 1.

    Args:
        ids: int64 [B, N]
    Returns:
        ids with 0 as first code where the end came at once, and lengths [B]
    """
    over = ids >= end_id
    lengths = torch.where(over.any(1), over.int().argmax(1), ids.shape[1])
    ids = ids.clone()
    ids[:, 0] = torch.where(lengths == 0, 0, ids[:, 0])
    return ids, lengths.clamp(min=1)
