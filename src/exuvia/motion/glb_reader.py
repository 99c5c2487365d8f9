"""glTF 2.0 reader (.glb, .gltf): the first animation of a rig of any naming -> 22 SMPL joints.

Cubic splines are read as straight lines between their keys. Facts: glTF 2.0 specification (Khronos), sections 3.5.3
(transforms), 3.6.2 (accessors), 3.11 (animations) and 4.4 (GLB).
"""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from exuvia.errors import DataError
from exuvia.motion.clip import Clip
from exuvia.motion.mapping import clip_from_joints, smpl22_from_nodes
from exuvia.motion.origin import ORIGIN
from exuvia.motion.source import Source, check_file_size
from exuvia.readers import guarded, parse_json
from exuvia.shapes import Array

_KINDS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}
_Tracks = dict[str, Callable[[Array], Array]]
_RATES = (120.0, 60.0, 50.0, 48.0, 30.0, 25.0, 24.0, 20.0, 12.5)


def read_glb(path: str | Path, source: Source = Source()) -> Clip:  # noqa: B008
    """Read the first animation of a .glb or .gltf as a Clip at the rate of its keys, or at source.fps.

    Raises DataError if the file is damaged, or has no animation or no known rig.
    """
    with guarded("the file", "glTF file"):
        gltf, buffers = _parts(Path(path))
        if not gltf.get("animations"):
            raise DataError("found no animation, expected at least one; export the animation with the rig")
        nodes = gltf["nodes"]
        parent = {child: number for number, node in enumerate(nodes) for child in node.get("children", [])}
        bones = [joint for skin in gltf.get("skins", []) for joint in skin["joints"]]
        channels, times = _channels(gltf, buffers)
        steps = max((np.diff(keys) for keys in times), key=len)
        exact = 1.0 / float(np.median(steps)) if len(steps) else 0.0
        fps = source.fps or next((rate for rate in _RATES if abs(rate - exact) < 0.01 * rate), exact)
        span = min(keys[0] for keys in times), max(keys[-1] for keys in times)
        names = [str(node.get("name", f"node {number}")) for number, node in enumerate(nodes)]

        def local(node: int, at: Array) -> tuple[Array, Array]:
            return _local(nodes[node], channels.get(node, {}), at)

        joints, facts = smpl22_from_nodes(names, bones, parent, local, span, fps, source)
        origin = dict(gltf["animations"][0].get("extras") or {})
    facts |= {key: str(origin[key]) for key in ORIGIN if key in origin}
    facts |= {"file": Path(path).name, "format": Path(path).suffix[1:].lower(), "source_fps": fps}
    return clip_from_joints(joints, fps, source, facts)


def _parts(path: Path) -> tuple[dict[str, Any], list[bytes]]:
    """The description in JSON, and the buffers."""
    check_file_size(path)
    data = path.read_bytes()
    is_binary, length = data[:4] == b"glTF", int.from_bytes(data[12:16], "little")
    gltf: dict[str, Any] = parse_json(data[20 : 20 + length] if is_binary else data, "its JSON part")
    buffers = []
    for buffer in gltf.get("buffers", []):
        head, _, rest = buffer.get("uri", "").partition(",")
        if head.startswith("data:"):
            buffers.append(base64.b64decode(rest))
            continue
        file = path.parent / Path(head).name  # a path to elsewhere is not followed
        if head and not file.is_file():
            raise DataError(f"{file.name} does not exist next to the file, which needs it; export .glb instead")
        buffers.append(file.read_bytes() if head else data[28 + length :])
    return gltf, buffers


def _channels(gltf: dict[str, Any], buffers: list[bytes]) -> tuple[dict[int, _Tracks], list[Array]]:
    """Translation, rotation and scale of each animated node as functions of time [F], and the times of the keys."""
    animation, times = gltf["animations"][0], []
    channels: dict[int, _Tracks] = {}
    for channel in animation["channels"]:
        target, sampler = channel["target"], animation["samplers"][channel["sampler"]]
        if "node" in target and target["path"] != "weights":
            keys, values = (_values(gltf, buffers, sampler[part]) for part in ("input", "output"))
            style = sampler.get("interpolation", "LINEAR")
            values = values[1::3] if style == "CUBICSPLINE" else values
            times.append(keys[:, 0])
            track = _track(keys[:, 0], values, target["path"] == "rotation", style == "STEP")
            channels.setdefault(target["node"], {})[target["path"]] = track
    return channels, times


def _track(keys: Array, values: Array, is_rotation: bool, held: bool) -> Callable[[Array], Array]:
    from scipy.spatial.transform import Rotation, Slerp  # slow to load, and generating does not need it

    if held or len(keys) < 2:
        return lambda at: values[np.clip(np.searchsorted(keys, at + 1e-6, "right") - 1, 0, len(keys) - 1)]
    if is_rotation:
        turns = Slerp(keys, Rotation.from_quat(values))
        return lambda at: np.asarray(turns(np.clip(at, keys[0], keys[-1])).as_quat())
    return lambda at: np.stack([np.interp(at, keys, column) for column in values.T], axis=-1)


def _local(node: dict[str, Any], tracks: _Tracks, at: Array) -> tuple[Array, Array]:
    """Translation [F, 3], and rotation times scale [F, 3, 3], of a node at some times."""
    from scipy.spatial.transform import Rotation

    if "matrix" in node:
        matrix = np.reshape(node["matrix"], (4, 4)).astype(float).T
        return np.tile(matrix[:3, 3], (len(at), 1)), np.tile(matrix[:3, :3], (len(at), 1, 1))
    rest = {"translation": (0, 0, 0), "rotation": (0, 0, 0, 1), "scale": (1, 1, 1)}
    found = {
        path: tracks[path](at) if path in tracks else np.tile(np.asarray(node.get(path, usual), float), (len(at), 1))
        for path, usual in rest.items()
    }
    return found["translation"], Rotation.from_quat(found["rotation"]).as_matrix() * found["scale"][:, None]


def _values(gltf: dict[str, Any], buffers: list[bytes], number: int) -> Array:
    """Rows of an accessor, [n, k]; integers stand for -1 to 1."""
    accessor = gltf["accessors"][number]
    view = gltf["bufferViews"][accessor["bufferView"]]
    kind, width = np.dtype(_KINDS[accessor["componentType"]]), _WIDTHS[accessor["type"]]
    start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
    strides = (view.get("byteStride", kind.itemsize * width), kind.itemsize)
    rows = np.ndarray((accessor["count"], width), kind, buffers[view["buffer"]], start, strides).astype(float)
    return rows if kind.kind == "f" else np.maximum(rows / np.iinfo(kind).max, -1.0)
