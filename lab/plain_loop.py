"""A plain version of the published evaluation loop with our weights, against which our evaluation is timed.

Facts: momask-codes, utils/eval_t2m.py (evaluation_mask_transformer_test_plus_res) and models/mask_transformer. Batches
of 32 in random order, the last one dropped; every batch is padded to its longest motion, its captions are encoded, the
two branches of guidance are two forwards, padding is computed like the rest, the batch is decoded and embedded by one
call each of the evaluator, real motion too; nothing is kept from one repeat to the next. In the first batches of every
repeat each caption gets 30 motions for MultiModality.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from exuvia.evaluation.prompt_sets import PromptSet
from exuvia.features.humanml3d import HUMANML3D
from exuvia.judges.guo import MotionTextEvaluator
from exuvia.judges.metrics import diversity, diversity_pairs, fid, mm_dist, r_precision
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.sequence import sampling
from exuvia.sequence.mask_transformer import MaskTransformer
from exuvia.sequence.trunk import valid_from_lengths
from exuvia.shapes import Features, Joints

BATCH = 32
MULTIMODAL_BATCHES = 3
MULTIMODAL_MOTIONS = 30


@dataclass
class PlainResult:
    """Results and times of a run of the plain loop."""

    values: list[dict[str, float]] = field(default_factory=list)
    """Metrics of every repeat."""
    motions: int = 0
    """Number of motions, without those for MultiModality."""
    seconds: float = 0.0
    """Time without the motions for MultiModality."""
    multimodal_motions: int = 0
    """Number of motions for MultiModality only."""
    multimodal_seconds: float = 0.0
    """Time for these motions."""


def plain_evaluation(
    pipe: MotionPipeline,
    evaluator: MotionTextEvaluator,
    prompts: PromptSet,
    repeats: int,
    multimodal_batches: int = MULTIMODAL_BATCHES,
    multimodal_motions: int = MULTIMODAL_MOTIONS,
) -> PlainResult:
    """Evaluate a generator as the published loop does.

    Args:
        pipe: the generator
        evaluator: the text-motion embedding
        prompts: captions with real motion, at least one batch
        repeats: seeds (published: 20)
        multimodal_batches: batches of every repeat whose captions get `multimodal_motions` motions (published: 3)
        multimodal_motions: motions per caption in these batches (published: 30)
    """
    found = PlainResult()
    for seed in range(repeats):
        torch.manual_seed(seed)
        started, spent = time.perf_counter(), found.multimodal_seconds
        order = np.random.default_rng(seed).permutation(len(prompts))
        batches = [order[low : low + BATCH] for low in range(0, len(order) - BATCH + 1, BATCH)]
        text, made, real = [], [], []
        for number, rows in enumerate(batches):
            if number < multimodal_batches:
                _multimodal(pipe, evaluator, prompts, rows, multimodal_motions - 1, found)
            clips = _generate(pipe, prompts, rows)
            text.append(
                _embedded(evaluator.embed_text, [prompts.texts[i] for i in rows], [prompts.tokens[i] for i in rows])
            )
            made.append(_embedded(evaluator.embed_clips, clips))
            real.append(_embedded(evaluator.embed_clips, [prompts.real[i] for i in rows]))
            found.motions += len(rows)
        found.values.append(_metrics(np.concatenate(text), np.concatenate(made), np.concatenate(real), seed))
        found.seconds += time.perf_counter() - started - (found.multimodal_seconds - spent)
    return found


def _multimodal(
    pipe: MotionPipeline,
    evaluator: MotionTextEvaluator,
    prompts: PromptSet,
    rows: np.ndarray,
    more: int,
    to: PlainResult,
) -> None:
    started = time.perf_counter()
    for _ in range(more):
        _embedded(evaluator.embed_clips, _generate(pipe, prompts, rows))
        to.multimodal_motions += len(rows)
    to.multimodal_seconds += time.perf_counter() - started


def _embedded(embed: Callable[..., Tensor], *what: Sequence[object]) -> np.ndarray:
    return embed(*what).double().cpu().numpy()


def _metrics(text: np.ndarray, made: np.ndarray, real: np.ndarray, seed: int) -> dict[str, float]:
    rng = np.random.default_rng(seed)
    values = {"mm_dist": mm_dist(text, made), "fid": fid(real, made)}
    values["diversity"] = diversity(made, *diversity_pairs(len(made), rng))
    return values | {f"r_precision@{k}": float(v) for k, v in enumerate(r_precision(text, made), start=1)}


@torch.no_grad()
def _generate(pipe: MotionPipeline, prompts: PromptSet, rows: np.ndarray) -> list[Features]:
    """Generate the motions of one batch."""
    stride, settings = pipe.tokenizer.config.stride, pipe.generation
    lengths = torch.tensor([prompts.frames[i] // stride for i in rows])
    states = pipe.text.encode([prompts.texts[i] for i in rows])
    pooled = pipe.config["text"]["pooled"]
    cond, known = (states.pooled[:, None], None) if pooled else (states.states, states.valid)
    codes = base_codes(pipe, cond, known, lengths, settings.temperature)
    codes = residual_codes(pipe, codes, cond, known, lengths, settings.residual_temperature)
    decoded = pipe.tokenizer.decode(codes).float().cpu().numpy()
    every = zip(decoded, lengths.tolist(), strict=True)
    return [pipe.normaliser.denormalise(x[: steps * stride]) for x, steps in every]


@torch.no_grad()
def plain_clips(pipe: MotionPipeline, texts: Sequence[str], frames: Sequence[int]) -> list[Joints]:
    """Return joints [F, 22, 3] for each caption in turn, as the published script for single prompts computes them."""
    found = []
    for text, wanted in zip(texts, frames, strict=True):
        lengths, states = torch.tensor([wanted // pipe.tokenizer.config.stride]), pipe.text.encode([text])
        pooled = pipe.config["text"]["pooled"]
        cond, known = (states.pooled[:, None], None) if pooled else (states.states, states.valid)
        codes = base_codes(pipe, cond, known, lengths, pipe.generation.temperature)
        codes = residual_codes(pipe, codes, cond, known, lengths, pipe.generation.residual_temperature)
        rows = pipe.normaliser.denormalise(pipe.tokenizer.decode(codes)[0].float().cpu().numpy())
        found.append(HUMANML3D.recover(rows))
    return found


def base_codes(pipe: MotionPipeline, cond: Tensor, known: Tensor | None, lengths: Tensor, temperature: float) -> Tensor:
    """Base codes [B, T], -1 at padding."""
    model, settings = pipe.base, pipe.generation
    assert isinstance(model, MaskTransformer)
    valid = valid_from_lengths(lengths, int(lengths.max()))
    ids = torch.where(valid, model.mask_id, model.pad_id)
    scores = torch.where(valid, 0.0, 1e5)
    nobody = torch.ones(len(cond), dtype=torch.bool)
    for share in sampling.cosine_schedule(torch.linspace(0, 1, settings.steps)):
        count = torch.round(share * lengths).clamp(min=1)
        masked = scores.argsort(dim=1, stable=True).argsort(dim=1, stable=True) < count[:, None]
        ids = torch.where(masked, model.mask_id, ids)
        with_text = model.logits(ids, cond, valid, known)
        without = model.logits(ids, cond, valid, known, nobody)
        logits = (without + (with_text - without) * settings.cond_scale).transpose(1, 2)
        drawn = _drawn(logits, settings.keep_share, temperature)
        ids = torch.where(masked, drawn, ids)
        scores = logits.softmax(-1).gather(2, drawn[..., None])[..., 0].masked_fill(~masked, 1e5)
    return torch.where(valid, ids, -1)


def residual_codes(
    pipe: MotionPipeline, base: Tensor, cond: Tensor, known: Tensor | None, lengths: Tensor, temperature: float
) -> Tensor:
    """Codes of all levels [B, T, Q], -1 at padding, from base codes [B, T]."""
    model, settings = pipe.residual, pipe.generation
    valid = valid_from_lengths(lengths, base.shape[1])
    levels = model.config.num_quantizers
    codes = torch.full((*base.shape, levels), model.pad_id)
    codes[..., 0] = torch.where(valid, base, model.pad_id)
    nobody = torch.ones(len(cond), dtype=torch.bool)
    for level in range(1, levels):
        at = torch.full((len(cond),), level)
        history = model.history(codes, at)
        with_text = model.logits(history, at, cond, valid, known)
        without = model.logits(history, at, cond, valid, known, nobody)
        logits = (without + (with_text - without) * settings.residual_scale).transpose(1, 2)
        codes[..., level] = torch.where(valid, _drawn(logits, settings.keep_share, temperature), model.pad_id)
    return codes.masked_fill(codes == model.pad_id, -1)


def _drawn(logits: Tensor, keep_share: float, temperature: float) -> Tensor:
    kept = sampling.top_share(logits, keep_share)
    if temperature <= 0:
        return kept.argmax(-1)
    return torch.distributions.Categorical(logits=kept / temperature).sample()
