"""`ClipRecord`: what is known about one clip of a prepared data set, one JSON line each."""

import json
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any

from pydantic import Field

from exuvia.config import Count
from exuvia.data.captions import Caption
from exuvia.errors import DataError
from exuvia.readers import parse_as

Place = Annotated[int, Field(ge=0)]
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class ClipRecord:
    """One clip: where its rows lie in the columns, and what it is."""

    id: str
    """Unique in the store; mirrored twins are the original's id with 'M' in front."""
    source: str
    """Collection the clip comes from."""
    split: str
    """train, val or test."""
    fps: Annotated[float, Field(gt=0, le=1000)]
    """Frames a second."""
    frames: Count
    """Joint frames F."""
    rows: Count
    """Feature rows: F - 1, or F where the source ships both of one length (HumanML3D)."""
    frame_start: Place = 0
    """First frame in `joints.npy` and `frame_labels.npy`."""
    row_start: Place = 0
    """First row in `features.npy`."""
    captions: tuple[Caption, ...] = ()
    """Sentences about the clip; may be empty."""
    caption_kind: str = ""
    """human, description, template or empty."""
    labels: dict[str, Any] = field(default_factory=dict)
    """violent, keyword_violent, side, label, mirrored, and whatever else the source knows."""
    has_frame_labels: bool = False
    """True where `frame_labels.npy` says something about this clip."""
    licence: str = ""
    """Terms of the motion and its captions, as known."""
    sensor: str = ""
    """optical, kinect, synthetic, ..."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """Source file, trial, repairs."""

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise DataError(f"clip {self.id}: found split {self.split!r}, expected one of {', '.join(SPLITS)}")

    def to_json(self) -> str:
        """One line of `clips.jsonl`."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, line: str) -> "ClipRecord":
        """The inverse of `to_json`. Raises DataError on anything else."""
        return parse_as(cls, line, f"the clip record {line[:60]!r}")
