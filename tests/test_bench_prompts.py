"""The bench of everyday prompts: the list, physics of made flights, agreement with captions, sheets, the commands."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from exuvia.data.captions import Caption
from exuvia.data.prepare import prepare
from exuvia.errors import DataError
from exuvia.motion.clip import Clip
from exuvia.motion.kinematics import FEET, centre_of_mass
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.synthetic.actor import Part
from exuvia.synthetic.dataset import perform
from exuvia.synthetic.style import STYLE
from lab.__main__ import main as lab_main
from lab.prompts.agreement import agreements, grounded
from lab.prompts.load import load_prompts
from lab.prompts.physics import flights, on_floor, physics, unbalanced
from lab.prompts.sheet import HEAD, SIZE, write_sheet
from made_mocap import mocap_folder
from tiny import tiny_pipeline

UP = np.asarray((0, 1, 0), np.float32)
LEFT_KICK = [Part("kick_front", "left", 1, "middle")]


def act(parts: list[Part]) -> Clip:
    return Clip(perform(parts, STYLE["plain"], (0,))[0])


STAND = act([Part("stand")])


def lifted(height: np.ndarray) -> Clip:
    """A standing body that is moved up by heights [F]."""
    return Clip(STAND.joints[:1] + height[:, None, None] * UP)


# the list


def test_the_list_has_200_prompts_in_15_groups_of_some_size() -> None:
    prompts = load_prompts()
    assert len(prompts) == len({prompt.text for prompt in prompts}) == len({prompt.id for prompt in prompts}) == 200
    sizes = {group: sum(prompt.group == group for prompt in prompts) for group in {one.group for one in prompts}}
    assert len(sizes) == 15
    assert min(sizes.values()) >= 7
    assert [prompt.group for prompt in prompts if prompt.platforms] == ["stairs"] * sizes["stairs"]


def test_sides_ask_for_both_sides_alike() -> None:
    texts = {prompt.text for prompt in load_prompts() if prompt.group in ("arms", "strikes")}
    assert sum("left" in text for text in texts) >= 11
    alone = {
        text
        for text in texts
        if text.replace("left", "right") not in texts or text.replace("right", "left") not in texts
    }
    assert alone == {"a person holds a phone to the right ear"}


@pytest.mark.parametrize("prompt", load_prompts(), ids=lambda prompt: prompt.id)
def test_a_body_at_rest_passes_only_what_asks_for_rest(prompt: Any) -> None:
    still = lifted(np.zeros(100))
    results = prompt.results(still)
    assert results
    if all(result.verdict.passed for result in results):
        assert prompt.text.startswith(("a person stands", "a man stands"))


HEADER = 'version = 1\n[checks]\nup = { kind = "height", part = "pelvis", above = 1 }\n[[groups]]\nname = "a"\n'


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ('{ text = "x", checks = ["upp"] }', "did you mean 'up'"),
        ('{ text = "x", checks = [{ kind = "heigth" }] }', "did you mean 'height'"),
        ('{ text = "x", checks = [{ kind = "height", part = "pelvis", aboove = 1 }] }', "aboove"),
        ('{ text = "x", checks = [{ kind = "height", part = "tail", above = 1 }] }', "'tail'"),
        ('{ text = "x", checks = [{ kind = "wave", side = "middle" }] }', "middle"),
        ('{ text = "x", checks = ["up"] }, { text = "x", checks = ["up"] }', "a-02"),
        ('{ text = "x", first = ["up"] }', "lacks checks"),
        ('{ text = "x" }', "lacks checks"),
        ('{ text = "x", check = ["up"] }', "check"),
    ],
)
def test_a_wrong_list_is_refused_in_one_sentence(prompts: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "list.toml"
    path.write_text(HEADER + f"prompts = [ {prompts} ]", encoding="utf-8")
    with pytest.raises(DataError, match=message):
        load_prompts(path)


# physics


def test_the_centre_of_mass_is_in_the_middle_above_the_hips() -> None:
    centre = centre_of_mass(STAND.joints)
    assert np.abs(centre[:, [0, 2]] - STAND.joints[:, 0, [0, 2]]).max() < 0.08
    assert (centre[:, 1] > STAND.joints[:, 0, 1]).all()
    assert (centre[:, 1] < STAND.joints[:, 9, 1]).all()


@pytest.mark.parametrize("fps", [20.0, 60.0])
def test_free_fall_is_a_flight_without_violation(fps: float) -> None:
    time = np.arange(int(0.8 * fps)) / fps
    clip = replace(lifted(np.maximum(3.6 * time - 4.905 * time**2, 0)), fps=fps)
    (flight,) = flights(clip)
    assert flight.acceleration == pytest.approx(-9.81, abs=0.1)
    assert not flight.violates
    assert physics([clip])["flight_violation_share"] == 0


def test_hovering_floating_and_long_flights_violate() -> None:
    time = np.arange(60) / 20
    hover, slow = lifted(0.5 * (time > 0.5) * (time < 1.2)), lifted(np.maximum(1.2 * time - 0.6 * time**2, 0))
    fall, high = (
        lifted(np.maximum(12 * time - 9.81 * 2 * time**2, 0)),
        lifted(np.maximum(6 * time - 4.905 * time**2, 0)),
    )
    for clip in (hover, slow, fall, high):
        assert [flight.violates for flight in flights(clip)] == [True]
    assert next(flights(high)).acceleration == pytest.approx(-9.81, abs=0.1)
    assert physics([hover, STAND])["flight_violation_share"] == 1


def test_a_body_with_a_hand_or_its_back_near_the_floor_does_not_fly() -> None:
    joints = lifted(np.full(40, 0.5)).joints.copy()
    joints[:, 20, 1] = 0.15
    assert not list(flights(Clip(joints)))
    lying = joints[..., [0, 2, 1]]
    assert not list(flights(Clip(lying - lying[..., 1].min() * UP)))


def test_rest_beyond_the_feet_is_unbalanced() -> None:
    leaning = lifted(np.zeros(40)).joints.copy()
    above = [joint for joint in range(22) if joint not in FEET]
    leaning[:, above, 2] += 0.35
    assert not unbalanced(lifted(np.zeros(40))).any()
    assert unbalanced(Clip(leaning)).all()
    assert len(unbalanced(act([Part("walk", "", 6)]))) < 60


def test_penetration_is_counted_and_a_recorded_floor_found() -> None:
    deep = lifted(np.full(40, -0.1))
    assert physics([deep])["floor_penetration_m"] == pytest.approx(0.1, abs=0.02)
    dipped = STAND.joints + 0.15 * UP
    dipped[10, 10, 1] = 0.0
    assert on_floor(Clip(dipped)).joints[:5, :, 1].min() == pytest.approx(0, abs=0.02)


# agreement


def test_agreement_counts_clips_that_pass_and_fail_as_their_captions_say() -> None:
    kick = act(LEFT_KICK)
    said = [("a person kicks with the left leg", kick), ("a man does a front kick with the left leg", STAND),
            ("someone kicks with the right leg", kick.mirrored()), ("a person waves both hands", STAND)]  # fmt: skip
    clips = [
        SimpleNamespace(captions=[Caption(text)], sensor="optical", labels={}, fps=20.0)
        for text in [*(text for text, _ in said), "a person climbs a ladder"]
    ]
    store: Any = SimpleNamespace(clips=clips, joints=lambda number: [*(clip for _, clip in said), STAND][number].joints)
    found = {one.name: one for one in agreements(store)}
    assert found["left_kick"][1:] == ("height", (1, 2), (2, 2))
    assert found["left_kick"].share == 0.75
    assert len(grounded(store)) == 4


# pictures and commands


def test_a_sheet_has_a_row_for_each_motion(tmp_path: Path) -> None:
    write_sheet([(STAND, "a title", "a verdict", True), (act(LEFT_KICK), "x" * 400, "NOT", False)], tmp_path / "s.png")
    with Image.open(tmp_path / "s.png") as picture:
        assert picture.height > 2 * (HEAD + SIZE[1])
        assert len({colour for _, colour in picture.getcolors(10**6)}) > 50


def test_the_command_writes_a_table_sheets_and_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def made(self: Any, texts: list[str], **kw: Any) -> Any:
        return SimpleNamespace(
            clips=[act(LEFT_KICK) if "left" in text else lifted(np.full(60, -0.02)) for text in texts]
        )

    monkeypatch.setattr(MotionPipeline, "from_pretrained", classmethod(lambda cls, name, **kw: tiny_pipeline()))
    monkeypatch.setattr(MotionPipeline, "generate", made)
    ledger = tmp_path / "numbers.jsonl"
    command = ["prompts", "--groups", "still", "strikes", "--seeds", "2", "--out", str(tmp_path / "out")]
    assert lab_main([*command, "--record", str(ledger)]) == 0
    rows = list(csv.DictReader((tmp_path / "out" / "prompts.csv").open(encoding="utf-8")))
    kicks = [row for row in rows if row["prompt"] == "a person kicks with the left leg"]
    assert {(row["seed"], row["check"], row["passed"]) for row in kicks} == {
        (seed, name, "1") for seed in ("100", "1100") for name in ("on_feet", "left_foot", "left_kick")
    }
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"prompts.csv", "still.png", "strikes.png"}
    numbers = {row["name"]: row["value"] for row in map(json.loads, ledger.read_text().splitlines())}
    assert 0 < numbers["prompts.pass_share.still"] < 1
    assert 0 < numbers["prompts.pass_share.strikes"] < 1
    assert numbers["physics.flight_violation_share"] == 0
    assert numbers["physics.floor_penetration_m"] < 0.001 < numbers["physics.floor_penetration_m.raw"]
    assert "prompts.pass_share.still" in capsys.readouterr().out


def test_the_command_refuses_an_unknown_group(capsys: Any) -> None:
    assert lab_main(["prompts", "--groups", "stil"]) == 2
    assert "did you mean 'still'" in capsys.readouterr().err


def test_the_command_of_checks_prints_agreement_and_real_physics(tmp_path: Path, capsys: Any) -> None:
    prepare(mocap_folder(tmp_path / "raw"), tmp_path / "store")
    assert lab_main(["prompt-checks", "--data", str(tmp_path / "store"), "--record", str(tmp_path / "n.jsonl")]) == 0
    printed = capsys.readouterr().out
    assert "left_kick" in printed
    assert "physics.flight_violation_share.real" in printed
