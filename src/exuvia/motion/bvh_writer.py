"""BVH writer: joint positions -> joint rotations -> a BVH file, with the names and the rest pose of a rig.

The nodes that move (pelvis, and a root bone on the floor) have the offset zero, because programs disagree on whether
position channels are added to the offset. BVH has no comments. Blender, three.js and readers that go by lines ignore
what follows `End Site`, so the origin of the motion stands there once.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np

from exuvia.errors import ConfigError
from exuvia.files import write_text
from exuvia.motion.clip import Clip
from exuvia.motion.export_rig import Posed, find_export_rig, pose_clips
from exuvia.motion.origin import as_comment
from exuvia.motion.turns import EULER, euler_deg


def _hierarchy(posed: Posed, scale: float, comment: str) -> str:
    lines = ["HIERARCHY"]

    def write(index: int, depth: int) -> None:
        nonlocal comment
        node, pad = posed.nodes[index], "  " * depth
        offset = " ".join(f"{value * scale * (index not in posed.paths):.6f}" for value in node.offset)
        rotation = " ".join(f"{axis}rotation" for axis in EULER)
        channels = "6 Xposition Yposition Zposition" if index in posed.paths else "3"
        lines.append(f"{pad}{'ROOT' if depth == 0 else 'JOINT'} {node.name}")
        lines.extend((f"{pad}{{", f"{pad}  OFFSET {offset}", f"{pad}  CHANNELS {channels} {rotation}"))
        for child, other in enumerate(posed.nodes):
            if other.parent == index:
                write(child, depth + 1)
        if node.tip is not None:
            end = " ".join(f"{value * scale:.6f}" for value in node.tip)
            lines.extend((f"{pad}  End Site{comment}", f"{pad}  {{", f"{pad}    OFFSET {end}", f"{pad}  }}"))
            comment = ""
        lines.append(f"{pad}}}")

    write(0, 0)
    return "\n".join(lines) + "\n"


def bvh_text(
    clip: Clip, unit_m: float = 1.0, *, rig: str = "exact", root_bone: bool = False, origin: bool = True
) -> str:
    """Return a clip as BVH text, angles in the order Z X Y.

    One unit of the file is `unit_m` metres: 1 for Blender, 0.01 for programs that work in centimetres. The rig gives
    names and rest pose: "exact" (names of SMPL22, and nodes of length zero with which every joint is posed exactly),
    "smpl", "mixamo", "unity" or "unreal". `root_bone` puts a bone on the floor that carries the pelvis (always for
    "unreal"), and `origin` adds prompt, seed, generator, edits, concept and licence, where they are known. Raises
    ConfigError for an unknown rig or a unit that is not positive, ShapeError if all joints are at one place.
    """
    if not (np.isfinite(unit_m) and unit_m > 0):
        raise ConfigError(f"found unit_m = {unit_m}, expected a positive number of metres")
    _, (posed,) = pose_clips([clip], find_export_rig(rig, root_bone))
    angles = euler_deg(posed.turns)
    columns = []
    for index in range(len(posed.nodes)):
        if index in posed.paths:
            columns.append(posed.paths[index] / unit_m)
        columns.append(angles[:, index])
    rows = io.StringIO()
    np.savetxt(rows, np.concatenate(columns, axis=1), fmt="%.6f")
    header = f"MOTION\nFrames: {clip.frames}\nFrame Time: {1.0 / clip.fps:.8f}\n"
    return _hierarchy(posed, 1.0 / unit_m, as_comment(clip) if origin else "") + header + rows.getvalue()


def write_bvh(clip: Clip, path: str | Path, **options: Any) -> None:
    """Write a clip as a BVH file; options are those of `bvh_text`. Raises OutputError, ConfigError, ShapeError."""
    write_text(path, bvh_text(clip, **options))
