"""Makes src/exuvia/motion/body.npz: the body of exported .glb files, from a signed distance field of its own shapes.

Needs scikit-image and fast-simplification, which the package does not:

    pip install scikit-image fast-simplification
    python tools/make_body.py src/exuvia/motion/body.npz

The field is a smooth union of round cones along the bones of the rest pose of SMPL22, with hands and a face. Marching
cubes make one closed surface of it, which is simplified. Weights follow the nearest bones. The texture coordinates are
a front and a back view of the body joined above the head; hands and feet are turned towards the viewer for it.
"""

import sys

import numpy as np
from fast_simplification import simplify
from skimage.measure import marching_cubes

from exuvia.motion.export_rig import RIGS, rest_places
from exuvia.motion.skeleton import SMPL22

STEP_M = 0.006
TRIANGLES = 9000
LENGTHS_M = {"hip": 0.105, "knee": 0.40, "ankle": 0.40, "foot": 0.14, "spine1": 0.12, "spine2": 0.135, "spine3": 0.055,
             "neck": 0.215, "head": 0.09, "collar": 0.14, "shoulder": 0.12, "elbow": 0.26, "wrist": 0.25}  # fmt: skip

SHAPES = (
    ("pelvis", "pelvis", (0.055, -0.03, -0.01), "pelvis", (0.055, 0.05, -0.005), 0.108, 0.098),
    ("pelvis", "pelvis", (0.065, -0.045, -0.05), "pelvis", (0.06, 0.0, -0.045), 0.075, 0.07),
    ("spine1", "spine1", (0.045, -0.02, 0.0), "spine2", (0.04, -0.03, 0.0), 0.095, 0.092),
    ("spine2", "spine2", (0.04, -0.03, 0.0), "spine3", (0.05, 0.02, 0.0), 0.094, 0.108),
    ("spine3", "spine3", (0.055, 0.01, 0.005), "spine3", (0.075, 0.12, -0.01), 0.112, 0.085),
    ("spine3", "spine3", (0.065, 0.055, 0.055), "spine3", (0.085, 0.075, 0.045), 0.058, 0.045),
    ("spine3", "spine3", (0.0, 0.17, -0.025), "spine3", (0.12, 0.135, -0.025), 0.055, 0.05),
    ("left_collar", "left_collar", (0.0, 0.0, -0.015), "left_shoulder", (-0.02, 0.0, -0.005), 0.055, 0.062),
    ("neck", "neck", (0, -0.05, -0.015), "head", (0, 0.0, 0.005), 0.06, 0.055),
    ("head", "head", (0.012, 0.085, 0.005), "head", (0.012, 0.11, -0.01), 0.083, 0.09),
    ("head", "head", (0.012, 0.025, 0.05), "head", (0.01, 0.06, 0.055), 0.043, 0.055),
    ("head", "head", (0.0, 0.085, 0.095), "head", (0.0, 0.055, 0.122), 0.009, 0.0125),
    ("head", "head", (0.028, 0.1, 0.082), "head", (0.045, 0.102, 0.07), 0.013, 0.012),
    ("head", "head", (0.0, 0.022, 0.085), "head", (0.02, 0.024, 0.078), 0.0125, 0.009),
    ("head", "head", (0.097, 0.085, -0.005), "head", (0.101, 0.055, 0.0), 0.017, 0.011),
    ("left_hip", "left_hip", (0.0, -0.02, 0.0), "left_knee", (0, 0.03, 0.0), 0.093, 0.056),
    ("left_knee", "left_knee", (0.0, 0.02, 0.004), "left_knee", (0.0, -0.03, 0.004), 0.054, 0.05),
    ("left_knee", "left_knee", (0.003, -0.1, -0.018), "left_knee", (0.0, -0.19, -0.012), 0.055, 0.042),
    ("left_knee", "left_knee", (0, -0.03, 0), "left_ankle", (0, 0, 0), 0.047, 0.036),
    ("left_ankle", "left_ankle", (0, 0.0, 0), "left_ankle", (0, -0.025, -0.03), 0.038, 0.036),
    ("left_ankle", "floor left_ankle", (0, 0.034, -0.035), "floor left_foot", (0, 0.027, 0), 0.034, 0.03),
    ("left_ankle", "left_ankle", (0.0, -0.01, 0.015), "floor left_foot", (0.01, 0.03, -0.01), 0.034, 0.031),
    ("left_ankle", "floor left_ankle", (0.012, 0.028, 0), "floor left_foot", (0.026, 0.023, 0), 0.028, 0.023),
    ("left_foot", "floor left_foot", (-0.008, 0.027, 0), "floor left_foot", (-0.012, 0.022, 0.055), 0.03, 0.021),
    ("left_foot", "floor left_foot", (0.024, 0.022, 0), "floor left_foot", (0.02, 0.018, 0.04), 0.023, 0.017),
    ("left_shoulder", "left_shoulder", (-0.015, 0.0, 0.0), "left_shoulder", (0.05, -0.003, 0.0), 0.062, 0.054),
    ("left_shoulder", "left_shoulder", (0.05, 0.0, 0.0), "left_elbow", (0, 0, 0), 0.05, 0.039),
    ("left_elbow", "left_elbow", (-0.01, 0, 0), "left_elbow", (0.07, 0, 0), 0.039, 0.041),
    ("left_elbow", "left_elbow", (0.07, 0, 0), "left_wrist", (-0.01, 0, 0), 0.04, 0.026),
    ("left_wrist", "left_wrist", (0.015, -0.004, 0.018), "left_wrist", (0.05, -0.012, 0.05), 0.018, 0.0125),
    ("left_wrist", "left_wrist", (0.05, -0.012, 0.05), "left_wrist", (0.092, -0.016, 0.072), 0.0115, 0.0095),
    ("left_wrist", "left_wrist", (0.005, 0, 0.0126), "left_wrist", (0.078, 0.0, 0.028), 0.02, 0.0125),
    ("left_wrist", "left_wrist", (0.078, 0, 0.028), "left_wrist", (0.165, -0.008, 0.037), 0.01056, 0.00816),
    ("left_wrist", "left_wrist", (0.005, 0, 0.0038), "left_wrist", (0.082, 0.0, 0.0085), 0.02, 0.0125),
    ("left_wrist", "left_wrist", (0.082, 0, 0.0085), "left_wrist", (0.178, -0.008, 0.0112), 0.011, 0.0085),
    ("left_wrist", "left_wrist", (0.005, 0, -0.0049), "left_wrist", (0.08, 0.0, -0.011), 0.02, 0.0125),
    ("left_wrist", "left_wrist", (0.08, 0, -0.011), "left_wrist", (0.168, -0.008, -0.0145), 0.01034, 0.00799),
    ("left_wrist", "left_wrist", (0.005, 0, -0.0135), "left_wrist", (0.074, 0.0, -0.03), 0.02, 0.0125),
    ("left_wrist", "left_wrist", (0.074, 0, -0.03), "left_wrist", (0.145, -0.008, -0.0396), 0.00924, 0.00714),
)  # fmt: skip
"""Round cones of the left half and the middle: the joint of their skin, start and end as joint and shift in metres, and
two radii. A joint on the `floor` counts with the height 0."""


def canonical_offsets() -> np.ndarray:
    """Rest offsets [22, 3] in metres, symmetric, arms along x."""
    offsets, rest = np.zeros((22, 3)), dict(RIGS["exact"].rest)
    rest["collar"], rest["hip"] = (0.62, 0.78, 0.0), (0.84, -0.54, 0.0)
    for joint, name in enumerate(SMPL22.joints[1:], start=1):
        side, _, part = name.partition("_")
        way = np.asarray(rest.get(part or side, (0.0, 1.0, 0.0))) * ((-1 if side == "right" else 1), 1, 1)
        offsets[joint] = way / np.linalg.norm(way) * LENGTHS_M[part or side]
    return offsets


def cones(places: np.ndarray) -> list[tuple[str, np.ndarray, np.ndarray, float, float]]:
    """Joint, start, end and radii of the cones of SHAPES."""

    def at(name: str, shift: tuple[float, float, float]) -> np.ndarray:
        place = places[SMPL22.index(name.removeprefix("floor "))]
        return place * (1, 0 if name.startswith("floor") else 1, 1) + np.asarray(shift)

    return [
        (joint, at(first, shift), at(second, other), *radii) for joint, first, shift, second, other, *radii in SHAPES
    ]


def cone_distance(points: np.ndarray, start: np.ndarray, end: np.ndarray, first: float, last: float) -> np.ndarray:
    """Distance of points [N, 3] from a sphere swept along a segment with a linear radius (not exact, smooth)."""
    way = end - start
    share = np.clip((points - start) @ way / max(way @ way, 1e-12), 0, 1)
    return np.linalg.norm(points - start - share[:, None] * way, axis=1) - (first + (last - first) * share)


def smooth_min(a: np.ndarray, b: np.ndarray, width: float) -> np.ndarray:
    """Smooth minimum of two fields; `width` is the distance over which they blend."""
    h = np.clip(0.5 + 0.5 * (b - a) / width, 0, 1)
    return b + (a - b) * h - width * h * (1 - h)


def fields(points: np.ndarray, shapes: list) -> np.ndarray:
    """Signed distance of points [N, 3] from the body, which is symmetric."""
    total = np.full(len(points), 1.0)
    for joint, start, end, first, last in shapes:
        both = [(start, end)]
        if start[0] > 0 or end[0] > 0:
            both.append((start * (-1, 1, 1), end * (-1, 1, 1)))
        fine = max(first, last) < 0.021
        width = 0.006 if fine and joint == "left_wrist" else 0.01 if fine else 0.035
        for a, b in both:
            low, high = np.minimum(a, b) - 0.16, np.maximum(a, b) + 0.16
            near = ((points > low) & (points < high)).all(1)
            total[near] = smooth_min(total[near], cone_distance(points[near], a, b, first, last), width)
    return total


def surface(shapes: list) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and triangles of the surface."""
    low, high = np.array((-0.92, -0.02, -0.2)), np.array((0.92, 1.78, 0.32))
    counts = np.ceil((high - low) / STEP_M).astype(int)
    axes = [low[k] + np.arange(counts[k]) * STEP_M for k in range(3)]
    values = np.empty(counts, np.float32)
    for i, x in enumerate(axes[0]):
        y, z = np.meshgrid(axes[1], axes[2], indexing="ij")
        points = np.stack((np.full(y.size, x), y.ravel(), z.ravel()), axis=1)
        values[i] = fields(points, shapes).reshape(y.shape)
    values = np.maximum(values, -(axes[1][None, :, None] - 0.004))  # the soles are flat
    fine, faces, _, _ = marching_cubes(values + np.float32(1e-5), 0.0, spacing=(STEP_M,) * 3)  # no value is zero
    for count in range(
        TRIANGLES, TRIANGLES + 2000, 50
    ):  # simplifying may join two sheets at an edge; then less is taken
        vertices, triangles = simplify((fine + low).astype(np.float32), faces.astype(np.int64), target_count=count)
        vertices, triangles = welded(vertices, triangles)
        if closed(triangles):
            break
    else:
        raise SystemExit("no closed surface was found")
    corners = vertices[triangles].astype(np.float64)
    volume = np.einsum("ti,ti->t", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum()
    return vertices, triangles if volume > 0 else triangles[:, ::-1]


def welded(vertices: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One vertex for each place on a grid of 0.1 mm, without triangles of no area."""
    vertices, same = np.unique(np.round(vertices.astype(np.float64), 4), axis=0, return_inverse=True)
    triangles = same.reshape(-1)[triangles]
    sides = triangles != np.roll(triangles, 1, axis=1)
    return vertices, triangles[sides.all(1)]


def closed(triangles: np.ndarray) -> bool:
    """Whether every edge has two triangles."""
    edges = np.sort(np.concatenate([triangles[:, [a, b]] for a, b in ((0, 1), (1, 2), (2, 0))]), axis=1)
    return bool((np.unique(edges, axis=0, return_counts=True)[1] == 2).all())


def weights(vertices: np.ndarray, places: np.ndarray, joint_count: int = 22) -> tuple[np.ndarray, np.ndarray]:
    """Joints and weights [V, 4]: by the distance from the bones that each joint rotates, smoothed near the joints."""
    bones: list[tuple[int, np.ndarray, np.ndarray]] = []
    for joint, name in enumerate(SMPL22.joints):
        children = [child for child, parent in enumerate(SMPL22.parents) if parent == joint]
        for child in children:
            bones.append((joint, places[joint], places[child]))
        if name == "pelvis":
            bones.append((joint, places[joint] - np.array((0, 0.06, 0)), places[joint]))
        if not children:
            tip = {"head": (0, 0.17, 0.02), "left_foot": (0, -0.0, 0.06), "right_foot": (0, 0, 0.06),
                   "left_wrist": (0.17, 0, 0), "right_wrist": (-0.17, 0, 0)}[name]  # fmt: skip
            bones.append((joint, places[joint], places[joint] + tip))
    girth = {"hip": 0.075, "knee": 0.05, "ankle": 0.04, "foot": 0.03, "pelvis": 0.1, "spine1": 0.1, "spine2": 0.1,
             "spine3": 0.1, "neck": 0.06, "head": 0.085, "collar": 0.06, "shoulder": 0.05, "elbow": 0.04,
             "wrist": 0.035}  # fmt: skip
    distance = np.full((len(vertices), joint_count), 1e3)
    for joint, start, end in bones:
        part = SMPL22.joints[joint].rpartition("_")[2]
        way = end - start
        share = np.clip((vertices - start) @ way / max(way @ way, 1e-12), 0, 1)
        far = np.linalg.norm(vertices - start - share[:, None] * way, axis=1) / girth[part]
        distance[:, joint] = np.minimum(distance[:, joint], far)
    for joint, name in enumerate(SMPL22.joints):  # a limb moves nothing on the other side
        if name.startswith(("left_", "right_")):
            sign = 1 if name.startswith("left_") else -1
            distance[sign * vertices[:, 0] < (0.0 if "hip" in name or "collar" in name else 0.02), joint] = 1e3
    closeness = 1 / np.maximum(distance, 0.05) ** 6
    order = np.argsort(-closeness, axis=1)[:, :4]
    share = np.take_along_axis(closeness, order, axis=1)
    share = share / share.sum(1, keepdims=True)
    share[share < 0.02] = 0
    return order, share / share.sum(1, keepdims=True)


def smoothed(
    order: np.ndarray, share: np.ndarray, triangles: np.ndarray, rounds: int = 12
) -> tuple[np.ndarray, np.ndarray]:
    """Weights averaged over neighbours."""
    dense = np.zeros((len(order), 22))
    np.put_along_axis(dense, order, share, axis=1)
    edges = np.concatenate([triangles[:, [a, b]] for a, b in ((0, 1), (1, 2), (2, 0))])
    count = np.bincount(edges.ravel(), minlength=len(order))[:, None]
    for _ in range(rounds):
        total = np.zeros_like(dense)
        np.add.at(total, edges[:, 0], dense[edges[:, 1]])
        np.add.at(total, edges[:, 1], dense[edges[:, 0]])
        dense = 0.5 * dense + 0.5 * total / count
    order = np.argsort(-dense, axis=1)[:, :4]
    share = np.take_along_axis(dense, order, axis=1)
    share[share < 0.02] = 0
    return order, share / share.sum(1, keepdims=True)


def doll(vertices: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Vertices with hands turned palm forward and feet pointing down, as on a paper doll."""
    out = vertices.copy()
    wrist, elbow = places[SMPL22.index("left_wrist")], places[SMPL22.index("left_elbow")]
    reach = np.abs(out[:, 0])
    angle = np.clip((reach - elbow[0] - 0.05) / (wrist[0] - elbow[0] - 0.05), 0, 1) * np.pi / 2
    y, z = out[:, 1] - wrist[1], out[:, 2] - wrist[2]
    arm = (np.abs(out[:, 0]) > elbow[0]) & (out[:, 1] > 1)
    out[arm, 1] = (wrist[1] + y * np.cos(angle) + z * np.sin(angle))[arm]
    out[arm, 2] = (wrist[2] - y * np.sin(angle) + z * np.cos(angle))[arm]
    ankle = places[SMPL22.index("left_ankle")]
    y, z = out[:, 1] - ankle[1], out[:, 2] - ankle[2]
    low = np.clip((0.12 - vertices[:, 1]) / 0.08, 0, 1)
    bend = low * np.deg2rad(80)
    leg = vertices[:, 1] < 0.15
    out[leg, 1] = (ankle[1] + y * np.cos(bend) - z * np.sin(bend))[leg]
    out[leg, 2] = (ankle[2] + y * np.sin(bend) + z * np.cos(bend))[leg]
    return out


def texture(vertices: np.ndarray, triangles: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, ...]:
    """Rows of vertices to repeat, triangles over them, and texture coordinates: front view, and back view above it."""
    flat = doll(vertices, places)
    corners = flat[triangles]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    back = normal[:, 2] < 0
    neighbours: dict[tuple[int, int], list[int]] = {}
    for face, triangle in enumerate(triangles):
        for a, b in ((0, 1), (1, 2), (2, 0)):
            key = (min(triangle[a], triangle[b]), max(triangle[a], triangle[b]))
            neighbours.setdefault(key, []).append(face)
    for _ in range(12):  # faces join the side of most of their neighbours, which makes both views whole
        votes = np.zeros(len(triangles))
        for pair in neighbours.values():
            votes[pair[0]] += 1 if back[pair[1]] else -1
            votes[pair[1]] += 1 if back[pair[0]] else -1
        back = np.where(np.abs(votes) > 1, votes > 0, back)
    top = float(flat[:, 1].max())
    in_front, in_back = np.unique(triangles[~back]), np.unique(triangles[back])
    both = np.intersect1d(in_front, in_back)
    joined = both[flat[both, 1] > top - 0.03]  # the fold above the head, where front and back meet
    split = np.setdiff1d(both, joined)
    rows = np.concatenate([np.arange(len(vertices)), split])
    other = np.arange(len(vertices))
    other[split] = len(vertices) + np.arange(len(split))
    faces = np.where(back[:, None], other[triangles], triangles)
    place = flat[rows][:, :2].copy()
    is_back = np.zeros(len(rows), bool)
    is_back[faces[back]] = True
    is_back[joined] = False
    low = float(flat[:, 1].min())
    place[is_back, 1] = 2 * top - place[is_back, 1]
    place -= (float(flat[:, 0].min()), low)
    place /= max(place[:, 0].max(), place[:, 1].max()) * 1.01
    place[:, 1] = 1 - place[:, 1]  # glTF counts from the top
    return rows, faces, place


def main(target: str) -> None:
    """Write the file."""
    places = rest_places(canonical_offsets())
    places[:, 1] += 0.02  # the toe joints lie above the sole
    vertices, triangles = surface(cones(places))
    order, share = smoothed(*weights(vertices, places), triangles)
    rows, faces, place = texture(vertices, triangles, places)
    print(f"{len(vertices)} vertices, {len(rows)} with seams, {len(faces)} triangles")
    np.savez_compressed(
        target,
        places=places.astype(np.float32),
        vertices=np.round(vertices * 1e4).astype(np.int16),
        rows=rows.astype(np.uint16),
        triangles=faces.astype(np.uint16),
        texture=np.round(np.clip(place, 0, 1) * 65535).astype(np.uint16),
        joints=order.astype(np.uint8),
        weights=np.round(share * 255).astype(np.uint8),
    )


if __name__ == "__main__":
    main(sys.argv[1])
