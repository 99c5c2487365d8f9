"""Computes what the page shows about a motion: codes, foot contacts, violence over time, learned intervals.

The `detail` of a motion, ready for JSON:

    codes       base codes in temporal order [T]; empty for an uploaded motion
    replaced    positions in `codes` whose codebook rows an edit has overwritten
    counts      {code: [% of forget clips, % of other clips]} that contain the code, if the generator ships counts
    concept     the concept that the counts refer to
    contacts    one character per frame: 0 no foot on the ground, 1 left, 2 right, 3 both
    moments     the classifier's probability of violence around each code step, in percent; null without features
    intervals   learned interval of each code step, 1 = the mean; null if the generator has no selective layer
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from exuvia.codes.statistics import CodeStatistics, shipped_concepts
from exuvia.features.humanml3d import HUMANML3D
from exuvia.judges.classifier import ViolenceDetector
from exuvia.judges.moments import violence_by_frame
from exuvia.motion.clip import Clip
from exuvia.motion.kinematics import foot_contacts
from exuvia.motion.origin import origin_of
from exuvia.pipeline.pipeline import Generation, MotionPipeline
from exuvia.sequence.causal import CausalGenerator
from exuvia.sequence.intervals import learned_intervals
from exuvia.sequence.trunk import evaluating
from exuvia.shapes import Features
from exuvia.studio.library import EMPTY_DETAIL
from exuvia.tokens.settings import RVQVAEConfig
from exuvia_ssm import Mamba, SeRpEnt

Detector = ViolenceDetector | None


def generated_rows(
    pipe: MotionPipeline, generation: Generation, prompts: Sequence[str], seeds: Sequence[int], detector: Detector
) -> list[dict[str, Any]]:
    """Return one row of the motions table per generated clip."""
    detector = detector if pipe.representation.name == HUMANML3D.name else None
    scores = [None] * len(prompts) if detector is None else detector.violence_probability(generation.features).tolist()
    rows = []
    for i, (clip, prompt, seed) in enumerate(zip(generation.clips, prompts, seeds, strict=True)):
        codes = generation.codes[i, : int(generation.lengths[i]), 0]
        detail: dict[str, Any] = {"codes": codes.tolist(), "replaced": replaced(pipe, codes), **counts(pipe, codes)}
        detail |= {"contacts": contacts(clip), "intervals": intervals(pipe, prompt, codes), "origin": origin_of(clip)}
        detail["moments"] = moments(detector, generation.features[i], pipe.tokenizer.config.stride)
        rows.append({"clip": clip, "prompt": prompt, "seed": seed, "violence": scores[i], "detail": detail})
    return rows


def uploaded_row(clip: Clip, detector: Detector) -> dict[str, Any]:
    """Return the row of an uploaded motion, which has 20 frames per second."""
    features = HUMANML3D.encode([clip.joints])[0] if clip.frames > 2 else None
    score = None if features is None or detector is None else float(detector.violence_probability([features])[0])
    by_step = None if features is None else moments(detector, features, RVQVAEConfig().stride)
    detail = EMPTY_DETAIL | {"contacts": contacts(clip), "moments": by_step}
    return {"clip": clip, "prompt": clip.caption or "", "seed": None, "violence": score, "detail": detail}


def replaced(pipe: MotionPipeline, codes: Tensor) -> list[int]:
    """Return the positions of base codes whose codebook rows an edit has overwritten."""
    rows: set[int] = set()
    for edit in pipe.provenance.get("edits", []):
        by_codebook = edit.get("replaced")
        rows |= set(by_codebook.get("0", [])) if isinstance(by_codebook, Mapping) else set()
    return [position for position, code in enumerate(codes.tolist()) if code in rows]


def counts(pipe: MotionPipeline, codes: Tensor) -> dict[str, Any]:
    """Return how common each code is in clips of a concept and in others, from counts shipped with the generator."""
    concepts = shipped_concepts(pipe.statistics)
    edits = pipe.provenance.get("edits", [])
    forgotten = str(edits[-1].get("forget", "")) if edits else "violence"
    if not concepts:
        return {"counts": {}, "concept": None}
    concept = forgotten if forgotten in concepts else concepts[0]
    stats = CodeStatistics.from_tensors(pipe.statistics, concept)
    forget = 100 * stats.documents_forget[0] / max(stats.clips_forget, 1)
    retain = 100 * stats.documents_retain[0] / max(stats.clips_retain, 1)
    table = {str(c): [round(float(forget[c]), 1), round(float(retain[c]), 1)] for c in sorted(set(codes.tolist()))}
    return {"counts": table, "concept": concept}


def contacts(clip: Clip) -> str:
    """Return which feet touch the ground in each frame."""
    down = foot_contacts(clip.joints.astype(np.float64), clip.fps)
    left, right = np.any(down[:, :2], axis=1), np.any(down[:, 2:], axis=1)
    flags = (left + 2 * right).tolist()
    return "".join(str(flag) for flag in [*flags, flags[-1]])


def moments(detector: Detector, rows: Features, stride: int) -> list[int] | None:
    """Return the classifier's probability around each code step, in percent."""
    if detector is None:
        return None
    frames = violence_by_frame(detector, rows)
    return [round(100 * float(frames[low : low + stride].mean())) for low in range(0, len(frames), stride)]


def intervals(pipe: MotionPipeline, prompt: str, codes: Tensor) -> list[float] | None:
    """Return the learned interval of each code step, averaged over the generator's layers and divided by the mean."""
    model = pipe.base
    if not any(isinstance(layer, SeRpEnt | Mamba) for layer in model.modules()):
        return None
    states = pipe.text.encode([prompt])
    cond, known = (states.pooled[:, None], None) if pipe.config["text"]["pooled"] else (states.states, states.valid)
    ids, steps = codes[None].long(), len(codes)
    if isinstance(model, CausalGenerator):  # it reads a start token first
        ids = torch.nn.functional.pad(ids, (1, 0), value=model.end_id)
    valid = torch.ones_like(ids, dtype=torch.bool)
    with evaluating(model):
        layers = learned_intervals(model, lambda: model.logits(ids, cond, valid, known))
    mean = torch.stack([layer[0, -steps:] / layer[0, -steps:].mean() for layer in layers]).mean(0)
    return [round(value, 3) for value in mean.tolist()]
