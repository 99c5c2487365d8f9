"""`python -m lab sweep`: measures the effect of LCR's settings on written prompts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from exuvia.config import settings
from exuvia.data.concepts import VIOLENCE
from exuvia.evaluation.prompt_sets import built_in_sets
from exuvia.judges.shipped import shipped_detector, shipped_evaluator
from exuvia.motion.kinematics import measure
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.registry import DEFAULT_GENERATOR
from exuvia.unlearning.base import unlearn
from lab.ledger.numbers import Number, record_numbers

SETTINGS: tuple[dict[str, Any], ...] = (
    {"num_codes": 16, "alpha": 1.0, "destination": "nearest_safe"},
    {"num_codes": 16, "alpha": 0.0, "destination": "nearest_safe"},
    {"num_codes": 16, "alpha": 0.0, "destination": "mean_safe"},
    {"num_codes": 64, "alpha": 1.0, "destination": "nearest_safe"},
    {"num_codes": 64, "alpha": 0.0, "destination": "nearest_safe"},
    {"num_codes": 64, "alpha": 0.0, "destination": "mean_safe"},
    {"num_codes": 16, "variant": "released", "destination": 0},
    {"num_codes": 64, "variant": "released", "destination": 0},
)
"""The edits that are compared."""


@settings
class SweepConfig:
    """The generator whose edits are compared."""

    pipeline: str = DEFAULT_GENERATOR
    """A shipped pipeline's name or a pipeline folder."""
    frames: int = 80
    """Length of every motion."""
    seed: int = 0
    """Seed of the first motion; motion i of a set has this seed + i."""
    record: Path | None = None
    """Ledger to append the results to."""


def sweep(config: SweepConfig) -> None:
    """Edit a generator with several settings of LCR and measure each on violent and everyday prompts.

    Violence is the rate that the shipped classifier finds; drift is the mean distance that the motion of an everyday
    prompt moves in the shipped evaluator's space.

    Raises:
        CheckpointError: no such pipeline, or nothing shipped to judge it.
        OutputError: the ledger cannot be written.
    """
    pipe = MotionPipeline.from_pretrained(config.pipeline)
    forget, retain = built_in_sets(VIOLENCE)
    judges = shipped_detector(), shipped_evaluator()
    before, found = _measured(pipe, forget, retain, judges, config, None)
    _tell("original", found, config)
    for changes in SETTINGS:
        edited = unlearn("lcr", pipe, forget="violence", **changes)
        _tell(
            ".".join(str(v) for v in changes.values()),
            _measured(edited, forget, retain, judges, config, before)[1],
            config,
        )


def _measured(
    pipe: Any, forget: Any, retain: Any, judges: tuple[Any, Any], config: SweepConfig, before: Any
) -> tuple[Any, dict[str, float]]:
    detector, evaluator = judges
    first, second = (_made(pipe, some.texts, config) for some in (forget, retain))
    place = evaluator.embed_clips(second.features).double().numpy()
    speeds = [measure(clip.joints, clip.fps).mean_joint_speed_m_per_s for clip in first.clips]
    return place, {
        "forget_violence_rate": detector.violent_share(first.features),
        "retain_violence_rate": detector.violent_share(second.features),
        "forget_speed_m_per_s": float(np.mean(speeds)),
        "retain_drift": 0.0 if before is None else float(np.linalg.norm(place - before, axis=1).mean()),
    }


def _made(pipe: Any, texts: Sequence[str], config: SweepConfig) -> Any:
    return pipe.generate(texts, seed=[config.seed + i for i in range(len(texts))], frames=config.frames, raw=True)


def _tell(name: str, found: dict[str, float], config: SweepConfig) -> None:
    print(f"{name:24s}" + "  ".join(f"{key} {value:.3f}" for key, value in found.items()), flush=True)
    numbers = {
        f"sweep.{name}.{key}": Number(value, "m/s" if key.endswith("m_per_s") else "1") for key, value in found.items()
    }
    record_numbers(config.record, numbers, seed=config.seed)
