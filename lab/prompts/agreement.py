"""How often checks agree with captions of real motion: clips whose caption says so should pass, others should fail."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from exuvia.config import from_dict, settings
from exuvia.data.store import Store
from exuvia.motion.clip import Clip
from exuvia.readers import read_toml
from lab.prompts.checks import check
from lab.prompts.load import FILE, named
from lab.prompts.physics import on_floor

CLAIMS = Path(__file__).with_name("captions.toml")
MOST = 200
"""Clips of each side that a check is tried on, evenly spaced."""


@settings
class Claim:
    """Regular expressions for captions of clips that should pass a check (`says`, but not `unless`), or fail it."""

    check: str | dict[str, Any]
    against: str
    says: str = "$^"
    unless: str = "$^"
    sensor: str = "optical"
    """optical or any"""


@settings
class _File:
    words: dict[str, str]
    platforms: str
    claims: tuple[Claim, ...]


class Agreement(NamedTuple):
    """How a check fares: how many clips pass of those that should, and fail of those that should."""

    name: str
    kind: str
    passed: tuple[int, int]
    failed: tuple[int, int]

    @property
    def share(self) -> float:
        """Mean of the shares of both sides, or of the one that has clips."""
        return float(np.mean([right / clips for right, clips in (self.passed, self.failed) if clips]))


def agreements(store: Store) -> Iterator[Agreement]:
    """Apply every claim's check to those clips of a store that it is about. Raises DataError for a malformed file."""
    file, known = from_dict(_File, read_toml(CLAIMS)), read_toml(FILE)["checks"]
    for claim in file.claims:
        ((name, spec),) = named([claim.check], known, CLAIMS.name).items()
        says, unless, against = (_pattern(text, file.words) for text in (claim.says, claim.unless, claim.against))
        right, wrong = [], []
        for number, texts in _captions(store, claim.sensor):
            if any(map(says.search, texts)):
                right += [number] * (not any(map(unless.search, texts)))
            elif any(map(against.search, texts)):
                wrong.append(number)
        passed, failed = ([check(_clip(store, n), spec).passed for n in _some(side)] for side in (right, wrong))
        counts = (sum(passed), len(passed)), (len(failed) - sum(failed), len(failed))
        if passed or failed:
            yield Agreement(name, spec["kind"], *counts)


def grounded(store: Store) -> list[Clip]:
    """Clips of optical systems on level floor, as far as their captions tell."""
    above = re.compile(from_dict(_File, read_toml(CLAIMS)).platforms, re.IGNORECASE)
    clips = [number for number, texts in _captions(store, "optical") if not any(map(above.search, texts))]
    return [on_floor(_clip(store, number)) for number in clips]


def _captions(store: Store, sensor: str) -> Iterator[tuple[int, list[str]]]:
    for number, clip in enumerate(store.clips):
        if sensor in ("any", clip.sensor) and not clip.labels.get("mirrored"):
            yield number, [caption.text for caption in clip.captions]


def _pattern(text: str, words: dict[str, str]) -> re.Pattern[str]:
    return re.compile(re.sub(r"<(\w+)>", lambda word: f"(?:{words[word[1]]})", text), re.IGNORECASE)


def _some(numbers: Sequence[int]) -> list[int]:
    return [numbers[int(n)] for n in np.linspace(0, len(numbers) - 1, min(MOST, len(numbers)))]


def _clip(store: Store, number: int) -> Clip:
    return Clip(np.asarray(store.joints(number)), fps=store.clips[number].fps)
