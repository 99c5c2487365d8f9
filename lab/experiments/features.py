"""`python -m lab features`: times the encoding of motions as features."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from exuvia.config import settings
from exuvia.errors import ConfigError
from exuvia.features.humanml3d import HUMANML3D
from exuvia.motion.skeleton import SMPL22
from exuvia.shapes import Joints
from lab.ledger.numbers import record_numbers
from lab.timing import Runs


@settings
class FeaturesBench:
    """Number of motions, runs and threads."""

    clips: int = 1000
    """Number of motions."""
    frames: int = 196
    """Frames per motion; 196 is the longest in HumanML3D."""
    threads: int = 2
    """Number of encoding threads."""
    repeats: int = 5
    """Number of timed runs after a warm-up run."""
    seed: int = 0
    """Seed of the synthetic motions."""
    record: Path | None = None
    """Ledger to append the result to, e.g. docs/results/numbers.jsonl."""


def bench_features(config: FeaturesBench) -> None:
    """Time the encoding of motions as HumanML3D features; the best of several runs counts, with the range.

    Raises:
        ConfigError: a count that is not positive.
        OutputError: the ledger cannot be written.
    """
    if min(config.clips, config.threads, config.repeats) < 1 or config.frames < 2:
        raise ConfigError("found a count below 1 or fewer than 2 frames, expected positive counts")
    motions = made_up_motions(config.clips, config.frames, config.seed)
    batches = [motions[start :: config.threads] for start in range(config.threads)]
    with ThreadPoolExecutor(config.threads) as pool:
        runs = Runs.of(lambda: list(pool.map(HUMANML3D.encode, batches)), config.repeats)
    print(f"encode {config.clips} motions of {config.frames} frames, {config.threads} threads: {runs}")
    record_numbers(config.record, {f"features.encode_{config.clips}_clips_s": runs.number})


def made_up_motions(count: int, frames: int, seed: int) -> list[Joints]:
    """Return smooth random motions of one size.   count arrays [F, 22, 3], metres

    They do not look like people, because only their size matters for timing.
    """
    rng = np.random.default_rng(seed)
    skeleton = SMPL22
    pose = np.zeros((skeleton.num_joints, 3))
    for joint, parent in enumerate(skeleton.parents):
        if parent >= 0:
            pose[joint] = pose[parent] + skeleton.rest_offsets[joint]
    pose[:, 1] -= pose[:, 1].min()
    steps = np.arange(frames)[:, None, None] / 20.0
    motions = []
    for _ in range(count):
        phase = rng.uniform(0, 2 * np.pi, (1, *pose.shape))
        sway = 0.05 * np.sin(2 * np.pi * rng.uniform(0.3, 1.5) * steps + phase)
        path = steps * rng.uniform(-1, 1, (1, 1, 3)) * np.asarray([1.0, 0.0, 1.0])
        motions.append((pose + sway + path).astype(np.float32))
    return motions
