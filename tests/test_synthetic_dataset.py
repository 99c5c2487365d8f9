"""The built-in data set: each clip is reproducible, and captions, labels and frame labels agree."""

import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exuvia.errors import ConfigError, ExuviaError
from exuvia.synthetic.actor import Part
from exuvia.synthetic.captions import captions, gerund, third
from exuvia.synthetic.catalogue import ACTION, VIOLENT_FRAME_LABELS
from exuvia.synthetic.dataset import FRAME_LABELS, MAX_FRAMES, MIN_FRAMES, SyntheticClip, synthesise
from exuvia.synthetic.style import STYLE

VIOLENT_WORDS = re.compile(
    r"kick|punch|hit|strik|knee|jab|cross|hook|uppercut|box|push|shov|sword|slash|attack|cut", re.IGNORECASE
)


@pytest.fixture(scope="module")
def clips() -> list[SyntheticClip]:
    """A few hundred clips of all actions."""
    return list(synthesise(300, seed=4, compositions=0.4))


def test_the_same_seed_gives_the_same_bytes(clips: list[SyntheticClip]) -> None:
    for clip, other in zip(clips[:40], synthesise(40, seed=4, compositions=0.4), strict=True):
        assert clip.clip.joints.tobytes() == other.clip.joints.tobytes()
        assert clip.frame_labels.tobytes() == other.frame_labels.tobytes()
        assert (clip.id, clip.captions, clip.labels, clip.actions) == (
            other.id,
            other.captions,
            other.labels,
            other.actions,
        )


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 299))
def test_clip_does_not_depend_on_other_clips(clips: list[SyntheticClip], number: int) -> None:
    (alone,) = synthesise(1, seed=4, compositions=0.4, start=number)
    assert alone.id == clips[number].id
    assert alone.captions == clips[number].captions
    assert alone.clip.joints.tobytes() == clips[number].clip.joints.tobytes()


def test_other_seeds_give_other_clips(clips: list[SyntheticClip]) -> None:
    others = list(synthesise(300, seed=5, compositions=0.4))
    assert not {clip.id for clip in clips} & {clip.id for clip in others}
    assert len({clip.clip.joints.tobytes() for clip in (*clips, *others)}) == 600


def test_clips_have_the_promised_shape(clips: list[SyntheticClip]) -> None:
    for clip in clips:
        frames = clip.clip.frames
        assert clip.clip.fps == 20.0
        assert MIN_FRAMES <= frames <= MAX_FRAMES
        assert clip.clip.joints.shape == (frames, 22, 3)
        assert clip.frame_labels.shape == (frames,)
        assert clip.frame_labels.dtype == np.int16
        assert 0 <= clip.frame_labels.min() <= clip.frame_labels.max() < len(FRAME_LABELS)
        assert 1 <= len(clip.captions) <= 5
        assert clip.clip.caption == clip.captions[0]
        np.testing.assert_allclose(clip.clip.joints[0, 0, [0, 2]], 0.0, atol=1e-6)


def test_clips_start_facing_ahead_with_the_left_side_at_positive_x(clips: list[SyntheticClip]) -> None:
    for clip in clips:
        across = clip.clip.joints[0, 1] - clip.clip.joints[0, 2] + clip.clip.joints[0, 16] - clip.clip.joints[0, 17]
        assert across[0] > 0.3
        assert abs(across[2]) < 0.02


def test_labels_of_a_clip_follow_from_its_actions(clips: list[SyntheticClip]) -> None:
    for clip in clips:
        actions = [ACTION[name] for name in clip.actions]
        assert clip.labels["violent"] == any(action.violent for action in actions)
        assert set(clip.labels["concepts"]) == {concept for action in actions for concept in action.concepts}
        assert ("violence" in clip.labels["concepts"]) == clip.labels["violent"]
        assert clip.labels["side"] in ("left", "right", None)
        assert clip.labels["style"] in STYLE


def test_frames_show_the_actions_of_the_clip_in_order(clips: list[SyntheticClip]) -> None:
    resting = {"stand", "guard", "sit", "crawl", "kneel", "lie", "floor_seat"}
    for clip in clips:
        names = [FRAME_LABELS[label] for label in clip.frame_labels]
        seen = [
            name for name, before in zip(names, [None, *names], strict=False) if name != before and name not in resting
        ]
        wanted = [ACTION[name].label for name in clip.actions if ACTION[name].label not in resting]
        assert seen == [name for k, name in enumerate(wanted) if k == 0 or name != wanted[k - 1]] or seen == wanted
        assert clip.labels["violent"] == bool(VIOLENT_FRAME_LABELS & set(names))


def test_frame_labels_are_always_or_never_violent() -> None:
    for label in FRAME_LABELS:
        assert len({action.violent for action in ACTION.values() if action.label == label}) <= 1
    assert len(set(FRAME_LABELS)) == len(FRAME_LABELS)


def test_captions_name_the_side_that_moves() -> None:
    for clip in synthesise(250, seed=9, compositions=0.0):
        words = Counter(re.findall(r"\b(left|right)\b", " ".join(clip.captions)))
        if clip.labels["side"] is None:
            assert not words
        else:
            assert set(words) <= {clip.labels["side"]}
            if ACTION[clip.actions[0]].side_phrases:
                assert words or len(clip.captions) < 4


def test_captions_mention_violence_only_of_violent_clips() -> None:
    harmless = re.compile(
        r"ball|danc|legs to the beat|small kicks|drum|bat|box forward|a box|low box|cart|heavy|block|knee|"
        r"push[ -]?ups|push\w* something",
        re.IGNORECASE,
    )
    for clip in synthesise(300, seed=10, compositions=0.0):
        for caption in clip.captions:
            if clip.labels["violent"]:
                assert VIOLENT_WORDS.search(caption), caption
            elif VIOLENT_WORDS.search(caption.replace("knees", "")):
                assert harmless.search(caption), caption


def test_captions_are_clean_and_varied(clips: list[SyntheticClip]) -> None:
    everything = [caption for clip in clips for caption in clip.captions]
    for caption in everything:
        assert not re.search(r"[\[\]{}]|  | ,| \.|\bthe the\b|^\s|\s$", caption), caption
    assert len(set(everything)) > 0.85 * len(everything)
    for clip in clips:
        assert len(set(clip.captions)) == len(clip.captions)


def test_counts_in_captions_are_performed() -> None:
    for clip in synthesise(60, seed=2, actions=["jumping_jacks"], compositions=0.0):
        counts = {int(n) for n in re.findall(r"\b(\d+) (?:jumping|times)", " ".join(clip.captions))}
        both = clip.clip.joints[:, [20, 21], 1].min(axis=1) > clip.clip.joints[:, 15, 1]
        done = int((np.diff(both.astype(int)) == 1).sum())
        assert counts <= {done}


@pytest.mark.parametrize(
    "action", ["jump", "hop", "sit_and_stand", "jumping_jacks", "climb_stairs", "push_ups", "lunges"]
)
def test_captions_name_the_count_of_the_script(action: str) -> None:
    words = {"twice": 2} | {word: n for n, word in enumerate("zero one two three four five six seven eight".split())}
    named = 0
    for count in ACTION[action].counts:
        part = Part(action, ACTION[action].sides[0], count, next(iter(ACTION[action].levels)))
        for caption in captions([part], STYLE["plain"], np.random.default_rng(count), count=12):
            for word in re.findall(
                r"\b(twice|[a-z]+|\d)(?= (?:times|jumps|hops|jumping|stairs|steps|push|lunges)|$|\.)",
                caption.replace("one by one", ""),
            ):
                if word in words or word.isdigit():
                    assert words.get(word, None) == count or word == str(count), caption
                    named += 1
    assert named >= 4


def test_captions_name_the_direction_of_the_script() -> None:
    told = {"left": "counterclockwise|counter clockwise|anticlockwise", "right": "clockwise"}
    for clip in synthesise(60, seed=6, actions=["walk_circle", "run_circle", "jog_circle"], compositions=0.0):
        for caption in clip.captions:
            if found := re.search(r"(counter ?|anti)?clockwise", caption):
                assert re.fullmatch(told[clip.labels["side"]], found[0]), caption
    for name, way, wrong in (("climb_stairs", "up|climb|ascend", "down"), ("descend_stairs", "down|descend", r"\bup")):
        for clip in synthesise(20, seed=7, actions=[name], compositions=0.0):
            for caption in clip.captions:
                assert re.search(way, caption), caption
                assert not re.search(wrong, caption), caption


def test_actions_have_several_captions_and_most_of_them_are_drawn() -> None:
    few = {name for name, action in ACTION.items() if len({*action.phrases, *action.side_phrases}) < 3}
    assert not few
    drawn = {name for clip in synthesise(600, seed=8) for name in clip.actions}
    assert len(drawn) > 0.9 * len(ACTION)


def test_every_action_is_documented() -> None:
    page = (Path(__file__).parents[1] / "docs" / "data.md").read_text(encoding="utf-8")
    rows = [row for row in page.splitlines() if row.startswith("|")]
    listed = set(re.findall(r"`(\w+)`", "".join(rows)))
    assert set(ACTION) <= listed


def test_bodies_on_the_floor_only_do_what_one_can_do_there() -> None:
    for clip in synthesise(40, seed=4, actions=["crawl", "get_on_all_fours", "stand_from_all_fours", "walk"]):
        posture = [(ACTION[name].before, ACTION[name].after) for name in clip.actions]
        assert all(after == before for (_, after), (before, _) in pairwise(posture))
        start = clip.clip.joints[0, 0, 1]
        assert start < 0.65 if posture[0][0] == "crawl" else start > 0.7


@pytest.mark.parametrize(
    ("verb", "third_person", "ing"),
    [
        ("kick", "kicks", "kicking"), ("punch", "punches", "punching"), ("box", "boxes", "boxing"),
        ("sit", "sits", "sitting"), ("squat", "squats", "squatting"), ("wave", "waves", "waving"),
        ("do", "does", "doing"), ("jog", "jogs", "jogging"), ("bow", "bows", "bowing"), ("knee", "knees", "kneeing"),
        ("step", "steps", "stepping"), ("sidestep", "sidesteps", "sidestepping"), ("carry", "carries", "carrying"),
        ("lie", "lies", "lying"), ("kneel", "kneels", "kneeling"), ("get", "gets", "getting"),
        ("drum", "drums", "drumming"), ("beat", "beats", "beating"), ("play", "plays", "playing"),
    ],
)  # fmt: skip
def test_verbs_are_inflected(verb: str, third_person: str, ing: str) -> None:
    assert third(verb) == third_person
    assert gerund(verb) == ing


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(ACTION)), st.sampled_from(sorted(STYLE)), st.integers(0, 10**6), st.integers(0, 4))
def test_any_script_can_be_described(name: str, style: str, seed: int, count: int) -> None:
    action = ACTION[name]
    parts = [Part(name, action.sides[-1], count, level) for level in list(action.levels)[:2]]
    sentences = captions(parts, STYLE[style], np.random.default_rng(seed), count=4)
    assert 1 <= len(sentences) <= 4
    assert all(len(caption.split()) >= 2 for caption in sentences)  # "he bows": a subject and a verb


def test_selected_actions_without_compositions() -> None:
    clips = list(synthesise(20, seed=0, actions=["kick_front", "walk"], compositions=0.0))
    assert {clip.actions for clip in clips} == {("kick_front",), ("walk",)}
    chained = list(synthesise(30, seed=0, actions=["walk", "kick_front", "clap"], compositions=1.0))
    assert all(2 <= len(clip.actions) <= 3 for clip in chained)
    assert ("walk", "kick_front") in {clip.actions[:2] for clip in chained}


def test_seated_bodies_do_not_walk() -> None:
    for clip in synthesise(200, seed=3, actions=["sit_down", "sit", "stand_up", "walk"], compositions=1.0):
        posture = [(ACTION[name].before, ACTION[name].after) for name in clip.actions]
        assert all(after == before for (_, after), (before, _) in pairwise(posture))


def test_some_clips_are_violent() -> None:
    share = np.mean([clip.labels["violent"] for clip in synthesise(400, seed=1, compositions=0.0)])
    assert 0.07 < share < 0.3


def test_sequences_are_of_everyday_actions_and_of_both_sides() -> None:
    clips = list(synthesise(400, seed=13))
    assert 0.3 < np.mean([len(clip.actions) == 2 for clip in clips]) < 0.5
    second = [clip.actions[1] for clip in clips if len(clip.actions) > 1]
    assert np.mean([ACTION[name].follow > 1 for name in second]) > 0.55
    twice = [clip for clip in synthesise(60, seed=3, actions=["raise_arm"], compositions=1.0) if len(clip.actions) == 2]
    assert all(clip.labels["side"] is None for clip in twice)
    told = [caption for clip in twice for caption in clip.captions]
    assert sum(" and then the " in caption for caption in told) > 5
    assert all({"left", "right"} <= set(re.findall(r"\w+", caption)) for caption in told)


def test_two_actions_are_often_told_with_and_then() -> None:
    parts = [Part("bow"), Part("sit_down")]
    told = [text for k in range(40) for text in captions(parts, STYLE["plain"], np.random.default_rng(k))]
    assert 0.3 < np.mean([" and then " in text for text in told]) < 0.7
    for link in (", then ", "before ", "after "):
        assert np.mean([link in text for text in told]) > 0.04


@pytest.mark.parametrize("action", ["raise_arm", "punch_hand", "kick_front", "squat", "clap", "bow"])
def test_half_of_the_captions_name_the_count(action: str) -> None:
    part = Part(action, ACTION[action].sides[0], 3, list(ACTION[action].levels)[-1])
    told = [text for k in range(40) for text in captions([part], STYLE["plain"], np.random.default_rng(k))]
    assert 0.35 < np.mean([re.search(r"\b(three|3)\b", text) is not None for text in told]) < 0.85


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"actions": ["kick_frnt"]}, "did you mean 'kick_front'"), ({"actions": []}, "empty list of actions"),
        ({"compositions": 1.5}, "share from 0 to 1"), ({"count": -1}, "at least 0"), ({"seed": -2}, "at least 0"),
        ({"start": -1}, "at least 0"),
    ],
)  # fmt: skip
def test_wrong_requests_are_refused_at_once(arguments: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        synthesise(**({"count": 1, "seed": 0} | arguments))  # type: ignore[arg-type]
    assert isinstance(caught.value, ExuviaError)
