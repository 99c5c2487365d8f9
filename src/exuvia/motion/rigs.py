"""Rigs of any tool: which joint stands for which SMPL joint, by the parts of its name and its place in the body.

A name is read as side, word and number (`mixamorig:LeftUpLeg`, `thigh_l`, `Bip01 L Thigh`), after the beginning and
the end that most names share are removed. Limbs are the chains whose words fit best. The trunk follows from the tree:
the pelvis is where the legs meet, the chest where the arms meet, and neck and head lie above it. The words stand in
rigs.toml.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from exuvia.errors import DataError
from exuvia.motion.skeleton import SMPL22
from exuvia.readers import read_toml
from exuvia.shapes import Array

_WORDS = read_toml(Path(__file__).with_name("rigs.toml"))
_LIMB_WORDS = {*_WORDS["leg"], *_WORDS["arm"]}
_PLACES = {"leg": ("hip", "knee", "ankle", "foot"), "arm": ("collar", "shoulder", "elbow", "wrist")}
_SIDES = {"l": "left", "left": "left", "lt": "left", "lft": "left", "r": "right", "right": "right", "rt": "right"}
_PELVIS = {"pelvis", "hips", "hip"}
_NOISE = {"c", "m", "x", "j", "def", "bip", "jnt", "jt", "bone", "bind"}
OPTIONAL = set("spine1 spine2 spine3 neck head left_collar right_collar left_foot right_foot".split())
"""Joints that a rig may lack: they are derived from their neighbours."""
MAX_CANDIDATES = 12


def canonical(name: str) -> str:
    """Joint name in lower case without namespace, known prefixes and punctuation: `mixamorig:LeftArm` -> leftarm."""
    plain = re.sub(r"[^a-z0-9]", "", re.split(r"[:|]", name)[-1].lower())
    return re.sub(r"^(mixamorig\d*|character\d+|bip\d+|[mf]avg)(?=.)", "", plain)


def bare_names(names: Sequence[str]) -> list[str]:
    """The names without namespaces, and without the beginning and the end that at least four in five of them share."""
    bare = [re.split(r"[:|]", name)[-1].strip() for name in names]
    for step in (1, -1):  # beginnings, then ends
        turned = [name[::step] for name in bare]
        cuts = ((name, cut) for name in turned for cut in range(1, min(len(name), 64)) if not _in_word(name, cut))
        counts = Counter(name[:cut] for name, cut in cuts)
        common = max((part for part, count in counts.items() if count >= 0.8 * len(bare)), key=len, default="")
        bare = [name.removeprefix(common)[::step] or name[::step] for name in turned]
    return bare


def _in_word(name: str, cut: int) -> bool:
    """Whether a cut divides a word: letters of one case are on both sides, and no CamelCase word begins there."""
    pair, after = name[cut - 1 : cut + 1], name[cut + 1 : cut + 2]
    return pair.isalpha() and (pair.islower() or (pair.isupper() and not after.islower()))


def parse_name(name: str) -> tuple[str, str]:
    """Side ("left", "right" or "") and word of a bare name: `upper_arm.L.001` -> ("left", "upperarm")."""
    tokens = [token.lower() for token in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]
    tokens = [token for token in tokens if token not in _NOISE] or tokens
    sides = {_SIDES[token] for token in tokens if token in _SIDES}
    word = "".join(token for token in tokens if token not in _SIDES)
    if len(sides) == 1 and word in _LIMB_WORDS:
        return sides.pop(), word
    whole = "".join(tokens)
    for mark, side in _SIDES.items():
        for rest in (whole.removeprefix(mark), whole.removesuffix(mark)):
            if rest != whole and rest in _LIMB_WORDS:
                return side, rest
    return "", whole


class Body:
    """A tree of named joints with sample positions; finds the SMPL joints in it."""

    def __init__(self, names: Sequence[str], parents: Sequence[int], sample: Array) -> None:
        """Take names, parents and `sample` poses [S, J, 3] as in `mapping.smpl22_from_rig`; ends follow their joint."""
        self.names, self.parents, self.sample = names, parents, sample
        self.is_end = [p >= 0 and name == f"{names[p]}_end" for name, p in zip(names, parents, strict=True)]
        real = [index for index, end in enumerate(self.is_end) if not end]
        bare = dict(zip(real, map(parse_name, bare_names([names[index] for index in real])), strict=True))
        self.parsed = [bare.get(index, bare.get(parent, ("", ""))) for index, parent in enumerate(parents)]
        self.line: list[list[int]] = []  # each joint and its ancestors, nearest first
        for index, parent in enumerate(parents):
            self.line.append([index, *(self.line[parent] if parent >= 0 else [])])
        self.size = float(np.median(np.linalg.norm(sample - sample.mean(1, keepdims=True), axis=-1).max(1)))

    def apart(self, a: int, b: int) -> float:
        """Median distance of two joints, as a share of the body's extent from its middle."""
        return float(np.median(np.linalg.norm(self.sample[:, a] - self.sample[:, b], axis=-1))) / (self.size or 1.0)

    def limb(self, limb: str, side: str) -> dict[str, int]:
        """The best chain of joints for a limb: place -> joint."""
        places = _PLACES[limb]
        weights: dict[int, Mapping[str, float]] = {}
        for index, (at, word) in enumerate(self.parsed):
            if at == side and word in _WORDS[limb]:
                known = _WORDS[limb][word]
                after = {b: 0.5 for a, b in pairwise(places) if a in known and b in ("foot", "wrist")}
                weights[index] = after if self.is_end[index] else known
        chosen = dict(list(weights.items())[:MAX_CANDIDATES])

        def best(place: int, last: int) -> tuple[float, dict[str, int]]:
            if place == len(places):
                return 0.0, {}
            top = best(place + 1, last)
            for index, known in chosen.items():
                follows = last < 0 or (last in self.line[index] and self.apart(index, last) > 0.01)
                if places[place] in known and follows:
                    score, rest = best(place + 1, index)
                    if score + known[places[place]] > top[0] + 1e-9:
                        top = score + known[places[place]], {places[place]: index, **rest}
            return top

        return best(0, -1)[1]

    def meeting(self, joints: Sequence[int]) -> int:
        """The nearest common ancestor of joints, or -1."""
        return next((at for at in self.line[joints[0]] if all(at in self.line[other] for other in joints)), -1)

    def trunk(self, legs: Sequence[int], arms: Sequence[int]) -> dict[str, int]:
        """Pelvis, spine, neck and head from the first joints of legs and arms."""
        meet, chest = self.meeting(legs), self.meeting(arms)
        if meet < 0 or chest < 0:
            return {}
        named = (i for i in self.line[meet] if self.parsed[i][1] in _PELVIS and self.apart(i, legs[0]) < 0.35)
        pelvis = next(named, meet)
        found = {"pelvis": pelvis}
        spine = self._apart([i for i in self.line[chest][::-1] if i not in self.line[pelvis]], pelvis)
        above = self._apart(self._above(chest, arms), chest)
        if len(above) > 2 and all(self.apart(above[0], arm) < 0.02 for arm in arms):
            spine.append(above.pop(0))  # CMU's conversions: the arms begin at a joint named neck, which is the thorax
            above += self._ends(above[-1])
        if len(above) > 1 or (above and "neck" in self.parsed[above[0]][1]):
            found["neck"] = above[0]
        if above and above[-1] != found.get("neck"):
            found["head"] = above[-1]
        if len(spine) == 1:
            way = self.apart(pelvis, spine[0])
            share = way / (way + self.apart(spine[0], above[0])) if above else 0.5
            return found | {"spine1" if share < 0.37 else "spine2" if share < 0.55 else "spine3": spine[0]}
        places = sorted({0, round(0.71 * (len(spine) - 1)), len(spine) - 1}) if len(spine) > 2 else range(len(spine))
        return found | {f"spine{number}": spine[place] for number, place in enumerate(places, 1)}

    def _apart(self, chain: Sequence[int], start: int) -> list[int]:
        """The joints of a chain that are not in the same place as the one before."""
        kept = [start]
        for index in chain:
            kept += [index] if self.apart(index, kept[-1]) > 0.01 else []
        return kept[1:]

    def _ends(self, joint: int) -> list[int]:
        return [i for i, end in enumerate(self.is_end) if end and self.parents[i] == joint]

    def _above(self, chest: int, arms: Sequence[int]) -> list[int]:
        """Joints from above the chest up to the head; without a joint named head, the highest of the neck or spine."""
        arm_lines = {i for arm in arms for i in self.line[arm]}
        ours = [i for i, line in enumerate(self.line) if chest in line and not {*arms} & {*line} and i not in arm_lines]
        joints = [i for i in ours if not self.is_end[i] and not self.parsed[i][0]]
        alike = {"neck", self.parsed[chest][1]}
        words = {i: self.parsed[i][1] for i in joints}
        top = max(joints, key=lambda i: (words[i] == "head", words[i] in alike, len(self.line[i])), default=None)
        if top is None:
            return []
        tip = self._ends(top) if words[top] == "neck" else []
        return [i for i in self.line[top][::-1] if i in ours] + tip

    def smpl_joints(self) -> dict[str, int]:
        """SMPL joint -> joint of this rig, for all that it has. Raises DataError if a limb is not found."""
        for table in (_WORDS["asf"], {joint: canonical(joint) for joint in SMPL22.joints}):
            if index := _by_table(self.names, table):
                return index
        limbs = {(side, limb): self.limb(limb, side) for side in ("left", "right") for limb in _PLACES}
        index = {f"{side}_{place}": at for (side, _), found in limbs.items() for place, at in found.items()}
        missing = [joint for joint in SMPL22.joints[1:] if joint not in index and joint not in OPTIONAL]
        if not missing:
            first = {limb: [next(iter(limbs[side, limb].values())) for side in ("left", "right")] for limb in _PLACES}
            index |= self.trunk(first["leg"], first["arm"])
            missing = [] if "pelvis" in index else ["pelvis"]
        if missing:
            raise DataError(
                f"found joints named {', '.join(list(self.names)[:6])}, ..., of which none is understood as "
                f"{', '.join(missing[:5])}; name the joints in a file: Source(names=...)"
            )
        return {joint: index[joint] for joint in SMPL22.joints if joint in index}


def _by_table(names: Sequence[str], table: Mapping[str, str]) -> dict[str, int]:
    """SMPL joint -> index by a table of canonical names, if all of them exist."""
    at = {canonical(name): index for index, name in reversed(list(enumerate(names)))}
    return {joint: at[word] for joint, word in table.items()} if set(table.values()) <= set(at) else {}


def read_names(path: Path, names: Sequence[str]) -> dict[str, int]:
    """SMPL joint -> index by a user's table: lines `left_hip = "Bone.017"` (TOML). Raises DataError."""
    table, at = read_toml(path), {name: index for index, name in reversed(list(enumerate(names)))}
    for joint, name in table.items():
        if joint not in SMPL22.joints or name not in at:
            ours, theirs = ", ".join(SMPL22.joints), ", ".join(list(at)[:8])
            raise DataError(
                f"{path} says {joint} = {name!r}, expected one of {ours} = one of the motion's {theirs} ..."
            )
    if missing := [joint for joint in SMPL22.joints if joint not in table and joint not in OPTIONAL]:
        raise DataError(f'{path} has no line for {missing[0]}; write lines such as left_hip = "Thigh_L"')
    return {joint: at[table[joint]] for joint in SMPL22.joints if joint in table}
