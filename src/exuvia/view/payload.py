"""Clips packed for a page: 16-bit joints as base64, in JSON that is safe inside a script element."""

import base64
import json
from typing import Any

import numpy as np

from exuvia.motion.clip import Clip
from exuvia.motion.skeleton import SMPL22
from exuvia.view.camera import facing_rad, floor_height_m
from exuvia.view.frame import radius_m, side_of

_STEPS = 32767
_ENDS = ("left_foot", "right_foot", "left_wrist", "right_wrist")


def pack_clip(clip: Clip) -> dict[str, Any]:
    """A clip as values for JSON; joints are 16-bit steps from the centre of the clip's bounding box.

    `meta["scenes"]` (pairs of a first frame and a caption) is included, and the player shows the current caption. The
    largest rounding error is half of `scale` metres: 0.15 mm for a clip that covers 20 m.
    """
    low, high = clip.joints.min(axis=(0, 1)).astype(np.float64), clip.joints.max(axis=(0, 1)).astype(np.float64)
    centre = (low + high) / 2
    scale = max(float((high - low).max()) / 2, 1e-6) / _STEPS
    steps = np.clip(np.rint((clip.joints - centre) / scale), -_STEPS, _STEPS).astype("<i2")
    scenes = [[int(first), str(text)] for first, text in clip.meta.get("scenes", ())]
    packed: dict[str, Any] = {"scenes": scenes} if scenes else {}
    packed |= {"frames": clip.frames, "fps": float(clip.fps), "facing": round(facing_rad(clip.joints), 5)}
    packed |= {"floor": round(floor_height_m(clip.joints), 5), "scale": scale, "centre": centre.tolist()}
    return packed | {"joints": base64.b64encode(steps.tobytes()).decode("ascii")}


def pack_skeleton() -> dict[str, Any]:
    """The body for the player: parents, sides, limb radii, head, and the joints that leave trails."""
    sides, radii = zip(*((side_of(joint), radius_m(joint)) for joint in SMPL22.joints), strict=True)
    body = {"parents": list(SMPL22.parents), "sides": list(sides), "radii": list(radii)}
    joints = {name: SMPL22.index(name) for name in ("head", "neck")}
    return body | joints | {"ends": [SMPL22.index(joint) for joint in _ENDS]}


def script_json(value: Any) -> str:
    """JSON whose strings can neither open nor close a script element or a comment."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
