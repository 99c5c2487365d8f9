"""Synthetic actions do what their names say: sides, directions, counts, postures."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exuvia.motion.chain import unit
from exuvia.motion.clip import Clip
from exuvia.motion.skeleton import SMPL22
from exuvia.shapes import Joints
from exuvia.synthetic.actor import OTHER, Part
from exuvia.synthetic.body import body, random_body
from exuvia.synthetic.catalogue import ACTION, FRAME_LABELS
from exuvia.synthetic.dataset import perform
from exuvia.synthetic.rig import CHANNELS, limb, reach, solve
from exuvia.synthetic.style import STYLE
from exuvia.synthetic.timeline import eased

PLAIN = STYLE["plain"]
SIDES = ("left", "right")
SIGN = {"left": 1.0, "right": -1.0}


def act(action: str, side: str = "", count: int = 1, level: str | None = None, seed: int = 0) -> Joints:
    """One action in the plain style."""
    chosen = level if level is not None else next(iter(ACTION[action].levels))
    return perform([Part(action, side, count, chosen)], PLAIN, (seed,))[0]


def joint(joints: Joints, name: str) -> Joints:
    """One joint by name, [F, 3]."""
    return joints[:, SMPL22.index(name)]


def facing(joints: Joints) -> np.ndarray:
    """Angle of the hips to the left of +z in degrees, unwrapped, [F]."""
    left = joint(joints, "left_hip") - joint(joints, "right_hip")
    return np.rad2deg(np.unwrap(np.arctan2(-left[:, 2], left[:, 0])))


@pytest.mark.parametrize("action", [name for name, action in ACTION.items() if "left" in action.sides])
def test_right_is_the_mirror_image_of_left(action: str) -> None:
    level = next(iter(ACTION[action].levels))
    left, labels = perform([Part(action, "left", 2, level)], PLAIN, (3,))
    right, mirrored_labels = perform([Part(action, "right", 2, level)], PLAIN, (3,))
    np.testing.assert_array_equal(Clip(left).mirrored().joints, right)
    np.testing.assert_array_equal(labels, mirrored_labels)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("action", [name for name in ACTION if name.startswith("kick_")])
def test_the_named_leg_kicks(action: str, side: str) -> None:
    for seed in range(3):
        joints = act(action, side, seed=seed)
        way = {
            name: np.linalg.norm(joint(joints, f"{name}_foot") - joints[:, 0] - (joints[0, 10] - joints[0, 0]), axis=-1)
            for name in SIDES
        }
        assert way[side].max() > 1.3 * way[OTHER[side]].max()
        assert joint(joints, f"{side}_foot")[:, 1].max() > joint(joints, f"{OTHER[side]}_foot")[:, 1].max() + 0.15


def test_higher_kicks_are_higher() -> None:
    for action in ("kick_front", "kick_side", "kick_roundhouse"):
        tops = [joint(act(action, "left", level=level), "left_foot")[:, 1].max() for level in ("low", "middle", "high")]
        assert tops[0] + 0.15 < tops[1] < tops[2] - 0.15


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("action", ["jab", "cross", "hook", "uppercut"])
def test_the_named_fist_punches(action: str, side: str) -> None:
    for seed in range(3):
        joints, labels = perform([Part(action, side, 1, "middle")], PLAIN, (seed,))
        during = joints[labels == FRAME_LABELS.index("punch")]
        speed = {name: np.linalg.norm(np.diff(joint(during, f"{name}_wrist"), axis=0), axis=-1).max() for name in SIDES}
        assert speed[side] > 1.5 * speed[OTHER[side]]


@pytest.mark.parametrize("action", ["jab", "cross"])
def test_straight_punches_stretch_the_arm_ahead(action: str) -> None:
    for side, seed in (("left", 0), ("right", 1), ("left", 2)):
        joints = act(action, side, level="middle", seed=seed)
        arm = joint(joints, f"{side}_wrist") - joint(joints, f"{side}_shoulder")
        strike = arm[arm[:, 2].argmax()]
        assert strike[2] > 0.42
        assert abs(strike[0]) < 0.2


def test_walking_goes_where_the_body_faces() -> None:
    ahead = act("walk", count=7)[-1, 0]
    assert ahead[2] > 2.0
    assert abs(ahead[0]) < 0.4
    assert act("walk_backward", count=5)[-1, 0, 2] < -0.9
    fast, slow = act("run", count=8), act("walk", count=8)
    assert fast[-1, 0, 2] / len(fast) > 1.5 * slow[-1, 0, 2] / len(slow)


@pytest.mark.parametrize("side", SIDES)
def test_directions_are_those_of_the_name(side: str) -> None:
    sign = SIGN[side]
    assert sign * act("side_step", side, 3)[-1, 0, 0] > 0.6
    assert sign * act("walk_curve", side, 8)[-1, 0, 0] > 0.5
    assert sign * act("run_curve", side, 10)[-1, 0, 0] > 0.5
    for level, degrees in (("quarter", 90), ("half", 180), ("full", 360)):
        turned = facing(act("turn", side, level=level))
        assert sign * (turned[-1] - turned[0]) == pytest.approx(degrees, abs=15)
    dodge = act("dodge", side)
    assert sign * (joint(dodge, "head")[:, 0] * sign).max() * sign > 0.15


def test_walking_swings_opposite_arms_and_running_flies() -> None:
    walk = act("walk", count=9)[25:-25]
    hand = joint(walk, "left_wrist")[:, 2] - joint(walk, "right_wrist")[:, 2]
    foot = joint(walk, "left_foot")[:, 2] - joint(walk, "right_foot")[:, 2]
    assert np.corrcoef(hand, foot)[0, 1] < -0.7
    run = act("run", count=10)
    assert (np.minimum(joint(run, "left_foot")[:, 1], joint(run, "right_foot")[:, 1]) > 0.02).sum() >= 8
    assert (np.minimum(joint(walk, "left_foot")[:, 1], joint(walk, "right_foot")[:, 1]) > 0.02).sum() == 0


def test_jumps_leave_the_floor_and_hops_use_one_leg() -> None:
    jump = act("jump", count=2, level="up")
    lower = np.minimum(joint(jump, "left_foot")[:, 1], joint(jump, "right_foot")[:, 1])
    assert (np.diff((lower > 0.06).astype(int)) == 1).sum() == 2
    assert act("jump", level="forward")[-1, 0, 2] > 0.5
    hop, labels = perform([Part("hop", "left", 3, "")], PLAIN, (1,))
    middle = hop[labels == FRAME_LABELS.index("hop")][12:-24]
    assert joint(middle, "right_foot")[:, 1].min() > 0.04
    assert joint(middle, "left_foot")[:, 1].max() > 0.05


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("action", ["walk_circle", "jog_circle", "run_circle"])
def test_circles_close(action: str, side: str) -> None:
    wide = []
    for seed, level in ((0, ""), (1, "small"), (1, "large")):
        joints = act(action, side, 12, level, seed)
        path = joints[:, 0, [0, 2]]
        assert np.linalg.norm(path[-1] - path[0]) < 0.1
        assert SIGN[side] * (facing(joints)[-1] - facing(joints)[0]) == pytest.approx(360, abs=5)
        wide.append(np.ptp(path, axis=0).mean())
        assert np.ptp(path, axis=0).min() > 0.85 * np.ptp(path, axis=0).max()
    assert 0.8 < wide[1] < wide[2]


def test_stairs_go_up_and_down_by_a_riser_a_step() -> None:
    for seed in range(3):
        up, down = act("climb_stairs", count=5, seed=seed), act("descend_stairs", count=5, seed=seed)
        assert 5 * 0.15 < up[-1, 0, 1] - up[0, 0, 1] < 5 * 0.19
        assert 5 * 0.15 < down[0, 0, 1] - down[-1, 0, 1] < 5 * 0.19
        assert joint(up, "left_foot")[-1, 1] == pytest.approx(joint(up, "right_foot")[-1, 1], abs=0.01)
        assert down[-1, [10, 11], 1].max() < 0.01


@pytest.mark.parametrize("side", SIDES)
def test_a_limp_spares_the_named_leg(side: str) -> None:
    for seed in range(3):
        joints = act("limp", side, 9, seed=seed)
        pace = {name: np.diff(joint(joints, f"{name}_foot")[:, [0, 2]], axis=0) * 20.0 for name in SIDES}
        down = {name: np.linalg.norm(pace[name], axis=-1) < 0.3 for name in SIDES}
        touches = sorted(
            (frame, name) for name in SIDES for frame in np.flatnonzero(np.diff(down[name].astype(int)) == 1)
        )
        waits = {name: [b[0] - a[0] for a, b in pairwise(touches[1:-1]) if b[1] == name != a[1]] for name in SIDES}
        assert np.mean(waits[OTHER[side]]) < 0.8 * np.mean(waits[side])  # the weight soon leaves the leg that hurts


@pytest.mark.parametrize("level", ["forward", "backward"])
def test_crawling_is_on_hands_and_knees(level: str) -> None:
    joints = act("crawl", count=6, level=level)
    assert joints[:, 0, 1].max() < 0.65
    assert (joints[:, [20, 21], 1].min(1) < 0.06).mean() > 0.9
    assert (joints[:, [4, 5], 1].min(1) < 0.08).mean() > 0.9
    way = joints[-1, 0, 2] - joints[0, 0, 2]
    assert way > 0.7 if level == "forward" else way < -0.5


@pytest.mark.parametrize("side", SIDES)
def test_a_cartwheel_goes_over_both_hands_to_the_named_side(side: str) -> None:
    for seed in range(3):
        joints = act("cartwheel", side, seed=seed)
        over = int((joints[:, [7, 8], 1].min(1) - joints[:, 15, 1]).argmax())
        assert joints[over, [7, 8], 1].min() > joints[over, 0, 1] > joints[over, 15, 1] + 0.3
        assert joints[over, 15, 1] > 0.25
        first = {name: int((joint(joints, f"{name}_wrist")[:, 1] < 0.07).argmax()) for name in SIDES}
        assert 0 < first[side] < first[OTHER[side]]
        assert SIGN[side] * (joints[-1, 0, 0] - joints[0, 0, 0]) > 1.3
        assert joints[-1, 15, 1] > 1.3


@pytest.mark.parametrize("side", SIDES)
def test_a_golf_swing_starts_on_the_named_side_with_both_hands(side: str) -> None:
    joints, labels = perform([Part("golf_swing", side, 1, "")], PLAIN, (2,))
    swing = joints[labels == FRAME_LABELS.index("golf")][20:-30]
    assert np.linalg.norm(joint(swing, "left_wrist") - joint(swing, "right_wrist"), axis=-1).max() < 0.25
    high = SIGN[side] * (joint(swing, "left_wrist")[:, 0] + joint(swing, "right_wrist")[:, 0]) / 2
    assert high.argmax() < high.argmin()
    assert high.max() > 0.25 < -high.min()


def test_standing_still_is_still_and_upright() -> None:
    for seed in range(4):
        joints = act("stand_still", seed=seed)
        assert np.ptp(joints[:, 0], axis=0).max() < 0.04
        assert np.ptp(joints[:, 15], axis=0).max() < 0.08
        spine = unit(joints[:, 12] - joints[:, 0])
        assert spine[:, 1].min() > np.cos(np.deg2rad(14))
        assert joints[:, 0, 1].min() > 0.97 * joints[:, 0, 1].max()


def test_kneeling_and_lying_end_on_the_floor() -> None:
    for seed in range(3):
        kneel, lie, up = (act(name, "left", seed=seed) for name in ("kneel", "lie_down", "get_up"))
        assert kneel[-1, [4, 5], 1].max() < 0.08
        assert lie[-1, :, 1].max() < 0.35
        assert up[0, :, 1].max() < 0.35
        assert up[-1, 15, 1] > 1.3
        assert act("stand_from_all_fours", "left", seed=seed)[-1, 15, 1] > 1.3
        for side in SIDES:
            one = act("kneel_on_one_knee", side, seed=seed)
            assert joint(one, f"{side}_knee")[:, 1].min() < 0.08
            assert joint(one, f"{OTHER[side]}_knee")[:, 1].min() > 0.3


@pytest.mark.parametrize(("action", "count"), [("jump", 3), ("hop", 4), ("jumping_jacks", 3)])
def test_counts_are_flights(action: str, count: int) -> None:
    for seed in range(3):
        joints = act(action, "left" if action == "hop" else "", count, seed=seed)
        low = joint(joints, "left_foot")[:, 1] if action == "hop" else joints[:, [10, 11], 1].min(1)
        flights = (np.diff((low > 0.03).astype(int)) == 1).sum()
        assert flights == (2 * count if action == "jumping_jacks" else count)
    assert (np.diff((act("sit_and_stand", count=2)[:, 0, 1] < 0.7).astype(int)) == 1).sum() == 2


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("level", ["overhand", "underhand"])
def test_the_named_hand_throws(side: str, level: str) -> None:
    joints = act("throw", side, level=level)
    wrist = {name: joint(joints, f"{name}_wrist") for name in SIDES}
    speed = {name: np.linalg.norm(np.diff(at, axis=0), axis=-1) * 20.0 for name, at in wrist.items()}
    assert speed[side].max() > 1.5 * speed[OTHER[side]].max()
    over = wrist[side][speed[side].argmax(), 1] > joints[speed[side].argmax(), 16, 1]
    assert over == (level == "overhand")


def test_postures_end_at_their_height() -> None:
    down, up, squat = act("sit_down"), act("stand_up"), act("squat")
    assert down[0, 0, 1] > 0.85 > 0.65 > down[-1, 0, 1]
    assert up[0, 0, 1] < 0.65 < 0.85 < up[-1, 0, 1]
    assert squat[:, 0, 1].min() < 0.7
    assert min(joint(act("pick_up", "left"), "left_wrist")[:, 1]) < 0.35
    assert joint(act("duck"), "head")[:, 1].min() < joint(act("duck"), "head")[0, 1] - 0.2


def test_a_second_action_keeps_its_own_side() -> None:
    for name in ("block", "raise_arm", "throw"):
        level = next(iter(ACTION[name].levels))
        for side, first in ((side, first) for side in SIDES for first in SIDES):
            joints, labels = perform([Part("jab", first, 1, "middle"), Part(name, side, 1, level)], PLAIN, (1,))
            shown = joints[labels == FRAME_LABELS.index(ACTION[name].label)]
            tops = {arm: joint(shown, f"{arm}_wrist")[:, 1].max() for arm in SIDES}
            assert tops[side] > tops[OTHER[side]], (name, first, side)


def test_fighters_take_up_a_guard_before_some_blocks() -> None:
    guards = [FRAME_LABELS.index("guard") in perform([Part("block", "left")], PLAIN, (seed,))[1] for seed in range(20)]
    assert 8 < sum(guards) < 20


def test_hands_do_what_the_action_says() -> None:
    clap = act("clap", count=4)
    apart = np.linalg.norm(joint(clap, "left_wrist") - joint(clap, "right_wrist"), axis=-1)
    assert (np.diff((apart < 0.16).astype(int)) == 1).sum() == 4
    wave = act("wave", "right", count=3)
    assert (joint(wave, "right_wrist")[:, 1] > joint(wave, "right_shoulder")[:, 1]).sum() > 20
    assert joint(wave, "left_wrist")[:, 1].max() < joint(wave, "left_shoulder")[:, 1].min()
    raised = act("raise_arms", level="up")
    for side in SIDES:
        assert joint(raised, f"{side}_wrist")[:, 1].max() > joint(raised, "head")[:, 1].max() + 0.15
    push = act("push")
    ahead = [joint(push, f"{side}_wrist")[:, 2] - joint(push, f"{side}_shoulder")[:, 2] for side in SIDES]
    assert min(way.max() for way in ahead) > 0.38


@settings(max_examples=60, deadline=None)
@given(st.floats(-0.5, 0.6), st.floats(-0.7, 0.7), st.floats(0.05, 0.6), st.floats(0, 60))
def test_hand_reaches_its_target(x: float, y: float, z: float, out: float) -> None:
    target = np.asarray((x, y, z))
    if not 0.2 < np.linalg.norm(target) < 0.99:
        return
    arm = reach(x, y, z, elbow_out=out)
    angles = (np.asarray([arm[name]]) for name in ("el", "az", "elbow", "swivel"))
    first, second = limb(*angles, 1.0, True)
    np.testing.assert_allclose((first + second)[0] / 2, target, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(0.02, 2.0), st.floats(-90, 90)), min_size=1, max_size=8))
def test_transitions_pass_through_keys_without_overshoot(keys: list[tuple[float, float]]) -> None:
    times = np.cumsum([width for width, _ in keys])
    values = np.asarray([value for _, value in keys])
    np.testing.assert_allclose(eased(times, times, values), values, atol=1e-9)
    curve = eased(np.linspace(times[0] - 1, times[-1] + 1, 200), times, values)
    assert values.min() - 1e-9 <= curve.min() <= curve.max() <= values.max() + 1e-9
    for low, high, a, b in zip(times, times[1:], values, values[1:], strict=False):
        piece = eased(np.linspace(low, high, 20), times, values)
        assert min(a, b) - 1e-9 <= piece.min() <= piece.max() <= max(a, b) + 1e-9


def test_a_neutral_stand_is_upright_and_symmetric() -> None:
    pose = {name: np.full(2, value) for name, value in CHANNELS.items()}
    for side in SIDES:
        pose[f"{side}_foot_x"] = np.full(2, SIGN[side] * 0.09)
    joints = solve(pose, body())
    np.testing.assert_allclose(Clip(joints).mirrored().joints, joints, atol=1e-6)
    assert 1.4 < joints[0, 15, 1] < 1.65
    assert 0.85 < joints[0, 0, 1] < 1.0


def test_bodies_differ_but_stay_human() -> None:
    legs = [random_body(np.random.default_rng(seed)).leg_m for seed in range(200)]
    assert body().leg_m == pytest.approx(0.82, abs=0.005)
    assert 0.82 * 0.88 < min(legs) < 0.80 < 0.84 < max(legs) < 0.82 * 1.12
