"""glTF 2.0 binary files (.glb): the skeleton of a rig, a skinned body, and an animation for every clip.

Facts: glTF 2.0 specification (Khronos), sections 3.6 (buffers), 3.7.3 (skins), 3.11 (animations) and 4.4 (GLB).
"""

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from exuvia.errors import ShapeError
from exuvia.files import whole_file
from exuvia.motion.clip import Clip
from exuvia.motion.export_rig import Posed, find_export_rig, pose_clips, rest_places
from exuvia.motion.mannequin import Mesh, build_body
from exuvia.motion.origin import origin_of

FLOAT, SHORT, BYTE = 5126, 5123, 5121
ARRAY, ELEMENTS = 34962, 34963
KIND = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}
BODY_COLOUR = (0.36, 0.47, 0.62, 1.0)
GENERATOR = "Exuvia"


@dataclass
class _Binary:
    """The buffer of a file, its views and accessors."""

    data: bytearray = field(default_factory=bytearray)
    views: list[dict[str, Any]] = field(default_factory=list)
    accessors: list[dict[str, Any]] = field(default_factory=list)

    def add(self, values: NDArray[Any], kind: int, target: int | None = None, limits: bool = False) -> int:
        """Store rows [n] or [n, k], and return the number of their accessor."""
        self.data += b"\0" * (-len(self.data) % 4)
        rows = np.ascontiguousarray(values, {FLOAT: "<f4", SHORT: "<u2", BYTE: "u1"}[kind])
        view = {"buffer": 0, "byteOffset": len(self.data), "byteLength": rows.nbytes}
        self.views.append({**view, **({"target": target} if target else {})})
        self.data += rows.tobytes()
        flat = rows.reshape(len(rows), -1)
        accessor = {"bufferView": len(self.views) - 1, "componentType": kind, "count": len(flat)}
        ends = {"min": flat.min(0).tolist(), "max": flat.max(0).tolist()} if limits else {}
        self.accessors.append({**accessor, "type": KIND[flat.shape[1]], **ends})
        return len(self.accessors) - 1


def write_glb(clip: Clip, path: str | Path, **options: Any) -> None:
    """Write one clip (see `glb_bytes`). Raises OutputError, ConfigError, ShapeError."""
    write_glb_clips([clip], path, **options)


def write_glb_clips(clips: Sequence[Clip], path: str | Path, **options: Any) -> None:
    """Write several clips as animations of one body (see `glb_bytes`). Raises OutputError, ConfigError, ShapeError."""
    content = glb_bytes(clips, **options)
    with whole_file(path) as temporary:
        temporary.write_bytes(content)


def glb_bytes(clips: Sequence[Clip], *, rig: str = "exact", root_bone: bool = False, origin: bool = True) -> bytes:
    """Return a .glb with one animation a clip, named by its caption; metres, y up, facing +z and standing at rest.

    The bone lengths of the body are the means over all clips. `rig`, `root_bone` and `origin` are those of
    `bvh_writer.bvh_text`; the origin stands in `asset.extras` and in the `extras` of every animation. Raises ShapeError
    without clips or bones, ConfigError for an unknown rig.
    """
    if not clips:
        raise ShapeError("found no clip, expected at least one for a .glb file")
    names = find_export_rig(rig, root_bone)
    offsets, posed = pose_clips(clips, names)
    nodes, binary = posed[0].nodes, _Binary()
    inverse, places = np.tile(np.eye(4), (len(nodes), 1, 1)), rest_places(offsets)
    inverse[:, 3, :3] = [-places[node.joint] if node.joint >= 0 else (0, 0, 0) for node in nodes]  # column-major
    skin = np.array([next(n for n, node in enumerate(nodes) if node.name == name) for name in names.names])
    mesh = _primitive(binary, build_body(offsets), skin)
    matrices = binary.add(inverse.reshape(-1, 16), FLOAT)
    look = {"baseColorFactor": BODY_COLOUR, "metallicFactor": 0.0, "roughnessFactor": 0.8}
    facts = [origin_of(clip) if origin else {} for clip in clips]
    extras = {"extras": facts[0] if len(facts) == 1 else {"motions": facts}} if any(facts) else {}
    gltf: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": GENERATOR, **extras},
        "scene": 0,
        "scenes": [{"nodes": [0, len(nodes)]}],
        "nodes": [],
        "meshes": [{"name": "body", "primitives": [mesh]}],
        "materials": [{"name": "body", "pbrMetallicRoughness": look}],
        "skins": [{"inverseBindMatrices": matrices, "skeleton": 0, "joints": list(range(len(nodes)))}],
        "animations": [
            _animation(binary, clip, motion, number, about)
            for number, (clip, motion, about) in enumerate(zip(clips, posed, facts, strict=True))
        ],
    }
    for index, node in enumerate(nodes):
        children = [n for n, other in enumerate(nodes) if other.parent == index]
        entry: dict[str, Any] = {"name": node.name, "translation": list(node.offset)}
        gltf["nodes"].append(entry | ({"children": children} if children else {}))
    gltf["nodes"].append({"name": "body", "mesh": 0, "skin": 0})
    gltf |= {"bufferViews": binary.views, "accessors": binary.accessors, "buffers": [{"byteLength": len(binary.data)}]}
    return _packed(gltf, bytes(binary.data))


def _primitive(binary: _Binary, mesh: Mesh, skin: NDArray[np.int64]) -> dict[str, Any]:
    attributes = {
        "POSITION": binary.add(mesh.vertices, FLOAT, ARRAY, limits=True),
        "NORMAL": binary.add(mesh.normals, FLOAT, ARRAY),
        "TEXCOORD_0": binary.add(mesh.texture, FLOAT, ARRAY),
        "JOINTS_0": binary.add(np.where(mesh.weights > 0, skin[mesh.joints], 0), BYTE, ARRAY),
        "WEIGHTS_0": binary.add(mesh.weights, FLOAT, ARRAY),
    }
    return {"attributes": attributes, "indices": binary.add(mesh.triangles.ravel(), SHORT, ELEMENTS), "material": 0}


def _animation(binary: _Binary, clip: Clip, posed: Posed, number: int, facts: dict[str, Any]) -> dict[str, Any]:
    """Paths of the nodes that move, and rotations of all nodes but root and leaves, which do not rotate."""
    turns = node_quaternions(posed.turns)
    times = binary.add(np.arange(clip.frames) / clip.fps, FLOAT, limits=True)
    tracks = [(index, "translation", path) for index, path in posed.paths.items()]
    tracks += [(index, "rotation", turns[:, index]) for index, node in enumerate(posed.nodes) if node.aims]
    samplers = [{"input": times, "output": binary.add(rows, FLOAT), "interpolation": "LINEAR"} for _, _, rows in tracks]
    channels = [
        {"sampler": number, "target": {"node": node, "path": path}} for number, (node, path, _) in enumerate(tracks)
    ]
    name = clip.caption or Path(str(clip.meta.get("file", ""))).stem or f"motion {number + 1}"
    extras = {"extras": facts} if facts else {}
    return {"name": name, "samplers": samplers, "channels": channels, **extras}


def node_quaternions(matrices: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Rotations [F, N, 3, 3] as unit quaternions x, y, z, w [F, N, 4] that keep their sign from frame to frame."""
    quaternions = Rotation.from_matrix(matrices.reshape(-1, 3, 3)).as_quat().reshape(*matrices.shape[:2], 4)
    flips = ((quaternions[1:] * quaternions[:-1]).sum(-1) < 0).cumsum(0) % 2
    quaternions[1:] *= np.where(flips[..., None] == 1, -1.0, 1.0)
    return quaternions


def _packed(gltf: dict[str, Any], binary: bytes) -> bytes:
    """Header, JSON chunk padded with spaces, and binary chunk padded with zeros."""
    text = json.dumps(gltf, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 4)
    binary += b"\0" * (-len(binary) % 4)
    size = 12 + 8 + len(text) + 8 + len(binary)
    head = struct.pack("<4sII", b"glTF", 2, size)
    return head + struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(binary), b"BIN\0") + binary
