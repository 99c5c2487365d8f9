"""`python -m lab formats`: measures what files preserve of a motion, and the effect of the foot lock."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from exuvia.config import settings
from exuvia.data.concepts import VIOLENCE
from exuvia.data.store import Store
from exuvia.errors import ConfigError, DataError
from exuvia.evaluation.prompts.load import load_prompts
from exuvia.motion.clip import Clip
from exuvia.motion.foot_lock import lock_feet
from exuvia.motion.load import load_clip
from exuvia.pipeline.pipeline import MotionPipeline
from lab.ledger.numbers import Number, record_numbers


@settings(kw_only=True)
class FormatsBench:
    """Number and source of motions."""

    clips: int = 40
    """Number of generated motions, and of real ones if data are given."""
    pipeline: str = "base"
    """A shipped pipeline's name or a pipeline folder."""
    data: Path | None = None
    """Folder made by `exuvia prepare`, for real motion."""
    record: Path | None = None
    """Ledger to append the results to."""


def bench_formats(config: FormatsBench) -> None:
    """Write motions as BVH, read them back and compare the joints; lock their feet and measure skating and jerk.

    Generated motion has bones of varying length, BVH has rigid bones: the first number is the resulting distance.

    Examples:
        python -m lab formats --clips 10

    Raises:
        ConfigError: no clip.
        CheckpointError: the pipeline cannot be loaded.
        DataError: the data cannot be read, or hold fewer clips.
        OutputError: the ledger cannot be written.
    """
    if config.clips < 1:
        raise ConfigError(f"found {config.clips} clips, expected at least 1")
    texts = [prompt.text for prompt in load_prompts("implicit", VIOLENCE)]
    prompts = [texts[n % len(texts)] for n in range(config.clips)]
    pipe = MotionPipeline.from_pretrained(config.pipeline)
    kinds = {"": pipe(prompts, seed=list(range(config.clips)))}
    if config.data is not None:
        kinds[".real"] = _real(config.data, config.clips)
    numbers = {name + tag: number for tag, clips in kinds.items() for name, number in measured(clips).items()}
    for name, number in numbers.items():
        print(f"{name} {number.value:.3f} {number.unit}")
    record_numbers(config.record, numbers)


def measured(clips: Sequence[Any]) -> dict[str, Number]:
    """Return means over clips."""
    errors = [1000 * np.linalg.norm(_again(clip) - clip.joints, axis=-1).mean() for clip in clips]
    locked = [lock_feet(clip) for clip in clips]

    def mean(name: str) -> float:
        return float(np.mean([getattr(one, name) for one in locked]))

    return {
        "bvh.roundtrip_mm": Number(float(np.mean(errors)), "mm"),
        "footlock.skate_before_cm_s": Number(100 * mean("skate_before_m_per_s"), "cm/s"),
        "footlock.skate_after_cm_s": Number(100 * mean("skate_after_m_per_s"), "cm/s"),
        "footlock.jerk_before_m_s3": Number(mean("jerk_before_m_per_s3"), "m/s3"),
        "footlock.jerk_after_m_s3": Number(mean("jerk_after_m_per_s3"), "m/s3"),
    }


def _again(clip: Any) -> Any:
    """Return the joints of the clip after writing BVH and reading it with forward kinematics."""
    with tempfile.TemporaryDirectory() as folder:
        return load_clip(clip.save(Path(folder) / "clip.bvh"), None).joints


def _real(folder: Path, count: int) -> list[Any]:
    store = Store.open(folder)
    numbers = store.select(split="test")[:count]
    if len(numbers) < count:
        raise DataError(f"{folder} holds {len(numbers)} test clips, expected {count}")
    return [Clip(store.joints(int(n)), fps=store.clips[int(n)].fps) for n in numbers]
