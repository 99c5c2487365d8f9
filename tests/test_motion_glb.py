"""glTF files: other readers accept them, poses equal the clip, the body follows, and clips can share a file."""

import json
import re
import shutil
import struct
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial.transform import Rotation

from exuvia.errors import ConfigError, ShapeError
from exuvia.motion.bvh import parse_bvh, pose
from exuvia.motion.bvh_writer import bvh_text
from exuvia.motion.chain import forward_kinematics
from exuvia.motion.clip import Clip
from exuvia.motion.export_rig import RIGS, rest_offsets, rest_places
from exuvia.motion.glb_writer import glb_bytes, write_glb_clips
from exuvia.motion.load import load_clip
from exuvia.motion.mannequin import build_body
from exuvia.motion.skeleton import SMPL22
from made_mocap import body

WEB = Path(__file__).resolve().parents[1] / "web"


def rigid(frames: int = 40, seed: int = 0) -> Clip:
    """A walking body with bones of fixed length."""
    joints = body(frames, seed).astype(np.float64)
    parents = SMPL22.parents
    lengths = np.linalg.norm(joints - joints[:, [max(p, 0) for p in parents]], axis=-1).mean(0)
    fixed = joints.copy()
    for joint in sorted(range(22), key=lambda j: _depth(j)):
        if parents[joint] >= 0:
            way = joints[:, joint] - joints[:, parents[joint]]
            fixed[:, joint] = (
                fixed[:, parents[joint]] + way / np.linalg.norm(way, axis=-1, keepdims=True) * lengths[joint]
            )
    return Clip(fixed.astype(np.float32), caption="a person walks ✓")


def _depth(joint: int) -> int:
    return 0 if SMPL22.parents[joint] < 0 else 1 + _depth(SMPL22.parents[joint])


def read(content: bytes) -> tuple[dict[str, Any], bytes]:
    """The JSON and the binary chunk."""
    magic, version, size = struct.unpack_from("<4sII", content)
    assert (magic, version, size) == (b"glTF", 2, len(content))
    length, kind = struct.unpack_from("<I4s", content, 12)
    assert kind == b"JSON"
    assert length % 4 == 0
    rest, label = struct.unpack_from("<I4s", content, 20 + length)
    assert label == b"BIN\0"
    return json.loads(content[20 : 20 + length]), content[28 + length : 28 + length + rest]


def values(about: dict[str, Any], binary: bytes, number: int) -> np.ndarray:
    """Rows of an accessor."""
    accessor = about["accessors"][number]
    view = about["bufferViews"][accessor["bufferView"]]
    kind = {5126: "<f4", 5123: "<u2", 5121: "u1"}[accessor["componentType"]]
    width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}[accessor["type"]]
    assert view["byteOffset"] % 4 == 0
    rows = np.frombuffer(binary, kind, accessor["count"] * width, view["byteOffset"]).reshape(-1, width)
    return rows[:, 0] if width == 1 else rows


def posed(about: dict[str, Any], binary: bytes, animation: int = 0) -> dict[str, np.ndarray]:
    """World positions [F, 3] of the nodes by forward kinematics."""
    nodes, moves = about["nodes"], about["animations"][animation]
    parent = {child: n for n, node in enumerate(nodes) for child in node.get("children", [])}
    track: dict[tuple[int, str], np.ndarray] = {}
    for channel in moves["channels"]:
        sampler = moves["samplers"][channel["sampler"]]
        track[channel["target"]["node"], channel["target"]["path"]] = values(about, binary, sampler["output"])
    frames = len(track[0, "translation"])
    turn, place, positions = {}, {}, {}
    for n, node in enumerate(nodes[:-1]):
        rotation = track.get((n, "rotation"))
        here = Rotation.identity(frames) if rotation is None else Rotation.from_quat(rotation)
        step = track.get((n, "translation"), np.tile(node["translation"], (frames, 1)))
        above = parent.get(n)
        turn[n] = here if above is None else turn[above] * here
        place[n] = step if above is None else place[above] + turn[above].apply(step)
        positions[node["name"]] = place[n]
    return positions


def distances_m(places: dict[str, np.ndarray], clip: Clip) -> np.ndarray:
    """Distances between posed nodes and the clip's joints [J, F]."""
    return np.stack([np.linalg.norm(places[name] - clip.joints[:, j], axis=1) for j, name in enumerate(SMPL22.joints)])


def test_forward_kinematics_reproduces_the_clip() -> None:
    clip = rigid()
    assert distances_m(posed(*read(glb_bytes([clip]))), clip).max() < 0.005
    loose = Clip(body(40, 3))  # every joint sways by 3 cm, on its own
    assert distances_m(posed(*read(glb_bytes([loose]))), loose).mean() < 0.05


def test_animations_are_named_timed_and_smooth(tmp_path: Path) -> None:
    first, second = rigid(30, 1), rigid(50, 2)
    write_glb_clips([first, second], tmp_path / "two.glb")
    about, binary = read((tmp_path / "two.glb").read_bytes())
    assert [animation["name"] for animation in about["animations"]] == ["a person walks ✓"] * 2
    for clip, moves in zip((first, second), about["animations"], strict=True):
        times = values(about, binary, moves["samplers"][0]["input"])
        np.testing.assert_allclose(times, np.arange(clip.frames) / clip.fps, rtol=1e-6)
        for sampler in moves["samplers"][1:]:
            quaternions = values(about, binary, sampler["output"])
            np.testing.assert_allclose(np.linalg.norm(quaternions, axis=1), 1, atol=1e-5)
            assert ((quaternions[1:] * quaternions[:-1]).sum(1) > 0).all(), "no jump between q and -q"
    with pytest.raises(ShapeError, match="no clip"):
        glb_bytes([])


@pytest.mark.parametrize("rig", RIGS)
def test_the_body_is_one_closed_surface_around_its_bones(rig: str) -> None:
    offsets = rest_offsets(rigid().joints.astype(np.float64), RIGS[rig])
    mesh, places = build_body(offsets), rest_places(offsets)
    np.testing.assert_allclose(mesh.weights.sum(1), 1)
    assert (mesh.weights >= 0).all()
    assert mesh.joints.max() < len(SMPL22.joints)
    assert (np.linalg.norm(mesh.vertices[:, None] - places[None], axis=-1).min(1) < 0.3).all()
    corners = mesh.vertices[mesh.triangles]
    volume = np.einsum("ti,ti->t", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() / 6
    assert 0.02 < volume < 0.2, "cubic metres, faces turned outwards"
    _, same = np.unique(mesh.vertices, axis=0, return_inverse=True)  # seams of the texture closed again
    whole = same.reshape(-1)[mesh.triangles]
    edges = np.sort(np.concatenate([whole[:, [a, b]] for a, b in ((0, 1), (1, 2), (2, 0))]), axis=1)
    unique, counts = np.unique(edges, axis=0, return_counts=True)
    assert (counts == 2).all(), "closed"
    assert connected_components(coo_array((np.ones(len(unique)), unique.T), (whole.max() + 1,) * 2))[0] == 1
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=1e-6)
    assert ((mesh.texture >= 0) & (mesh.texture <= 1)).all()
    nose = mesh.vertices[np.abs(mesh.vertices[:, 0]) < 0.03]
    face = nose[nose[:, 1] > places[SMPL22.index("head"), 1]]
    assert face[:, 2].max() - places[15, 2] > 1.1 * (places[15, 2] - face[:, 2].min()), "the nose points forward"


@pytest.mark.parametrize("rig", RIGS)
def test_every_rig_has_its_names_and_poses_a_rigid_body(rig: str, tmp_path: Path) -> None:
    rest, rng = rest_offsets(rigid().joints.astype(np.float64)), np.random.default_rng(0)
    turns = Rotation.from_rotvec(rng.normal(0, 0.06, (30, 22, 3)).cumsum(0).reshape(-1, 3)).as_matrix()
    order, parents = sorted(range(22), key=_depth), SMPL22.parents
    places, _ = forward_kinematics(
        rest[order], [order.index(parents[j]) if j else -1 for j in order], turns.reshape(30, 22, 3, 3)
    )
    clip = Clip(places[:, np.argsort(order)].astype(np.float32) + np.asarray((0, 1, 0), np.float32))
    for root_bone in (False, True):
        about, binary = read(glb_bytes([clip], rig=rig, root_bone=root_bone))
        places = posed(about, binary)
        assert (about["nodes"][0]["name"] == "root") == (root_bone or rig == "unreal")
        ends = np.stack([places[name] for name in RIGS[rig].names])
        assert np.linalg.norm(ends - clip.joints.swapaxes(0, 1), axis=-1).max() < 1e-4
        if root_bone:
            np.testing.assert_allclose(places["root"][:, 1], 0)
            np.testing.assert_allclose(places["root"][:, [0, 2]], clip.joints[:, 0, [0, 2]], atol=1e-6)
        path = tmp_path / f"{root_bone}.bvh"
        clip.save(path, rig=rig, root_bone=root_bone, unit_m=0.01)
        bvh = parse_bvh(path.read_text())
        columns = [bvh.names.index(name) for name in RIGS[rig].names]
        np.testing.assert_allclose(pose(bvh)[:, columns] / 100, ends.swapaxes(0, 1), atol=2e-4)
    with pytest.raises(ConfigError, match="mixamo"):
        glb_bytes([clip], rig="mixam")


def test_files_state_the_origin_of_the_motion(tmp_path: Path) -> None:
    facts = {"prompt": "a man {kicks}; ü # End Site", "seed": 3, "edits": "redirect", "concept": "violence"}
    clip = replace(rigid(), meta=facts)
    about, _ = read(glb_bytes([clip]))
    assert about["asset"]["extras"] == facts
    both, _ = read(glb_bytes([clip, rigid()]))
    assert both["asset"]["extras"] == {"motions": [facts, {}]}
    assert both["animations"][0]["extras"] == facts
    text = clip.save(tmp_path / "a.bvh").read_text()
    comment = re.search(r"# exuvia (.*)", text)
    assert comment is not None
    stated = dict(part.split("=") for part in comment[1].split("; "))
    assert {key: unquote(value) for key, value in stated.items()} == {key: str(value) for key, value in facts.items()}
    clip.save(tmp_path / "a.glb")
    for name in ("a.bvh", "a.glb"):
        back = load_clip(tmp_path / name, None)
        np.testing.assert_allclose(back.joints, clip.joints, atol=0.03)
        assert {key: back.meta[key] for key in facts} == {key: str(value) for key, value in facts.items()}
    assert "exuvia" not in bvh_text(clip, origin=False)
    assert "exuvia" not in bvh_text(rigid())
    assert "extras" not in read(glb_bytes([clip], origin=False))[0]["asset"]


@pytest.mark.parametrize("size", [0.0, 1e-5])
def test_a_body_without_bones_is_refused_in_one_sentence(size: float, tmp_path: Path) -> None:
    clip = Clip(np.ones((5, 22, 3), np.float32) + size * np.arange(22)[None, :, None].astype(np.float32))
    for suffix in (".glb", ".bvh"):
        with pytest.raises(ShapeError, match="one place"):
            clip.save(tmp_path / f"a{suffix}")
        assert not (tmp_path / f"a{suffix}").exists()


def test_another_reader_gives_the_same_result(tmp_path: Path) -> None:
    pygltflib = pytest.importorskip("pygltflib", reason="pygltflib is not installed")
    clip = rigid()
    gltf = pygltflib.GLTF2().load(str(clip.save(tmp_path / "walk.glb")))
    assert [len(skin.joints) for skin in gltf.skins] == [28]
    assert {"pelvis", "left_wrist", "head"} <= {node.name for node in gltf.nodes}
    assert len(gltf.animations[0].channels) == len(gltf.animations[0].samplers) > 20


def test_khronos_validator_reports_no_problem(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None or not (WEB / "node_modules" / "gltf-validator").is_dir():
        pytest.skip("needs node and `npm ci` in web/ for gltf-validator")
    path = tmp_path / "two.glb"
    write_glb_clips([rigid(30, 1), Clip(body(40, 3), caption='</script>"')], path)
    code = (
        "const v = require('gltf-validator'), fs = require('fs');"
        "v.validateBytes(new Uint8Array(fs.readFileSync(process.argv[1])))"
        ".then(r => console.log(JSON.stringify(r.issues)))"
    )
    done = subprocess.run([node, "-e", code, str(path)], cwd=WEB, capture_output=True, text=True, check=True)
    issues = json.loads(done.stdout)
    assert (issues["numErrors"], issues["numWarnings"]) == (0, 0), issues["messages"][:3]
