"""BVH reader: any hierarchy and channel order -> 22 SMPL joints.

Rotation channels multiply in the order listed (first channel outermost). Position channels replace the OFFSET of any
joint that has them. Two quirks of the CMU conversions are corrected: a thorax of length zero, and a T-pose before the
first captured frame.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from exuvia.errors import DataError
from exuvia.motion.chain import forward_kinematics, matrix_from_euler
from exuvia.motion.clip import Clip
from exuvia.motion.mapping import clip_from_joints, leg_length, smpl22_from_rig
from exuvia.motion.origin import from_comment
from exuvia.motion.rigs import canonical
from exuvia.motion.source import BLOCK, Source, check_size, read_text
from exuvia.shapes import Array

_CHANNEL = re.compile(r"^([XYZ])(position|rotation)$", re.IGNORECASE)
_MOTION = re.compile(r"(?:^|\})[ \t]*(?P<word>MOTION)\b", re.IGNORECASE | re.MULTILINE)
_BREAK = re.compile(r"(?<=\S)[ \t]+(?=(?:OFFSET[ \t]+[-+.\d]|CHANNELS[ \t]+\d))", re.IGNORECASE)
_FRAMES = re.compile(r"\s*Frames\s*:?\s*(\d{1,9})\s+Frame\s*Time\s*:?[ \t]*(\S+)[ \t]*(?:\n|\r|$)", re.IGNORECASE)
_COMMON_FPS = (120, 60, 30, 24, 25, 20, 50, 100, 90, 48, 72, 240, 15, 10)


@dataclass
class Bvh:
    """A parsed file: the joint tree (leaf bones end in joints without channels) and its motion."""

    names: list[str] = field(default_factory=list)
    """Joint names; the end of a leaf bone is "<joint>_end"."""
    parents: list[int] = field(default_factory=list)
    offsets: list[list[float]] = field(default_factory=list)
    """Rest offset of each joint from its parent [J][3], file units."""
    channels: list[list[str]] = field(default_factory=list)
    """Channels of each joint, e.g. ["Xp", "Yp", "Zp", "Zr", "Xr", "Yr"]."""
    motion: Array = field(default_factory=lambda: np.zeros((0, 0)))
    """Values of all channels [F, C], in file units and degrees."""
    fps: float = 0.0
    doubts: list[str] = field(default_factory=list)
    """Sentences about what the file contradicts."""

    def add(self, name: str, parent: int) -> int:
        """Append a joint, and return its index."""
        check_size(0, len(self.names) + 1, Source())
        self.names.append(name)
        self.parents.append(parent)
        self.offsets.append([0.0, 0.0, 0.0])
        self.channels.append([])
        return len(self.names) - 1


def parse_bvh(text: str, source: Source = Source()) -> Bvh:  # noqa: B008
    """Return the hierarchy and motion of a BVH text. Raises DataError if it is not BVH or is truncated."""
    text = re.sub(r"(?m)^[ \t]*(#|//).*$", "", text).strip("\ufeff\x1a\0 \t\r\n")
    start = re.match(r"HIERARCHY(?!\S)", text, re.IGNORECASE)
    if start is None:
        raise DataError(f"found a file that starts with {text[:20]!r}, expected the BVH keyword HIERARCHY")
    motion = _MOTION.search(text)
    bvh = Bvh()
    _parse_hierarchy(bvh, text[start.end() : motion.start("word") if motion else None], ended=motion is None)
    if motion is None:
        raise DataError("found no MOTION section after the hierarchy; the file is truncated: download it again")
    _parse_motion(bvh, text[motion.end() :], source)
    return bvh


def _parse_hierarchy(bvh: Bvh, text: str, ended: bool) -> None:
    """Read the joints line by line: a name is the rest of its line, and a brace may stand on any line."""
    stack: list[int] = []
    pending = -1
    try:
        for line in _BREAK.sub("\n", re.sub(r"([{}])", r"\n\1\n", text)).splitlines():
            word, _, rest = line.strip().replace("\t", " ").partition(" ")
            match word.upper():
                case "":
                    pass
                case "ROOT" | "JOINT":
                    pending = bvh.add(" ".join(rest.split()) or "joint", stack[-1] if stack else -1)
                case "END":
                    pending = bvh.add(f"{bvh.names[stack[-1]]}_end", stack[-1])
                case "{":
                    stack.append(pending)
                case "}":
                    stack.pop()
                case "OFFSET":
                    x, y, z = map(_number, rest.split()[:3])
                    bvh.offsets[stack[-1]] = [x, y, z]
                case "CHANNELS":
                    bvh.channels[stack[-1]] = _channels(rest.split())
                case _:
                    raise DataError(
                        f"found {line.strip()[:30]!r}, expected JOINT, OFFSET, CHANNELS, End Site or a brace"
                    )
    except (ValueError, IndexError):
        raise DataError("found a truncated hierarchy or unpaired braces; download the file again") from None
    if stack or not bvh.names:
        problem = "no joints" if not bvh.names else f"{len(stack)} unclosed brace(s)"
        raise DataError(
            f"found {problem} in the hierarchy{', where the file ends' if ended else ''}; download it again"
        )


def _number(token: str) -> float:
    try:
        return float(token)
    except ValueError:
        raise DataError(f"found {token[:30]!r}, expected a number") from None


def _channels(words: list[str]) -> list[str]:
    """Channels of a line: a count, and as many names."""
    if words[0] != str(len(words) - 1):
        raise DataError(f"found {' '.join(words)[:60]!r}, expected a count of channels and as many names")
    matches = [_CHANNEL.match(word) for word in words[1:]]
    if None in matches:
        raise DataError(f"found channel {words[1 + matches.index(None)][:30]!r}, expected Xposition ... Zrotation")
    return [match[1].upper() + match[2][0].lower() for match in matches if match]


def _parse_motion(bvh: Bvh, text: str, source: Source) -> None:
    match = _FRAMES.match(text)
    if match is None:
        raise DataError("found no 'Frames: n' and 'Frame Time: s' after MOTION; the file is truncated or damaged")
    frames, width = int(match[1]), sum(map(len, bvh.channels))
    frame_time_s = _number(match[2])
    if not (1e-3 <= frame_time_s <= 1 or source.fps):
        raise DataError(f"found a frame time of {match[2]} s, expected 0.001 to 1; give the rate with Source(fps=...)")
    if width == 0:
        raise DataError("found no channels in the hierarchy, expected at least rotations")
    words = text[match.end() :].split()
    rows = len(words) // width
    if len(words) % width:
        raise DataError(
            f"found {len(words)} motion values, expected {frames} frames of {width} channels = {frames * width}; "
            "the last frame is truncated: download the file again"
        )
    if rows != frames:
        bvh.doubts.append(f"found {rows} whole frames though the header says {frames}; read the {rows} frames")
    if rows < 2:
        raise DataError(f"found a motion of {rows} frame(s), expected at least 2")
    check_size(rows, len(bvh.names), source)
    try:
        values = np.array(words, dtype=np.float64)
    except ValueError as error:
        raise DataError(f"found motion values that are not numbers ({str(error)[:60]}); the file is damaged") from None
    bvh.motion = values.reshape(rows, width)
    bvh.fps = source.fps or rate_from_frame_time(match[2])


def rate_from_frame_time(text: str) -> float:
    """Frames a second of a printed frame time: the common rate that is printed like this, else the reciprocal.

    ".0083333" and "0.008333" mean 120 a second, not 120.0005.
    """
    exact = 1.0 / float(text)
    decimals = len(text.partition(".")[2]) if re.fullmatch(r"\d*\.\d+", text) else 0
    same = [rate for rate in _COMMON_FPS if decimals and abs(1.0 / rate - float(text)) <= 0.51 * 10.0**-decimals]
    near = [rate for rate in _COMMON_FPS if abs(rate - exact) < 1e-4 * rate]
    return float(min(same or near or (exact,), key=lambda rate: abs(rate - exact)))


def pose(bvh: Bvh, joints: Sequence[int] | None = None) -> Array:
    """World positions of the given joints and bone ends (None: of all), [F, len(joints), 3], file units."""
    chosen = slice(None) if joints is None else list(joints)
    parts = [bvh.motion[start : start + BLOCK] for start in range(0, len(bvh.motion), BLOCK)]
    return np.concatenate([_posed(bvh, part)[:, chosen] for part in parts])


def _posed(bvh: Bvh, motion: Array) -> Array:
    frames = len(motion)
    offsets = np.broadcast_to(np.asarray(bvh.offsets), (frames, len(bvh.names), 3)).copy()
    rotations = np.broadcast_to(np.eye(3), (frames, len(bvh.names), 3, 3)).copy()
    column = 0
    for joint, channels in enumerate(bvh.channels):
        values = motion[:, column : column + len(channels)]
        column += len(channels)
        turns = [index for index, channel in enumerate(channels) if channel[1] == "r"]
        for index, channel in enumerate(channels):
            if channel[1] == "p":
                offsets[:, joint, "XYZ".index(channel[0])] = values[:, index]
        if turns:
            rotations[:, joint] = matrix_from_euler(values[:, turns], "".join(channels[index][0] for index in turns))
    return forward_kinematics(offsets, bvh.parents, rotations)[0]


def restore_thorax(bvh: Bvh) -> bool:
    """Restore the thorax that CMU's conversions lost, with the length of the upper back; return whether it was lost.

    In those files the neck and both collars have offset zero from the upper back, because the thorax bone between them
    is missing. The joint itself still turns as the thorax did.
    """
    for joint, name in enumerate(bvh.names):
        children = [child for child, parent in enumerate(bvh.parents) if parent == joint]
        if canonical(name) not in ("spine1", "chest2") or len(children) < 3:
            continue
        names = {canonical(bvh.names[child]) for child in children}
        if names & {"neck", "lowerneck"} and not any(any(bvh.offsets[child]) for child in children):
            for child in children:
                bvh.offsets[child] = list(bvh.offsets[joint])
            return any(bvh.offsets[joint])
    return False


def starts_with_calibration_pose(joints: Array) -> bool:
    """Whether frame 0 of joints [F, 22, 3] is a T-pose from which the motion jumps to another pose.

    There must be both: level, straight arms and straight legs; and a jump to frame 1 of more than 5 cm a joint on
    average (in body size), four times that of the following frames. A recording that begins in a T-pose is kept.
    """
    if len(joints) < 4 or not leg_length(joints[:1]) > 0:
        return False
    body = joints[0]
    local = (joints[:8] - joints[:8, :1]) / leg_length(joints[:1]) * 0.8
    steps_m = np.linalg.norm(np.diff(local, axis=0), axis=-1).mean(-1)
    bones = body[[[18, 19, 4, 5], [20, 21, 7, 8]]] - body[[[16, 17, 1, 2], [18, 19, 4, 5]]]  # upper, lower
    reach, length = np.linalg.norm(bones.sum(0), axis=-1), np.linalg.norm(bones, axis=-1).sum(0)
    rise = bones.sum(0)[:, 1] / np.maximum(reach, 1e-9)
    is_t = bool((reach > 0.95 * length).all() and (np.abs(rise[:2]) < 0.35).all() and (rise[2:] < -0.9).all())
    return is_t and bool(steps_m[0] > 0.05 and steps_m[0] > 4 * steps_m[1:].max())


def hold_easing(joints: Array) -> int:
    """Give the frames that ease out of a T-pose before joints [F, 22, 3] the limbs of the first real frame, in place.

    Returns their number. In Daz's conversions of CMU, four frames lead from the T-pose to the motion, in which the arms
    move several times as far as in the four that follow. The path of the pelvis does not change.
    """
    if len(joints) < 12:
        return 0
    wrists = joints[:12, [20, 21]] - joints[:12, :1]
    steps = np.linalg.norm(np.diff(wrists, axis=0), axis=-1).max(-1)
    if steps[:4].sum() < max(5 * steps[4:8].sum(), 0.05 * leg_length(joints)):
        return 0
    joints[:4] = joints[4] - joints[4, 0] + joints[:4, :1]
    return 4


def read_bvh(path: str | Path, source: Source = Source()) -> Clip:  # noqa: B008
    """Read a BVH file as a Clip in metres at the file's own rate. Raises DataError, or ShapeError for NaN."""
    bvh = parse_bvh(text := read_text(path), source)
    thorax = restore_thorax(bvh)
    step = max(1, len(bvh.motion) // 8)
    few = pose(replace(bvh, motion=bvh.motion[::step]))
    joints, facts = smpl22_from_rig(bvh.names, bvh.parents, few, lambda chosen: pose(bvh, chosen), source)
    dropped = starts_with_calibration_pose(joints)
    joints = joints[1:] if dropped else joints
    facts |= from_comment(text) | {"file": Path(path).name, "format": "bvh", "source_fps": bvh.fps}
    facts |= {"doubts": bvh.doubts, "restored_thorax": thorax, "dropped_first_frame": dropped}
    facts["held_frames"] = hold_easing(joints) if dropped else 0
    return clip_from_joints(joints, bvh.fps, source, facts, _rest_axis(bvh, facts["joints"]))


def _rest_axis(bvh: Bvh, joints: dict[str, str]) -> str:
    """The axis along which the head of the rest pose lies above its feet: "z" or "y"."""
    rest = forward_kinematics(np.asarray(bvh.offsets), bvh.parents, np.tile(np.eye(3), (1, len(bvh.names), 1, 1)))
    at = [bvh.names.index(joints.get(name, joints["left_shoulder"])) for name in ("head", "left_ankle", "right_ankle")]
    head, left, right = rest[0][0, at]
    body = head - 0.5 * (left + right)
    return "z" if body[2] > 0.9 * np.linalg.norm(body) else "y"
