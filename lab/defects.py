"""Measures the effect of four defects of the released methods on a generator, compared with the intended arithmetic.

Facts of the released code: hmu, src/methods/rece.py and src/methods/lcr.py [dematteis2026hmu]; every defect is named
where our `variant="released"` repeats it (unlearning/rece.py, uce.py, selection.py, statistics.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exuvia.codes.statistics import CodeStatistics, count_codes
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.shapes import Features
from exuvia.unlearning.base import Evidence
from exuvia.unlearning.rece import RECE, RECEConfig
from exuvia.unlearning.selection import association, released_selection, select_codes
from exuvia.unlearning.uce import UCE, UCEConfig, embedded, projections, prompts_of
from lab.packed import packed

LONGEST = 196
"""Frames to which the released statistics pad every clip."""
TOP = 64
"""Codes that are replaced (published: 8 to 64)."""
BATCH = 32
RARE = 3
"""A code in fewer forget clips than this says nothing about the concept."""


@dataclass(frozen=True)
class Finding:
    """One number."""

    name: str
    value: float
    meaning: str


def overlap(a: Sequence[int] | NDArray[np.int64], b: Sequence[int] | NDArray[np.int64]) -> float:
    """Members of both over members of either (Jaccard); 1 for two empty ones."""
    one, other = {int(x) for x in a}, {int(x) for x in b}
    return len(one & other) / max(1, len(one | other)) if one | other else 1.0


def criteria(statistics: CodeStatistics, top: int = TOP, prior: float = 10.0) -> list[Finding]:
    """LCR's two criteria: the released pair, which is one, and ours."""
    forget, retain = (t[0].numpy() for t in (statistics.documents_forget, statistics.documents_retain))
    ratio = forget / (retain + 1e-8)
    relative = (forget / forget.sum()) / (retain / retain.sum() + 1e-8)
    chosen = released_selection(statistics, 0, top)
    what = association(statistics, 0, prior)
    ours = [select_codes(statistics, 0, top, criterion, prior, RARE) for criterion in ("frequency", "ratio")]
    both = select_codes(statistics, 0, top, "both", prior, RARE)
    return [
        Finding("lcr.criteria_overlap", overlap(np.argsort(ratio)[-top:], np.argsort(relative)[-top:]),
                "share in common of the codes that the two released criteria choose"),
        Finding("lcr.criteria_overlap.ours", overlap(*ours), "the same of our frequency and ratio"),
        Finding("lcr.rare_share", float((forget[chosen] < RARE).mean()),
                f"released choice: codes that occur in fewer than {RARE} forget clips"),
        Finding("lcr.covered", float(what.frequency[chosen].sum() / what.frequency.sum()),
                "released choice: share of all (forget clip, code) pairs that it covers"),
        Finding("lcr.covered.ours", float(what.frequency[both].sum() / what.frequency.sum()), "the same of our choice"),
    ]  # fmt: skip


def padded_codes(pipe: MotionPipeline, clips: Sequence[Features]) -> list[NDArray[np.int64]]:
    """Base codes [49, 1] of clips after padding with zeros, in normalised features, to 196 frames."""
    found: list[NDArray[np.int64]] = []
    for low in range(0, len(clips), BATCH):
        some = clips[low : low + BATCH]
        rows = np.zeros((len(some), LONGEST, pipe.tokenizer.config.input_dim), np.float32)
        for row, clip in zip(rows, some, strict=True):
            row[: min(len(clip), LONGEST)] = pipe.normaliser.normalise(np.asarray(clip[:LONGEST]))
        found += list(pipe.tokenizer.encode(torch.from_numpy(rows), levels=1).numpy())
    return found


def padding(
    pipe: MotionPipeline, clips: Sequence[Features], forget: NDArray[np.bool_], top: int = TOP
) -> list[Finding]:
    """LCR's statistics over clips padded to 196 frames, and over their real frames only."""
    stride, size = pipe.tokenizer.config.stride, pipe.tokenizer.config.num_codes
    padded = padded_codes(pipe, clips)
    real = [min(len(clip), LONGEST) // stride for clip in clips]
    whole, cut = (count_codes(packed(rows, size), forget, 1) for rows in (
        padded, [rows[: max(1, steps)] for rows, steps in zip(padded, real, strict=True)]))  # fmt: skip
    extra = np.concatenate([rows[steps:, 0] for rows, steps in zip(padded, real, strict=True)])
    common = np.bincount(extra, minlength=size)
    share = len(extra) / sum(len(rows) for rows in padded)
    return [
        Finding("lcr.padding_share", share, "code steps that are padding, of all that the released statistics count"),
        Finding("lcr.padding_codes", float((common > 0).sum()), "codes that padding is encoded as"),
        Finding("lcr.padding_overlap", overlap(released_selection(whole, 0, top), released_selection(cut, 0, top)),
                "released choice with padding and without: share in common"),
    ]  # fmt: skip


def closed_form(pipe: MotionPipeline, evidence: Evidence) -> list[Finding]:
    """RECE compared with UCE applied twice, and UCE's effect on preserved prompts, as released and as intended."""
    old = _weights(pipe)
    once, twice = _edited(pipe, evidence, 1), _edited(pipe, evidence, 2)
    rece, meant = pipe.clone(), pipe.clone()
    RECE(RECEConfig(variant="released", epochs=1, regular_scale=0.001)).edit(rece, evidence)
    for one in projections(meant):
        one.bias.data.zero_()  # what is left of the released arithmetic fits the weight alone
    UCE(UCEConfig(variant="released")).edit(meant, evidence)
    texts = prompts_of(UCEConfig(variant="released"), evidence)[1]
    inputs = torch.cat(embedded(pipe, texts))
    moved = _distance(_weights(once), old)
    return [
        Finding("rece.from_uce", _distance(_weights(rece), _weights(once)) / moved,
                "distance of released RECE from UCE, over UCE's from the original"),
        Finding("rece.from_uce_twice", _distance(_weights(rece), _weights(twice)) / moved,
                "distance of released RECE from UCE done twice, over the same"),
        Finding("uce.drift", _drift(old, _weights(once), projections(pipe), inputs),
                "released: relative change of the outputs for words that are to be preserved"),
        Finding("uce.drift.meant", _drift(old, _weights(meant), projections(pipe), inputs),
                "the same where the fit leaves the bias out"),
    ]  # fmt: skip


def _edited(pipe: MotionPipeline, evidence: Evidence, times: int) -> MotionPipeline:
    edited = pipe.clone()
    for _ in range(times):
        UCE(UCEConfig(variant="released")).edit(edited, evidence)
    return edited


def _weights(pipe: MotionPipeline) -> list[Tensor]:
    return [one.weight.detach().double() for one in projections(pipe)]


def _distance(a: Sequence[Tensor], b: Sequence[Tensor]) -> float:
    return float(sum((x - y).square().sum() for x, y in zip(a, b, strict=True)) ** 0.5)


def _drift(old: Sequence[Tensor], new: Sequence[Tensor], maps: Sequence[torch.nn.Linear], inputs: Tensor) -> float:
    """Mean over maps and rows of |change of the output| / |output|."""
    shares = []
    for before, after, layer in zip(old, new, maps, strict=True):
        x = inputs.double()
        out = x @ before.T + layer.bias.double()
        shares.append(((x @ (after - before).T).norm(dim=1) / out.norm(dim=1)).mean())
    return float(torch.stack(shares).mean())
