"""FBX reader (.fbx, text or binary): the longest animation of a rig of any naming -> 22 SMPL joints.

    python -m exuvia.motion.fbx_reader FILE OUT FACTS

reads a file with ufbx (the extra `exuvia[fbx]`) and writes OUT, an .npz with `joints` and `facts`, or with `refusal`, a
sentence. `read_fbx` starts this process, because ufbx 0.0.5 can end it: the items of its lists are not counted as
references. They are therefore taken once and kept, and garbage is not collected.
"""

import gc
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from exuvia.errors import ConfigError, DataError, ExuviaError
from exuvia.motion.clip import Clip
from exuvia.motion.mapping import clip_from_joints, smpl22_from_nodes
from exuvia.motion.source import Source, check_file_size
from exuvia.readers import guarded, parse_json, read_npz
from exuvia.shapes import Array

_kept: list[Any] = []


def read_fbx(path: str | Path, source: Source = Source()) -> Clip:  # noqa: B008
    """Read the longest animation of an .fbx as a Clip at the file's rate, or at source.fps.

    The unit and the upward axis that the file states are taken if the body in them is human and stands.
    Raises ConfigError without ufbx, and DataError if the file is damaged, or has no animation or no known rig.
    """
    if importlib.util.find_spec("ufbx") is None:
        other = "open it in Blender (File > Import), export it as Motion Capture (.bvh), and read that"
        raise ConfigError(f'reading it takes ufbx: pip install "exuvia[fbx]"; or {other}')
    with guarded("the file", "FBX file"), tempfile.TemporaryDirectory() as folder:
        check_file_size(Path(path))
        out = Path(folder, "read.npz")
        command = [sys.executable, "-P", "-m", __name__, str(path), str(out), json.dumps(vars(source), default=str)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True)
        if done.returncode:
            raise RuntimeError(f"ufbx ended with code {done.returncode}")
        arrays = read_npz(out, optional=("joints", "facts", "refusal"))
    if "refusal" in arrays:
        raise DataError(str(arrays["refusal"]))
    facts = parse_json(str(arrays["facts"]), "its description")
    return Clip(arrays["joints"], facts["source_fps"], meta={"file": Path(path).name, **facts})


def _read(path: str, source: Source) -> Clip:
    import ufbx

    with guarded("the file", "FBX file"):
        data = Path(path).read_bytes()
        scene = ufbx.load_memory(data, ignore_geometry=True, ignore_embedded=True, load_external_files=False)
        stacks = [one for one in _all(scene.anim_stacks) if any(len(layer.anim_props) for layer in _all(one.layers))]
        if not stacks:
            raise DataError("found no animation, expected at least one; export the animation with the rig")
        stack = max(stacks, key=lambda one: one.time_end - one.time_begin)
        span, anim = (stack.time_begin, stack.time_end), stack.anim
        if span[0] >= span[1]:  # not stated
            curves = _all(scene.anim_curves)
            span = min(curve.min_time for curve in curves), max(curve.max_time for curve in curves)
        nodes = _all(scene.nodes)
        parent = {number: node.parent.typed_id for number, node in enumerate(nodes) if node.parent}
        bones = [number for number, node in enumerate(nodes) if node.bone]
        fps = source.fps or scene.settings.frames_per_second
        scales: dict[int, Array] = {}

        def local(number: int, at: Array) -> tuple[Array, Array]:
            node = nodes[number]
            rows = np.array([[v for part in node.evaluate_transform(anim, time) for v in part] for time in at])
            scales[number] = rows[:, 7:]
            turns = Rotation.from_quat(rows[:, 3:7]).as_matrix() * rows[:, None, 7:]
            if node.inherit_mode == ufbx.InheritMode.IGNORE_PARENT_SCALE:
                turns /= scales[parent[number]][..., None]
            return rows[:, :3], turns

        names = [node.name or "scene" for node in nodes]
        joints, facts = smpl22_from_nodes(names, bones, parent, local, span, fps, source)
        unit_m, up = scene.settings.unit_meters, scene.settings.axes.up
    facts |= {"format": "fbx", "source_fps": fps}
    return clip_from_joints(joints, fps, source, facts, "z" if up == ufbx.CoordinateAxis.POSITIVE_Z else "y", unit_m)


def _all(elements: Any) -> list[Any]:
    _kept.append(list(elements))
    return _kept[-1]


def main(file: str, out: str, facts: str) -> None:
    """Read a file, write what became of it, and end the process at once."""
    gc.disable()
    try:
        clip = _read(file, Source(**parse_json(facts, "its description")))
        arrays: dict[str, Any] = {"joints": clip.joints, "facts": np.array(json.dumps(clip.meta))}
    except ExuviaError as error:
        arrays = {"refusal": np.array(str(error))}
    np.savez(out, **arrays)
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
