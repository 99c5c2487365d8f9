"""Measures which frames of a motion a generator's SeRpEnt layers keep: contacts, reversals, strikes, or none of them.

Kinds of a code step (4 frames at 20 a second), of which it may have several:

    contact    a foot touches or leaves the ground in it (by speed, as in HumanML3D's features)
    reversal   a hand or foot turns back: two velocities one frame apart, seen from the pelvis, at more than 120 degrees
    fast       a hand or foot is among the clip's fastest tenth, seen from the pelvis
    still      no hand or foot moves at 0.1 m/s, seen from the pelvis
    violent    a frame labelled as part of a strike (synthetic clips)

A kind's `interval` is its mean Delta over that of all steps, `kept` the rate at which its steps are selected over that
of all: 1 says that it makes no difference. Either can come from layers that keep more of some clips as a whole;
`interval_in_clip` and `kept_in_clip` divide by what the same clips give to their steps on average.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exuvia.motion.kinematics import foot_contacts
from exuvia.sequence.base import BaseGenerator
from exuvia.sequence.causal import CausalGenerator
from exuvia.sequence.trunk import evaluating
from exuvia.shapes import Joints
from exuvia.tokens.settings import RVQVAEConfig
from lab.resamplings import resamplings

ENDS = (7, 8, 20, 21)
"""Ankles and wrists of the 22 joints: hands and feet."""
STRIDE = RVQVAEConfig().stride
FPS = 20.0
TURN_COSINE = -0.5
MOVING_M_PER_S, STILL_M_PER_S = 0.3, 0.1
FAST_SHARE = 0.1
RESAMPLES = 1000

Flags = dict[str, NDArray[np.bool_]]


def kinds_of_steps(joints: Joints, violent: NDArray[np.bool_] | None = None) -> Flags:
    """Kinds of every code step of a clip, bool [T] each.

    Args:
        joints: [F, 22, 3] metres at 20 frames per second; the last F % 4 frames are left out
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
    """Return whether any frame of a step has a flag; missing frames at the end have not."""
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


def kept_steps(model: BaseGenerator, codes: Tensor, cond: Tensor, known: Tensor | None = None) -> list[Kept]:
    """Return how every branch of every SeRpEnt layer resamples a clip's base codes, conditioned on its caption.

    Args:
        model: a generator with a SeRpEnt backbone
        codes: int64 [T]; cond: [1, S, E]; known: bool [1, S]
    Raises:
        ConfigError: no layer resamples.
    """
    ids, T = codes[None], len(codes)
    if isinstance(model, CausalGenerator):  # it reads a start token first
        ids = torch.nn.functional.pad(ids, (1, 0), value=model.end_id)
    valid = torch.ones_like(ids, dtype=torch.bool)
    with evaluating(model):
        found = resamplings(model, lambda: model.logits(ids, cond, valid, known))
    return [
        Kept(number, branch.rate, branch.steps[0, -T:].numpy(), branch.selected[0, -T:].numpy())
        for number, branches in enumerate(found)
        for branch in branches
    ]


class Ratio(NamedTuple):
    """Over all clips, with a 95 % range from resampling them."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Preference:
    """Preference of a branch for one kind of steps, over all clips."""

    layer: int
    rate: float
    kind: str
    share: float
    """Share of all steps."""
    ratios: Mapping[str, Ratio]
    """`interval`, `kept`, `interval_in_clip` and `kept_in_clip`."""


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
            if sums[:, 1].sum() == 0:
                continue
            found, many = _ratios(sums.sum(0)[None]), _ratios(sums[draws].sum(1))
            share = float(sums[:, 1].sum() / sums[:, 0].sum())
            ratios = {
                name: Ratio(float(found[name][0]), *map(float, np.nanquantile(many[name], (0.025, 0.975))))
                for name in found
            }
            rows.append(Preference(first.layer, first.rate, kind, share, ratios))
    return rows


def _sums(here: NDArray[np.bool_] | None, branch: Kept) -> NDArray[np.float64]:
    """Steps, those of a kind; of Delta and of selection: sum over all, over the kind, and by its clip's mean [8]."""
    if here is None:
        here = np.zeros(len(branch.steps), bool)
    values = [np.asarray(one, np.float64) for one in (branch.steps, branch.selected)]
    parts = [(one.sum(), one[here].sum(), one.mean() * here.sum()) for one in values]
    return np.array([len(here), here.sum(), *parts[0], *parts[1]], np.float64)


def _ratios(sums: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """The four ratios of `Preference` for rows of sums [n, 8]; nan where there is no such step."""
    found = {}
    with np.errstate(divide="ignore", invalid="ignore"):
        for name, first in (("interval", 2), ("kept", 5)):
            every, own, expected = sums[:, first : first + 3].T
            found[name] = (own / sums[:, 1]) / (every / sums[:, 0])
            found[f"{name}_in_clip"] = own / expected
    return found
