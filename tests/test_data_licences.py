"""Clips for commercial use: their licences by wording, and stores without the others."""

import json
from pathlib import Path

import pytest

from exuvia.data.licences import commercial
from exuvia.data.prepare import prepare
from exuvia.errors import ConfigError
from made_mocap import mocap_folder

FREE = (
    "CMU Graphics Lab Motion Capture Database (free use, no resale of the data itself)",
    "motion: CMU Graphics Lab Motion Capture Database (free use, no resale of the data); captions: HumanML3D (MIT)",
    "HDM05, CC BY-SA 3.0 (as published by its authors; the copy used carries no licence file)",
    "MIT (DeepMimic repository)",
    "none needed (parametric motion)",
    "CC0",
    "CC BY 4.0",
)
NOT_FREE = (
    "",
    "unknown",
    "permitted on request",
    "CC BY-NC 4.0",
    "CC BY-NC-SA 4.0",
    "CC BY-NC 4.0 (Sony Interactive Entertainment clips in the DeepMimic repository)",
    "Reallusion motion, strictly noncommercial (NVIDIA ASE repository)",
    "motion: SFU Motion Capture Database (research use, non-commercial); captions: HumanML3D (MIT)",
    "no licence stated; research data set (Li, Zhang, Liu 2010)",
    "MIT, but Non-Commercial",
)


@pytest.mark.parametrize(("licence", "free"), [*((text, True) for text in FREE), *((text, False) for text in NOT_FREE)])
def test_a_licence_is_known_by_its_wording(licence: str, free: bool) -> None:
    assert commercial(licence) is free


def test_a_store_can_leave_out_what_forbids_commercial_use(tmp_path: Path) -> None:
    source = mocap_folder(tmp_path / "source", clips=20)
    lines = [json.loads(line) for line in (source / "clips.jsonl").read_text().splitlines()]
    for number, line in enumerate(lines):
        line["licence"] = ("CC BY-NC 4.0", "MIT", "")[number % 3]
    (source / "clips.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    store = prepare(source, tmp_path / "free", commercial=True, mirror=False)
    assert {clip.licence for clip in store.clips} == {"MIT"}
    assert len(store) == 7
    reasons = {skipped["id"]: skipped["reason"] for skipped in store.manifest["skipped"]}
    assert reasons["000000"] == "its licence does not allow commercial use: CC BY-NC 4.0"
    assert reasons["000002"] == "its licence does not allow commercial use: none stated"
    with pytest.raises(ConfigError, match="commercial True, not False"):
        prepare(source, tmp_path / "free", mirror=False)
    everything = prepare(source, tmp_path / "all", mirror=False)
    assert len(everything) == 20
    with pytest.raises(ConfigError, match="commercial False, not True"):
        prepare(source, tmp_path / "all", commercial=True, mirror=False)
