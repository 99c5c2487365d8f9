"""Source of the built-in parametric motions, with captions, concept labels and a label for every frame."""

import hashlib
from typing import Any

from exuvia.data.captions import Caption
from exuvia.data.sources import RawClip, Source, hash_split
from exuvia.errors import ConfigError
from exuvia.synthetic.dataset import FRAME_LABELS, SyntheticClip, synthesise

SAMPLE = 8
"""Clips that represent the whole set in the fingerprint, since any change of the generator changes them."""


class SyntheticClips(Source):
    """Clips 0 to count - 1 of a seed; a longer set begins with the shorter one."""

    name = "synthetic"

    def __init__(self, count: int, seed: int = 0) -> None:
        """Describe a set of clips. Raises ConfigError for a count or seed out of range."""
        if count < 1:
            raise ConfigError(f"found count {count}, expected at least 1 clip")
        self.count, self.seed = count, seed
        self.ids = [f"synthetic_{seed}_{number:06d}" for number in range(count)]
        synthesise(0, seed)  # refuses a bad seed now

    def read(self, number: int) -> RawClip:
        """Generate one clip; a hash of its id determines its split."""
        generated = self._make(number)
        return RawClip(
            id=self.ids[number],
            joints=generated.clip.joints,
            split=hash_split(self.ids[number]),
            source=self.name,
            fps=generated.clip.fps,
            captions=tuple(Caption(sentence) for sentence in generated.captions),
            caption_kind="template",
            labels={**generated.labels, "label": "+".join(generated.actions)},
            frame_labels=generated.frame_labels,
            licence="none needed (parametric motion)",
            sensor="synthetic",
            provenance={"seed": self.seed, "number": number},
        )

    def _make(self, number: int) -> SyntheticClip:
        return next(synthesise(1, self.seed, start=number))

    def fingerprint(self) -> dict[str, Any]:
        """Return count, seed, and a digest of the first clips."""
        digest = hashlib.sha256()
        for number in range(min(SAMPLE, self.count)):
            generated = self._make(number)
            digest.update(generated.clip.joints.tobytes() + "\n".join(generated.captions).encode())
        facts = {"layout": self.name, "count": self.count, "seed": self.seed, "sha256": digest.hexdigest()}
        return {**facts, "frame_labels": list(FRAME_LABELS)}

    def stamp(self) -> dict[str, Any]:
        """Return the fingerprint, which is cheap."""
        return self.fingerprint()
