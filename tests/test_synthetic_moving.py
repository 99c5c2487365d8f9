"""Synthetic ways to move about do what everyday prompts ask for, in every style that fits."""

from itertools import pairwise

import numpy as np
import pytest

from exuvia.motion.clip import Clip
from exuvia.shapes import Joints
from exuvia.synthetic.actor import OTHER, Part
from exuvia.synthetic.captions import captions
from exuvia.synthetic.catalogue import ACTION
from exuvia.synthetic.dataset import perform, synthesise
from exuvia.synthetic.style import STYLE
from lab.prompts.load import Prompt, load_prompts

PROMPT = {prompt.text: prompt for prompt in load_prompts()}
SIDES = ("left", "right")
SERVES = {
    ("walk_fast", "", 8, ""): ("a person walks quickly",),
    ("walk_slow", "", 6, ""): ("a woman walks forward slowly", "a person walks forward"),
    ("walk_loose", "", 7, ""): ("a person strolls forward with hands hanging down",),
    ("walk_head_down", "", 6, ""): ("a person walks sadly with the head down",),
    ("walk_bent", "", 6, ""): ("an old man walks bent over",),
    ("walk_angry", "", 8, ""): ("an angry man walks fast",),
    ("large_steps", "", 5, ""): ("a person walks forward with large steps",),
    ("take_step", "", 1, "forward"): ("a person takes a step forward",),
    ("take_step", "", 1, "backward"): ("a person takes a step back",),
    ("take_steps", "", 3, "forward"): ("a person takes three steps forward",),
    ("take_steps", "", 4, "backward"): ("a person takes four steps backward",),
    ("step_aside", "left", 1, ""): ("a woman steps to the left",),
    ("step_aside", "right", 1, ""): ("a woman steps to the right",),
    ("walk_sideways", "left", 4, ""): ("a person walks sideways to the left",),
    ("walk_sideways", "right", 4, ""): ("a person walks sideways to the right",),
    ("there_and_back", "left", 4, ""): ("a person walks forward, turns around and walks back",),
    ("march", "", 8, ""): ("a person marches in place with high knees",),
    ("sneak", "", 6, ""): ("a person sneaks forward in a crouch",),
    ("tiptoe", "", 6, ""): ("a person walks forward",),
    ("shuffle_steps", "", 8, ""): ("a person shuffles forward with small steps",),
    ("zombie", "", 6, ""): ("a zombie walks with arms stretched out",),
    ("limp", "left", 7, ""): ("a person limps", "a person limps with an injured left leg"),
    ("sprint", "", 11, ""): ("a man runs fast", "a person runs with the arms pumping"),
    ("jog_in_place", "", 12, ""): ("a person jogs in place",),
    ("jog_in_place", "", 12, "high"): ("a person runs on the spot",),
    ("run_backward", "", 8, ""): ("a person runs backwards",),
    ("run_stop", "", 7, ""): ("a person runs and then stops",),
    ("run_turn", "left", 9, ""): ("a person runs and turns left",),
    ("run_turn", "right", 9, ""): ("a person runs and turns right",),
    ("leap", "", 7, ""): ("a person runs and leaps over an obstacle",),
    ("turn_around", "right", 1, ""): ("a person turns around",),
    ("turn_aside", "left", 1, ""): ("a person stands and turns 90 degrees to the left",),
    ("turn_aside", "right", 1, ""): ("a person stands and turns 90 degrees to the right",),
    ("spin", "left", 1, ""): ("a person spins around once in place", "a person makes a full turn to the left"),
    ("spin", "right", 2, ""): ("a person spins around twice",),
    ("twirl", "right", 1, ""): ("a person twirls around",),
    ("pirouette", "left", 1, ""): ("a ballerina does a pirouette",),
    ("skip", "", 3, ""): ("a person skips happily",),
    ("skip_rope", "", 5, ""): ("a person skips rope",),
    ("long_jump", "", 1, ""): ("a man does a long jump",),
    ("jump_aside", "left", 1, ""): ("a person jumps to the left",),
    ("jump_aside", "right", 1, ""): ("a person jumps to the right",),
    ("jump_arms_up", "", 1, ""): ("a person jumps up and raises both arms",),
    ("jump_turn", "left", 1, ""): ("a person jumps and turns around in the air",),
    ("jump_times", "", 1, ""): ("a person jumps once", "a person jumps up"),
    ("jump_times", "", 3, ""): ("a person jumps three times",),
    ("jump_ahead_times", "", 2, "forward"): ("a person jumps forward twice",),
    ("jump_ahead_times", "", 1, "backward"): ("a person jumps backward",),
    ("hop_times", "", 4, ""): ("a person hops four times",),
    ("hop_times", "", 3, "forward"): ("a person hops forward on both feet",),
    ("hop", "left", 4, ""): ("a person hops on the left leg", "a person hops four times"),
    ("waltz", "", 1, ""): ("a couple dances a waltz",),
    ("salsa", "", 3, ""): ("a person dances salsa",),
    ("dance_arms_up", "", 4, "high"): ("a person dances with the arms up",),
    ("dance_circle", "", 5, "circle"): ("a person dances in a circle",),
    ("step_on_box", "", 1, "box"): ("a person steps onto a box",),
    ("climb_ladder", "left", 1, ""): ("a person climbs a ladder",),
}


def act(action: str, side: str = "", count: int = 1, level: str = "", style: str = "plain", seed: int = 0) -> Joints:
    """One action."""
    return perform([Part(action, side, count, level)], STYLE[style], (seed,))[0]


def fails(prompt: Prompt, joints: Joints) -> list[str]:
    """Names of the prompt's checks that a motion fails."""
    return [result.check for result in prompt.results(Clip(joints)) if not result.verdict.passed]


@pytest.mark.parametrize(("part", "texts"), SERVES.items(), ids=lambda value: "-".join(map(str, value)))
def test_actions_do_what_everyday_prompts_ask_for(part: tuple[str, str, int, str], texts: tuple[str, ...]) -> None:
    for text in texts:
        failed = {seed: fails(PROMPT[text], act(*part, seed=seed)) for seed in range(8)}
        assert sum(map(bool, failed.values())) <= 1, failed


def test_running_in_place_and_steps_of_one_place_stay_there() -> None:
    for action, count, level in (
        ("march", 8, ""),
        ("jog_in_place", 10, "high"),
        ("salsa", 2, ""),
        ("skip_rope", 4, ""),
    ):
        path = act(action, "", count, level)[:, 0, [0, 2]]
        assert np.linalg.norm(path - path[0], axis=1).max() < 0.3


def test_there_and_back_ends_where_it_began() -> None:
    for seed in range(4):
        path = act("there_and_back", "left", 4, seed=seed)[:, 0, [0, 2]]
        far = np.linalg.norm(path - path[0], axis=1)
        assert far.max() > 1.2
        assert far[-1] < 0.5 * far.max()


@pytest.mark.parametrize("side", SIDES)
def test_a_pirouette_turns_on_the_ball_of_the_named_foot(side: str) -> None:
    joints = act("pirouette", side, 2)
    across = joints[:, 1] - joints[:, 2]
    turned = np.rad2deg(np.unwrap(np.arctan2(-across[:, 2], across[:, 0])))
    sign = 1 if side == "left" else -1
    assert sign * (turned[-1] - turned[0]) == pytest.approx(720, abs=10)
    spin = (sign * turned > 60) & (sign * turned < 700)
    ball, free = (joints[spin, 10 if name == "left" else 11] for name in (side, OTHER[side]))
    assert np.ptp(ball[:, [0, 2]], axis=0).max() < 0.02 > ball[:, 1].max()
    assert free[:, 1].min() > 0.2


def test_leaps_and_turning_jumps_fly_once() -> None:
    for action, side, count in (("leap", "", 7), ("jump_turn", "left", 1), ("long_jump", "", 1)):
        high = act(action, side, count)[:, [7, 8, 10, 11], 1].min(1) > 0.1
        assert (np.diff(high.astype(int)) == 1).sum() == 1
    far = act("long_jump")[-1, 0, 2]
    assert far > 1.4 > act("jump_ahead_times", level="forward")[-1, 0, 2]


def test_climbing_moves_hands_and_feet_in_turn_and_ends_high_up() -> None:
    for seed in range(3):
        ladder, box = act("climb_ladder", "left", 2, seed=seed), act("step_on_box", level="box", seed=seed)
        assert ladder[-1, [10, 11], 1].min() > 1.3
        assert np.abs(np.diff(ladder[-1, [10, 11], 1])) < 0.02
        moves = [np.linalg.norm(np.diff(ladder[:, joint], axis=0), axis=1) * 20 > 0.5 for joint in (10, 11)]
        starts = sorted(
            (int(frame), foot) for foot in (0, 1) for frame in np.flatnonzero(np.diff(moves[foot] * 1) == 1)
        )
        assert len(starts) >= 6
        assert all(a[1] != b[1] for a, b in pairwise(starts[:6]))
        assert 0.2 <= box[-1, [10, 11], 1].min() <= box[-1, [10, 11], 1].max() <= 0.43


def test_exact_counts_are_told_exactly() -> None:
    words = {1: {"once", "a single time"}, 2: {"twice"}, 3: {"three times", "3 times"}, 4: {"four times", "4 times"}}
    told = set()
    for count, known in words.items():
        for text in captions([Part("jump_times", "", count)], STYLE["plain"], np.random.default_rng(count), 20):
            found = {word for each in words.values() for word in each if word in text}
            assert found <= known, text
            told |= found
    assert told == set.union(*words.values())


def test_new_actions_have_many_phrases_and_last_some_seconds() -> None:
    names = {part[0] for part in SERVES}
    for name in names:
        assert len({*ACTION[name].phrases, *ACTION[name].side_phrases}) >= 6, name
    for clip in synthesise(60, seed=12, actions=sorted(names), compositions=0.0):
        assert 2.0 <= clip.clip.duration_s <= 9.8
