"""Source: the built-in parametric motions, with captions, concept labels and a label for every frame."""

import hashlib
from typing import Any

from exuvia.data.captions import Caption
from exuvia.data.sources import RawClip, Source, hash_split
from exuvia.errors import ConfigError
from exuvia.synthetic.dataset import FRAME_LABELS, SyntheticClip, synthesise

SAMPLE = 8
"""Clips whose numbers stand for the whole set in the fingerprint: any change of the generator shows in them."""


class SyntheticClips(Source):
    """Clips 0 to count - 1 of a seed; a longer set begins with the shorter one."""

    name = "synthetic"

    def __init__(self, count: int, seed: int = 0) -> None:
        """Raises ConfigError for a count or seed out of range."""
        if count < 1:
            raise ConfigError(f"found count {count}, expected at least 1 clip")
        self.count, self.seed = count, seed
        self.ids = [f"synthetic_{seed}_{number:06d}" for number in range(count)]
        synthesise(0, seed)  # a bad seed is refused here, before any work

    def read(self, number: int) -> RawClip:
        """One clip; its split follows from a hash of its id."""
        made = self._make(number)
        return RawClip(
            id=self.ids[number],
            joints=made.clip.joints,
            split=hash_split(self.ids[number]),
            source=self.name,
            fps=made.clip.fps,
            captions=tuple(Caption(sentence) for sentence in made.captions),
            caption_kind="template",
            labels={**made.labels, "label": "+".join(made.actions)},
            frame_labels=made.frame_labels,
            licence="none needed (parametric motion)",
            sensor="synthetic",
            provenance={"seed": self.seed, "number": number},
        )

    def _make(self, number: int) -> SyntheticClip:
        return next(synthesise(1, self.seed, start=number))

    def fingerprint(self) -> dict[str, Any]:
        """Count, seed, and a digest of the first clips."""
        digest = hashlib.sha256()
        for number in range(min(SAMPLE, self.count)):
            made = self._make(number)
            digest.update(made.clip.joints.tobytes() + "\n".join(made.captions).encode())
        facts = {"layout": self.name, "count": self.count, "seed": self.seed, "sha256": digest.hexdigest()}
        return {**facts, "frame_labels": list(FRAME_LABELS)}

    def stamp(self) -> dict[str, Any]:
        """The fingerprint itself: it is cheap."""
        return self.fingerprint()
