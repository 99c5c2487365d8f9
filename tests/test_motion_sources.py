"""Original files of the development data, compared with joints that were prepared from them independently."""

import json
from pathlib import Path

import numpy as np
import pytest

from exuvia.errors import DataError
from exuvia.motion.load import load_clip
from exuvia.motion.skeleton import SMPL22
from exuvia.motion.source import Source

LIMBS = [1, 2, 4, 5, 7, 8, 10, 11, 12, 16, 17, 18, 19, 20, 21]


@pytest.fixture(scope="module")
def prepared(shared_data: Path) -> dict[str, np.ndarray]:
    folder = shared_data / "mocap"
    archive = np.load(folder / "clips.npz")
    joints, offsets = archive["joints"], archive["offsets"]
    names = [json.loads(line)["id"] for line in (folder / "clips.jsonl").read_text().splitlines()]
    return {name: joints[offsets[i] : offsets[i + 1]] for i, name in enumerate(names)}


def _grounded(joints: np.ndarray) -> np.ndarray:
    joints = joints.astype(np.float64)
    joints = joints - joints[:1, 1:3].mean(1, keepdims=True) * [1, 0, 1]
    return joints - [0, joints[..., 1].min(), 0]


@pytest.mark.parametrize(
    ("file", "name", "start", "source_fps", "limit_mm"),
    [
        ("cmu_02_05_cgspeed.bvh", "006722", 2, None, 4.0),  # prepared from the .asf, whose thorax points 2 degrees off
        ("cmu_131_01_joints3.bvh", "013683", 0, None, 13.5),  # prepared from the second of the 120 Hz frames
        ("cmu_60_10_daz.bvh", "007256", 7, 60.0, 6.0),  # taken at 60 Hz, though the file says 120
        ("cmu_02_01.amc", "012181", 0, None, 0.2),
        ("cmu_16_45.amc", "CMU_16_45", 0, None, 0.2),
        ("hdm05_HDM_tr_kickLFront1Reps_025_120.amc", "HDM05_tr_kickLFront1Reps_025", 0, None, 0.2),
        ("bandai_1_kick_normal_001.bvh", "BandaiNamco1_kick_normal_001", 0, None, 0.2),
        ("bandai_1_walk_normal_001.bvh", "BandaiNamco1_walk_normal_001", 0, None, 0.2),
        ("deepmimic_humanoid3d_kick.txt", "DeepMimic_kick", 0, None, 0.2),
    ],
)
def test_originals_agree_with_the_prepared_joints(
    shared_data: Path, prepared: dict[str, np.ndarray], file: str, name: str, start: int,
    source_fps: float | None, limit_mm: float,
) -> None:  # fmt: skip
    clip = load_clip(shared_data / "mocap" / "raw" / file, source=Source(fps=source_fps), normalise_scale=True)
    theirs = prepared[name]
    ours = clip.joints[start : start + len(theirs)]
    assert len(ours) == len(theirs)
    error_mm = 1000 * np.linalg.norm(_grounded(ours) - _grounded(theirs), axis=-1).mean(0)
    assert error_mm[LIMBS].max() < limit_mm


def test_left_is_left_and_sizes_are_human(shared_data: Path) -> None:
    files = [f for f in (shared_data / "mocap" / "raw").iterdir() if f.suffix in (".bvh", ".amc", ".txt")]
    assert len(files) >= 9
    for file in files:
        clip = load_clip(file)
        assert clip.fps == 20.0
        across = clip.joints[:, 1] - clip.joints[:, 2]
        toes = clip.joints[:, [10, 11]].mean(1) - clip.joints[:, [7, 8]].mean(1)
        up = clip.joints[:, SMPL22.index("neck")] - clip.joints[:, 0]
        assert (np.einsum("fc,fc->f", np.cross(up, toes), across) > 0).mean() > 0.9, file.name
        height = (clip.joints[..., 1].max(1) - clip.joints[..., 1].min(1)).max()
        assert 1.3 < height < 2.3, file.name


def test_calibration_frames_are_dropped_and_real_first_frames_kept(shared_data: Path) -> None:
    raw = shared_data / "mocap" / "raw"
    dropped = {file.name: load_clip(file).meta["dropped_first_frame"] for file in raw.glob("*.bvh")}
    assert {name for name, gone in dropped.items() if gone} == {"cmu_02_05_cgspeed.bvh", "cmu_60_10_daz.bvh"}
    held = {file.name: load_clip(file).meta["held_frames"] for file in raw.glob("*.bvh")}
    assert {name: count for name, count in held.items() if count} == {"cmu_60_10_daz.bvh": 4}


def test_motion_with_the_wrong_skeleton_or_none(shared_data: Path, tmp_path: Path) -> None:
    raw = shared_data / "mocap" / "raw"
    (tmp_path / "02_01.amc").write_bytes((raw / "cmu_02_01.amc").read_bytes())
    with pytest.raises(DataError, match="expected its skeleton"):
        load_clip(tmp_path / "02_01.amc")
    clip = load_clip(tmp_path / "02_01.amc", source=Source(asf=raw / "cmu_02.asf"))
    np.testing.assert_array_equal(clip.joints, load_clip(raw / "cmu_02_01.amc").joints)
