"""ASF/AMC reader (CMU, HDM05): a subject's skeleton and one motion -> 22 SMPL joints.

A bone's rotation is C M C⁻¹, where C holds its `axis` angles and M the frame's `dof` angles. Both are products of
single-axis rotations in the order listed, first one innermost ("XYZ" is Rz Ry Rx). The joint of a bone is its far end.
Lengths times 0.0254 / `:units length` are metres.   CMU Graphics Lab, "Acclaim ASF/AMC" format notes
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from exuvia.errors import DataError
from exuvia.motion.chain import matrix_from_euler
from exuvia.motion.clip import Clip
from exuvia.motion.mapping import clip_from_joints, smpl22_from_rig
from exuvia.motion.source import BLOCK, Source, check_size, read_text
from exuvia.shapes import Array

CAPTURE_FPS = 120.0
"""Rate of CMU and HDM05 captures; an .amc stores none. (For the few CMU trials at 60 a second, pass the rate.)"""

ROOT = "root"


@dataclass
class Bone:
    """One bone of the skeleton file."""

    name: str = ""
    direction: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    length: float = 0.0
    axis: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    axis_order: str = "XYZ"
    position: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    dof: list[str] = field(default_factory=list)
    """Channels in the file's order, e.g. ["rx", "rz"]; the root also has "tx", "ty", "tz"."""


@dataclass
class Asf:
    """A subject's skeleton: bones, root first, each after its parent."""

    bones: list[Bone]
    parents: list[int]
    degrees: bool = True


def parse_asf(text: str) -> Asf:
    """Return the skeleton of an ASF text. Raises DataError if it is not ASF or is truncated."""
    sections: dict[str, list[str]] = {}
    lines: list[str] = []
    for raw in text.splitlines():
        line = raw.partition("#")[0].strip()
        if line.startswith(":"):
            keyword, _, rest = line[1:].partition(" ")
            lines = sections.setdefault(keyword.lower(), [])
            line = rest.strip()
        if line:
            lines.append(line)
    missing = [name for name in ("root", "bonedata", "hierarchy") if name not in sections]
    if missing:
        raise DataError(f"found no :{missing[0]} section, expected an ASF skeleton; download the file again")
    try:
        lines = ["begin", f"name {ROOT}", *sections["root"], *sections["bonedata"]]
        bones = {bone.name: bone for bone in _parse_bones(lines)}
        check_size(0, len(bones), Source())
        order, parents = _parse_hierarchy(sections["hierarchy"], set(bones))
    except (ValueError, IndexError, KeyError) as error:
        raise DataError(f"found a damaged ASF skeleton ({str(error)[:60]}); download the file again") from None
    if len(order) < len(bones):
        lost = sorted(set(bones) - set(order))[:3]
        raise DataError(
            f"found bones without a parent ({', '.join(lost)}); the ASF file is truncated: download it again"
        )
    degrees = not any(line.lower().split()[:2] == ["angle", "rad"] for line in sections.get("units", []))
    return Asf([bones[name] for name in order], parents, degrees)


def _vector(words: list[str]) -> list[float]:
    if len(words) < 3:
        raise ValueError("three numbers expected")
    return [float(word) for word in words[:3]]


def _order(word: str) -> str:
    if not re.fullmatch(r"[XYZ]{1,3}", word.upper()):
        raise ValueError(f"axis order {word[:10]!r}")
    return word.upper()


def _dof(words: list[str]) -> list[str]:
    dof = [word.lower() for word in words]
    if unknown := [word for word in dof if word not in ("rx", "ry", "rz", "tx", "ty", "tz")]:
        raise ValueError(f"degree of freedom {unknown[0][:10]!r}")
    return dof


def _parse_bones(lines: list[str]) -> list[Bone]:
    """Bones from the lines of a section; those of the root have words of their own."""
    bones: list[Bone] = []
    for words in (line.split() for line in lines):
        match words[0].lower():
            case "begin":
                bones.append(Bone())
            case "name":
                bones[-1].name = words[1]
            case "direction":
                bones[-1].direction = _vector(words[1:])
            case "length":
                bones[-1].length = float(words[1])
            case "axis" if bones[-1].name == ROOT:
                bones[-1].axis_order = _order(words[1])
            case "axis":
                bones[-1].axis, bones[-1].axis_order = _vector(words[1:]), _order(words[4])
            case "orientation":
                bones[-1].axis = _vector(words[1:])
            case "position":
                bones[-1].position = _vector(words[1:])
            case "dof" | "order":
                bones[-1].dof = _dof(words[1:])
    return bones


def _parse_hierarchy(lines: list[str], known: set[str]) -> tuple[list[str], list[int]]:
    order, parents = [ROOT], [-1]
    for words in (line.split() for line in lines):
        if words[0].lower() in ("begin", "end"):
            continue
        parent = order.index(words[0])
        for child in words[1:]:
            if child not in known or child in order:
                raise ValueError(f"bone {child[:20]!r} in the hierarchy")
            order.append(child)
            parents.append(parent)
    return order, parents


def parse_amc(text: str, asf: Asf, source: Source = Source()) -> dict[str, Array]:  # noqa: B008
    """Return [F, channels] in the file's units for each bone with channels. Raises DataError if an AMC is damaged."""
    width = {bone.name: len(bone.dof) for bone in asf.bones if bone.dof}
    values: dict[str, list[list[float]]] = {name: [] for name in width}
    frames = 0
    for number, raw in enumerate(text.splitlines(), 1):
        words = raw.split()
        if not words or words[0][0] in "#:":
            continue
        if len(words) == 1 and words[0].isdecimal():
            frames += 1
            check_size(frames, len(asf.bones), source)
            continue
        name = words[0]
        if name not in width or len(words) - 1 != width[name] or frames == 0 or len(values[name]) >= frames:
            expected = f"{width[name]} values once a frame" if name in width else "a bone of the skeleton file"
            raise DataError(
                f"found {raw.strip()[:40]!r} in line {number}, expected {expected}; "
                "check that motion and .asf skeleton belong together"
            )
        try:
            values[name].append([float(word) for word in words[1:]])
        except ValueError:
            message = f"found {raw.strip()[:40]!r} in line {number}, expected numbers; download the file again"
            raise DataError(message) from None
    short = [name for name, rows in values.items() if len(rows) != frames]
    if short or frames == 0:
        counts = "no frames" if frames == 0 else f"{frames} frames but {len(values[short[0]])} of bone {short[0]!r}"
        raise DataError(f"found {counts}, expected every bone in every frame; the file is truncated: download it again")
    return {name: np.asarray(rows) for name, rows in values.items()}


def pose(asf: Asf, motion: dict[str, Array], bones: Sequence[int] | None = None) -> Array:
    """World positions of the far ends of bones (None: of all), [F, len(bones), 3], file units; root: its position."""
    chosen = slice(None) if bones is None else list(bones)
    starts = range(0, len(next(iter(motion.values()))), BLOCK)
    parts = [{name: values[start : start + BLOCK] for name, values in motion.items()} for start in starts]
    return np.concatenate([_posed(asf, part)[:, chosen] for part in parts])


def _posed(asf: Asf, motion: dict[str, Array]) -> Array:
    frames = len(next(iter(motion.values())))
    scale = 1.0 if asf.degrees else 180.0 / np.pi
    positions = np.empty((frames, len(asf.bones), 3))
    world = np.empty((frames, len(asf.bones), 3, 3))
    for index, (bone, parent) in enumerate(zip(asf.bones, asf.parents, strict=True)):
        frame = matrix_from_euler(np.asarray(bone.axis[: len(bone.axis_order)])[::-1] * scale, bone.axis_order[::-1])
        values = motion.get(bone.name, np.zeros((frames, 0)))
        turns = [place for place, dof in enumerate(bone.dof) if dof[0] == "r"][::-1]
        axes = "".join(bone.dof[place][1].upper() for place in turns)
        local = frame @ matrix_from_euler(values[:, turns] * scale, axes) @ frame.T
        if parent < 0:
            world[:, index] = local
            positions[:, index] = bone.position
            for place, dof in enumerate(bone.dof):
                if dof[0] == "t":
                    positions[:, index, "xyz".index(dof[1])] += values[:, place]
        else:
            world[:, index] = world[:, parent] @ local
            bone_vector = np.asarray(bone.direction) * bone.length
            positions[:, index] = positions[:, parent] + world[:, index] @ bone_vector
    return positions


def find_asf(path: Path) -> Path:
    """Skeleton of an .amc: the .asf in its folder whose name is the longest prefix of the motion's name.

    02_01.amc -> 02.asf, HDM_tr_kick_120.amc -> HDM_tr.asf; otherwise the folder's only .asf. Raises DataError.
    """
    skeletons = {file.stem: file for file in sorted(path.parent.iterdir()) if file.suffix.lower() == ".asf"}
    fitting = [stem for stem in skeletons if path.stem == stem or path.stem.startswith((f"{stem}_", f"{stem}-"))]
    if fitting:
        return skeletons[max(fitting, key=len)]
    if len(skeletons) == 1:
        return next(iter(skeletons.values()))
    files = f"{len(skeletons)} .asf files, none with the motion's name" if skeletons else "no .asf file"
    raise DataError(f"found {files} next to the motion, expected its skeleton; name it with Source(asf=...)")


def read_amc(path: str | Path, source: Source = Source()) -> Clip:  # noqa: B008
    """Read an .amc motion with its .asf skeleton as a Clip in metres at 120 fps, or at source.fps.

    Raises DataError if a file is missing or damaged or they do not belong together, ShapeError for too few frames.
    """
    skeleton = Path(source.asf) if source.asf else find_asf(Path(path))
    try:
        asf = parse_asf(read_text(skeleton))
    except DataError as error:
        raise DataError(f"skeleton {skeleton.name}: {error}") from None
    motion = parse_amc(read_text(path), asf, source)
    names = [bone.name for bone in asf.bones]
    few = pose(asf, {name: values[:1] for name, values in motion.items()})
    joints, facts = smpl22_from_rig(names, asf.parents, few, lambda chosen: pose(asf, motion, chosen), source)
    facts |= {"file": Path(path).name, "format": "amc", "skeleton": skeleton.name, "rate_assumed": not source.fps}
    return clip_from_joints(joints, CAPTURE_FPS, source, facts | {"source_fps": source.fps or CAPTURE_FPS})
