"""DeepMimic motion files (JSON in a .txt) -> 22 SMPL joints.

A frame is 44 numbers: duration, root position and, in the order below, a quaternion (w, x, y, z) for ball joints or
one angle about z for knees and elbows. The body faces +x with its right side at +z; it is turned to face +z.
Facts: xbpeng/DeepMimic, data/characters/humanoid3d.txt and README; [peng2018deepmimic].
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from exuvia.errors import DataError, ShapeError
from exuvia.motion.chain import forward_kinematics
from exuvia.motion.clip import Clip
from exuvia.motion.mapping import clip_from_joints, smpl22_from_rig
from exuvia.motion.source import Source, check_size, read_text
from exuvia.readers import parse_json, read_table
from exuvia.shapes import Array

FRAME_VALUES = 44
SAMPLING_FPS = 60.0
"""Rate of the clip. Frames can differ in duration, so rotations are interpolated to this rate before kinematics."""


@dataclass(frozen=True)
class _Joint:
    """One joint of the body."""

    name: str
    offset: tuple[float, float, float]
    values: int = 0
    parent: str = ""


_BODY = read_table(__file__, "deepmimic.toml", _Joint)


def parse_deepmimic(text: str) -> Array:
    """Return the frames of a DeepMimic motion, [F, 44]. Raises DataError for anything else."""
    try:
        frames = parse_json(text, "the file")["Frames"]
        other = sorted({len(frame) for frame in frames} - {FRAME_VALUES})
        values = np.array(frames if not other else [[]], dtype=np.float64)
    except (DataError, ValueError, KeyError, TypeError, OverflowError):
        raise DataError(
            'found a text that is not a DeepMimic motion, expected JSON with a list "Frames" of 44 numbers each; '
            "if the file is truncated, download it again"
        ) from None
    if other:
        raise DataError(f"found frames of {other[0]} numbers, expected 44 (the 13-joint humanoid of DeepMimic)")
    if values.ndim != 2:
        raise DataError("found no frames, expected a list of at least two")
    return values


def pose(frames: Array) -> tuple[list[str], list[int], Array]:
    """Joint names, parents, and positions [F', N, 3] in metres sampled at 60 fps, from frames [F, 44]."""
    starts = np.concatenate(([0.0], np.cumsum(frames[:-1, 0])))
    times = np.arange(int(np.floor(starts[-1] * SAMPLING_FPS + 1e-6)) + 1) / SAMPLING_FPS
    low = np.clip(np.searchsorted(starts, times + 1e-9, side="right") - 1, 0, len(frames) - 2)
    span = starts[low + 1] - starts[low]
    weight = np.clip((times - starts[low]) / np.where(span > 0, span, 1.0), 0.0, 1.0)

    def linear(values: Array) -> Array:
        return values[low] + (values[low + 1] - values[low]) * weight.reshape(-1, *[1] * (values.ndim - 1))

    rotations = np.broadcast_to(np.eye(3), (len(times), len(_BODY), 3, 3)).copy()
    offsets = np.broadcast_to([joint.offset for joint in _BODY.values()], (len(times), len(_BODY), 3)).copy()
    offsets[:, 0] = linear(frames[:, 1:4])
    column = 4
    for joint, count in enumerate(joint.values for joint in _BODY.values()):
        if count == 4:
            q = frames[:, column : column + 4]
            norm = np.linalg.norm(q, axis=-1)
            if not (np.isfinite(norm) & (norm > 0)).all():
                raise ShapeError("found a quaternion of NaN or of length 0, expected rotations; repair the file")
            turns = Slerp(starts, Rotation.from_quat(q[:, [1, 2, 3, 0]]))
            rotations[:, joint] = turns(np.clip(times, starts[0], starts[-1])).as_matrix()
        elif count == 1:
            rotations[:, joint] = Rotation.from_euler("z", linear(frames[:, column])[:, None]).as_matrix()
        column += count
    names = list(_BODY)
    parents = [names.index(joint.parent) if joint.parent else -1 for joint in _BODY.values()]
    positions, _ = forward_kinematics(offsets, parents, rotations)
    return names, parents, positions[..., [2, 1, 0]] * np.asarray([-1.0, 1.0, 1.0])


def read_deepmimic(path: str | Path, source: Source = Source()) -> Clip:  # noqa: B008
    """Read a DeepMimic motion as a Clip in metres at 60 fps. Frames have durations, so `source.fps` is ignored.

    Raises DataError for any other file and for durations out of range, ShapeError for NaN.
    """
    frames = parse_deepmimic(read_text(path))
    durations = frames[:-1, 0]
    if len(frames) < 2:
        raise DataError(f"found a motion of {len(frames)} frame(s), expected at least 2")
    if not ((durations > 1e-3) & (durations < 10)).all():
        raise DataError(f"found a frame that lasts {durations.min():.4g} s, expected durations from 0.001 to 10 s")
    check_size(max(len(frames), float(durations.sum()) * SAMPLING_FPS), len(_BODY), source)
    names, parents, positions = pose(frames)
    joints, facts = smpl22_from_rig(names, parents, positions[:1], lambda chosen: positions[:, chosen], source)
    facts |= {"file": Path(path).name, "format": "deepmimic"}
    facts |= {"source_fps": float(np.round(1.0 / np.median(durations), 3))}
    return clip_from_joints(joints, SAMPLING_FPS, Source(unit_m=source.unit_m or 1.0, up=source.up or "y"), facts)
