"""A body with known joints, and the optical markers on its skin, written as .c3d by the library that reads them.

Places of markers are those of an adult of 1.75 m by palpation, in the frame of the segment that carries them; they are
not computed by the reader's formulas.
"""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from exuvia.motion.chain import forward_kinematics, matrix_from_euler
from exuvia.motion.skeleton import SMPL22

REST = {
    "pelvis": (0, 0.95, 0), "hip": (0.085, -0.085, 0.033), "knee": (0, -0.42, 0), "ankle": (0, -0.43, 0),
    "foot": (0, -0.06, 0.125), "spine1": (0, 0.12, -0.02), "spine2": (0, 0.13, -0.02), "spine3": (0, 0.05, 0.005),
    "neck": (0, 0.19, 0.03), "head": (0, 0.1, 0.01), "collar": (0.085, 0.1, 0.02), "shoulder": (0.1, 0.04, -0.03),
    "elbow": (0, -0.29, 0), "wrist": (0, -0.26, 0),
}  # fmt: skip
"""Left and middle joints from their parents, arms hanging, in metres; the body faces +z."""
SKIN = {
    "ASI": ("pelvis", 0.122, 0.004, 0.088), "PSI": ("pelvis", 0.045, 0.012, -0.074), "THI": ("hip", 0.09, -0.25, 0.01),
    "KNE": ("hip", 0.057, -0.42, 0.004), "TIB": ("knee", 0.055, -0.2, 0.0), "ANK": ("knee", 0.043, -0.428, -0.01),
    "HEE": ("ankle", 0.005, -0.047, -0.055), "TOE": ("ankle", 0.004, -0.042, 0.13), "SHO": ("collar", 0.1, 0.1, -0.026),
    "ELB": ("shoulder", 0.041, -0.286, -0.006), "WRA": ("elbow", 0.03, -0.255, 0.035),
    "WRB": ("elbow", 0.028, -0.253, -0.032), "FIN": ("wrist", 0.02, -0.08, 0.02), "FHD": ("head", 0.073, 0.1, 0.085),
    "BHD": ("head", 0.07, 0.085, -0.085), "C7": ("spine3", 0, 0.215, -0.048), "CLAV": ("spine3", 0, 0.15, 0.1),
    "T10": ("spine2", 0, -0.005, -0.07), "STRN": ("spine2", 0, 0.01, 0.145),
}  # fmt: skip
"""Markers of the left side and the middle: joint of the segment, and place from it."""
CMU = {"ASI": "FWT", "PSI": "BWT", "TIB": "SHN"}


def walk(frames: int = 240, seed: int = 0, turn: float = 60.0) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Joints [F, 22, 3] of a walk with moving arms, in metres, y up, and markers [F, 3] by their Plug-in Gait names."""
    rng = np.random.default_rng(seed)
    phase = np.linspace(0, 4 * np.pi, frames)

    def swing(mean: float, by: float, at: float = 0.0) -> np.ndarray:
        return mean + by * np.sin(phase + at)

    # degrees about x, y and z; of the pelvis about y, x and z
    angles = {joint: np.zeros((frames, 3)) for joint in SMPL22.joints}
    angles["pelvis"] = np.stack((np.linspace(0, turn, frames) + swing(0, 8), swing(5, 4), swing(0, 4)), -1)
    angles["spine2"] = np.stack((swing(6, 5), swing(0, 10, 1), swing(0, 4)), -1)
    angles["neck"] = np.stack((swing(5, 10), swing(0, 25), swing(0, 6)), -1)
    for side, at, sign in (("left", 0.0, 1), ("right", np.pi, -1)):
        angles[f"{side}_hip"] = np.stack((swing(-15, 25, at), swing(0, 6, at), sign * swing(4, 3)), -1)
        angles[f"{side}_knee"][:, 0] = swing(32, 28, at + 1)
        angles[f"{side}_ankle"][:, 0] = swing(0, 12, at)
        arm = (swing(-20, 40, at + np.pi), sign * swing(0, 20, at), sign * swing(25, 15))
        angles[f"{side}_shoulder"] = np.stack(arm, -1)
        angles[f"{side}_elbow"] = np.stack((swing(-55, 45, at), sign * swing(0, 35), np.zeros(frames)), -1)
    offsets = np.array([_mirrored(joint, REST[joint.split("_")[-1]]) for joint in SMPL22.joints], float)
    offsets = np.repeat(offsets[None], frames, 0)
    offsets[:, 0] += np.linspace(0, 1, frames)[:, None] * (0.4, 0, 2.6)
    orders = ["yxz" if joint == "pelvis" else "xyz" for joint in SMPL22.joints]
    turns = [matrix_from_euler(angles[joint], order) for joint, order in zip(SMPL22.joints, orders, strict=True)]
    joints, world = forward_kinematics(offsets, SMPL22.parents, np.stack(turns, 1))
    markers = {}
    for name, (segment, *place) in SKIN.items():
        for mark, side in (("L", "left_"), ("R", "right_")) if place[0] else (("", ""),):
            joint = side + segment if side + segment in SMPL22.joints else segment
            spot = np.asarray(_mirrored(side, place)) + rng.normal(0, 0.004, 3)  # palpation
            number = SMPL22.index(joint)
            markers[mark + name] = joints[:, number] + (world[:, number] @ spot[:, None])[..., 0]
    return joints, markers


def _mirrored(joint: str, place: tuple[float, ...] | list[float]) -> tuple[float, float, float]:
    x, y, z = place
    return (-x if joint.startswith("right") else x, y, z)


def write_c3d(
    path: Path, markers: dict[str, np.ndarray], *, fps: float = 120.0, unit: str = "mm", up: str = "z",
    prefix: str = "", gaps: dict[str, slice] | None = None, name: Callable[[str], str] = str, scale: float = -1.0,
) -> Path:  # fmt: skip
    """Write markers (metres, y up) as .c3d; a gap has a residual of -1."""
    import c3d

    per_m = {"mm": 1000.0, "cm": 100.0, "m": 1.0, "in": 1 / 0.0254}[unit]
    writer = c3d.Writer(point_rate=fps, analog_rate=0, point_scale=scale, point_units=unit)
    points = np.zeros((len(next(iter(markers.values()))), len(markers), 5), np.float32)
    for number, (marker, track) in enumerate(markers.items()):
        points[:, number, :3] = per_m * (track if up == "y" else track[:, [0, 2, 1]] * (-1, 1, 1))
        points[(gaps or {}).get(marker, slice(0)), number, 3] = -1
    writer.add_frames([(row, np.zeros((0, 0))) for row in points])
    writer.set_point_labels([prefix + name(marker) for marker in markers])
    with open(path, "wb") as stream, warnings.catch_warnings(action="ignore"):
        writer.write(stream)
    return path
