"""Checks of everyday prompts: a motion that does what is asked passes; mirrored, reversed, frozen or slow it fails."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from exuvia.motion.clip import Clip
from exuvia.motion.skeleton import SMPL22
from exuvia.readers import read_toml
from exuvia.synthetic.actor import Part
from exuvia.synthetic.catalogue import ACTION
from exuvia.synthetic.dataset import perform
from exuvia.synthetic.style import STYLE
from lab.prompts.body import heading_rad, own
from lab.prompts.checks import check, in_order
from lab.prompts.load import FILE

NAMED = read_toml(FILE)["checks"]


@cache
def act(action: str, side: str = "", count: int = 1, level: str | None = None) -> Clip:
    """One action of the synthetic actor in the plain style."""
    chosen = level if level is not None else next(iter(ACTION[action].levels))
    return Clip(perform([Part(action, side, count, chosen)], STYLE["plain"], (0,))[0])


def mirrored(clip: Clip) -> Clip:
    return clip.mirrored()


def reversed_(clip: Clip) -> Clip:
    return replace(clip, joints=clip.joints[::-1])


def frozen(clip: Clip) -> Clip:
    return replace(clip, joints=np.repeat(clip.joints[:1], clip.frames, 0))


def slowed(clip: Clip) -> Clip:
    return replace(clip, fps=clip.fps / 4)


def t_pose(frames: int = 40) -> np.ndarray:
    """A body with its arms out to the sides [F, 22, 3], its feet on the floor."""
    rest = np.zeros((22, 3), np.float32)
    for joint, parent in enumerate(SMPL22.parents):
        if parent >= 0:
            offset = SMPL22.rest_offsets[joint]
            arm = SMPL22.joints[joint].endswith(("elbow", "wrist"))
            rest[joint] = rest[parent] + ((np.linalg.norm(offset) * np.sign(rest[parent, 0]), 0, 0) if arm else offset)
    return np.repeat((rest - rest.min(0) * (0, 1, 0))[None], frames, 0)


def rotated(axes: tuple[int, int, int], signs: tuple[int, int, int]) -> Clip:
    """The T-pose with exchanged axes, lifted so that nothing is below the floor."""
    joints = t_pose()[..., list(axes)] * np.asarray(signs)
    return Clip(joints - joints[..., 1].min() * np.asarray((0, 1, 0)))


def join(*clips: Clip) -> Clip:
    return replace(clips[0], joints=np.concatenate([clip.joints for clip in clips]))


STAND = act("stand")
CIRCLE = act("walk_circle", "left", 11)
THERE_AND_BACK = join(act("walk", count=6), reversed_(act("walk", count=6)))
CASES: list[tuple[str | dict[str, Any], Clip, list[Any]]] = [
    ("forward", act("walk", count=6), [reversed_, frozen, act("side_step", "left", 4)]),
    ("backward", act("walk_backward", count=6), [reversed_, frozen]),
    ("left", act("side_step", "left", 4), [mirrored, reversed_, frozen]),
    ("right", act("side_step", "right", 4), [mirrored, reversed_, frozen]),
    ("in_place", act("wave", "left", 3), [act("walk", count=6)]),
    ("returns", THERE_AND_BACK, [act("walk", count=6), frozen]),
    ("walk", act("walk", count=6), [frozen, slowed, act("run", count=12)]),
    ("run", act("run", count=12), [frozen, slowed, act("walk", count=6)]),
    ("left_90", act("turn", "left", level="quarter"), [mirrored, frozen, act("turn", "left", level="half")]),
    ("around", act("turn", "right", level="half"), [frozen, act("turn", "right", level="quarter")]),
    ("full_left", act("turn", "left", level="full"), [mirrored, frozen]),
    ("circle_left", CIRCLE, [mirrored, frozen, act("turn", "left", level="full"), act("walk_curve", "left", 9)]),
    ("circle", mirrored(CIRCLE), [act("walk", count=6)]),
    ("squat", act("squat"), [frozen, act("bow")]),
    ("hands_low", act("pick_up", "left"), [frozen]),
    ("left_hand_up", act("raise_arm", "left"), [mirrored, frozen]),
    ("left_kick", act("kick_front", "left", level="middle"), [mirrored, frozen, act("walk", count=6)]),
    ("inverted", rotated((0, 1, 2), (-1, -1, 1)), [Clip(t_pose()), act("squat")]),
    ("feet_over_head", rotated((0, 1, 2), (-1, -1, 1)), [Clip(t_pose()), act("bow")]),
    ("lying", rotated((0, 2, 1), (1, 1, -1)), [Clip(t_pose()), act("squat")]),
    ("right_reach", act("point", "right"), [mirrored, frozen]),
    ("wide_arms", Clip(t_pose()), [STAND]),
    ("hands_meet", act("clap", count=3), [frozen]),
    ("left_to_head", act("drink", "left"), [mirrored, frozen]),
    ("bow", act("bow"), [frozen]),
    ("still", STAND, [act("wave", "left", 3), act("walk", count=6)]),
    ("lively", act("dance", count=4), [frozen, slowed, STAND]),
    ("a_fist", act("cross", "right"), [frozen, slowed, STAND]),
    ("left_hand", act("wave", "left", 3), [mirrored, frozen]),
    ("right_foot", act("kick_side", "right", level="high"), [mirrored, frozen]),
    ("both_hands", act("raise_arms"), [frozen, act("raise_arm", "left")]),
    ("wave_left", act("wave", "left", 3), [mirrored, frozen, act("raise_arm", "left")]),
    ("steps", act("walk", count=6), [frozen, act("wave", "left", 3)]),
    ({"kind": "steps", "low": 3, "high": 5}, act("side_step", "left", 2), [frozen, act("walk", count=8)]),
    ("jump", act("jump", level="up"), [frozen, slowed, act("squat")]),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "right", "wrong"), CASES, ids=[str(spec) for spec, _, _ in CASES])
def test_right_motion_passes_and_wrong_motion_fails(spec: Any, right: Clip, wrong: list[Any]) -> None:
    spec = NAMED[spec] if isinstance(spec, str) else spec
    assert check(right, spec).passed, check(right, spec)
    for other in wrong:
        clip = other if isinstance(other, Clip) else other(right)
        assert not check(clip, spec).passed, (other, check(clip, spec))


COUNTED = {
    "jump": {"signal": "soles", "prominence": 0.08},
    "squat": {"signal": "low", "part": "pelvis", "prominence": 0.2},
    "clap": {"signal": "gap", "prominence": 0.08},
    "jumping_jacks": {"signal": "height", "part": "hands", "prominence": 0.5},
    "bow": {"signal": "lean", "prominence": 18},
}


@pytest.mark.parametrize("action", COUNTED)
@pytest.mark.parametrize("times", [2, 3])
def test_repetitions_are_counted(action: str, times: int) -> None:
    clip = act(action, count=times)
    for claimed in (times - 1, times, times + 1):
        found = check(clip, {"kind": "count", "low": claimed, "high": claimed, **COUNTED[action]})
        assert found == (claimed == times, times)


def test_a_peak_at_the_end_of_a_clip_counts() -> None:
    raised = act("raise_arm", "left")
    top = int(raised.joints[:, 20, 1].argmax())
    spec = {"kind": "count", "signal": "height", "part": "left_hand", "low": 1, "high": 1, "prominence": 0.4}
    assert check(replace(raised, joints=raised.joints[: top + 1]), spec).passed


def test_stairs_rise() -> None:
    climb = Clip(STAND.joints + np.linspace(0, 0.5, STAND.frames)[:, None, None] * (0, 1, 0))
    assert check(climb, NAMED["rise"]) == (True, pytest.approx(0.5, abs=0.1))
    assert check(reversed_(climb), NAMED["descend"]).passed
    assert not check(climb, NAMED["descend"]).passed
    assert not check(STAND, NAMED["rise"]).passed


@pytest.mark.parametrize(("side", "joint"), [("left", 7), ("right", 8)])
def test_a_foot_that_rests_shorter_limps(side: str, joint: int) -> None:
    joints, ankles = t_pose(121), {7: 0.0, 8: 0.0}
    for frame in range(1, 121):
        for ankle in ankles:
            moves = frame % 24 < 16 if ankle == joint else frame % 24 >= 12
            ankles[ankle] += 0.05 * moves
            joints[frame, ankle, 2] += ankles[ankle]
    assert check(Clip(joints), {"kind": "uneven", "side": side}).passed
    assert check(Clip(joints), {"kind": "uneven"}).passed
    assert not check(Clip(joints).mirrored(), {"kind": "uneven", "side": side}).passed
    assert not check(act("walk", count=8), {"kind": "uneven"}).passed


@pytest.mark.parametrize(
    ("first", "then", "clip"),
    [
        ("standing", "chair", act("sit_down")),
        ("chair", "standing", act("stand_up")),
        ("forward", "hands_low", join(act("walk", count=6), act("pick_up", "left"))),
        ("left_hand", "right_hand", join(act("raise_arm", "left"), act("raise_arm", "right"))),
    ],
)
def test_two_parts_hold_in_their_order_only(first: str, then: str, clip: Clip) -> None:
    found = in_order(clip, [NAMED[first]], [NAMED[then]])
    assert found.passed
    assert 0.5 <= found.value <= clip.duration_s - 0.5
    assert not in_order(reversed_(clip), [NAMED[first]], [NAMED[then]]).passed
    assert not in_order(frozen(clip), [NAMED[first]], [NAMED[then]]).passed


def test_a_clip_too_short_for_two_parts_has_none() -> None:
    short = replace(STAND, joints=STAND.joints[:15])
    assert not in_order(short, [NAMED["standing"]], [NAMED["standing"]]).passed


@pytest.mark.parametrize("angle", [0.0, 1.0, 3.0, -2.5])
def test_what_is_measured_does_not_depend_on_where_the_body_faces(angle: float) -> None:
    sine, cosine = np.sin(angle), np.cos(angle)
    turn = np.asarray([[cosine, 0, -sine], [0, 1, 0], [sine, 0, cosine]], np.float32)  # +z to (sin, cos)
    for action, side in (("walk", ""), ("side_step", "left"), ("kick_front", "left")):
        clip = act(action, side, 3)
        there = replace(clip, joints=clip.joints @ turn + np.asarray((5, 0, -3), np.float32))
        np.testing.assert_allclose(own(there), own(clip), atol=2e-5)
        away = heading_rad(there) - heading_rad(clip)
        np.testing.assert_allclose(np.cos(away - angle), 1, atol=1e-5)
        for name in ("forward", "left", "left_kick", "straight", "walk"):
            assert check(there, NAMED[name]).passed == check(clip, NAMED[name]).passed
