"""Which frames of a motion a generator's SeRpEnt layers keep: contacts, reversals, strikes, or none of these more?

Kinds of a code step (4 frames at 20 a second), of which it may have several:

    contact    a foot touches or leaves the ground in it (by speed, as in HumanML3D's features)
    reversal   a hand or foot turns back: two velocities one frame apart, seen from the pelvis, at more than 120 degrees
    fast       a hand or foot is among the clip's fastest tenth, seen from the pelvis
    still      no hand or foot moves at 0.1 m/s, seen from the pelvis
    violent    a frame labelled as part of a strike (synthetic clips)

A kind's `interval` is its mean Delta over that of all steps, `kept` the rate at which its steps are selected over that
of all: 1 says that it makes no difference.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exuvia.motion.kinematics import foot_contacts
from exuvia.sequence.generators import BaseCodes
from exuvia.sequence.intervals import resamplings
from exuvia.sequence.trunk import evaluating
from exuvia.shapes import Joints

ENDS = (7, 8, 20, 21)
"""Ankles and wrists of the 22 joints: hands and feet."""
STRIDE = 4
FPS = 20.0
TURN_COSINE = -0.5
MOVING_M_PER_S, STILL_M_PER_S = 0.3, 0.1
FAST_SHARE = 0.1
RESAMPLES = 1000

Flags = dict[str, NDArray[np.bool_]]


def kinds_of_steps(joints: Joints, violent: NDArray[np.bool_] | None = None) -> Flags:
    """Kinds of every code step of a clip, bool [T] each.

    Args:
        joints: [F, 22, 3] metres at 20 frames a second; the last F % 4 frames are left out
        violent: labels of frames [F]
    """
    steps = len(joints) // STRIDE
    ends = np.asarray(joints[:, ENDS] - joints[:, :1], np.float64)
    velocity = np.diff(ends, axis=0) * FPS
    speed = np.linalg.norm(velocity, axis=-1)
    dot = (velocity[1:] * velocity[:-1]).sum(-1)
    turned = (dot < TURN_COSINE * speed[1:] * speed[:-1]) & (np.minimum(speed[1:], speed[:-1]) > MOVING_M_PER_S)
    contacts = foot_contacts(joints, FPS)
    fastest = speed.max(1)
    found = {
        "contact": _steps((contacts[1:] != contacts[:-1]).any(1), steps),
        "reversal": _steps(turned.any(1), steps),
        "fast": _steps(fastest >= max(np.quantile(fastest, 1 - FAST_SHARE), MOVING_M_PER_S), steps),
        "still": ~_steps(fastest >= STILL_M_PER_S, steps),
    }
    if violent is not None:
        found["violent"] = _steps(violent, steps)
    return found


def _steps(frames: NDArray[np.bool_], steps: int) -> NDArray[np.bool_]:
    """Whether any frame of a step has it; frames that a difference lacks at the end have not."""
    whole = np.zeros(steps * STRIDE, bool)
    whole[: min(len(frames), len(whole))] = frames[: len(whole)]
    return np.any(whole.reshape(steps, STRIDE), axis=1)


@dataclass(frozen=True)
class Kept:
    """One branch of one layer over the code steps of a clip."""

    layer: int
    rate: float
    steps: NDArray[np.float64]
    """Delta of every code step [T]"""
    selected: NDArray[np.bool_]
    """[T]"""


def kept_steps(model: BaseCodes, codes: Tensor, cond: Tensor, known: Tensor | None = None) -> list[Kept]:
    """How every branch of every SeRpEnt layer resamples a clip's base codes, given whole under its caption.

    Args:
        model: a generator with a SeRpEnt backbone
        codes: int64 [T]; cond: [1, S, E]; known: bool [1, S]
    Raises:
        ConfigError: no layer resamples.
    """
    ids, T = codes[None], len(codes)
    if model.PREDICTS_LENGTH:  # reads the start before the codes
        ids = torch.nn.functional.pad(ids, (1, 0), value=model.end_id)  # type: ignore[arg-type]
    valid = torch.ones_like(ids, dtype=torch.bool)
    with evaluating(model):
        found = resamplings(model, lambda: model.logits(ids, cond, valid, known))
    return [
        Kept(number, branch.rate, branch.steps[0, -T:].numpy(), branch.selected[0, -T:].numpy())
        for number, branches in enumerate(found)
        for branch in branches
    ]


@dataclass(frozen=True)
class Preference:
    """What a layer's branch makes of one kind of steps, over all clips, with 95 % intervals over clips."""

    layer: int
    rate: float
    kind: str
    share: float
    """Of all steps."""
    interval: float
    interval_range: tuple[float, float]
    kept: float
    kept_range: tuple[float, float]


def preferences(clips: Sequence[tuple[Flags, Sequence[Kept]]], seed: int = 0) -> list[Preference]:
    """Interval and selection by kind of step, from the kinds and the branches of every clip.

    Kinds that no clip has are left out. Ranges come from 1,000 resamples of the clips.
    """
    rng = np.random.default_rng(seed)
    draws = rng.integers(0, len(clips), (RESAMPLES, len(clips)))
    kinds = dict.fromkeys(kind for flags, _ in clips for kind in flags)
    rows = []
    for number, first in enumerate(clips[0][1]):
        for kind in kinds:
            sums = np.stack([_sums(flags.get(kind), branches[number]) for flags, branches in clips])
            if sums[:, 3].sum() == 0:
                continue
            interval, kept = _ratios(sums.sum(0)[None])
            many = _ratios(sums[draws].sum(1))
            low, high = (np.nanquantile(one, (0.025, 0.975)) for one in many)
            share = float(sums[:, 3].sum() / sums[:, 0].sum())
            rows.append(Preference(
                first.layer, first.rate, kind, share, float(interval[0]), (float(low[0]), float(low[1])),
                float(kept[0]), (float(high[0]), float(high[1])),
            ))  # fmt: skip
    return rows


def _sums(here: NDArray[np.bool_] | None, branch: Kept) -> NDArray[np.float64]:
    """Steps, their Delta, those selected; and the same of the steps of a kind [6]."""
    if here is None:
        here = np.zeros(len(branch.steps), bool)
    parts = [branch.steps, branch.steps[here]], [branch.selected, branch.selected[here]]
    (every, some), (chosen, mine) = parts
    return np.array([len(every), every.sum(), chosen.sum(), len(some), some.sum(), mine.sum()], np.float64)


def _ratios(sums: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Interval and kept of a kind over those of all steps, for rows of sums [n, 6]; nan where there is no such step."""
    steps, total, chosen, mine, own, picked = sums.T
    with np.errstate(divide="ignore", invalid="ignore"):
        return (own / mine) / (total / steps), (picked / mine) / (chosen / steps)
