"""`python -m lab formats`: what rigid bodies and files keep of a motion, on generated and on real motion."""

import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from pygltflib import GLTF2
from scipy.spatial.transform import Rotation

from exuvia.config import settings
from exuvia.data.concepts import VIOLENCE
from exuvia.data.store import Store
from exuvia.errors import ConfigError, DataError
from exuvia.evaluation.prompts.load import load_prompts
from exuvia.motion.bvh import parse_bvh
from exuvia.motion.chain import forward_kinematics, matrix_from_euler
from exuvia.motion.clip import Clip
from exuvia.motion.kinematics import TOES, mean_jerk_m_per_s3
from exuvia.motion.load import load_clip
from exuvia.motion.rigid import fit_body, pose_body, rigid_clip
from exuvia.motion.skeleton import SMPL22
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.registry import DEFAULT_GENERATOR
from exuvia.shapes import Array
from lab.ledger.numbers import Number, record_numbers
from lab.made_rigs import RIGS, bvh_of

WALKS = (
    "a person walks forward", "a person walks in a circle", "a person walks backwards", "a person runs forward",
    "a person turns left while walking", "a person runs and then stops", "a person walks slowly", "a person jogs",
)  # fmt: skip
LOW_M, FAST_M_PER_S = 0.05, 0.5
FREE_TURN_DEG, STILL_M = 60.0, 0.3


@settings(kw_only=True)
class FormatsBench:
    """Number and source of motions."""

    clips: int = 200
    """Number of generated motions, half of them walks and runs, and of real ones where there are data."""
    pipeline: str = DEFAULT_GENERATOR
    """A shipped pipeline's name or a pipeline folder."""
    data: Path | None = None
    """Folder made by `exuvia prepare`, for real motion of optical systems."""
    record: Path | None = None
    """Ledger to append the results to."""


def bench_formats(config: FormatsBench) -> None:
    """Make motions rigid, write them as BVH and GLB, read them back and compare the joints; measure feet and turns.

    Rows of feet are means over walks and runs for generated motion, and over all clips for real motion. `rigs.read`
    counts the rigs of many tools whose BVH files are read without a doubt.

    Examples:
        python -m lab formats --clips 10

    Raises:
        ConfigError: no clip.
        CheckpointError: the pipeline cannot be loaded.
        DataError: the data cannot be read, or hold fewer clips.
        OutputError: the ledger cannot be written.
    """
    if config.clips < 2:
        raise ConfigError(f"found {config.clips} clips, expected at least 2")
    texts = [prompt.text for prompt in load_prompts("implicit", VIOLENCE)]
    prompts = [(WALKS, texts)[n % 2][n // 2 % len((WALKS, texts)[n % 2])] for n in range(config.clips)]
    pipe = MotionPipeline.from_pretrained(config.pipeline)
    clips = pipe(prompts, seed=list(range(config.clips)), raw=True)
    numbers = measured(clips, clips[::2]) | {"rigs.read": Number(float(len(rigs_read())), "1")}
    if config.data is not None:
        real = _real(config.data, config.clips)
        numbers |= {f"{name}.real": number for name, number in measured(real, real).items()}
    for name, number in numbers.items():
        print(f"{name} {number.value:.3g} {number.unit}")
    record_numbers(config.record, numbers, pipeline=config.pipeline)


def measured(clips: Sequence[Clip], walks: Sequence[Clip]) -> dict[str, Number]:
    """Means over clips as they were decoded or recorded; of feet over walks."""
    bodies, posed = [rigid_clip(clip) for clip in clips], [_projected(clip) for clip in clips]
    again = [_files(clip) for clip in bodies]
    pairs = [pair for pair in zip(clips, bodies, strict=True) if any(pair[0] is walk for walk in walks)]
    steps = [[slides(clip.joints, clip.fps) for clip in pair] for pair in pairs]
    jerks = [[mean_jerk_m_per_s3(clip.joints, clip.fps) for clip in pair] for pair in pairs]
    moved = [_apart_mm(body.joints, pose) for body, pose in zip(bodies, posed, strict=True)]
    fitted = [_apart_mm(clip.joints, pose) for clip, pose in zip(clips, posed, strict=True)]
    below = [1000 * max(0.0, -float(clip.joints[..., 1].min())) for clip in bodies]
    values: dict[str, tuple[Any, str]] = {
        "rigid.bone_spread": (max(bone_spread_m(clip.joints) for clip in bodies), "m"),
        "rigid.displacement_mm": (np.mean(moved), "mm"),
        "rigid.projection_mm": (np.mean(fitted), "mm"),
        "rigid.below_floor_mm": (max(below), "mm"),
        "feet.skate.before": (np.mean([before for before, _ in steps]), "1"),
        "feet.skate.after": (np.mean([after for _, after in steps]), "1"),
        "feet.jerk.before": (np.mean([before for before, _ in jerks]), "m/s3"),
        "feet.jerk.after": (np.mean([after for _, after in jerks]), "m/s3"),
        "bvh.roundtrip_mm": (np.mean([bvh for bvh, _, _ in again]), "mm"),
        "glb.roundtrip_mm": (np.mean([glb for _, glb, _ in again]), "mm"),
        "turns.over_60_share": (np.mean([share for _, _, share in again]), "1"),
    }
    return {name: Number(float(value), unit) for name, (value, unit) in values.items()}


def rigs_read() -> list[str]:
    """Rigs (`lab.made_rigs`) whose joints are read within 0.1 mm of the truth and without a doubt."""
    read = []
    with tempfile.TemporaryDirectory() as folder:
        for name, rig in RIGS.items():
            text, truth = bvh_of(rig, unit_m=0.01)
            if len(rig.spine) == 1:
                del truth["spine1"]  # one joint of the spine may be any of the three
            path = Path(folder) / f"{name}.bvh"
            path.write_text(text, "utf-8")
            try:
                clip = load_clip(path, None)
            except DataError:
                continue
            steps = clip.joints - clip.joints[:1, :1]
            off = [_apart_mm(steps[:, SMPL22.index(joint)], at - truth["pelvis"][:1]) for joint, at in truth.items()]
            if not clip.meta["doubts"] and max(off) < 0.1:
                read.append(name)
    return read


def slides(joints: Array, fps: float) -> float:
    """Share of low-toe time (below 5 cm at one end of a step) in which the toe moves faster than 0.5 m/s."""
    toes = joints[:, list(TOES)]
    fast = np.linalg.norm(np.diff(toes[..., [0, 2]], axis=0), axis=-1) * fps > FAST_M_PER_S
    low = np.minimum(toes[1:, :, 1], toes[:-1, :, 1]) < LOW_M
    return float(fast[low].mean()) if low.any() else 0.0


def bone_spread_m(joints: Array) -> float:
    """Largest standard deviation of a bone's length within the clip."""
    bones = joints[:, 1:].astype(np.float64) - joints[:, list(SMPL22.parents[1:])]
    return float(np.linalg.norm(bones, axis=-1).std(0).max())


def _projected(clip: Clip) -> Array:
    joints = clip.joints.astype(np.float64)
    return pose_body(joints, fit_body(joints))


def _apart_mm(one: Array, other: Array) -> float:
    return float(1000 * np.linalg.norm(one - other, axis=-1).mean())


def _files(clip: Clip) -> tuple[float, float, float]:
    """Distance in mm of the joints after BVH and after GLB, and the share of free turns."""
    with tempfile.TemporaryDirectory() as folder:
        bvh, glb = clip.save(Path(folder) / "clip.bvh"), clip.save(Path(folder) / "clip.glb")
        again, places = load_clip(bvh, None).joints, glb_joints(glb)
        return _apart_mm(again, clip.joints), _apart_mm(places, clip.joints), free_turns(bvh.read_text("utf-8"))


def glb_joints(path: Path) -> Array:
    """Joints [F, 22, 3] of the first animation of a GLB file, by forward kinematics."""
    file = GLTF2().load(str(path))
    blob = file.binary_blob()

    def rows(number: int) -> Array:
        accessor = file.accessors[number]
        width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[accessor.type]
        start = file.bufferViews[accessor.bufferView].byteOffset or 0
        return np.frombuffer(blob, "<f4", accessor.count * width, start).reshape(-1, width).astype(np.float64)

    tracks: dict[tuple[int, str], Array] = {}
    for channel in file.animations[0].channels:
        sampler = file.animations[0].samplers[channel.sampler]
        tracks[channel.target.node, channel.target.path] = rows(sampler.output)
    frames = max(map(len, tracks.values()))
    above = {child: number for number, node in enumerate(file.nodes) for child in node.children or []}
    turns: dict[int, Rotation] = {}
    places: dict[int, Array] = {}
    waiting = list(range(len(file.nodes)))
    while waiting:
        number = waiting.pop(0)
        if above.get(number, number) in waiting:
            waiting.append(number)
            continue
        node, parent = file.nodes[number], above.get(number)
        still = np.tile(node.rotation or (0.0, 0.0, 0.0, 1.0), (frames, 1))
        turn = Rotation.from_quat(tracks.get((number, "rotation"), still))
        step = tracks.get((number, "translation"), np.tile(node.translation or (0.0, 0.0, 0.0), (frames, 1)))
        turns[number] = turn if parent is None else turns[parent] * turn
        places[number] = step if parent is None else places[parent] + turns[parent].apply(step)
    numbers = {node.name: number for number, node in enumerate(file.nodes)}
    return np.stack([places[numbers[name]] for name in SMPL22.joints], axis=1)


def free_turns(text: str) -> float:
    """Share of steps in which a node turns by over 60 degrees more than its bone swings; joints move below 0.3 m."""
    bvh = parse_bvh(text)
    frames, nodes = len(bvh.motion), len(bvh.names)
    local, column = np.tile(np.eye(3), (frames, nodes, 1, 1)), 0
    offsets = np.tile(np.asarray(bvh.offsets), (frames, 1, 1))
    for node, channels in enumerate(bvh.channels):
        values = bvh.motion[:, column : column + len(channels)]
        column += len(channels)
        turning = [index for index, channel in enumerate(channels) if channel[1] == "r"]
        if turning:
            local[:, node] = matrix_from_euler(values[:, turning], "".join(channels[index][0] for index in turning))
        if node == 0:
            offsets[:, 0] = values[:, [channels.index(f"{axis}p") for axis in "XYZ"]]
    places, world = forward_kinematics(offsets, bvh.parents, local)
    still = (np.linalg.norm(np.diff(places, axis=0), axis=-1) < STILL_M).all(1)
    wrong = []
    for node in range(nodes):
        ends = [child for child, parent in enumerate(bvh.parents) if parent == node]
        bones = [places[:, end] - places[:, node] for end in ends]
        bones = [bone for bone in bones if np.linalg.norm(bone[0]) > 1e-6]
        if not bones:
            continue
        swing = np.max([_angles_deg(bone) for bone in bones], axis=0)
        turned = np.asarray([np.trace(a.T @ b) for a, b in pairwise(world[:, node])])
        wrong.append(np.rad2deg(np.arccos(np.clip((turned - 1) / 2, -1, 1))) - swing > FREE_TURN_DEG)
    return float((np.stack(wrong, axis=1) & still[:, None]).mean())


def _angles_deg(bones: Array) -> Array:
    units = bones / np.maximum(np.linalg.norm(bones, axis=1, keepdims=True), 1e-9)
    return np.rad2deg(np.arccos(np.clip((units[1:] * units[:-1]).sum(1), -1, 1)))


def _real(folder: Path, count: int) -> list[Clip]:
    store = Store.open(folder)
    numbers = store.select(split="test", sensor="optical")[:count]
    if len(numbers) < count:
        raise DataError(f"{folder} holds {len(numbers)} test clips of optical systems, expected {count}")
    return [Clip(np.asarray(store.joints(int(n))), fps=store.clips[int(n)].fps) for n in numbers]
