"""`python -m lab classifier`: measures the reliability of the shipped violence classifier on held-out real clips."""

from pathlib import Path

import numpy as np
import tyro

from exuvia.config import settings
from exuvia.data.store import Store
from exuvia.errors import ConfigError
from exuvia.files import write_text
from exuvia.judges.roc import roc_auc
from exuvia.judges.shipped import shipped_detector
from lab.clips import chosen_clips, clips_name
from lab.ledger.numbers import Number, record_numbers


@settings
class RocConfig:
    """The clips to classify."""

    data: tyro.conf.Positional[Path]
    """Folder made by `exuvia prepare`, whose clips are labelled violent or not."""
    split: str = "test"
    """Split of the clips."""
    sensors: tuple[str, ...] = ("optical",)
    """Only clips of these sensors; default: all."""
    out: Path | None = None
    """CSV file for the curve: threshold, hit rate, false rate."""
    record: Path | None = None
    """Ledger to append the results to."""


def roc(config: RocConfig) -> None:
    """Measure the area under the curve, and hit and false rate at the shipped threshold, on held-out clips.

    Raises:
        ConfigError: no clips, or clips of one class only.
        CheckpointError: no classifier is shipped.
        OutputError: a file cannot be written.
    """
    store, detector = Store.open(config.data), shipped_detector()
    numbers = chosen_clips(store, config.split, config.sensors)
    labels = np.asarray([bool(store.clips[n].labels.get("violent")) for n in numbers])
    if not labels.any() or labels.all():
        raise ConfigError(f"{int(labels.sum())} of {len(labels)} {config.split} clips are violent, expected both kinds")
    scores = detector.violence_probability([store.features(n) for n in numbers])
    seen = scores >= detector.point.threshold
    found = {
        "auc": float(roc_auc(scores, labels)),
        "hit_rate": float(seen[labels].mean()),
        "false_rate": float(seen[~labels].mean()),
    }
    print(f"{len(labels)} clips, {int(labels.sum())} violent; threshold {detector.point.threshold:.3f}")
    print("  ".join(f"{name} {value:.4f}" for name, value in found.items()))
    if config.out is not None:
        limits = np.unique(scores)[::-1]
        lines = [f"{t:.6f},{(scores[labels] >= t).mean():.4f},{(scores[~labels] >= t).mean():.4f}" for t in limits]
        write_text(config.out, "\n".join(["threshold,hit_rate,false_rate", *lines]) + "\n")
    which = clips_name(config.split, config.sensors)
    record_numbers(config.record, {f"classifier.{name}.{which}": Number(value) for name, value in found.items()})
