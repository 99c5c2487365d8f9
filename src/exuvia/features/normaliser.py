"""Mean and standard deviation of features, in the published channel groups, and the evaluator's Std/25.

Sources: HumanML3D, cal_mean_variance.ipynb; momask-codes issue 50 and data/t2m_dataset.py for the bias applied twice.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from exuvia.errors import CheckpointError, ShapeError
from exuvia.shapes import Features, Floats

FEATURE_BIAS = 5.0


def groups(num_joints: int) -> tuple[tuple[int, int], ...]:
    """Channel ranges that share one standard deviation: yaw, velocity, height, positions, 6-D, velocities, contacts."""
    a = 4 + 3 * (num_joints - 1)
    b = a + 6 * (num_joints - 1)
    c = b + 3 * num_joints
    return (0, 1), (1, 3), (3, 4), (4, a), (a, b), (b, c), (c, c + 4)


@dataclass(frozen=True)
class Normaliser:
    """(x - mean) / std, channel by channel."""

    mean: Floats
    """[C]"""
    std: Floats
    """[C], above zero"""

    def __post_init__(self) -> None:
        if self.mean.shape != self.std.shape or self.mean.ndim != 1:
            raise ShapeError(f"found mean {self.mean.shape} and std {self.std.shape}, expected arrays of one length")
        if not (np.isfinite(self.mean).all() and np.isfinite(self.std).all() and (self.std > 0).all()):
            raise ShapeError("found a mean or std that is not finite, or a std of 0; expected positive numbers")

    @classmethod
    def fit(cls, clips: Iterable[Features], num_joints: int) -> "Normaliser":
        """Statistics of all finite clips, with the std averaged within channel groups. Raises ShapeError if empty."""
        count, total, square = 0, np.zeros(0), np.zeros(0)
        for clip in clips:
            if not np.isfinite(clip).all():
                continue  # the published statistics leave clips with NaN out
            rows = clip.astype(np.float64)
            if not count:
                total, square = np.zeros(rows.shape[1]), np.zeros(rows.shape[1])
                shift = rows[0].copy()
            count += len(rows)
            total += (rows - shift).sum(0)
            square += ((rows - shift) ** 2).sum(0)
        if not count:
            raise ShapeError("found no finite clip, expected at least one to take mean and std from")
        centred = total / count
        std = np.sqrt(np.maximum(square / count - centred**2, 0))
        for low, high in groups(num_joints):
            std[low:high] = std[low:high].mean()
        return cls((centred + shift).astype(np.float32), np.maximum(std, 1e-6).astype(np.float32))

    @classmethod
    def of_run(cls, config: Mapping[str, Any], folder: str | Path) -> "Normaliser":
        """Read the statistics that `listed` put into the config.json of a run folder. Raises CheckpointError."""
        try:
            return cls(np.asarray(config["mean"], np.float32), np.asarray(config["std"], np.float32))
        except KeyError as error:
            raise CheckpointError(f"{folder}/config.json has no {error}") from None

    def listed(self) -> dict[str, list[float]]:
        """Mean and standard deviation as plain lists for JSON."""
        return {"mean": self.mean.tolist(), "std": self.std.tolist()}

    def evaluator(self) -> "Normaliser":
        """Statistics with which the published evaluators were trained: Std / 25 on root channels and contacts.

        The published code divides by `feat_bias` = 5 in place, once for the train and once for the val data set, so
        the bias applies twice. All published numbers depend on it.
        """
        return self.emphasised(FEATURE_BIAS**2, FEATURE_BIAS**2)

    def emphasised(self, root: float = 1.0, contacts: float = 1.0) -> "Normaliser":
        """Statistics that scale normalised root channels and contacts up by these factors."""
        std = self.std.copy()
        std[:4] /= root
        std[-4:] /= contacts
        return Normaliser(self.mean, std)

    def normalise(self, features: Features) -> Features:
        """Features [..., C] -> zero mean, unit standard deviation."""
        return (features - self.mean) / self.std

    def denormalise(self, features: Features) -> Features:
        """The inverse of `normalise`."""
        return features * self.std + self.mean
