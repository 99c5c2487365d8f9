"""C3D reader: the markers of a full body (Plug-in Gait, CMU) or joint centres -> 22 SMPL joints.

Names of markers and sizes of bodies stand in markers.toml. The library is c3d (pure Python, MIT), because none of 540
damaged files ended its process; three ended that of ezc3d (C++, MIT).
"""

import warnings
from pathlib import Path

import numpy as np

from exuvia.errors import ConfigError, DataError
from exuvia.motion.chain import rotation_between, unit
from exuvia.motion.clip import Clip
from exuvia.motion.mapping import clip_from_joints, complete
from exuvia.motion.rigs import OPTIONAL, read_names
from exuvia.motion.skeleton import SMPL22
from exuvia.motion.source import Source, check_size
from exuvia.readers import guarded, read_toml
from exuvia.shapes import Array

_TABLE = read_toml(Path(__file__).with_name("markers.toml"))
_NAMES = {name: ours for ours, names in _TABLE["names"].items() for name in names}


def read_c3d(path: str | Path, source: Source = Source()) -> Clip:  # noqa: B008
    """Read one body as a Clip at the file's rate, or at source.fps; source.names names joint centres. Raises
    ConfigError without the library c3d, and DataError for a damaged file or one without a body's markers."""
    try:
        import c3d
    except ImportError:
        raise ConfigError('.c3d files need the library c3d; run: pip install "exuvia[c3d]"') from None
    with guarded("the file", "C3D file"), warnings.catch_warnings(action="ignore"), open(path, "rb") as stream:
        ours = {"_check_metadata": lambda _: None, "analog_per_frame": property(lambda it: it.header.analog_per_frame)}
        file = type("Lenient", (c3d.Reader,), ours)(stream)  # rates such as 59.94 differ in their last digits
        texts = (file.get(f"POINT:{name}") for name in ("UNITS", "LABELS", *(f"LABELS{n}" for n in range(2, 10))))
        units, *parts = ([str(text).strip() for text in np.ravel(each.string_array)] if each else [] for each in texts)
        labels = ["".join(filter(str.isprintable, text)) for part in parts for text in part][: file.point_used]
        frames, fps = file.frame_count, source.fps or float(file.point_rate)
        people: dict[str, dict[str, int]] = {"": {}}  # number of the point by our name
        for number, label in enumerate(labels):
            person, _, name = label.rpartition(":")
            if known_as := _NAMES.get("".join(filter(str.isalnum, name)).upper()):
                people.setdefault(person, {}).setdefault(known_as, number)
        index = read_names(source.names, labels) if source.names else max(people.values(), key=len)
        check_size(frames, max(1, len(index)), source)
        rows = [row[list(index.values()), :4] for _, row, _ in file.read_frames(copy=False)]
    if len(rows) < max(2, frames) or not 0 < fps <= 1000:
        raise DataError(f"found {len(rows)} of {frames} frames at {fps:g} a second, expected all; fetch the file again")
    at, gaps = _tracks(np.stack(rows), list(index), fps)
    missing = [gaps.get(name, name) for name in (index if source.names else _TABLE["needed"]) if name not in at]
    known = _with_means(at if missing or source.names else _estimated(at) | at)
    if not set(SMPL22.joints) - OPTIONAL <= set(known):
        raise DataError(
            f"found {len(labels)} points ({', '.join(labels[:4])} ...) without the markers {', '.join(missing)}; name "
            "joint centres with Source(names=...), or fit a skeleton where they were recorded and export .bvh"
        )
    others = [who for who, found in people.items() if found is not index and len(found) >= len(_TABLE["needed"])]
    joints, doubts = complete(known), [*gaps.values(), *(f"the markers of {who} are left out" for who in others)]
    unit_m = _TABLE["units_m"].get(units[0].lower() if units else "")
    said = dict.fromkeys(known, "(estimated from markers)") | {name: labels[number] for name, number in index.items()}
    facts = {"file": Path(path).name, "format": "c3d", "rig": "markers", "joints": said, "doubts": doubts}
    return clip_from_joints(joints, fps, source, facts | {"source_fps": fps}, usual="z", unit_m=unit_m)


def _tracks(points: Array, names: list[str], fps: float) -> tuple[dict[str, Array], dict[str, str]]:
    """Positions [F, 3] by name of points [F, K, 4] (x, y, z, residual), and doubts about long gaps. Gaps (a residual
    below 0, or the origin) are filled by splines about the middle of the others; ends with few points are left out."""
    from scipy.interpolate import CubicSpline  # slow to load, and generating does not need it

    seen = (points[..., 3] >= 0) & points[..., :3].any(-1)
    full = np.flatnonzero(seen.sum(1) >= 0.9 * seen.sum(1).max())
    points, seen = points[full[0] : full[-1] + 1], seen[full[0] : full[-1] + 1]
    at, gaps, always = {}, {}, seen.all(0)
    body = points[:, always, :3].sum(1) / max(1, always.sum())
    for column, name in enumerate(names):
        here = np.flatnonzero(seen[:, column])
        gap_s = (np.diff(here, prepend=-1, append=len(seen)).max() - 1) / fps
        if gap_s > _TABLE["gaps_s"]["quiet"]:
            gaps[name] = f"{name} (not seen for {gap_s:.1f} s)"
        if len(here) > 1 and gap_s <= _TABLE["gaps_s"]["longest"]:
            time = np.clip(np.arange(len(seen)), here[0], here[-1])
            at[name] = body + CubicSpline(here, points[here, column, :3] - body[here])(time)
    return _with_means(at), gaps


def _with_means(at: dict[str, Array]) -> dict[str, Array]:
    """The points [F, 3], and those of the table's means whose parts are known."""
    for name, parts in _TABLE["means"].items():
        if name not in at and parts.keys() <= at.keys():
            at = at | {name: np.sum([weight * at[part] for part, weight in parts.items()], axis=0)}
    return at


def _estimated(at: dict[str, Array]) -> dict[str, Array]:
    """Joints [F, 3] from markers [F, 3] in any unit. Hips: [harrington2007hip]; pelvis (L5/S1, mean of men and women):
    [dumas2018segments]; shoulders: [rab2002upper]."""
    across, girdle = at["left_ASI"] - at["right_ASI"], at["left_SHO"] - at["right_SHO"]
    front, left = at["left_ASI"] - 0.5 * across, unit(across)
    up = unit(np.cross(front - at["SACR"], left))
    ahead = np.cross(left, up)
    width, depth, breadth = np.median(np.linalg.norm((across, front - at["SACR"], girdle), axis=-1), axis=-1)
    pelvis = front - 0.338 * width * ahead + 0.009 * width * up
    joints, trunk, size = {"pelvis": pelvis}, unit(at["left_SHO"] - 0.5 * girdle - pelvis), _TABLE["mm"]
    for side, sign in (("left_", 1.0), ("right_", -1.0)):
        asi, kne, ank, hee, toe, sho, elb, wra, wrb = (at[name] for name in _TABLE["needed"] if name.startswith(side))
        mm = np.median(np.linalg.norm((asi - kne, kne - ank), axis=-1).sum(0)) / size["leg"]
        hip = front - (0.24 * depth + 9.9 * mm) * ahead - (0.30 * width + 10.9 * mm) * up
        hip = hip + sign * (0.33 * width + 7.3 * mm) * left
        axis = unit(np.cross(toe - hee, ank - kne))  # leftwards
        ankle, foot = ank - sign * mm * size["ANK"] * axis, toe - mm * size["sole"] * unit(np.cross(toe - hee, axis))
        knee = _hinge(kne, hip, ankle, sign * left, up, sign, mm * size["KNE"])
        shoulder, wrist = sho - 0.17 * breadth * trunk, 0.5 * (wra + wrb)
        wrist = wrist - sign * mm * size["palm"] * unit(np.cross(wra - wrb, wrist - elb))
        elbow = _hinge(elb, shoulder, wrist, sign * unit(girdle), trunk, -sign, mm * size["ELB"])
        limb = zip(_TABLE["limb"], (hip, knee, ankle, foot, shoulder, elbow, wrist), strict=True)
        joints |= {side + name: track for name, track in limb}
    return joints


def _hinge(marker: Array, top: Array, low: Array, out: Array, up: Array, bend: float, size: float) -> Array:
    """Centre [F, 3] of a knee or elbow: `size` inside its outer marker, along the axis about which the limb is bent.
    The axis of a straight limb is that of the trunk (`out`), swung from hanging down to where the limb points."""
    centre = marker - size * out
    for _ in range(3):
        first, second = unit(centre - top), unit(low - centre)
        centre = marker - size * unit(bend * np.cross(first, second) + 0.3 * rotation_between(-up, first).apply(out))
    return centre
