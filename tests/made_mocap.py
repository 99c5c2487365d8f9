"""Generated motion for tests: swaying, walking bodies in the layouts that `prepare` reads."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from exuvia.motion.skeleton import SMPL22
from exuvia.shapes import Joints

TEXTS = (
    "a person kicks with the left leg",
    "a person walks in a circle clockwise",
    "someone raises the right hand",
    "a man picks up a white box",
)


def body(frames: int, seed: int = 0) -> Joints:
    """A body that walks and turns, [F, 22, 3] metres."""
    rng = np.random.default_rng(seed)
    rest = np.zeros((22, 3), np.float32)
    for joint, parent in enumerate(SMPL22.parents):
        if parent >= 0:
            rest[joint] = rest[parent] + SMPL22.rest_offsets[joint]
    time = np.arange(frames)[:, None, None] / 20
    sway = 0.03 * np.sin(2 * np.pi * (rng.uniform(0.3, 1.0, (1, 22, 3)) * time + rng.random((1, 22, 3))))
    path = time * np.asarray([0.1, 0.0, 0.9])
    angle = rng.uniform(-1, 1) * time[..., 0] + rng.uniform(-3, 3)
    points = rest + sway
    x, z = points[..., 0], points[..., 2]
    turned = np.stack(
        (np.cos(angle) * x + np.sin(angle) * z, points[..., 1] + 0.9, np.cos(angle) * z - np.sin(angle) * x), -1
    )
    return (turned + path).astype(np.float32)


def mocap_folder(folder: Path, clips: int = 10, spoil: dict[int, Joints] | None = None) -> Path:
    """A folder with clips.npz and clips.jsonl: 80 % train clips, then val, then test.

    Args:
        spoil: joints to put in place of some clips.
    """
    folder.mkdir(parents=True, exist_ok=True)
    motions = [(spoil or {}).get(k, body(30 + 7 * k % 50, k)) for k in range(clips)]
    np.savez(
        folder / "clips.npz",
        joints=np.concatenate(motions),
        offsets=np.concatenate(([0], np.cumsum([len(motion) for motion in motions]))),
    )
    with open(folder / "clips.jsonl", "w") as lines:
        for k, motion in enumerate(motions):
            lines.write(json.dumps(_facts(k, clips, len(motion))) + "\n")
    return folder


def _facts(k: int, clips: int, frames: int) -> dict[str, Any]:
    text = TEXTS[k % len(TEXTS)]
    return {
        "id": f"{k:06d}", "source": "made", "trial": f"t{k}", "licence": "CC0", "fps": 20, "frames": frames,
        "sensor": "optical" if k % 2 else "kinect", "violent": k % 4 == 0, "side": "left" if k % 4 == 0 else None,
        "split": "train" if k < 0.8 * clips else "val" if k < 0.9 * clips else "test", "caption_kind": "human",
        "captions": [{"text": text, "tokens": " ".join(f"{word}/NOUN" for word in text.split())}],
    }  # fmt: skip
