"""What the page shows of a motion besides the motion: codes, contacts, violence by the moment, intervals.

A motion's `detail`, JSON-ready:

    codes       base codes in order of time [T]; empty for an uploaded motion
    replaced    positions in `codes` of codes that an edit has overwritten
    counts      {code: [share of forget clips, share of others]} that have the code, in %, where counts are shipped
    concept     what the counts are about
    contacts    one character a frame: 0 neither foot on the ground, 1 left, 2 right, 3 both
    moments     the classifier's probability of violence around every code step, in percent; null without features
    intervals   learned interval of every code step, 1 = the mean; null where the generator has no selective layer
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
from exuvia.pipeline.pipeline import Generation, MotionPipeline
from exuvia.sequence.causal import CausalGenerator
from exuvia.sequence.intervals import learned_intervals
from exuvia.sequence.trunk import evaluating
from exuvia.shapes import Features
from exuvia.studio.library import UNSEEN
from exuvia.tokens.settings import RVQVAEConfig
from exuvia_ssm import Mamba, SeRpEnt

Detector = ViolenceDetector | None


def generated(
    pipe: MotionPipeline, made: Generation, prompts: Sequence[str], seeds: Sequence[int], detector: Detector
) -> list[dict[str, Any]]:
    """A row for the table of motions for every generated clip."""
    seen = detector if pipe.representation.name == HUMANML3D.name else None
    scores = [None] * len(prompts) if seen is None else seen.violence_probability(made.features).tolist()
    rows = []
    for i, (clip, prompt, seed) in enumerate(zip(made.clips, prompts, seeds, strict=True)):
        codes = made.codes[i, : int(made.lengths[i]), 0]
        detail: dict[str, Any] = {"codes": codes.tolist(), "replaced": replaced(pipe, codes), **counts(pipe, codes)}
        detail |= {"contacts": contacts(clip), "moments": moments(seen, made.features[i], pipe.tokenizer.config.stride)}
        detail["intervals"] = intervals(pipe, prompt, codes)
        rows.append({"clip": clip, "prompt": prompt, "seed": seed, "violence": scores[i], "detail": detail})
    return rows


def uploaded(clip: Clip, detector: Detector) -> dict[str, Any]:
    """A row for a motion that somebody brought, at 20 frames a second."""
    rows = HUMANML3D.encode([clip.joints])[0] if clip.frames > 2 else None
    score = None if rows is None or detector is None else float(detector.violence_probability([rows])[0])
    by_moment = None if rows is None else moments(detector, rows, RVQVAEConfig().stride)
    detail = UNSEEN | {"contacts": contacts(clip), "moments": by_moment}
    return {"clip": clip, "prompt": clip.caption or "", "seed": None, "violence": score, "detail": detail}


def replaced(pipe: MotionPipeline, codes: Tensor) -> list[int]:
    """Positions of base codes whose codebook rows an edit has overwritten."""
    rows: set[int] = set()
    for edit in pipe.provenance.get("edits", []):
        found = edit.get("replaced")
        rows |= set(found.get("0", [])) if isinstance(found, Mapping) else set()
    return [place for place, code in enumerate(codes.tolist()) if code in rows]


def counts(pipe: MotionPipeline, codes: Tensor) -> dict[str, Any]:
    """How usual each of these codes is in clips of a concept and in others, by the counts that the generator ships."""
    known = shipped_concepts(pipe.statistics)
    edits = pipe.provenance.get("edits", [])
    wanted = str(edits[-1].get("forget", "")) if edits else "violence"
    if not known:
        return {"counts": {}, "concept": None}
    concept = wanted if wanted in known else known[0]
    stats = CodeStatistics.from_tensors(pipe.statistics, concept)
    forget = 100 * stats.documents_forget[0] / max(stats.clips_forget, 1)
    retain = 100 * stats.documents_retain[0] / max(stats.clips_retain, 1)
    table = {str(c): [round(float(forget[c]), 1), round(float(retain[c]), 1)] for c in sorted(set(codes.tolist()))}
    return {"counts": table, "concept": concept}


def contacts(clip: Clip) -> str:
    """Which feet stand, frame by frame."""
    down = foot_contacts(clip.joints.astype(np.float64), clip.fps)
    left, right = np.any(down[:, :2], axis=1), np.any(down[:, 2:], axis=1)
    flags = [str(int(one) + 2 * int(other)) for one, other in zip(left, right, strict=True)]
    return "".join([*flags, flags[-1]])


def moments(detector: Detector, rows: Features, stride: int) -> list[int] | None:
    """The classifier's probability around every code step, in percent."""
    if detector is None:
        return None
    frames = violence_by_frame(detector, rows)
    return [round(100 * float(frames[low : low + stride].mean())) for low in range(0, len(frames), stride)]


def intervals(pipe: MotionPipeline, prompt: str, codes: Tensor) -> list[float] | None:
    """Learned intervals of the generator's layers where it reads these codes, averaged over layers, 1 = their mean."""
    model = pipe.base
    if not any(isinstance(layer, SeRpEnt | Mamba) for layer in model.modules()):
        return None
    states = pipe.text.encode([prompt])
    cond, known = (states.pooled[:, None], None) if pipe.config["text"]["pooled"] else (states.states, states.valid)
    ids, steps = codes[None].long(), len(codes)
    if isinstance(model, CausalGenerator):  # reads the start before the codes
        ids = torch.nn.functional.pad(ids, (1, 0), value=model.end_id)
    valid = torch.ones_like(ids, dtype=torch.bool)
    with evaluating(model):
        layers = learned_intervals(model, lambda: model.logits(ids, cond, valid, known))
    mean = torch.stack([layer[0, -steps:] / layer[0, -steps:].mean() for layer in layers]).mean(0)
    return [round(float(one), 3) for one in mean]
