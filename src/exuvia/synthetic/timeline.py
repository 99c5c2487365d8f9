"""Keys on a timeline: smooth transitions between poses, and the slow drift that makes a body look alive."""

from collections.abc import Mapping, Sequence

import numpy as np

from exuvia.synthetic.body import TABLES
from exuvia.synthetic.rig import SIDES, Array

FPS = 20.0
SMOOTH_S = 0.036
"""Standard deviation of the Gaussian by which curves are smoothed: muscles do not change a force at once."""
_FINE_S, _MARGIN = 1.0 / 80.0, 16

_DRIFT = TABLES["drift"] | {f"{side}_{name}": size for side in SIDES for name, size in TABLES["arm_drift"].items()}


def eased(times: Array, key_times: Sequence[float], key_values: Sequence[float]) -> Array:
    """A smooth curve through keys without overshoot: flat between equal keys, and at rest at both ends.

    Samples are at times [F]; keys are strictly increasing times and values [K]. Cubic Hermite pieces with Fritsch and
    Carlson's slopes (harmonic mean of the neighbouring slopes, 0 at extrema).
    """
    if len(key_times) == 1:
        return np.full(len(times), key_values[0])
    t, v = np.asarray(key_times), np.asarray(key_values)
    width = np.diff(t)
    rise = np.diff(v) / width
    slopes = np.zeros(len(t))
    before, after = rise[:-1], rise[1:]
    same = before * after > 0
    heavy, light = 2 * width[1:] + width[:-1], width[1:] + 2 * width[:-1]
    slopes[1:-1][same] = (heavy + light)[same] / (heavy[same] / before[same] + light[same] / after[same])
    at = np.clip(np.searchsorted(t, times, side="right") - 1, 0, len(t) - 2)
    s = np.clip((times - t[at]) / width[at], 0.0, 1.0)
    s2, s3 = s * s, s * s * s
    low, high = v[at], v[at + 1]
    bent = width[at] * (slopes[at] * (s3 - 2 * s2 + s) + slopes[at + 1] * (s3 - s2))
    return low + (high - low) * (3 * s2 - 2 * s3) + bent


class Timeline:
    """Keys of all channels."""

    def __init__(self, start: Mapping[str, float]) -> None:
        self.keys = {name: ([0.0], [value]) for name, value in start.items()}

    def value(self, name: str) -> float:
        """Value of a channel's last key."""
        return self.keys[name][1][-1]

    def hold(self, name: str, time: float) -> None:
        """Hold the last value of a channel until a time in seconds."""
        times, values = self.keys[name]
        if time > times[-1] + 1e-6:
            times.append(time)
            values.append(values[-1])

    def add(self, name: str, start: float, end: float, value: float) -> None:
        """Hold a channel until `start`, then move it to `value` at `end` (seconds); keys are always in order of time.

        With `start` = `end` there is no hold: the channel moves to the value directly from the last key.
        """
        if end > start:
            self.hold(name, start)
        times, values = self.keys[name]
        times.append(max(end, times[-1] + 0.02))
        values.append(value)

    def sample(self, times: Array, rng: np.random.Generator, liveliness: float) -> dict[str, Array]:
        """All channels at times [F] in seconds, smoothed, with random drift times the factor `liveliness`.

        The fast part of the drift grows with the speed of the body, as the noise of muscles does.
        """
        grid = np.arange(-_MARGIN, round(float(times.max()) / _FINE_S) + _MARGIN).astype(np.float64) * _FINE_S
        bell = np.exp(-0.5 * (np.arange(-_MARGIN + 1, _MARGIN) * _FINE_S / SMOOTH_S) ** 2)
        fine = {name: np.convolve(eased(grid, *keys), bell / bell.sum(), "same") for name, keys in self.keys.items()}
        curves = {name: np.interp(times, grid, curve) for name, curve in fine.items()}
        amplitudes = np.fromiter(_DRIFT.values(), np.float64) * liveliness
        rates = rng.uniform(0.08, 0.45, (len(_DRIFT), 5)) * np.asarray((1.0, 1.6, 2.7, 6.0, 10.0))
        phases = rng.uniform(0.0, 2 * np.pi, (len(_DRIFT), 5))
        waves = np.sin(2 * np.pi * rates[..., None] * times + phases[..., None])
        waves = waves * np.asarray((0.6, 0.4, 0.2, 0.2, 0.11))[:, None]
        way = np.hypot(np.gradient(fine["x"], _FINE_S), np.gradient(fine["z"], _FINE_S))
        speed = np.interp(times, grid, np.convolve(way, np.full(_MARGIN, 1.0 / _MARGIN), "same"))
        waves[:, 3:] *= 1.0 + 2.0 * np.clip(speed, 0.0, 1.2)
        drift = waves.sum(1) * amplitudes[:, None]
        for name, wave in zip(_DRIFT, drift, strict=True):
            curves[name] = curves[name] + wave
        breath = np.sin(2 * np.pi * rng.uniform(0.2, 0.35) * times + rng.uniform(0, 2 * np.pi))
        curves["spine_pitch"] = curves["spine_pitch"] - 0.8 * breath
        for side in SIDES:
            curves[f"{side}_shrug"] = curves[f"{side}_shrug"] + 1.2 * breath
        return curves
