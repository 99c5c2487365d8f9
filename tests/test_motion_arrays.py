"""Joint arrays, AMASS and DeepMimic: layouts, units, axes and refused input."""

import json
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from exuvia.errors import DataError, ExuviaError, ShapeError
from exuvia.features.humanml3d import HUMANML3D
from exuvia.features.kit import KIT
from exuvia.motion.clip import Clip
from exuvia.motion.load import load_clip
from exuvia.motion.skeleton import SMPL22
from exuvia.motion.source import Source
from made_mocap import body


def standing(frames: int = 8) -> np.ndarray:
    """A still body [F, 22, 3] in metres, facing +z."""
    joints = np.zeros((22, 3))
    for joint in range(1, 22):
        joints[joint] = joints[SMPL22.parents[joint]] + SMPL22.rest_offsets[joint]
    return np.repeat((joints + np.asarray((0, 0.95, 0)))[None], frames, 0)


@pytest.mark.parametrize("count", [22, 24, 52, 55])
def test_first_22_joints_of_the_smpl_family(tmp_path: Path, count: int) -> None:
    joints = np.concatenate((standing(), np.zeros((8, count - 22, 3))), axis=1)
    np.save(tmp_path / "a.npy", joints)
    clip = load_clip(tmp_path / "a.npy")
    assert clip.fps == 20.0
    np.testing.assert_allclose(clip.joints, standing(), atol=1e-6)


@pytest.mark.parametrize("unit_m", [1.0, 0.01, 0.001, 0.0254])
def test_unit_follows_from_the_length_of_the_legs(tmp_path: Path, unit_m: float) -> None:
    np.save(tmp_path / "a.npy", standing() / unit_m)
    np.testing.assert_allclose(load_clip(tmp_path / "a.npy").joints, standing(), atol=1e-5)


def test_scale_is_normalised_on_request_only(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", standing() * 1.2)
    np.testing.assert_allclose(load_clip(tmp_path / "a.npy").joints, standing() * 1.2, atol=1e-5)
    legs = load_clip(tmp_path / "a.npy", normalise_scale=True).joints[0, [1, 2, 4, 5, 7, 8]]
    assert np.linalg.norm(legs[2:] - legs[:4], axis=-1).reshape(2, 2).sum(0).mean() == pytest.approx(0.80, abs=1e-4)


def test_z_up_is_rotated_on_request(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", standing()[..., [0, 2, 1]] * [-1, 1, 1])
    np.testing.assert_allclose(load_clip(tmp_path / "a.npy", source=Source(up="z")).joints, standing(), atol=1e-5)


def test_saved_npy_reads_back_and_npz_keeps_its_rate(tmp_path: Path) -> None:
    clip = Clip(standing(24).astype(np.float32))
    clip.save(tmp_path / "a.npy")
    np.testing.assert_array_equal(load_clip(tmp_path / "a.npy").joints, clip.joints)
    assert [p.name for p in tmp_path.iterdir()] == ["a.npy"]
    np.savez(tmp_path / "a.npz", joints=clip.joints, fps=60)
    back = load_clip(tmp_path / "a.npz")
    assert (back.frames, back.fps, back.meta["source_fps"]) == (8, 20.0, 60.0)
    assert load_clip(tmp_path / "a.npz", source=Source(fps=20)).frames == 24


def kit_body(mirrored: bool) -> np.ndarray:
    """KIT's 21 joints in millimetres, facing +z; if mirrored, joints 5-7 and 11-15 are on the right side."""
    body = standing(6)
    at = {name: body[:, i] for i, name in enumerate(SMPL22.joints)}
    first, second = ("right", "left") if mirrored else ("left", "right")
    arm = [[at[f"{side}_{j}"] for j in ("shoulder", "elbow", "wrist")] for side in (first, second)]
    leg = [
        [at[f"{side}_{j}"] for j in ("hip", "knee", "ankle")]
        + [0.5 * (at[f"{side}_ankle"] + at[f"{side}_foot"]), at[f"{side}_foot"]]
        for side in (first, second)
    ]
    middle = [at["pelvis"], at["spine1"], at["spine2"], at["neck"], at["head"]]
    return 1000 * np.stack([*middle, *arm[0], *arm[1], *leg[0], *leg[1]], axis=1)


@pytest.mark.parametrize("mirrored", [False, True])
def test_kit_joints_keep_their_sides(tmp_path: Path, mirrored: bool) -> None:
    np.save(tmp_path / "a.npy", kit_body(mirrored))
    clip = load_clip(tmp_path / "a.npy", fps=12.5)
    same = [i for i, name in enumerate(SMPL22.joints) if name not in ("spine3", "left_collar", "right_collar")]
    np.testing.assert_allclose(clip.joints[:, same], standing(6)[:, same], atol=1e-5)


@pytest.mark.parametrize(
    ("array", "match"),
    [
        (np.zeros((40, 263), np.float32), r"Std\.npy"),
        (np.zeros((40, 251), np.float32), r"Std\.npy"),
        (np.zeros((40, 23, 3)), "J = 22"),
        (np.zeros((40, 22, 2)), "J = 22"),
        (np.zeros((3, 40, 22, 3)), "batch of 3"),
        (np.zeros((22, 3, 3)), "several ways"),
        (np.zeros((40, 65)), "J = 22"),
        (np.zeros((40, 22, 3)), "length 0"),
        (np.full((40, 22, 3), np.nan), "NaN"),
        (np.zeros((0, 22, 3)), "0 frame"),
        (standing(1), "1 frame"),
        (standing() * 1e4, "unit_m"),
        (np.zeros((40, 22, 3), complex), "real numbers"),
        (np.array({"motion": 1}, dtype=object), r"never unpickled.*np\.save\('motion\.npy'"),
    ],
)
def test_other_arrays_are_refused_with_advice(tmp_path: Path, array: np.ndarray, match: str) -> None:
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises((DataError, ShapeError), match=match) as caught:
        load_clip(tmp_path / "a.npy")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("count", [21, 22, 24, 55])
@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("batch", [None, 0, 1])
def test_every_order_of_axes_with_one_reading_is_read(
    tmp_path: Path, count: int, order: tuple[int, ...], batch: int | None
) -> None:
    body = standing(40) if count > 21 else kit_body(False).repeat(7, 0)[:40] / 1000
    joints = np.concatenate((body, np.zeros((40, max(count - 22, 0), 3))), axis=1)
    array = joints.transpose(order)
    np.save(tmp_path / "a.npy", array if batch is None else np.expand_dims(array, batch))
    np.save(tmp_path / "b.npy", joints)
    np.testing.assert_array_equal(load_clip(tmp_path / "a.npy").joints, load_clip(tmp_path / "b.npy").joints)


def test_flat_joints_and_features_are_read(tmp_path: Path) -> None:
    flat = standing(40).reshape(40, 66)
    for array in (flat, flat.T, flat[None]):
        np.save(tmp_path / "a.npy", array)
        np.testing.assert_allclose(load_clip(tmp_path / "a.npy").joints, standing(40), atol=1e-6)
    clip = body(60)
    features = HUMANML3D.encode([clip])[0]
    np.save(tmp_path / "f.npy", features)
    np.testing.assert_allclose(load_clip(tmp_path / "f.npy").joints, HUMANML3D.recover(features), atol=1e-5)
    np.save(tmp_path / "n.npy", (features - features.mean(0)) / (features.std(0) + 1e-3))
    with pytest.raises(DataError, match=r"Std\.npy"):
        load_clip(tmp_path / "n.npy")
    kit = KIT.encode([kit_body(False).repeat(7, 0)], retarget=False)[0]
    np.save(tmp_path / "k.npy", kit)
    legs = load_clip(tmp_path / "k.npy", fps=12.5).joints[0]
    assert np.linalg.norm(legs[4] - legs[1]) == pytest.approx(0.39, abs=0.02)


def test_archives_of_any_one_motion_are_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", motion=standing(40).transpose(1, 2, 0)[None], fps=np.array("30"))
    clip = load_clip(tmp_path / "a.npz", None)
    assert clip.fps == 30.0
    np.testing.assert_allclose(clip.joints, standing(40), atol=1e-6)


def test_other_archives_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", weights=np.zeros(3))
    with pytest.raises(DataError, match=r"found weights, expected joints"):
        load_clip(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", joints=standing(), fps=np.array("fast"))
    with pytest.raises(DataError, match="expected one rate"):
        load_clip(tmp_path / "a.npz")
    (tmp_path / "b.npz").write_text("HIERARCHY")
    with pytest.raises(DataError, match=r"b\.npz"):
        load_clip(tmp_path / "b.npz")


@settings(max_examples=80, deadline=None)
@given(cut=st.floats(0, 0.999), suffix=st.sampled_from([".npy", ".npz"]))
def test_truncated_arrays_are_refused(cut: float, suffix: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("cut") / f"a{suffix}"
    if suffix == ".npy":
        np.save(path, standing())
    else:
        np.savez_compressed(path, joints=standing(), fps=20)
    data = path.read_bytes()
    path.write_bytes(data[: int(cut * len(data))])
    with pytest.raises((DataError, ShapeError)):
        load_clip(path)


# --- AMASS


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder with a dummy body model: vertices are the joints of a still body, and the shape direction is height."""
    rest = standing(1)[0]
    shapes = np.zeros((22, 3, 2))
    shapes[:, 1, 0] = rest[:, 1]
    tree = np.array([[-1, *SMPL22.parents[1:]], range(22)])
    folder = tmp_path / "models" / "smplh" / "male"
    folder.mkdir(parents=True)
    np.savez(folder / "model.npz", v_template=rest, shapedirs=shapes, J_regressor=np.eye(22), kintree_table=tree)
    return tmp_path / "models"


def amass(path: Path, **changed: Any) -> Path:
    poses = np.zeros((12, 156))
    poses[:, 0] = np.pi / 2  # AMASS bodies stand along z: the rest pose turned up
    content = {"poses": poses, "trans": np.tile([1.0, 2.0, 0.0], (12, 1)), "betas": np.zeros(16),
               "gender": np.array("male"), "mocap_framerate": np.array(120.0)} | changed  # fmt: skip
    np.savez(path, **{key: value for key, value in content.items() if value is not None})
    return path


def test_amass_stands_upright_in_metres(tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = load_clip(amass(tmp_path / "a.npz"), source=Source(body_models=models))
    assert (clip.frames, clip.meta["source_fps"]) == (2, 120.0)
    body = clip.joints[0] - clip.joints[0, 0]
    rest = standing(1)[0] - standing(1)[0, 0]
    # it faces away from the rest pose, and left is still on the left
    np.testing.assert_allclose(body, rest * [-1, 1, -1], atol=1e-5)
    monkeypatch.setenv("SMPL_MODELS", str(models))
    np.testing.assert_array_equal(load_clip(tmp_path / "a.npz").joints, clip.joints)


def test_amass_poses_and_shape(tmp_path: Path, models: Path) -> None:
    rng = np.random.default_rng(0)
    poses = rng.normal(0, 0.4, (12, 156))
    clip = load_clip(amass(tmp_path / "a.npz", poses=poses, betas=np.r_[0.1, np.zeros(15)]), fps=120.0,
                     source=Source(body_models=models))  # fmt: skip
    rest = standing(1)[0] * [1, 1.1, 1]
    world: list[Rotation] = []
    expected = np.zeros((22, 3))
    for joint, parent in enumerate(SMPL22.parents):
        turn = Rotation.from_rotvec(poses[3, 3 * joint : 3 * joint + 3])
        world.append(turn if parent < 0 else world[parent] * turn)
        expected[joint] = rest[0] + [1, 2, 0] if parent < 0 else (
            expected[parent] + world[parent].apply(rest[joint] - rest[parent]))  # fmt: skip
    np.testing.assert_allclose(clip.joints[3], expected[:, [0, 2, 1]] * [-1, 1, 1], atol=1e-5)


@pytest.mark.parametrize(
    ("names", "trans", "flat"),
    [(("root_orient", "pose_body"), "trans", True), (("global_orient", "body_pose"), "transl", True),
     (("global_orient", "body_pose"), "transl", False)],
)  # fmt: skip
def test_parts_of_poses_are_joined(
    names: tuple[str, str], trans: str, flat: bool, tmp_path: Path, models: Path
) -> None:
    poses = np.random.default_rng(0).normal(0, 0.4, (12, 66))
    whole = load_clip(amass(tmp_path / "a.npz", poses=poses), source=Source(body_models=models))
    parts = {names[0]: poses[:, :3], names[1]: poses[:, 3:]}
    if not flat:
        parts = {name: part.reshape(12, -1, 3) for name, part in parts.items()}
    parts |= {trans: np.tile([1.0, 2.0, 0.0], (12, 1)), "betas": np.zeros((12, 10))}
    np.savez(tmp_path / "b.npz", **parts, gender=np.array("male"))
    with pytest.raises(DataError, match="rate"):
        load_clip(tmp_path / "b.npz", source=Source(body_models=models))
    split = load_clip(tmp_path / "b.npz", source=Source(body_models=models, fps=120))
    np.testing.assert_allclose(split.joints, whole.joints, atol=1e-6)
    np.savez(tmp_path / "b.npz", **{**parts, names[1]: parts[names[1]][:7]}, fps=30)
    with pytest.raises(ShapeError, match="as many frames"):
        load_clip(tmp_path / "b.npz", source=Source(body_models=models))


def test_bodies_of_models_with_y_up_stand(tmp_path: Path, models: Path) -> None:
    clip = load_clip(
        amass(tmp_path / "a.npz", poses=np.zeros((12, 66)), trans=np.zeros((12, 3))), source=Source(body_models=models)
    )
    assert clip.meta["up"] == "y"
    assert (clip.joints[:, 15, 1] - clip.joints[:, 0, 1] > 0.4).all()


def test_amass_without_body_model_rate_or_poses(tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SMPL_MODELS", raising=False)
    with pytest.raises(DataError, match="licensed body model"):
        load_clip(amass(tmp_path / "a.npz"))
    source = Source(body_models=models)
    with pytest.raises(DataError, match="no body model for gender 'female'"):
        load_clip(amass(tmp_path / "a.npz", gender=np.array("female")), source=source)
    with pytest.raises(DataError, match="mocap_framerate"):
        load_clip(amass(tmp_path / "a.npz", mocap_framerate=None), source=source)
    with pytest.raises(ShapeError, match="poses"):
        load_clip(amass(tmp_path / "a.npz", poses=np.zeros((12, 63))), source=source)
    np.savez(models / "smplh" / "male" / "model.npz", x=np.zeros(3))
    with pytest.raises(DataError, match="is not a body model"):
        load_clip(amass(tmp_path / "a.npz"), source=source)


# --- DeepMimic


def deepmimic(frames: list[list[float]]) -> str:
    return json.dumps({"Loop": "none", "Frames": frames})


def _frame(x: float, knee_rad: float = 0.0, duration_s: float = 1 / 30) -> list[float]:
    still = [1.0, 0, 0, 0]
    return [
        duration_s,
        x,
        0.9,
        0,
        *still,
        *still,
        *still,
        *still,
        knee_rad,
        *still,
        *still,
        0,
        *still,
        0,
        *still,
        *still,
        0,
    ]


def test_deepmimic_faces_forward_and_bends_the_right_knee_back(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(deepmimic([_frame(0.1 * i, -1.0) for i in range(31)]))
    clip = load_clip(tmp_path / "a.txt")
    assert (clip.frames, clip.meta["source_fps"]) == (21, 30.0)
    np.testing.assert_allclose(clip.joints[-1, 0] - clip.joints[0, 0], [0, 0, 3.0], atol=1e-5)
    at = dict(zip(SMPL22.joints, clip.joints[0], strict=True))
    assert at["left_hip"][0] > 0 > at["right_hip"][0]
    assert at["right_ankle"][2] < -0.3
    assert at["left_ankle"][2] == pytest.approx(0, abs=1e-6)


def test_deepmimic_frames_of_unequal_length_keep_their_time(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(
        deepmimic([_frame(0.0, duration_s=0.5), _frame(0.5, duration_s=0.25), _frame(0.75)])
    )
    clip = load_clip(tmp_path / "a.txt")
    np.testing.assert_allclose(clip.joints[:, 0, 2], 0.05 * np.arange(16), atol=1e-5)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("a person walks forward#a/DET person/NOUN#0.0#0.0", "not a DeepMimic motion"),
        (deepmimic([]), "no frames"),
        (deepmimic([_frame(0)]), "1 frame"),
        (deepmimic([_frame(0)[:-1]] * 3), "frames of 43"),
        (deepmimic([_frame(0, duration_s=0)] * 3), "lasts 0 s"),
        (deepmimic([_frame(0)] * 3)[:-40], "truncated"),
        (deepmimic([_frame(float("nan"))] * 9), "NaN"),
        (deepmimic([[1 / 30] + [0.0] * 43] * 9), "NaN"),
        ("[" * 100000, "not a DeepMimic motion"),
        ('{"Frames": 3}', "not a DeepMimic motion"),
        ('{"Frames": ["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]}', "not a DeepMimic motion"),
    ],
)
def test_other_texts_are_refused(tmp_path: Path, text: str, match: str) -> None:
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises((DataError, ShapeError), match=match):
        load_clip(tmp_path / "a.txt")


@settings(max_examples=50, deadline=None)
@given(data=st.binary(max_size=400), suffix=st.sampled_from([".npy", ".npz", ".txt", ".bvh", ".amc"]))
def test_any_bytes_raise_an_exuvia_error(data: bytes, suffix: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("bytes") / f"a{suffix}"
    path.write_bytes(data)
    with pytest.raises(ExuviaError):
        load_clip(path)
