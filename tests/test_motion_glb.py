"""glTF files: other readers accept them, poses equal the clip, the body follows, and clips can share a file."""

import json
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from exuvia.errors import ShapeError
from exuvia.motion.bvh_writer import body_nodes, rest_offsets
from exuvia.motion.clip import Clip
from exuvia.motion.glb_writer import glb_bytes, write_glb_clips
from exuvia.motion.mannequin import build_body, rest_places
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


def test_the_body_surrounds_its_bones_and_follows_their_nodes() -> None:
    nodes = body_nodes(rest_offsets(rigid().joints.astype(np.float64)))
    mesh, places = build_body(nodes), rest_places(nodes)
    np.testing.assert_allclose(mesh.weights.sum(1), 1)
    assert (mesh.weights >= 0).all()
    assert mesh.nodes.max() < len(nodes)
    assert (np.linalg.norm(mesh.vertices[:, None] - places[None], axis=-1).min(1) < 0.3).all()
    corners = mesh.vertices[mesh.triangles]
    volume = np.einsum("ti,ti->t", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() / 6
    assert 0.03 < volume < 0.2, "cubic metres, faces turned outwards"
    edges = np.sort(np.concatenate([mesh.triangles[:, [a, b]] for a, b in ((0, 1), (1, 2), (2, 0))]), axis=1)
    _, counts = np.unique(edges, axis=0, return_counts=True)
    assert (counts == 2).all(), "every tube is closed"
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=1e-6)


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
