"""BVH and glTF files of bodies named by many tools, made with their true joints, for tests of the readers."""

import base64
import json
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from exuvia.motion.bvh import parse_bvh

LIMBS = ("hip", "knee", "ankle", "foot", "collar", "shoulder", "elbow", "wrist")
OFFSETS = {  # of a body of about 1.7 m, in metres, y up, the left side at +x
    "hip": (0.09, -0.06, 0.0), "knee": (0.0, -0.40, 0.01), "ankle": (0.0, -0.40, -0.02), "foot": (0.0, -0.07, 0.13),
    "collar": (0.04, 0.10, 0.0), "shoulder": (0.13, 0.02, 0.0), "elbow": (0.27, 0.0, 0.0), "wrist": (0.25, 0.0, 0.0),
}  # fmt: skip
Y_TO_Z = Rotation.from_euler("x", 90, degrees=True)


@dataclass(frozen=True)
class Names:
    """Names of a rig; "{}" stands for the side."""

    pelvis: str
    spine: tuple[str, ...]
    neck: tuple[str, ...]
    head: str
    limbs: tuple[str, ...]
    """Hip, knee, ankle, foot, collar, shoulder, elbow, wrist; an empty name: the rig lacks the joint."""
    sides: tuple[str, str] = ("Left", "Right")
    root: str = ""
    legs_at: str = "pelvis"
    """Place whose joint carries the thighs."""
    extra: tuple[tuple[str, str], ...] = field(default=())
    """Further leaf joints: (name with "{}", place whose joint carries it)."""

    def renamed(self, before: str, after: str = "") -> "Names":
        """The rig with a beginning and an end at every name."""
        limbs = tuple(name and f"{before}{name}{after}" for name in self.limbs)
        spine, neck = (tuple(f"{before}{name}{after}" for name in names) for names in (self.spine, self.neck))
        extra = tuple((f"{before}{name}{after}", at) for name, at in self.extra)
        root = self.root and f"{before}{self.root}{after}"
        return replace(self, pelvis=f"{before}{self.pelvis}{after}", spine=spine, neck=neck, limbs=limbs, root=root,
                       head=f"{before}{self.head}{after}", extra=extra)  # fmt: skip


def _limbs(words: str) -> tuple[str, ...]:
    return tuple(word.strip("-") for word in words.split())


_MB = _limbs("{}UpLeg {}Leg {}Foot {}ToeBase {}Shoulder {}Arm {}ForeArm {}Hand")
_JOINTS = _limbs("{}Hip {}Knee {}Ankle {}Toe {}Collar {}Shoulder {}Elbow {}Wrist")
_UE = _limbs("thigh_{} calf_{} foot_{} ball_{} clavicle_{} upperarm_{} lowerarm_{} hand_{}")
_UE_EXTRA = (("upperarm_twist_01_{}", "shoulder"), ("thigh_twist_01_{}", "hip"), ("index_01_{}", "wrist"))
RIGS = {
    "mixamo": Names("mixamorig:Hips", ("mixamorig:Spine", "mixamorig:Spine1", "mixamorig:Spine2"), ("mixamorig:Neck",),
                    "mixamorig:Head", tuple(f"mixamorig:{name}" for name in _MB),
                    extra=(("mixamorig:{}HandThumb1", "wrist"), ("mixamorig:{}Toe_End", "foot"))),
    "lafan1": Names("Hips", ("Spine", "Spine1", "Spine2"), ("Neck",), "Head",
                    _limbs("{}UpLeg {}Leg {}Foot {}Toe {}Shoulder {}Arm {}ForeArm {}Hand")),
    "100style": Names("Hips", ("Chest", "Chest2", "Chest3", "Chest4"), ("Neck",), "Head", _JOINTS),
    "bandai": Names("Hips", ("Spine", "Chest"), ("Neck",), "Head", _limbs(
        "UpperLeg_{} LowerLeg_{} Foot_{} Toes_{} Shoulder_{} UpperArm_{} LowerArm_{} Hand_{}"), ("L", "R"),
        "joint_Root"),
    "beat": Names("Hips", ("Spine", "Spine1", "Spine2", "Spine3"), ("Neck", "Neck1"), "Head", _MB),
    "rokoko": Names("Hips", ("Spine1", "Spine2", "Spine3", "Spine4"), ("Neck",), "Head",
                    _limbs("{}Thigh {}Shin {}Foot {}Toe {}Shoulder {}Arm {}ForeArm {}Hand")),
    "xsens-fbx": Names("Pelvis", ("L5", "L3", "T12", "T8"), ("Neck",), "Head", _limbs(
        "{}UpperLeg {}LowerLeg {}Foot {}Toe {}Shoulder {}UpperArm {}ForeArm {}Hand")),
    "xsens-bvh": Names("Hips", ("Chest", "Chest2", "Chest3", "Chest4"), ("Neck",), "Head", _JOINTS),
    "neuron": Names("Hips", ("Spine", "Spine1", "Spine2", "Spine3"), ("Neck",), "Head",
                    _limbs("{}UpLeg {}Leg {}Foot - {}Shoulder {}Arm {}ForeArm {}Hand"),
                    extra=(("{}InHandIndex", "wrist"), ("{}HandThumb1", "wrist"))),
    "unity": Names("Hips", ("Spine", "Chest", "UpperChest"), ("Neck",), "Head", _limbs(
        "{}UpperLeg {}LowerLeg {}Foot {}Toes {}Shoulder {}UpperArm {}LowerArm {}Hand")),
    "unreal4": Names("pelvis", ("spine_01", "spine_02", "spine_03"), ("neck_01",), "head", _UE, ("l", "r"), "root",
                     extra=_UE_EXTRA),
    "unreal5": Names("pelvis", ("spine_01", "spine_02", "spine_03", "spine_04", "spine_05"), ("neck_01", "neck_02"),
                     "head", _UE, ("l", "r"), "root", extra=(*_UE_EXTRA, ("ik_hand_{}", "wrist"))),
    "vrm": Names("J_Bip_C_Hips", ("J_Bip_C_Spine", "J_Bip_C_Chest", "J_Bip_C_UpperChest"), ("J_Bip_C_Neck",),
                 "J_Bip_C_Head", tuple(f"J_Bip_{{}}_{word}" for word in (
                     "UpperLeg", "LowerLeg", "Foot", "ToeBase", "Shoulder", "UpperArm", "LowerArm", "Hand")),
                 ("L", "R"),
                 "Root", extra=(("J_Sec_{}_Bust1", "collar"), ("J_Sec_{}_Skirt1", "hip"))),
    "rigify": Names("spine", ("spine.001", "spine.002", "spine.003"), ("spine.004", "spine.005"), "spine.006", _limbs(
        "thigh.{} shin.{} foot.{} toe.{} shoulder.{} upper_arm.{} forearm.{} hand.{}"), ("L", "R"),
        extra=(("palm.01.{}", "wrist"), ("heel.02.{}", "ankle"), ("pelvis.{}", "pelvis"), ("breast.{}", "collar"))),
    "biped": Names("Bip01 Pelvis", ("Bip01 Spine", "Bip01 Spine1", "Bip01 Spine2"), ("Bip01 Neck",), "Bip01 Head",
                   tuple(f"Bip01 {{}} {word}" for word in (
                       "Thigh", "Calf", "Foot", "Toe0", "Clavicle", "UpperArm", "Forearm", "Hand")), ("L", "R"),
                   "Bip01", extra=(("Bip01 {} Finger0", "wrist"),)),
    "motive": Names("Hip", ("Ab", "Chest"), ("Neck",), "Head",
                    _limbs("{}Thigh {}Shin {}Foot {}Toe {}Shoulder {}UArm {}FArm {}Hand"), ("L", "R")),
    "slimevr": Names("HIP", ("WAIST", "CHEST", "UPPER_CHEST"), ("NECK",), "HEAD", _limbs(
        "{}_UPPER_LEG {}_LOWER_LEG {}_FOOT - {}_SHOULDER {}_UPPER_ARM {}_LOWER_ARM {}_HAND"), ("LEFT", "RIGHT")),
    "smpl-fbx": Names("m_avg_Pelvis", ("m_avg_Spine1", "m_avg_Spine2", "m_avg_Spine3"), ("m_avg_Neck",), "m_avg_Head",
                      tuple(f"m_avg_{{}}_{word}" for word in (
                          "Hip", "Knee", "Ankle", "Foot", "Collar", "Shoulder", "Elbow", "Wrist")), ("L", "R")),
    "maya": Names("Hips", ("Spine", "Spine1", "Spine2"), ("Neck",), "Head", _limbs(
        "Thigh_{} Shin_{} Foot_{} Toe_{} Shoulder_{} Arm_{} ForeArm_{} Hand_{}"), ("L", "R")),
    "genesis8": Names("hip", ("abdomenLower", "abdomenUpper", "chestLower", "chestUpper"), ("neckLower", "neckUpper"),
                      "head", _limbs("{}ThighBend {}Shin {}Foot {}Toe {}Collar {}ShldrBend {}ForearmBend {}Hand"),
                      ("l", "r"), extra=(("{}ThighTwist", "hip"), ("{}Metatarsals", "ankle"), ("{}Eye", "pelvis"))),
    "character-creator": Names(
        "CC_Base_Pelvis", ("CC_Base_Waist", "CC_Base_Spine01", "CC_Base_Spine02"), ("CC_Base_NeckTwist01",),
        "CC_Base_Head", tuple(f"CC_Base_{{}}_{word}" for word in (
            "Thigh", "Calf", "Foot", "ToeBase", "Clavicle", "Upperarm", "Forearm", "Hand")), ("L", "R"), "CC_Base_Hip",
        extra=(("CC_Base_{}_ThighTwist01", "hip"), ("CC_Base_{}_BigToe1", "foot"))),
    "advanced-skeleton": Names("Root_M", ("Spine1_M", "Spine2_M", "Chest_M"), ("Neck_M",), "Head_M", _limbs(
        "Hip_{} Knee_{} Ankle_{} Toes_{} Scapula_{} Shoulder_{} Elbow_{} Wrist_{}"), ("L", "R")),
    "auto-rig-pro": Names("root.x", ("spine_01.x", "spine_02.x", "spine_03.x"), ("neck.x",), "head.x", _limbs(
        "thigh_stretch.{} leg_stretch.{} foot.{} toes_01.{} shoulder.{} arm_stretch.{} forearm_stretch.{} hand.{}"),
        ("l", "r"), extra=(("thigh_twist.{}", "hip"), ("index1.{}", "wrist"))),
    "kinect": Names("SpineBase", ("SpineMid", "SpineShoulder"), ("Neck",), "Head", _limbs(
        "Hip{} Knee{} Ankle{} Foot{} - Shoulder{} Elbow{} Wrist{}"), extra=(("Hand{}", "wrist"), ("Thumb{}", "wrist"))),
    "roblox": Names("LowerTorso", ("UpperTorso",), (), "Head", _limbs(
        "{}UpperLeg {}LowerLeg {}Foot - - {}UpperArm {}LowerArm {}Hand"), root="HumanoidRootPart"),
    "numbered": Names("pelvis", ("spine1", "spine2", "spine3"), ("neck1",), "head1", _limbs(
        "leg_{}_1 leg_{}_2 foot_{} toe_{} clavicle_{} upper_arm_{} lower_arm_{} hand_{}"), ("l", "r")),
}  # fmt: skip


@dataclass
class _Tree:
    names: list[str] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    offsets: list[np.ndarray] = field(default_factory=list)
    at: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, offset: tuple[float, ...], parent: str, place: str) -> None:
        self.at[place] = len(self.names)
        self.names.append(name)
        self.parents.append(self.at.get(parent, -1))
        self.offsets.append(np.asarray(offset, float))


def _tree(rig: Names, size: float) -> _Tree:
    tree = _Tree()
    if rig.root:
        tree.add(rig.root, (0, 0, 0), "", "root")
    tree.add(rig.pelvis, (0, 0.95, 0), "root", "pelvis")
    below = "pelvis"
    for number, name in enumerate(rig.spine):
        tree.add(name, (0, 0.36 / len(rig.spine), 0.005), below, f"s{number}")
        below = f"s{number}"
    chest = below
    for number, name in enumerate(rig.neck):
        tree.add(name, (0, 0.16 if number == 0 else 0.05, -0.01), below, f"n{number}")
        below = f"n{number}"
    tree.add(rig.head, (0, 0.10 if rig.neck else 0.26, 0.02), below, "head")
    for sign, side in zip((1, -1), rig.sides, strict=True):
        parent, lost = "pelvis", np.zeros(3)
        for place, name in zip(LIMBS, rig.limbs, strict=True):
            parent = rig.legs_at if place == "hip" else chest if place == "collar" else parent
            lost = lost if place not in ("hip", "collar") else np.zeros(3)
            offset = OFFSETS[place] * np.asarray((sign, 1, 1)) + lost
            if place == "hip" and rig.legs_at != "pelvis":
                offset = offset - tree.offsets[tree.at[rig.legs_at]]
            lost = np.zeros(3) if name else offset
            if name:
                tree.add(name.format(side), tuple(offset), parent, f"{side}{place}")
                parent = f"{side}{place}"
            for extra, where in rig.extra:
                if where == place and name:
                    tree.add(extra.format(side), (0.02 * sign, 0.01, 0.03), parent, f"{side}{extra}")
        for extra, where in rig.extra:
            if where == "pelvis":
                tree.add(extra.format(side), (0.05 * sign, 0.05, 0.05), "pelvis", f"{side}{extra}")
    tree.offsets = [size * offset for offset in tree.offsets]
    return tree


def smpl_of(rig: Names) -> dict[str, str]:
    """SMPL joint -> place in the tree, for all joints that the rig has beyond doubt."""
    last = len(rig.spine) - 1
    known = {"pelvis": "pelvis", "spine1": "s0", "head": "head"} | ({"neck": "n0"} if rig.neck else {})
    known |= {"spine3": f"s{last}"} if last >= 2 else {}
    sides = zip(("left", "right"), rig.sides, strict=True)
    return known | {
        f"{ours}_{place}": f"{side}{place}"
        for ours, side in sides
        for place, name in zip(LIMBS, rig.limbs, strict=True)
        if name
    }


def bvh_of(
    rig: Names, *, unit_m: float = 1.0, size: float = 1.0, z_up: bool = False, frames: int = 12, seed: int = 0,
    walk_m: float = 0.0, ends: bool = True,
) -> tuple[str, dict[str, np.ndarray]]:  # fmt: skip
    """A BVH text, and the true positions [F, 3] of its joints by SMPL name, in metres, y up.

    Args:
        size: size of the body; 1 is about 1.7 m
        walk_m: way of the pelvis along z
    """
    rng = np.random.default_rng(seed)
    tree = _tree(rig, size)
    count = len(tree.names)
    sway = rng.uniform(-14, 14, (1, count, 3)) * np.sin(np.linspace(0, 3, frames))[:, None, None]
    sway += rng.uniform(-4, 4, (1, count, 3))
    if rig.root:
        sway[:, 0] = 0
    way = np.linspace(0, walk_m, frames)[:, None] * np.asarray((0, 0, 1.0))
    frame = Y_TO_Z if z_up else Rotation.identity()
    local = [frame * Rotation.from_euler("ZXY", sway[:, j], degrees=True) * frame.inv() for j in range(count)]
    turns = [np.round(rotation.as_euler("ZXY", degrees=True), 5) for rotation in local]
    offsets = [np.round(frame.apply(offset) / unit_m, 6) for offset in tree.offsets]
    root = np.round((frame.apply(way) / unit_m) + offsets[0], 6)
    world: list[Rotation] = []
    places: list[np.ndarray] = []
    for j, parent in enumerate(tree.parents):
        turn = Rotation.from_euler("ZXY", turns[j], degrees=True)
        world.append(turn if parent < 0 else world[parent] * turn)
        places.append(root if parent < 0 else places[parent] + world[parent].apply(offsets[j]))
    truth = {joint: frame.inv().apply(places[tree.at[at]]) * unit_m for joint, at in smpl_of(rig).items()}
    return _text(tree, offsets, root, turns, ends, frame, size / unit_m), truth


def _text(
    tree: _Tree, offsets: list[np.ndarray], root: np.ndarray, turns: list[np.ndarray], ends: bool, frame: Rotation,
    end: float,
) -> str:  # fmt: skip
    lines = ["HIERARCHY"]
    order: list[int] = []

    def write(joint: int, depth: int) -> None:
        order.append(joint)
        pad, children = "  " * depth, [k for k, parent in enumerate(tree.parents) if parent == joint]
        lines.append(f"{pad}{'JOINT' if depth else 'ROOT'} {tree.names[joint]}")
        lines.append(f"{pad}{{\n{pad}  OFFSET {' '.join(f'{value:.6f}' for value in offsets[joint])}")
        channels = "3" if depth else "6 Xposition Yposition Zposition"
        lines.append(f"{pad}  CHANNELS {channels} Zrotation Xrotation Yrotation")
        for child in children:
            write(child, depth + 1)
        if not children:
            tip = frame.apply((0, -0.05, 0.12)) * end if ends else np.zeros(3)
            lines.append(f"{pad}  End Site\n{pad}  {{\n{pad}    OFFSET {' '.join(f'{v:.6f}' for v in tip)}\n{pad}  }}")
        lines.append(f"{pad}}}")

    write(0, 0)
    rows = [[*root[f], *(value for joint in order for value in turns[joint][f])] for f in range(len(root))]
    values = "\n".join(" ".join(f"{value:.6f}" for value in row) for row in rows)
    return "\n".join(lines) + f"\nMOTION\nFrames: {len(rows)}\nFrame Time: 0.05\n{values}\n"


def gltf_of(bvh_text: str, *, scale: float = 1.0, z_up: bool = False, style: str = "LINEAR") -> str:
    """A .gltf text with the motion of a BVH text, below an armature node that scales it and turns it to y up."""
    bvh = parse_bvh(bvh_text)
    frames, data = len(bvh.motion), bytearray()
    views: list[dict[str, Any]] = []
    accessors: list[dict[str, Any]] = []

    def add(values: np.ndarray, kind: str) -> int:
        views.append({"buffer": 0, "byteOffset": len(data), "byteLength": 4 * values.size})
        accessors.append({"bufferView": len(views) - 1, "componentType": 5126, "count": len(values), "type": kind})
        data.extend(values.astype("<f4").tobytes())
        return len(accessors) - 1

    times = add(np.arange(frames)[:, None] / bvh.fps, "SCALAR")
    turn = Y_TO_Z.inv().as_quat().tolist() if z_up else [0.0, 0.0, 0.0, 1.0]
    nodes: list[dict[str, Any]] = [{"name": "Armature", "scale": [1 / scale] * 3, "rotation": turn, "children": [1]}]
    samplers, channels, column = [], [], 0
    for j, name in enumerate(bvh.names):
        offset = scale * np.asarray(bvh.offsets[j])
        children = [k + 1 for k, parent in enumerate(bvh.parents) if parent == j]
        nodes.append({"name": name, "translation": offset.tolist()} | ({"children": children} if children else {}))
        values = bvh.motion[:, column : column + len(bvh.channels[j])]
        column += len(bvh.channels[j])
        paths = {"rotation": Rotation.from_euler("ZXY", values[:, -3:], degrees=True).as_quat()} if values.size else {}
        paths |= {"translation": scale * values[:, :3]} if len(bvh.channels[j]) == 6 else {}
        for path, rows in paths.items():
            keys = np.repeat(rows, 3, 0) if style == "CUBICSPLINE" else rows
            samplers.append({"input": times, "output": add(keys, f"VEC{rows.shape[1]}"), "interpolation": style})
            channels.append({"sampler": len(samplers) - 1, "target": {"node": j + 1, "path": path}})
    uri = "data:application/octet-stream;base64," + base64.b64encode(bytes(data)).decode()
    gltf = {"asset": {"version": "2.0"}, "nodes": nodes, "scenes": [{"nodes": [0]}], "bufferViews": views}
    skins = [{"joints": list(range(1, len(nodes)))}]
    gltf |= {"skins": skins, "buffers": [{"uri": uri, "byteLength": len(data)}], "accessors": accessors}
    return json.dumps(gltf | {"animations": [{"samplers": samplers, "channels": channels}]})


SECOND = 46186158000
"""Units of time of FBX in a second."""


def fbx_of(
    bvh_text: str, *, up: int = 1, stated_cm: float = 1.0, scale: float = 1.0, stretch: tuple[float, ...] = (1, 1, 1),
    span: bool = True, takes: tuple[str, ...] = ("Take 001",), bone: str = "LimbNode",
) -> str:  # fmt: skip
    """An FBX 7.4 text with the motion of a BVH text, below a node that scales it; every bone has a pre-rotation.

    Args:
        up: the upward axis that the file states, 1 is y and 2 is z
        stated_cm: the unit that the file states
        stretch: scale of every bone along its axes, which its children do not inherit (Maya's segment scale compensate)
        span: whether the first and last time of the animation are stated
        takes: names of the animations; only the last has keys
        bone: kind of the nodes
    """
    bvh = parse_bvh(bvh_text)
    before = Rotation.from_euler("xyz", (20, -30, 40), degrees=True)
    times = np.round(np.arange(len(bvh.motion)) / bvh.fps * SECOND).astype(np.int64)
    objects = [_fbx_node("Model", 1, "Scaled", "Null", {"Lcl Scaling": [1 / scale] * 3, "InheritType": [1]})]
    objects.append(_fbx_node("Model", 2, "Armature", "Null", {"InheritType": [1]}))
    links = ['C: "OO",1,0', 'C: "OO",2,1']
    for number, take in enumerate(takes):
        stop = {"LocalStop": [times[-1]]} if span and number + 1 == len(takes) else {}
        objects += [_fbx_node("AnimationStack", 10 + 2 * number, take, "", stop)]
        objects += [_fbx_node("AnimationLayer", 11 + 2 * number, "Layer", "", {})]
        links.append(f'C: "OO",{11 + 2 * number},{10 + 2 * number}')
    column = 0
    for j, (name, parent) in enumerate(zip(bvh.names, bvh.parents, strict=True)):
        model, count = 1000 * (j + 1), len(bvh.channels[j])
        offset = scale * np.asarray(bvh.offsets[j]) / (stretch if parent >= 0 else 1)
        facts = {"Lcl Translation": offset, "Lcl Scaling": stretch, "InheritType": [2]}
        facts |= {"RotationActive": [1], "PreRotation": before.as_euler("xyz", degrees=True)} if count else {}
        objects += [_fbx_node("Model", model, name, bone, facts), _fbx_node("NodeAttribute", model + 1, name, bone, {})]
        links += [f'C: "OO",{model},{1000 * (parent + 1) or 2}', f'C: "OO",{model + 1},{model}']
        values = bvh.motion[:, column : column + count]
        column += count
        turns = before.inv() * Rotation.from_euler("ZXY", values[:, -3:], degrees=True) if count else None
        tracks = {"Lcl Rotation": np.unwrap(turns.as_euler("xyz"), axis=0) * 180 / np.pi} if turns else {}
        tracks |= {"Lcl Translation": scale * values[:, :3]} if count == 6 else {}
        for place, (path, rows) in enumerate(tracks.items(), 1):
            node = model + 10 * place
            objects.append(_fbx_node("AnimationCurveNode", node, path[4], "", {}))
            links += [f'C: "OO",{node},{9 + 2 * len(takes)}', f'C: "OP",{node},{model}, "{path}"']
            for axis in range(3):
                objects.append(_fbx_curve(node + 1 + axis, times, rows[:, axis]))
                links.append(f'C: "OP",{node + 1 + axis},{node}, "d|{"XYZ"[axis]}"')
    axes: dict[str, list[Any]] = {
        "UpAxis": [up],
        "UpAxisSign": [1],
        "FrontAxis": [3 - up],
        "FrontAxisSign": [1 if up == 1 else -1],
    }
    axes |= {"CoordAxis": [0], "CoordAxisSign": [1], "UnitScaleFactor": [stated_cm]}
    axes |= {"TimeMode": [14], "CustomFrameRate": [bvh.fps]}
    body = "\n".join(
        [f"GlobalSettings: {{\n{_fbx_facts(axes)}}}", "Objects: {", *objects, "}", "Connections: {", *links]
    )
    return f"; FBX 7.4.0 project file\nFBXHeaderExtension: {{\nFBXVersion: 7400\n}}\n{body}\n}}\n"


def _fbx_facts(facts: dict[str, Any]) -> str:
    kinds = {"RotationActive": "bool", "InheritType": "enum", "TimeMode": "enum", "LocalStop": "KTime"}
    rows = [f'P: "{name}", "{kinds.get(name, name)}", "", "A",{",".join(map(str, row))}' for name, row in facts.items()]
    return "\n".join(["Properties70: {", *rows, "}\n"])


def _fbx_node(kind: str, number: int, name: str, sort: str, facts: dict[str, Any]) -> str:
    word = {"AnimationStack": "AnimStack", "AnimationLayer": "AnimLayer", "AnimationCurveNode": "AnimCurveNode"}
    return f'{kind}: {number}, "{word.get(kind, kind)}::{name}", "{sort}" {{\n{_fbx_facts(facts)}}}'


def _fbx_curve(number: int, times: np.ndarray, values: np.ndarray) -> str:
    count, flags = len(times), 24836  # straight lines
    arrays: dict[str, Any] = {
        "KeyTime": times,
        "KeyValueFloat": values,
        "KeyAttrFlags": [flags],
        "KeyAttrDataFloat": [0, 0, 0, 0],
    }
    arrays |= {"KeyAttrRefCount": [count]}
    rows = [f"{name}: *{len(row)} {{\na: {','.join(map(str, row))}\n}}" for name, row in arrays.items()]
    return f'AnimationCurve: {number}, "AnimCurve::", "" {{\nKeyVer: 4008\n' + "\n".join([*rows, "}"])
