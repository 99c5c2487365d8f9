"""Synthetic poses, gestures, exercises and throws: each shows what its captions say, as often and on the named side."""

from typing import Any

import numpy as np
import pytest

from exuvia.motion.clip import Clip
from exuvia.motion.skeleton import SMPL22
from exuvia.shapes import Joints
from exuvia.synthetic.actor import OTHER, Part
from exuvia.synthetic.catalogue import ACTION
from exuvia.synthetic.dataset import perform, synthesise
from exuvia.synthetic.style import STYLE
from lab.prompts.count import count as peaks
from lab.prompts.load import load_prompts

SIDES = ("left", "right")
PROMPT = {prompt.text: prompt for prompt in load_prompts()}


def act(action: str, side: str = "", count: int = 1, level: str | None = None, seed: int = 0) -> Joints:
    """One action in the plain style."""
    chosen = level if level is not None else next(iter(ACTION[action].levels))
    return perform([Part(action, side, count, chosen)], STYLE["plain"], (seed,))[0]


def joint(joints: Joints, name: str) -> Joints:
    """One joint by name, [F, 3]."""
    return joints[:, SMPL22.index(name)]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a person puts both hands on the hips", Part("hands_on_hips")),
        ("a person stands with hands on the hips", Part("hands_on_hips")),
        ("a person stretches both arms out to the sides", Part("hold_arms", level="side")),
        ("a person stands with arms out to the sides", Part("hold_arms", level="side")),
        ("a person stretches both arms out in front", Part("hold_arms", level="forward")),
        ("a person stands with both arms raised", Part("hold_arms", level="up")),
        ("a person stands at attention", Part("stand_at_attention")),
        *((f"a person stands on the {side} leg", Part("stand_on_one_leg", side)) for side in SIDES),
        *((f"a person scratches the head with the {side} hand", Part("scratch_head", side, 4)) for side in SIDES),
        ("a person holds a phone to the right ear", Part("phone", "right")),
        ("a person pushes something away with both hands", Part("push_away")),
        ("a person bends down to touch the toes", Part("touch_toes")),
        ("a person ties a shoe", Part("tie_shoe", "left", 2)),
        ("a person sits on the floor", Part("sit_on_floor", "left")),
        ("a person gets up from the floor", Part("stand_from_floor", "right")),
        ("a person does push-ups", Part("push_ups", "", 3)),
        ("a person does sit-ups", Part("sit_ups", "", 3)),
        ("a person does a forward roll", Part("forward_roll")),
        ("a gymnast does a handstand", Part("handstand")),
        ("a person does lunges", Part("lunges", "", 2)),
        ("a person shoots a basketball", Part("shoot_basketball")),
        ("a person serves in tennis", Part("tennis_serve", "right")),
        ("a person bowls a bowling ball", Part("bowl", "right")),
        ("a person throws something overhead", Part("throw_overhead")),
        ("a person does a deep squat with a barbell", Part("barbell_squat")),
        ("a person lifts a heavy weight over the head", Part("lift_weight")),
        ("a person crouches", Part("crouch")),
        ("a person falls to the ground", Part("fall")),
        ("a person falls to the ground", Part("fall_back")),
        ("a person falls to the ground", Part("fall_aside", "left")),
        ("a person does jumping jacks", Part("jumping_jacks", "", 3)),
        ("a person swings a baseball bat", Part("swing_bat", "right")),
        ("a person bends down and picks something up", Part("pick_up", "left")),
        ("a person throws a combination of punches", Part("punch", "", 4, "middle")),
        *((f"a person kicks a ball with the {side} foot", Part("kick_ball", side)) for side in SIDES),
        *((f"a person punches with the {side} hand", Part("punch_hand", side, 1, "middle")) for side in SIDES),
        ("a person punches twice with the right hand", Part("punch_hand", "right", 2, "middle")),
        ("a person punches three times with the left hand", Part("punch_hand", "left", 3, "high")),
        ("a person raises the right arm three times", Part("raise_arm", "right", 3, "up")),
        ("a person kicks three times with the left leg", Part("kick_front", "left", 3, "middle")),
        ("a person squats twice", Part("squat", "", 2)),
        ("a person claps three times", Part("clap", "", 3)),
        ("a person bows twice", Part("bow", "", 2)),
    ],
)
def test_actions_pass_the_checks_of_everyday_prompts(text: str, part: Part) -> None:
    for seed in range(4):
        clip = Clip(perform([part], STYLE["plain"], (seed,))[0])
        assert all(result.verdict.passed for result in PROMPT[text].results(clip)), PROMPT[text].results(clip)


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize(
    ("action", "signal"),
    [
        ("push_ups", {"signal": "low", "part": "neck", "prominence": 0.12}),
        ("sit_ups", {"signal": "height", "part": "head", "prominence": 0.25}),
        ("lunges", {"signal": "low", "part": "pelvis", "prominence": 0.2}),
        ("barbell_squat", {"signal": "low", "part": "pelvis", "prominence": 0.2}),
        ("touch_toes", {"signal": "lean", "prominence": 40}),
        ("lift_weight", {"signal": "height", "part": "hands", "prominence": 0.9}),
        ("push_away", {"signal": "reach", "part": "hands", "prominence": 0.1}),
    ],
)
def test_repetitions_are_as_many_as_asked(action: str, signal: dict[str, Any], count: int) -> None:
    for seed in range(3):
        joints = act(action, "", count, seed=seed)
        assert peaks(Clip(joints), low=count, high=count, **signal).passed


def test_planks_and_handstands_are_straight_over_planted_hands() -> None:
    for seed in range(4):
        plank = act("push_ups", "", 3, seed=seed)
        down = int(joint(plank, "neck")[:, 1].argmin())
        assert joint(plank, "neck")[down, 1] < 0.35
        assert plank[down, [4, 5], 1].min() > 0.05
        up = act("handstand", seed=seed)
        over = int(up[:, [10, 11], 1].min(1).argmax())
        assert up[over, [10, 11], 1].min() > 1.6
        assert up[over, [20, 21], 1].max() < 0.06
        for side in SIDES:
            arm = joint(up, f"{side}_shoulder")[over] - joint(up, f"{side}_wrist")[over]
            assert arm[1] > 0.9 * np.linalg.norm(arm)
        assert up[-1, 15, 1] > 1.3


def test_a_forward_roll_goes_once_around_and_leaves_the_head_upright() -> None:
    for seed in range(4):
        joints = act("forward_roll", seed=seed)
        assert joints[:, 15, 1].min() > 0.04
        assert joints[-1, 0, 2] - joints[0, 0, 2] > 0.9
        before, after = (joints[frame, 15] - joints[frame, 12] for frame in (0, -1))
        assert before @ after > 0.95 * np.linalg.norm(before) * np.linalg.norm(after)
        again = perform([Part("forward_roll"), Part("squat", "", 1, "")], STYLE["plain"], (seed,))[0]
        assert (np.diff((again[:, 0, 1] < 0.7).astype(int)) == 1).sum() == 2
        assert again[-1, 15, 1] > 1.3


@pytest.mark.parametrize("side", SIDES)
def test_gestures_and_strokes_use_the_named_side(side: str) -> None:
    for action in ("tennis_serve", "bowl"):
        joints = act(action, side)
        pace = {
            name: np.linalg.norm(np.diff(joint(joints, f"{name}_wrist") - joints[:, 0], axis=0), axis=-1) * 20.0
            for name in SIDES
        }
        assert pace[side].max() > max(3.0, 1.2 * pace[OTHER[side]].max())
        high = joint(joints, f"{side}_wrist")[int(pace[side].argmax()), 1] > joint(joints, "neck")[:, 1].max() - 0.2
        assert high == (action == "tennis_serve")
    for action in ("scratch_head", "phone"):
        joints = act(action, side, 3)
        assert joint(joints, f"{side}_wrist")[:, 1].max() > joint(joints, f"{side}_shoulder")[:, 1].min()
        assert joint(joints, f"{OTHER[side]}_wrist")[:, 1].max() < joint(joints, "spine3")[:, 1].min()
    tied = act("tie_shoe", side, 2)
    low = int(tied[:, [20, 21], 1].max(1).argmin())
    assert joint(tied, f"{OTHER[side]}_knee")[low, 1] < 0.1 < joint(tied, f"{side}_knee")[low, 1]
    foot = joint(tied, f"{side}_foot")[low]
    assert max(np.linalg.norm(joint(tied, f"{name}_wrist")[low] - foot) for name in SIDES) < 0.3


def test_a_basketball_is_shot_in_a_jump_and_a_hat_put_on_with_both_hands() -> None:
    for seed in range(3):
        joints = act("shoot_basketball", seed=seed)
        assert joints[:, [10, 11], 1].min(1).max() > 0.05
        assert joints[:, [20, 21], 1].min(1).max() > joint(joints, "head")[:, 1].max()
        hat = act("put_on_hat", seed=seed)
        near = np.linalg.norm(hat[:, [20, 21]] - hat[:, [15]], axis=-1).max(1)
        assert (near < 0.3).sum() >= 5


def test_bodies_on_the_floor_sit_there_and_stand_up_again() -> None:
    for clip in synthesise(12, seed=5, actions=["sit_on_floor", "stand_from_floor"], compositions=1.0):
        height = clip.clip.joints[:, 0, 1]
        assert height.min() < 0.15
        assert (height[-1] > 0.8) == (clip.actions[-1] == "stand_from_floor")


def test_falls_take_less_than_a_second_and_stay_down() -> None:
    for part in (Part("fall"), Part("fall_back"), Part("fall_aside", "right")):
        for seed in range(4):
            height = perform([part], STYLE["plain"], (seed,))[0][:, 0, 1]
            down = int(np.flatnonzero(height < 0.35)[0])
            assert down - np.flatnonzero(height[:down] > 0.8)[-1] <= 20
            assert height[down + 10 :].max() < 0.25
