"""The built-in data set: any number of captioned, labelled synthetic motions; clip i depends only on (seed, i)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exuvia.errors import ConfigError
from exuvia.motion.clip import Clip
from exuvia.motion.skeleton import SMPL22
from exuvia.registry import suggest
from exuvia.shapes import Joints
from exuvia.synthetic.actor import OTHER, Actor, Part
from exuvia.synthetic.body import random_body
from exuvia.synthetic.captions import captions
from exuvia.synthetic.catalogue import ACTION, FRAME_LABELS
from exuvia.synthetic.style import STYLE, Style
from exuvia.synthetic.timeline import FPS

__all__ = ["FRAME_LABELS", "MAX_FRAMES", "MIN_FRAMES", "SyntheticClip", "perform", "synthesise"]

MIN_FRAMES, MAX_FRAMES = 40, 196
"""Clip lengths at 20 frames a second: those of HumanML3D.   Sec. 3 [guo2022humanml3d]"""
_CUT_INTO = frozenset({"walk", "walk_backward", "walk_curve", "run", "jog", "run_curve", "walk_slow", "walk_fast"})
"""Actions whose clips can begin and end in mid-stride."""
_COUNTED, _MOST_COUNTED = 0.4, 5
"""Share of the clips of one action that show a number of repetitions that all captions name, and the largest number."""
_OTHER_SIDE = 8.0
"""Factor on the weight of the same action with the other side."""


@dataclass(frozen=True)
class SyntheticClip:
    """One generated motion with its captions and labels."""

    id: str
    clip: Clip
    """20 frames a second, 40 to 196 frames, starting at x = z = 0 and facing +z."""
    captions: tuple[str, ...]
    frame_labels: NDArray[np.int16]
    """Index into `FRAME_LABELS` of each frame, [F]."""
    labels: dict[str, Any] = field(default_factory=dict)
    """Labels: violent (bool), concepts (tuple of str), side (left, right or None), style (str)."""
    actions: tuple[str, ...] = ()
    """Names of the actions, in order."""


def synthesise(
    count: int, seed: int, *, actions: Sequence[str] | None = None, compositions: float = 0.5, start: int = 0
) -> Iterator[SyntheticClip]:
    """Generate clips `start` to `start + count - 1` of the data set of a seed.

    Clip i depends only on the seed and on i. `actions` names those of `catalogue.ACTION` to draw from (None: all), and
    `compositions` is the share of clips with two or three actions in sequence. Raises ConfigError for an unknown
    action, without actions, or for a number out of range.
    """
    names = tuple(ACTION) if actions is None else tuple(actions)
    if not names:
        raise ConfigError(f"found an empty list of actions, expected some of {', '.join(ACTION)}")
    for name in names:
        if name not in ACTION:
            raise ConfigError(f"unknown action {name!r}; {suggest(name, ACTION)}")
    if count < 0 or start < 0 or seed < 0 or not 0.0 <= compositions <= 1.0:
        raise ConfigError(
            f"found count {count}, start {start}, seed {seed} and compositions {compositions}, "
            "expected numbers of at least 0, and a share from 0 to 1"
        )
    return (_make_clip(seed, number, names, compositions) for number in range(start, start + count))


def perform(parts: Sequence[Part], style: Style, seed: Sequence[int]) -> tuple[Joints, NDArray[np.int16]]:
    """Perform a script: joint positions [F, 22, 3] in metres, and frame labels [F].

    The right-handed version of a script is the exact mirror image of the left-handed one with the same seed.
    """
    flip = next((part.side for part in parts if part.side), "left") == "right"
    acted = [replace(part, side=OTHER[part.side]) if flip and part.side else part for part in parts]
    rng = np.random.default_rng(np.random.SeedSequence(list(seed)))
    actor = Actor(random_body(rng), style, rng)
    before = ACTION[parts[0].action].before
    if before != "stand":
        way = next(action for action in ACTION.values() if (action.before, action.after) == ("stand", before))
        way.perform(actor, Part(way.name, "left", 1, next(iter(way.levels))))
        actor.restart()
    actor.wait(_pause(rng))
    for number, part in enumerate(acted):
        if number:
            with actor.labelled(actor.posture):
                actor.wait(float(rng.uniform(0.0, 0.25)))
        with actor.labelled(ACTION[part.action].label):
            ACTION[part.action].perform(actor, part)
    actor.wait(_pause(rng))
    frames = max(MIN_FRAMES, int(actor.now * FPS) + 1)
    labels = np.full(frames, FRAME_LABELS.index(actor.posture), np.int16)
    first = round(min(begin for begin, _, _ in actor.spans) * FPS)
    labels[:first] = FRAME_LABELS.index(before)
    for begin, end, label in sorted(actor.spans, key=lambda span: span[0] - span[1]):
        labels[round(begin * FPS) : round(end * FPS)] = FRAME_LABELS.index(label)
    clip = Clip(actor.joints(frames))
    return (clip.mirrored() if flip else clip).joints, labels


def _make_clip(seed: int, number: int, names: tuple[str, ...], compositions: float) -> SyntheticClip:
    rng = np.random.default_rng(np.random.SeedSequence([seed, number, 0]))
    parts = _script(rng, names, compositions)
    exact = len(parts) == 1 and rng.random() < _COUNTED and (counted := _counted(rng, names)) is not None
    parts = (counted,) if exact and counted else parts
    style = _style(rng, parts)
    acted = perform(parts, style, (seed, number, 1))
    while len(acted[0]) > MAX_FRAMES and (fewer := _shorter(parts)) != parts:
        parts, acted = fewer, perform(fewer, style, (seed, number, 1))
    joints, labels = acted[0][:MAX_FRAMES], acted[1][:MAX_FRAMES]
    frames = len(joints)
    first, last = _cut(rng, parts, frames)
    joints, labels = _at_origin(joints[first:last]), labels[first:last]
    described, exact = (parts, exact) if last - first == frames else ((replace(parts[0], count=0),), False)
    sentences = captions(described, style, rng, count=int(rng.integers(3, 6)), exact=exact)
    sides = {part.side for part in parts if part.side}
    concepts = sorted({concept for part in parts for concept in ACTION[part.action].concepts})
    side, violent = sides.pop() if len(sides) == 1 else None, any(ACTION[part.action].violent for part in parts)
    truth = {"violent": violent, "concepts": tuple(concepts), "side": side, "style": style.name}
    clip = Clip(joints, FPS, sentences[0], {"source": "synthetic", "seed": seed, "number": number})
    name = f"synthetic_{seed}_{number:06d}"
    return SyntheticClip(name, clip, sentences, labels, truth, tuple(part.action for part in parts))


def _pause(rng: np.random.Generator) -> float:
    """Duration of standing before or after the actions, in seconds; mostly short."""
    return float(rng.uniform(0.05, 0.5) if rng.random() < 0.7 else rng.uniform(0.5, 1.5))


def _script(rng: np.random.Generator, names: tuple[str, ...], compositions: float) -> tuple[Part, ...]:
    """Draw a sequence of actions, most of them everyday ones; each begins in the posture that the one before left."""
    length = 1
    if rng.random() < compositions:
        length = 2 if rng.random() < 0.85 else 3
    parts: list[Part] = []
    while len(parts) < length:
        fits = [ACTION[name] for name in names]
        fits = [action for action in fits if not parts or action.before == ACTION[parts[-1].action].after]
        last = parts[-1] if parts else Part("")
        fits = [action for action in fits if action.name != last.action or (last.side and action.follow > 1.0)] or fits
        if not fits:
            break
        everyday = bool(parts) or (length > 1 and rng.random() < 0.5)
        shares = np.asarray([action.weight * (action.follow if everyday else 1.0) for action in fits])
        shares *= [_OTHER_SIDE if action.name == last.action else 1.0 for action in fits]
        action = fits[int(rng.choice(len(fits), p=shares / shares.sum()))]
        counts = action.counts if length == 1 else action.counts[: (len(action.counts) + 1) // 2]
        side, level = str(rng.choice(action.sides)), str(rng.choice(list(action.levels)))
        drawn = Part(action.name, side, int(rng.choice(counts)), level)
        parts.append(replace(last, side=OTHER[last.side]) if action.name == last.action and last.side else drawn)
    return tuple(parts)


def _counted(rng: np.random.Generator, names: tuple[str, ...]) -> Part | None:
    """Draw an action and a small number of its repetitions, all numbers alike; None without such an action."""
    fits = [action for action in map(ACTION.__getitem__, names) if action.counted and action.before == "stand"]
    if not fits:
        return None
    shares = np.sqrt([action.weight for action in fits])
    action = fits[int(rng.choice(len(fits), p=shares / shares.sum()))]
    counts = sorted({count for count in action.counts if count <= _MOST_COUNTED})
    side, level = str(rng.choice(action.sides)), str(rng.choice(list(action.levels)))
    return Part(action.name, side, int(rng.choice(counts)), level)


def _style(rng: np.random.Generator, parts: Sequence[Part]) -> Style:
    """Draw a style that suits all actions; plain for about a third of the clips."""
    if rng.random() < 0.35:
        return STYLE["plain"]
    lively = any(ACTION[part.action].lively for part in parts)
    fierce = any(ACTION[part.action].violent for part in parts)
    unfit = {name for part in parts for name in ACTION[part.action].unfit}
    fits = [style for style in STYLE.values() if not (style.calm and lively) and (fierce or not style.fierce)]
    fits = [style for style in fits if style.name not in unfit]
    return fits[int(rng.integers(len(fits)))]


def _shorter(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """The same script with fewer repetitions or actions."""
    longest = max(range(len(parts)), key=lambda number: parts[number].count)
    if parts[longest].count > 2 and parts[longest].count > min(ACTION[parts[longest].action].counts):
        fewer = replace(parts[longest], count=parts[longest].count - 1)
        return (*parts[:longest], fewer, *parts[longest + 1 :])
    if len(parts) > 1:
        return parts[:-1]
    return (replace(parts[0], count=max(1, parts[0].count - 1)),)


def _cut(rng: np.random.Generator, parts: Sequence[Part], frames: int) -> tuple[int, int]:
    """First frame to keep, and the frame after the last: single walks often begin and end in mid-stride."""
    if len(parts) > 1 or parts[0].action not in _CUT_INTO or rng.random() < 0.5:
        return 0, frames
    spare = max(0, frames - max(MIN_FRAMES, int(0.7 * frames)))
    first = int(rng.integers(0, spare + 1))
    return first, frames - int(rng.integers(0, spare - first + 1))


def _at_origin(joints: Joints) -> Joints:
    """The motion, moved and turned to start at x = z = 0, facing +z."""
    hips, shoulders = (
        joints[0, SMPL22.index(f"left_{part}")] - joints[0, SMPL22.index(f"right_{part}")]
        for part in ("hip", "shoulder")
    )
    left = hips.astype(np.float64) + shoulders
    angle = np.arctan2(left[2], left[0])
    c, s = np.cos(angle), np.sin(angle)
    turned = (joints - joints[0, 0] * np.asarray((1, 0, 1))).astype(np.float64)
    x, z = turned[..., 0] * c + turned[..., 2] * s, -turned[..., 0] * s + turned[..., 2] * c
    return np.stack((x, turned[..., 1], z), axis=-1).astype(np.float32)
